/* msgpack.h -- a record as bytes that outlive the binary: a MessagePack map, field id -> value.
 *
 *     { 1: 42, 2: 1700000000000, 3: 9.5, 4: "/home", 5: nil }
 *
 * Integers take their shortest form, a double 9 bytes, a string its str form whatever its bytes
 * are, a NULL string is nil. All fields are written, in the order of the type.
 *
 * Reading is by field id: unknown ids are skipped (whatever they hold, to a nesting of 16), missing
 * ones and nil are zero, an integer must fit its field (so i32 -> i64 and u32 -> u64 just work), a
 * double may come as f32, a string as str or bin. Anything else is an error: another kind, an id
 * twice, bytes behind the map.
 *
 * Writing uses msgpack-c. Reading does not: its unpacker allocates what a header claims before it
 * looks for the bytes (a 5-byte array of 256 M items takes 6 GB) and overflows on ext lengths. The
 * reader here allocates nothing but copies of strings, never recurses, and reads each byte once.
 *
 * Thread: any. */
#ifndef WEIR_TYPES_MSGPACK_H
#define WEIR_TYPES_MSGPACK_H

#include "base/memory.h"

#include <weir/connector.h>

/* Appends the record; weir_buffer_overflowed tells if it did not fit. */
void msgpack_encode(const struct weir_type *type, const void *record, weir_buffer *out);

/* Fills `record` (type->size bytes, zeroed first). Strings are copied into the arena; with NULL for
 * an arena they point into `bytes`. Copies take at most bytes.size + 16 * 64 bytes. The error is
 * WEIR_E_DATA "bad-msgpack": who reads stored state makes WEIR_E_CORRUPT of it. After an error the
 * record is not to be used. */
weir_error *msgpack_decode(const struct weir_type *type, weir_str bytes, struct arena *arena,
    void *record) WEIR_MUST_USE;

/* For streams of values: takes the first whole value, whatever it holds, off `*bytes` into `*value`. False:
 * there is none, because the bytes end too early, are damaged, or nest deeper than 16. */
bool msgpack_take(weir_str *bytes, weir_str *value);

#endif
