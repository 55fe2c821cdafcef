/* buffer.h -- weir_buffer (connector.h): a growable, bounded byte buffer, and binary codecs on it.
 *
 * Writing past size_max is remembered, not performed: check weir_buffer_overflowed once at the end.
 * The put/get pairs are the encoding of everything that Weir itself stores: little-endian fixed
 * integers, and bytes with a u32 length in front. A reader is a cursor over borrowed bytes; reading
 * past the end is remembered, gives zeros, and is checked once: reader_failed.
 *
 * Prefixes: reader_
 * Thread: its owner. */
#ifndef WEIR_BASE_BUFFER_H
#define WEIR_BASE_BUFFER_H

#include <weir/connector.h>

void buffer_put_u8(weir_buffer *buffer, uint8_t value);
void buffer_put_u32(weir_buffer *buffer, uint32_t value);
void buffer_put_u64(weir_buffer *buffer, uint64_t value);
void buffer_put_str(weir_buffer *buffer, weir_str text); /* NULL data: length 0xffffffff */
void buffer_printf(weir_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *buffer_text(weir_buffer *buffer); /* terminated, valid until the next write */
size_t buffer_size(const weir_buffer *buffer);
/* All of it to standard output (os_stdout_write), and frees it. WEIR_E_LIMIT: it has overflowed. */
weir_error *buffer_to_stdout(weir_buffer *buffer) WEIR_MUST_USE;

struct arena; /* memory.h */

/* Thread: its owner. */
struct reader {
    const char *at, *end;
    bool has_failed;
};
struct reader reader_of(weir_str bytes);
uint8_t reader_u8(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
weir_str reader_str(struct reader *reader); /* borrows from the bytes */
/* The next str as a C string in the arena; NULL: it is none, has a zero byte or more than size_max bytes. */
const char *reader_text(struct reader *reader, struct arena *arena, size_t size_max);
/* The same, of limited values: a larger one fails, and is 0. */
uint8_t reader_u8_max(struct reader *reader, uint8_t max);
uint32_t reader_u32_max(struct reader *reader, uint32_t max);
uint64_t reader_u64_max(struct reader *reader, uint64_t max);
void reader_fail(struct reader *reader); /* what was read makes no sense: as if it had ended */
bool reader_failed(const struct reader *reader);
bool reader_at_end(const struct reader *reader);

#endif
