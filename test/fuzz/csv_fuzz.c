/* csv_fuzz.c -- any bytes as a CSV line: refused as bad-csv, or a record that is written and read
 * back equal. */
#include "base/assert.h"
#include "test/support/sample.h"
#include "test/support/stub_ctx.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* As bits, but any NaN for any NaN. */
static bool same(struct sample *a, struct sample *b)
{
    if (isnan(a->price) && isnan(b->price))
        a->price = b->price = 0;
    return sample_equal(a, b);
}

static void write_and_read_back(weir_ctx *ctx, struct sample *sample)
{
    struct weir_format format = weir_csv(&sample_type);
    struct weir_message message;
    struct sample again = { 0 };
    ASSERT(weir_sink_encode(ctx, &format, sample, SIZE_MAX, &message) == NULL);
    ASSERT(format.format_class->decode(&format, ctx, &message, &again) == NULL);
    ASSERT(same(sample, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static weir_ctx *ctx;
    if (ctx == NULL)
        ctx = stub_ctx_new(0, 1);
    /* A copy of exactly this size: reading past its end is reported. */
    char *copy = malloc(size + (size == 0));
    if (size > 0)
        memcpy(copy, bytes, size);
    struct weir_format format = weir_csv(&sample_type);
    struct weir_message message = { .value = { .data = copy, .size = size } };
    struct sample sample = { 0 };
    weir_error *error = format.format_class->decode(&format, ctx, &message, &sample);
    if (error == NULL)
        write_and_read_back(ctx, &sample);
    else
        ASSERT(weir_error_code(error) == WEIR_E_DATA);
    weir_error_free(error);
    free(copy);
    stub_ctx_next_batch(ctx);
    return 0;
}
