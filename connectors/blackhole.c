/* blackhole.c -- weir_blackhole: a sink for records of any type that forgets them.
 *
 * For dead letters that nobody wants, and for measuring what comes before it. */
#include <weir/connector.h>

static const struct weir_type *in_type(const void *options)
{
    (void)options;
    return NULL;
}

static weir_error *write_rows(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    (void)ctx;
    (void)instance;
    (void)rows;
    (void)row_count;
    return NULL;
}

static const struct weir_sink_class blackhole_class = {
    .name = "blackhole",
    .in_type = in_type,
    .write = write_rows,
};

struct weir_sink weir_blackhole(void)
{
    return (struct weir_sink){ .sink_class = &blackhole_class };
}
