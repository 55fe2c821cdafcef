/* timer_entry.c -- see timer_entry.h. The sign bit is flipped, because times before 1970 are below zero
 * and must come first. */
#include "state/timer_entry.h"

#include <endian.h>

void timer_entry_put(char bytes[TIMER_ENTRY_SIZE], enum weir_time time, int64_t at_ms)
{
    uint64_t at = htobe64((uint64_t)at_ms ^ (UINT64_C(1) << 63));
    bytes[0] = (char)time;
    memcpy(bytes + 1, &at, sizeof(at));
}

bool timer_entry_get(weir_str entry, enum weir_time *time, int64_t *at_ms)
{
    uint64_t at;
    if (entry.size != TIMER_ENTRY_SIZE || (unsigned char)entry.data[0] > WEIR_EVENT_TIME)
        return false;
    memcpy(&at, entry.data + 1, sizeof(at));
    *time = (enum weir_time)entry.data[0];
    *at_ms = (int64_t)(be64toh(at) ^ (UINT64_C(1) << 63));
    return true;
}
