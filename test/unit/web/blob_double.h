/* blob_double.h -- a real store of executables in a directory, with a digest that is good enough for a test: the
 * checksum, four times. */
#ifndef WEIR_TEST_BLOB_DOUBLE_H
#define WEIR_TEST_BLOB_DOUBLE_H

#include "base/hash.h"
#include "runtime/cluster/blob_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void *double_digest_begin(void)
{
    return checksum_new();
}

static void double_digest_add(void *state, const void *bytes, size_t size)
{
    checksum_add(state, bytes, size);
}

static void double_digest_end(void *state, char digest[BLOB_DIGEST_SIZE + 1])
{
    uint64_t sum = checksum_value(state);
    snprintf(digest, BLOB_DIGEST_SIZE + 1, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64,
        sum, sum, sum, sum);
    checksum_free(state);
}

static inline const char *double_digest_of(const void *bytes, size_t size)
{
    static char digest[BLOB_DIGEST_SIZE + 1];
    void *state = double_digest_begin();
    double_digest_add(state, bytes, size);
    double_digest_end(state, digest);
    return digest;
}

static inline struct blob_store *double_blobs(const char *dir)
{
    static const struct blob_digest algorithm = { .begin = double_digest_begin,
        .add = double_digest_add,
        .end = double_digest_end };
    struct blob_store *store;
    weir_error *error = blob_store_open(&(struct blob_store_options){ .dir = dir,
                                            .epoch = 1,
                                            .digest = &algorithm,
                                            .size_max = 4 << 20,
                                            .total_max = 16 << 20 },
        0, &store);
    if (error != NULL)
        abort();
    return store;
}

#endif
