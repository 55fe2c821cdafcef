/* file_list.c -- see file_list.h for why the list is written down.
 *
 *      u32 count · count names (u32 length, bytes) · u64 checksum of what is in front of it */
#include "connectors/file_list.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"

#include <inttypes.h>

#define LIST_SIZE_MAX ((size_t)512 << 20) /* a million names of the longest kind */

static char *copy_text(weir_str text)
{
    char *copy = mem_alloc(text.size + 1);
    memcpy(copy, text.data, text.size);
    return copy;
}

/* -- looking -------------------------------------------------------------------------------- */

/* Keeps the regular files among the names; the others are freed. */
static weir_error *keep_files(struct file_list *list)
{
    uint32_t kept = 0;
    weir_error *error = NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        struct os_stat stat = { .exists = false };
        if (error == NULL && list->names[i][0] != '.') {
            char *path = mem_printf("%s/%s", list->directory, list->names[i]);
            error = os_stat(path, &stat);
            mem_free(path);
        }
        if (stat.is_regular)
            list->names[kept++] = list->names[i];
        else
            mem_free(list->names[i]);
    }
    list->count = kept;
    return error;
}

static weir_error *look(const char *path, struct file_list *list)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_CONNECTOR,
            "the input '%s' does not exist: give an existing file"
            " or directory",
            path);
    if (stat.is_directory) {
        list->directory = mem_strdup(path);
        WEIR_TRY(os_list(path, &list->names, &list->count));
        return keep_files(list);
    }
    if (!stat.is_regular)
        return weir_errorf(WEIR_E_CONNECTOR,
            "the input '%s' is neither a regular file nor a"
            " directory",
            path);
    const char *slash = strrchr(path, '/');
    weir_str directory = slash == NULL ? WEIR_STR(".")
                         : slash == path
                             ? WEIR_STR("/")
                             : (weir_str){ .data = path, .size = (size_t)(slash - path) };
    list->directory = copy_text(directory);
    list->names = mem_alloc(sizeof(*list->names));
    list->names[0] = mem_strdup(slash == NULL ? path : slash + 1);
    list->count = 1;
    return NULL;
}

/* -- agreeing ------------------------------------------------------------------------------- */

static weir_error *write_list(const char *path, const struct file_list *list)
{
    weir_buffer *bytes = weir_buffer_new(LIST_SIZE_MAX);
    buffer_put_u32(bytes, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        buffer_put_str(bytes, weir_str_of(list->names[i]));
    weir_str view = weir_buffer_view(bytes);
    buffer_put_u64(bytes, hash_bytes(view.data, view.size));
    view = weir_buffer_view(bytes);
    struct os_file *file;
    weir_error *error = os_open(path, OS_CREATE, &file);
    if (error == NULL) {
        error = os_write(file, view.data, view.size);
        os_close(file);
    }
    weir_buffer_free(bytes);
    return error;
}

static weir_error *decode_list(const char *path, weir_str bytes, struct file_list *list)
{
    const size_t sum_size = sizeof(uint64_t);
    bool is_fine = bytes.size >= sum_size + sizeof(uint32_t);
    struct reader reader = reader_of(bytes);
    if (is_fine) {
        weir_str tail = { .data = bytes.data + bytes.size - sum_size, .size = sum_size };
        struct reader sum = reader_of(tail);
        bytes.size -= sum_size;
        is_fine = reader_u64(&sum) == hash_bytes(bytes.data, bytes.size);
        reader = reader_of(bytes);
    }
    uint32_t count = is_fine ? reader_u32(&reader) : 0;
    is_fine = is_fine && count <= OS_NAMES_MAX;
    list->names = mem_alloc_array(is_fine ? count : 0, sizeof(*list->names));
    for (uint32_t i = 0; i < count && is_fine; i++) {
        weir_str name = reader_str(&reader);
        is_fine = name.data != NULL;
        if (is_fine)
            list->names[list->count++] = copy_text(name);
    }
    return is_fine ? NULL
                   : weir_errorf(WEIR_E_CORRUPT,
                         "the list of input files '%s' is damaged: start"
                         " the job again",
                         path);
}

static weir_error *read_list(const char *path, struct file_list *list)
{
    char *bytes;
    size_t size;
    WEIR_TRY(os_read_file(path, LIST_SIZE_MAX, &bytes, &size));
    weir_error *error = decode_list(path, (weir_str){ .data = bytes, .size = size }, list);
    mem_free(bytes);
    return error;
}

static weir_error *publish(const char *common, const struct file_list *list)
{
    char *own = mem_printf("%s-%016" PRIx64, common, os_random());
    weir_error *error = write_list(own, list);
    if (error == NULL)
        error = os_link(own, common);
    struct os_stat stat = { .exists = false };
    if (error != NULL) { /* it may be because somebody was faster */
        weir_error_free(os_stat(common, &stat));
        if (stat.exists) {
            weir_error_free(error);
            error = NULL;
        }
    }
    weir_error_free(os_remove(own)); /* goes with the staging directory anyway */
    mem_free(own);
    return error;
}

static void names_free(struct file_list *list)
{
    os_names_free(list->names, list->count);
    list->names = NULL;
    list->count = 0;
}

static weir_error *agree(const char *common, struct file_list *list)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(common, &stat));
    if (!stat.exists)
        WEIR_TRY(publish(common, list));
    names_free(list);
    return read_list(common, list);
}

weir_error *file_list_read(const char *path, const char *staging_dir, uint64_t common,
    struct file_list *list)
{
    *list = (struct file_list){ .count = 0 };
    char *common_path = mem_printf("%s/files-%016" PRIx64, staging_dir, common);
    weir_error *error = look(path, list);
    if (error == NULL)
        error = agree(common_path, list);
    mem_free(common_path);
    if (error != NULL)
        file_list_release(list);
    return error;
}

void file_list_release(struct file_list *list)
{
    names_free(list);
    mem_free(list->directory);
    list->directory = NULL;
}

bool file_list_has(const struct file_list *list, weir_str name)
{
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = weir_str_compare(weir_str_of(list->names[middle]), name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
