/* plan_explain.c -- what a process without any code of a job knows of it: plan_explain text|json|dot FILE
 *
 * FILE is what `JOB plan ARGS... 3>job` wrote; this prints what `JOB explain --as ...` would. */
#include "base/buffer.h"
#include "runtime/cluster/job_spec.h"

#include <stdio.h>
#include <string.h>

static int fail(weir_error *error)
{
    fprintf(stderr, "plan_explain: %s\n", weir_error_message(error));
    return weir_code_exit(weir_error_code(error));
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct job_spec spec;
    char chunk[4096];
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (file == NULL) {
        fprintf(stderr, "usage: plan_explain text|json|dot FILE\n");
        return 2;
    }
    weir_buffer *bytes = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    for (size_t got; (got = fread(chunk, 1, sizeof(chunk), file)) > 0;)
        weir_buffer_add(bytes, chunk, got);
    arena_init(&arena, 4096, JOB_SPEC_DECODED_SIZE_MAX);
    weir_error *error = job_spec_decode(weir_buffer_view(bytes), &arena, &spec);
    if (error != NULL)
        return fail(error);
    weir_buffer *out = weir_buffer_new((size_t)64 << 20);
    if (strcmp(argv[1], "json") == 0)
        explain_json(spec.plan, out);
    else if (strcmp(argv[1], "dot") == 0)
        explain_dot(spec.plan, out);
    else
        explain_text(spec.plan, out);
    error = buffer_to_stdout(out);
    return error == NULL ? 0 : fail(error);
}
