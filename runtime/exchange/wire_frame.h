/* wire_frame.h -- what goes over a connection between two workers: frames, as bytes.
 *
 *      OFFSET SIZE  MEANING
 *           0    4  bytes of the payload
 *           4    4  type: hello, segment, credit
 *           8    4  segment, credit: number of the channel in the job; hello: 0
 *          12    4  credit: places granted since the start, modulo 2^32; else 0
 *          16    8  checksum of these 16 bytes and the payload (XXH3)
 *          24    n  segment: its elements, as they lie in memory (segment.h), 32 bytes or more
 *                   credit: nothing
 *                   hello:
 *                       0   4  "WEIR"
 *                       4   4  version of this format; what follows may differ in another one
 *                       8   4  worker who speaks
 *                      12   4  workers of the job
 *                      16   8  attempt
 *                      24  32  secret
 *                      56   n  job
 *
 * Numbers are little-endian. The first frame of each side is its hello, and there is one only; nothing else is
 * looked at before it is found right, and nothing of another size is read before: a stranger costs
 * 4 KiB and a descriptor.
 *
 * The reader turns bytes, however they are cut, into frames. It says where the next bytes shall go: the rest of
 * a segment straight into the segment, and behind it, in the same call, what comes next into a small buffer.
 * So a segment costs one system call and no copy, but for what the small buffer got of its start.
 *
 * Errors: WEIR_E_CORRUPT, retriable: bytes that are no frame. Those of the calls go through.
 * Thread: its owner. */
#ifndef WEIR_EXCHANGE_WIRE_FRAME_H
#define WEIR_EXCHANGE_WIRE_FRAME_H

#include "runtime/exchange/segment.h"
#include <weir/error.h>
#include <sys/uio.h>

#define WIRE_FRAME_VERSION    1u
#define WIRE_FRAME_JOB_MAX    1024u /* bytes of a job's name */
#define WIRE_FRAME_HELLO_SIZE 56u   /* and the job */
#define WIRE_FRAME_SECRET     32u
#define WIRE_FRAME_READ_SIZE  4096u /* the small buffer */

enum wire_frame_type { WIRE_FRAME_HELLO = 1, WIRE_FRAME_SEGMENT, WIRE_FRAME_CREDIT };

struct wire_frame_header {
    uint32_t size;
    uint32_t type;
    uint32_t channel;
    uint32_t value;
    uint64_t checksum;
};
_Static_assert(sizeof(struct wire_frame_header) == 24, "the frame header is 24 bytes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are as numbers lie in memory");

/* Who speaks, for which attempt. The job is borrowed. */
struct wire_frame_hello {
    const char *job;
    uint64_t attempt;
    uint32_t worker, worker_count;
    uint8_t secret[WIRE_FRAME_SECRET];
};

/* Fills in the checksum. */
void wire_frame_seal(struct wire_frame_header *header, const void *payload);
/* Returns the size; `payload` has WIRE_FRAME_HELLO_SIZE + strlen(job) bytes. */
uint32_t wire_frame_write_hello(const struct wire_frame_hello *hello, char *payload);
/* Compares what came with what we would say ourselves; *worker: who it is. WEIR_E_FENCED: another attempt.
 * No message tells anything of a secret, and how long it takes tells nothing either. */
weir_error *wire_frame_check_hello(const struct wire_frame_hello *own, const char *payload,
    uint32_t size, uint32_t *worker) WEIR_MUST_USE;

/* What the reader found. */
struct wire_frame_calls {
    void *arg;
    weir_error *(*hello)(void *arg, const char *payload, uint32_t size);
    /* Gives a segment (segment_take_copy) for the payload. */
    weir_error *(*begin)(void *arg, uint32_t channel, uint32_t size, struct segment **segment);
    /* It is whole and right; takes it. */
    weir_error *(*segment)(void *arg, uint32_t channel, struct segment *segment);
    weir_error *(*credit)(void *arg, uint32_t channel, uint32_t granted);
};

struct wire_frame_reader {
    struct wire_frame_calls calls;
    bool is_greeted;                 /* had its hello */
    struct wire_frame_header header; /* of the segment under way */
    struct segment *segment;         /* NULL: none is */
    uint32_t filled;
    uint32_t start, end; /* in the buffer; both 0 while a segment is under way */
    alignas(16) char buffer[WIRE_FRAME_READ_SIZE];
};
void wire_frame_reader_init(struct wire_frame_reader *reader, const struct wire_frame_calls *calls);
void wire_frame_reader_release(struct wire_frame_reader *reader);
/* Where the next bytes go: 1 or 2 pieces, never empty. */
uint32_t wire_frame_reader_pieces(struct wire_frame_reader *reader, struct iovec pieces[2]);
/* So many bytes are there now, the first piece first. After an error it reads no more. */
weir_error *wire_frame_reader_took(struct wire_frame_reader *reader, size_t count) WEIR_MUST_USE;

#endif
