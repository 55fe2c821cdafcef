/* lines.c -- a job for tests of bad records: lines of CSV to lines of JSON, bad ones to dead letters.
 *
 *      file --> part files
 *        \-bad-> dead-letters files, limited by --bad-per-second, or not connected with --no-letters */
#include <weir/weir.h>

struct word {
    int64_t id;
    weir_str text;
};
WEIR_TYPE(word, WEIR_FIELD(1, word, id), WEIR_FIELD(2, word, text));

static void build(weir_job *job)
{
    const char *output = weir_job_text(job, "output");
    weir_stream *words = weir_source(job, "words",
        weir_file_source(.path = weir_job_text(job, "input"), .format = weir_csv(&word_type)));
    weir_sink(words, "out", weir_file_sink(.path = output, .format = weir_json(&word_type)));
    if (weir_job_flag(job, "no-letters"))
        return;
    uint32_t limit = (uint32_t)weir_job_number(job, "bad-per-second");
    weir_sink(weir_dead_letters(words, limit), "letters",
        weir_file_sink(.path = output, .prefix = "dead-letters",
            .format = weir_json(&weir_dead_letter_type)));
}

static const struct weir_option options[] = {
    { "input", WEIR_OPTION_TEXT, "PATH", "in", "a file of lines, or a directory", 0, 0 },
    { "output", WEIR_OPTION_TEXT, "DIR", "out", "where the records go", 0, 0 },
    { "bad-per-second", WEIR_OPTION_NUMBER, "N", "0", "bad records that are too many", 0, 1000000 },
    { "no-letters", WEIR_OPTION_FLAG, NULL, NULL, "no place for bad records", 0, 0 },
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .help = "Turns lines of CSV into lines of JSON.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .build = build };
    return weir_main_program(argc, argv, &program);
}
