/* print.c -- weir_print: a JSON line per record, to standard output, for people who try things out.
 *
 * The lines of a batch are collected and written at its end in one call, so subtasks of one process
 * never mix within a line. At least once: what was printed after the last checkpoint is printed
 * again after a restart. Writing blocks the task while nobody reads from the pipe: that is the one
 * sink that may, and another reason not to use it for real output. When the reader is gone (`| head`)
 * the job fails for good: a restart would not bring it back. */
#include "base/assert.h"
#include "base/os_process.h"

#include <weir/connector.h>

#define LINE_SIZE_MAX  (16u << 20) /* bytes; longer ones are dead letters */
#define BATCH_SIZE_MAX (64u << 20) /* bytes of lines before they are written */

/* Thread: task. */
struct print {
    struct weir_format format;
    weir_buffer *lines;
};

static const struct weir_type *in_type(const void *options)
{
    (void)options;
    return NULL;
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    struct print *print = instance;
    (void)options;
    print->format = weir_json(weir_in_type(ctx));
    print->lines = weir_buffer_new(BATCH_SIZE_MAX);
    return NULL;
}

static weir_error *flush_lines(struct print *print)
{
    weir_str lines = weir_buffer_view(print->lines);
    ASSERT(!weir_buffer_overflowed(print->lines));
    WEIR_TRY(os_stdout_write(lines.data, lines.size));
    weir_buffer_reset(print->lines);
    return NULL;
}

static weir_error *add_line(weir_ctx *ctx, struct print *print, const struct weir_row *row)
{
    struct weir_message message;
    weir_error *error = weir_sink_encode(ctx, &print->format, row->record, LINE_SIZE_MAX, &message);
    if (error != NULL) {
        weir_batch_reject(ctx, row, error);
        return NULL;
    }
    if (weir_buffer_view(print->lines).size + message.value.size + 1 > BATCH_SIZE_MAX)
        WEIR_TRY(flush_lines(print));
    weir_buffer_add_str(print->lines, message.value);
    weir_buffer_add_byte(print->lines, '\n');
    return NULL;
}

static weir_error *write_rows(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    struct print *print = instance;
    for (uint32_t i = 0; i < row_count; i++)
        WEIR_TRY(add_line(ctx, print, &rows[i]));
    return flush_lines(print);
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    struct print *print = instance;
    (void)ctx;
    weir_buffer_free(print->lines);
}

static const struct weir_sink_class print_class = {
    .name = "print",
    .instance_size = sizeof(struct print),
    .in_type = in_type,
    .open = open_sink,
    .write = write_rows,
    .close = close_sink,
};

struct weir_sink weir_print(void)
{
    return (struct weir_sink){ .sink_class = &print_class };
}
