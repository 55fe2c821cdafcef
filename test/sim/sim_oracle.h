/* sim_oracle.h -- what must come out, computed without the engine, and compared with what did.
 *
 * The truth is a loop over the input records: what is dropped, what is bad, and for each key its count,
 * sum, best amount and windows. At any moment the published files must be a part of it:
 *
 *      SIM_RECORD   each index once at most, with its amount; each tally of a key once at most
 *      SIM_WINDOW   each window of a key once at most, with its full count and sum: an event-time
 *                   timer that fires early, twice, or on state of another epoch shows here (not if
 *                   the input is live)
 *      SIM_FLUSH    together no more than the records of the key, and none empty
 *      SIM_FINAL    once at most a key, full
 *      SIM_REDUCED  each running count of a key once at most; the last one has the full sum
 *      SIM_DEAD     each bad index once at most
 *
 * and at the end nothing is missing. A file that was there must not change or go, unless the power
 * failed in between.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_ORACLE_H
#define WEIR_TEST_SIM_ORACLE_H

#include "test/sim/sim_event.h"

struct sim_oracle;
struct sim_oracle *sim_oracle_new(const struct sim_shape *shape);
void sim_oracle_free(struct sim_oracle *oracle);

/* A check, row by row: what is wrong is in its end. `where` is told of the first wrong row. */
void sim_oracle_begin(struct sim_oracle *oracle);
void sim_oracle_take(struct sim_oracle *oracle, const struct sim_row *row, const char *where);
const char *sim_oracle_end(struct sim_oracle *oracle, bool is_complete);
/* Reads every published file. NULL: all is well, else what is wrong; valid until the next call. */
const char *sim_oracle_check(struct sim_oracle *oracle, const char *directory, bool is_complete);
uint64_t sim_oracle_found(const struct sim_oracle *oracle);  /* rows at the last check */
uint64_t sim_oracle_booked(const struct sim_oracle *oracle); /* records that the ledger must see */

#endif
