/* delay.h -- when to emit a key that has changed: at most once in an interval.
 *
 * Each key has its own grid of points in time, `interval_ms` apart and shifted by its hash, and a
 * change sets a timer at the next point. Setting the same timer again is no second one, so no "is
 * there a timer already" has to be kept in state; and keys fire spread over the interval instead of
 * all together at its end.
 *
 * At the end of a bounded input the engine fires every timer that is left. Thread: task. */
#ifndef USERPROFILE_DELAY_H
#define USERPROFILE_DELAY_H

#include <weir/weir.h>

static inline int64_t delay_point(int64_t now_ms, int64_t interval_ms, weir_str key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (uint64_t i = 0; i < key.size; i++)
        hash = (hash ^ (unsigned char)key.data[i]) * UINT64_C(1099511628211);
    int64_t shift = (int64_t)((hash ^ hash >> 32) % (uint64_t)interval_ms);
    int64_t past = (now_ms - shift) % interval_ms;
    return now_ms - (past < 0 ? past + interval_ms : past) + interval_ms;
}

/* Makes sure that the current key has its timer. */
static inline void delay_set(weir_ctx *ctx, int64_t interval_ms)
{
    int64_t at_ms = delay_point(weir_now_ms(ctx), interval_ms, weir_key_bytes(ctx));
    weir_timer_set(ctx, WEIR_PROCESSING_TIME, at_ms);
}

#endif
