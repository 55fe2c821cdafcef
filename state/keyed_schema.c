/* keyed_schema.c -- what stored state must have in common with the states that read it.
 *
 * State is stored as the struct's own bytes (layout.h), so not only names, kinds and fields must be
 * the same but also the struct's size and offsets; and whether values start with an expiry, and in
 * which time; and in which row they lie. How long the time to live is may change. */
#include "state/keyed.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "state/placement.h"
#include "types/schema.h"
#include "types/state_schema.h"

static uint64_t fold(uint64_t sum, uint64_t value)
{
    return hash_mix(sum + UINT64_C(0x9e3779b97f4a7c15)) ^ hash_mix(value + 1);
}

/* 0: none. */
static uint64_t ttl_kind(const struct weir_state *state)
{
    if (state->ttl_ms == 0)
        return 0;
    return state->ttl_time == WEIR_EVENT_TIME ? 2 : 1;
}

uint64_t keyed_schema(const struct weir_state *states, uint32_t state_count)
{
    uint64_t sum = fold(0, state_count);
    struct placement placements[WEIR_STATES_MAX];
    placement_init(placements, states, state_count);
    for (uint32_t i = 0; i < state_count; i++) {
        const struct weir_state *state = &states[i];
        sum = fold(sum, hash_bytes(state->name, strlen(state->name)));
        sum = fold(sum, (uint64_t)state->kind);
        sum = fold(sum, ttl_kind(state));
        sum = fold(sum, weir_type_fingerprint(state->type));
        sum = fold(sum, state->type->size);
        if (placements[i].mark != 0)
            sum = fold(sum, placements[i].row);
        for (uint32_t f = 0; f < state->type->field_count; f++)
            sum = fold(sum, state->type->fields[f].offset);
    }
    return sum;
}

void keyed_schema_text(const struct weir_state *states, uint32_t state_count, weir_buffer *out)
{
    static const char *const ttls[] = { "", " with a processing-time TTL",
        " with an event-time TTL" };
    struct placement placements[WEIR_STATES_MAX];
    placement_init(placements, states, state_count);
    for (uint32_t i = 0; i < state_count; i++) {
        const struct weir_state *state = &states[i];
        buffer_printf(out, "%s %s%s: ", state_kind_name(state->kind), state->name,
            ttls[ttl_kind(state)]);
        schema_print(state->type, out);
        buffer_printf(out, ", %u bytes%s\n", state->type->size,
            placements[i].mark == 0 ? "" : ", in one row with others");
    }
}
