/* event_fuzz.c -- any bytes: the decoder of jobs/userprofile.
 *
 * Invariants: a refusal has one of the six reasons; what is accepted is within every limit; and
 * written again as JSON, in another order and with every byte of its strings escaped, it is the
 * same event. */
#include "jobs/userprofile/event.h"

#include "jobs/userprofile/decimal.h"
#include "jobs/userprofile/text.h"
#include <weir/json.h>
#include <weir/testing.h>

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_right)
{
    if (!is_right)
        abort();
}

static struct event_refusal read_text(weir_ctx *ctx, weir_str text, struct event *event)
{
    *event = (struct event){ .ids = { { .data = NULL } } };
    return event_read(text, ctx, event);
}

/* -- limits ---------------------------------------------------------------------------------- */

static void check_text(weir_str text, uint64_t size_min)
{
    must(text.size >= size_min && text.size <= TEXT_SIZE_MAX && weir_utf8_valid(text));
}

static void check_ids(const struct event *event)
{
    bool is_any = false;
    for (int kind = 0; kind < ID_KIND_COUNT; kind++) {
        weir_str id = event->ids[kind];
        if (id.data == NULL)
            continue;
        is_any = true;
        check_text(id, 1);
        for (uint64_t i = 0; i < id.size; i++)
            must((unsigned char)id.data[i] >= 0x20);
    }
    must(is_any);
}

static void check_event(const struct event *event)
{
    const struct contribution *body = &event->body;
    check_ids(event);
    check_text(body->event_id, 1);
    check_text(body->type, 1);
    if (body->category.data != NULL)
        check_text(body->category, 0);
    must(body->ts >= 0 && body->ts <= EVENT_TS_MAX);
    must(body->amount >= -DECIMAL_UNITS_MAX && body->amount <= DECIMAL_UNITS_MAX);
    weir_str tags = body->tags;
    struct tag tag;
    while (tag_next(&tags, &tag)) {
        check_text(tag.name, 0);
        must(tag.value.size > 0 && tag.value.size <= TAG_VALUE_SIZE_MAX + 1);
        must(weir_utf8_valid(tag.value));
    }
}

/* -- and back -------------------------------------------------------------------------------- */

/* ASCII as \u00xx, the rest as it is. */
static void write_string(struct text *text, weir_str string)
{
    static const char digits[] = "0123456789ABCDEF";
    TEXT_ADD(text, "\"");
    for (uint64_t i = 0; i < string.size; i++) {
        unsigned char byte = (unsigned char)string.data[i];
        char code[] = { '\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15] };
        if (byte < 0x80)
            text_add(text, (weir_str){ .data = code, .size = sizeof(code) });
        else
            text_add(text, (weir_str){ .data = string.data + i, .size = 1 });
    }
    TEXT_ADD(text, "\"");
}

static void write_name(struct text *text, const char *before, weir_str name)
{
    text_add(text, weir_str_of(before));
    write_string(text, name);
    TEXT_ADD(text, " : ");
}

static void write_tags(struct text *text, weir_str tags)
{
    struct tag tag;
    const char *before = "";
    write_name(text, "{", WEIR_STR("tags"));
    TEXT_ADD(text, "{");
    while (tag_next(&tags, &tag)) {
        write_name(text, before, tag.name);
        if (tag.value.data[0] == '"')
            write_string(text, (weir_str){ tag.value.data + 1, tag.value.size - 1 });
        else
            text_add(text, tag.value);
        before = ",";
    }
    TEXT_ADD(text, "}");
}

static void write_ids(struct text *text, const struct event *event)
{
    const char *before = "";
    write_name(text, ",", WEIR_STR("ids"));
    TEXT_ADD(text, "{");
    for (int kind = 0; kind < ID_KIND_COUNT; kind++) {
        if (event->ids[kind].data == NULL)
            continue;
        weir_str name = id_kind_prefixes[kind];
        name.size--;
        write_name(text, before, name);
        write_string(text, event->ids[kind]);
        before = ",";
    }
    TEXT_ADD(text, "}");
}

static void write_event(struct text *text, const struct event *event)
{
    const struct contribution *body = &event->body;
    write_tags(text, body->tags);
    if (body->has_amount) {
        char digits[DECIMAL_TEXT_MAX];
        write_name(text, ",", WEIR_STR("amount"));
        text_add(text, (weir_str){ digits, decimal_print(body->amount, digits) });
    }
    if (body->category.data != NULL) {
        write_name(text, ",", WEIR_STR("category"));
        write_string(text, body->category);
    }
    write_name(text, ",", WEIR_STR("type"));
    write_string(text, body->type);
    write_ids(text, event);
    write_name(text, ",", WEIR_STR("ts"));
    text_number(text, body->ts);
    write_name(text, ",", WEIR_STR("event_id"));
    write_string(text, body->event_id);
    TEXT_ADD(text, "}");
}

static void check_same(const struct event *a, const struct event *b)
{
    for (int kind = 0; kind < ID_KIND_COUNT; kind++)
        must(weir_str_equal(a->ids[kind], b->ids[kind]));
    must(weir_str_equal(a->body.event_id, b->body.event_id) && a->body.ts == b->body.ts);
    must(weir_str_equal(a->body.type, b->body.type));
    must(weir_str_equal(a->body.category, b->body.category));
    must((a->body.category.data == NULL) == (b->body.category.data == NULL));
    must(a->body.amount == b->body.amount && a->body.has_amount == b->body.has_amount);
    must(weir_str_equal(a->body.tags, b->body.tags));
}

/* -- one input ------------------------------------------------------------------------------- */

static bool is_reason(const char *reason)
{
    static const char *const reasons[] = { "too-large", "bad-utf8", "bad-json", "missing-member",
        "bad-member", "unknown-id-kind" };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(reason, reasons[i]) == 0)
            return true;
    return false;
}

static weir_error *on_message(weir_ctx *ctx, const void *record)
{
    const struct weir_message *message = record;
    struct event event, again;
    struct event_refusal refusal = read_text(ctx, message->value, &event);
    if (refusal.reason != NULL) {
        must(is_reason(refusal.reason) && refusal.offset <= message->value.size);
        return NULL;
    }
    check_event(&event);
    struct text text;
    text_init(&text, EVENT_SIZE_MAX);
    write_event(&text, &event);
    if (!text.is_over) {
        must(read_text(ctx, text_view(&text), &again).reason == NULL);
        check_same(&event, &again);
    }
    text_release(&text);
    return NULL;
}

static const struct weir_operator checker = { .name = "checker",
    .in = &weir_message_type,
    .on_record = on_message };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static weir_harness *harness;
    if (harness == NULL)
        harness = weir_harness_new(&checker, NULL, WEIR_NO_KEY);
    char *copy = malloc(size + (size == 0)); /* of exactly this size, for the address sanitizer */
    memcpy(copy, data, size);
    struct weir_message message = { .value = { .data = copy, .size = size } };
    weir_harness_send(harness, 0, weir_message, &message);
    free(copy);
    return 0;
}
