/* text.h -- a text that grows up to a limit: what the job's JSON output is written into.
 *
 * Not weir_buffer, because a profile is a hundred small pieces, and a call into the library for
 * each costs more than the piece: here they are inline, after one check of the room. What does not
 * fit into `size_max` is left out and `is_over` is set: the writer goes on and asks at the end.
 *
 * Owner: who has initialised it; memory is kept from one text to the next. Thread: one. */
#ifndef USERPROFILE_TEXT_H
#define USERPROFILE_TEXT_H

#include <weir/type.h>

struct text {
    char *bytes;
    size_t size, capacity, size_max; /* capacity <= size_max */
    bool is_over;
};

void text_init(struct text *text, size_t size_max);
void text_release(struct text *text);
/* Empty again; what was unusually large is given back. */
void text_reset(struct text *text);

static inline weir_str text_view(const struct text *text)
{
    return (weir_str){ .data = text->bytes, .size = text->size };
}

/* Room for `size` bytes at the end, to be filled and then added to text->size; NULL: too many. */
char *text_grow(struct text *text, size_t size);
static inline char *text_room(struct text *text, size_t size)
{
    if (__builtin_expect(text->capacity - text->size < size, 0))
        return text_grow(text, size);
    return text->bytes + text->size;
}

static inline void text_add(struct text *text, weir_str piece)
{
    if (piece.size == 0)
        return;
    char *to = text_room(text, piece.size);
    if (to == NULL)
        return;
    memcpy(to, piece.data, piece.size);
    text->size += piece.size;
}

#define TEXT_ADD(text_, literal_) text_add((text_), WEIR_STR(literal_))

void text_number(struct text *text, int64_t number);
/* A JSON string; only what must be escaped is. text_escape is it without its quotes. */
void text_quote(struct text *text, weir_str piece);
void text_escape(struct text *text, weir_str piece);

#endif
