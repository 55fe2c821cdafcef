/* job_record.c -- a job as bytes, sealed (base/sealed.h). Prefixes: job_
 *
 *      u64 epoch, u8 status, 3 × u64 times, str id, str name, str message, str spec, u32 count, count × str digest,
 *      str archive (since version 2) */
#include "runtime/cluster/job_store.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/sealed.h"

#include <inttypes.h>
#include <string.h>

static const struct sealed_form form = { .magic = "WEIRJOB1",
    .noun = "a submitted job",
    .version = 2 };

bool job_is_over(enum job_status status)
{
    return status >= RECORD_FINISHED;
}

static weir_str str_of(const char *text)
{
    return (weir_str){ .data = text, .size = strlen(text) };
}

void job_record_encode(const struct job_record *record, weir_buffer *out)
{
    weir_buffer *body = weir_buffer_new(2 * JOB_SPEC_MAX);
    buffer_put_u64(body, record->epoch);
    buffer_put_u8(body, (uint8_t)record->status);
    buffer_put_u64(body, (uint64_t)record->submitted_ms);
    buffer_put_u64(body, (uint64_t)record->started_ms);
    buffer_put_u64(body, (uint64_t)record->ended_ms);
    buffer_put_str(body, str_of(record->id));
    buffer_put_str(body, str_of(record->name));
    buffer_put_str(body, str_of(record->message));
    buffer_put_str(body, record->spec);
    buffer_put_u32(body, record->blob_count);
    for (uint32_t i = 0; i < record->blob_count; i++)
        buffer_put_str(body, str_of(record->blobs[i]));
    buffer_put_str(body, record->archive);
    sealed_put(&form, body, out);
    weir_buffer_free(body);
}

static bool is_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") == size && text[size] == '\0';
}

static bool take_hex(struct reader *reader, char *text, size_t size)
{
    weir_str found = reader_str(reader);
    if (found.data == NULL || found.size != size)
        return false;
    memcpy(text, found.data, size);
    text[size] = '\0';
    return is_hex(text, size);
}

static bool is_text(weir_str text, size_t size_max)
{
    return text.data != NULL && text.size <= size_max && memchr(text.data, '\0', text.size) == NULL;
}

static bool take_blobs(struct reader *reader, struct job_record *record)
{
    record->blob_count = reader_u32(reader);
    if (record->blob_count > JOB_BLOBS_MAX)
        return false;
    for (uint32_t i = 0; i < record->blob_count; i++)
        if (!take_hex(reader, record->blobs[i], JOB_DIGEST_SIZE))
            return false;
    return true;
}

weir_error *job_record_decode(weir_str bytes, const char *what, struct job_record *record,
    char **texts)
{
    uint32_t version;
    weir_str body;
    *texts = NULL;
    *record = (struct job_record){ .name = "", .message = "" };
    WEIR_TRY(sealed_open(&form, bytes, what, &version, &body));
    struct reader reader = reader_of(body);
    record->epoch = reader_u64(&reader);
    uint8_t status = reader_u8(&reader);
    record->submitted_ms = (int64_t)reader_u64(&reader);
    record->started_ms = (int64_t)reader_u64(&reader);
    record->ended_ms = (int64_t)reader_u64(&reader);
    bool is_good = take_hex(&reader, record->id, JOB_ID_SIZE);
    weir_str name = reader_str(&reader), message = reader_str(&reader);
    record->spec = reader_str(&reader);
    is_good = is_good && take_blobs(&reader, record);
    if (is_good && version >= 2)
        record->archive = reader_str(&reader);
    is_good = is_good && !reader_failed(&reader) && reader_at_end(&reader) &&
              status < RECORD_STATUS_COUNT && record->epoch > 0 && is_text(name, JOB_NAME_MAX) &&
              name.size > 0 && is_text(message, JOB_MESSAGE_MAX) && record->spec.data != NULL &&
              record->spec.size <= JOB_SPEC_MAX && record->archive.size <= JOB_ARCHIVE_MAX;
    if (!is_good)
        return weir_errorf(WEIR_E_CORRUPT, "%s is corrupt: its fields do not fit", what);
    *texts = mem_alloc(name.size + 1 + message.size + 1);
    memcpy(*texts, name.data, name.size);
    memcpy(*texts + name.size + 1, message.data, message.size);
    record->status = (enum job_status)status;
    record->name = *texts;
    record->message = *texts + name.size + 1;
    return NULL;
}
