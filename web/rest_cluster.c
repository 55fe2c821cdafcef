/* rest_cluster.c -- the cluster as a whole, and the job manager: what a dashboard asks first.
 *
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/os_process.h"

#include <weir/weir.h>

void rest_config(struct call *call)
{
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_int(json, "refresh-interval", 3000);
    json_put_text(json, "timezone-name", "UTC");
    json_put_int(json, "timezone-offset", 0);
    json_put_text(json, "flink-version", WEIR_VERSION);
    json_put_text(json, "flink-revision", "weir");
    json_put_object(json, "features");
    json_put_bool(json, "web-submit", false);
    json_put_bool(json, "web-cancel", true);
    json_put_bool(json, "web-rescale", false);
    json_put_bool(json, "web-history", false);
    json_put_end(json);
    json_put_end(json);
}

void rest_overview(struct call *call)
{
    uint32_t running = 0, finished = 0, canceled = 0, failed = 0;
    const struct resources *resources = dispatcher_resources(call->dispatcher);
    for (uint32_t i = 0; i < dispatcher_job_count(call->dispatcher); i++) {
        enum job_state state = dispatcher_job(call->dispatcher, i)->state;
        running += !job_state_is_terminal(state); /* Flink's "running or pending" */
        finished += state == JOB_FINISHED;
        canceled += state == JOB_CANCELED;
        failed += state == JOB_FAILED;
    }
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_uint(json, "taskmanagers", resources_count(resources));
    json_put_uint(json, "slots-total", resources_slots_total(resources));
    json_put_uint(json, "slots-available", resources_slots_free(resources));
    json_put_uint(json, "jobs-running", running);
    json_put_uint(json, "jobs-finished", finished);
    json_put_uint(json, "jobs-cancelled", canceled);
    json_put_uint(json, "jobs-failed", failed);
    json_put_text(json, "flink-version", WEIR_VERSION);
    json_put_text(json, "flink-commit", "weir");
    json_put_end(json);
}

void rest_jobmanager_config(struct call *call)
{
    const struct rest_options *options = &call->rest->options;
    json_put_array(&call->json, NULL);
    for (uint32_t i = 0; i < options->setting_count; i++) {
        json_put_object(&call->json, NULL);
        json_put_text(&call->json, "key", options->settings[i].key);
        json_put_text(&call->json, "value", options->settings[i].value);
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
}

void rest_jobmanager_environment(struct call *call)
{
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_object(json, "jvm");
    json_put_text(json, "version", "none: Weir " WEIR_VERSION ", " __VERSION__);
    json_put_text(json, "arch",
#ifdef __aarch64__
        "aarch64"
#else
        "x86_64"
#endif
    );
    json_put_array(json, "options");
    json_put_end(json);
    json_put_end(json);
    json_put_array(json, "classpath");
    json_put_end(json);
    json_put_end(json);
}
