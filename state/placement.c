/* placement.c -- see placement.h. */
#include "state/placement.h"

#include "base/assert.h"

_Static_assert(WEIR_STATES_MAX < UINT8_MAX, "a mark is a byte");

void placement_init(struct placement *placements, const struct weir_state *states,
    uint32_t state_count)
{
    uint32_t first = 0, count = 0;
    ASSERT(state_count <= WEIR_STATES_MAX);
    for (uint32_t i = state_count; i-- > 0;) {
        if (!states[i].shares_row)
            continue;
        ASSERT(states[i].kind == WEIR_MAP && states[i].ttl_ms == 0);
        first = i;
        count++;
    }
    for (uint32_t i = 0; i < state_count; i++) {
        bool shares = count > 1 && states[i].shares_row;
        placements[i] = (struct placement){ .row = shares ? first : i,
            .mark = (char)(shares ? i + 1 : 0),
            .is_first = i == first };
    }
}

weir_str placement_name(const struct placement *placement, weir_str entry, char *room)
{
    if (placement_has_name(placement, entry))
        return entry;
    room[0] = placement->mark;
    if (entry.size > 0)
        memcpy(room + 1, entry.data, entry.size);
    return (weir_str){ .data = room, .size = entry.size + 1 };
}

bool placement_find(const struct placement *placements, uint32_t state_count, uint32_t row,
    weir_str name, uint32_t *state, weir_str *entry)
{
    ASSERT(row < state_count);
    *state = row;
    *entry = name;
    if (placement_has_name(&placements[row], name))
        return true;
    if (name.size == 0)
        return false;
    *state = (uint8_t)name.data[0] - 1u;
    *entry = (weir_str){ .data = name.data + 1, .size = name.size - 1 };
    return *state < state_count && placements[*state].row == row && placements[*state].mark != 0;
}
