/* said.h -- short ways to say what an event says about an id, for the tests of identity and
 * profile.
 *
 * Included where it is used; strings are literals. Thread: any. */
#ifndef USERPROFILE_SAID_H
#define USERPROFILE_SAID_H

#include "jobs/userprofile/change.h"

/* The event `event_id` at `ts` names `id` and `user` together. */
static inline struct claim evidence(const char *id, const char *user, int64_t ts,
    const char *event_id)
{
    return (struct claim){ .id = weir_str_of(id),
        .user = weir_str_of(user),
        .body = { .event_id = weir_str_of(event_id), .ts = ts } };
}

/* What an event of a type adds; no category, amount or tags. */
static inline struct contribution body(int64_t ts, const char *event_id, const char *type)
{
    return (struct contribution){ .event_id = weir_str_of(event_id),
        .ts = ts,
        .type = weir_str_of(type) };
}

/* An event without a user, whose anchor is `id`. */
static inline struct claim anchored(const char *id, int64_t ts, const char *event_id)
{
    return (struct claim){ .id = weir_str_of(id), .body = body(ts, event_id, "view") };
}

static inline struct change change_of(enum change_kind kind, const char *yid, const char *member)
{
    return (struct change){ .yid = weir_str_of(yid),
        .member = weir_str_of(member),
        .kind = (int32_t)kind };
}

#endif
