/* savepoint_format.c -- see savepoint_format.h. One struct for each kind of pair; the field ids are for
 * ever, like those of a job's own types. */
#include "checkpoint/savepoint_format.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/sealed.h"
#include "types/msgpack.h"
#include "types/schema.h"

#include <weir/weir.h>

#define PAIR         0x92 /* MessagePack: an array of two */
#define KEYS_MAX     WEIR_KEY_FIELDS_MAX
#define SCHEMA_MAX   ((size_t)4 << 20)
#define FIELD_KINDS  ((uint32_t)WEIR_STRING + 1)
#define STATE_KINDS  ((uint32_t)WEIR_REDUCING + 1)
#define TIME_EVENT   "event"
#define TIME_PROCESS "processing"
#define NUMBER_MAX \
    ((uint64_t)INT64_MAX / 2) /* of a checkpoint, an attempt: the next ones must fit, too */
#define UNKNOWN_CHOICE UINT32_MAX

static const struct sealed_form form = { .magic = SAVEPOINT_MAGIC,
    .noun = "the metadata of a savepoint",
    .version = 1 };

/* -- the pairs ------------------------------------------------------------------------------ */

/* Thread: its stack's owner, this one and all below. */
struct head {
    weir_str job;
    uint64_t checkpoint; /* it was made from */
    uint64_t attempt;
    uint64_t instance;
    uint64_t fingerprint;
    uint32_t max_parallelism;
    int64_t started_ms, completed_ms; /* of that checkpoint */
    weir_str version;                 /* of Weir, for people */
};
WEIR_TYPE(head, WEIR_FIELD(1, head, job), WEIR_FIELD(2, head, checkpoint),
    WEIR_FIELD(3, head, max_parallelism), WEIR_FIELD(4, head, started_ms),
    WEIR_FIELD(5, head, completed_ms), WEIR_FIELD(6, head, attempt), WEIR_FIELD(7, head, instance),
    WEIR_FIELD(8, head, fingerprint), WEIR_FIELD(9, head, version));

/* Thread: its stack's owner. */
struct operator_pair {
    weir_str uid;
    uint32_t subtask, parallelism, first_group, last_group;
    bool is_keyed;
};
WEIR_TYPE(operator_pair, WEIR_FIELD(1, operator_pair, uid), WEIR_FIELD(2, operator_pair, subtask),
    WEIR_FIELD(3, operator_pair, parallelism), WEIR_FIELD(4, operator_pair, first_group),
    WEIR_FIELD(5, operator_pair, last_group), WEIR_FIELD(6, operator_pair, is_keyed));

/* Thread: its stack's owner. */
struct state_pair {
    weir_str name, kind, type; /* kind: value, list, map, reducing */
    int64_t ttl_ms;            /* 0: none */
    weir_str ttl_time;         /* event, processing */
};
WEIR_TYPE(state_pair, WEIR_FIELD(1, state_pair, name), WEIR_FIELD(2, state_pair, kind),
    WEIR_FIELD(3, state_pair, type), WEIR_FIELD(4, state_pair, ttl_ms),
    WEIR_FIELD(5, state_pair, ttl_time));

/* A field of a state's type, or of a key (without an id). Thread: its stack's owner. */
struct field_pair {
    uint32_t id;
    weir_str name, kind;
};
WEIR_TYPE(field_pair, WEIR_FIELD(1, field_pair, id), WEIR_FIELD(2, field_pair, name),
    WEIR_FIELD(3, field_pair, kind));

/* Thread: its stack's owner. */
struct file_pair {
    weir_str name, path;
    uint64_t length, checksum;
};
WEIR_TYPE(file_pair, WEIR_FIELD(1, file_pair, name), WEIR_FIELD(2, file_pair, path),
    WEIR_FIELD(3, file_pair, length), WEIR_FIELD(4, file_pair, checksum));

/* Thread: its stack's owner. */
struct item_pair {
    weir_str name, value;
};
WEIR_TYPE(item_pair, WEIR_FIELD(1, item_pair, name), WEIR_FIELD(2, item_pair, value));

/* Thread: its stack's owner. */
struct counter_pair {
    weir_str name;
    int64_t value;
};
WEIR_TYPE(counter_pair, WEIR_FIELD(1, counter_pair, name), WEIR_FIELD(2, counter_pair, value));

/* Stored numbers: they must never change. */
enum pair_kind {
    PAIR_HEAD = 1,
    PAIR_OPERATOR = 2,
    PAIR_KEY = 3,
    PAIR_STATE = 4,
    PAIR_FIELD = 5,
    PAIR_ENTRIES = 6,
    PAIR_STAGED = 7,
    PAIR_ITEM = 8,
    PAIR_COUNTER = 9
};

static void put(weir_buffer *out, enum pair_kind kind, const struct weir_type *type,
    const void *record)
{
    weir_buffer_add_byte(out, (char)PAIR);
    weir_buffer_add_byte(out, (char)kind);
    msgpack_encode(type, record, out);
}

/* -- writing -------------------------------------------------------------------------------- */

static void put_field(weir_buffer *out, enum pair_kind kind, const struct weir_field *field)
{
    struct field_pair pair = { .id = field->id,
        .name = weir_str_of(field->name),
        .kind = weir_str_of(schema_kind_name(field->kind)) };
    put(out, kind, &field_pair_type, &pair);
}

static void put_state(weir_buffer *out, const struct weir_state *state)
{
    struct state_pair pair = { .name = weir_str_of(state->name),
        .kind = weir_str_of(state_kind_name(state->kind)),
        .type = weir_str_of(state->type->name),
        .ttl_ms = state->ttl_ms,
        .ttl_time = weir_str_of(state->ttl_time == WEIR_EVENT_TIME ? TIME_EVENT : TIME_PROCESS) };
    put(out, PAIR_STATE, &state_pair_type, &pair);
    for (uint32_t i = 0; i < state->type->field_count; i++)
        put_field(out, PAIR_FIELD, &state->type->fields[i]);
}

static void put_states(weir_buffer *out, weir_str states)
{
    struct arena arena;
    struct state_schema schema;
    arena_init(&arena, (size_t)16 << 10, (size_t)1 << 30);
    weir_error *error = state_schema_get(states, &arena, &schema);
    ASSERT(error == NULL && "it was read when the savepoint was made");
    for (uint32_t i = 0; i < schema.key_count; i++)
        put_field(out, PAIR_KEY, &schema.keys[i]);
    for (uint32_t i = 0; i < schema.state_count; i++)
        put_state(out, &schema.states[i]);
    arena_release(&arena);
}

static void put_files(weir_buffer *out, enum pair_kind kind, const struct state_file *files,
    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct file_pair pair = { .name = weir_str_of(files[i].name),
            .path = weir_str_of(files[i].path),
            .length = files[i].length,
            .checksum = files[i].checksum };
        put(out, kind, &file_pair_type, &pair);
    }
}

static void put_operator(weir_buffer *out, const struct operator_snapshot *it)
{
    struct operator_pair pair = { .uid = it->uid,
        .subtask = it->subtask,
        .parallelism = it->parallelism,
        .first_group = it->groups.first,
        .last_group = it->groups.last,
        .is_keyed = it->backend.size > 0 };
    put(out, PAIR_OPERATOR, &operator_pair_type, &pair);
    if (pair.is_keyed)
        put_states(out, it->states);
    put_files(out, PAIR_ENTRIES, it->files, it->file_count);
    put_files(out, PAIR_STAGED, it->staged, it->staged_count);
    for (uint32_t i = 0; i < it->item_count; i++) {
        struct item_pair item = { .name = it->items[i].name, .value = it->items[i].value };
        put(out, PAIR_ITEM, &item_pair_type, &item);
    }
    for (uint32_t i = 0; i < it->counter_count; i++) {
        struct counter_pair counter = { .name = it->counter_names[i], .value = it->counters[i] };
        put(out, PAIR_COUNTER, &counter_pair_type, &counter);
    }
}

void savepoint_encode(const struct checkpoint_metadata *metadata, weir_buffer *out)
{
    weir_buffer *body = weir_buffer_new(SAVEPOINT_METADATA_MAX - SEALED_HEADER_SIZE);
    struct head head = { .job = metadata->job,
        .checkpoint = metadata->checkpoint,
        .attempt = metadata->attempt,
        .instance = metadata->instance,
        .fingerprint = metadata->fingerprint,
        .max_parallelism = metadata->max_parallelism,
        .started_ms = metadata->started_ms,
        .completed_ms = metadata->completed_ms,
        .version = WEIR_STR(WEIR_VERSION) };
    put(body, PAIR_HEAD, &head_type, &head);
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        put_operator(body, &metadata->operators[i]);
    sealed_put(&form, body, out);
    weir_buffer_free(body);
}

/* -- reading -------------------------------------------------------------------------------- */

/* Thread: its stack's owner. */
struct decoding {
    struct arena *arena;
    struct checkpoint_metadata *metadata;
    struct operator_snapshot *operator_; /* the last one; NULL: none yet */
    /* what its keyed state is */
    struct weir_field keys[KEYS_MAX];
    uint32_t key_count;
    struct weir_state *states;
    struct weir_type *type; /* of the last state */
    struct weir_field *fields;
    uint32_t state_count;
    const char *wrong; /* what does not fit, static text; NULL: nothing so far */
};

static void wrong(struct decoding *it, const char *what)
{
    if (it->wrong == NULL)
        it->wrong = what;
}

/* Room for one more element: doubled when it is full, which is when the count is a power of two. */
static void *grown(struct arena *arena, void *items, uint32_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return items;
    void *more = arena_alloc(arena, (count == 0 ? 1 : (size_t)count * 2) * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

/* The number of a word; UNKNOWN_CHOICE: none. */
static uint32_t choice(weir_str word, const char *(*name)(uint32_t number), uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (weir_str_equal(word, weir_str_of(name(i))))
            return i;
    return UNKNOWN_CHOICE;
}

static const char *field_kind(uint32_t number)
{
    return schema_kind_name((enum weir_kind)number);
}

static const char *state_kind(uint32_t number)
{
    return state_kind_name((enum weir_state_kind)number);
}

static const char *ttl_time(uint32_t number)
{
    return number == WEIR_EVENT_TIME ? TIME_EVENT : TIME_PROCESS;
}

static const char *text_of(struct decoding *it, weir_str name)
{
    if (name.data == NULL || name.size == 0 || name.size > SCHEMA_NAME_SIZE_MAX ||
        memchr(name.data, '\0', name.size) != NULL) {
        wrong(it, "a name is none");
        return "";
    }
    char *text = arena_alloc(it->arena, name.size + 1);
    memcpy(text, name.data, name.size);
    return text;
}

/* The states that have been collected, as bytes of the operator. */
static void finish_operator(struct decoding *it)
{
    if (it->operator_ == NULL || it->operator_->backend.size == 0)
        return;
    struct state_schema schema = { .key_count = it->key_count,
        .states = it->states,
        .state_count = it->state_count };
    memcpy(schema.keys, it->keys, sizeof(schema.keys));
    weir_buffer *bytes = weir_buffer_new(SCHEMA_MAX);
    state_schema_put(&schema, bytes);
    weir_str view = weir_buffer_view(bytes);
    it->operator_->states =
        (weir_str){ .data = arena_dup(it->arena, view.data, view.size), .size = view.size };
    it->operator_->schema = hash_bytes(view.data, view.size); /* equal for all its subtasks */
    struct state_schema ignored;
    weir_error *error = state_schema_get(it->operator_->states, it->arena, &ignored);
    if (weir_buffer_overflowed(bytes) || error != NULL)
        wrong(it, "what its states are makes no sense");
    weir_error_free(error);
    weir_buffer_free(bytes);
}

static void take_head(struct decoding *it, const void *record)
{
    const struct head *head = record;
    struct checkpoint_metadata *metadata = it->metadata;
    metadata->job = head->job;
    metadata->checkpoint = head->checkpoint;
    metadata->attempt = head->attempt;
    metadata->instance = head->instance;
    metadata->fingerprint = head->fingerprint;
    metadata->max_parallelism = head->max_parallelism;
    metadata->started_ms = head->started_ms;
    metadata->completed_ms = head->completed_ms;
    if (metadata->job.data == NULL || head->max_parallelism == 0 ||
        head->max_parallelism > MAX_PARALLELISM_LIMIT || head->checkpoint > NUMBER_MAX ||
        head->attempt > NUMBER_MAX)
        wrong(it, "it has no job, or an impossible number or maximum parallelism");
}

static void take_operator(struct decoding *it, const void *record)
{
    const struct operator_pair *pair = record;
    struct checkpoint_metadata *metadata = it->metadata;
    finish_operator(it);
    metadata->operators = grown(it->arena, metadata->operators, metadata->operator_count,
        sizeof(*metadata->operators));
    it->operator_ = &metadata->operators[metadata->operator_count++];
    *it->operator_ = (struct operator_snapshot){ .uid = pair->uid,
        .subtask = pair->subtask,
        .parallelism = pair->parallelism,
        .groups = { pair->first_group, pair->last_group },
        .backend = pair->is_keyed ? WEIR_STR(SAVEPOINT_BACKEND) : WEIR_STR("") };
    it->key_count = it->state_count = 0;
    it->states = NULL;
    it->type = NULL;
    if (metadata->operator_count > CHECKPOINT_COUNT_MAX)
        wrong(it, "it has more than 1,000,000 operators and subtasks");
    if (pair->uid.data == NULL || pair->subtask >= pair->parallelism)
        wrong(it, "an operator has no uid, or a subtask's number is not below the parallelism");
    if (pair->first_group > pair->last_group || pair->last_group >= MAX_PARALLELISM_LIMIT)
        wrong(it, "a range of key groups cannot be");
}

static void take_key(struct decoding *it, const void *record)
{
    const struct field_pair *pair = record;
    uint32_t kind = choice(pair->kind, field_kind, FIELD_KINDS);
    if (it->key_count == KEYS_MAX || kind == UNKNOWN_CHOICE) {
        wrong(it, "a key has a field of no known kind, or too many");
        return;
    }
    it->keys[it->key_count++] =
        (struct weir_field){ .kind = (enum weir_kind)kind, .name = text_of(it, pair->name) };
}

static void take_state(struct decoding *it, const void *record)
{
    const struct state_pair *pair = record;
    uint32_t kind = choice(pair->kind, state_kind, STATE_KINDS);
    uint32_t time = choice(pair->ttl_time, ttl_time, 2);
    if (it->state_count == WEIR_STATES_MAX || kind == UNKNOWN_CHOICE || time == UNKNOWN_CHOICE ||
        pair->ttl_ms < 0) {
        wrong(it, "a state is of no known kind, or there are too many");
        return;
    }
    it->type = arena_alloc(it->arena, sizeof(*it->type));
    it->type->name = text_of(it, pair->type);
    it->fields = NULL;
    it->states = grown(it->arena, it->states, it->state_count, sizeof(*it->states));
    it->states[it->state_count++] = (struct weir_state){ .name = text_of(it, pair->name),
        .kind = (enum weir_state_kind)kind,
        .ttl_ms = pair->ttl_ms,
        .ttl_time = (enum weir_time)time,
        .type = it->type };
}

static void take_field(struct decoding *it, const void *record)
{
    const struct field_pair *pair = record;
    uint32_t kind = choice(pair->kind, field_kind, FIELD_KINDS);
    struct weir_type *type = it->type;
    if (type == NULL || type->field_count == WEIR_FIELDS_MAX || kind == UNKNOWN_CHOICE) {
        wrong(it, "a field is of no known kind or of no state, or there are too many");
        return;
    }
    it->fields = grown(it->arena, it->fields, type->field_count, sizeof(*it->fields));
    it->fields[type->field_count++] = (struct weir_field){ .id = pair->id,
        .kind = (enum weir_kind)kind,
        .name = text_of(it, pair->name) };
    state_schema_place(type, it->fields);
}

static void take_file(struct decoding *it, const struct file_pair *pair, struct state_file **files,
    uint32_t *count)
{
    if (pair->name.data == NULL || pair->path.data == NULL ||
        !checkpoint_path_is_safe(pair->name) || !checkpoint_path_is_safe(pair->path) ||
        memchr(pair->path.data, '/', pair->path.size) != NULL) {
        wrong(it, "a file's name is none, or leads out of the savepoint");
        return;
    }
    *files = grown(it->arena, *files, *count, sizeof(**files));
    (*files)[(*count)++] = (struct state_file){ .name = arena_printf(it->arena, "%.*s",
                                                    (int)pair->name.size, pair->name.data),
        .path = arena_printf(it->arena, "%.*s", (int)pair->path.size, pair->path.data),
        .length = pair->length,
        .checksum = pair->checksum };
}

static void take_entries(struct decoding *it, const void *record)
{
    take_file(it, record, &it->operator_->files, &it->operator_->file_count);
    if (it->operator_->backend.size == 0)
        wrong(it, "an operator without keyed state has entries");
}

static void take_staged(struct decoding *it, const void *record)
{
    take_file(it, record, &it->operator_->staged, &it->operator_->staged_count);
}

static void take_item(struct decoding *it, const void *record)
{
    const struct item_pair *pair = record;
    struct operator_snapshot *op = it->operator_;
    op->items = grown(it->arena, op->items, op->item_count, sizeof(*op->items));
    op->items[op->item_count++] =
        (struct weir_item){ .name = pair->name, .value = pair->value, .subtask = op->subtask };
}

static void take_counter(struct decoding *it, const void *record)
{
    const struct counter_pair *pair = record;
    struct operator_snapshot *op = it->operator_;
    op->counters = grown(it->arena, op->counters, op->counter_count, sizeof(*op->counters));
    op->counter_names =
        grown(it->arena, op->counter_names, op->counter_count, sizeof(*op->counter_names));
    op->counters[op->counter_count] = pair->value;
    op->counter_names[op->counter_count++] = pair->name;
}

static const struct {
    const struct weir_type *type;
    void (*take)(struct decoding *it, const void *record);
} pairs[] = {
    [PAIR_HEAD] = { &head_type, take_head },
    [PAIR_OPERATOR] = { &operator_pair_type, take_operator },
    [PAIR_KEY] = { &field_pair_type, take_key },
    [PAIR_STATE] = { &state_pair_type, take_state },
    [PAIR_FIELD] = { &field_pair_type, take_field },
    [PAIR_ENTRIES] = { &file_pair_type, take_entries },
    [PAIR_STAGED] = { &file_pair_type, take_staged },
    [PAIR_ITEM] = { &item_pair_type, take_item },
    [PAIR_COUNTER] = { &counter_pair_type, take_counter },
};
#define PAIR_KINDS (sizeof(pairs) / sizeof(pairs[0]))
#define RECORD_MAX 128

static weir_error *take_pair(struct decoding *it, weir_str pair)
{
    _Alignas(16) char record[RECORD_MAX];
    size_t kind = pair.size < 3 || (unsigned char)pair.data[0] != PAIR ? 0 : (size_t)pair.data[1];
    if (kind == 0 || kind >= PAIR_KINDS) {
        wrong(it, "it holds something that is no pair of a known kind");
        return NULL;
    }
    if ((kind == PAIR_HEAD) != (it->metadata->job.data == NULL) ||
        (kind > PAIR_OPERATOR && it->operator_ == NULL)) {
        wrong(it, "its pairs are not in order");
        return NULL;
    }
    ASSERT(pairs[kind].type->size <= sizeof(record));
    weir_str body = { .data = pair.data + 2, .size = pair.size - 2 };
    WEIR_TRY(msgpack_decode(pairs[kind].type, body, NULL, record));
    pairs[kind].take(it, record);
    return NULL;
}

static weir_error *decode_body(struct decoding *it, weir_str body)
{
    weir_str pair;
    while (body.size > 0 && it->wrong == NULL) {
        if (!msgpack_take(&body, &pair)) {
            wrong(it, "it ends too early");
            return NULL;
        }
        WEIR_TRY(take_pair(it, pair));
    }
    finish_operator(it);
    it->metadata->operator_capacity = it->metadata->operator_count;
    if (it->metadata->job.data == NULL)
        wrong(it, "it says of no job that it is of it");
    return NULL;
}

weir_error *savepoint_decode(weir_str bytes, const char *what, struct checkpoint_metadata *metadata)
{
    uint32_t version;
    weir_str body;
    if (bytes.size > SAVEPOINT_METADATA_MAX)
        return weir_errorf(WEIR_E_LIMIT, "%s is larger than %zu bytes", what,
            SAVEPOINT_METADATA_MAX);
    WEIR_TRY(sealed_open(&form, bytes, what, &version, &body));
    checkpoint_metadata_init(metadata);
    body.data = arena_dup(&metadata->arena, body.data, body.size);
    struct decoding it = { .arena = &metadata->arena, .metadata = metadata };
    weir_error *error = decode_body(&it, body);
    if (error == NULL && it.wrong == NULL)
        return NULL;
    checkpoint_metadata_release(metadata);
    weir_error *corrupt = weir_errorf(WEIR_E_CORRUPT, "%s is corrupt: %s", what,
        error != NULL ? weir_error_message(error) : it.wrong);
    weir_error_free(error);
    return corrupt;
}
