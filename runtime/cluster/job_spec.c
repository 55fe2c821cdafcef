/* job_spec.c -- the bytes of a job.
 *
 * Behind a header (base/sealed.h, "WEIRJOB1"), integers little-endian, `str` with a u32 length in front, a bool one
 * byte; a path is a bool, and if it is true a str:
 *
 *      str plan (runtime/graph/plan_codec.c) · u32 number of arguments, each a str ·
 *      path checkpoints · u32 retained · path savepoints · bool is_fresh · path from_savepoint ·
 *      bool allow_non_restored · u64 interval_ms, min_pause_ms, timeout_ms, aligned_timeout_ms, stop_timeout_ms ·
 *      u8 kind of restart · u64 delay_ms, delay_max_ms, reset_ms · u32 attempts_max, multiplier_percent ·
 *      u8 jitter_percent · str backend · u64 memory_size */
#include "runtime/cluster/job_spec.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/os.h"
#include "base/sealed.h"
#include "state/backend.h"
#include <weir/weir.h>

#include <inttypes.h>

#define ARGUMENTS_MAX     10000u
#define ARGUMENT_SIZE_MAX ((size_t)1 << 20)
#define MULTIPLIER_MAX    100000u
#define BACKEND_SIZE_MAX  ((size_t)64)

_Static_assert(RESTART_NONE == 0 && RESTART_FIXED == 1 && RESTART_EXPONENTIAL == 2, "encoded");

static const struct sealed_form form = { .magic = "WEIRJOB1",
    .noun = "a job",
    .version = JOB_SPEC_VERSION };
/* What others than ours mean by their bytes is not known, but what is wrong with them is. */
static const struct sealed_form any = { .magic = "WEIRJOB1",
    .noun = "a job",
    .version = UINT32_MAX };

/* -- encoding ----------------------------------------------------------------------------------- */

static void put_path(weir_buffer *out, const char *path)
{
    buffer_put_u8(out, path != NULL);
    if (path != NULL)
        buffer_put_str(out, weir_str_of(path));
}

static void put_ms(weir_buffer *out, int64_t ms)
{
    buffer_put_u64(out, (uint64_t)ms);
}

static void put_plan(weir_buffer *out, const struct plan *plan)
{
    weir_buffer *bytes = weir_buffer_new(PLAN_SIZE_MAX);
    plan_encode(plan, bytes);
    if (weir_buffer_overflowed(bytes)) /* pass it on */
        buffer_put_str(out, (weir_str){ .data = "", .size = UINT32_MAX });
    buffer_put_str(out, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
}

static void put_restart(weir_buffer *out, const struct restart_options *restart)
{
    buffer_put_u8(out, (uint8_t)restart->kind);
    put_ms(out, restart->delay_ms);
    put_ms(out, restart->delay_max_ms);
    put_ms(out, restart->reset_ms);
    buffer_put_u32(out, restart->attempts_max);
    buffer_put_u32(out, restart->multiplier_percent);
    buffer_put_u8(out, (uint8_t)restart->jitter_percent);
}

void job_spec_encode(const struct job_spec *spec, weir_buffer *out)
{
    weir_buffer *body = weir_buffer_new(JOB_SPEC_SIZE_MAX - SEALED_HEADER_SIZE);
    put_plan(body, spec->plan);
    buffer_put_u32(body, spec->argument_count);
    for (uint32_t i = 0; i < spec->argument_count; i++)
        buffer_put_str(body, weir_str_of(spec->arguments[i]));
    put_path(body, spec->checkpoints);
    buffer_put_u32(body, spec->retained);
    put_path(body, spec->savepoints);
    buffer_put_u8(body, spec->is_fresh);
    put_path(body, spec->from_savepoint);
    buffer_put_u8(body, spec->allow_non_restored);
    put_ms(body, spec->interval_ms);
    put_ms(body, spec->min_pause_ms);
    put_ms(body, spec->timeout_ms);
    put_ms(body, spec->aligned_timeout_ms);
    put_ms(body, spec->stop_timeout_ms);
    put_restart(body, &spec->restart);
    buffer_put_str(body, weir_str_of(spec->backend));
    buffer_put_u64(body, spec->memory_size);
    sealed_put(&form, body, out);
    weir_buffer_free(body);
}

/* -- decoding: a piece that is none fails the reader -------------------------------------------- */

static weir_error *damaged(const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "the job is damaged: %s", what);
}

static bool get_bool(struct reader *reader)
{
    return reader_u8_max(reader, 1) == 1;
}

static int64_t get_ms(struct reader *reader)
{
    return (int64_t)reader_u64_max(reader, JOB_SPEC_MS_MAX);
}

static const char *get_path(struct reader *reader, struct arena *arena)
{
    if (!get_bool(reader))
        return NULL;
    const char *path = reader_text(reader, arena, OS_PATH_MAX);
    if (path == NULL || path[0] == '\0')
        reader_fail(reader);
    return path;
}

static weir_error *get_arguments(struct reader *reader, struct arena *arena, struct job_spec *spec)
{
    spec->argument_count = reader_u32_max(reader, ARGUMENTS_MAX);
    const char **arguments = arena_alloc(arena, spec->argument_count * sizeof(*arguments));
    spec->arguments = arguments;
    for (uint32_t i = 0; i < spec->argument_count; i++) {
        arguments[i] = reader_text(reader, arena, ARGUMENT_SIZE_MAX);
        if (arguments[i] == NULL)
            reader_fail(reader);
    }
    return reader_failed(reader) ? damaged("its arguments are none") : NULL;
}

static weir_error *get_places(struct reader *reader, struct arena *arena, struct job_spec *spec)
{
    spec->checkpoints = get_path(reader, arena);
    spec->retained = reader_u32_max(reader, JOB_SPEC_RETAINED_MAX);
    spec->savepoints = get_path(reader, arena);
    spec->is_fresh = get_bool(reader);
    spec->from_savepoint = get_path(reader, arena);
    spec->allow_non_restored = get_bool(reader);
    if (reader_failed(reader) || spec->retained == 0)
        return damaged("where its checkpoints and savepoints are");
    if (spec->from_savepoint == NULL ? spec->allow_non_restored : spec->is_fresh)
        return damaged("it starts in two ways");
    return NULL;
}

static weir_error *get_times(struct reader *reader, struct job_spec *spec)
{
    spec->interval_ms = get_ms(reader);
    spec->min_pause_ms = get_ms(reader);
    spec->timeout_ms = get_ms(reader);
    spec->aligned_timeout_ms = get_ms(reader);
    spec->stop_timeout_ms = get_ms(reader);
    return reader_failed(reader) || spec->timeout_ms == 0 || spec->stop_timeout_ms == 0
               ? damaged("the times of its checkpoints")
               : NULL;
}

static weir_error *get_restart(struct reader *reader, struct restart_options *restart)
{
    restart->kind = (enum restart_kind)reader_u8_max(reader, RESTART_EXPONENTIAL);
    restart->delay_ms = get_ms(reader);
    restart->delay_max_ms = get_ms(reader);
    restart->reset_ms = get_ms(reader);
    restart->attempts_max = reader_u32_max(reader, JOB_SPEC_RESTARTS_MAX);
    restart->multiplier_percent = reader_u32_max(reader, MULTIPLIER_MAX);
    restart->jitter_percent = reader_u8_max(reader, 100);
    bool is_growing = restart->kind == RESTART_EXPONENTIAL;
    if (reader_failed(reader) || (is_growing && (restart->multiplier_percent < 100 ||
                                                    restart->delay_max_ms < restart->delay_ms)))
        return damaged("how it restarts");
    return NULL;
}

static weir_error *get_state(struct reader *reader, struct arena *arena, struct job_spec *spec)
{
    spec->backend = reader_text(reader, arena, BACKEND_SIZE_MAX);
    spec->memory_size = reader_u64_max(reader, INT64_MAX);
    if (reader_failed(reader) || spec->backend == NULL ||
        backend_of_format(weir_str_of(spec->backend)) == NULL ||
        spec->memory_size < JOB_SPEC_MEMORY_MIN)
        return damaged("its state backend");
    return NULL;
}

weir_error *job_spec_decode(weir_str bytes, struct arena *arena, struct job_spec *spec)
{
    uint32_t version;
    weir_str body;
    *spec = (struct job_spec){ .plan = NULL };
    if (bytes.size > JOB_SPEC_SIZE_MAX)
        return damaged("no job has so many bytes");
    WEIR_TRY(sealed_open(&any, bytes, "the job", &version, &body));
    if (version != JOB_SPEC_VERSION)
        return weir_errorf(WEIR_E_STATE,
            "the job speaks version %" PRIu32
            " of the protocol, this cluster version %u (of weir %s): build the job "
            "again with this libweir",
            version, JOB_SPEC_VERSION, WEIR_VERSION);
    struct reader reader = reader_of(body);
    weir_str plan = reader_str(&reader);
    if (plan.data == NULL)
        return damaged("it has no plan");
    WEIR_TRY(plan_decode(plan, arena, &spec->plan));
    WEIR_TRY(get_arguments(&reader, arena, spec));
    WEIR_TRY(get_places(&reader, arena, spec));
    WEIR_TRY(get_times(&reader, spec));
    WEIR_TRY(get_restart(&reader, &spec->restart));
    WEIR_TRY(get_state(&reader, arena, spec));
    return reader_at_end(&reader) ? NULL : damaged("its length is wrong");
}
