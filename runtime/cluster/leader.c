/* leader.c -- see leader.h. */
#include "runtime/cluster/leader.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "net/sha256.h"
#include "runtime/cluster/job_store.h"

#include <inttypes.h>

#define CHECK_MS 500 /* between two looks whether we certainly still lead */

struct leader {
    struct leader_options options;
    /* while it leads */
    uint64_t epoch; /* 0: it does not */
    struct job_store *store;
    struct blob_store *blobs;
    struct dispatcher *dispatcher;
    struct listener *listener;
    int64_t next_check_ms;
    int64_t next_try_ms; /* elected, but not certainly: to lead not before */
};

/* -- leading --------------------------------------------------------------------------------------- */

static void stop_leading(struct leader *leader)
{
    if (leader->epoch == 0)
        return;
    if (leader->options.closing != NULL)
        leader->options.closing(leader->options.arg);
    listener_free(leader->listener);
    dispatcher_free(leader->dispatcher);
    blob_store_close(leader->blobs);
    job_store_close(leader->store);
    leader->listener = NULL;
    leader->dispatcher = NULL;
    leader->blobs = NULL;
    leader->store = NULL;
    leader->epoch = 0;
}

static weir_error *open_store(struct leader *leader)
{
    const struct leader_options *options = &leader->options;
    struct job_store_options store = { .dir = options->store_dir,
        .epoch = leader->epoch,
        .election = options->election,
        .over_max = options->dispatcher.retained_jobs };
    return options->store_dir == NULL ? NULL : job_store_open(&store, &leader->store);
}

static weir_error *open_blobs(struct leader *leader)
{
    static const struct blob_digest algorithm = { .begin = sha256_begin,
        .add = sha256_add,
        .end = sha256_end };
    const struct leader_options *options = &leader->options;
    struct blob_store_options blobs = { .dir = options->blobs_dir,
        .epoch = leader->epoch,
        .election = options->election,
        .digest = &algorithm,
        .size_max = options->blob_size_max,
        .total_max = options->blob_total_max };
    return blob_store_open(&blobs, os_monotonic_ms(), &leader->blobs);
}

static weir_error *open_ports(struct leader *leader)
{
    const struct leader_options *options = &leader->options;
    struct listen_options rpc = options->rpc;
    rpc.accepted = dispatcher_accepted;
    rpc.arg = leader->dispatcher;
    WEIR_TRY(net_listen(options->dispatcher.net, &rpc, &leader->listener));
    if (options->opened != NULL)
        WEIR_TRY(options->opened(options->arg, leader->dispatcher, leader->blobs));
    log_info("jobmanager", "leads, epoch %" PRIu64 ": task managers on %s:%u", leader->epoch,
        rpc.host, listener_port(leader->listener));
    return NULL;
}

static weir_error *start_leading(struct leader *leader, uint64_t epoch)
{
    leader->epoch = epoch;
    WEIR_TRY(open_store(leader));
    WEIR_TRY(open_blobs(leader));
    struct dispatcher_options options = leader->options.dispatcher;
    options.epoch = epoch;
    options.store = leader->store;
    options.blobs = leader->blobs;
    leader->dispatcher = dispatcher_new(&options);
    WEIR_TRY(FAULT_STEP(JOBS_RECOVER, dispatcher_recover(leader->dispatcher)));
    return open_ports(leader);
}

/* -- the election ----------------------------------------------------------------------------------- */

static bool still_leads(struct leader *leader, int64_t now_ms)
{
    struct election *election = leader->options.election;
    if (now_ms < leader->next_check_ms)
        return election_view(election)->is_leader;
    leader->next_check_ms = now_ms + CHECK_MS;
    weir_error *error = election_check(election);
    if (error != NULL)
        log_warn("jobmanager", "leads no more: %s", weir_error_message(error));
    weir_error_free(error);
    return error == NULL;
}

/* One that was frozen still believes to be elected for a moment: that is no reason to end, it stays a candidate. */
static weir_error *try_to_lead(struct leader *leader, int64_t now_ms)
{
    struct election *election = leader->options.election;
    weir_error *doubt = election_check(election), *error = NULL;
    if (doubt == NULL)
        error = start_leading(leader, election_view(election)->leader.epoch);
    if (error != NULL) {
        stop_leading(leader);
        doubt = election_check(election);
    }
    leader->next_try_ms = now_ms + CHECK_MS;
    if (doubt == NULL)
        return error;
    log_warn("jobmanager", "does not lead yet: %s", weir_error_message(doubt));
    weir_error_free(error);
    weir_error_free(doubt);
    return NULL;
}

static weir_error *step_election(struct leader *leader, int64_t now_ms)
{
    struct election *election = leader->options.election;
    if (election == NULL)
        return leader->epoch == 0 ? start_leading(leader, 1) : NULL;
    election_step(election, now_ms);
    if (leader->epoch != 0 && !still_leads(leader, now_ms)) {
        stop_leading(leader);
        return NULL;
    }
    if (leader->epoch != 0 || !election_view(election)->is_leader || now_ms < leader->next_try_ms)
        return NULL;
    return try_to_lead(leader, now_ms);
}

weir_error *leader_step(struct leader *leader, int64_t now_ms)
{
    WEIR_TRY(step_election(leader, now_ms));
    if (leader->epoch != 0)
        dispatcher_step(leader->dispatcher, now_ms);
    return NULL;
}

int64_t leader_deadline_ms(const struct leader *leader)
{
    const struct election *election = leader->options.election;
    int64_t deadline = INT64_MAX;
    if (election != NULL) {
        deadline = election_deadline_ms(election);
        if (leader->epoch != 0)
            deadline = os_earlier(deadline, leader->next_check_ms);
        else if (election_view(election)->is_leader)
            deadline = os_earlier(deadline, leader->next_try_ms);
    }
    return leader->epoch == 0 ? deadline
                              : os_earlier(deadline, dispatcher_deadline_ms(leader->dispatcher));
}

/* -- life ------------------------------------------------------------------------------------------- */

struct leader *leader_new(const struct leader_options *options)
{
    struct leader *leader = mem_alloc(sizeof(*leader));
    leader->options = *options;
    return leader;
}

void leader_free(struct leader *leader)
{
    if (leader == NULL)
        return;
    stop_leading(leader);
    mem_free(leader);
}

struct dispatcher *leader_dispatcher(struct leader *leader)
{
    return leader->dispatcher;
}

struct blob_store *leader_blobs(struct leader *leader)
{
    return leader->blobs;
}

uint64_t leader_epoch(const struct leader *leader)
{
    return leader->epoch;
}
