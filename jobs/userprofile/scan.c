/* scan.c -- see scan.h: what is not on the path of an ordinary string. Prefixes: scan_, utf8_ */
#include "jobs/userprofile/scan.h"

char scan_space_slow(struct scan *scan)
{
    for (; scan->at < scan->end; scan->at++) {
        char byte = *scan->at;
        if (byte != ' ' && byte != '\t' && byte != '\n' && byte != '\r')
            return byte;
    }
    return '\0';
}

/* -- UTF-8 -------------------------------------------------------------------------------------- */

static bool is_continuation(const char *at)
{
    return ((unsigned char)*at & 0xc0) == 0x80;
}

/* Bytes of the sequence at `at`, which is not ASCII; 0: it is none (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_sequence(const char *at, size_t room)
{
    unsigned char first = (unsigned char)at[0];
    unsigned char second = room > 1 ? (unsigned char)at[1] : 0;
    if (first >= 0xc2 && first <= 0xdf)
        return (second & 0xc0) == 0x80 ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        unsigned char low = first == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = first == 0xed ? 0x9f : 0xbf;
        return second >= low && second <= high && room > 2 && is_continuation(at + 2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        unsigned char low = first == 0xf0 ? 0x90 : 0x80;
        unsigned char high = first == 0xf4 ? 0x8f : 0xbf;
        return second >= low && second <= high && room > 3 && is_continuation(at + 2) &&
                       is_continuation(at + 3)
                   ? 4
                   : 0;
    }
    return 0;
}

bool utf8_is_valid(weir_str text)
{
    const char *at = text.data, *end = text.data + text.size;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8) {
            memcpy(&eight, at, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += 8;
                continue;
            }
        }
        size_t size = (unsigned char)*at < 0x80 ? 1 : utf8_sequence(at, (size_t)(end - at));
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

static size_t utf8_put(char *to, uint32_t code)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* -- strings with escapes ------------------------------------------------------------------------- */

/* 16 when it is none. */
static uint32_t hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return (uint32_t)(byte - '0');
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? (uint32_t)(lower - 'a' + 10) : 16;
}

/* Takes four hexadecimal digits. */
static bool take_hex(struct scan *scan, uint32_t *code)
{
    if (scan->end - scan->at < 4)
        return false;
    *code = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = hex_digit(*scan->at++);
        if (digit == 16)
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

/* Takes the rest of a \uXXXX, and the second half of a surrogate pair. */
static bool take_unicode(struct scan *scan, uint32_t *code)
{
    if (!take_hex(scan, code) || (*code >= 0xdc00 && *code <= 0xdfff))
        return false;
    if (*code < 0xd800 || *code > 0xdbff)
        return true;
    uint32_t low;
    if (!scan_take(scan, '\\') || !scan_take(scan, 'u') || !take_hex(scan, &low))
        return false;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return low >= 0xdc00 && low <= 0xdfff;
}

/* Takes one escape, the backslash in front of it taken, and writes what it stands for. */
static bool take_escape(struct scan *scan, char *to, size_t *size)
{
    static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char kind = scan_peek(scan);
    if (kind == '\0')
        return false;
    scan->at++;
    *size = 1;
    if (kind == 'u') {
        uint32_t code;
        if (!take_unicode(scan, &code))
            return false;
        *size = utf8_put(to, code);
        return true;
    }
    const char *found = strchr(escapes, kind);
    if (found == NULL)
        return false;
    *to = meanings[found - escapes];
    return true;
}

/* Bytes from here to the closing quote, which need not be right; the end of the text when there is
 * none. Asked first, so that memory is taken by the size of the string and not of the text. */
static size_t raw_size(const struct scan *scan)
{
    const char *at = scan->at;
    uint32_t high;
    for (;;) {
        at = scan_plain(at, scan->end, &high);
        if (scan->end - at < 2 || *at != '\\')
            return (size_t)(at - scan->at);
        at += 2;
    }
}

bool scan_escaped(struct scan *scan, weir_str *text)
{
    char *start = scan->alloc(scan->arg, raw_size(scan) + 1), *to = start;
    for (;;) {
        uint32_t high;
        weir_str run = { .data = scan->at };
        scan->at = scan_plain(scan->at, scan->end, &high);
        run.size = (uint64_t)(scan->at - run.data);
        if (high != 0 && !utf8_is_valid(run))
            return false;
        memcpy(to, run.data, run.size);
        to += run.size;
        if (scan_take(scan, '"')) {
            *text = (weir_str){ .data = start, .size = (uint64_t)(to - start) };
            return true;
        }
        size_t size;
        if (!scan_take(scan, '\\') || !take_escape(scan, to, &size))
            return false;
        to += size;
    }
}

/* -- numbers, words, and whatever -------------------------------------------------------------------- */

static bool take_digits(struct scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start;
}

bool scan_number(struct scan *scan, weir_str *text)
{
    const char *start = scan->at;
    scan_take(scan, '-');
    if (!scan_take(scan, '0') && !take_digits(scan))
        return false;
    if (scan_take(scan, '.') && !take_digits(scan))
        return false;
    if (scan_take(scan, 'e') || scan_take(scan, 'E')) {
        if (!scan_take(scan, '+'))
            scan_take(scan, '-');
        if (!take_digits(scan))
            return false;
    }
    *text = (weir_str){ .data = start, .size = (uint64_t)(scan->at - start) };
    return true;
}

bool scan_word(struct scan *scan, weir_str *word)
{
    static const weir_str words[] = { { "true", 4 }, { "false", 5 }, { "null", 4 } };
    size_t room = (size_t)(scan->end - scan->at);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (room >= words[i].size && memcmp(scan->at, words[i].data, words[i].size) == 0) {
            *word = (weir_str){ .data = scan->at, .size = words[i].size };
            scan->at += words[i].size;
            return true;
        }
    }
    return false;
}

static bool scan_scalar(struct scan *scan)
{
    weir_str ignored;
    char next = scan_peek(scan);
    if (next == '"')
        return scan_string(scan, &ignored);
    if (next == '-' || (next >= '0' && next <= '9'))
        return scan_number(scan, &ignored);
    return scan_word(scan, &ignored);
}

/* The open containers of scan_value: one bit each, 1 for an object, the innermost lowest. */
struct nesting {
    uint64_t is_object;
    uint32_t depth, outside;
};

/* Takes an opening bracket; `*is_empty` when its closing one follows, which is taken, too. */
static bool enter(struct scan *scan, struct nesting *nesting, bool *is_empty)
{
    bool is_object = *scan->at++ == '{';
    if (nesting->outside + nesting->depth == SCAN_DEPTH_MAX)
        return false;
    char next = scan_space(scan);
    *is_empty = next == (is_object ? '}' : ']');
    if (*is_empty) {
        scan->at++;
        return true;
    }
    nesting->is_object = nesting->is_object << 1 | is_object;
    nesting->depth++;
    weir_str name;
    return !is_object || scan_name(scan, &name);
}

/* Behind a value: closes containers up to the next value, or all of them (depth 0). */
static bool leave(struct scan *scan, struct nesting *nesting)
{
    while (nesting->depth > 0) {
        bool is_object = nesting->is_object & 1;
        if (scan_next(scan)) {
            weir_str name;
            return !is_object || scan_name(scan, &name);
        }
        if (!scan_take(scan, is_object ? '}' : ']'))
            return false;
        nesting->is_object >>= 1;
        nesting->depth--;
    }
    return true;
}

bool scan_value(struct scan *scan, uint32_t depth)
{
    struct nesting nesting = { .outside = depth };
    do {
        char next = scan_space(scan);
        bool is_whole = true;
        if (next == '{' || next == '[') {
            if (!enter(scan, &nesting, &is_whole))
                return false;
        } else if (!scan_scalar(scan)) {
            return false;
        }
        if (is_whole && !leave(scan, &nesting))
            return false;
    } while (nesting.depth > 0);
    return true;
}
