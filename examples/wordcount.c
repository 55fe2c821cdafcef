/* wordcount.c -- counts the words of text files: ./wordcount --input DIR_OR_FILE */
#include <weir/weir.h>

struct word {
    weir_str text;
    int64_t count;
};
WEIR_TYPE(word, WEIR_FIELD(1, word, text), WEIR_FIELD(2, word, count));

static weir_error *split(weir_ctx *ctx, const void *record)
{
    weir_str line = ((const struct weir_message *)record)->value;
    for (uint64_t start = 0, end; start < line.size; start = end + 1) {
        const char *space = memchr(line.data + start, ' ', line.size - start);
        end = space == NULL ? line.size : (uint64_t)(space - line.data);
        if (end > start)
            weir_emit(ctx, word, (&(struct word){ { line.data + start, end - start }, 1 }));
    }
    return NULL;
}

static void add(void *total, const void *one)
{
    ((struct word *)total)->count += ((const struct word *)one)->count;
}

static void build(weir_job *job)
{
    weir_stream *lines = weir_source(job, "lines",
        weir_file_source(.path = weir_job_text(job, "input"), .format = weir_raw()));
    weir_stream *words = weir_flat_map(lines, "split", split, &word_type, NULL);
    weir_stream *counts = weir_reduce(weir_key_by(words, WEIR_KEY(word, text)), "count", add);
    weir_sink(counts, "out", weir_print());
}

int main(int argc, char **argv)
{
    struct weir_option input = { "input", WEIR_OPTION_TEXT, "PATH", ".", "what to read", 0, 0 };
    return weir_main_program(argc, argv, &(struct weir_program){ NULL, NULL, &input, 1, build });
}
