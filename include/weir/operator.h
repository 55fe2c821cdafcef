/* operator.h -- what an operator is: a table of callbacks, its state, and what they may call.
 *
 *     static weir_error *on_click(weir_ctx *ctx, const void *record)
 *     {
 *         const struct click *click = record;
 *         struct profile *user = weir_state_edit(ctx, PROFILE, profile);  // zeroed for a new key
 *         user->visits += 1;
 *         weir_emit(ctx, profile, user);
 *         return NULL;
 *     }
 *     static const struct weir_operator build_profile = { .uid = "build-profile",
 *         .in = &click_type, .out = &profile_type, .states = states, .state_count = 1,
 *         .on_record = on_click };
 *
 * Ownership, one sentence each. What a callback receives is valid until it returns. What you emit
 * has been handled or copied when weir_emit returns. What you store is copied when the callback
 * returns. A pointer from weir_state_read, _edit, weir_map_read, _edit is valid until the callback
 * returns or the same entry is removed.
 *
 * Errors: a callback returns NULL, a WEIR_E_DATA error (this record goes to the dead letters; what
 * it edited in state and emitted before stays, so check first), or any other error (the job fails
 * and restarts from its last checkpoint). A failing store or output is remembered by the ctx and
 * fails the task when the callback returns, so the verbs below need no checks.
 *
 * Thread: all callbacks of one subtask run on one task thread, never two at a time. A callback must
 * not block: blocking work belongs in weir_async. Nothing here may be called from elsewhere. */
#ifndef WEIR_OPERATOR_H
#define WEIR_OPERATOR_H

#include <weir/type.h>

/* Thread: task. One per operator and subtask; handed to every callback. */
typedef struct weir_ctx weir_ctx;

/* A record with what travels beside it. */
struct weir_row {
    const void *record;   /* struct of the stream's type */
    int64_t timestamp_ms; /* event time, WEIR_NO_TIMESTAMP if the source gave none */
    uint64_t key_hash;    /* hash of the key on a keyed stream, else 0 */
};

enum weir_time { WEIR_PROCESSING_TIME, WEIR_EVENT_TIME };

/* -- state ---------------------------------------------------------------------------------- */

enum weir_state_kind {
    WEIR_VALUE,   /* one record per key */
    WEIR_LIST,    /* records in the order added */
    WEIR_MAP,     /* bytes -> record, iterated in byte order; entries are stored one by one */
    WEIR_REDUCING /* one record per key, merged by `reduce` */
};

/* Merges `value` into `*total`. Must be associative. Strings it stores must come from either side. */
typedef void weir_reduce_fn(void *total, const void *value);

struct weir_state {
    const char *name; /* unique in its operator; part of the stored state: never change */
    enum weir_state_kind kind;
    const struct weir_type *type; /* of the value, of a list element, of a map's values */
    weir_reduce_fn *reduce;       /* WEIR_REDUCING only */
    /* An entry expires `ttl_ms` after its stamp; 0: never. The stamp is set at each write: in
     * processing time the clock, in event time the larger of the record's timestamp and the
     * watermark; it expires when the clock, or the watermark, is past stamp + ttl. Expired entries
     * are never seen by a read. An edit that did not change a fixed-size value still stamps. */
    int64_t ttl_ms;
    enum weir_time ttl_time;
    /* WEIR_MAP without a time to live only. The maps of an operator that say so lie together, one row a key: whoever asks
     * for one of them usually asks for the others, and all are found at once. For short maps: with one of thousands
     * of entries the others are read like it, and clearing one of them costs what removing its entries does.
     * Part of the stored state, too. */
    bool shares_row;
};

/* -- the operator --------------------------------------------------------------------------- */

struct weir_side_output {
    const char *name; /* weir_side_output(stream, name) */
    const struct weir_type *type;
};

#define WEIR_STATES_MAX   64
#define WEIR_SIDES_MAX    16
#define WEIR_COUNTERS_MAX 64

/* All pointers are borrowed for the life of the job: make it static const. */
struct weir_operator {
    const char *uid;  /* names the state in checkpoints: required with states, timers or counters */
    const char *name; /* for people; NULL: uid */
    const struct weir_type *in;
    const struct weir_type *out; /* NULL: emits nothing on the main output */
    const struct weir_state *states;
    uint32_t state_count;
    const struct weir_side_output *sides;
    uint32_t side_count;
    const char *const *counters; /* names for weir_count */
    uint32_t counter_count;
    size_t instance_size; /* bytes of zeroed memory per subtask: weir_instance() */
    bool has_timers;      /* set it to use weir_timer_set; needs a keyed input */

    weir_error *(*open)(weir_ctx *ctx); /* before the first record; may block for a bounded time */
    void (*close)(weir_ctx *ctx);       /* always after open was called, also on failure */
    /* One of these two. on_batch gets 1..n rows of one input and is a loop over on_record in
     * meaning: rows already handled stay handled when it returns an error; use weir_batch_reject
     * for a single bad row. On a keyed input call weir_batch_select before touching state. */
    weir_error *(*on_record)(weir_ctx *ctx, const void *record);
    weir_error *(*on_batch)(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count);
    /* A timer of the current key is due; `at_ms` as it was set. */
    weir_error *(*on_timer)(weir_ctx *ctx, enum weir_time time, int64_t at_ms);
    /* The input has ended (bounded jobs), after the last timer: no key is current. */
    weir_error *(*on_finish)(weir_ctx *ctx);
};

/* -- output --------------------------------------------------------------------------------- */

/* Emits one record on the main output; it carries the timestamp of the record (or timer) being
 * handled. The macro checks at compile time that the pointer is a `struct <type>`. */
#define weir_emit(ctx_, type_, record_) \
    weir_emit_as((ctx_), &type_##_type, (const struct type_ *){ (record_) })
WEIR_API void weir_emit_as(weir_ctx *ctx, const struct weir_type *type, const void *record);

/* Emits rows that were received, or whose records live in weir_scratch memory, in one call. */
WEIR_API void weir_emit_rows(weir_ctx *ctx, const struct weir_row *rows, uint32_t row_count);

/* Emits on side output `side`, an index into the operator's sides. */
#define weir_emit_side(ctx_, side_, type_, record_) \
    weir_emit_side_as((ctx_), (side_), &type_##_type, (const struct type_ *){ (record_) })
WEIR_API void weir_emit_side_as(weir_ctx *ctx, uint32_t side, const struct weir_type *type,
    const void *record);

/* Gives what is emitted from here to the end of the callback another event time. */
WEIR_API void weir_set_timestamp(weir_ctx *ctx, int64_t timestamp_ms);

/* -- the record being handled --------------------------------------------------------------- */

WEIR_API int64_t weir_timestamp(const weir_ctx *ctx);  /* ms, or WEIR_NO_TIMESTAMP */
WEIR_API int64_t weir_watermark(const weir_ctx *ctx);  /* ms; INT64_MIN before the first */
WEIR_API int64_t weir_now_ms(const weir_ctx *ctx);     /* wall clock, read once per batch */
WEIR_API weir_str weir_key_bytes(const weir_ctx *ctx); /* the current key as stored */
WEIR_API void *weir_instance(weir_ctx *ctx);           /* the subtask's own zeroed memory */
WEIR_API const void *weir_config(const weir_ctx *ctx); /* what the graph verb was given */
/* The table the subtask was made from: generic operators embed it as first member of their own. */
WEIR_API const struct weir_operator *weir_operator_of(const weir_ctx *ctx);
WEIR_API uint32_t weir_subtask_index(const weir_ctx *ctx);
WEIR_API uint32_t weir_parallelism_of(const weir_ctx *ctx);

/* Memory that lives until the batch has been handled; aligned to 16 bytes, not
 * zeroed; never NULL. */
WEIR_API void *weir_scratch(weir_ctx *ctx, size_t size);

/* on_batch only: makes the key of `row` current; and sends one row to the dead letters (takes the
 * error). */
WEIR_API void weir_batch_select(weir_ctx *ctx, const struct weir_row *row);
WEIR_API void weir_batch_reject(weir_ctx *ctx, const struct weir_row *row, weir_error *error);

/* -- state of the current key ----------------------------------------------------------------
 * `state` is an index into the operator's states. read returns NULL when there is no entry; edit
 * returns a zeroed record then, and writes it back when the callback returns. */

#define weir_state_read(ctx_, state_, type_) \
    ((const struct type_ *)weir_state_read_as((ctx_), (state_), &type_##_type))
#define weir_state_edit(ctx_, state_, type_) \
    ((struct type_ *)weir_state_edit_as((ctx_), (state_), &type_##_type))
WEIR_API const void *weir_state_read_as(weir_ctx *ctx, uint32_t state,
    const struct weir_type *type);
WEIR_API void *weir_state_edit_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type);
/* Removes the value, the whole list, or every entry of the map, of the current key. */
WEIR_API void weir_state_clear(weir_ctx *ctx, uint32_t state);

#define weir_map_read(ctx_, state_, key_, type_) \
    ((const struct type_ *)weir_map_read_as((ctx_), (state_), (key_), &type_##_type))
#define weir_map_edit(ctx_, state_, key_, type_) \
    ((struct type_ *)weir_map_edit_as((ctx_), (state_), (key_), &type_##_type))
WEIR_API const void *weir_map_read_as(weir_ctx *ctx, uint32_t state, weir_str key,
    const struct weir_type *type);
WEIR_API void *weir_map_edit_as(weir_ctx *ctx, uint32_t state, weir_str key,
    const struct weir_type *type);
WEIR_API void weir_map_remove(weir_ctx *ctx, uint32_t state, weir_str key);

/* Calls `each` for the entries whose map key starts with `prefix` (empty: all), in byte order of
 * the keys, edits of this callback included. `each` may read and edit other states and emit; it
 * must not change this map. It returns false to stop. `key` and `value` are valid for the call. */
typedef bool weir_map_fn(weir_ctx *ctx, weir_str key, const void *value, void *arg);
WEIR_API void weir_map_each(weir_ctx *ctx, uint32_t state, weir_str prefix, weir_map_fn *each,
    void *arg);

#define weir_list_add(ctx_, state_, type_, record_) \
    weir_list_add_as((ctx_), (state_), &type_##_type, (const struct type_ *){ (record_) })
WEIR_API void weir_list_add_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type,
    const void *record);
typedef bool weir_list_fn(weir_ctx *ctx, const void *value, void *arg);
WEIR_API void weir_list_each(weir_ctx *ctx, uint32_t state, weir_list_fn *each, void *arg);

/* Merges `record` into a reducing state (the first one is stored as it is). */
#define weir_reducing_add(ctx_, state_, type_, record_) \
    weir_reducing_add_as((ctx_), (state_), &type_##_type, (const struct type_ *){ (record_) })
WEIR_API void weir_reducing_add_as(weir_ctx *ctx, uint32_t state, const struct weir_type *type,
    const void *record);

/* -- timers of the current key ----------------------------------------------------------------
 * A timer is part of the state: it survives failure and rescaling. Setting the same time twice is
 * one timer. An event-time timer fires when the watermark reaches it. At the end of a bounded
 * input every timer that is left fires, event time first, then processing time, in order. */
WEIR_API void weir_timer_set(weir_ctx *ctx, enum weir_time time, int64_t at_ms);
WEIR_API void weir_timer_cancel(weir_ctx *ctx, enum weir_time time, int64_t at_ms);

/* -- counters ---------------------------------------------------------------------------------
 * Adds to counter `counter`, an index into the operator's counters. Counters are part of the
 * checkpoint, so they are exact across failures: each record is counted once. */
WEIR_API void weir_count(weir_ctx *ctx, uint32_t counter, int64_t amount);

#endif
