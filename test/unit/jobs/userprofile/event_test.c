/* event_test.c -- the decoder against the oracle, case by case, and what no table says.
 *
 * The cases are in event_golden.tsv, see test/oracle/event_golden.py. Texts lie in blocks of
 * exactly their size, so that the address sanitizer sees a look behind the end. */
#include "test/unit/jobs/userprofile/decoding.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GOLDEN   "test/unit/jobs/userprofile/event_golden.tsv"
#define LINE_MAX ((size_t)64 << 10)

/* Undoes \xNN in place; returns the size. */
static size_t unescape(char *text, size_t size)
{
    size_t to = 0;
    for (size_t at = 0; at < size; at++, to++) {
        if (text[at] != '\\') {
            text[to] = text[at];
            continue;
        }
        char digits[3] = { text[at + 2], text[at + 3], '\0' };
        text[to] = (char)strtoul(digits, NULL, 16);
        at += 3;
    }
    return to;
}

struct line {
    char bytes[LINE_MAX];
    size_t size;
};

static void add(struct line *line, weir_str text)
{
    assert_true(line->size + text.size < LINE_MAX);
    memcpy(line->bytes + line->size, text.data, text.size);
    line->size += text.size;
}

static void add_text(struct line *line, const char *text)
{
    add(line, weir_str_of(text));
}

static void add_number(struct line *line, int64_t number)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%lld", (long long)number);
    add_text(line, digits);
}

/* -- an event as the golden table writes it -------------------------------------------------- */

static void add_ids(struct line *line, const struct event *event)
{
    const char *separator = "";
    for (int kind = 0; kind < ID_KIND_COUNT; kind++) {
        if (event->ids[kind].data == NULL)
            continue;
        add_text(line, separator);
        add(line, id_kind_prefixes[kind]);
        add(line, event->ids[kind]);
        separator = " ";
    }
}

static int compare_tags(const void *a, const void *b)
{
    return weir_str_compare(((const struct tag *)a)->name, ((const struct tag *)b)->name);
}

/* Of tags of one name the last one counts; sorted by name. */
static size_t take_tags(weir_str packed, struct tag tags[])
{
    size_t count = 0;
    struct tag tag;
    while (tag_next(&packed, &tag)) {
        size_t i = 0;
        while (i < count && !weir_str_equal(tags[i].name, tag.name))
            i++;
        tags[i] = tag;
        count += i == count;
    }
    qsort(tags, count, sizeof(*tags), compare_tags);
    return count;
}

/* As it will be printed; none of the golden strings has more than one byte to be escaped of each
 * kind. */
static void add_quoted(struct line *line, weir_str text)
{
    add_text(line, "\"");
    for (uint64_t i = 0; i < text.size; i++) {
        char byte = text.data[i], code[8];
        if (byte == '"' || byte == '\\')
            snprintf(code, sizeof(code), "\\%c", byte);
        else if (byte == '\n')
            snprintf(code, sizeof(code), "\\n");
        else if ((unsigned char)byte < 0x20)
            snprintf(code, sizeof(code), "\\u%04x", byte);
        else
            snprintf(code, sizeof(code), "%c", byte);
        add_text(line, code);
    }
    add_text(line, "\"");
}

static void add_tags(struct line *line, weir_str packed)
{
    struct tag tags[16];
    size_t count = take_tags(packed, tags);
    for (size_t i = 0; i < count; i++) {
        weir_str value = tags[i].value;
        add_text(line, "|");
        add(line, tags[i].name);
        add_text(line, "=");
        if (value.data[0] == '"')
            add_quoted(line, (weir_str){ .data = value.data + 1, .size = value.size - 1 });
        else
            add(line, value);
    }
}

static void describe(struct line *line, const struct event *event)
{
    const struct contribution *body = &event->body;
    add(line, body->event_id);
    add_text(line, "|");
    add_number(line, body->ts);
    add_text(line, "|");
    add_ids(line, event);
    add_text(line, "|");
    add(line, body->type);
    add_text(line, "|");
    add(line, body->category.data == NULL ? WEIR_STR("-") : body->category);
    add_text(line, "|");
    if (body->has_amount)
        add_number(line, body->amount);
    else
        add_text(line, "-");
    add_tags(line, body->tags);
}

/* -- tests ----------------------------------------------------------------------------------- */

static struct line said;

/* What the decoder makes of `text`, in `said`. */
static void decode(weir_harness *harness, weir_str text)
{
    char *block = mem_dup(text.data, text.size);
    struct weir_message message = { .value = { .data = block, .size = text.size } };
    weir_harness_send(harness, 0, weir_message, &message);
    mem_free(block);
    said.size = 0;
    const struct event *event = weir_harness_take(harness, event);
    if (event != NULL)
        describe(&said, event);
    else
        add(&said, weir_harness_take_dead(harness)->reason);
}

static void every_golden_text_is_what_the_oracle_says(void **state)
{
    weir_harness *harness = weir_harness_new(&decoding, NULL, WEIR_NO_KEY);
    static char line[LINE_MAX];
    FILE *file = fopen(GOLDEN, "r");
    assert_non_null(file);
    int number = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        number++;
        char *tab = strchr(line, '\t');
        char *expected = tab + 1;
        size_t text_size = unescape(line, (size_t)(tab - line));
        size_t expected_size = unescape(expected, strlen(expected) - 1);
        decode(harness, (weir_str){ .data = line, .size = text_size });
        if (said.size != expected_size || memcmp(said.bytes, expected, expected_size) != 0)
            fail_msg(GOLDEN ":%d: expected %.*s, got %.*s", number, (int)expected_size, expected,
                (int)said.size, said.bytes);
    }
    assert_true(number > 400);
    fclose(file);
    weir_harness_free(harness);
}

/* The numbers among the tags are for what is packed at the end of a text that lacks its brace. */
static void no_prefix_of_an_event_is_one(void **state)
{
    static const char text[] =
        "{\"event_id\":\"\\u0065\",\"ts\":17,\"ids\":{\"user\":\"u\"},\"x\":[1,{\"a\":"
        "null}],\"type\":\"t\",\"amount\":1.5e1,\"tags\":{\"b\":123,\"\":45678901234567,\"a\":"
        "\"é\",\"c\":true}}";
    weir_harness *harness = weir_harness_new(&decoding, NULL, WEIR_NO_KEY);
    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        decode(harness, (weir_str){ .data = text, .size = size });
        bool is_cut = memchr(text, (char)0xc3, size) == text + size - 1;
        assert_int_equal(said.size, 8);
        assert_memory_equal(said.bytes, is_cut ? "bad-utf8" : "bad-json", 8);
    }
    decode(harness, WEIR_STR(text));
    assert_memory_equal(said.bytes, "e|17|user:u|t|-|150000|=45678901234567|a=", 41);
    weir_harness_free(harness);
}

static void a_text_of_the_largest_size_is_read_and_one_byte_more_is_not(void **state)
{
    static const char head[] =
        "{\"event_id\":\"e\",\"ts\":1,\"ids\":{\"user\":\"u\"},\"type\":\"t\"}";
    weir_harness *harness = weir_harness_new(&decoding, NULL, WEIR_NO_KEY);
    char *text = mem_alloc(EVENT_SIZE_MAX + 1);
    memset(text, ' ', EVENT_SIZE_MAX + 1);
    memcpy(text, head, sizeof(head) - 1);
    decode(harness, (weir_str){ .data = text, .size = EVENT_SIZE_MAX });
    assert_memory_equal(said.bytes, "e|1|", 4);
    text[EVENT_SIZE_MAX] = (char)0xff; /* too large comes before bad UTF-8 */
    decode(harness, (weir_str){ .data = text, .size = EVENT_SIZE_MAX + 1 });
    assert_memory_equal(said.bytes, "too-large", 9);
    mem_free(text);
    weir_harness_free(harness);
}

static void a_null_value_is_bad_json(void **state)
{
    weir_harness *harness = weir_harness_new(&decoding, NULL, WEIR_NO_KEY);
    struct weir_message message = { .offset = 7 };
    weir_harness_send(harness, 0, weir_message, &message);
    const struct weir_dead_letter *letter = weir_harness_take_dead(harness);
    assert_true(weir_str_equal(letter->reason, WEIR_STR("bad-json")));
    assert_null(letter->raw.data);
    weir_harness_free(harness);
}

/* A million members are a million times the same work, not the square of it. */
static void repeated_members_cost_time_and_memory_once_each(void **state)
{
    static const char member[] = "\"tags\":{\"\":1},\"x\":\"\\n\",";
    static const char tail[] =
        "\"event_id\":\"e\",\"ts\":1,\"ids\":{\"user\":\"u\"},\"type\":\"t\"}";
    weir_harness *harness = weir_harness_new(&decoding, NULL, WEIR_NO_KEY);
    char *text = mem_alloc(EVENT_SIZE_MAX);
    size_t size = 0;
    text[size++] = '{';
    while (size + sizeof(member) + sizeof(tail) < EVENT_SIZE_MAX) {
        memcpy(text + size, member, sizeof(member) - 1);
        size += sizeof(member) - 1;
    }
    memcpy(text + size, tail, sizeof(tail) - 1);
    decode(harness, (weir_str){ .data = text, .size = size + sizeof(tail) - 1 });
    assert_memory_equal(said.bytes, "e|1|user:u|t|-|-|=1", 19);
    mem_free(text);
    weir_harness_free(harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_text_is_what_the_oracle_says),
        cmocka_unit_test(no_prefix_of_an_event_is_one),
        cmocka_unit_test(a_text_of_the_largest_size_is_read_and_one_byte_more_is_not),
        cmocka_unit_test(a_null_value_is_bad_json),
        cmocka_unit_test(repeated_members_cost_time_and_memory_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
