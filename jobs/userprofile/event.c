/* event.c -- see event.h.
 *
 * A reader goes over the members once. Readers of members return false only when the text is bad JSON or
 * UTF-8; everything else is noted in the reader (first complaint of its kind) and judged at the end. */
#include "jobs/userprofile/event.h"

#include "jobs/userprofile/decimal.h"

const weir_str id_kind_prefixes[ID_KIND_COUNT] = { [ID_USER] = { "user:", 5 },
    [ID_IDCARD] = { "idcard:", 7 },
    [ID_PHONE] = { "phone:", 6 },
    [ID_EMAIL] = { "email:", 6 },
    [ID_DEVICE] = { "device:", 7 },
    [ID_COOKIE] = { "cookie:", 7 } };

/* Required members, a bit each. */
enum { HAS_EVENT_ID = 1, HAS_TS = 2, HAS_IDS = 4, HAS_TYPE = 8, HAS_ALL = 15 };

struct reader {
    struct scan scan;
    const char *start;
    struct event *event;
    char *packed; /* room for the tags of any occurrence of tags; NULL: none yet */
    unsigned has;
    struct event_refusal bad;     /* the first bad member */
    struct event_refusal unknown; /* the first id of an unknown kind */
};

/* -- complaints ------------------------------------------------------------------------------- */

static uint64_t offset_of(const struct reader *reader)
{
    return (uint64_t)(reader->scan.at - reader->start);
}

/* Notes that the member in front of the scanner is bad. True, so that readers can return it. */
static bool bad_member(struct reader *reader, const char *detail)
{
    if (reader->bad.reason == NULL)
        reader->bad = (struct event_refusal){ "bad-member", detail, offset_of(reader) };
    return true;
}

/* The same for a value that is of another JSON type, and so not scanned yet. */
static bool bad_type(struct reader *reader, const char *detail, uint32_t depth)
{
    bad_member(reader, detail);
    return scan_value(&reader->scan, depth);
}

/* -- members ---------------------------------------------------------------------------------- */

static bool read_text(struct reader *reader, weir_str *to, uint64_t size_min, const char *detail)
{
    if (scan_peek(&reader->scan) != '"')
        return bad_type(reader, detail, 1);
    if (!scan_string(&reader->scan, to))
        return false;
    if (to->size < size_min || to->size > TEXT_SIZE_MAX)
        return bad_member(reader, detail);
    return true;
}

static bool is_number(const struct reader *reader)
{
    char next = scan_peek(&reader->scan);
    return next == '-' || (next >= '0' && next <= '9');
}

static bool read_ts(struct reader *reader)
{
    static const char detail[] = "ts is not a whole number from 0 to 253402300799999";
    weir_str text;
    if (!is_number(reader))
        return bad_type(reader, detail, 1);
    if (!scan_number(&reader->scan, &text))
        return false;
    if (text.size > 15)
        return bad_member(reader, detail);
    int64_t ts = 0;
    for (uint64_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
        if (digit > 9)
            return bad_member(reader, detail);
        ts = ts * 10 + digit;
    }
    if (ts > EVENT_TS_MAX)
        return bad_member(reader, detail);
    reader->event->body.ts = ts;
    return true;
}

static bool read_amount(struct reader *reader)
{
    static const char detail[] = "amount is not a number within 1e12";
    weir_str text;
    if (!is_number(reader))
        return bad_type(reader, detail, 1);
    if (!scan_number(&reader->scan, &text))
        return false;
    reader->event->body.has_amount = true;
    return decimal_parse(text, &reader->event->body.amount) || bad_member(reader, detail);
}

/* -- ids -------------------------------------------------------------------------------------- */

/* ID_KIND_COUNT when it is none. */
static enum id_kind kind_of(weir_str name)
{
    enum id_kind kind = 0;
    while (kind < ID_KIND_COUNT && (name.size + 1 != id_kind_prefixes[kind].size ||
                                       memcmp(name.data, id_kind_prefixes[kind].data, name.size)))
        kind++;
    return kind;
}

static bool has_control(weir_str text)
{
    for (uint64_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20)
            return true;
    return false;
}

static bool read_id(struct reader *reader)
{
    static const char detail[] = "an id is not a string of 1 to 256 bytes without control characters";
    struct scan *scan = &reader->scan;
    weir_str name, value;
    if (!scan_name(scan, &name))
        return false;
    if (scan_peek(scan) != '"')
        return bad_type(reader, detail, 2);
    const char *raw = scan->at + 1;
    if (!scan_string(scan, &value))
        return false;
    /* Only an escape can bring a control character into a string. */
    bool is_raw = value.data == raw;
    if (value.size == 0 || value.size > TEXT_SIZE_MAX || (!is_raw && has_control(value)))
        return bad_member(reader, detail);
    enum id_kind kind = kind_of(name);
    if (kind < ID_KIND_COUNT)
        reader->event->ids[kind] = value;
    else if (reader->unknown.reason == NULL)
        reader->unknown = (struct event_refusal){ "unknown-id-kind",
            "an id is of none of the kinds user, idcard, phone, email, device, cookie",
            offset_of(reader) };
    return true;
}

static bool read_ids(struct reader *reader)
{
    static const char detail[] = "ids is not an object with at least one member";
    struct scan *scan = &reader->scan;
    if (scan_peek(scan) != '{')
        return bad_type(reader, detail, 1);
    scan->at++;
    memset(reader->event->ids, 0, sizeof(reader->event->ids));
    if (scan_space(scan) == '}')
        bad_member(reader, detail);
    else
        do {
            if (!read_id(reader))
                return false;
        } while (scan_next(scan));
    return scan_take(scan, '}');
}

/* -- tags ------------------------------------------------------------------------------------- */

/* A tag, packed to `*to`: it needs no more room there than its text and the comma or brace behind
 * it, because "":1, are five bytes, and so is the shortest packed tag. */
static bool read_tag(struct reader *reader, char **to)
{
    static const char detail[] =
        "a tag is not a string or number of at most 1024 bytes, true or false, under a name of at "
        "most 256 bytes";
    struct scan *scan = &reader->scan;
    weir_str name, value;
    if (!scan_name(scan, &name))
        return false;
    char next = scan_peek(scan);
    if (next == '{' || next == '[' || next == 'n')
        return bad_type(reader, detail, 2);
    bool is_string = next == '"';
    bool is_good = is_string ? scan_string(scan, &value)
                   : is_number(reader) ? scan_number(scan, &value)
                                       : scan_word(scan, &value);
    if (!is_good)
        return false;
    if (name.size > TEXT_SIZE_MAX || value.size > TAG_VALUE_SIZE_MAX)
        return bad_member(reader, detail);
    *to += tag_put(*to, name, is_string, value);
    return true;
}

static bool read_tags(struct reader *reader)
{
    struct scan *scan = &reader->scan;
    if (scan_peek(scan) != '{')
        return bad_type(reader, "tags is not an object", 1);
    scan->at++;
    reader->event->body.tags = (weir_str){ .data = "", .size = 0 };
    if (scan_space(scan) == '}')
        return scan_take(scan, '}');
    if (reader->packed == NULL)
        reader->packed = scan->alloc(scan->arg, (size_t)(scan->end - scan->at));
    char *to = reader->packed;
    do {
        if (!read_tag(reader, &to))
            return false;
    } while (scan_next(scan));
    reader->event->body.tags =
        (weir_str){ .data = reader->packed, .size = (uint64_t)(to - reader->packed) };
    return scan_take(scan, '}');
}

/* -- the event -------------------------------------------------------------------------------- */

#define NAMED(text_) (memcmp(name.data, (text_), sizeof(text_) - 1) == 0)

/* The value of the member `name`. */
static bool read_member(struct reader *reader, weir_str name)
{
    struct contribution *body = &reader->event->body;
    weir_str ignored;
    switch (name.size) {
    case 2:
        if (!NAMED("ts"))
            break;
        reader->has |= HAS_TS;
        return read_ts(reader);
    case 3:
        if (!NAMED("ids"))
            break;
        reader->has |= HAS_IDS;
        return read_ids(reader);
    case 4:
        if (NAMED("tags"))
            return read_tags(reader);
        if (!NAMED("type"))
            break;
        reader->has |= HAS_TYPE;
        return read_text(reader, &body->type, 1, "type is not a string of 1 to 256 bytes");
    case 6:
        if (NAMED("amount"))
            return read_amount(reader);
        if (NAMED("source"))
            return read_text(reader, &ignored, 0, "source is not a string of at most 256 bytes");
        break;
    case 8:
        if (NAMED("category"))
            return read_text(
                reader, &body->category, 0, "category is not a string of at most 256 bytes");
        if (!NAMED("event_id"))
            break;
        reader->has |= HAS_EVENT_ID;
        return read_text(reader, &body->event_id, 1, "event_id is not a string of 1 to 256 bytes");
    default:
        break;
    }
    return scan_value(&reader->scan, 1);
}

/* The whole text: white space, an object, white space. */
static bool read_object(struct reader *reader)
{
    struct scan *scan = &reader->scan;
    weir_str name;
    scan_space(scan);
    if (!scan_take(scan, '{'))
        return false;
    if (scan_space(scan) != '}')
        do {
            if (!scan_name(scan, &name) || !read_member(reader, name))
                return false;
        } while (scan_next(scan));
    if (!scan_take(scan, '}'))
        return false;
    scan_space(scan);
    return scan->at == scan->end;
}

struct event_refusal event_read(weir_str text, scan_alloc_fn *alloc, void *arg,
    struct event *event)
{
    if (text.data == NULL)
        return (struct event_refusal){ "bad-json", "the value is null", 0 };
    if (text.size > EVENT_SIZE_MAX)
        return (struct event_refusal){ "too-large", "the value is over 1048576 bytes", 0 };
    struct reader reader = {
        .scan = { .at = text.data, .end = text.data + text.size, .alloc = alloc, .arg = arg },
        .start = text.data,
        .event = event,
    };
    if (!read_object(&reader)) {
        if (!utf8_is_valid(text))
            return (struct event_refusal){ "bad-utf8", "the value is not UTF-8", 0 };
        return (struct event_refusal){ "bad-json", "the value is not one JSON object",
            offset_of(&reader) };
    }
    if (reader.has != HAS_ALL)
        return (struct event_refusal){ "missing-member", "event_id, ts, ids or type is missing",
            text.size };
    return reader.bad.reason != NULL ? reader.bad : reader.unknown;
}

/* -- the format ------------------------------------------------------------------------------- */

static void *take_scratch(void *arg, size_t size)
{
    return weir_scratch(arg, size);
}

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    (void)format;
    struct event_refusal refusal = event_read(message->value, take_scratch, ctx, record);
    if (__builtin_expect(refusal.reason == NULL, 1))
        return NULL;
    return weir_error_data(refusal.reason, "no event: %s (seen at byte %llu of %llu)",
        refusal.detail, (unsigned long long)refusal.offset,
        (unsigned long long)message->value.size);
}

static const struct weir_format_class event_class = { .name = "event", .decode = decode };

struct weir_format event_format(void)
{
    return (struct weir_format){ .format_class = &event_class, .type = &event_type };
}
