/* watermark.h -- the smallest watermark over several inputs: a pure state machine.
 *
 * Inputs are the splits of a source or the channels of a gate. The result is the smallest watermark
 * of the inputs that are active: neither idle (known to have nothing now) nor finished. It never goes
 * back: an input that wakes up behind it does not pull it down. With no active input the whole is idle.
 *
 * An input without any watermark yet holds the result back: it may still deliver the oldest record.
 *
 *      inputs   5   7(idle)   -            result: none (third input has not spoken)
 *      inputs   5   7(idle)   9            result: 5
 *      inputs   5(finished) 7(idle) 9      result: 9
 *
 * Cost: a scan over the inputs when one advances: per watermark, never per record.
 * Limit: inputs_max. Thread: its owner. */
#ifndef WEIR_TASK_WATERMARK_H
#define WEIR_TASK_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

#define WATERMARK_NONE INT64_MIN

/* Thread: its owner. */
struct watermark_input {
    int64_t watermark;
    bool is_idle, is_finished;
};
/* Thread: its owner. */
struct watermarks {
    struct watermark_input *inputs;
    uint32_t count, count_max;
    int64_t current; /* the result so far */
    bool is_idle;    /* no active input */
};

void watermarks_init(struct watermarks *marks, uint32_t inputs_max);
void watermarks_release(struct watermarks *marks);
uint32_t watermarks_add(struct watermarks *marks); /* a new active input; its number */
/* Each makes the input active or not and recomputes; true: current or is_idle has changed. */
bool watermarks_advance(struct watermarks *marks, uint32_t input, int64_t watermark);
bool watermarks_idle(struct watermarks *marks, uint32_t input, bool is_idle);
bool watermarks_finish(struct watermarks *marks, uint32_t input);
bool watermarks_recompute(struct watermarks *marks); /* after writing to inputs directly */

#endif
