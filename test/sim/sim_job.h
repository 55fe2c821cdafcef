/* sim_job.h -- the simulated job: the graph of a shape, for one life of the process.
 *
 *   source(s) --> drop --> price --[rebalance]--> key_by --> ledger --main--> stamp --> sink "main"
 *                            |                                  |  '--> (reduce) --> sink "reduced"
 *                            '--dead letters--> sink "dead"     '--side--> sink "side", or into "main"
 *
 * With two regions all of it is there twice, and `drop` leaves the odd keys to the second one, whose names begin with
 * "second_": what fails restarts its own region, while the other one goes on.
 *
 * The ledger keeps a value, a map, a list and a reducing state per key, and timers of both kinds. What
 * it emits does not depend on the order of keys or on when anything happens, or the oracle knows how
 * (sim_oracle.h).
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_JOB_H
#define WEIR_TEST_SIM_JOB_H

#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"
#include "test/sim/sim_event.h"

#define SIM_INPUT_DIR  "/in"
#define SIM_OUTPUT_DIR "/out"
#define SIM_STAGES     6u

/* How the graph runs in one life. */
struct sim_setup {
    uint32_t parallelism;
    uint32_t stages[SIM_STAGES]; /* parallelism of single operators; 0: the job's */
    bool is_chaining_disabled, has_second_group;
    bool is_bounded;     /* what comes from outside */
    uint64_t per_second; /* of the generator; 0: no limit */
    uint32_t fail_at;    /* `price` fails once, at this record of this life; 0: never */
};

/* The plan is the job's; job_free it. Shape and setup outlive it. */
const struct plan *sim_job_plan(const struct sim_shape *shape, const struct sim_setup *setup,
    weir_job **job);

#endif
