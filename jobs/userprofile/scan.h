/* scan.h -- a strict scanner for JSON text: bytes in, pieces out, nothing forgiven and nothing kept.
 *
 * It stands on one byte at a time and has a call for each kind of value. A call either moves behind
 * the value or returns false: the text is bad JSON (RFC 8259, at most SCAN_DEPTH_MAX containers deep,
 * no half surrogate pairs) or bad UTF-8. Which of the two it is, utf8_is_valid over the whole text
 * tells, asked only then: good texts are checked string by string on the way, because outside of
 * strings JSON is ASCII.
 *
 *      if (!scan_take(scan, '{'))            an object is walked like this
 *          return false;
 *      if (scan_space(scan) != '}')
 *          do {
 *              if (!scan_name(scan, &name) || !scan_value(scan, 1))
 *                  return false;
 *          } while (scan_next(scan));
 *      return scan_take(scan, '}');
 *
 * Strings come out unescaped. Without an escape they are views of the text; with one they are written
 * to memory that `alloc` gives, once for a string and as large as it stands there. Numbers come out
 * as written.
 *
 * Speed: the common string is one or two steps of 16 bytes, inline. The text needs no terminator and
 * no padding.
 *
 * Owner: the caller, one per text, on the stack. Thread: one. */
#ifndef USERPROFILE_SCAN_H
#define USERPROFILE_SCAN_H

#include <weir/type.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define SCAN_DEPTH_MAX 64u

/* Memory that lives as long as what was scanned is needed; never NULL. */
typedef void *scan_alloc_fn(void *arg, size_t size);

struct scan {
    const char *at, *end;
    scan_alloc_fn *alloc;
    void *arg;
};

/* -- single bytes ------------------------------------------------------------------------------ */

/* The next byte; at the end 0, which is right nowhere. */
static inline char scan_peek(const struct scan *scan)
{
    return scan->at < scan->end ? *scan->at : '\0';
}

/* Takes `byte` if it is next. */
static inline bool scan_take(struct scan *scan, char byte)
{
    if (scan_peek(scan) != byte)
        return false;
    scan->at++;
    return true;
}

/* The next byte behind white space, not taken. */
char scan_space_slow(struct scan *scan);
static inline char scan_space(struct scan *scan)
{
    char next = scan_peek(scan);
    return __builtin_expect((unsigned char)next > ' ', 1) ? next : scan_space_slow(scan);
}

/* Takes the comma in front of another member or element, and the white space around it. */
static inline bool scan_next(struct scan *scan)
{
    if (scan_space(scan) != ',')
        return false;
    scan->at++;
    scan_space(scan);
    return true;
}

/* -- strings ----------------------------------------------------------------------------------- */

/* A step of scan_plain: bit i is set when byte i ends a plain run; `*high`: when it is not ASCII. */
#ifdef __SSE2__
#define SCAN_STEP 16
static inline uint32_t scan_step(const char *at, uint32_t *high)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i escape = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    *high = (uint32_t)_mm_movemask_epi8(bytes);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, escape)));
}
#else
#define SCAN_STEP 1
static inline uint32_t scan_step(const char *at, uint32_t *high)
{
    unsigned char byte = (unsigned char)*at;
    *high = byte >> 7;
    return byte < 0x20 || byte == '"' || byte == '\\';
}
#endif

/* Moves behind the bytes that stand for themselves in a string; `*high` is not 0 when one is not
 * ASCII. */
static inline const char *scan_plain(const char *at, const char *end, uint32_t *high)
{
    uint32_t seen = 0, high_bits;
    *high = 0;
    for (; end - at >= SCAN_STEP; at += SCAN_STEP) {
        uint32_t stops = scan_step(at, &high_bits);
        if (stops != 0) {
            int index = __builtin_ctz(stops);
            *high = seen | (high_bits & ((1u << index) - 1));
            return at + index;
        }
        seen |= high_bits;
    }
    for (; at < end && (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\'; at++)
        seen |= (unsigned char)*at >> 7;
    *high = seen;
    return at;
}

bool utf8_is_valid(weir_str text);
bool scan_escaped(struct scan *scan, weir_str *text); /* stands behind the quote */

static inline bool scan_string(struct scan *scan, weir_str *text)
{
    if (!scan_take(scan, '"'))
        return false;
    uint32_t high;
    const char *stop = scan_plain(scan->at, scan->end, &high);
    if (__builtin_expect(stop == scan->end || *stop != '"', 0))
        return scan_escaped(scan, text);
    *text = (weir_str){ .data = scan->at, .size = (uint64_t)(stop - scan->at) };
    scan->at = stop + 1;
    return high == 0 || utf8_is_valid(*text);
}

/* The name of a member, its colon, and the white space up to its value. */
static inline bool scan_name(struct scan *scan, weir_str *name)
{
    if (!scan_string(scan, name) || scan_space(scan) != ':')
        return false;
    scan->at++;
    scan_space(scan);
    return true;
}

/* -- other values ------------------------------------------------------------------------------ */

bool scan_number(struct scan *scan, weir_str *text);
bool scan_word(struct scan *scan, weir_str *word); /* true, false or null */
/* Any value, thrown away; `depth` counts the containers around it. */
bool scan_value(struct scan *scan, uint32_t depth);

#endif
