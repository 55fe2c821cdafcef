/* rest_command.c -- what is asked of the cluster: jobs, executables, savepoints, an end.
 *
 * What takes a while is answered by the id of an operation (rest_operation.c). An id that the client brings makes
 * asking twice harmless.
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/memory.h"
#include "base/os.h"
#include "types/key_group.h"
#include "web/json_read.h"

#include <string.h>

#define COPY_SIZE ((size_t)256 << 10)

/* {} with a status. */
static void accept(struct call *call, int status)
{
    call->reply->status = status;
    json_put_object(&call->json, NULL);
    json_put_end(&call->json);
}

static void answer_id(struct call *call, int status, const char *name, const char *id)
{
    call->reply->status = status;
    json_put_object(&call->json, NULL);
    json_put_text(&call->json, name, id);
    json_put_end(&call->json);
}

/* -- a body --------------------------------------------------------------------------------- */

static weir_error *read_body(const struct call *call, struct json_body **body)
{
    if (call->request->body_file != NULL)
        return weir_errorf(WEIR_E_USAGE, "the body has more than %zu bytes", REST_JSON_MAX);
    return json_read(call->request->body, REST_JSON_MAX, body);
}

/* What begins an operation asks for: its body. Thread: control. */
struct order {
    struct json_body *body;
    const char *directory;
    bool has_flag; /* "cancel-job", "drain" */
    char operation[DISPATCHER_ID_SIZE];
};

static weir_error *read_trigger(struct order *order)
{
    const char *id;
    WEIR_TRY(json_get_text(order->body, "triggerId", &id));
    if (id == NULL)
        return NULL;
    if (!rest_is_hex(id, DISPATCHER_ID_SIZE - 1))
        return weir_errorf(WEIR_E_USAGE, "'triggerId' is not 32 hexadecimal digits");
    memcpy(order->operation, id, DISPATCHER_ID_SIZE);
    return NULL;
}

/* Weir's savepoints are what Flink calls canonical: another backend can read them. */
static weir_error *read_format(const struct order *order)
{
    const char *format;
    WEIR_TRY(json_get_text(order->body, "formatType", &format));
    if (format == NULL || strcmp(format, "CANONICAL") == 0)
        return NULL;
    return weir_errorf(WEIR_E_USAGE, "'formatType' is '%s': savepoints are CANONICAL", format);
}

static weir_error *read_order(const struct call *call, const char *directory, const char *flag,
    struct order *order)
{
    *order = (struct order){ .body = NULL };
    WEIR_TRY(read_body(call, &order->body));
    WEIR_TRY(read_trigger(order));
    WEIR_TRY(read_format(order));
    if (flag != NULL)
        WEIR_TRY(json_get_bool(order->body, flag, &order->has_flag));
    return directory == NULL ? NULL : json_get_text(order->body, directory, &order->directory);
}

/* Takes the error, frees the order. */
static void answer_order(struct call *call, struct order *order, weir_error *error, int status)
{
    if (error != NULL)
        rest_refuse(call, error);
    else
        answer_id(call, status, "request-id", order->operation);
    json_free(order->body);
}

/* -- operations ----------------------------------------------------------------------------- */

/* A savepoint, or a stop with one: its directory is looked at first. Thread: the worker's while it looks, else control. */
struct saving {
    struct call *later;
    struct order order;
    char job[DISPATCHER_ID_SIZE];
    char *directory;
    bool is_stop;
    weir_error *error;
};

static void run_probe(void *arg)
{
    struct saving *it = arg;
    it->error = dispatcher_probe(it->directory);
}

static void on_probed(void *arg, bool is_over)
{
    struct saving *it = arg;
    struct dispatcher *dispatcher = it->later->dispatcher;
    if (it->error == NULL && is_over)
        it->error = weir_errorf(WEIR_E_STATE, "this job manager leads no more");
    if (it->error == NULL && it->is_stop)
        it->error = dispatcher_stop(dispatcher, it->job, it->directory, it->order.has_flag,
            it->order.operation);
    else if (it->error == NULL)
        it->error = dispatcher_savepoint(dispatcher, it->job, it->directory, it->order.has_flag,
            it->order.operation);
    answer_order(it->later, &it->order, it->error, 202);
    rest_answer(it->later);
    mem_free(it->directory);
    mem_free(it);
}

static bool is_begun(const struct call *call, const struct order *order)
{
    return order->operation[0] != '\0' &&
           dispatcher_operation(call->dispatcher, order->operation) != NULL;
}

static void save(struct call *call, const char *directory_name, const char *flag, bool is_stop)
{
    struct order order;
    const char *directory = NULL;
    weir_error *error = read_order(call, directory_name, flag, &order);
    bool is_done = error == NULL && is_begun(call, &order); /* asked again: the same answer */
    if (error == NULL && !is_done)
        error = dispatcher_savepoint_directory(call->dispatcher, call->job->id, order.directory,
            &directory);
    if (error != NULL || is_done) {
        answer_order(call, &order, error, 202);
        return;
    }
    struct saving *it = mem_alloc(sizeof(*it));
    *it = (struct saving){ .order = order, .directory = mem_strdup(directory), .is_stop = is_stop };
    memcpy(it->job, call->job->id, sizeof(it->job));
    it->later = rest_later(call);
    if (dispatcher_errand(it->later->dispatcher, run_probe, on_probed, it))
        return;
    it->error = weir_errorf(WEIR_E_LIMIT, "too much blocking work is waiting: ask again");
    on_probed(it, false);
}

void rest_savepoint(struct call *call)
{
    save(call, "target-directory", "cancel-job", false);
}

void rest_stop(struct call *call)
{
    save(call, "targetDirectory", "drain", true);
}

/* All checkpoints are of one kind: "checkpointType" says nothing. */
void rest_checkpoint_trigger(struct call *call)
{
    struct order order;
    weir_error *error = read_order(call, NULL, NULL, &order);
    if (error == NULL)
        error = dispatcher_checkpoint(call->dispatcher, call->job->id, order.operation);
    answer_order(call, &order, error, 202);
}

void rest_dispose(struct call *call)
{
    struct order order;
    weir_error *error = read_order(call, "savepoint-path", NULL, &order);
    if (error == NULL && order.directory == NULL)
        error = weir_errorf(WEIR_E_USAGE, "the body has no 'savepoint-path'");
    if (error == NULL)
        error = dispatcher_dispose(call->dispatcher, order.directory, order.operation);
    answer_order(call, &order, error, 200);
}

void rest_rescale(struct call *call)
{
    const char *text = rest_query(call, "parallelism");
    uint64_t parallelism = text == NULL ? 0 : rest_number(text, MAX_PARALLELISM_LIMIT);
    struct order order = { .body = NULL };
    weir_error *error = read_order(call, NULL, NULL, &order);
    if (error == NULL && (parallelism == 0 || parallelism == UINT64_MAX))
        error =
            weir_errorf(WEIR_E_USAGE, "the query needs parallelism=1..%u", MAX_PARALLELISM_LIMIT);
    if (error == NULL)
        error = dispatcher_rescale(call->dispatcher, call->job->id, (uint32_t)parallelism,
            order.operation);
    answer_order(call, &order, error, 202);
}

/* -- the end of a job ----------------------------------------------------------------------- */

void rest_cancel(struct call *call)
{
    const char *mode = rest_query(call, "mode");
    if (mode != NULL && strcmp(mode, "cancel") != 0) {
        rest_error(call, 400, "mode is '%s': a job is cancelled here; to stop it, POST .../stop",
            mode);
        return;
    }
    if (job_state_is_terminal(call->job->state)) {
        rest_error(call, 409,
            "Job cancellation failed because the job has already reached "
            "another terminal state (%s).",
            job_state_name(call->job->state));
        return;
    }
    weir_error *error = dispatcher_cancel(call->dispatcher, call->job->id);
    if (error != NULL)
        rest_refuse(call, error);
    else
        accept(call, 202);
}

/* -- the begin of one ----------------------------------------------------------------------- */

static weir_error *submit(struct call *call, struct json_body *body, char *id)
{
    struct submission submission;
    WEIR_TRY(json_get_text(body, "digest", &submission.digest));
    WEIR_TRY(json_get_text(body, "program", &submission.program));
    WEIR_TRY(json_get_list(body, "arguments", &submission.arguments, &submission.argument_count));
    if (submission.digest == NULL || !rest_is_hex(submission.digest, BLOB_DIGEST_SIZE))
        return weir_errorf(WEIR_E_USAGE, "'digest' is not the SHA-256 of an executable");
    if (submission.program == NULL)
        submission.program = "job";
    return dispatcher_submit(call->dispatcher, &submission, id);
}

void rest_submit(struct call *call)
{
    char id[DISPATCHER_ID_SIZE];
    struct json_body *body = NULL;
    weir_error *error = read_body(call, &body);
    if (error == NULL)
        error = submit(call, body, id);
    json_free(body);
    if (error != NULL)
        rest_refuse(call, error);
    else
        answer_id(call, 202, "jobid", id);
}

/* -- executables ---------------------------------------------------------------------------- */

/* To the store, which takes bytes as they come. */
static weir_error *add_file(struct blob_put *put, const char *path)
{
    struct os_file *file = NULL;
    size_t got = COPY_SIZE;
    char *bytes = mem_alloc(COPY_SIZE);
    weir_error *error = os_open(path, OS_READ, &file);
    while (error == NULL && got == COPY_SIZE) {
        error = os_read(file, bytes, COPY_SIZE, &got);
        if (error == NULL && got > 0)
            error = blob_put_add(put, bytes, got);
    }
    os_close(file);
    mem_free(bytes);
    return error;
}

/* An executable on its way to the disk. Thread: the worker's while it copies, else control. */
struct storing {
    struct call *later;
    struct blob_put *put;
    weir_error *error;
};

static void run_store(void *arg)
{
    struct storing *it = arg;
    const struct rest_request *request = it->later->request;
    it->error = request->body_file != NULL
                    ? add_file(it->put, request->body_file)
                    : blob_put_add(it->put, request->body.data, request->body.size);
    if (it->error == NULL)
        it->error = blob_put_settle(it->put);
}

static void on_stored(void *arg, bool is_over)
{
    struct storing *it = arg;
    (void)is_over; /* the store is still open */
    if (it->error == NULL)
        it->error = blob_put_finish(it->put, os_monotonic_ms());
    else
        blob_put_abort(it->put);
    if (it->error == NULL) {
        accept(it->later, 201);
    } else if (weir_error_code(it->error) == WEIR_E_CORRUPT) {
        rest_error(it->later, 400, "%s", weir_error_message(it->error));
        weir_error_free(it->error);
    } else {
        rest_refuse(it->later, it->error);
    }
    rest_answer(it->later);
    mem_free(it);
}

/* One that is there is stored again: so it is young, and not collected before its job is submitted. */
static weir_error *begin_put(const struct call *call, struct blob_put **put)
{
    const struct rest_request *request = call->request;
    struct os_stat stat = { .size = request->body.size };
    if (request->body_file != NULL)
        WEIR_TRY(os_stat(request->body_file, &stat));
    return blob_put_begin(call->rest->options.blobs, call->digest, stat.size, put);
}

void rest_blob_put(struct call *call)
{
    struct blob_put *put;
    weir_error *error = begin_put(call, &put);
    if (error != NULL) {
        rest_refuse(call, error);
        return;
    }
    struct storing *it = mem_alloc(sizeof(*it));
    *it = (struct storing){ .later = rest_later(call), .put = put };
    if (dispatcher_errand(call->dispatcher, run_store, on_stored, it))
        return;
    it->error = weir_errorf(WEIR_E_LIMIT, "too much is being written: try again a little later");
    on_stored(it, false);
}

void rest_blob_get(struct call *call)
{
    call->reply->file = blob_store_path(call->rest->options.blobs, call->digest);
    call->reply->type = "application/octet-stream";
    if (call->reply->file == NULL)
        rest_error(call, 404, "There is no executable %s", call->digest);
}
