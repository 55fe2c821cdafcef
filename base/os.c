/* os.c -- what os.h promises on top of the bare table: limits, whole writes, sentences. */
#include "base/os.h"

#include "base/assert.h"
#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_DEPTH_MAX 64u

const struct os *os_current = &os_linux;

/* Thread: its owner. */
struct os_file {
    void *handle; /* the table's */
    char *path;
    uint64_t offset; /* of the next os_read */
    bool is_for_writing;
};

/* -- errors --------------------------------------------------------------------------------- */

/* What the system said, in words. strerror is not safe with threads; this table is. */
static const char *words_of(int error)
{
    const char *words = strerrordesc_np(error);
    return words == NULL ? "unknown error" : words;
}

/* "cannot <verb> '<path>': <system's words>"; NULL when `error` is 0. */
static weir_error *failed(const char *verb, const char *path, int error)
{
    if (error == 0)
        return NULL;
    if (error == ENOSPC || error == EDQUOT)
        return weir_errorf(WEIR_E_DISK_FULL,
            "cannot %s '%s': %s; free space on that disk or point the job at another one", verb,
            path, words_of(error));
    return weir_errorf(WEIR_E_IO, "cannot %s '%s': %s", verb, path, words_of(error));
}

static weir_error *check_path(const char *path)
{
    ASSERT(path != NULL);
    if (path[0] == '\0')
        return weir_errorf(WEIR_E_IO, "the path is empty; give the name of a file or directory");
    if (strlen(path) >= OS_PATH_MAX)
        return weir_errorf(WEIR_E_LIMIT, "the path '%.200s...' is longer than %d bytes", path,
            OS_PATH_MAX - 1);
    return NULL;
}

/* -- time and randomness -------------------------------------------------------------------- */

int64_t os_monotonic_ns(void)
{
    return os_current->monotonic_ns();
}

int64_t os_monotonic_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

int64_t os_wall_ms(void)
{
    return os_current->wall_ms();
}

uint64_t os_random(void)
{
    return os_current->random();
}

void os_pause_ms(int64_t ms)
{
    os_current->pause_ms(ms);
}

/* -- one file ------------------------------------------------------------------------------- */

weir_error *os_open(const char *path, enum os_open_mode mode, struct os_file **file)
{
    *file = NULL;
    WEIR_TRY(check_path(path));
    void *handle = NULL;
    int error = os_current->open(path, mode, &handle);
    if (error != 0)
        return failed(mode == OS_CREATE ? "create" : "open", path, error);
    *file = mem_alloc(sizeof(**file));
    **file = (struct os_file){ .handle = handle,
        .path = mem_strdup(path),
        .is_for_writing = mode != OS_READ };
    return NULL;
}

weir_error *os_read_at(struct os_file *file, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    ASSERT(!file->is_for_writing);
    ASSERT(size <= INT64_MAX);
    *got = 0;
    if (offset > INT64_MAX - size) /* may come from a damaged file: no assertion */
        return failed("read", file->path, EINVAL);
    WEIR_TRY(
        failed("read", file->path, os_current->read_at(file->handle, offset, bytes, size, got)));
    ASSERT(*got <= size);
    return NULL;
}

weir_error *os_read(struct os_file *file, void *bytes, size_t size, size_t *got)
{
    WEIR_TRY(os_read_at(file, file->offset, bytes, size, got));
    file->offset += *got;
    return NULL;
}

weir_error *os_write(struct os_file *file, const void *bytes, size_t size)
{
    ASSERT(file->is_for_writing);
    for (size_t done = 0; done < size;) {
        size_t written = 0;
        WEIR_TRY(failed("write", file->path,
            os_current->write(file->handle, (const char *)bytes + done, size - done, &written)));
        ASSERT(written <= size - done);
        if (written == 0) /* never seen, but a loop must end */
            return failed("write", file->path, EIO);
        done += written;
    }
    return NULL;
}

weir_error *os_sync(struct os_file *file)
{
    ASSERT(file->is_for_writing);
    return failed("sync", file->path, os_current->sync(file->handle));
}

void os_close(struct os_file *file)
{
    if (file == NULL)
        return;
    os_current->close(file->handle);
    mem_free(file->path);
    mem_free(file);
}

/* -- names ---------------------------------------------------------------------------------- */

weir_error *os_stat(const char *path, struct os_stat *stat)
{
    WEIR_TRY(check_path(path));
    return failed("look at", path, os_current->stat(path, stat));
}

/* Makes one directory; one that is there already is fine, a file in its place is not. */
static int make_dir(const char *path)
{
    int error = os_current->make_dir(path);
    if (error == 0)
        return 0;
    struct os_stat found;
    int looking = os_current->stat(path, &found);
    if (looking != 0)
        return error == EEXIST ? looking : error; /* that something is there is no reason */
    if (!found.exists)
        return error;
    return found.is_directory ? 0 : ENOTDIR;
}

weir_error *os_make_dirs(const char *path)
{
    WEIR_TRY(check_path(path));
    char part[OS_PATH_MAX];
    size_t size = strlen(path);
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char border = part[i];
        part[i] = '\0';
        int error = make_dir(part);
        if (error != 0)
            return failed("make the directory", part, error);
        part[i] = border;
    }
    return NULL;
}

/* Directories that are there already are synced, too: who made them may have been killed before it
 * could. Those further up may not be ours to open: if syncing one fails, it is somebody else's, and
 * older. */
weir_error *os_make_dirs_durable(const char *path)
{
    char part[OS_PATH_MAX];
    size_t size = strlen(path), existing = 0;
    if (size >= sizeof(part))
        return os_make_dirs(path); /* says that it is too long */
    for (size_t i = 1; i <= size; i++) {
        if (i < size && path[i] != '/')
            continue;
        struct os_stat stat;
        memcpy(part, path, i);
        part[i] = '\0';
        WEIR_TRY(os_stat(part, &stat));
        if (stat.exists)
            existing = i;
    }
    WEIR_TRY(os_make_dirs(path));
    for (size_t i = 0; i <= size; i++) {
        if (i > 0 && i < size && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        weir_error *error = os_sync_dir(i > 0 ? part : path[0] == '/' ? "/" : ".");
        if (error != NULL && i >= existing)
            return error;
        weir_error_free(error);
    }
    return NULL;
}

weir_error *os_sync_dir(const char *path)
{
    WEIR_TRY(check_path(path));
    return failed("sync the directory", path, os_current->sync_dir(path));
}

weir_error *os_rename(const char *from, const char *to)
{
    WEIR_TRY(check_path(from));
    WEIR_TRY(check_path(to));
    weir_error *error = failed("rename", from, os_current->rename(from, to));
    return error == NULL ? NULL : weir_error_wrap(error, "cannot make '%s'", to);
}

weir_error *os_link(const char *from, const char *to)
{
    WEIR_TRY(check_path(from));
    WEIR_TRY(check_path(to));
    weir_error *error = failed("link", from, os_current->link(from, to));
    return error == NULL ? NULL : weir_error_wrap(error, "cannot make '%s'", to);
}

/* ENOTDIR: below a file there is nothing, either. */
static bool is_missing(int error)
{
    return error == ENOENT || error == ENOTDIR;
}

weir_error *os_remove(const char *path)
{
    WEIR_TRY(check_path(path));
    int error = os_current->remove(path);
    return failed("remove", path, is_missing(error) ? 0 : error);
}

/* Tries to remove the path itself first: that removes files, empty directories and symbolic links
 * (never what a link points to); only a directory that is not empty is listed. */
static weir_error *remove_tree(const char *path, uint32_t depth)
{
    int error = os_current->remove(path);
    if (error == 0 || is_missing(error))
        return NULL;
    if (error != ENOTEMPTY && error != EEXIST)
        return failed("remove", path, error);
    if (depth == TREE_DEPTH_MAX)
        return weir_errorf(WEIR_E_LIMIT, "cannot remove '%s': more than %u directories deep", path,
            TREE_DEPTH_MAX);
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(path, &names, &count));
    weir_error *result = NULL;
    for (uint32_t i = 0; i < count && result == NULL; i++) {
        char *child = mem_printf("%s/%s", path, names[i]);
        result = check_path(child);
        if (result == NULL)
            result = remove_tree(child, depth + 1);
        mem_free(child);
    }
    os_names_free(names, count);
    return result != NULL ? result : os_remove(path);
}

weir_error *os_remove_tree(const char *path)
{
    WEIR_TRY(check_path(path));
    return remove_tree(path, 0);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

weir_error *os_list(const char *path, char ***names, uint32_t *count)
{
    *names = NULL;
    *count = 0;
    WEIR_TRY(check_path(path));
    int error = os_current->list(path, names, count);
    if (error == EOVERFLOW)
        return weir_errorf(WEIR_E_LIMIT, "the directory '%s' has more than %u names", path,
            OS_NAMES_MAX);
    WEIR_TRY(failed("list the directory", path, error));
    ASSERT(*count <= OS_NAMES_MAX);
    if (*count > 0)
        qsort(*names, *count, sizeof(**names), compare_names);
    return NULL;
}

void os_names_free(char **names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
}

/* -- whole files ---------------------------------------------------------------------------- */

/* Reads to the end in growing steps: the size that stat told may be 0 (/proc) or grow meanwhile. */
static weir_error *read_all(struct os_file *file, size_t size_max, char **bytes, size_t *size)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(file->path, &stat));
    size_t capacity = stat.size < size_max ? (size_t)stat.size + 1 : size_max + 1;
    *bytes = mem_alloc(capacity + 1);
    *size = 0;
    for (;;) {
        size_t got = 0;
        WEIR_TRY(os_read(file, *bytes + *size, capacity - *size, &got));
        *size += got;
        if (*size < capacity)
            break;
        if (*size > size_max)
            return weir_errorf(WEIR_E_LIMIT, "'%s' is larger than the %zu bytes allowed",
                file->path, size_max);
        capacity = capacity > size_max / 2 ? size_max + 1 : capacity * 2;
        *bytes = mem_realloc(*bytes, capacity + 1);
    }
    (*bytes)[*size] = '\0';
    return NULL;
}

weir_error *os_read_file(const char *path, size_t size_max, char **bytes, size_t *size)
{
    ASSERT(size_max < SIZE_MAX / 4);
    *bytes = NULL;
    *size = 0;
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    weir_error *error = read_all(file, size_max, bytes, size);
    os_close(file);
    if (error != NULL) {
        mem_free(*bytes);
        *bytes = NULL;
        *size = 0;
    }
    return error;
}

weir_error *os_claim(const char *path, bool *was_taken)
{
    struct os_file *file;
    weir_error *error = os_open(path, OS_CREATE, &file);
    *was_taken = false;
    if (error == NULL) {
        os_close(file);
        return NULL;
    }
    struct os_stat stat;
    weir_error *stat_error = os_stat(path, &stat);
    if (stat_error != NULL)
        return weir_error_join(error, stat_error);
    *was_taken = stat.exists;
    if (!stat.exists)
        return error;
    weir_error_free(error);
    return NULL;
}

static weir_error *write_synced(const char *path, const void *bytes, size_t size)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_CREATE, &file));
    weir_error *error = os_write(file, bytes, size);
    if (error == NULL)
        error = os_sync(file);
    os_close(file);
    return error;
}

static weir_error *sync_parent(const char *path)
{
    char parent[OS_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(parent, path, size);
    parent[size] = '\0';
    return os_sync_dir(size == 0 ? "." : parent);
}

weir_error *os_write_file(const char *path, const void *bytes, size_t size)
{
    WEIR_TRY(check_path(path));
    /* A random name: a zombie that writes the same file must not get between write and rename. */
    char temporary[OS_PATH_MAX + 32];
    snprintf(temporary, sizeof(temporary), "%s.%016" PRIx64 ".tmp", path, os_random());
    weir_error *error = write_synced(temporary, bytes, size);
    if (error == NULL)
        error = os_rename(temporary, path);
    if (error != NULL)
        return weir_error_join(error, os_remove(temporary));
    return sync_parent(path);
}
