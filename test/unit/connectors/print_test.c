/* print_test.c -- a JSON line per record arrives on standard output by the end of each write. */
#include "base/os_process.h"
#include "test/support/sample.h"
#include "test/support/stub_ctx.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct click {
    uint64_t user_id;
    weir_str page;
};
WEIR_TYPE(click, WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, page));

/* Standard output goes to `fd` until stdout_restore. */
static int saved_stdout;

static void stdout_to(int fd)
{
    fflush(stdout);
    saved_stdout = dup(STDOUT_FILENO);
    assert_true(saved_stdout >= 0);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
}

static void stdout_restore(void)
{
    dup2(saved_stdout, STDOUT_FILENO);
    close(saved_stdout);
}

/* An open sink for clicks. */
struct printer {
    struct weir_sink sink;
    weir_ctx *ctx;
    void *instance;
};

static void printer_open(struct printer *it)
{
    it->sink = weir_print();
    it->ctx = stub_ctx_new(0, 1);
    it->ctx->in_type = &click_type;
    it->instance = mem_alloc(it->sink.sink_class->instance_size);
    assert_null(it->sink.sink_class->open(it->ctx, NULL, it->instance));
}

static void printer_close(struct printer *it)
{
    it->sink.sink_class->close(it->ctx, it->instance);
    mem_free(it->instance);
    stub_ctx_free(it->ctx);
}

static void lines_are_written_at_the_end_of_each_write(void **state)
{
    struct printer it;
    printer_open(&it);
    assert_null(it.sink.sink_class->in_type(NULL));
    struct click clicks[] = { { 7, WEIR_STR("/home") }, { 8, { NULL, 0 } },
        { 9, WEIR_STR("a\nb") } };
    struct weir_row rows[] = { { .record = &clicks[0] }, { .record = &clicks[1] },
        { .record = &clicks[2] } };

    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    stdout_to(pipe_fds[1]);
    weir_error *error = it.sink.sink_class->write(it.ctx, it.instance, rows, 3);
    stdout_restore();
    close(pipe_fds[1]);
    assert_null(error);
    char text[1000];
    ssize_t size = read(pipe_fds[0], text, sizeof(text) - 1);
    close(pipe_fds[0]);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, "{\"user_id\":7,\"page\":\"/home\"}\n"
                              "{\"user_id\":8,\"page\":null}\n"
                              "{\"user_id\":9,\"page\":\"a\\nb\"}\n");
    printer_close(&it);
}

static void a_full_device_is_an_error(void **state)
{
    struct printer it;
    printer_open(&it);
    struct click click = { 7, WEIR_STR("/home") };
    struct weir_row row = { .record = &click };
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0);
    stdout_to(full);
    weir_error *error = it.sink.sink_class->write(it.ctx, it.instance, &row, 1);
    stdout_restore();
    close(full);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_IO);
    assert_non_null(strstr(weir_error_message(error), "standard output"));
    weir_error_free(error);
    printer_close(&it);
}

/* `| head -1`. A restart does not bring the reader back; and what was not written must not be left for
 * exit, at which SIGPIPE is what it was before. */
static void a_pipe_that_nobody_reads_fails_for_good_and_leaves_nothing(void **state)
{
    struct printer it;
    printer_open(&it);
    struct click click = { 7, WEIR_STR("/home") };
    struct weir_row row = { .record = &click };
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    close(pipe_fds[0]);
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    stdout_to(pipe_fds[1]);
    weir_error *error = it.sink.sink_class->write(it.ctx, it.instance, &row, 1);
    size_t left = __fpending(stdout);
    stdout_restore();
    signal(SIGPIPE, before);
    close(pipe_fds[1]);
    assert_non_null(error);
    assert_int_equal(weir_error_code(error), WEIR_E_CONNECTOR);
    assert_false(weir_error_is_retriable(error));
    assert_non_null(strstr(weir_error_message(error), "standard output: nobody reads it"));
    assert_int_equal(left, 0);
    weir_error_free(error);
    printer_close(&it);
}

static void lines_come_behind_what_the_job_itself_has_printed(void **state)
{
    int pipe_fds[2];
    char text[100] = "";
    assert_int_equal(pipe(pipe_fds), 0);
    stdout_to(pipe_fds[1]);
    printf("first, ");
    weir_error *error = os_stdout_write("second", 6);
    stdout_restore();
    close(pipe_fds[1]);
    assert_null(error);
    assert_int_equal(read(pipe_fds[0], text, sizeof(text) - 1), 13);
    close(pipe_fds[0]);
    assert_string_equal(text, "first, second");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_written_at_the_end_of_each_write),
        cmocka_unit_test(a_full_device_is_an_error),
        cmocka_unit_test(a_pipe_that_nobody_reads_fails_for_good_and_leaves_nothing),
        cmocka_unit_test(lines_come_behind_what_the_job_itself_has_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
