/* sim_program.h -- the executable of the simulated job: what weir_main makes of the arguments of `JOB plan` and
 * `JOB worker`, with the engine's own options and the graph of sim_job.h. A worker starts no thread.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_PROGRAM_H
#define WEIR_TEST_SIM_PROGRAM_H

#include "runtime/program/options.h"
#include "test/sim/sim_job.h"

/* Thread: one. Owner: whoever opened it. */
struct sim_program {
    struct sim_setup setup; /* its own; the parallelism is from the arguments */
    struct config *config;
    struct options options;
    char **arguments; /* copies, without the verb */
    uint32_t argument_count;
    weir_job *job;
    const struct plan *plan;
};

/* argv: the program, the verb, arguments, NULL; copied. The shape outlives it. */
struct sim_program *sim_program_open(const struct sim_shape *shape, const struct sim_setup *setup,
    char *const *argv);
void sim_program_close(struct sim_program *program); /* NULL is fine */
/* What `JOB plan` writes; appended. */
void sim_program_plan(const struct sim_program *program, weir_buffer *out);

#endif
