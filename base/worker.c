/* worker.c -- a queue of jobs in order of submission, and threads that take the first runnable one.
 *
 * A job is runnable when no job of its lane is running. Looking from the front, the first job of a
 * lane is found before its later ones, so each lane keeps its order without queues of its own. The
 * search is linear: jobs are few (jobs_max) and long (an upload, an fsync). */
#include "base/worker.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 256u
#define JOBS_MAX    (1u << 20)

/* Thread: its lock. */
struct job {
    const void *lane;
    void (*run)(void *arg);
    void *arg;
};

/* Thread: any; `lock` guards all that is not immutable after init. */
struct workers {
    pthread_mutex_t lock;
    pthread_cond_t submitted; /* something may have become runnable, or is_stopping */
    pthread_cond_t finished;  /* a job has ended */
    struct job *waiting;      /* oldest first */
    uint32_t waiting_count;
    uint32_t jobs_max;   /* immutable */
    struct job *running; /* one a thread, and one for workers_step */
    uint32_t running_count;
    pthread_t *threads;    /* immutable */
    uint32_t thread_count; /* immutable */
    bool is_stopping;
};

static void lock(struct workers *workers)
{
    ASSERT(pthread_mutex_lock(&workers->lock) == 0);
}

static void unlock(struct workers *workers)
{
    ASSERT(pthread_mutex_unlock(&workers->lock) == 0);
}

/* -- the queue: all under the lock ---------------------------------------------------------- */

static bool lane_is_running(const struct workers *workers, const void *lane)
{
    for (uint32_t i = 0; i < workers->running_count; i++)
        if (workers->running[i].lane == lane)
            return true;
    return false;
}

static bool lane_is_waiting(const struct workers *workers, const void *lane)
{
    for (uint32_t i = 0; i < workers->waiting_count; i++)
        if (workers->waiting[i].lane == lane)
            return true;
    return false;
}

static void waiting_remove(struct workers *workers, uint32_t index)
{
    ASSERT(index < workers->waiting_count);
    workers->waiting_count--;
    memmove(workers->waiting + index, workers->waiting + index + 1,
        (workers->waiting_count - index) * sizeof(*workers->waiting));
}

/* Takes the first runnable job, of `lane` only if `is_of_lane`. */
static bool job_take(struct workers *workers, bool is_of_lane, const void *lane, struct job *job)
{
    for (uint32_t i = 0; i < workers->waiting_count; i++) {
        *job = workers->waiting[i];
        if (is_of_lane && job->lane != lane)
            continue;
        if (job->lane != NULL && lane_is_running(workers, job->lane))
            continue;
        waiting_remove(workers, i);
        return true;
    }
    return false;
}

/* Runs a taken job with the lock released meanwhile. */
static void job_run(struct workers *workers, struct job job)
{
    ASSERT(workers->running_count <= workers->thread_count);
    workers->running[workers->running_count++] = job;
    unlock(workers);
    job.run(job.arg);
    lock(workers);
    uint32_t index = 0;
    while (workers->running[index].run != job.run || workers->running[index].arg != job.arg ||
           workers->running[index].lane != job.lane)
        index++;
    ASSERT(index < workers->running_count);
    workers->running[index] = workers->running[--workers->running_count];
    ASSERT(pthread_cond_broadcast(&workers->finished) == 0);
    /* The next job of this lane has become runnable. */
    ASSERT(pthread_cond_broadcast(&workers->submitted) == 0);
}

/* -- shared work ---------------------------------------------------------------------------- */

/* Thread: any. */
struct share {
    void (*run)(void *arg, uint64_t index);
    void *arg;
    uint64_t count;
    _Atomic uint64_t next;
};

static void help(void *arg)
{
    struct share *share = arg;
    uint64_t index;
    while ((index = atomic_fetch_add(&share->next, 1)) < share->count)
        share->run(share->arg, index);
}

/* -- threads -------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
    struct workers *workers = arg;
    struct job job;
    lock(workers);
    for (;;) {
        if (job_take(workers, false, NULL, &job))
            job_run(workers, job);
        else if (workers->is_stopping && workers->waiting_count == 0)
            break;
        else
            ASSERT(pthread_cond_wait(&workers->submitted, &workers->lock) == 0);
    }
    unlock(workers);
    return NULL;
}

/* Signals are for the main thread: workers block them all. */
static void threads_start(struct workers *workers)
{
    sigset_t all, before;
    sigfillset(&all);
    ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    for (uint32_t i = 0; i < workers->thread_count; i++) {
        /* tidy: allow banned-call, because these are the threads the simulator has none of */
        int error = pthread_create(&workers->threads[i], NULL, thread_main, workers);
        if (error != 0) {
            fprintf(stderr, "weir: cannot start worker thread %u: %s; raise the limit of threads\n",
                i, strerrordesc_np(error));
            abort();
        }
        char name[16];
        snprintf(name, sizeof(name), "weir-work-%u", i % 1000);
        pthread_setname_np(workers->threads[i], name);
    }
    ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

struct workers *workers_new(uint32_t thread_count, uint32_t jobs_max)
{
    ASSERT(thread_count <= THREADS_MAX);
    ASSERT(jobs_max >= 1 && jobs_max <= JOBS_MAX);
    struct workers *workers = mem_alloc(sizeof(*workers));
    ASSERT(pthread_mutex_init(&workers->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&workers->submitted, NULL) == 0);
    ASSERT(pthread_cond_init(&workers->finished, NULL) == 0);
    workers->jobs_max = jobs_max;
    workers->waiting = mem_alloc_array(jobs_max, sizeof(*workers->waiting));
    workers->thread_count = thread_count;
    workers->running = mem_alloc_array(thread_count + 1, sizeof(*workers->running));
    workers->threads = mem_alloc_array(thread_count, sizeof(*workers->threads));
    threads_start(workers);
    return workers;
}

void workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    lock(workers);
    workers->is_stopping = true;
    ASSERT(pthread_cond_broadcast(&workers->submitted) == 0);
    unlock(workers);
    for (uint32_t i = 0; i < workers->thread_count; i++)
        ASSERT(pthread_join(workers->threads[i], NULL) == 0);
    while (workers->thread_count == 0 && workers_step(workers))
        ;
    ASSERT(workers->waiting_count == 0 && workers->running_count == 0);
    ASSERT(pthread_cond_destroy(&workers->finished) == 0);
    ASSERT(pthread_cond_destroy(&workers->submitted) == 0);
    ASSERT(pthread_mutex_destroy(&workers->lock) == 0);
    mem_free(workers->threads);
    mem_free(workers->running);
    mem_free(workers->waiting);
    mem_free(workers);
}

uint32_t workers_jobs_max(const struct workers *workers)
{
    return workers->jobs_max;
}

bool workers_submit(struct workers *workers, const void *lane, void (*run)(void *arg), void *arg)
{
    ASSERT(run != NULL);
    lock(workers);
    bool has_room = workers->waiting_count < workers->jobs_max;
    if (has_room) {
        workers->waiting[workers->waiting_count++] =
            (struct job){ .lane = lane, .run = run, .arg = arg };
        ASSERT(pthread_cond_signal(&workers->submitted) == 0);
    }
    unlock(workers);
    return has_room;
}

bool workers_step(struct workers *workers)
{
    ASSERT(workers->thread_count == 0);
    struct job job;
    lock(workers);
    bool has_job = job_take(workers, false, NULL, &job);
    if (has_job)
        job_run(workers, job);
    unlock(workers);
    return has_job;
}

bool workers_is_running(struct workers *workers)
{
    lock(workers);
    bool is_running = workers->running_count > 0;
    unlock(workers);
    return is_running;
}

bool workers_is_waiting(struct workers *workers)
{
    lock(workers);
    bool is_waiting = workers->waiting_count > 0;
    unlock(workers);
    return is_waiting;
}

void workers_share(struct workers *workers, uint64_t count, void (*run)(void *arg, uint64_t index),
    void *arg)
{
    struct share share = { .run = run, .arg = arg, .count = count };
    uint64_t helper_count = workers == NULL ? 0 : workers->thread_count;
    uint64_t useful = os_cpu_count() - 1; /* more would only take memory */
    for (uint64_t i = 0; i < helper_count && i < useful && i + 1 < count; i++)
        if (!workers_submit(workers, NULL, help, &share))
            break;
    help(&share);
    if (helper_count > 0) /* all is taken: who has not begun to help is not needed */
        workers_withdraw(workers, help, &share);
}

static bool is_running(const struct workers *workers, void (*run)(void *arg), const void *arg)
{
    for (uint32_t i = 0; i < workers->running_count; i++)
        if (workers->running[i].run == run && workers->running[i].arg == arg)
            return true;
    return false;
}

void workers_withdraw(struct workers *workers, void (*run)(void *arg), const void *arg)
{
    lock(workers);
    for (uint32_t i = workers->waiting_count; i-- > 0;)
        if (workers->waiting[i].run == run && workers->waiting[i].arg == arg)
            waiting_remove(workers, i);
    while (is_running(workers, run, arg))
        ASSERT(pthread_cond_wait(&workers->finished, &workers->lock) == 0);
    unlock(workers);
}

static bool is_idle(const struct workers *workers)
{
    return workers->waiting_count + workers->running_count == 0;
}

bool workers_wait(struct workers *workers, int64_t timeout_ms)
{
    int64_t until_ns = os_monotonic_ns() + timeout_ms * 1000000;
    struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };
    int status = 0;
    while (workers->thread_count == 0 && workers_step(workers))
        ;
    lock(workers);
    while (!is_idle(workers) && status == 0)
        status =
            pthread_cond_clockwait(&workers->finished, &workers->lock, CLOCK_MONOTONIC, &until);
    ASSERT(status == 0 || status == ETIMEDOUT);
    bool has_ended = is_idle(workers);
    unlock(workers);
    return has_ended;
}

void workers_drain(struct workers *workers, const void *lane)
{
    struct job job;
    lock(workers);
    while (lane_is_waiting(workers, lane) || lane_is_running(workers, lane)) {
        if (workers->thread_count > 0)
            ASSERT(pthread_cond_wait(&workers->finished, &workers->lock) == 0);
        else if (job_take(workers, true, lane, &job))
            job_run(workers, job);
        else
            ASSERT(false && "a job must not drain its own lane");
    }
    unlock(workers);
}
