/* type.h -- what a record is: a plain C struct and a table that describes it.
 *
 *     struct click { uint64_t user_id; int64_t at_ms; double price; weir_str page; };
 *     WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, at_ms),
 *         WEIR_FIELD(3, click, price), WEIR_FIELD(4, click, page));
 *
 * defines `click_type`. The kind of a field comes from its C type, so it cannot lie; a member of any
 * other type does not compile. Field ids are for ever: never reuse the id of a removed field.
 *
 * Strings are views (`weir_str`): pointer and length in bytes, not terminated, any bytes. A NULL
 * pointer is "no value" and survives exchange and state; an empty string is not NULL.
 *
 * Limits: 64 fields a type; a record with its strings at most WEIR_RECORD_SIZE_MAX bytes.
 * Thread: descriptors are immutable and may be used from anywhere. */
#ifndef WEIR_TYPE_H
#define WEIR_TYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/error.h>

#define WEIR_FIELDS_MAX      64
#define WEIR_RECORD_SIZE_MAX (2u << 20) /* bytes, struct and strings together */

typedef struct weir_str {
    const char *data; /* NULL: no value */
    uint64_t size;    /* bytes */
} weir_str;

#define WEIR_STR(literal_) ((weir_str){ .data = (literal_), .size = sizeof(literal_) - 1 })

static inline weir_str weir_str_of(const char *text)
{
    return (weir_str){ .data = text, .size = text == NULL ? 0 : strlen(text) };
}

static inline bool weir_str_equal(weir_str a, weir_str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* <0, 0, >0 by bytes, a prefix first: the order of state keys and of everything sorted. */
static inline int weir_str_compare(weir_str a, weir_str b)
{
    uint64_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

enum weir_kind { WEIR_BOOL, WEIR_I32, WEIR_U32, WEIR_I64, WEIR_U64, WEIR_F64, WEIR_STRING };

struct weir_field {
    uint32_t id; /* > 0, unique in its type, stable for ever */
    enum weir_kind kind;
    uint32_t offset; /* bytes into the struct */
    const char *name;
};

struct weir_type {
    const char *name;
    uint32_t size; /* sizeof the struct */
    uint32_t field_count;
    const struct weir_field *fields;
};

#define WEIR_KIND_OF(lvalue_) \
    _Generic((lvalue_), bool \
             : WEIR_BOOL, int32_t \
             : WEIR_I32, uint32_t \
             : WEIR_U32, int64_t \
             : WEIR_I64, uint64_t \
             : WEIR_U64, double \
             : WEIR_F64, weir_str \
             : WEIR_STRING)

#define WEIR_FIELD(id_, type_, member_) \
    { \
        .id = (id_), .kind = WEIR_KIND_OF(((struct type_ *)0)->member_), \
        .offset = offsetof(struct type_, member_), .name = #member_ \
    }

/* Defines `<type>_type`, static: in a header every file that includes it has an equal copy. */
#define WEIR_TYPE(type_, ...) \
    static const struct weir_field type_##_fields[] = { __VA_ARGS__ }; \
    _Static_assert(sizeof(type_##_fields) / sizeof(type_##_fields[0]) <= WEIR_FIELDS_MAX, \
        "a type has at most 64 fields"); \
    static const struct weir_type type_##_type __attribute__((unused)) = { .name = #type_, \
        .size = sizeof(struct type_), \
        .field_count = sizeof(type_##_fields) / sizeof(type_##_fields[0]), \
        .fields = type_##_fields }

/* A number that is equal when two types have the same name and the same fields (id, kind, name,
 * order): used to check that both ends of an edge and both sides of a restore agree. */
WEIR_API uint64_t weir_type_fingerprint(const struct weir_type *type);

/* The key of a keyed stream: one to four fields of its type. Two records are of the same key when
 * these fields are equal as bytes (so -0.0 and 0.0 differ; NaN equals itself). */
#define WEIR_KEY_FIELDS_MAX 4
struct weir_key {
    const struct weir_type *type;
    uint32_t offset_count;
    uint32_t offsets[WEIR_KEY_FIELDS_MAX];
};
#define WEIR_KEY(type_, member_) \
    ((struct weir_key){ .type = &type_##_type, \
        .offset_count = 1, \
        .offsets = { offsetof(struct type_, member_) } })
#define WEIR_KEY2(type_, first_, second_) \
    ((struct weir_key){ .type = &type_##_type, \
        .offset_count = 2, \
        .offsets = { offsetof(struct type_, first_), offsetof(struct type_, second_) } })

/* One message of an outside system, undecoded: what sources give to a format, what a format gives
 * to sinks, and the record type of the raw format. */
struct weir_message {
    weir_str topic;       /* topic, or file name; empty when neither */
    int64_t offset;       /* Kafka offset, or the byte where a line starts */
    int64_t timestamp_ms; /* the source's own time stamp, or WEIR_NO_TIMESTAMP */
    weir_str key;         /* NULL data: null key */
    weir_str value;       /* NULL data: null value, a tombstone */
    int32_t partition;    /* -1: none */
};
#define WEIR_NO_TIMESTAMP INT64_MIN

WEIR_TYPE(weir_message, WEIR_FIELD(1, weir_message, topic), WEIR_FIELD(2, weir_message, offset),
    WEIR_FIELD(3, weir_message, timestamp_ms), WEIR_FIELD(4, weir_message, key),
    WEIR_FIELD(5, weir_message, value), WEIR_FIELD(6, weir_message, partition));

/* A record that could not be processed, and why: the type of weir_dead_letters(). */
struct weir_dead_letter {
    weir_str topic;     /* where it came from; empty if no longer known */
    int64_t offset;     /* -1 if not known */
    weir_str operator_; /* uid or name of the operator that refused it */
    weir_str reason;    /* token, for example "bad-json" */
    weir_str detail;    /* one sentence for a person */
    weir_str raw;       /* its bytes as read; behind the source, its msgpack encoding; cut at
                         * WEIR_DEAD_LETTER_RAW_MAX. NULL for a null value */
    uint64_t size;      /* length before the cut, bytes */
    int32_t partition;  /* -1 if none */
};
#define WEIR_DEAD_LETTER_RAW_MAX (64u << 10)

WEIR_TYPE(weir_dead_letter, WEIR_FIELD(1, weir_dead_letter, topic),
    WEIR_FIELD(2, weir_dead_letter, offset), WEIR_FIELD(3, weir_dead_letter, operator_),
    WEIR_FIELD(4, weir_dead_letter, reason), WEIR_FIELD(5, weir_dead_letter, detail),
    WEIR_FIELD(6, weir_dead_letter, raw), WEIR_FIELD(7, weir_dead_letter, size),
    WEIR_FIELD(8, weir_dead_letter, partition));

#endif
