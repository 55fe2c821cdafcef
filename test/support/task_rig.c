/* task_rig.c -- see task_rig.h. */
#include "test/support/task_rig.h"

#include "base/memory.h"
#include "state/backend.h"
#include "test/sim/sim_os.h"

#include <inttypes.h>
#include <stdio.h>

#include "test/support/expect.h"

#define STEPS_MAX       1000
#define CREDITS_DEFAULT 8 /* tests let a few outputs wait */

/* -- the host ------------------------------------------------------------------------------------- */

static void host_running(void *arg, uint32_t subtask)
{
    struct rig *rig = arg;
    (void)subtask;
    rig->running_count++;
}

static void host_acked(void *arg, struct subtask_snapshot *snapshot)
{
    struct rig *rig = arg;
    assert_true(rig->acked_count < RIG_ACKS_MAX);
    rig->acked[rig->acked_count++] = snapshot;
}

static void host_declined(void *arg, uint64_t checkpoint, uint32_t subtask, weir_error *error)
{
    struct rig *rig = arg;
    (void)subtask;
    rig->declined_count++;
    rig->declined = checkpoint;
    weir_error_free(rig->decline_error);
    rig->decline_error = error;
}

static void host_ended(void *arg, uint32_t subtask)
{
    struct rig *rig = arg;
    (void)subtask;
    rig->ended_count++;
}

static void host_failed(void *arg, uint32_t subtask, weir_error *error)
{
    struct rig *rig = arg;
    (void)subtask;
    rig->failed_count++;
    rig->failure = weir_error_join(rig->failure, error);
}

static weir_error *host_check_attempt(void *arg)
{
    (void)arg;
    return NULL;
}

static void make_host(struct rig *rig)
{
    const struct rig_options *options = &rig->options;
    rig->host = (struct task_host){ .arg = rig,
        .running = host_running,
        .acked = host_acked,
        .declined = host_declined,
        .ended = host_ended,
        .failed = host_failed,
        .check_attempt = host_check_attempt,
        .workers = workers_new(0, 4096),
        .job = "rig",
        .instance = 1,
        .attempt = 1,
        .checkpoint_dir = "/checkpoints/rig",
        .staging_dir = "/checkpoints/rig/staging-1",
        .work_dir = "/checkpoints/rig/work-1",
        .has_checkpoints = true,
        .backend = &backend_hashmap,
        .backend_memory = (uint64_t)1 << 24,
        .watermark_interval_ms = options->watermark_interval_ms,
        .buffer_timeout_ms = options->buffer_timeout_ms,
        .batch_max = options->batch_max == 0 ? 256 : options->batch_max };
    expect_ok(os_make_dirs(rig->host.staging_dir));
    expect_ok(os_make_dirs(rig->host.work_dir));
    expect_ok(os_make_dirs("/checkpoints/rig/shared"));
}

/* -- the plan ------------------------------------------------------------------------------------- */

static void make_plan(struct rig *rig)
{
    rig->job = job_new(NULL);
    rig->options.build(rig->job);
    struct plan_options options = { .job = "rig",
        .parallelism = rig->options.parallelism == 0 ? 1 : rig->options.parallelism,
        .max_parallelism = 16 };
    expect_ok(plan_build(rig->job, &options, &rig->plan));
    rig->vertex = 0;
    while (rig->vertex < rig->plan->vertex_count &&
           strstr(rig->plan->vertices[rig->vertex].name, rig->options.vertex) == NULL)
        rig->vertex++;
    if (rig->vertex == rig->plan->vertex_count)
        fail_msg("no vertex '%s'", rig->options.vertex);
}

static struct partition *feed_of(const struct rig *rig, const struct plan_edge *edge,
    struct channel **channel)
{
    struct partition_options options = { .kind = edge->partitioner == PARTITIONER_KEY_GROUP
                                                     ? PARTITIONER_KEY_GROUP
                                                     : PARTITIONER_FORWARD,
        .type = edge->type,
        .key = edge->key,
        .max_parallelism = rig->plan->max_parallelism,
        .pool = rig->pool };
    return partition_new(&options, channel, 1);
}

/* Edge by edge, as the task manager does: a channel for each subtask that leads here. */
static void make_inputs(struct rig *rig)
{
    const struct plan_vertex *vertex = &rig->plan->vertices[rig->vertex];
    rig->input_count = 0;
    for (uint32_t e = 0; e < vertex->in_edge_count; e++) {
        const struct plan_edge *edge = &rig->plan->edges[vertex->in_edges[e]];
        uint32_t producers = edge->partitioner == PARTITIONER_FORWARD
                                 ? 1
                                 : rig->plan->vertices[edge->from_vertex].parallelism;
        for (uint32_t p = 0; p < producers; p++) {
            uint32_t i = rig->input_count++;
            assert_true(i < RIG_CHANNELS_MAX);
            rig->inputs[i] = channel_new(1024);
            rig->feeds[i] = feed_of(rig, edge, &rig->inputs[i]);
        }
    }
}

static struct partition **make_outputs(struct rig *rig)
{
    const struct plan_vertex *vertex = &rig->plan->vertices[rig->vertex];
    uint32_t credits = rig->options.credits == 0 ? CREDITS_DEFAULT : rig->options.credits;
    struct partition **partitions =
        mem_alloc_array(vertex->out_edge_count + 1, sizeof(*partitions));
    rig->output_count = vertex->out_edge_count;
    for (uint32_t i = 0; i < rig->output_count; i++) {
        const struct plan_edge *edge = &rig->plan->edges[vertex->out_edges[i]];
        rig->outputs[i] = channel_new(credits);
        rig->gates[i] = gate_new(&rig->outputs[i], 1, edge->type, 1);
        partitions[i] = feed_of(rig, edge, &rig->outputs[i]);
    }
    return partitions;
}

static void make_task(struct rig *rig, const struct checkpoint_metadata *restore)
{
    make_inputs(rig);
    struct task_options options = { .plan = rig->plan,
        .vertex = rig->vertex,
        .subtask = rig->options.subtask,
        .host = &rig->host,
        .inputs = rig->inputs,
        .input_count = rig->input_count,
        .partitions = make_outputs(rig),
        .restore = restore };
    rig->task = task_new(&options);
}

static void free_task(struct rig *rig)
{
    task_free(rig->task);
    for (uint32_t i = 0; i < rig->input_count; i++) {
        partition_free(rig->feeds[i]);
        channel_free(rig->inputs[i]);
    }
    for (uint32_t i = 0; i < rig->output_count; i++) {
        gate_free(rig->gates[i]);
        channel_free(rig->outputs[i]);
    }
    assert_int_equal(segment_pool_used(rig->pool), 0);
}

void rig_init(struct rig *rig, const struct rig_options *options)
{
    *rig = (struct rig){ .options = *options };
    sim_os_start(1);
    rig->pool = segment_pool_new((size_t)256 << 20);
    make_plan(rig);
    make_host(rig);
    make_task(rig, NULL);
}

static void forget(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->acked_count; i++)
        subtask_snapshot_free(rig->acked[i]);
    weir_error_free(rig->decline_error);
    weir_error_free(rig->failure);
    rig->decline_error = rig->failure = NULL;
    rig->acked_count = rig->declined_count = rig->running_count = 0;
    rig->ended_count = rig->failed_count = 0;
}

void rig_release(struct rig *rig)
{
    free_task(rig);
    forget(rig);
    workers_free(rig->host.workers);
    segment_pool_free(rig->pool);
    job_free(rig->job);
    sim_os_stop();
}

void rig_restart(struct rig *rig, const struct subtask_snapshot *from)
{
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    if (from != NULL)
        checkpoint_metadata_add(&metadata, from);
    free_task(rig);
    forget(rig);
    expect_ok(os_remove_tree(rig->host.work_dir));
    expect_ok(os_make_dirs(rig->host.work_dir));
    make_task(rig, from == NULL ? NULL : &metadata);
    rig_step(rig); /* opens: the metadata is needed no longer */
    checkpoint_metadata_release(&metadata);
}

/* -- driving it ----------------------------------------------------------------------------------- */

void rig_send(struct rig *rig, uint32_t input, uint64_t key, int64_t value, int64_t at_ms)
{
    struct item item = { .key = key, .value = value, .at_ms = at_ms };
    struct weir_row row = { .record = &item, .timestamp_ms = at_ms };
    assert_true(input < rig->input_count);
    expect_ok(partition_emit(rig->feeds[input], &row, 1));
    partition_flush(rig->feeds[input]);
}

void rig_event(struct rig *rig, uint32_t input, enum element_kind kind, int64_t value)
{
    assert_true(input < rig->input_count);
    expect_ok(partition_event(rig->feeds[input], kind, value));
}

enum task_result rig_step(struct rig *rig)
{
    return task_step(rig->task);
}

enum task_result rig_run(struct rig *rig)
{
    enum task_result result = TASK_WORKED;
    for (int i = 0; i < STEPS_MAX && result == TASK_WORKED; i++)
        result = task_step(rig->task);
    return result;
}

void rig_work(struct rig *rig)
{
    while (workers_step(rig->host.workers))
        ;
}

/* -- what came out -------------------------------------------------------------------------------- */

static void write_row(const struct rig *rig, uint32_t output, const struct weir_row *row,
    char *text, size_t size)
{
    const struct plan_vertex *vertex = &rig->plan->vertices[rig->vertex];
    const struct weir_type *type = rig->plan->edges[vertex->out_edges[output]].type;
    const struct item *item = row->record;
    if (strcmp(type->name, "item") == 0)
        snprintf(text, size, "%" PRIu64 "=%" PRId64 " ", item->key, item->value);
    else
        snprintf(text, size, "%s ", type->name);
}

static void write_event(const struct gate_input *input, char *text, size_t size)
{
    switch (input->event) {
    case ELEMENT_WATERMARK:
        snprintf(text, size, "W%" PRId64 " ", input->value);
        return;
    case ELEMENT_IDLE:
        snprintf(text, size, "I ");
        return;
    case ELEMENT_BARRIER:
        snprintf(text, size, "B%" PRId64 " ", input->value);
        return;
    case ELEMENT_END:
        snprintf(text, size, "E ");
        return;
    case ELEMENT_RECORD:
        break;
    }
    fail_msg("an event that is a record");
}

const char *rig_out(struct rig *rig, uint32_t output)
{
    size_t used = 0;
    assert_true(output < rig->output_count);
    rig->text[0] = '\0';
    for (;;) {
        struct gate_input input;
        gate_next(rig->gates[output], &input);
        if (input.kind == GATE_EMPTY)
            break;
        size_t left = sizeof(rig->text) - used;
        if (input.kind == GATE_ROWS)
            write_row(rig, output, &input.rows[0], rig->text + used, left);
        else
            write_event(&input, rig->text + used, left);
        used += strlen(rig->text + used);
        assert_true(used + 64 < sizeof(rig->text));
    }
    if (used > 0)
        rig->text[used - 1] = '\0'; /* the last space */
    return rig->text;
}

bool rig_take_batch(struct rig *rig, uint32_t output)
{
    struct gate_input input;
    gate_next(rig->gates[output], &input);
    return input.kind != GATE_EMPTY;
}
