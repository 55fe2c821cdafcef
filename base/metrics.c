/* metrics.c -- the histogram: bucket 4e + k counts the durations from 2^(e + k/4) us on, up to the
 * next bucket. The quarter is found by comparing the number, shifted so that its highest bit is bit
 * 63, with the three borders: integers only, no logarithm. */
#include "base/metrics.h"

#include "base/assert.h"

/* 2^63 * 2^(k/4), rounded up. */
static const uint64_t borders[4] = { UINT64_C(0x8000000000000000), UINT64_C(0x9837f0518db8a970),
    UINT64_C(0xb504f333f9de6485), UINT64_C(0xd744fccad69d6af5) };

static uint32_t bucket_of(int64_t us)
{
    if (us <= 1)
        return 0;
    uint32_t zeros = (uint32_t)__builtin_clzll((uint64_t)us);
    uint64_t shifted = (uint64_t)us << zeros;
    uint32_t quarter = (shifted >= borders[1]) + (uint32_t)(shifted >= borders[2]) +
                       (uint32_t)(shifted >= borders[3]);
    uint32_t bucket = (63 - zeros) * 4 + quarter;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest whole number of microseconds in the bucket, or its lower border if it has none. */
static int64_t bucket_end(uint32_t bucket)
{
    uint32_t exponent = (bucket + 1) / 4;
    uint64_t next = borders[(bucket + 1) % 4] >> (63 - exponent);
    return next > 1 && (bucket + 1) % 4 == 0 ? (int64_t)next - 1 : (int64_t)next;
}

void histogram_add(struct histogram *histogram, int64_t us)
{
    histogram->counts[bucket_of(us)]++;
    histogram->count++;
    if (us > histogram->max_us)
        histogram->max_us = us;
}

int64_t histogram_quantile_us(const struct histogram *histogram, double quantile)
{
    ASSERT(quantile >= 0 && quantile <= 1);
    if (histogram->count == 0)
        return 0;
    double rank = quantile * (double)histogram->count;
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
        seen += histogram->counts[bucket];
        if (seen > 0 && (double)seen >= rank) {
            int64_t end = bucket_end(bucket);
            return end < histogram->max_us ? end : histogram->max_us;
        }
    }
    return histogram->max_us;
}
