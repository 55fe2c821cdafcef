/* os_linux.c -- the real table of os.h, and standard error. Prefixes: os_
 *
 * The table's functions translate, and nothing else, write_behind() apart: checks and messages are
 * os.c's. Calls that a signal interrupted are repeated, fdatasync apart: what it says of a file is
 * final. */
#include "base/os.h"

#include "base/assert.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* -- time and randomness -------------------------------------------------------------------- */

static int64_t linux_monotonic_ns(void)
{
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t linux_wall_ms(void)
{
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t linux_random(void)
{
    uint64_t number;
    ssize_t got;
    do
        got = getrandom(&number, sizeof(number), 0);
    while (got < 0 && errno == EINTR);
    ASSERT(got == (ssize_t)sizeof(number));
    return number;
}

static void linux_pause_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0)
        ASSERT(errno == EINTR);
}

/* -- files ---------------------------------------------------------------------------------- */

#define WRITE_BEHIND ((uint64_t)4 << 20)

/* Thread: its owner. */
struct linux_file {
    int fd;
    uint64_t unsent; /* bytes written since the disk was last told to begin with them */
};

static int open_flags(enum os_open_mode mode)
{
    switch (mode) {
    case OS_READ:
        return O_RDONLY;
    case OS_CREATE:
        return O_WRONLY | O_CREAT | O_EXCL;
    case OS_TRUNCATE:
        return O_WRONLY | O_CREAT | O_TRUNC;
    case OS_APPEND:
        return O_WRONLY | O_CREAT | O_APPEND;
    }
    ASSERT(false && "a known mode");
    return 0;
}

static int linux_open(const char *path, enum os_open_mode mode, void **handle)
{
    int fd;
    do
        fd = open(path, open_flags(mode) | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno;
    struct linux_file *file = mem_alloc(sizeof(*file));
    file->fd = fd;
    *handle = file;
    return 0;
}

static int linux_read_at(void *handle, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    const struct linux_file *file = handle;
    *got = 0;
    while (*got < size) {
        ssize_t count = pread(file->fd, (char *)bytes + *got, size - *got, (off_t)(offset + *got));
        if (count == 0)
            break;
        if (count > 0)
            *got += (size_t)count;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* What is written is to be synced sooner or later: output that is staged between two checkpoints, say, 100 MB of
 * it. Left alone the system keeps all of it in memory till the sync, which a checkpoint waits for; told now and
 * then, the disk has most of it by then. A hint, on every file system: nothing is waited for, and what becomes of
 * it the sync says. */
static void write_behind(struct linux_file *file, size_t written)
{
    file->unsent += written;
    if (file->unsent < WRITE_BEHIND)
        return;
    file->unsent = 0;
    (void)sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int linux_write(void *handle, const void *bytes, size_t size, size_t *written)
{
    struct linux_file *file = handle;
    ssize_t count;
    do
        count = write(file->fd, bytes, size);
    while (count < 0 && errno == EINTR);
    *written = count < 0 ? 0 : (size_t)count;
    if (count < 0)
        return errno;
    write_behind(file, (size_t)count);
    return 0;
}

static int linux_sync(void *handle)
{
    const struct linux_file *file = handle;
    return fdatasync(file->fd) == 0 ? 0 : errno;
}

static void linux_close(void *handle)
{
    struct linux_file *file = handle;
    close(file->fd); /* what matters was synced; Linux frees the descriptor whatever it says */
    mem_free(file);
}

static int linux_stat(const char *path, struct os_stat *result)
{
    struct stat found;
    *result = (struct os_stat){ .exists = false };
    if (stat(path, &found) != 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : errno;
    *result = (struct os_stat){ .exists = true,
        .is_directory = S_ISDIR(found.st_mode),
        .is_regular = S_ISREG(found.st_mode),
        .size = (uint64_t)found.st_size,
        .modified_ms = (int64_t)found.st_mtim.tv_sec * 1000 + found.st_mtim.tv_nsec / 1000000,
        .device = (uint64_t)found.st_dev,
        .inode = (uint64_t)found.st_ino };
    return 0;
}

static int linux_make_dir(const char *path)
{
    return mkdir(path, 0700) == 0 ? 0 : errno;
}

static int linux_sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int result = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return result;
}

static int linux_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? 0 : errno;
}

static int linux_link(const char *from, const char *to)
{
    return link(from, to) == 0 ? 0 : errno;
}

static int linux_remove(const char *path)
{
    return remove(path) == 0 ? 0 : errno;
}

static int names_read(DIR *directory, char ***names, uint32_t *count)
{
    uint32_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            return errno;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*count == OS_NAMES_MAX)
            return EOVERFLOW;
        if (*count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            *names = mem_realloc(*names, capacity * sizeof(**names));
        }
        (*names)[(*count)++] = mem_strdup(entry->d_name);
    }
}

static int linux_list(const char *path, char ***names, uint32_t *count)
{
    *names = NULL;
    *count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return errno;
    int result = names_read(directory, names, count);
    closedir(directory);
    if (result != 0) {
        os_names_free(*names, *count);
        *names = NULL;
        *count = 0;
    }
    return result;
}

const struct os os_linux = {
    .monotonic_ns = linux_monotonic_ns,
    .wall_ms = linux_wall_ms,
    .random = linux_random,
    .pause_ms = linux_pause_ms,
    .open = linux_open,
    .read_at = linux_read_at,
    .write = linux_write,
    .sync = linux_sync,
    .close = linux_close,
    .stat = linux_stat,
    .make_dir = linux_make_dir,
    .sync_dir = linux_sync_dir,
    .rename = linux_rename,
    .link = linux_link,
    .remove = linux_remove,
    .list = linux_list,
};

/* -- standard error --------------------------------------------------------------------------- */

void os_stderr_write(const void *bytes, size_t size)
{
    ssize_t count;
    do
        count = write(STDERR_FILENO, bytes, size);
    while (count < 0 && errno == EINTR);
}

bool os_stderr_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

void os_stderr_cut(uint64_t size_max)
{
    struct stat found;
    if (fstat(STDERR_FILENO, &found) == 0 && S_ISREG(found.st_mode) &&
        (uint64_t)found.st_size >= size_max)
        (void)!ftruncate(STDERR_FILENO, 0);
}
