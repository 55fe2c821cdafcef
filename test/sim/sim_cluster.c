/* sim_cluster.c -- see sim_cluster.h. */
#include "test/sim/sim_cluster.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/cluster/messages.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_connection.h"
#include "test/sim/sim_files.h"
#include "test/sim/sim_mutant.h"
#include "test/sim/sim_oracle.h"
#include "test/sim/sim_os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEALED_STEPS_MAX UINT64_C(600000)
#define STEPS_PER_RECORD 200
#define WATCH_STEPS      64u
#define CHECK_STEPS      4096u
#define FREEZE_STEPS_MAX 60000u
#define PARALLELISM_MAX  4u
#define BESIDE_STEPS_MAX 8u
#define LATE_NS          INT64_C(50000000) /* at most, of what was sent to somebody who stood still */
#define LEFT_MS          INT64_C(120000)   /* for workers to go when their job is over */
#define STALE_MS         INT64_C(5000) /* far more than a leader takes to look whether it still leads */
#define NOBODY           UINT32_MAX
#define IDLE_MS_MAX      INT64_C(3600000)

/* A job manager or task manager that is to begin, again. */
struct revival {
    enum sim_process_kind kind;
    uint32_t index;
    int64_t at_ns;
    bool is_wanted;
};

struct run {
    struct sim_trouble trouble;
    struct sim_oracle *oracle;
    struct sim_result *result;
    struct random random;
    bool is_healed, is_frozen, is_beside;
    struct sim_client *client;
    uint64_t armed, due;             /* sets of events: they wait for their moment; it has come */
    uint32_t left[SIM_EVENTS_MAX];   /* how often it has to come until then */
    uint32_t actors[SIM_EVENTS_MAX]; /* whose moment it was */
    int64_t stale_ns[2]; /* since when a job manager leads that was replaced; 0: it does not */
    const struct sim_moment *until; /* what ends the freeze; NULL: nothing does, or it has come */
    uint32_t until_left;
    uint32_t next_event;
    struct revival job_managers[2], task_managers[3];
    int64_t disk_well_ns; /* 0: it is */
    int64_t cut_until_ns[SIM_MACHINES_MAX][SIM_MACHINES_MAX];
    int64_t up_ns[SIM_MACHINES_MAX]; /* 0: it is up */
    uint64_t found, idle_steps, last_epoch;
};

static bool is_finished(const struct run *run)
{
    return sim_client_is_finished(run->client);
}

static int64_t later_ns(int64_t ms)
{
    return os_monotonic_ns() + ms * 1000000;
}

/* -- checks --------------------------------------------------------------------------------------- */

static void check_output(struct run *run, bool may_have_lost)
{
    uint32_t process = sim_os_process();
    sim_os_run_as(SIM_OBSERVER);
    const char *text =
        sim_oracle_check(run->oracle, SIM_OUTPUT_DIR, sim_client_is_finished(run->client));
    uint64_t found = sim_oracle_found(run->oracle);
    if (text != NULL)
        sim_wrong(run->result, "%s", text);
    else if (found < run->found && !may_have_lost)
        sim_wrong(run->result, "%" PRIu64 " rows are published, it were %" PRIu64 " before", found,
            run->found);
    run->found = found;
    sim_client_check_savepoints(run->client);
    sim_os_run_as(process);
}

/* -- machines ------------------------------------------------------------------------------------- */

static uint32_t machine_of(const struct run *run, enum sim_process_kind kind, uint32_t index)
{
    return kind == SIM_JOB_MANAGER ? index : run->trouble.job_manager_count + index;
}

static uint32_t machine_count(const struct run *run)
{
    return run->trouble.job_manager_count + run->trouble.task_manager_count;
}

static struct revival *revival_of(struct run *run, enum sim_process_kind kind, uint32_t index)
{
    return kind == SIM_JOB_MANAGER ? &run->job_managers[index] : &run->task_managers[index];
}

static void revive_later(struct run *run, enum sim_process_kind kind, uint32_t index, int64_t ms)
{
    struct revival *it = revival_of(run, kind, index);
    int64_t at_ns = later_ns(ms);
    if (it->is_wanted && it->at_ns >= at_ns)
        return;
    *it = (struct revival){ .kind = kind, .index = index, .at_ns = at_ns, .is_wanted = true };
}

static void revive(struct run *run, struct revival *it)
{
    uint32_t machine = machine_of(run, it->kind, it->index);
    if (!it->is_wanted || it->at_ns > os_monotonic_ns() || run->up_ns[machine] != 0)
        return;
    it->is_wanted = false;
    if (sim_process_find(it->kind, it->index) != NULL)
        return;
    struct sim_process *process = sim_process_start(it->kind, it->index, machine);
    sim_say(run->result, "%s %u begins%s",
        it->kind == SIM_JOB_MANAGER ? "job manager" : "task manager", it->index,
        process == NULL ? ", and ends" : "");
    if (process == NULL)
        revive_later(run, it->kind, it->index, 100);
}

/* Whoever has died of himself is started again, as by a service manager. */
static void look_after(struct run *run, enum sim_process_kind kind, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct revival *it = revival_of(run, kind, i);
        if (!it->is_wanted && sim_process_find(kind, i) == NULL)
            revive_later(run, kind, i, 50);
        revive(run, it);
    }
}

static void kill_one(struct run *run, struct sim_process *process, int64_t again_ms)
{
    if (process == NULL)
        return;
    sim_say(run->result, "kill %s", sim_process_name(process));
    run->result->counts.kills++;
    if (process->kind != SIM_WORKER)
        revive_later(run, process->kind, process->index, again_ms);
    sim_process_kill(process);
}

static void machine_down(struct run *run, uint32_t machine, int64_t lasts_ms)
{
    if (run->up_ns[machine] != 0)
        return;
    sim_say(run->result, "machine %u is down", machine);
    sim_net_set_down(machine, true);
    run->up_ns[machine] = later_ns(lasts_ms);
    run->result->counts.machines_down++;
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        struct sim_process *it = sim_process_at(i);
        if (it != NULL && it->machine == machine)
            kill_one(run, it, lasts_ms);
    }
}

static void look_at_machines(struct run *run)
{
    int64_t now_ns = os_monotonic_ns();
    for (uint32_t i = 0; i < machine_count(run); i++) {
        if (run->up_ns[i] != 0 && run->up_ns[i] <= now_ns) {
            run->up_ns[i] = 0;
            sim_net_set_down(i, false);
            sim_say(run->result, "machine %u is up", i);
        }
        for (uint32_t j = 0; j < machine_count(run); j++) {
            if (run->cut_until_ns[i][j] == 0 || run->cut_until_ns[i][j] > now_ns)
                continue;
            run->cut_until_ns[i][j] = 0;
            sim_net_heal(i, j);
            sim_say(run->result, "link %u -> %u is healed", i, j);
        }
    }
    if (run->disk_well_ns != 0 && run->disk_well_ns <= now_ns) {
        run->disk_well_ns = 0;
        sim_os_fail_one_in(0, 0);
        sim_say(run->result, "the disk is well");
    }
    look_after(run, SIM_JOB_MANAGER, run->trouble.job_manager_count);
    look_after(run, SIM_TASK_MANAGER, run->trouble.task_manager_count);
}

/* -- the job -------------------------------------------------------------------------------------- */

/* Whoever leads, as far as it is known; the newest, if there are two. */
static struct sim_process *find_leader(void)
{
    struct sim_process *best = NULL;
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        struct sim_process *it = sim_process_at(i);
        if (it == NULL || it->kind != SIM_JOB_MANAGER || !sim_process_runs(it) ||
            leader_dispatcher(it->leader) == NULL)
            continue;
        if (best == NULL || leader_epoch(it->leader) > leader_epoch(best->leader))
            best = it;
    }
    return best;
}

/* Who was replaced finds that out, and lets go; as long as it stands still it cannot. */
static void look_at_replaced(struct run *run)
{
    for (uint32_t i = 0; i < run->trouble.job_manager_count; i++) {
        const struct sim_process *it = sim_process_find(SIM_JOB_MANAGER, i);
        bool is_stale = it != NULL && sim_process_runs(it) && leader_epoch(it->leader) > 0 &&
                        leader_epoch(it->leader) < run->last_epoch;
        if (!is_stale)
            run->stale_ns[i] = 0;
        else if (run->stale_ns[i] == 0)
            run->stale_ns[i] = os_monotonic_ns();
        else if (os_monotonic_ns() - run->stale_ns[i] > STALE_MS * 1000000)
            sim_wrong(run->result,
                "job manager %u still leads with epoch %" PRIu64 ", although %" PRIu64 " has begun",
                i, leader_epoch(it->leader), run->last_epoch);
    }
}

/* Is there something to run, is there an answer, has it come to its end? */
static void watch(struct run *run)
{
    struct sim_process *leader = find_leader();
    if (leader == NULL)
        return;
    if (leader_epoch(leader->leader) > run->last_epoch) {
        run->last_epoch = leader_epoch(leader->leader);
        run->result->counts.leaders++;
        sim_say(run->result, "job manager %u leads, epoch %" PRIu64, leader->index,
            run->last_epoch);
    }
    look_at_replaced(run);
    sim_client_look(run->client, leader);
    if (sim_client_wrong(run->client) != NULL)
        sim_wrong(run->result, "%s", sim_client_wrong(run->client));
}

static void say_for_client(void *arg, const char *text)
{
    sim_say(((const struct run *)arg)->result, "%s", text);
}

/* -- what happens --------------------------------------------------------------------------------- */

static void step(struct run *run);

static void cut_both_ways(struct run *run, uint32_t a, uint32_t b, int64_t lasts_ms)
{
    sim_net_cut(a, b);
    sim_net_cut(b, a);
    run->cut_until_ns[a][b] = run->cut_until_ns[b][a] = later_ns(lasts_ms);
    run->result->counts.cuts++;
}

/* The a-th of those that are there; of one kind, or SIM_PROCESS_KINDS: of any. */
static struct sim_process *choose(uint32_t a, enum sim_process_kind kind)
{
    struct sim_process *list[SIM_OBSERVER];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        struct sim_process *it = sim_process_at(i);
        if (it != NULL && !it->is_killed && (kind == SIM_PROCESS_KINDS || it->kind == kind))
            list[count++] = it;
    }
    return count == 0 ? NULL : list[a % count];
}

/* One of the task managers that the job has something on. */
static uint32_t choose_busy(uint32_t a)
{
    const struct sim_process *worker = choose(a, SIM_WORKER);
    return worker == NULL ? NOBODY : worker->index;
}

/* Its successor does not reach a task manager: what runs there is not ended. */
static void hide_workers(struct run *run, const struct sim_process *leader,
    const struct sim_trouble_event *event)
{
    uint32_t hidden = choose_busy(event->a);
    if (leader->kind == SIM_JOB_MANAGER && event->is_one_way &&
        run->trouble.job_manager_count == 2 && hidden != NOBODY)
        cut_both_ways(run, 1 - leader->index, machine_of(run, SIM_TASK_MANAGER, hidden),
            event->lasts_ms * 2);
}

static void step_beside(struct run *run, struct sim_process *it)
{
    run->is_beside = true;
    for (uint32_t i = random_below(&run->random, BESIDE_STEPS_MAX); i > 0 && !it->is_killed; i--)
        sim_process_step_beside(it, &run->random);
    run->is_beside = false;
}

/* The process that makes this call is stopped in it; all others go on for a while. Then its threads go on in any order,
 * and this one is not always the first. */
static void freeze(struct run *run, const struct sim_trouble_event *event)
{
    struct sim_process *it = sim_process_at(sim_os_process());
    int64_t until_ns = later_ns(event->lasts_ms);
    uint64_t limit = run->result->counts.steps + FREEZE_STEPS_MAX, epoch = run->last_epoch;
    run->until = event->until.kind == SIM_AT_ITS_TIME ? NULL : &event->until;
    run->until_left = event->until.nth;
    run->is_frozen = true;
    run->result->counts.freezes++;
    sim_say(run->result, "%s is frozen in a call", sim_process_name(it));
    hide_workers(run, it, event);
    while (run->result->counts.steps < limit && os_monotonic_ns() < until_ns && !run->is_healed &&
           !sim_is_wrong(run->result) && !is_finished(run)) {
        bool has_waited = run->until != NULL;
        step(run);
        if (has_waited && run->until == NULL)
            until_ns = os_earlier(until_ns, later_ns(event->behind_ms));
    }
    run->until = NULL;
    run->is_frozen = false;
    run->result->counts.overtaken += it->kind == SIM_JOB_MANAGER && run->last_epoch > epoch;
    sim_say(run->result, "%s goes on", sim_process_name(it));
    sim_net_hold_back(it->number, (int64_t)(random_next(&run->random) % LATE_NS));
    step_beside(run, it);
}

/* -- moments -------------------------------------------------------------------------------------- */

static bool is_somebody(const struct sim_moment *moment, const struct sim_process *it)
{
    if (moment->by != SIM_PROCESS_KINDS && moment->by != it->kind)
        return false;
    if (moment->is_late && !workers_is_waiting(it->workers))
        return false;
    return !moment->is_leaders || it->kind != SIM_JOB_MANAGER ||
           (it->leader != NULL && leader_dispatcher(it->leader) != NULL);
}

/* `path` NULL: of a file that is open. */
static bool is_call(const struct sim_moment *moment, const char *path)
{
    return moment->kind == SIM_AT_DISK_CALL &&
           (moment->path == NULL || (path != NULL && strstr(path, moment->path) != NULL));
}

/* A message of that kind, or 0: a call of the disk there. */
static bool is_moment(const struct sim_moment *moment, uint32_t message, const char *path)
{
    return message != 0 ? moment->kind == SIM_AT_MESSAGE && moment->message == message
                        : is_call(moment, path);
}

/* Whoever it is dies or is frozen right here; everything else happens at the end of this step. */
static void strike(struct run *run, uint32_t index)
{
    const struct sim_trouble_event *event = &run->trouble.events[index];
    uint32_t process = sim_os_process();
    run->armed &= ~(UINT64_C(1) << index);
    run->result->counts.moments++;
    sim_say(run->result, "the moment of event %u: %s, by %s", index,
        sim_event_kind_name(event->kind), sim_process_name(sim_process_at(process)));
    if (event->kind == SIM_KILL_AT_CALL) {
        run->result->counts.kills_in_a_call++;
        sim_os_kill(process);
    } else if (event->kind == SIM_FREEZE_AT_CALL) {
        freeze(run, event);
        sim_os_run_as(process);
    } else {
        run->due |= UINT64_C(1) << index;
        run->actors[index] = process;
    }
}

/* What somebody stands still for has come. */
static void look_at_thaw(struct run *run, uint32_t message, const char *path)
{
    if (run->until != NULL && is_moment(run->until, message, path) && --run->until_left == 0)
        run->until = NULL;
}

static void look_at_moments(struct run *run, uint32_t message, const char *path)
{
    const struct sim_process *it = sim_process_at(sim_os_process());
    look_at_thaw(run, message, path);
    if (run->armed == 0 || it == NULL || sim_os_is_dead(it->number))
        return;
    for (uint32_t i = 0; i < run->trouble.event_count && !sim_os_is_dead(it->number); i++) {
        const struct sim_trouble_event *event = &run->trouble.events[i];
        const struct sim_moment *moment = &event->moment;
        bool is_it = is_moment(moment, message, path);
        bool can_be = event->kind != SIM_FREEZE_AT_CALL || !(run->is_frozen || run->is_beside);
        if ((run->armed >> i & 1) != 0 && is_it && can_be && is_somebody(moment, it) &&
            --run->left[i] == 0)
            strike(run, i);
    }
}

static void on_disk_call(void *arg, const char *path)
{
    struct run *run = arg;
    uint32_t process = sim_os_process(), one_in = run->trouble.beside_one_in;
    struct sim_process *it = sim_process_at(process);
    look_at_moments(run, 0, path);
    if (it == NULL || run->is_healed || run->is_beside || one_in == 0 || sim_os_is_dead(process) ||
        !random_one_in(&run->random, one_in))
        return;
    sim_os_run_as(process);
    step_beside(run, it);
}

static void on_send(void *arg, uint32_t kind)
{
    struct run *run = arg;
    ASSERT(kind > 0);
    look_at_moments(run, kind, NULL);
}

/* -- events --------------------------------------------------------------------------------------- */

/* The actor: whose moment it was; NULL: it is not about one. */
static void pause_one(struct run *run, const struct sim_trouble_event *event,
    struct sim_process *actor)
{
    struct sim_process *it = actor != NULL ? actor : choose(event->a, SIM_PROCESS_KINDS);
    if (it == NULL || it->is_killed)
        return;
    sim_say(run->result, "pause %s", sim_process_name(it));
    it->paused_until_ns = later_ns(event->lasts_ms);
    run->result->counts.pauses++;
}

static void cut(struct run *run, const struct sim_trouble_event *event,
    const struct sim_process *actor)
{
    uint32_t count = machine_count(run), to = event->b % count;
    uint32_t from = actor != NULL ? actor->machine : event->a % count;
    if (from == to)
        to = (to + 1) % count;
    if (from == to)
        return;
    run->result->counts.cuts++;
    for (uint32_t i = 0; i < (event->is_one_way ? 1u : 2u); i++) {
        uint32_t a = i == 0 ? from : to, b = i == 0 ? to : from;
        sim_net_cut(a, b);
        run->cut_until_ns[a][b] = later_ns(event->lasts_ms);
    }
}

static void power_loss(struct run *run)
{
    if (run->is_frozen)
        return; /* that one cannot be taken off the disk now */
    for (uint32_t i = 0; i < machine_count(run); i++)
        sim_net_set_down(i, true);
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        if (sim_process_at(i) != NULL)
            sim_process_kill(sim_process_at(i));
    }
    sim_processes_reap();
    sim_os_power_loss();
    run->result->counts.power_losses++;
    for (uint32_t i = 0; i < machine_count(run); i++) {
        if (run->up_ns[i] == 0)
            sim_net_set_down(i, false);
    }
    check_output(run, true);
}

static void trouble_disk(struct run *run, uint32_t one_in, int error, int64_t lasts_ms)
{
    sim_os_fail_one_in(one_in, error);
    run->disk_well_ns = later_ns(lasts_ms);
}

static bool is_between_workers(uint32_t a, uint32_t b)
{
    const struct sim_process *one = sim_process_at(a), *other = sim_process_at(b);
    return one != NULL && other != NULL && one->kind == SIM_WORKER && other->kind == SIM_WORKER;
}

static void arm(struct run *run, const struct sim_trouble_event *event)
{
    uint32_t index = (uint32_t)(event - run->trouble.events);
    run->armed |= UINT64_C(1) << index;
    run->left[index] = event->moment.nth;
}

static void ask(struct run *run, const struct sim_trouble_event *event)
{
    struct sim_process *leader = find_leader();
    if (leader != NULL)
        sim_client_ask(run->client, leader, event);
}

static void happen(struct run *run, const struct sim_trouble_event *event,
    struct sim_process *actor)
{
    static const int errors[] = { EIO, ENOSPC, EIO, EMFILE };
    struct sim_counts *counts = &run->result->counts;
    switch (event->kind) {
    case SIM_KILL_JOB_MANAGER:
        kill_one(run, choose(event->a, SIM_JOB_MANAGER), event->lasts_ms);
        return;
    case SIM_KILL_TASK_MANAGER:
        kill_one(run, choose(event->a, SIM_TASK_MANAGER), event->lasts_ms);
        return;
    case SIM_KILL_WORKER:
        kill_one(run, choose(event->a, SIM_WORKER), 0);
        return;
    case SIM_KILL_AT_CALL: /* at their moment */
    case SIM_FREEZE_AT_CALL:
        return;
    case SIM_PAUSE:
        pause_one(run, event, actor);
        return;
    case SIM_CUT:
        cut(run, event, actor);
        return;
    case SIM_RESET:
        if (sim_net_reset(event->a, event->b % 4 > 0 ? is_between_workers : NULL))
            counts->resets++;
        else /* as soon as there is one */
            run->due |= UINT64_C(1) << (event - run->trouble.events);
        return;
    case SIM_MACHINE_DOWN:
        machine_down(run, actor != NULL ? actor->machine : event->a % machine_count(run),
            event->lasts_ms);
        return;
    case SIM_POWER_LOSS:
        power_loss(run);
        return;
    case SIM_DISK_SICK:
        trouble_disk(run, 20 + event->n, errors[event->a % 4], event->lasts_ms);
        return;
    case SIM_DISK_FULL:
        trouble_disk(run, 2, ENOSPC, event->lasts_ms / 4 + 1);
        return;
    case SIM_SHORT_WRITE:
        sim_os_short_write_at(event->n);
        return;
    case SIM_CLOCK_JUMP:
        sim_os_jump_wall_ms((int64_t)(event->a % 40000) - 20000);
        counts->clock_jumps++;
        return;
    case SIM_TASK_FAILURE:
        sim_processes_options()->setup.fail_at = event->n;
        counts->task_failures++;
        return;
    case SIM_CHECKPOINT:
    case SIM_SAVEPOINT:
    case SIM_STOP:
    case SIM_CANCEL:
    case SIM_RESCALE:
        ask(run, event);
        return;
    case SIM_EVENT_KINDS:
        break;
    }
}

static void begin_event(struct run *run, const struct sim_trouble_event *event)
{
    sim_say(run->result, "event %u: %s", run->next_event, sim_event_kind_name(event->kind));
    if (event->kind < SIM_CHECKPOINT)
        sim_client_note_fault(run->client);
    if (event->moment.kind != SIM_AT_ITS_TIME)
        arm(run, event);
    else
        happen(run, event, NULL);
}

/* Those whose moment was in this step. */
static void look_at_due(struct run *run)
{
    uint64_t due = run->due;
    for (uint32_t i = 0; due != 0 && i < run->trouble.event_count; i++) {
        if ((due >> i & 1) == 0)
            continue;
        run->due &= ~(UINT64_C(1) << i);
        happen(run, &run->trouble.events[i], sim_process_at(run->actors[i]));
    }
}

static int64_t event_ns(const struct run *run)
{
    const struct sim_trouble *trouble = &run->trouble;
    if (run->is_healed)
        return INT64_MAX;
    int64_t at_ms = run->next_event < trouble->event_count ? trouble->events[run->next_event].at_ms
                                                           : trouble->heal_ms;
    return run->result->start_ns + at_ms * 1000000;
}

/* From here on nothing fails. What has failed before must not hold the job up for ever. */
static void heal(struct run *run)
{
    sim_say(run->result, "heal");
    run->is_healed = true;
    run->armed = run->due = 0;
    sim_client_note_heal(run->client);
    sim_os_fail_at(0, 0);
    sim_os_short_write_at(0);
    sim_processes_options()->setup.fail_at = 0;
    sim_processes_options()->setup.per_second = 0;
    sim_processes_options()->worker_one_in = 1;
    run->disk_well_ns = 1;
    for (uint32_t i = 0; i < machine_count(run); i++) {
        run->up_ns[i] = run->up_ns[i] == 0 ? 0 : 1;
        for (uint32_t j = 0; j < machine_count(run); j++)
            run->cut_until_ns[i][j] = run->cut_until_ns[i][j] == 0 ? 0 : 1;
    }
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        if (sim_process_at(i) != NULL)
            sim_process_at(i)->paused_until_ns = 0;
    }
    for (uint32_t i = 0; i < 2; i++)
        run->job_managers[i].at_ns = 0;
    for (uint32_t i = 0; i < 3; i++)
        run->task_managers[i].at_ns = 0;
}

static void look_at_events(struct run *run)
{
    while (!sim_is_wrong(run->result) && event_ns(run) <= os_monotonic_ns()) {
        if (run->next_event == run->trouble.event_count) {
            heal(run);
            return;
        }
        uint32_t index = run->next_event;
        if ((sim_events >> index & 1) != 0)
            begin_event(run, &run->trouble.events[index]);
        run->next_event++;
    }
}

/* -- steps ---------------------------------------------------------------------------------------- */

/* By chance, one with more to do more often. */
static struct sim_process *draw_process(struct run *run, uint32_t *total)
{
    uint32_t units[SIM_OBSERVER];
    *total = 0;
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        const struct sim_process *it = sim_process_at(i);
        units[i] = it != NULL && sim_process_runs(it) ? sim_process_unit_count(it) : 0;
        *total += units[i];
    }
    if (*total == 0)
        return NULL;
    uint32_t left = random_below(&run->random, *total), i = 0;
    for (; left >= units[i]; i++)
        left -= units[i];
    return sim_process_at(i);
}

static bool step_everybody(struct run *run)
{
    bool has_worked = false;
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        struct sim_process *it = sim_process_at(i);
        if (it != NULL && sim_process_runs(it))
            has_worked = sim_process_step_all(it, &run->random) || has_worked;
    }
    return has_worked;
}

static int64_t next_of_machines(const struct run *run)
{
    int64_t at_ns = run->disk_well_ns == 0 ? INT64_MAX : run->disk_well_ns;
    for (uint32_t i = 0; i < machine_count(run); i++) {
        at_ns = os_earlier(at_ns, run->up_ns[i] == 0 ? INT64_MAX : run->up_ns[i]);
        for (uint32_t j = 0; j < machine_count(run); j++)
            at_ns = os_earlier(at_ns,
                run->cut_until_ns[i][j] == 0 ? INT64_MAX : run->cut_until_ns[i][j]);
    }
    for (uint32_t i = 0; i < 2; i++)
        at_ns = os_earlier(at_ns,
            run->job_managers[i].is_wanted ? run->job_managers[i].at_ns : INT64_MAX);
    for (uint32_t i = 0; i < 3; i++)
        at_ns = os_earlier(at_ns,
            run->task_managers[i].is_wanted ? run->task_managers[i].at_ns : INT64_MAX);
    return at_ns;
}

/* Nobody has anything to do: the clock goes to what is due next. */
static void skip_time(const struct run *run)
{
    int64_t now_ns = os_monotonic_ns();
    int64_t at_ns =
        os_earlier(os_earlier(event_ns(run), sim_net_deadline_ns()), next_of_machines(run));
    for (uint32_t i = 0; i < sim_processes_end(); i++) {
        const struct sim_process *it = sim_process_at(i);
        if (it == NULL || it->is_killed || it->is_running)
            continue;
        int64_t deadline_ms = sim_process_runs(it) ? sim_process_deadline_ms(it) : INT64_MAX;
        if (deadline_ms < INT64_MAX / 1000000)
            at_ns = os_earlier(at_ns, deadline_ms * 1000000);
        if (it->paused_until_ns > now_ns)
            at_ns = os_earlier(at_ns, it->paused_until_ns);
    }
    int64_t left_ns = at_ns == INT64_MAX ? 1000000 : at_ns - now_ns;
    left_ns = left_ns < 100000 ? 100000 : left_ns;
    sim_os_advance_ns(left_ns < IDLE_MS_MAX * 1000000 ? left_ns : IDLE_MS_MAX * 1000000);
}

static void step(struct run *run)
{
    uint32_t units;
    run->result->counts.steps++;
    sim_os_advance_ns((int64_t)(random_next(&run->random) % (uint64_t)(run->trouble.tick_ns + 1)));
    sim_net_deliver();
    look_at_events(run);
    look_at_machines(run);
    struct sim_process *it = draw_process(run, &units);
    run->idle_steps = it != NULL && sim_process_step(it, &run->random) ? 0 : run->idle_steps + 1;
    look_at_due(run);
    sim_processes_reap();
    if (run->idle_steps > 2 * units) {
        run->idle_steps = 0;
        if (!step_everybody(run))
            skip_time(run);
        look_at_due(run);
        sim_processes_reap();
    }
    if (run->result->counts.steps % WATCH_STEPS == 0)
        watch(run);
    if (run->result->counts.steps % CHECK_STEPS == 0)
        check_output(run, false);
}

/* -- a run ---------------------------------------------------------------------------------------- */

static void begin(struct run *run, uint64_t seed)
{
    static const char *const hosts[] = { "jm0", "jm1", "tm0", "tm1", "tm2" };
    struct sim_trouble *trouble = &run->trouble;
    sim_trouble_draw(trouble, seed);
    run->random = (struct random){ .state = sim_mutant_chance(seed) };
    run->oracle = sim_oracle_new(&trouble->shape);
    run->client = sim_client_new(&(struct sim_client_options){ .trouble = trouble,
        .counts = &run->result->counts,
        .say = say_for_client,
        .arg = run });
    if (run->result->is_verbose)
        sim_trouble_print(trouble, sim_events);
    sim_os_start(seed);
    sim_net_start(&trouble->net);
    trouble->processes.shape = &trouble->shape;
    sim_processes_start(&trouble->processes);
    sim_os_run_as(SIM_OBSERVER);
    weir_error *error = os_make_dirs_durable(SIM_OUTPUT_DIR);
    if (error == NULL)
        error = os_make_dirs_durable(SIM_SHARED_DIR);
    ASSERT(error == NULL);
    sim_files_make_input(&trouble->shape, SIM_INPUT_DIR);
    sim_os_lie_about_sync(sim_mutant == SIM_LOST_SYNC);
    for (uint32_t i = 0; i < trouble->job_manager_count; i++)
        sim_net_add_machine(hosts[i]);
    for (uint32_t i = 0; i < trouble->task_manager_count; i++)
        sim_net_add_machine(hosts[2 + i]);
    sim_os_on_disk_call(on_disk_call, run);
    sim_connection_on_send(on_send, run);
    run->result->start_ns = os_monotonic_ns();
}

/* When the job is over nobody has any use for its workers: whoever leads ends them, wherever they are. */
static void wait_for_workers(struct run *run)
{
    if (!run->is_healed)
        heal(run);
    int64_t until_ns = later_ns(LEFT_MS + run->trouble.processes.orphan_ms);
    while (
        !sim_is_wrong(run->result) && choose(0, SIM_WORKER) != NULL && os_monotonic_ns() < until_ns)
        step(run);
    const struct sim_process *left = choose(0, SIM_WORKER);
    if (left != NULL)
        sim_wrong(run->result, "the job is over, and %s is still there", sim_process_name(left));
}

static void end(struct run *run)
{
    struct sim_result *result = run->result;
    sim_os_on_disk_call(NULL, NULL);
    sim_connection_on_send(NULL, NULL);
    sim_processes_stop();
    sim_os_power_loss();
    check_output(run, false);
    sim_net_stop();
    struct sim_os_stats stats = sim_os_stats();
    result->counts.calls = stats.calls;
    result->counts.syncs = stats.syncs;
    result->counts.faults = stats.faults;
    result->counts.rows = run->found;
    result->counts.workers = sim_processes_ended();
    result->trace = sim_os_trace();
    sim_os_stop();
}

/* An attempt that began before all was healed reads as slowly as before, up to a record more with each source, and takes
 * checkpoints meanwhile: as many steps more as there are in that time. */
static uint64_t healed_steps_max(const struct run *run)
{
    const struct sim_trouble *trouble = &run->trouble;
    const struct sim_shape *shape = &trouble->shape;
    uint64_t per_second = trouble->processes.setup.per_second, slow_ms = 0;
    if (per_second > 0)
        slow_ms = (shape->generated_count + PARALLELISM_MAX) * 1000 / per_second;
    return HEALED_STEPS_MAX + shape->count * STEPS_PER_RECORD +
           slow_ms * 2000000 / (uint64_t)(trouble->tick_ns + 1);
}

void sim_cluster_run(uint64_t seed, bool is_verbose, struct sim_result *result)
{
    struct run *run = mem_alloc(sizeof(*run));
    *result = (struct sim_result){ .is_verbose = is_verbose };
    run->result = result;
    begin(run, seed);
    while (!sim_is_wrong(run->result) && !run->is_healed && !is_finished(run))
        step(run);
    uint64_t steps_max = healed_steps_max(run), limit = run->result->counts.steps + steps_max;
    while (!sim_is_wrong(run->result) && !is_finished(run) && run->result->counts.steps < limit)
        step(run);
    if (!sim_is_wrong(run->result) && !is_finished(run))
        sim_wrong(run->result,
            "the end was not reached within %" PRIu64 " steps after the last fault", steps_max);
    if (!sim_is_wrong(run->result))
        wait_for_workers(run);
    if (!sim_is_wrong(run->result))
        end(run);
    sim_client_free(run->client);
    sim_oracle_free(run->oracle);
    mem_free(run);
}
