/* storage.c -- attempts, restore and publish in the right order; the parts are in attempt.c,
 * published.c, retention.c and listing.c.
 *
 * An attempt begins so:
 *   1. claim the number: from here on older attempts are fenced (attempt.h);
 *   2. look at what is there: the numbers that older attempts may have used;
 *   3. write the attempt's own file with the numbers it may use;
 *   4. delete what older attempts left: their unfinished checkpoints and their own directories. A
 *      zombie may still use them; it can publish nothing any more, so it may as well fail here.
 * and then chooses, once: storage_restore or storage_fresh. */
#include "checkpoint/storage.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_scratch.h"
#include "checkpoint/attempt.h"
#include "checkpoint/listing.h"
#include "checkpoint/published.h"
#include "checkpoint/retention.h"
#include "checkpoint/verified.h"
#include "state/state_file.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define JOB_SIZE_MAX ((size_t)64)
/* Numbers are set aside this many at a time; a damaged attempt file cannot have used more than that
 * beyond what is to be seen, give or take failed checkpoints in a row. */
#define NUMBERS_AHEAD   UINT64_C(100)
#define NUMBERS_UNKNOWN UINT64_C(1000)

/* Thread: one at a time (the job manager's worker), but `number` any. */
struct storage {
    struct os_scratch scratch; /* its root, if it is temporary: removed at close */
    char *job;
    char *dir;
    char *staging;
    char *work;
    uint32_t retained;
    struct attempt attempt;
    _Atomic uint64_t number; /* of the attempt */
    uint64_t last_number;    /* checkpoint */
    struct verified
        verified; /* of what this process has published last; not behind a restore of it */
};

/* -- directories ---------------------------------------------------------------------------- */

static weir_error *check_job(const char *job)
{
    size_t size = strlen(job);
    bool is_fine =
        size > 0 && size <= JOB_SIZE_MAX && strcmp(job, ".") != 0 && strcmp(job, "..") != 0 &&
        strspn(job, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == size;
    return is_fine ? NULL
                   : weir_errorf(WEIR_E_USAGE,
                         "the job name '%.80s' cannot name a directory:"
                         " use 1 to %zu letters, digits, '_', '.', '-'",
                         job, JOB_SIZE_MAX);
}

/* People point at <root>/<job> instead of <root>: that would make a job directory in a job directory,
 * and a fresh start where a restore was wanted. */
static weir_error *check_root(const char *root, const char *job)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(root, &stat));
    if (!stat.exists)
        return NULL;
    if (!stat.is_directory)
        return weir_errorf(WEIR_E_USAGE,
            "the checkpoint directory '%s' is not a directory: give"
            " another path",
            root);
    struct listing listing;
    WEIR_TRY(listing_read(root, &listing));
    uint64_t attempt = listing_highest(&listing, LISTING_ATTEMPT);
    listing_release(&listing);
    if (attempt == 0)
        return NULL;
    struct attempt ignored;
    weir_error *error = attempt_read(root, job, attempt, &ignored);
    if (error != NULL)
        return error; /* names the other job */
    return weir_errorf(WEIR_E_USAGE,
        "'%s' is the directory of one job's checkpoints: give the"
        " directory that it lies in",
        root);
}

/* -- the start of an attempt ---------------------------------------------------------------- */

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The highest checkpoint number that any older attempt can have used. */
static uint64_t highest_number(const struct listing *listing, const struct attempts *attempts)
{
    uint64_t highest = listing_highest(listing, LISTING_CHECKPOINT);
    bool is_unknown = false;
    for (uint32_t i = 0; i < attempts->count; i++) {
        highest = max_u64(highest, attempts->attempts[i].numbers_to);
        is_unknown = is_unknown || attempts->attempts[i].is_unreadable;
    }
    return is_unknown ? highest + NUMBERS_UNKNOWN : highest;
}

/* Of the newest attempt that knows it; the first attempt makes it. */
static uint64_t instance_of(const struct attempts *attempts)
{
    uint64_t instance = 0;
    for (uint32_t i = 0; i < attempts->count; i++)
        if (attempts->attempts[i].instance != 0)
            instance = attempts->attempts[i].instance;
    while (instance == 0)
        instance = os_random();
    return instance;
}

static void remove_left_over(const struct storage *storage, const struct listing_entry *entry)
{
    weir_error *error = NULL;
    char *path = mem_printf("%s/%s", storage->dir, entry->name);
    if (entry->kind == LISTING_OWN_DIR && entry->number < storage->attempt.number)
        error = os_remove_tree(path);
    else if (entry->kind == LISTING_CHECKPOINT && !entry->is_complete)
        error = published_delete(storage->dir, entry->number, storage->attempt.number);
    else if (entry->kind == LISTING_TEMPORARY)
        error = os_remove(path);
    else if (entry->kind == LISTING_UNKNOWN)
        log_info("checkpoint", "not ours, left alone: file=%s", path);
    if (error != NULL)
        log_warn("checkpoint", "cannot remove what an older attempt left: %s",
            weir_error_message(error));
    weir_error_free(error);
    mem_free(path);
}

static weir_error *look_around(struct storage *storage)
{
    struct listing listing;
    WEIR_TRY(listing_read(storage->dir, &listing));
    struct attempts attempts;
    weir_error *error = attempts_read(storage->dir, storage->job, &listing, &attempts);
    if (error == NULL) {
        storage->last_number = highest_number(&listing, &attempts);
        storage->attempt.numbers_to = storage->last_number + NUMBERS_AHEAD;
        storage->attempt.instance = instance_of(&attempts);
        error = attempt_write(storage->dir, storage->job, &storage->attempt);
        attempts_release(&attempts);
    }
    for (uint32_t i = 0; i < listing.count && error == NULL; i++)
        remove_left_over(storage, &listing.entries[i]);
    listing_release(&listing);
    return error;
}

static weir_error *make_own_dir(const struct storage *storage, const char *name, char **path)
{
    mem_free(*path);
    *path = mem_printf("%s/%s-%" PRIu64, storage->dir, name, storage->attempt.number);
    return os_make_dirs(*path);
}

static weir_error *begin_attempt(struct storage *storage, uint64_t above)
{
    storage->attempt = (struct attempt){ .number = 0 };
    weir_error *error = attempt_claim_above(storage->dir, above, &storage->attempt.number);
    if (storage->attempt.number >
        0) /* whoever fails and tries again must not be fenced by itself */
        atomic_store(&storage->number, storage->attempt.number);
    WEIR_TRY(error);
    WEIR_TRY(look_around(storage));
    WEIR_TRY(make_own_dir(storage, "staging", &storage->staging));
    return make_own_dir(storage, "work", &storage->work);
}

/* A directory of another job is refused before an attempt of this one is claimed in it. */
static weir_error *check_owner(const struct storage *storage)
{
    struct listing listing;
    WEIR_TRY(listing_read(storage->dir, &listing));
    struct attempts attempts;
    weir_error *error = attempts_read(storage->dir, storage->job, &listing, &attempts);
    if (error == NULL)
        attempts_release(&attempts);
    listing_release(&listing);
    return error;
}

static weir_error *open_dirs(struct storage *storage, const char *root)
{
    if (root != NULL)
        WEIR_TRY(check_root(root, storage->job));
    char *shared = mem_printf("%s/" STATE_FILE_DIR, storage->dir);
    weir_error *error = os_make_dirs_durable(shared);
    mem_free(shared);
    WEIR_TRY(error);
    WEIR_TRY(check_owner(storage));
    return begin_attempt(storage, 0);
}

weir_error *storage_open(const char *root, const char *job, uint32_t retained,
    struct storage **storage)
{
    ASSERT(retained > 0);
    *storage = NULL;
    WEIR_TRY(check_job(job));
    struct storage *opened = mem_alloc(sizeof(*opened));
    weir_error *error = NULL;
    if (root == NULL)
        error = os_scratch_open(NULL, "checkpoints", &opened->scratch);
    opened->job = mem_strdup(job);
    opened->retained = retained;
    opened->dir = mem_printf("%s/%s", root == NULL ? opened->scratch.path : root, job);
    if (error == NULL)
        error = open_dirs(opened, root);
    if (error != NULL) {
        storage_close(opened);
        return weir_error_wrap(error, "cannot use the checkpoint directory");
    }
    *storage = opened;
    return NULL;
}

/* Takes the error. */
static void tell_untidy(weir_error *error)
{
    if (error != NULL)
        log_warn("checkpoint", "cannot tidy up: %s", weir_error_message(error));
    weir_error_free(error);
}

void storage_close(struct storage *storage)
{
    if (storage == NULL)
        return;
    tell_untidy(storage->staging == NULL ? NULL : os_remove_tree(storage->staging));
    tell_untidy(storage->work == NULL ? NULL : os_remove_tree(storage->work));
    tell_untidy(os_scratch_close(&storage->scratch));
    storage_leave(storage);
}

void storage_leave(struct storage *storage)
{
    if (storage == NULL)
        return;
    verified_forget(&storage->verified);
    mem_free(storage->staging);
    mem_free(storage->work);
    mem_free(storage->dir);
    mem_free(storage->job);
    os_scratch_leave(&storage->scratch);
    mem_free(storage);
}

weir_error *storage_next_attempt(struct storage *storage)
{
    return begin_attempt(storage, 0);
}

weir_error *storage_next_attempt_above(struct storage *storage, uint64_t above)
{
    return begin_attempt(storage, above);
}

/* -- reads ---------------------------------------------------------------------------------- */

const char *storage_dir(const struct storage *storage)
{
    return storage->dir;
}

const char *storage_staging_dir(const struct storage *storage)
{
    return storage->staging;
}

const char *storage_work_dir(const struct storage *storage)
{
    return storage->work;
}

uint64_t storage_attempt(const struct storage *storage)
{
    return storage->attempt.number;
}

uint64_t storage_instance(const struct storage *storage)
{
    return storage->attempt.instance;
}

uint64_t storage_last_number(const struct storage *storage)
{
    return storage->last_number;
}

bool storage_is_temporary(const struct storage *storage)
{
    return storage->scratch.path != NULL;
}

weir_error *storage_check_attempt(const struct storage *storage)
{
    return attempt_check(storage->dir, atomic_load(&storage->number));
}

/* -- the choice ----------------------------------------------------------------------------- */

static weir_error *choose(struct storage *storage, uint64_t checkpoint, uint64_t attempt)
{
    ASSERT(!storage->attempt.has_chosen);
    WEIR_TRY(storage_check_attempt(storage));
    struct attempt chosen = storage->attempt;
    chosen.has_chosen = true;
    chosen.restored = checkpoint;
    chosen.restored_attempt = attempt;
    WEIR_TRY(FAULT_STEP(RESTORE_CHOOSE, attempt_write(storage->dir, storage->job, &chosen)));
    storage->attempt = chosen;
    return NULL;
}

/* Thread: its holder. */
struct search {
    struct listing listing;
    struct attempts attempts;
    uint32_t broken_count;
    weir_error *broken; /* all of them, joined */
    struct workers *workers;
};

static weir_error *search_begin(const struct storage *storage, struct search *search)
{
    *search = (struct search){ .broken_count = 0 };
    WEIR_TRY(listing_read(storage->dir, &search->listing));
    weir_error *error =
        attempts_read(storage->dir, storage->job, &search->listing, &search->attempts);
    if (error != NULL)
        listing_release(&search->listing);
    return error;
}

static void search_end(struct search *search)
{
    weir_error_free(search->broken);
    attempts_release(&search->attempts);
    listing_release(&search->listing);
}

/* Reads checkpoint `number`; *counts false: it is void, and nothing is in `metadata`. */
static weir_error *read_candidate(const struct storage *storage, const struct search *search,
    uint64_t number, struct checkpoint_metadata *metadata, bool *counts)
{
    *counts = false;
    WEIR_TRY(published_read(storage->dir, storage->job, number, metadata));
    *counts = attempts_accept(&search->attempts, number, metadata->attempt);
    if (*counts)
        return NULL;
    log_warn("checkpoint",
        "void, because a later attempt restored an older one:"
        " checkpoint=%" PRIu64 " attempt=%" PRIu64,
        number, metadata->attempt);
    checkpoint_metadata_release(metadata);
    return NULL;
}

static weir_error *try_candidate(const struct storage *storage, const struct search *search,
    uint64_t number, struct checkpoint_metadata *metadata, bool *found)
{
    WEIR_TRY(read_candidate(storage, search, number, metadata, found));
    if (!*found)
        return NULL;
    verified_tell(&storage->verified, metadata);
    weir_error *error = published_verify(storage->dir, search->workers, metadata);
    if (error != NULL) {
        checkpoint_metadata_release(metadata);
        *found = false;
    }
    return error;
}

/* Only what is proven to be damaged is passed over: a file that cannot be read now (permission, too
 * many open files) may be whole, and falling back would throw away what was published since. */
static weir_error *pass_over(struct search *search, uint64_t number, weir_error *error)
{
    if (weir_error_code(error) != WEIR_E_CORRUPT)
        return weir_error_wrap(error,
            "cannot restore checkpoint %" PRIu64 " (to go back to an older"
            " one on purpose, move its directory away)",
            number);
    log_error("checkpoint", "BROKEN, trying the one before: checkpoint=%" PRIu64 " cause: %s",
        number, weir_error_message(error));
    search->broken_count++;
    search->broken = weir_error_join(search->broken, error);
    return NULL;
}

static weir_error *search_newest(const struct storage *storage, struct search *search,
    struct checkpoint_metadata *metadata, bool *found)
{
    const struct listing *listing = &search->listing;
    *found = false;
    for (uint32_t i = listing->count; i > 0 && !*found; i--) {
        const struct listing_entry *entry = &listing->entries[i - 1];
        if (entry->kind != LISTING_CHECKPOINT || !entry->is_complete)
            continue;
        weir_error *error = try_candidate(storage, search, entry->number, metadata, found);
        if (error != NULL)
            WEIR_TRY(pass_over(search, entry->number, error));
    }
    if (*found || search->broken == NULL)
        return NULL;
    weir_error *broken = search->broken;
    search->broken = NULL;
    return weir_error_wrap(broken,
        "all %" PRIu32 " checkpoints in '%s' are broken: restore the"
        " directory from a copy, or start without state in another one",
        search->broken_count, storage->dir);
}

/* What has been read is of no use with an error, and let go of. */
static weir_error *found_only_if_well(weir_error *error, struct checkpoint_metadata *metadata,
    bool *found)
{
    if (error == NULL || !*found)
        return error;
    checkpoint_metadata_release(metadata);
    *found = false;
    return error;
}

weir_error *storage_restore(struct storage *storage, struct workers *workers,
    struct checkpoint_metadata *metadata, bool *found)
{
    struct search search;
    *found = false;
    WEIR_TRY(search_begin(storage, &search));
    search.workers = workers;
    weir_error *error = search_newest(storage, &search, metadata, found);
    if (error == NULL && *found)
        error = published_sync(storage->dir, metadata->checkpoint);
    if (error == NULL)
        error = choose(storage, *found ? metadata->checkpoint : 0, *found ? metadata->attempt : 0);
    error = found_only_if_well(error, metadata, found);
    if (*found && search.broken_count > 0)
        log_error("checkpoint", "FELL BACK behind %" PRIu32 " broken ones: checkpoint=%" PRIu64,
            search.broken_count, metadata->checkpoint);
    search_end(&search);
    /* An attempt that publishes nothing may have died of what it restored. */
    verified_forget(&storage->verified);
    return error;
}

weir_error *storage_restore_again(const struct storage *storage, struct workers *workers,
    struct checkpoint_metadata *metadata, bool *found)
{
    struct search search;
    *found = false;
    ASSERT(storage->attempt.has_chosen);
    WEIR_TRY(storage_check_attempt(storage));
    WEIR_TRY(search_begin(storage, &search));
    search.workers = workers;
    weir_error *error = search_newest(storage, &search, metadata, found);
    if (error == NULL && search.broken_count > 0) {
        error = search.broken;
        search.broken = NULL;
    }
    if (error == NULL && *found)
        error = published_sync(storage->dir, metadata->checkpoint);
    search_end(&search);
    return found_only_if_well(error, metadata, found);
}

/* A complete checkpoint that is void is none; one that cannot be read is one, to be careful. */
static weir_error *refuse_if_any(const struct storage *storage, const struct search *search)
{
    for (uint32_t i = search->listing.count; i > 0; i--) {
        const struct listing_entry *entry = &search->listing.entries[i - 1];
        if (entry->kind != LISTING_CHECKPOINT || !entry->is_complete)
            continue;
        struct checkpoint_metadata metadata;
        bool counts;
        weir_error *error = read_candidate(storage, search, entry->number, &metadata, &counts);
        if (error == NULL && !counts)
            continue;
        if (error == NULL)
            checkpoint_metadata_release(&metadata);
        weir_error_free(error);
        return weir_errorf(WEIR_E_STATE,
            "a start afresh, or from a savepoint, needs a directory without checkpoints, but job"
            " '%s' has checkpoint %" PRIu64 " in '%s': give it another --checkpoints, or start"
            " without --fresh and --from-savepoint to go on from there",
            storage->job, entry->number, storage->dir);
    }
    return NULL;
}

weir_error *storage_fresh(struct storage *storage)
{
    struct search search;
    WEIR_TRY(search_begin(storage, &search));
    weir_error *error = refuse_if_any(storage, &search);
    search_end(&search);
    return error != NULL ? error : choose(storage, 0, 0);
}

/* What is broken is the restore's to tell. */
static void preview_newest(const struct storage *storage, const struct search *search,
    struct checkpoint_metadata *metadata, bool *found)
{
    for (uint32_t i = search->listing.count; i > 0 && !*found; i--) {
        const struct listing_entry *entry = &search->listing.entries[i - 1];
        if (entry->kind == LISTING_CHECKPOINT && entry->is_complete)
            weir_error_free(read_candidate(storage, search, entry->number, metadata, found));
    }
}

weir_error *storage_preview(const char *root, const char *job, bool is_fresh,
    struct checkpoint_metadata *metadata, bool *found)
{
    struct os_stat stat;
    struct search search;
    char *dir = mem_printf("%s/%s", root, job), *name = mem_strdup(job);
    const struct storage storage = { .dir = dir, .job = name };
    *found = false;
    weir_error *error = os_stat(dir, &stat);
    if (error == NULL && stat.is_directory)
        error = search_begin(&storage, &search);
    if (error == NULL && stat.is_directory) {
        if (is_fresh)
            error = refuse_if_any(&storage, &search);
        else
            preview_newest(&storage, &search, metadata, found);
        search_end(&search);
    }
    mem_free(dir);
    mem_free(name);
    return error;
}

/* -- publish and clean ---------------------------------------------------------------------- */

/* Numbers are set aside before they are used, in good time: the coordinator does not ask. */
static weir_error *reserve_numbers(struct storage *storage, uint64_t used)
{
    if (used + NUMBERS_AHEAD / 2 <= storage->attempt.numbers_to)
        return NULL;
    struct attempt more = storage->attempt;
    more.numbers_to = used + NUMBERS_AHEAD;
    WEIR_TRY(attempt_write(storage->dir, storage->job, &more));
    storage->attempt = more;
    return NULL;
}

weir_error *storage_publish(struct storage *storage, const struct checkpoint_metadata *metadata)
{
    ASSERT(storage->attempt.has_chosen);
    ASSERT(metadata->attempt == storage->attempt.number);
    ASSERT(metadata->checkpoint > storage->last_number);
    ASSERT(weir_str_equal(metadata->job, weir_str_of(storage->job)));
    storage->last_number = metadata->checkpoint; /* used, whatever comes of it */
    weir_error *error = storage_check_attempt(storage);
    if (error == NULL)
        error = reserve_numbers(storage, metadata->checkpoint);
    if (error == NULL)
        error = published_write(storage->dir, metadata, !storage_is_temporary(storage));
    if (error == NULL)
        verified_set(&storage->verified, metadata);
    return error == NULL
               ? NULL
               : weir_error_wrap(error, "cannot publish checkpoint %" PRIu64, metadata->checkpoint);
}

void storage_clean(struct storage *storage)
{
    retention_clean(storage->dir, storage->job, storage->attempt.number, storage->retained,
        !storage_is_temporary(storage));
}
