/* in_flight.c -- see in_flight.h. What is gathered are runs: a head, and elements as they lie in segments. */
#include "runtime/task/in_flight.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/os.h"
#include "types/key_group.h"
#include "types/layout.h"
#include "types/msgpack.h"
#include "types/schema.h"

#include <inttypes.h>

#define BYTES_MAX ((size_t)1 << 30)
#define TYPE_MAX  ((size_t)1 << 20)
#define HEAD_SIZE 16u /* of the file, without the type */
#define ROW_SIZE  24u /* in front of each record */

static const char magic[8] = "WEIRFLY1";

struct run {
    uint64_t size;
    uint64_t is_keyed;
};

/* -- writing ----------------------------------------------------------------------------------------- */

weir_buffer *in_flight_new(void)
{
    return weir_buffer_new(BYTES_MAX);
}

void in_flight_add(weir_buffer *in_flight, bool is_keyed, const struct element *first, size_t size)
{
    struct run run = { .size = size, .is_keyed = is_keyed };
    weir_buffer_add(in_flight, &run, sizeof(run));
    weir_buffer_add(in_flight, first, size);
}

static void put_head(const struct weir_type *type, weir_buffer *out)
{
    weir_buffer *text = weir_buffer_new(TYPE_MAX);
    schema_put(type, text);
    weir_buffer_add(out, magic, sizeof(magic));
    buffer_put_u32(out, 1);
    buffer_put_str(out, weir_buffer_view(text));
    weir_buffer_free(text);
}

static void put_record(const struct layout *layout, const struct element *element, bool is_keyed,
    void *record, weir_buffer *encoded, weir_buffer *out)
{
    layout_read(layout, element + 1, record);
    weir_buffer_reset(encoded);
    msgpack_encode(layout->type, record, encoded);
    weir_str bytes = weir_buffer_view(encoded);
    buffer_put_u32(out, (uint32_t)bytes.size);
    buffer_put_u32(out, is_keyed);
    buffer_put_u64(out, (uint64_t)element->value);
    buffer_put_u64(out, element->key_hash);
    weir_buffer_add(out, bytes.data, bytes.size);
}

static void put_runs(weir_str runs, const struct weir_type *type, weir_buffer *out)
{
    struct layout layout;
    struct run run;
    layout_init(&layout, type);
    void *record = mem_alloc(type->size);
    weir_buffer *encoded = weir_buffer_new(BYTES_MAX);
    for (size_t at = 0; at < runs.size;) {
        memcpy(&run, runs.data + at, sizeof(run));
        at += sizeof(run);
        for (size_t end = at + run.size; at < end;) {
            const struct element *it = (const void *)(runs.data + at);
            put_record(&layout, it, run.is_keyed != 0, record, encoded, out);
            at += segment_element_size(it->size);
        }
    }
    weir_buffer_free(encoded);
    mem_free(record);
}

static weir_error *store(weir_str bytes, const char *checkpoint_dir, uint64_t attempt,
    struct arena *arena, struct operator_snapshot *op)
{
    struct state_file file;
    WEIR_TRY(state_file_begin(checkpoint_dir)); /* makes the directory */
    char *aside = state_file_temporary(checkpoint_dir, attempt, arena);
    weir_error *error = os_write_file(aside, bytes.data, bytes.size);
    if (error == NULL)
        error = state_file_store(aside, checkpoint_dir, attempt, IN_FLIGHT_NAME, arena, &file);
    error = weir_error_join(error, os_remove(aside));
    if (error == NULL)
        *checkpoint_add_staged(op, arena) = file;
    return error;
}

weir_error *in_flight_store(const weir_buffer *in_flight, const struct weir_type *type,
    const char *checkpoint_dir, uint64_t attempt, struct arena *arena, struct operator_snapshot *op)
{
    weir_buffer *out = weir_buffer_new(BYTES_MAX);
    bool is_too_large = weir_buffer_overflowed(in_flight);
    if (!is_too_large) {
        put_head(type, out);
        put_runs(weir_buffer_view(in_flight), type, out);
    }
    weir_error *error;
    if (is_too_large || weir_buffer_overflowed(out))
        error = weir_errorf(WEIR_E_LIMIT,
            "more than %zu MB of records are in flight to '%.*s'; give the job less --memory, or a "
            "longer --aligned-checkpoint-timeout",
            BYTES_MAX >> 20, (int)op->uid.size, op->uid.data);
    else
        error = store(weir_buffer_view(out), checkpoint_dir, attempt, arena, op);
    weir_buffer_free(out);
    return error;
}

/* -- reading ----------------------------------------------------------------------------------------- */

static weir_error *corrupt(const struct in_flight_reader *reader, const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "'%s' is no file of records in flight: %s", reader->path,
        what);
}

static weir_error *check_type(const struct in_flight_reader *reader, weir_str stored)
{
    const struct weir_type *type;
    struct arena arena;
    struct reader bytes = reader_of(stored);
    arena_init(&arena, 4096, TYPE_MAX * 16);
    weir_error *error = schema_get(&bytes, &arena, &type);
    if (error == NULL) {
        error = schema_can_restore(type, reader->type, NULL);
        if (error != NULL)
            error = weir_error_wrap(error,
                "records in flight ('%s') cannot be read as what the operator takes now: start the "
                "program that wrote the checkpoint once more and take a savepoint, which has none "
                "in flight",
                reader->path);
    }
    arena_release(&arena);
    return error;
}

static weir_error *check_head(struct in_flight_reader *reader)
{
    if (reader->size < HEAD_SIZE)
        return corrupt(reader, "it is too short");
    if (memcmp(reader->bytes, magic, sizeof(magic)) != 0)
        return corrupt(reader, "it begins otherwise");
    struct reader bytes = reader_of(
        (weir_str){ .data = reader->bytes + sizeof(magic), .size = reader->size - sizeof(magic) });
    uint32_t version = reader_u32(&bytes);
    if (version != 1)
        return weir_errorf(WEIR_E_STATE,
            "'%s' was written by a newer Weir (version %" PRIu32 " of the file); use that one",
            reader->path, version);
    weir_str type = reader_str(&bytes);
    if (reader_failed(&bytes))
        return corrupt(reader, "its type does not end in it");
    reader->at = HEAD_SIZE + type.size;
    return check_type(reader, type);
}

weir_error *in_flight_open(struct in_flight_reader *reader, const char *path,
    const struct weir_type *type, uint32_t old, const struct in_flight_owner *owner)
{
    *reader = (struct in_flight_reader){ .type = type,
        .owner = *owner,
        .groups = key_group_range(owner->subtask, owner->parallelism, owner->max_parallelism),
        .is_mine = old % owner->parallelism == owner->subtask,
        .path = path };
    WEIR_TRY(os_read_file(path, BYTES_MAX, &reader->bytes, &reader->size));
    weir_error *error = check_head(reader);
    if (error != NULL)
        in_flight_close(reader);
    else
        reader->records = mem_alloc_array(IN_FLIGHT_ROWS_MAX, type->size);
    return error;
}

static bool is_mine(const struct in_flight_reader *reader, bool is_keyed, uint64_t key_hash)
{
    if (!is_keyed)
        return reader->is_mine;
    return group_range_has(reader->groups, key_group_of(key_hash, reader->owner.max_parallelism));
}

/* Into `row`, whose record has its place. *is_taken false: it is another subtask's. */
static weir_error *next_record(struct in_flight_reader *reader, struct weir_row *row, void *record,
    bool *is_taken)
{
    size_t left = reader->size - reader->at;
    struct reader bytes = reader_of((weir_str){ .data = reader->bytes + reader->at, .size = left });
    uint32_t size = reader_u32(&bytes), is_keyed = reader_u32(&bytes);
    *row = (struct weir_row){ .record = record, .timestamp_ms = (int64_t)reader_u64(&bytes) };
    row->key_hash = reader_u64(&bytes);
    if (reader_failed(&bytes) || size > left - ROW_SIZE)
        return corrupt(reader, "it ends within a record");
    weir_str encoded = { .data = reader->bytes + reader->at + ROW_SIZE, .size = size };
    reader->at += ROW_SIZE + size;
    *is_taken = is_mine(reader, is_keyed != 0, row->key_hash);
    if (!*is_taken)
        return NULL;
    weir_error *error = msgpack_decode(reader->type, encoded, NULL, record);
    if (error == NULL)
        return NULL;
    weir_error_free(error);
    return corrupt(reader, "a record is not one of its type");
}

weir_error *in_flight_next(struct in_flight_reader *reader, struct weir_row *rows, uint32_t row_max,
    uint32_t *row_count)
{
    ASSERT(row_max >= 1 && row_max <= IN_FLIGHT_ROWS_MAX);
    *row_count = 0;
    while (*row_count < row_max && reader->at < reader->size) {
        bool is_taken;
        WEIR_TRY(next_record(reader, &rows[*row_count],
            reader->records + (size_t)*row_count * reader->type->size, &is_taken));
        *row_count += is_taken;
    }
    return NULL;
}

void in_flight_close(struct in_flight_reader *reader)
{
    mem_free(reader->bytes);
    mem_free(reader->records);
    reader->bytes = reader->records = NULL;
}
