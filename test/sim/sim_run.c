/* sim_run.c -- see sim_run.h. */
#include "test/sim/sim_run.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/task/task_private.h"
#include "test/sim/sim_cache.h"
#include "test/sim/sim_files.h"
#include "test/sim/sim_mutant.h"
#include "test/sim/sim_oracle.h"
#include "test/sim/sim_os.h"
#include "test/sim/sim_outside.h"
#include "test/sim/sim_scenario.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEALED_STEPS_MAX UINT64_C(100000)
#define STEPS_PER_RECORD 50
#define STOP_STEPS_MAX   UINT64_C(20000)
#define IDLE_STEPS_MAX   64u /* then the clock jumps to what is due next */
#define JUMP_MAX_MS      20000

#define INTERLEAVE_ONE_IN    10u
#define INTERLEAVE_STEPS_MAX 100u

uint64_t sim_events = UINT64_MAX;
enum log_level sim_log_level = LOG_ERROR;

/* A process that runs the engine. */
struct node {
    const struct sim_life *life;
    uint32_t process;
    weir_job *job;
    struct local *local;
    bool is_over, has_stopped, was_frozen;
    bool is_partial;   /* one region restarts just now */
    weir_error *error; /* why it is over */
    uint32_t idle_steps;
    uint64_t completed_before;
};

struct run {
    struct sim_scenario scenario;
    struct sim_oracle *oracle;
    struct random random;
    struct node node, zombie;
    bool has_zombie, is_finished;
    uint64_t found;         /* rows, at the last check */
    uint64_t durable_found; /* that nothing may take back */
    uint32_t last_parallelism;
    uint32_t next_life;
    struct node frozen; /* a copy, while its successor lives in the middle of its call */
    bool has_frozen, is_interleaving;
    struct sim_result *result;
};

/* -- a process ------------------------------------------------------------------------------------ */

static void run_life(struct run *run);
static void freeze(void *arg);

static void arm(struct run *run, const struct sim_life *life)
{
    sim_os_freeze_at(life->freeze_call, freeze, run);
    sim_os_kill_at(life->kill_call);
    sim_os_fail_at(life->fail_call, life->fail_error);
    sim_os_short_write_at(life->short_call);
    sim_os_fail_one_in(life->fail_one_in, life->fail_random_error);
    if (sim_outside != NULL)
        sim_outside->arm(life);
    if (life->fault[0] != '\0')
        setenv("WEIR_FAULT", life->fault, 1);
    else
        unsetenv("WEIR_FAULT");
    weir_error *error = fault_init();
    ASSERT(error == NULL);
}

static void disarm(struct run *run)
{
    arm(run, &(struct sim_life){ .step_max = 0 });
}

static void node_open(struct run *run, const struct sim_life *life, uint32_t process)
{
    struct node *node = &run->node;
    struct local *local = NULL;
    *node = (struct node){ .life = life, .process = process };
    sim_os_run_as(process);
    arm(run, life);
    struct local_options options = life->options;
    options.plan = sim_job_plan(&run->scenario.shape, &life->setup, &node->job);
    weir_error *error = local_open(&options, &local); /* in which it may be frozen */
    node->local = local;
    node->error = error;
    node->is_over = error != NULL;
}

/* Frees the process, which was killed before or has come to its end. */
static void node_close(struct run *run, struct node *node)
{
    sim_os_run_as(node->process);
    if (node->local != NULL) {
        const struct jobmanager_stats *stats = local_stats(node->local);
        run->result->counts.checkpoints += stats->completed;
        run->result->counts.failed_checkpoints += stats->failed;
        run->result->counts.unaligned += stats->unaligned;
        run->result->counts.restarts += stats->restarts;
        run->result->counts.resumes += stats->last_checkpoint > 0 && stats->completed == 0;
    }
    local_close(node->local);
    job_free(node->job);
    weir_error_free(node->error);
    if (sim_os_open_files(node->process) > 0)
        sim_wrong(run->result, "%u files were left open", sim_os_open_files(node->process));
    *node = (struct node){ .local = NULL };
}

static void node_kill(struct run *run, struct node *node)
{
    uint32_t process = node->process;
    sim_os_kill(process);
    node_close(run, node);
    if (!sim_is_wrong(run->result))
        sim_os_reap(process);
}

/* -- steps ---------------------------------------------------------------------------------------- */

/* Planted: whoever holds back an input for a barrier lets it go. */
static void skip_barriers(const struct node *node)
{
    for (uint32_t i = 0; i < local_plan(node->local)->subtask_count; i++) {
        const struct task *task = taskmanager_task(local_tasks(node->local), i);
        if (task != NULL && task->gate != NULL)
            gate_unblock_all(task->gate);
    }
}

static bool step_control(struct node *node)
{
    if (local_step(node->local))
        return local_deadline_ms(node->local) <= os_monotonic_ns() / 1000000;
    node->is_over = true;
    node->error = local_error(node->local);
    return true;
}

/* One step of something; true: it did something. */
static bool step_one(struct run *run, struct node *node)
{
    const struct sim_life *life = node->life;
    uint32_t slots = local_slot_count(node->local);
    uint32_t total = life->control_weight + life->worker_weight + life->slot_weight * slots;
    uint32_t choice = random_below(&run->random, total);
    sim_os_mix(choice);
    if (choice < life->control_weight)
        return step_control(node);
    choice -= life->control_weight;
    if (choice < life->worker_weight)
        return local_worker_step(node->local);
    bool has_worked =
        local_slot_round(node->local, (choice - life->worker_weight) / life->slot_weight);
    if (sim_mutant == SIM_SKIP_BARRIER)
        skip_barriers(node);
    return has_worked;
}

/* Everybody once; true: somebody had something to do, so nobody is asleep yet. */
static bool step_all(struct node *node)
{
    bool has_worked = step_control(node);
    for (uint32_t s = 0; !node->is_over && s < local_slot_count(node->local); s++)
        has_worked = local_slot_round(node->local, s) || has_worked;
    return has_worked || node->is_over || local_worker_step(node->local);
}

/* The clock goes to what is due next. */
static void skip_time(const struct node *node)
{
    int64_t now_ms = os_monotonic_ns() / 1000000;
    int64_t left_ms = os_left_ms(local_deadline_ms(node->local), now_ms);
    for (uint32_t s = 0; s < local_slot_count(node->local); s++) {
        int64_t deadline_ms = local_slot_deadline_ms(node->local, s);
        left_ms = os_earlier(os_left_ms(deadline_ms, os_wall_ms()), left_ms);
    }
    if (left_ms > 0 && left_ms < 3600000)
        sim_os_advance_ns(left_ms * 1000000);
}

static void move_clock(struct run *run, const struct sim_life *life)
{
    sim_os_advance_ns((int64_t)(random_next(&run->random) % (uint64_t)(life->tick_ns + 1)));
    if (sim_outside != NULL)
        sim_outside->tick();
    if (life->jump_one_in > 0 && random_one_in(&run->random, life->jump_one_in))
        sim_os_jump_wall_ms((int64_t)random_below(&run->random, 2 * JUMP_MAX_MS) - JUMP_MAX_MS);
}

/* Some tasks restart while others are there. */
static void look_at_regions(struct run *run, struct node *node)
{
    if (node->is_over)
        return;
    bool is_partial = local_stats(node->local)->state == EXECUTION_RESTARTING &&
                      local_slot_count(node->local) > 0;
    run->result->counts.region_restarts += is_partial && !node->is_partial;
    node->is_partial = is_partial;
}

static void node_step(struct run *run, struct node *node)
{
    sim_os_run_as(node->process);
    run->result->counts.steps++;
    move_clock(run, node->life);
    node->idle_steps = step_one(run, node) ? 0 : node->idle_steps + 1;
    look_at_regions(run, node);
    if (node->idle_steps < IDLE_STEPS_MAX || node->is_over)
        return;
    node->idle_steps = 0;
    if (!step_all(node))
        skip_time(node);
}

/* -- checks --------------------------------------------------------------------------------------- */

static void check_output(struct run *run, bool may_have_lost)
{
    sim_os_run_as(SIM_OBSERVER);
    const char *text = sim_outside != NULL
                           ? sim_outside->check(run->oracle, run->is_finished)
                           : sim_oracle_check(run->oracle, SIM_OUTPUT_DIR, run->is_finished);
    uint64_t found = sim_oracle_found(run->oracle);
    if (text != NULL)
        sim_say(run->result, "%s", text);
    if (text != NULL)
        sim_wrong(run->result, "%s", text);
    else if (found < (may_have_lost && sim_outside == NULL ? run->durable_found : run->found))
        sim_wrong(run->result, "%" PRIu64 " rows are published, it were %" PRIu64 " before", found,
            run->found);
    run->found = found;
    sim_say(run->result, "%" PRIu64 " rows are published", found);
}

static int64_t counter(const struct run *run, const char *uid, const char *name)
{
    const struct report *report = taskmanager_report(local_tasks(run->node.local));
    for (uint32_t i = 0; i < report->counter_count; i++)
        if (strcmp(report->counters[i].uid, uid) == 0 &&
            strcmp(report->counters[i].name, name) == 0)
            return report->counters[i].value;
    return -1;
}

/* Counters are exact, whatever has happened. */
static void check_counters(struct run *run)
{
    bool is_twice = run->scenario.shape.has_two_regions;
    int64_t booked = counter(run, "ledger", "booked");
    if (is_twice)
        booked += counter(run, "second_ledger", "booked");
    if (booked != (int64_t)sim_oracle_booked(run->oracle))
        sim_wrong(run->result, "the counter says %" PRId64 " booked, expected %" PRIu64, booked,
            sim_oracle_booked(run->oracle));
    int64_t read = report_events_in(taskmanager_report(local_tasks(run->node.local)));
    uint64_t expected = run->scenario.shape.count * (is_twice ? 2 : 1);
    if (read != (int64_t)expected)
        sim_wrong(run->result, "the counters say %" PRId64 " records read, expected %" PRIu64, read,
            expected);
}

/* The job has come to an end by itself. */
static void on_over(struct run *run, struct node *node)
{
    struct sim_counts *counts = &run->result->counts;
    if (node->error == NULL && !node->has_stopped) {
        run->is_finished = true;
        counts->finished++;
        check_counters(run);
        sim_say(run->result, "process %u: the job is finished", node->process);
        return;
    }
    if (node->error == NULL) {
        counts->stops++;
        sim_say(run->result, "process %u: the job has stopped", node->process);
        return;
    }
    sim_say(run->result, "process %u: the job failed: %s", node->process,
        weir_error_message(node->error));
    counts->failures++;
    bool is_fenced = weir_error_code(node->error) == WEIR_E_FENCED;
    if (sim_outside != NULL && weir_error_code(node->error) == WEIR_E_STATE) {
        sim_wrong(run->result, "the job cannot go on: %s", weir_error_message(node->error));
        return;
    }
    if (node->was_frozen) {
        counts->fenced += is_fenced;
        return;
    }
    if (is_fenced || !(sim_life_is_faulty(node->life) || node->has_stopped))
        sim_wrong(run->result, "the job failed: %s", weir_error_message(node->error));
}

/* -- zombies -------------------------------------------------------------------------------------- */

static void bury_zombie(struct run *run)
{
    if (!run->has_zombie)
        return;
    run->has_zombie = false;
    node_kill(run, &run->zombie);
}

static bool is_at_end(const struct node *node)
{
    return node->is_over || sim_os_is_dead(node->process);
}

/* It may do what it likes, as long as nobody sees it. */
static void step_zombie(struct run *run)
{
    node_step(run, &run->zombie);
    if (!is_at_end(&run->zombie))
        return;
    if (run->zombie.error != NULL) {
        sim_say(run->result, "the zombie failed: %s", weir_error_message(run->zombie.error));
        run->result->counts.fenced += weir_error_code(run->zombie.error) == WEIR_E_FENCED;
    }
    bury_zombie(run);
}

/* In the middle of a call of the one, the other one gets some turns: what a zombie sends falls between what
 * its successor sends, and the other way round. */
static void interleave(void *arg)
{
    struct run *run = arg;
    uint32_t process = sim_os_process();
    bool is_zombie = run->has_zombie && process == run->zombie.process;
    if (!run->has_zombie || run->is_interleaving || sim_os_is_dead(process) ||
        !random_one_in(&run->random, INTERLEAVE_ONE_IN))
        return;
    run->is_interleaving = true;
    for (uint32_t i = random_below(&run->random, INTERLEAVE_STEPS_MAX); i > 0; i--) {
        if (!run->has_zombie || run->node.local == NULL || is_at_end(&run->node))
            break;
        if (is_zombie)
            node_step(run, &run->node);
        else
            step_zombie(run);
    }
    run->is_interleaving = false;
    run->result->counts.interleaved++;
}

static void make_zombie(struct run *run)
{
    bury_zombie(run);
    run->zombie = run->node;
    run->has_zombie = true;
    run->node = (struct node){ .local = NULL };
    run->result->counts.zombies++;
}

/* Who waits for whom, when nothing moves any more. */
static void print_tasks(const struct run *run)
{
    static const char *const states[] = { "created", "running", "stopped", "ending", "ended",
        "failed" };
    static const char *const results[] = { "worked", "idle", "no room" };
    const struct node *node = &run->node;
    const struct plan *plan = local_plan(node->local);
    for (uint32_t i = 0; run->result->is_verbose && i < plan->subtask_count; i++) {
        const struct task *task = taskmanager_task(local_tasks(node->local), i);
        if (task == NULL)
            continue;
        printf("    %s (%u/%u): %s, %s, aligning %" PRIu64 " (%u of %u), last %" PRIu64
               ", %u ended, unpublished %u\n",
            task->vertex->name, task->subtask + 1, task->vertex->parallelism, states[task->state],
            results[task->last_result], task->barrier.aligning, task->barrier.arrived_count,
            task->barrier.channel_count, task->barrier.last, task->ended_count,
            chain_unpublished((struct chain *)(uintptr_t)&task->chain));
    }
}

/* -- lives ---------------------------------------------------------------------------------------- */

/* False: the process is dead, or at its end, or has had its steps. */
static bool live(struct run *run, uint64_t step_max)
{
    struct node *node = &run->node; /* when it was frozen meanwhile, it is there again */
    for (uint64_t i = 0; i < step_max && !sim_is_wrong(run->result); i++) {
        if (run->has_zombie && random_one_in(&run->random, 4))
            step_zombie(run);
        if (!is_at_end(node))
            node_step(run, node);
        if (is_at_end(node))
            return false;
    }
    return true;
}

static void count_start(struct run *run, const struct node *node)
{
    struct sim_counts *counts = &run->result->counts;
    counts->lives++;
    counts->refused_starts += node->local == NULL && !sim_os_is_dead(node->process);
    counts->rescales +=
        run->last_parallelism != 0 && run->last_parallelism != node->life->setup.parallelism;
    run->last_parallelism = node->life->setup.parallelism;
}

static void count_death(struct run *run, const struct node *node)
{
    struct sim_counts *counts = &run->result->counts;
    counts->kills++;
    counts->kills_in_a_call += sim_os_is_dead(node->process);
    counts->kills_in_recovery +=
        node->local == NULL || local_stats(node->local)->state == EXECUTION_CREATED;
}

static void power_fails(struct run *run)
{
    bury_zombie(run);
    sim_os_power_loss();
    run->result->counts.power_losses++;
    sim_say(run->result, "the power fails");
}

/* From here on nothing fails. What has failed before must not hold the job up for ever. */
static void heal(struct run *run)
{
    uint64_t step_max = HEALED_STEPS_MAX + run->scenario.shape.count * STEPS_PER_RECORD;
    sim_say(run->result, "heal");
    disarm(run);
    if (!live(run, step_max) || sim_is_wrong(run->result))
        return;
    print_tasks(run);
    sim_wrong(run->result, "the end was not reached within %" PRIu64 " steps after the last fault",
        step_max);
}

static void stop(struct run *run)
{
    sim_os_run_as(run->node.process);
    sim_say(run->result, "stop");
    run->node.has_stopped = true;
    local_stop(run->node.local);
    live(run, STOP_STEPS_MAX);
}

/* What was promised to be out when the process ended in good order can never be lost. */
static void end_well(struct run *run)
{
    const struct node *node = &run->node;
    bool is_well = node->error == NULL && local_stats(node->local)->completed > 0;
    on_over(run, &run->node);
    node_close(run, &run->node);
    check_output(run, false);
    if (is_well)
        run->durable_found = run->found;
}

static void end_life(struct run *run)
{
    struct node *node = &run->node;
    bool is_dead = sim_os_is_dead(node->process);
    bool fails =
        !run->has_frozen && (node->life->end == SIM_END_POWER || node->life->end == SIM_END_HEAL);
    disarm(run);
    if (node->is_over && !is_dead) {
        end_well(run);
    } else if (node->life->end == SIM_END_ZOMBIE && !is_dead && !run->has_frozen) {
        make_zombie(run);
    } else {
        count_death(run, node);
        sim_say(run->result, "process %u dies%s", node->process, is_dead ? " in a call" : "");
        node_kill(run, node);
    }
    if (fails && !sim_is_wrong(run->result))
        power_fails(run);
    if (!sim_is_wrong(run->result))
        check_output(run, fails);
}

/* A number that neither a zombie nor a frozen process has. */
static uint32_t free_process(const struct run *run)
{
    uint32_t process = run->next_life % 2;
    while ((run->has_zombie && run->zombie.process == process) ||
           (run->has_frozen && run->frozen.process == process))
        process = (process + 1) % SIM_OBSERVER;
    return process;
}

/* The process is stopped where it is, and its successor lives a whole life meanwhile. Then it goes on,
 * and knows nothing. */
static void freeze(void *arg)
{
    struct run *run = arg;
    bool is_other = sim_os_process() != run->node.process; /* a zombie */
    if (is_other || run->has_frozen || run->is_interleaving ||
        run->next_life == run->scenario.life_count)
        return;
    bury_zombie(run);
    sim_say(run->result, "process %u is frozen", run->node.process);
    run->frozen = run->node;
    run->has_frozen = true;
    run->node = (struct node){ .local = NULL };
    run_life(run);
    run->node = run->frozen;
    run->has_frozen = false;
    run->node.was_frozen = true;
    run->result->counts.freezes++;
    sim_say(run->result, "process %u goes on", run->node.process);
}

static void run_life(struct run *run)
{
    const struct sim_life *life = &run->scenario.lives[run->next_life];
    sim_say(run->result, "life %u", run->next_life);
    uint32_t process = free_process(run);
    run->next_life++;
    sim_os_advance_ns(life->down_ms * 1000000);
    node_open(run, life, process);
    count_start(run, &run->node);
    if (run->node.local != NULL) {
        bool goes_on = live(run, life->step_max);
        if (goes_on && life->end == SIM_END_HEAL)
            heal(run);
        if (goes_on && life->end == SIM_END_STOP)
            stop(run);
    }
    end_life(run);
}

static void begin(struct run *run, uint64_t seed)
{
    run->random = (struct random){ .state = sim_mutant_chance(seed) };
    run->oracle = sim_oracle_new(&run->scenario.shape);
    if (run->result->is_verbose)
        sim_scenario_print(&run->scenario);
    sim_os_start(seed);
    sim_cache_start();
    sim_os_run_as(SIM_OBSERVER);
    weir_error *error = os_make_dirs(SIM_OUTPUT_DIR);
    ASSERT(error == NULL);
    sim_files_make_input(&run->scenario.shape, SIM_INPUT_DIR);
    if (sim_outside != NULL)
        sim_outside->start(&run->scenario);
    sim_os_lie_about_sync(sim_mutant == SIM_LOST_SYNC);
    sim_os_on_call(interleave, run);
}

void sim_run(uint64_t seed, bool is_verbose, struct sim_result *result)
{
    struct sim_scenario scenario = { .life_count = 0 };
    sim_scenario_draw(&scenario, seed);
    sim_run_scenario(&scenario, seed, is_verbose, result);
}

/* What others have counted. */
static void count_all(const struct run *run, struct sim_counts *counts)
{
    struct sim_os_stats stats = sim_os_stats();
    counts->calls = stats.calls;
    counts->syncs = stats.syncs;
    counts->faults = stats.faults;
    counts->rows = run->found;
    counts->cached = sim_cache_counts.opened > 0;
    counts->caches = sim_cache_counts.opened;
    counts->segments = sim_cache_counts.segments;
    counts->stored_rows = sim_cache_counts.written;
    counts->returned_rows = sim_cache_counts.returned;
    counts->bases = sim_cache_counts.bases;
    counts->failed_stores = sim_cache_counts.failed;
}

void sim_run_scenario(const struct sim_scenario *scenario, uint64_t seed, bool is_verbose,
    struct sim_result *result)
{
    struct run *run = mem_alloc(sizeof(*run));
    *result = (struct sim_result){ .is_verbose = is_verbose };
    run->scenario = *scenario;
    run->result = result;
    begin(run, seed);
    while (run->next_life < run->scenario.life_count && !sim_is_wrong(run->result))
        run_life(run);
    if (!sim_is_wrong(run->result) && !run->is_finished)
        sim_wrong(run->result, "the job did not finish");
    bury_zombie(run);
    if (run->node.job != NULL)
        node_kill(run, &run->node);
    count_all(run, &result->counts);
    result->trace = sim_os_trace();
    if (sim_outside != NULL)
        sim_outside->stop(result->counts.outside);
    if (!sim_is_wrong(run->result))
        sim_os_stop();
    sim_oracle_free(run->oracle);
    mem_free(run);
}

bool sim_is_wrong(const struct sim_result *result)
{
    return result->wrong[0] != '\0';
}

void sim_wrong(struct sim_result *result, const char *format, ...)
{
    if (sim_is_wrong(result))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->wrong, sizeof(result->wrong), format, arguments);
    va_end(arguments);
}

void sim_say(const struct sim_result *result, const char *format, ...)
{
    if (!result->is_verbose)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("  %9.3f s, step %" PRIu64 ", call %" PRIu64 ": ",
        (double)(os_monotonic_ns() - result->start_ns) / 1e9, result->counts.steps,
        sim_os_stats().calls);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
}

void sim_counts_add(struct sim_counts *total, const struct sim_counts *counts)
{
    uint64_t *to = (uint64_t *)total;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof(*total) / sizeof(uint64_t); i++)
        to[i] += from[i];
}
