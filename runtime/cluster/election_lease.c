/* election_lease.c -- see election_lease.h. */
#include "runtime/cluster/election_lease.h"

#include "base/assert.h"

#define LOOKS_PER_LEASE 4   /* so that a leader may miss two renewals */
#define LOOK_MS_MAX     250 /* how soon a resignation is noticed */

void election_lease_init(struct election_lease *lease, int64_t lease_ms, bool may_claim)
{
    ASSERT(lease_ms >= LOOKS_PER_LEASE);
    *lease = (struct election_lease){ .lease_ms = lease_ms, .may_claim = may_claim };
}

bool election_lease_is_due(const struct election_lease *lease, int64_t now_ms)
{
    return now_ms >= lease->next_ms;
}

void election_lease_give_up(struct election_lease *lease)
{
    lease->own = 0;
    lease->has_renewed = false;
    lease->is_leader = false;
    lease->has_seen = false;
}

static void look_again(struct election_lease *lease, int64_t now_ms)
{
    int64_t pause_ms = lease->lease_ms / LOOKS_PER_LEASE;
    if (lease->own == 0 && pause_ms > LOOK_MS_MAX)
        pause_ms = LOOK_MS_MAX;
    lease->next_ms = now_ms + pause_ms;
}

/* Who was stopped while it wrote its claim down may have been replaced: it leads only after a look behind that. */
static enum election_action hold(struct election_lease *lease, const struct election_look *look,
    int64_t now_ms)
{
    if (look->highest != lease->own || !look->is_own_there) {
        election_lease_give_up(lease);
        return ELECTION_LOST;
    }
    if (lease->is_leader || !lease->has_renewed || now_ms - lease->renewed_ms >= lease->lease_ms)
        return ELECTION_RENEW;
    lease->is_leader = true;
    return ELECTION_LEAD;
}

static enum election_action watch(struct election_lease *lease, const struct election_look *look,
    int64_t now_ms)
{
    bool is_same =
        lease->has_seen && look->highest == lease->seen && look->content == lease->seen_content;
    if (!is_same) {
        lease->has_seen = true;
        lease->seen = look->highest;
        lease->seen_content = look->content;
        lease->seen_ms = now_ms;
    }
    bool is_free =
        look->highest == 0 || look->is_resigned || now_ms - lease->seen_ms >= lease->lease_ms;
    return lease->may_claim && is_free ? ELECTION_CLAIM : ELECTION_WAIT;
}

enum election_action election_lease_look(struct election_lease *lease,
    const struct election_look *look, int64_t now_ms)
{
    lease->floor = look->highest > lease->floor ? look->highest : lease->floor;
    enum election_action action =
        lease->own != 0 ? hold(lease, look, now_ms) : watch(lease, look, now_ms);
    look_again(lease, now_ms);
    return action;
}

void election_lease_failed(struct election_lease *lease, int64_t now_ms)
{
    lease->has_seen = false;
    look_again(lease, now_ms);
}

void election_lease_claimed(struct election_lease *lease, uint64_t number)
{
    ASSERT(lease->own == 0 && number > lease->floor);
    lease->own = number;
    lease->floor = number;
}

void election_lease_renewed(struct election_lease *lease, int64_t begun_ms)
{
    ASSERT(lease->own != 0);
    lease->has_renewed = true;
    lease->renewed_ms = begun_ms;
}

bool election_lease_is_sure(const struct election_lease *lease, int64_t now_ms)
{
    return lease->is_leader && now_ms - lease->renewed_ms < lease->lease_ms;
}
