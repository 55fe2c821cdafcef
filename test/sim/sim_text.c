/* sim_text.c -- the engine's own file source and sink, as the simulated job uses them: sim_files.h.
 *
 * A line of input is the index of a record; the record follows from it. A line of output is a row
 * (sim_event.h) in hexadecimal digits. */
#include "base/assert.h"
#include "test/sim/sim_files.h"
#include "test/sim/sim_mutant.h"

#include <stdlib.h>

static const struct sim_shape *shape; /* of this run */

/* -- formats -------------------------------------------------------------------------------------- */

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    char digits[32] = "";
    (void)format;
    (void)ctx;
    ASSERT(message->value.size > 0 && message->value.size < sizeof(digits));
    memcpy(digits, message->value.data, message->value.size);
    ASSERT(strspn(digits, "0123456789") == message->value.size); /* a position within a line */
    sim_event_fill(shape, strtoull(digits, NULL, 10), record);
    return NULL;
}

static weir_error *encode(const struct weir_format *format, const void *record, weir_buffer *key,
    weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    static const char digits[] = "0123456789abcdef";
    struct sim_row row;
    unsigned char bytes[sizeof(row)];
    (void)format;
    (void)key;
    (void)key_is_null;
    *value_is_null = false;
    sim_row_fill(&row, record);
    memcpy(bytes, &row, sizeof(row));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        weir_buffer_add_byte(value, digits[bytes[i] >> 4]);
        weir_buffer_add_byte(value, digits[bytes[i] & 15]);
    }
    return NULL;
}

static const struct weir_format_class format_class = { .name = "sim",
    .decode = decode,
    .encode = encode };

/* -- mutants -------------------------------------------------------------------------------------- */

static const struct weir_source_class *sound_source;
static struct weir_source_class forgetful_source;

static weir_error *open_source(weir_ctx *ctx, const void *options, void *instance)
{
    sim_mutant_forget_items(ctx);
    return sound_source->open(ctx, options, instance);
}

/* -- the connectors ------------------------------------------------------------------------------- */

struct weir_source sim_text_source(const struct sim_files_options *options)
{
    shape = options->shape;
    struct weir_source source = weir_file_source(.path = options->directory,
        .format = { .format_class = &format_class, .type = &sim_event_type });
    if (sim_mutant != SIM_FORGET_POSITION)
        return source;
    sound_source = source.source_class;
    forgetful_source = *sound_source;
    forgetful_source.open = open_source;
    source.source_class = &forgetful_source;
    return source;
}

struct weir_sink sim_text_sink(const struct sim_sink_options *options)
{
    return sim_mutant_sink(weir_file_sink(.path = options->directory, .prefix = options->prefix,
        .suffix = "hex", .format = { .format_class = &format_class, .type = &sim_outcome_type }));
}
