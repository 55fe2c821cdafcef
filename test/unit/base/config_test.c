/* config_test.c -- every way to get an option right or wrong, and what is said about it. */
#include "base/config.h"

#include "base/buffer.h"
#include "test/support/expect.h"

#include <stdio.h>

static const struct weir_option rows[] = {
    { .name = "bounded", .kind = WEIR_OPTION_FLAG, .help = "Stop at the end." },
    { .name = "topic", .kind = WEIR_OPTION_TEXT, .value_name = "NAME", .help = "What to read." },
    { .name = "parallelism", .kind = WEIR_OPTION_NUMBER, .fallback = "4", .min = 1, .max = 128 },
    { .name = "offset", .kind = WEIR_OPTION_NUMBER, .min = -5, .max = INT64_MAX },
    { .name = "checkpoint-interval",
        .kind = WEIR_OPTION_DURATION,
        .fallback = "10s",
        .min = 10,
        .max = 86400000,
        .help = "Time between the starts of two checkpoints." },
    { .name = "memory", .kind = WEIR_OPTION_SIZE, .fallback = "1GB" },
    { .name = "count", .kind = WEIR_OPTION_NUMBER },
};

static struct config *config_of(void)
{
    struct config *config = config_new();
    config_add(config, rows, 3);
    config_add(config, rows + 3, COUNT_OF(rows) - 3);
    return config;
}

/* Parses up to three arguments. */
static weir_error *parse(struct config *config, const char *a, const char *b, const char *c)
{
    const char *arguments[] = { "program", a, b, c };
    int count = 1 + (a != NULL) + (b != NULL) + (c != NULL);
    char *argv[4];
    memcpy(argv, arguments, sizeof(argv));
    return config_parse(config, count, argv);
}

static void fallbacks_count_when_nothing_is_given(void **state)
{
    struct config *config = config_of();
    expect_ok(parse(config, NULL, NULL, NULL));
    assert_int_equal(config_number(config, "parallelism"), 4);
    assert_string_equal(config_text(config, "checkpoint-interval"), "10s");
    assert_int_equal(config_number(config, "checkpoint-interval"), 10000);
    assert_int_equal(config_number(config, "memory"), 1 << 30);
    assert_null(config_text(config, "topic"));
    assert_int_equal(config_number(config, "count"), 0);
    assert_false(config_flag(config, "bounded"));
    assert_false(config_given(config, "parallelism"));
    assert_true(config_has(config, "topic"));
    assert_false(config_has(config, "topi"));
    config_free(config);
    config_free(NULL);
}

static void values_come_behind_a_space_or_an_equals_sign(void **state)
{
    struct config *config = config_of();
    expect_ok(parse(config, "--topic", "a=b", "--bounded"));
    assert_string_equal(config_text(config, "topic"), "a=b");
    assert_true(config_flag(config, "bounded"));
    assert_true(config_given(config, "bounded"));
    config_free(config);
    config = config_of();
    expect_ok(parse(config, "--topic=--c=d", "--offset", "-5"));
    assert_string_equal(config_text(config, "topic"), "--c=d");
    assert_int_equal(config_number(config, "offset"), -5);
    config_free(config);
    config = config_of();
    expect_ok(parse(config, "--topic=", NULL, NULL));
    assert_string_equal(config_text(config, "topic"), "");
    config_free(config);
}

static void mistakes_are_told_with_the_way_out(void **state)
{
    static const struct {
        const char *arguments[3];
        const char *said;
    } mistakes[] = {
        { { "--paralelism", "3" },
            "there is no option '--paralelism'; did you mean '--parallelism'?" },
        { { "--bound" }, "did you mean '--bounded'?" },
        { { "--quite-another" }, "there is no option '--quite-another'; --help lists all" },
        { { "--x" }, "--help lists all" },
        { { "topic" }, "'topic' is not an option" },
        { { "-t", "x" }, "'-t' is not an option" },
        { { "--" }, "'--' is not an option" },
        { { "--topic" }, "option '--topic' needs a value: --topic=NAME" },
        { { "--topic", "--bounded" }, "option '--topic' needs a value" },
        { { "--count" }, "--count=VALUE" },
        { { "--bounded=true" }, "is a flag and takes no value, but got 'true'" },
        { { "--bounded", "--bounded" }, "option '--bounded' is given twice" },
        { { "--parallelism", "0" }, "option '--parallelism' is '0'; it must be from 1 to 128" },
        { { "--parallelism", "129" }, "from 1 to 128" },
        { { "--parallelism", "99999999999999999999" }, "from 1 to 128" },
        { { "--parallelism", "-99999999999999999999" }, "from 1 to 128" },
        { { "--parallelism", "4x" }, "is '4x'; it must be a whole number" },
        { { "--parallelism", "" }, "it must be a whole number" },
        { { "--parallelism", "-" }, "it must be a whole number" },
        { { "--parallelism", " 4" }, "it must be a whole number" },
        { { "--count", "-1" }, "option '--count' is '-1'; it must be at least 0" },
        { { "--count", "9223372036854775808" }, "which is too large" },
        { { "--checkpoint-interval", "10" }, "it must be a number with ms, s, m, h or d" },
        { { "--checkpoint-interval", "9ms" }, "it must be from 10ms to 1d" },
        { { "--checkpoint-interval", "25h" }, "it must be from 10ms to 1d" },
        { { "--checkpoint-interval", "-10s" }, "it must be a number with" },
        { { "--memory", "1gb" }, "it must be a number with B, KB, MB, GB or TB" },
        { { "--memory", "0" }, "it must be at least 1B" },
        { { "--memory", "9999999999TB" }, "which is too large" },
    };
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        struct config *config = config_of();
        const char *const *a = mistakes[i].arguments;
        expect_error(parse(config, a[0], a[1], a[2]), WEIR_E_USAGE, mistakes[i].said);
        config_free(config);
    }
}

/* number -1: an error, with the form that is wanted, or that it is too large. */
static void expect_amount(const char *name, const char *text, int64_t number, const char *form)
{
    static const struct weir_option amounts[] = {
        { .name = "time", .kind = WEIR_OPTION_DURATION },
        { .name = "room", .kind = WEIR_OPTION_SIZE, .max = INT64_MAX }, /* from 0 on */
    };
    char argument[64];
    struct config *config = config_new();
    config_add(config, amounts, COUNT_OF(amounts));
    snprintf(argument, sizeof(argument), "--%s=%s", name, text);
    weir_error *error = parse(config, argument, NULL, NULL);
    if (number >= 0) {
        expect_ok(error);
        assert_true(config_number(config, name) == number);
    } else {
        assert_non_null(error);
        bool is_too_large = strstr(weir_error_message(error), "which is too large") != NULL;
        expect_error(error, WEIR_E_USAGE, is_too_large ? name : form);
    }
    config_free(config);
}

static void durations_and_sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t number; /* -1: an error */
    } durations[] = { { "0", 0 }, { "0s", 0 }, { "250ms", 250 }, { "10s", 10000 }, { "5m", 300000 },
        { "24h", 86400000 }, { "7d", 604800000 }, { "", -1 }, { "s", -1 }, { "1", -1 },
        { "1.5s", -1 }, { "+1s", -1 }, { "-1s", -1 }, { "1 s", -1 }, { "1S", -1 }, { "1sec", -1 },
        { "9223372036854775807ms", INT64_MAX }, { "9223372036854775808ms", -1 },
        { "106751991168d", -1 }, { "00000000000000000000000001s", 1000 } },
      sizes[] = { { "0", 0 }, { "512B", 512 }, { "64KB", 65536 }, { "3MB", 3 << 20 },
          { "1GB", 1 << 30 }, { "2TB", INT64_C(2) << 40 }, { "1", -1 }, { "1K", -1 }, { "kb", -1 },
          { "8388608TB", -1 }, { "8388607TB", INT64_C(8388607) << 40 } };
    for (size_t i = 0; i < COUNT_OF(durations); i++)
        expect_amount("time", durations[i].text, durations[i].number, "a number with ms");
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        expect_amount("room", sizes[i].text, sizes[i].number, "a number with B");
}

static void mistakes_in_the_tables_are_told_at_parsing(void **state)
{
    static const struct weir_option bad[] = {
        { .name = "topic", .kind = WEIR_OPTION_TEXT },
        { .name = "wrong", .kind = WEIR_OPTION_NUMBER, .fallback = "many" },
        { .name = "fine", .kind = WEIR_OPTION_NUMBER, .fallback = "3" },
        { .name = NULL },
    };
    struct config *config = config_of();
    config_add(config, bad, COUNT_OF(bad));
    weir_error *error = parse(config, NULL, NULL, NULL);
    assert_non_null(strstr(weir_error_message(error), "'--topic' is in the tables twice"));
    assert_non_null(strstr(weir_error_message(error), "option '--wrong'"));
    expect_error(error, WEIR_E_PLAN, "has no name");
    assert_int_equal(config_number(config, "fine"), 3);
    config_free(config);
    config = config_of();
    config_add(config, bad, COUNT_OF(bad));
    config_free(config); /* never parsed: nothing leaks */
}

static void ask_for_nothing(void *arg)
{
    config_text(arg, "nothing");
}

static void asking_for_an_unknown_option_aborts(void **state)
{
    struct config *config = config_of();
    expect_abort(ask_for_nothing, config);
    config_free(config);
}

static void a_bare_set_names_options_without_dashes(void **state)
{
    struct config *config = config_new_bare();
    config_add(config, rows, COUNT_OF(rows));
    expect_ok(config_set(config, "parallelism", "8"));
    expect_ok(config_set(config, "parallelism", "9"));
    assert_int_equal(config_number(config, "parallelism"), 9);
    expect_ok(config_set(config, "bounded", "true"));
    assert_true(config_flag(config, "bounded"));
    expect_error(config_set(config, "topik", "x"), WEIR_E_USAGE,
        "there is no option 'topik'; did you mean 'topic'?");
    expect_error(config_set(config, "parallelism", "200"), WEIR_E_USAGE,
        "option 'parallelism' is '200'; it must be from 1 to 128");
    assert_int_equal(config_number(config, "parallelism"), 9);
    config_free(config);
}

static void a_choice_is_one_of_those_that_the_table_lists(void **state)
{
    static const struct weir_option row = { .name = "as",
        .kind = WEIR_OPTION_TEXT,
        .value_name = "text|json|dot",
        .fallback = "json" };
    struct config *config = config_new();
    uint32_t choice;
    config_add(config, &row, 1);
    expect_ok(config_choice(config, "as", &choice));
    assert_int_equal(choice, 1);
    expect_ok(config_set(config, "as", "dot"));
    expect_ok(config_choice(config, "as", &choice));
    assert_int_equal(choice, 2);
    const char *const wrong[] = { "", "tex", "texts", "text|json", "|" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        expect_ok(config_set(config, "as", wrong[i]));
        expect_error(config_choice(config, "as", &choice), WEIR_E_USAGE,
            "it must be one of text|json|dot");
    }
    config_free(config);
}

static void usage_fits_eighty_columns(void **state)
{
    static const struct weir_option long_row = { .name = "a-rather-long-name-of-an-option",
        .kind = WEIR_OPTION_TEXT,
        .value_name = "HOST:PORT[,\xe2\x80\xa6]",
        .fallback = "localhost:9092",
        .help = "A sentence that is so long that it does not fit into what is left of a line and "
                "must be wrapped more than once to be read." };
    struct config *config = config_of();
    config_add(config, &long_row, 1);
    weir_buffer *out = weir_buffer_new(10000);
    config_usage(config, out);
    const char *expected =
        "  --bounded                   Stop at the end.\n"
        "  --topic NAME                What to read.\n"
        "  --parallelism VALUE         (default: 4)\n"
        "  --offset VALUE\n"
        "  --checkpoint-interval VALUE\n"
        "                              Time between the starts of two checkpoints.\n"
        "                              (default: 10s)\n"
        "  --memory VALUE              (default: 1GB)\n"
        "  --count VALUE\n"
        "  --a-rather-long-name-of-an-option HOST:PORT[,\xe2\x80\xa6]\n"
        "                              A sentence that is so long that it does not fit\n"
        "                              into what is left of a line and must be wrapped\n"
        "                              more than once to be read. (default:\n"
        "                              localhost:9092)\n";
    assert_string_equal(buffer_text(out), expected);
    weir_buffer_free(out);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fallbacks_count_when_nothing_is_given),
        cmocka_unit_test(values_come_behind_a_space_or_an_equals_sign),
        cmocka_unit_test(mistakes_are_told_with_the_way_out),
        cmocka_unit_test(durations_and_sizes_have_units),
        cmocka_unit_test(mistakes_in_the_tables_are_told_at_parsing),
        cmocka_unit_test(asking_for_an_unknown_option_aborts),
        cmocka_unit_test(a_bare_set_names_options_without_dashes),
        cmocka_unit_test(a_choice_is_one_of_those_that_the_table_lists),
        cmocka_unit_test(usage_fits_eighty_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
