/* os_crash.c -- see os_crash.h. */
#include "base/os_crash.h"

#include "base/assert.h"
#include "base/os_child.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static os_crash_fn *describe_crash;

static size_t add(char *line, size_t size, size_t at, const char *text)
{
    size_t length = strlen(text);
    if (length > size - at)
        length = size - at;
    memcpy(line + at, text, length);
    return at + length;
}

static void on_crash(int number)
{
    char line[512], what[384] = "";
    describe_crash(what, sizeof(what));
    size_t size = add(line, sizeof(line) - 1, 0, os_signal_name(number));
    if (what[0] != '\0') {
        size = add(line, sizeof(line) - 1, size, " in ");
        size = add(line, sizeof(line) - 1, size, what);
    }
    line[size++] = '\n';
    (void)!write(STDERR_FILENO, line, size);
    raise(number); /* SA_RESETHAND: now it does what it always does */
}

void os_crash_watch(os_crash_fn *describe)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_handler = on_crash,
        .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
    describe_crash = describe;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        ASSERT(sigaction(numbers[i], &action, NULL) == 0);
}
