/* plan_output.h -- `JOB plan ARGS...`: the job as bytes, for a job manager that has no code of it.
 *
 *      JOB plan --parallelism 4 ... 3>job        job: runtime/cluster/job_spec.h
 *
 * It is a verb for programs (the dispatcher of a cluster), so the usage text does not tell of it. The bytes go to
 * file descriptor 3 and not to standard output, because a job's own code may print when the graph is built.
 * What goes wrong ends as it does for `explain`: one sentence on standard error, and the exit status of its code.
 *
 * Prefixes: plan_output_. Thread: control. */
#ifndef WEIR_PROGRAM_PLAN_OUTPUT_H
#define WEIR_PROGRAM_PLAN_OUTPUT_H

#include "runtime/manager/local.h"

/* WEIR_E_USAGE when nobody has opened it. Before the job is built: that may open files of its own. */
weir_error *plan_output_check(const char *program) WEIR_MUST_USE;
/* Appended to `out`, which holds JOB_SPEC_SIZE_MAX: of `local`, what a job manager needs. WEIR_E_LIMIT: it is longer. */
weir_error *plan_output_encode(const struct plan *plan, const struct local_options *local,
    const char *const *arguments, uint32_t argument_count, weir_buffer *out) WEIR_MUST_USE;
/* The same to descriptor 3. */
weir_error *plan_output_write(const struct plan *plan, const struct local_options *local,
    const char *const *arguments, uint32_t argument_count) WEIR_MUST_USE;

#endif
