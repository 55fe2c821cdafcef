/* wire_frame.c -- see wire_frame.h. */
#include "runtime/exchange/wire_frame.h"

#include "base/hash.h"
#include "types/layout.h"

#include <string.h>

#define HEADER_SIZE ((uint32_t)sizeof(struct wire_frame_header))
#define SEGMENT_MAX ((uint32_t)sizeof(struct element) + WEIR_RECORD_SIZE_MAX)

static const char magic[4] = { 'W', 'E', 'I', 'R' };

_Static_assert(WIRE_FRAME_READ_SIZE >=
                   sizeof(struct wire_frame_header) + WIRE_FRAME_HELLO_SIZE + WIRE_FRAME_JOB_MAX,
    "a hello fits the buffer");

static weir_error *corrupt(weir_error *error)
{
    return weir_error_retriable(error);
}

static uint64_t checksum_of(const struct wire_frame_header *header, const void *payload)
{
    uint64_t first = header->size | (uint64_t)header->type << 32;
    uint64_t second = header->channel | (uint64_t)header->value << 32;
    return hash_bytes(payload, header->size) ^ hash_mix(first + hash_mix(~second));
}

void wire_frame_seal(struct wire_frame_header *header, const void *payload)
{
    header->checksum = checksum_of(header, payload);
}

/* -- hello ---------------------------------------------------------------------------------- */

struct hello_bytes {
    char magic[4];
    uint32_t version, worker, worker_count;
    uint64_t attempt;
    uint8_t secret[WIRE_FRAME_SECRET];
};
_Static_assert(sizeof(struct hello_bytes) == WIRE_FRAME_HELLO_SIZE, "as in the table");

uint32_t wire_frame_write_hello(const struct wire_frame_hello *hello, char *payload)
{
    struct hello_bytes bytes = { .version = WIRE_FRAME_VERSION,
        .worker = hello->worker,
        .worker_count = hello->worker_count,
        .attempt = hello->attempt };
    size_t size = strlen(hello->job);
    ASSERT(size <= WIRE_FRAME_JOB_MAX);
    memcpy(bytes.magic, magic, sizeof(magic));
    memcpy(bytes.secret, hello->secret, sizeof(bytes.secret));
    memcpy(payload, &bytes, sizeof(bytes));
    memcpy(payload + sizeof(bytes), hello->job, size);
    return (uint32_t)(sizeof(bytes) + size);
}

/* Looks at all bytes, whatever it sees. */
static bool is_secret(const uint8_t *left, const uint8_t *right)
{
    volatile uint8_t difference = 0;
    for (uint32_t i = 0; i < WIRE_FRAME_SECRET; i++)
        difference = difference | (left[i] ^ right[i]);
    return difference == 0;
}

weir_error *wire_frame_check_hello(const struct wire_frame_hello *own, const char *payload,
    uint32_t size, uint32_t *worker)
{
    struct hello_bytes bytes;
    if (size < sizeof(magic) + sizeof(uint32_t) || memcmp(payload, magic, sizeof(magic)) != 0)
        return corrupt(weir_errorf(WEIR_E_CORRUPT, "the other side is no worker of Weir"));
    uint32_t version;
    memcpy(&version, payload + sizeof(magic), sizeof(version));
    if (version != WIRE_FRAME_VERSION)
        return weir_errorf(WEIR_E_STATE,
            "the other worker speaks version %u of the data protocol, this one %u; give both the "
            "same version of Weir",
            version, WIRE_FRAME_VERSION);
    if (size < sizeof(bytes))
        return corrupt(weir_errorf(WEIR_E_CORRUPT, "a hello of %u bytes is cut short", size));
    memcpy(&bytes, payload, sizeof(bytes));
    if (!is_secret(bytes.secret, own->secret))
        return weir_errorf(WEIR_E_FENCED, "the other side has not the secret of this attempt: it "
                                          "is of another one, or a stranger");
    size_t job_size = size - sizeof(bytes);
    if (job_size != strlen(own->job) || memcmp(payload + sizeof(bytes), own->job, job_size) != 0)
        return weir_errorf(WEIR_E_FENCED, "the other worker is not of job '%s'", own->job);
    if (bytes.attempt != own->attempt)
        return weir_errorf(WEIR_E_FENCED, "the other worker is of attempt %llu, this one of %llu",
            (unsigned long long)bytes.attempt, (unsigned long long)own->attempt);
    if (bytes.worker_count != own->worker_count || bytes.worker >= own->worker_count ||
        bytes.worker == own->worker)
        return weir_errorf(WEIR_E_INTERNAL, "worker %u of %u says hello to worker %u of %u",
            bytes.worker, bytes.worker_count, own->worker, own->worker_count);
    *worker = bytes.worker;
    return NULL;
}

/* -- the reader ------------------------------------------------------------------------------ */

void wire_frame_reader_init(struct wire_frame_reader *reader, const struct wire_frame_calls *calls)
{
    reader->calls = *calls;
    reader->is_greeted = false;
    reader->segment = NULL;
    reader->filled = 0;
    reader->start = reader->end = 0;
}

void wire_frame_reader_release(struct wire_frame_reader *reader)
{
    if (reader->segment != NULL)
        segment_give(reader->segment);
    reader->segment = NULL;
}

uint32_t wire_frame_reader_pieces(struct wire_frame_reader *reader, struct iovec pieces[2])
{
    uint32_t count = 0;
    if (reader->segment != NULL)
        pieces[count++] = (struct iovec){ .iov_base = reader->segment->bytes + reader->filled,
            .iov_len = reader->header.size - reader->filled };
    pieces[count++] = (struct iovec){ .iov_base = reader->buffer + reader->end,
        .iov_len = sizeof(reader->buffer) - reader->end };
    return count;
}

static weir_error *check_header(const struct wire_frame_reader *reader,
    const struct wire_frame_header *header)
{
    bool fits = false;
    if (header->type == WIRE_FRAME_HELLO)
        fits = !reader->is_greeted && header->size <= WIRE_FRAME_HELLO_SIZE + WIRE_FRAME_JOB_MAX;
    else if (header->type == WIRE_FRAME_SEGMENT)
        fits = reader->is_greeted && header->size >= sizeof(struct element) &&
               header->size <= SEGMENT_MAX && header->size % 16 == 0;
    else if (header->type == WIRE_FRAME_CREDIT)
        fits = reader->is_greeted && header->size == 0;
    if (fits)
        return NULL;
    return corrupt(
        weir_errorf(WEIR_E_CORRUPT, "a frame of type %u with %u bytes does not fit here%s",
            header->type, header->size, reader->is_greeted ? "" : ", where a hello is expected"));
}

static weir_error *check_payload(const struct wire_frame_header *header, const void *payload)
{
    if (checksum_of(header, payload) == header->checksum)
        return NULL;
    return corrupt(weir_errorf(WEIR_E_CORRUPT,
        "a frame of type %u with %u bytes has a wrong checksum: it was changed on its way",
        header->type, header->size));
}

static weir_error *finish_segment(struct wire_frame_reader *reader)
{
    struct segment *segment = reader->segment;
    WEIR_TRY(check_payload(&reader->header, segment->bytes));
    if (!segment_adopt(segment, reader->header.size))
        return corrupt(weir_errorf(WEIR_E_CORRUPT, "a segment of channel %u has broken elements",
            reader->header.channel));
    reader->segment = NULL;
    return reader->calls.segment(reader->calls.arg, reader->header.channel, segment);
}

/* Takes what the buffer has of it. */
static weir_error *begin_segment(struct wire_frame_reader *reader,
    const struct wire_frame_header *header)
{
    struct segment *segment = NULL;
    WEIR_TRY(reader->calls.begin(reader->calls.arg, header->channel, header->size, &segment));
    ASSERT(segment != NULL && segment->capacity >= header->size);
    uint32_t there = reader->end - reader->start;
    reader->header = *header;
    reader->segment = segment;
    reader->filled = there < header->size ? there : header->size;
    memcpy(segment->bytes, reader->buffer + reader->start, reader->filled);
    reader->start += reader->filled;
    return reader->filled == header->size ? finish_segment(reader) : NULL;
}

static weir_error *take_small(struct wire_frame_reader *reader,
    const struct wire_frame_header *header)
{
    const char *payload = reader->buffer + reader->start;
    WEIR_TRY(check_payload(header, payload));
    reader->start += header->size;
    if (header->type == WIRE_FRAME_CREDIT)
        return reader->calls.credit(reader->calls.arg, header->channel, header->value);
    reader->is_greeted = true;
    return reader->calls.hello(reader->calls.arg, payload, header->size);
}

/* All frames that the buffer has, and the start of the next. */
static weir_error *parse(struct wire_frame_reader *reader)
{
    while (reader->segment == NULL && reader->end - reader->start >= HEADER_SIZE) {
        struct wire_frame_header header;
        memcpy(&header, reader->buffer + reader->start, HEADER_SIZE);
        WEIR_TRY(check_header(reader, &header));
        bool is_segment = header.type == WIRE_FRAME_SEGMENT;
        if (!is_segment && reader->end - reader->start - HEADER_SIZE < header.size)
            break;
        reader->start += HEADER_SIZE;
        WEIR_TRY(is_segment ? begin_segment(reader, &header) : take_small(reader, &header));
    }
    memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
    reader->end -= reader->start;
    reader->start = 0;
    ASSERT(reader->segment == NULL || reader->end == 0);
    return NULL;
}

weir_error *wire_frame_reader_took(struct wire_frame_reader *reader, size_t count)
{
    if (reader->segment != NULL) {
        uint32_t rest = reader->header.size - reader->filled;
        uint32_t part = count < rest ? (uint32_t)count : rest;
        reader->filled += part;
        count -= part;
        if (part == rest)
            WEIR_TRY(finish_segment(reader));
    }
    ASSERT(count <= sizeof(reader->buffer) - reader->end);
    reader->end += (uint32_t)count;
    return parse(reader);
}
