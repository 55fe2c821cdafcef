/* sim_outside.h -- what the simulated job talks to besides its disk, if a program has something: Kafka.
 *
 * A table, so that only the program that simulates Kafka contains its stand-in for the client library
 * (sim_kafka.h). NULL: there is nothing outside; input and output are files.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_OUTSIDE_H
#define WEIR_TEST_SIM_OUTSIDE_H

#include "test/sim/sim_oracle.h"
#include "test/sim/sim_run.h"
#include "test/sim/sim_scenario.h"

struct sim_outside {
    const char *const *count_names; /* NULL-terminated: what must have come up, as stop counts it */
    /* Changes what the seed means: called behind everything else that is drawn. */
    void (*draw)(struct sim_scenario *scenario, struct random *random);
    void (*print)(const struct sim_scenario *scenario);
    void (*start)(const struct sim_scenario *scenario); /* the simulated machine is there already */
    void (*stop)(uint64_t counts[SIM_OUTSIDE_COUNTS]);
    void (*arm)(const struct sim_life *life); /* its faults, and those only */
    void (*tick)(void);                       /* time passes */
    /* Hands every row that a reader sees to the oracle. NULL: all is well, else what is wrong. At the end of
     * all it waits for what is still under way. */
    const char *(*check)(struct sim_oracle *oracle, bool is_complete);
    struct weir_source (*source)(const struct sim_shape *shape, bool is_bounded);
    struct weir_sink (*sink)(const struct sim_shape *shape, const char *name);
};
extern const struct sim_outside *sim_outside; /* set by main, before anything runs */

#endif
