/* json.h -- JSON for jobs with a format of their own: a strict pull reader, and the writing of
 * values.
 *
 *     struct weir_json_reader json;
 *     weir_json_open(&json, message->value);
 *     if (weir_json_value(&json) == WEIR_JSON_OBJECT)
 *         while (weir_json_member(&json)) {
 *             if (weir_json_is(&json, WEIR_STR("user"))) {
 *                 if (weir_json_value(&json) == WEIR_JSON_STRING)
 *                     user = weir_json_string(&json, ctx);
 *             } else {
 *                 weir_json_skip(&json, weir_json_value(&json));
 *             }
 *         }
 *     if (!weir_json_end(&json))
 *         return weir_error_data(weir_json_reason(&json), "%s at byte %zu", json.error,
 *             weir_json_offset(&json));
 *
 * The reader accepts exactly RFC 8259 in valid UTF-8, up to 64 levels deep, without a byte order
 * mark; an escape that is half a surrogate pair is refused, raw U+0000 to U+001F in strings too.
 * It never allocates, never copies, and needs no terminator: strings and numbers are views of the
 * bytes as written, which the caller keeps.
 *
 * Errors stick. After one, value gives WEIR_JSON_ERROR and member and element give false, so loops
 * end by themselves and one look at weir_json_end is enough. weir_json_open checks the UTF-8 of
 * all bytes first, so "bad-utf8" wins over "bad-json" wherever either is. What the values mean is
 * the caller's business: to report a wrong value only when the whole text is good JSON, remember
 * it and go on reading.
 *
 * Repeated names are not noticed: each is given when it comes.
 *
 * Cost (2 cores of a shared virtual machine): see bench/json.c. Thread: the reader's owner. */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include <weir/connector.h>

#define WEIR_JSON_DEPTH_MAX 64 /* the outermost value being 1 */

enum weir_json_kind {
    WEIR_JSON_ERROR,
    WEIR_JSON_OBJECT, /* read by weir_json_member until it is false, or weir_json_skip */
    WEIR_JSON_ARRAY,  /* read by weir_json_element until it is false, or weir_json_skip */
    WEIR_JSON_STRING, /* json.text, json.has_escapes */
    WEIR_JSON_NUMBER, /* json.text, json.is_integer */
    WEIR_JSON_TRUE,
    WEIR_JSON_FALSE,
    WEIR_JSON_NULL
};

/* Thread: its owner. On the stack; nothing to release. */
struct weir_json_reader {
    weir_str text;     /* of the last name, string (between its quotes) or number, as written */
    bool has_escapes;  /* in a name or string: text is not what it means, see weir_json_string */
    bool is_integer;   /* a number without fraction and exponent */
    const char *error; /* static text; NULL: none */

    /* the reader's own */
    bool is_first, is_bad_utf8;
    uint32_t depth;
    const char *start, *at, *end;
};

WEIR_API void weir_json_open(struct weir_json_reader *json, weir_str text);

/* Reads a value, or the beginning of an object or array: once for the whole text, and once after
 * each true of member and element. */
WEIR_API enum weir_json_kind weir_json_value(struct weir_json_reader *json);
/* Goes to the next member of the object that was begun last; its name is in text. False: it has
 * ended, or an error. */
WEIR_API bool weir_json_member(struct weir_json_reader *json);
/* The same if the next member is written as `name`, else nothing happens: a cheap guess where the
 * order of the members is known. `name` has nothing that needs an escape. */
WEIR_API bool weir_json_member_if(struct weir_json_reader *json, weir_str name);
WEIR_API bool weir_json_element(struct weir_json_reader *json);
/* Passes over the rest of a value just begun, checking it: nothing but for objects and arrays. */
WEIR_API void weir_json_skip(struct weir_json_reader *json, enum weir_json_kind kind);
/* True when only white space follows the value and all of it was right. Every object and array that
 * was begun must have been read to its end or skipped (asserted), unless there was an error. */
WEIR_API bool weir_json_end(struct weir_json_reader *json);

WEIR_API const char *weir_json_reason(const struct weir_json_reader *json); /* or NULL */
WEIR_API size_t weir_json_offset(const struct weir_json_reader *json);      /* where it stands */

/* Is the last name or string this one, escapes undone? */
WEIR_API bool weir_json_is(const struct weir_json_reader *json, weir_str text);
/* Undoes the escapes of the last name or string; `out` has room for text.size bytes, which is
 * always enough. Gives the size. */
WEIR_API size_t weir_json_unescape(const struct weir_json_reader *json, char *out);
/* What the last name or string means: a view of the text, or, with escapes, of scratch. */
static inline weir_str weir_json_string(const struct weir_json_reader *json, weir_ctx *ctx)
{
    if (!json->has_escapes)
        return json->text;
    char *out = (char *)weir_scratch(ctx, json->text.size);
    return (weir_str){ .data = out, .size = weir_json_unescape(json, out) };
}

/* The text of a WEIR_JSON_NUMBER as a number. False: out of range, or (i64, u64) with fraction or
 * exponent. f64 is correctly rounded; what is too small is 0. "-0" is the integer 0. */
WEIR_API bool weir_json_to_i64(weir_str number, int64_t *value);
WEIR_API bool weir_json_to_u64(weir_str number, uint64_t *value);
WEIR_API bool weir_json_to_f64(weir_str number, double *value);

/* -- writing ----------------------------------------------------------------------------------
 * Values, appended; braces, commas and colons are the caller's. In strings only what must be is
 * escaped: \" \\ \b \f \n \r \t, and the other bytes below 0x20 as \u00xx; what is not UTF-8
 * becomes U+FFFD, so the output is always JSON. */
WEIR_API void weir_json_put_string(weir_buffer *buffer, weir_str text); /* NULL data: null */
WEIR_API void weir_json_put_i64(weir_buffer *buffer, int64_t value);
WEIR_API void weir_json_put_u64(weir_buffer *buffer, uint64_t value);
/* The shortest decimal that reads back as the same number; null for NaN and infinities. */
WEIR_API void weir_json_put_f64(weir_buffer *buffer, double value);
WEIR_API void weir_json_put_bool(weir_buffer *buffer, bool value);

/* Is it UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF? */
WEIR_API bool weir_utf8_valid(weir_str text);

#endif
