/* schema.h -- what may be said of a struct weir_type: is it sound, are two the same, may one read
 * what the other has stored, and its description as bytes and as text.
 *
 *     schema        name and fields (id, kind, name, order): what is stored beside state
 *     fingerprint   a number for exactly that (weir_type_fingerprint, type.h)
 *     equal         the schema and also the struct: size and offsets; both ends of an edge
 *
 * Evolution goes by field id: a new field reads as zero, a removed one is dropped, a renamed one
 * keeps its value, a wider integer takes the narrower; every other change of kind is refused.
 *
 * Thread: any; types are immutable. */
#ifndef WEIR_TYPES_SCHEMA_H
#define WEIR_TYPES_SCHEMA_H

#include "base/buffer.h"
#include "base/memory.h"

#include <weir/type.h>

#define SCHEMA_NAME_SIZE_MAX 256u /* bytes, of the name of a type or a field */

/* NULL when the type keeps all rules of type.h; else one WEIR_E_PLAN error with every mistake. */
weir_error *schema_validate(const struct weir_type *type) WEIR_MUST_USE;

/* The same name, fields, offsets and size: one may be used where the other is declared. */
bool schema_equal(const struct weir_type *a, const struct weir_type *b);

/* The field with this id; NULL: none. `hint` is the index to look at first. */
const struct weir_field *schema_field(const struct weir_type *type, uint64_t id, uint32_t hint);

uint32_t schema_kind_size(enum weir_kind kind);    /* bytes of the member */
const char *schema_kind_name(enum weir_kind kind); /* "i64" */

/* "click { 1 user_id u64, 2 page string }", appended. */
void schema_print(const struct weir_type *type, weir_buffer *out);

/* The schema as bytes, and back: a type of size 0 with offsets 0, good for the functions here only;
 * it lives in the arena. WEIR_E_CORRUPT when the bytes are no schema.
 *
 *     str name | u32 field_count | field_count times: u32 id | u8 kind | str name     (buffer.h) */
void schema_put(const struct weir_type *type, weir_buffer *out);
/* A name in such bytes, as a C string in the arena; NULL if it cannot be one. */
const char *schema_get_name(struct reader *reader, struct arena *arena);
weir_error *schema_get(struct reader *reader, struct arena *arena, const struct weir_type **type)
    WEIR_MUST_USE;
/* The same with the struct, and back: a type that may be used wherever a declared one may.
 *
 *     schema | u32 struct size | u32 offset of each field */
void schema_put_placed(const struct weir_type *type, weir_buffer *out);
weir_error *schema_get_placed(struct reader *reader, struct arena *arena,
    const struct weir_type **type) WEIR_MUST_USE;

/* May records stored as `stored` be read as `now`? Else a WEIR_E_STATE error with both printed. The
 * fields that are dropped are appended to `dropped` ("'page', 'cost'"), unless it is NULL. */
weir_error *schema_can_restore(const struct weir_type *stored, const struct weir_type *now,
    weir_buffer *dropped) WEIR_MUST_USE;

#endif
