/* job_store_fuzz.c -- a file of the job store is untrusted until it is decoded.
 *
 * The fuzzer cannot guess a checksum: what it makes is taken as a whole file, and as a body behind a header that
 * fits. What is accepted must come out of the encoder as it went in. */
#include "runtime/cluster/job_store.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(weir_str bytes)
{
    struct job_record record;
    char *texts;
    weir_error *error = job_record_decode(bytes, "input", &record, &texts);
    if (error != NULL) {
        ASSERT(weir_error_code(error) == WEIR_E_CORRUPT || weir_error_code(error) == WEIR_E_STATE);
        ASSERT(texts == NULL);
        weir_error_free(error);
        return;
    }
    weir_buffer *again = weir_buffer_new(2 * JOB_SPEC_MAX);
    job_record_encode(&record, again);
    if (bytes.data[8] == 2) /* the version: an older one comes out as the newest */
        ASSERT(weir_str_equal(weir_buffer_view(again), bytes));
    weir_buffer_free(again);
    mem_free(texts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sealed_form form = { .magic = "WEIRJOB1", .noun = "a job", .version = 2 };
    weir_buffer *body = weir_buffer_new(2 * JOB_SPEC_MAX),
                *sealed = weir_buffer_new(2 * JOB_SPEC_MAX);
    weir_buffer_add(body, data, size);
    sealed_put(&form, body, sealed);
    decode((weir_str){ .data = (const char *)data, .size = size });
    decode(weir_buffer_view(sealed));
    weir_buffer_free(body);
    weir_buffer_free(sealed);
    return 0;
}
