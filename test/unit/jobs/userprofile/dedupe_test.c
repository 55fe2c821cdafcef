/* dedupe_test.c -- the first event of an id passes, the next ones do not, until its time is over. */
#include "jobs/userprofile/dedupe.h"

#include "test/unit/jobs/userprofile/said.h"
#include <weir/testing.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TTL_MS 1000

static struct dedupe dedupe;

static weir_harness *start(void)
{
    dedupe_init(&dedupe, TTL_MS);
    return weir_harness_new(&dedupe.operator_, NULL, WEIR_KEY(event, body.event_id));
}

static void send(weir_harness *harness, int64_t ts, const char *event_id, const char *type)
{
    struct event event = { .ids = { [ID_USER] = WEIR_STR("u") }, .body = body(ts, event_id, type) };
    weir_harness_send(harness, ts, event, &event);
}

/* What was emitted since the last time, as "id=type id=type". */
static void expect(weir_harness *harness, const char *expected)
{
    char said[256] = "";
    const struct event *event;
    while ((event = weir_harness_take(harness, event)) != NULL) {
        size_t size = strlen(said);
        snprintf(said + size, sizeof(said) - size, "%s%.*s=%.*s", size > 0 ? " " : "",
            (int)event->body.event_id.size, event->body.event_id.data, (int)event->body.type.size,
            event->body.type.data);
        assert_true(weir_str_equal(event->ids[ID_USER], WEIR_STR("u")));
    }
    assert_string_equal(said, expected);
}

static void the_first_event_of_an_id_passes_and_no_other(void **state)
{
    weir_harness *harness = start();
    send(harness, 1, "a", "view");
    send(harness, 2, "b", "view");
    send(harness, 1, "a", "view");
    send(harness, 3, "a", "other");
    send(harness, 2, "b", "view");
    send(harness, 4, "c", "view");
    expect(harness, "a=view b=view c=view");
    weir_harness_free(harness);
}

static void the_counters_tell_events_from_duplicates(void **state)
{
    weir_harness *harness = start();
    for (int i = 0; i < 5; i++)
        send(harness, i, i < 2 ? "a" : "b", "view");
    assert_int_equal(weir_harness_counter(harness, DEDUPE_VALID), 5);
    assert_int_equal(weir_harness_counter(harness, DEDUPE_DROPPED), 3);
    weir_harness_free(harness);
}

static void a_duplicate_is_known_after_a_crash(void **state)
{
    weir_harness *harness = start();
    send(harness, 1, "a", "view");
    harness = weir_harness_restored(harness);
    send(harness, 1, "a", "view");
    send(harness, 1, "b", "view");
    expect(harness, "a=view b=view");
    weir_harness_free(harness);
}

static void an_id_is_remembered_until_the_watermark_is_past_its_time(void **state)
{
    weir_harness *harness = start();
    send(harness, 100, "a", "first");
    weir_harness_watermark(harness, 100 + TTL_MS);
    send(harness, 100, "a", "within");
    expect(harness, "a=first");
    weir_harness_watermark(harness, 100 + TTL_MS + 1);
    send(harness, 100, "a", "after");
    expect(harness, "a=after");
    weir_harness_free(harness);
}

/* It came late: its time runs from the watermark at its arrival, not from its own ts. */
static void a_late_event_is_remembered_as_long(void **state)
{
    weir_harness *harness = start();
    weir_harness_watermark(harness, 5000);
    send(harness, 100, "a", "first");
    weir_harness_watermark(harness, 5000 + TTL_MS);
    send(harness, 100, "a", "within");
    expect(harness, "a=first");
    weir_harness_watermark(harness, 5000 + TTL_MS + 1);
    send(harness, 100, "a", "after");
    expect(harness, "a=after");
    weir_harness_free(harness);
}

static void a_duplicate_does_not_prolong_the_memory(void **state)
{
    weir_harness *harness = start();
    send(harness, 100, "a", "first");
    weir_harness_watermark(harness, 600);
    send(harness, 900, "a", "within");
    weir_harness_watermark(harness, 100 + TTL_MS + 1);
    send(harness, 900, "a", "after");
    expect(harness, "a=first a=after");
    weir_harness_free(harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_event_of_an_id_passes_and_no_other),
        cmocka_unit_test(the_counters_tell_events_from_duplicates),
        cmocka_unit_test(a_duplicate_is_known_after_a_crash),
        cmocka_unit_test(an_id_is_remembered_until_the_watermark_is_past_its_time),
        cmocka_unit_test(a_late_event_is_remembered_as_long),
        cmocka_unit_test(a_duplicate_does_not_prolong_the_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
