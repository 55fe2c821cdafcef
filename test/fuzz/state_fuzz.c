/* state_fuzz.c -- the files of keyed state in a checkpoint. Their checksums have been compared before they are read, with
 * those that the checkpoint lists: who made the one has made the other, and people give checkpoints to `weir inspect` and
 * `weir savepoint` that they have from others.
 *
 * The first byte says as what the rest is read: a snapshot of the hashmap backend, or a segment, as it is, or behind the
 * header of its one list, whose counts are the next three bytes. What is accepted is gone through to its last byte. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "state/segment.h"
#include "test/support/temp_dir.h"

#include <stdio.h>
#include <stdlib.h>

#define STATES 4u /* that are looked into */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dir;
static uint64_t sum; /* of all that was read */

static void see(weir_str bytes)
{
    sum += bytes.data == NULL ? 1 : hash_bytes(bytes.data, bytes.size);
}

static void free_expected(weir_error *error)
{
    if (error == NULL)
        return;
    ASSERT(weir_error_code(error) == WEIR_E_CORRUPT || weir_error_code(error) == WEIR_E_STATE);
    weir_error_free(error);
}

/* -- a segment ------------------------------------------------------------------------------------------- */

static weir_error *see_changes(void *arg, const struct changes *changes)
{
    const struct group_range *groups = arg;
    const struct change_row *row = NULL;
    while ((row = changes_next(changes, row)) != NULL) {
        struct row_key key = change_row_key(row);
        struct change_cells cells = change_cells(row);
        weir_str name, value;
        ASSERT(group_range_has(*groups, key.group));
        see(key.key);
        while (change_cells_next(&cells, &name, &value)) {
            see(name);
            see(value);
        }
    }
    return NULL;
}

static void as_segment(const char *path)
{
    static struct group_range ranges[] = { { 0, UINT16_MAX }, { 0, 3 } };
    for (size_t i = 0; i < 2; i++)
        free_expected(segment_replay(path, ranges[i], see_changes, &ranges[i]));
}

static void put_list(weir_str bytes, weir_buffer *out)
{
    uint64_t counts[3] = { 0 };
    for (size_t i = 0; i < 3 && bytes.size > 0; i++, bytes.size--)
        counts[i] = (uint8_t)*bytes.data++;
    buffer_put_u64(out, SEGMENT_MAGIC);
    buffer_put_u64(out, bytes.size);
    for (size_t i = 0; i < 3; i++)
        buffer_put_u64(out, counts[i]);
    weir_buffer_add_str(out, bytes);
}

/* -- a snapshot of the hashmap backend -------------------------------------------------------------------- */

static bool see_row(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    const struct group_range *groups = arg;
    ASSERT(group_range_has(*groups, row->group));
    see(row->key);
    see(entry);
    see(value);
    return true;
}

static void as_snapshot(size_t size)
{
    struct state_file file = { .name = "state.hashmap",
        .path = STATE_FILE_DIR "/file",
        .length = size,
        .is_verified = true };
    struct group_range groups = { 0, 127 };
    struct backend_source source = { .groups = groups, .files = &file, .file_count = 1 };
    struct backend_options options = { .checkpoint_dir = dir,
        .groups = groups,
        .memory_size = 1 << 20 };
    struct backend *backend;
    weir_error *error = backend_hashmap.open(&options, &source, 1, &backend);
    if (error != NULL) {
        free_expected(error);
        return;
    }
    for (uint32_t state = 0; state < STATES; state++) {
        error = backend_hashmap.scan(backend, state, see_row, &groups);
        ASSERT(error == NULL);
    }
    backend_hashmap.close(backend);
}

static void put_snapshot(weir_str bytes, weir_buffer *out)
{
    weir_buffer_add(out, "WEIRHASH", 8);
    buffer_put_u32(out, 1);
    buffer_put_u32(out, 0);
    weir_buffer_add_str(out, bytes);
}

/* -- one input ---------------------------------------------------------------------------------------------- */

static void remove_dir(void)
{
    temp_dir_free(dir);
}

static void begin(void)
{
    dir = temp_dir_new();
    ASSERT(atexit(remove_dir) == 0);
    weir_error *error = os_make_dirs(temp_dir_path(dir, STATE_FILE_DIR));
    ASSERT(error == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (dir == NULL)
        begin();
    weir_str bytes = { .data = (const char *)data + 1, .size = size - 1 };
    weir_buffer *out = weir_buffer_new(size + 64);
    uint32_t what = data[0] % 4;
    if (what == 0)
        put_snapshot(bytes, out);
    else if (what == 1)
        put_list(bytes, out);
    else
        weir_buffer_add_str(out, bytes);
    weir_str view = weir_buffer_view(out);
    const char *path = temp_dir_path(dir, STATE_FILE_DIR "/file");
    temp_dir_write(path, view.data, view.size);
    if (what % 2 == 0)
        as_snapshot(view.size);
    else
        as_segment(path);
    weir_buffer_free(out);
    return 0;
}
