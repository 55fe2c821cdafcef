/* task.c -- see task.h. The snapshot half is in snapshot.c. */
#include "runtime/task/task.h"

#include "runtime/task/current.h"
#include "runtime/task/task_private.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"

#define POLL_IDLE_MS 100

/* -- making ----------------------------------------------------------------------------------------- */

/* Which channels come from an edge with a key. NULL: one is forward or broadcast, so no barrier may overtake. */
static bool *find_keyed_channels(const struct task_options *options)
{
    const struct plan_vertex *vertex = &options->plan->vertices[options->vertex];
    bool *keyed = mem_alloc_array(options->input_count, sizeof(*keyed));
    uint32_t count = 0;
    for (uint32_t e = 0; e < vertex->in_edge_count; e++) {
        const struct plan_edge *edge = &options->plan->edges[vertex->in_edges[e]];
        if (edge->partitioner == PARTITIONER_FORWARD ||
            edge->partitioner == PARTITIONER_BROADCAST) {
            mem_free(keyed);
            return NULL;
        }
        uint32_t producers = options->plan->vertices[edge->from_vertex].parallelism;
        for (uint32_t i = 0; i < producers && count < options->input_count; i++)
            keyed[count++] = edge->partitioner == PARTITIONER_KEY_GROUP;
    }
    return keyed;
}

struct task *task_new(const struct task_options *options)
{
    const struct plan_vertex *vertex = &options->plan->vertices[options->vertex];
    struct task *task = mem_alloc(sizeof(*task));
    task->vertex = vertex;
    task->host = options->host;
    task->subtask = options->subtask;
    task->number = vertex->first_subtask + options->subtask;
    task->restore = options->restore;
    task->is_source = vertex->operators[0].kind == PLAN_SOURCE;
    task->mailbox = mailbox_new(TASK_LETTERS_MAX);
    task->sent_watermark_ms = task->due_watermark_ms = WATERMARK_NONE;
    struct chain_options chain = { .plan = options->plan,
        .vertex = options->vertex,
        .subtask = options->subtask,
        .task = task,
        .host = options->host,
        .partitions = options->partitions };
    chain_init(&task->chain, &chain);
    task->head = task->chain.contexts[0];
    metric_set(&task->metrics.lag, -1);
    metric_set(&task->metrics.watermark_ms, WATERMARK_NONE);
    barrier_init(&task->barrier, task->is_source ? 1 : options->input_count,
        options->last_checkpoint);
    if (!task->is_source) {
        task->keyed_channels = find_keyed_channels(options);
        ASSERT(options->input_count > 0);
        task->gate = gate_new(options->inputs, options->input_count, vertex->operators[0].in,
            options->host->batch_max);
        watermarks_init(&task->inputs, options->input_count);
        for (uint32_t i = 0; i < options->input_count; i++)
            watermarks_add(&task->inputs);
    }
    return task;
}

void task_free(struct task *task)
{
    if (task == NULL)
        return;
    mailbox_close(task->mailbox);
    workers_drain(task->host->workers, task); /* snapshots being written */
    chain_close(&task->chain);
    mailbox_free(task->mailbox);
    if (task->gate != NULL)
        gate_free(task->gate);
    if (!task->is_source)
        watermarks_release(&task->inputs);
    barrier_release(&task->barrier);
    in_flight_close(&task->replay.reader);
    mem_free(task->replay.path);
    mem_free(task->keyed_channels);
    mem_free(task);
}

void task_set_waker(struct task *task, struct waker *waker)
{
    task->waker = waker;
    mailbox_set_waker(task->mailbox, waker);
}

void task_fail(struct task *task, weir_error *error)
{
    if (task->state == TASK_FAILED) {
        weir_error_free(error);
        return;
    }
    task->state = TASK_FAILED;
    task->host->failed(task->host->arg, task->number,
        weir_error_wrap(error, "task '%s' (%u/%u)", task->vertex->name, task->subtask + 1,
            task->vertex->parallelism));
}

static bool check(struct task *task, weir_error *error)
{
    error = weir_error_join(error, chain_error(&task->chain));
    if (__builtin_expect(error == NULL, 1))
        return true;
    task_fail(task, error);
    return false;
}

/* -- watermarks ------------------------------------------------------------------------------------- */

/* A watermark goes on when every timer that it makes due has fired: until then the task reads nothing
 * (see fire_due), so nothing behind the watermark overtakes it. */
static weir_error *settle_watermark(struct task *task)
{
    if (task->due_watermark_ms != WATERMARK_NONE) {
        if (task->head->timers != NULL &&
            timers_next_ms(task->head->timers, WEIR_EVENT_TIME) <= task->due_watermark_ms)
            return NULL;
        task->sent_watermark_ms = task->due_watermark_ms;
        task->due_watermark_ms = WATERMARK_NONE;
        metric_set(&task->metrics.watermark_ms, task->sent_watermark_ms);
        WEIR_TRY(chain_event(&task->chain, ELEMENT_WATERMARK, task->sent_watermark_ms));
    }
    if (!task->is_idle_due)
        return NULL;
    task->is_idle_due = false;
    return chain_event(&task->chain, ELEMENT_IDLE, 0);
}

static weir_error *send_watermark(struct task *task, int64_t watermark_ms, bool is_idle)
{
    ASSERT(task->due_watermark_ms == WATERMARK_NONE);
    if (watermark_ms != WATERMARK_NONE && watermark_ms > task->sent_watermark_ms) {
        chain_set_watermark(&task->chain, watermark_ms);
        task->due_watermark_ms = watermark_ms;
    }
    task->is_idle_due = is_idle && !task->is_sent_idle;
    task->is_sent_idle = is_idle;
    return settle_watermark(task);
}

/* A source's watermark goes out now and then: the splits' smallest, never above the clock, so that one
 * record from the future cannot age everybody's state. */
static weir_error *source_watermark(struct task *task)
{
    struct watermarks *splits = &task->head->splits;
    if (!task->head->op->has_event_time || task->now_ms < task->next_watermark_ms)
        return NULL;
    task->next_watermark_ms = task->now_ms + task->host->watermark_interval_ms;
    watermarks_recompute(splits); /* the splits moved record by record */
    int64_t watermark_ms = splits->current < task->now_ms ? splits->current : task->now_ms;
    return send_watermark(task, watermark_ms, splits->is_idle || splits->count == 0);
}

static weir_error *input_watermark(struct task *task, bool has_changed)
{
    if (!has_changed)
        return NULL;
    return send_watermark(task, task->inputs.current, task->inputs.is_idle);
}

/* -- input ------------------------------------------------------------------------------------------- */

/* The input is over: every timer that waits now fires (fire_due), then finish. */
static void end(struct task *task)
{
    task->state = TASK_ENDING;
    if (task->head->timers != NULL)
        timers_close(task->head->timers);
}

static weir_error *finish(struct task *task)
{
    task->state = TASK_ENDED;
    chain_finish(&task->chain);
    WEIR_TRY(chain_error(&task->chain));
    WEIR_TRY(chain_event(&task->chain, ELEMENT_END, 0));
    task->host->ended(task->host->arg, task->number);
    return NULL;
}

static uint32_t fire(struct task *task, enum weir_time time, int64_t until_ms, uint32_t count_max)
{
    return task->head->timers == NULL ? 0 : context_fire(task->head, time, until_ms, count_max);
}

/* A batch of due timers, or what waits behind them. True: it did something. */
static bool fire_due(struct task *task, weir_error **error)
{
    uint32_t max = task->host->batch_max;
    if (task->state == TASK_ENDING) {
        uint32_t count = fire(task, WEIR_EVENT_TIME, INT64_MAX, max);
        count += fire(task, WEIR_PROCESSING_TIME, INT64_MAX, max - count);
        if (count == 0)
            *error = finish(task);
        return true;
    }
    if (task->state == TASK_ENDED)
        return false; /* what set itself again stays in the state, for a later run */
    uint32_t count = 0;
    if (task->due_watermark_ms != WATERMARK_NONE)
        count = fire(task, WEIR_EVENT_TIME, task->due_watermark_ms, max);
    count += fire(task, WEIR_PROCESSING_TIME, task->now_ms, max - count);
    if (task->due_watermark_ms == WATERMARK_NONE)
        return count > 0;
    *error = settle_watermark(task);
    return true;
}

static weir_error *on_event(struct task *task, const struct gate_input *input)
{
    switch (input->event) {
    case ELEMENT_WATERMARK:
        return input_watermark(task,
            watermarks_advance(&task->inputs, input->channel, input->value));
    case ELEMENT_IDLE:
        return input_watermark(task, watermarks_idle(&task->inputs, input->channel, true));
    case ELEMENT_BARRIER:
        return task_barrier(task, input->channel, (uint64_t)input->value);
    case ELEMENT_END:
        WEIR_TRY(input_watermark(task, watermarks_finish(&task->inputs, input->channel)));
        task->ended_count++;
        ASSERT(task->ended_count <= gate_channel_count(task->gate));
        if (task->ended_count == gate_channel_count(task->gate))
            end(task);
        return NULL;
    case ELEMENT_RECORD:
        break;
    }
    ASSERT(false && "a record is not an event");
    return NULL;
}

static enum task_result step_gate(struct task *task, weir_error **error)
{
    struct gate_input input;
    gate_next(task->gate, &input);
    switch (input.kind) {
    case GATE_EMPTY:
        return TASK_IDLE;
    case GATE_EVENT:
        *error = on_event(task, &input);
        return TASK_WORKED;
    case GATE_ROWS:
        break;
    }
    if (task->inputs.inputs[input.channel].is_idle)
        *error = input_watermark(task, watermarks_idle(&task->inputs, input.channel, false));
    context_rows(task->head, input.rows, input.row_count);
    return TASK_WORKED;
}

static void flush_pending(struct weir_ctx *head)
{
    if (head->pending_count == 0)
        return;
    metric_add(&head->counters[0].value, head->pending_count); /* records_in, exact */
    metric_add(&head->records_out, head->pending_count);
    uint32_t count = head->pending_count;
    head->pending_count = 0;
    context_emit(head, &head->main, head->pending, count);
}

static enum task_result step_source(struct task *task, weir_error **error)
{
    struct weir_ctx *head = task->head;
    const struct weir_source_class *class = head->op->source.source_class;
    enum weir_source_status status = WEIR_SOURCE_IDLE;
    current_context = head;
    *error = FAULT_STEP(SOURCE_POLL, class->poll(head, head->instance, &status));
    current_context = NULL;
    if (*error != NULL)
        return TASK_WORKED;
    flush_pending(head);
    *error = source_watermark(task);
    if (status == WEIR_SOURCE_FINISHED)
        end(task);
    if (status != WEIR_SOURCE_IDLE)
        return TASK_WORKED;
    task->next_poll_ms = task->now_ms + POLL_IDLE_MS;
    return TASK_IDLE;
}

/* -- what was in flight -------------------------------------------------------------------------------- */

/* Opens the next file; none: it is over. */
static weir_error *next_file(struct task *task)
{
    struct replay *replay = &task->replay;
    const struct in_flight_owner owner = { .subtask = task->subtask,
        .parallelism = task->vertex->parallelism,
        .max_parallelism = task->head->plan->max_parallelism };
    while (replay->context < task->chain.count) {
        const struct weir_ctx *ctx = task->chain.contexts[replay->context];
        if (replay->file < ctx->in_flight_count) {
            uint32_t file = replay->file++;
            mem_free(replay->path);
            replay->path =
                mem_printf("%s/%s", task->host->checkpoint_dir, ctx->in_flight[file].path);
            return in_flight_open(&replay->reader, replay->path, ctx->op->in,
                ctx->in_flight_subtasks[file], &owner);
        }
        replay->context++;
        replay->file = 0;
    }
    replay->is_over = true;
    return NULL;
}

/* A batch of it. */
static weir_error *step_replay(struct task *task)
{
    struct replay *replay = &task->replay;
    struct weir_row rows[IN_FLIGHT_ROWS_MAX];
    uint32_t count;
    WEIR_TRY(in_flight_next(&replay->reader, rows, task->host->batch_max, &count));
    if (count > 0) {
        context_rows(task->chain.contexts[replay->context], rows, count);
        return NULL;
    }
    in_flight_close(&replay->reader);
    WEIR_TRY(next_file(task));
    return replay->is_over ? task_late_trigger(task) : NULL;
}

/* -- the step ------------------------------------------------------------------------------------------ */

/* Each letter's errors are looked at before the next one is read: a snapshot that is triggered behind
 * a failed call would take the error for its own, and decline a checkpoint instead of failing. */
static bool read_letters(struct task *task)
{
    struct letter letter;
    while (mailbox_take(task->mailbox, &letter)) {
        letter.run(task, letter.arg);
        if (task->state == TASK_FAILED || !check(task, NULL))
            return false;
    }
    return true;
}

static enum task_result open_task(struct task *task)
{
    weir_error *error = chain_open(&task->chain, task->restore);
    task->restore = NULL;
    if (error == NULL)
        error = next_file(task);
    if (error != NULL) {
        task_fail(task, error);
        return TASK_WORKED;
    }
    task->state = TASK_RUNNING;
    task->host->running(task->host->arg, task->number);
    return TASK_WORKED;
}

static bool may_read(struct task *task)
{
    if (task->is_source)
        return task->state == TASK_RUNNING;
    return true; /* barriers come after the end, too */
}

static enum task_result work(struct task *task)
{
    chain_set_clock(&task->chain, task->now_ms);
    weir_error *error = task_try_overtake(task);
    if (error != NULL) {
        check(task, error);
        return TASK_WORKED;
    }
    if (!chain_has_room(&task->chain) || chain_unpublished(&task->chain) > 2)
        return check(task, NULL) ? TASK_NO_ROOM : TASK_WORKED;
    if (fire_due(task, &error)) {
        check(task, error);
        return TASK_WORKED;
    }
    if (!task->replay.is_over) {
        check(task, step_replay(task));
        return TASK_WORKED;
    }
    if (!may_read(task))
        return check(task, NULL) ? TASK_IDLE : TASK_WORKED;
    enum task_result result = task->is_source ? step_source(task, &error) : step_gate(task, &error);
    return check(task, error) ? result : TASK_WORKED;
}

static void flush(struct task *task, enum task_result result)
{
    if (!chain_has_open(&task->chain))
        return;
    if (result == TASK_WORKED && task->now_ms < task->next_flush_ms)
        return;
    chain_flush(&task->chain);
    task->next_flush_ms = task->now_ms + task->host->buffer_timeout_ms;
}

static void account(struct task *task, int64_t started_ns, enum task_result result)
{
    int64_t now_ns = os_monotonic_ns();
    if (task->last_step_ns != 0) {
        metric *gap = task->last_result == TASK_IDLE      ? &task->metrics.idle_ns
                      : task->last_result == TASK_NO_ROOM ? &task->metrics.backpressured_ns
                                                          : &task->metrics.busy_ns;
        metric_add(gap, started_ns - task->last_step_ns);
    }
    metric_add(&task->metrics.busy_ns, now_ns - started_ns);
    task->last_step_ns = now_ns;
    task->last_result = result;
}

/* What the sinks of the chain got; without one, what its last operator emitted. */
static int64_t count_out(const struct task *task)
{
    const struct chain *chain = &task->chain;
    int64_t sum = 0;
    bool has_sink = false;
    for (uint32_t i = 0; i < chain->count; i++) {
        if (chain->contexts[i]->op->kind != PLAN_SINK)
            continue;
        has_sink = true;
        sum += metric_get(&chain->contexts[i]->counters[0].value);
    }
    return has_sink ? sum : metric_get(&chain->contexts[chain->count - 1]->records_out);
}

static void publish_metrics(struct task *task)
{
    struct weir_ctx *head = task->head;
    metric_set(&task->metrics.records_in,
        task->is_source ? metric_get(&head->counters[0].value) : metric_get(&head->records_in));
    metric_set(&task->metrics.records_out, count_out(task));
    metric_set(&task->metrics.bytes_out, (int64_t)chain_sent_size(&task->chain));
    if (task->gate != NULL)
        metric_set(&task->metrics.bytes_in, (int64_t)gate_got_size(task->gate));
    metric_set(&task->metrics.unpublished, chain_unpublished(&task->chain));
    if (head->keyed != NULL) { /* only the head of a chain has keyed state */
        struct keyed_expired expired = keyed_expired(head->keyed);
        metric_set(&task->metrics.expired_met, (int64_t)expired.met);
        metric_set(&task->metrics.expired_dropped, (int64_t)expired.dropped);
    }
    if (task->now_ms < task->next_metrics_ms)
        return;
    task->next_metrics_ms = task->now_ms + 200;
    if (task->is_source && head->op->source.source_class->lag != NULL)
        metric_set(&task->metrics.lag,
            task->state == TASK_ENDED ? 0
                                      : head->op->source.source_class->lag(head, head->instance));
    int64_t size = 0;
    for (uint32_t i = 0; i < task->chain.count; i++) {
        if (task->chain.contexts[i]->keyed == NULL)
            continue;
        struct backend *backend = keyed_backend(task->chain.contexts[i]->keyed);
        size += (int64_t)backend->backend_class->size(backend);
    }
    metric_set(&task->metrics.state_size, size);
}

enum task_result task_step(struct task *task)
{
    int64_t started_ns = os_monotonic_ns();
    task->now_ms = os_wall_ms();
    if (task->state == TASK_FAILED)
        return TASK_IDLE;
    if (task->state == TASK_CREATED)
        return open_task(task);
    arena_reset(&task->chain.scratch);
    enum task_result result = read_letters(task) ? work(task) : TASK_IDLE;
    if (task->state != TASK_FAILED) {
        flush(task, result);
        publish_metrics(task);
    }
    account(task, started_ns, result);
    return result;
}

int64_t task_deadline_ms(const struct task *task)
{
    if (task->state == TASK_FAILED || task->last_result == TASK_NO_ROOM)
        return INT64_MAX;
    int64_t deadline = INT64_MAX;
    if (task->head->timers != NULL)
        deadline = timers_next_ms(task->head->timers, WEIR_PROCESSING_TIME);
    if (task->is_source && task->state == TASK_RUNNING && task->next_poll_ms < deadline)
        deadline = task->next_poll_ms;
    return deadline;
}

/* -- from outside ------------------------------------------------------------------------------------ */

void task_post(struct task *task, struct letter letter)
{
    mailbox_push(task->mailbox, letter);
}

static void on_stop(struct task *task, void *arg)
{
    (void)arg;
    if (task->is_source && task->state == TASK_RUNNING)
        task->state = TASK_STOPPED;
}

void task_stop(struct task *task)
{
    task_post(task, (struct letter){ .what = "stop", .run = on_stop });
}

static void on_drain(struct task *task, void *arg)
{
    (void)arg;
    if (task->is_source && task->state == TASK_RUNNING)
        end(task);
}

void task_drain(struct task *task)
{
    task_post(task, (struct letter){ .what = "drain", .run = on_drain });
}

const struct task_metrics *task_metrics(const struct task *task)
{
    return &task->metrics;
}

const struct plan_vertex *task_vertex(const struct task *task)
{
    return task->vertex;
}

uint32_t task_number(const struct task *task)
{
    return task->number;
}

int task_wake_fd(const struct task *task)
{
    return task->waker == NULL ? -1 : waker_fd(task->waker);
}

void task_counters(const struct task *task,
    void (*each)(void *arg, const char *uid, const char *name, int64_t value), void *arg)
{
    for (uint32_t i = 0; i < task->chain.count; i++) {
        const struct weir_ctx *ctx = task->chain.contexts[i];
        for (uint32_t c = 0; c < ctx->counter_count; c++)
            each(arg, ctx->op->uid, ctx->counters[c].name, metric_get(&ctx->counters[c].value));
    }
}
