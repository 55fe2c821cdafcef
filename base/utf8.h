/* utf8.h -- one sequence of UTF-8, judged by RFC 3629. weir_utf8_valid is in weir/json.h.
 *
 * Thread: any, pure. */
#ifndef WEIR_BASE_UTF8_H
#define WEIR_BASE_UTF8_H

#include <weir/type.h>

/* Bytes of the sequence that begins at `at`, 2 to 4; 0: it is none. `at` is a byte >= 0x80. */
static inline uint32_t utf8_sequence(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    if (byte[0] < 0xe0) {
        bool is_right = left >= 2 && byte[0] >= 0xc2 && (byte[1] & 0xc0) == 0x80;
        return is_right ? 2 : 0;
    }
    if (byte[0] < 0xf0) {
        if (left < 3 || (byte[1] & 0xc0) != 0x80 || (byte[2] & 0xc0) != 0x80)
            return 0;
        bool is_overlong = byte[0] == 0xe0 && byte[1] < 0xa0;
        bool is_surrogate = byte[0] == 0xed && byte[1] >= 0xa0;
        return is_overlong || is_surrogate ? 0 : 3;
    }
    if (left < 4 || byte[0] > 0xf4 || (byte[1] & 0xc0) != 0x80 || (byte[2] & 0xc0) != 0x80 ||
        (byte[3] & 0xc0) != 0x80)
        return 0;
    bool is_overlong = byte[0] == 0xf0 && byte[1] < 0x90;
    bool is_too_large = byte[0] == 0xf4 && byte[1] >= 0x90;
    return is_overlong || is_too_large ? 0 : 4;
}

/* Writes the sequence of a code point, surrogates excepted; gives its size. */
static inline uint32_t utf8_put(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

#endif
