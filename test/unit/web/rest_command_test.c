/* rest_command_test.c -- what the command line asks for, byte for byte, and what becomes of it. */
#include "test/support/expect.h"
#include "test/support/temp_dir.h"
#include "test/unit/web/blob_double.h"
#include "test/unit/web/dispatcher_double.h"

#define JOB     "/v1/jobs/" RUNNING_JOB
#define TRIGGER "0123456789abcdef0123456789abcdef"
/* SHA-256 of "abc" */
#define DIGEST "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static const char *ask(struct client *client, const char *method, const char *target,
    const char *body, int status)
{
    const char *text = client_ask(client, method, target, weir_str_of(body));
    if (client->reply.status != status)
        print_error("%s %s: %d %s\n", method, target, client->reply.status, text);
    assert_int_equal(client->reply.status, status);
    return text;
}

static void each_command_becomes_one_question(void **state)
{
    static const struct {
        const char *method, *target, *body, *asked, *poll;
        int status;
    } rows[] = {
        { "PATCH", JOB "?mode=cancel", "{}", "cancel " RUNNING_JOB, NULL, 202 },
        { "POST", "/applications/" RUNNING_JOB "/cancel", "{}", "cancel " RUNNING_JOB, NULL, 202 },
        { "POST", JOB "/savepoints",
            "{\"target-directory\":\"/s\",\"cancel-job\":false,\"formatType\":\"CANONICAL\","
            "\"triggerId\":null}",
            "savepoint /s 0", JOB "/savepoints/", 202 },
        { "POST", JOB "/savepoints", "{\"target-directory\":null,\"cancel-job\":true}",
            "savepoint /default 1", JOB "/savepoints/", 202 },
        { "POST", JOB "/stop",
            "{\"targetDirectory\":\"/t\",\"drain\":true,\"formatType\":\"CANONICAL\","
            "\"triggerId\":null}",
            "stop /t 1", JOB "/savepoints/", 202 },
        { "POST", JOB "/checkpoints", "{\"checkpointType\":\"FULL\",\"triggerId\":null}",
            "checkpoint", JOB "/checkpoints/", 202 },
        { "POST", "/v1/savepoint-disposal", "{\"savepoint-path\":\"/s/1\"}", "dispose /s/1",
            "/v1/savepoint-disposal/", 200 },
        { "PATCH", JOB "/rescaling?parallelism=7", "", "rescale 7", JOB "/rescaling/", 202 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client client = client_new(NULL);
        char expected[128], target[256];
        const char *text =
            ask(&client, rows[i].method, rows[i].target, rows[i].body, rows[i].status);
        assert_string_equal(client.dispatcher->asked, rows[i].asked);
        snprintf(expected, sizeof(expected), "{\"request-id\":\"%s\"}",
            client.dispatcher->operations[0].id);
        assert_string_equal(text, rows[i].poll == NULL ? "{}" : expected);
        if (rows[i].poll != NULL) {
            snprintf(target, sizeof(target), "%s%s", rows[i].poll,
                client.dispatcher->operations[0].id);
            assert_string_equal(ask(&client, "GET", target, "{}", 200),
                "{\"status\":{\"id\":\"IN_PROGRESS\"}}");
        }
        client_free(&client);
    }
}

static void the_clients_own_id_is_the_operations(void **state)
{
    struct client client = client_new(NULL);
    const char *text =
        ask(&client, "POST", JOB "/savepoints", "{\"triggerId\":\"" TRIGGER "\"}", 202);
    assert_string_equal(text, "{\"request-id\":\"" TRIGGER "\"}");
    assert_string_equal(client.dispatcher->operations[0].id, TRIGGER);
    client_free(&client);
}

static void a_result_is_there_although_the_job_is_gone(void **state)
{
    struct client client = client_new(NULL);
    static char location[] = "file:/s/savepoint-1";
    client.dispatcher->operation_count = 4;
    for (uint32_t i = 0; i < 4; i++) {
        static const enum operation_kind kinds[] = { OPERATION_STOP, OPERATION_CHECKPOINT,
            OPERATION_DISPOSE, OPERATION_RESCALE };
        struct operation *it = &client.dispatcher->operations[i];
        *it = (struct operation){ .kind = kinds[i],
            .is_done = true,
            .location = location,
            .checkpoint = 26,
            .downtime_ms = 40,
            .is_unchanged = true,
            .begun_ms = 100,
            .done_ms = 200 };
        snprintf(it->id, sizeof(it->id), "%032x", i);
        snprintf(it->job, sizeof(it->job), "%s", kinds[i] == OPERATION_DISPOSE ? "" : NO_JOB);
    }
#define DONE(text_) "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{" text_ "}}"
#define GONE        "/v1/jobs/" NO_JOB
#define ID(digit_)  "/0000000000000000000000000000000" digit_
    assert_string_equal(ask(&client, "GET", GONE "/savepoints" ID("0"), "{}", 200),
        DONE("\"location\":\"file:/s/savepoint-1\""));
    assert_string_equal(ask(&client, "GET", GONE "/checkpoints" ID("1"), "{}", 200),
        DONE("\"checkpointId\":26"));
    assert_string_equal(ask(&client, "GET", "/v1/savepoint-disposal" ID("2"), "{}", 200), DONE(""));
    assert_string_equal(ask(&client, "GET", GONE "/rescaling" ID("3"), "{}", 200),
        DONE("\"unchanged\":true,\"downtime-ms\":40,\"duration-ms\":100"));
    /* of another kind, another job, nobody */
    ask(&client, "GET", GONE "/savepoints" ID("1"), "{}", 404);
    ask(&client, "GET", JOB "/savepoints" ID("0"), "{}", 404);
    ask(&client, "GET", GONE "/savepoints" ID("9"), "{}", 404);
    client_free(&client);
}

static void a_failure_is_a_serialised_exception(void **state)
{
    struct client client = client_new(NULL);
    client.dispatcher->operation_count = 1;
    struct operation *it = &client.dispatcher->operations[0];
    *it = (struct operation){ .kind = OPERATION_CHECKPOINT,
        .is_done = true,
        .id = TRIGGER,
        .job = RUNNING_JOB,
        .error = weir_errorf(WEIR_E_DISK_FULL, "disk \"full\"") };
    const char *text = ask(&client, "GET", JOB "/checkpoints/" TRIGGER, "{}", 200);
    assert_non_null(
        strstr(text, "\"operation\":{\"failureCause\":{\"class\":\"weir.WEIR_E_DISK_FULL\","
                     "\"stack-trace\":\"disk \\\"full\\\"\","
                     "\"serialized-throwable\":\"rO0ABXNyAClvcmcuYXBhY2hlLmZsaW5r"));
    assert_null(strstr(text, "checkpointId"));
    it->kind = OPERATION_SAVEPOINT;
    text = ask(&client, "GET", JOB "/savepoints/" TRIGGER, "{}", 200);
    assert_non_null(strstr(text, "\"failure-cause\""));
    assert_null(strstr(text, "location"));
    client_free(&client);
}

static void what_cannot_be_written_to_is_said_before_the_job_is_asked_for_anything(void **state)
{
    struct client client = client_new(NULL);
    ask(&client, "POST", "/jobs/" RUNNING_JOB "/savepoints", "{\"target-directory\":\"/full\"}",
        500);
    ask(&client, "POST", "/jobs/" RUNNING_JOB "/stop", "{\"targetDirectory\":\"/full\"}", 500);
    assert_non_null(strstr(buffer_text(client.reply.body), "no space in '/full'"));
    assert_string_equal(client.dispatcher->asked, "");
    client_free(&client);
}

static void a_refusal_has_the_status_of_its_kind(void **state)
{
    static const struct {
        enum weir_code code;
        int status;
    } rows[] = { { WEIR_E_USAGE, 400 }, { WEIR_E_CONNECTOR, 404 }, { WEIR_E_STATE, 409 },
        { WEIR_E_LIMIT, 429 }, { WEIR_E_IO, 500 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client client = client_new(NULL);
        client.dispatcher->refusal = weir_errorf(rows[i].code, "no, because");
        assert_string_equal(ask(&client, "POST", JOB "/savepoints", "{}", rows[i].status),
            "{\"errors\":[\"no, because\"]}");
        client_free(&client);
    }
}

static void what_is_over_cannot_be_cancelled(void **state)
{
    struct client client = client_new(NULL);
    const char *text = ask(&client, "PATCH", "/v1/jobs/" FINISHED_JOB "?mode=cancel", "{}", 409);
    assert_non_null(strstr(text, "FINISHED"));
    ask(&client, "PATCH", JOB "?mode=stop", "{}", 400);
    assert_string_equal(client.dispatcher->asked, "");
    client_free(&client);
}

static void bodies_that_are_wrong_are_refused_and_ask_for_nothing(void **state)
{
    static const char *const bodies[] = { "{", "[]", "null", "7", "{\"a\":}", "{\"a\":1,\"a\":2}",
        "{} x", "\xff", "{\"target-directory\":7}", "{\"cancel-job\":\"yes\"}",
        "{\"formatType\":\"NATIVE\"}", "{\"formatType\":[]}", "{\"triggerId\":\"x\"}",
        "{\"triggerId\":7}", "{\"target-directory\":\"a\\u0000b\"}" };
    struct client client = client_new(NULL);
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        const char *text = ask(&client, "POST", JOB "/savepoints", bodies[i], 400);
        assert_non_null(strstr(text, "{\"errors\":[\""));
    }
    ask(&client, "POST", "/v1/savepoint-disposal", "{}", 400);
    ask(&client, "PATCH", JOB "/rescaling", "", 400);
    ask(&client, "PATCH", JOB "/rescaling?parallelism=0", "", 400);
    ask(&client, "PATCH", JOB "/rescaling?parallelism=32769", "", 400);
    assert_string_equal(client.dispatcher->asked, "");
    client_free(&client);
}

static void a_body_that_is_too_deep_or_too_large_is_refused(void **state)
{
    struct client client = client_new(NULL);
    size_t size = REST_JSON_MAX + 1;
    char *body = malloc(size);
    memset(body, '[', size);
    client_ask(&client, "POST", JOB "/savepoints", (weir_str){ .data = body, .size = size - 1 });
    assert_int_equal(client.reply.status, 400);
    client_ask(&client, "POST", JOB "/savepoints", (weir_str){ .data = body, .size = size });
    assert_int_equal(client.reply.status, 400);
    free(body);
    client_free(&client);
}

static void a_job_is_submitted_by_its_digest(void **state)
{
    struct client client = client_new(NULL);
    const char *text = ask(&client, "POST", "/v1/jobs",
        "{\"digest\":\"" DIGEST "\",\"arguments\":[\"--parallelism\",\"4\"],\"program\":\"mine\"}",
        202);
    assert_string_equal(text, "{\"jobid\":\"00000000000000000000000000000abc\"}");
    assert_string_equal(client.dispatcher->asked, "submit ba7816 mine --parallelism 4");
    ask(&client, "POST", "/v1/jobs", "{\"digest\":\"" DIGEST "\"}", 202);
    assert_string_equal(client.dispatcher->asked, "submit ba7816 job");
    client.dispatcher->asked[0] = '\0';
    ask(&client, "POST", "/v1/jobs", "{}", 400);
    ask(&client, "POST", "/v1/jobs", "{\"digest\":\"../x\"}", 400);
    ask(&client, "POST", "/v1/jobs", "{\"digest\":\"" DIGEST "\",\"arguments\":[1]}", 400);
    ask(&client, "POST", "/v1/jobs", "{\"digest\":\"" DIGEST "\",\"arguments\":\"x\"}", 400);
    assert_string_equal(client.dispatcher->asked, "");
    client_free(&client);
}

/* -- executables ---------------------------------------------------------------------------- */

static void an_executable_is_kept_under_its_own_digest_only(void **state)
{
    char *directory = temp_dir_new(), target[128], *bytes;
    struct blob_store *blobs = double_blobs(directory);
    struct client client = client_new(&(struct rest_options){ .blobs = blobs });
    size_t size;
    snprintf(target, sizeof(target), "/v1/blobs/%s", double_digest_of("abc", 3));
    ask(&client, "GET", target, "", 404);
    const char *text = ask(&client, "PUT", target, "abd", 400);
    assert_non_null(strstr(text, "digest"));
    ask(&client, "GET", target, "", 404);
    ask(&client, "PUT", target, "abc", 201);
    ask(&client, "PUT", target, "abc", 201); /* again */
    ask(&client, "GET", target, "", 200);
    assert_string_equal(client.reply.type, "application/octet-stream");
    expect_ok(os_read_file(client.reply.file, 100, &bytes, &size));
    assert_string_equal(bytes, "abc");
    mem_free(bytes);
    client_free(&client);
    blob_store_close(blobs);
    temp_dir_free(directory);
}

static void a_large_executable_comes_as_a_file(void **state)
{
    static char bytes[(256 << 10) + 7]; /* more than is copied at once */
    char *directory = temp_dir_new(), path[128];
    const char *from = temp_dir_path(directory, "body");
    struct blob_store *blobs = double_blobs(temp_dir_path(directory, "blobs"));
    struct client client = client_new(&(struct rest_options){ .blobs = blobs });
    memset(bytes, 'x', sizeof(bytes));
    temp_dir_write(from, bytes, sizeof(bytes));
    snprintf(path, sizeof(path), "/blobs/%s", double_digest_of(bytes, sizeof(bytes)));
    struct rest_request request = { .method = "PUT", .path = path, .body_file = from };
    client_handle(&client, request);
    assert_int_equal(client.reply.status, 201);
    assert_int_equal(blob_store_total(blobs), sizeof(bytes));
    rest_reply_release(&client.reply);
    request.body_file = temp_dir_path(directory, "none");
    client_handle(&client, request);
    assert_true(client.reply.status >= 400);
    client_free(&client);
    blob_store_close(blobs);
    temp_dir_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_becomes_one_question),
        cmocka_unit_test(the_clients_own_id_is_the_operations),
        cmocka_unit_test(a_result_is_there_although_the_job_is_gone),
        cmocka_unit_test(a_failure_is_a_serialised_exception),
        cmocka_unit_test(what_cannot_be_written_to_is_said_before_the_job_is_asked_for_anything),
        cmocka_unit_test(a_refusal_has_the_status_of_its_kind),
        cmocka_unit_test(what_is_over_cannot_be_cancelled),
        cmocka_unit_test(bodies_that_are_wrong_are_refused_and_ask_for_nothing),
        cmocka_unit_test(a_body_that_is_too_deep_or_too_large_is_refused),
        cmocka_unit_test(a_job_is_submitted_by_its_digest),
        cmocka_unit_test(an_executable_is_kept_under_its_own_digest_only),
        cmocka_unit_test(a_large_executable_comes_as_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
