/* http_fuzz.c -- no bytes make the reader of HTTP requests read or write out of bounds, take a body longer than
 * allowed, or say something else when they come in other pieces. The first byte says how many at a time. */
#include "net/http_reader.h"

#include "base/assert.h"
#include "base/hash.h"

#define BODY_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static uint64_t mix_text(uint64_t sum, const char *text)
{
    return hash_mix(sum ^ hash_bytes(text, strlen(text)));
}

static uint64_t mix_head(uint64_t sum, const struct http_head *head)
{
    sum = mix_text(sum + (uint64_t)head->method + head->content_length, head->path);
    for (uint32_t i = 0; i < head->header_count; i++)
        sum = mix_text(mix_text(sum, head->headers[i].name), head->headers[i].value);
    for (uint32_t i = 0; i < head->query_count; i++)
        sum = mix_text(mix_text(sum, head->query[i].name), head->query[i].value);
    return sum;
}

/* A number made of all that was read. */
static uint64_t read_all(const char *bytes, size_t size, size_t cut)
{
    static struct http_reader reader;
    uint64_t sum = 0, body = 0;
    http_reader_init(&reader, BODY_MAX);
    for (size_t at = 0; at < size; at += cut) {
        weir_str wire = { .data = bytes + at, .size = cut < size - at ? cut : size - at }, piece;
        enum http_event event;
        while ((event = http_reader_read(&reader, &wire, &piece)) != HTTP_MORE) {
            if (event == HTTP_BAD)
                return hash_mix(sum + (uint64_t)reader.status);
            if (event == HTTP_HEAD)
                sum = mix_head(sum, &reader.head);
            for (uint64_t i = 0; event == HTTP_BODY && i < piece.size; i++)
                sum = hash_mix(sum + (unsigned char)piece.data[i]);
            body = event == HTTP_BODY ? body + piece.size : 0;
            ASSERT(body <= BODY_MAX);
        }
        ASSERT(wire.size == 0);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 1)
        return 0;
    const char *wire = (const char *)bytes + 1;
    ASSERT(read_all(wire, size - 1, size) == read_all(wire, size - 1, 1u + bytes[0]));
    return 0;
}
