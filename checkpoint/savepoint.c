/* savepoint.c -- see savepoint.h. */
#include "checkpoint/savepoint.h"

#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/os_process.h"
#include "checkpoint/listing.h"
#include "checkpoint/savepoint_format.h"

#include <inttypes.h>

/* -- pinning -------------------------------------------------------------------------------- */

/* <pin_dir>/<path of the file>, whose directories are made. */
static weir_error *pin(const char *checkpoint_dir, const struct state_file *file,
    const char *pin_dir)
{
    char *to = mem_printf("%s/%s", pin_dir, file->path);
    char *slash = strrchr(to, '/');
    *slash = '\0';
    struct os_stat stat = { .exists = false };
    weir_error *error = os_make_dirs(to);
    *slash = '/';
    if (error == NULL)
        error = os_stat(to, &stat); /* two subtasks may have equal files */
    if (error == NULL && !stat.exists)
        error = state_file_fetch(checkpoint_dir, file, to, true);
    mem_free(to);
    return error;
}

weir_error *savepoint_pin(const char *checkpoint_dir, const struct checkpoint_metadata *metadata,
    const char *pin_dir)
{
    WEIR_TRY(os_make_dirs(pin_dir));
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *op = &metadata->operators[i];
        for (uint32_t f = 0; f < op->file_count; f++)
            WEIR_TRY(pin(checkpoint_dir, &op->files[f], pin_dir));
        for (uint32_t f = 0; f < op->staged_count; f++)
            WEIR_TRY(pin(checkpoint_dir, &op->staged[f], pin_dir));
    }
    return NULL;
}

/* -- sweeping ------------------------------------------------------------------------------- */

#define ASIDE         ".savepoint-"
#define RANDOM_DIGITS ((size_t)8)

/* ASIDE <job> - <checkpoint> - <random digits>: other names, of jobs that begin alike, too, are not ours. */
static bool is_aside(const char *name, weir_str job)
{
    size_t start = strlen(ASIDE);
    if (strncmp(name, ASIDE, start) != 0 || strncmp(name + start, job.data, job.size) != 0)
        return false;
    const char *at = name + start + job.size;
    size_t digits = *at == '-' ? strspn(at + 1, "0123456789") : 0;
    if (digits == 0 || at[1 + digits] != '-')
        return false;
    at += 2 + digits;
    return strlen(at) == RANDOM_DIGITS && strspn(at, "0123456789abcdef") == RANDOM_DIGITS;
}

static weir_error *sweep(const char *root, weir_str job)
{
    char **names;
    uint32_t count;
    struct os_stat stat;
    WEIR_TRY(os_stat(root, &stat));
    if (!stat.exists)
        return NULL;
    WEIR_TRY(os_list(root, &names, &count));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        if (!is_aside(names[i], job))
            continue;
        char *path = mem_printf("%s/%s", root, names[i]);
        int claim = os_dir_claim(path);
        if (claim >= 0) {
            log_info("savepoint", "removed, because its writer died: %s", path);
            error = os_remove_tree(path);
        }
        os_dir_unclaim(claim);
        mem_free(path);
    }
    os_names_free(names, count);
    return error;
}

void savepoint_sweep(const char *root, weir_str job)
{
    weir_error *error = sweep(root, job);
    if (error != NULL)
        log_warn("savepoint", "cannot remove what a dead writer left: %s",
            weir_error_message(error));
    weir_error_free(error);
}

/* -- writing -------------------------------------------------------------------------------- */

static weir_error *write_entry(void *arg, const struct scan_entry *entry)
{
    return entry_writer_add(arg, &entry->head, entry->type, entry->record);
}

static weir_error *write_entries(const struct scan_place *place,
    const struct operator_snapshot *from, const char *aside, struct state_file *file)
{
    struct entry_writer *writer = NULL;
    char *path = mem_printf("%s/%s", aside, file->path);
    weir_error *error = entry_writer_open(path, &writer);
    if (error == NULL)
        error = state_scan(place, from, write_entry, writer);
    if (error == NULL)
        error = entry_writer_finish(writer, file);
    entry_writer_free(writer);
    mem_free(path);
    return error;
}

static weir_error *sync_path(const char *path)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_APPEND, &file));
    weir_error *error = os_sync(file);
    os_close(file);
    return error;
}

static weir_error *copy_staged(const struct scan_place *place, const struct state_file *from,
    const char *aside, const struct state_file *to)
{
    char *path = mem_printf("%s/%s", aside, to->path);
    weir_error *error = state_file_verify(place->dir, from);
    if (error == NULL)
        error = state_file_fetch(place->dir, from, path, false);
    if (error == NULL)
        error = sync_path(path);
    mem_free(path);
    return error;
}

/* `to` is a copy of `from` whose files become those of the savepoint. */
static weir_error *write_operator(const struct scan_place *place, uint32_t index,
    const struct operator_snapshot *from, const char *aside, struct arena *arena,
    struct operator_snapshot *to)
{
    *to = *from;
    if (from->backend.size > 0) {
        to->backend = WEIR_STR(SAVEPOINT_BACKEND);
        to->files = arena_alloc(arena, sizeof(*to->files));
        to->file_count = 1;
        to->files[0].name = to->files[0].path = arena_printf(arena, "entries-%u", index);
        WEIR_TRY(write_entries(place, from, aside, &to->files[0]));
    }
    to->staged = arena_alloc(arena, from->staged_count * sizeof(*to->staged));
    for (uint32_t i = 0; i < from->staged_count; i++) {
        to->staged[i] = from->staged[i];
        to->staged[i].path = arena_printf(arena, "staged-%u-%u", index, i);
        WEIR_TRY(copy_staged(place, &from->staged[i], aside, &to->staged[i]));
    }
    return NULL;
}

static weir_error *write_metadata(const char *aside, const struct checkpoint_metadata *metadata)
{
    weir_buffer *bytes = weir_buffer_new(SAVEPOINT_METADATA_MAX);
    savepoint_encode(metadata, bytes);
    char *path = mem_printf("%s/" LISTING_METADATA, aside);
    weir_str view = weir_buffer_view(bytes);
    weir_error *error =
        weir_buffer_overflowed(bytes)
            ? weir_errorf(WEIR_E_LIMIT, "the metadata of a savepoint is larger than %zu bytes",
                  SAVEPOINT_METADATA_MAX)
            : os_write_file(path, view.data, view.size);
    mem_free(path);
    weir_buffer_free(bytes);
    return error;
}

static weir_error *write_aside(const struct scan_place *place,
    const struct checkpoint_metadata *metadata, const char *aside)
{
    struct checkpoint_metadata portable = *metadata;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 10, (size_t)1 << 30);
    portable.operators = mem_alloc_array(metadata->operator_count, sizeof(*portable.operators));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < metadata->operator_count && error == NULL; i++)
        error = write_operator(place, i, &metadata->operators[i], aside, &arena,
            &portable.operators[i]);
    if (error == NULL)
        error = FAULT_STEP(SAVEPOINT_METADATA, write_metadata(aside, &portable));
    mem_free(portable.operators);
    arena_release(&arena);
    return error;
}

static weir_error *publish(const char *root, const char *aside, const char *path)
{
    WEIR_TRY(FAULT_STEP(SAVEPOINT_RENAME, os_rename(aside, path)));
    weir_error *error = os_sync_dir(root);
    return error == NULL ? NULL : weir_error_join(error, os_remove_tree(path));
}

weir_error *savepoint_write(const struct scan_place *place,
    const struct checkpoint_metadata *metadata, const char *root, char **path)
{
    WEIR_TRY(os_make_dirs_durable(root));
    char *name = mem_printf("savepoint-%.*s-%" PRIu64 "-%08" PRIx32, (int)metadata->job.size,
        metadata->job.data, metadata->checkpoint, (uint32_t)os_random());
    char *aside = mem_printf("%s/.%s", root, name);
    *path = mem_printf("%s/%s", root, name);
    savepoint_sweep(root, metadata->job);
    /* A sweep between the two makes this one fail, and nothing worse. */
    weir_error *error = os_make_dirs(aside);
    int claim = os_dir_claim(aside);
    if (error == NULL)
        error = FAULT_STEP(SAVEPOINT_ENTRIES, write_aside(place, metadata, aside));
    if (error == NULL)
        error = publish(root, aside, *path);
    os_dir_unclaim(claim);
    if (error != NULL) {
        error = weir_error_join(error, os_remove_tree(aside));
        error = weir_error_wrap(error, "cannot write a savepoint of checkpoint %" PRIu64 " to '%s'",
            metadata->checkpoint, root);
        mem_free(*path);
        *path = NULL;
    }
    mem_free(aside);
    mem_free(name);
    return error;
}

/* -- reading -------------------------------------------------------------------------------- */

/* What people give instead of a savepoint, and what they should do. */
static weir_error *explain_missing(const char *path)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_USAGE,
            "there is no '%s': give the directory of a savepoint, or of a checkpoint (chk-<n>)",
            path);
    return weir_errorf(WEIR_E_USAGE,
        "'%s' is no savepoint or checkpoint, or not a whole one: it has no " LISTING_METADATA
        "; give the directory savepoint-… or chk-<n> itself",
        path);
}

static weir_error *decode(struct snapshot_dir *it, weir_str bytes, const char *file)
{
    it->is_savepoint = bytes.size >= 8 && memcmp(bytes.data, SAVEPOINT_MAGIC, 8) == 0;
    return it->is_savepoint ? savepoint_decode(bytes, file, &it->metadata)
                            : checkpoint_decode(bytes, file, &it->metadata);
}

/* The files of a checkpoint lie beside its directory, those of a savepoint in it. */
weir_error *snapshot_dir_open(const char *path, struct snapshot_dir *it)
{
    char *file = mem_printf("%s/" LISTING_METADATA, path);
    char *bytes = NULL;
    size_t size = 0;
    struct os_stat stat;
    *it = (struct snapshot_dir){ .dir = NULL };
    weir_error *error = os_stat(file, &stat);
    if (error == NULL && !stat.exists)
        error = explain_missing(path);
    if (error == NULL)
        error = os_read_file(file, CHECKPOINT_SIZE_MAX, &bytes, &size);
    if (error == NULL)
        error = decode(it, (weir_str){ .data = bytes, .size = size }, file);
    if (error == NULL)
        it->dir = it->is_savepoint ? mem_strdup(path) : mem_printf("%s/..", path);
    mem_free(bytes);
    mem_free(file);
    return error;
}

void snapshot_dir_close(struct snapshot_dir *it)
{
    checkpoint_metadata_release(&it->metadata);
    mem_free(it->dir);
}

/* What is no savepoint stays, whatever it is. */
static weir_error *check_disposable(const char *path)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_USAGE,
            "there is no savepoint '%s': give the path (savepoint-…) that was told when it was "
            "taken, as the job "
            "manager's machine has it; or it is deleted already",
            path);
    char *file = mem_printf("%s/" LISTING_METADATA, path);
    weir_error *error = os_stat(file, &stat);
    mem_free(file);
    if (error != NULL || stat.exists)
        return error;
    return weir_errorf(WEIR_E_USAGE,
        "'%s' is no savepoint, or what is left of one: it has no " LISTING_METADATA
        ", so nothing is deleted; give the directory savepoint-… itself",
        path);
}

weir_error *savepoint_dispose(const char *path)
{
    struct snapshot_dir it;
    WEIR_TRY(check_disposable(path));
    WEIR_TRY(snapshot_dir_open(path, &it));
    bool is_savepoint = it.is_savepoint;
    snapshot_dir_close(&it);
    if (!is_savepoint)
        return weir_errorf(WEIR_E_USAGE,
            "'%s' is no savepoint but a checkpoint of a job, which deletes its own: it stays",
            path);
    return os_remove_tree(path);
}
