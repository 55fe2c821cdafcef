/* os_crash.c -- see os_crash.h. */
#include "base/os_crash.h"

#include "base/assert.h"
#include "base/os_child.h"

#include <weir/error.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASK_S 1

static os_crash_fn *describe_crash;
/* Of whoever is asked: it writes, says so, and posts; who asks waits, then reads. */
static char answer[OS_CRASH_TEXT_MAX];
static atomic_bool is_answered;
static sem_t answers;

static size_t add(char *line, size_t size, size_t at, const char *text)
{
    size_t length = strlen(text);
    if (length > size - at)
        length = size - at;
    memcpy(line + at, text, length);
    return at + length;
}

static void say(const char *end, const char *what)
{
    char line[OS_CRASH_TEXT_MAX + 32];
    size_t size = add(line, sizeof(line) - 1, 0, end);
    if (what[0] != '\0') {
        size = add(line, sizeof(line) - 1, size, " in ");
        size = add(line, sizeof(line) - 1, size, what);
    }
    line[size++] = '\n';
    (void)!write(STDERR_FILENO, line, size);
}

static void on_crash(int number)
{
    char what[OS_CRASH_TEXT_MAX] = "";
    describe_crash(what, sizeof(what));
    say(os_signal_name(number), what);
    raise(number); /* SA_RESETHAND: now it does what it always does */
}

/* On the thread that has called exit. Its status would be read as one of weir_code_exit, which no such code means. */
static void on_exit_call(int status, void *arg)
{
    char what[OS_CRASH_TEXT_MAX] = "", call[32];
    (void)arg;
    describe_crash(what, sizeof(what));
    if (what[0] == '\0')
        return;
    snprintf(call, sizeof(call), "exit(%d)", status);
    say(call, what);
    fflush(NULL);
    _exit(weir_code_exit(WEIR_E_INTERNAL));
}

static void on_question(int number)
{
    int saved = errno;
    (void)number;
    describe_crash(answer, sizeof(answer));
    atomic_store(&is_answered, true);
    sem_post(&answers);
    errno = saved;
}

void os_crash_watch(os_crash_fn *describe)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_handler = on_crash,
        .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
    struct sigaction question = { .sa_handler = on_question, .sa_flags = SA_RESTART };
    bool is_first = describe_crash == NULL;
    describe_crash = describe;
    ASSERT(!is_first || on_exit(on_exit_call, NULL) == 0);
    ASSERT(sem_init(&answers, 0, 0) == 0);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        ASSERT(sigaction(numbers[i], &action, NULL) == 0);
    ASSERT(sigaction(SIGURG, &question, NULL) == 0);
}

bool os_crash_ask(pthread_t thread, char to[OS_CRASH_TEXT_MAX])
{
    struct timespec until;
    int code;
    to[0] = '\0';
    while (describe_crash != NULL && sem_trywait(&answers) == 0)
        continue; /* an answer that came too late */
    atomic_store(&is_answered, false);
    if (describe_crash == NULL || pthread_kill(thread, SIGURG) != 0)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ASK_S;
    do
        code = sem_clockwait(&answers, CLOCK_MONOTONIC, &until);
    while (code != 0 && errno == EINTR);
    if (code != 0 || !atomic_load(&is_answered))
        return false;
    memcpy(to, answer, OS_CRASH_TEXT_MAX);
    return true;
}
