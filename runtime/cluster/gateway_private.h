/* gateway_private.h -- the inside of the gateway, shared by gateway.c (workers begin, end, are replaced) and
 * gateway_connection.c (what they say).
 *
 * Prefixes: gateway_
 * Thread: control. */
#ifndef WEIR_CLUSTER_GATEWAY_PRIVATE_H
#define WEIR_CLUSTER_GATEWAY_PRIVATE_H

#include "net/token.h"
#include "runtime/cluster/gateway.h"

/* Thread: control. */
struct gateway {
    struct gateway_options options;
    struct task_host host; /* into the job manager */
    enum gateway_state state;
    const struct deployment *deployment; /* WAITING, STARTING */
    struct deployment deployed;
    int64_t since_ms; /* of the state; 0: not known yet */
    struct gateway_worker *workers;
    uint32_t worker_count, hello_count;
    char secret[TOKEN_SIZE + 1];
    uint32_t *slot_workers; /* of each slot */
    uint32_t slot_count;
    uint32_t *placement; /* of each subtask the worker */
    struct worker_task_metrics *metrics;
    enum task_state *states; /* of each subtask */
    struct rates *rates;
    int64_t reason_ms; /* from the end of a connection until it counts as a failure of its own */
    bool has_failed;   /* without workers; else each has its own */
};

/* -- gateway.c */
/* Once for a worker. Takes the error. */
void gateway_fail(struct gateway *gateway, uint32_t worker, weir_error *error);
/* `told`: the number of the task that it was in + 1; 0: not known. Takes the error. */
void gateway_report_failure(const struct gateway *gateway, uint32_t worker, uint32_t told,
    weir_error *error);
/* To those that have nothing yet: all, or those whose subtasks restart. */
void gateway_send_deploy(struct gateway *gateway);

#endif
