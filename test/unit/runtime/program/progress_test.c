/* progress_test.c -- the line that a person watches, from a job that is stepped by hand. */
#include "runtime/program/progress.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/os.h"
#include "test/support/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct os clock_os;
static int64_t clock_ns = 1000000000;

static int64_t read_clock_ns(void)
{
    return clock_ns;
}

static int64_t now_ms(void)
{
    return clock_ns / 1000000;
}

static void run_for(struct local *local, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        clock_ns += 1000000;
        local_step(local);
        local_worker_step(local);
        for (uint32_t s = 0; s < local_slot_count(local); s++)
            local_slot_round(local, s);
    }
}

static void says(struct progress *progress, const char *expected)
{
    weir_buffer *line = weir_buffer_new(4096);
    progress_print(progress, now_ms(), line);
    if (strstr(buffer_text(line), expected) == NULL)
        fail_msg("no '%s' in: %s", expected, buffer_text(line));
    weir_buffer_free(line);
}

static void rates_are_those_since_the_last_look(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 0, .slow_batch = 100 });
    struct local_options options = local_defaults;
    options.plan = trial_plan(&job);
    options.backend = &backend_hashmap;
    options.worker_count = 0;
    options.interval_ms = 300;
    options.buffer_timeout_ms = 0;
    struct local *local;
    assert_null(local_open(&options, &local));
    struct progress *progress = progress_new(local);
    says(progress, "CREATED");
    run_for(local, 10);
    progress_look(progress, now_ms());
    run_for(local, 200); /* settles */
    progress_look(progress, now_ms());
    run_for(local, 500);
    says(progress, "RUNNING  in 100,000/s  out 49,"); /* a batch of 100 each millisecond */
    says(progress, "checkpoint ");
    local_stop(local);
    run_for(local, 50);
    says(progress, "FINISHED");
    progress_free(progress);
    local_close(local);
    job_free(job);
}

static void it_asks_to_be_called_again_in_time(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 10 });
    struct local_options options = local_defaults;
    options.plan = trial_plan(&job);
    options.worker_count = 0;
    struct local *local;
    assert_null(local_open(&options, &local));
    struct progress *progress = progress_new(local);
    int64_t next_ms = progress_look(progress, now_ms());
    assert_true(next_ms > now_ms() && next_ms <= now_ms() + 10000);
    progress_free(progress);
    local_close(local);
    job_free(job);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    clock_os = os_linux;
    clock_os.monotonic_ns = read_clock_ns;
    os_current = &clock_os;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_since_the_last_look),
        cmocka_unit_test(it_asks_to_be_called_again_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
