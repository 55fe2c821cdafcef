/* gate.h -- the consuming side of a task: all its channels, fairly, with the power to block some.
 *
 * gate_next gives either a batch of records of one channel or one event of one channel, in the
 * order of that channel; channels take turns, a segment each. A blocked channel (it has delivered
 * its barrier, others have not) is left alone: its segments stay where they are, credits run out,
 * its producer stops. That is all of the memory an aligned checkpoint needs.
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
uint64_t gate_got_size(const struct gate *gate); /* bytes of segments so far, events included */
uint32_t gate_channel_count(const struct gate *gate);

#endif
