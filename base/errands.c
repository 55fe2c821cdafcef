/* errands.c -- see errands.h. */
#include "base/errands.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/queue.h"

/* Thread: the owner's; `of` and `run` are the worker's, too. */
struct errand {
    struct errand *next;
    struct errands *of;
    const void *lane;
    void (*run)(void *arg);
    void (*done)(void *arg, bool is_over);
    void *arg;
};

struct errands {
    struct workers *workers;
    struct waker *waker;
    uint32_t count, count_max;
    struct errand *under_way;
    struct inbox *ended; /* Thread: workers push */
};

struct errands *errands_new(struct workers *workers, struct waker *waker, uint32_t count_max)
{
    struct errands *errands = mem_alloc(sizeof(*errands));
    errands->workers = workers;
    errands->waker = waker;
    errands->count_max = count_max;
    errands->ended = inbox_new(count_max, sizeof(struct errand *));
    return errands;
}

/* Thread: worker. */
static void run(void *arg)
{
    struct errand *it = arg;
    struct waker *waker = it->of->waker; /* the owner may be done with it when it is in the inbox */
    it->run(it->arg);
    ASSERT(inbox_push(it->of->ended, &it)); /* it has as many places as there are errands */
    waker_wake(waker);
}

bool errands_submit(struct errands *errands, const void *lane, void (*run_it)(void *arg),
    void (*done)(void *arg, bool is_over), void *arg)
{
    if (errands->count == errands->count_max)
        return false;
    struct errand *it = mem_alloc(sizeof(*it));
    *it = (struct errand){ .next = errands->under_way,
        .of = errands,
        .lane = lane == NULL ? it : lane,
        .run = run_it,
        .done = done,
        .arg = arg };
    if (!workers_submit(errands->workers, it->lane, run, it)) {
        mem_free(it);
        return false;
    }
    errands->under_way = it;
    errands->count++;
    return true;
}

static void end(struct errands *errands, struct errand *it, bool is_over)
{
    struct errand **link = &errands->under_way;
    while (*link != it)
        link = &(*link)->next;
    *link = it->next;
    errands->count--;
    it->done(it->arg, is_over);
    mem_free(it);
}

void errands_step(struct errands *errands)
{
    struct errand *it;
    while (inbox_take(errands->ended, &it))
        end(errands, it, false);
}

void errands_free(struct errands *errands)
{
    struct errand *it;
    if (errands == NULL)
        return;
    for (it = errands->under_way; it != NULL; it = it->next)
        workers_drain(errands->workers, it->lane);
    while (inbox_take(errands->ended, &it))
        end(errands, it, true);
    ASSERT(errands->count == 0);
    inbox_free(errands->ended);
    mem_free(errands);
}
