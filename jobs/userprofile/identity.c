/* identity.c -- see identity.h, and change.h for the protocol. */
#include "jobs/userprofile/identity.h"

#include "jobs/userprofile/delay.h"
#include "jobs/userprofile/output.h"
#include "jobs/userprofile/print.h"

#include <stdio.h>

enum { LINK, TOTALS, COUNTS, TAGS, CLAIMANTS };

static const struct fragment_states fragment = { .totals = TOTALS, .counts = COUNTS, .tags = TAGS };
static const weir_str self = { .data = "", .size = 0 };

struct link {
    int64_t ts; /* of the newest evidence */
    weir_str event_id;
    weir_str user;     /* of the newest evidence: the owner; NULL: none */
    int64_t claimants; /* distinct users; their names are in CLAIMANTS when there are 2 or more */
    bool is_shared;    /* too many: no owner, and nothing else counts any more */
    bool has_fragment;
};
WEIR_TYPE(link, WEIR_FIELD(1, link, ts), WEIR_FIELD(2, link, event_id), WEIR_FIELD(3, link, user),
    WEIR_FIELD(4, link, claimants), WEIR_FIELD(5, link, is_shared),
    WEIR_FIELD(6, link, has_fragment));

struct claimant {
    bool is_claimant;
};
WEIR_TYPE(claimant, WEIR_FIELD(1, claimant, is_claimant));

/* Working memory of a subtask; nothing in it outlives a callback. */
struct instance {
    struct merge merge;
    struct text text;
    char pack[FRAGMENT_PACK_MAX];
};

/* -- telling persons ------------------------------------------------------------------------- */

static void tell_leave(weir_ctx *ctx, weir_str yid, weir_str member)
{
    struct change change = { .yid = yid, .member = member, .kind = CHANGE_LEAVE };
    weir_emit(ctx, change, &change);
}

static void tell_pack(weir_ctx *ctx, weir_str pack, bool is_first, void *arg)
{
    struct change change = *(const struct change *)arg;
    change.kind = is_first ? CHANGE_JOIN : CHANGE_PART;
    change.pack = pack;
    weir_emit(ctx, change, &change);
}

static void tell_join(weir_ctx *ctx, weir_str yid, weir_str member, const struct link *link)
{
    struct instance *instance = weir_instance(ctx);
    struct change change = { .yid = yid, .member = member, .is_shared = link->is_shared };
    if (link->has_fragment)
        fragment_pack(ctx, &fragment, instance->pack, tell_pack, &change);
    else
        tell_pack(ctx, self, true, &change);
}

/* -- evidence -------------------------------------------------------------------------------- */

static void add_claimant(weir_ctx *ctx, weir_str user)
{
    weir_map_edit(ctx, CLAIMANTS, user, claimant)->is_claimant = true;
}

/* Counts a user that is not the owner; false: that was one too many. */
static bool count_claimant(weir_ctx *ctx, struct link *link, weir_str user)
{
    const struct identity *identity = weir_config(ctx);
    if (link->claimants > 1 && weir_map_read(ctx, CLAIMANTS, user, claimant) != NULL)
        return true;
    if (link->claimants == identity->fanout_limit)
        return false;
    if (link->claimants == 1)
        add_claimant(ctx, link->user);
    add_claimant(ctx, user);
    link->claimants += 1;
    return true;
}

static void become_shared(weir_ctx *ctx, struct link *link, weir_str id)
{
    weir_count(ctx, IDENTITY_BECAME_SHARED, 1);
    tell_leave(ctx, link->user, id);
    weir_state_clear(ctx, CLAIMANTS);
    *link = (struct link){ .is_shared = true, .has_fragment = link->has_fragment };
    if (link->has_fragment)
        tell_join(ctx, id, self, link);
}

static void change_owner(weir_ctx *ctx, struct link *link, const struct claim *claim)
{
    if (link->user.data != NULL) {
        weir_count(ctx, IDENTITY_OWNER_CHANGES, 1);
        tell_leave(ctx, link->user, claim->id);
    } else {
        link->claimants = 1;
        if (link->has_fragment)
            tell_leave(ctx, claim->id, self);
    }
    link->user = claim->user;
    tell_join(ctx, claim->user, claim->id, link);
}

static void on_evidence(weir_ctx *ctx, struct link *link, const struct claim *claim)
{
    bool is_owned = link->user.data != NULL;
    bool is_owner = is_owned && weir_str_equal(link->user, claim->user);
    if (is_owned && !is_owner && !count_claimant(ctx, link, claim->user)) {
        become_shared(ctx, link, claim->id);
        return;
    }
    const struct contribution *body = &claim->body;
    if (is_owned && stamp_compare(body->ts, body->event_id, link->ts, link->event_id) <= 0)
        return;
    if (!is_owner)
        change_owner(ctx, link, claim);
    link->ts = body->ts;
    link->event_id = body->event_id;
}

/* -- contributions --------------------------------------------------------------------------- */

static void on_contribution(weir_ctx *ctx, const struct link *link, const struct claim *claim)
{
    const struct identity *identity = weir_config(ctx);
    fragment_add(ctx, &fragment, self, &claim->body);
    bool is_owned = link->user.data != NULL;
    struct change change = { .yid = is_owned ? link->user : claim->id,
        .member = is_owned ? claim->id : self,
        .kind = CHANGE_ADD,
        .is_shared = link->is_shared,
        .body = claim->body };
    weir_emit(ctx, change, &change);
    if (identity->has_fragments)
        delay_set(ctx, identity->emit_interval_ms);
}

/* Nothing in the link changes by it: then it must not be written. */
static bool is_known(const struct link *link, const struct claim *claim)
{
    const struct contribution *body = &claim->body;
    if (claim->user.data == NULL)
        return link->has_fragment;
    if (link->is_shared)
        return true;
    return link->user.data != NULL && weir_str_equal(link->user, claim->user) &&
           stamp_compare(body->ts, body->event_id, link->ts, link->event_id) <= 0;
}

static weir_error *on_claim(weir_ctx *ctx, const void *record)
{
    const struct claim *claim = record;
    const struct link *link = weir_state_read(ctx, LINK, link);
    bool is_evidence = claim->user.data != NULL;
    if (link == NULL || !is_known(link, claim)) {
        struct link *changed = weir_state_edit(ctx, LINK, link);
        if (is_evidence)
            on_evidence(ctx, changed, claim);
        else
            changed->has_fragment = true;
        link = changed;
    }
    if (!is_evidence)
        on_contribution(ctx, link, claim);
    return NULL;
}

/* -- fragments ------------------------------------------------------------------------------- */

static bool merge_each_count(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    (void)ctx;
    return merge_count(arg, fragment_entry(key).tag, ((const struct count *)value)->value);
}

static bool merge_each_tag(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    (void)ctx;
    return merge_tag(arg, fragment_entry(key).tag, value);
}

static weir_error *on_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    (void)time;
    (void)at_ms;
    struct instance *instance = weir_instance(ctx);
    merge_reset(&instance->merge);
    const struct totals *totals = weir_map_read(ctx, TOTALS, self, totals);
    if (totals == NULL)
        return NULL;
    merge_totals(&instance->merge, totals);
    weir_map_each(ctx, COUNTS, self, merge_each_count, &instance->merge);
    weir_map_each(ctx, TAGS, self, merge_each_tag, &instance->merge);
    merge_finish(&instance->merge);
    weir_str anchor = weir_key_bytes(ctx);
    print_fragment(&instance->text, anchor, &instance->merge);
    struct output output = { .yid = anchor, .json = text_view(&instance->text) };
    weir_emit_side(ctx, IDENTITY_FRAGMENT, output, &output);
    weir_count(ctx, IDENTITY_FRAGMENTS, 1);
    return NULL;
}

/* -- the operator ---------------------------------------------------------------------------- */

static weir_error *open_instance(weir_ctx *ctx)
{
    struct instance *instance = weir_instance(ctx);
    text_init(&instance->text, MERGE_SIZE_MAX);
    return NULL;
}

static void close_instance(weir_ctx *ctx)
{
    struct instance *instance = weir_instance(ctx);
    text_release(&instance->text);
    merge_release(&instance->merge);
}

static const char *const counters[IDENTITY_COUNTER_COUNT] = {
    [IDENTITY_OWNER_CHANGES] = "owner_changes",
    [IDENTITY_BECAME_SHARED] = "became_shared",
    [IDENTITY_FRAGMENTS] = "fragments_emitted",
};
static const struct weir_side_output sides[IDENTITY_SIDE_COUNT] = {
    [IDENTITY_FRAGMENT] = { .name = IDENTITY_FRAGMENT_NAME, .type = &output_type },
};

void identity_init(struct identity *identity, int64_t fanout_limit, int64_t emit_interval_ms,
    bool has_fragments)
{
    *identity = (struct identity){ .fanout_limit = fanout_limit,
        .emit_interval_ms = emit_interval_ms,
        .has_fragments = has_fragments };
    snprintf(identity->link_name, sizeof(identity->link_name), "link (--id-fanout-limit %lld)",
        (long long)fanout_limit);
    identity->states[LINK] =
        (struct weir_state){ .name = identity->link_name, .kind = WEIR_VALUE, .type = &link_type };
    identity->states[CLAIMANTS] =
        (struct weir_state){ .name = "claimants", .kind = WEIR_MAP, .type = &claimant_type };
    identity->states[TOTALS] = (struct weir_state){ .name = "totals",
        .kind = WEIR_MAP,
        .type = &totals_type,
        .shares_row = true };
    identity->states[COUNTS] = (struct weir_state){ .name = "counts",
        .kind = WEIR_MAP,
        .type = &count_type,
        .shares_row = true };
    identity->states[TAGS] = (struct weir_state){ .name = "tags",
        .kind = WEIR_MAP,
        .type = &latest_type,
        .shares_row = true };
    identity->operator_ = (struct weir_operator){ .uid = "identity",
        .in = &claim_type,
        .out = &change_type,
        .states = identity->states,
        .state_count = IDENTITY_STATE_COUNT,
        .sides = sides,
        .side_count = IDENTITY_SIDE_COUNT,
        .counters = counters,
        .counter_count = IDENTITY_COUNTER_COUNT,
        .instance_size = sizeof(struct instance),
        .has_timers = true,
        .open = open_instance,
        .close = close_instance,
        .on_record = on_claim,
        .on_timer = on_timer };
}
