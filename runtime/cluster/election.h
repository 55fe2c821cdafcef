/* election.h -- which of several job managers is in charge.
 *
 *      election_new ─> candidate ──wins──> leader (epoch 7) ──loses, or election_resign──> candidate
 *
 * One leader at a time, as far as that can be had: a process can be stopped right behind its check. What makes it
 * safe is the epoch, a number that rises with each leader ever. Whoever keeps something for the cluster marks it
 * with its epoch and asks election_check right before the moment from which others can see it (job_store.h is the
 * example). A leader that was stopped and goes on finds a higher epoch, and may do nothing more.
 *
 * Two classes behind one table: election_file (a directory that all see) and election_zookeeper.
 * An observer never stands for election, but learns who leads: task managers, the command weir.
 *
 * Times are of the own os_monotonic_ns, in ms; clocks of machines are never compared.
 * Thread: control; only the waker is woken from others. */
#ifndef WEIR_CLUSTER_ELECTION_H
#define WEIR_CLUSTER_ELECTION_H

#include <weir/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELECTION_ADDRESS_SIZE ((size_t)262) /* 255 of a host, ':', 5 of a port, 0 */

/* What a leader publishes of itself. Thread: control. */
struct election_leader {
    uint64_t epoch;                                               /* 0: no leader is known */
    char rpc[ELECTION_ADDRESS_SIZE], rest[ELECTION_ADDRESS_SIZE]; /* host:port */
};

/* Thread: control. */
struct election_view {
    bool is_leader;                /* this process; the epoch is leader.epoch */
    struct election_leader leader; /* this one or another; the last that was heard of */
};

struct waker;
/* Borrowed until election_new returns, the waker longer. Thread: immutable after init. */
struct election_options {
    const struct election_class *class;
    const char *rpc, *rest; /* own addresses, host:port without blanks; of an observer NULL */
    bool is_observer;
    struct waker
        *waker; /* woken when election_step has something to do; NULL: step by deadline only */
    struct {
        const char *dir; /* made by election_new, below a directory that is there */
        int64_t lease_ms;
    } file;
    struct {
        const char *quorum; /* host:port,host:port */
        const char *path;   /* node, made with its parents: /weir/default */
        const char *auth;   /* user:password; NULL: open to all */
        int64_t session_timeout_ms;
    } zookeeper;
};

/* The first member of each implementation. Thread: control. */
struct election {
    const struct election_class *class;
    struct election_view view;
};

/* Thread: immutable after init. */
struct election_class {
    const char *name;
    weir_error *(*open)(const struct election_options *options, struct election **election);
    bool (*step)(struct election *election, int64_t now_ms);
    int64_t (*deadline_ms)(const struct election *election);
    weir_error *(*check)(struct election *election);
    void (*resign)(struct election *election);
    void (*close)(struct election *election);
};
extern const struct election_class election_file;
extern const struct election_class election_zookeeper;

/* Errors are of options and of what cannot pass. An election that merely cannot be reached begins without a leader. */
weir_error *election_new(const struct election_options *options, struct election **election)
    WEIR_MUST_USE;
void election_free(struct election *election); /* resigns; NULL is fine */
/* Does what is due. True: the view has changed. Trouble is logged, once for each sort, and tried again. */
bool election_step(struct election *election, int64_t now_ms);
int64_t election_deadline_ms(
    const struct election *election); /* of the next step; INT64_MAX: the waker's */
const struct election_view *election_view(const struct election *election);
/* NULL: certainly still the leader, at this moment. WEIR_E_FENCED: no, or not certain. It looks: one reading of a
 * directory, or nothing but memory with ZooKeeper. */
weir_error *election_check(struct election *election) WEIR_MUST_USE;
/* Gives up for good, so that another one can take over at once. From then on an observer. */
void election_resign(struct election *election);

#endif
