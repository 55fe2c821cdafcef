/* text.c -- see text.h. */
#include "jobs/userprofile/text.h"

#include "jobs/userprofile/heap.h"

#define CAPACITY_MIN  ((size_t)4 << 10)
#define CAPACITY_KEPT ((size_t)64 << 10)

void text_init(struct text *text, size_t size_max)
{
    *text = (struct text){ .size_max = size_max };
}

void text_release(struct text *text)
{
    free(text->bytes);
    text_init(text, text->size_max);
}

void text_reset(struct text *text)
{
    if (text->capacity > CAPACITY_KEPT)
        text_release(text);
    text->size = 0;
    text->is_over = false;
}

char *text_grow(struct text *text, size_t size)
{
    if (text->is_over || size > text->size_max - text->size) {
        text->is_over = true;
        return NULL;
    }
    size_t capacity = text->capacity < CAPACITY_MIN ? CAPACITY_MIN : text->capacity * 2;
    while (capacity < text->size + size)
        capacity *= 2;
    if (capacity > text->size_max)
        capacity = text->size_max;
    text->bytes = heap_resize(text->bytes, capacity);
    text->capacity = capacity;
    return text->bytes + text->size;
}

void text_number(struct text *text, int64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    text_add(text, (weir_str){ .data = digits + at, .size = sizeof(digits) - at });
}

static void add_escape(struct text *text, unsigned char byte)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    static const char digits[] = "0123456789abcdef";
    const char *found = byte == 0 ? NULL : strchr(escaped, byte);
    char pair[2] = { '\\', 'u' };
    char code[4] = { '0', '0', digits[byte >> 4], digits[byte & 15] };
    if (found != NULL)
        pair[1] = letters[found - escaped];
    text_add(text, (weir_str){ .data = pair, .size = sizeof(pair) });
    if (found == NULL)
        text_add(text, (weir_str){ .data = code, .size = sizeof(code) });
}

static inline bool is_plain(char byte)
{
    return (unsigned char)byte >= 0x20 && byte != '"' && byte != '\\';
}

void text_escape(struct text *text, weir_str piece)
{
    const char *at = piece.data, *end = piece.data + piece.size;
    while (at < end) {
        const char *stop = at;
        while (stop < end && is_plain(*stop))
            stop++;
        text_add(text, (weir_str){ .data = at, .size = (uint64_t)(stop - at) });
        if (stop == end)
            return;
        add_escape(text, (unsigned char)*stop);
        at = stop + 1;
    }
}

void text_quote(struct text *text, weir_str piece)
{
    TEXT_ADD(text, "\"");
    text_escape(text, piece);
    TEXT_ADD(text, "\"");
}
