/* hash.c -- XXH3 of the xxhash library, compiled in: a call into the shared library costs more than
 * the hash of a short key. XXH3_64bits is frozen since 0.8.0, so stored hashes stay valid. */
#include "base/hash.h"

#include "base/assert.h"
#include "base/memory.h"

#include <stdalign.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(XXH_VERSION_NUMBER >= 800, "XXH3 is stable since 0.8.0");

/* Most keys are numbers: with a size that is known nothing is left to decide. */
uint64_t hash_bytes(const void *bytes, size_t size)
{
    if (__builtin_expect(size == sizeof(uint64_t), 1))
        return XXH3_64bits(bytes, sizeof(uint64_t));
    return XXH3_64bits(size == 0 ? "" : bytes, size);
}

/* Thread: its owner. */
struct checksum {
    XXH3_state_t state; /* aligned to 64 bytes by its type */
};

struct checksum *checksum_new(void)
{
    struct checksum *checksum = mem_alloc_aligned(alignof(struct checksum), sizeof(*checksum));
    ASSERT(XXH3_64bits_reset(&checksum->state) == XXH_OK);
    return checksum;
}

void checksum_add(struct checksum *checksum, const void *bytes, size_t size)
{
    if (size > 0)
        ASSERT(XXH3_64bits_update(&checksum->state, bytes, size) == XXH_OK);
}

uint64_t checksum_value(const struct checksum *checksum)
{
    return XXH3_64bits_digest(&checksum->state);
}

void checksum_free(struct checksum *checksum)
{
    mem_free(checksum);
}
