/* barrier.c -- the table in barrier.h, as code.
 *
 * `last` rises when an alignment starts, too: whoever starts n has given up everything below n, so
 * "late" is one comparison. A duplicate barrier on one channel cannot be: the channel is blocked. */
#include "checkpoint/barrier.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

void barrier_init(struct barrier *barrier, uint32_t channel_count, uint64_t last)
{
    ASSERT(channel_count > 0);
    *barrier = (struct barrier){ .channel_count = channel_count, .last = last };
    barrier->arrived = mem_alloc_array(channel_count, sizeof(*barrier->arrived));
}

void barrier_release(struct barrier *barrier)
{
    mem_free(barrier->arrived);
    *barrier = (struct barrier){ .channel_count = 0 };
}

static void forget_alignment(struct barrier *barrier)
{
    memset(barrier->arrived, 0, barrier->channel_count * sizeof(*barrier->arrived));
    barrier->arrived_count = 0;
    barrier->aligning = 0;
}

static enum barrier_action finish_alignment(struct barrier *barrier, int64_t now_ns)
{
    barrier->alignment_ns = now_ns - barrier->started_ns;
    barrier->last = barrier->aligning;
    forget_alignment(barrier);
    return BARRIER_SNAPSHOT;
}

enum barrier_action barrier_arrived(struct barrier *barrier, uint32_t channel, uint64_t checkpoint,
    int64_t now_ns)
{
    ASSERT(channel < barrier->channel_count);
    ASSERT(checkpoint > 0);
    enum barrier_action action = BARRIER_BLOCK;
    if (checkpoint != barrier->aligning) {
        if (checkpoint <= barrier->last)
            return BARRIER_NONE;
        if (barrier->aligning != 0) {
            forget_alignment(barrier);
            action = BARRIER_RESTART_BLOCK;
        }
        barrier->aligning = checkpoint;
        barrier->last = checkpoint - 1;
        barrier->started_ns = now_ns;
    }
    ASSERT(!barrier->arrived[channel]);
    barrier->arrived[channel] = true;
    barrier->arrived_count++;
    ASSERT(barrier->arrived_count <= barrier->channel_count);
    return barrier->arrived_count == barrier->channel_count ? finish_alignment(barrier, now_ns)
                                                            : action;
}

bool barrier_overtake(struct barrier *barrier, uint64_t checkpoint, int64_t now_ns)
{
    if (checkpoint <= barrier->last)
        return false;
    ASSERT(barrier->aligning == 0 || barrier->aligning == checkpoint);
    if (barrier->aligning == 0)
        barrier->started_ns = now_ns;
    barrier->aligning = checkpoint;
    (void)finish_alignment(barrier, now_ns);
    return true;
}

bool barrier_abort(struct barrier *barrier, uint64_t checkpoint)
{
    bool was_aligning = barrier->aligning != 0 && barrier->aligning <= checkpoint;
    if (was_aligning)
        forget_alignment(barrier);
    if (checkpoint > barrier->last)
        barrier->last = checkpoint;
    return was_aligning;
}
