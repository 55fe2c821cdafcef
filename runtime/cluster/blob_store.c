/* blob_store.c -- see blob_store.h. Prefixes: blob_put_ */
#include "runtime/cluster/blob_store.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "checkpoint/listing.h"

#include <inttypes.h>
#include <string.h>

#define PREFIX      "blob-"
#define BUFFER_SIZE ((size_t)256 << 10)

/* Thread: that of the store. */
struct blob {
    char digest[BLOB_DIGEST_SIZE + 1];
    uint64_t size;
    int64_t since_ms; /* in this leader's time */
};

struct blob_store {
    char *dir;
    uint64_t epoch;
    struct election *election;
    const struct blob_digest *digest;
    uint64_t size_max, total_max, total;
    uint64_t arriving; /* bytes that open puts have announced */
    struct blob *blobs;
    uint32_t count;
};

struct blob_put {
    struct blob_store *store;
    struct os_file *file;
    char *aside;
    void *state; /* of the digest */
    char digest[BLOB_DIGEST_SIZE + 1];
    uint64_t size, got;
    bool has_failed;
};

/* -- names ------------------------------------------------------------------------------------ */

static bool is_digest(const char *text)
{
    return strnlen(text, BLOB_DIGEST_SIZE + 1) == BLOB_DIGEST_SIZE &&
           strspn(text, "0123456789abcdef") == BLOB_DIGEST_SIZE;
}

static bool name_parse(const char *name, char digest[BLOB_DIGEST_SIZE + 1], uint64_t *epoch)
{
    const char *hex = name + strlen(PREFIX);
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        strspn(hex, "0123456789abcdef") != BLOB_DIGEST_SIZE)
        return false;
    memcpy(digest, hex, BLOB_DIGEST_SIZE);
    digest[BLOB_DIGEST_SIZE] = '\0';
    return listing_number(hex + BLOB_DIGEST_SIZE, "-", epoch);
}

static char *path_of(const struct blob_store *store, const char *digest, uint64_t epoch)
{
    return mem_printf("%s/" PREFIX "%s-%" PRIu64, store->dir, digest, epoch);
}

static struct blob *find(const struct blob_store *store, const char *digest)
{
    for (uint32_t i = 0; i < store->count; i++)
        if (strcmp(store->blobs[i].digest, digest) == 0)
            return &store->blobs[i];
    return NULL;
}

static weir_error *check(const struct blob_store *store)
{
    return store->election == NULL ? NULL : election_check(store->election);
}

/* -- taking over ------------------------------------------------------------------------------ */

static void remember(struct blob_store *store, const char *digest, uint64_t size, int64_t now_ms)
{
    struct blob *blob = find(store, digest);
    if (blob == NULL) {
        store->blobs = mem_realloc(store->blobs, (store->count + 1) * sizeof(*store->blobs));
        blob = &store->blobs[store->count++];
        *blob = (struct blob){ .size = 0 };
        memcpy(blob->digest, digest, sizeof(blob->digest));
    }
    store->total += size - blob->size;
    blob->size = size;
    blob->since_ms = now_ms;
}

static weir_error *adopt(struct blob_store *store, const char *name, const char *digest,
    uint64_t epoch, int64_t now_ms)
{
    if (epoch > store->epoch)
        return weir_errorf(WEIR_E_FENCED,
            "the files in '%s' belong to the leader with epoch %" PRIu64 ", this one has %" PRIu64,
            store->dir, epoch, store->epoch);
    if (store->count == BLOBS_MAX)
        return weir_errorf(WEIR_E_LIMIT, "'%s' has more than %u files; remove some", store->dir,
            BLOBS_MAX);
    char *from = mem_printf("%s/%s", store->dir, name);
    char *to = path_of(store, digest, store->epoch);
    struct os_stat stat;
    weir_error *error = os_stat(from, &stat);
    if (error == NULL && epoch < store->epoch)
        error = os_rename(from, to);
    if (error == NULL)
        remember(store, digest, stat.size, now_ms);
    mem_free(from);
    mem_free(to);
    return error;
}

static bool is_rest(const char *name)
{
    size_t size = strlen(name);
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && size > 4 &&
           strcmp(name + size - 4, ".tmp") == 0;
}

static weir_error *take_over(struct blob_store *store, int64_t now_ms)
{
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(store->dir, &names, &count));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        char digest[BLOB_DIGEST_SIZE + 1];
        uint64_t epoch;
        if (name_parse(names[i], digest, &epoch)) {
            error = adopt(store, names[i], digest, epoch, now_ms);
        } else if (is_rest(names[i])) {
            char *path = mem_printf("%s/%s", store->dir, names[i]);
            error = os_remove(path);
            mem_free(path);
        }
    }
    os_names_free(names, count);
    return error == NULL ? os_sync_dir(store->dir) : error;
}

weir_error *blob_store_open(const struct blob_store_options *options, int64_t now_ms,
    struct blob_store **out)
{
    ASSERT(options->epoch > 0);
    *out = NULL;
    WEIR_TRY(os_make_dirs_durable(options->dir));
    struct blob_store *store = mem_alloc(sizeof(*store));
    *store = (struct blob_store){ .dir = mem_strdup(options->dir),
        .epoch = options->epoch,
        .election = options->election,
        .digest = options->digest,
        .size_max = options->size_max,
        .total_max = options->total_max };
    weir_error *error = check(store);
    if (error == NULL)
        error = take_over(store, now_ms);
    if (error != NULL) {
        blob_store_close(store);
        return error;
    }
    *out = store;
    return NULL;
}

void blob_store_close(struct blob_store *store)
{
    if (store == NULL)
        return;
    ASSERT(store->arriving == 0); /* no put is open */
    mem_free(store->blobs);
    mem_free(store->dir);
    mem_free(store);
}

/* -- reading ---------------------------------------------------------------------------------- */

bool blob_store_has(const struct blob_store *store, const char *digest)
{
    return find(store, digest) != NULL;
}

uint64_t blob_store_total(const struct blob_store *store)
{
    return store->total;
}

char *blob_store_path(const struct blob_store *store, const char *digest)
{
    return find(store, digest) == NULL ? NULL : path_of(store, digest, store->epoch);
}

static weir_error *digest_of(const struct blob_digest *algorithm, struct os_file *file,
    char found[BLOB_DIGEST_SIZE + 1])
{
    char *bytes = mem_alloc(BUFFER_SIZE);
    void *state = algorithm->begin();
    size_t got = BUFFER_SIZE;
    weir_error *error = NULL;
    while (error == NULL && got == BUFFER_SIZE) {
        error = os_read(file, bytes, BUFFER_SIZE, &got);
        if (error == NULL)
            algorithm->add(state, bytes, got);
    }
    algorithm->end(state, found);
    mem_free(bytes);
    return error;
}

weir_error *blob_store_verify(const struct blob_digest *algorithm, const char *path,
    const char *digest)
{
    char found[BLOB_DIGEST_SIZE + 1];
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    weir_error *error = digest_of(algorithm, file, found);
    os_close(file);
    if (error == NULL && strcmp(found, digest) != 0)
        error = weir_errorf(WEIR_E_CORRUPT,
            "'%s' is damaged: its digest is %s; submit the job again", path, found);
    return error;
}

/* -- storing ---------------------------------------------------------------------------------- */

static weir_error *check_room(const struct blob_store *store, uint64_t size)
{
    if (size == 0)
        return weir_errorf(WEIR_E_USAGE, "an empty file cannot be stored");
    if (size > store->size_max)
        return weir_errorf(WEIR_E_LIMIT,
            "a file of %" PRIu64 " bytes is larger than blob.size-max, which is %" PRIu64, size,
            store->size_max);
    if (store->count == BLOBS_MAX || store->total + store->arriving > store->total_max ||
        size > store->total_max - store->total - store->arriving)
        return weir_errorf(WEIR_E_LIMIT,
            "there is no room for a file of %" PRIu64 " bytes: %" PRIu64
            " of blob.total-max, which is "
            "%" PRIu64 ", are taken",
            size, store->total + store->arriving, store->total_max);
    return NULL;
}

weir_error *blob_put_begin(struct blob_store *store, const char *digest, uint64_t size,
    struct blob_put **out)
{
    *out = NULL;
    if (!is_digest(digest))
        return weir_errorf(WEIR_E_USAGE, "the name of a file must be its SHA-256, %zu hex digits",
            BLOB_DIGEST_SIZE);
    WEIR_TRY(check_room(store, size));
    struct blob_put *put = mem_alloc(sizeof(*put));
    put->store = store;
    put->size = size;
    memcpy(put->digest, digest, sizeof(put->digest));
    put->aside = mem_printf("%s/" PREFIX "%s-%" PRIu64 ".%016" PRIx64 ".tmp", store->dir, digest,
        store->epoch, os_random());
    put->state = store->digest->begin();
    store->arriving += size;
    weir_error *error = os_open(put->aside, OS_CREATE, &put->file);
    if (error == NULL)
        *out = put;
    else
        blob_put_abort(put);
    return error;
}

weir_error *blob_put_add(struct blob_put *put, const void *bytes, size_t size)
{
    put->has_failed = true; /* until it is done */
    if (size > put->size - put->got)
        return weir_errorf(WEIR_E_CORRUPT,
            "more bytes have arrived than the %" PRIu64 " that were announced", put->size);
    WEIR_TRY(os_write(put->file, bytes, size));
    put->store->digest->add(put->state, bytes, size);
    put->got += size;
    put->has_failed = false;
    return NULL;
}

weir_error *blob_put_settle(struct blob_put *put)
{
    char found[BLOB_DIGEST_SIZE + 1];
    const struct blob_store *store = put->store;
    store->digest->end(put->state, found);
    put->state = NULL;
    if (put->has_failed || put->got != put->size || strcmp(found, put->digest) != 0)
        return weir_errorf(WEIR_E_CORRUPT,
            "%" PRIu64 " of %" PRIu64 " bytes have arrived, with digest %s, not %s; send it again",
            put->got, put->size, found, put->digest);
    WEIR_TRY(os_sync(put->file));
    char *path = path_of(store, put->digest, store->epoch);
    weir_error *error = FAULT_STEP(BLOB_STORE, os_rename(put->aside, path));
    mem_free(path);
    return error == NULL ? os_sync_dir(store->dir) : error;
}

weir_error *blob_put_finish(struct blob_put *put, int64_t now_ms)
{
    weir_error *error = put->state == NULL ? NULL : blob_put_settle(put);
    if (error == NULL)
        error = check(put->store);
    if (error == NULL)
        remember(put->store, put->digest, put->size, now_ms);
    blob_put_abort(put); /* what is left of it */
    return error;
}

void blob_put_abort(struct blob_put *put)
{
    char found[BLOB_DIGEST_SIZE + 1];
    if (put == NULL)
        return;
    os_close(put->file);
    if (put->state != NULL)
        put->store->digest->end(put->state, found);
    weir_error *error = os_remove(put->aside);
    if (error != NULL)
        log_warn("blob-store", "%s", weir_error_message(error));
    weir_error_free(error);
    put->store->arriving -= put->size;
    mem_free(put->aside);
    mem_free(put);
}

weir_error *blob_store_collect(struct blob_store *store,
    bool (*is_used)(void *arg, const char *digest), void *arg, int64_t now_ms)
{
    for (uint32_t i = store->count; i > 0; i--) {
        struct blob *blob = &store->blobs[i - 1];
        if (now_ms - blob->since_ms < BLOB_GRACE_MS || is_used(arg, blob->digest))
            continue;
        WEIR_TRY(check(store));
        char *path = path_of(store, blob->digest, store->epoch);
        weir_error *error = os_remove(path);
        mem_free(path);
        if (error != NULL)
            return error;
        store->total -= blob->size;
        *blob = store->blobs[--store->count];
    }
    return NULL;
}
