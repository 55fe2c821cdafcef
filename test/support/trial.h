/* trial.h -- a small job with all that a run needs, for tests that run jobs: it knows its own answer.
 *
 *      numbers --> even --> double --(key: value % keys)--> tally --> collect
 *      source      filter   map                             counts per key   exactly-once sink
 *
 * The source makes 0 .. count-1 over eight splits and keeps their positions in checkpoints; `tally`
 * numbers the records of each key and counts with weir_count; the sink keeps an epoch's records until
 * it is told that the checkpoint is complete, and restored ones too: then they are *published*, into
 * memory that outlives the job. trial_check compares what was published with the answer: every
 * number once, and the tally of each key 1, 2, ... without a gap or a repeat.
 *
 * `fail_at` > 0 makes `double` fail when it has seen that many records, `failures` times in all.
 *
 * With two pipelines the graph is there twice, "numbers" and "numbers-1" and so on, each for half of the splits and
 * of the keys: two regions. Only `double` of the first one fails, not "double-1".
 * Thread: tasks write under a lock; the rest is the test's, when no job runs. One trial at a time. */
#ifndef WEIR_TEST_TRIAL_H
#define WEIR_TEST_TRIAL_H

#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"
#include <weir/weir.h>

struct trial {
    uint64_t count; /* 0: for ever */
    uint64_t keys;
    uint32_t parallelism, max_parallelism;
    uint32_t pipelines; /* 0: 1; at most 2, with 16 keys */
    bool has_groups;    /* each pipeline has a slot group of its own */
    bool is_chaining_disabled;
    uint64_t fail_at;
    uint32_t failures;
    enum weir_code failure_code; /* 0 (DATA) means INTERNAL */
    uint32_t slow_batch;         /* > 0: the source makes at most so many records a poll */
};
/* Forgets what was published before. */
void trial_reset(const struct trial *trial);
/* Changes the shape for the next run and keeps what was published: a resume. */
void trial_change(const struct trial *trial);
/* A plan of the trial; job_free the job. Asserts that there is no mistake. */
const struct plan *trial_plan(weir_job **job);
void trial_build(weir_job *job);

uint64_t trial_published(void); /* records so far */
uint64_t trial_seen(void);      /* by `double`, over all attempts */
/* How often sources of a pipeline were opened since the reset; each subtask counts. */
uint32_t trial_opened(uint32_t pipeline);
/* Fails the test unless what was published is exactly right, up to the end if `is_complete`, else as
 * a prefix of each split. */
void trial_check(bool is_complete);

#endif
