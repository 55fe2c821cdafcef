/* log_dir.c -- see log_dir.h. */
#include "runtime/cluster/log_dir.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/os.h"
#include "base/os_process.h"

#include <inttypes.h>
#include <stdlib.h>

#define PROCESSES_MAX  256u
#define FILE_SHARE_MAX 16u /* a file has at most this part of everything */

struct log_dir {
    char *path, *own; /* own: the name of its own log */
    int claim;
    uint64_t size_max;
};

/* -- the directory ----------------------------------------------------------------------------------- */

static weir_error *claim(struct log_dir *dir, const char *root, const char *kind)
{
    for (uint32_t i = 1; i <= PROCESSES_MAX; i++) {
        mem_free(dir->path);
        dir->path = mem_printf("%s/%s-%u", root, kind, i);
        WEIR_TRY(os_make_dirs(dir->path));
        dir->claim = os_dir_claim(dir->path);
        if (dir->claim >= 0)
            return NULL;
    }
    return weir_errorf(WEIR_E_IO,
        "no directory for logs can be had in '%s': its file system has no locks, or %u processes "
        "have "
        "one; set env.log.dir to another one",
        root, PROCESSES_MAX);
}

weir_error *log_dir_open(const char *root, const char *kind, uint64_t size_max,
    struct log_dir **dir)
{
    struct log_dir *it = mem_alloc(sizeof(*it));
    *it = (struct log_dir){ .claim = -1, .size_max = size_max };
    it->own = mem_printf("%s.log", kind);
    weir_error *error = claim(it, root, kind);
    if (error != NULL) {
        log_dir_close(it);
        return error;
    }
    *dir = it;
    return NULL;
}

void log_dir_close(struct log_dir *dir)
{
    if (dir == NULL)
        return;
    os_dir_unclaim(dir->claim);
    mem_free(dir->path);
    mem_free(dir->own);
    mem_free(dir);
}

char *log_dir_file(const struct log_dir *dir, const char *name)
{
    return mem_printf("%s/%s", dir->path, name);
}

char *log_dir_own_file(const struct log_dir *dir)
{
    return log_dir_file(dir, dir->own);
}

uint64_t log_dir_file_max(const struct log_dir *dir, uint32_t count)
{
    uint64_t parts = 2 * (uint64_t)count;
    return dir->size_max / (parts < FILE_SHARE_MAX ? FILE_SHARE_MAX : parts);
}

/* -- its files --------------------------------------------------------------------------------------- */

/* Thread: its holder. */
struct listing {
    struct log_file *files;
    uint32_t count;
    char **names;
    uint32_t name_count;
};

static void release(struct listing *listing)
{
    mem_free(listing->files);
    os_names_free(listing->names, listing->name_count);
}

/* All regular files, by name. Only what was returned without an error is released. */
static weir_error *list_files(const char *dir, struct listing *listing)
{
    *listing = (struct listing){ .files = NULL };
    WEIR_TRY(os_list(dir, &listing->names, &listing->name_count));
    listing->files = mem_alloc_array(listing->name_count + 1, sizeof(*listing->files));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < listing->name_count && error == NULL; i++) {
        struct os_stat stat;
        char *path = mem_printf("%s/%s", dir, listing->names[i]);
        error = os_stat(path, &stat);
        mem_free(path);
        if (error == NULL && stat.is_regular)
            listing->files[listing->count++] =
                (struct log_file){ .name = weir_str_of(listing->names[i]),
                    .size = stat.size,
                    .modified_ms = stat.modified_ms };
    }
    if (error != NULL)
        release(listing);
    return error;
}

static int by_age(const void *left, const void *right)
{
    const struct log_file *a = left, *b = right;
    return (a->modified_ms > b->modified_ms) - (a->modified_ms < b->modified_ms);
}

static bool is_own(const struct log_dir *dir, const struct log_file *file)
{
    return strcmp(file->name.data, dir->own) == 0;
}

weir_error *log_dir_trim(const struct log_dir *dir, bool (*is_used)(void *arg, const char *name),
    void *arg)
{
    struct listing listing;
    uint64_t size = 0;
    WEIR_TRY(list_files(dir->path, &listing));
    uint32_t left = listing.count;
    for (uint32_t i = 0; i < listing.count; i++)
        size += listing.files[i].size;
    qsort(listing.files, listing.count, sizeof(*listing.files), by_age);
    weir_error *error = NULL;
    for (uint32_t i = 0; i < listing.count && (size > dir->size_max || left > LOG_FILES_MAX); i++) {
        const struct log_file *file = &listing.files[i];
        if (is_own(dir, file) || is_used(arg, file->name.data))
            continue;
        char *path = log_dir_file(dir, file->name.data);
        error = weir_error_join(error, os_remove(path));
        mem_free(path);
        size -= file->size;
        left--;
    }
    release(&listing);
    return error;
}

/* -- cores ------------------------------------------------------------------------------------------- */

/* Deletes the oldest, but not the newest. */
static weir_error *trim_cores(const char *dir, uint64_t size_max)
{
    struct listing listing;
    uint64_t size = 0;
    WEIR_TRY(list_files(dir, &listing));
    for (uint32_t i = 0; i < listing.count; i++)
        size += listing.files[i].size;
    qsort(listing.files, listing.count, sizeof(*listing.files), by_age);
    weir_error *error = NULL;
    for (uint32_t i = 0;
         i + 1 < listing.count && (listing.count - i > LOG_CORES_MAX || size > size_max); i++) {
        char *path = mem_printf("%s/%s", dir, listing.files[i].name.data);
        error = weir_error_join(error, os_remove(path));
        mem_free(path);
        size -= listing.files[i].size;
    }
    release(&listing);
    return error;
}

weir_error *log_dir_keep_core(const struct log_dir *dir, const char *from, const char *name,
    char **path)
{
    char *cores = log_dir_file(dir, "cores"), *to = mem_printf("%s/%s", cores, name);
    *path = NULL;
    weir_error *error = os_make_dirs(cores);
    if (error == NULL)
        error = os_rename(from, to);
    if (error == NULL) {
        *path = to;
        to = NULL;
        error = trim_cores(cores, dir->size_max);
    }
    mem_free(to);
    mem_free(cores);
    return error;
}

/* -- answers ----------------------------------------------------------------------------------------- */

static weir_error *read_text(const struct log_dir *dir, const struct log_file *file,
    uint64_t offset, weir_buffer *out)
{
    struct os_file *opened;
    size_t got;
    uint64_t end = file->size > LOG_TEXT_MAX ? file->size - LOG_TEXT_MAX : 0;
    char *path = log_dir_file(dir, file->name.data), *text = mem_alloc(LOG_TEXT_MAX);
    weir_error *error = os_open(path, OS_READ, &opened);
    if (error == NULL) {
        error = os_read_at(opened, offset == LOG_END ? end : offset, text, LOG_TEXT_MAX, &got);
        os_close(opened);
    }
    if (error == NULL)
        weir_buffer_add(out, text, got);
    mem_free(text);
    mem_free(path);
    return error;
}

static bool is_meant(const struct log_dir *dir, const struct log_question *question,
    const struct log_file *file)
{
    if (question->kind == LOG_OWN)
        return is_own(dir, file);
    if (question->kind == LOG_NAMED)
        return weir_str_equal(question->name, file->name);
    return strncmp(file->name.data, dir->own, strlen(dir->own)) != 0;
}

static weir_error *answer_text(const struct log_dir *dir, const struct log_question *question,
    const struct listing *listing, weir_buffer *out)
{
    const struct log_file *found = NULL;
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct log_file *it = &listing->files[i];
        if (is_meant(dir, question, it) && (found == NULL || it->modified_ms > found->modified_ms))
            found = it;
    }
    if (found != NULL)
        return read_text(dir, found, question->offset, out);
    if (question->kind == LOG_OUTPUT)
        return NULL; /* nothing was printed yet */
    return weir_errorf(WEIR_E_CONNECTOR, "there is no log '%.*s'",
        (int)(question->name.size > 200 ? 200 : question->name.size),
        question->name.data == NULL ? "" : question->name.data);
}

weir_error *log_dir_answer(const struct log_dir *dir, const struct log_question *question,
    weir_buffer *out)
{
    struct listing listing;
    weir_error *error = NULL;
    ASSERT(question->kind < LOG_KIND_COUNT);
    WEIR_TRY(list_files(dir->path, &listing));
    if (question->kind == LOG_LIST)
        log_files_put(listing.files,
            listing.count > 2 * LOG_FILES_MAX ? 2 * LOG_FILES_MAX : listing.count, out);
    else
        error = answer_text(dir, question, &listing, out);
    release(&listing);
    return error;
}

/* -- the list as bytes --------------------------------------------------------------------------------- */

void log_files_put(const struct log_file *list, uint32_t count, weir_buffer *out)
{
    buffer_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_str(out, list[i].name);
        buffer_put_u64(out, list[i].size);
        buffer_put_u64(out, (uint64_t)list[i].modified_ms);
    }
}

bool log_files_take(weir_str bytes, struct arena *arena, struct log_file **list, uint32_t *count)
{
    struct reader reader = reader_of(bytes);
    *count = reader_u32(&reader);
    if (reader_failed(&reader) || *count > 2 * LOG_FILES_MAX)
        return false;
    *list = arena_alloc(arena, (*count + 1) * sizeof(**list));
    for (uint32_t i = 0; i < *count; i++) {
        (*list)[i].name = reader_str(&reader);
        (*list)[i].size = reader_u64(&reader);
        (*list)[i].modified_ms = (int64_t)reader_u64(&reader);
    }
    return reader_at_end(&reader) && !reader_failed(&reader);
}
