/* published.c -- see published.h for the order of steps and why. */
#include "checkpoint/published.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "checkpoint/attempt.h"
#include "checkpoint/listing.h"
#include "state/state_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static char *chk_path(const char *dir, uint64_t number)
{
    return mem_printf("%s/chk-%" PRIu64, dir, number);
}

/* -- writing -------------------------------------------------------------------------------- */

static weir_error *check_files(const char *dir, const struct state_file *files, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool exists;
        WEIR_TRY(state_file_look(dir, &files[i], &exists));
        if (!exists)
            return weir_errorf(WEIR_E_CORRUPT,
                "the stored file '%s/%s' (%s, %" PRIu64 " bytes) is"
                " not in place: was the checkpoint directory changed while the job ran?",
                dir, files[i].path, files[i].name, files[i].length);
    }
    return NULL;
}

static weir_error *check_content(const char *dir, const struct checkpoint_metadata *metadata)
{
    if (metadata->operator_count > CHECKPOINT_COUNT_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "a checkpoint of %" PRIu32 " operators and subtasks is"
            " too large, at most %u",
            metadata->operator_count, CHECKPOINT_COUNT_MAX);
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *operator= & metadata->operators[i];
        if (operator->file_count> CHECKPOINT_COUNT_MAX ||
            operator->staged_count> CHECKPOINT_COUNT_MAX ||
            operator->item_count> CHECKPOINT_COUNT_MAX ||
            operator->counter_count> CHECKPOINT_COUNT_MAX)
            return weir_errorf(WEIR_E_LIMIT,
                "operator '%.*s' has too many files or items for a"
                " checkpoint, at most %u",
                (int)operator->uid.size, operator->uid.data, CHECKPOINT_COUNT_MAX);
        WEIR_TRY(check_files(dir, operator->files, operator->file_count));
        WEIR_TRY(check_files(dir, operator->staged, operator->staged_count));
    }
    return NULL;
}

static weir_error *fill(struct os_file *file, weir_str bytes, bool is_durable)
{
    WEIR_TRY(FAULT_STEP(METADATA_WRITE, os_write(file, bytes.data, bytes.size)));
    return FAULT_STEP(METADATA_SYNC, is_durable ? os_sync(file) : NULL);
}

static weir_error *write_synced(const char *path, weir_str bytes, bool is_durable)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_CREATE, &file));
    weir_error *error = fill(file, bytes, is_durable);
    os_close(file);
    return error;
}

static weir_error *rename_if_in_charge(const char *dir, uint64_t attempt, const char *from,
    const char *to)
{
    WEIR_TRY(attempt_check(dir, attempt));
    return FAULT_STEP(METADATA_RENAME, os_rename(from, to));
}

/* `chk` exists. The rename comes last, and only the sync of its directory behind it. */
static weir_error *write_metadata(const char *dir, const char *chk, uint64_t attempt,
    weir_str bytes, bool is_durable)
{
    char *temporary = mem_printf("%s/" LISTING_METADATA ".%" PRIu64 ".tmp", chk, attempt);
    char *final = mem_printf("%s/" LISTING_METADATA, chk);
    weir_error *error = write_synced(temporary, bytes, is_durable);
    if (error == NULL)
        error = rename_if_in_charge(dir, attempt, temporary, final);
    if (error != NULL) {
        error = weir_error_join(error, os_remove(temporary));
    } else {
        error = FAULT_STEP(METADATA_DIRECTORY_SYNC, is_durable ? os_sync_dir(chk) : NULL);
        if (error != NULL)
            error = weir_error_join(error, os_remove(final));
    }
    mem_free(final);
    mem_free(temporary);
    return error;
}

weir_error *published_write(const char *dir, const struct checkpoint_metadata *metadata,
    bool is_durable)
{
    WEIR_TRY(check_content(dir, metadata));
    weir_buffer *bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(metadata, bytes);
    char *chk = chk_path(dir, metadata->checkpoint);
    weir_error *error = NULL;
    if (weir_buffer_overflowed(bytes))
        error = weir_errorf(WEIR_E_LIMIT,
            "the metadata of checkpoint %" PRIu64 " is larger than"
            " %zu bytes",
            metadata->checkpoint, CHECKPOINT_SIZE_MAX);
    if (error == NULL)
        error = os_make_dirs(chk);
    if (error == NULL && is_durable)
        error = os_sync_dir(dir);
    if (error == NULL)
        error = write_metadata(dir, chk, metadata->attempt, weir_buffer_view(bytes), is_durable);
    if (error != NULL) /* if it is there, and empty */
        weir_error_free(os_remove(chk));
    mem_free(chk);
    weir_buffer_free(bytes);
    return error;
}

/* -- reading -------------------------------------------------------------------------------- */

static weir_error *check_identity(const char *path, const char *job, uint64_t number,
    const struct checkpoint_metadata *metadata)
{
    if (!weir_str_equal(metadata->job, weir_str_of(job)))
        return weir_errorf(WEIR_E_STATE,
            "%s is of job '%.*s', not of job '%s': give each job its"
            " own name or checkpoint directory",
            path, (int)metadata->job.size, metadata->job.data == NULL ? "" : metadata->job.data,
            job);
    if (metadata->checkpoint != number)
        return weir_errorf(WEIR_E_CORRUPT, "%s is corrupt: it is of checkpoint %" PRIu64, path,
            metadata->checkpoint);
    return NULL;
}

weir_error *published_read(const char *dir, const char *job, uint64_t number,
    struct checkpoint_metadata *metadata)
{
    char *path = mem_printf("%s/chk-%" PRIu64 "/" LISTING_METADATA, dir, number);
    char *bytes = NULL;
    size_t size = 0;
    weir_error *error = os_read_file(path, CHECKPOINT_SIZE_MAX, &bytes, &size);
    if (error == NULL)
        error = checkpoint_decode((weir_str){ .data = bytes, .size = size }, path, metadata);
    if (error == NULL) {
        error = check_identity(path, job, number, metadata);
        if (error != NULL)
            checkpoint_metadata_release(metadata);
    }
    mem_free(bytes);
    mem_free(path);
    return error;
}

weir_error *published_sync(const char *dir, uint64_t number)
{
    char *chk = chk_path(dir, number);
    weir_error *error = os_sync_dir(chk);
    mem_free(chk);
    return error != NULL ? error : os_sync_dir(dir);
}

/* -- verifying ------------------------------------------------------------------------------ */

static uint64_t list_files(const struct checkpoint_metadata *metadata, struct state_file **list)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *it = &metadata->operators[i];
        for (uint32_t f = 0; f < it->file_count; f++, count++)
            if (list != NULL)
                list[count] = &it->files[f];
        for (uint32_t f = 0; f < it->staged_count; f++, count++)
            if (list != NULL)
                list[count] = &it->staged[f];
    }
    return count;
}

weir_error *published_verify(const char *dir, struct workers *workers,
    const struct checkpoint_metadata *metadata)
{
    uint64_t count = list_files(metadata, NULL);
    struct state_file **files = mem_alloc_array(count, sizeof(*files));
    list_files(metadata, files);
    weir_error *error = state_files_verify(dir, workers, files, count);
    mem_free(files);
    return error;
}

/* -- deleting ------------------------------------------------------------------------------- */

/* "_metadata.<a>.tmp" with a <= attempt. */
static bool is_own_temporary(const char *name, uint64_t attempt)
{
    uint64_t writer;
    char digits[32];
    size_t size = strlen(name);
    const size_t suffix = strlen(".tmp");
    if (size < suffix || size - suffix >= sizeof(digits) ||
        strcmp(name + size - suffix, ".tmp") != 0)
        return false;
    memcpy(digits, name, size - suffix);
    digits[size - suffix] = '\0';
    return listing_number(digits, LISTING_METADATA ".", &writer) && writer <= attempt;
}

static weir_error *remove_in(const char *chk, const char *name)
{
    char *path = mem_printf("%s/%s", chk, name);
    weir_error *error = os_remove(path);
    mem_free(path);
    return error;
}

static weir_error *empty(const char *chk, uint64_t attempt, bool *is_empty)
{
    char **names;
    uint32_t count;
    *is_empty = true;
    weir_error *error = remove_in(chk, LISTING_METADATA);
    if (error == NULL)
        error = os_list(chk, &names, &count);
    if (error != NULL)
        return error;
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        if (is_own_temporary(names[i], attempt))
            error = remove_in(chk, names[i]);
        else
            *is_empty = false;
    }
    os_names_free(names, count);
    return error;
}

weir_error *published_delete(const char *dir, uint64_t number, uint64_t attempt)
{
    char *chk = chk_path(dir, number);
    bool is_empty;
    weir_error *error = empty(chk, attempt, &is_empty);
    if (error == NULL && is_empty)
        error = os_remove(chk);
    else if (error == NULL)
        log_warn("checkpoint", "what is not ours stays in a deleted checkpoint: directory=%s", chk);
    mem_free(chk);
    return error;
}
