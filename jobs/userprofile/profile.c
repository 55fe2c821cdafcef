/* profile.c -- see profile.h. */
#include "jobs/userprofile/profile.h"

#include "jobs/userprofile/delay.h"
#include "jobs/userprofile/event.h"
#include "jobs/userprofile/output.h"
#include "jobs/userprofile/print.h"

enum { NUMBERS, TAGS, STATE_COUNT };

static const struct fragment_states members = { .numbers = NUMBERS, .tags = TAGS };
static const weir_str self = { .data = "", .size = 0 };
static const weir_str everyone = { .data = "", .size = 0 };
static const weir_str only_self = { .data = "", .size = 1 }; /* the \0 behind the empty member */

/* Working memory of a subtask; nothing in it outlives a callback. */
struct instance {
    struct merge merge;
    struct text text;
    bool has_self; /* the person being emitted has a fragment of its own */
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
    int64_t flags = change->is_shared ? FRAGMENT_SHARED : 0;
    if (options->has_fragments && change->member.size == 0 && is_user(change->yid))
        flags |= FRAGMENT_UNSENT;
    fragment_add(ctx, &members, change->member, &change->body);
    if (flags != 0)
        fragment_flag(ctx, &members, change->member, flags);
}

static void on_join(weir_ctx *ctx, const struct change *change)
{
    fragment_flag(ctx, &members, change->member, change->is_shared ? FRAGMENT_SHARED : 0);
    fragment_unpack(ctx, &members, change->member, change->pack);
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

static bool gather_number(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct instance *instance = weir_instance(ctx);
    struct fragment_entry entry = fragment_entry(key);
    int64_t number = ((const struct number *)value)->value;
    (void)arg;
    if (entry.tag.size == 0) {
        instance->merge.flags |= number;
        return entry.member.size == 0 || merge_member(&instance->merge, entry.member);
    }
    if (entry.member.size == 0)
        instance->has_self = true;
    return merge_number(&instance->merge, entry.tag, number);
}

static bool gather_tag(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct instance *instance = weir_instance(ctx);
    (void)arg;
    return merge_tag(&instance->merge, fragment_entry(key).tag, value);
}

/* Merges the entries whose names begin with `prefix`. The own ones are the first of all. */
static void gather(weir_ctx *ctx, weir_str prefix)
{
    struct instance *instance = weir_instance(ctx);
    instance->has_self = false;
    merge_reset(&instance->merge);
    weir_map_each(ctx, NUMBERS, prefix, gather_number, NULL);
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
    fragment_unflag(ctx, &members, self, FRAGMENT_UNSENT);
    if (instance->merge.member_count > 0)
        gather(ctx, only_self);
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
    gather(ctx, everyone);
    if (!instance->has_self) {
        if (!is_user(yid))
            emit_tombstone(ctx, yid);
        return NULL;
    }
    emit_profile(ctx, yid);
    if (instance->merge.flags & FRAGMENT_UNSENT)
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
    [NUMBERS] = { .name = "numbers", .kind = WEIR_MAP, .type = &number_type },
    [TAGS] = { .name = "tags", .kind = WEIR_MAP, .type = &latest_type },
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
