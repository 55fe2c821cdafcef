/* retention.c -- see retention.h for the order of deletion and why. */
#include "checkpoint/retention.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/os.h"
#include "checkpoint/attempt.h"
#include "checkpoint/format.h"
#include "checkpoint/published.h"
#include "state/state_file.h"

#include <inttypes.h>

#define REFERENCES_MAX (1u << 24)

/* Thread: its holder. */
struct cleaning {
    const char *dir;
    const char *job;
    uint64_t attempt;
    uint32_t retained;
    struct listing listing;
    struct attempts attempts;
    struct map *references; /* paths of files that are kept */
    uint32_t kept_count;
    uint64_t oldest_kept, newest_kept; /* checkpoints */
    bool is_durable, may_delete_files;
};

/* Logs and frees; true if there was an error. */
static bool trouble(const char *what, weir_error *error)
{
    if (error == NULL)
        return false;
    log_warn("checkpoint", "cleaning: cannot %s: %s", what, weir_error_message(error));
    weir_error_free(error);
    return true;
}

/* -- checkpoints ---------------------------------------------------------------------------- */

static void keep_files(struct cleaning *cleaning, const struct state_file *files, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (map_count(cleaning->references) == REFERENCES_MAX)
            cleaning->may_delete_files = false;
        else
            map_put(cleaning->references, weir_str_of(files[i].path), cleaning);
    }
}

static void keep(struct cleaning *cleaning, const struct checkpoint_metadata *metadata)
{
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *operator= & metadata->operators[i];
        keep_files(cleaning, operator->files, operator->file_count);
        keep_files(cleaning, operator->staged, operator->staged_count);
    }
    if (cleaning->kept_count == 0)
        cleaning->newest_kept = metadata->checkpoint;
    cleaning->oldest_kept = metadata->checkpoint;
    cleaning->kept_count++;
}

/* Removes the metadata, then the directory if nothing of somebody else is in it. */
static void delete_checkpoint(const struct cleaning *cleaning, uint64_t number, const char *why)
{
    log_debug("checkpoint", "cleaning: delete checkpoint=%" PRIu64 " because it is %s", number,
        why);
    trouble("delete a checkpoint",
        FAULT_STEP(CHECKPOINT_DELETE, published_delete(cleaning->dir, number, cleaning->attempt)));
}

/* From the newest to the oldest: decides about one complete checkpoint. */
static void decide(struct cleaning *cleaning, uint64_t number)
{
    struct checkpoint_metadata metadata;
    weir_error *error = published_read(cleaning->dir, cleaning->job, number, &metadata);
    if (error != NULL) {
        /* Damaged metadata restores nothing, so what it listed does not matter; but a file that
         * could not be read this time, or a format that is too new, may be fine for somebody. */
        if (weir_error_code(error) != WEIR_E_CORRUPT)
            cleaning->may_delete_files = false;
        else if (cleaning->kept_count > 0)
            delete_checkpoint(cleaning, number, "damaged");
        trouble("read a checkpoint", error);
        return;
    }
    if (!attempts_accept(&cleaning->attempts, number, metadata.attempt))
        delete_checkpoint(cleaning, number, "void");
    else if (cleaning->kept_count < cleaning->retained)
        keep(cleaning, &metadata);
    else
        delete_checkpoint(cleaning, number, "old");
    checkpoint_metadata_release(&metadata);
}

static void clean_checkpoints(struct cleaning *cleaning)
{
    const struct listing *listing = &cleaning->listing;
    for (uint32_t i = listing->count; i > 0; i--)
        if (listing->entries[i - 1].kind == LISTING_CHECKPOINT &&
            listing->entries[i - 1].is_complete)
            decide(cleaning, listing->entries[i - 1].number);
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct listing_entry *entry = &listing->entries[i];
        if (entry->kind == LISTING_CHECKPOINT && !entry->is_complete &&
            entry->number < cleaning->newest_kept)
            delete_checkpoint(cleaning, entry->number, "unfinished");
    }
}

/* -- stored files --------------------------------------------------------------------------- */

static bool is_garbage(const struct cleaning *cleaning, const char *name, const char *path)
{
    uint64_t attempt;
    if (!state_file_attempt(name, &attempt) || attempt > cleaning->attempt)
        return false;
    if (strncmp(name, "tmp-", 4) == 0)
        return attempt < cleaning->attempt; /* of this one it may be in the making */
    return map_get(cleaning->references, weir_str_of(path)) == NULL;
}

static void clean_files(struct cleaning *cleaning)
{
    char *shared = mem_printf("%s/" STATE_FILE_DIR, cleaning->dir);
    char **names;
    uint32_t count, deleted = 0;
    if (!trouble("list the stored files", os_list(shared, &names, &count))) {
        for (uint32_t i = 0; i < count; i++) {
            char *path = mem_printf(STATE_FILE_DIR "/%s", names[i]);
            char *full = mem_printf("%s/%s", cleaning->dir, path);
            if (is_garbage(cleaning, names[i], path) &&
                !trouble("delete a stored file", FAULT_STEP(STATE_FILE_DELETE, os_remove(full))))
                deleted++;
            mem_free(full);
            mem_free(path);
        }
        os_names_free(names, count);
    }
    mem_free(shared);
    if (deleted > 0)
        log_debug("checkpoint", "cleaning: deleted files=%" PRIu32, deleted);
}

/* -- all of it ------------------------------------------------------------------------------ */

static void clean(struct cleaning *cleaning)
{
    clean_checkpoints(cleaning);
    if (cleaning->kept_count == 0)
        return; /* nothing to restore from: whatever is there may be of use to a person */
    if (cleaning->is_durable &&
        trouble("make the deletion of checkpoints durable", os_sync_dir(cleaning->dir)))
        return;
    if (trouble("go on", attempt_check(cleaning->dir, cleaning->attempt)))
        return;
    if (cleaning->may_delete_files)
        clean_files(cleaning);
    attempts_prune(cleaning->dir, &cleaning->attempts, cleaning->attempt, cleaning->oldest_kept);
}

void retention_clean(const char *dir, const char *job, uint64_t attempt, uint32_t retained,
    bool is_durable)
{
    ASSERT(retained > 0);
    struct cleaning cleaning = { .dir = dir,
        .job = job,
        .attempt = attempt,
        .retained = retained,
        .is_durable = is_durable,
        .may_delete_files = true };
    if (trouble("start", attempt_check(dir, attempt)))
        return;
    if (trouble("list the checkpoints", listing_read(dir, &cleaning.listing)))
        return;
    if (!trouble("read the attempts",
            attempts_read(dir, job, &cleaning.listing, &cleaning.attempts))) {
        cleaning.references = map_new(REFERENCES_MAX);
        clean(&cleaning);
        map_free(cleaning.references);
        attempts_release(&cleaning.attempts);
    }
    listing_release(&cleaning.listing);
}
