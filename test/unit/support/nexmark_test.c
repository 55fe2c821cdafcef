/* The digest below is that of the twin, too: test/flink/test_twin.py reads it here. */
#include "test/support/nexmark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SEED   7
#define EVENTS 1000000
#define DIGEST UINT64_C(0x482c94e2ac2327b7)

static struct nexmark_event made(uint64_t index, char *text)
{
    struct nexmark_event event = { .at_ms = 0 };
    nexmark_make(index, &event, text);
    return event;
}

static void a_million_events_have_the_digest_that_they_always_had(void **state)
{
    char text[NEXMARK_TEXT_MAX];
    uint64_t digest = 0;
    nexmark_init(SEED);
    for (uint64_t i = 0; i < EVENTS; i++) {
        struct nexmark_event event = made(i, text);
        digest += nexmark_digest(&event);
    }
    assert_int_equal(digest, DIGEST);
}

static void another_seed_makes_other_events(void **state)
{
    char text[NEXMARK_TEXT_MAX], other_text[NEXMARK_TEXT_MAX];
    nexmark_init(SEED);
    struct nexmark_event event = made(1000, text);
    nexmark_init(SEED + 1);
    struct nexmark_event other = made(1000, other_text);
    assert_int_not_equal(nexmark_digest(&event), nexmark_digest(&other));
}

static void of_fifty_events_one_is_a_person_and_three_are_auctions(void **state)
{
    char text[NEXMARK_TEXT_MAX];
    int counts[3] = { 0 };
    nexmark_init(SEED);
    for (uint64_t i = 100; i < 150; i++)
        counts[made(i, text).kind]++;
    assert_int_equal(counts[NEXMARK_PERSON], 1);
    assert_int_equal(counts[NEXMARK_AUCTION], 3);
    assert_int_equal(counts[NEXMARK_BID], 46);
}

/* Auctions are numbered without a gap, so what a bid names is, or will soon be, there. */
static void bids_name_auctions_that_are_there_or_come_soon(void **state)
{
    char text[NEXMARK_TEXT_MAX];
    int64_t last = 0, soon = 0;
    nexmark_init(SEED);
    for (uint64_t i = 0; i < 100000; i++) {
        struct nexmark_event event = made(i, text);
        if (event.kind == NEXMARK_AUCTION && last > 0)
            assert_int_equal(event.id, last + 1);
        if (event.kind == NEXMARK_AUCTION)
            last = event.id;
        if (event.kind == NEXMARK_BID)
            assert_in_range(event.id, 1000, last + 10);
        soon += event.kind == NEXMARK_BID && event.id > last;
    }
    assert_in_range(soon, 1, 10000);
}

static void texts_stay_within_the_room_that_they_are_given(void **state)
{
    char text[NEXMARK_TEXT_MAX];
    nexmark_init(SEED);
    for (uint64_t i = 0; i < 100000; i++) {
        struct nexmark_event event = made(i, text);
        weir_str last = event.extra;
        assert_in_range(nexmark_text_max(i), 1, NEXMARK_TEXT_MAX);
        assert_true(last.data >= text && last.data + last.size <= text + nexmark_text_max(i));
    }
}

static void a_digest_of_texts_sees_each_byte_only_when_it_is_full(void **state)
{
    const weir_str a = WEIR_STR("123456789"), b = WEIR_STR("12345678x"),
                   shorter = WEIR_STR("12345678");
    assert_int_not_equal(digest_text(0, a, true), digest_text(0, b, true));
    assert_int_equal(digest_text(0, a, false), digest_text(0, b, false));
    assert_int_not_equal(digest_text(0, a, false), digest_text(0, shorter, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_events_have_the_digest_that_they_always_had),
        cmocka_unit_test(another_seed_makes_other_events),
        cmocka_unit_test(of_fifty_events_one_is_a_person_and_three_are_auctions),
        cmocka_unit_test(bids_name_auctions_that_are_there_or_come_soon),
        cmocka_unit_test(texts_stay_within_the_room_that_they_are_given),
        cmocka_unit_test(a_digest_of_texts_sees_each_byte_only_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
