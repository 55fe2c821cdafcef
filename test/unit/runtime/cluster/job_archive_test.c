/* job_archive_test.c -- what is kept of a job that is over comes back as it was, and nothing else is taken for it. */
#include "runtime/cluster/job_archive.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "runtime/cluster/job_store.h"

#include "test/support/expect.h"

static void fail_once(struct job *job, char *text, char *vertex, char *place, uint32_t number)
{
    history_failed(&job->history, &(struct history_failure){ .text = text,
                                      .vertex = vertex,
                                      .place = place,
                                      .subtask = number,
                                      .task_count = number + 1,
                                      .attempt = number + 2,
                                      .at_ms = number + 3,
                                      .code = WEIR_E_IO,
                                      .has_restarted = number % 2 == 0 });
}

static void job_init(struct job *job)
{
    *job = (struct job){ .id = "00000000000000000000000000000001", .name = mem_strdup("clicks") };
    history_init(&job->history, 4);
    for (uint32_t i = 0; i < JOB_STATE_COUNT; i++)
        job->entered_ms[i] = 100 + i;
}

static void job_release(struct job *job)
{
    history_release(&job->history);
    weir_error_free(job->error);
    mem_free(job->name);
}

static weir_buffer *encoded(const struct job *job, weir_str spec)
{
    weir_buffer *bytes = weir_buffer_new(JOB_ARCHIVE_MAX);
    job_archive_encode(job, spec, bytes);
    assert_false(weir_buffer_overflowed(bytes));
    return bytes;
}

static void a_job_comes_back_as_it_was(void **state)
{
    struct job job, other;
    enum weir_code code;
    weir_str spec;
    static char vertex[] = "count", place[] = "tm-1";
    job_init(&job);
    job_init(&other);
    for (uint32_t i = 0; i < HISTORY_FAILURES + 3; i++) { /* the oldest are forgotten */
        char text[] = "broke ?";
        text[6] = (char)('a' + i);
        fail_once(&job, text, i % 2 == 0 ? vertex : NULL, i % 3 == 0 ? place : NULL, i);
    }
    job.error = weir_errorf(WEIR_E_DATA, "why");
    weir_buffer *bytes = encoded(&job, WEIR_STR("a spec"));
    mem_free(other.name);
    other.name = mem_strdup("program");
    memset(other.entered_ms, 0, sizeof(other.entered_ms));
    expect_ok(job_archive_decode(weir_buffer_view(bytes), &other, &code, &spec));
    assert_string_equal(other.name, "clicks");
    assert_memory_equal(other.entered_ms, job.entered_ms, sizeof(job.entered_ms));
    assert_int_equal(code, WEIR_E_DATA);
    assert_true(weir_str_equal(spec, WEIR_STR("a spec")));
    for (uint32_t i = 0; i < HISTORY_FAILURES; i++) {
        const struct history_failure *a = history_failure(&job.history, i),
                                     *b = history_failure(&other.history, i);
        assert_string_equal(a->text, b->text);
        assert_int_equal(a->vertex == NULL, b->vertex == NULL);
        assert_int_equal(a->place == NULL, b->place == NULL);
        assert_int_equal(a->subtask, b->subtask);
        assert_int_equal(a->task_count, b->task_count);
        assert_int_equal(a->attempt, b->attempt);
        assert_int_equal(a->at_ms, b->at_ms);
        assert_int_equal(a->code, b->code);
        assert_int_equal(a->has_restarted, b->has_restarted);
    }
    weir_buffer_free(bytes);
    job_release(&job);
    job_release(&other);
}

static void what_is_damaged_or_newer_leaves_the_job_as_it_is(void **state)
{
    struct job job;
    enum weir_code code;
    weir_str spec;
    static char text[] = "broke", nothing[1];
    job_init(&job);
    fail_once(&job, text, NULL, NULL, 1);
    weir_buffer *bytes = encoded(&job, (weir_str){ 0 });
    weir_str whole = weir_buffer_view(bytes);
    for (uint64_t size = 0; size < whole.size; size++) {
        char *part = mem_dup(size == 0 ? nothing : whole.data, size == 0 ? 1 : size);
        expect_error(job_archive_decode((weir_str){ .data = part, .size = size }, &job, &code,
                         &spec),
            WEIR_E_CORRUPT, "is corrupt");
        mem_free(part);
    }
    char *newer = mem_dup(whole.data, whole.size);
    newer[0]++;
    expect_error(job_archive_decode((weir_str){ .data = newer, .size = whole.size }, &job, &code,
                     &spec),
        WEIR_E_STATE, "newer Weir");
    assert_string_equal(job.name, "clicks");
    assert_int_equal(job.history.failure_count, 1);
    mem_free(newer);
    weir_buffer_free(bytes);
    job_release(&job);
}

static void a_plan_that_is_too_large_is_left_out_and_the_rest_is_kept(void **state)
{
    struct job job;
    enum weir_code code;
    weir_str spec;
    char *text = mem_alloc(20000), *large = mem_alloc(JOB_ARCHIVE_MAX);
    memset(text, 'x', 19999);
    job_init(&job);
    for (uint32_t i = 0; i < HISTORY_FAILURES; i++)
        fail_once(&job, text, text, text, i);
    weir_buffer *bytes = encoded(&job, (weir_str){ .data = large, .size = JOB_ARCHIVE_MAX });
    expect_ok(job_archive_decode(weir_buffer_view(bytes), &job, &code, &spec));
    assert_int_equal(spec.size, 0);
    assert_int_equal(job.history.failure_count, HISTORY_FAILURES);
    assert_int_equal(code, WEIR_CODE_COUNT);
    weir_buffer_free(bytes);
    mem_free(text);
    mem_free(large);
    job_release(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_comes_back_as_it_was),
        cmocka_unit_test(what_is_damaged_or_newer_leaves_the_job_as_it_is),
        cmocka_unit_test(a_plan_that_is_too_large_is_left_out_and_the_rest_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
