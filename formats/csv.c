/* csv.c -- weir_csv: a line of RFC 4180 is a record, its fields by position in the type's table.
 *
 *     42,1700000000000,9.5,"say ""hi"", then go",true
 *
 * One message is one record: a line end behind it is taken off, one inside is only allowed between
 * quotes. There must be exactly as many fields as the type has; white space belongs to the field.
 * Without quotes an empty field is a NULL string, with quotes ("") an empty one: so every record
 * comes back as it was written. Numbers are as in JSON, never empty and of their exact range, but may
 * have leading zeros, and a double may be NaN, Infinity or -Infinity. A bool is true or false. Quotes
 * around a number or a bool are allowed and mean nothing.
 *
 * Every mistake is WEIR_E_DATA "bad-csv" and names the field. Decoded strings point into the
 * message, or into weir_scratch when quotes in them had to be unescaped. */
#include "types/schema.h"

#include <weir/json.h>

#include <math.h>
#include <stdio.h>

/* A field as it stands in the line. */
struct field {
    weir_str text;
    bool is_quoted;
};

/* -- decoding ------------------------------------------------------------------------------- */

/* What is being decoded, for reading on and for messages. */
struct line {
    weir_ctx *ctx;
    const struct weir_type *type;
    const char *at, *end;
    uint32_t index; /* of the field */
};

static weir_error *bad(const struct line *line, const char *what)
{
    return weir_error_data("bad-csv", "field %u, '%s': %s", line->index + 1,
        line->type->fields[line->index].name, what);
}

static weir_error *wrong_count(const struct line *line)
{
    return weir_error_data("bad-csv", "the line has %s than the %u fields of type '%s'",
        line->at < line->end ? "more" : "fewer", line->type->field_count, line->type->name);
}

/* `text` with each doubled quote once. */
static weir_str unescape(weir_ctx *ctx, weir_str text)
{
    char *out = weir_scratch(ctx, text.size);
    uint64_t size = 0;
    for (uint64_t i = 0; i < text.size; i++) {
        out[size++] = text.data[i];
        i += text.data[i] == '"';
    }
    return (weir_str){ .data = out, .size = size };
}

/* From behind the opening quote to behind the closing one. */
static weir_error *read_quoted(struct line *line, struct field *field)
{
    const char *start = line->at;
    bool has_escapes = false;
    for (;;) {
        const char *quote = memchr(line->at, '"', (size_t)(line->end - line->at));
        if (quote == NULL)
            return bad(line, "its quotes are not closed");
        line->at = quote + 1;
        if (line->at == line->end || *line->at != '"')
            break;
        has_escapes = true;
        line->at++;
    }
    weir_str text = { .data = start, .size = (uint64_t)(line->at - 1 - start) };
    *field =
        (struct field){ .text = has_escapes ? unescape(line->ctx, text) : text, .is_quoted = true };
    if (line->at < line->end && *line->at != ',')
        return bad(line, "there is text behind its closing quote");
    return NULL;
}

static weir_error *read_plain(struct line *line, struct field *field)
{
    const char *start = line->at;
    for (; line->at < line->end && *line->at != ','; line->at++) {
        if (*line->at == '"')
            return bad(line, "there is a quote in it, but none around it");
        if (*line->at == '\n' || *line->at == '\r')
            return bad(line, "there is a line end in it, but no quotes around it");
    }
    *field = (struct field){ .text = { .data = start, .size = (uint64_t)(line->at - start) } };
    return NULL;
}

static weir_error *read_field(struct line *line, struct field *field)
{
    if (line->at < line->end && *line->at == '"') {
        line->at++;
        return read_quoted(line, field);
    }
    return read_plain(line, field);
}

static bool parse_bool(weir_str text, bool *value)
{
    *value = weir_str_equal(text, WEIR_STR("true"));
    return *value || weir_str_equal(text, WEIR_STR("false"));
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* [-] digits [. digits] [e [+-] digits] */
static bool is_decimal(weir_str text)
{
    const char *end = text.data + text.size;
    const char *digits = text.data + (text.size > 0 && text.data[0] == '-');
    const char *at = skip_digits(digits, end);
    if (at == digits)
        return false;
    if (at < end && *at == '.') {
        digits = at + 1;
        at = skip_digits(digits, end);
        if (at == digits)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        digits = at + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        at = skip_digits(digits, end);
        if (at == digits)
            return false;
    }
    return at == end;
}

static bool parse_double(weir_str text, double *value)
{
    if (is_decimal(text))
        return weir_json_to_f64(text, value);
    bool is_negative = text.size > 0 && text.data[0] == '-';
    weir_str name = { .data = text.data + is_negative, .size = text.size - is_negative };
    if (weir_str_equal(text, WEIR_STR("NaN")))
        *value = (double)NAN;
    else if (weir_str_equal(name, WEIR_STR("Infinity")))
        *value = (double)(is_negative ? -INFINITY : INFINITY);
    else
        return false;
    return true;
}

static bool parse_i32(weir_str text, int32_t *value)
{
    int64_t wide;
    if (!weir_json_to_i64(text, &wide) || wide < INT32_MIN || wide > INT32_MAX)
        return false;
    *value = (int32_t)wide;
    return true;
}

static bool parse_u32(weir_str text, uint32_t *value)
{
    uint64_t wide;
    if (!weir_json_to_u64(text, &wide) || wide > UINT32_MAX)
        return false;
    *value = (uint32_t)wide;
    return true;
}

/* Puts the value into the member; false: it is none, or none of this kind. */
static bool parse(enum weir_kind kind, weir_str text, void *member)
{
    switch (kind) {
    case WEIR_BOOL:
        return parse_bool(text, member);
    case WEIR_I32:
        return parse_i32(text, member);
    case WEIR_U32:
        return parse_u32(text, member);
    case WEIR_I64:
        return weir_json_to_i64(text, member);
    case WEIR_U64:
        return weir_json_to_u64(text, member);
    case WEIR_F64:
        return parse_double(text, member);
    case WEIR_STRING:
        break;
    }
    return false;
}

static weir_error *store(const struct line *line, const struct field *field, void *record)
{
    const struct weir_field *to = &line->type->fields[line->index];
    void *member = (char *)record + to->offset;
    if (to->kind == WEIR_STRING) {
        if (field->is_quoted || field->text.size > 0)
            *(weir_str *)member = field->text;
        return NULL;
    }
    if (parse(to->kind, field->text, member))
        return NULL;
    char what[64];
    snprintf(what, sizeof(what), "%s no %s", field->text.size == 0 ? "it is empty," : "it is",
        schema_kind_name(to->kind));
    return bad(line, what);
}

/* The line end is CR LF by the RFC; LF alone, or what a splitter at LF leaves, is as good. */
static const char *without_line_end(const char *start, const char *end)
{
    if (end > start && end[-1] == '\n')
        end--;
    if (end > start && end[-1] == '\r')
        end--;
    return end;
}

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    if (message->value.data == NULL)
        return weir_error_data("bad-csv", "the value is null");
    const char *start = message->value.data;
    struct line line = { .ctx = ctx,
        .type = format->type,
        .at = start,
        .end = without_line_end(start, start + message->value.size) };
    for (; line.index < line.type->field_count; line.index++) {
        if (line.index > 0) {
            if (line.at == line.end)
                return wrong_count(&line);
            line.at++; /* the comma: nothing else ends a field */
        }
        struct field field = { .is_quoted = false };
        WEIR_TRY(read_field(&line, &field));
        WEIR_TRY(store(&line, &field, record));
    }
    return line.at == line.end ? NULL : wrong_count(&line);
}

/* -- encoding ------------------------------------------------------------------------------- */

static bool needs_quotes(weir_str text)
{
    for (uint64_t i = 0; i < text.size; i++)
        if (text.data[i] == ',' || text.data[i] == '"' || text.data[i] == '\n' ||
            text.data[i] == '\r')
            return true;
    return text.size == 0;
}

static void put_string(weir_buffer *out, weir_str text)
{
    if (text.data == NULL)
        return;
    if (!needs_quotes(text)) {
        weir_buffer_add_str(out, text);
        return;
    }
    weir_buffer_add_byte(out, '"');
    for (uint64_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            weir_buffer_add_byte(out, '"');
        weir_buffer_add_byte(out, text.data[i]);
    }
    weir_buffer_add_byte(out, '"');
}

static void put_double(weir_buffer *out, double value)
{
    if (isnan(value))
        weir_buffer_add_str(out, WEIR_STR("NaN"));
    else if (isinf(value))
        weir_buffer_add_str(out, value < 0 ? WEIR_STR("-Infinity") : WEIR_STR("Infinity"));
    else
        weir_json_put_f64(out, value);
}

static void put_field(weir_buffer *out, enum weir_kind kind, const void *member)
{
    switch (kind) {
    case WEIR_BOOL:
        weir_buffer_add_str(out, *(const bool *)member ? WEIR_STR("true") : WEIR_STR("false"));
        break;
    case WEIR_I32:
        weir_json_put_i64(out, *(const int32_t *)member);
        break;
    case WEIR_U32:
        weir_json_put_u64(out, *(const uint32_t *)member);
        break;
    case WEIR_I64:
        weir_json_put_i64(out, *(const int64_t *)member);
        break;
    case WEIR_U64:
        weir_json_put_u64(out, *(const uint64_t *)member);
        break;
    case WEIR_F64:
        put_double(out, *(const double *)member);
        break;
    case WEIR_STRING:
        put_string(out, *(const weir_str *)member);
        break;
    }
}

static weir_error *encode(const struct weir_format *format, const void *record, weir_buffer *key,
    weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    (void)key;
    (void)key_is_null;
    (void)value_is_null;
    const struct weir_type *type = format->type;
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (i > 0)
            weir_buffer_add_byte(value, ',');
        put_field(value, type->fields[i].kind, (const char *)record + type->fields[i].offset);
    }
    return NULL;
}

static const struct weir_format_class csv_class = {
    .name = "csv",
    .decode = decode,
    .encode = encode,
};

struct weir_format weir_csv(const struct weir_type *type)
{
    return (struct weir_format){ .format_class = &csv_class, .type = type };
}
