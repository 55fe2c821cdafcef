/* ticks.c -- the smallest job that never ends, for tests and benchmarks of clusters: numbers at a rate.
 *
 *      generator -- > standard output          {"index":17} */
#include <weir/weir.h>

struct tick {
    uint64_t index;
};
WEIR_TYPE(tick, WEIR_FIELD(1, tick, index));

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)seed, (void)ctx;
    *(struct tick *)record = (struct tick){ .index = index };
}

static void build(weir_job *job)
{
    weir_stream *ticks = weir_source(job, "ticks",
        weir_generator(.type = &tick_type, .generate = generate,
            .per_second = (uint64_t)weir_job_number(job, "rate")));
    weir_sink(ticks, "out", weir_print());
}

static const struct weir_option options[] = {
    { "rate", WEIR_OPTION_NUMBER, "N", "1", "records a second", 1, INT64_MAX },
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .help = "Prints numbers at a rate.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .build = build };
    return weir_main_program(argc, argv, &program);
}
