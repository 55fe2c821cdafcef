/* rest_route.h -- the table of routes: a method and a pattern of a path, and who handles it.
 *
 * A segment of a pattern is a word, or a parameter:
 *      :job      32 hexadecimal digits of a job that there is; with :trigger, of one that there may have been
 *      :vertex   of a vertex of its plan         :subtask  of the vertex
 *      :trigger  32 hexadecimal digits           :number   a number
 *      :digest   64 hexadecimal digits           :text, :name  anything
 * The first row that fits is taken, so words stand before parameters.
 *
 * Thread: any, immutable. Limits: ROUTE_SEGMENTS_MAX. */
#ifndef WEIR_WEB_REST_ROUTE_H
#define WEIR_WEB_REST_ROUTE_H

#include "web/rest_private.h"

#define ROUTE_SEGMENTS_MAX 10u

/* How much a client of Flink's needs it: 'A' without it a page is blank, 'B' content, 'C' nice, 'D' an option,
 * 'L' the command line, 'W' Weir's own. */
struct route {
    const char *method, *pattern;
    void (*handle)(struct call *call);
    char need;
    bool is_guarded; /* it changes something, or hands out an executable: web/rest.h */
};

extern const struct route rest_routes[];
extern const uint32_t rest_route_count;

/* A path (a copy, which is cut into pieces) cut at its slashes. */
struct segments {
    const char *list[ROUTE_SEGMENTS_MAX];
    uint32_t count;
};
/* False: there are too many. */
bool rest_route_cut(char *path, struct segments *segments);
/* NULL: none. */
const struct route *rest_route_find(const char *method, const struct segments *segments);
/* Looks up what the parameters mean. False: the call has its error. */
bool rest_route_resolve(const struct route *route, const struct segments *segments,
    struct call *call);

/* -- handlers, by the file that they are in */
void rest_config(struct call *call); /* rest_cluster.c */
void rest_overview(struct call *call);
void rest_jobmanager_config(struct call *call);
void rest_jobmanager_environment(struct call *call);
void rest_taskmanagers(struct call *call); /* rest_taskmanager.c */
void rest_taskmanager(struct call *call);
void rest_jobs(struct call *call); /* rest_job.c */
void rest_jobs_overview(struct call *call);
void rest_applications(struct call *call);
void rest_application(struct call *call);
void rest_job(struct call *call);
void rest_job_status(struct call *call);
void rest_job_config(struct call *call);
void rest_job_exceptions(struct call *call);
void rest_job_plan(struct call *call);
void rest_job_explain(struct call *call);
void rest_job_accumulators(struct call *call);
void rest_vertex(struct call *call); /* rest_vertex.c */
void rest_vertex_times(struct call *call);
void rest_vertex_taskmanagers(struct call *call);
void rest_vertex_backpressure(struct call *call);
void rest_vertex_watermarks(struct call *call);
void rest_vertex_accumulators(struct call *call);
void rest_vertex_subtask_accumulators(struct call *call);
void rest_vertex_flamegraph(struct call *call);
void rest_subtask_of(struct call *call);
void rest_checkpoints(struct call *call); /* rest_checkpoint.c */
void rest_checkpoint_config(struct call *call);
void rest_checkpoint(struct call *call);
void rest_checkpoint_vertex(struct call *call);
void rest_jobmanager_logs(struct call *call); /* rest_log.c */
void rest_jobmanager_log(struct call *call);
void rest_jobmanager_stdout(struct call *call);
void rest_jobmanager_log_named(struct call *call);
void rest_jobmanager_threads(struct call *call);
void rest_taskmanager_logs(struct call *call);
void rest_taskmanager_log(struct call *call);
void rest_taskmanager_stdout(struct call *call);
void rest_taskmanager_log_named(struct call *call);
void rest_taskmanager_threads(struct call *call);
void rest_metrics_cluster(struct call *call); /* rest_metrics.c */
void rest_metrics_taskmanager(struct call *call);
void rest_metrics_job(struct call *call);
void rest_metrics_vertex(struct call *call);
void rest_metrics_subtasks(struct call *call);
void rest_metrics_subtask(struct call *call);
void rest_metrics_prometheus(struct call *call); /* rest_prometheus.c */
void rest_submit(struct call *call);             /* rest_command.c */
void rest_blob_put(struct call *call);
void rest_blob_get(struct call *call);
void rest_cancel(struct call *call);
void rest_savepoint(struct call *call);
void rest_stop(struct call *call);
void rest_checkpoint_trigger(struct call *call);
void rest_dispose(struct call *call);
void rest_rescale(struct call *call);
void rest_operation_savepoint(struct call *call); /* rest_operation.c */
void rest_operation_checkpoint(struct call *call);
void rest_operation_dispose(struct call *call);
void rest_operation_rescale(struct call *call);

/* A path with no route: a file of the page (rest_ui.c). False: none of that name. */
bool rest_ui(struct call *call, const char *path);

#endif
