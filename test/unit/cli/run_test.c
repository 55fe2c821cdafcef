/* run_test.c -- weir run: what is uploaded and submitted, what is said until the job ends. */
#include "base/os_signal.h"
#include "net/sha256.h"
#include "test/unit/cli/cli_rig.h"

#include <signal.h>

#define PROGRAM "#!/bin/true"
#define JOB_IS(state_) \
    { \
        "GET /v1/jobs/" JOB, 200, "{\"state\":\"" state_ "\",\"duration\":12}" \
    }
#define SUBMITTED        "Job has been submitted with JobID " JOB "\n"
#define SWITCHED(state_) "Job " JOB " switched to " state_ ".\n"

static char *file, *get_blob, *put_blob, *post_job;

/* The rows that every run begins with; the caller's follow. */
static void lead(struct reply *replies, bool has_blob, const char *arguments)
{
    char digest[SHA256_HEX_SIZE + 1];
    sha256_bytes(WEIR_STR(PROGRAM), digest);
    get_blob = mem_printf("GET /v1/blobs/%s", digest);
    put_blob = mem_printf("PUT /v1/blobs/%s %s", digest, PROGRAM);
    post_job =
        mem_printf("POST /v1/jobs {\"digest\":\"%s\",\"program\":\"count\",\"arguments\":[%s]}",
            digest, arguments);
    *replies++ = (struct reply){ get_blob, has_blob ? 200 : 404, "" };
    if (!has_blob)
        *replies++ = (struct reply){ put_blob, 201, "{}" };
    *replies = (struct reply){ post_job, 202, "{\"jobid\":\"" JOB "\"}" };
}

static void drop_lead(void)
{
    mem_free(get_blob);
    mem_free(put_blob);
    mem_free(post_job);
}

/* `options` and `rest` around the executable. */
static void expect_run(const char *options, const char *rest, const struct reply *replies,
    int status, const char *out, const char *error)
{
    char *line = mem_printf("%s%s%s%s", options, options[0] == '\0' ? "" : " ", file, rest);
    expect_talk("run", line, replies, status, out, error);
    mem_free(line);
}

static void an_executable_is_sent_once(void **state)
{
    struct reply replies[5] = { { NULL, 0, NULL } };
    lead(replies, false, "");
    replies[3] = (struct reply)JOB_IS("RUNNING");
    expect_run("-d", "", replies, 0, SUBMITTED, "");
    drop_lead();
    memset(replies, 0, sizeof(replies));
    lead(replies, true, "");
    replies[2] = (struct reply)JOB_IS("RUNNING");
    expect_run("--detached --json", "", replies, 0,
        "{\"jobid\":\"" JOB "\",\"state\":\"RUNNING\",\"duration\":12}\n", "");
    drop_lead();
}

static void what_is_said_of_the_job_goes_in_front_of_its_own_arguments(void **state)
{
    struct reply replies[4] = { { NULL, 0, NULL } };
    lead(replies, true,
        "\"--job-name\",\"n\",\"--parallelism\",\"4\",\"--from-savepoint\",\"/s/1\","
        "\"--allow-non-restored-state\",\"-d\",\"--\",\"--help\",\"x=\\\"y\\\"\"");
    replies[2] = (struct reply)JOB_IS("RUNNING");
    expect_run("-d -c n -p 4 -s file:///s/1 -n", " -d -- --help x=\"y\"", replies, 0, SUBMITTED,
        "");
    drop_lead();
}

static void states_are_shown_until_the_job_has_finished(void **state)
{
    struct reply replies[16] = { { NULL, 0, NULL } };
    static const struct reply rest[] = { JOB_IS("CREATED"), JOB_IS("RUNNING"), JOB_IS("RUNNING"),
        { "GET /v1/jobs/" JOB, 503, "{\"errors\":[\"no leader\"]}" }, JOB_IS("FINISHED") };
    lead(replies, true, "");
    memcpy(replies + 2, rest, sizeof(rest));
    expect_run("", "", replies, 0,
        SUBMITTED SWITCHED("CREATED") SWITCHED("RUNNING")
            SWITCHED("FINISHED") "Program execution finished\nJob with JobID " JOB
                                 " has finished.\nJob Runtime: 12 ms\n",
        "");
    expect_run("--json", "", replies, 0,
        "{\"jobid\":\"" JOB "\",\"state\":\"FINISHED\",\"duration\":12}\n", "");
    drop_lead();
}

static void a_job_that_fails_or_is_cancelled_is_a_failure_with_its_reason(void **state)
{
    struct reply replies[16] = { { NULL, 0, NULL } };
    lead(replies, true, "");
    replies[2] = (struct reply)JOB_IS("FAILED");
    replies[3] = (struct reply){ "GET /v1/jobs/" JOB "/exceptions?maxExceptions=1", 200,
        "{\"root-exception\":\"division by zero\"}" };
    expect_run("", "", replies, 1, SUBMITTED SWITCHED("FAILED"), "has failed: division by zero");
    replies[3].text = "{\"exceptionHistory\":{\"entries\":[{\"stacktrace\":\"of 2.x\"}]}}";
    expect_run("", "", replies, 1, SUBMITTED SWITCHED("FAILED"), "has failed: of 2.x");
    replies[2] = (struct reply)JOB_IS("CANCELED");
    replies[3] = (struct reply){ NULL, 0, NULL };
    expect_run("", "", replies, 1, SUBMITTED SWITCHED("CANCELED"), "was cancelled");
    drop_lead();
}

static void whoever_detaches_waits_until_the_job_runs_or_has_failed(void **state)
{
    struct reply replies[16] = { { NULL, 0, NULL } };
    lead(replies, true, "");
    replies[2] = (struct reply)JOB_IS("CREATED");
    replies[3] = (struct reply)JOB_IS("RUNNING");
    expect_run("-d", "", replies, 0, SUBMITTED, "");
    replies[3] = (struct reply)JOB_IS("FAILED");
    replies[4] = (struct reply){ "GET /v1/jobs/" JOB "/exceptions?maxExceptions=1", 200,
        "{\"root-exception\":\"there is no option '--nope'\"}" };
    expect_run("-d", "", replies, 1, SUBMITTED, "has failed: there is no option '--nope'");
    drop_lead();
}

static void a_job_that_is_not_running_in_time_is_left_with_a_word(void **state)
{
    struct reply replies[64] = { { NULL, 0, NULL } };
    lead(replies, true, "");
    for (size_t i = 2; i < COUNT_OF(replies) - 1; i++)
        replies[i] = (struct reply)JOB_IS("CREATED");
    struct rig *rig = rig_open(replies, NULL);
    char *line = mem_printf("-d --timeout 1s %s", file);
    assert_int_equal(rig_ask(rig, "run", line), 0);
    mem_free(line);
    assert_string_equal(rig->error, "");
    assert_non_null(strstr(rig->out, SUBMITTED "Job " JOB " is still CREATED, and goes on; "));
    rig_close(rig);
    drop_lead();
}

static void a_job_that_waits_for_slots_is_left_with_how_many_it_needs(void **state)
{
    struct reply replies[16] = { { NULL, 0, NULL } };
    lead(replies, true, "");
    replies[2] = (struct reply)JOB_IS("CREATED");
    replies[3] = (struct reply){ "GET /v1/jobs/overview", 200,
        "{\"jobs\":[{\"jid\":\"" OTHER "\",\"slots-required\":9,\"tasks\":{\"total\":1,"
        "\"scheduled\":1}},{\"jid\":\"" JOB "\",\"slots-required\":4,\"tasks\":{\"total\":8,"
        "\"scheduled\":8}}]}" };
    replies[4] = (struct reply){ "GET /v1/overview", 200, "{\"slots-available\":1}" };
    struct rig *rig = rig_open(replies, NULL);
    rig->repeated = 2;
    char *line = mem_printf("-d --timeout 1s %s", file);
    assert_int_equal(rig_ask(rig, "run", line), 0);
    mem_free(line);
    assert_string_equal(rig->error, "");
    assert_string_equal(rig->out,
        SUBMITTED "Job " JOB " is still CREATED: it waits for 4 slots, of which 1 is free, and "
                  "runs once they are; start another task manager, cancel another job, or let it "
                  "run with fewer: 'weir rescale " JOB " N'.\n");
    rig_close(rig);
    drop_lead();
}

static void what_goes_wrong_on_the_way_says_what_became_of_the_job(void **state)
{
    struct reply replies[16] = { { NULL, 0, NULL } };
    lead(replies, true, "");
    replies[1].text = "{}";
    expect_run("", "", replies, 1, "", "has no 'jobid'; 'weir list' shows it");
    replies[1].status = 400;
    replies[1].text = "{\"errors\":[\"a parallelism of 9 needs 9 slots\"]}";
    expect_run("", "", replies, 1, "", "says (400): a parallelism of 9 needs 9 slots");
    replies[1] = (struct reply){ post_job, 202, "{\"jobid\":\"" JOB "\"}" };
    replies[2] = (struct reply){ "GET /v1/jobs/" JOB, 404, "{\"errors\":[\"Job not found\"]}" };
    expect_run("", "", replies, 1, SUBMITTED, "is no longer watched, and may go on");
    replies[2] = (struct reply){ "GET /v1/jobs/" JOB, 200, "{}" };
    expect_run("", "", replies, 1, SUBMITTED, "has no state");
    replies[2].text = "{\"state\":\"thirty-one bytes cut this word\\u00e9\"}";
    expect_run("", "", replies, 1, SUBMITTED, "has a state that is none: thirty-one bytes");
    expect_run("-d --json", "", replies, 1, "", "has a state that is none: thirty-one bytes");
    replies[2] = (struct reply){ "GET /v1/jobs/" JOB, 0, NULL };
    expect_run("--timeout 1s", "", replies, 1, SUBMITTED, "may go on");
    drop_lead();
}

/* Interrupts the command when it asks for the state: then it is watching. */
static void *interrupt_at_the_third(void *arg)
{
    struct rig *rig = arg;
    while (!atomic_load(&rig->is_over)) {
        net_wait(rig->net, -1);
        if (rig->at == 3 && os_signals_seen() == 0)
            raise(SIGINT);
    }
    return NULL;
}

static void an_interrupt_leaves_the_job_running(void **state)
{
    struct reply replies[64] = { { NULL, 0, NULL } };
    lead(replies, true, "");
    for (size_t i = 2; i < COUNT_OF(replies) - 1; i++)
        replies[i] = (struct reply)JOB_IS("RUNNING");
    rig_thread = interrupt_at_the_third;
    struct rig *rig = rig_open(replies, NULL);
    rig_thread = rig_serve;
    assert_int_equal(rig_ask(rig, "run", file), 130);
    assert_string_equal(rig->error, "");
    assert_string_equal(rig->out,
        SUBMITTED SWITCHED("RUNNING") "Detached. Job " JOB " goes on; 'weir cancel " JOB
                                      "' ends it.\n");
    rig_close(rig);
    drop_lead();
}

static void what_is_no_executable_is_not_sent(void **state)
{
    static const struct reply none[] = { { NULL, 0, NULL } };
    expect_talk("run", "/nowhere/job", none, 2, "", "there is no file '/nowhere/job'");
    expect_talk("run", "/tmp", none, 2, "", "'/tmp' is no executable");
    expect_talk("run", "-d", none, 2, "", "takes options, the executable of a job");
    expect_talk("run", "-p 0 /tmp", none, 2, "", "it must be from 1 to");
}

static void an_empty_savepoint_is_no_start_without_one(void **state)
{
    static const struct reply none[] = { { NULL, 0, NULL } };
    expect_run("--from-savepoint=", "", none, 2, "", "option '--from-savepoint' is empty; name");
}

static char *dir;

static int make_program(void **state)
{
    dir = temp_dir_new();
    file = mem_printf("%s/count", dir);
    temp_dir_write(file, PROGRAM, strlen(PROGRAM));
    return setenv("WEIR_CONF", "/dev/null", 1);
}

static int drop_program(void **state)
{
    mem_free(file);
    temp_dir_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_executable_is_sent_once),
        cmocka_unit_test(what_is_said_of_the_job_goes_in_front_of_its_own_arguments),
        cmocka_unit_test(states_are_shown_until_the_job_has_finished),
        cmocka_unit_test(a_job_that_fails_or_is_cancelled_is_a_failure_with_its_reason),
        cmocka_unit_test(whoever_detaches_waits_until_the_job_runs_or_has_failed),
        cmocka_unit_test(a_job_that_is_not_running_in_time_is_left_with_a_word),
        cmocka_unit_test(a_job_that_waits_for_slots_is_left_with_how_many_it_needs),
        cmocka_unit_test(what_goes_wrong_on_the_way_says_what_became_of_the_job),
        cmocka_unit_test(an_interrupt_leaves_the_job_running),
        cmocka_unit_test(what_is_no_executable_is_not_sent),
        cmocka_unit_test(an_empty_savepoint_is_no_start_without_one),
    };
    return cmocka_run_group_tests(tests, make_program, drop_program);
}
