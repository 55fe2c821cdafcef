/* os_signal.c -- see os_signal.h. A handler may call write, alarm and _exit, and touch lock-free
 * atomics; waker_wake would do no more than a write, but its fence protocol belongs to threads, so
 * the handler writes to the descriptor as an outside writer does. Prefixes: os_ */
#include "base/os_signal.h"

#include "base/assert.h"
#include "base/os.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S  1
#define ONE_BLOW_NS INT64_C(50000000)

static _Atomic uint32_t seen;
static _Atomic uint32_t user_seen;
static _Atomic int64_t counted_ns; /* when the last one was counted */
static _Atomic int last_signal;
static _Atomic int wake_fd = -1;
static struct sigaction old_int, old_term, old_alarm, old_size, old_pipe, old_user;

/* timeout(1) and others signal the process and its group: the same blow, felt twice. */
static bool is_same_blow(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        return false;
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (atomic_load(&seen) > 0 && now_ns - atomic_load(&counted_ns) < ONE_BLOW_NS)
        return true;
    atomic_store(&counted_ns, now_ns);
    return false;
}

/* Keeps errno. */
static void wake_watcher(void)
{
    int saved = errno, fd = atomic_load(&wake_fd);
    uint64_t one = 1;
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        errno = saved; /* full: it is awake already */
    errno = saved;
}

static void on_user(int number)
{
    (void)number;
    atomic_fetch_add(&user_seen, 1);
    wake_watcher();
}

static void on_signal(int number)
{
    if (is_same_blow())
        return;
    atomic_store(&last_signal, number);
    uint32_t count = atomic_fetch_add(&seen, 1) + 1;
    if (count > 2)
        _exit(128 + number);
    if (count == 2)
        alarm(PATIENCE_S);
    wake_watcher();
}

static void on_alarm(int number)
{
    (void)number;
    _exit(128 + atomic_load(&last_signal));
}

static void handle(int number, void (*handler)(int number), struct sigaction *old)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ASSERT(sigaction(number, &action, old) == 0);
}

void os_signals_watch(struct waker *waker)
{
    ASSERT(atomic_load(&wake_fd) < 0);
    atomic_store(&seen, 0);
    atomic_store(&user_seen, 0);
    atomic_store(&wake_fd, waker_fd(waker));
    handle(SIGINT, on_signal, &old_int);
    handle(SIGTERM, on_signal, &old_term);
    handle(SIGALRM, on_alarm, &old_alarm);
    handle(SIGXFSZ, SIG_IGN, &old_size);
    handle(SIGPIPE, SIG_IGN, &old_pipe);
    handle(SIGUSR1, on_user, &old_user);
}

void os_signals_unwatch(void)
{
    atomic_store(&wake_fd, -1);
}

void os_signals_restore(void)
{
    ASSERT(atomic_load(&wake_fd) < 0);
    ASSERT(sigaction(SIGINT, &old_int, NULL) == 0);
    ASSERT(sigaction(SIGTERM, &old_term, NULL) == 0);
    alarm(0);
    ASSERT(sigaction(SIGALRM, &old_alarm, NULL) == 0);
    ASSERT(sigaction(SIGXFSZ, &old_size, NULL) == 0);
    ASSERT(sigaction(SIGPIPE, &old_pipe, NULL) == 0);
    ASSERT(sigaction(SIGUSR1, &old_user, NULL) == 0);
}

uint32_t os_signals_user(void)
{
    return atomic_load(&user_seen);
}

uint32_t os_signals_seen(void)
{
    return atomic_load(&seen);
}

const char *os_signals_name(void)
{
    return atomic_load(&last_signal) == SIGINT ? "SIGINT" : "SIGTERM";
}

int os_signals_exit(void)
{
    return 128 + atomic_load(&last_signal);
}
