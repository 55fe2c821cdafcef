/* restart.h -- whether and when a failed job starts again: pure, no clock, no randomness of its own.
 *
 *      none          never
 *      fixed         `attempts_max` times over the life of the job, after `delay_ms` each
 *      exponential   initial, initial * multiplier, ... up to delay_max_ms; a job that ran for
 *                    `reset_ms` starts again from the initial delay; at most `attempts_max` times in
 *                    such a row (0: as often as it takes)
 *
 * Jitter spreads the delays of many jobs that failed together: +- that share of the delay, from a
 * random number that the caller passes in.
 * Thread: its owner (job manager). */
#ifndef WEIR_MANAGER_RESTART_H
#define WEIR_MANAGER_RESTART_H

#include <stdbool.h>
#include <stdint.h>

enum restart_kind { RESTART_NONE, RESTART_FIXED, RESTART_EXPONENTIAL };

/* Thread: immutable after init. */
struct restart_options {
    enum restart_kind kind;
    int64_t delay_ms; /* fixed: each; exponential: the first */
    int64_t delay_max_ms;
    int64_t reset_ms;
    uint32_t attempts_max; /* 0: no limit */
    uint32_t multiplier_percent;
    uint32_t jitter_percent; /* 0..100 */
};
/* 10 ms, 20 ms, ... 1 min, for ever; reset after 10 min; jitter 10 %. The first failure after a good run is
 * mostly one that has passed when it is noticed, as a process that was killed: waiting would only make it longer.
 * What does not pass is at a second after seven failures, at a minute after thirteen. An initialiser. */
#define RESTART_DEFAULT \
    { \
        .kind = RESTART_EXPONENTIAL, .delay_ms = 10, .delay_max_ms = 60000, .reset_ms = 600000, \
        .multiplier_percent = 200, .jitter_percent = 10 \
    }

/* Thread: its owner. */
struct restart {
    struct restart_options options;
    uint32_t attempts; /* in this row */
    int64_t next_delay_ms;
    int64_t restarted_ms; /* when the last delay ended */
};
void restart_init(struct restart *restart, const struct restart_options *options);
/* The job failed: false: give up. */
bool restart_next(struct restart *restart, int64_t now_ms, uint64_t random, int64_t *delay_ms);

#endif
