/* blackhole.c -- weir_blackhole: a sink for records of any type that forgets them.
 *
 * For dead letters that nobody wants, and for measuring what comes before it. */
#include <weir/connector.h>

static const struct weir_type *in_type(const void *options)
{
    (void)options;
    return NULL;
}

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    (void)options;
    (void)instance;
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

static void close_sink(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class blackhole_class = {
    .name = "blackhole",
    .in_type = in_type,
    .open = open_sink,
    .write = write_rows,
    .close = close_sink,
};

struct weir_sink weir_blackhole(void)
{
    return (struct weir_sink){ .sink_class = &blackhole_class };
}
