/* gate.h -- the consuming side of a task: all its channels, fairly, with the power to block some.
 *
 * gate_next gives either a batch of records of one channel or one event of one channel, in the
 * order of that channel; channels take turns, a segment each. A blocked channel (it has delivered
 * its barrier, others have not) is left alone: its segments stay where they are, credits run out,
 * its producer stops. That is all of the memory an aligned checkpoint needs.
 *
 * A barrier may overtake what stands in front of it (checkpoint/barrier.h): gate_sees_barrier looks ahead in every
 * channel, without a change to the order in which they are read, and gate_each_in_flight shows what was overtaken. What
 * was taken ahead has its places still, so a channel holds no more than before, and twice that between processes.
 *
 * Records are opened in place (layout_open): the rows are valid until the next call.
 * Thread: the consuming task's. */
#ifndef WEIR_EXCHANGE_GATE_H
#define WEIR_EXCHANGE_GATE_H

#include "runtime/exchange/channel.h"
#include "types/layout.h"
#include <weir/operator.h>

#define GATE_BATCH_MAX 256 /* rows */

enum gate_kind { GATE_EMPTY, GATE_ROWS, GATE_EVENT };

/* Thread: task. */
struct gate_input {
    enum gate_kind kind;
    uint32_t channel;
    uint32_t row_count;
    const struct weir_row *rows; /* GATE_ROWS */
    enum element_kind event;     /* GATE_EVENT */
    int64_t value;
};

struct gate;
/* All channels carry records of `type`. The channels stay the caller's and outlive it. batch_max:
 * 1..GATE_BATCH_MAX rows a batch. */
struct gate *gate_new(struct channel *const *channels, uint32_t channel_count,
    const struct weir_type *type, uint32_t batch_max);
void gate_free(struct gate *gate);
void gate_next(struct gate *gate, struct gate_input *input);
/* False when every unblocked channel is empty: the task has nothing to read. */
bool gate_has_input(const struct gate *gate);
void gate_block(struct gate *gate, uint32_t channel);
void gate_unblock_all(struct gate *gate);
/* Whether the barrier of this checkpoint has arrived (its channel is blocked) or is in sight in every channel. Until it
 * is, places are lent; gate_look_away ends that. */
bool gate_sees_barrier(struct gate *gate, uint64_t checkpoint);
void gate_look_away(struct gate *gate);
/* The records in front of that barrier in channels that are not blocked, in order, as whole elements one behind the other
 * (segment.h); watermarks and ends between them are left out. */
typedef void gate_in_flight_fn(void *arg, uint32_t channel, const struct element *first,
    size_t size);
void gate_each_in_flight(struct gate *gate, uint64_t checkpoint, gate_in_flight_fn *each,
    void *arg);
uint64_t gate_got_size(const struct gate *gate); /* bytes of segments so far, events included */
uint32_t gate_channel_count(const struct gate *gate);

#endif
