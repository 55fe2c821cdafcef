/* lines.h -- splits a stream of bytes into lines, in place, with a maximum length.
 *
 *      buffer   | given out | complete lines | partial line |      room      |
 *                           ^at                             ^end
 *
 * The owner fills the room, takes lines until there is none, and makes room again: that moves the
 * partial line to the front, so lines taken before are gone then. A line is the bytes up to a line
 * feed; what follows the last line feed of the stream is a line, too, if it is not empty.
 *
 * A line longer than the maximum is *long*: its first bytes are kept, the rest is counted and thrown
 * away as it comes, so that memory stays bounded whatever the input. It comes out as one line, with its
 * true size.
 *
 * Thread: its holder. */
#ifndef WEIR_CONNECTORS_LINES_H
#define WEIR_CONNECTORS_LINES_H

#include <weir/type.h>

/* Thread: its holder. */
struct lines {
    char *buffer;
    size_t capacity;
    size_t at, end;
    size_t scanned;  /* the partial line has no line feed up to here */
    size_t size_max; /* of a line */
    uint64_t offset; /* of `at` in the stream: where the next line starts */
    bool is_at_end;  /* nothing will be filled in any more */
    char *head;      /* the first bytes of a long line */
    size_t head_size;
    uint64_t long_size; /* bytes of the long line so far; 0: there is none */
};

/* Thread: its holder. */
struct line {
    weir_str
        bytes;     /* without line feed; of a long one the first WEIR_DEAD_LETTER_RAW_MAX at most */
    uint64_t size; /* all of it */
    uint64_t offset; /* of its first byte in the stream */
    bool is_long;
};

/* Room is always at least `block_size`. */
void lines_init(struct lines *lines, size_t block_size, size_t size_max);
void lines_release(struct lines *lines);
void lines_start(struct lines *lines, uint64_t offset); /* another stream, from here on */

/* Where to put up to *size bytes. Lines taken before are gone. */
char *lines_room(struct lines *lines, size_t *size);
void lines_filled(struct lines *lines, size_t size); /* 0: the stream has ended */
/* The next line, valid until lines_room; false: fill in more, or all have been taken. */
bool lines_take(struct lines *lines, struct line *line);

#endif
