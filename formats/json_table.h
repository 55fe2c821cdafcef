/* json_table.h -- the fields of a type as JSON sees them: how their names are written, and which
 * field a name is.
 *
 * Made once for a type, by weir_json, and kept for ever: a format is two pointers that anybody may
 * copy and nobody frees, so there is no other moment to make it or to let it go. Types are few and
 * static; JSON_TABLES_MAX bounds them. A type at the address of another that is gone (a binding's)
 * is told from it by its fingerprint.
 *
 * Thread: immutable after json_table_of, which any thread may call. */
#ifndef WEIR_FORMATS_JSON_TABLE_H
#define WEIR_FORMATS_JSON_TABLE_H

#include <weir/json.h>

#define JSON_TABLES_MAX   4096
#define JSON_PATTERN_SIZE 16u
#define JSON_SLOTS        256u

struct json_field {
    char pattern[JSON_PATTERN_SIZE]; /* the beginning of  "name":  */
    uint32_t mask;                   /* a bit for each byte of the pattern; 0: longer than it */
    weir_str name;
    weir_str written; /* ,"name":  escaped where it must be */
};

struct json_table {
    struct json_table *next;
    const struct weir_type *type;
    uint64_t fingerprint;
    uint32_t multiplier;
    uint8_t slots[JSON_SLOTS]; /* by hash of the name: index + 1, linear probing; 0: free */
    struct json_field fields[];
};

/* NULL: the type is not sound. */
const struct json_table *json_table_of(const struct weir_type *type);

/* The field of a name; field_count: none. */
uint32_t json_table_find(const struct json_table *table, weir_str name);

#endif
