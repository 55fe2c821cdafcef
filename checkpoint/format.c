/* format.c -- the bytes of a checkpoint's metadata.
 *
 * The body, integers little-endian, `str` and `list` with a u32 length or count in front:
 *
 *      str job · u64 checkpoint, attempt, instance, fingerprint · u32 max_parallelism ·
 *      u64 started_ms, completed_ms · list of operators
 *      operator  str uid · u32 subtask, parallelism · str backend · u64 schema · str schema_text ·
 *                str states (since version 2) · u32 first group, last group · list of files · list of staged files ·
 *                list of items · list of counters
 *      file      str name, path · u64 length, checksum
 *      item      str name, value
 *      counter   str name · u64 value
 *
 * Decoding copies the body into the arena once; strings are views of that copy. A count is believed
 * only if that many of the smallest possible elements still fit into what is left. */
#include "checkpoint/format.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/sealed.h"

#include <inttypes.h>
#include <string.h>

static const struct sealed_form form = { .magic = "WEIRCHK1",
    .noun = "checkpoint metadata",
    .version = 3 };

/* The smallest encodings, for checking counts. */
#define OPERATOR_SIZE_MIN 52u
#define FILE_SIZE_MIN     24u
#define ITEM_SIZE_MIN     8u
#define COUNTER_SIZE_MIN  12u

/* Decoded, an element takes at most 12 times its bytes (the worst is an item without name or value);
 * arenas abort at their maximum, so it is beyond what CHECKPOINT_SIZE_MAX bytes can ask for. */
#define ARENA_BLOCK_SIZE ((size_t)4096)
#define ARENA_SIZE_MAX   (CHECKPOINT_SIZE_MAX * 16)

/* -- holding -------------------------------------------------------------------------------- */

struct state_file *checkpoint_add_staged(struct operator_snapshot *op, struct arena *arena)
{
    struct state_file *grown = arena_alloc(arena, (op->staged_count + 1) * sizeof(*grown));
    if (op->staged_count > 0)
        memcpy(grown, op->staged, op->staged_count * sizeof(*grown));
    op->staged = grown;
    return &grown[op->staged_count++];
}

uint64_t checkpoint_in_flight_size(const struct operator_snapshot *op)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < op->staged_count; i++)
        if (strcmp(op->staged[i].name, IN_FLIGHT_NAME) == 0)
            size += op->staged[i].length;
    return size;
}

struct subtask_snapshot *subtask_snapshot_new(uint64_t checkpoint, uint32_t subtask)
{
    struct subtask_snapshot *snapshot = mem_alloc(sizeof(*snapshot));
    arena_init(&snapshot->arena, ARENA_BLOCK_SIZE, ARENA_SIZE_MAX);
    snapshot->checkpoint = checkpoint;
    snapshot->subtask = subtask;
    return snapshot;
}

void subtask_snapshot_free(struct subtask_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    arena_release(&snapshot->arena);
    mem_free(snapshot);
}

void checkpoint_metadata_init(struct checkpoint_metadata *metadata)
{
    *metadata = (struct checkpoint_metadata){ .checkpoint = 0 };
    arena_init(&metadata->arena, ARENA_BLOCK_SIZE, ARENA_SIZE_MAX);
}

void checkpoint_metadata_release(struct checkpoint_metadata *metadata)
{
    arena_release(&metadata->arena);
    *metadata = (struct checkpoint_metadata){ .checkpoint = 0 };
}

static weir_str copy_str(struct arena *arena, weir_str text)
{
    if (text.data == NULL)
        return text;
    return (weir_str){ .data = arena_dup(arena, text.data, text.size), .size = text.size };
}

static struct state_file *copy_files(struct arena *arena, const struct state_file *files,
    uint32_t count)
{
    struct state_file *copies = arena_alloc(arena, count * sizeof(*copies));
    for (uint32_t i = 0; i < count; i++) {
        copies[i] = files[i];
        copies[i].name = arena_strdup(arena, files[i].name);
        copies[i].path = arena_strdup(arena, files[i].path);
    }
    return copies;
}

static void copy_operator(struct arena *arena, const struct operator_snapshot *from,
    struct operator_snapshot *to)
{
    *to = *from;
    to->syncs = NULL; /* done */
    to->sync_count = 0;
    to->uid = copy_str(arena, from->uid);
    to->backend = copy_str(arena, from->backend);
    to->schema_text = copy_str(arena, from->schema_text);
    to->states = copy_str(arena, from->states);
    to->files = copy_files(arena, from->files, from->file_count);
    to->staged = copy_files(arena, from->staged, from->staged_count);
    to->items = arena_alloc(arena, from->item_count * sizeof(*to->items));
    for (uint32_t i = 0; i < from->item_count; i++)
        to->items[i] = (struct weir_item){ .name = copy_str(arena, from->items[i].name),
            .value = copy_str(arena, from->items[i].value),
            .subtask = from->subtask };
    to->counters = arena_alloc(arena, from->counter_count * sizeof(*to->counters));
    to->counter_names = arena_alloc(arena, from->counter_count * sizeof(*to->counter_names));
    for (uint32_t i = 0; i < from->counter_count; i++) {
        to->counters[i] = from->counters[i];
        to->counter_names[i] = copy_str(arena, from->counter_names[i]);
    }
}

void checkpoint_metadata_add(struct checkpoint_metadata *metadata,
    const struct subtask_snapshot *snapshot)
{
    uint32_t count = metadata->operator_count + snapshot->operator_count;
    ASSERT(count >= metadata->operator_count);
    if (count > metadata->operator_capacity) {
        uint32_t capacity = count > UINT32_MAX / 2 ? count : count * 2;
        struct operator_snapshot *grown = arena_alloc(&metadata->arena, capacity * sizeof(*grown));
        if (metadata->operator_count > 0)
            memcpy(grown, metadata->operators, metadata->operator_count * sizeof(*grown));
        metadata->operators = grown;
        metadata->operator_capacity = capacity;
    }
    for (uint32_t i = 0; i < snapshot->operator_count; i++)
        copy_operator(&metadata->arena, &snapshot->operators[i],
            &metadata->operators[metadata->operator_count + i]);
    metadata->operator_count = count;
}

/* -- writing -------------------------------------------------------------------------------- */

static void put_files(weir_buffer *out, const struct state_file *files, uint32_t count)
{
    buffer_put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_put_str(out, weir_str_of(files[i].name));
        buffer_put_str(out, weir_str_of(files[i].path));
        buffer_put_u64(out, files[i].length);
        buffer_put_u64(out, files[i].checksum);
    }
}

static void put_operator(weir_buffer *out, const struct operator_snapshot *operator)
{
    buffer_put_str(out, operator->uid);
    buffer_put_u32(out, operator->subtask);
    buffer_put_u32(out, operator->parallelism);
    buffer_put_str(out, operator->backend);
    buffer_put_u64(out, operator->schema);
    buffer_put_str(out, operator->schema_text);
    buffer_put_str(out, operator->states);
    buffer_put_u32(out, operator->groups.first);
    buffer_put_u32(out, operator->groups.last);
    put_files(out, operator->files, operator->file_count);
    put_files(out, operator->staged, operator->staged_count);
    buffer_put_u32(out, operator->item_count);
    for (uint32_t i = 0; i < operator->item_count; i++) {
        buffer_put_str(out, operator->items[i].name);
        buffer_put_str(out, operator->items[i].value);
    }
    buffer_put_u32(out, operator->counter_count);
    for (uint32_t i = 0; i < operator->counter_count; i++) {
        buffer_put_str(out, operator->counter_names[i]);
        buffer_put_u64(out, (uint64_t) operator->counters[i]);
    }
}

void checkpoint_encode(const struct checkpoint_metadata *metadata, weir_buffer *out)
{
    weir_buffer *body = weir_buffer_new(CHECKPOINT_SIZE_MAX - SEALED_HEADER_SIZE);
    buffer_put_str(body, metadata->job);
    buffer_put_u64(body, metadata->checkpoint);
    buffer_put_u64(body, metadata->attempt);
    buffer_put_u64(body, metadata->instance);
    buffer_put_u64(body, metadata->fingerprint);
    buffer_put_u32(body, metadata->max_parallelism);
    buffer_put_u64(body, (uint64_t)metadata->started_ms);
    buffer_put_u64(body, (uint64_t)metadata->completed_ms);
    buffer_put_u32(body, metadata->operator_count);
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        put_operator(body, &metadata->operators[i]);
    sealed_put(&form, body, out);
    weir_buffer_free(body);
}

/* -- reading -------------------------------------------------------------------------------- */

/* Thread: its holder. */
struct decoder {
    struct reader reader;
    struct arena *arena;
    uint32_t version;
    const char *wrong; /* what did not fit, static text; NULL: nothing so far */
};

/* The first mistake counts, the rest follows from it. */
static void wrong(struct decoder *decoder, const char *what)
{
    if (decoder->wrong == NULL)
        decoder->wrong = what;
    decoder->reader.has_failed = true;
}

static uint32_t get_count(struct decoder *decoder, uint32_t element_size_min)
{
    uint32_t count = reader_u32(&decoder->reader);
    size_t left = (size_t)(decoder->reader.end - decoder->reader.at);
    if (reader_failed(&decoder->reader))
        return 0;
    if (count <= left / element_size_min && count <= CHECKPOINT_COUNT_MAX)
        return count;
    wrong(decoder, "a count is larger than what follows or than 1,000,000");
    return 0;
}

bool checkpoint_path_is_safe(weir_str path)
{
    for (size_t i = 0, start = 0; i <= path.size; i++) {
        if (i < path.size && path.data[i] == '\0')
            return false;
        if (i < path.size && path.data[i] != '/')
            continue;
        weir_str part = { .data = path.data + start, .size = i - start };
        if (part.size == 0 || weir_str_equal(part, WEIR_STR(".")) ||
            weir_str_equal(part, WEIR_STR("..")))
            return false;
        start = i + 1;
    }
    return path.size < OS_PATH_MAX;
}

static const char *get_path(struct decoder *decoder)
{
    weir_str path = reader_str(&decoder->reader);
    if (reader_failed(&decoder->reader))
        return "";
    if (path.data == NULL || !checkpoint_path_is_safe(path)) {
        wrong(decoder, "a file's name or path is not a path inside the checkpoint directory");
        return "";
    }
    char *text = arena_alloc(decoder->arena, path.size + 1);
    memcpy(text, path.data, path.size);
    return text;
}

static struct state_file *get_files(struct decoder *decoder, uint32_t *count)
{
    *count = get_count(decoder, FILE_SIZE_MIN);
    struct state_file *files = arena_alloc(decoder->arena, *count * sizeof(*files));
    for (uint32_t i = 0; i < *count && !reader_failed(&decoder->reader); i++) {
        files[i].name = get_path(decoder);
        files[i].path = get_path(decoder);
        files[i].length = reader_u64(&decoder->reader);
        files[i].checksum = reader_u64(&decoder->reader);
    }
    return files;
}

static void get_items(struct decoder *decoder, struct operator_snapshot *operator)
{
    operator->item_count = get_count(decoder, ITEM_SIZE_MIN);
    operator->items = arena_alloc(decoder->arena, operator->item_count * sizeof(*operator->items));
    for (uint32_t i = 0; i < operator->item_count && !reader_failed(&decoder->reader); i++) {
        operator->items[i].name = reader_str(&decoder->reader);
        operator->items[i].value = reader_str(&decoder->reader);
        operator->items[i].subtask = operator->subtask;
    }
}

static void get_counters(struct decoder *decoder, struct operator_snapshot *operator)
{
    uint32_t count = get_count(decoder, COUNTER_SIZE_MIN);
    operator->counter_count = count;
    operator->counters = arena_alloc(decoder->arena, count * sizeof(*operator->counters));
    operator->counter_names = arena_alloc(decoder->arena, count * sizeof(*operator->counter_names));
    for (uint32_t i = 0; i < count && !reader_failed(&decoder->reader); i++) {
        operator->counter_names[i] = reader_str(&decoder->reader);
        operator->counters[i] =(int64_t) reader_u64(&decoder->reader);
    }
}

static void get_operator(struct decoder *decoder, struct operator_snapshot *operator)
{
    struct reader *reader = &decoder->reader;
    operator->uid = reader_str(reader);
    operator->subtask = reader_u32(reader);
    operator->parallelism = reader_u32(reader);
    operator->backend = reader_str(reader);
    operator->schema = reader_u64(reader);
    operator->schema_text = reader_str(reader);
    if (decoder->version >= 2)
        operator->states = reader_str(reader);
    operator->groups.first = reader_u32(reader);
    operator->groups.last = reader_u32(reader);
    if (!reader_failed(reader) && operator->subtask >= operator->parallelism)
        wrong(decoder, "a subtask's number is not below the parallelism");
    if (!reader_failed(reader) && operator->groups.first> operator->groups.last)
        wrong(decoder, "a range of key groups ends before it starts");
    operator->files = get_files(decoder, &operator->file_count);
    operator->staged = get_files(decoder, &operator->staged_count);
    get_items(decoder, operator);
    get_counters(decoder, operator);
}

static void get_body(struct decoder *decoder, struct checkpoint_metadata *metadata)
{
    struct reader *reader = &decoder->reader;
    metadata->job = reader_str(reader);
    metadata->checkpoint = reader_u64(reader);
    metadata->attempt = reader_u64(reader);
    metadata->instance = reader_u64(reader);
    metadata->fingerprint = reader_u64(reader);
    metadata->max_parallelism = reader_u32(reader);
    metadata->started_ms = (int64_t)reader_u64(reader);
    metadata->completed_ms = (int64_t)reader_u64(reader);
    uint32_t count = get_count(decoder, OPERATOR_SIZE_MIN);
    metadata->operator_count = metadata->operator_capacity = count;
    metadata->operators = arena_alloc(decoder->arena, count * sizeof(*metadata->operators));
    for (uint32_t i = 0; i < count && !reader_failed(reader); i++)
        get_operator(decoder, &metadata->operators[i]);
    if (reader_failed(reader))
        wrong(decoder, "it ends too early");
    else if (!reader_at_end(reader))
        wrong(decoder, "bytes are left over at its end");
}

weir_error *checkpoint_decode(weir_str bytes, const char *what,
    struct checkpoint_metadata *metadata)
{
    if (bytes.size > CHECKPOINT_SIZE_MAX)
        return weir_errorf(WEIR_E_LIMIT, "%s is larger than %zu bytes", what, CHECKPOINT_SIZE_MAX);
    uint32_t version;
    weir_str body;
    WEIR_TRY(sealed_open(&form, bytes, what, &version, &body));
    checkpoint_metadata_init(metadata);
    body.data = arena_dup(&metadata->arena, body.data, body.size);
    struct decoder decoder = { .reader = reader_of(body),
        .arena = &metadata->arena,
        .version = version };
    get_body(&decoder, metadata);
    if (decoder.wrong == NULL)
        return NULL;
    checkpoint_metadata_release(metadata);
    return weir_errorf(WEIR_E_CORRUPT, "%s is corrupt: %s", what, decoder.wrong);
}

/* -- what is said beside it ------------------------------------------------------------------- */

void checkpoint_put_identities(const struct checkpoint_metadata *metadata, weir_buffer *out)
{
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        for (uint32_t f = 0; f < metadata->operators[i].file_count; f++)
            buffer_put_u64(out, metadata->operators[i].files[f].identity);
}

bool checkpoint_take_identities(struct checkpoint_metadata *metadata, weir_str bytes)
{
    struct reader reader = reader_of(bytes);
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        for (uint32_t f = 0; f < metadata->operators[i].file_count; f++)
            metadata->operators[i].files[f].identity = reader_u64(&reader);
    return !reader_failed(&reader) && reader_at_end(&reader);
}
