/* task_rig.h -- one task on a bench: the test is its producers, its consumers, its host and its clock.
 *
 *      rig_send, rig_event --> [ channels ] --> the task --> [ channels ] --> rig_out, as text
 *                                                 |
 *                               acks, declines, failures: kept in the rig
 *
 * The task is one vertex of a real plan, which the test writes with the verbs of weir/job.h; the other
 * vertices are only there to give it inputs and outputs. Blocking work runs when the test says so
 * (rig_work). Time, disk and randomness are the simulator's (test/sim/sim_os.h).
 *
 * What comes out reads as a line, in order:  7=3  a record with key 7 and value 3;  W100  a watermark;
 * I  idle;  B4  the barrier of checkpoint 4;  E  the end. */
#ifndef WEIR_TEST_TASK_RIG_H
#define WEIR_TEST_TASK_RIG_H

#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"
#include "runtime/task/task.h"

struct item {
    uint64_t key;
    int64_t value;
    int64_t at_ms;
    weir_str text;
};
WEIR_TYPE(item, WEIR_FIELD(1, item, key), WEIR_FIELD(2, item, value), WEIR_FIELD(3, item, at_ms),
    WEIR_FIELD(4, item, text));

#define RIG_CHANNELS_MAX 16u
#define RIG_ACKS_MAX     64u

/* Options whose zero is a sensible default. */
struct rig_options {
    void (*build)(weir_job *job);
    const char *vertex;   /* part of its name */
    uint32_t parallelism; /* of the job; 0: 1 */
    uint32_t subtask;     /* of the vertex */
    uint32_t credits;     /* of its outputs; 0: 8 */
    uint32_t batch_max;   /* 0: 256 */
    int64_t watermark_interval_ms, buffer_timeout_ms;
};

struct rig {
    struct rig_options options;
    weir_job *job;
    const struct plan *plan;
    uint32_t vertex;
    struct task_host host;
    struct segment_pool *pool;
    struct channel *inputs[RIG_CHANNELS_MAX], *outputs[RIG_CHANNELS_MAX];
    struct partition *feeds[RIG_CHANNELS_MAX];
    struct gate *gates[RIG_CHANNELS_MAX];
    uint32_t input_count, output_count;
    struct task *task;
    struct subtask_snapshot *acked[RIG_ACKS_MAX];
    uint32_t acked_count, declined_count, running_count, ended_count, failed_count;
    uint64_t declined;                   /* the checkpoint of the last one */
    weir_error *decline_error, *failure; /* the last one, the first one */
    char text[65536];
};

/* Makes the machine, the plan and the task; rig_release frees all. */
void rig_init(struct rig *rig, const struct rig_options *options);
void rig_release(struct rig *rig);
/* Frees the task and what is in its channels, and makes another one, from a snapshot if `from` is one. */
void rig_restart(struct rig *rig, const struct subtask_snapshot *from);

/* Puts something into input channel `input`, at once. */
void rig_send(struct rig *rig, uint32_t input, uint64_t key, int64_t value, int64_t at_ms);
void rig_event(struct rig *rig, uint32_t input, enum element_kind kind, int64_t value);
enum task_result rig_step(struct rig *rig);
/* Steps until it did not work, a thousand times at most; the first step opens it. */
enum task_result rig_run(struct rig *rig);
/* Everything that waits for a worker. */
void rig_work(struct rig *rig);
/* What has come out of an output since the last time, "" if nothing; valid until the next call. */
const char *rig_out(struct rig *rig, uint32_t output);
/* Takes at most so many segments' worth of one batch; true: there was something. For back pressure. */
bool rig_take_batch(struct rig *rig, uint32_t output);

#endif
