/* resources.h -- the task managers of a cluster and their slots: who is there, what is free, who gets what.
 *
 * A pure table: the dispatcher tells it who comes and goes, jobs ask it for slots. A slot is one thread's
 * worth of work and its share of the task manager's memory. A job's request is all or nothing: its tasks
 * cannot run with fewer. Of several ways the one with the fewest task managers is taken: what is not
 * sent over a network costs nothing.
 *
 * Prefixes: resources_
 * Thread: control. Limits: RESOURCES_MAX task managers, CONF_SLOTS_MAX (conf.h) slots each. */
#ifndef WEIR_CLUSTER_RESOURCES_H
#define WEIR_CLUSTER_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>

#define RESOURCES_MAX 1024u

struct connection;

/* Thread: control. */
struct task_manager {
    char *id, *host;
    struct connection *connection;
    uint32_t slot_count, free_count;
    uint64_t memory_size; /* bytes, of all slots */
    uint64_t rss_size;    /* bytes, as last heard */
    int64_t since_ms;     /* wall clock */
    bool is_leaving;      /* it ends soon: its slots are not offered */
};

struct resources;
struct resources *resources_new(void);
void resources_free(struct resources *resources);

/* NULL: there are too many. One with this id is there already: it has come back, resources_lost first. */
struct task_manager *resources_add(struct resources *resources, const char *id, const char *host,
    uint32_t slot_count, uint64_t memory_size);
struct task_manager *resources_find(const struct resources *resources, const char *id);
/* It will end: from here on its slots count nowhere, and those that jobs have there are taken away by the dispatcher. */
void resources_leave(struct resources *resources, struct task_manager *it);
/* What jobs had there is gone with it; their gateways hear of it from the dispatcher. */
void resources_lost(struct resources *resources, struct task_manager *it);
/* Rises with everything that somebody who waits for slots, or for a task manager, should look again for. */
uint64_t resources_changes(const struct resources *resources);
uint32_t resources_count(const struct resources *resources);
struct task_manager *resources_at(const struct resources *resources, uint32_t index);
uint32_t resources_slots_free_of(const struct task_manager *it);
uint32_t resources_slots_total(const struct resources *resources);
uint32_t resources_slots_free(const struct resources *resources);

/* Fills `given` (RESOURCES_MAX of them) with who gives how many slots of the `wanted`, most first. False:
 * there are not that many, nothing was taken. */
struct grant {
    struct task_manager *from;
    uint32_t slot_count;
};
bool resources_take(struct resources *resources, uint32_t wanted, struct grant *given,
    uint32_t *given_count);
void resources_give_back(struct resources *resources, const struct grant *grant);

#endif
