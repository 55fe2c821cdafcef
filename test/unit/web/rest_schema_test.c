/* rest_schema_test.c -- every document has every field that Flink's clients read, of the type that they read it as.
 *
 * A schema is JSON, too: "i" an integer, "n" a number, "b" true or false, "s" a string, "s?" a string or null,
 * "i?" an integer or null; an object: all these members (more may be there); [x]: any number of x; {"*": x}: members
 * of any name; "@x": what is called so below. A client that misses one number tries again for a minute. */
#include "web/rest_route.h"

#include "test/support/expect.h"
#include "test/unit/web/dispatcher_double.h"

#include <jansson.h>

#define J(...) #__VA_ARGS__

/* clang-format off */
static const struct {
    const char *name, *schema;
} named[] = {
    { "E", J(
        {"CREATED": "i", "SCHEDULED": "i", "DEPLOYING": "i", "RUNNING": "i", "FINISHED": "i",
        "CANCELING": "i", "CANCELED": "i", "FAILED": "i", "RECONCILING": "i", "INITIALIZING":
        "i"}) },
    { "IO", J(
        {"read-bytes": "i", "read-bytes-complete": "b", "write-bytes": "i",
        "write-bytes-complete": "b", "read-records": "i", "read-records-complete": "b",
        "write-records": "i", "write-records-complete": "b", "accumulated-backpressured-time":
        "i", "accumulated-idle-time": "i", "accumulated-busy-time": "n"}) },
    { "A", J(
        {"min": "i", "max": "i", "avg": "i", "sum": "i", "median": "i", "p25": "i", "p75": "i",
        "p95": "i"}) },
    { "ST", J(
        {"min": "i", "max": "i", "avg": "i", "p50": "i", "p90": "i", "p95": "i", "p99": "i",
        "p999": "i"}) },
    { "Agg", J(
        {"metrics": {"read-bytes": "@A", "write-bytes": "@A", "read-records": "@A",
        "write-records": "@A", "accumulated-backpressured-time": "@A", "accumulated-idle-time":
        "@A", "accumulated-busy-time": "@A"}, "status-duration":
        {"CREATED": "@A", "SCHEDULED": "@A", "DEPLOYING": "@A", "INITIALIZING": "@A", "RUNNING":
        "@A"}}) },
    { "R", J(
        {"cpuCores": "n", "taskHeapMemory": "i", "taskOffHeapMemory": "i", "managedMemory": "i",
        "networkMemory": "i", "extendedResources": {}}) },
    { "TM", J(
        {"id": "s", "path": "s", "dataPort": "i", "jmxPort": "i", "timeSinceLastHeartbeat": "i",
        "slotsNumber": "i", "freeSlots": "i", "totalResource": "@R", "freeResource": "@R",
        "hardware": {"cpuCores": "i", "physicalMemory": "i", "freeMemory": "i", "managedMemory":
        "i"}, "memoryConfiguration": {"frameworkHeap": "i", "taskHeap": "i", "frameworkOffHeap":
        "i", "taskOffHeap": "i", "networkMemory": "i", "managedMemory": "i", "jvmMetaspace":
        "i", "jvmOverhead": "i", "totalFlinkMemory": "i", "totalProcessMemory": "i"},
        "assignedTasks": "i"}) },
    { "P", J(
        {"jid": "s", "name": "s", "type": "s", "nodes": [{"id": "s", "parallelism": "i",
        "operator": "s", "operator_strategy": "s", "description": "s", "optimizer_properties":
        {}}]}) },
    { "Task", J(
        {"id": "i", "status": "s", "latest_ack_timestamp": "i", "checkpointed_size": "i",
        "state_size": "i", "end_to_end_duration": "i", "alignment_buffered": "i",
        "processed_data": "i", "persisted_data": "i", "num_subtasks": "i",
        "num_acknowledged_subtasks": "i"}) },
    { "C", J(
        {"className": "s", "id": "i", "status": "s", "is_savepoint": "b", "savepointFormat":
        "s?", "trigger_timestamp": "i", "latest_ack_timestamp": "i", "checkpointed_size": "i",
        "state_size": "i", "end_to_end_duration": "i", "alignment_buffered": "i",
        "processed_data": "i", "persisted_data": "i", "num_subtasks": "i",
        "num_acknowledged_subtasks": "i", "checkpoint_type": "s", "tasks": {"*": "@Task"}}) },
    { "Sub", J(
        {"subtask": "i", "status": "s", "attempt": "i", "host": "s", "endpoint": "s",
        "start-time": "i", "start_time": "i", "end-time": "i", "duration": "i", "metrics":
        "@IO", "taskmanager-id": "s", "status-duration": {"CREATED": "i", "SCHEDULED": "i",
        "DEPLOYING": "i", "INITIALIZING": "i", "RUNNING": "i"}}) },
    { "Job", J(
        {"jid": "s", "application-id": "s", "name": "s", "isStoppable": "b", "state": "s", "job-type": "s",
        "start-time": "i", "end-time": "i", "duration": "i", "maxParallelism": "i", "now": "i",
        "timestamps": {"INITIALIZING": "i", "CREATED": "i", "RUNNING": "i", "FAILING": "i",
        "FAILED": "i", "CANCELLING": "i", "CANCELED": "i", "FINISHED": "i", "RESTARTING": "i",
        "SUSPENDED": "i", "RECONCILING": "i"}, "vertices": [{"id": "s", "slotSharingGroupId":
        "s", "name": "s", "maxParallelism": "i", "parallelism": "i", "status": "s",
        "start-time": "i", "end-time": "i", "duration": "i", "tasks": "@E", "metrics": "@IO"}],
        "status-counts": "@E", "plan": "@P", "schedulerType": "s", "pending-operators": "i"}) },
    { "Details", J(
        {"jid": "s", "name": "s", "start-time": "i", "end-time": "i", "duration": "i", "state":
        "s", "last-modification": "i", "tasks": {"total": "i", "created": "i", "scheduled": "i",
        "deploying": "i", "running": "i", "finished": "i", "canceling": "i", "canceled": "i",
        "failed": "i", "reconciling": "i", "initializing": "i"}, "jobType": "s",
        "schedulerType": "s", "pending-operators": "i", "slots-required": "i"}) },
    { "Exceptions", J(
        {"root-exception": "s?", "timestamp": "i?", "all-exceptions": [], "truncated": "b",
        "exceptionHistory": {"truncated": "b", "entries": [{"jobId": "s", "exceptionName": "s",
        "stacktrace": "s", "timestamp": "i", "failureLabels": {"*": "s"}, "concurrentExceptions": []}]}}) },
    { "Config", J(
        {"jid": "s", "name": "s", "execution-config": {"execution-mode": "s",
        "restart-strategy": "s", "job-parallelism": "i", "object-reuse-mode": "b",
        "user-config": {"*": "s"}}}) },
    { "Checkpoints", J(
        {"counts": {"restored": "i", "total": "i", "in_progress": "i", "completed": "i",
        "failed": "i"}, "summary": {"checkpointed_size": "@ST", "state_size": "@ST",
        "end_to_end_duration": "@ST", "alignment_buffered": "@ST", "processed_data": "@ST",
        "persisted_data": "@ST"}, "latest": {"completed": "@C?", "savepoint": "@C?", "failed":
        "@C?"}, "history": ["@C"]}) },
};

#define RUNNING "/jobs/" RUNNING_JOB
#define VERTEX  RUNNING "/vertices/" A_VERTEX
#define DETAILS RUNNING "/checkpoints/details"
#define APPLICATION "/applications/" RUNNING_JOB

static const struct {
    const char *path, *schema;
} documents[] = {
    { "/config", J(
        {"refresh-interval": "i", "timezone-name": "s", "timezone-offset": "i", "flink-version":
        "s", "flink-revision": "s", "features": {"web-submit": "b", "web-cancel": "b",
        "web-rescale": "b", "web-history": "b"}}) },
    { "/overview", J(
        {"taskmanagers": "i", "slots-total": "i", "slots-available": "i", "jobs-running": "i",
        "jobs-finished": "i", "jobs-cancelled": "i", "jobs-failed": "i", "flink-version": "s",
        "flink-commit": "s"}) },
    { "/jobs", J({"jobs": [{"id": "s", "status": "s"}]}) },
    { "/jobmanager/thread-dump", J(
        {"threadInfos": [{"threadName": "s", "stringifiedThreadInfo": "s"}]}) },
    { "/taskmanagers/tm-1/thread-dump", J(
        {"threadInfos": [{"threadName": "s", "stringifiedThreadInfo": "s"}]}) },
    { "/jobmanager/logs", J({"logs": [{"name": "s", "size": "i", "mtime": "i"}]}) },
    { "/taskmanagers/tm-1/logs", J({"logs": [{"name": "s", "size": "i", "mtime": "i"}]}) },
    { "/jobs/overview", J({"jobs": ["@Details"]}) },
    { "/applications/overview", J(
        {"applications": [{"id": "s", "name": "s", "start-time": "i", "end-time": "i",
        "duration": "i", "status": "s", "jobs": {"*": "i"}}]}) },
    { APPLICATION, J(
        {"id": "s", "name": "s", "start-time": "i", "end-time": "i", "duration": "i", "status":
        "s", "timestamps": {"*": "i"}, "jobs": ["@Details"]}) },
    { APPLICATION "/exceptions", J("@Exceptions") },
    { RUNNING, J("@Job") },
    { "/jobs/" PLANNING_JOB, J("@Job") },
    { "/jobs/" FAILED_JOB, J("@Job") },
    { "/jobs/" FINISHED_JOB, J("@Job") },
    { "/jobs/" RESTARTING_JOB, J("@Job") },
    { RUNNING "/status", J({"status": "s"}) },
    { RUNNING "/config", J("@Config") },
    { "/jobs/" PLANNING_JOB "/config", J("@Config") },
    { RUNNING "/exceptions?maxExceptions=10", J("@Exceptions") },
    { "/jobs/" PLANNING_JOB "/exceptions", J("@Exceptions") },
    { "/jobs/" FAILED_JOB "/exceptions", J("@Exceptions") },
    { RUNNING "/plan", J({"plan": "@P"}) },
    { "/jobs/" PLANNING_JOB "/plan", J({"plan": "@P"}) },
    { RUNNING "/accumulators", J(
        {"job-accumulators": [], "user-task-accumulators": [],
        "serialized-user-task-accumulators": {}}) },
    { RUNNING "/checkpoints", J("@Checkpoints") },
    { "/jobs/" PLANNING_JOB "/checkpoints", J("@Checkpoints") },
    { RUNNING "/checkpoints/config", J(
        {"mode": "s", "interval": "i", "timeout": "i", "min_pause": "i", "max_concurrent": "i",
        "externalization": {"enabled": "b", "delete_on_cancellation": "b"}, "state_backend":
        "s", "checkpoint_storage": "s", "unaligned_checkpoints": "b",
        "tolerable_failed_checkpoints": "i", "aligned_checkpoint_timeout": "i",
        "checkpoints_after_tasks_finish": "b", "state_changelog_enabled": "b",
        "changelog_periodic_materialization_interval": "i", "changelog_storage": "s"}) },
    { DETAILS "/2", J("@C") },
    { DETAILS "/3", J("@C") },
    { DETAILS "/4", J("@C") },
    { DETAILS "/5", J("@C") },
    { DETAILS "/5/subtasks/" A_VERTEX, J(
        {"id": "i", "status": "s", "latest_ack_timestamp": "i", "num_subtasks": "i", "summary":
        {"checkpointed_size": "@ST", "state_size": "@ST", "end_to_end_duration": "@ST",
        "checkpoint_duration": {"sync": "@ST", "async": "@ST"}, "alignment": {"buffered": "@ST",
        "processed": "@ST", "persisted": "@ST", "duration": "@ST"}, "start_delay": "@ST"},
        "subtasks": [{"className": "s", "index": "i", "status": "s"}]}) },
    { DETAILS "/2/subtasks/" A_VERTEX, J(
        {"subtasks": [{"className": "s", "index": "i", "status": "s", "ack_timestamp": "i",
        "end_to_end_duration": "i", "checkpointed_size": "i", "state_size": "i", "checkpoint":
        {"sync": "i", "async": "i"}, "alignment": {"buffered": "i", "processed": "i",
        "persisted": "i", "duration": "i"}, "start_delay": "i", "unaligned_checkpoint": "b",
        "aborted": "b"}]}) },
    { VERTEX, J(
        {"id": "s", "name": "s", "parallelism": "i", "maxParallelism": "i", "now": "i",
        "subtasks": ["@Sub"], "aggregated": "@Agg"}) },
    { VERTEX "/subtasks/1", J("@Sub") },
    { VERTEX "/subtasktimes", J(
        {"id": "s", "name": "s", "now": "i", "subtasks": [{"subtask": "i", "host": "s",
        "endpoint": "s", "duration": "i", "timestamps": "@E"}]}) },
    { VERTEX "/taskmanagers", J(
        {"id": "s", "name": "s", "now": "i", "taskmanagers": [{"host": "s", "endpoint": "s",
        "status": "s", "start-time": "i", "end-time": "i", "duration": "i", "metrics": "@IO",
        "status-counts": "@E", "taskmanager-id": "s", "aggregated": "@Agg"}]}) },
    { VERTEX "/backpressure", J(
        {"status": "s", "backpressureLevel": "s", "backpressure-level": "s", "end-timestamp":
        "i", "subtasks": [{"subtask": "i", "attempt-number": "i", "backpressureLevel": "s",
        "backpressure-level": "s", "ratio": "n", "idleRatio": "n", "busyRatio": "n"}]}) },
    { VERTEX "/watermarks", J([{"id": "s", "value": "s"}]) },
    { VERTEX "/metrics", J([{"id": "s"}]) },
    { VERTEX "/metrics?get=0.numRecordsIn,1.busyTimeMsPerSecond",
        J([{"id": "s", "value": "s"}]) },
    { VERTEX "/subtasks/metrics", J([{"id": "s"}]) },
    { VERTEX "/subtasks/metrics?get=numRecordsIn,busyTimeMsPerSecond",
        J([{"id": "s", "min": "n", "max": "n", "avg": "n", "sum": "n", "skew": "n"}]) },
    { VERTEX "/subtasks/1/metrics?get=numRecordsIn", J([{"id": "s", "value": "s"}]) },
    { VERTEX "/accumulators", J({"id": "s", "user-accumulators": []}) },
    { VERTEX "/subtasks/accumulators", J({"id": "s", "parallelism": "i", "subtasks": []}) },
    { VERTEX "/flamegraph?type=on_cpu", J({"endTimestamp": "i"}) },
    { RUNNING "/metrics?get=numRestarts,uptime", J([{"id": "s", "value": "s"}]) },
    { "/taskmanagers", J({"taskmanagers": ["@TM"]}) },
    { "/taskmanagers/tm-1", J("@TM") },
    { "/taskmanagers/10.0.0.2:6122-x", J(
        {"metrics": {"heapUsed": "i", "heapCommitted": "i", "heapMax": "i", "nonHeapUsed": "i",
        "nonHeapCommitted": "i", "nonHeapMax": "i", "directCount": "i", "directUsed": "i",
        "directMax": "i", "mappedCount": "i", "mappedUsed": "i", "mappedMax": "i",
        "memorySegmentsAvailable": "i", "memorySegmentsTotal": "i",
        "nettyShuffleMemorySegmentsAvailable": "i", "nettyShuffleMemorySegmentsUsed": "i",
        "nettyShuffleMemorySegmentsTotal": "i", "nettyShuffleMemoryAvailable": "i",
        "nettyShuffleMemoryUsed": "i", "nettyShuffleMemoryTotal": "i", "garbageCollectors": []},
        "allocatedSlots": [{"jobId": "s", "resource": "@R"}]}) },
    { "/taskmanagers/tm-1/metrics?get=Status.JVM.Memory.Heap.Used",
        J([{"id": "s", "value": "s"}]) },
    { "/jobmanager/config", J([{"key": "s", "value": "s"}]) },
    { "/jobmanager/environment",
        J({"jvm": {"version": "s", "arch": "s", "options": []}, "classpath": []}) },
    { "/jobmanager/metrics?get=taskSlotsTotal", J([{"id": "s", "value": "s"}]) },
};

/* clang-format on */

/* -- the checker ---------------------------------------------------------------------------- */

static const char *find_named(const char *name, size_t size)
{
    for (size_t i = 0; i < COUNT_OF(named); i++)
        if (strlen(named[i].name) == size && memcmp(named[i].name, name, size) == 0)
            return named[i].schema;
    fail_msg("no schema '%s'", name);
    return NULL;
}

/* NULL: it fits; else what does not. */
static const char *misfit(const json_t *schema, const json_t *value);

static const char *leaf_misfit(const char *kind, const json_t *value)
{
    size_t size = strlen(kind);
    if (kind[size - 1] == '?' && json_is_null(value))
        return NULL;
    if (kind[0] == '@') {
        json_t *schema = json_loads(find_named(kind + 1, size - 1 - (kind[size - 1] == '?')),
            JSON_DECODE_ANY, NULL);
        assert_non_null(schema);
        const char *result = misfit(schema, value);
        json_decref(schema);
        return result;
    }
    bool fits = kind[0] == 'i'   ? json_is_integer(value)
                : kind[0] == 'n' ? json_is_number(value)
                : kind[0] == 'b' ? json_is_boolean(value)
                                 : json_is_string(value);
    return fits ? NULL : "a leaf";
}

static const char *object_misfit(const json_t *schema, const json_t *value)
{
    static char text[128];
    const char *name;
    json_t *part, *each = json_object_get(schema, "*");
    if (!json_is_object(value))
        return "an object";
    if (each != NULL) {
        json_object_foreach((json_t *)(uintptr_t)value, name,
            part) if (misfit(each, part) != NULL) return misfit(each, part);
        return NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)schema, name, part)
    {
        const json_t *member = json_object_get(value, name);
        const char *what = member == NULL ? "missing" : misfit(part, member);
        if (what != NULL) {
            char inner[64];
            snprintf(inner, sizeof(inner), "%s", what);
            snprintf(text, sizeof(text), "%s: %s", name, inner);
            return text;
        }
    }
    return NULL;
}

static const char *misfit(const json_t *schema, const json_t *value)
{
    if (json_is_string(schema))
        return leaf_misfit(json_string_value(schema), value);
    if (json_is_object(schema))
        return object_misfit(schema, value);
    if (!json_is_array(value))
        return "an array";
    for (size_t i = 0; json_array_size(schema) > 0 && i < json_array_size(value); i++) {
        const char *what = misfit(json_array_get(schema, 0), json_array_get(value, i));
        if (what != NULL)
            return what;
    }
    return NULL;
}

static const struct rest_setting settings[] = { { "rest.port", "8081" } };
static const struct rest_options options = { .settings = settings, .setting_count = 1 };

/* The document, or fails. */
static json_t *get(struct client *client, const char *path)
{
    json_error_t problem;
    const char *text = client_ask(client, "GET", path, WEIR_STR("{}"));
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (value == NULL || client->reply.status != 200)
        print_error("%s: %d %s: %s\n", path, client->reply.status,
            value == NULL ? problem.text : "", text);
    assert_non_null(value);
    assert_int_equal(client->reply.status, 200);
    return value;
}

static void every_document_has_every_field_of_its_type(void **state)
{
    struct client client = client_new(&options);
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        json_t *schema = json_loads(documents[i].schema, JSON_DECODE_ANY, NULL);
        assert_non_null(schema);
        json_t *value = get(&client, documents[i].path);
        const char *what = misfit(schema, value);
        if (what != NULL)
            print_error("%s: %s\n%s\n", documents[i].path, what, buffer_text(client.reply.body));
        assert_null(what);
        bool is_empty = json_is_array(value) && json_array_size(value) == 0;
        assert_false(is_empty);
        json_decref(value);
        json_decref(schema);
    }
    client_free(&client);
}

static void every_route_that_shows_json_is_in_this_table(void **state)
{
    static const char *const others[] = { "/metrics", "/jobs/:job/explain", "/blobs/:digest",
        "/jobs/:job/yarn-cancel", "/jobmanager/log", "/jobmanager/stdout", "/jobmanager/logs/:text",
        "/taskmanagers/:text/log", "/taskmanagers/:text/stdout", "/taskmanagers/:text/logs/:name" };
    for (uint32_t i = 0; i < rest_route_count; i++) {
        const struct route *route = &rest_routes[i];
        bool is_known = strcmp(route->method, "GET") != 0 || strstr(route->pattern, ":trigger");
        for (size_t j = 0; j < COUNT_OF(others); j++)
            is_known |= strcmp(others[j], route->pattern) == 0;
        for (size_t j = 0; !is_known && j < COUNT_OF(documents); j++) {
            char path[512];
            struct segments segments;
            snprintf(path, sizeof(path), "%.*s", (int)strcspn(documents[j].path, "?"),
                documents[j].path);
            is_known =
                rest_route_cut(path, &segments) && rest_route_find("GET", &segments) == route;
        }
        if (!is_known)
            print_error("%s has no schema\n", route->pattern);
        assert_true(is_known);
    }
}

/* -- what fields say ------------------------------------------------------------------------ */

static void each_vertex_is_a_key_of_a_checkpoints_tasks_and_a_node_of_the_plan(void **state)
{
    struct client client = client_new(&options);
    json_t *checkpoint = get(&client, DETAILS "/5");
    json_t *job = get(&client, RUNNING);
    json_t *vertices = json_object_get(job, "vertices");
    assert_int_equal(json_array_size(vertices), 2);
    for (size_t i = 0; i < 2; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(vertices, i), "id"));
        json_t *node = json_array_get(json_object_get(json_object_get(job, "plan"), "nodes"), i);
        assert_non_null(json_object_get(json_object_get(checkpoint, "tasks"), id));
        assert_string_equal(json_string_value(json_object_get(node, "id")), id);
        assert_int_equal(json_object_get(node, "inputs") != NULL, i == 1);
        assert_string_equal(json_string_value(json_object_get(node, "description")),
            i == 0 ? "clicks &lt;b>&amp;&quot;x&quot;<br/>" : "out<br/>");
    }
    json_decref(checkpoint);
    json_decref(job);
    client_free(&client);
}

static const char *text_at(const json_t *object, const char *a, const char *b)
{
    return json_string_value(json_object_get(json_object_get(object, a), b));
}

static void expect_application(struct client *client, const char *id, const char *status)
{
    char path[128];
    snprintf(path, sizeof(path), "/applications/%s", id);
    json_t *it = get(client, path);
    json_t *job = json_array_get(json_object_get(it, "jobs"), 0);
    assert_string_equal(json_string_value(json_object_get(it, "id")), id);
    assert_string_equal(json_string_value(json_object_get(it, "status")), status);
    assert_int_equal(json_array_size(json_object_get(it, "jobs")), 1);
    assert_string_equal(json_string_value(json_object_get(job, "jid")), id);
    json_decref(it);
}

static void an_application_is_a_job_that_runs_as_long_as_it_can_be_cancelled(void **state)
{
    struct client client = client_new(&options);
    expect_application(&client, RUNNING_JOB, "RUNNING");
    expect_application(&client, RESTARTING_JOB, "RUNNING");
    expect_application(&client, PLANNING_JOB, "CREATED");
    expect_application(&client, FAILED_JOB, "FAILED");
    json_t *job = get(&client, RUNNING);
    assert_string_equal(json_string_value(json_object_get(job, "application-id")), RUNNING_JOB);
    json_decref(job);
    json_t *all = get(&client, APPLICATION "/exceptions");
    json_t *entry =
        json_array_get(json_object_get(json_object_get(all, "exceptionHistory"), "entries"), 0);
    assert_string_equal(json_string_value(json_object_get(entry, "jobId")), RUNNING_JOB);
    json_decref(all);
    client_free(&client);
}

static void the_newest_checkpoints_are_told_apart(void **state)
{
    struct client client = client_new(&options);
    json_t *all = get(&client, RUNNING "/checkpoints");
    json_t *latest = json_object_get(all, "latest");
    assert_string_equal(text_at(latest, "completed", "external_path"), "/c/chk-2");
    assert_string_equal(text_at(latest, "savepoint", "external_path"), "/s/savepoint-1");
    assert_string_equal(text_at(latest, "failed", "failure_message"), "task \"x\" declined");
    json_t *history = json_object_get(all, "history");
    assert_int_equal(json_array_size(history), 4);
    json_t *pending = json_array_get(history, 0);
    assert_int_equal(json_integer_value(json_object_get(pending, "id")), 5);
    assert_int_equal(json_integer_value(json_object_get(pending, "end_to_end_duration")), -1);
    assert_int_equal(json_integer_value(json_object_get(pending, "num_acknowledged_subtasks")), 1);
    json_decref(all);
    client_free(&client);
}

static void an_older_checkpoint_of_fewer_subtasks_is_shown(void **state)
{
    struct client client = client_new(&options);
    struct history *history = &client.dispatcher->jobs[0].history;
    history_release(history);
    history_init(history, 2);
    history_triggered(history, 2, false, 2000);
    history_acked(history, 2, 1, &(struct history_ack){ .at_ms = 2050 });
    json_t *part = get(&client, DETAILS "/2/subtasks/" A_VERTEX);
    assert_int_equal(json_integer_value(json_object_get(part, "num_acknowledged_subtasks")), 1);
    assert_int_equal(json_array_size(json_object_get(part, "subtasks")), 3);
    json_decref(part);
    json_decref(get(&client, DETAILS "/2"));
    client_free(&client);
}

static void a_failure_is_told_with_its_task_and_the_only_error_of_a_job_without_one(void **state)
{
    struct client client = client_new(&options);
    json_t *all = get(&client, RUNNING "/exceptions");
    json_t *entry =
        json_array_get(json_object_get(json_object_get(all, "exceptionHistory"), "entries"), 0);
    assert_string_equal(json_string_value(json_object_get(entry, "stacktrace")),
        "killed by SIGSEGV");
    assert_string_equal(json_string_value(json_object_get(entry, "taskName")),
        "clicks - subtask 2 (attempt 1)");
    json_decref(all);
    static char why[] = "killed by SIGKILL", place[] = "tm-1";
    history_failed(&client.dispatcher->jobs[0].history,
        &(struct history_failure){ .text = why, .place = place, .attempt = 2 });
    all = get(&client,
        RUNNING "/exceptions"); /* a worker has ended, and nobody knows in which task */
    entry = json_array_get(json_object_get(json_object_get(all, "exceptionHistory"), "entries"), 0);
    assert_string_equal(json_string_value(json_object_get(entry, "taskName")),
        "one of the tasks on tm-1 (attempt 2)");
    assert_string_equal(json_string_value(json_object_get(entry, "taskManagerId")), "tm-1");
    json_decref(all);
    all = get(&client, "/jobs/" FAILED_JOB "/exceptions");
    assert_string_equal(json_string_value(json_object_get(all, "root-exception")),
        "the plan is wrong: 'x'");
    json_decref(all);
    client_free(&client);
}

static void a_takeover_is_told_behind_the_failures_and_is_none(void **state)
{
    struct client client = client_new(&options);
    struct history *history = &client.dispatcher->jobs[0].history;
    json_t *all = get(&client, RUNNING "/exceptions");
    size_t count =
        json_array_size(json_object_get(json_object_get(all, "exceptionHistory"), "entries"));
    json_decref(all);
    history_taken_over(history, 3, 1000);
    history_restored(history, 17, false, 1001);
    all = get(&client, RUNNING "/exceptions");
    json_t *entries = json_object_get(json_object_get(all, "exceptionHistory"), "entries");
    assert_int_equal(json_array_size(entries), count + 1);
    json_t *entry = json_array_get(entries, count);
    assert_string_equal(json_string_value(json_object_get(entry, "stacktrace")),
        "The job manager has changed: the leader of epoch 3 has taken the job over, from "
        "checkpoint "
        "17.");
    assert_int_equal(json_integer_value(json_object_get(entry, "timestamp")), 1000);
    assert_string_equal(json_string_value(json_object_get(all, "root-exception")),
        "killed by SIGSEGV");
    json_decref(all);
    client_free(&client);
}

/* Worker 1, with every second subtask, has gone; the others run on. The answers of failures are told as Flink's. */
static void a_region_that_restarts_is_seen_in_the_states_and_in_the_history(void **state)
{
    struct client client = client_new(&options);
    struct job *of = &client.dispatcher->jobs[0];
    client.dispatcher->gateways[0].workers[1].is_deployed = false;
    static char why[] = "gone", clicks[] = "clicks";
    history_failed(&of->history,
        &(struct history_failure){ .text = why, .vertex = clicks, .task_count = 2 });
    json_t *job = get(&client, RUNNING);
    json_t *counts = json_object_get(job, "status-counts");
    json_int_t running = json_integer_value(json_object_get(counts, "RUNNING"));
    json_int_t scheduled = json_integer_value(json_object_get(counts, "SCHEDULED"));
    assert_true(running > 0 && scheduled > 0);
    assert_int_equal(running + scheduled, of->plan->subtask_count);
    json_t *vertex = json_array_get(json_object_get(job, "vertices"), 0);
    assert_string_equal(json_string_value(json_object_get(vertex, "status")),
        "SCHEDULED"); /* the one furthest behind */
    json_decref(job);
    json_t *all = get(&client, RUNNING "/exceptions");
    json_t *entry =
        json_array_get(json_object_get(json_object_get(all, "exceptionHistory"), "entries"), 0);
    char expected[32];
    snprintf(expected, sizeof(expected), "2 of %u", of->plan->subtask_count);
    assert_string_equal(text_at(entry, "failureLabels", "restarted-tasks"), expected);
    json_decref(all);
    client_free(&client);
}

static void a_source_has_read_nothing_over_an_edge_and_a_sink_written_nothing(void **state)
{
    struct client client = client_new(&options);
    json_t *job = get(&client, RUNNING);
    json_t *vertices = json_object_get(job, "vertices");
    static const struct {
        const char *name;
        int expected[2];
    } rows[] = { { "read-records", { 0, 103 + 104 + 105 } }, { "write-records", { 150, 0 } },
        { "read-bytes", { 3 * 1000 + 0 + 1 + 2, 3 * 1000 + 3 + 4 + 5 } },
        { "write-bytes", { 1500, 1500 } }, { "accumulated-busy-time", { 900, 900 } } };
    for (size_t row = 0; row < COUNT_OF(rows); row++) {
        for (size_t i = 0; i < 2; i++) {
            json_t *io = json_object_get(json_array_get(vertices, i), "metrics");
            assert_int_equal(json_integer_value(json_object_get(io, rows[row].name)),
                rows[row].expected[i]);
        }
    }
    json_decref(job);
    client_free(&client);
}

static void what_runs_nowhere_has_flinks_word_for_that(void **state)
{
    struct client client = client_new(&options);
    json_t *vertex = get(&client, "/jobs/" FINISHED_JOB "/vertices/" A_VERTEX);
    json_t *it = json_array_get(json_object_get(vertex, "subtasks"), 0);
    static const char *const members[] = { "host", "endpoint", "taskmanager-id" };
    for (size_t i = 0; i < COUNT_OF(members); i++)
        assert_string_equal(json_string_value(json_object_get(it, members[i])), "(unassigned)");
    json_decref(vertex);
    client_free(&client);
}

static void a_job_that_is_over_keeps_its_numbers(void **state)
{
    struct client client = client_new(&options);
    struct job *job = &client.dispatcher->jobs[3];
    struct worker_task_metrics last[6] = { 0 };
    assert_int_equal(job->plan->subtask_count, COUNT_OF(last));
    for (uint32_t i = 0; i < COUNT_OF(last); i++)
        last[i].records_in = last[i].records_out = 100;
    job->last_metrics = last;
    json_t *all = get(&client, "/jobs/" FINISHED_JOB);
    json_t *vertices = json_object_get(all, "vertices");
    for (size_t i = 0; i < 2; i++) {
        json_t *io = json_object_get(json_array_get(vertices, i), "metrics");
        assert_int_equal(json_integer_value(json_object_get(io, "read-records")), i == 0 ? 0 : 300);
        assert_int_equal(json_integer_value(json_object_get(io, "write-records")),
            i == 0 ? 300 : 0);
    }
    json_decref(all);
    client_free(&client);
}

static void expect_counts(struct client *client, const char *name, int running, int other)
{
    json_t *vertex = get(client, VERTEX "/taskmanagers"), *job = get(client, RUNNING);
    json_t *counts = json_object_get(job, "status-counts");
    assert_int_equal(json_integer_value(json_object_get(counts, "RUNNING")), running);
    assert_int_equal(json_integer_value(json_object_get(counts, name)), other);
    json_decref(vertex);
    json_decref(job);
}

static void expect_status(struct client *client, const char *vertex, const char *subtask)
{
    json_t *job = get(client, RUNNING), *all = get(client, VERTEX), *it;
    assert_string_equal(json_string_value(
                            json_object_get(json_array_get(json_object_get(job, "vertices"), 0),
                                "status")),
        vertex);
    it = json_array_get(json_object_get(all, "subtasks"), 1);
    assert_string_equal(json_string_value(json_object_get(it, "status")), subtask);
    json_decref(job);
    json_decref(all);
}

static void each_subtask_has_a_state_of_its_own_and_the_vertex_one_of_them_all(void **state)
{
    struct client client = client_new(&options);
    struct job *job = &client.dispatcher->jobs[0];
    enum task_state *states = client.dispatcher->gateways[0].states;
    expect_status(&client, "RUNNING", "RUNNING");
    states[1] = TASK_CREATED;
    expect_status(&client, "INITIALIZING", "INITIALIZING");
    expect_counts(&client, "INITIALIZING", 5, 1);
    states[1] = TASK_ENDED;
    expect_status(&client, "RUNNING", "FINISHED");
    states[0] = states[2] = TASK_ENDED;
    expect_status(&client, "FINISHED", "FINISHED");
    states[1] = TASK_FAILED;
    expect_status(&client, "FAILED", "FAILED");
    job->state = JOB_FAILING; /* the others are told to end; what has ended has */
    states[0] = TASK_RUNNING;
    expect_status(&client, "FAILED", "FAILED");
    expect_counts(&client, "CANCELING", 0, 4);
    static char text[] = "it broke", place[] = "tm-1";
    char *vertex = mem_strdup(job->plan->vertices[0].name);
    history_failed(&job->history,
        &(struct history_failure){ .text = text, .vertex = vertex, .place = place, .subtask = 2 });
    mem_free(vertex);
    job->state = JOB_FAILED; /* of the failure it is known which task's it was */
    job->gateway = NULL;
    expect_status(&client, "FAILED", "CANCELED");
    job->state = JOB_CANCELED;
    expect_status(&client, "CANCELED", "CANCELED");
    client_free(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_document_has_every_field_of_its_type),
        cmocka_unit_test(every_route_that_shows_json_is_in_this_table),
        cmocka_unit_test(each_vertex_is_a_key_of_a_checkpoints_tasks_and_a_node_of_the_plan),
        cmocka_unit_test(an_application_is_a_job_that_runs_as_long_as_it_can_be_cancelled),
        cmocka_unit_test(the_newest_checkpoints_are_told_apart),
        cmocka_unit_test(an_older_checkpoint_of_fewer_subtasks_is_shown),
        cmocka_unit_test(a_failure_is_told_with_its_task_and_the_only_error_of_a_job_without_one),
        cmocka_unit_test(a_takeover_is_told_behind_the_failures_and_is_none),
        cmocka_unit_test(a_region_that_restarts_is_seen_in_the_states_and_in_the_history),
        cmocka_unit_test(a_source_has_read_nothing_over_an_edge_and_a_sink_written_nothing),
        cmocka_unit_test(what_runs_nowhere_has_flinks_word_for_that),
        cmocka_unit_test(a_job_that_is_over_keeps_its_numbers),
        cmocka_unit_test(each_subtask_has_a_state_of_its_own_and_the_vertex_one_of_them_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
