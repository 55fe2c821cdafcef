/* sim_kafka_input.h -- the input topic of the simulated job, and whoever else writes to it.
 *
 * A record is the index of an event, in digits. One record in three is in a transaction, and between them are
 * transactions that are aborted. Most topics are full from the start. A live one fills while the job runs: it
 * gets partitions, a transaction may be open for a while and hide what is behind it, and a leader that
 * was replaced does not know the newest records.
 *
 * Thread: one. Prefixes: sim_input_ */
#ifndef WEIR_TEST_SIM_KAFKA_INPUT_H
#define WEIR_TEST_SIM_KAFKA_INPUT_H

#include "test/sim/sim_event.h"

#define SIM_INPUT_TOPIC "in"

void sim_input_start(const struct sim_shape *shape);
void sim_input_tick(void); /* a live one may get some more */
void sim_input_fill(void); /* all there will ever be */

#endif
