/* job_store.c -- see job_store.h: files, what counts, and the order of each write. */
#include "runtime/cluster/job_store.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "checkpoint/listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_SIZE_MAX (2 * JOB_SPEC_MAX)
#define ADOPTED       "adopted-"
#define JOB           "job-"

/* Thread: that of the store. One allocation for the texts, one for the bytes of each. */
struct job {
    struct job_record record;
    char *texts; /* name, message */
    char *spec, *archive;
};

struct job_store {
    char *dir;
    uint64_t epoch;
    struct election *election;
    uint32_t over_max;
    struct job **jobs; /* by submission */
    uint32_t count;
    char *
        stray; /* a file of a submission that was refused, which could not be taken back yet; NULL: none */
};

/* -- jobs in memory --------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
    if (job == NULL)
        return;
    mem_free(job->texts);
    mem_free(job->spec);
    mem_free(job->archive);
    mem_free(job);
}

static void forget_archive(struct job *job)
{
    mem_free(job->archive);
    job->archive = NULL;
    job->record.archive = (weir_str){ 0 };
}

void job_store_forget_archives(struct job_store *store)
{
    for (uint32_t i = 0; i < store->count; i++)
        forget_archive(store->jobs[i]);
}

/* A copy with another message, cut where it is too long. */
static struct job *job_new(const struct job_record *record, const char *message)
{
    struct job *job = mem_alloc(sizeof(*job));
    size_t name_size = strlen(record->name) + 1;
    size_t size = strnlen(message, JOB_MESSAGE_MAX);
    job->record = *record;
    job->texts = mem_alloc(name_size + size + 1);
    memcpy(job->texts, record->name, name_size);
    memcpy(job->texts + name_size, message, size);
    job->spec = mem_dup(record->spec.data, record->spec.size);
    job->record.name = job->texts;
    job->record.message = job->texts + name_size;
    job->record.spec.data = job->spec;
    if (record->archive.size > 0)
        job->archive = mem_dup(record->archive.data, record->archive.size);
    job->record.archive.data = job->archive;
    return job;
}

static bool is_before(const struct job_record *a, const struct job_record *b)
{
    return a->submitted_ms != b->submitted_ms ? a->submitted_ms < b->submitted_ms
                                              : strcmp(a->id, b->id) < 0;
}

static void insert(struct job_store *store, struct job *job)
{
    store->jobs = mem_realloc(store->jobs, (store->count + 1) * sizeof(struct job *));
    uint32_t at = store->count++;
    for (; at > 0 && is_before(&job->record, &store->jobs[at - 1]->record); at--)
        store->jobs[at] = store->jobs[at - 1];
    store->jobs[at] = job;
}

static uint32_t index_of(const struct job_store *store, const char *id)
{
    uint32_t i = 0;
    while (i < store->count && strcmp(store->jobs[i]->record.id, id) != 0)
        i++;
    return i;
}

/* -- files ------------------------------------------------------------------------------------ */

static char *path_of(const struct job_store *store, const char *id, uint64_t epoch)
{
    return mem_printf("%s/" JOB "%s-%" PRIu64, store->dir, id, epoch);
}

/* "job-<32 hex>-<epoch>" */
static bool name_parse(const char *name, char id[JOB_ID_SIZE + 1], uint64_t *epoch)
{
    const size_t start = strlen(JOB);
    if (strncmp(name, JOB, start) != 0 || strspn(name + start, "0123456789abcdef") != JOB_ID_SIZE)
        return false;
    memcpy(id, name + start, JOB_ID_SIZE);
    id[JOB_ID_SIZE] = '\0';
    return listing_number(name + start + JOB_ID_SIZE, "-", epoch);
}

static weir_error *check(const struct job_store *store)
{
    return store->election == NULL ? NULL : election_check(store->election);
}

static weir_error *write_synced(const char *path, weir_str bytes)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_CREATE, &file));
    weir_error *error = os_write(file, bytes.data, bytes.size);
    if (error == NULL)
        error = os_sync(file);
    os_close(file);
    return error;
}

/* Aside, sync, check, rename, sync, check: see the stories. *may_be_there: others may find it from now on, whatever
 * error comes. */
static weir_error *write_file(const struct job_store *store, const char *path, weir_str bytes,
    bool *may_be_there)
{
    char *aside = mem_printf("%s.%016" PRIx64 ".tmp", path, os_random());
    *may_be_there = false;
    weir_error *error = write_synced(aside, bytes);
    if (error == NULL)
        error = check(store);
    if (error == NULL) {
        *may_be_there = true;
        error = os_rename(aside, path);
    }
    if (error != NULL)
        error = weir_error_join(error, os_remove(aside));
    mem_free(aside);
    if (error == NULL)
        error = os_sync_dir(store->dir);
    return error == NULL ? check(store) : error;
}

static weir_error *write_record(const struct job_store *store, const struct job_record *record,
    bool *may_be_there)
{
    ASSERT(record->epoch == store->epoch);
    weir_buffer *out = weir_buffer_new(FILE_SIZE_MAX);
    job_record_encode(record, out);
    ASSERT(!weir_buffer_overflowed(out));
    char *path = path_of(store, record->id, record->epoch);
    weir_error *error =
        FAULT_STEP(JOB_STORE_WRITE, write_file(store, path, weir_buffer_view(out), may_be_there));
    mem_free(path);
    weir_buffer_free(out);
    return error == NULL
               ? NULL
               : weir_error_wrap(error, "cannot store job '%s' (%s)", record->name, record->id);
}

/* Of a file that does not count any more. What cannot be deleted now is found by the next leader. */
static void remove_file(const struct job_store *store, const char *name)
{
    char *path = mem_printf("%s/%s", store->dir, name);
    weir_error *error = os_remove(path);
    if (error != NULL)
        log_warn("job-store", "%s", weir_error_message(error));
    weir_error_free(error);
    mem_free(path);
}

static void remove_record(const struct job_store *store, const struct job_record *record)
{
    char *name = mem_printf(JOB "%s-%" PRIu64, record->id, record->epoch);
    remove_file(store, name);
    mem_free(name);
}

/* While it lies there, the next leader would start it. */
static weir_error *take_back(struct job_store *store)
{
    if (store->stray == NULL)
        return NULL;
    WEIR_TRY(os_remove(store->stray));
    WEIR_TRY(os_sync_dir(store->dir));
    mem_free(store->stray);
    store->stray = NULL;
    return NULL;
}

/* -- taking over ------------------------------------------------------------------------------ */

/* Thread: that of the store. What lies in the directory. */
struct found {
    char **names;
    uint32_t count;
    uint64_t adopted; /* the highest; 0: none */
};

static weir_error *look(const struct job_store *store, struct found *found)
{
    *found = (struct found){ .count = 0 };
    WEIR_TRY(os_list(store->dir, &found->names, &found->count));
    uint64_t newest = 0;
    for (uint32_t i = 0; i < found->count; i++) {
        uint64_t number;
        char id[JOB_ID_SIZE + 1];
        bool is_adopted = listing_number(found->names[i], ADOPTED, &number);
        if (!is_adopted && !name_parse(found->names[i], id, &number))
            continue;
        newest = number > newest ? number : newest;
        if (is_adopted && number > found->adopted)
            found->adopted = number;
    }
    if (newest <= store->epoch)
        return NULL;
    os_names_free(found->names, found->count);
    return weir_errorf(WEIR_E_FENCED,
        "the jobs in '%s' belong to the leader with epoch %" PRIu64 ", this one has %" PRIu64,
        store->dir, newest, store->epoch);
}

/* An old leader has taken back what it had to refuse, after this one has looked. Takes the error, or gives it back. */
static weir_error *unless_gone(const char *path, weir_error *error)
{
    struct os_stat stat;
    weir_error *doubt = os_stat(path, &stat);
    if (doubt != NULL || stat.exists)
        return weir_error_join(error, doubt);
    weir_error_free(error);
    return NULL;
}

/* *job is NULL when the file is damaged, or gone. */
static weir_error *read_job(const struct job_store *store, const char *name, const char *id,
    uint64_t epoch, struct job **job)
{
    char *path = mem_printf("%s/%s", store->dir, name);
    char *bytes = NULL, *texts = NULL;
    size_t size;
    struct job_record record;
    *job = NULL;
    weir_error *error = os_read_file(path, FILE_SIZE_MAX, &bytes, &size);
    bool is_read = error == NULL;
    if (error == NULL)
        error = job_record_decode((weir_str){ .data = bytes, .size = size }, path, &record, &texts);
    if (error == NULL && (strcmp(record.id, id) != 0 || record.epoch != epoch))
        error = weir_errorf(WEIR_E_CORRUPT, "'%s' is the file of another job", path);
    if (error == NULL)
        *job = job_new(&record, record.message);
    else if (is_read && weir_error_code(error) == WEIR_E_CORRUPT) {
        log_error("job-store", "a submitted job is lost: %s", weir_error_message(error));
        weir_error_free(error);
        error = NULL;
    }
    if (error != NULL && !is_read)
        error = unless_gone(path, error);
    mem_free(texts);
    mem_free(bytes);
    mem_free(path);
    return error;
}

static bool is_newer(const char *name, const char *id, uint64_t epoch, bool *is_same_job)
{
    uint64_t other;
    char other_id[JOB_ID_SIZE + 1];
    *is_same_job = name_parse(name, other_id, &other) && strcmp(other_id, id) == 0;
    return *is_same_job && other > epoch;
}

/* Whether another file is of the same job, and newer. Names are sorted, so those of a job are neighbours. */
static bool is_superseded(const struct found *found, uint32_t index, const char *id, uint64_t epoch)
{
    bool is_same_job = true;
    for (uint32_t i = index + 1; i < found->count && is_same_job; i++)
        if (is_newer(found->names[i], id, epoch, &is_same_job))
            return true;
    is_same_job = true;
    for (uint32_t i = index; i > 0 && is_same_job; i--)
        if (is_newer(found->names[i - 1], id, epoch, &is_same_job))
            return true;
    return false;
}

static weir_error *adopt(struct job_store *store, struct job *job)
{
    struct job_record old = job->record;
    bool may_be_there;
    job->record.epoch = store->epoch;
    if (old.epoch == store->epoch)
        return NULL;
    WEIR_TRY(write_record(store, &job->record, &may_be_there));
    remove_record(store, &old);
    return NULL;
}

static weir_error *take(struct job_store *store, const struct found *found, uint32_t index)
{
    const char *name = found->names[index];
    uint64_t epoch;
    char id[JOB_ID_SIZE + 1];
    struct job *job;
    if (!name_parse(name, id, &epoch))
        return NULL;
    if (is_superseded(found, index, id, epoch)) {
        remove_file(store, name);
        return NULL;
    }
    WEIR_TRY(read_job(store, name, id, epoch, &job));
    if (job == NULL)
        return NULL;
    bool is_over = job_is_over(job->record.status);
    if (!is_over && epoch < found->adopted) {
        log_warn("job-store",
            "a leader that was replaced wrote this late, it does not count: id=%s", id);
        remove_file(store, name);
        job_free(job);
        return NULL;
    }
    insert(store, job);
    return is_over ? NULL : adopt(store, job);
}

static weir_error *mark_adopted(const struct job_store *store, const struct found *found)
{
    char *path = mem_printf("%s/" ADOPTED "%" PRIu64, store->dir, store->epoch);
    bool may_be_there;
    weir_error *error = write_file(store, path, (weir_str){ .data = "", .size = 0 }, &may_be_there);
    mem_free(path);
    for (uint32_t i = 0; error == NULL && i < found->count; i++) {
        uint64_t number;
        const char *name = found->names[i];
        bool is_old = listing_number(name, ADOPTED, &number) && number < store->epoch;
        bool is_rest = (strncmp(name, JOB, strlen(JOB)) == 0 ||
                           strncmp(name, ADOPTED, strlen(ADOPTED)) == 0) &&
                       strstr(name, ".tmp") != NULL;
        if (is_old || is_rest)
            remove_file(store, name);
    }
    return error;
}

/* -- what is over ----------------------------------------------------------------------------- */

static void drop(struct job_store *store, uint32_t index)
{
    remove_record(store, &store->jobs[index]->record);
    job_free(store->jobs[index]);
    store->count--;
    memmove(&store->jobs[index], &store->jobs[index + 1],
        (store->count - index) * sizeof(struct job *));
}

static void retain(struct job_store *store)
{
    for (;;) {
        uint32_t over = 0, oldest = 0;
        for (uint32_t i = 0; i < store->count; i++) {
            const struct job_record *record = &store->jobs[i]->record;
            if (!job_is_over(record->status))
                continue;
            if (over++ == 0 || record->ended_ms < store->jobs[oldest]->record.ended_ms)
                oldest = i;
        }
        if (over <= store->over_max)
            return;
        drop(store, oldest);
    }
}

/* -- the store -------------------------------------------------------------------------------- */

weir_error *job_store_open(const struct job_store_options *options, struct job_store **out)
{
    struct found found;
    ASSERT(options->epoch > 0);
    *out = NULL;
    WEIR_TRY(os_make_dirs_durable(options->dir));
    struct job_store *store = mem_alloc(sizeof(*store));
    *store = (struct job_store){ .dir = mem_strdup(options->dir),
        .epoch = options->epoch,
        .election = options->election,
        .over_max = options->over_max };
    weir_error *error = check(store); /* before anything is deleted */
    bool is_found = false;
    if (error == NULL) {
        error = look(store, &found);
        is_found = error == NULL;
    }
    for (uint32_t i = 0; error == NULL && i < found.count; i++)
        error = take(store, &found, i);
    if (error == NULL)
        error = mark_adopted(store, &found);
    if (is_found)
        os_names_free(found.names, found.count);
    if (error != NULL) {
        job_store_close(store);
        return error;
    }
    retain(store);
    *out = store;
    return NULL;
}

void job_store_close(struct job_store *store)
{
    if (store == NULL)
        return;
    weir_error_free(take_back(store)); /* who submitted it was told what it means if that fails */
    mem_free(store->stray);
    for (uint32_t i = 0; i < store->count; i++)
        job_free(store->jobs[i]);
    mem_free(store->jobs);
    mem_free(store->dir);
    mem_free(store);
}

uint32_t job_store_count(const struct job_store *store)
{
    return store->count;
}

const struct job_record *job_store_at(const struct job_store *store, uint32_t index)
{
    ASSERT(index < store->count);
    return &store->jobs[index]->record;
}

const struct job_record *job_store_find(const struct job_store *store, const char *id)
{
    uint32_t index = index_of(store, id);
    return index == store->count ? NULL : &store->jobs[index]->record;
}

static bool is_hex(const char *text, size_t size)
{
    return strnlen(text, size + 1) == size && strspn(text, "0123456789abcdef") == size;
}

static weir_error *check_new(const struct job_store *store, const struct job_record *record)
{
    uint32_t live = 0;
    if (!is_hex(record->id, JOB_ID_SIZE))
        return weir_errorf(WEIR_E_USAGE, "the id of a job must be %zu hex digits", JOB_ID_SIZE);
    if (record->name[0] == '\0' || strlen(record->name) > JOB_NAME_MAX)
        return weir_errorf(WEIR_E_USAGE, "the name of a job must have 1 to %zu bytes",
            JOB_NAME_MAX);
    if (record->spec.size > JOB_SPEC_MAX || record->blob_count > JOB_BLOBS_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "the specification of job '%s' has %zu bytes and %" PRIu32 " files; at most %zu and %u "
            "are taken",
            record->name, (size_t)record->spec.size, record->blob_count, JOB_SPEC_MAX,
            JOB_BLOBS_MAX);
    for (uint32_t i = 0; i < record->blob_count; i++)
        if (!is_hex(record->blobs[i], JOB_DIGEST_SIZE))
            return weir_errorf(WEIR_E_USAGE, "job '%s': a digest must be %zu hex digits",
                record->name, JOB_DIGEST_SIZE);
    if (job_store_find(store, record->id) != NULL)
        return weir_errorf(WEIR_E_STATE, "there is a job %s already", record->id);
    for (uint32_t i = 0; i < store->count; i++)
        live += !job_is_over(store->jobs[i]->record.status);
    if (live >= JOB_LIVE_MAX)
        return weir_errorf(WEIR_E_LIMIT, "this cluster has %" PRIu32 " jobs, which is its limit",
            live);
    return NULL;
}

/* Whoever submits it is told no, and does so again: it must not come back with the next leader. Takes the error. */
static weir_error *refuse(struct job_store *store, const struct job_record *record,
    weir_error *error)
{
    store->stray = path_of(store, record->id, store->epoch);
    weir_error *left = take_back(store);
    bool is_certain = left == NULL && weir_error_code(error) != WEIR_E_FENCED;
    weir_error_free(left);
    return is_certain ? error
                      : weir_error_wrap(error,
                            "job %s is not accepted here, but the job manager that leads next may "
                            "have found it; look at 'weir list' before you submit it again",
                            record->id);
}

weir_error *job_store_add(struct job_store *store, const struct job_record *record)
{
    bool may_be_there;
    WEIR_TRY(check_new(store, record));
    weir_error *stray = take_back(store);
    if (stray != NULL)
        return weir_error_wrap(stray,
            "cannot store job '%s': the one before was refused, and has to "
            "be deleted first",
            record->name);
    struct job *job = job_new(record, "");
    job->record.status = RECORD_ACCEPTED;
    job->record.epoch = store->epoch;
    job->record.started_ms = job->record.ended_ms = 0;
    weir_error *error = write_record(store, &job->record, &may_be_there);
    if (error == NULL) {
        insert(store, job);
        return NULL;
    }
    if (may_be_there)
        error = refuse(store, &job->record, error);
    job_free(job);
    return error;
}

static weir_error *find_live(const struct job_store *store, const char *id, uint32_t *index)
{
    *index = index_of(store, id);
    if (*index == store->count)
        return weir_errorf(WEIR_E_STATE, "there is no job %s", id);
    const struct job_record *record = &store->jobs[*index]->record;
    if (job_is_over(record->status))
        return weir_errorf(WEIR_E_STATE, "job '%s' (%s) is over", record->name, id);
    return NULL;
}

/* Takes the new one. */
static weir_error *replace(struct job_store *store, uint32_t index, struct job *job)
{
    bool may_be_there;
    weir_error *error = write_record(store, &job->record, &may_be_there);
    if (error != NULL) {
        job_free(job);
        return error;
    }
    job_free(store->jobs[index]);
    store->jobs[index] = job;
    forget_archive(job); /* it is for the next leader */
    retain(store);
    return NULL;
}

weir_error *job_store_update(struct job_store *store, const char *id, enum job_status status,
    const char *message, int64_t now_ms)
{
    return job_store_end(store, id, status, message, (weir_str){ 0 }, now_ms);
}

weir_error *job_store_end(struct job_store *store, const char *id, enum job_status status,
    const char *message, weir_str archive, int64_t now_ms)
{
    uint32_t index;
    ASSERT(archive.size <= JOB_ARCHIVE_MAX);
    WEIR_TRY(find_live(store, id, &index));
    struct job_record record = store->jobs[index]->record;
    record.archive = archive;
    struct job *job = job_new(&record, message);
    job->record.status = status;
    if (status == RECORD_RUNNING && job->record.started_ms == 0)
        job->record.started_ms = now_ms;
    if (job_is_over(status))
        job->record.ended_ms = now_ms;
    return replace(store, index, job);
}

weir_error *job_store_change(struct job_store *store, const char *id, weir_str spec)
{
    uint32_t index;
    WEIR_TRY(find_live(store, id, &index));
    struct job_record record = store->jobs[index]->record;
    if (spec.size > JOB_SPEC_MAX)
        return weir_errorf(WEIR_E_LIMIT,
            "the specification of job '%s' has %zu bytes; at most %zu are taken", record.name,
            (size_t)spec.size, JOB_SPEC_MAX);
    record.spec = spec;
    return replace(store, index, job_new(&record, record.message));
}
