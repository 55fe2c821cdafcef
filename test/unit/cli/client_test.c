/* client_test.c -- where the job manager is, who we are, and what becomes of every kind of answer. */
#include "cli/client.h"

#include "test/support/certificates.h"
#include "test/unit/cli/cli_rig.h"

#include <sys/stat.h>

#define LIST "GET /v1/jobs/overview"

static void what_a_server_refuses_is_shown_in_its_words(void **state)
{
    static const struct {
        int status;
        const char *text, *error;
    } rows[] = {
        { 404, "{\"errors\":[\"Not found: /v1/x\"]}", "says (404): Not found: /v1/x" },
        { 404, "{\"errors\":[\"Job " JOB " not found\"]}",
            "says (404): Job " JOB " not found; 'weir list -a' shows those that there are" },
        { 409, "{\"errors\":[\"already ended\"]}", "says (409): already ended" },
        { 500, "{\"errors\":[\"Internal server error.\",\"because\"]}",
            "says (500): Internal server error.\nbecause" },
        { 200, "{\"errors\":[\"whatever the status\"]}", "says (200): whatever the status" },
        { 200, "{\"errors\":[1]}", "says (200): ?" },
        { 502, "<html>proxy</html>", "status 502, and nothing that a job manager would say" },
        { 404, "{\"jobs\":[]}", "status 404, and nothing that a job manager would say" },
        { 200, "<html>hello</html>", "the answer is no JSON" },
        { 200, "[]", "not an object" },
        { 200, "{\"jobs\":", "the answer is no JSON" },
        { 200, "{}", "the answer has no jobs" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct reply replies[] = { { LIST, rows[i].status, rows[i].text },
            { NULL, 0, NULL } };
        expect_talk("list", "", replies, 1, "Waiting for response...\n", rows[i].error);
    }
}

static void who_is_not_there_is_named_with_what_to_do(void **state)
{
    static const struct reply none[] = { { NULL, 0, NULL } };
    struct rig *rig = rig_open(none, NULL);
    char *line = mem_printf("list -m 127.0.0.1:%u", http_server_port(rig->server));
    rig_end_server(rig);
    assert_int_equal(rig_call(rig, line), 1);
    assert_non_null(strstr(rig->error, "no job manager answers at http://127.0.0.1:"));
    assert_non_null(strstr(rig->error, "'weir cluster start'"));
    assert_non_null(strstr(rig->error, "(with TLS -m https://HOST:PORT)"));
    mem_free(line);
    rig_close(rig);
}

static void who_never_answers_is_waited_for_so_long_and_no_longer(void **state)
{
    static const struct reply silent[] = { { LIST, 0, NULL }, { NULL, 0, NULL } };
    expect_talk("list", "--timeout 50ms", silent, 1, "Waiting for response...\n",
        "has not answered what was asked, /v1/jobs/overview, within 0.1 s: 'weir cluster status' "
        "shows");
}

static void a_wait_that_is_over_tells_what_has_failed_first_and_not_that_it_was_too_late(
    void **state)
{
    static const struct reply gone[] = { { "GET /v1/jobs/" JOB "/status", 503,
                                             "{\"errors\":[\"nobody leads\"]}" },
        { "GET /v1/jobs/" JOB "/status", 0, NULL }, { NULL, 0, NULL } };
    expect_talk("logs", "--timeout 1s -f " JOB, gone, 1, "", "says (503): nobody leads");
}

static void the_token_of_the_configuration_is_shown(void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    struct rig *rig = rig_open(jobs, "secret");
    assert_int_equal(rig_ask(rig, "list", ""), 1);
    assert_non_null(strstr(rig->error, "says (401)"));
    assert_non_null(strstr(rig->error, "-D security.token-file=FILE"));
    assert_int_equal(rig_ask(rig, "list", "-Dsecurity.token-file=/nobody/has/it"), 2);
    assert_non_null(strstr(rig->error, "security.token-file cannot be used: "));
    temp_dir_write(temp_dir_path(rig->dir, "token"), " secret\n", 8);
    assert_int_equal(chmod(temp_dir_path(rig->dir, "token"), 0644), 0);
    char *option = mem_printf("-Dsecurity.token-file=%s/token", rig->dir);
    assert_int_equal(rig_ask(rig, "list", option), 2);
    assert_non_null(
        strstr(rig->error, "is secret, but not its owner's alone (mode 0644): chmod 600"));
    assert_int_equal(chmod(temp_dir_path(rig->dir, "token"), 0600), 0);
    assert_int_equal(rig_ask(rig, "list", option), 0);
    mem_free(option);
    rig_close_complete(rig);
}

static void the_certificates_of_the_configuration_are_shown(void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    char *dir = temp_dir_new();
    certificates_make(dir);
    struct tls *tls;
    struct tls_files files = { .cert_file = temp_dir_path(dir, "server.pem"),
        .key_file = temp_dir_path(dir, "server.key"),
        .ca_file = temp_dir_path(dir, "ca.pem") };
    expect_ok(tls_server_new(&files, &tls));
    rig_tls = tls;
    struct rig *rig = rig_open(jobs, NULL);
    rig_tls = NULL;
    char *trust = mem_printf("-D security.ssl.enabled=true -D security.ssl.ca=%s/ca.pem", dir);
    char *shown =
        mem_printf("%s -D security.ssl.cert=%s/client.pem -D security.ssl.key=%s/client.key", trust,
            dir, dir);
    assert_int_equal(rig_ask(rig, "list", ""), 1);    /* http */
    assert_int_equal(rig_ask(rig, "list", trust), 1); /* https, but a stranger */
    assert_int_equal(rig_ask(rig, "list", shown), 0);
    rig_close_complete(rig);
    mem_free(shown);
    mem_free(trust);
    tls_free(tls);
    temp_dir_free(dir);
}

static void the_address_is_an_option_a_definition_or_the_configuration(void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" },
        { LIST, 200, "{\"jobs\":[]}" }, { LIST, 200, "{\"jobs\":[]}" },
        { "GET /prefix/v1/jobs/overview", 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    struct rig *rig = rig_open(jobs, NULL);
    unsigned port = http_server_port(rig->server);
    char *yaml = mem_printf("rest: {address: 127.0.0.1, port: %u}\n", port);
    temp_dir_write(temp_dir_path(rig->dir, "weir.yaml"), yaml, strlen(yaml));
    char *lines[] = { mem_printf("list --conf %s/weir.yaml", rig->dir),
        mem_printf("list -D rest.address=127.0.0.1 -Drest.port=%u", port),
        mem_printf("list -m 127.0.0.1 -D rest.port=%u", port),
        mem_printf("list --jobmanager=http://127.0.0.1:%u/prefix/", port) };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        if (rig_call(rig, lines[i]) != 0)
            print_error("%s: %s\n", lines[i], rig->error);
        assert_string_equal(rig->error, "");
        mem_free(lines[i]);
    }
    mem_free(yaml);
    rig_close_complete(rig);
}

static void the_cluster_that_was_started_here_is_known_by_each_name_of_this_machine(void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    static const char *const names[] = { "localhost", "127.0.0.1", "127.0.0.2", "[::1]" };
    struct rig *rig = rig_open(jobs, NULL);
    unsigned port = http_server_port(rig->server);
    char *address = mem_printf("http://localhost:%u\nsecurity.token-file=/nowhere/token", port);
    temp_dir_write(temp_dir_path(rig->dir, "address"), address, strlen(address));
    assert_int_equal(setenv("WEIR_HOME", rig->dir, 1), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *line = mem_printf("list -m %s:%u", names[i], port);
        assert_int_equal(rig_call(rig, line), 2);
        assert_non_null(strstr(rig->error, "security.token-file cannot be used"));
        mem_free(line);
    }
    char *line = mem_printf("list -m 127.0.0.1:%u/other", port);
    assert_int_not_equal(rig_call(rig, line), 2); /* is another one, of which nothing is known */
    mem_free(line);
    line = mem_printf("list -m http://127.0.0.1 -D rest.port=%u", port);
    assert_int_equal(rig_call(rig, line), 2);
    mem_free(line);
    assert_int_equal(unsetenv("WEIR_HOME"), 0);
    mem_free(address);
    rig_close(rig);
}

static void a_wrong_configuration_is_named_before_anything_is_asked(void **state)
{
    static const struct reply none[] = { { NULL, 0, NULL } };
    expect_talk("list", "-D rest.prot=1", none, 2, "", "rest.port");
    expect_talk("list", "--conf /nowhere/weir.yaml", none, 2, "",
        "there is no configuration '/nowhere/weir.yaml'");
}

static int no_configuration(void **state)
{
    return setenv("WEIR_CONF", "/dev/null", 1);
}

/* Two servers: what a standby says is followed, and whoever is not there is passed by. */
static void a_standby_leads_to_the_leader_and_of_several_one_that_is_there_is_asked(void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" },
        { LIST, 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    static const struct reply none[] = { { NULL, 0, NULL } };
    struct rig *leader = rig_open(jobs, NULL), *standby = rig_open(none, NULL);
    struct rig *gone = rig_open(none, NULL);
    char *to = mem_printf("http://127.0.0.1:%u", http_server_port(leader->server));
    uint16_t gone_port = http_server_port(gone->server), port = http_server_port(standby->server);
    standby->leader = to;
    rig_end_server(gone);
    char *line = mem_printf("list -m 127.0.0.1:%u", port);
    assert_int_equal(rig_call(standby, line), 0);
    mem_free(line);
    line = mem_printf("list -m 127.0.0.1:%u,127.0.0.1:%u", gone_port, port);
    assert_int_equal(rig_call(standby, line), 0);
    mem_free(line);
    line = mem_printf("list -m 127.0.0.1:%u,127.0.0.1:%u", gone_port, gone_port);
    assert_int_equal(rig_call(standby, line), 1);
    assert_non_null(strstr(standby->error, "no job manager answers at"));
    mem_free(line);
    rig_close_complete(leader);
    rig_close(standby);
    rig_close(gone);
    mem_free(to);
}

static void of_a_leader_that_has_just_gone_it_is_said_that_another_one_is_elected(void **state)
{
    static const struct reply none[] = { { NULL, 0, NULL } };
    struct rig *standby = rig_open(none, NULL), *gone = rig_open(none, NULL);
    char *to = mem_printf("http://127.0.0.1:%u", http_server_port(gone->server));
    char *line = mem_printf("list -m 127.0.0.1:%u", http_server_port(standby->server));
    standby->leader = to;
    rig_end_server(gone);
    assert_int_equal(rig_call(standby, line), 1);
    assert_non_null(strstr(standby->error, to));
    assert_non_null(strstr(standby->error, "another one is elected within seconds; ask again"));
    assert_null(strstr(standby->error, "weir cluster start"));
    rig_close(standby);
    rig_close(gone);
    mem_free(line);
    mem_free(to);
}

static void a_cluster_that_was_started_here_is_found_unless_something_else_is_said(void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    struct rig *rig = rig_open(jobs, NULL);
    char *home = temp_dir_new(),
         *url = mem_printf("http://127.0.0.1:%u", http_server_port(rig->server));
    setenv("WEIR_HOME", home, 1);
    temp_dir_write(temp_dir_path(home, "address"), url, strlen(url));
    assert_int_equal(rig_call(rig, "list"), 0);
    assert_int_equal(rig_call(rig, "list -D rest.port=1"), 1);
    assert_non_null(strstr(rig->error, "answers at http://localhost:1:"));
    assert_int_equal(rig_call(rig, "list -m 127.0.0.1:1"), 1);
    assert_non_null(strstr(rig->error, "answers at http://127.0.0.1:1:"));
    unsetenv("WEIR_HOME");
    rig_close_complete(rig);
    temp_dir_free(home);
    mem_free(url);
}

static void a_cluster_that_was_started_with_a_token_is_asked_with_it_unless_another_one_is_said(
    void **state)
{
    static const struct reply jobs[] = { { LIST, 200, "{\"jobs\":[]}" },
        { LIST, 200, "{\"jobs\":[]}" }, { NULL, 0, NULL } };
    struct rig *rig = rig_open(jobs, "secret");
    unsigned port = http_server_port(rig->server);
    char *home = temp_dir_new();
    char *token = mem_printf("%s/token", home), *other = mem_printf("%s/other", home);
    char *address = mem_printf("http://localhost:%u\nsecurity.token-file=%s", port, token);
    char *same = mem_printf("list -m localhost:%u", port),
         *wrong = mem_printf("list -D security.token-file=%s", other);
    setenv("WEIR_HOME", home, 1);
    temp_dir_write(temp_dir_path(home, "address"), address, strlen(address));
    temp_dir_write(token, "secret", 6);
    temp_dir_write(other, "wrong", 5);
    chmod(token, 0600), chmod(other, 0600);
    assert_int_equal(rig_call(rig, "list"), 0);
    assert_int_equal(rig_call(rig, same), 0); /* as ./job --cluster says it */
    assert_int_equal(rig_call(rig, wrong), 1);
    assert_non_null(strstr(rig->error, "says (401)"));
    chmod(token, 0604);
    assert_int_equal(rig_call(rig, "list"), 2);
    assert_non_null(strstr(rig->error, "security.token-file cannot be used: "));
    unsetenv("WEIR_HOME");
    rig_close_complete(rig);
    temp_dir_free(home);
    mem_free(token), mem_free(other), mem_free(address), mem_free(same), mem_free(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_server_refuses_is_shown_in_its_words),
        cmocka_unit_test(who_is_not_there_is_named_with_what_to_do),
        cmocka_unit_test(a_cluster_that_was_started_here_is_found_unless_something_else_is_said),
        cmocka_unit_test(
            a_cluster_that_was_started_with_a_token_is_asked_with_it_unless_another_one_is_said),
        cmocka_unit_test(a_standby_leads_to_the_leader_and_of_several_one_that_is_there_is_asked),
        cmocka_unit_test(of_a_leader_that_has_just_gone_it_is_said_that_another_one_is_elected),
        cmocka_unit_test(who_never_answers_is_waited_for_so_long_and_no_longer),
        cmocka_unit_test(
            a_wait_that_is_over_tells_what_has_failed_first_and_not_that_it_was_too_late),
        cmocka_unit_test(the_token_of_the_configuration_is_shown),
        cmocka_unit_test(the_certificates_of_the_configuration_are_shown),
        cmocka_unit_test(the_address_is_an_option_a_definition_or_the_configuration),
        cmocka_unit_test(the_cluster_that_was_started_here_is_known_by_each_name_of_this_machine),
        cmocka_unit_test(a_wrong_configuration_is_named_before_anything_is_asked),
    };
    return cmocka_run_group_tests(tests, no_configuration, NULL);
}
