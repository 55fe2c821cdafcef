/* profile_test.c -- what a person's record is after each change, byte for byte. */
#include "jobs/userprofile/profile.h"

#include "jobs/userprofile/merge.h"
#include "jobs/userprofile/output.h"
#include "test/unit/jobs/userprofile/said.h"
#include <weir/testing.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define INTERVAL_MS 1000

static struct profile_options options;
static int64_t now_ms;

static weir_harness *start(bool has_fragments)
{
    options =
        (struct profile_options){ .emit_interval_ms = INTERVAL_MS, .has_fragments = has_fragments };
    now_ms = 0;
    return weir_harness_new(&profile_operator, &options, WEIR_KEY(change, yid));
}

static void send(weir_harness *harness, struct change change)
{
    weir_harness_send(harness, 0, change, &change);
}

static void add(weir_harness *harness, const char *yid, const char *member,
    struct contribution body)
{
    struct change change = change_of(CHANGE_ADD, yid, member);
    change.body = body;
    send(harness, change);
}

/* Long enough for every timer that is set. */
static void tick(weir_harness *harness)
{
    now_ms += INTERVAL_MS;
    weir_harness_clock(harness, now_ms);
}

/* The only record emitted; "" is a tombstone, NULL none. */
static void expect(weir_harness *harness, const char *json)
{
    const struct output *output = weir_harness_take(harness, output);
    if (json == NULL) {
        assert_null(output);
        return;
    }
    assert_non_null(output);
    char said[4096];
    snprintf(said, sizeof(said), "%.*s", (int)output->json.size,
        output->json.data == NULL ? "" : output->json.data);
    assert_string_equal(said, json);
    assert_null(weir_harness_take(harness, output));
}

/* Packed tags, all strings: "a=1 b=2" */
static weir_str tags_of(const char *text, char *room)
{
    size_t size = 0;
    while (*text != '\0') {
        size_t name = strcspn(text, "="), value = strcspn(text + name + 1, " ");
        size += tag_put(room + size, (weir_str){ text, name }, true,
            (weir_str){ text + name + 1, value });
        text += name + 1 + value;
        text += *text == ' ';
    }
    return (weir_str){ .data = room, .size = size };
}

static void a_profile_has_every_kind_of_tag_in_byte_order(void **state)
{
    weir_harness *harness = start(false);
    char room[512];
    struct contribution first = body(1716200000123, "e1", "view");
    first.category = WEIR_STR("loans");
    first.amount = 1295000;
    first.has_amount = true;
    first.tags = tags_of("city=Beijing a!=x a=\"\\\n\x01 a=y", room);
    add(harness, "user:u42", "", first);
    struct contribution second = body(1716200000100, "e2", "buy");
    second.category = WEIR_STR("");
    second.amount = -1;
    second.has_amount = true;
    second.tags = tags_of("city=Old", room);
    add(harness, "user:u42", "", second);
    send(harness, change_of(CHANGE_JOIN, "user:u42", "device:a1"));
    send(harness, change_of(CHANGE_JOIN, "user:u42", "user:x"));
    tick(harness);
    expect(harness,
        "{\"yid\":\"user:u42\",\"ids\":[\"device:a1\",\"user:u42\",\"user:x\"],\"tags\":{"
        "\"amount.max\":129.5000,\"amount.sum\":129.4999,\"category.\":1,\"category.loans\":1,"
        "\"count\":2,\"count.buy\":1,\"count.view\":1,\"first_seen\":1716200000100,"
        "\"last_seen\":1716200000123,\"tag.a\":\"y\",\"tag.a!\":\"x\",\"tag.city\":\"Beijing\"},"
        "\"interest\":[\"\",\"loans\"],\"quality\":52,\"shared\":false}");
    weir_harness_free(harness);
}

static void only_what_must_be_escaped_is(void **state)
{
    weir_harness *harness = start(false);
    char room[512];
    struct contribution odd = body(1, "e", "\"\\/\b\f\n\r\t\x1f\x7f\xc3\xa9");
    odd.tags = tags_of("\x01=\"", room);
    add(harness, "user:\"", "", odd);
    tick(harness);
    expect(harness,
        "{\"yid\":\"user:\\\"\",\"ids\":[\"user:\\\"\"],\"tags\":{\"count\":1,"
        "\"count.\\\"\\\\/\\b\\f\\n\\r\\t\\u001f\x7f\xc3\xa9\":1,\"first_seen\":1,\"last_seen\":1,"
        "\"tag.\\u0001\":\"\\\"\"},\"interest\":[],\"quality\":50,\"shared\":false}");
    weir_harness_free(harness);
}

static void changes_within_the_interval_are_one_record(void **state)
{
    weir_harness *harness = start(false);
    for (int i = 0; i < 100; i++)
        add(harness, "user:u", "", body(i, "e", "view"));
    assert_int_equal(weir_harness_emitted(harness), 0);
    tick(harness);
    assert_int_equal(weir_harness_emitted(harness), 1);
    tick(harness);
    assert_int_equal(weir_harness_emitted(harness), 1); /* nothing has changed since */
    weir_harness_free(harness);
}

static void an_anonymous_person_ends_in_a_tombstone_and_comes_back_shared(void **state)
{
    weir_harness *harness = start(false);
    add(harness, "device:x", "", body(5, "e", "view"));
    tick(harness);
    expect(harness,
        "{\"yid\":\"device:x\",\"ids\":[\"device:x\"],\"tags\":{\"count\":1,\"count.view\":1,"
        "\"first_seen\":5,\"last_seen\":5},\"interest\":[],\"quality\":50,\"shared\":false}");
    send(harness, change_of(CHANGE_LEAVE, "device:x", ""));
    tick(harness);
    expect(harness, "");
    struct change back = change_of(CHANGE_ADD, "device:x", "");
    back.is_shared = true;
    back.body = body(6, "f", "view");
    send(harness, back);
    tick(harness);
    expect(harness,
        "{\"yid\":\"device:x\",\"ids\":[\"device:x\"],\"tags\":{\"count\":1,\"count.view\":1,"
        "\"first_seen\":6,\"last_seen\":6},\"interest\":[],\"quality\":50,\"shared\":true}");
    assert_int_equal(weir_harness_counter(harness, PROFILE_EMITTED), 2);
    assert_int_equal(weir_harness_counter(harness, PROFILE_TOMBSTONES), 1);
    weir_harness_free(harness);
}

static void a_user_is_not_emitted_before_its_own_event(void **state)
{
    weir_harness *harness = start(false);
    send(harness, change_of(CHANGE_JOIN, "user:u", "device:x"));
    tick(harness);
    expect(harness, NULL);
    add(harness, "user:u", "", body(1, "e", "view"));
    tick(harness);
    expect(harness,
        "{\"yid\":\"user:u\",\"ids\":[\"device:x\",\"user:u\"],\"tags\":{\"count\":1,\"count."
        "view\":"
        "1,\"first_seen\":1,\"last_seen\":1},\"interest\":[],\"quality\":50,\"shared\":false}");
    weir_harness_free(harness);
}

/* Members hold the same tags: counts add, the newest value wins, and leaving takes back all of it.
 * */
static void members_are_merged_and_taken_out_again(void **state)
{
    weir_harness *harness = start(false);
    char room[256];
    for (int i = 0; i < 3; i++) {
        static const char *const members[] = { "", "device:x", "phone:1" };
        static const char *const tags[] = { "c=own", "c=x d=x", "d=1" };
        struct contribution body_of_member = body(10 + i % 2, members[i], "buy");
        body_of_member.tags = tags_of(tags[i], room);
        body_of_member.category = i == 1 ? WEIR_STR("b") : WEIR_STR("a");
        if (i > 0)
            send(harness, change_of(CHANGE_JOIN, "user:u", members[i]));
        add(harness, "user:u", members[i], body_of_member);
        harness = weir_harness_restored(harness);
    }
    tick(harness);
    expect(harness,
        "{\"yid\":\"user:u\",\"ids\":[\"device:x\",\"phone:1\",\"user:u\"],\"tags\":{\"category."
        "a\":"
        "2,\"category.b\":1,\"count\":3,\"count.buy\":3,\"first_seen\":10,\"last_seen\":11,"
        "\"tag.c\":\"x\",\"tag.d\":\"x\"},\"interest\":[\"a\",\"b\"],\"quality\":56,\"shared\":"
        "false}");
    send(harness, change_of(CHANGE_LEAVE, "user:u", "device:x"));
    tick(harness);
    expect(harness,
        "{\"yid\":\"user:u\",\"ids\":[\"phone:1\",\"user:u\"],\"tags\":{\"category.a\":2,\"count\":"
        "2,\"count.buy\":2,\"first_seen\":10,\"last_seen\":10,\"tag.c\":\"own\",\"tag.d\":\"1\"},"
        "\"interest\":[\"a\"],\"quality\":54,\"shared\":false}");
    weir_harness_free(harness);
}

static void sums_wrap_at_64_bits(void **state)
{
    weir_harness *harness = start(false);
    for (int i = 0; i < 1024; i++) {
        struct contribution rich = body(1, "e", "t");
        rich.amount = INT64_C(9999999999999999);
        rich.has_amount = true;
        add(harness, "user:u", "", rich);
    }
    tick(harness);
    const struct output *output = weir_harness_take(harness, output);
    /* 1024 * 9999999999999999 - 2^64 = -8206744073709552640 */
    assert_non_null(strstr(output->json.data, "\"amount.sum\":-820674407370955.2640,"));
    weir_harness_free(harness);
}

static void quality_stays_between_0_and_100(void **state)
{
    const struct {
        const char *type;
        int times;
        const char *expected;
    } cases[] = { { "repay", 11, "\"quality\":100," }, { "buy", 50, "\"quality\":70," },
        { "overdue", 2, "\"quality\":10," }, { "overdue", 3, "\"quality\":0," },
        { "view", 9, "\"quality\":50," } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        weir_harness *harness = start(false);
        for (int k = 0; k < cases[i].times; k++)
            add(harness, "user:u", "", body(k, "e", cases[i].type));
        tick(harness);
        const struct output *output = weir_harness_take(harness, output);
        assert_non_null(strstr(output->json.data, cases[i].expected));
        weir_harness_free(harness);
    }
}

static void interest_is_the_three_most_frequent_by_name_where_equal(void **state)
{
    weir_harness *harness = start(false);
    static const char *const categories[] = { "d", "b", "c", "a", "e", "d", "e" };
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        struct contribution one = body(1, "e", "t");
        one.category = weir_str_of(categories[i]);
        add(harness, "user:u", "", one);
    }
    tick(harness);
    const struct output *output = weir_harness_take(harness, output);
    assert_non_null(strstr(output->json.data, "\"interest\":[\"d\",\"e\",\"a\"],"));
    weir_harness_free(harness);
}

static void a_record_over_a_million_bytes_says_so_instead(void **state)
{
    enum { NAMES = 900 };
    weir_harness *harness = start(false);
    static char value[TAG_VALUE_SIZE_MAX], room[2 * TAG_VALUE_SIZE_MAX];
    memset(value, 'x', sizeof(value));
    size_t last = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < NAMES; i++) {
            char name[16];
            snprintf(name, sizeof(name), "n%04d", i + round * NAMES);
            struct contribution one = body(1, "e", "t");
            size_t size =
                tag_put(room, weir_str_of(name), true, (weir_str){ value, sizeof(value) });
            one.tags = (weir_str){ room, size };
            add(harness, "user:u", "", one);
        }
        tick(harness);
        const struct output *output = weir_harness_take(harness, output);
        if (round == 0)
            last = output->json.size;
        else
            assert_true(
                weir_str_equal(output->json, WEIR_STR("{\"yid\":\"user:u\",\"oversize\":true}")));
    }
    assert_true(last > 900000 && last <= MERGE_SIZE_MAX);
    weir_harness_free(harness);
}

static void a_users_fragment_is_its_own_events_and_only_when_they_grow(void **state)
{
    weir_harness *harness = start(true);
    add(harness, "user:u", "", body(1, "e", "t"));
    send(harness, change_of(CHANGE_JOIN, "user:u", "device:x"));
    add(harness, "user:u", "device:x", body(2, "f", "t"));
    tick(harness);
    assert_int_equal(weir_harness_emitted(harness), 1);
    const struct output *fragment = weir_harness_take_side(harness, PROFILE_FRAGMENT);
    assert_true(weir_str_equal(fragment->json,
        WEIR_STR("{\"yid\":\"user:u\",\"tags\":{\"count\":1,\"count.t\":1,\"first_seen\":1,"
                 "\"last_seen\":1}}")));
    harness = weir_harness_restored(harness);
    send(harness, change_of(CHANGE_LEAVE, "user:u", "device:x"));
    tick(harness);
    assert_int_equal(weir_harness_emitted(harness), 2);
    assert_null(weir_harness_take_side(harness, PROFILE_FRAGMENT));
    add(harness, "user:u", "", body(3, "g", "t"));
    add(harness, "device:x", "", body(3, "g", "t")); /* identity emits this one's */
    tick(harness);
    assert_non_null(weir_harness_take_side(harness, PROFILE_FRAGMENT));
    assert_null(weir_harness_take_side(harness, PROFILE_FRAGMENT));
    weir_harness_free(harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_profile_has_every_kind_of_tag_in_byte_order),
        cmocka_unit_test(only_what_must_be_escaped_is),
        cmocka_unit_test(changes_within_the_interval_are_one_record),
        cmocka_unit_test(an_anonymous_person_ends_in_a_tombstone_and_comes_back_shared),
        cmocka_unit_test(a_user_is_not_emitted_before_its_own_event),
        cmocka_unit_test(members_are_merged_and_taken_out_again),
        cmocka_unit_test(sums_wrap_at_64_bits),
        cmocka_unit_test(quality_stays_between_0_and_100),
        cmocka_unit_test(interest_is_the_three_most_frequent_by_name_where_equal),
        cmocka_unit_test(a_record_over_a_million_bytes_says_so_instead),
        cmocka_unit_test(a_users_fragment_is_its_own_events_and_only_when_they_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
