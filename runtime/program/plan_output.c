/* plan_output.c -- see plan_output.h. */
#include "runtime/program/plan_output.h"

#include "base/buffer.h"
#include "base/os_process.h"
#include "runtime/cluster/job_spec.h"

#define DESCRIPTOR 3

weir_error *plan_output_check(const char *program)
{
    if (os_descriptor_is_writable(DESCRIPTOR))
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "'plan' writes the job to file descriptor %d, but that is not open for writing: "
        "%s plan ... %d>FILE",
        DESCRIPTOR, program, DESCRIPTOR);
}

weir_error *plan_output_encode(const struct plan *plan, const struct local_options *local,
    const char *const *arguments, uint32_t argument_count, weir_buffer *out)
{
    struct job_spec spec = { .plan = plan,
        .arguments = arguments,
        .argument_count = argument_count,
        .checkpoints = local->checkpoints,
        .retained = local->retained,
        .savepoints = local->savepoints,
        .is_fresh = local->is_fresh,
        .from_savepoint = local->from_savepoint,
        .allow_non_restored = local->allow_non_restored,
        .interval_ms = local->interval_ms,
        .min_pause_ms = local->min_pause_ms,
        .timeout_ms = local->timeout_ms,
        .aligned_timeout_ms = local->aligned_timeout_ms,
        .stop_timeout_ms = local->stop_timeout_ms,
        .restart = local->restart,
        .backend = local->backend->format,
        .memory_size = local->memory_size };
    job_spec_encode(&spec, out);
    if (!weir_buffer_overflowed(out))
        return NULL;
    return weir_errorf(WEIR_E_LIMIT, "the plan of the job has more than %zu MB, too many to send",
        PLAN_SIZE_MAX >> 20);
}

weir_error *plan_output_write(const struct plan *plan, const struct local_options *local,
    const char *const *arguments, uint32_t argument_count)
{
    weir_buffer *bytes = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    weir_error *error = plan_output_encode(plan, local, arguments, argument_count, bytes);
    weir_str view = weir_buffer_view(bytes);
    if (error == NULL)
        error = os_descriptor_write(DESCRIPTOR, view.data, view.size);
    weir_buffer_free(bytes);
    return error;
}
