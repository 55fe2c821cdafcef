/* os_waker.c -- how a thread sleeps until another one has something for it. Prefixes: waker_
 *
 * A wake-up must never get lost, and must cost next to nothing when the owner is busy. The state is
 *
 *     AWAKE      the owner runs, and nobody has called since it last looked
 *     WOKEN      somebody has called: the next wait returns at once
 *     ASLEEP     the owner is in poll: whoever calls must write to the descriptor
 *
 * The race, P pushes an item to a queue and wakes, O finds the queue empty and waits:
 *   1. O looks: the queue is empty.
 *   2. P pushes.                            O has not seen it.
 *   3. P wakes: the state is AWAKE, O does not poll. A mere "is it asleep?" would do nothing here.
 *      Instead P leaves WOKEN.
 *   4. O waits: AWAKE -> ASLEEP fails because of WOKEN; O takes it (WOKEN -> AWAKE) and returns.
 *   5. O looks again and finds the item.
 * If P comes after O's AWAKE -> ASLEEP, it finds ASLEEP and writes to the descriptor, and poll
 * returns. So each push is either seen by O's last look, or followed by a return from the wait.
 *
 * The cheap way out: P finds WOKEN already there and leaves. That is only right if O will look
 * after P's push, although O may be taking the WOKEN at this instant:
 *   1. P pushes (it may still sit in the store buffer of its core).
 *   2. P reads WOKEN and leaves.
 *   3. O takes WOKEN -> AWAKE, looks, and finds nothing; the push becomes visible only now.
 * Hence a full fence on both sides, between P's push and read, and between O's take and look: one
 * of the two sees the other (Dekker). The fence stays in P's core; an exchange instead would move
 * the cache line from producer to producer on every push.
 *
 * A time-out: poll ends by itself, O goes ASLEEP -> AWAKE by exchange. If P was faster, its write
 * to the descriptor ends the next poll early, once: harmless. Outside writers (waker_fd) know
 * nothing of the state; they only end polls, and a poll that was not reached finds their bytes
 * later. */
#include "base/os.h"

#include "base/assert.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { AWAKE, WOKEN, ASLEEP };

/* Thread: any for wake, the owner for the rest. */
struct waker {
    _Atomic uint32_t state;
    int fd; /* immutable after init */
};

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(HAS_TSAN)
#define HAS_TSAN 1
#endif

/* TSan knows no fences; a read-modify-write of the same word orders the same. */
static uint32_t load_fenced(struct waker *waker)
{
#ifdef HAS_TSAN
    return atomic_fetch_add_explicit(&waker->state, 0, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&waker->state, memory_order_relaxed);
#endif
}

static uint32_t exchange_fenced(struct waker *waker, uint32_t state)
{
    uint32_t before = atomic_exchange_explicit(&waker->state, state, memory_order_seq_cst);
#ifndef HAS_TSAN
    atomic_thread_fence(memory_order_seq_cst);
#endif
    return before;
}

struct waker *waker_new(void)
{
    struct waker *waker = mem_alloc(sizeof(*waker));
    waker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waker->fd < 0) {
        fprintf(stderr, "weir: cannot make an eventfd: %s; raise the limit of open files\n",
            strerrordesc_np(errno));
        ASSERT(waker->fd >= 0);
    }
    return waker;
}

void waker_free(struct waker *waker)
{
    if (waker == NULL)
        return;
    close(waker->fd);
    mem_free(waker);
}

void waker_wake(struct waker *waker)
{
    if (load_fenced(waker) == WOKEN)
        return;
    if (exchange_fenced(waker, WOKEN) != ASLEEP)
        return;
    uint64_t one = 1;
    ssize_t count;
    do
        count = write(waker->fd, &one, sizeof(one));
    while (count < 0 && errno == EINTR);
    ASSERT(count == (ssize_t)sizeof(one) || errno == EAGAIN); /* EAGAIN: 2^64-2 calls pending */
}

/* Empties the descriptor, whoever wrote to it. */
static void drain(const struct waker *waker)
{
    uint64_t calls;
    ssize_t count;
    do
        count = read(waker->fd, &calls, sizeof(calls));
    while (count < 0 && errno == EINTR);
    ASSERT(count == (ssize_t)sizeof(calls) || errno == EAGAIN);
}

bool waker_sleep(struct waker *waker)
{
    uint32_t awake = AWAKE;
    if (atomic_compare_exchange_strong(&waker->state, &awake, ASLEEP))
        return true;
    ASSERT(awake == WOKEN); /* ASLEEP would mean two owners */
    return false;
}

void waker_awake(struct waker *waker, bool is_ready)
{
    if (is_ready)
        drain(waker);
    exchange_fenced(waker, AWAKE);
}

void waker_wait(struct waker *waker, int64_t timeout_ms)
{
    int ready = 0;
    if (waker_sleep(waker)) {
        struct pollfd poll_fd = { .fd = waker->fd, .events = POLLIN };
        int limit_ms = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
        ready = poll(&poll_fd, 1, limit_ms);
        ASSERT(ready >= 0 || errno == EINTR);
    }
    waker_awake(waker, ready > 0);
}

int waker_fd(const struct waker *waker)
{
    return waker->fd;
}
