/* coordinator.c -- the picture in coordinator.h, as code.
 *
 * Only coordinator_tick starts a checkpoint, so every other event ends in at most one action, and
 * the caller's "tick until NONE" is the one place where a start can come from. Numbers only rise:
 * a checkpoint that failed is never started again, the next one has the next number. */
#include "checkpoint/coordinator.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

static const struct coordinator_action none = { .kind = COORDINATOR_NONE };

/* An event that changes nothing, and why, for the log. */
static struct coordinator_action ignored(uint64_t checkpoint, const char *why)
{
    return (struct coordinator_action){ .kind = COORDINATOR_NONE,
        .checkpoint = checkpoint,
        .why = why };
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void coordinator_init(struct coordinator *coordinator, const struct coordinator_options *options,
    uint64_t last)
{
    ASSERT(options->subtask_count > 0);
    ASSERT(options->interval_ms >= 0 && options->min_pause_ms >= 0);
    ASSERT(options->timeout_ms > 0 && options->aligned_timeout_ms >= 0);
    *coordinator = (struct coordinator){ .options = *options, .last_started = last };
    coordinator->acked = mem_alloc_array(options->subtask_count, sizeof(*coordinator->acked));
}

void coordinator_release(struct coordinator *coordinator)
{
    mem_free(coordinator->acked);
    *coordinator = (struct coordinator){ .phase = COORDINATOR_IDLE };
}

static void end(struct coordinator *coordinator, int64_t now_ms)
{
    ASSERT(coordinator->phase != COORDINATOR_IDLE);
    coordinator->phase = COORDINATOR_IDLE;
    coordinator->next_ms =
        max_i64(add_saturated(coordinator->started_ms, coordinator->options.interval_ms),
            add_saturated(now_ms, coordinator->options.min_pause_ms));
}

static struct coordinator_action fail(struct coordinator *coordinator, const char *why,
    int64_t now_ms)
{
    end(coordinator, now_ms);
    coordinator->consecutive_failures++;
    return (struct coordinator_action){ .kind = COORDINATOR_ABORT,
        .checkpoint = coordinator->checkpoint,
        .why = why };
}

static struct coordinator_action start(struct coordinator *coordinator, int64_t now_ms)
{
    ASSERT(coordinator->phase == COORDINATOR_IDLE);
    coordinator->phase = COORDINATOR_PENDING;
    coordinator->checkpoint = ++coordinator->last_started;
    coordinator->started_ms = now_ms;
    coordinator->may_overtake = !coordinator->is_requested;
    coordinator->is_requested = false;
    coordinator->ack_count = 0;
    memset(coordinator->acked, 0, coordinator->options.subtask_count * sizeof(*coordinator->acked));
    return (struct coordinator_action){ .kind = COORDINATOR_TRIGGER,
        .checkpoint = coordinator->checkpoint };
}

/* -- events --------------------------------------------------------------------------------- */

struct coordinator_action coordinator_running(struct coordinator *coordinator, int64_t now_ms)
{
    ASSERT(!coordinator->is_running);
    ASSERT(coordinator->phase != COORDINATOR_PENDING);
    coordinator->is_running = true;
    coordinator->next_ms =
        max_i64(coordinator->next_ms, add_saturated(now_ms, coordinator->options.interval_ms));
    return none;
}

struct coordinator_action coordinator_stopped(struct coordinator *coordinator, int64_t now_ms)
{
    coordinator->is_running = false;
    if (coordinator->phase != COORDINATOR_PENDING)
        return none; /* what is being stored has all acks: it may still complete */
    return fail(coordinator, "a task is gone", now_ms);
}

struct coordinator_action coordinator_request(struct coordinator *coordinator, int64_t now_ms)
{
    (void)now_ms;
    coordinator->is_requested = true;
    return none;
}

/* NULL: the event is about the checkpoint that waits for acks. */
static const char *not_pending(const struct coordinator *coordinator, uint64_t checkpoint,
    uint32_t subtask)
{
    if (coordinator->phase == COORDINATOR_IDLE || checkpoint != coordinator->checkpoint)
        return "of another checkpoint than the current one";
    if (coordinator->phase != COORDINATOR_PENDING)
        return "after the last ack";
    if (subtask >= coordinator->options.subtask_count)
        return "of an unknown subtask";
    return NULL;
}

struct coordinator_action coordinator_acked(struct coordinator *coordinator, uint64_t checkpoint,
    uint32_t subtask, int64_t now_ms)
{
    (void)now_ms;
    const char *why = not_pending(coordinator, checkpoint, subtask);
    if (why != NULL)
        return ignored(checkpoint, why);
    if (coordinator->acked[subtask])
        return ignored(checkpoint, "a second ack of one subtask");
    coordinator->acked[subtask] = true;
    coordinator->ack_count++;
    ASSERT(coordinator->ack_count <= coordinator->options.subtask_count);
    if (coordinator->ack_count < coordinator->options.subtask_count)
        return none;
    coordinator->phase = COORDINATOR_STORING;
    return (struct coordinator_action){ .kind = COORDINATOR_STORE, .checkpoint = checkpoint };
}

struct coordinator_action coordinator_declined(struct coordinator *coordinator, uint64_t checkpoint,
    uint32_t subtask, int64_t now_ms)
{
    const char *why = not_pending(coordinator, checkpoint, subtask);
    if (why != NULL)
        return ignored(checkpoint, why);
    return fail(coordinator, "a subtask declined", now_ms);
}

struct coordinator_action coordinator_stored(struct coordinator *coordinator, uint64_t checkpoint,
    bool is_ok, int64_t now_ms)
{
    ASSERT(coordinator->phase == COORDINATOR_STORING);
    ASSERT(coordinator->checkpoint == checkpoint);
    if (!is_ok)
        return fail(coordinator, "its metadata could not be stored", now_ms);
    end(coordinator, now_ms);
    ASSERT(checkpoint > coordinator->last_completed);
    coordinator->last_completed = checkpoint;
    coordinator->consecutive_failures = 0;
    return (struct coordinator_action){ .kind = COORDINATOR_NOTIFY, .checkpoint = checkpoint };
}

static int64_t timeout_at_ms(const struct coordinator *coordinator)
{
    return add_saturated(coordinator->started_ms, coordinator->options.timeout_ms);
}

static struct coordinator_action overtake(struct coordinator *coordinator)
{
    coordinator->may_overtake = false;
    return (struct coordinator_action){ .kind = COORDINATOR_OVERTAKE,
        .checkpoint = coordinator->checkpoint };
}

struct coordinator_action coordinator_tick(struct coordinator *coordinator, int64_t now_ms)
{
    if (now_ms < coordinator_deadline_ms(coordinator))
        return none;
    switch (coordinator->phase) {
    case COORDINATOR_PENDING:
        if (now_ms >= timeout_at_ms(coordinator))
            return fail(coordinator, "timed out", now_ms);
        return overtake(coordinator);
    case COORDINATOR_IDLE:
        if (coordinator->is_running)
            return start(coordinator, now_ms);
        return none;
    case COORDINATOR_STORING:
        break; /* ends with coordinator_stored, however long it takes */
    }
    return none;
}

int64_t coordinator_deadline_ms(const struct coordinator *coordinator)
{
    if (coordinator->phase == COORDINATOR_PENDING) {
        int64_t timeout_ms = timeout_at_ms(coordinator);
        int64_t overtake_ms =
            add_saturated(coordinator->started_ms, coordinator->options.aligned_timeout_ms);
        return coordinator->may_overtake && overtake_ms < timeout_ms ? overtake_ms : timeout_ms;
    }
    if (coordinator->phase == COORDINATOR_STORING || !coordinator->is_running)
        return INT64_MAX;
    if (coordinator->is_requested)
        return INT64_MIN; /* overdue */
    return coordinator->options.interval_ms == 0 ? INT64_MAX : coordinator->next_ms;
}
