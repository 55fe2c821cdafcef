/* hash.h -- the two hashes of Weir, and the checksum.
 *
 * hash_bytes (XXH3, 64 bits) is computed once per key, at the key_by, and travels with the record:
 * tables, caches and key groups all start from it. hash_mix (the murmur3 finaliser) makes a second,
 * independent number of it. checksum_* (XXH3, 64 bits, seed 0) guards stored files. The results are
 * part of stored state: they must never change.
 * Prefixes: checksum_ */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *bytes, size_t size);

/* fmix64 of MurmurHash3 (Austin Appleby, public domain). */
static inline uint64_t hash_mix(uint64_t hash)
{
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ (hash >> 33);
}

/* Incremental checksum of a byte stream. Thread: its owner. */
struct checksum;
struct checksum *checksum_new(void);
void checksum_add(struct checksum *checksum, const void *bytes, size_t size);
uint64_t checksum_value(const struct checksum *checksum);
void checksum_free(struct checksum *checksum);

#endif
