/* rest_private.h -- what the files of the REST interface share: a call, its errors, what a subtask is to people.
 *
 * A handler has a call whose path has been matched and whose ids have been looked up: it writes the reply by the
 * JSON writer of the call, or ends it by rest_error, which throws away what was written.
 *
 * Prefixes: rest_, vertex_state_. Thread: control. */
#ifndef WEIR_WEB_REST_PRIVATE_H
#define WEIR_WEB_REST_PRIVATE_H

#include "base/json.h"
#include "web/rest.h"

#define REST_TYPE_JSON "application/json; charset=UTF-8"
#define REST_TYPE_TEXT "text/plain; charset=UTF-8"

struct rest {
    struct rest_options options;
};

struct call {
    struct rest *rest;
    struct dispatcher *dispatcher;
    const struct rest_request *request;
    struct rest_reply *reply;
    struct json json; /* of the reply's body */
    int64_t now_ms;   /* wall clock */
    bool is_v1;
    /* Of the path: which are there is in the pattern of the route (rest_route.h). */
    const struct job *job;
    uint32_t vertex, subtask;
    const char *job_id, *trigger, *digest, *text, *name;
    uint64_t number;
};

/* {"errors":["..."]} instead of what was written. */
void rest_error(struct call *call, int status, const char *format, ...) WEIR_PRINTF(3, 4);
/* The reply comes later: what is written by then, until rest_answer sends and frees it. Of the path and of the
 * rest nothing is in it; what is needed of them is copied before. */
struct call *rest_later(struct call *call);
void rest_answer(struct call *later);
/* What the dispatcher said no with: its status by its code. Takes the error. */
void rest_refuse(struct call *call, weir_error *error);
void rest_refuse_with(struct call *call, const weir_error *error); /* borrowed */
const char *rest_query(const struct call *call, const char *name); /* NULL: none */
bool rest_is_hex(const char *text, size_t size);                   /* that many lower-case digits */
uint64_t rest_number(const char *text, uint64_t max);              /* UINT64_MAX: none up to max */
/* Of the path's text (rest_taskmanager.c). NULL: none, the call has its error. */
const struct task_manager *rest_find_taskmanager(struct call *call);

/* -- subtasks, as Flink shows them (rest_subtask.c) */
enum vertex_state {
    VERTEX_CREATED,
    VERTEX_SCHEDULED,
    VERTEX_DEPLOYING,
    VERTEX_RUNNING,
    VERTEX_FINISHED,
    VERTEX_CANCELING,
    VERTEX_CANCELED,
    VERTEX_FAILED,
    VERTEX_RECONCILING,
    VERTEX_INITIALIZING,
    VERTEX_COUNT
};
const char *vertex_state_name(enum vertex_state state); /* "RUNNING" */
/* How many subtasks are in which state. Thread: control. */
struct states {
    uint32_t of[VERTEX_COUNT];
};
/* Of `count` subtasks of the job from `first` on, counted over all vertices. */
struct states rest_states(const struct job *job, uint32_t first, uint32_t count);
struct states rest_vertex_states(const struct job *job, uint32_t vertex);
struct states rest_job_states(const struct job *job);
enum vertex_state rest_state_of(const struct states *states); /* of all of them together */
/* {"CREATED":0, ...} */
void rest_put_states(struct call *call, const char *name, const struct states *states,
    bool is_lower_case);

struct subtask {
    uint32_t index; /* in its vertex */
    const struct plan_vertex *vertex;
    enum vertex_state state;
    uint64_t attempt; /* from 0 on */
    struct worker_task_metrics metrics;
    struct rate rate;
    const char *task_manager, *host; /* "" : none yet */
    uint16_t port;
};
struct subtask rest_subtask(const struct job *job, uint32_t vertex, uint32_t index);
const char *rest_job_name(const struct job *job); /* never NULL */
int64_t rest_start_ms(const struct job *job);     /* of its tasks; -1: not yet */
int64_t rest_end_ms(const struct job *job);       /* of the job; -1: not yet */
int64_t rest_duration_ms(const struct call *call, int64_t start_ms, int64_t end_ms); /* -1: none */
/* Members start-time, end-time, duration, of tasks. */
void rest_put_times(struct call *call, const struct job *job);
/* "status-duration": {"CREATED": ...}: how long a task was in each state; -1: not known. */
void rest_put_durations(struct call *call);
/* "metrics": {"read-bytes": ...}: sums over subtasks. */
void rest_put_io(struct call *call, const struct subtask *list, uint32_t count);
/* "aggregated": minimum, maximum and so on over subtasks. */
void rest_put_aggregated(struct call *call, const struct subtask *list, uint32_t count);
/* All of a vertex; mem_free it. */
struct subtask *rest_subtasks(const struct call *call, uint32_t vertex);
/* {min, max, avg, sum, and percentiles by `names`}: sorts the values. */
void rest_put_summary(struct json *json, const char *name, int64_t *values, uint32_t count);
/* The plan as Flink shows one. */
void rest_put_plan(struct call *call, const char *name, const struct job *job);

#endif
