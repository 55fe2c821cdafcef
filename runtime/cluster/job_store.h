/* job_store.h -- the submitted jobs of a cluster, on a directory that outlives job managers.
 *
 *      <dir>/job-<id>-<epoch>     a job (sealed): what to run, and how far it is
 *      <dir>/adopted-<epoch>      this leader has taken over all that it found
 *
 * A leader opens the store with its epoch. It finds every job that is not over, and the last of those that are;
 * each write is aside, synced, checked (election_check), renamed, synced, and checked again: what a put has
 * confirmed was durable while its writer was certainly the leader, and the next one finds it.
 *
 * A leader that was replaced can be stopped right behind its check. Each one writes only files with its own epoch,
 * and of one job's files the highest epoch counts. Stories, in which 3 was replaced by 4:
 *
 *   3 writes the state of a job late. 4 has adopted the job: written it anew with its epoch, before it did anything
 *   with it. job-<id>-3 loses.
 *
 *   3 accepts a job late. 4 has looked already, and does not know of it. 3 checks again behind its rename, finds 4,
 *   tells the client no, and takes job-<id>-3 back. But if it dies before, job-<id>-3 is there, and 5 would run what
 *   the client has submitted again elsewhere. So 4 says adopted-4 when it has taken over all there was; from then on
 *   a job that is not over and is of an epoch below 4 is void.
 *
 *   3 accepts a job, the disk fails behind the rename, and the client is told no. 3 takes job-<id>-3 back before it
 *   accepts anything else: the client's next try is another job to 4, which would find both.
 *
 *   4 crashes while it takes over. There is no adopted-4: 5 takes from 3 and 4 what it finds.
 *
 *   A job ends under 4 and is deleted in time, then 3 writes that it runs. Void, as above.
 *
 * A file that is damaged is left alone and loudly passed over: that job is not restarted. An older file of the job is
 * not taken in its place, it might run again what is over.
 *
 * Thread: one; it blocks on the disk. Limits: below; JOB_SPEC_MAX bytes of specification. */
#ifndef WEIR_CLUSTER_JOB_STORE_H
#define WEIR_CLUSTER_JOB_STORE_H

#include "runtime/cluster/election.h"

#include <weir/connector.h>

#define JOB_ID_SIZE     ((size_t)32) /* hex digits */
#define JOB_DIGEST_SIZE ((size_t)64) /* hex digits */
#define JOB_NAME_MAX    ((size_t)255)
#define JOB_SPEC_MAX    ((size_t)4 << 20)
#define JOB_MESSAGE_MAX ((size_t)8 << 10) /* longer ones are cut */
#define JOB_ARCHIVE_MAX ((size_t)512 << 10)
#define JOB_BLOBS_MAX   16u
#define JOB_LIVE_MAX    10000u /* not over, at one time */

enum job_status {
    RECORD_ACCEPTED,
    RECORD_RUNNING,
    RECORD_FINISHED,
    RECORD_FAILED,
    RECORD_CANCELLED
};
#define RECORD_STATUS_COUNT 5u

/* Texts and bytes belong to the store, or to whoever adds. Thread: that of the store. */
struct job_record {
    char id[JOB_ID_SIZE + 1];
    const char *name;
    weir_str spec; /* opaque */
    char blobs[JOB_BLOBS_MAX][JOB_DIGEST_SIZE + 1];
    uint32_t blob_count;
    enum job_status status;
    const char *message; /* why it is over; "" */
    weir_str
        archive; /* over before the store was opened, until they are forgotten: what people shall see of it; opaque */
    int64_t submitted_ms, started_ms, ended_ms; /* wall clock; 0: not yet */
    uint64_t epoch;                             /* of its writer */
};

bool job_is_over(enum job_status status);

/* Borrowed for the call; the election longer. Thread: immutable after init. */
struct job_store_options {
    const char *dir;           /* is made */
    uint64_t epoch;            /* of this leader; without election 1 */
    struct election *election; /* asked before each write; NULL: nobody else can write */
    uint32_t over_max;         /* jobs that are over and kept */
};

struct job_store; /* Thread: one */
/* Reads, takes over, deletes what does not count. WEIR_E_FENCED: a newer leader was here. */
weir_error *job_store_open(const struct job_store_options *options, struct job_store **store)
    WEIR_MUST_USE;
void job_store_close(struct job_store *store); /* NULL is fine */

uint32_t job_store_count(const struct job_store *store);
/* By time of submission, rising. Valid until the next add or update. */
const struct job_record *job_store_at(const struct job_store *store, uint32_t index);
const struct job_record *job_store_find(const struct job_store *store,
    const char *id); /* or NULL */

/* They have been taken out: what was read of them takes no memory any more. */
void job_store_forget_archives(struct job_store *store);

/* A new job, accepted. Everything is copied; epoch and status are set here. Errors: USAGE of what does not fit,
 * STATE when the id is there, LIMIT, FENCED, and of the disk. After an error it is not in the store, and its file is
 * taken back: where that is not certain, the error says so, and it is tried again before anything else is added. */
weir_error *job_store_add(struct job_store *store, const struct job_record *record) WEIR_MUST_USE;
/* The next state of a job that is not over; the oldest of those that are go. After an error the old state counts here,
 * the new one may be on the disk: say it again. */
weir_error *job_store_update(struct job_store *store, const char *id, enum job_status status,
    const char *message, int64_t now_ms) WEIR_MUST_USE;
/* The same of one that is over now; `archive` is JOB_ARCHIVE_MAX bytes at most. */
weir_error *job_store_end(struct job_store *store, const char *id, enum job_status status,
    const char *message, weir_str archive, int64_t now_ms) WEIR_MUST_USE;

/* Another specification for a job that is not over, as by a rescale: what the next leader runs. Errors as above. */
weir_error *job_store_change(struct job_store *store, const char *id, weir_str spec) WEIR_MUST_USE;

/* The bytes of a file; `what` names them in errors. The record borrows from the bytes, and its name and message from
 * `texts`, which the caller frees. */
void job_record_encode(const struct job_record *record, weir_buffer *out);
weir_error *job_record_decode(weir_str bytes, const char *what, struct job_record *record,
    char **texts) WEIR_MUST_USE;

#endif
