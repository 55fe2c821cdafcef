/* executor.c -- see executor.h. */
#include "runtime/task/executor.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define TASKS_MAX    4096
#define SLEEP_MAX_MS 1000 /* a lost wake-up would cost this much, not a hang */

/* Thread: control for the list; the slot's own thread runs it. */
struct executor {
    struct task **tasks;
    uint32_t task_count;
    struct waker *waker;
    pthread_t thread;
    bool is_started;
    atomic_bool is_stopping;
    metric steps;                         /* Thread: the slot's writes, any reads */
    _Atomic(const struct task *) current; /* the same */
    char name[16];
};

struct executor *executor_new(const char *name)
{
    struct executor *executor = mem_alloc(sizeof(*executor));
    executor->waker = waker_new();
    snprintf(executor->name, sizeof(executor->name), "%s", name);
    return executor;
}

void executor_add(struct executor *executor, struct task *task)
{
    ASSERT(!executor->is_started && executor->task_count < TASKS_MAX);
    executor->tasks =
        mem_realloc(executor->tasks, (executor->task_count + 1) * sizeof(*executor->tasks));
    executor->tasks[executor->task_count++] = task;
    task_set_waker(task, executor->waker);
}

void executor_remove(struct executor *executor, const struct task *task)
{
    uint32_t i = 0;
    ASSERT(!executor->is_started);
    while (i < executor->task_count && executor->tasks[i] != task)
        i++;
    ASSERT(i < executor->task_count);
    executor->task_count--;
    memmove(executor->tasks + i, executor->tasks + i + 1,
        (executor->task_count - i) * sizeof(*executor->tasks));
}

struct waker *executor_waker(struct executor *executor)
{
    return executor->waker;
}

bool executor_round(struct executor *executor)
{
    bool has_worked = false;
    for (uint32_t i = 0; i < executor->task_count; i++) {
        metric_add(&executor->steps, 1);
        atomic_store_explicit(&executor->current, executor->tasks[i], memory_order_relaxed);
        if (task_step(executor->tasks[i]) == TASK_WORKED)
            has_worked = true;
    }
    atomic_store_explicit(&executor->current, NULL, memory_order_relaxed);
    return has_worked;
}

uint64_t executor_steps(const struct executor *executor, const struct task **task)
{
    *task = atomic_load_explicit(&executor->current, memory_order_relaxed);
    return (uint64_t)metric_get(&executor->steps);
}

bool executor_ask(const struct executor *executor, char to[OS_CRASH_TEXT_MAX])
{
    to[0] = '\0';
    return executor->is_started && os_crash_ask(executor->thread, to);
}

int64_t executor_deadline_ms(const struct executor *executor)
{
    int64_t deadline = INT64_MAX;
    for (uint32_t i = 0; i < executor->task_count; i++) {
        int64_t at = task_deadline_ms(executor->tasks[i]);
        deadline = os_earlier(at, deadline);
    }
    return deadline;
}

static int64_t sleep_ms(const struct executor *executor)
{
    int64_t left = executor_deadline_ms(executor) - os_wall_ms();
    if (left <= 0)
        return 0;
    return left < SLEEP_MAX_MS ? left : SLEEP_MAX_MS;
}

static void *run(void *arg)
{
    struct executor *executor = arg;
    while (!atomic_load_explicit(&executor->is_stopping, memory_order_acquire)) {
        if (executor_round(executor))
            continue;
        waker_wait(executor->waker, sleep_ms(executor));
    }
    return NULL;
}

bool executor_is_idle(const struct executor *executor)
{
    return !executor->is_started && executor->task_count > 0;
}

weir_error *executor_start(struct executor *executor)
{
    ASSERT(!executor->is_started);
    atomic_store_explicit(&executor->is_stopping, false, memory_order_relaxed);
    /* tidy: allow banned-call, because a slot is a thread */
    int code = pthread_create(&executor->thread, NULL, run, executor);
    if (code != 0)
        return weir_errorf(WEIR_E_LIMIT,
            "cannot start the thread of slot '%s': %s; raise the limit "
            "of threads (ulimit -u) or lower the parallelism",
            executor->name, strerror(code));
    executor->is_started = true;
    pthread_setname_np(executor->thread, executor->name);
    return NULL;
}

void executor_stop(struct executor *executor)
{
    if (!executor->is_started)
        return;
    atomic_store_explicit(&executor->is_stopping, true, memory_order_release);
    waker_wake(executor->waker);
    pthread_join(executor->thread, NULL);
    executor->is_started = false;
}

void executor_free(struct executor *executor)
{
    if (executor == NULL)
        return;
    ASSERT(!executor->is_started);
    waker_free(executor->waker);
    mem_free(executor->tasks);
    mem_free(executor);
}
