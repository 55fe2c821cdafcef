/* sim_mutant.c -- see sim_mutant.h: the names. */
#include "test/sim/sim_mutant.h"

#include "base/hash.h"
#include "runtime/task/context.h"

#include <string.h>
#include <time.h>

enum sim_mutant sim_mutant;

static const char *const names[SIM_MUTANTS] = {
    [SIM_SOUND] = "sound",
    [SIM_LOST_SYNC] = "lost-sync",
    [SIM_SKIP_BARRIER] = "skip-barrier",
    [SIM_FORGET_POSITION] = "forget-position",
    [SIM_EARLY_POSITION] = "early-position",
    [SIM_PUBLISH_BEFORE_COMPLETE] = "publish-before-complete",
    [SIM_FORGET_PENDING] = "forget-pending",
    [SIM_NEVER_ENDS] = "never-ends",
    [SIM_OTHER_WAY] = "other-way",
    [SIM_KAFKA_NO_FENCING] = "no-fencing",
    [SIM_KAFKA_ANY_EPOCH] = "any-epoch",
    [SIM_KAFKA_TOKEN_OUTSIDE] = "token-outside",
    [SIM_KAFKA_SENT_TWICE] = "sent-twice",
    [SIM_KAFKA_BELIEVED_COMMIT] = "believed-commit",
    [SIM_KAFKA_LOSS] = "loss",
    [SIM_KAFKA_DUPLICATE] = "duplicate",
    [SIM_KAFKA_REORDER] = "reorder",
    [SIM_KAFKA_TORN] = "torn",
    [SIM_KAFKA_ABORTED_READ] = "aborted-read",
};

const char *sim_mutant_name(enum sim_mutant mutant)
{
    return names[mutant];
}

enum sim_mutant sim_mutant_find(uint32_t set, const char *name)
{
    if (name == NULL)
        return SIM_SOUND;
    int mutant = 0;
    while (mutant < SIM_MUTANTS && ((set >> mutant & 1) == 0 || strcmp(names[mutant], name) != 0))
        mutant++;
    return (enum sim_mutant)mutant;
}

uint64_t sim_mutant_chance(uint64_t seed)
{
    struct timespec now = { .tv_sec = 0 };
    if (sim_mutant == SIM_OTHER_WAY)
        clock_gettime(CLOCK_MONOTONIC, &now);
    return hash_mix(~seed ^ (uint64_t)now.tv_nsec);
}

void sim_mutant_forget_items(struct weir_ctx *ctx)
{
    ctx->item_count = 0;
}

/* -- around a sink of the engine ---------------------------------------------------------------- */

static const struct weir_sink_class *sound_sink;
static struct weir_sink_class mutant_sink;

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    if (sim_mutant == SIM_FORGET_PENDING)
        sim_mutant_forget_items(ctx);
    return sound_sink->open(ctx, options, instance);
}

static weir_error *snapshot_sink(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    WEIR_TRY(sound_sink->snapshot(ctx, instance, checkpoint));
    if (sim_mutant == SIM_PUBLISH_BEFORE_COMPLETE)
        return sound_sink->checkpoint_complete(ctx, instance, checkpoint);
    return NULL;
}

struct weir_sink sim_mutant_sink(struct weir_sink sink)
{
    if (sim_mutant != SIM_FORGET_PENDING && sim_mutant != SIM_PUBLISH_BEFORE_COMPLETE)
        return sink;
    sound_sink = sink.sink_class;
    mutant_sink = *sound_sink;
    mutant_sink.open = open_sink;
    mutant_sink.snapshot = snapshot_sink;
    sink.sink_class = &mutant_sink;
    return sink;
}
