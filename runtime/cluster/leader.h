/* leader.h -- a job manager that stands for election: while it leads it has a dispatcher, ports, and what lies on the
 * shared directory.
 *
 *      candidate --elected, and certainly so--> leads: job store, blobs, dispatcher, ports
 *          ^                                       |  not the leader any more, or not certain of it
 *          '---------------------------------------'
 *
 * Without an election it leads from the first step on, with epoch 1. A candidate opens no port for
 * task managers: they ask the leader, whose address the election publishes. When it leads no more it lets its jobs go: their
 * workers go on, and whoever leads next takes them over from the job store.
 *
 * Prefixes: leader_
 * Thread: control; it blocks on the shared directory. */
#ifndef WEIR_CLUSTER_LEADER_H
#define WEIR_CLUSTER_LEADER_H

#include "runtime/cluster/dispatcher.h"
#include "runtime/cluster/election.h"

/* Thread: immutable after init; what it points to outlives the leader. */
struct leader_options {
    struct election *election; /* NULL: nobody else may lead */
    const char *store_dir;     /* of submitted jobs; NULL: they live as long as this process */
    const char *blobs_dir;     /* of executables */
    uint64_t blob_size_max, blob_total_max;
    struct dispatcher_options dispatcher; /* without store, epoch, blobs */
    struct listen_options rpc;            /* for task managers and workers; without accepted */
    /* It leads: opens what else people may ask. An error: it leads no more. */
    weir_error *(*opened)(void *arg, struct dispatcher *dispatcher, struct blob_store *blobs);
    void (*closing)(void *arg); /* closes that; also when `opened` failed, or was not called */
    void *arg;
};

struct leader;
struct leader *leader_new(const struct leader_options *options);
void leader_free(struct leader *leader); /* NULL is fine */
/* Does what is due. An error: it is the leader, certainly, and cannot lead. */
weir_error *leader_step(struct leader *leader, int64_t now_ms) WEIR_MUST_USE;
int64_t leader_deadline_ms(const struct leader *leader);
struct dispatcher *leader_dispatcher(struct leader *leader); /* NULL: a candidate */
struct blob_store *leader_blobs(struct leader *leader);      /* NULL with it */
uint64_t leader_epoch(const struct leader *leader);          /* 0: a candidate */

#endif
