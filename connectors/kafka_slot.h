/* kafka_slot.h -- a sequence of staged segments on its way into a topic, and how it is remembered.
 *
 * A slot is a transactional id, a partition of the token topic, and segments, oldest first, each knowing
 * the one before it. It has the number of the subtask that fills it. A segment is in the slot
 *
 *      from the snapshot that closed it       slot_hold
 *      through the checkpoint's completion    only then may it be published
 *      until its token has been read back     slot_drop: when a later one has been published
 *
 * and in every checkpoint meanwhile (an item of the slot, and the segment's file). So a checkpoint can be
 * given up, and its segment is published with the next one.
 *
 *      item "slot-<number>", integers little-endian (base/buffer.h)
 *      OFFSET SIZE  MEANING
 *           0    4  version, 2
 *           4    4  number of the slot
 *           8    8  number of its newest segment ever, 0: none
 *          16    4  count of segments
 *          20    4  how many of these were published when the snapshot was taken, 0 or 1; not in version 1, which did
 *                   not know. Then for each segment:
 *           +    8  number (of the checkpoint that closed it)
 *           +    8  number of the one before it, 0: none
 *           +  4+n  name of its file, length in front
 *           +    4  count of chunks, then for each: offset (8), records (4), size (4)
 *
 * Thread: task. Prefixes: slot_ */
#ifndef WEIR_CONNECTORS_KAFKA_SLOT_H
#define WEIR_CONNECTORS_KAFKA_SLOT_H

#include "connectors/kafka_segment.h"

#define SLOT_SEGMENTS_MAX 64 /* held: one to be read back, the rest not published */
#define SLOTS_MAX         32768

/* A finished segment. Thread: task; immutable while a publish runs. */
struct slot_segment {
    uint64_t number, previous;
    char *path;
    struct kafka_chunk *chunks;
    uint32_t chunk_count;
    bool is_published;
};

/* Thread: task. */
struct slot {
    uint32_t number;
    uint64_t last; /* newest segment ever, 0: none */
    struct slot_segment segments[SLOT_SEGMENTS_MAX];
    uint32_t count;
};

void slot_init(struct slot *slot, uint32_t number);
void slot_release(struct slot *slot); /* leaves the files */
bool slot_is_full(const struct slot *slot);
/* Takes `path`, copies the chunks. `number` is above that of every segment before. */
void slot_hold(struct slot *slot, uint64_t number, char *path, const struct kafka_chunk *chunks,
    uint32_t chunk_count);
/* Segments of checkpoints up to `complete`: how many there are, and how many of them are not published
 * yet. */
uint32_t slot_complete_count(const struct slot *slot, uint64_t complete);
uint32_t slot_unpublished_count(const struct slot *slot, uint64_t complete);
/* The first `count` segments are published: drops all of them but the newest. `drop` is called with the
 * path of each dropped one's file, and owns it. */
void slot_published(struct slot *slot, uint32_t count, void (*drop)(void *arg, char *path),
    void *arg);

/* WEIR_E_LIMIT when an item cannot hold it. */
weir_error *slot_write(const struct slot *slot, weir_buffer *out) WEIR_MUST_USE;
/* The number of the slot that an item is of. */
weir_error *slot_number_of(struct weir_item item, uint32_t *number) WEIR_MUST_USE;
/* Fills an empty slot. `find` gives the path of a segment's file by its name, for the slot to own. */
weir_error *slot_read(struct slot *slot, struct weir_item item,
    weir_error *(*find)(void *arg, weir_str name, char **path), void *arg) WEIR_MUST_USE;

#endif
