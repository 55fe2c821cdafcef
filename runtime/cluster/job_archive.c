/* job_archive.c -- see job_archive.h. */
#include "runtime/cluster/job_archive.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "runtime/cluster/job_store.h"

#define VERSION 1u

/* -- writing ---------------------------------------------------------------------------------- */

/* Empty: NULL. */
static weir_str text_of(const char *text)
{
    return text == NULL ? (weir_str){ .data = "", .size = 0 } : weir_str_of(text);
}

static void put_failure(const struct history_failure *it, weir_buffer *out)
{
    buffer_put_str(out, text_of(it->text));
    buffer_put_str(out, text_of(it->vertex));
    buffer_put_str(out, text_of(it->place));
    buffer_put_u32(out, it->subtask);
    buffer_put_u32(out, it->task_count);
    buffer_put_u64(out, it->attempt);
    buffer_put_u64(out, (uint64_t)it->at_ms);
    buffer_put_u32(out, (uint32_t)it->code);
    buffer_put_u8(out, it->has_restarted);
}

/* The oldest failure first, as they are told again. */
static void put(const struct job *job, weir_str spec, weir_buffer *out)
{
    uint32_t count = 0;
    while (history_failure(&job->history, count) != NULL)
        count++;
    buffer_put_u32(out, VERSION);
    buffer_put_str(out, text_of(job->name));
    buffer_put_u32(out,
        (uint32_t)(job->error == NULL ? WEIR_CODE_COUNT : weir_error_code(job->error)));
    buffer_put_u32(out, JOB_STATE_COUNT);
    for (uint32_t i = 0; i < JOB_STATE_COUNT; i++)
        buffer_put_u64(out, (uint64_t)job->entered_ms[i]);
    buffer_put_u32(out, count);
    for (uint32_t i = count; i > 0; i--)
        put_failure(history_failure(&job->history, i - 1), out);
    buffer_put_str(out, spec.data == NULL ? text_of(NULL) : spec);
}

void job_archive_encode(const struct job *job, weir_str spec, weir_buffer *out)
{
    weir_buffer *whole = weir_buffer_new(JOB_ARCHIVE_MAX);
    put(job, spec, whole);
    if (weir_buffer_overflowed(whole)) {
        weir_buffer_reset(whole);
        put(job, (weir_str){ 0 }, whole);
    }
    ASSERT(!weir_buffer_overflowed(whole)); /* the rest is bounded: history.h */
    weir_buffer_add_str(out, weir_buffer_view(whole));
    weir_buffer_free(whole);
}

/* -- reading ---------------------------------------------------------------------------------- */

/* mem_free it; NULL: it is empty. */
static char *take_text(struct reader *reader)
{
    weir_str text = reader_str(reader);
    return text.size == 0 ? NULL : mem_printf("%.*s", (int)text.size, text.data);
}

static void take_failure(struct reader *reader, struct history *history)
{
    struct history_failure it = { .text = take_text(reader),
        .vertex = take_text(reader),
        .place = take_text(reader) };
    it.subtask = reader_u32(reader);
    it.task_count = reader_u32(reader);
    it.attempt = reader_u64(reader);
    it.at_ms = (int64_t)reader_u64(reader);
    uint32_t code = reader_u32(reader);
    it.code = code < WEIR_CODE_COUNT ? (enum weir_code)code : WEIR_E_INTERNAL;
    it.has_restarted = reader_u8(reader) != 0;
    if (!reader_failed(reader))
        history_failed(history, &it);
    mem_free(it.text);
    mem_free(it.vertex);
    mem_free(it.place);
}

weir_error *job_archive_decode(weir_str bytes, struct job *job, enum weir_code *code,
    weir_str *spec)
{
    struct reader reader = reader_of(bytes);
    struct history history;
    int64_t entered_ms[JOB_STATE_COUNT] = { 0 };
    uint32_t version = reader_u32(&reader);
    if (version > VERSION)
        return weir_errorf(WEIR_E_STATE,
            "what is kept of job %s was written by a newer Weir: version %u, up to %u is read",
            job->id, version, VERSION);
    history_init(&history, 0);
    char *name = take_text(&reader);
    uint32_t number = reader_u32(&reader), states = reader_u32(&reader);
    for (uint32_t i = 0; i < states && i < JOB_STATE_COUNT; i++)
        entered_ms[i] = (int64_t)reader_u64(&reader);
    uint32_t count = reader_u32(&reader);
    for (uint32_t i = 0; i < count && count <= HISTORY_FAILURES; i++)
        take_failure(&reader, &history);
    *spec = reader_str(&reader);
    if (version < 1 || name == NULL || states != JOB_STATE_COUNT || count > HISTORY_FAILURES ||
        number > WEIR_CODE_COUNT || reader_failed(&reader) || !reader_at_end(&reader)) {
        history_release(&history);
        mem_free(name);
        return weir_errorf(WEIR_E_CORRUPT, "what is kept of job %s is corrupt", job->id);
    }
    mem_free(job->name);
    job->name = name;
    memcpy(job->entered_ms, entered_ms, sizeof(job->entered_ms));
    history_release(&job->history);
    job->history = history;
    *code = (enum weir_code)number;
    return NULL;
}
