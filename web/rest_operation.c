/* rest_operation.c -- what became of an operation: in progress, or how it ended.
 *
 * Its result is kept by the dispatcher when its job is gone: a stop is over only with the job. So the job of the
 * path is compared with the operation's own, never looked up.
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/buffer.h"
#include "web/java_throwable.h"

#include <stdio.h>
#include <string.h>

/* NULL: the call has its error. */
static const struct operation *find(struct call *call, uint32_t kinds)
{
    const struct operation *it = dispatcher_operation(call->dispatcher, call->trigger);
    bool is_it = it != NULL && (kinds >> it->kind & 1) != 0 &&
                 (call->job_id == NULL || strcmp(call->job_id, it->job) == 0);
    if (!is_it)
        rest_error(call, 404, "Operation not found under key: %s", call->trigger);
    return is_it ? it : NULL;
}

static void put_status(struct json *json, bool is_done)
{
    json_put_object(json, "status");
    json_put_text(json, "id", is_done ? "COMPLETED" : "IN_PROGRESS");
    json_put_end(json);
}

static void put_cause(struct json *json, const char *name, const weir_error *error)
{
    char class_name[64];
    snprintf(class_name, sizeof(class_name), "weir.%s", weir_code_name(weir_error_code(error)));
    json_put_object(json, name);
    json_put_text(json, "class", class_name);
    json_put_text(json, "stack-trace", weir_error_message(error));
    json_put_name(json, "serialized-throwable");
    weir_buffer_add_byte(json->out, '"');
    java_throwable(class_name, weir_error_message(error), json->out);
    weir_buffer_add_byte(json->out, '"');
    json_put_end(json);
}

/* Up to "operation":{, with the failure in it. False: it is complete, there is no more to say. */
static bool begin(struct call *call, const struct operation *it, const char *cause)
{
    json_put_object(&call->json, NULL);
    put_status(&call->json, it->is_done);
    if (it->is_done) {
        json_put_object(&call->json, "operation");
        if (it->error != NULL)
            put_cause(&call->json, cause, it->error);
    }
    return it->is_done && it->error == NULL;
}

static void end(struct call *call)
{
    while (call->json.depth > 0)
        json_put_end(&call->json);
}

void rest_operation_savepoint(struct call *call)
{
    const struct operation *it = find(call, 1u << OPERATION_SAVEPOINT | 1u << OPERATION_STOP);
    if (it == NULL)
        return;
    if (begin(call, it, "failure-cause"))
        json_put_text(&call->json, "location", it->location);
    end(call);
}

void rest_operation_checkpoint(struct call *call)
{
    const struct operation *it = find(call, 1u << OPERATION_CHECKPOINT);
    if (it == NULL)
        return;
    if (begin(call, it, "failureCause"))
        json_put_uint(&call->json, "checkpointId", it->checkpoint);
    end(call);
}

void rest_operation_dispose(struct call *call)
{
    const struct operation *it = find(call, 1u << OPERATION_DISPOSE);
    if (it == NULL)
        return;
    (void)begin(call, it, "failure-cause");
    end(call);
}

void rest_operation_rescale(struct call *call)
{
    const struct operation *it = find(call, 1u << OPERATION_RESCALE);
    if (it == NULL)
        return;
    if (begin(call, it, "failure-cause")) {
        json_put_bool(&call->json, "unchanged", it->is_unchanged);
        json_put_int(&call->json, "downtime-ms", it->downtime_ms);
        json_put_int(&call->json, "duration-ms", it->done_ms - it->begun_ms);
    }
    end(call);
}
