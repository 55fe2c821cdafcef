/* savepoint_fuzz.c -- a savepoint is a person's file: its metadata and its entries are untrusted until they
 * are read. The fuzzer cannot guess a checksum, so the metadata comes behind a header that fits, and as it is;
 * the same bytes are then read as entries. What is accepted as metadata must survive being written again. */
#include "checkpoint/savepoint_entry.h"
#include "checkpoint/savepoint_format.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/os.h"
#include "base/sealed.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void free_expected(weir_error *error)
{
    ASSERT(weir_error_code(error) == WEIR_E_CORRUPT || weir_error_code(error) == WEIR_E_STATE);
    weir_error_free(error);
}

static void decode(weir_str bytes, bool is_again)
{
    struct checkpoint_metadata metadata;
    weir_error *error = savepoint_decode(bytes, "input", &metadata);
    if (error != NULL) {
        ASSERT(!is_again);
        free_expected(error);
        return;
    }
    if (!is_again) {
        weir_buffer *again = weir_buffer_new(SAVEPOINT_METADATA_MAX);
        savepoint_encode(&metadata, again);
        decode(weir_buffer_view(again), true);
        weir_buffer_free(again);
    }
    checkpoint_metadata_release(&metadata);
}

static void read_entries(const char *path)
{
    struct entry_reader *reader;
    weir_error *error = entry_reader_open(path, &reader);
    ASSERT(error == NULL);
    bool found = true;
    while (found && error == NULL) {
        struct savepoint_entry entry;
        weir_str value;
        error = entry_reader_next(reader, &entry, &value, &found);
    }
    if (error != NULL)
        free_expected(error);
    entry_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sealed_form form = { .magic = SAVEPOINT_MAGIC, .version = 1 };
    char path[] = "/tmp/savepoint-fuzz-XXXXXX";
    weir_buffer *body = weir_buffer_new(SAVEPOINT_METADATA_MAX);
    weir_buffer *sealed = weir_buffer_new(SAVEPOINT_METADATA_MAX);
    weir_buffer_add(body, data, size);
    sealed_put(&form, body, sealed);
    decode(weir_buffer_view(sealed), false);
    decode(weir_buffer_view(body), false);
    weir_buffer_free(sealed);
    weir_buffer_free(body);
    int file = mkstemp(path);
    ASSERT(file >= 0 && write(file, data, size) == (ssize_t)size);
    close(file);
    read_entries(path);
    unlink(path);
    return 0;
}
