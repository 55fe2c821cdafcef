/* shelf.c -- see shelf.h. */
#include "test/support/shelf.h"

#include "base/buffer.h"
#include "base/os.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void shelf_ok(weir_error *error)
{
    if (error == NULL)
        return;
    fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
}

void shelf_fails(weir_error *error, enum weir_code code, const char *part_of_message)
{
    assert_non_null(error);
    if (weir_error_code(error) != code ||
        strstr(weir_error_message(error), part_of_message) == NULL)
        fail_msg("wanted %s with '%s', got %s: %s", weir_code_name(code), part_of_message,
            weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

/* Nothing here survives the test: waiting for the disk would only make it slow. */
static int no_sync(void *handle)
{
    (void)handle;
    return 0;
}

static int no_sync_dir(const char *path)
{
    (void)path;
    return 0;
}

void shelf_init(struct shelf *shelf)
{
    static struct os unsynced;
    unsynced = os_linux;
    unsynced.sync = no_sync;
    unsynced.sync_dir = no_sync_dir;
    if (os_current == &os_linux)
        os_current = &unsynced;
    const char *temporary = getenv("TMPDIR");
    *shelf = (struct shelf){ .attempt = 1, .memory_size = 8 << 20 };
    snprintf(shelf->root, sizeof(shelf->root), "%.40s/weir-state-XXXXXX",
        temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(shelf->root));
}

void shelf_release(struct shelf *shelf)
{
    shelf_ok(os_remove_tree(shelf->root));
    os_current = &os_linux;
}

/* -- backends ------------------------------------------------------------------------------- */

struct group_range shelf_all_groups(void)
{
    return (struct group_range){ .first = 0, .last = SHELF_MAX_PARALLELISM - 1 };
}

struct row_key shelf_row_bytes(uint32_t state, weir_str key)
{
    uint64_t hash = hash_bytes(key.data, key.size);
    return (struct row_key){ .key = key,
        .hash = hash,
        .group = key_group_of(hash, SHELF_MAX_PARALLELISM),
        .state = state };
}

struct row_key shelf_row(uint32_t state, const char *key)
{
    return shelf_row_bytes(state, weir_str_of(key));
}

struct backend_options shelf_options(struct shelf *shelf, struct group_range groups)
{
    static char directory[128];
    snprintf(directory, sizeof(directory), "%s/work-%" PRIu64, shelf->root, ++shelf->opened);
    return (struct backend_options){ .directory = directory,
        .checkpoint_dir = shelf->root,
        .attempt = shelf->attempt,
        .groups = groups,
        .memory_size = shelf->memory_size,
        .workers = shelf->workers };
}

static weir_error *open_backend(struct shelf *shelf, const struct backend_class *backend_class,
    struct group_range groups, const struct shelf_part *parts, uint32_t part_count,
    struct backend **backend)
{
    struct backend_options options = shelf_options(shelf, groups);
    struct backend_source sources[SHELF_MAX_PARALLELISM];
    assert_true(part_count <= SHELF_MAX_PARALLELISM);
    for (uint32_t i = 0; i < part_count; i++)
        sources[i] = (struct backend_source){ .groups = parts[i].groups,
            .files = parts[i].files,
            .file_count = parts[i].file_count };
    return backend_class->open(&options, sources, part_count, backend);
}

struct backend *shelf_open(struct shelf *shelf, const struct backend_class *backend_class,
    struct group_range groups, const struct shelf_part *parts, uint32_t part_count)
{
    struct backend *backend = NULL;
    shelf_ok(open_backend(shelf, backend_class, groups, parts, part_count, &backend));
    assert_ptr_equal(backend->backend_class, backend_class);
    return backend;
}

weir_error *shelf_try_open(struct shelf *shelf, const struct backend_class *backend_class,
    struct group_range groups, const struct shelf_part *parts, uint32_t part_count)
{
    struct backend *backend = NULL;
    weir_error *error = open_backend(shelf, backend_class, groups, parts, part_count, &backend);
    if (error == NULL)
        shelf_close(backend);
    else
        assert_null(backend);
    return error;
}

void shelf_close(struct backend *backend)
{
    backend->backend_class->close(backend);
}

/* -- snapshots ------------------------------------------------------------------------------ */

weir_error *shelf_try_snapshot(struct shelf *shelf, struct backend *backend,
    struct group_range groups, struct shelf_part *part)
{
    const struct backend_class *verbs = backend->backend_class;
    struct backend_snapshot *snapshot = NULL;
    *part = (struct shelf_part){ .groups = groups };
    arena_init(&part->arena, 4096, 64 << 20);
    weir_error *error = verbs->snapshot(backend, ++shelf->checkpoint, &snapshot);
    if (error != NULL)
        return error;
    error = verbs->snapshot_write(snapshot, &part->arena, &part->files, &part->file_count);
    verbs->snapshot_free(snapshot);
    return error;
}

void shelf_snapshot(struct shelf *shelf, struct backend *backend, struct group_range groups,
    struct shelf_part *part)
{
    shelf_ok(shelf_try_snapshot(shelf, backend, groups, part));
    backend->backend_class->confirm(backend, shelf->checkpoint);
}

void shelf_part_release(struct shelf_part *part)
{
    arena_release(&part->arena);
}

char *shelf_path(const struct shelf *shelf, const struct state_file *file)
{
    return mem_printf("%s/%s", shelf->root, file->path);
}

uint32_t shelf_stored_count(const struct shelf *shelf)
{
    char *path = mem_printf("%s/" STATE_FILE_DIR, shelf->root);
    char **names;
    uint32_t count;
    shelf_ok(os_list(path, &names, &count));
    os_names_free(names, count);
    mem_free(path);
    return count;
}

/* -- fixture -------------------------------------------------------------------------------- */

void shelf_begin(struct shelf_fixture *it, void **state)
{
    shelf_init(&it->shelf);
    it->verbs = *state;
    it->backend = shelf_open(&it->shelf, it->verbs, shelf_all_groups(), NULL, 0);
}

void shelf_end(struct shelf_fixture *it)
{
    if (it->backend != NULL)
        shelf_close(it->backend);
    shelf_release(&it->shelf);
}

void shelf_restart(struct shelf_fixture *it)
{
    struct shelf_part part;
    shelf_snapshot(&it->shelf, it->backend, shelf_all_groups(), &part);
    shelf_close(it->backend);
    it->shelf.attempt++;
    it->backend = shelf_open(&it->shelf, it->verbs, shelf_all_groups(), &part, 1);
    shelf_part_release(&part);
}

/* -- verbs ---------------------------------------------------------------------------------- */

void shelf_put(struct backend *backend, const struct row_key *row, weir_str entry, weir_str value)
{
    shelf_ok(backend->backend_class->put(backend, row, entry, value));
}

void shelf_remove(struct backend *backend, const struct row_key *row, weir_str entry)
{
    shelf_ok(backend->backend_class->remove(backend, row, entry));
}

void shelf_clear(struct backend *backend, const struct row_key *row)
{
    shelf_ok(backend->backend_class->clear(backend, row));
}

weir_str shelf_get(struct backend *backend, const struct row_key *row, weir_str entry)
{
    weir_str value;
    shelf_ok(backend->backend_class->get(backend, row, entry, &value));
    return value;
}

void shelf_expect(struct backend *backend, const struct row_key *row, const char *entry,
    const char *value)
{
    weir_str found = shelf_get(backend, row, weir_str_of(entry));
    if (found.data == NULL)
        fail_msg("'%.*s'/'%s' is not there", (int)row->key.size, row->key.data, entry);
    if (!weir_str_equal(found, weir_str_of(value)))
        fail_msg("'%.*s'/'%s' is '%.*s' instead of '%s'", (int)row->key.size, row->key.data, entry,
            (int)found.size, found.data, value);
}

void shelf_expect_none(struct backend *backend, const struct row_key *row, const char *entry)
{
    assert_null(shelf_get(backend, row, weir_str_of(entry)).data);
}

/* -- texts ---------------------------------------------------------------------------------- */

struct lines {
    char **lines;
    size_t count, capacity;
};

static bool dump_entry(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    struct lines *lines = arg;
    assert_non_null(value.data);
    assert_int_equal(row->hash, hash_bytes(row->key.data, row->key.size));
    assert_int_equal(row->group, key_group_of(row->hash, SHELF_MAX_PARALLELISM));
    if (lines->count == lines->capacity) {
        lines->capacity = lines->capacity * 2 + 64;
        lines->lines = mem_realloc(lines->lines, lines->capacity * sizeof(*lines->lines));
    }
    lines->lines[lines->count++] = mem_printf("%.*s/%.*s=%.*s\n", (int)row->key.size, row->key.data,
        (int)entry.size, entry.data, (int)value.size, value.data);
    return true;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *shelf_dump(struct backend *backend, uint32_t state)
{
    struct lines lines = { 0 };
    shelf_ok(backend->backend_class->scan(backend, state, dump_entry, &lines));
    if (lines.count > 0)
        qsort(lines.lines, lines.count, sizeof(*lines.lines), compare_lines);
    weir_buffer *text = weir_buffer_new(256 << 20);
    for (size_t i = 0; i < lines.count; i++) {
        weir_buffer_add_str(text, weir_str_of(lines.lines[i]));
        mem_free(lines.lines[i]);
    }
    mem_free(lines.lines);
    char *result = mem_strdup(buffer_text(text));
    weir_buffer_free(text);
    return result;
}

static bool row_entry(void *arg, weir_str entry, weir_str value)
{
    weir_buffer *text = arg;
    buffer_printf(text, "%s%.*s=%.*s", buffer_size(text) == 0 ? "" : " ", (int)entry.size,
        entry.data, (int)value.size, value.data);
    return true;
}

char *shelf_row_text(struct backend *backend, const struct row_key *row, const char *prefix)
{
    weir_buffer *text = weir_buffer_new(64 << 20);
    shelf_ok(backend->backend_class->each(backend, row, weir_str_of(prefix), row_entry, text));
    char *result = mem_strdup(buffer_text(text));
    weir_buffer_free(text);
    return result;
}
