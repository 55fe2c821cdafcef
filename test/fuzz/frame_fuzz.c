/* frame_fuzz.c -- no bytes make the reader of frames read out of bounds or hold more than came, and what it gives
 * does not depend on how the bytes were cut. The first byte says how: that many at a time. */
#include "net/frame.h"

#include "base/assert.h"
#include "base/hash.h"

#define SIZE_MAX_HERE (1u << 16)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A number made of all frames and of how it ended; *good: bytes up to the end of the last frame. */
static uint64_t read_all(const char *bytes, size_t size, size_t cut)
{
    struct frame_reader reader;
    frame_reader_init(&reader, SIZE_MAX_HERE);
    uint64_t sum = 0;
    weir_error *error = NULL;
    for (size_t at = 0; at < size && error == NULL; at += cut) {
        weir_str piece = { .data = bytes + at, .size = cut < size - at ? cut : size - at };
        while (piece.size > 0 && error == NULL) {
            struct frame frame;
            bool is_whole;
            error = frame_read(&reader, &piece, &frame, &is_whole);
            ASSERT(reader.capacity <= 2 * size + (64u << 10));
            if (error == NULL && is_whole)
                sum =
                    hash_mix(sum ^ frame.kind ^ hash_bytes(frame.payload.data, frame.payload.size));
        }
    }
    sum = hash_mix(sum + (error == NULL ? 0 : 1 + (uint64_t)weir_error_code(error)));
    weir_error_free(error);
    frame_reader_release(&reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 1)
        return 0;
    const char *wire = (const char *)bytes + 1;
    uint64_t whole = read_all(wire, size - 1, size);
    ASSERT(read_all(wire, size - 1, 1u + bytes[0]) == whole);
    return 0;
}
