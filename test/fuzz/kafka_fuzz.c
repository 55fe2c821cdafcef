/* kafka_fuzz.c -- what the Kafka sink reads back: a token of a topic that anybody can write to, the item of a slot and
 * a staged segment, which were whole when they were stored, and need not be now. Refused, or taken and written again
 * as the same bytes.
 *
 * The first byte says as what: a token, an item, or a segment. Of a segment each block's checksum, which the fuzzer
 * cannot guess, is made right. */
#include "connectors/kafka_segment.h"
#include "connectors/kafka_slot.h"
#include "connectors/kafka_token.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>
#include <unistd.h>

#define RECORD_HEAD  8u  /* its two lengths */
#define BLOCK_HEADER 16u /* sizes of the records and of what is stored, 4 each; checksum */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_refused(weir_error *error)
{
    if (error == NULL)
        return false;
    ASSERT(weir_error_code(error) == WEIR_E_CORRUPT);
    weir_error_free(error);
    return true;
}

static void as_token(weir_str bytes)
{
    struct token token;
    if (is_refused(token_parse(bytes, &token)))
        return;
    char text[TOKEN_TEXT_MAX];
    size_t size = token_write(&token, text);
    ASSERT(token.exists && token.done <= token.total);
    ASSERT(weir_str_equal(bytes, (weir_str){ .data = text, .size = size }));
}

static weir_error *find(void *arg, weir_str name, char **path)
{
    (void)arg;
    *path = mem_printf("%.*s", (int)name.size, name.data);
    return NULL;
}

static void as_item(weir_str bytes)
{
    struct weir_item item = { .name = WEIR_STR("slot-0"), .value = bytes };
    struct slot slot;
    uint32_t number;
    if (is_refused(slot_number_of(item, &number)))
        return;
    slot_init(&slot, number);
    if (!is_refused(slot_read(&slot, item, find, NULL))) {
        weir_buffer *again = weir_buffer_new(bytes.size);
        weir_error *error = slot_write(&slot, again);
        for (uint32_t i = 0; i < slot.count; i++)
            ASSERT(slot.segments[i].number <= slot.last && slot.segments[i].chunk_count > 0);
        if (error == NULL &&
            slot.count == 0) /* a name with a zero byte or a slash comes out as another one */
            ASSERT(weir_str_equal(weir_buffer_view(again), bytes));
        weir_error_free(error);
        weir_buffer_free(again);
    }
    slot_release(&slot);
}

/* Puts the checksum in front of what is stored, block by block, as far as there are whole ones. Returns what their
 * heads say is in them. */
static uint32_t seal(char *bytes, size_t size)
{
    uint32_t sum = 0;
    for (size_t at = 0; size - at > BLOCK_HEADER;) {
        uint32_t lengths[2];
        memcpy(lengths, bytes + at, sizeof(lengths));
        if (lengths[1] > size - at - BLOCK_HEADER)
            break;
        uint64_t checksum = hash_bytes(bytes + at + BLOCK_HEADER, lengths[1]);
        memcpy(bytes + at + 8, &checksum, sizeof(checksum));
        at += BLOCK_HEADER + lengths[1];
        sum += lengths[0];
    }
    return sum;
}

/* Reads every byte that it is given. */
static weir_error *add_record(void *arg, weir_str key, weir_str value)
{
    uint64_t *sum = arg;
    *sum += hash_bytes(key.data == NULL ? "" : key.data, key.size);
    *sum += hash_bytes(value.data == NULL ? "" : value.data, value.size);
    return NULL;
}

static void as_segment(weir_str bytes)
{
    char path[] = "/tmp/kafka-fuzz-XXXXXX";
    struct kafka_chunk_buffer buffer = { 0 };
    uint64_t sum = 0;
    int file = mkstemp(path);
    char *sealed = mem_dup(bytes.data, bytes.size);
    uint32_t unpacked = seal(sealed, bytes.size);
    ASSERT(file >= 0 && write(file, sealed, bytes.size) == (ssize_t)bytes.size);
    close(file);
    for (uint32_t records = 0; records < 4; records++) {
        struct kafka_chunk chunk = { .records = records, .size = unpacked - records * RECORD_HEAD };
        is_refused(kafka_chunk_read(path, &chunk, &buffer, add_record, &sum));
    }
    kafka_chunk_buffer_release(&buffer);
    unlink(path);
    mem_free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ways[])(weir_str bytes) = { as_token, as_item, as_segment };
    if (size > 0)
        ways[data[0] % 3]((weir_str){ .data = (const char *)data + 1, .size = size - 1 });
    return 0;
}
