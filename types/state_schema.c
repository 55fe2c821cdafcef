/* state_schema.c -- see state_schema.h. */
#include "types/state_schema.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "types/schema.h"

#define KIND_COUNT ((uint8_t)WEIR_STRING + 1)
#define SHARES_ROW 0x80u /* beside a state's kind */

const char *state_kind_name(enum weir_state_kind kind)
{
    switch (kind) {
    case WEIR_VALUE:
        return "value";
    case WEIR_LIST:
        return "list";
    case WEIR_MAP:
        return "map";
    case WEIR_REDUCING:
        return "reducing";
    }
    return "unknown";
}

int state_schema_find(const struct state_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->state_count; i++)
        if (strcmp(schema->states[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* -- what a program declares ---------------------------------------------------------------- */

static const struct weir_field *field_at(const struct weir_type *type, uint32_t offset)
{
    for (uint32_t i = 0; i < type->field_count; i++)
        if (type->fields[i].offset == offset)
            return &type->fields[i];
    ASSERT(false && "a key is made of fields (key_validate)");
    return NULL;
}

void state_schema_of(struct state_schema *schema, const struct weir_key *key,
    const struct weir_state *states, uint32_t state_count)
{
    ASSERT(state_count <= WEIR_STATES_MAX);
    *schema = (struct state_schema){ .states = states, .state_count = state_count };
    if (key->type == NULL)
        return;
    ASSERT(key->offset_count <= WEIR_KEY_FIELDS_MAX);
    schema->key_count = key->offset_count;
    for (uint32_t i = 0; i < key->offset_count; i++)
        schema->keys[i] = *field_at(key->type, key->offsets[i]);
}

void state_schema_put(const struct state_schema *schema, weir_buffer *out)
{
    buffer_put_u32(out, schema->key_count);
    for (uint32_t i = 0; i < schema->key_count; i++) {
        buffer_put_u8(out, (uint8_t)schema->keys[i].kind);
        buffer_put_str(out, weir_str_of(schema->keys[i].name));
    }
    buffer_put_u32(out, schema->state_count);
    for (uint32_t i = 0; i < schema->state_count; i++) {
        const struct weir_state *state = &schema->states[i];
        buffer_put_str(out, weir_str_of(state->name));
        buffer_put_u8(out, (uint8_t)((uint32_t)state->kind | (state->shares_row ? SHARES_ROW : 0)));
        buffer_put_u8(out, (uint8_t)state->ttl_time);
        buffer_put_u64(out, (uint64_t)state->ttl_ms);
        schema_put_placed(state->type, out);
    }
}

/* -- reading -------------------------------------------------------------------------------- */

static weir_error *damaged(const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "a stored description of state is damaged: %s", what);
}

static weir_error *get_keys(struct reader *reader, struct arena *arena, struct state_schema *schema)
{
    schema->key_count = reader_u32(reader);
    if (schema->key_count > WEIR_KEY_FIELDS_MAX)
        return damaged("it has too many key fields");
    for (uint32_t i = 0; i < schema->key_count; i++) {
        uint8_t kind = reader_u8(reader);
        const char *name = schema_get_name(reader, arena);
        if (reader_failed(reader) || kind >= KIND_COUNT || name == NULL)
            return damaged("a field of its key is none");
        schema->keys[i] =
            (struct weir_field){ .id = i + 1, .kind = (enum weir_kind)kind, .name = name };
    }
    return NULL;
}

static weir_error *get_state(struct reader *reader, struct arena *arena, struct weir_state *state)
{
    state->name = schema_get_name(reader, arena);
    uint8_t kind = reader_u8(reader), time = reader_u8(reader);
    uint64_t ttl_ms = reader_u64(reader);
    state->shares_row = (kind & SHARES_ROW) != 0;
    kind &= (uint8_t)~SHARES_ROW;
    if (reader_failed(reader) || state->name == NULL || kind > WEIR_REDUCING ||
        time > WEIR_EVENT_TIME || ttl_ms > INT64_MAX)
        return damaged("a state is none");
    if (state->shares_row && (kind != WEIR_MAP || ttl_ms > 0))
        return damaged("a state shares a row and may not");
    state->kind = (enum weir_state_kind)kind;
    state->ttl_time = (enum weir_time)time;
    state->ttl_ms = (int64_t)ttl_ms;
    return schema_get_placed(reader, arena, &state->type);
}

weir_error *state_schema_get(weir_str bytes, struct arena *arena, struct state_schema *schema)
{
    struct reader reader = reader_of(bytes);
    *schema = (struct state_schema){ .key_count = 0 };
    WEIR_TRY(get_keys(&reader, arena, schema));
    uint32_t count = reader_u32(&reader);
    if (reader_failed(&reader) || count > WEIR_STATES_MAX)
        return damaged("it has too many states, or ends too early");
    struct weir_state *states = arena_alloc(arena, count * sizeof(*states));
    schema->states = states;
    for (; schema->state_count < count; schema->state_count++) {
        struct weir_state *state = &states[schema->state_count];
        WEIR_TRY(get_state(&reader, arena, state));
        if (state_schema_find(schema, state->name) >= 0)
            return damaged("two states have one name");
    }
    return reader_failed(&reader) || !reader_at_end(&reader) ? damaged("its length is wrong")
                                                             : NULL;
}

/* -- placing -------------------------------------------------------------------------------- */

/* Eight bytes for whatever there is, sixteen for a string: nobody but Weir sees this struct. */
void state_schema_place(struct weir_type *type, struct weir_field *fields)
{
    type->fields = fields;
    type->size = 0;
    for (uint32_t i = 0; i < type->field_count; i++) {
        fields[i].offset = type->size;
        type->size += fields[i].kind == WEIR_STRING ? (uint32_t)sizeof(weir_str) : 8;
    }
}
