/* sample.h -- records made from (seed, index): of every kind of field and of very different sizes.
 *
 * What a sample is follows from its two numbers alone, so whoever receives one can check all of it.
 * Most are small; one in 64 has a text of up to 100 KiB, one in 1,024 of up to 1 MiB; strings are
 * sometimes empty and sometimes NULL. They point into one static block: nothing to free. */
#ifndef WEIR_TEST_SAMPLE_H
#define WEIR_TEST_SAMPLE_H

#include <weir/type.h>

struct sample {
    uint64_t index;
    weir_str key; /* of few values */
    double price;
    int32_t change;
    bool is_new;
    weir_str text;
    uint32_t count;
    int64_t at_ms;
};
WEIR_TYPE(sample, WEIR_FIELD(1, sample, index), WEIR_FIELD(2, sample, key),
    WEIR_FIELD(3, sample, price), WEIR_FIELD(4, sample, change), WEIR_FIELD(5, sample, is_new),
    WEIR_FIELD(6, sample, text), WEIR_FIELD(7, sample, count), WEIR_FIELD(8, sample, at_ms));

/* A number that follows from two others: the tests' only randomness. */
uint64_t sample_random(uint64_t seed, uint64_t index);
void sample_fill(struct sample *sample, uint64_t seed, uint64_t index);
/* Without the long texts. */
void sample_fill_small(struct sample *sample, uint64_t seed, uint64_t index);
bool sample_equal(const struct sample *a, const struct sample *b); /* NULL and empty differ */

#endif
