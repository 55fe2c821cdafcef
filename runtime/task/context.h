/* context.h -- weir_ctx: one operator of one subtask, with all that its callbacks may reach.
 *
 * The contexts of a chain call each other: emitting hands rows to context_rows of the next operator,
 * or copies them into the partition of an edge. Nothing is virtual but the operator's own callback.
 *
 *      emit -> for each target: chained? context_rows(next, rows) : partition_emit(edge, rows)
 *
 * Errors. The first error that is not a bad record sticks in the context and stops the task after the
 * batch; the chain reports it with the operator's name. A bad record becomes a dead letter here.
 *
 * Thread: task. Private to runtime/task. */
#ifndef WEIR_TASK_CONTEXT_H
#define WEIR_TASK_CONTEXT_H

#include "checkpoint/restore.h"
#include "runtime/exchange/partition.h"
#include "runtime/graph/plan.h"
#include "runtime/task/host.h"
#include "runtime/task/timer.h"
#include "runtime/task/watermark.h"
#include "types/key.h"

#define SOURCE_BATCH_MAX 256
#define SPLITS_MAX       65536
#define COUNTERS_MAX     192 /* the operator's own, and one for each reason of dead letters */

struct task;

/* One way out: the next operator of the chain, or an edge. Thread: task. */
struct target {
    struct weir_ctx *next;
    struct partition *partition;
};
/* Thread: task. */
struct output {
    struct target *targets;
    uint32_t target_count;
};

/* Exact, checkpointed. Thread: task writes, any reads the value. */
struct counter {
    const char *name;
    metric value;
};

/* Token bucket over ten seconds. Thread: task. */
struct letter_rate {
    int64_t tokens_milli; /* thousandths of a dead letter */
    int64_t filled_ms;
};

/* Thread: task. */
struct weir_ctx {
    const struct plan *plan;
    const struct plan_vertex *vertex;
    const struct plan_operator *op;
    struct task *task;
    const struct task_host *host;
    uint32_t subtask;
    void *instance;
    struct keyed *keyed;      /* NULL: none */
    struct timers *timers;    /* NULL: none */
    struct arena *scratch;    /* the chain's, reset per batch */
    struct key_plan key_plan; /* keyed only */
    char *key_scratch;        /* KEY_SIZE_MAX bytes for composite keys, keyed only */

    struct output main, dead;
    struct output *sides;

    int64_t timestamp_ms; /* of the record or timer being handled */
    int64_t emit_timestamp_ms;
    int64_t watermark_ms;
    int64_t now_ms;
    struct weir_error *error; /* sticky */
    const char *call;         /* that is under way, for people; NULL: none, or one of records */
    bool is_open;

    struct counter counters[COUNTERS_MAX];
    uint32_t counter_count;
    struct letter_rate rate;
    metric records_in, records_out;

    /* source */
    struct watermarks splits;
    struct weir_row pending[SOURCE_BATCH_MAX];
    uint32_t pending_count;

    /* sink */
    weir_buffer *encode_key, *encode_value;

    /* restore and snapshot */
    const struct weir_item *all_items, *items; /* items: those of the scope */
    uint32_t all_item_count, item_count;
    const char *item_scope;
    struct item_scope *item_scopes; /* those that were used */
    const struct state_file *files; /* staged files of the restored checkpoint */
    uint32_t file_count;
    const struct state_file *in_flight; /* of the restored checkpoint (in_flight.h) */
    const uint32_t *in_flight_subtasks; /* who wrote each */
    uint32_t in_flight_count;
    struct arena *restore_arena;        /* the chain's memory */
    struct operator_snapshot *snapshot; /* while snapshot callbacks run */
    struct arena *snapshot_arena;
    uint32_t async_count; /* calls whose done has not run */
};

/* Around a call that is not one of records: current.h. `call`: "in a timer"; static. */
void context_enter(struct weir_ctx *ctx, const char *call);
void context_leave(struct weir_ctx *ctx);
/* Handles rows that came to this operator. Rows are valid until it returns. */
void context_rows(struct weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count);
void context_select_key(struct weir_ctx *ctx, const struct weir_row *row);
/* Makes the time of a row current, and on a keyed input its key. */
static inline void context_select(struct weir_ctx *ctx, const struct weir_row *row)
{
    ctx->timestamp_ms = ctx->emit_timestamp_ms = row->timestamp_ms;
    if (ctx->keyed != NULL)
        context_select_key(ctx, row);
}
/* Sets event time, and the clock, as the callbacks and TTLs see them. */
void context_set_watermark(struct weir_ctx *ctx, int64_t watermark_ms);
void context_set_clock(struct weir_ctx *ctx, int64_t now_ms);
/* Fires at most `count_max` timers that are due at `until_ms`, in order; how many. */
uint32_t context_fire(struct weir_ctx *ctx, enum weir_time time, int64_t until_ms,
    uint32_t count_max);
/* on_finish, after the last timer. */
void context_finish(struct weir_ctx *ctx);

/* Makes a bad record a dead letter; takes the error. `record` of the input type, or NULL with a
 * message of a source (`size`: full length of its value). */
void context_reject(struct weir_ctx *ctx, const void *record, const struct weir_message *message,
    uint64_t size, weir_error *error);
/* Remembers an error: the first one wins; takes it. */
void context_fail(struct weir_ctx *ctx, weir_error *error);
void context_emit(struct weir_ctx *ctx, const struct output *output, const struct weir_row *rows,
    uint32_t row_count);
/* The counter of a name, made if missing; NULL: too many. */
struct counter *context_counter(struct weir_ctx *ctx, const char *name);

#endif
