/* election_lease.h -- the state machine of election_file: looks at the directory in, actions out; pure.
 *
 *      watching ──stands still for a lease, resigned, or nobody──> CLAIM ──claimed──> holding
 *          ^                                                                           │ RENEW, renewed,
 *          │                                                                           │ and still the highest
 *          └────────── LOST: a higher claim, or the own one is gone ──────────── LEAD, then RENEW for ever
 *
 * A candidate measures with its own clock how long what it sees has not changed; it never asks what time it was
 * elsewhere. A look that failed shows nothing, so the time starts anew. Thread: control. */
#ifndef WEIR_CLUSTER_ELECTION_LEASE_H
#define WEIR_CLUSTER_ELECTION_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* What the directory has shown. */
struct election_look {
    uint64_t highest;  /* claim; 0: none */
    uint64_t content;  /* a hash of its file */
    bool is_resigned;  /* its file says so */
    bool is_own_there; /* the file of the claim that is held */
};

enum election_action {
    ELECTION_WAIT,
    ELECTION_CLAIM, /* create the file of claim highest + 1, which nobody else has: then _claimed */
    ELECTION_RENEW, /* write the own file: then _renewed */
    ELECTION_LEAD,  /* it leads from this look on */
    ELECTION_LOST   /* no longer in charge */
};

struct election_lease {
    int64_t lease_ms;
    bool may_claim;
    uint64_t own;     /* the claim that is held; 0: none */
    bool has_renewed; /* it is written down; */
    bool is_leader;   /* and was the highest after that */
    int64_t renewed_ms;
    uint64_t floor;              /* the highest claim ever seen */
    uint64_t seen, seen_content; /* what was there at the last look, */
    int64_t seen_ms;             /* and since when */
    bool has_seen;
    int64_t next_ms; /* of the next look */
};

void election_lease_init(struct election_lease *lease, int64_t lease_ms, bool may_claim);
bool election_lease_is_due(const struct election_lease *lease, int64_t now_ms);
enum election_action election_lease_look(struct election_lease *lease,
    const struct election_look *look, int64_t now_ms);
void election_lease_failed(struct election_lease *lease,
    int64_t now_ms); /* a look, claim or renewal */
void election_lease_claimed(struct election_lease *lease, uint64_t number);
/* The renewal began at `begun_ms`: others may count from there. */
void election_lease_renewed(struct election_lease *lease, int64_t begun_ms);
void election_lease_give_up(struct election_lease *lease);
/* A leader that could not renew for a whole lease must think that somebody else has claimed. */
bool election_lease_is_sure(const struct election_lease *lease, int64_t now_ms);

#endif
