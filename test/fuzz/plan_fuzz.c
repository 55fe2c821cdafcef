/* plan_fuzz.c -- a job that is submitted is bytes from others until it is decoded: its plan, and how it is run.
 *
 * The fuzzer cannot guess a checksum, so what it makes is taken as it is and as a body behind a header that fits,
 * each as a plan and as a job. What is accepted can be explained, is encoded again, and those bytes are a fixed
 * point: what was decoded from them is encoded in the same bytes. */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/sealed.h"
#include "runtime/cluster/job_spec.h"
#include "runtime/manager/expectation.h"

#define TEXT_SIZE_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void release(weir_error *error)
{
    ASSERT(weir_error_code(error) == WEIR_E_CORRUPT || weir_error_code(error) == WEIR_E_STATE);
    weir_error_free(error);
}

/* Whatever the job manager does with a plan. */
static void use(const struct plan *plan)
{
    struct expectations expected;
    weir_buffer *out = weir_buffer_new(TEXT_SIZE_MAX);
    explain_text(plan, out);
    explain_json(plan, out);
    explain_dot(plan, out);
    weir_buffer_free(out);
    expectations_init(&expected, plan, "hashmap");
    ASSERT(expected.count > 0);
    expectations_release(&expected);
}

static void decode_plan(weir_str bytes)
{
    struct arena arena, again;
    const struct plan *plan, *same;
    arena_init(&arena, 4096, PLAN_DECODED_SIZE_MAX);
    weir_error *error = plan_decode(bytes, &arena, &plan);
    if (error != NULL) {
        release(error);
        arena_release(&arena);
        return;
    }
    use(plan);
    weir_buffer *first = weir_buffer_new(PLAN_SIZE_MAX), *second = weir_buffer_new(PLAN_SIZE_MAX);
    plan_encode(plan, first);
    arena_init(&again, 4096, PLAN_DECODED_SIZE_MAX);
    error = plan_decode(weir_buffer_view(first), &again, &same);
    ASSERT(error == NULL);
    plan_encode(same, second);
    ASSERT(weir_str_equal(weir_buffer_view(first), weir_buffer_view(second)));
    weir_buffer_free(first);
    weir_buffer_free(second);
    arena_release(&again);
    arena_release(&arena);
}

static void decode_job(weir_str bytes)
{
    struct arena arena;
    struct job_spec spec;
    arena_init(&arena, 4096, JOB_SPEC_DECODED_SIZE_MAX);
    weir_error *error = job_spec_decode(bytes, &arena, &spec);
    if (error != NULL) {
        release(error);
    } else {
        struct restart restart;
        weir_buffer *again = weir_buffer_new(JOB_SPEC_SIZE_MAX);
        restart_init(&restart, &spec.restart); /* asserts what it needs */
        job_spec_encode(&spec, again);
        ASSERT(!weir_buffer_overflowed(again));
        weir_buffer_free(again);
    }
    arena_release(&arena);
}

static void decode_sealed(const char *magic, uint32_t version, weir_str body,
    void (*decode)(weir_str bytes))
{
    const struct sealed_form form = { .magic = magic, .version = version };
    weir_buffer *inner = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    weir_buffer *bytes = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    weir_buffer_add_str(inner, body);
    sealed_put(&form, inner, bytes);
    decode(weir_buffer_view(bytes));
    weir_buffer_free(inner);
    weir_buffer_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str bytes = { .data = (const char *)data, .size = size };
    decode_plan(bytes);
    decode_job(bytes);
    decode_sealed("WEIRPLN1", 1, bytes, decode_plan);
    decode_sealed("WEIRJOB1", JOB_SPEC_VERSION, bytes, decode_job);
    return 0;
}
