/* main_test.c -- a program as a person uses it: arguments in, standard output, exit status, files. */
#include "base/log.h"
#include "base/os.h"
#include "runtime/cluster/job_spec.h"
#include "test/support/temp_dir.h"
#include "test/support/trial.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <cmocka.h>

static char *dir;

static const struct weir_option own_options[] = {
    { "colour", WEIR_OPTION_TEXT, "NAME", "blue", "Of the trial.", 0, 0 },
};
static char colour[64];

static void build(weir_job *job)
{
    snprintf(colour, sizeof(colour), "%s", weir_job_text(job, "colour"));
    trial_build(job);
}

static void build_nothing(weir_job *job)
{
}

static const struct weir_program trial_program = { .name = "trial",
    .help = "Counts numbers.",
    .options = own_options,
    .option_count = 1,
    .build = build };

/* So that no other file gets descriptor 3: it is open, but not for writing. */
static void open_nothing(void)
{
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing != 3) {
        dup2(nothing, 3);
        close(nothing);
    }
}

/* Runs a program with arguments by spaces; what it prints goes to a file and comes back, in a static
 * buffer. */
static int run_program(const struct weir_program *program, const char *line, const char **printed)
{
    static char output[65536];
    char text[1024], name[] = "/usr/bin/my-trial", *argv[32] = { name };
    int argc = 1;
    snprintf(text, sizeof(text), "%s", line);
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    const char *path = temp_dir_path(dir, "stdout");
    int old_out = dup(STDOUT_FILENO), old_err = dup(STDERR_FILENO);
    fflush(stdout);
    fflush(stderr);
    FILE *file = fopen(path, "w+");
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int status = weir_main_program(argc, argv, program);
    dup2(old_out, STDOUT_FILENO);
    dup2(old_err, STDERR_FILENO);
    close(old_out);
    close(old_err);
    rewind(file);
    size_t size = fread(output, 1, sizeof(output) - 1, file);
    output[size] = '\0';
    fclose(file);
    *printed = output;
    return status;
}

static void expect(const char *line, int status, const char *said)
{
    const char *printed;
    int got = run_program(&trial_program, line, &printed);
    if (got != status || strstr(printed, said) == NULL)
        fail_msg("'%s' ended with %d and printed: %s", line, got, printed);
}

static json_t *metrics(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return root;
}

static int64_t number(json_t *root, const char *first, const char *second)
{
    json_t *value = json_object_get(root, first);
    if (second != NULL)
        value = json_object_get(value, second);
    if (!json_is_integer(value))
        fail_msg("no number %s %s", first, second == NULL ? "" : second);
    return json_integer_value(value);
}

/* -- tests ---------------------------------------------------------------------------------------- */

static void help_and_version_work_whatever_else_is_wrong(void **state)
{
    expect("--help", 0, "--checkpoint-interval");
    expect("help", 0, "--colour NAME");
    expect("run --nonsense --help", 0, "Counts numbers.");
    expect("--version", 0, WEIR_VERSION);
}

static void explain_prints_the_plan_and_starts_nothing(void **state)
{
    trial_reset(&(struct trial){ .count = 10 });
    expect("explain", 0, "tally");
    expect("explain --as json --colour red", 0, "\"job\":\"trial\"");
    assert_string_equal(colour, "red");
    expect("explain --as dot", 0, "digraph");
    expect("explain --parallelism 5", 0, "x5");
    assert_int_equal(trial_seen(), 0);
}

static void mistakes_end_with_their_status_and_one_sentence(void **state)
{
    expect("walk", 2, "trial: there is no verb 'walk'");
    expect("--color red", 2, "did you mean '--colour'");
    expect("--as json", 2, "explain --as json");
    expect("explain --parallelism 0", 2, "--parallelism");
    const char *printed;
    struct weir_program empty = { .build = build_nothing };
    assert_int_equal(run_program(&empty, "", &printed), 3);
    assert_non_null(strstr(printed, "my-trial: "));
}

static void a_run_writes_what_it_has_done(void **state)
{
    trial_reset(&(struct trial){ .count = 3000 });
    const char *printed;
    char line[512];
    snprintf(line, sizeof(line),
        "run --metrics-json %s/m.json --checkpoints %s/ck --log-level warn", dir, dir);
    assert_int_equal(run_program(&trial_program, line, &printed), 0);
    assert_string_equal(printed, "");
    trial_check(true);
    json_t *root = metrics(temp_dir_path(dir, "m.json"));
    assert_string_equal(json_string_value(json_object_get(root, "state")), "FINISHED");
    assert_int_equal(number(root, "events_in", NULL), 3000);
    assert_int_equal(number(root, "records_out", NULL), 1500);
    assert_int_equal(number(root, "attempts", NULL), 1);
    json_t *counters = json_object_get(root, "counters");
    assert_int_equal(number(counters, "tally", "tallied"), 1500);
    assert_int_equal(number(counters, "numbers", "records_in"), 3000);
    assert_int_equal(number(root, "checkpoints", "completed"), 1);
    assert_int_equal(number(root, "checkpoints", "failed"), 0);
    json_t *checkpoints = json_object_get(root, "checkpoints");
    assert_true(number(checkpoints, "duration_ms", "max") >= 0);
    assert_int_equal(json_array_size(json_object_get(root, "tasks")), 2);
    assert_true(number(root, "peak_rss_bytes", NULL) > 1 << 20);
    assert_true(json_real_value(json_object_get(root, "cpu_seconds")) >= 0);
    json_decref(root);
}

static void a_second_run_says_that_it_resumes(void **state)
{
    trial_reset(&(struct trial){ .count = 500 });
    const char *printed;
    char line[512];
    snprintf(line, sizeof(line), "--checkpoints %s/again", dir);
    assert_int_equal(run_program(&trial_program, line, &printed), 0);
    assert_non_null(strstr(printed, "starts from the beginning"));
    assert_int_equal(run_program(&trial_program, line, &printed), 0);
    assert_non_null(strstr(printed, "starts from checkpoint 1 of attempt 1 (taken "));
    trial_check(true);
    snprintf(line, sizeof(line), "--checkpoints %s/again --fresh", dir);
    assert_int_equal(run_program(&trial_program, line, &printed), 14);
    snprintf(line, sizeof(line), "--checkpoints %s/again --state-backend hashmap", dir);
    assert_int_equal(run_program(&trial_program, line, &printed), 14);
    assert_non_null(strstr(printed, "rocksdb"));
}

static void a_failed_run_says_why_and_still_writes_its_metrics(void **state)
{
    const char *printed;
    char line[512];
    trial_reset(&(struct trial){ .count = 3000, .fail_at = 100, .failures = 1 });
    snprintf(line, sizeof(line), "--restart none --log-level error --metrics-json %s/f.json", dir);
    assert_int_equal(run_program(&trial_program, line, &printed), 21);
    assert_non_null(strstr(printed, "trial: task 'numbers -> even -> double' (1/1)"));
    json_t *root = metrics(temp_dir_path(dir, "f.json"));
    assert_string_equal(json_string_value(json_object_get(root, "state")), "FAILED");
    assert_non_null(strstr(json_string_value(json_object_get(root, "error")), "fails on purpose"));
    json_decref(root);
}

/* -- the verb plan: descriptor 3 is ours ---------------------------------------------------------- */

/* Runs it with descriptor 3 open on a file, whose bytes come back: mem_free them. */
static char *plan_bytes(const char *line, int status, const char **printed, size_t *size)
{
    char *bytes;
    const char *path = temp_dir_path(dir, "plan");
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, 3);
    close(file);
    assert_int_equal(run_program(&trial_program, line, printed), status);
    open_nothing();
    assert_null(os_read_file(path, 1u << 20, &bytes, size));
    return bytes;
}

static void plan_writes_the_job_for_those_who_have_no_code_of_it(void **state)
{
    struct arena arena;
    struct job_spec spec;
    const char *printed;
    size_t size;
    trial_reset(&(struct trial){ .count = 10 });
    char *bytes = plan_bytes("plan --parallelism 3 --colour red --checkpoints /ck --retained 5 "
                             "--restart none --state-backend hashmap --stop-timeout 7s",
        0, &printed, &size);
    assert_string_equal(printed, "");
    arena_init(&arena, 4096, JOB_SPEC_DECODED_SIZE_MAX);
    assert_null(job_spec_decode((weir_str){ .data = bytes, .size = size }, &arena, &spec));
    assert_string_equal(spec.plan->job, "trial");
    assert_int_equal(spec.plan->vertices[0].parallelism, 3);
    assert_int_equal(spec.argument_count, 14);
    assert_string_equal(spec.arguments[0], "--parallelism");
    assert_string_equal(spec.arguments[3], "red");
    assert_string_equal(spec.checkpoints, "/ck");
    assert_int_equal(spec.retained, 5);
    assert_int_equal(spec.interval_ms, 10000);
    assert_int_equal(spec.stop_timeout_ms, 7000);
    assert_int_equal(spec.restart.kind, RESTART_NONE);
    assert_string_equal(spec.backend, "hashmap");
    assert_int_equal(spec.memory_size, 1 << 30);
    assert_null(spec.savepoints);
    assert_int_equal(trial_seen(), 0);
    mem_free(bytes);
    arena_release(&arena);
}

static void plan_refuses_like_explain_and_needs_somebody_who_listens(void **state)
{
    const char *printed;
    size_t size;
    expect("plan", 2, "trial plan ... 3>FILE");
    mem_free(plan_bytes("plan --parallelism 0", 2, &printed, &size));
    assert_non_null(strstr(printed, "--parallelism"));
    assert_int_equal(size, 0);
    mem_free(plan_bytes("plan --as json", 2, &printed, &size));
    assert_int_equal(size, 0);
    expect("help", 0, "explain [OPTIONS]");
    assert_int_equal(run_program(&trial_program, "help", &printed), 0);
    assert_null(strstr(printed, " plan ["));
}

static int make_dir(void **state)
{
    dir = temp_dir_new();
    return 0;
}

static int remove_dir(void **state)
{
    temp_dir_free(dir);
    trial_reset(&(struct trial){ .count = 0 });
    return 0;
}

int main(void)
{
    open_nothing();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version_work_whatever_else_is_wrong),
        cmocka_unit_test(explain_prints_the_plan_and_starts_nothing),
        cmocka_unit_test(mistakes_end_with_their_status_and_one_sentence),
        cmocka_unit_test(a_run_writes_what_it_has_done),
        cmocka_unit_test(a_second_run_says_that_it_resumes),
        cmocka_unit_test(a_failed_run_says_why_and_still_writes_its_metrics),
        cmocka_unit_test(plan_writes_the_job_for_those_who_have_no_code_of_it),
        cmocka_unit_test(plan_refuses_like_explain_and_needs_somebody_who_listens),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
