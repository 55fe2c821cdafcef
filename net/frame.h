/* frame.h -- the codec of the frames in net.h, with no socket near: bytes in, frames out.
 *
 *      frame_head_write    the 16 bytes in front of a payload
 *      frame_read          takes bytes, however they were cut, and says when a frame is whole
 *
 * A frame that lies whole in the bytes is not copied; one that came in pieces is put together in the reader, which
 * grows with what has come, not with what the head promises: a head alone costs nobody 256 MiB.
 * After an error the reader is of no use: where the next frame begins is not known any more.
 *
 * Thread: its owner. */
#ifndef WEIR_NET_FRAME_H
#define WEIR_NET_FRAME_H

#include <weir/type.h>

#define FRAME_HEAD_SIZE 16

struct frame {
    uint32_t kind;
    weir_str payload; /* never NULL; good until the next frame_read, and as long as its bytes are */
};

struct frame_reader {
    uint32_t size_max; /* of a payload; may change between frames */
    uint32_t head_size, kind, payload_size, check;
    size_t size, capacity; /* of bytes */
    char *bytes;           /* the payload as far as it has come */
    bool is_whole;         /* the last call gave a frame */
    char head[FRAME_HEAD_SIZE];
};

void frame_head_write(char head[FRAME_HEAD_SIZE], uint32_t kind, weir_str payload);
void frame_reader_init(struct frame_reader *reader, uint32_t size_max);
void frame_reader_release(struct frame_reader *reader);
/* Takes bytes from the front of `*bytes`, up to the end of a frame: *is_whole, or all of them. Call it again
 * until nothing is left. WEIR_E_CORRUPT: no such framing, or a wrong checksum. WEIR_E_LIMIT: too long. */
weir_error *frame_read(struct frame_reader *reader, weir_str *bytes, struct frame *frame,
    bool *is_whole) WEIR_MUST_USE;
bool frame_reader_is_inside(const struct frame_reader *reader); /* a frame has begun, not ended */

#endif
