/* os_process.c -- see os_process.h. Prefixes: os_ */
#include "base/os_process.h"

#include "base/assert.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* 0, or the error number. */
static int write_all(int descriptor, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = write(descriptor, bytes + done, size - done);
        if (count >= 0)
            done += (size_t)count;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* NULL: 0, no error. */
static weir_error *cannot_write(const char *to, int error)
{
    if (error == 0)
        return NULL;
    if (error == EPIPE) /* not WEIR_E_IO: to try again would not bring the reader back */
        return weir_errorf(WEIR_E_CONNECTOR, "cannot write to %s: nobody reads it any more", to);
    return weir_errorf(WEIR_E_IO, "cannot write to %s: %s", to, strerrordesc_np(error));
}

weir_error *os_stdout_write(const void *bytes, size_t size)
{
    flockfile(stdout);
    int error = fflush(stdout) == 0 ? write_all(STDOUT_FILENO, bytes, size) : errno;
    if (error != 0)
        __fpurge(stdout); /* or exit tries again, when SIGPIPE may kill */
    funlockfile(stdout);
    return cannot_write("standard output", error);
}

bool os_descriptor_is_writable(int descriptor)
{
    int flags = fcntl(descriptor, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) != O_RDONLY;
}

weir_error *os_descriptor_write(int descriptor, const void *bytes, size_t size)
{
    char name[32];
    snprintf(name, sizeof(name), "file descriptor %d", descriptor);
    return cannot_write(name, write_all(descriptor, bytes, size));
}

int os_dir_claim(const char *path)
{
    int claim = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (claim >= 0 && flock(claim, LOCK_EX | LOCK_NB) == 0)
        return claim;
    os_dir_unclaim(claim);
    return -1;
}

void os_dir_unclaim(int claim)
{
    if (claim >= 0)
        close(claim);
}

bool os_dir_is_own(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == geteuid() &&
           (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

weir_error *os_check_private(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0 || !S_ISREG(found.st_mode))
        return NULL; /* who reads it says so */
    mode_t others = found.st_mode & (S_IRWXG | S_IRWXO);
    bool is_given = found.st_uid == 0 && (others & ~(mode_t)S_IRGRP) == 0;
    if (others == 0 || is_given)
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "'%s' is secret, but not its owner's alone (mode %04o): chmod 600 '%s'", path,
        (unsigned)(found.st_mode & 07777), path);
}

uint32_t os_user_id(void)
{
    return geteuid();
}

uint64_t os_core_size_max(void)
{
    struct rlimit limit;
    ASSERT(getrlimit(RLIMIT_CORE, &limit) == 0);
    return limit.rlim_cur;
}

uint64_t os_raise_file_limit(uint64_t wanted)
{
    struct rlimit limit;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    uint64_t now = limit.rlim_cur, possible = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (possible <= now)
        return now;
    limit.rlim_cur = possible;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? possible : now;
}

weir_error *os_exec(char *const argv[])
{
    fflush(stdout);
    execvp(argv[0], argv);
    return weir_errorf(WEIR_E_USAGE, "cannot start '%s': %s", argv[0], strerrordesc_np(errno));
}

_Noreturn void os_exit(int status)
{
    _exit(status);
}

_Noreturn void os_kill_self(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

void os_sleep_ms(int64_t ms)
{
    ASSERT(ms >= 0 && ms <= INT32_MAX);
    poll(NULL, 0, (int)ms);
}

void os_usage(struct os_usage *usage)
{
    struct rusage used;
    ASSERT(getrusage(RUSAGE_SELF, &used) == 0);
    usage->peak_rss_size = (uint64_t)used.ru_maxrss * 1024;
    usage->cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

uint32_t os_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : (uint32_t)count;
}

const char *os_machine(void)
{
    static struct utsname name; /* the same bytes, whoever writes them */
    return uname(&name) == 0 ? name.machine : "unknown";
}

bool os_read_proc(const char *path, char *text, size_t size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor == -1)
        return false;
    ssize_t count = read(descriptor, text, size - 1);
    close(descriptor);
    text[count < 0 ? 0 : count] = '\0';
    return count > 0;
}

static char boot_id[OS_BOOT_ID_SIZE];

static void read_boot_id(void)
{
    char text[OS_BOOT_ID_SIZE];
    if (os_read_proc("/proc/sys/kernel/random/boot_id", text, sizeof(text)))
        memcpy(boot_id, text, strcspn(text, "\n"));
}

const char *os_boot_id(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, read_boot_id) == 0);
    return boot_id[0] == '\0' ? NULL : boot_id;
}

weir_error *os_self_path(char **path)
{
    char bytes[4096];
    ssize_t size = readlink("/proc/self/exe", bytes, sizeof(bytes));
    if (size <= 0 || size == (ssize_t)sizeof(bytes))
        return weir_errorf(WEIR_E_IO, "cannot tell where this program is: %s", strerror(errno));
    *path = mem_printf("%.*s", (int)size, bytes);
    return NULL;
}
