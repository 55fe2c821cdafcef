/* checkpoint_fuzz.c -- checkpoint metadata is untrusted until it is decoded.
 *
 * The fuzzer cannot guess a checksum, so what it makes is taken twice: as a whole file, and as a body
 * behind a header that fits. What is accepted must come out of the encoder as it went in. */
#include "checkpoint/format.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"

#define NEWEST 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(weir_buffer *out, uint32_t version, weir_str body)
{
    weir_buffer_add(out, "WEIRCHK1", 8);
    buffer_put_u32(out, version);
    buffer_put_u32(out, 0);
    buffer_put_u64(out, body.size);
    struct checksum *checksum = checksum_new();
    checksum_add(checksum, weir_buffer_view(out).data, 24);
    checksum_add(checksum, body.data, body.size);
    buffer_put_u64(out, checksum_value(checksum));
    checksum_free(checksum);
    weir_buffer_add_str(out, body);
}

static void decode(weir_str bytes)
{
    struct checkpoint_metadata metadata;
    weir_error *error = checkpoint_decode(bytes, "input", &metadata);
    if (error != NULL) {
        ASSERT(weir_error_code(error) == WEIR_E_CORRUPT || weir_error_code(error) == WEIR_E_STATE);
        weir_error_free(error);
        return;
    }
    weir_buffer *again = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(&metadata, again);
    if ((unsigned char)bytes.data[8] == NEWEST) /* an older one is written anew as the newest */
        ASSERT(weir_str_equal(weir_buffer_view(again), bytes));
    weir_buffer_free(again);
    checkpoint_metadata_release(&metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_str bytes = { .data = (const char *)data, .size = size };
    decode(bytes);
    for (uint32_t version = 1; version <= NEWEST; version++) {
        weir_buffer *sealed = weir_buffer_new(CHECKPOINT_SIZE_MAX);
        seal(sealed, version, bytes);
        decode(weir_buffer_view(sealed));
        weir_buffer_free(sealed);
    }
    return 0;
}
