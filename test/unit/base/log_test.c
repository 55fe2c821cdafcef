/* log_test.c -- what a log line looks like, whatever is in it. Standard error goes to a pipe. */
#include "base/log.h"

#include "base/memory.h"
#include "base/os.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <unistd.h>

static int saved_stderr, pipe_ends[2];
static char got[65536];

static int catch_stderr(void **state)
{
    saved_stderr = dup(STDERR_FILENO);
    return pipe2(pipe_ends, O_NONBLOCK) != 0 || dup2(pipe_ends[1], STDERR_FILENO) < 0;
}

static int release_stderr(void **state)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    log_set_json(false);
    log_set_level(LOG_INFO);
    os_current = &os_linux;
    return 0;
}

static const char *caught(void)
{
    ssize_t size = read(pipe_ends[0], got, sizeof(got) - 1);
    got[size < 0 ? 0 : size] = '\0';
    return got;
}

static int64_t fixed_wall_ms(void)
{
    return 1763693110007; /* 2025-11-21T02:45:10.007Z */
}

static void stop_the_clock(void)
{
    static struct os stopped;
    stopped = os_linux;
    stopped.wall_ms = fixed_wall_ms;
    os_current = &stopped;
}

static void a_line_is_for_people(void **state)
{
    stop_the_clock();
    log_info("checkpoint", "completed checkpoint=%d", 7);
    assert_string_equal(caught(),
        "2025-11-21T02:45:10.007Z INFO  checkpoint: completed checkpoint=7\n");
    log_error("task", "x");
    assert_string_equal(caught(), "2025-11-21T02:45:10.007Z ERROR task: x\n");
}

static void json_is_for_machines(void **state)
{
    stop_the_clock();
    log_set_json(true);
    log_warn("kafka", "say \"%s\"\n\x01", "a\\b");
    assert_string_equal(caught(),
        "{\"time\":\"2025-11-21T02:45:10.007Z\",\"level\":\"warn\",\"component\":\"kafka\","
        "\"message\":\"say \\\"a\\\\b\\\"\\n\\u0001\"}\n");
}

static void the_message_of_a_line_is_read_from_it_again(void **state)
{
    static const char *const rows[][2] = {
        { "2025-11-21T02:45:10.007Z ERROR worker: x: y", "x: y" },
        { "{\"time\":\"2025-11-21T02:45:10.007Z\",\"level\":\"error\",\"component\":\"a\","
          "\"message\":\"x: y\"}",
            "x: y" },
        { "weir: no log: at all", "weir: no log: at all" },
        { "2025-11-21T02:45:10.007Z", "2025-11-21T02:45:10.007Z" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *message = log_message_of(rows[i][0]);
        assert_string_equal(message, rows[i][1]);
        mem_free(message);
    }
}

static void lines_below_the_level_are_not_written(void **state)
{
    log_debug("a", "hidden");
    log_set_level(LOG_ERROR);
    log_warn("a", "hidden");
    assert_string_equal(caught(), "");
    log_set_level(LOG_DEBUG);
    log_debug("a", "shown");
    assert_non_null(strstr(caught(), "DEBUG a: shown\n"));
}

static void nothing_reaches_the_terminal_raw(void **state)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        { "a\nb\tc", "a\\nb\\tc" },
        { "\033[31mred\r\x7f", "\\x1b[31mred\\x0d\\x7f" },
        { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
        { "\xff", "\xef\xbf\xbd" },
        { "\xc3", "\xef\xbf\xbd" },                                 /* cut short */
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
        { "\xc2\x9b", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* CSI, a C1 control */
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
        { "\xf0\x9f\x8c\x8a", "\xf0\x9f\x8c\x8a" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        log_info("x", "%s", rows[i].text);
        char *end = strstr(caught(), "x: ");
        assert_non_null(end);
        end[strlen(end) - 1] = '\0';
        assert_string_equal(end + 3, rows[i].shown);
    }
}

static void a_long_line_is_cut(void **state)
{
    static char text[10000];
    memset(text, '\033', sizeof(text) - 1); /* grows fourfold */
    for (int json = 0; json < 2; json++) {
        log_set_json(json);
        log_info("x", "%s", text);
        size_t size = strlen(caught());
        assert_in_range(size, 4000, 4096);
        assert_string_equal(got + size - (json ? 6 : 4),
            json ? "\xe2\x80\xa6\"}\n" : "\xe2\x80\xa6\n");
    }
}

static void a_progress_line_needs_a_terminal(void **state)
{
    assert_false(log_is_terminal());
    log_progress("50 %");
    assert_string_equal(caught(), "");
}

static void a_terminals_progress_line_makes_way_for_log_lines(void **state)
{
    int terminal;
    stop_the_clock();
    assert_int_equal(openpty(&pipe_ends[0], &terminal, NULL, NULL, NULL), 0);
    assert_true(dup2(terminal, STDERR_FILENO) >= 0);
    assert_true(log_is_terminal());
    log_progress("50 %\n");
    assert_string_equal(caught(), "\r\033[K50 %\\n");
    log_info("x", "y");
    assert_string_equal(caught(), "\r\033[K2025-11-21T02:45:10.007Z INFO  x: y\r\n50 %\\n");
    log_progress("");
    assert_string_equal(caught(), "\r\033[K");
    log_info("x", "z");
    assert_string_equal(caught(), "2025-11-21T02:45:10.007Z INFO  x: z\r\n");
    close(terminal);
}

static void a_file_gets_every_line_and_makes_place_for_the_next_one(void **state)
{
    char *dir = temp_dir_new(), path[256], older[260], *text;
    size_t size;
    snprintf(path, sizeof(path), "%s/a.log", dir);
    snprintf(older, sizeof(older), "%s.1", path);
    stop_the_clock();
    expect_ok(log_set_file(path, 100));
    for (int i = 1; i <= 5; i++)
        log_info("x", "line %d", i); /* 42 bytes each: two a file */
    expect_ok(os_read_file(path, 4096, &text, &size));
    assert_string_equal(text, "2025-11-21T02:45:10.007Z INFO  x: line 5\n");
    mem_free(text);
    expect_ok(os_read_file(older, 4096, &text, &size));
    assert_string_equal(text, "2025-11-21T02:45:10.007Z INFO  x: line 3\n"
                              "2025-11-21T02:45:10.007Z INFO  x: line 4\n");
    mem_free(text);
    assert_int_equal(strlen(caught()), 5 * 41); /* standard error has them all */
    expect_ok(log_set_file(path, 100));         /* begun again: appended to */
    log_info("x", "line 6");
    expect_ok(log_set_file(NULL, 0));
    log_info("x", "line 7");
    expect_ok(os_read_file(path, 4096, &text, &size));
    assert_int_equal(size, 2 * 41);
    mem_free(text);
    expect_error(log_set_file("/none/at/all", 100), WEIR_E_IO, "/none/at/all");
    expect_ok(log_set_file(NULL, 0));
    temp_dir_free(dir);
}

static void standard_error_that_is_a_file_is_bounded_with_the_log(void **state)
{
    char *dir = temp_dir_new(), path[256], out[256];
    snprintf(path, sizeof(path), "%s/a.log", dir);
    snprintf(out, sizeof(out), "%s/a.out", dir);
    int file = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    expect_ok(log_set_file(path, 1000));
    for (int i = 0; i < 1000; i++)
        log_info("x", "line");
    struct os_stat stat;
    expect_ok(os_stat(out, &stat));
    assert_true(stat.size < 2100);
    expect_ok(log_set_file(NULL, 0));
    close(file);
    temp_dir_free(dir);
}

#define CAUGHT(test_) cmocka_unit_test_setup_teardown(test_, catch_stderr, release_stderr)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAUGHT(a_line_is_for_people),
        CAUGHT(json_is_for_machines),
        CAUGHT(the_message_of_a_line_is_read_from_it_again),
        CAUGHT(lines_below_the_level_are_not_written),
        CAUGHT(nothing_reaches_the_terminal_raw),
        CAUGHT(a_long_line_is_cut),
        CAUGHT(a_progress_line_needs_a_terminal),
        CAUGHT(a_terminals_progress_line_makes_way_for_log_lines),
        CAUGHT(a_file_gets_every_line_and_makes_place_for_the_next_one),
        CAUGHT(standard_error_that_is_a_file_is_bounded_with_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
