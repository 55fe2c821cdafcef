/* blob_store.h -- executables of jobs, as files named by what is in them.
 *
 *      <dir>/blob-<sha256>-<epoch>
 *
 * The name is the digest that the client has computed. It is computed again while the bytes arrive, and again before
 * they are handed on: a file with other bytes never gets the name, and one that was damaged is not executed. The
 * digest is a table of calls, because its code is elsewhere (net/).
 *
 * Fencing is by names, as in job_store.h: a leader renames what it finds to its own epoch, and deletes only names
 * with that. So one that was replaced, and goes on behind its check, deletes nothing that its successor has promised
 * to keep, and what it stores late has a name that nobody asks for.
 *
 * What no job refers to is deleted (blob_store_collect) when it has been there for a while: a client uploads first,
 * and submits then.
 *
 * Thread: one. blob_store_verify, blob_put_add and blob_put_settle: any.
 * Limits: size_max a file, total_max all, BLOBS_MAX files. */
#ifndef WEIR_CLUSTER_BLOB_STORE_H
#define WEIR_CLUSTER_BLOB_STORE_H

#include "runtime/cluster/election.h"

#define BLOB_DIGEST_SIZE ((size_t)64) /* hex digits */
#define BLOBS_MAX        10000u
#define BLOB_GRACE_MS    (INT64_C(10) * 60 * 1000)

/* SHA-256. Thread: any. */
struct blob_digest {
    void *(*begin)(void);
    void (*add)(void *state, const void *bytes, size_t size);
    void (*end)(void *state, char digest[BLOB_DIGEST_SIZE + 1]); /* frees the state */
};

/* Borrowed for the call, digest and election longer. Thread: immutable after init. */
struct blob_store_options {
    const char *dir;           /* is made */
    uint64_t epoch;            /* of this leader; without election 1 */
    struct election *election; /* NULL: nobody else can write */
    const struct blob_digest *digest;
    uint64_t size_max, total_max;
};

struct blob_store; /* Thread: one */
weir_error *blob_store_open(const struct blob_store_options *options, int64_t now_ms,
    struct blob_store **store) WEIR_MUST_USE;
void blob_store_close(struct blob_store *store); /* no put is open; NULL is fine */

bool blob_store_has(const struct blob_store *store, const char *digest);
uint64_t blob_store_total(const struct blob_store *store); /* bytes */
/* The file, to be freed; NULL: there is none, or `digest` is none. Others may read it; it goes when it is collected. */
char *blob_store_path(const struct blob_store *store, const char *digest);
/* Reads all of a file: WEIR_E_CORRUPT when it is not what it is called. Takes 1 s for some 300 MB. */
weir_error *blob_store_verify(const struct blob_digest *algorithm, const char *path,
    const char *digest) WEIR_MUST_USE;

/* A file that arrives. Thread: one at a time. */
struct blob_put;
/* USAGE: no digest; LIMIT: too large, or no room for it. The size is what the client says; 0 is refused. */
weir_error *blob_put_begin(struct blob_store *store, const char *digest, uint64_t size,
    struct blob_put **put) WEIR_MUST_USE;
weir_error *blob_put_add(struct blob_put *put, const void *bytes, size_t size) WEIR_MUST_USE;
/* What takes long of the end: CORRUPT: size or bytes are not as announced. Without an error it is durable, but not yet
 * known. Thread: any one, as blob_put_add behind blob_put_begin. */
weir_error *blob_put_settle(struct blob_put *put) WEIR_MUST_USE;
/* Settles it, if that is not done. Ends the put in any case. */
weir_error *blob_put_finish(struct blob_put *put, int64_t now_ms) WEIR_MUST_USE;
void blob_put_abort(struct blob_put *put); /* NULL is fine */

/* Deletes what `is_used` denies and what has been there for BLOB_GRACE_MS. */
weir_error *blob_store_collect(struct blob_store *store,
    bool (*is_used)(void *arg, const char *digest), void *arg, int64_t now_ms) WEIR_MUST_USE;

#endif
