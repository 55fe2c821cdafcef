/* split.c -- see split.h. */
#include "jobs/userprofile/split.h"

/* `kind:value`, written to `room`. */
static weir_str identity_of(const struct event *event, enum id_kind kind, char *room)
{
    weir_str prefix = id_kind_prefixes[kind], value = event->ids[kind];
    memcpy(room, prefix.data, prefix.size);
    memcpy(room + prefix.size, value.data, value.size);
    return (weir_str){ .data = room, .size = prefix.size + value.size };
}

/* The highest-ranking id; an event has at least one. */
static enum id_kind anchor_of(const struct event *event)
{
    enum id_kind kind = 0;
    while (kind + 1 < ID_KIND_COUNT && event->ids[kind].data == NULL)
        kind++;
    return kind;
}

static void emit_evidence(weir_ctx *ctx, const struct event *event, weir_str user)
{
    char room[IDENTITY_SIZE_MAX];
    struct claim claim = { .user = user,
        .body = { .event_id = event->body.event_id, .ts = event->body.ts } };
    for (enum id_kind kind = ID_USER + 1; kind < ID_KIND_COUNT; kind++) {
        if (event->ids[kind].data == NULL)
            continue;
        claim.id = identity_of(event, kind, room);
        weir_emit(ctx, claim, &claim);
    }
}

static weir_error *on_event(weir_ctx *ctx, const void *record)
{
    const struct event *event = record;
    char room[IDENTITY_SIZE_MAX];
    weir_str anchor = identity_of(event, anchor_of(event), room);
    if (event->ids[ID_USER].data == NULL) {
        struct claim claim = { .id = anchor, .body = event->body };
        weir_emit(ctx, claim, &claim);
        return NULL;
    }
    struct change own = { .yid = anchor,
        .member = WEIR_STR(""),
        .kind = CHANGE_ADD,
        .body = event->body };
    weir_emit_side(ctx, SPLIT_OWN, change, &own);
    emit_evidence(ctx, event, anchor);
    return NULL;
}

static const struct weir_side_output sides[SPLIT_SIDE_COUNT] = {
    [SPLIT_OWN] = { .name = SPLIT_OWN_NAME, .type = &change_type },
};

const struct weir_operator split_operator = { .name = "split",
    .in = &event_type,
    .out = &claim_type,
    .sides = sides,
    .side_count = SPLIT_SIDE_COUNT,
    .on_record = on_event };
