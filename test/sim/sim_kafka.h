/* sim_kafka.h -- the simulated job with Kafka outside: the production source and sink on the simulated brokers.
 *
 * The records that are no generator's are in an input topic (sim_kafka_input.h); each sink has a topic of its
 * name. A check reads all of them as read_committed does, and says, beyond what sim_oracle.h says of the rows:
 *
 *      an aborted read      a record is visible that the program has not asked to commit
 *      a torn transaction   some of what was committed together is visible, and some is not, and nothing
 *                           is under way
 *      out of order         the records of a key are not in the order in which they were booked
 *      a hanging one        at the end, when nobody works any more, a partition is not readable to its end
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_KAFKA_H
#define WEIR_TEST_SIM_KAFKA_H

#include "test/sim/sim_outside.h"

extern const struct sim_outside sim_kafka;

#endif
