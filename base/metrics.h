/* metrics.h -- counters and gauges that one thread writes and any thread may read.
 *
 * A metric is a relaxed atomic 64-bit number, one writer: adding costs a plain add and store. The
 * owner of a group (a subtask, a connector) embeds its metrics in its own struct; whoever shows
 * them (progress line, --metrics-json, later /metrics) reads them at leisure.
 *
 * Prefixes: metric_, histogram_
 * histogram: durations in logarithmic buckets (4 a factor of two: 19 % wide), 1 us .. 1 h, for
 * percentiles of checkpoints. Thread: its owner. */
#ifndef WEIR_BASE_METRICS_H
#define WEIR_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic int64_t metric; /* Thread: one writer, any reader */

static inline void metric_add(metric *value, int64_t amount)
{
    int64_t now = atomic_load_explicit(value, memory_order_relaxed);
    atomic_store_explicit(value, now + amount, memory_order_relaxed);
}
static inline void metric_set(metric *value, int64_t amount)
{
    atomic_store_explicit(value, amount, memory_order_relaxed);
}
static inline int64_t metric_get(const metric *value)
{
    return atomic_load_explicit((metric *)(uintptr_t)value, memory_order_relaxed);
}

#define HISTOGRAM_BUCKETS 136
/* Thread: its owner. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t max_us;
};
void histogram_add(struct histogram *histogram, int64_t us);
int64_t histogram_quantile_us(const struct histogram *histogram, double quantile); /* 0.99 */

#endif
