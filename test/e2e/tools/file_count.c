/* file_count: the job of test_files.py: counts how often each line of its input has come, from files
 * to files, slowly.
 *
 *   file_count --in DIR --out DIR --pause-us N [options of every job]
 *
 * in:   lines of the files in DIR, plain or packed
 * out:  count-*.txt, "line TAB n" for the n-th time that the line has come; dead-*.ndjson, what is longer
 *       than 200 bytes
 * A line that comes k times must give 1 .. k, each once: input, state and output are exact, or it does
 * not. Every 64 records each counting subtask pauses N microseconds, so that there is time to kill it. */
#include <weir/weir.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define LINE_SIZE_MAX 200
#define PAUSE_EVERY   64

struct tally {
    uint64_t count;
};
WEIR_TYPE(tally, WEIR_FIELD(1, tally, count));

struct counter {
    uint64_t seen;
};

static void pause_now_and_then(weir_ctx *ctx)
{
    struct counter *counter = weir_instance(ctx);
    const int64_t *pause_us = weir_config(ctx);
    if (++counter->seen % PAUSE_EVERY != 0)
        return;
    struct timespec pause = { .tv_sec = *pause_us / 1000000,
        .tv_nsec = *pause_us % 1000000 * 1000 };
    nanosleep(&pause, NULL); /* blocks the task on purpose */
}

static weir_error *on_line(weir_ctx *ctx, const void *record)
{
    const struct weir_message *line = record;
    struct tally *tally = weir_state_edit(ctx, 0, tally);
    tally->count++;
    char *text = weir_scratch(ctx, 24);
    int size = snprintf(text, 24, "%" PRIu64, tally->count);
    struct weir_message out = *line;
    out.key = line->value;
    out.value = (weir_str){ .data = text, .size = (uint64_t)size };
    weir_emit(ctx, weir_message, &out);
    pause_now_and_then(ctx);
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
    .instance_size = sizeof(struct counter),
    .on_record = on_line };

static void build(weir_job *job)
{
    int64_t *pause_us = weir_job_alloc(job, sizeof(*pause_us));
    *pause_us = weir_job_number(job, "pause-us");
    const char *out = weir_job_text(job, "out");
    weir_stream *lines = weir_source(job, "lines",
        weir_file_source(.path = weir_job_text(job, "in"), .format = weir_raw(),
            .line_size_max = LINE_SIZE_MAX));
    weir_stream *counted =
        weir_process(weir_key_by(lines, WEIR_KEY(weir_message, value)), &count_lines, pause_us);
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
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .name = "file-count",
        .help = "Counts how often each line of its input has come.",
        .options = options,
        .option_count = 3,
        .build = build };
    return weir_main_program(argc, argv, &program);
}
