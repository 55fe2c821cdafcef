/* rogue.c -- a job for tests of a cluster: well until a record, and then it does what no job should.
 *
 *      generator -- by key --> commit --> files
 *      files or Kafka, with --input or --brokers: commit is chained to the source
 *
 * What   At record --at: crash follows a null pointer, abort and exit do that, loop never comes back, hog allocates without
 *        end, fail returns an error, decode aborts while the source still decodes it. Besides, plan names its source
 *        after its process: each process makes another plan; and no process makes one while there is a file
 *        <output>.closed.
 * How    Its one rule for tests: what happens to it must not be noticed by the job beside it. */
#include <weir/weir.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_SIZE ((size_t)8 << 20)

struct tick {
    uint64_t index;
};
WEIR_TYPE(tick, WEIR_FIELD(1, tick, index));

struct crime {
    char kind[16];
    uint64_t at;
};

static void *volatile kept;

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)seed;
    (void)ctx;
    *(struct tick *)record = (struct tick){ .index = index };
}

static void crash(void)
{
    *(volatile int *)kept = 1; /* nothing is kept */
}

static void hog(void)
{
    for (;;) {
        kept = malloc(PIECE_SIZE);
        if (kept != NULL)
            memset(kept, 1, PIECE_SIZE);
        usleep(1000); /* so that others have the processor */
    }
}

static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    const struct tick *tick = record;
    const struct crime *crime = weir_config(ctx);
    if (tick->index == crime->at && strcmp(crime->kind, "crash") == 0)
        crash();
    if (tick->index == crime->at && strcmp(crime->kind, "abort") == 0)
        abort();
    if (tick->index == crime->at && strcmp(crime->kind, "exit") == 0)
        exit(3);
    if (tick->index == crime->at && strcmp(crime->kind, "hog") == 0)
        hog();
    while (tick->index == crime->at && strcmp(crime->kind, "loop") == 0)
        kept = NULL;
    if (tick->index == crime->at && strcmp(crime->kind, "fail") == 0)
        return weir_errorf(WEIR_E_DATA, "record %llu is not to my taste",
            (unsigned long long)tick->index);
    weir_emit(ctx, tick, tick);
    return NULL;
}

static const struct weir_operator commit = { .uid = "commit",
    .in = &tick_type,
    .out = &tick_type,
    .on_record = on_record };

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    const struct crime *crime = format->options;
    struct weir_format json = weir_json(&tick_type);
    weir_error *error = json.format_class->decode(&json, ctx, message, record);
    if (error == NULL && strcmp(crime->kind, "decode") == 0 &&
        ((const struct tick *)record)->index == crime->at)
        abort();
    return error;
}

static const struct weir_format_class format_class = { .name = "rogue", .decode = decode };

static struct weir_source ticks(weir_job *job, const struct crime *crime)
{
    const char *input = weir_job_text(job, "input"), *brokers = weir_job_text(job, "brokers");
    struct weir_format format = { .format_class = &format_class,
        .type = &tick_type,
        .options = crime };
    if (input[0] != '\0')
        return weir_file_source(.path = input, .format = format);
    if (brokers[0] != '\0')
        return weir_kafka_source(.brokers = brokers, .topic = "rogue", .format = format);
    return weir_generator(.type = &tick_type, .generate = generate,
        .count = (uint64_t)weir_job_number(job, "count"), .per_second = 1000);
}

static void build(weir_job *job)
{
    char closed[4096];
    snprintf(closed, sizeof(closed), "%s.closed", weir_job_text(job, "output"));
    if (access(closed, F_OK) == 0)
        abort();
    struct crime *crime = weir_job_alloc(job, sizeof(*crime));
    char *source = weir_job_alloc(job, 32);
    snprintf(crime->kind, sizeof(crime->kind), "%s", weir_job_text(job, "crime"));
    crime->at = (uint64_t)weir_job_number(job, "at");
    snprintf(source, 32, "ticks-%d", strcmp(crime->kind, "plan") == 0 ? (int)getpid() : 0);
    struct weir_source from = ticks(job, crime);
    weir_stream *stream = weir_source(job, source, from);
    if (strcmp(from.source_class->name, "generator") == 0)
        stream = weir_key_by(stream, WEIR_KEY(tick, index));
    weir_stream *committed = weir_process(stream, &commit, crime);
    weir_sink(committed, "out",
        weir_file_sink(.path = weir_job_text(job, "output"), .format = weir_json(&tick_type)));
}

static const struct weir_option options[] = {
    { "output", WEIR_OPTION_TEXT, "DIR", "out", "where the records go", 0, 0 },
    { "count", WEIR_OPTION_NUMBER, "N", "1000000", "records", 1, INT64_MAX },
    { "crime", WEIR_OPTION_TEXT, "KIND", "none",
        "crash, abort, exit, loop, hog, fail, decode or plan", 0, 0 },
    { "input", WEIR_OPTION_TEXT, "DIR", "", "of files to read", 0, 0 },
    { "brokers", WEIR_OPTION_TEXT, "HOST:PORT", "", "of the topic 'rogue' to read", 0, 0 },
    { "at", WEIR_OPTION_NUMBER, "N", "100", "the record at which it happens", 0, INT64_MAX },
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .help = "Does what no job should.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .build = build };
    return weir_main_program(argc, argv, &program);
}
