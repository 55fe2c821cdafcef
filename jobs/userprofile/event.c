/* event.c -- see event.h.
 *
 * A reader goes over the members once, by weir/json.h, whose errors stick: loops end by themselves.
 * What is wrong with a member is noted, the first of its kind, and judged at the end. */
#include "jobs/userprofile/event.h"

#include "jobs/userprofile/decimal.h"
#include <weir/json.h>

const weir_str id_kind_prefixes[ID_KIND_COUNT] = { [ID_USER] = { "user:", 5 },
    [ID_IDCARD] = { "idcard:", 7 },
    [ID_PHONE] = { "phone:", 6 },
    [ID_EMAIL] = { "email:", 6 },
    [ID_DEVICE] = { "device:", 7 },
    [ID_COOKIE] = { "cookie:", 7 } };

/* Required members, a bit each. */
enum { HAS_EVENT_ID = 1, HAS_TS = 2, HAS_IDS = 4, HAS_TYPE = 8, HAS_ALL = 15 };

struct reader {
    struct weir_json_reader json;
    weir_ctx *ctx;
    struct event *event;
    uint64_t size; /* of the text */
    char *packed;  /* room for the tags of any occurrence of tags; NULL: none yet */
    unsigned has;
    struct event_refusal bad;     /* the first bad member */
    struct event_refusal unknown; /* the first id of an unknown kind */
};

/* -- values ---------------------------------------------------------------------------------- */

static void bad_member(struct reader *reader, const char *detail)
{
    if (reader->bad.reason == NULL)
        reader->bad =
            (struct event_refusal){ "bad-member", detail, weir_json_offset(&reader->json) };
}

/* Reads a value; false: it is of another kind, which is noted, and passed over. */
static inline bool read_kind(struct reader *reader, enum weir_json_kind kind, const char *detail)
{
    enum weir_json_kind found = weir_json_value(&reader->json);
    if (__builtin_expect(found == kind, 1))
        return true;
    bad_member(reader, detail);
    weir_json_skip(&reader->json, found);
    return false;
}

static inline weir_str name_or_string(struct reader *reader)
{
    return weir_json_string(&reader->json, reader->ctx);
}

static void read_text(struct reader *reader, weir_str *to, uint64_t size_min, const char *detail)
{
    if (!read_kind(reader, WEIR_JSON_STRING, detail))
        return;
    *to = name_or_string(reader);
    if (to->size < size_min || to->size > TEXT_SIZE_MAX)
        bad_member(reader, detail);
}

static void read_ts(struct reader *reader)
{
    static const char detail[] = "ts is not a whole number from 0 to 253402300799999";
    if (!read_kind(reader, WEIR_JSON_NUMBER, detail))
        return;
    int64_t ts = 0;
    weir_str text = reader->json.text;
    for (uint64_t i = 0; i < text.size && ts <= EVENT_TS_MAX; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        ts = digit > 9 ? INT64_MAX : ts * 10 + digit;
    }
    reader->event->body.ts = ts;
    if (ts > EVENT_TS_MAX)
        bad_member(reader, detail);
}

static void read_amount(struct reader *reader)
{
    static const char detail[] = "amount is not a number within 1e12";
    struct contribution *body = &reader->event->body;
    if (!read_kind(reader, WEIR_JSON_NUMBER, detail))
        return;
    body->has_amount = true;
    if (!decimal_parse(reader->json.text, &body->amount))
        bad_member(reader, detail);
}

/* -- ids ------------------------------------------------------------------------------------- */

/* ID_KIND_COUNT when it is none. */
static enum id_kind kind_of(weir_str name)
{
    enum id_kind kind = 0;
    for (; kind < ID_KIND_COUNT; kind++) {
        weir_str prefix = id_kind_prefixes[kind];
        if (name.size + 1 == prefix.size && memcmp(name.data, prefix.data, name.size) == 0)
            break;
    }
    return kind;
}

static bool has_control(weir_str text)
{
    for (uint64_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20)
            return true;
    return false;
}

/* Only an escape can bring a control character into a string. */
static bool is_id(const struct reader *reader, weir_str id)
{
    return id.size > 0 && id.size <= TEXT_SIZE_MAX &&
           (!reader->json.has_escapes || !has_control(id));
}

static void read_id(struct reader *reader)
{
    static const char detail[] =
        "an id is not a string of 1 to 256 bytes without control characters";
    static const char unknown_detail[] =
        "an id is of none of the kinds user, idcard, phone, email, device, cookie";
    enum id_kind kind = kind_of(name_or_string(reader));
    if (!read_kind(reader, WEIR_JSON_STRING, detail))
        return;
    weir_str id = name_or_string(reader);
    if (!is_id(reader, id))
        bad_member(reader, detail);
    else if (kind < ID_KIND_COUNT)
        reader->event->ids[kind] = id;
    else if (reader->unknown.reason == NULL)
        reader->unknown = (struct event_refusal){ "unknown-id-kind", unknown_detail,
            weir_json_offset(&reader->json) };
}

static void read_ids(struct reader *reader)
{
    static const char detail[] = "ids is not an object with at least one member";
    if (!read_kind(reader, WEIR_JSON_OBJECT, detail))
        return;
    memset(reader->event->ids, 0, sizeof(reader->event->ids));
    bool is_empty = true;
    while (weir_json_member(&reader->json)) {
        read_id(reader);
        is_empty = false;
    }
    if (is_empty)
        bad_member(reader, detail);
}

/* -- tags ------------------------------------------------------------------------------------ */

/* Packs a tag to `*to`. It needs no more room than its text and the comma or brace behind it do,
 * because "":1, are five bytes, and so is the shortest packed tag. A text that ends there, without
 * comma and brace, needs one byte more. */
static void read_tag(struct reader *reader, char **to)
{
    static const char detail[] = "a tag is not a string or number of at most 1024 bytes, true or "
                                 "false, under a name of at most 256 bytes";
    weir_str name = name_or_string(reader);
    enum weir_json_kind kind = weir_json_value(&reader->json);
    weir_str value = { .data = NULL };
    if (kind == WEIR_JSON_STRING)
        value = name_or_string(reader);
    else if (kind == WEIR_JSON_NUMBER)
        value = reader->json.text;
    else if (kind == WEIR_JSON_TRUE)
        value = WEIR_STR("true");
    else if (kind == WEIR_JSON_FALSE)
        value = WEIR_STR("false");
    else
        weir_json_skip(&reader->json, kind);
    if (value.data == NULL || value.size > TAG_VALUE_SIZE_MAX || name.size > TEXT_SIZE_MAX)
        bad_member(reader, detail);
    else
        *to += tag_put(*to, name, kind == WEIR_JSON_STRING, value);
}

static void read_tags(struct reader *reader)
{
    if (!read_kind(reader, WEIR_JSON_OBJECT, "tags is not an object"))
        return;
    if (reader->packed == NULL) {
        size_t size = reader->size - weir_json_offset(&reader->json) + 1;
        reader->packed = weir_scratch(reader->ctx, size);
    }
    char *to = reader->packed;
    while (weir_json_member(&reader->json))
        read_tag(reader, &to);
    reader->event->body.tags =
        (weir_str){ .data = reader->packed, .size = (uint64_t)(to - reader->packed) };
}

/* -- the event ------------------------------------------------------------------------------- */

static void read_event_id(struct reader *reader)
{
    reader->has |= HAS_EVENT_ID;
    read_text(reader, &reader->event->body.event_id, 1,
        "event_id is not a string of 1 to 256 bytes");
}

static void read_type(struct reader *reader)
{
    reader->has |= HAS_TYPE;
    read_text(reader, &reader->event->body.type, 1, "type is not a string of 1 to 256 bytes");
}

static void read_category(struct reader *reader)
{
    read_text(reader, &reader->event->body.category, 0,
        "category is not a string of at most 256 bytes");
}

static void read_source(struct reader *reader)
{
    weir_str ignored;
    read_text(reader, &ignored, 0, "source is not a string of at most 256 bytes");
}

static void read_unknown(struct reader *reader)
{
    weir_json_skip(&reader->json, weir_json_value(&reader->json));
}

/* The value of the member `name`. */
static void read_member(struct reader *reader, weir_str name)
{
#define IS(text_) (name.size == sizeof(text_) - 1 && memcmp(name.data, text_, name.size) == 0)
    if (IS("event_id")) {
        read_event_id(reader);
    } else if (IS("ts")) {
        reader->has |= HAS_TS;
        read_ts(reader);
    } else if (IS("source")) {
        read_source(reader);
    } else if (IS("ids")) {
        reader->has |= HAS_IDS;
        read_ids(reader);
    } else if (IS("type")) {
        read_type(reader);
    } else if (IS("category")) {
        read_category(reader);
    } else if (IS("amount")) {
        read_amount(reader);
    } else if (IS("tags")) {
        read_tags(reader);
    } else {
        read_unknown(reader);
    }
#undef IS
}

/* False: the text is not one object. */
static bool read_event(struct reader *reader)
{
    enum weir_json_kind kind = weir_json_value(&reader->json);
    if (kind == WEIR_JSON_OBJECT)
        while (weir_json_member(&reader->json))
            read_member(reader, name_or_string(reader));
    else
        weir_json_skip(&reader->json, kind);
    return weir_json_end(&reader->json) && kind == WEIR_JSON_OBJECT;
}

static struct event_refusal bad_text(const struct reader *reader)
{
    if (reader->json.error == NULL)
        return (struct event_refusal){ "bad-json", "the value is JSON, but no object", 0 };
    return (struct event_refusal){ weir_json_reason(&reader->json), reader->json.error,
        weir_json_offset(&reader->json) };
}

struct event_refusal event_read(weir_str text, weir_ctx *ctx, struct event *event)
{
    if (text.data == NULL)
        return (struct event_refusal){ "bad-json", "the value is null", 0 };
    if (text.size > EVENT_SIZE_MAX)
        return (struct event_refusal){ "too-large", "the value is over 1048576 bytes", 0 };
    struct reader reader = { .ctx = ctx, .event = event, .size = text.size };
    weir_json_open(&reader.json, text);
    if (!read_event(&reader))
        return bad_text(&reader);
    if (reader.has != HAS_ALL)
        return (struct event_refusal){ "missing-member", "event_id, ts, ids or type is missing",
            text.size };
    return reader.bad.reason != NULL ? reader.bad : reader.unknown;
}

/* -- the format ------------------------------------------------------------------------------ */

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    (void)format;
    struct event_refusal refusal = event_read(message->value, ctx, record);
    if (__builtin_expect(refusal.reason == NULL, 1))
        return NULL;
    return weir_error_data(refusal.reason, "%s (at byte %llu of %llu)", refusal.detail,
        (unsigned long long)refusal.offset, (unsigned long long)message->value.size);
}

static const struct weir_format_class event_class = { .name = "event", .decode = decode };

struct weir_format event_format(void)
{
    return (struct weir_format){ .format_class = &event_class, .type = &event_type };
}
