/* steady.c -- a job for tests that stop, kill and damage jobs: numbered records at a steady rate.
 *
 *      generator -- by key --> count -- > files          {"index":17,"key":3,"nth":2}
 *
 * What   Record i has the key i % KEYS and leaves with how many of its key have been seen. So output is
 *        right when every index is there once, and every key's nth are 1, 2, 3, … without a gap: the
 *        first shows the source's positions and the sink, the second the state.
 *        With --tell every thousandth record is said on stderr before it is counted: what a test can
 *        wait for.
 *        --nap makes the operator slow, against all rules: the source is held back, the job hard to
 *        stop. --pad makes records long, so that few of them fill the way to the operator.
 *        --pipelines 2 is all of it twice, each on slots and in a region of its own: the second one's
 *        output is in another directory, OUTPUT-1.
 *        With --brokers records come from the topic in (of the second pipeline: in-1), as a test has put
 *        them there, and go to the topic out.
 * How    Its name is that of the program, so that a test can make two jobs of it. The length of the pad
 *        travels as the generator's seed. */
#include <weir/weir.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEYS    97
#define PAD_MAX 65536

static char padding[PAD_MAX];

struct tick {
    uint64_t index, key;
    weir_str pad;
};
WEIR_TYPE(tick, WEIR_FIELD(1, tick, index), WEIR_FIELD(2, tick, key), WEIR_FIELD(3, tick, pad));

struct seen {
    uint64_t index, key, nth;
};
WEIR_TYPE(seen, WEIR_FIELD(1, seen, index), WEIR_FIELD(2, seen, key), WEIR_FIELD(3, seen, nth));

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)ctx;
    *(struct tick *)record = (struct tick){ .index = index,
        .key = index % KEYS,
        .pad = { .data = padding, .size = seed } };
}

struct pace {
    uint32_t nap_us;
    bool is_told;
};

static const struct weir_state states[] = { { .name = "last", .type = &seen_type } };

static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    const struct tick *tick = record;
    const struct pace *pace = weir_config(ctx);
    if (pace->is_told && tick->index % 1000 == 0)
        fprintf(stderr, "reached %llu\n", (unsigned long long)tick->index);
    if (pace->nap_us > 0) /* usleep(0) takes 50 us */
        usleep(pace->nap_us);
    struct seen *last = weir_state_edit(ctx, 0, seen);
    *last = (struct seen){ .index = tick->index, .key = tick->key, .nth = last->nth + 1 };
    weir_count(ctx, 0, 1);
    weir_emit(ctx, seen, last);
    return NULL;
}

static const char *const counters[] = { "counted" };

static const struct weir_operator count = { .uid = "count",
    .in = &tick_type,
    .out = &seen_type,
    .states = states,
    .state_count = 1,
    .counters = counters,
    .counter_count = 1,
    .on_record = on_record };

/* The first pipeline has the plain name. */
static const char *name_in(weir_job *job, const char *name, int64_t pipeline)
{
    size_t size = strlen(name) + 32;
    char *text = weir_job_alloc(job, size);
    if (pipeline == 0)
        snprintf(text, size, "%s", name);
    else
        snprintf(text, size, "%s-%lld", name, (long long)pipeline);
    return text;
}

static struct weir_source source_of(weir_job *job, int64_t pipeline)
{
    const char *brokers = weir_job_text(job, "brokers");
    if (brokers != NULL)
        return weir_kafka_source(.brokers = brokers, .topic = name_in(job, "in", pipeline),
            .format = weir_json(&tick_type));
    return weir_generator(.type = &tick_type, .generate = generate,
        .seed = (uint64_t)weir_job_number(job, "pad"),
        .count = (uint64_t)weir_job_number(job, "count"),
        .per_second = (uint64_t)weir_job_number(job, "rate"));
}

static struct weir_sink sink_of(weir_job *job, int64_t pipeline)
{
    const char *brokers = weir_job_text(job, "brokers");
    if (brokers != NULL)
        return weir_kafka_sink(.brokers = brokers, .topic = name_in(job, "out", pipeline),
            .format = weir_json(&seen_type));
    return weir_file_sink(.path = name_in(job, weir_job_text(job, "output"), pipeline),
        .format = weir_json(&seen_type));
}

static void build_pipeline(weir_job *job, int64_t pipeline)
{
    struct pace *pace = weir_job_alloc(job, sizeof(*pace));
    *pace = (struct pace){ .nap_us = (uint32_t)weir_job_number(job, "nap") * 1000,
        .is_told = weir_job_flag(job, "tell") };
    struct weir_operator *counting = weir_job_alloc(job, sizeof(*counting));
    *counting = count;
    counting->uid = name_in(job, count.uid, pipeline);
    weir_stream *ticks =
        weir_source(job, name_in(job, "ticks", pipeline), source_of(job, pipeline));
    weir_stream *counted = weir_process(weir_key_by(ticks, WEIR_KEY(tick, key)), counting, pace);
    if (pipeline > 0) {
        weir_slot_group(ticks, name_in(job, "pipeline", pipeline));
        weir_slot_group(counted, name_in(job, "pipeline", pipeline));
    }
    weir_sink(counted, name_in(job, "out", pipeline), sink_of(job, pipeline));
}

static void build(weir_job *job)
{
    for (int64_t i = 0; i < weir_job_number(job, "pipelines"); i++)
        build_pipeline(job, i);
}

static const struct weir_option options[] = {
    { "output", WEIR_OPTION_TEXT, "DIR", "out", "where the records go", 0, 0 },
    { "count", WEIR_OPTION_NUMBER, "N", "20000", "records", 1, INT64_MAX },
    { "rate", WEIR_OPTION_NUMBER, "N", "0", "records a second; 0: as fast as it goes", 0,
        INT64_MAX },
    { "pad", WEIR_OPTION_SIZE, "SIZE", "0", "how much longer each record is", 0, PAD_MAX },
    { "nap", WEIR_OPTION_DURATION, "TIME", "0", "how much longer each record takes", 0, 60000 },
    { "pipelines", WEIR_OPTION_NUMBER, "N", "1", "how often all of it is there", 1, 8 },
    { "tell", WEIR_OPTION_FLAG, NULL, NULL, "say how far it is", 0, 0 },
    { "brokers", WEIR_OPTION_TEXT, "HOST:PORT", NULL, "from Kafka to Kafka", 0, 0 },
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .help = "Counts numbered records by key.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .build = build };
    return weir_main_program(argc, argv, &program);
}
