/* election.c -- see election.h: what both classes have in common. */
#include "runtime/cluster/election.h"

#include "base/assert.h"

#include <string.h>

static weir_error *check_address(const char *what, const char *address)
{
    if (address != NULL && address[0] != '\0' && strlen(address) < ELECTION_ADDRESS_SIZE &&
        strpbrk(address, " \t\r\n") == NULL)
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "the %s address of this job manager is '%s'; it must be host:port, of at most %zu bytes",
        what, address == NULL ? "" : address, ELECTION_ADDRESS_SIZE - 1);
}

weir_error *election_new(const struct election_options *options, struct election **election)
{
    *election = NULL;
    if (!options->is_observer) {
        WEIR_TRY(check_address("RPC", options->rpc));
        WEIR_TRY(check_address("REST", options->rest));
    }
    WEIR_TRY(options->class->open(options, election));
    (*election)->class = options->class;
    return NULL;
}

void election_free(struct election *election)
{
    if (election == NULL)
        return;
    election->class->resign(election);
    election->class->close(election);
}

bool election_step(struct election *election, int64_t now_ms)
{
    bool has_changed = election->class->step(election, now_ms);
    ASSERT(!election->view.is_leader || election->view.leader.epoch > 0);
    return has_changed;
}

int64_t election_deadline_ms(const struct election *election)
{
    return election->class->deadline_ms(election);
}

const struct election_view *election_view(const struct election *election)
{
    return &election->view;
}

weir_error *election_check(struct election *election)
{
    if (!election->view.is_leader)
        return weir_errorf(WEIR_E_FENCED, "this job manager is not the leader");
    return election->class->check(election);
}

void election_resign(struct election *election)
{
    election->class->resign(election);
    election->view.is_leader = false;
}
