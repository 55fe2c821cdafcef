/* election_znode.h -- the state machine of election_zookeeper: sessions and answers in, calls out; pure.
 *
 *      <path>/candidate-<id>-<sequence>      ephemeral; the lowest sequence that is there leads
 *
 *      closed ─OPEN─> connecting ──> connected: MAKE the path, LIST, CREATE an own node, LIST, READ the lowest
 *         ^               ^ lost ───────┘         own is the lowest: RENEW, and it leads, RENEW, RENEW …
 *         └── expired, refused: the own node is gone, and leadership with it
 *
 * The epoch is the czxid of the leader's node: ZooKeeper's number of the change that made it. Nodes are made in the
 * order of both, and the lowest leads, so epochs rise.
 *
 * Certainty is a lease here, too. A renewal writes to the own node, which passes the quorum: if it is answered, the
 * session was alive after the moment at which it was asked for, and lives from there for the time-out that the
 * servers have granted. A process that was stopped finds that time over before ZooKeeper's threads have noticed
 * anything.
 *
 * A creation whose answer was lost may have made a node: the id in its name tells it from others', and a LIST finds
 * it. There is one call under way at a time. Thread: control. */
#ifndef WEIR_CLUSTER_ELECTION_ZNODE_H
#define WEIR_CLUSTER_ELECTION_ZNODE_H

#include "runtime/cluster/election.h"

#define ZNODE_NAME_SIZE ((size_t)64)
#define ZNODE_PREFIX    "candidate-"

enum election_znode_call {
    ZNODE_NONE,
    ZNODE_OPEN,   /* a session */
    ZNODE_CLOSE,  /* the session that is of no use any more */
    ZNODE_MAKE,   /* the path, all of it */
    ZNODE_LIST,   /* children, and watch them */
    ZNODE_CREATE, /* the own node */
    ZNODE_READ,   /* node `lowest` */
    ZNODE_RENEW   /* write to the own node */
};

enum election_znode_result {
    ZNODE_OK,
    ZNODE_MISSING, /* the node is not there */
    ZNODE_LOST,    /* the connection; it may have been done or not */
    ZNODE_REFUSED  /* anything else: a new session */
};

enum election_znode_link { ZNODE_CLOSED, ZNODE_CONNECTING, ZNODE_CONNECTED };

struct election_znode {
    uint64_t id; /* in the name of the own node */
    bool is_observer;
    enum election_znode_link link;
    bool must_close;               /* the session is over, but not closed */
    enum election_znode_call call; /* under way */
    int64_t called_ms;
    bool is_made, is_listed; /* the path; the children as they are now */
    bool is_stale;           /* the children have changed during a LIST */
    bool is_lowest;          /* the own node is there, and the lowest */
    char own[ZNODE_NAME_SIZE], lowest[ZNODE_NAME_SIZE]; /* names; "": none */
    bool is_read;                                       /* the lowest */
    struct election_leader leader;                      /* what was read */
    int64_t timeout_ms;                                 /* of the session */
    bool is_renewed, is_leader;
    int64_t confirmed_ms; /* a renewal that was answered was asked for then */
    int64_t next_ms;      /* of the next renewal, or the next session */
};

void election_znode_init(struct election_znode *node, uint64_t id, bool is_observer);
/* What to do now; when it is done at last, one of the functions below says so. */
enum election_znode_call election_znode_next(struct election_znode *node, int64_t now_ms);
int64_t election_znode_deadline_ms(const struct election_znode *node);

void election_znode_connected(struct election_znode *node, int64_t timeout_ms);
void election_znode_disconnected(struct election_znode *node);
void election_znode_ended(struct election_znode *node,
    int64_t now_ms);                                      /* expired, refused, not opened */
void election_znode_closed(struct election_znode *node);  /* ZNODE_CLOSE is done */
void election_znode_changed(struct election_znode *node); /* the watch of the children */
/* The answer to the call under way, that brought nothing. */
void election_znode_answer(struct election_znode *node, enum election_znode_result result,
    int64_t now_ms);
void election_znode_children(struct election_znode *node, const char *const *names, uint32_t count);
void election_znode_data(struct election_znode *node, const struct election_leader *leader);

/* From then on an observer, with a session of its own. */
void election_znode_resign(struct election_znode *node);
bool election_znode_is_sure(const struct election_znode *node, int64_t now_ms);

#endif
