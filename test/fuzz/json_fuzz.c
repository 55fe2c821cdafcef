/* json_fuzz.c -- any bytes: the reader against a slow one written from the RFC alone.
 *
 * Invariants: walking and skipping accept the same texts, exactly those of the slow reader, and
 * "bad-utf8" is said of exactly what is not UTF-8; what a string means is UTF-8, and written and
 * read again it means the same; a number is what strtod says, and written and read again it is the
 * same; what weir_json decodes, it encodes to bytes that it decodes and encodes to the same
 * bytes. */
#include "base/buffer.h"
#include "test/support/stub_ctx.h"

#include <weir/json.h>

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_right)
{
    if (!is_right)
        abort();
}

/* -- the slow reader: one byte at a time, recursive, no state but the cursor ------------------- */

struct slow {
    const unsigned char *at, *end;
};

static bool slow_is_utf8(const unsigned char *at, const unsigned char *end)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    while (at < end) {
        uint32_t size = *at < 0x80 ? 1 : *at >> 5 == 6 ? 2 : *at >> 4 == 14 ? 3 : 4;
        if (*at >= 0x80 && *at >> 3 != 30 && size == 4)
            return false;
        uint32_t point = size == 1 ? *at : *at & (0xffu >> (size + 1));
        if ((size_t)(end - at) < size)
            return false;
        for (uint32_t i = 1; i < size; i++) {
            if (at[i] >> 6 != 2)
                return false;
            point = point << 6 | (at[i] & 0x3f);
        }
        if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
        at += size;
    }
    return true;
}

static bool slow_take(struct slow *slow, char byte)
{
    if (slow->at == slow->end || *slow->at != (unsigned char)byte)
        return false;
    slow->at++;
    return true;
}

static void slow_space(struct slow *slow)
{
    while (slow_take(slow, ' ') || slow_take(slow, '\t') || slow_take(slow, '\n') ||
           slow_take(slow, '\r'))
        continue;
}

static int slow_hex(struct slow *slow)
{
    int value = 0;
    for (int i = 0; i < 4; i++, slow->at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *found =
            slow->at < slow->end && *slow->at != 0 ? strchr(digits, *slow->at) : NULL;
        if (found == NULL)
            return -1;
        value = value * 16 + (int)((found - digits) % 16);
    }
    return value;
}

static bool slow_string(struct slow *slow)
{
    if (!slow_take(slow, '"'))
        return false;
    while (slow->at < slow->end && *slow->at != '"') {
        if (*slow->at < 0x20)
            return false;
        if (*slow->at++ != '\\')
            continue;
        if (slow->at == slow->end || *slow->at == 0 || strchr("\"\\/bfnrtu", *slow->at) == NULL)
            return false;
        if (*slow->at++ != 'u')
            continue;
        int unit = slow_hex(slow);
        if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
            return false;
        if (unit < 0xd800 || unit > 0xdfff)
            continue;
        if (!slow_take(slow, '\\') || !slow_take(slow, 'u'))
            return false;
        unit = slow_hex(slow);
        if (unit < 0xdc00 || unit > 0xdfff)
            return false;
    }
    return slow_take(slow, '"');
}

static bool slow_digits(struct slow *slow)
{
    const unsigned char *start = slow->at;
    while (slow->at < slow->end && *slow->at >= '0' && *slow->at <= '9')
        slow->at++;
    return slow->at > start;
}

static bool slow_number(struct slow *slow)
{
    slow_take(slow, '-');
    if (!slow_take(slow, '0') && !slow_digits(slow))
        return false;
    if (slow_take(slow, '.') && !slow_digits(slow))
        return false;
    if (!slow_take(slow, 'e') && !slow_take(slow, 'E'))
        return true;
    if (!slow_take(slow, '+'))
        slow_take(slow, '-');
    return slow_digits(slow);
}

static bool slow_word(struct slow *slow, const char *word)
{
    for (; *word != '\0'; word++) {
        if (!slow_take(slow, *word))
            return false;
    }
    return true;
}

static bool slow_value(struct slow *slow, uint32_t depth);

static bool slow_container(struct slow *slow, uint32_t depth, bool is_object)
{
    char closing = is_object ? '}' : ']';
    slow->at++;
    slow_space(slow);
    if (depth > WEIR_JSON_DEPTH_MAX || slow_take(slow, closing))
        return depth <= WEIR_JSON_DEPTH_MAX;
    do {
        slow_space(slow);
        if (is_object) {
            if (!slow_string(slow))
                return false;
            slow_space(slow);
            if (!slow_take(slow, ':'))
                return false;
        }
        if (!slow_value(slow, depth))
            return false;
    } while (slow_take(slow, ','));
    return slow_take(slow, closing);
}

static bool slow_value(struct slow *slow, uint32_t depth)
{
    slow_space(slow);
    if (slow->at == slow->end)
        return false;
    bool is_good = *slow->at == '{'   ? slow_container(slow, depth + 1, true)
                   : *slow->at == '[' ? slow_container(slow, depth + 1, false)
                   : *slow->at == '"' ? slow_string(slow)
                   : *slow->at == 't' ? slow_word(slow, "true")
                   : *slow->at == 'f' ? slow_word(slow, "false")
                   : *slow->at == 'n' ? slow_word(slow, "null")
                                      : slow_number(slow);
    slow_space(slow);
    return is_good;
}

static const char *slow_reason(const uint8_t *data, size_t size)
{
    struct slow slow = { data, data + size };
    if (!slow_is_utf8(data, data + size))
        return "bad-utf8";
    return slow_value(&slow, 0) && slow.at == slow.end ? NULL : "bad-json";
}

/* -- the reader ------------------------------------------------------------------------------- */

static void check_string(const struct weir_json_reader *json, weir_buffer *buffer)
{
    char *meaning = malloc(json->text.size + 1);
    weir_str text = { meaning, weir_json_unescape(json, meaning) };
    must(weir_utf8_valid(text) && text.size <= json->text.size && weir_json_is(json, text));
    weir_buffer_reset(buffer);
    weir_json_put_string(buffer, text);
    struct weir_json_reader again;
    weir_json_open(&again, weir_buffer_view(buffer));
    must(weir_json_value(&again) == WEIR_JSON_STRING && weir_json_is(&again, text));
    must(weir_json_end(&again));
    free(meaning);
}

static void check_number(const struct weir_json_reader *json, weir_buffer *buffer)
{
    double value, again;
    int64_t i64;
    weir_buffer_reset(buffer);
    weir_buffer_add_str(buffer, json->text);
    double expected = strtod(buffer_text(buffer), NULL);
    must(weir_json_to_f64(json->text, &value) == (isfinite(expected) != 0));
    if (!isfinite(expected))
        return;
    must(memcmp(&value, &expected, sizeof(value)) == 0);
    must(!weir_json_to_i64(json->text, &i64) || (json->is_integer && (double)i64 == value));
    weir_buffer_reset(buffer);
    weir_json_put_f64(buffer, value);
    must(weir_json_to_f64(weir_buffer_view(buffer), &again));
    must(memcmp(&value, &again, sizeof(value)) == 0);
}

static void walk(struct weir_json_reader *json, enum weir_json_kind kind, weir_buffer *buffer)
{
    if (kind == WEIR_JSON_STRING)
        check_string(json, buffer);
    if (kind == WEIR_JSON_NUMBER)
        check_number(json, buffer);
    if (kind == WEIR_JSON_ARRAY) {
        while (weir_json_element(json))
            walk(json, weir_json_value(json), buffer);
    }
    if (kind != WEIR_JSON_OBJECT)
        return;
    while (weir_json_member(json)) {
        check_string(json, buffer);
        walk(json, weir_json_value(json), buffer);
    }
}

static enum weir_json_kind check_reader(weir_str text, const char *expected, weir_buffer *buffer)
{
    struct weir_json_reader json;
    weir_json_open(&json, text);
    enum weir_json_kind kind = weir_json_value(&json);
    walk(&json, kind, buffer);
    must(weir_json_end(&json) == (expected == NULL));
    must(expected == NULL || strcmp(weir_json_reason(&json), expected) == 0);
    size_t offset = weir_json_offset(&json);
    weir_json_open(&json, text);
    weir_json_skip(&json, weir_json_value(&json));
    must(weir_json_end(&json) == (expected == NULL));
    must(weir_json_offset(&json) == offset && offset <= text.size);
    return kind;
}

/* -- the format ------------------------------------------------------------------------------- */

struct event {
    weir_str event_id;
    int64_t ts;
    double amount;
    bool vip;
    int32_t small;
    uint32_t count;
    uint64_t large;
};
WEIR_TYPE(event, WEIR_FIELD(1, event, event_id), WEIR_FIELD(2, event, ts),
    WEIR_FIELD(3, event, amount), WEIR_FIELD(4, event, vip), WEIR_FIELD(5, event, small),
    WEIR_FIELD(6, event, count), WEIR_FIELD(7, event, large));

static weir_ctx *ctx;
static struct weir_format format;

static weir_error *decode(weir_str value, struct event *event)
{
    struct weir_message message = { .value = value };
    *event = (struct event){ .ts = 0 };
    return format.format_class->decode(&format, ctx, &message, event);
}

static void encode(const struct event *event, weir_buffer *value)
{
    bool key_is_null = true, value_is_null = false;
    must(format.format_class->encode(&format, event, NULL, value, &key_is_null, &value_is_null) ==
         NULL);
}

static void check_format(weir_str text, const char *expected, bool is_object)
{
    struct event event;
    weir_error *error = decode(text, &event);
    expected = expected == NULL && !is_object ? "bad-json" : expected;
    if (error != NULL) {
        const char *reason = weir_error_reason(error);
        must(strcmp(reason, expected == NULL ? "bad-member" : expected) == 0);
        weir_error_free(error);
        return;
    }
    must(expected == NULL);
    weir_buffer *first = weir_buffer_new(1u << 20), *second = weir_buffer_new(1u << 20);
    encode(&event, first);
    must(decode(weir_buffer_view(first), &event) == NULL);
    encode(&event, second);
    must(weir_str_equal(weir_buffer_view(first), weir_buffer_view(second)));
    weir_buffer_free(first);
    weir_buffer_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    ctx = stub_ctx_new(0, 1);
    format = weir_json(&event_type);
    weir_str text = { (const char *)data, size };
    weir_buffer *buffer = weir_buffer_new(1u << 20);
    const char *expected = slow_reason(data, size);
    enum weir_json_kind kind = check_reader(text, expected, buffer);
    check_format(text, expected, kind == WEIR_JSON_OBJECT);
    weir_buffer_free(buffer);
    stub_ctx_free(ctx);
    return 0;
}
