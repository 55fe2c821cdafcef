/* histogram.h -- how often each value occurred, as an HDR histogram: 64 steps an octave, so a quantile is at most
 * 1.6 % too large, from 0 to 2^63, in 30 KB, and nothing is ever sampled or dropped.
 *
 * Its twin is bench/flink/src/main/java/weir/bench/Histogram.java.
 * Libc only, since the test tools are independent of the engine. Ownership: the caller's, zeroed.
 * Thread: of the caller. */
#ifndef WEIR_TEST_E2E_HISTOGRAM_H
#define WEIR_TEST_E2E_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 6,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_BITS,
    HISTOGRAM_PLACES = (63 - HISTOGRAM_BITS + 1) * HISTOGRAM_STEPS
};

struct histogram {
    uint64_t counts[HISTOGRAM_PLACES];
    uint64_t total;
    int64_t max;
};

/* Values below 128 have a place each. */
static inline uint32_t histogram_place(int64_t value)
{
    uint64_t bits = (uint64_t)value;
    if (bits < HISTOGRAM_STEPS)
        return (uint32_t)bits;
    uint32_t octave = (uint32_t)(63 - HISTOGRAM_BITS) - (uint32_t)__builtin_clzll(bits);
    return octave * HISTOGRAM_STEPS + (uint32_t)(bits >> octave);
}

/* The greatest value of a place. */
static inline int64_t histogram_value(uint32_t place)
{
    if (place < 2 * HISTOGRAM_STEPS)
        return place;
    uint32_t octave = place / HISTOGRAM_STEPS - 1;
    uint64_t step = place % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
    return (int64_t)(((step + 1) << octave) - 1);
}

/* What is negative counts as 0. */
static inline void histogram_add(struct histogram *histogram, int64_t value)
{
    value = value < 0 ? 0 : value;
    histogram->counts[histogram_place(value)]++;
    histogram->total++;
    if (value > histogram->max)
        histogram->max = value;
}

/* The value that so many of a million values do not exceed; 0: there are none. */
static inline int64_t histogram_quantile(const struct histogram *histogram, uint64_t per_million)
{
    uint64_t wanted = (histogram->total * per_million + 999999) / 1000000, passed = 0;
    for (uint32_t place = 0; place < HISTOGRAM_PLACES; place++) {
        passed += histogram->counts[place];
        if (passed >= wanted && passed > 0) {
            int64_t value = histogram_value(place);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return 0;
}

#endif
