/* hashmap_file.c -- a snapshot of the hashmap backend: freezing, the file, loading it again.
 *
 * Freezing serialises the whole table on the task thread, into memory: a pause in proportion to the
 * state (about 1 GB/s) and as much memory again until the file is written. That is the price of a
 * table without versions; state for which it is too much belongs into another backend.
 *
 * One file, "state.hashmap", all numbers little-endian:
 *
 *      OFFSET SIZE  MEANING
 *           0    8  "WEIRHASH"
 *           8    4  format version, 1
 *          12    4  zero
 *          16    n  rows
 *
 *      row:    1  1        entry:  1  2          end:  1  3
 *              1  state            4  n              8  count of entries
 *              2  group            4  v
 *              4  k                n  entry name
 *              k  key              v  value
 *
 * A row is followed by its entries, the empty one first. The checksum of the whole file is in the
 * checkpoint's list and is verified before the first byte is believed; what the reader checks after
 * that (tags, sizes, the end) guards against a file that was never right.
 *
 * Prefixes: hashmap_ */
#include "state/hashmap.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"

#include <inttypes.h>

#define FILE_NAME      "state.hashmap"
#define FILE_MAGIC     "WEIRHASH"
#define FILE_VERSION   1u
#define PREFETCH_AHEAD 16u /* slots: about ten rows */
#define CHUNK_SIZE     ((size_t)4 << 20)
#define CHUNK_SIZE_MAX (CHUNK_SIZE + 3 * (size_t)ROW_PART_MAX)

enum tag { TAG_ROW = 1, TAG_ENTRY = 2, TAG_END = 3 };

/* Thread: task makes it, then worker. */
struct hashmap_snapshot {
    weir_buffer **chunks;
    size_t chunk_count, chunk_capacity;
    uint64_t entry_count;
    uint64_t attempt;
    char *checkpoint_dir;
};

static struct hashmap_snapshot *snapshot_of(struct backend_snapshot *snapshot)
{
    return (struct hashmap_snapshot *)(void *)snapshot;
}

/* -- freezing ------------------------------------------------------------------------------- */

/* The chunk to write to: the last one, or a new one when that is full. */
static weir_buffer *chunk_of(struct hashmap_snapshot *snapshot)
{
    if (snapshot->chunk_count > 0) {
        weir_buffer *last = snapshot->chunks[snapshot->chunk_count - 1];
        if (buffer_size(last) < CHUNK_SIZE)
            return last;
    }
    if (snapshot->chunk_count == snapshot->chunk_capacity) {
        snapshot->chunk_capacity =
            snapshot->chunk_capacity == 0 ? 16 : snapshot->chunk_capacity * 2;
        snapshot->chunks =
            mem_realloc(snapshot->chunks, snapshot->chunk_capacity * sizeof(weir_buffer *));
    }
    weir_buffer *chunk = weir_buffer_new(CHUNK_SIZE_MAX);
    snapshot->chunks[snapshot->chunk_count++] = chunk;
    return chunk;
}

static void put_u16(weir_buffer *buffer, uint32_t value)
{
    buffer_put_u8(buffer, (uint8_t)value);
    buffer_put_u8(buffer, (uint8_t)(value >> 8));
}

static bool freeze_entry(void *arg, weir_str name, weir_str value)
{
    struct hashmap_snapshot *snapshot = arg;
    weir_buffer *chunk = chunk_of(snapshot);
    buffer_put_u8(chunk, TAG_ENTRY);
    buffer_put_u32(chunk, (uint32_t)name.size);
    buffer_put_u32(chunk, (uint32_t)value.size);
    weir_buffer_add_str(chunk, name);
    weir_buffer_add_str(chunk, value);
    ASSERT(!weir_buffer_overflowed(chunk));
    snapshot->entry_count++;
    return true;
}

static void freeze_row(struct hashmap_snapshot *snapshot, struct row *row)
{
    weir_buffer *chunk = chunk_of(snapshot);
    buffer_put_u8(chunk, TAG_ROW);
    buffer_put_u8(chunk, row->state);
    put_u16(chunk, row->group);
    buffer_put_u32(chunk, row->key_size);
    weir_buffer_add_str(chunk, row_key_bytes(row));
    ASSERT(!weir_buffer_overflowed(chunk));
    if (row->value_size != ROW_VALUE_NONE)
        freeze_entry(snapshot, WEIR_STR(""), row_value(row));
    if (row->entries != NULL)
        entries_each(row->entries, WEIR_STR(""), freeze_entry, snapshot);
}

/* In the order of the slots rows lie here and there: each is a miss of the processor's cache. */
static void prefetch_row(const struct row *row)
{
    __builtin_prefetch(row);
    __builtin_prefetch((const char *)row + MEM_LINE_SIZE);
}

weir_error *hashmap_freeze(struct hashmap *map, struct backend_snapshot **result)
{
    ASSERT(map->checkpoint_dir != NULL);
    struct hashmap_snapshot *snapshot = mem_alloc(sizeof(*snapshot));
    snapshot->attempt = map->attempt;
    snapshot->checkpoint_dir = mem_strdup(map->checkpoint_dir);
    weir_buffer *chunk = chunk_of(snapshot);
    weir_buffer_add(chunk, FILE_MAGIC, 8);
    buffer_put_u32(chunk, FILE_VERSION);
    buffer_put_u32(chunk, 0);
    const struct rows *rows = &map->rows;
    for (uint64_t i = 0; i < rows->slot_count; i++) {
        prefetch_row(rows->slots[(i + PREFETCH_AHEAD) & (rows->slot_count - 1)].row);
        if (rows->slots[i].row != NULL)
            freeze_row(snapshot, rows->slots[i].row);
    }
    chunk = chunk_of(snapshot);
    buffer_put_u8(chunk, TAG_END);
    buffer_put_u64(chunk, snapshot->entry_count);
    *result = (struct backend_snapshot *)(void *)snapshot;
    return NULL;
}

/* -- writing -------------------------------------------------------------------------------- */

static weir_error *write_chunks(const struct hashmap_snapshot *snapshot, const char *path)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_CREATE, &file));
    weir_error *error = NULL;
    for (size_t i = 0; i < snapshot->chunk_count && error == NULL; i++) {
        weir_str chunk = weir_buffer_view(snapshot->chunks[i]);
        error = os_write(file, chunk.data, chunk.size);
    }
    os_close(file);
    return error;
}

weir_error *hashmap_snapshot_write(struct backend_snapshot *frozen, struct arena *arena,
    struct state_file **files, uint32_t *file_count)
{
    struct hashmap_snapshot *snapshot = snapshot_of(frozen);
    ASSERT(snapshot->chunk_count > 0);
    const char *directory = snapshot->checkpoint_dir;
    WEIR_TRY(state_file_begin(directory));
    char *temporary = state_file_temporary(directory, snapshot->attempt, arena);
    *files = arena_alloc(arena, sizeof(**files));
    *file_count = 1;
    weir_error *error = write_chunks(snapshot, temporary);
    if (error == NULL)
        error =
            state_file_add(temporary, NULL, directory, snapshot->attempt, FILE_NAME, arena, *files);
    error = weir_error_join(error, os_remove(temporary));
    if (error == NULL)
        error = state_file_end(directory);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot write a snapshot of keyed state");
}

void hashmap_snapshot_free(struct backend_snapshot *frozen)
{
    if (frozen == NULL)
        return;
    struct hashmap_snapshot *snapshot = snapshot_of(frozen);
    for (size_t i = 0; i < snapshot->chunk_count; i++)
        weir_buffer_free(snapshot->chunks[i]);
    mem_free(snapshot->chunks);
    mem_free(snapshot->checkpoint_dir);
    mem_free(snapshot);
}

/* -- loading -------------------------------------------------------------------------------- */

/* A file being read through a window that grows to the largest record. Thread: task. */
struct input {
    struct os_file *file;
    const char *path;
    char *window;
    size_t start, end, capacity; /* of the window */
    weir_error *error;           /* the first one; then everything reads as zeros */
};

static void damaged(struct input *input, const char *what)
{
    if (input->error == NULL)
        input->error = weir_errorf(WEIR_E_CORRUPT,
            "the state file '%s' is no snapshot of the hashmap backend: %s", input->path, what);
}

/* Reads on until `size` bytes are in the window. */
static void fill(struct input *input, size_t size)
{
    memmove(input->window, input->window + input->start, input->end - input->start);
    ASSERT(input->start <= input->end && input->end - input->start < size);
    input->end -= input->start;
    input->start = 0;
    if (size > input->capacity) {
        input->capacity = size;
        input->window = mem_realloc(input->window, size);
    }
    size_t got = 0;
    input->error =
        os_read(input->file, input->window + input->end, input->capacity - input->end, &got);
    input->end += got;
    ASSERT(input->end <= input->capacity);
    if (input->error == NULL && input->end < size)
        damaged(input, "it ends too early");
}

/* The next `size` bytes, valid until the next call; NULL data after an error. */
static weir_str take(struct input *input, size_t size)
{
    if (input->error == NULL && input->end - input->start < size)
        fill(input, size);
    if (input->error != NULL)
        return (weir_str){ 0 };
    weir_str bytes = { .data = input->window + input->start, .size = size };
    input->start += size;
    return bytes;
}

/* Thread: task. */
struct load {
    struct hashmap *map;
    struct input input;
    struct row_key row; /* its key is in `key` */
    char *key;
    size_t key_capacity;
    bool has_row, is_wanted;
    uint64_t entry_count;
};

static void load_row(struct load *load)
{
    struct reader head = reader_of(take(&load->input, 7));
    uint32_t state = reader_u8(&head);
    uint32_t group = reader_u8(&head);
    group |= (uint32_t)reader_u8(&head) << 8;
    size_t size = reader_u32(&head);
    if (load->input.error == NULL && size > ROW_PART_MAX)
        damaged(&load->input, "a key is too long");
    weir_str key = take(&load->input, size);
    if (load->input.error != NULL)
        return;
    if (size > load->key_capacity) {
        load->key_capacity = size;
        load->key = mem_realloc(load->key, size);
    }
    if (size > 0)
        memcpy(load->key, key.data, size);
    load->row = (struct row_key){ .key = { .data = size == 0 ? "" : load->key, .size = size },
        .hash = hash_bytes(load->key, size),
        .group = group,
        .state = state };
    load->has_row = true;
    load->is_wanted = group_range_has(load->map->groups, group);
}

static void load_entry(struct load *load)
{
    struct reader head = reader_of(take(&load->input, 8));
    size_t name_size = reader_u32(&head);
    size_t value_size = reader_u32(&head);
    if (!load->has_row)
        damaged(&load->input, "an entry stands before the first row");
    if (name_size > ROW_PART_MAX || value_size > ROW_PART_MAX)
        damaged(&load->input, "an entry is too long");
    weir_str both = take(&load->input, name_size + value_size);
    load->entry_count++;
    if (load->input.error != NULL || !load->is_wanted)
        return;
    weir_str name = { .data = both.data, .size = name_size };
    weir_str value = { .data = both.data + name_size, .size = value_size };
    hashmap_set(load->map, hashmap_slot(load->map, &load->row, true), name, value);
}

static void load_end(struct load *load)
{
    struct reader tail = reader_of(take(&load->input, 8));
    if (reader_u64(&tail) != load->entry_count)
        damaged(&load->input, "entries are missing");
    size_t got = 0;
    char more;
    if (load->input.error == NULL)
        load->input.error = os_read(load->input.file, &more, 1, &got);
    if (load->input.start != load->input.end || got != 0)
        damaged(&load->input, "something follows its end");
}

static void load_all(struct load *load)
{
    struct reader head = reader_of(take(&load->input, 16));
    weir_str magic = { .data = head.at, .size = 8 };
    if (load->input.error != NULL)
        return;
    if (!weir_str_equal(magic, WEIR_STR(FILE_MAGIC)))
        damaged(&load->input, "it starts with other bytes");
    reader_u64(&head);
    uint32_t version = reader_u32(&head);
    if (load->input.error == NULL && version != FILE_VERSION)
        load->input.error = weir_errorf(WEIR_E_STATE,
            "the state file '%s' has format version %u, this program reads %u: use the version "
            "of the program that wrote it",
            load->input.path, version, FILE_VERSION);
    while (load->input.error == NULL) {
        weir_str tag = take(&load->input, 1);
        if (tag.data == NULL)
            return;
        if (tag.data[0] == TAG_END) {
            load_end(load);
            return;
        }
        if (tag.data[0] == TAG_ROW)
            load_row(load);
        else if (tag.data[0] == TAG_ENTRY)
            load_entry(load);
        else
            damaged(&load->input, "an unknown tag");
    }
}

static weir_error *load_file(struct hashmap *map, const struct state_file *file)
{
    WEIR_TRY(state_file_verify(map->checkpoint_dir, file));
    char *path = mem_printf("%s/%s", map->checkpoint_dir, file->path);
    struct load load = { .map = map, .input = { .path = path, .capacity = CHUNK_SIZE } };
    load.input.error = os_open(path, OS_READ, &load.input.file);
    if (load.input.error == NULL) {
        load.input.window = mem_alloc(load.input.capacity);
        load_all(&load);
    }
    os_close(load.input.file);
    mem_free(load.input.window);
    mem_free(load.key);
    mem_free(path);
    return load.input.error;
}

weir_error *hashmap_load(struct hashmap *map, const struct backend_source *source)
{
    ASSERT(map->checkpoint_dir != NULL);
    if (source->file_count == 0)
        return weir_errorf(WEIR_E_CORRUPT,
            "the snapshot of key groups %u to %u lists no state file: restore another checkpoint",
            source->groups.first, source->groups.last);
    for (uint32_t i = 0; i < source->file_count; i++)
        WEIR_TRY(load_file(map, &source->files[i]));
    return NULL;
}
