/* sim_program.c -- see sim_program.h. */
#include "test/sim/sim_program.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "runtime/program/plan_output.h"
#include "test/sim/sim_run.h"

#include <stdio.h>

static void sound(weir_error *error)
{
    if (error != NULL)
        fprintf(stderr, "sim: %s\n", weir_error_message(error));
    ASSERT(error == NULL);
}

static void copy_arguments(struct sim_program *it, char *const *argv)
{
    uint32_t count = 0;
    while (argv[count + 2] != NULL)
        count++;
    it->arguments = mem_alloc_array(count + 2, sizeof(*it->arguments));
    it->arguments[0] = mem_strdup(argv[0]);
    for (uint32_t i = 0; i < count; i++)
        it->arguments[i + 1] = mem_strdup(argv[i + 2]);
    it->argument_count = count;
}

struct sim_program *sim_program_open(const struct sim_shape *shape, const struct sim_setup *setup,
    char *const *argv)
{
    struct sim_program *it = mem_alloc(sizeof(*it));
    it->setup = *setup;
    it->config = config_new();
    copy_arguments(it, argv);
    options_add(it->config);
    sound(config_parse(it->config, (int)it->argument_count + 1, it->arguments));
    sound(options_read(it->config, &it->options));
    log_set_level(sim_log_level);
    it->options.local.worker_count = 0;
    it->setup.parallelism = it->options.plan.parallelism;
    it->plan = sim_job_plan(shape, &it->setup, &it->job);
    return it;
}

void sim_program_close(struct sim_program *program)
{
    if (program == NULL)
        return;
    job_free(program->job);
    config_free(program->config);
    for (uint32_t i = 0; i <= program->argument_count; i++)
        mem_free(program->arguments[i]);
    mem_free(program->arguments);
    mem_free(program);
}

void sim_program_plan(const struct sim_program *program, weir_buffer *out)
{
    sound(plan_output_encode(program->plan, &program->options.local,
        (const char *const *)program->arguments + 1, program->argument_count, out));
}
