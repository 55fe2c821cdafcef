/* rest_test.c -- from a request to its handler: prefixes, order of routes, errors, hostile requests. */
#include "web/rest_route.h"

#include "test/support/expect.h"
#include "test/support/temp_dir.h"
#include "test/unit/web/blob_double.h"
#include "test/unit/web/dispatcher_double.h"

static const weir_str no_body = { .data = "", .size = 0 };

static void expect(struct client *client, const char *method, const char *target, int status,
    const char *text)
{
    const char *body = client_ask(client, method, target, no_body);
    if (client->reply.status != status || strstr(body, text) == NULL)
        print_error("%s %s: %d %s\n", method, target, client->reply.status, body);
    assert_int_equal(client->reply.status, status);
    assert_non_null(strstr(body, text));
}

static void a_route_is_there_with_and_without_its_version(void **state)
{
    struct client client = client_new(NULL);
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/status", 200, "{\"status\":\"RUNNING\"}");
    expect(&client, "GET", "/v1/jobs/" RUNNING_JOB "/status", 200, "{\"status\":\"RUNNING\"}");
    expect(&client, "GET", "/v1/jobs/" RUNNING_JOB "/status/", 200, "RUNNING");
    expect(&client, "GET", "/v1/v1/config", 404, "Not found");
    client_free(&client);
}

static void what_is_not_there_is_said_in_flinks_words(void **state)
{
    struct client client = client_new(NULL);
    expect(&client, "GET", "/nowhere", 404, "{\"errors\":[\"File not found.\"]}");
    expect(&client, "GET", "/v1/nowhere?a=b", 404, "{\"errors\":[\"Not found: /v1/nowhere\"]}");
    expect(&client, "GET", "/v1", 404, "Not found");
    expect(&client, "DELETE", "/v1/jobs/overview", 404, "Not found");
    expect(&client, "GET", "/jobs/" NO_JOB, 404, "{\"errors\":[\"Job " NO_JOB " not found\"]}");
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/checkpoints/details/99", 404, "checkpoint 99");
    expect(&client, "GET", "/jobs/" PLANNING_JOB "/checkpoints/config", 404, "planned");
    expect(&client, "GET", "/jobs/" PLANNING_JOB "/explain", 404, "no plan");
    expect(&client, "GET", "/taskmanagers/none", 404, "none");
    client_free(&client);
}

static void words_stand_before_parameters(void **state)
{
    for (uint32_t i = 0; i < rest_route_count; i++) {
        char copy[256];
        struct segments segments;
        snprintf(copy, sizeof(copy), "%s", rest_routes[i].pattern);
        assert_true(rest_route_cut(copy, &segments));
        const struct route *found = rest_route_find(rest_routes[i].method, &segments);
        if (found != &rest_routes[i])
            print_error("%s is hidden by %s\n", rest_routes[i].pattern, found->pattern);
        assert_ptr_equal(found, &rest_routes[i]);
    }
}

static void every_route_answers_json_or_says_what_else(void **state)
{
    static const char *const values[][2] = { { ":job", RUNNING_JOB }, { ":vertex", A_VERTEX },
        { ":subtask", "0" }, { ":number", "2" }, { ":trigger", NO_JOB }, { ":text", "tm-1" },
        { ":digest", NO_JOB NO_JOB } };
    char *directory = temp_dir_new();
    struct blob_store *blobs = double_blobs(directory);
    struct client client = client_new(&(struct rest_options){ .blobs = blobs });
    for (uint32_t i = 0; i < rest_route_count; i++) {
        char copy[256], target[512] = "";
        struct segments segments;
        snprintf(copy, sizeof(copy), "%s", rest_routes[i].pattern);
        assert_true(rest_route_cut(copy, &segments));
        for (uint32_t j = 0; j < segments.count; j++) {
            const char *word = segments.list[j];
            for (size_t k = 0; k < COUNT_OF(values); k++)
                word = strcmp(word, values[k][0]) == 0 ? values[k][1] : word;
            size_t used = strlen(target);
            snprintf(target + used, sizeof(target) - used, "/%s", word);
        }
        const char *body = client_ask(&client, rest_routes[i].method, target, no_body);
        bool is_text = strcmp(client.reply.type, REST_TYPE_JSON) != 0;
        assert_true(is_text || body[0] == '{' || body[0] == '[');
        assert_int_not_equal(client.reply.status, 500);
    }
    client_free(&client);
    blob_store_close(blobs);
    temp_dir_free(directory);
}

static void ids_that_are_none_are_refused(void **state)
{
    static const char *const ids[] = { "x", "0", "0000000000000000000000000000000G",
        "0000000000000000000000000000000A", "000000000000000000000000000000000", "..", "%00",
        "\xff\xfe" };
    struct client client = client_new(NULL);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        char target[256];
        snprintf(target, sizeof(target), "/jobs/%s", ids[i]);
        expect(&client, "GET", target, 400, "32 hexadecimal digits");
        snprintf(target, sizeof(target), "/jobs/%s/savepoints/%s", RUNNING_JOB, ids[i]);
        expect(&client, "GET", target, 400, "32 hexadecimal digits");
        snprintf(target, sizeof(target), "/blobs/%s", ids[i]);
        expect(&client, "GET", target, 400, "64 hexadecimal digits");
        snprintf(target, sizeof(target), "/jobs/%s/vertices/%s", RUNNING_JOB, ids[i]);
        expect(&client, "GET", target, 404, "no such vertex");
    }
    client_free(&client);
}

static void numbers_that_are_none_are_refused(void **state)
{
    static const char *const numbers[] = { "-1", "1x", "0x1", " 1", "99999999999999999999",
        "18446744073709551615" };
    struct client client = client_new(NULL);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        char target[256];
        snprintf(target, sizeof(target), "/jobs/%s/checkpoints/details/%s", RUNNING_JOB,
            numbers[i]);
        expect(&client, "GET", target, 400, "number");
        snprintf(target, sizeof(target), "/jobs/%s/vertices/%s/subtasks/%s", RUNNING_JOB, A_VERTEX,
            numbers[i]);
        expect(&client, "GET", target, 404, "no such subtask");
    }
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/vertices/" A_VERTEX "/subtasks/3", 404,
        "no such");
    client_free(&client);
}

static void a_path_that_is_too_long_or_too_deep_is_refused(void **state)
{
    struct client client = client_new(NULL);
    char target[REST_PATH_MAX + 2];
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    target[sizeof(target) - 1] = '\0';
    expect(&client, "GET", target, 414, "too long");
    for (size_t i = 0; i + 1 < sizeof(target); i++)
        target[i] = i % 2 == 0 ? '/' : 'a';
    target[REST_PATH_MAX - 1] = '\0';
    expect(&client, "GET", target, 404, "File not found.");
    expect(&client, "GET", "", 404, "File not found.");
    expect(&client, "GET", "//", 404, "File not found.");
    expect(&client, "", "/config", 404, "File not found.");
    client_free(&client);
}

static void a_page_of_another_origin_may_look_and_not_touch(void **state)
{
    struct client client = client_new(NULL);
    client.fetch_site = "cross-site";
    expect(&client, "GET", "/jobs/overview", 200, "jobs");
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/yarn-cancel", 403, "origin");
    expect(&client, "POST", "/jobs", 403, "origin");
    assert_string_equal(client.dispatcher->asked, "");
    client.fetch_site = "same-origin";
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/yarn-cancel", 202, "{}");
    assert_string_equal(client.dispatcher->asked, "cancel " RUNNING_JOB);
    client_free(&client);
}

static void what_was_sent_to_another_name_may_look_and_not_touch(void **state)
{
    static const char *const own[] = { "localhost:8081", "127.0.0.1", "127.1.2.3:80", "[::1]:8081",
        "localhost" },
                             *const others[] = { "evil.example:8081", "10.0.0.1", "[::2]:8081", "",
                                 "localhost.evil.example" };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct client client = client_new(NULL);
        client.host = own[i];
        expect(&client, "GET", "/jobs/" RUNNING_JOB "/yarn-cancel", 202, "{}");
        client_free(&client);
        client = client_new(NULL);
        client.host = others[i];
        expect(&client, "GET", "/jobs/overview", 200, "jobs");
        expect(&client, "GET", "/jobs/" RUNNING_JOB "/yarn-cancel", 403, "another name");
        assert_string_equal(client.dispatcher->asked, "");
        client_free(&client);
        client = client_new(&(struct rest_options){ .has_proof = true });
        client.host = others[i];
        expect(&client, "GET", "/jobs/" RUNNING_JOB "/yarn-cancel", 202, "{}");
        client_free(&client);
    }
}

static void another_user_may_look_and_not_touch_unless_a_proof_was_asked_for(void **state)
{
    struct client client = client_new(NULL);
    client_is_foreign = true;
    for (uint32_t i = 0; i < rest_route_count; i++) {
        if (!rest_routes[i].is_guarded)
            continue;
        expect(&client, rest_routes[i].method, rest_routes[i].pattern, 403,
            "{\"errors\":[\"that is user 65534's\"]}");
        assert_string_equal(client.dispatcher->asked, "");
    }
    expect(&client, "GET", "/jobs/overview", 200, "jobs");
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/checkpoints", 200, "counts");
    client_free(&client);
    client = client_new(&(struct rest_options){ .has_proof = true });
    expect(&client, "GET", "/jobs/" RUNNING_JOB "/yarn-cancel", 202, "{}");
    client_free(&client);
    client_is_foreign = false;
}

static void every_route_that_changes_something_or_hands_out_an_executable_is_guarded(void **state)
{
    for (uint32_t i = 0; i < rest_route_count; i++)
        if (strcmp(rest_routes[i].method, "GET") != 0 ||
            strstr(rest_routes[i].pattern, "blob") != NULL)
            assert_true(rest_routes[i].is_guarded);
}

static void a_log_is_asked_for_by_its_name(void **state)
{
    static const struct {
        const char *path, *asked;
    } rows[] = { { "/jobmanager/log", "log - 1  -1" }, { "/jobmanager/stdout", "log - 2  -1" },
        { "/jobmanager/logs/a%2Fb.log", "log - 3 a%2Fb.log -1" },
        { "/v1/taskmanagers/tm-1/log", "log tm-1 1  -1" },
        { "/taskmanagers/tm-1/stdout", "log tm-1 2  -1" },
        { "/taskmanagers/tm-1/logs/x.log?offset=12", "log tm-1 3 x.log 12" } };
    struct client client = client_new(NULL);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect(&client, "GET", rows[i].path, 200, "a line\n");
        assert_string_equal(client.reply.type, REST_TYPE_TEXT);
        assert_string_equal(client.dispatcher->asked, rows[i].asked);
    }
    expect(&client, "GET", "/jobmanager/log?offset=-1", 400,
        "{\"errors\":[\"offset is not a number of bytes.\"]}");
    client.dispatcher->refusal = weir_errorf(WEIR_E_CONNECTOR, "there is no log 'x'");
    expect(&client, "GET", "/taskmanagers/tm-1/logs/x", 404,
        "{\"errors\":[\"there is no log 'x'\"]}");
    expect(&client, "GET", "/taskmanagers/tm-1/logs/x/y", 404,
        "{\"errors\":[\"File not found.\"]}");
    client_free(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_is_there_with_and_without_its_version),
        cmocka_unit_test(what_is_not_there_is_said_in_flinks_words),
        cmocka_unit_test(words_stand_before_parameters),
        cmocka_unit_test(every_route_answers_json_or_says_what_else),
        cmocka_unit_test(ids_that_are_none_are_refused),
        cmocka_unit_test(numbers_that_are_none_are_refused),
        cmocka_unit_test(a_path_that_is_too_long_or_too_deep_is_refused),
        cmocka_unit_test(a_page_of_another_origin_may_look_and_not_touch),
        cmocka_unit_test(what_was_sent_to_another_name_may_look_and_not_touch),
        cmocka_unit_test(another_user_may_look_and_not_touch_unless_a_proof_was_asked_for),
        cmocka_unit_test(every_route_that_changes_something_or_hands_out_an_executable_is_guarded),
        cmocka_unit_test(a_log_is_asked_for_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
