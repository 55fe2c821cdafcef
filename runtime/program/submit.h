/* submit.h -- `JOB run --cluster HOST:PORT`: the program hands itself to a cluster (application mode).
 *
 * It becomes `weir run -m HOST:PORT JOB ARGS...`, the command that stands beside it or on PATH: what a job's
 * program need not link (HTTP, TLS, JSON) it does not. Messages and the exit status are those of weir.
 *
 * Thread: control. */
#ifndef WEIR_PROGRAM_SUBMIT_H
#define WEIR_PROGRAM_SUBMIT_H

#include <weir/error.h>

#include <stdint.h>

/* `arguments`: behind the verb; those of --cluster are left out. Returns only what went wrong. */
weir_error *submit_run(const char *address, const char *const *arguments, uint32_t argument_count)
    WEIR_MUST_USE;

#endif
