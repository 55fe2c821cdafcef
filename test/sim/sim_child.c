/* sim_child.c -- see sim_child.h. The result comes back through shared memory. */
#include "test/sim/sim_child.h"

#include "base/assert.h"
#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_MAX 60u /* of CPU: how busy the machine is does not matter */

static void be_quiet(void)
{
    int null = open("/dev/null", O_WRONLY);
    ASSERT(null >= 0);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
}

static void compare_traces(const struct sim_trial *trial, struct sim_result *result)
{
    struct sim_result again;
    trial->run(trial->seed, false, &again);
    if (again.trace != result->trace)
        snprintf(result->wrong, sizeof(result->wrong),
            "the second run took another way: trace %016" PRIx64 ", then %016" PRIx64,
            result->trace, again.trace);
}

_Noreturn static void run(const struct sim_trial *trial, struct sim_result *result)
{
    const struct rlimit limit = { .rlim_cur = SECONDS_MAX, .rlim_max = SECONDS_MAX + 1 };
    setrlimit(RLIMIT_CPU, &limit);
    if (trial->is_quiet)
        be_quiet();
    sim_log_level = LOG_ERROR;
    log_set_level(sim_log_level);
    sim_mutant = trial->mutant;
    trial->run(trial->seed, false, result);
    if (trial->is_twice && result->wrong[0] == '\0')
        compare_traces(trial, result);
    fflush(stdout);
    if (result->wrong[0] != '\0')
        _exit(1); /* what is left open is no news */
    exit(0);      /* with a look for leaks */
}

static void explain_death(int status, struct sim_result *result)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        snprintf(result->wrong, sizeof(result->wrong), "took more than %u s of CPU", SECONDS_MAX);
    else if (WIFSIGNALED(status))
        snprintf(result->wrong, sizeof(result->wrong), "died of signal %d", WTERMSIG(status));
    else
        snprintf(result->wrong, sizeof(result->wrong), "ended with %d: a sanitizer or a leak",
            WEXITSTATUS(status));
}

enum sim_verdict sim_child_run(const struct sim_trial *trial, struct sim_result *result)
{
    struct sim_result *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
    fflush(stdout);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        run(trial, shared);
    int status;
    ASSERT(waitpid(pid, &status, 0) == pid);
    bool is_dead = status != 0 && shared->wrong[0] == '\0';
    *result = *shared;
    munmap(shared, sizeof(*shared));
    if (is_dead)
        explain_death(status, result);
    return result->wrong[0] == '\0' ? SIM_GREEN : SIM_RED;
}
