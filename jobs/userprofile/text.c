/* text.c -- see text.h. */
#include "jobs/userprofile/text.h"

#include "jobs/userprofile/decimal.h"
#include "jobs/userprofile/heap.h"

#include <endian.h>

#define WORD_SIZE     sizeof(uint64_t)
#define CAPACITY_MIN  ((size_t)4 << 10)
#define CAPACITY_KEPT ((size_t)64 << 10)
#define BYTES(byte_)  (UINT64_C(0x0101010101010101) * (byte_)) /* eight of them */

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
    text->bytes = heap_resize(text->bytes, capacity + WORD_SIZE); /* see add_word */
    text->capacity = capacity;
    return text->bytes + text->size;
}

void text_number(struct text *text, int64_t number)
{
    char digits[DECIMAL_TEXT_MAX], *end = digits + sizeof(digits);
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    char *start = decimal_digits(magnitude, end);
    if (number < 0)
        *--start = '-';
    text_add(text, (weir_str){ .data = start, .size = (uint64_t)(end - start) });
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

/* The first `size` bytes at `from` as they lie there, spaces behind fewer than eight: whole loads that may
 * overlap, none of a byte that is not the piece's. */
static uint64_t load_word(const char *from, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)from;
    uint64_t word = 0;
    uint32_t first, last;
    if (size >= WORD_SIZE) {
        memcpy(&word, from, WORD_SIZE);
        return le64toh(word);
    }
    if (size >= sizeof(first)) {
        memcpy(&first, from, sizeof(first));
        memcpy(&last, from + size - sizeof(last), sizeof(last));
        word = le32toh(first) | (uint64_t)le32toh(last) << (size - sizeof(last)) * 8;
    } else {
        word = bytes[0] | (uint64_t)bytes[size / 2] << size / 2 * 8 |
               (uint64_t)bytes[size - 1] << (size - 1) * 8;
    }
    return word | BYTES(' ') << size * 8;
}

/* No byte of the word is to be escaped. What is subtracted from each byte borrows only where a smaller one was. */
static bool is_plain(uint64_t word)
{
    uint64_t quote = word ^ BYTES('"'), backslash = word ^ BYTES('\\');
    uint64_t found = ((word - BYTES(0x20)) & ~word) | ((quote - BYTES(1)) & ~quote) |
                     ((backslash - BYTES(1)) & ~backslash);
    return (found & BYTES(0x80)) == 0;
}

/* Its first `size` bytes. All eight are stored: there is room for them behind the capacity. */
static void add_word(struct text *text, uint64_t word, size_t size)
{
    char *to = text_room(text, size);
    if (to == NULL)
        return;
    word = htole64(word);
    memcpy(to, &word, WORD_SIZE);
    text->size += size;
}

static void escape_bytes(struct text *text, weir_str piece)
{
    for (uint64_t i = 0; i < piece.size; i++) {
        unsigned char byte = (unsigned char)piece.data[i];
        if (byte < 0x20 || byte == '"' || byte == '\\')
            add_escape(text, byte);
        else
            text_add(text, (weir_str){ .data = piece.data + i, .size = 1 });
    }
}

/* Eight bytes at a time, because nearly all that is printed is names and values without one to escape. */
void text_escape(struct text *text, weir_str piece)
{
    for (uint64_t i = 0; i < piece.size; i += WORD_SIZE) {
        uint64_t left = piece.size - i, size = left < WORD_SIZE ? left : WORD_SIZE;
        uint64_t word = load_word(piece.data + i, size);
        if (__builtin_expect(is_plain(word), 1))
            add_word(text, word, size);
        else
            escape_bytes(text, (weir_str){ .data = piece.data + i, .size = size });
    }
}

void text_quote(struct text *text, weir_str piece)
{
    TEXT_ADD(text, "\"");
    text_escape(text, piece);
    TEXT_ADD(text, "\"");
}
