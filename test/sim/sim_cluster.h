/* sim_cluster.h -- one seed of a cluster, from empty disks to the end of its job.
 *
 * Job managers, task managers and workers (sim_process.h) are stepped in an order that the seed decides, on one shared
 * disk and a network (sim_net.h), under a clock that moves with the steps, and jumps when nobody has anything to do.
 * The events of the seed (sim_trouble.h) happen at their times. Whenever the leader has no job that runs, and none has
 * come to the end of its input, somebody submits it again: it resumes from its checkpoints. Then everything is healed,
 * and the job must end within a number of steps, with exactly the right output (sim_oracle.h). At last the power fails,
 * and nothing of that may be gone.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_CLUSTER_H
#define WEIR_TEST_SIM_CLUSTER_H

#include "test/sim/sim_run.h"

/* Only those of its events happen that sim_events has. */
void sim_cluster_run(uint64_t seed, bool is_verbose, struct sim_result *result);

#endif
