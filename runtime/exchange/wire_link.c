/* wire_link.c -- see wire_link.h. */
#include "runtime/exchange/wire_link.h"

#include "base/memory.h"

#include <string.h>

#define READS_MAX    16u /* a turn: half a megabyte */
#define CRYPTO_BYTES (16u << 10)

struct frame {
    struct wire_frame_header header;
    const char *payload;     /* NULL: none */
    struct segment *segment; /* whose bytes they are; NULL: somebody else's */
};

struct wire_link {
    struct os_socket *socket;
    const struct wire_crypto *crypto;
    void *session; /* of the crypto; NULL: plain */
    struct wire_metrics *metrics;
    bool can_read, can_write;
    bool read_wants_write, write_wants_write;
    /* out: a ring, the oldest at `first`; `sent` bytes of that one are gone */
    struct frame frames[WIRE_LINK_FRAMES];
    uint32_t first, count;
    size_t sent;
    char *plain; /* crypto: [plain_start, plain_end) is to be written */
    uint32_t plain_start, plain_end;
    /* in */
    struct wire_frame_reader reader;
};

weir_error *wire_link_new(const struct wire_link_options *options, struct wire_link **link)
{
    struct wire_link *it = mem_alloc(sizeof(*it));
    it->socket = options->socket;
    it->crypto = options->crypto;
    it->metrics = options->metrics;
    it->can_read = it->can_write = true;
    wire_frame_reader_init(&it->reader, &options->calls);
    weir_error *error = NULL;
    if (it->crypto != NULL) {
        it->plain = mem_alloc(CRYPTO_BYTES);
        error = it->crypto->wrap(it->crypto->arg, it->socket, options->host, &it->session);
    }
    *link = it;
    if (error != NULL) {
        wire_link_free(it);
        *link = NULL;
    }
    return error;
}

void wire_link_free(struct wire_link *link)
{
    if (link == NULL)
        return;
    for (; link->count > 0; link->count--) {
        struct frame *frame = &link->frames[link->first++ % WIRE_LINK_FRAMES];
        if (frame->segment != NULL)
            segment_give(frame->segment);
    }
    wire_frame_reader_release(&link->reader);
    if (link->session != NULL)
        link->crypto->free(link->session);
    os_socket_close(link->socket);
    mem_free(link->plain);
    mem_free(link);
}

struct os_socket *wire_link_socket(const struct wire_link *link)
{
    return link->socket;
}

/* -- state ----------------------------------------------------------------------------------- */

uint32_t wire_link_space(const struct wire_link *link)
{
    return WIRE_LINK_FRAMES - link->count;
}

void wire_link_awake(struct wire_link *link)
{
    link->can_read = link->can_write = true;
}

bool wire_link_can_read(const struct wire_link *link)
{
    return link->can_read;
}

static bool has_output(const struct wire_link *link)
{
    return link->count > 0 || link->plain_start < link->plain_end;
}

bool wire_link_can_write(const struct wire_link *link)
{
    return link->can_write && has_output(link);
}

bool wire_link_wants_write(const struct wire_link *link)
{
    return link->read_wants_write || (!link->can_write && link->write_wants_write);
}

/* -- out ------------------------------------------------------------------------------------- */

static void add(struct wire_link *link, const struct wire_frame_header *header, const char *payload,
    struct segment *segment)
{
    ASSERT(link->count < WIRE_LINK_FRAMES);
    struct frame *frame = &link->frames[(link->first + link->count++) % WIRE_LINK_FRAMES];
    *frame = (struct frame){ .header = *header, .payload = payload, .segment = segment };
    wire_frame_seal(&frame->header, payload);
}

void wire_link_add_segment(struct wire_link *link, uint32_t channel, struct segment *segment)
{
    struct wire_frame_header header = { .type = WIRE_FRAME_SEGMENT,
        .size = segment->used,
        .channel = channel };
    add(link, &header, segment->bytes, segment);
}

void wire_link_add_credit(struct wire_link *link, uint32_t channel, uint32_t granted)
{
    struct wire_frame_header header = { .type = WIRE_FRAME_CREDIT,
        .channel = channel,
        .value = granted };
    add(link, &header, NULL, NULL);
}

void wire_link_add_hello(struct wire_link *link, const char *payload, uint32_t size)
{
    struct wire_frame_header header = { .type = WIRE_FRAME_HELLO, .size = size };
    add(link, &header, payload, NULL);
}

/* What has not been sent of the queue, in order; at most two pieces a frame. */
static uint32_t pieces_of(struct wire_link *link, struct iovec *pieces)
{
    uint32_t count = 0;
    size_t skip = link->sent;
    for (uint32_t i = 0; i < link->count; i++) {
        struct frame *frame = &link->frames[(link->first + i) % WIRE_LINK_FRAMES];
        struct iovec parts[2] = { { &frame->header, sizeof(frame->header) },
            { (char *)(uintptr_t)frame->payload, frame->header.size } };
        for (uint32_t p = 0; p < 2; p++) {
            size_t gone = skip < parts[p].iov_len ? skip : parts[p].iov_len;
            skip -= gone;
            if (gone < parts[p].iov_len)
                pieces[count++] = (struct iovec){ .iov_base = (char *)parts[p].iov_base + gone,
                    .iov_len = parts[p].iov_len - gone };
        }
    }
    return count;
}

static void retire(struct wire_link *link, size_t sent)
{
    link->sent += sent;
    while (link->count > 0) {
        struct frame *frame = &link->frames[link->first];
        size_t size = sizeof(frame->header) + frame->header.size;
        if (link->sent < size)
            break;
        link->sent -= size;
        if (frame->segment != NULL) {
            segment_give(frame->segment);
            metric_add(&link->metrics->segments_out, 1);
        }
        link->first = (link->first + 1) % WIRE_LINK_FRAMES;
        link->count--;
    }
    ASSERT(link->count > 0 || link->sent == 0);
}

/* Fills the buffer from the queue; what is in it counts as sent. */
static void gather(struct wire_link *link)
{
    struct iovec pieces[2 * WIRE_LINK_FRAMES];
    uint32_t count = pieces_of(link, pieces);
    link->plain_start = link->plain_end = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t space = CRYPTO_BYTES - link->plain_end;
        uint32_t part = pieces[i].iov_len < space ? (uint32_t)pieces[i].iov_len : space;
        memcpy(link->plain + link->plain_end, pieces[i].iov_base, part);
        link->plain_end += part;
    }
    retire(link, link->plain_end);
}

static weir_error *write_crypto(struct wire_link *link, size_t *done)
{
    if (link->plain_start == link->plain_end)
        gather(link);
    WEIR_TRY(link->crypto->write(link->session, link->plain + link->plain_start,
        link->plain_end - link->plain_start, done, &link->write_wants_write));
    link->plain_start += (uint32_t)*done;
    link->can_write = *done > 0;
    return NULL;
}

static weir_error *write_plain(struct wire_link *link, size_t *done)
{
    struct iovec pieces[2 * WIRE_LINK_FRAMES];
    uint32_t count = pieces_of(link, pieces);
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        size += pieces[i].iov_len;
    WEIR_TRY(os_socket_writev(link->socket, pieces, count, done));
    retire(link, *done);
    link->can_write = *done == size; /* less: its buffer is full */
    link->write_wants_write = true;
    return NULL;
}

weir_error *wire_link_send(struct wire_link *link, bool *has_worked)
{
    while (wire_link_can_write(link)) {
        size_t done = 0;
        link->write_wants_write = false;
        WEIR_TRY(link->session == NULL ? write_plain(link, &done) : write_crypto(link, &done));
        metric_add(&link->metrics->writes, 1);
        metric_add(&link->metrics->bytes_out, (int64_t)done);
        *has_worked |= done > 0;
    }
    return NULL;
}

/* -- in -------------------------------------------------------------------------------------- */

static weir_error *read_some(struct wire_link *link, size_t *done)
{
    struct iovec pieces[2];
    uint32_t count = wire_frame_reader_pieces(&link->reader, pieces);
    if (link->session == NULL) {
        size_t size = pieces[0].iov_len + (count == 2 ? pieces[1].iov_len : 0);
        WEIR_TRY(os_socket_readv(link->socket, pieces, count, done));
        link->can_read = *done == size; /* less: its buffer is empty */
    } else {
        WEIR_TRY(link->crypto->read(link->session, pieces[0].iov_base, pieces[0].iov_len, done,
            &link->read_wants_write));
        link->can_read = *done > 0;
    }
    return NULL;
}

weir_error *wire_link_receive(struct wire_link *link, bool *has_worked)
{
    for (uint32_t i = 0; i < READS_MAX && link->can_read; i++) {
        size_t done = 0;
        link->read_wants_write = false;
        WEIR_TRY(read_some(link, &done));
        metric_add(&link->metrics->reads, 1);
        metric_add(&link->metrics->bytes_in, (int64_t)done);
        if (done == 0)
            break;
        *has_worked = true;
        WEIR_TRY(wire_frame_reader_took(&link->reader, done));
    }
    return NULL;
}
