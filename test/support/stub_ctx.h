/* stub_ctx.h -- a weir_ctx without an engine, for tests of one format or connector alone.
 *
 * It answers the verbs of operator.h and connector.h that those ask, from the struct below, and
 * keeps what they emit. A program that uses it must not link the engine's verbs (runtime/task):
 * formats and connectors pull in none of them. So its code comes with this header, into the one file
 * that includes it, and not from libtest.a, where programs with the engine would find it first.
 *
 * Thread: one. */
#ifndef WEIR_TEST_STUB_CTX_H
#define WEIR_TEST_STUB_CTX_H

#include "base/memory.h"

#include <weir/connector.h>

#define STUB_ROWS_MAX  1024
#define STUB_ITEMS_MAX 256
#define STUB_CALLS_MAX 16
#define STUB_SYNCS_MAX 64
#define STUB_FILES_MAX 256

struct weir_ctx {
    uint32_t subtask, parallelism;
    int64_t now_ms;
    const struct weir_type *in_type;
    struct arena scratch; /* reset by stub_ctx_next_batch */
    struct arena memory;  /* of items */
    uint32_t split_count, splits_finished;
    /* what a source emitted since the last batch, and how much it may */
    uint32_t batch_max, row_count;
    const void *rows[STUB_ROWS_MAX];
    uint32_t row_splits[STUB_ROWS_MAX];
    /* what open finds, and what snapshot adds */
    uint32_t item_count, added_count;
    struct weir_item items[STUB_ITEMS_MAX], added[STUB_ITEMS_MAX];
    weir_buffer *key, *value; /* of weir_sink_encode */
    uint32_t rejected_count;
    struct weir_message rejected; /* the last one of a source, kept */
    uint64_t rejected_size;
    char *rejected_why; /* reason: message */
    /* the job around it; strings are borrowed */
    const char *job, *uid, *staging_dir;
    uint64_t instance, attempt;
    bool is_fenced;
    void *own; /* what weir_instance gives */
    /* files of checkpoints: what snapshot lists, and where open looks for them, by name */
    uint32_t file_count;
    const char *files[STUB_FILES_MAX], *files_dir;
    /* asynchronous calls that wait for stub_ctx_run, and what weir_sync_add was given */
    uint32_t call_count, sync_count;
    struct stub_call {
        weir_error *(*run)(void *arg);
        weir_error *(*done)(weir_ctx *ctx, void *arg);
        void *arg;
    } calls[STUB_CALLS_MAX];
    const char *syncs[STUB_SYNCS_MAX];
};

weir_ctx *stub_ctx_new(uint32_t subtask, uint32_t parallelism);
void stub_ctx_free(weir_ctx *ctx);
void stub_ctx_next_batch(weir_ctx *ctx);
/* What `from` added becomes what `ctx` finds in open, beside what it has. */
void stub_ctx_restore(weir_ctx *ctx, const weir_ctx *from);
/* Runs the asynchronous calls that wait, in order; stops at the first error. */
weir_error *stub_ctx_run(weir_ctx *ctx) WEIR_MUST_USE;

#include "test/support/stub/stub_ctx.c"

#endif
