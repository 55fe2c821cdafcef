/* blackhole_test.c -- it takes whatever there is. */
#include "test/support/sample.h"

#include <weir/connector.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void it_takes_records_of_any_type(void **state)
{
    struct weir_sink sink = weir_blackhole();
    struct sample sample;
    sample_fill(&sample, 1, 1);
    struct weir_row row = { .record = &sample };
    assert_null(sink.sink_class->in_type(sink.options));
    assert_null(sink.sink_class->open(NULL, sink.options, NULL));
    assert_null(sink.sink_class->write(NULL, NULL, &row, 1));
    sink.sink_class->close(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(it_takes_records_of_any_type) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
