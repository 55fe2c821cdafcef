/* job_spec_test.c -- a job comes back from bytes as it was, or is refused. */
#include "runtime/cluster/job_spec.h"

#include "base/buffer.h"
#include "base/sealed.h"
#include "test/support/expect.h"
#include "test/support/trial.h"

#include <stdlib.h>

static const char *const arguments[] = { "--parallelism", "2", "--colour", "", "a b" };

static struct job_spec full(const struct plan *plan)
{
    return (struct job_spec){ .plan = plan,
        .arguments = arguments,
        .argument_count = COUNT_OF(arguments),
        .checkpoints = "/ck",
        .retained = 3,
        .savepoints = "/sp",
        .from_savepoint = "/old/savepoint-1",
        .allow_non_restored = true,
        .interval_ms = 1000,
        .min_pause_ms = 100,
        .timeout_ms = 60000,
        .aligned_timeout_ms = 7000,
        .stop_timeout_ms = 5000,
        .restart = RESTART_DEFAULT,
        .backend = "hashmap",
        .memory_size = UINT64_C(64) << 20 };
}

static weir_buffer *encoded(const struct job_spec *spec)
{
    weir_buffer *bytes = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    job_spec_encode(spec, bytes);
    assert_false(weir_buffer_overflowed(bytes));
    return bytes;
}

static weir_error *decode(weir_str bytes, struct arena *arena, struct job_spec *spec)
{
    arena_init(arena, 4096, JOB_SPEC_DECODED_SIZE_MAX);
    return job_spec_decode(bytes, arena, spec);
}

static void assert_text_equal(const char *a, const char *b)
{
    assert_true((a == NULL) == (b == NULL));
    if (a != NULL)
        assert_string_equal(a, b);
}

static void assert_equal(const struct job_spec *a, const struct job_spec *b)
{
    assert_true(a->plan->fingerprint == b->plan->fingerprint);
    assert_int_equal(a->argument_count, b->argument_count);
    for (uint32_t i = 0; i < a->argument_count; i++)
        assert_string_equal(a->arguments[i], b->arguments[i]);
    assert_text_equal(a->checkpoints, b->checkpoints);
    assert_text_equal(a->savepoints, b->savepoints);
    assert_text_equal(a->from_savepoint, b->from_savepoint);
    assert_text_equal(a->backend, b->backend);
    assert_int_equal(a->retained, b->retained);
    assert_int_equal(a->is_fresh, b->is_fresh);
    assert_int_equal(a->allow_non_restored, b->allow_non_restored);
    assert_int_equal(a->interval_ms, b->interval_ms);
    assert_int_equal(a->min_pause_ms, b->min_pause_ms);
    assert_int_equal(a->timeout_ms, b->timeout_ms);
    assert_int_equal(a->aligned_timeout_ms, b->aligned_timeout_ms);
    assert_int_equal(a->stop_timeout_ms, b->stop_timeout_ms);
    assert_int_equal(a->restart.kind, b->restart.kind);
    assert_int_equal(a->restart.delay_ms, b->restart.delay_ms);
    assert_int_equal(a->restart.delay_max_ms, b->restart.delay_max_ms);
    assert_int_equal(a->restart.reset_ms, b->restart.reset_ms);
    assert_int_equal(a->restart.attempts_max, b->restart.attempts_max);
    assert_int_equal(a->restart.multiplier_percent, b->restart.multiplier_percent);
    assert_int_equal(a->restart.jitter_percent, b->restart.jitter_percent);
    assert_int_equal(a->memory_size, b->memory_size);
}

static void a_job_comes_back_as_it_was(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 1 });
    const struct plan *plan = trial_plan(&job);
    struct job_spec all = full(plan), little = full(plan);
    little.argument_count = 0;
    little.checkpoints = little.savepoints = little.from_savepoint = NULL;
    little.allow_non_restored = false;
    little.is_fresh = true;
    little.restart = (struct restart_options){ .kind = RESTART_NONE };
    const struct job_spec *rows[] = { &all, &little };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        struct job_spec back;
        weir_buffer *bytes = encoded(rows[i]);
        expect_ok(decode(weir_buffer_view(bytes), &arena, &back));
        weir_buffer_free(bytes); /* not needed any more */
        assert_equal(rows[i], &back);
        arena_release(&arena);
    }
    job_free(job);
}

static void what_no_option_allows_is_refused(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 1 });
    const struct plan *plan = trial_plan(&job);
    struct {
        struct job_spec spec;
        const char *message;
    } rows[13];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i].spec = full(plan);
    rows[0].spec.retained = 0, rows[0].message = "its checkpoints and savepoints";
    rows[1].spec.retained = JOB_SPEC_RETAINED_MAX + 1, rows[1].message = "its checkpoints";
    rows[2].spec.checkpoints = "", rows[2].message = "its checkpoints";
    rows[3].spec.is_fresh = true, rows[3].message = "two ways";
    rows[4].spec.from_savepoint = NULL, rows[4].message = "two ways";
    rows[5].spec.interval_ms = -1, rows[5].message = "the times";
    rows[6].spec.timeout_ms = 0, rows[6].message = "the times";
    rows[7].spec.stop_timeout_ms = JOB_SPEC_MS_MAX + 1, rows[7].message = "the times";
    rows[8].spec.restart.jitter_percent = 101, rows[8].message = "restarts";
    rows[9].spec.restart.delay_max_ms = 1, rows[9].message = "restarts";
    rows[10].spec.restart.multiplier_percent = 99, rows[10].message = "restarts";
    rows[11].spec.backend = "paper", rows[11].message = "backend";
    rows[12].spec.memory_size = 1, rows[12].message = "backend";
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        struct job_spec back;
        weir_buffer *bytes = encoded(&rows[i].spec);
        expect_error(decode(weir_buffer_view(bytes), &arena, &back), WEIR_E_CORRUPT,
            rows[i].message);
        weir_buffer_free(bytes);
        arena_release(&arena);
    }
    job_free(job);
}

/* Sealed anew, so that the checksum is no help. */
static weir_error *decode_body(weir_str body, uint32_t version)
{
    const struct sealed_form form = { .magic = "WEIRJOB1", .version = version };
    struct arena arena;
    struct job_spec spec;
    weir_buffer *inner = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    weir_buffer *bytes = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    weir_buffer_add_str(inner, body);
    sealed_put(&form, inner, bytes);
    weir_error *error = decode(weir_buffer_view(bytes), &arena, &spec);
    arena_release(&arena);
    weir_buffer_free(inner);
    weir_buffer_free(bytes);
    return error;
}

static void bytes_that_are_cut_or_too_many_or_of_another_version_are_refused(void **state)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 1 });
    struct job_spec spec = full(trial_plan(&job));
    weir_buffer *bytes = encoded(&spec);
    weir_buffer_add_byte(bytes, '\0');
    weir_str all = weir_buffer_view(bytes);
    weir_str body = { .data = all.data + SEALED_HEADER_SIZE,
        .size = all.size - SEALED_HEADER_SIZE - 1 };
    expect_ok(decode_body(body, JOB_SPEC_VERSION));
    expect_error(decode_body(body, JOB_SPEC_VERSION + 1), WEIR_E_STATE,
        "the job speaks version 4 of the protocol, this cluster version 3");
    expect_error(decode_body(body, JOB_SPEC_VERSION - 1), WEIR_E_STATE,
        "build the job again with this libweir");
    for (size_t size = 0; size < body.size; size++)
        expect_error(decode_body((weir_str){ .data = body.data, .size = size }, JOB_SPEC_VERSION),
            WEIR_E_CORRUPT, "");
    expect_error(decode_body((weir_str){ .data = body.data, .size = body.size + 1 },
                     JOB_SPEC_VERSION),
        WEIR_E_CORRUPT, "its length is wrong");
    weir_buffer_free(bytes);
    job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_comes_back_as_it_was),
        cmocka_unit_test(what_no_option_allows_is_refused),
        cmocka_unit_test(bytes_that_are_cut_or_too_many_or_of_another_version_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
