/* rates.c -- see rates.h. */
#include "web/rates.h"

#include "base/memory.h"

#include <string.h>

/* The first record rate is shown after that long. */
#define LEAST_MS 1000

/* Thread: control. The two samples of a job, all its subtasks one after another. */
struct watched {
    struct watched *next;
    char id[DISPATCHER_ID_SIZE];
    uint64_t attempt;
    uint32_t subtask_count;
    int64_t older_ms, newer_ms; /* monotonic */
    bool is_first; /* `older` has no time before it: the attempt's begin stands for it */
    struct worker_task_metrics *older, *newer;
};

struct rates {
    const struct dispatcher *dispatcher;
    struct watched *first;
};

struct rates *rates_new(const struct dispatcher *dispatcher)
{
    struct rates *rates = mem_alloc(sizeof(*rates));
    rates->dispatcher = dispatcher;
    return rates;
}

static void forget(struct watched **link)
{
    struct watched *it = *link;
    *link = it->next;
    mem_free(it->older);
    mem_free(it->newer);
    mem_free(it);
}

void rates_free(struct rates *rates)
{
    if (rates == NULL)
        return;
    while (rates->first != NULL)
        forget(&rates->first);
    mem_free(rates);
}

static void forget_what_ended(struct rates *rates)
{
    for (struct watched **link = &rates->first; *link != NULL;) {
        const struct job *job = dispatcher_find(rates->dispatcher, (*link)->id);
        if (job == NULL || job->gateway == NULL)
            forget(link);
        else
            link = &(*link)->next;
    }
}

static void sample(const struct job *job, struct worker_task_metrics *to)
{
    for (uint32_t i = 0; i < job->plan->subtask_count; i++)
        to[i] = *gateway_metrics(job->gateway, i);
}

static struct watched *watch(struct rates *rates, const struct job *job, int64_t now_ms)
{
    forget_what_ended(rates);
    uint32_t count = job->plan->subtask_count;
    struct watched *it = mem_alloc(sizeof(*it));
    memcpy(it->id, job->id, sizeof(it->id));
    it->attempt = job->stats->attempt;
    it->subtask_count = count;
    it->older_ms = it->newer_ms = now_ms;
    it->is_first = true;
    it->older = mem_alloc_array(count, sizeof(*it->older));
    it->newer = mem_alloc_array(count, sizeof(*it->newer));
    sample(job, it->older);
    memcpy(it->newer, it->older, count * sizeof(*it->older));
    it->next = rates->first;
    rates->first = it;
    return it;
}

static struct watched *find(struct rates *rates, const struct job *job)
{
    struct watched **link = &rates->first;
    while (*link != NULL && strcmp((*link)->id, job->id) != 0)
        link = &(*link)->next;
    struct watched *it = *link;
    if (it == NULL ||
        (it->attempt == job->stats->attempt && it->subtask_count == job->plan->subtask_count))
        return it;
    forget(link);
    return NULL;
}

static void turn(struct watched *it, const struct job *job, int64_t now_ms)
{
    if (now_ms - it->newer_ms < RATES_WINDOW_MS)
        return;
    struct worker_task_metrics *spare = it->older;
    it->is_first = false;
    it->older_ms = it->newer_ms;
    it->older = it->newer;
    it->newer_ms = now_ms;
    it->newer = spare;
    sample(job, it->newer);
}

/* Zero where a counter fell: a task began anew. */
static double per_second(int64_t now, int64_t before, int64_t elapsed_ms)
{
    return now <= before || elapsed_ms <= 0 ? 0
                                            : (double)(now - before) * 1000 / (double)elapsed_ms;
}

static double share(int64_t now, int64_t before, int64_t elapsed_ms)
{
    double ms = per_second(now, before, elapsed_ms);
    return ms > 1000 ? 1000 : ms;
}

struct rate rates_look(struct rates *rates, const struct job *job, uint32_t subtask, int64_t now_ms)
{
    static const struct worker_task_metrics none;
    struct watched *it = find(rates, job);
    if (it == NULL)
        it = watch(rates, job, now_ms);
    turn(it, job, now_ms);
    const struct worker_task_metrics *now = gateway_metrics(job->gateway, subtask);
    const struct worker_task_metrics *before = &it->older[subtask];
    int64_t elapsed_ms = now_ms - it->older_ms;
    struct rate rate = { 0 };
    if (elapsed_ms >= LEAST_MS) {
        rate.records_in = per_second(now->records_in, before->records_in, elapsed_ms);
        rate.records_out = per_second(now->records_out, before->records_out, elapsed_ms);
    }
    if (it->is_first) {
        before = &none;
        elapsed_ms = job->stats->running_since_ms == 0 ? 0 : now_ms - job->stats->running_since_ms;
    }
    rate.busy_ms = share(now->busy_ms, before->busy_ms, elapsed_ms);
    rate.idle_ms = share(now->idle_ms, before->idle_ms, elapsed_ms);
    rate.backpressured_ms = share(now->backpressured_ms, before->backpressured_ms, elapsed_ms);
    return rate;
}
