/* sim_trouble.c -- see sim_trouble.h. */
#include "test/sim/sim_trouble.h"

#include "base/hash.h"
#include "runtime/cluster/messages.h"
#include "test/sim/sim_scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_MAX       4000
#define PARALLELISM_MAX 4u

const char *sim_event_kind_name(enum sim_event_kind kind)
{
    static const char *const names[SIM_EVENT_KINDS] = { "kill job manager", "kill task manager",
        "kill worker", "kill at call", "freeze at call", "pause", "cut", "reset", "machine down",
        "power loss", "disk sick", "disk full", "short write", "clock jump", "task failure",
        "checkpoint", "savepoint", "stop", "cancel", "rescale" };
    return names[kind];
}

static uint64_t spread(struct random *random, uint64_t low, uint64_t high)
{
    return sim_scenario_spread(random, low, high);
}

static bool maybe(struct random *random, uint32_t percent)
{
    return random_below(random, 100) < percent;
}

/* -- the cluster ---------------------------------------------------------------------------------- */

/* Slots for the widest stage of each slot group, or to be rescaled to `widest`. */
static uint32_t slots_needed(const struct sim_setup *setup, uint32_t widest)
{
    widest = setup->parallelism > widest ? setup->parallelism : widest;
    for (uint32_t i = 0; i < SIM_STAGES; i++)
        widest = setup->stages[i] > widest ? setup->stages[i] : widest;
    return setup->has_second_group ? 2 * widest : widest;
}

static void draw_cluster(struct sim_trouble *trouble, struct random *random)
{
    struct sim_processes_options *it = &trouble->processes;
    trouble->job_manager_count = maybe(random, 80) ? 2 : 1;
    trouble->task_manager_count = 1 + random_below(random, 3);
    uint32_t needed = slots_needed(&it->setup, PARALLELISM_MAX),
             count = trouble->task_manager_count;
    if (count > 1 && maybe(random, 50))
        count--; /* one can be missed: what runs there goes on beside its successor */
    it->slot_count = (needed + count - 1) / count + random_below(random, 3);
    it->heartbeat_ms = (int64_t)spread(random, 50, 500);
    it->timeout_ms = it->heartbeat_ms * (3 + random_below(random, 8));
    it->lease_ms = (int64_t)spread(random, 400, 4000);
    it->slot_timeout_ms = (int64_t)spread(random, 2000, 60000);
    it->start_timeout_ms = (int64_t)spread(random, 5000, 60000);
    it->orphan_ms = (int64_t)spread(random, 2000, 60000);
    it->worker_one_in = maybe(random, 70) ? 1 : 1 + random_below(random, 20);
    trouble->net.delay_ns = (int64_t)spread(random, 20000, 5000000);
    trouble->net.jitter_ns = (int64_t)spread(random, 1000, 20000000);
    trouble->net.window = (size_t)spread(random, 500, 300000);
    trouble->tick_ns = (int64_t)spread(random, 2000, 200000);
}

static void draw_job(struct sim_trouble *trouble, struct random *random)
{
    struct sim_setup *setup = &trouble->processes.setup;
    sim_scenario_draw_setup(setup, &trouble->shape, random);
    setup->fail_at = 0;
    trouble->parallelism = setup->parallelism;
    trouble->is_chaining_disabled = setup->is_chaining_disabled;
    trouble->interval_ms = (int64_t)spread(random, 5, 1000);
    trouble->min_pause_ms = maybe(random, 50) ? 0 : (int64_t)spread(random, 1, 100);
    trouble->buffer_timeout_ms = (int64_t)spread(random, 0, 50);
    trouble->batch_size = (uint32_t)spread(random, 1, 256);
    trouble->aligned_timeout_ms = maybe(random, 50) ? (int64_t)spread(random, 0, 500) : 10000;
}

static int compare(const void *a, const void *b)
{
    const struct sim_trouble_event *left = a, *right = b;
    return (left->at_ms > right->at_ms) - (left->at_ms < right->at_ms);
}

/* -- events --------------------------------------------------------------------------------------- */

static enum sim_event_kind draw_kind(struct random *random)
{
    static const uint8_t weights[SIM_EVENT_KINDS] = { [SIM_KILL_JOB_MANAGER] = 8,
        [SIM_KILL_TASK_MANAGER] = 8,
        [SIM_KILL_WORKER] = 10,
        [SIM_KILL_AT_CALL] = 10,
        [SIM_FREEZE_AT_CALL] = 12,
        [SIM_PAUSE] = 12,
        [SIM_CUT] = 12,
        [SIM_RESET] = 10,
        [SIM_MACHINE_DOWN] = 5,
        [SIM_POWER_LOSS] = 3,
        [SIM_DISK_SICK] = 4,
        [SIM_DISK_FULL] = 3,
        [SIM_SHORT_WRITE] = 3,
        [SIM_CLOCK_JUMP] = 3,
        [SIM_TASK_FAILURE] = 4,
        [SIM_CHECKPOINT] = 4,
        [SIM_SAVEPOINT] = 5,
        [SIM_STOP] = 4,
        [SIM_CANCEL] = 2,
        [SIM_RESCALE] = 8 };
    uint32_t total = 0, kind = 0;
    for (uint32_t i = 0; i < SIM_EVENT_KINDS; i++)
        total += weights[i];
    for (uint32_t left = random_below(random, total); left >= weights[kind]; kind++)
        left -= weights[kind];
    return (enum sim_event_kind)kind;
}

static struct sim_trouble_event event_of(struct random *random, enum sim_event_kind kind,
    int64_t at_ms, int64_t lasts_max_ms)
{
    struct sim_trouble_event it = { .kind = kind,
        .at_ms = at_ms,
        .lasts_ms = (int64_t)spread(random, 1, (uint64_t)lasts_max_ms),
        .a = (uint32_t)random_next(random) & 0xffff,
        .b = (uint32_t)random_next(random) & 0xffff,
        .n = (uint32_t)spread(random, 1, 400),
        .is_one_way = maybe(random, 50) };
    static const enum sim_process_kind frozen[] = { SIM_PROCESS_KINDS, SIM_JOB_MANAGER,
        SIM_WORKER };
    if (kind == SIM_KILL_AT_CALL || kind == SIM_FREEZE_AT_CALL)
        it.moment = (struct sim_moment){ .kind = SIM_AT_DISK_CALL,
            .by = kind == SIM_KILL_AT_CALL ? SIM_PROCESS_KINDS : frozen[it.b % 3],
            .nth = it.n };
    return it;
}

static void add(struct sim_trouble *trouble, struct sim_trouble_event event)
{
    if (trouble->event_count < SIM_EVENTS_MAX)
        trouble->events[trouble->event_count++] = event;
}

static int64_t draw_time(struct random *random, int64_t span_ms)
{
    return (int64_t)(random_next(random) % (uint64_t)span_ms);
}

static void add_any(struct sim_trouble *trouble, struct random *random, int64_t span_ms,
    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        add(trouble, event_of(random, draw_kind(random), draw_time(random, span_ms), span_ms));
}

/* -- moments -------------------------------------------------------------------------------------- */

static const uint32_t checkpoint_messages[] = { MESSAGE_TRIGGER, MESSAGE_ACKED, MESSAGE_ACKED,
    MESSAGE_COMPLETE, MESSAGE_PUBLISHED, MESSAGE_ABORT };
static const uint32_t recovery_messages[] = { MESSAGE_REGISTER, MESSAGE_REGISTERED, MESSAGE_PLAN,
    MESSAGE_PLANNED, MESSAGE_START, MESSAGE_KILL, MESSAGE_HELLO, MESSAGE_DEPLOY, MESSAGE_RUNNING };
static const uint32_t people_messages[] = { MESSAGE_TRIGGER, MESSAGE_ACKED, MESSAGE_COMPLETE,
    MESSAGE_STOP, MESSAGE_CANCEL, MESSAGE_PLAN, MESSAGE_PLANNED, MESSAGE_START, MESSAGE_DEPLOY,
    MESSAGE_KILL, MESSAGE_WORKER_ENDED };
static const char *const recovery_paths[] = { "/election", "/attempt-", "/chk-", "/jobs/",
    "/staging-", "/work-" };
static const char *const people_paths[] = { "/savepoints", "/savepoints", "/jobs/", "/chk-",
    "/attempt-", "/blobs" };
#define LENGTH(list_) ((uint32_t)(sizeof(list_) / sizeof((list_)[0])))

static struct sim_moment at_message(struct random *random, const uint32_t *list, uint32_t count,
    uint32_t nth_max)
{
    return (struct sim_moment){ .kind = SIM_AT_MESSAGE,
        .by = SIM_PROCESS_KINDS,
        .message = list[random_below(random, count)],
        .nth = 1 + random_below(random, nth_max) };
}

static struct sim_moment at_path(struct random *random, const char *const *list, uint32_t count,
    uint32_t nth_max)
{
    return (struct sim_moment){ .kind = SIM_AT_DISK_CALL,
        .by = SIM_PROCESS_KINDS,
        .path = list[random_below(random, count)],
        .nth = 1 + random_below(random, nth_max) };
}

/* Dies, stands still, or cannot be reached. */
static enum sim_event_kind draw_blow(struct random *random)
{
    static const enum sim_event_kind kinds[] = { SIM_KILL_AT_CALL, SIM_KILL_AT_CALL,
        SIM_KILL_AT_CALL, SIM_FREEZE_AT_CALL, SIM_FREEZE_AT_CALL, SIM_CUT, SIM_MACHINE_DOWN,
        SIM_RESET };
    return kinds[random_below(random, LENGTH(kinds))];
}

/* -- aims ----------------------------------------------------------------------------------------- */

/* Mostly in a renewal of its lease: the one call behind which it has not yet looked whether it still leads. */
static void aim_at_takeover(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    static const char *const paths[] = { "/election/leader-", "/election/leader-",
        "/election/leader-", "/election/leader-", "/attempt-", "/chk-", "/jobs/" };
    static const uint32_t until[] = { MESSAGE_PLANNED, MESSAGE_START, MESSAGE_DEPLOY,
        MESSAGE_RUNNING };
    static const char *const until_paths[] = { "/attempt-" };
    uint32_t count = 3 + random_below(random, 4);
    for (uint32_t i = 0; i < count; i++) {
        int64_t at_ms = span_ms * i / count + draw_time(random, span_ms / count + 1);
        struct sim_trouble_event it = event_of(random, SIM_FREEZE_AT_CALL, at_ms, 1);
        it.moment = at_path(random, paths, LENGTH(paths), 5);
        it.moment.by = SIM_JOB_MANAGER;
        it.moment.is_leaders = maybe(random, 85);
        it.moment.is_late = maybe(random, 70);
        it.until = maybe(random, 50) ? at_message(random, until, LENGTH(until), 1)
                                     : at_path(random, until_paths, LENGTH(until_paths), 24);
        it.behind_ms = (int64_t)spread(random, 1, 300);
        it.lasts_ms = trouble->processes.lease_ms * 2 + (int64_t)spread(random, 300, 2500);
        it.is_one_way = maybe(random, 85);
        add(trouble, it);
    }
    if (maybe(random, 40))
        add_any(trouble, random, span_ms, random_below(random, 6));
}

/* When it goes on it does not know yet that it was replaced: it publishes, and tells the workers that are left. */
static void aim_at_zombie(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    static const char *const renewal[] = { "/election/leader-" }, *const choice[] = { "/attempt-" };
    uint32_t count = 3 + random_below(random, 4);
    for (uint32_t i = 0; i < count; i++) {
        int64_t at_ms = span_ms * i / count + draw_time(random, span_ms / count + 1);
        struct sim_trouble_event it = event_of(random, SIM_FREEZE_AT_CALL, at_ms, 1);
        it.moment = at_path(random, renewal, 1, 5);
        it.moment.by = SIM_JOB_MANAGER;
        it.moment.is_leaders = it.moment.is_late = it.is_one_way = true;
        it.until = at_path(random, choice, 1, 24);
        it.behind_ms = (int64_t)spread(random, 1, 300);
        it.lasts_ms = trouble->processes.lease_ms * 2 + (int64_t)spread(random, 300, 2500);
        add(trouble, it);
    }
}

static void aim_at_recovery(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    static const enum sim_event_kind first[] = { SIM_KILL_WORKER, SIM_KILL_TASK_MANAGER,
        SIM_KILL_JOB_MANAGER, SIM_MACHINE_DOWN, SIM_RESET, SIM_TASK_FAILURE };
    uint32_t bursts = 2 + random_below(random, 3);
    for (uint32_t i = 0; i < bursts; i++) {
        int64_t at_ms = draw_time(random, span_ms);
        add(trouble, event_of(random, first[random_below(random, LENGTH(first))], at_ms, 500));
        for (uint32_t depth = 2 + random_below(random, 3); depth > 0; depth--) {
            struct sim_trouble_event it = event_of(random, draw_blow(random), at_ms + 1, 1000);
            it.moment = maybe(random, 60)
                            ? at_message(random, recovery_messages, LENGTH(recovery_messages), 4)
                            : at_path(random, recovery_paths, LENGTH(recovery_paths), 12);
            add(trouble, it);
        }
    }
    add_any(trouble, random, span_ms, random_below(random, 5));
}

static void aim_at_people(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    static const enum sim_event_kind asked[] = { SIM_SAVEPOINT, SIM_SAVEPOINT, SIM_STOP, SIM_STOP,
        SIM_STOP, SIM_RESCALE, SIM_RESCALE, SIM_CANCEL, SIM_CHECKPOINT };
    uint32_t count = 4 + random_below(random, 6);
    for (uint32_t i = 0; i < count; i++) {
        int64_t at_ms = draw_time(random, span_ms);
        add(trouble, event_of(random, asked[random_below(random, LENGTH(asked))], at_ms, 1));
        for (uint32_t blows = random_below(random, 3); blows > 0; blows--) {
            struct sim_trouble_event it = event_of(random, draw_blow(random), at_ms, 1500);
            it.moment = maybe(random, 50)
                            ? at_message(random, people_messages, LENGTH(people_messages), 6)
                            : at_path(random, people_paths, LENGTH(people_paths), 10);
            if (maybe(random, 50))
                it.moment.by = SIM_JOB_MANAGER;
            add(trouble, it);
        }
    }
}

static void aim_at_phases(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    uint32_t count = 6 + random_below(random, 12);
    for (uint32_t i = 0; i < count; i++) {
        struct sim_trouble_event it =
            event_of(random, draw_blow(random), draw_time(random, span_ms), 1500);
        it.moment = at_message(random, checkpoint_messages, LENGTH(checkpoint_messages), 12);
        add(trouble, it);
    }
    add_any(trouble, random, span_ms, random_below(random, 5));
}

static void aim_at_data(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    static const enum sim_event_kind kinds[] = { SIM_RESET, SIM_RESET, SIM_RESET, SIM_PAUSE,
        SIM_PAUSE, SIM_CUT };
    uint32_t count = 4 + random_below(random, 12);
    bool is_only_reset = maybe(random, 50); /* what else fails has everything done again */
    for (uint32_t i = 0; i < count; i++) {
        struct sim_trouble_event it = event_of(random, kinds[random_below(random, LENGTH(kinds))],
            draw_time(random, span_ms), trouble->processes.timeout_ms * 2);
        if (maybe(random, 30))
            it.moment = at_message(random, checkpoint_messages, LENGTH(checkpoint_messages), 8);
        if (is_only_reset)
            it.kind = SIM_RESET;
        add(trouble, it);
    }
    if (!is_only_reset)
        add_any(trouble, random, span_ms, random_below(random, 4));
}

static void aim_at_any(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    if (!maybe(random, 10))
        add_any(trouble, random, span_ms, (uint32_t)spread(random, 2, 40));
}

/* What each of them needs: somebody to take over, something to lose, a way to be out of reach. */
static void fit_cluster(struct sim_trouble *trouble, struct random *random)
{
    struct sim_processes_options *it = &trouble->processes;
    bool is_zombie = trouble->aim == SIM_AIM_ZOMBIE,
         is_tight =
             is_zombie || trouble->aim == SIM_AIM_TAKEOVER; /* what is out of reach is missed */
    uint32_t needed = slots_needed(&it->setup, is_tight ? 1 : PARALLELISM_MAX);
    if (is_tight) {
        /* or the successor waits for who is out of its reach */
        uint32_t missed = !is_zombie && maybe(random, 50) ? 1 : 0;
        trouble->job_manager_count = 2;
        trouble->task_manager_count = 2 + random_below(random, 2);
        uint32_t used = trouble->task_manager_count - missed;
        it->slot_count = (needed + used - 1) / used;
        it->lease_ms = (int64_t)spread(random, 400, 1000);
        it->heartbeat_ms = (int64_t)spread(random, 300, 500);
        it->timeout_ms = it->heartbeat_ms * 15;
        it->worker_one_in = is_zombie ? 2 + random_below(random, 20) : 5 + random_below(random, 40);
        trouble->interval_ms = (int64_t)spread(random, 5, 50);
        trouble->min_pause_ms = 0;
        trouble->shape.writes_text =
            maybe(random, 85); /* what nobody has published yet lies beside what is */
    }
    if (trouble->aim == SIM_AIM_DATA) {
        trouble->task_manager_count = 2 + random_below(random, 2);
        it->slot_count = (needed + trouble->task_manager_count - 1) / trouble->task_manager_count;
    }
    if (trouble->aim == SIM_AIM_PEOPLE)
        trouble->starts_from_savepoints = maybe(random, 75);
}

static void draw_events(struct sim_trouble *trouble, struct random *random, int64_t span_ms)
{
    static void (*const aims[SIM_AIMS])(struct sim_trouble * trouble, struct random * random,
        int64_t span_ms) = { aim_at_any, aim_at_takeover, aim_at_zombie, aim_at_recovery,
        aim_at_people, aim_at_phases, aim_at_data };
    aims[trouble->aim](trouble, random, span_ms);
    qsort(trouble->events, trouble->event_count, sizeof(trouble->events[0]), compare);
    trouble->heal_ms = span_ms;
}

/* Trouble has to come while there is still input: what is not slowed down is over soon, and files are. */
static bool draw_slowness(struct sim_trouble *trouble, struct random *random)
{
    struct sim_shape *shape = &trouble->shape;
    if (trouble->aim != SIM_AIM_ANY && shape->source == SIM_FILES) {
        shape->source = SIM_UNION;
        shape->generated_count = 1 + random_next(random) % shape->count;
    }
    return shape->source != SIM_FILES && (trouble->aim != SIM_AIM_ANY || maybe(random, 90));
}

void sim_trouble_draw(struct sim_trouble *trouble, uint64_t seed)
{
    static const enum sim_aim aims[] = { SIM_AIM_ANY, SIM_AIM_ANY, SIM_AIM_TAKEOVER,
        SIM_AIM_TAKEOVER, SIM_AIM_TAKEOVER, SIM_AIM_ZOMBIE, SIM_AIM_ZOMBIE, SIM_AIM_RECOVERY,
        SIM_AIM_PEOPLE, SIM_AIM_PEOPLE, SIM_AIM_PHASES, SIM_AIM_DATA, SIM_AIM_DATA };
    struct random random = { .state = hash_mix(seed ^ UINT64_C(0xc1057e7)) };
    *trouble = (struct sim_trouble){ .net = { .seed = seed } };
    trouble->aim = aims[random_below(&random, LENGTH(aims))];
    trouble->beside_one_in = maybe(&random, 50) ? 0 : (uint32_t)spread(&random, 2, 50);
    sim_scenario_draw_shape(&trouble->shape, &random, seed, COUNT_MAX);
    trouble->shape.has_two_regions = maybe(&random, 25);
    draw_job(trouble, &random);
    draw_cluster(trouble, &random);
    fit_cluster(trouble, &random);
    bool is_slow = draw_slowness(trouble, &random);
    int64_t span_ms =
        (int64_t)(is_slow ? 500 + random_below(&random, 6000) : 50 + random_below(&random, 500));
    if (is_slow)
        trouble->processes.setup.per_second =
            trouble->shape.generated_count * 1000 / (uint64_t)span_ms + 1;
    draw_events(trouble, &random, span_ms);
}

/* -- for people ----------------------------------------------------------------------------------- */

static void print_moment(const struct sim_moment *moment)
{
    static const char *const who[SIM_PROCESS_KINDS + 1] = { "job manager", "task manager", "worker",
        "anybody" };
    if (moment->kind == SIM_AT_DISK_CALL)
        printf(" call %u of '%s' by %s", moment->nth, moment->path == NULL ? "" : moment->path,
            who[moment->by]);
    if (moment->kind == SIM_AT_MESSAGE)
        printf(" message %u of kind %u by %s", moment->nth, moment->message, who[moment->by]);
}

static void print_event(const struct sim_trouble_event *it, uint32_t index)
{
    printf("  event %2u at %6" PRId64 " ms: %s", index, it->at_ms, sim_event_kind_name(it->kind));
    if (it->moment.kind != SIM_AT_ITS_TIME) {
        printf(", at");
        print_moment(&it->moment);
    }
    printf(" (%u, %u, n %u, for %" PRId64 " ms%s", it->a, it->b, it->n, it->lasts_ms,
        it->is_one_way ? ", one way" : "");
    if (it->until.kind != SIM_AT_ITS_TIME) {
        printf(", until %" PRId64 " ms behind", it->behind_ms);
        print_moment(&it->until);
    }
    printf(")\n");
}

void sim_trouble_print(const struct sim_trouble *trouble, uint64_t mask)
{
    static const char *const aims[SIM_AIMS] = { "any", "takeover", "zombie", "recovery", "people",
        "phases", "data" };
    const struct sim_processes_options *it = &trouble->processes;
    printf("aim: %s, %s, other threads 1 in %u, blocking work 1 in %u\n", aims[trouble->aim],
        trouble->shape.has_two_regions ? "two regions" : "one region", trouble->beside_one_in,
        it->worker_one_in);
    printf("%u job managers, %u task managers of %u slots, parallelism %u, %" PRIu64
           " records, heartbeat %" PRId64 " of %" PRId64 " ms, lease %" PRId64
           " ms, checkpoint every %" PRId64 " ms, network %" PRId64 " + %" PRId64
           " us, window %zu, healed at %" PRId64 " ms\n",
        trouble->job_manager_count, trouble->task_manager_count, it->slot_count,
        trouble->parallelism, trouble->shape.count, it->heartbeat_ms, it->timeout_ms, it->lease_ms,
        trouble->interval_ms, trouble->net.delay_ns / 1000, trouble->net.jitter_ns / 1000,
        trouble->net.window, trouble->heal_ms);
    for (uint32_t i = 0; i < trouble->event_count; i++) {
        if ((mask >> i & 1) != 0)
            print_event(&trouble->events[i], i);
    }
}
