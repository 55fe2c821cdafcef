/* progress.h -- what a person sees of a running job: rates, lag, the last checkpoint, the bottleneck.
 *
 *      RUNNING  in 152,310/s  out 148,002/s  lag 12,345  checkpoint 17 in 81 ms
 *          back-pressure 45 % at 'map' (1/2)
 *
 * On a terminal it is one line, drawn anew each second; elsewhere a log line every ten.
 * The task named is the one that waited longest for room: what is slow is behind it.
 *
 * Thread: control. */
#ifndef WEIR_PROGRAM_PROGRESS_H
#define WEIR_PROGRAM_PROGRESS_H

#include "runtime/manager/local.h"
#include <weir/connector.h>

struct progress;
struct progress *progress_new(const struct local *local);
void progress_free(struct progress *progress);
/* Shows something when it is time; returns when to call again. `now_ms`: monotonic. */
int64_t progress_look(struct progress *progress, int64_t now_ms);
void progress_end(void); /* takes the line from the terminal */
/* The line, from what happened since the last call: what look shows. */
void progress_print(struct progress *progress, int64_t now_ms, weir_buffer *out);

#endif
