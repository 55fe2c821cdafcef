/* builder.h -- weir_job and weir_stream: the graph as it was written.
 *
 * The verbs of job.h append nodes and edges here; mistakes are collected in the job and reported
 * together with the plan's. Everything lives in the job's arena. Option values come from the config
 * that weir_main parsed.
 *
 * Thread: the one that builds; immutable afterwards. Limits: 1,000 nodes, 4,000 edges. */
#ifndef WEIR_GRAPH_BUILDER_H
#define WEIR_GRAPH_BUILDER_H

#include "base/config.h"
#include "base/memory.h"
#include <weir/job.h>

/* `config` may be NULL (tests): every option is unset. It outlives the job. */
weir_job *job_new(const struct config *config);
void job_free(weir_job *job);
/* The mistakes so far as one error, a line each; NULL: none. Takes them out of the job. */
weir_error *job_mistakes(weir_job *job) WEIR_MUST_USE;

#endif
