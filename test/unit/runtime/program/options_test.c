/* options_test.c -- the engine's options: what a person writes, what the engine gets, what it says. */
#include "runtime/program/options.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Arguments by spaces; NULL error: read into `options`. */
static weir_error *read_line(const char *line, struct options *options, struct config **config)
{
    char text[1024], name[] = "job", *argv[64] = { name };
    int argc = 1;
    snprintf(text, sizeof(text), "%s", line);
    for (char *save, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    *config = config_new();
    options_add(*config);
    weir_error *error = config_parse(*config, argc, argv);
    return error == NULL ? options_read(*config, options) : error;
}

static void defaults_are_what_the_table_says(void **state)
{
    struct options options;
    struct config *config;
    assert_null(read_line("", &options, &config));
    const struct local_options *local = &options.local;
    assert_int_equal(options.plan.parallelism, 1);
    assert_int_equal(options.plan.max_parallelism, 128);
    assert_null(local->checkpoints);
    assert_null(options.metrics_json);
    assert_ptr_equal(local->backend, &backend_cache);
    /* The struct that tests start from must not differ from what people get. */
    assert_int_equal(local->interval_ms, local_defaults.interval_ms);
    assert_int_equal(local->min_pause_ms, local_defaults.min_pause_ms);
    assert_int_equal(local->timeout_ms, local_defaults.timeout_ms);
    assert_int_equal(local->stop_timeout_ms, local_defaults.stop_timeout_ms);
    assert_int_equal(local->memory_size, local_defaults.memory_size);
    assert_int_equal(local->retained, local_defaults.retained);
    assert_int_equal(local->batch_max, local_defaults.batch_max);
    assert_int_equal(local->buffer_timeout_ms, local_defaults.buffer_timeout_ms);
    assert_int_equal(local->worker_count, local_defaults.worker_count);
    assert_memory_equal(&local->restart, &local_defaults.restart, sizeof(local->restart));
    config_free(config);
}

static void every_option_arrives(void **state)
{
    struct options options;
    struct config *config;
    assert_null(
        read_line("--parallelism 3 --max-parallelism=64 --checkpoints ck --fresh --retained 5 "
                  "--checkpoint-interval 250ms --checkpoint-timeout 1m --min-pause 1s "
                  "--state-backend hashmap --memory 256MB --restart fixed --restart-delay 2s "
                  "--restart-attempts 7 --stop-timeout 5s --batch-size 17 --no-chaining "
                  "--buffer-timeout 0ms --worker-threads 2 --metrics-json m.json --as dot",
            &options, &config));
    const struct local_options *local = &options.local;
    assert_int_equal(options.plan.parallelism, 3);
    assert_int_equal(options.plan.max_parallelism, 64);
    assert_true(options.plan.is_chaining_disabled);
    assert_string_equal(local->checkpoints, "ck");
    assert_true(local->is_fresh);
    assert_int_equal(local->retained, 5);
    assert_int_equal(local->interval_ms, 250);
    assert_int_equal(local->timeout_ms, 60000);
    assert_int_equal(local->min_pause_ms, 1000);
    assert_ptr_equal(local->backend, &backend_hashmap);
    assert_int_equal(local->memory_size, 256 << 20);
    assert_int_equal(local->restart.kind, RESTART_FIXED);
    assert_int_equal(local->restart.delay_ms, 2000);
    assert_int_equal(local->restart.attempts_max, 7);
    assert_int_equal(local->stop_timeout_ms, 5000);
    assert_int_equal(local->batch_max, 17);
    assert_int_equal(local->buffer_timeout_ms, 0);
    assert_int_equal(local->worker_count, 2);
    assert_string_equal(options.metrics_json, "m.json");
    assert_int_equal(options.as, OPTIONS_AS_DOT);
    config_free(config);
}

static void savepoints_are_written_and_started_from(void **state)
{
    struct options options;
    struct config *config;
    assert_null(read_line("--from-savepoint old --allow-non-restored-state --savepoints new "
                          "--stop-with-savepoint",
        &options, &config));
    assert_string_equal(options.local.from_savepoint, "old");
    assert_string_equal(options.local.savepoints, "new");
    assert_true(options.local.allow_non_restored);
    assert_true(options.local.stop_with_savepoint);
    config_free(config);
}

static void fixed_restarts_are_three_a_second_apart_unless_said(void **state)
{
    struct options options;
    struct config *config;
    assert_null(read_line("--restart fixed", &options, &config));
    assert_int_equal(options.local.restart.attempts_max, 3);
    assert_int_equal(options.local.restart.delay_ms, 1000);
    config_free(config);
    assert_null(
        read_line("--restart fixed --restart-attempts 0 --restart-delay 100ms", &options, &config));
    assert_int_equal(options.local.restart.attempts_max, 0);
    assert_int_equal(options.local.restart.delay_ms, 100);
    config_free(config);
}

static void mistakes_name_the_option_and_the_way_out(void **state)
{
    static const struct {
        const char *line, *said;
    } rows[] = {
        { "--restart never", "none|fixed|exponential" },
        { "--state-backend rocks", "rocksdb|rocksdb-uncached|hashmap" },
        { "--log-level loud", "debug|info|warn|error" },
        { "--log-format xml", "text|json" },
        { "--as png", "text|json|dot" },
        { "--checkpoints=", "--checkpoints" },
        { "--savepoints=", "--savepoints" },
        { "--from-savepoint=", "'--from-savepoint' is empty" },
        { "--stop-with-savepoint", "needs '--savepoints'" },
        { "--allow-non-restored-state", "with '--from-savepoint'" },
        { "--fresh --from-savepoint x", "exclude each other" },
        { "--parallelism 200", "--max-parallelism" },
        { "--restart-delay 5m", "--restart-delay-max" },
        { "--batch-size 257", "--batch-size" },
        { "--memory 1MB", "--memory" },
        { "--metrics-json /there/is/no/such.json", "--metrics-json" },
        { "--metrics-json /", "--metrics-json" },
        { "--paralelism 2", "--parallelism" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options options;
        struct config *config;
        weir_error *error = read_line(rows[i].line, &options, &config);
        if (error == NULL)
            fail_msg("'%s' is accepted", rows[i].line);
        assert_int_equal(weir_error_code(error), WEIR_E_USAGE);
        if (strstr(weir_error_message(error), rows[i].said) == NULL)
            fail_msg("'%s' gives: %s", rows[i].line, weir_error_message(error));
        weir_error_free(error);
        config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_what_the_table_says),
        cmocka_unit_test(every_option_arrives),
        cmocka_unit_test(savepoints_are_written_and_started_from),
        cmocka_unit_test(fixed_restarts_are_three_a_second_apart_unless_said),
        cmocka_unit_test(mistakes_name_the_option_and_the_way_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
