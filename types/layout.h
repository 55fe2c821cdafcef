/* layout.h -- a record as bytes inside one job: the struct as it is, then the bytes of its strings.
 *
 *      OFFSET      SIZE   of a record whose struct has two strings, at 8 and 32
 *      0           48     the struct; in each string, instead of the pointer, the offset of its
 *                         bytes from the start of the struct (0: the string is NULL)
 *      48          n      bytes of the first string
 *      48 + n      m      bytes of the second string
 *
 * Writing is one copy of the struct and one of each string; opening turns offsets into pointers in
 * place. No other field is looked at, so both cost a few nanoseconds. The encoding is only good
 * between equal types (schema_equal) on one kind of machine: what outlives the binary is msgpack
 * (msgpack.h).
 *
 * The whole struct is copied, padding and members outside the table included: the framework zeroes
 * records before user code fills them, so no garbage leaks.
 *
 * Alignment: bytes that are opened in place must start at a multiple of LAYOUT_ALIGNMENT;
 * layout_size is exact: layout_align it to place one record behind another.
 * Thread: a layout is immutable after init. */
#ifndef WEIR_TYPES_LAYOUT_H
#define WEIR_TYPES_LAYOUT_H

#include "base/assert.h"

#include <weir/type.h>

#define LAYOUT_ALIGNMENT ((size_t)8)

_Static_assert(sizeof(weir_str) == 16 && offsetof(weir_str, size) == 8, "offset and size");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "an offset fits in place of a pointer");

/* Thread: immutable after init. */
struct layout {
    const struct weir_type *type; /* borrowed */
    uint32_t size;                /* of the struct */
    uint32_t string_count;
    uint32_t string_offsets[WEIR_FIELDS_MAX]; /* of the strings in the struct */
};

/* The type must be sound (schema_validate). */
void layout_init(struct layout *layout, const struct weir_type *type);

/* NULL when untrusted bytes may be opened or read: all strings inside, bools 0 or 1; else
 * WEIR_E_CORRUPT. Bytes need no alignment. */
weir_error *layout_check(const struct layout *layout, const void *bytes, size_t size) WEIR_MUST_USE;

static inline size_t layout_align(size_t size)
{
    return (size + LAYOUT_ALIGNMENT - 1) & ~(LAYOUT_ALIGNMENT - 1);
}

/* Bytes that layout_write will write. More than WEIR_RECORD_SIZE_MAX is the caller's to refuse; a
 * string that is too large by itself gives SIZE_MAX, so the sum never wraps. */
static inline size_t layout_size(const struct layout *layout, const void *record)
{
    size_t size = layout->size;
    for (uint32_t i = 0; i < layout->string_count; i++) {
        weir_str string;
        memcpy(&string, (const char *)record + layout->string_offsets[i], sizeof(string));
        if (string.data == NULL)
            continue;
        if (string.size > WEIR_RECORD_SIZE_MAX)
            return SIZE_MAX;
        size += string.size;
    }
    return size;
}

/* For types without strings (string_count == 0): writing, opening and reading are this copy. */
static inline void layout_copy_fixed(const struct layout *layout, const void *record, void *out)
{
    DEBUG_ASSERT(layout->string_count == 0);
    memcpy(out, record, layout->size);
}

/* Writes layout_size bytes to `out`. */
static inline void layout_write(const struct layout *layout, const void *record, void *out)
{
    char *start = out;
    uint64_t tail = layout->size;
    memcpy(start, record, layout->size);
    for (uint32_t i = 0; i < layout->string_count; i++) {
        uint64_t place[2] = { 0, 0 }; /* lies over the weir_str: offset, size */
        weir_str string;
        memcpy(&string, (const char *)record + layout->string_offsets[i], sizeof(string));
        if (string.data != NULL) {
            memcpy(start + tail, string.data, string.size);
            place[0] = tail;
            place[1] = string.size;
            tail += string.size;
        }
        memcpy(start + layout->string_offsets[i], place, sizeof(place));
    }
}

/* Offsets into pointers, in the struct at `record`; its strings lie behind `bytes`. */
static inline void layout_resolve(const struct layout *layout, const void *bytes, void *record)
{
    for (uint32_t i = 0; i < layout->string_count; i++) {
        char *place = (char *)record + layout->string_offsets[i];
        uint64_t offset;
        memcpy(&offset, place, sizeof(offset));
        const char *data = offset == 0 ? NULL : (const char *)bytes + offset;
        memcpy(place, &data, sizeof(data));
    }
}

/* Opens bytes that layout_write wrote, in place and once; returns them as the record. */
static inline void *layout_open(const struct layout *layout, void *bytes)
{
    DEBUG_ASSERT((uintptr_t)bytes % LAYOUT_ALIGNMENT == 0);
    layout_resolve(layout, bytes, bytes);
    return bytes;
}

/* The same into `record`, bytes unchanged and of any alignment; its strings point into `bytes`. */
static inline void layout_read(const struct layout *layout, const void *bytes, void *record)
{
    memcpy(record, bytes, layout->size);
    layout_resolve(layout, bytes, record);
}

#endif
