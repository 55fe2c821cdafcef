/* restart.c -- see restart.h. */
#include "runtime/manager/restart.h"

#include "base/assert.h"

void restart_init(struct restart *restart, const struct restart_options *options)
{
    ASSERT(options->delay_ms >= 0 && options->jitter_percent <= 100);
    if (options->kind == RESTART_EXPONENTIAL) {
        ASSERT(options->multiplier_percent >= 100);
        ASSERT(options->delay_max_ms >= options->delay_ms);
    }
    *restart = (struct restart){ .options = *options, .next_delay_ms = options->delay_ms };
}

/* The delay, more or less by up to the jitter; 1,000 steps are fine enough. */
static int64_t with_jitter(const struct restart *restart, int64_t delay_ms, uint64_t random)
{
    int64_t percent = restart->options.jitter_percent;
    int64_t spread = delay_ms / 100 * percent + delay_ms % 100 * percent / 100;
    return delay_ms + spread * ((int64_t)(random % 2001) - 1000) / 1000;
}

static int64_t grown(const struct restart *restart)
{
    const struct restart_options *options = &restart->options;
    int64_t next;
    if (__builtin_mul_overflow(restart->next_delay_ms, options->multiplier_percent, &next))
        return options->delay_max_ms;
    next /= 100;
    return next < options->delay_max_ms ? next : options->delay_max_ms;
}

bool restart_next(struct restart *restart, int64_t now_ms, uint64_t random, int64_t *delay_ms)
{
    const struct restart_options *options = &restart->options;
    if (options->kind == RESTART_NONE)
        return false;
    bool is_growing = options->kind == RESTART_EXPONENTIAL;
    if (is_growing && restart->attempts > 0 && now_ms - restart->restarted_ms >= options->reset_ms)
        *restart = (struct restart){ .options = *options, .next_delay_ms = options->delay_ms };
    if (options->attempts_max > 0 && restart->attempts >= options->attempts_max)
        return false;
    restart->attempts++;
    *delay_ms = with_jitter(restart, restart->next_delay_ms, random);
    restart->restarted_ms = now_ms + *delay_ms;
    if (is_growing)
        restart->next_delay_ms = grown(restart);
    return true;
}
