/* steps.h -- an input that is a list of steps: what, perhaps who, size (16 bits, little-endian), bytes. */
#ifndef WEIR_TEST_FUZZ_STEPS_H
#define WEIR_TEST_FUZZ_STEPS_H

#include <weir/type.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEPS_MAX 64u /* of an input */

/* Borrows from the input. Thread: the fuzzer's. */
struct steps {
    const uint8_t *data;
    size_t size;
    bool has_who;
    uint32_t count; /* taken */
    uint8_t what, who;
    weir_str bytes;
};

/* The next one; false: there is none. */
static inline bool steps_next(struct steps *steps)
{
    size_t header = steps->has_who ? 4 : 3;
    if (steps->count++ == STEPS_MAX || steps->size < header)
        return false;
    const uint8_t *size = steps->data + header - 2;
    size_t length = (size_t)size[0] | (size_t)size[1] << 8;
    steps->what = steps->data[0];
    steps->who = steps->has_who ? steps->data[1] : 0;
    steps->data += header;
    steps->size -= header;
    length = length < steps->size ? length : steps->size;
    steps->bytes = (weir_str){ .data = (const char *)steps->data, .size = length };
    steps->data += length;
    steps->size -= length;
    return true;
}

/* A byte of a step; those behind its end are 0. */
static inline uint8_t steps_byte(weir_str *bytes)
{
    if (bytes->size == 0)
        return 0;
    bytes->size--;
    return (uint8_t)*bytes->data++;
}

#endif
