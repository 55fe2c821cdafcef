/* kafka_segment.h -- the output of one sink subtask between two checkpoints, staged in a file.
 *
 * Records are appended while the job runs; at the barrier the file becomes part of the checkpoint; when
 * the checkpoint is complete it is published chunk by chunk, each chunk one transaction. Chunk borders
 * are fixed when the file is written and stored in the checkpoint, so that publishing can go on after
 * a crash exactly where it stopped.
 *
 *      file   = block*                  every chunk starts at the start of a block
 *      OFFSET SIZE  MEANING (block)
 *           0    4  size of the records in it, bytes (R)
 *           4    4  size of what is stored, bytes (S)
 *           8    8  checksum (base/hash.h) of what is stored
 *          16    S  LZ4 block of R bytes
 *
 *      OFFSET SIZE  MEANING (record, in the unpacked block)
 *           0    4  key length, 0xffffffff: null
 *           4    4  value length, 0xffffffff: null
 *           8    k  key
 *         8+k    v  value
 *
 * Limits: 1,000,000 chunks a segment; a record of up to 16 MiB. Thread: the holder's.
 * Prefixes: kafka_segment_, kafka_chunk_ */
#ifndef WEIR_CONNECTORS_KAFKA_SEGMENT_H
#define WEIR_CONNECTORS_KAFKA_SEGMENT_H

#include <weir/connector.h>

#define KAFKA_CHUNK_RECORDS_MAX 100000
#define KAFKA_RECORD_MAX        (16u << 20) /* key and value, bytes */

/* Thread: immutable once the segment is finished. */
struct kafka_chunk {
    uint64_t offset; /* of its first block in the file */
    uint32_t records;
    uint32_t size; /* of keys and values, bytes */
};

struct kafka_segment; /* Thread: its holder */
/* Nothing is written before the first record: the file of an empty segment does not exist. After a
 * write that failed the segment takes and finishes nothing more: what follows could not be read. */
struct kafka_segment *kafka_segment_new(const char *path, uint32_t chunk_size);
void kafka_segment_free(struct kafka_segment *segment); /* leaves the file */
weir_error *kafka_segment_add(struct kafka_segment *segment, weir_str key, weir_str value)
    WEIR_MUST_USE;
/* Writes out what is buffered and closes the file (not synced: the checkpoint does it). */
weir_error *kafka_segment_finish(struct kafka_segment *segment) WEIR_MUST_USE;
uint64_t kafka_segment_record_count(const struct kafka_segment *segment);
const struct kafka_chunk *kafka_segment_chunks(const struct kafka_segment *segment,
    uint32_t *count);

/* Where a chunk is unpacked; grows to the largest one. Zeroed: empty. Thread: its holder. */
struct kafka_chunk_buffer {
    char *raw, *packed;
    size_t raw_size, raw_room, packed_room;
};
void kafka_chunk_buffer_release(struct kafka_chunk_buffer *buffer);

/* Reads a chunk of a finished file into the buffer, checks checksums and counts, and calls `each`, which may
 * fail the whole, with the records in order. Views are valid until the buffer is used again or released: a
 * client may send from them without a copy. */
typedef weir_error *kafka_chunk_fn(void *arg, weir_str key, weir_str value);
weir_error *kafka_chunk_read(const char *path, const struct kafka_chunk *chunk,
    struct kafka_chunk_buffer *buffer, kafka_chunk_fn *each, void *arg) WEIR_MUST_USE;

#endif
