/* in_flight.c -- see in_flight.h. Prefixes: in_flight_ */
#include "runtime/task/in_flight.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/os.h"
#include "types/key_group.h"
#include "types/schema.h"

#include <inttypes.h>

#define SIZE_MAX_BYTES ((size_t)1 << 30)
#define ALIGNMENT      16u
#define TYPE_MAX       ((size_t)1 << 20)

static const char magic[8] = "WEIRFLY1";

struct head {
    char magic[8];
    uint32_t version, type_size;
    uint64_t zero[2];
};
_Static_assert(sizeof(struct head) == 32, "in_flight.h says so");

struct run {
    uint64_t size;
    uint32_t is_keyed, zero;
};
_Static_assert(sizeof(struct run) == ALIGNMENT, "elements behind it are aligned");

/* -- writing ----------------------------------------------------------------------------------------- */

static const char zeros[ALIGNMENT];

static size_t aligned(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

weir_buffer *in_flight_new(const struct weir_type *type)
{
    weir_buffer *in_flight = weir_buffer_new(SIZE_MAX_BYTES);
    weir_buffer *text = weir_buffer_new(TYPE_MAX);
    schema_put_placed(type, text);
    weir_str view = weir_buffer_view(text);
    struct head head = { .version = 1, .type_size = (uint32_t)aligned(view.size) };
    memcpy(head.magic, magic, sizeof(magic));
    weir_buffer_add(in_flight, &head, sizeof(head));
    weir_buffer_add(in_flight, view.data, view.size);
    weir_buffer_add(in_flight, zeros, aligned(view.size) - view.size);
    weir_buffer_free(text);
    return in_flight;
}

void in_flight_add(weir_buffer *in_flight, bool is_keyed, const struct element *first, size_t size)
{
    DEBUG_ASSERT(size % ALIGNMENT == 0);
    struct run run = { .size = size, .is_keyed = is_keyed };
    weir_buffer_add(in_flight, &run, sizeof(run));
    for (size_t at = 0; at < size;) {
        const struct element *it = (const void *)((const char *)first + at);
        size_t used = sizeof(*it) + it->size;
        weir_buffer_add(in_flight, it, used);
        at += segment_element_size(it->size);
        weir_buffer_add(in_flight, zeros,
            aligned(used) - used); /* in a segment: what was there before */
    }
}

static void add_staged(struct operator_snapshot *op, const struct state_file *file,
    struct arena *arena)
{
    struct state_file *grown = arena_alloc(arena, (op->staged_count + 1) * sizeof(*grown));
    if (op->staged_count > 0)
        memcpy(grown, op->staged, op->staged_count * sizeof(*grown));
    grown[op->staged_count++] = *file;
    op->staged = grown;
}

weir_error *in_flight_store(const weir_buffer *in_flight, const char *checkpoint_dir,
    uint64_t attempt, struct arena *arena, struct operator_snapshot *op)
{
    if (weir_buffer_overflowed(in_flight))
        return weir_errorf(WEIR_E_LIMIT,
            "more than %zu MB of records are in flight to '%.*s'; give the job less --memory, or a "
            "longer --aligned-checkpoint-timeout",
            SIZE_MAX_BYTES >> 20, (int)op->uid.size, op->uid.data);
    weir_str view = weir_buffer_view(in_flight);
    struct state_file file;
    WEIR_TRY(state_file_begin(checkpoint_dir)); /* makes the directory */
    char *aside = state_file_temporary(checkpoint_dir, attempt, arena);
    weir_error *error = os_write_file(aside, view.data, view.size);
    if (error == NULL)
        error = state_file_store(aside, checkpoint_dir, attempt, IN_FLIGHT_NAME, arena, &file);
    error = weir_error_join(error, os_remove(aside));
    if (error == NULL)
        add_staged(op, &file, arena);
    return error;
}

/* -- reading ----------------------------------------------------------------------------------------- */

static weir_error *corrupt(const struct in_flight_reader *reader, const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "'%s' is no file of records in flight: %s", reader->path,
        what);
}

static weir_error *another_type(const struct in_flight_reader *reader,
    const struct weir_type *stored, const struct weir_type *type)
{
    weir_buffer *text = weir_buffer_new(TYPE_MAX);
    schema_print(stored, text);
    weir_buffer_add_str(text, WEIR_STR("; in the job: "));
    schema_print(type, text);
    weir_error *error = weir_errorf(WEIR_E_STATE,
        "records in flight ('%s') are of another type than the operator takes now: start the "
        "program "
        "that wrote the checkpoint once more and take a savepoint, which has none in flight. In "
        "the "
        "checkpoint: %s",
        reader->path, buffer_text(text));
    weir_buffer_free(text);
    return error;
}

static weir_error *check_head(struct in_flight_reader *reader, const struct weir_type *type)
{
    struct head head;
    if (reader->size < sizeof(head))
        return corrupt(reader, "it is too short");
    memcpy(&head, reader->bytes, sizeof(head));
    if (memcmp(head.magic, magic, sizeof(magic)) != 0)
        return corrupt(reader, "it begins otherwise");
    if (head.version != 1)
        return weir_errorf(WEIR_E_STATE,
            "'%s' was written by a newer Weir (version %" PRIu32 " of the file); use that one",
            reader->path, head.version);
    if (head.type_size % ALIGNMENT != 0 || head.type_size > reader->size - sizeof(head))
        return corrupt(reader, "its type does not end in it");
    const struct weir_type *stored;
    struct arena arena;
    arena_init(&arena, 4096, TYPE_MAX * 16);
    struct reader bytes =
        reader_of((weir_str){ .data = reader->bytes + sizeof(head), .size = head.type_size });
    weir_error *error = schema_get_placed(&bytes, &arena, &stored);
    if (error == NULL && !schema_equal(stored, type))
        error = another_type(reader, stored, type);
    arena_release(&arena);
    reader->at = reader->run_end = sizeof(head) + head.type_size;
    return error;
}

weir_error *in_flight_open(struct in_flight_reader *reader, const char *path,
    const struct weir_type *type, uint32_t old, const struct in_flight_owner *owner)
{
    *reader = (struct in_flight_reader){ .owner = *owner,
        .groups = key_group_range(owner->subtask, owner->parallelism, owner->max_parallelism),
        .path = path,
        .is_mine = old % owner->parallelism == owner->subtask };
    layout_init(&reader->layout, type);
    WEIR_TRY(os_read_file(path, SIZE_MAX_BYTES, &reader->bytes, &reader->size));
    weir_error *error = check_head(reader, type);
    if (error != NULL)
        in_flight_close(reader);
    return error;
}

/* False: there is none, or an error. */
static bool next_run(struct in_flight_reader *reader, weir_error **error)
{
    struct run run;
    if (reader->at == reader->size)
        return false;
    if (reader->size - reader->at < sizeof(run)) {
        *error = corrupt(reader, "it ends within a run");
        return false;
    }
    memcpy(&run, reader->bytes + reader->at, sizeof(run));
    reader->at += sizeof(run);
    if (run.size > reader->size - reader->at || run.size % ALIGNMENT != 0) {
        *error = corrupt(reader, "a run does not end in it");
        return false;
    }
    reader->run_end = reader->at + run.size;
    reader->is_keyed = run.is_keyed != 0;
    return true;
}

static bool is_mine(const struct in_flight_reader *reader, const struct element *element)
{
    return reader->is_keyed ? group_range_has(reader->groups,
                                  key_group_of(element->key_hash, reader->owner.max_parallelism))
                            : reader->is_mine;
}

/* NULL: an error. */
static struct element *next_element(struct in_flight_reader *reader, weir_error **error)
{
    struct element *element = (struct element *)(void *)(reader->bytes + reader->at);
    size_t left = reader->run_end - reader->at;
    if (left < sizeof(*element) || element->kind != ELEMENT_RECORD ||
        segment_element_size(element->size) > left)
        *error = corrupt(reader, "a record does not end in its run");
    else
        *error = layout_check(&reader->layout, element + 1, element->size);
    if (*error != NULL)
        return NULL;
    reader->at += segment_element_size(element->size);
    return element;
}

weir_error *in_flight_next(struct in_flight_reader *reader, struct weir_row *rows, uint32_t row_max,
    uint32_t *row_count)
{
    weir_error *error = NULL;
    *row_count = 0;
    while (*row_count < row_max) {
        if (reader->at == reader->run_end && !next_run(reader, &error))
            return error;
        if (reader->at == reader->run_end)
            continue;
        struct element *element = next_element(reader, &error);
        if (error != NULL)
            return error;
        if (is_mine(reader, element))
            rows[(*row_count)++] = (struct weir_row){
                .record = layout_open(&reader->layout, element + 1),
                .timestamp_ms = element->value,
                .key_hash = element->key_hash,
            };
    }
    return NULL;
}

void in_flight_close(struct in_flight_reader *reader)
{
    mem_free(reader->bytes);
    reader->bytes = NULL;
}
