/* event.h -- one event: who is named in it and what it says; and how a message becomes one.
 *
 * event_read is the job's cleaning: one strict pass over a JSON text, which is either a valid event
 * or is refused for the first of these reasons that applies.
 *
 *      too-large         over EVENT_SIZE_MAX bytes
 *      bad-utf8          anywhere
 *      bad-json          not exactly one object (RFC 8259), null value, nested over 64 deep, half a
 *                        surrogate pair
 *      missing-member    no event_id, ts, ids or type
 *      bad-member        a known member, at any occurrence, ill-typed, out of range, too long
 *      unknown-id-kind   an id of a kind that is not in enum id_kind, in any occurrence of ids
 *
 * "First that applies" is a rule on the whole text, so a bad member does not end the pass: it is
 * noted, and the scan goes on, for the text may still turn out to be bad JSON. A member may be
 * repeated; every occurrence is checked, the last one counts, whole. Unknown members are scanned
 * and ignored; `source` is checked and then dropped, because nothing depends on it.
 *
 * Ownership: strings of an event point into the text, or into the scratch of `ctx` where the text
 * has escapes or tags. Thread: task. */
#ifndef USERPROFILE_EVENT_H
#define USERPROFILE_EVENT_H

#include "jobs/userprofile/contribution.h"
#include <weir/weir.h>

#define EVENT_SIZE_MAX 1048576u /* bytes of a message's value */
#define EVENT_TS_MAX   INT64_C(253402300799999)

/* By rank: the first one that an event has is its anchor. */
enum id_kind { ID_USER, ID_IDCARD, ID_PHONE, ID_EMAIL, ID_DEVICE, ID_COOKIE, ID_KIND_COUNT };

/* With the colon: what an identity of this kind begins with. */
extern const weir_str id_kind_prefixes[ID_KIND_COUNT];

struct event {
    weir_str ids[ID_KIND_COUNT]; /* NULL: none of this kind */
    struct contribution body;
};
WEIR_TYPE(event, WEIR_FIELD(1, event, ids[ID_USER]), WEIR_FIELD(2, event, ids[ID_IDCARD]),
    WEIR_FIELD(3, event, ids[ID_PHONE]), WEIR_FIELD(4, event, ids[ID_EMAIL]),
    WEIR_FIELD(5, event, ids[ID_DEVICE]), WEIR_FIELD(6, event, ids[ID_COOKIE]),
    CONTRIBUTION_FIELDS(10, event, body));

/* Why a text is no event. */
struct event_refusal {
    const char *reason; /* NULL: it is one */
    const char *detail; /* half a sentence */
    uint64_t offset;    /* of the byte where it was seen */
};

/* `event` is zeroed by the caller; what it holds after a refusal is of no use. */
struct event_refusal event_read(weir_str text, weir_ctx *ctx, struct event *event);

/* The format of the job's sources. */
struct weir_format event_format(void);

#endif
