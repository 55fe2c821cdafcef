/* wire_fuzz.c -- any bytes, cut anywhere, as what another worker sends: refused, or frames whose segments are
 * whole. The first two bytes choose the cuts, and whether checksums are put right on the way: or nothing would
 * come past them. */
#include "base/memory.h"
#include "runtime/exchange/wire_frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct wire_frame_hello own = { .job = "job",
    .attempt = 1,
    .worker = 1,
    .worker_count = 2 };

static weir_error *on_hello(void *arg, const char *payload, uint32_t size)
{
    uint32_t worker = 0;
    (void)arg;
    weir_error_free(wire_frame_check_hello(&own, payload, size, &worker));
    ASSERT(worker == 0);
    return NULL; /* go on, whoever it is */
}

static weir_error *on_begin(void *arg, uint32_t channel, uint32_t size, struct segment **segment)
{
    (void)channel;
    *segment = segment_take_copy(arg, size);
    return *segment != NULL ? NULL : weir_errorf(WEIR_E_LIMIT, "the pool is empty");
}

static weir_error *on_segment(void *arg, uint32_t channel, struct segment *segment)
{
    uint32_t records = 0;
    (void)arg, (void)channel;
    for (const struct element *it; (it = segment_next(segment)) != NULL;)
        records += it->kind == ELEMENT_RECORD;
    ASSERT(segment->read == segment->used && records == segment->record_count);
    segment_give(segment);
    return NULL;
}

static weir_error *on_credit(void *arg, uint32_t channel, uint32_t granted)
{
    (void)arg, (void)channel, (void)granted;
    return NULL;
}

static weir_error *feed(struct wire_frame_reader *reader, const char *bytes, size_t size,
    uint32_t step)
{
    for (size_t at = 0; at < size;) {
        struct iovec pieces[2];
        uint32_t count = wire_frame_reader_pieces(reader, pieces);
        size_t moved = 0, limit = size - at < step ? size - at : step;
        for (uint32_t i = 0; i < count; i++) {
            size_t part = pieces[i].iov_len < limit - moved ? pieces[i].iov_len : limit - moved;
            memcpy(pieces[i].iov_base, bytes + at + moved, part);
            moved += part;
        }
        at += moved;
        WEIR_TRY(wire_frame_reader_took(reader, moved));
    }
    return NULL;
}

/* Seals all headers that lie where one frame behind the other has them. */
static void seal(char *bytes, size_t size)
{
    struct wire_frame_header header;
    for (size_t at = 0; size - at >= sizeof(header);) {
        memcpy(&header, bytes + at, sizeof(header));
        if (header.size > size - at - sizeof(header))
            break;
        wire_frame_seal(&header, bytes + at + sizeof(header));
        memcpy(bytes + at, &header, sizeof(header));
        at += sizeof(header) + header.size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    struct segment_pool *pool = segment_pool_new((size_t)4 << 20);
    struct wire_frame_calls calls = { pool, on_hello, on_begin, on_segment, on_credit };
    struct wire_frame_reader *reader = mem_alloc(sizeof(*reader));
    char *copy = mem_dup(bytes + 2, size - 2);
    if (bytes[1] % 2 == 0)
        seal(copy, size - 2);
    wire_frame_reader_init(reader, &calls);
    weir_error_free(feed(reader, copy, size - 2, bytes[0] + 1u));
    wire_frame_reader_release(reader);
    segment_pool_free(pool);
    mem_free(reader);
    mem_free(copy);
    return 0;
}
