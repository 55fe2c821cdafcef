/* bad_graph.c -- a job with every mistake that a graph can have: what its author reads, all at once.
 *
 *      ticks -- by key --> "twice" --wrong type--> "twice" --> no uid, but states --> nowhere */
#include <weir/weir.h>

struct tick {
    uint64_t index;
};
WEIR_TYPE(tick, WEIR_FIELD(1, tick, index));

struct other {
    weir_str text;
};
WEIR_TYPE(other, WEIR_FIELD(1, other, text));

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)seed;
    (void)ctx;
    *(struct tick *)record = (struct tick){ .index = index };
}

static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    (void)ctx;
    (void)record;
    return NULL;
}

static const struct weir_state states[] = { { .name = "last", .type = &tick_type } };

static const struct weir_operator first = { .uid = "twice",
    .in = &tick_type,
    .out = &tick_type,
    .on_record = on_record };
static const struct weir_operator second = { .uid = "twice",
    .name = "second",
    .in = &other_type,
    .out = &other_type,
    .on_record = on_record };
static const struct weir_operator unnamed = { .name = "nameless",
    .in = &other_type,
    .out = &other_type,
    .states = states,
    .state_count = 1,
    .on_record = on_record };

static void build(weir_job *job)
{
    weir_stream *stream = weir_source(job, "ticks",
        weir_generator(.type = &tick_type, .generate = generate, .count = 1));
    stream = weir_process(weir_key_by(stream, WEIR_KEY(tick, index)), &first, NULL);
    stream = weir_process(stream, &second, NULL);
    stream = weir_process(weir_key_by(stream, WEIR_KEY(other, text)), &unnamed, NULL);
    weir_sink(stream, "nowhere", weir_blackhole());
}

int main(int argc, char **argv)
{
    return weir_main(argc, argv, build);
}
