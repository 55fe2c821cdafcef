/* testing.h -- tests an operator without a cluster, a thread or a clock.
 *
 *     weir_harness *harness = weir_harness_new(&build_profile, NULL, WEIR_KEY(click, user_id));
 *     weir_harness_send(harness, 1000, click, (&(struct click){ .user_id = 7, .price = 2.5 }));
 *     const struct profile *out = weir_harness_take(harness, profile);
 *     assert(out->visits == 1);
 *     harness = weir_harness_restored(harness);        // snapshot, throw away, restore
 *     weir_harness_free(harness);
 *
 * The operator runs in the engine's own chain with the hashmap backend and a virtual clock that
 * starts at 0 and moves only when told. Failures that a test did not ask for abort with a message.
 * Owner: the caller. Thread: one. */
#ifndef WEIR_TESTING_H
#define WEIR_TESTING_H

#include <weir/operator.h>

typedef struct weir_harness weir_harness;

#define WEIR_NO_KEY ((struct weir_key){ .type = NULL })
WEIR_API weir_harness *weir_harness_new(const struct weir_operator *op, const void *config,
    struct weir_key key);
WEIR_API void weir_harness_free(weir_harness *harness);

/* Sends a record with an event time; aborts if the operator fails other than by WEIR_E_DATA. */
#define weir_harness_send(harness_, timestamp_ms_, type_, record_) \
    weir_harness_send_as((harness_), (timestamp_ms_), (const struct type_ *){ (record_) })
WEIR_API void weir_harness_send_as(weir_harness *harness, int64_t timestamp_ms, const void *record);
/* The same, but returns the operator's error (the caller frees it), whatever its code. */
WEIR_API weir_error *weir_harness_try(weir_harness *harness, int64_t timestamp_ms,
    const void *record) WEIR_MUST_USE;

/* Moves event time, or the clock; due timers fire in order. */
WEIR_API void weir_harness_watermark(weir_harness *harness, int64_t watermark_ms);
WEIR_API void weir_harness_clock(weir_harness *harness, int64_t now_ms);
/* Ends the input: every timer left fires, then on_finish. */
WEIR_API void weir_harness_finish(weir_harness *harness);

/* The next record emitted, oldest first, NULL when there is none; valid until the harness is freed. */
#define weir_harness_take(harness_, type_) ((const struct type_ *)weir_harness_take_as((harness_)))
WEIR_API const void *weir_harness_take_as(weir_harness *harness);
WEIR_API const void *weir_harness_take_side(weir_harness *harness, uint32_t side);
WEIR_API const struct weir_dead_letter *weir_harness_take_dead(weir_harness *harness);
WEIR_API uint32_t weir_harness_emitted(
    const weir_harness *harness); /* not taken yet, main output */

/* The operator's counter, by index. */
WEIR_API int64_t weir_harness_counter(const weir_harness *harness, uint32_t counter);

/* Snapshots, frees `harness`, and returns a new one restored from the bytes, with what was emitted
 * and not taken yet: as after a crash at this record. */
WEIR_API weir_harness *weir_harness_restored(weir_harness *harness);

#endif
