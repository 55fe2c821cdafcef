/* json.c -- see json.h. */
#include "base/json.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define PRINTED_MAX 1024

/* Bytes of the character at `at`; 0: it is none. */
static uint32_t character_size(const char *at, const char *end)
{
    return (unsigned char)*at < 0x80 ? 1 : utf8_sequence(at, end);
}

bool json_is_text(weir_str bytes)
{
    const char *end = bytes.data + bytes.size;
    for (const char *at = bytes.data; at != end;) {
        uint32_t size = character_size(at, end);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

static void put_character(weir_str character, weir_buffer *out)
{
    unsigned char byte = (unsigned char)character.data[0];
    if (byte < 0x20) {
        buffer_printf(out, "\\u%04x", byte);
        return;
    }
    if (byte == '"' || byte == '\\')
        weir_buffer_add_byte(out, '\\');
    weir_buffer_add_str(out, character);
}

void json_put_quote(weir_str text, weir_buffer *out)
{
    const char *end = text.data + text.size;
    weir_buffer_add_byte(out, '"');
    for (const char *at = text.data; at != end;) {
        uint32_t size = character_size(at, end);
        if (size == 0)
            weir_buffer_add_str(out, WEIR_STR("\xef\xbf\xbd"));
        else
            put_character((weir_str){ .data = at, .size = size }, out);
        at += size == 0 ? 1 : size;
    }
    weir_buffer_add_byte(out, '"');
}

struct json json_to(weir_buffer *out)
{
    return (struct json){ .out = out };
}

void json_put_name(struct json *json, const char *name)
{
    if (json->depth == 0) {
        ASSERT(name == NULL);
        return;
    }
    uint32_t top = json->depth - 1;
    ASSERT((name != NULL) == json->is_object[top]);
    if (json->has_members[top])
        weir_buffer_add_byte(json->out, ',');
    json->has_members[top] = true;
    if (name == NULL)
        return;
    json_put_quote(weir_str_of(name), json->out);
    weir_buffer_add_byte(json->out, ':');
}

static void begin(struct json *json, const char *name, bool is_object)
{
    json_put_name(json, name);
    ASSERT(json->depth < JSON_DEPTH_MAX);
    json->is_object[json->depth] = is_object;
    json->has_members[json->depth++] = false;
    weir_buffer_add_byte(json->out, is_object ? '{' : '[');
}

void json_put_object(struct json *json, const char *name)
{
    begin(json, name, true);
}

void json_put_array(struct json *json, const char *name)
{
    begin(json, name, false);
}

void json_put_end(struct json *json)
{
    ASSERT(json->depth > 0);
    weir_buffer_add_byte(json->out, json->is_object[--json->depth] ? '}' : ']');
}

void json_put_str(struct json *json, const char *name, weir_str text)
{
    if (text.data == NULL) {
        json_put_null(json, name);
        return;
    }
    json_put_name(json, name);
    json_put_quote(text, json->out);
}

void json_put_text(struct json *json, const char *name, const char *text)
{
    json_put_str(json, name, weir_str_of(text));
}

void json_put_printf(struct json *json, const char *name, const char *format, ...)
{
    char text[PRINTED_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    json_put_text(json, name, text);
}

void json_put_int(struct json *json, const char *name, int64_t value)
{
    json_put_name(json, name);
    buffer_printf(json->out, "%" PRId64, value);
}

void json_put_uint(struct json *json, const char *name, uint64_t value)
{
    json_put_name(json, name);
    buffer_printf(json->out, "%" PRIu64, value);
}

void json_put_real(struct json *json, const char *name, double value)
{
    json_put_name(json, name);
    if (!isfinite(value))
        buffer_printf(json->out, isnan(value) ? "\"NaN\""
                                 : value > 0  ? "\"Infinity\""
                                              : "\"-Infinity\"");
    else
        buffer_printf(json->out, "%.17g", value);
}

void json_put_bool(struct json *json, const char *name, bool value)
{
    json_put_name(json, name);
    buffer_printf(json->out, value ? "true" : "false");
}

void json_put_null(struct json *json, const char *name)
{
    json_put_name(json, name);
    buffer_printf(json->out, "null");
}
