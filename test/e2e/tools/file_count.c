/* file_count: the job of test_files.py: counts how often each line of its input has come, from files
 * to files, slowly.
 *
 *   file_count --in DIR --out DIR --pause-us N [--read-pause-us N] [options of every job]
 *
 * in:   lines of the files in DIR, plain or packed
 * out:  count-*.txt, "line TAB n" for the n-th time that the line has come, and "line TAB -k" at the end, by a
 *       timer, for the k times that it came; dead-*.ndjson, what is longer than 200 bytes
 * A line that comes k times must give 1 .. k and -k, each once: input, state, timers and output are exact, or it
 * does not. Every 64 records each counting subtask pauses N microseconds, so that there is time to kill it. */
#include <weir/weir.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define LINE_SIZE_MAX    200
#define PAUSE_EVERY      64
#define READ_PAUSE_EVERY 16

struct tally {
    uint64_t count;
};
WEIR_TYPE(tally, WEIR_FIELD(1, tally, count));

struct counter {
    uint64_t seen;
};

static void pause_now_and_then(weir_ctx *ctx, uint64_t every)
{
    struct counter *counter = weir_instance(ctx);
    const int64_t *pause_us = weir_config(ctx);
    if (++counter->seen % every != 0 || *pause_us == 0) /* even a pause of nothing takes 50 us */
        return;
    struct timespec pause = { .tv_sec = *pause_us / 1000000,
        .tv_nsec = *pause_us % 1000000 * 1000 };
    nanosleep(&pause, NULL); /* blocks the task on purpose */
}

static void emit(weir_ctx *ctx, weir_str line, int64_t number)
{
    char *text = weir_scratch(ctx, 24);
    int size = snprintf(text, 24, "%" PRId64, number);
    struct weir_message out = { .key = line,
        .value = { .data = text, .size = (uint64_t)size },
        .partition = -1 };
    weir_emit(ctx, weir_message, &out);
}

static weir_error *on_line(weir_ctx *ctx, const void *record)
{
    const struct weir_message *line = record;
    struct tally *tally = weir_state_edit(ctx, 0, tally);
    if (++tally->count == 1)
        weir_timer_set(ctx, WEIR_EVENT_TIME, 0); /* fires at the end: lines have no time */
    emit(ctx, line->value, (int64_t)tally->count);
    pause_now_and_then(ctx, PAUSE_EVERY);
    return NULL;
}

static weir_error *on_end(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    (void)time;
    (void)at_ms;
    const struct tally *tally = weir_state_read(ctx, 0, tally);
    emit(ctx, weir_key_bytes(ctx), -(int64_t)tally->count);
    return NULL;
}

static const struct weir_state states[] = {
    { .name = "tally", .kind = WEIR_VALUE, .type = &tally_type },
};
static const struct weir_operator count_lines = { .uid = "count-lines",
    .in = &weir_message_type,
    .out = &weir_message_type,
    .states = states,
    .state_count = 1,
    .has_timers = true,
    .instance_size = sizeof(struct counter),
    .on_record = on_line,
    .on_timer = on_end };

/* In the task of the source: a barrier waits for no lines that were read before it. */
static weir_error *on_read(weir_ctx *ctx, const void *record)
{
    weir_emit(ctx, weir_message, (const struct weir_message *)record);
    pause_now_and_then(ctx, READ_PAUSE_EVERY);
    return NULL;
}

static const struct weir_operator pace = { .uid = "pace",
    .in = &weir_message_type,
    .out = &weir_message_type,
    .instance_size = sizeof(struct counter),
    .on_record = on_read };

static int64_t *number_of(weir_job *job, const char *option)
{
    int64_t *number = weir_job_alloc(job, sizeof(*number));
    *number = weir_job_number(job, option);
    return number;
}

static void build(weir_job *job)
{
    const char *out = weir_job_text(job, "out");
    weir_stream *lines = weir_source(job, "lines",
        weir_file_source(.path = weir_job_text(job, "in"), .format = weir_raw(),
            .line_size_max = LINE_SIZE_MAX));
    weir_stream *paced = weir_process(lines, &pace, number_of(job, "read-pause-us"));
    weir_stream *counted = weir_process(weir_key_by(paced, WEIR_KEY(weir_message, value)),
        &count_lines, number_of(job, "pause-us"));
    weir_sink(counted, "out",
        weir_file_sink(.path = out, .prefix = "count", .suffix = "txt", .format = weir_raw(),
            .with_key = true));
    weir_sink(weir_dead_letters(lines, 0), "dead",
        weir_file_sink(.path = out, .prefix = "dead", .format = weir_json(&weir_dead_letter_type)));
}

static const struct weir_option options[] = {
    { "in", WEIR_OPTION_TEXT, "DIR", NULL, "where the lines are", 0, 0 },
    { "out", WEIR_OPTION_TEXT, "DIR", NULL, "where the counts go", 0, 0 },
    { "pause-us", WEIR_OPTION_NUMBER, "N", "0", "pause after every 64 records", 0, 1000000 },
    { "read-pause-us", WEIR_OPTION_NUMBER, "N", "0", "pause after every 16 lines read", 0,
        1000000 },
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .name = "file-count",
        .help = "Counts how often each line of its input has come.",
        .options = options,
        .option_count = 4,
        .build = build };
    return weir_main_program(argc, argv, &program);
}
