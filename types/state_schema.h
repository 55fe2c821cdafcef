/* state_schema.h -- what the stored state of an operator means, as bytes beside the state: so that it can
 * be read, years later, without the program that wrote it.
 *
 * keyed_schema (state/keyed.h) is a number that says whether state fits; this says what it is: the fields of
 * the key, and each state with its kind, its time to live, its fields, and where they lie in the struct.
 *
 *      u32 key field count | of each: u8 kind, str name
 *      u32 state count     | of each: str name, u8 kind (with 0x80: shares its row), u8 time of the TTL,
 *                            u64 ttl_ms, type, placed (types/schema.h)
 *
 * Integers and strings as in base/buffer.h. What is decoded is checked as if a program had declared it:
 * kinds, offsets inside the struct, names. So a decoded state may be used wherever a declared one may,
 * but for its `reduce`, which no bytes can hold.
 *
 * Prefixes: state_schema_, state_kind_
 * Thread: any. Limits: WEIR_STATES_MAX states, WEIR_KEY_FIELDS_MAX key fields. */
#ifndef WEIR_TYPES_STATE_SCHEMA_H
#define WEIR_TYPES_STATE_SCHEMA_H

#include "base/memory.h"
#include <weir/connector.h>

/* Thread: immutable after init. Offsets of key fields mean nothing. */
struct state_schema {
    uint32_t key_count;
    struct weir_field keys[WEIR_KEY_FIELDS_MAX];
    const struct weir_state *states;
    uint32_t state_count;
};

/* Of what a program declares. `key` without a type: no fields. The states are borrowed. */
void state_schema_of(struct state_schema *schema, const struct weir_key *key,
    const struct weir_state *states, uint32_t state_count);
void state_schema_put(const struct state_schema *schema, weir_buffer *out);
/* Everything lives in the arena. WEIR_E_CORRUPT when the bytes are no schema. */
weir_error *state_schema_get(weir_str bytes, struct arena *arena, struct state_schema *schema)
    WEIR_MUST_USE;
/* The number of the state with this name; -1: none. */
int state_schema_find(const struct state_schema *schema, const char *name);
/* Gives the fields of a type that has only a description (types/schema.h) places in a struct. */
void state_schema_place(struct weir_type *type, struct weir_field *fields);

const char *state_kind_name(enum weir_state_kind kind); /* "value" */

#endif
