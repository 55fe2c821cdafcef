/* json.c -- bytes of JSON per second and core: into a struct, into variables by hand, skipped,
 * written.
 *
 * The events are those of jobs/userprofile, 215 to 300 bytes, 16,384 different ones (4 MB: larger
 * than the caches next to the core). Of the rounds the median counts.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short. */
#include "base/os.h"
#include "test/support/stub_ctx.h"

#include <weir/json.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS 16384u
#define ROUNDS 15
#define MB     1e6

struct event {
    weir_str event_id;
    int64_t ts;
    weir_str source, user, phone, device, type, category;
    double amount;
    weir_str city;
    int32_t vip;
};
WEIR_TYPE(event, WEIR_FIELD(1, event, event_id), WEIR_FIELD(2, event, ts),
    WEIR_FIELD(3, event, source), WEIR_FIELD(4, event, user), WEIR_FIELD(5, event, phone),
    WEIR_FIELD(6, event, device), WEIR_FIELD(7, event, type), WEIR_FIELD(8, event, category),
    WEIR_FIELD(9, event, amount), WEIR_FIELD(10, event, city), WEIR_FIELD(11, event, vip));

/* Texts one behind the other, as a batch from a broker lies in memory. */
struct corpus {
    char *bytes;
    size_t size;
    weir_str texts[EVENTS];
};
static struct corpus flat, shuffled, nested, strings;
static struct weir_format format;
static weir_ctx *ctx;
static weir_buffer *out;

static void corpus_add(struct corpus *corpus, uint32_t index, const char *text)
{
    size_t size = strlen(text);
    memcpy(corpus->bytes + corpus->size, text, size);
    corpus->texts[index] = (weir_str){ .data = corpus->bytes + corpus->size, .size = size };
    corpus->size += size;
}

/* The members of event i, as "name":value; every eighth city is not ASCII, every 16th escaped. */
static void make_members(uint32_t i, char members[11][64])
{
    const char *city = i % 8 == 0 ? "北京" : i % 16 == 1 ? "Z\\u00fcrich" : "Beijing";
    snprintf(members[0], 64, "\"event_id\":\"e-%09u\"", i * 7919);
    snprintf(members[1], 64, "\"ts\":%" PRId64, INT64_C(1716200000123) + i * 37);
    snprintf(members[2], 64, "\"source\":\"%s\"", i % 3 == 0 ? "web" : "app");
    snprintf(members[3], 64, "\"user\":\"u%u\"", i * 31 % 1000000);
    snprintf(members[4], 64, "\"phone\":\"+86138%08u\"", i * 977);
    snprintf(members[5], 64, "\"device\":\"a1b2c3d4e5f6-%08x\"", i * 2654435761u);
    snprintf(members[6], 64, "\"type\":\"%s\"", i % 5 == 0 ? "buy" : "view");
    snprintf(members[7], 64, "\"category\":\"%s\"", i % 4 == 0 ? "insurance" : "loans");
    snprintf(members[8], 64, "\"amount\":%u.%02u", i % 10000, i % 100);
    snprintf(members[9], 64, "\"city\":\"%s\"", city);
    snprintf(members[10], 64, "\"vip\":%u", i % 10);
}

static void make_event(uint32_t i)
{
    char members[11][64], text[1024];
    make_members(i, members);
    snprintf(text, sizeof(text), "{%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s}", members[0], members[1],
        members[2], members[3], members[4], members[5], members[6], members[7], members[8],
        members[9], members[10]);
    corpus_add(&flat, i, text);
    snprintf(text, sizeof(text), "{%s,%s,%s,\"ids\":{%s,%s,%s},%s,%s,%s,\"tags\":{%s,%s}}",
        members[0], members[1], members[2], members[3], members[4], members[5], members[6],
        members[7], members[8], members[9], members[10]);
    corpus_add(&nested, i, text);
    size_t size = 1;
    for (uint32_t k = 0; k < 11; k++)
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%s,", members[(k * 7 + i) % 11]);
    text[0] = '{';
    text[size - 1] = '}';
    corpus_add(&shuffled, i, text);
    for (uint32_t k = 0; k < 250; k++)
        text[k] = (char)('a' + (i + k) % 26);
    text[0] = text[249] = '"';
    text[250] = '\0';
    corpus_add(&strings, i, text);
}

static void must(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "bench_json: %s\n", what);
    exit(1);
}

/* -- what is measured ------------------------------------------------------------------------- */

static void decode_one(weir_str text)
{
    struct weir_message message = { .value = text };
    struct event event = { .ts = 0 };
    must(format.format_class->decode(&format, ctx, &message, &event) == NULL && event.ts != 0,
        "not decoded");
}

static void skip_one(weir_str text)
{
    struct weir_json_reader json;
    weir_json_open(&json, text);
    weir_json_skip(&json, weir_json_value(&json));
    must(weir_json_end(&json), "not skipped");
}

static void utf8_one(weir_str text)
{
    must(weir_utf8_valid(text), "not UTF-8");
}

static void encode_one(weir_str text)
{
    static const struct event event = { .event_id = { "e-000000017", 11 },
        .ts = INT64_C(1716200000123),
        .source = { "app", 3 },
        .user = { "u123456", 7 },
        .phone = { "+8613812345678", 14 },
        .device = { "a1b2c3d4e5f6-0badcafe", 21 },
        .type = { "view", 4 },
        .category = { "loans", 5 },
        .amount = 129.5,
        .city = { "Beijing", 7 },
        .vip = 3 };
    bool key_is_null = true, value_is_null = false;
    (void)text;
    weir_buffer_reset(out);
    must(format.format_class->encode(&format, &event, NULL, out, &key_is_null, &value_is_null) ==
             NULL,
        "not encoded");
}

/* As jobs/userprofile reads its events: by hand, nested, all members looked at. */
static void walk_ids(struct weir_json_reader *json, struct event *event)
{
    while (weir_json_member(json)) {
        weir_str *to = weir_json_is(json, WEIR_STR("user"))    ? &event->user
                       : weir_json_is(json, WEIR_STR("phone")) ? &event->phone
                                                               : &event->device;
        must(weir_json_value(json) == WEIR_JSON_STRING, "an id that is no string");
        *to = weir_json_string(json, ctx);
    }
}

static void walk_member(struct weir_json_reader *json, struct event *event)
{
    weir_str name = json->text;
    enum weir_json_kind kind = weir_json_value(json);
    if (kind == WEIR_JSON_OBJECT && name.size == 3)
        walk_ids(json, event);
    else if (kind == WEIR_JSON_STRING)
        event->type = weir_json_string(json, ctx);
    else if (kind == WEIR_JSON_NUMBER && name.size == 2)
        weir_json_to_i64(json->text, &event->ts);
    else if (kind == WEIR_JSON_NUMBER)
        weir_json_to_f64(json->text, &event->amount);
    else
        weir_json_skip(json, kind);
}

static void walk_one(weir_str text)
{
    struct weir_json_reader json;
    struct event event = { .ts = 0 };
    weir_json_open(&json, text);
    must(weir_json_value(&json) == WEIR_JSON_OBJECT, "no object");
    while (weir_json_member(&json))
        walk_member(&json, &event);
    must(weir_json_end(&json) && event.ts != 0, "not read");
}

/* -- measuring -------------------------------------------------------------------------------- */

static double run(void (*one)(weir_str text), const struct corpus *corpus, size_t size)
{
    int64_t start = os_monotonic_ns();
    for (uint32_t i = 0; i < EVENTS; i++) {
        one(corpus->texts[i]);
        if (i % 256 == 255)
            stub_ctx_next_batch(ctx);
    }
    return (double)size / MB / ((double)(os_monotonic_ns() - start) / 1e9);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(const char *name, void (*one)(weir_str text), const struct corpus *corpus,
    size_t size, double goal)
{
    double rates[ROUNDS];
    for (uint32_t round = 0; round < ROUNDS; round++)
        rates[round] = run(one, corpus, size);
    qsort(rates, ROUNDS, sizeof(rates[0]), compare);
    double rate = rates[ROUNDS / 2];
    printf("%s\t%.0f\tMB/s\t%.0f\t%s\n", name, rate, goal, rate >= goal ? "ok" : "short");
}

int main(void)
{
    ctx = stub_ctx_new(0, 1);
    format = weir_json(&event_type);
    out = weir_buffer_new(1u << 20);
    struct corpus *all[] = { &flat, &shuffled, &nested, &strings };
    for (size_t i = 0; i < 4; i++)
        all[i]->bytes = mem_alloc(EVENTS * 512u);
    for (uint32_t i = 0; i < EVENTS; i++)
        make_event(i);
    encode_one(flat.texts[0]);
    size_t encoded = weir_buffer_view(out).size * EVENTS;
    report("json_decode", decode_one, &flat, flat.size, 700);
    report("json_decode_any_order", decode_one, &shuffled, shuffled.size, 700);
    report("json_read_by_hand", walk_one, &nested, nested.size, 700);
    report("json_skip", skip_one, &nested, nested.size, 1000);
    report("json_skip_strings", skip_one, &strings, strings.size, 1000);
    report("utf8_valid", utf8_one, &nested, nested.size, 4000);
    report("json_encode", encode_one, &flat, encoded, 500);
    for (size_t i = 0; i < 4; i++)
        mem_free(all[i]->bytes);
    weir_buffer_free(out);
    stub_ctx_free(ctx);
    return 0;
}
