/* json_scan.c -- the reader of weir/json.h: values, members, elements, skipping.
 *
 * No table of states: the caller's loops are the grammar, `is_first` says whether a comma must come
 * before what is next, and `depth` bounds the nesting. One byte decides each branch.
 *
 * Strings are the bulk of JSON. Sixteen bytes at a time are compared with quote, backslash and
 * space (SSE2, which every x86-64 has), so a usual name or string costs one load. The last bytes
 * of the text are read by a load that ends at its end and overlaps what was seen: no byte behind
 * the text is touched, and no slow loop is needed.
 *
 * Prefixes: weir_json_ */
#include <weir/json.h>

#include "base/assert.h"
#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* -- errors ----------------------------------------------------------------------------------- */

/* The first error sticks: later calls find `at` where it was. */
static __attribute__((noinline, cold)) bool fail(struct weir_json_reader *json, const char *error)
{
    if (json->error == NULL)
        json->error = error;
    return false;
}

void weir_json_open(struct weir_json_reader *json, weir_str text)
{
    if (text.size == 0)
        text.data = "";
    *json = (struct weir_json_reader){ .start = text.data,
        .at = text.data,
        .end = text.data + text.size };
    if (weir_utf8_valid(text))
        return;
    json->is_bad_utf8 = true;
    fail(json, "not UTF-8");
}

const char *weir_json_reason(const struct weir_json_reader *json)
{
    if (json->error == NULL)
        return NULL;
    return json->is_bad_utf8 ? "bad-utf8" : "bad-json";
}

size_t weir_json_offset(const struct weir_json_reader *json)
{
    return (size_t)(json->at - json->start);
}

/* -- white space ------------------------------------------------------------------------------ */

static inline bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline void skip_space(struct weir_json_reader *json)
{
    while (json->at < json->end && is_space(*json->at))
        json->at++;
}

/* The next byte that is no white space; 0 at the end, which no grammar rule accepts. */
static inline char peek(struct weir_json_reader *json)
{
    if (json->at < json->end && (unsigned char)*json->at > ' ')
        return *json->at;
    skip_space(json);
    return json->at < json->end ? *json->at : '\0';
}

/* -- strings ---------------------------------------------------------------------------------- */

static inline bool is_special(char byte)
{
    return byte == '"' || byte == '\\' || (unsigned char)byte < 0x20;
}

#ifdef __SSE2__
/* A bit for each of 16 bytes that is a quote, a backslash or below 0x20. */
static inline unsigned special_mask(const char *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, quote), backslash));
}
#endif

/* The first special byte at or behind json->at, or json->end. */
static inline const char *find_special(const struct weir_json_reader *json, const char *at)
{
#ifdef __SSE2__
    for (; json->end - at >= 16; at += 16) {
        unsigned mask = special_mask(at);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
    ptrdiff_t left = json->end - at;
    if (left > 0 && json->end - json->start >= 16) {
        unsigned mask = special_mask(json->end - 16) >> (16 - left);
        return mask != 0 ? at + __builtin_ctz(mask) : json->end;
    }
#endif
    while (at < json->end && !is_special(*at))
        at++;
    return at;
}

/* Four hexadecimal digits; -1: they are not. */
static int32_t read_hex(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char byte = at[i];
        int32_t digit;
        if (byte >= '0' && byte <= '9')
            digit = byte - '0';
        else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
            digit = (byte | 0x20) - 'a' + 10;
        else
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The code point of the \u at `at` and its size, 6 or 12 for a pair; 0: an error. */
static uint32_t read_point(const char *at, const char *end, uint32_t *point)
{
    int32_t high = read_hex(at + 2, end);
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    *point = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff)
        return 6;
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return 0;
    int32_t low = read_hex(at + 8, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *point = 0x10000 + (((uint32_t)high & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
    return 12;
}

/* Size of the escape at `at`, which is a backslash; 0: it is none. */
static uint32_t escape_size(const char *at, const char *end)
{
    uint32_t point;
    if (end - at < 2)
        return 0;
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        return read_point(at, end, &point);
    default:
        return 0;
    }
}

/* The rest of a string from its first special byte on; rare enough to be kept out of the way. */
static __attribute__((noinline)) bool read_string_rest(struct weir_json_reader *json,
    const char *at)
{
    for (;;) {
        json->at = at;
        if (at == json->end)
            return fail(json, "a string without an end");
        if (*at == '"')
            break;
        if (*at != '\\')
            return fail(json, "a control character in a string");
        uint32_t size = escape_size(at, json->end);
        if (size == 0)
            return fail(json, "an escape that is none, or half a surrogate pair");
        json->has_escapes = true;
        at = find_special(json, at + size);
    }
    json->text.size = (uint64_t)(at - json->text.data);
    json->at = at + 1;
    return true;
}

/* json->at is at the opening quote. */
static inline bool read_string(struct weir_json_reader *json)
{
    const char *start = json->at + 1;
    const char *at = find_special(json, start);
    json->text.data = start;
    json->has_escapes = false;
    if (at == json->end || *at != '"')
        return read_string_rest(json, at);
    json->text.size = (uint64_t)(at - start);
    json->at = at + 1;
    return true;
}

/* What the escape at `at` means, written to `out`: sizes in and out. */
static uint32_t undo_escape(const char *at, const char *end, char *out, uint32_t *out_size)
{
    static const char meanings[] = { ['"'] = '"',
        ['\\'] = '\\',
        ['/'] = '/',
        ['b'] = '\b',
        ['f'] = '\f',
        ['n'] = '\n',
        ['r'] = '\r',
        ['t'] = '\t' };
    if (at[1] != 'u') {
        out[0] = meanings[(unsigned char)at[1]];
        *out_size = 1;
        return 2;
    }
    uint32_t point = 0;
    uint32_t size = read_point(at, end, &point);
    ASSERT(size > 0); /* read_string_rest has looked */
    *out_size = utf8_put(out, point);
    return size;
}

size_t weir_json_unescape(const struct weir_json_reader *json, char *out)
{
    const char *at = json->text.data, *end = at + json->text.size;
    char *start = out;
    while (at < end) {
        const char *next = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((next == NULL ? end : next) - at);
        memcpy(out, at, plain);
        at += plain;
        out += plain;
        if (at == end)
            break;
        uint32_t size;
        at += undo_escape(at, end, out, &size);
        out += size;
    }
    return (size_t)(out - start);
}

/* Unescapes a piece at a time, so that the comparison needs no memory. */
static bool is_unescaped(const struct weir_json_reader *json, weir_str text)
{
    const char *at = json->text.data, *end = at + json->text.size;
    uint64_t done = 0;
    while (at < end) {
        char piece[4] = { *at };
        uint32_t size = 1;
        at += *at == '\\' ? undo_escape(at, end, piece, &size) : 1;
        if (text.size - done < size || memcmp(text.data + done, piece, size) != 0)
            return false;
        done += size;
    }
    return done == text.size;
}

bool weir_json_is(const struct weir_json_reader *json, weir_str text)
{
    if (json->has_escapes)
        return is_unescaped(json, text);
    return weir_str_equal(json->text, text);
}

/* -- numbers and words ------------------------------------------------------------------------ */

static inline bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* One or more digits; NULL: none. */
static inline const char *read_digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && is_digit(*at))
        at++;
    return at == start ? NULL : at;
}

/* From behind the integer part: fraction and exponent. */
static const char *read_number_rest(const char *at, const char *end)
{
    if (at < end && *at == '.') {
        at = read_digits(at + 1, end);
        if (at == NULL)
            return NULL;
    }
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        return read_digits(at, end);
    }
    return at;
}

static inline enum weir_json_kind read_number(struct weir_json_reader *json)
{
    const char *at = json->at, *end = json->end;
    at += *at == '-';
    if (at < end && *at == '0')
        at++;
    else
        at = read_digits(at, end);
    json->is_integer = true;
    if (at != NULL && at < end && (*at == '.' || (*at | 0x20) == 'e')) {
        json->is_integer = false;
        at = read_number_rest(at, end);
    }
    if (at == NULL) {
        fail(json, "a number that is none");
        return WEIR_JSON_ERROR;
    }
    json->text = (weir_str){ .data = json->at, .size = (uint64_t)(at - json->at) };
    json->at = at;
    return WEIR_JSON_NUMBER;
}

static enum weir_json_kind read_word(struct weir_json_reader *json, weir_str word,
    enum weir_json_kind kind)
{
    if ((uint64_t)(json->end - json->at) < word.size ||
        memcmp(json->at, word.data, word.size) != 0) {
        fail(json, "a word that is not true, false or null");
        return WEIR_JSON_ERROR;
    }
    json->at += word.size;
    return kind;
}

/* -- values ----------------------------------------------------------------------------------- */

static enum weir_json_kind begin(struct weir_json_reader *json, enum weir_json_kind kind)
{
    if (json->depth == WEIR_JSON_DEPTH_MAX) {
        fail(json, "nested over 64 deep");
        return WEIR_JSON_ERROR;
    }
    json->depth++;
    json->at++;
    json->is_first = true;
    return kind;
}

static inline enum weir_json_kind read_value(struct weir_json_reader *json)
{
    if (json->error != NULL)
        return WEIR_JSON_ERROR;
    char byte = peek(json);
    if (byte == '-' || is_digit(byte))
        return read_number(json);
    switch (byte) {
    case '"':
        return read_string(json) ? WEIR_JSON_STRING : WEIR_JSON_ERROR;
    case '{':
        return begin(json, WEIR_JSON_OBJECT);
    case '[':
        return begin(json, WEIR_JSON_ARRAY);
    case 't':
        return read_word(json, WEIR_STR("true"), WEIR_JSON_TRUE);
    case 'f':
        return read_word(json, WEIR_STR("false"), WEIR_JSON_FALSE);
    case 'n':
        return read_word(json, WEIR_STR("null"), WEIR_JSON_NULL);
    default:
        fail(json, json->at == json->end ? "the text ends too early" : "no value begins like this");
        return WEIR_JSON_ERROR;
    }
}

enum weir_json_kind weir_json_value(struct weir_json_reader *json)
{
    return read_value(json);
}

/* The comma before what is next, or the end of the container. False: nothing is next. */
static inline bool read_separator(struct weir_json_reader *json, char closing)
{
    char byte = peek(json);
    if (byte == closing) {
        DEBUG_ASSERT(json->depth > 0);
        json->at++;
        json->depth--;
        json->is_first = false;
        return false;
    }
    if (json->is_first) {
        json->is_first = false;
        return true;
    }
    if (byte != ',')
        return fail(json, "a comma or the end of the object or array is missing");
    json->at++;
    return true;
}

static inline bool read_colon(struct weir_json_reader *json)
{
    if (peek(json) != ':')
        return fail(json, "a member without a colon");
    json->at++;
    return true;
}

static inline bool read_member(struct weir_json_reader *json)
{
    if (json->error != NULL || !read_separator(json, '}'))
        return false;
    if (peek(json) != '"')
        return fail(json, "a member without a name");
    return read_string(json) && read_colon(json);
}

bool weir_json_member(struct weir_json_reader *json)
{
    return read_member(json);
}

/* Looks at the usual spelling only: comma, quote, name, quote, colon, without spaces. */
bool weir_json_member_if(struct weir_json_reader *json, weir_str name)
{
    const char *at = json->at;
    size_t comma = !json->is_first;
    if (json->error != NULL || (uint64_t)(json->end - at) < comma + name.size + 3)
        return false;
    if ((comma && *at != ',') || at[comma] != '"' || at[comma + 1 + name.size] != '"' ||
        at[comma + 2 + name.size] != ':' || memcmp(at + comma + 1, name.data, name.size) != 0)
        return false;
    json->text = (weir_str){ .data = at + comma + 1, .size = name.size };
    json->has_escapes = false;
    json->is_first = false;
    json->at = at + comma + 3 + name.size;
    return true;
}

bool weir_json_element(struct weir_json_reader *json)
{
    return json->error == NULL && read_separator(json, ']');
}

/* Not by recursion: which of the containers entered here are objects is kept in bits, the innermost
 * in the lowest. Depth bounds them to 64. */
void weir_json_skip(struct weir_json_reader *json, enum weir_json_kind kind)
{
    if (kind != WEIR_JSON_OBJECT && kind != WEIR_JSON_ARRAY)
        return;
    uint64_t objects = kind == WEIR_JSON_OBJECT;
    uint32_t outside = json->depth - 1;
    while (json->depth > outside) {
        uint32_t depth = json->depth;
        bool is_more = objects & 1 ? read_member(json) : read_separator(json, ']');
        if (json->error != NULL)
            return;
        if (!is_more) {
            objects >>= 1;
            continue;
        }
        kind = read_value(json);
        if (kind == WEIR_JSON_ERROR)
            return;
        if (json->depth > depth)
            objects = objects << 1 | (kind == WEIR_JSON_OBJECT);
    }
}

bool weir_json_end(struct weir_json_reader *json)
{
    if (json->error != NULL)
        return false;
    ASSERT(json->depth == 0); /* the caller has read, or skipped, what it began */
    if (peek(json) != '\0' || json->at < json->end)
        return fail(json, "more behind the value");
    return true;
}
