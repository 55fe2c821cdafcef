/* json.c -- weir_json(type): one JSON object a record, a member a field, by name.
 *
 * Decoding. The bytes must be one object, RFC 8259 in UTF-8; else the message is a dead letter,
 * "bad-utf8" or, after that, "bad-json". Only of good JSON is it asked whether members fit:
 *
 *     bool             true, false
 *     i32 u32 i64 u64  a number without fraction and exponent, in range
 *     f64              a number, in the range of a double
 *     string           a string; a view of the message, or of scratch if it has escapes
 *     any              null: as if the member were absent
 *
 * Anything else is "bad-member". An absent member is zero, false, or a string without value (NULL).
 * Of a repeated member all are checked and the last counts. Unknown members are checked as JSON and
 * skipped. A null value (a tombstone) is "bad-json"; the message's key is not looked at.
 *
 * Encoding writes all fields in the order of the type, without spaces: a NULL string is null, a
 * double that is NaN or infinite too (it is read back as 0), and of a string what is not UTF-8 is
 * U+FFFD; key and tombstone are never made.
 *
 * Finding the field of a member (json_table.h): the next one in the order of the type is guessed,
 * and its name compared with the bytes as they are written, quotes and colon included, by one
 * load; that is cheaper than finding where the name ends. A wrong guess costs a look-up by hash.
 *
 * Prefixes: weir_json */
#include <weir/json.h>

#include "base/assert.h"
#include "formats/json_table.h"
#include "types/schema.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Thread: task. One message being decoded. */
struct decoding {
    struct weir_json_reader json;
    weir_ctx *ctx;
    char *record;
    const struct weir_field *bad; /* the first field whose member does not fit; NULL: none */
};

/* -- finding the field ------------------------------------------------------------------------ */

#ifdef __SSE2__
/* Is the next member this field's, written without spaces or escapes? Then goes to its value. */
static inline bool take_guess(struct weir_json_reader *json, const struct json_field *field)
{
    const char *at = json->at + !json->is_first;
    if (field->mask == 0 || json->error != NULL || json->end - at < (ptrdiff_t)JSON_PATTERN_SIZE)
        return false;
    __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i pattern = _mm_loadu_si128((const __m128i *)(const void *)field->pattern);
    uint32_t equal = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(text, pattern));
    if ((equal & field->mask) != field->mask || (!json->is_first && *json->at != ','))
        return false;
    json->is_first = false;
    json->at = at + field->written.size - 1;
    return true;
}
#else
static inline bool take_guess(struct weir_json_reader *json, const struct json_field *field)
{
    return weir_json_member_if(json, field->name);
}
#endif

/* The field of the name just read; field_count: none. */
static uint32_t find_field(struct decoding *decoding, const struct json_table *table)
{
    return json_table_find(table, weir_json_string(&decoding->json, decoding->ctx));
}

/* Goes to the next member and tells its field; false: there is none. */
static inline bool next_field(struct decoding *decoding, const struct json_table *table,
    uint32_t guess, uint32_t *index)
{
    *index = guess;
    if (guess < table->type->field_count && take_guess(&decoding->json, &table->fields[guess]))
        return true;
    if (!weir_json_member(&decoding->json))
        return false;
    *index = find_field(decoding, table);
    return true;
}

/* -- values ----------------------------------------------------------------------------------- */

static bool decode_number(struct weir_json_reader *json, enum weir_kind kind, char *member)
{
    int64_t i64;
    uint64_t u64;
    double f64;
    switch (kind) {
    case WEIR_I32:
        if (!weir_json_to_i64(json->text, &i64) || i64 < INT32_MIN || i64 > INT32_MAX)
            return false;
        *(int32_t *)(void *)member = (int32_t)i64;
        return true;
    case WEIR_U32:
        if (!weir_json_to_u64(json->text, &u64) || u64 > UINT32_MAX)
            return false;
        *(uint32_t *)(void *)member = (uint32_t)u64;
        return true;
    case WEIR_I64:
        return weir_json_to_i64(json->text, (int64_t *)(void *)member);
    case WEIR_U64:
        return weir_json_to_u64(json->text, (uint64_t *)(void *)member);
    case WEIR_F64:
        if (!weir_json_to_f64(json->text, &f64))
            return false;
        *(double *)(void *)member = f64;
        return true;
    case WEIR_BOOL:
    case WEIR_STRING:
        return false;
    }
    return false;
}

/* Fills the member, zero for null; false: the value does not fit. */
static bool decode_value(struct decoding *decoding, enum weir_json_kind value,
    const struct weir_field *field)
{
    char *member = decoding->record + field->offset;
    switch (value) {
    case WEIR_JSON_STRING:
        if (field->kind != WEIR_STRING)
            return false;
        *(weir_str *)(void *)member = weir_json_string(&decoding->json, decoding->ctx);
        return true;
    case WEIR_JSON_NUMBER:
        return decode_number(&decoding->json, field->kind, member);
    case WEIR_JSON_TRUE:
    case WEIR_JSON_FALSE:
        if (field->kind != WEIR_BOOL)
            return false;
        *(bool *)(void *)member = value == WEIR_JSON_TRUE;
        return true;
    case WEIR_JSON_NULL:
        memset(member, 0, schema_kind_size(field->kind));
        return true;
    case WEIR_JSON_OBJECT:
    case WEIR_JSON_ARRAY:
        weir_json_skip(&decoding->json, value);
        return false;
    case WEIR_JSON_ERROR:
        return true; /* sticks in the reader */
    }
    return false;
}

static void decode_members(struct decoding *decoding, const struct json_table *table)
{
    const struct weir_type *type = table->type;
    uint32_t index, guess = 0;
    while (next_field(decoding, table, guess, &index)) {
        enum weir_json_kind value = weir_json_value(&decoding->json);
        if (index == type->field_count) {
            weir_json_skip(&decoding->json, value);
            continue;
        }
        guess = index + 1;
        if (!decode_value(decoding, value, &type->fields[index]) && decoding->bad == NULL)
            decoding->bad = &type->fields[index];
    }
}

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    struct decoding decoding = { .ctx = ctx, .record = record };
    struct weir_json_reader *json = &decoding.json;
    weir_json_open(json, message->value);
    enum weir_json_kind kind = weir_json_value(json);
    if (kind == WEIR_JSON_OBJECT)
        decode_members(&decoding, format->options);
    else
        weir_json_skip(json, kind);
    if (!weir_json_end(json))
        return weir_error_data(weir_json_reason(json), "%s, at byte %zu", json->error,
            weir_json_offset(json));
    if (kind != WEIR_JSON_OBJECT)
        return weir_error_data("bad-json", "the value is not an object");
    if (decoding.bad != NULL)
        return weir_error_data("bad-member", "member '%s' does not fit a field of kind %s",
            decoding.bad->name, schema_kind_name(decoding.bad->kind));
    return NULL;
}

/* -- encoding --------------------------------------------------------------------------------- */

static void encode_value(const struct weir_field *field, const char *member, weir_buffer *out)
{
    switch (field->kind) {
    case WEIR_BOOL:
        weir_json_put_bool(out, *(const bool *)(const void *)member);
        break;
    case WEIR_I32:
        weir_json_put_i64(out, *(const int32_t *)(const void *)member);
        break;
    case WEIR_U32:
        weir_json_put_u64(out, *(const uint32_t *)(const void *)member);
        break;
    case WEIR_I64:
        weir_json_put_i64(out, *(const int64_t *)(const void *)member);
        break;
    case WEIR_U64:
        weir_json_put_u64(out, *(const uint64_t *)(const void *)member);
        break;
    case WEIR_F64:
        weir_json_put_f64(out, *(const double *)(const void *)member);
        break;
    case WEIR_STRING:
        weir_json_put_string(out, *(const weir_str *)(const void *)member);
        break;
    }
}

static weir_error *encode(const struct weir_format *format, const void *record, weir_buffer *key,
    weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    const struct json_table *table = format->options;
    const struct weir_type *type = format->type;
    (void)key;
    ASSERT(*key_is_null && !*value_is_null);
    weir_buffer_add_byte(value, '{');
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct weir_field *field = &type->fields[i];
        weir_str written = table->fields[i].written; /* after the brace without its comma */
        weir_buffer_add(value, written.data + (i == 0), written.size - (i == 0));
        encode_value(field, (const char *)record + field->offset, value);
    }
    weir_buffer_add_byte(value, '}');
    return NULL;
}

/* -- the format ------------------------------------------------------------------------------- */

static weir_error *validate(const struct weir_format *format)
{
    if (format->type == NULL)
        return weir_errorf(WEIR_E_PLAN, "weir_json needs a type: weir_json(&click_type)");
    return schema_validate(format->type);
}

static const struct weir_format_class json_class = { .name = "json",
    .validate = validate,
    .decode = decode,
    .encode = encode };

struct weir_format weir_json(const struct weir_type *type)
{
    return (struct weir_format){ .format_class = &json_class,
        .type = type,
        .options = json_table_of(type) };
}
