/* key.h -- the canonical bytes of a record's key: equal keys have equal bytes, and the other way
 * round. They are hashed for the exchange, and they are the key of the state.
 *
 *     one string field       its bytes, borrowed from the record
 *     one other field        its 1, 4 or 8 bytes, little-endian, borrowed from the record
 *     several fields         one after the other in the order of the key; a string with its length
 *                            (u32, little-endian) in front; written to scratch
 *
 * A NULL string is the same key as an empty one: a record without a key must go somewhere, and both
 * to one place. Numbers are equal as bytes: -0.0 and 0.0 are two keys, NaN is one.
 *
 * Thread: a plan is immutable after init. */
#ifndef WEIR_TYPES_KEY_H
#define WEIR_TYPES_KEY_H

#include "base/hash.h"

#include <weir/type.h>

#define KEY_SIZE_MAX (64u << 10) /* bytes of an encoded key; longer ones are refused */

/* Thread: immutable after init. A key with its fields looked up, once per stream. */
struct key_plan {
    uint32_t part_count;
    struct {
        uint32_t offset; /* into the struct */
        uint32_t size;   /* bytes; 0: a string */
    } parts[WEIR_KEY_FIELDS_MAX];
};

/* NULL when the key is one to four different fields of its type; else WEIR_E_PLAN. */
weir_error *key_validate(const struct weir_key *key) WEIR_MUST_USE;
/* The key must be valid. */
void key_plan_init(struct key_plan *plan, const struct weir_key *key);

/* The key of several fields. */
weir_str key_encode_parts(const struct key_plan *plan, const void *record, char *scratch,
    size_t scratch_size);

/* The key's bytes, valid as long as the record and the scratch. NULL data: larger than the scratch,
 * the record must be refused (a key of one field never is). */
static inline weir_str key_plan_encode(const struct key_plan *plan, const void *record,
    char *scratch, size_t scratch_size)
{
    if (plan->part_count != 1)
        return key_encode_parts(plan, record, scratch, scratch_size);
    const char *at = (const char *)record + plan->parts[0].offset;
    if (plan->parts[0].size != 0)
        return (weir_str){ .data = at, .size = plan->parts[0].size };
    weir_str string;
    memcpy(&string, at, sizeof(string));
    return string.data == NULL ? (weir_str){ .data = "", .size = 0 } : string;
}

/* The same without a plan: looks the fields up each time. For tests and rare calls. */
weir_str key_encode(const struct weir_key *key, const void *record, char *scratch,
    size_t scratch_size);

static inline uint64_t key_hash(weir_str key)
{
    return hash_bytes(key.data, key.size);
}

#endif
