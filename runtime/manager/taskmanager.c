/* taskmanager.c -- see taskmanager.h.
 *
 * Freeing has one order: threads stop, the wire's last, tasks go (they hold segments, and wait for their blocking
 * work), channels go (they hold segments), the pool goes and asserts that all segments are back. */
#include "runtime/manager/taskmanager.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/exchange/wire.h"

#define BACKEND_SIZE_MIN (UINT64_C(2) << 20)
#define CHANNELS_MAX     1000000u

#define NOT_HERE UINT32_MAX

/* The channels of one edge: producer p to consumer c at [p * consumers + c]; FORWARD: [p]. NULL: no end here. */
struct edge {
    struct channel **channels;
    uint32_t channel_count;
    uint32_t first_number; /* of its channels in the job */
};

struct taskmanager {
    struct taskmanager_options options;
    const struct placement *placement; /* NULL: all is here */
    struct segment_pool *pool;
    struct edge *edges;  /* as the plan's */
    struct task **tasks; /* of the whole job; NULL: not here */
    struct executor **slots;
    uint32_t slot_count;
    uint32_t credits;       /* of each channel */
    uint32_t *group_slots;  /* first slot of each slot group, over the whole job */
    uint32_t *slot_indices; /* of the job's slots in `slots`, or NOT_HERE */
    struct backend_pool backend_pool;
    struct report report;
};

/* -- where things are ------------------------------------------------------------------------------ */

static bool is_here(const struct placement *placement, const struct plan_vertex *vertex,
    uint32_t subtask)
{
    return placement == NULL ||
           placement->workers[vertex->first_subtask + subtask] == wire_worker(placement->wire);
}

/* Which worker has a slot: that of all its subtasks. */
static uint32_t worker_of_slot(const struct plan *plan, const struct placement *placement,
    uint32_t group, uint32_t index)
{
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        if (vertex->slot_group == group && vertex->parallelism > index)
            return placement->workers[vertex->first_subtask + index];
    }
    return NOT_HERE;
}

static weir_error *check_placement(const struct plan *plan, const struct placement *placement)
{
    for (uint32_t v = 0; placement != NULL && v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            uint32_t worker = placement->workers[vertex->first_subtask + i];
            if (worker >= wire_worker_count(placement->wire) ||
                worker != worker_of_slot(plan, placement, vertex->slot_group, i))
                return weir_errorf(WEIR_E_INTERNAL,
                    "subtask %u of '%s' is placed on worker %u of %u, which has not its slot", i,
                    vertex->name, worker, wire_worker_count(placement->wire));
        }
    }
    return NULL;
}

/* -- memory --------------------------------------------------------------------------------------- */

static uint64_t pool_size(const struct taskmanager *taskmanager)
{
    return taskmanager->options.memory_size / 8;
}

static uint32_t subtasks_here(const struct placement *placement, const struct plan_vertex *vertex)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < vertex->parallelism; i++)
        count += is_here(placement, vertex, i);
    return count;
}

static uint32_t backend_count(const struct plan *plan, const struct placement *placement)
{
    uint32_t count = 0;
    for (uint32_t v = 0; v < plan->vertex_count; v++)
        for (uint32_t i = 0; i < plan->vertices[v].operator_count; i++)
            count += plan->vertices[v].operators[i].has_keyed_state
                         ? subtasks_here(placement, &plan->vertices[v])
                         : 0;
    return count;
}

uint64_t taskmanager_cache_size(const struct taskmanager *taskmanager)
{
    return taskmanager->options.memory_size / 8;
}

uint64_t taskmanager_backend_size(const struct taskmanager *taskmanager,
    const struct placement *placement)
{
    uint32_t count = backend_count(taskmanager->options.plan, placement);
    uint64_t size = taskmanager->options.memory_size / 2 / (count == 0 ? 1 : count);
    return size < BACKEND_SIZE_MIN ? BACKEND_SIZE_MIN : size;
}

struct backend_pool *taskmanager_backend_pool(struct taskmanager *taskmanager)
{
    return &taskmanager->backend_pool;
}

static uint32_t channels_of(const struct plan *plan, const struct plan_edge *edge)
{
    uint32_t producers = plan->vertices[edge->from_vertex].parallelism;
    uint32_t consumers = plan->vertices[edge->to_vertex].parallelism;
    if (edge->partitioner == PARTITIONER_FORWARD) {
        ASSERT(producers == consumers);
        return producers;
    }
    return producers * consumers; /* below 2^30: key_group.h's limit */
}

/* Who is at the ends of channel `index` of an edge. */
static void ends_of(const struct plan *plan, const struct plan_edge *edge, uint32_t index,
    uint32_t *producer, uint32_t *consumer)
{
    bool is_forward = edge->partitioner == PARTITIONER_FORWARD;
    uint32_t consumers = plan->vertices[edge->to_vertex].parallelism;
    *producer = is_forward ? index : index / consumers;
    *consumer = is_forward ? index : index % consumers;
}

/* Channels of an edge that have an end here, those that have only one twice. */
static uint64_t channels_here(const struct placement *placement, const struct plan *plan,
    const struct plan_edge *edge)
{
    const struct plan_vertex *from = &plan->vertices[edge->from_vertex];
    const struct plan_vertex *to = &plan->vertices[edge->to_vertex];
    uint64_t ends = 0;
    if (placement == NULL)
        return channels_of(plan, edge);
    for (uint32_t i = 0; i < channels_of(plan, edge); i++) {
        uint32_t producer, consumer;
        ends_of(plan, edge, i, &producer, &consumer);
        bool is_from = is_here(placement, from, producer), is_to = is_here(placement, to, consumer);
        ends += is_from && is_to ? 1 : is_from || is_to ? 2 : 0;
    }
    return ends;
}

/* Each channel has a segment being filled and its credits, and between processes as many again, which are lent to find a
 * barrier; half of the pool is for that. */
static weir_error *size_channels(const struct taskmanager *taskmanager, uint32_t *credits)
{
    const struct plan *plan = taskmanager->options.plan;
    uint64_t count = 0;
    for (uint32_t e = 0; e < plan->edge_count; e++)
        count += channels_here(taskmanager->placement, plan, &plan->edges[e]);
    *credits = CHANNEL_CREDITS_DEFAULT;
    if (count == 0)
        return NULL;
    uint64_t needed = count * 2 * SEGMENT_SIZE * 16;
    if (count > CHANNELS_MAX || taskmanager->options.memory_size < needed)
        return weir_errorf(WEIR_E_LIMIT,
            "the job has %llu channels between its subtasks, which need --memory %lluMB or more; "
            "give it that, or lower the parallelism",
            (unsigned long long)count, (unsigned long long)((needed >> 20) + 1));
    uint64_t share = pool_size(taskmanager) / 2 / (count * SEGMENT_SIZE) - 1;
    if (share < *credits)
        *credits = share < 1 ? 1 : (uint32_t)share;
    return NULL;
}

/* -- making --------------------------------------------------------------------------------------- */

struct taskmanager *taskmanager_new(const struct taskmanager_options *options)
{
    struct taskmanager *taskmanager = mem_alloc(sizeof(*taskmanager));
    taskmanager->options = *options;
    taskmanager->backend_pool.size = options->memory_size / 2;
    mem_keep(options->memory_size);
    report_init(&taskmanager->report);
    return taskmanager;
}

void taskmanager_free(struct taskmanager *taskmanager)
{
    if (taskmanager == NULL)
        return;
    ASSERT(taskmanager->pool == NULL);
    report_release(&taskmanager->report);
    mem_free(taskmanager);
}

static bool is_slot_here(const struct taskmanager *taskmanager, uint32_t group, uint32_t index)
{
    const struct placement *placement = taskmanager->placement;
    return placement == NULL || worker_of_slot(taskmanager->options.plan, placement, group,
                                    index) == wire_worker(placement->wire);
}

static void make_slot(struct taskmanager *taskmanager, uint32_t group, uint32_t index)
{
    uint32_t slot = taskmanager->group_slots[group] + index;
    taskmanager->slot_indices[slot] = NOT_HERE;
    if (!is_slot_here(taskmanager, group, index))
        return;
    char *name = mem_printf("%.9s-%u", taskmanager->options.plan->slot_groups[group], index);
    taskmanager->slot_indices[slot] = taskmanager->slot_count;
    taskmanager->slots[taskmanager->slot_count++] = executor_new(name);
    mem_free(name);
}

static void make_slots(struct taskmanager *taskmanager)
{
    const struct plan *plan = taskmanager->options.plan;
    uint32_t count = 0;
    taskmanager->group_slots = mem_alloc_array(plan->slot_group_count, sizeof(uint32_t));
    for (uint32_t g = 0; g < plan->slot_group_count; g++) {
        taskmanager->group_slots[g] = count;
        count += plan->slot_group_sizes[g];
    }
    taskmanager->slots = mem_alloc_array(count, sizeof(*taskmanager->slots));
    taskmanager->slot_indices = mem_alloc_array(count, sizeof(uint32_t));
    for (uint32_t g = 0; g < plan->slot_group_count; g++)
        for (uint32_t i = 0; i < plan->slot_group_sizes[g]; i++)
            make_slot(taskmanager, g, i);
}

static struct executor *slot_of(struct taskmanager *taskmanager, const struct plan_vertex *vertex,
    uint32_t subtask)
{
    uint32_t slot =
        taskmanager->slot_indices[taskmanager->group_slots[vertex->slot_group] + subtask];
    ASSERT(slot < taskmanager->slot_count);
    return taskmanager->slots[slot];
}

/* Who is woken at an end of a channel: the slot of the task, or the thread of the wire. */
static struct waker *waker_of(struct taskmanager *taskmanager, const struct plan_vertex *vertex,
    uint32_t subtask)
{
    if (!taskmanager->options.is_threaded)
        return NULL;
    if (!is_here(taskmanager->placement, vertex, subtask))
        return wire_waker(taskmanager->placement->wire);
    return executor_waker(slot_of(taskmanager, vertex, subtask));
}

static void make_channel(struct taskmanager *taskmanager, uint32_t index, uint32_t i)
{
    const struct plan *plan = taskmanager->options.plan;
    const struct placement *placement = taskmanager->placement;
    const struct plan_vertex *from = &plan->vertices[plan->edges[index].from_vertex];
    const struct plan_vertex *to = &plan->vertices[plan->edges[index].to_vertex];
    struct edge *edge = &taskmanager->edges[index];
    uint32_t producer, consumer;
    ends_of(plan, &plan->edges[index], i, &producer, &consumer);
    bool is_from = is_here(placement, from, producer), is_to = is_here(placement, to, consumer);
    if (!is_from && !is_to)
        return;
    struct channel *channel = edge->channels[i] = channel_new(taskmanager->credits);
    channel_set_wakers(channel, waker_of(taskmanager, from, producer),
        waker_of(taskmanager, to, consumer));
    if (!is_to)
        wire_add_output(placement->wire, placement->workers[to->first_subtask + consumer],
            edge->first_number + i, channel);
    if (!is_from)
        wire_add_input(placement->wire, placement->workers[from->first_subtask + producer],
            edge->first_number + i, channel);
}

static void make_edges(struct taskmanager *taskmanager)
{
    const struct plan *plan = taskmanager->options.plan;
    uint32_t number = 0;
    taskmanager->edges = mem_alloc_array(plan->edge_count + 1, sizeof(*taskmanager->edges));
    for (uint32_t e = 0; e < plan->edge_count; e++) {
        struct edge *edge = &taskmanager->edges[e];
        edge->first_number = number;
        edge->channel_count = channels_of(plan, &plan->edges[e]);
        edge->channels = mem_alloc_array(edge->channel_count, sizeof(*edge->channels));
        number += edge->channel_count;
    }
}

/* NULL: all of them. */
static bool is_of(const bool *subtasks, uint32_t subtask)
{
    return subtasks == NULL || subtasks[subtask];
}

/* Both ends of a channel are of one region. */
static void each_channel(struct taskmanager *taskmanager, const bool *subtasks,
    void (*call)(struct taskmanager *taskmanager, uint32_t edge, uint32_t i))
{
    const struct plan *plan = taskmanager->options.plan;
    for (uint32_t e = 0; e < plan->edge_count; e++) {
        const struct plan_vertex *from = &plan->vertices[plan->edges[e].from_vertex];
        const struct plan_vertex *to = &plan->vertices[plan->edges[e].to_vertex];
        for (uint32_t i = 0; i < taskmanager->edges[e].channel_count; i++) {
            uint32_t producer, consumer;
            ends_of(plan, &plan->edges[e], i, &producer, &consumer);
            bool is_part = is_of(subtasks, from->first_subtask + producer);
            ASSERT(is_part == is_of(subtasks, to->first_subtask + consumer));
            if (is_part)
                call(taskmanager, e, i);
        }
    }
}

/* -- one task ------------------------------------------------------------------------------------- */

static struct partition *make_partition(struct taskmanager *taskmanager, uint32_t index,
    uint32_t subtask)
{
    const struct plan *plan = taskmanager->options.plan;
    const struct plan_edge *it = &plan->edges[index];
    const struct edge *edge = &taskmanager->edges[index];
    struct partition_options options = { .kind = it->partitioner,
        .type = it->type,
        .key = it->key,
        .max_parallelism = plan->max_parallelism,
        .subtask = subtask,
        .pool = taskmanager->pool };
    uint32_t consumers =
        it->partitioner == PARTITIONER_FORWARD ? 1 : plan->vertices[it->to_vertex].parallelism;
    return partition_new(&options, edge->channels + (size_t)subtask * consumers, consumers);
}

/* The channels that lead to a subtask, edge by edge; the caller frees the array. */
static struct channel **inputs_of(const struct taskmanager *taskmanager,
    const struct plan_vertex *vertex, uint32_t subtask, uint32_t *count)
{
    const struct plan *plan = taskmanager->options.plan;
    struct channel **inputs = NULL;
    *count = 0;
    for (uint32_t i = 0; i < vertex->in_edge_count; i++) {
        const struct edge *edge = &taskmanager->edges[vertex->in_edges[i]];
        bool is_forward = plan->edges[vertex->in_edges[i]].partitioner == PARTITIONER_FORWARD;
        uint32_t producers = is_forward ? 1 : edge->channel_count / vertex->parallelism;
        inputs = mem_realloc(inputs, (*count + producers) * sizeof(struct channel *));
        for (uint32_t p = 0; p < producers; p++)
            inputs[(*count)++] = edge->channels[p * vertex->parallelism + subtask];
    }
    return inputs;
}

static struct task *make_task(struct taskmanager *taskmanager, const struct task_host *host,
    const struct deployment *deployment, uint32_t v, uint32_t subtask)
{
    const struct plan_vertex *vertex = &taskmanager->options.plan->vertices[v];
    struct partition **partitions =
        mem_alloc_array(vertex->out_edge_count + 1, sizeof(struct partition *));
    for (uint32_t i = 0; i < vertex->out_edge_count; i++)
        partitions[i] = make_partition(taskmanager, vertex->out_edges[i], subtask);
    uint32_t input_count;
    struct channel **inputs = inputs_of(taskmanager, vertex, subtask, &input_count);
    struct task_options options = { .plan = taskmanager->options.plan,
        .vertex = v,
        .subtask = subtask,
        .host = host,
        .inputs = inputs,
        .input_count = input_count,
        .partitions = partitions,
        .restore = deployment->restore,
        .last_checkpoint = deployment->last_checkpoint };
    struct task *task = task_new(&options);
    mem_free(inputs);
    return task;
}

/* -- deploying ------------------------------------------------------------------------------------ */

/* Those that have, or will have, tasks of these. All stop before the first task goes: two slots may share a channel. */
static void stop_slots(struct taskmanager *taskmanager, const bool *subtasks)
{
    const struct plan *plan = taskmanager->options.plan;
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        for (uint32_t i = 0; i < vertex->parallelism; i++)
            if (is_here(taskmanager->placement, vertex, i) &&
                is_of(subtasks, vertex->first_subtask + i))
                executor_stop(slot_of(taskmanager, vertex, i));
    }
}

/* Those that have something to do, and do not run. */
static weir_error *start_slots(struct taskmanager *taskmanager)
{
    for (uint32_t i = 0; taskmanager->options.is_threaded && i < taskmanager->slot_count; i++)
        if (executor_is_idle(taskmanager->slots[i]))
            WEIR_TRY(executor_start(taskmanager->slots[i]));
    return NULL;
}

static weir_error *start(struct taskmanager *taskmanager, bool is_all)
{
    const struct placement *placement = taskmanager->placement;
    if (placement != NULL && is_all)
        wire_connect(placement->wire, placement->addresses, taskmanager->pool,
            placement->connect_timeout_ms);
    if (placement != NULL && is_all && taskmanager->options.is_threaded)
        WEIR_TRY(wire_start(placement->wire));
    return start_slots(taskmanager);
}

/* What all tasks share, made with the first. */
static weir_error *make_ground(struct taskmanager *taskmanager, const struct placement *placement)
{
    const struct plan *plan = taskmanager->options.plan;
    WEIR_TRY(check_placement(plan, placement));
    taskmanager->placement = placement;
    WEIR_TRY(size_channels(taskmanager, &taskmanager->credits));
    taskmanager->pool = segment_pool_new(pool_size(taskmanager));
    make_slots(taskmanager);
    make_edges(taskmanager);
    taskmanager->tasks = mem_alloc_array(plan->subtask_count, sizeof(struct task *));
    return NULL;
}

weir_error *taskmanager_deploy(struct taskmanager *taskmanager, const struct task_host *host,
    const struct deployment *deployment)
{
    const struct plan *plan = taskmanager->options.plan;
    const bool *subtasks = deployment->subtasks;
    ASSERT((taskmanager->pool == NULL) == (subtasks == NULL));
    if (subtasks == NULL)
        WEIR_TRY(make_ground(taskmanager, deployment->placement));
    stop_slots(taskmanager, subtasks);
    each_channel(taskmanager, subtasks, make_channel);
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            if (!is_here(taskmanager->placement, vertex, i) ||
                !is_of(subtasks, vertex->first_subtask + i))
                continue;
            struct task *task = make_task(taskmanager, host, deployment, v, i);
            ASSERT(taskmanager->tasks[vertex->first_subtask + i] == NULL);
            taskmanager->tasks[vertex->first_subtask + i] = task;
            executor_add(slot_of(taskmanager, vertex, i), task);
        }
    }
    return FAULT_STEP(DEPLOY_START, start(taskmanager, subtasks == NULL));
}

static void free_tasks(struct taskmanager *taskmanager, const bool *subtasks)
{
    const struct plan *plan = taskmanager->options.plan;
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            struct task **task = &taskmanager->tasks[vertex->first_subtask + i];
            if (*task == NULL || !is_of(subtasks, vertex->first_subtask + i))
                continue;
            executor_remove(slot_of(taskmanager, vertex, i), *task);
            task_free(*task);
            *task = NULL;
        }
    }
}

static void report_all(struct taskmanager *taskmanager)
{
    const struct plan *plan = taskmanager->options.plan;
    report_reset(&taskmanager->report);
    for (uint32_t v = 0; v < plan->vertex_count; v++) {
        const struct plan_vertex *vertex = &plan->vertices[v];
        for (uint32_t i = 0; i < vertex->parallelism; i++) {
            const struct task *task = taskmanager->tasks[vertex->first_subtask + i];
            if (task != NULL)
                report_add(&taskmanager->report, task, i);
        }
    }
    report_sort(&taskmanager->report);
}

static void free_channel(struct taskmanager *taskmanager, uint32_t edge, uint32_t i)
{
    channel_free(taskmanager->edges[edge].channels[i]);
    taskmanager->edges[edge].channels[i] = NULL;
}

static void free_ground(struct taskmanager *taskmanager)
{
    for (uint32_t e = 0; e < taskmanager->options.plan->edge_count; e++)
        mem_free(taskmanager->edges[e].channels);
    for (uint32_t i = 0; i < taskmanager->slot_count; i++)
        executor_free(taskmanager->slots[i]);
    mem_free(taskmanager->edges);
    mem_free(taskmanager->tasks);
    mem_free(taskmanager->slots);
    mem_free(taskmanager->group_slots);
    mem_free(taskmanager->slot_indices);
    taskmanager->edges = NULL;
    taskmanager->tasks = NULL;
    taskmanager->slots = NULL;
    taskmanager->group_slots = NULL;
    taskmanager->slot_indices = NULL;
    taskmanager->placement = NULL;
    taskmanager->slot_count = 0;
    segment_pool_free(taskmanager->pool);
    taskmanager->pool = NULL;
}

void taskmanager_tear_down(struct taskmanager *taskmanager, const bool *subtasks)
{
    bool is_all = subtasks == NULL;
    if (taskmanager->pool == NULL)
        return;
    stop_slots(taskmanager, subtasks);
    if (is_all && taskmanager->placement != NULL)
        wire_stop(taskmanager->placement->wire);
    if (is_all)
        report_all(taskmanager);
    free_tasks(taskmanager, subtasks);
    each_channel(taskmanager, subtasks, free_channel);
    if (is_all) {
        free_ground(taskmanager);
        return;
    }
    weir_error *error = start_slots(taskmanager);
    if (error != NULL) /* the next deployment tries again, and fails the job then */
        log_warn("job", "tasks stand still: %s", weir_error_message(error));
    weir_error_free(error);
}

/* -- talking to the tasks ------------------------------------------------------------------------- */

static bool is_source(const struct task *task)
{
    return task_vertex(task)->operators[0].kind == PLAN_SOURCE;
}

static void each_task(struct taskmanager *taskmanager, bool only_sources,
    void (*call)(struct task *task, uint64_t checkpoint), uint64_t checkpoint)
{
    ASSERT(taskmanager->tasks != NULL);
    for (uint32_t i = 0; i < taskmanager->options.plan->subtask_count; i++) {
        struct task *task = taskmanager->tasks[i];
        if (task != NULL && (!only_sources || is_source(task)))
            call(task, checkpoint);
    }
}

static void stop_task(struct task *task, uint64_t checkpoint)
{
    (void)checkpoint;
    task_stop(task);
}

static void drain_task(struct task *task, uint64_t checkpoint)
{
    (void)checkpoint;
    task_drain(task);
}

void taskmanager_trigger(struct taskmanager *taskmanager, uint64_t checkpoint)
{
    each_task(taskmanager, true, task_trigger, checkpoint);
}

void taskmanager_complete(struct taskmanager *taskmanager, uint64_t checkpoint)
{
    each_task(taskmanager, false, task_complete, checkpoint);
}

void taskmanager_overtake(struct taskmanager *taskmanager, uint64_t checkpoint)
{
    each_task(taskmanager, false, task_overtake, checkpoint);
}

void taskmanager_abort(struct taskmanager *taskmanager, uint64_t checkpoint)
{
    each_task(taskmanager, false, task_abort, checkpoint);
}

void taskmanager_stop(struct taskmanager *taskmanager)
{
    each_task(taskmanager, true, stop_task, 0);
}

void taskmanager_drain(struct taskmanager *taskmanager)
{
    each_task(taskmanager, true, drain_task, 0);
}

bool taskmanager_has_published(const struct taskmanager *taskmanager, uint64_t checkpoint)
{
    ASSERT(taskmanager->tasks != NULL);
    for (uint32_t i = 0; i < taskmanager->options.plan->subtask_count; i++) {
        if (taskmanager->tasks[i] == NULL)
            continue;
        const struct task_metrics *metrics = task_metrics(taskmanager->tasks[i]);
        if ((uint64_t)metric_get(&metrics->notified) < checkpoint)
            return false;
        /* Set before `notified` (snapshot.c): what is read now is not older. */
        atomic_thread_fence(memory_order_acquire);
        if (metric_get(&metrics->unpublished) > 0)
            return false;
    }
    return true;
}

/* -- for those who look --------------------------------------------------------------------------- */

uint32_t taskmanager_slot_count(const struct taskmanager *taskmanager)
{
    return taskmanager->slot_count;
}

struct executor *taskmanager_slot(struct taskmanager *taskmanager, uint32_t slot)
{
    ASSERT(slot < taskmanager->slot_count);
    return taskmanager->slots[slot];
}

const struct task *taskmanager_task(const struct taskmanager *taskmanager, uint32_t subtask)
{
    ASSERT(subtask < taskmanager->options.plan->subtask_count);
    return taskmanager->tasks == NULL ? NULL : taskmanager->tasks[subtask];
}

const struct report *taskmanager_report(const struct taskmanager *taskmanager)
{
    return &taskmanager->report;
}
