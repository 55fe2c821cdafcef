/* profile.c -- see profile.h. */
#include "jobs/userprofile/profile.h"

#include "jobs/userprofile/delay.h"
#include "jobs/userprofile/event.h"
#include "jobs/userprofile/output.h"
#include "jobs/userprofile/print.h"

enum { TOTALS, COUNTS, TAGS, STATE_COUNT };

static const struct fragment_states members = { .totals = TOTALS, .counts = COUNTS, .tags = TAGS };
static const weir_str everyone = { .data = "", .size = 0 };
static const weir_str only_self = { .data = "", .size = 1 }; /* the \0 behind the empty member */

/* Working memory of a subtask; nothing in it outlives a callback. */
struct instance {
    struct merge merge;
    struct text text;
    struct totals own; /* of the person being emitted: of no event, or its own fragment's */
};

static bool is_user(weir_str yid)
{
    weir_str prefix = id_kind_prefixes[ID_USER];
    return yid.size > prefix.size && memcmp(yid.data, prefix.data, prefix.size) == 0;
}

/* -- changes --------------------------------------------------------------------------------- */

static void on_add(weir_ctx *ctx, const struct change *change)
{
    const struct profile_options *options = weir_config(ctx);
    int32_t flags = change->is_shared ? FRAGMENT_SHARED : 0;
    if (options->has_fragments && change->member.size == 0 && is_user(change->yid))
        flags |= FRAGMENT_UNSENT;
    fragment_add(ctx, &members, change->member, &change->body);
    if (flags != 0)
        fragment_flag(ctx, &members, flags);
}

static void on_join(weir_ctx *ctx, const struct change *change)
{
    if (change->member.size > 0)
        fragment_join(ctx, &members, change->member);
    fragment_unpack(ctx, &members, change->member, change->pack);
    if (change->is_shared)
        fragment_flag(ctx, &members, FRAGMENT_SHARED);
}

static weir_error *on_change(weir_ctx *ctx, const void *record)
{
    const struct profile_options *options = weir_config(ctx);
    const struct change *change = record;
    switch ((enum change_kind)change->kind) {
    case CHANGE_ADD:
        on_add(ctx, change);
        break;
    case CHANGE_JOIN:
        on_join(ctx, change);
        break;
    case CHANGE_PART:
        fragment_unpack(ctx, &members, change->member, change->pack);
        break;
    case CHANGE_LEAVE:
        fragment_remove(ctx, &members, change->member);
        break;
    }
    delay_set(ctx, options->emit_interval_ms);
    return NULL;
}

/* -- emission -------------------------------------------------------------------------------- */

static bool gather_totals(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct instance *instance = weir_instance(ctx);
    const struct totals *totals = value;
    (void)arg;
    merge_totals(&instance->merge, totals);
    if (key.size == 0)
        instance->own = *totals;
    return true;
}

static bool gather_count(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct instance *instance = weir_instance(ctx);
    struct fragment_entry entry = fragment_entry(key);
    (void)arg;
    if (entry.tag.data[0] == FRAGMENT_MEMBER)
        return merge_member(&instance->merge, entry.member);
    return merge_count(&instance->merge, entry.tag, ((const struct count *)value)->value);
}

static bool gather_tag(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct instance *instance = weir_instance(ctx);
    (void)arg;
    return merge_tag(&instance->merge, fragment_entry(key).tag, value);
}

/* Merges the entries whose names begin with `prefix`, behind the totals. */
static void gather_entries(weir_ctx *ctx, weir_str prefix)
{
    struct instance *instance = weir_instance(ctx);
    if (!instance->merge.is_over)
        weir_map_each(ctx, COUNTS, prefix, gather_count, NULL);
    if (!instance->merge.is_over)
        weir_map_each(ctx, TAGS, prefix, gather_tag, NULL);
    merge_finish(&instance->merge);
}

static void emit_profile(weir_ctx *ctx, weir_str yid)
{
    struct instance *instance = weir_instance(ctx);
    print_profile(&instance->text, yid, &instance->merge);
    struct output output = { .yid = yid, .json = text_view(&instance->text) };
    weir_emit(ctx, output, &output);
    weir_count(ctx, PROFILE_EMITTED, 1);
}

static void emit_tombstone(weir_ctx *ctx, weir_str yid)
{
    struct output output = { .yid = yid };
    weir_emit(ctx, output, &output);
    weir_count(ctx, PROFILE_TOMBSTONES, 1);
}

static void emit_fragment(weir_ctx *ctx, weir_str yid)
{
    struct instance *instance = weir_instance(ctx);
    fragment_unflag(ctx, &members, FRAGMENT_UNSENT);
    if (instance->merge.member_count > 0) {
        merge_reset(&instance->merge);
        merge_totals(&instance->merge, &instance->own);
        gather_entries(ctx, only_self);
    }
    print_fragment(&instance->text, yid, &instance->merge);
    struct output output = { .yid = yid, .json = text_view(&instance->text) };
    weir_emit_side(ctx, PROFILE_FRAGMENT, output, &output);
    weir_count(ctx, PROFILE_FRAGMENTS, 1);
}

static weir_error *on_timer(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    (void)time;
    (void)at_ms;
    struct instance *instance = weir_instance(ctx);
    weir_str yid = weir_key_bytes(ctx);
    instance->own = (struct totals){ .count = 0 };
    merge_reset(&instance->merge);
    weir_map_each(ctx, TOTALS, everyone, gather_totals, NULL);
    if (instance->own.count == 0) {
        if (!is_user(yid))
            emit_tombstone(ctx, yid);
        return NULL;
    }
    gather_entries(ctx, everyone);
    emit_profile(ctx, yid);
    if (instance->merge.totals.flags & FRAGMENT_UNSENT)
        emit_fragment(ctx, yid);
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

static const struct weir_state states[STATE_COUNT] = {
    [TOTALS] = { .name = "totals", .kind = WEIR_MAP, .type = &totals_type, .shares_row = true },
    [COUNTS] = { .name = "counts", .kind = WEIR_MAP, .type = &count_type, .shares_row = true },
    [TAGS] = { .name = "tags", .kind = WEIR_MAP, .type = &latest_type, .shares_row = true },
};
static const char *const counters[PROFILE_COUNTER_COUNT] = {
    [PROFILE_EMITTED] = "profiles_emitted",
    [PROFILE_TOMBSTONES] = "tombstones_emitted",
    [PROFILE_FRAGMENTS] = "fragments_emitted",
};
static const struct weir_side_output sides[PROFILE_SIDE_COUNT] = {
    [PROFILE_FRAGMENT] = { .name = PROFILE_FRAGMENT_NAME, .type = &output_type },
};

const struct weir_operator profile_operator = { .uid = "profile",
    .in = &change_type,
    .out = &output_type,
    .states = states,
    .state_count = STATE_COUNT,
    .sides = sides,
    .side_count = PROFILE_SIDE_COUNT,
    .counters = counters,
    .counter_count = PROFILE_COUNTER_COUNT,
    .instance_size = sizeof(struct instance),
    .has_timers = true,
    .open = open_instance,
    .close = close_instance,
    .on_record = on_change,
    .on_timer = on_timer };
