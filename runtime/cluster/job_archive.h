/* job_archive.h -- what people shall see of a job that is over, as bytes: its name, its plan, when it was in which
 * state, and its failures.
 *
 *      u32 version, str name, u32 code, u32 states, states × u64 time, u32 failures, failures × failure, str spec
 *      failure: str text, str vertex, str place (empty: none), u32 subtask, u32 task count, u64 attempt, u64 time,
 *               u32 code, u8 has restarted
 *
 * The job store keeps it with the job's record, for the leaders to come, as long as it keeps the job. What was
 * measured of its tasks and its checkpoints is not in it. A plan that makes it larger than JOB_ARCHIVE_MAX is left
 * out: there are no vertices then.
 *
 * Thread: any. */
#ifndef WEIR_CLUSTER_JOB_ARCHIVE_H
#define WEIR_CLUSTER_JOB_ARCHIVE_H

#include "runtime/cluster/dispatcher.h"

/* Appended. `spec`: the job_spec as bytes; empty: it was never planned. */
void job_archive_encode(const struct job *job, weir_str spec, weir_buffer *out);

/* Into the job: its name, times, failures; `code` is that of its error (WEIR_CODE_COUNT: none), `spec` borrows from the
 * bytes. WEIR_E_CORRUPT: the job is as it was; WEIR_E_STATE: that of a newer Weir. */
weir_error *job_archive_decode(weir_str bytes, struct job *job, enum weir_code *code,
    weir_str *spec) WEIR_MUST_USE;

#endif
