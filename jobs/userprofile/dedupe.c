/* dedupe.c -- see dedupe.h. */
#include "jobs/userprofile/dedupe.h"

struct seen {
    bool is_seen;
};
WEIR_TYPE(seen, WEIR_FIELD(1, seen, is_seen));

enum { SEEN };

static const char *const counters[DEDUPE_COUNTER_COUNT] = { [DEDUPE_VALID] = "events_valid",
    [DEDUPE_DROPPED] = "duplicates_dropped" };

static weir_error *on_event(weir_ctx *ctx, const void *record)
{
    weir_count(ctx, DEDUPE_VALID, 1);
    if (weir_state_read(ctx, SEEN, seen) != NULL) {
        weir_count(ctx, DEDUPE_DROPPED, 1);
        return NULL;
    }
    weir_state_edit(ctx, SEEN, seen)->is_seen = true;
    weir_emit(ctx, event, record);
    return NULL;
}

void dedupe_init(struct dedupe *dedupe, int64_t ttl_ms)
{
    *dedupe = (struct dedupe){
        .states = { { .name = "seen",
            .kind = WEIR_VALUE,
            .type = &seen_type,
            .ttl_ms = ttl_ms,
            .ttl_time = WEIR_EVENT_TIME } },
    };
    dedupe->operator_ = (struct weir_operator){ .uid = "dedupe",
        .in = &event_type,
        .out = &event_type,
        .states = dedupe->states,
        .state_count = 1,
        .counters = counters,
        .counter_count = DEDUPE_COUNTER_COUNT,
        .on_record = on_event };
}
