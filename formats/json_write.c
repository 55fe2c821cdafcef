/* json_write.c -- strings and truth values to JSON.
 *
 * A string that needs no escape, nearly all of them, is found clean sixteen bytes at a time and
 * copied at once; the others run by run between what must be escaped. What is not UTF-8 becomes
 * U+FFFD, a replacement for each byte that begins no sequence: a dead letter's raw bytes must be
 * printable whatever they are.
 *
 * Prefixes: weir_json_ */
#include <weir/json.h>

#include "base/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool is_special(char byte)
{
    return byte == '"' || byte == '\\' || (unsigned char)byte < 0x20;
}

/* The first byte that must be escaped, or `end`. */
static const char *find_special(const char *at, const char *end)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
        __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, quote), backslash));
        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
    }
#endif
    while (at < end && !is_special(*at))
        at++;
    return at;
}

static void put_escape(weir_buffer *buffer, char byte)
{
    static const char shorts[] = { ['"'] = '"',
        ['\\'] = '\\',
        ['\b'] = 'b',
        ['\f'] = 'f',
        ['\n'] = 'n',
        ['\r'] = 'r',
        ['\t'] = 't' };
    static const char hex[] = "0123456789abcdef";
    char letter = shorts[(unsigned char)byte];
    if (letter != '\0') {
        weir_buffer_add(buffer, (char[]){ '\\', letter }, 2);
        return;
    }
    char text[] = { '\\', 'u', '0', '0', hex[(unsigned char)byte >> 4], hex[byte & 0xf] };
    weir_buffer_add(buffer, text, sizeof(text));
}

static void put_escaped(weir_buffer *buffer, const char *at, const char *end)
{
    while (at < end) {
        const char *next = find_special(at, end);
        weir_buffer_add(buffer, at, (size_t)(next - at));
        if (next == end)
            return;
        put_escape(buffer, *next);
        at = next + 1;
    }
}

/* Byte by byte: this is not UTF-8, so it is rare. */
static void put_repaired(weir_buffer *buffer, const char *at, const char *end)
{
    while (at < end) {
        uint32_t size = (*at & 0x80) == 0 ? 1 : utf8_sequence(at, end);
        if (size == 0)
            weir_buffer_add_str(buffer, WEIR_STR("\xef\xbf\xbd"));
        else
            put_escaped(buffer, at, at + size);
        at += size == 0 ? 1 : size;
    }
}

void weir_json_put_string(weir_buffer *buffer, weir_str text)
{
    if (text.data == NULL) {
        weir_buffer_add_str(buffer, WEIR_STR("null"));
        return;
    }
    const char *end = text.data + text.size;
    bool is_valid = weir_utf8_valid(text);
    if (is_valid && find_special(text.data, end) == end) {
        char *out = weir_buffer_reserve(buffer, text.size + 2);
        out[0] = '"';
        memcpy(out + 1, text.data, text.size);
        out[text.size + 1] = '"';
        weir_buffer_added(buffer, text.size + 2);
        return;
    }
    weir_buffer_add_byte(buffer, '"');
    if (is_valid)
        put_escaped(buffer, text.data, end);
    else
        put_repaired(buffer, text.data, end);
    weir_buffer_add_byte(buffer, '"');
}

void weir_json_put_bool(weir_buffer *buffer, bool value)
{
    weir_buffer_add_str(buffer, value ? WEIR_STR("true") : WEIR_STR("false"));
}
