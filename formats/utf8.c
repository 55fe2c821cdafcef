/* utf8.c -- is it UTF-8? ASCII goes by 64 bytes at a time, the rest sequence by sequence.
 *
 * Events are mostly ASCII, and where they are not, it comes in runs: a name, a city. So the loop
 * jumps over ASCII with SSE2, which every x86-64 has, and stays in the scalar loop as long as the
 * run lasts. A table-driven validator (Keiser and Lemire) is faster for text that is not ASCII,
 * but needs SSSE3 and a run-time choice. Elsewhere than on x86-64, eight bytes at a time.
 *
 * Prefixes: weir_ */
#include "base/utf8.h"

#include <weir/json.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* The first byte >= 0x80, or `end`. */
static const char *skip_ascii(const char *at, const char *end)
{
#ifdef __SSE2__
    while (end - at >= 64) {
        const __m128i *block = (const __m128i *)(const void *)at;
        __m128i all = _mm_or_si128(_mm_or_si128(_mm_loadu_si128(block), _mm_loadu_si128(block + 1)),
            _mm_or_si128(_mm_loadu_si128(block + 2), _mm_loadu_si128(block + 3)));
        if (_mm_movemask_epi8(all) != 0)
            break;
        at += 64;
    }
    while (end - at >= 16) {
        int mask = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)at));
        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        if ((word & HIGH_BITS) != 0)
            break;
        at += 8;
    }
    while (at < end && (*at & 0x80) == 0)
        at++;
    return at;
}

bool weir_utf8_valid(weir_str text)
{
    if (text.size == 0)
        return true;
    const char *at = text.data, *end = text.data + text.size;
    while ((at = skip_ascii(at, end)) < end) {
        do {
            uint32_t size = utf8_sequence(at, end);
            if (size == 0)
                return false;
            at += size;
        } while (at < end && (*at & 0x80) != 0);
    }
    return true;
}
