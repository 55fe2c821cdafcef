/* sim_client.c -- see sim_client.h. */
#include "test/sim/sim_client.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SUBMIT_PAUSE_MS 200
#define RETRY_PAUSE_MS  300
#define JOBS_MAX        256u
#define REQUESTS_MAX    64u
#define ARGUMENTS_MAX   40u
#define FAILURES_MAX    64u
#define PATH_SIZE       256u

/* A job, as the client knows it. */
struct known_job {
    char id[DISPATCHER_ID_SIZE];
    enum job_state state; /* the last that was told for certain */
    bool is_asked_to_end; /* by a stop or a cancel */
    bool is_after_heal;   /* it was submitted then */
    uint64_t epoch;       /* of the leader whose history of it was seen last */
    uint64_t completed;   /* checkpoints, in that history */
};

/* Something that somebody waits for. */
struct request {
    struct sim_trouble_event event;
    char job[DISPATCHER_ID_SIZE], operation[DISPATCHER_ID_SIZE];
    bool is_open,
        was_accepted; /* by a leader that may have gone since: then it is asked for until the job is over */
    int64_t again_ns; /* when a leader does not know it: not before */
};

struct sim_client {
    struct sim_client_options options;
    bool is_faulty, is_healed, is_finished;
    bool
        has_doubt; /* a submission that was refused may be stored all the same, and be found by the next leader */
    struct known_job jobs[JOBS_MAX];
    uint32_t job_count, failure_count;
    struct request requests[REQUESTS_MAX];
    uint32_t request_count;
    int64_t next_submit_ns;
    uint32_t directory; /* of checkpoints: how many starts from savepoints there were before */
    char start_from[PATH_SIZE];               /* the savepoint of the last stop; empty: none */
    char savepoints[REQUESTS_MAX][PATH_SIZE]; /* confirmed */
    uint32_t savepoint_count;
    char wrong[512];
};

static void wrong(struct sim_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void wrong(struct sim_client *client, const char *format, ...)
{
    if (client->wrong[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->wrong, sizeof(client->wrong), format, arguments);
    va_end(arguments);
}

static void say(const struct sim_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct sim_client *client, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    client->options.say(client->options.arg, text);
}

static int64_t later_ns(int64_t ms)
{
    return os_monotonic_ns() + ms * 1000000;
}

/* -- calls of a leader ---------------------------------------------------------------------------- */

static void enter(struct sim_process *leader)
{
    sim_os_run_as(leader->number);
    leader->is_running = true;
}

static void leave(struct sim_process *leader)
{
    leader->is_running = false;
}

/* Whether what it says counts. */
static bool is_certain(struct sim_process *leader)
{
    enter(leader);
    weir_error *error = election_check(leader->election);
    leave(leader);
    bool is_it = error == NULL && !sim_os_is_dead(leader->number);
    weir_error_free(error);
    return is_it;
}

/* -- what is known of jobs ------------------------------------------------------------------------ */

static struct known_job *find_known(struct sim_client *client, const char *id)
{
    for (uint32_t i = 0; i < client->job_count; i++) {
        if (strcmp(client->jobs[i].id, id) == 0)
            return &client->jobs[i];
    }
    return NULL;
}

static struct known_job *know(struct sim_client *client, const char *id)
{
    struct known_job *it = find_known(client, id);
    if (it != NULL)
        return it;
    ASSERT(client->job_count < JOBS_MAX);
    it = &client->jobs[client->job_count++];
    memcpy(it->id, id, DISPATCHER_ID_SIZE);
    return it;
}

/* Faults are a reason to fail at the start, which may be a mistake of the person; what has run goes on. With a second
 * job in the same directory, of a submission that was refused, one of the two has to fail. */
static void look_at_failure(struct sim_client *client, const struct job *job,
    const struct known_job *known)
{
    const char *why = job->error == NULL ? "" : weir_error_message(job->error);
    bool is_fenced = job->error != NULL && weir_error_code(job->error) == WEIR_E_FENCED;
    client->options.counts->failures++;
    client->options.counts->fenced += is_fenced;
    client->failure_count++;
    say(client, "job %s failed: %s", job->id, why);
    bool must_go_on =
        known->is_after_heal || (job->entered_ms[JOB_RUNNING] > 0 && !known->is_asked_to_end);
    if (!client->is_faulty || client->failure_count == FAILURES_MAX ||
        (must_go_on && !client->has_doubt))
        wrong(client, "the job failed: %s", why);
}

static void look_at_end(struct sim_client *client, const struct job *job, struct known_job *known)
{
    known->state = job->state;
    say(client, "job %s is %s", job->id, job_state_name(job->state));
    if (job->state == JOB_FAILED)
        look_at_failure(client, job, known);
    if (job->state != JOB_FINISHED || known->is_asked_to_end || client->is_finished)
        return;
    client->is_finished = true;
    client->options.counts->finished++;
}

/* A history begins with each leader and each plan. What completes between the last look at a leader and its end is not
 * counted. */
static void count_checkpoints(struct sim_client *client, const struct sim_process *leader,
    const struct job *job, struct known_job *known)
{
    uint64_t epoch = leader_epoch(leader->leader), completed = job->history.completed_count;
    bool is_another = known->epoch != epoch || completed < known->completed;
    client->options.counts->checkpoints += completed - (is_another ? 0 : known->completed);
    known->epoch = epoch;
    known->completed = completed;
}

/* True: it is not over. */
static bool look_at_job(struct sim_client *client, struct sim_process *leader,
    const struct job *job)
{
    struct known_job *known = know(client, job->id);
    bool is_over = job_state_is_terminal(job->state),
         was_over = job_state_is_terminal(known->state);
    count_checkpoints(client, leader, job, known);
    if (is_over == was_over && (!is_over || job->state == known->state))
        return !is_over;
    char id[DISPATCHER_ID_SIZE];
    enum job_state state = job->state;
    memcpy(id, job->id, sizeof(id));
    if (!is_certain(leader))
        return !is_over;
    if (was_over)
        wrong(client, "job %s was %s, and is %s again", id, job_state_name(known->state),
            job_state_name(state));
    else
        look_at_end(client, job, known);
    return !is_over;
}

/* -- slots ---------------------------------------------------------------------------------------- */

static uint32_t slots_given(const struct dispatcher *dispatcher, const struct task_manager *from)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < dispatcher_job_count(dispatcher); i++) {
        const struct gateway *gateway = dispatcher_job(dispatcher, i)->gateway;
        for (uint32_t w = 0; gateway != NULL && w < gateway_worker_count(gateway); w++) {
            const struct grant *grant = &gateway_worker(gateway, w)->grant;
            count += grant->from == from ? grant->slot_count : 0;
        }
    }
    return count;
}

static void look_at_slots(struct sim_client *client, const struct dispatcher *dispatcher)
{
    const struct resources *resources = dispatcher_resources(dispatcher);
    for (uint32_t i = 0; i < resources_count(resources); i++) {
        const struct task_manager *it = resources_at(resources, i);
        uint32_t given = slots_given(dispatcher, it);
        if (it->free_count + given != it->slot_count)
            wrong(client, "task manager '%s' has %u slots: %u are free, jobs have %u", it->id,
                it->slot_count, it->free_count, given);
    }
}

/* -- submitting ----------------------------------------------------------------------------------- */

static char *checkpoints_dir(const struct sim_client *client)
{
    return client->directory == 0 ? mem_strdup(SIM_CHECKPOINTS_DIR)
                                  : mem_printf("%s-%u", SIM_CHECKPOINTS_DIR, client->directory);
}

/* As the observer. */
static bool is_file(const char *path)
{
    struct os_stat stat;
    uint32_t process = sim_os_process();
    sim_os_run_as(SIM_OBSERVER);
    weir_error *error = os_stat(path, &stat);
    ASSERT(error == NULL);
    sim_os_run_as(process);
    return stat.exists;
}

/* A job that has come so far goes on from there, not from the savepoint. */
static bool has_checkpoint(const char *root)
{
    char **names;
    uint32_t count = 0, process = sim_os_process();
    char *dir = mem_printf("%s/sim", root);
    bool is_found = false, is_there = is_file(dir);
    sim_os_run_as(SIM_OBSERVER);
    weir_error *error = is_there ? os_list(dir, &names, &count) : NULL;
    ASSERT(error == NULL);
    for (uint32_t i = 0; i < count && !is_found; i++) {
        char *path = mem_printf("%s/%s/_metadata", dir, names[i]);
        is_found = strncmp(names[i], "chk-", 4) == 0 && is_file(path);
        mem_free(path);
    }
    if (is_there)
        os_names_free(names, count);
    mem_free(dir);
    sim_os_run_as(process);
    return is_found;
}

static void submit(struct sim_client *client, struct sim_process *leader)
{
    const struct sim_trouble *trouble = client->options.trouble;
    char numbers[7][32], id[DISPATCHER_ID_SIZE] = "";
    char *checkpoints = checkpoints_dir(client);
    bool is_from_savepoint = client->start_from[0] != '\0' && !has_checkpoint(checkpoints);
    const uint64_t values[7] = { trouble->parallelism, trouble->shape.max_parallelism,
        (uint64_t)trouble->interval_ms, (uint64_t)trouble->min_pause_ms,
        (uint64_t)trouble->buffer_timeout_ms, (uint64_t)trouble->aligned_timeout_ms,
        trouble->batch_size };
    for (uint32_t i = 0; i < 7; i++)
        snprintf(numbers[i], sizeof(numbers[i]), i >= 2 && i <= 5 ? "%" PRIu64 "ms" : "%" PRIu64,
            values[i]);
    const char *arguments[ARGUMENTS_MAX] = { "--job-name", "sim", "--checkpoints", checkpoints,
        "--state-backend", "hashmap", "--restart-delay", "10ms", "--restart-delay-max", "1s",
        "--parallelism", numbers[0], "--max-parallelism", numbers[1], "--checkpoint-interval",
        numbers[2], "--min-pause", numbers[3], "--buffer-timeout", numbers[4],
        "--aligned-checkpoint-timeout", numbers[5], "--batch-size", numbers[6] };
    uint32_t count = 24;
    if (trouble->is_chaining_disabled)
        arguments[count++] = "--no-chaining";
    if (is_from_savepoint) {
        arguments[count++] = "--from-savepoint";
        arguments[count++] = client->start_from;
        client->options.counts->savepoint_starts++;
    }
    enter(leader);
    weir_error *error = sim_process_submit(leader, arguments, count, id);
    leave(leader);
    say(client, "submitted%s%s: %s", is_from_savepoint ? " from " : "",
        is_from_savepoint ? client->start_from : "",
        error == NULL ? id : weir_error_message(error));
    client->options.counts->submissions++;
    client->has_doubt = client->has_doubt || error != NULL;
    if (error == NULL)
        know(client, id)->is_after_heal = client->is_healed;
    weir_error_free(error);
    mem_free(checkpoints);
}

/* -- asking --------------------------------------------------------------------------------------- */

static const struct job *find_job(const struct dispatcher *dispatcher)
{
    for (uint32_t i = 0; i < dispatcher_job_count(dispatcher); i++) {
        const struct job *job = dispatcher_job(dispatcher, i);
        if (!job_state_is_terminal(job->state))
            return job;
    }
    return NULL;
}

static weir_error *call(struct request *request, struct dispatcher *dispatcher)
{
    const struct sim_trouble_event *event = &request->event;
    if (event->kind == SIM_CHECKPOINT)
        return dispatcher_checkpoint(dispatcher, request->job, request->operation);
    if (event->kind == SIM_SAVEPOINT)
        return dispatcher_savepoint(dispatcher, request->job, NULL, event->is_one_way,
            request->operation);
    if (event->kind == SIM_STOP)
        return dispatcher_stop(dispatcher, request->job, NULL, false, request->operation);
    if (event->kind == SIM_RESCALE)
        return dispatcher_rescale(dispatcher, request->job, 1 + event->a % 4, request->operation);
    return dispatcher_cancel(dispatcher, request->job);
}

/* Whoever asks twice asks for the same thing: by its id. */
static void ask(struct sim_client *client, struct sim_process *leader, struct request *request)
{
    enter(leader);
    weir_error *error = call(request, leader_dispatcher(leader->leader));
    leave(leader);
    request->again_ns = later_ns(RETRY_PAUSE_MS);
    request->was_accepted = request->was_accepted || error == NULL;
    if (error == NULL)
        return;
    say(client, "%s is refused: %s", sim_event_kind_name(request->event.kind),
        weir_error_message(error));
    weir_error_free(error);
    request->is_open = request->is_open && request->was_accepted;
}

void sim_client_ask(struct sim_client *client, struct sim_process *leader,
    const struct sim_trouble_event *event)
{
    const struct job *job = find_job(leader_dispatcher(leader->leader));
    struct sim_counts *counts = client->options.counts;
    if (job == NULL || client->request_count == REQUESTS_MAX)
        return;
    struct request *it = &client->requests[client->request_count++];
    *it = (struct request){ .event = *event, .is_open = event->kind != SIM_CANCEL };
    memcpy(it->job, job->id, sizeof(it->job));
    snprintf(it->operation, sizeof(it->operation), "%032x", client->request_count);
    counts->savepoints += event->kind == SIM_SAVEPOINT;
    counts->stops += event->kind == SIM_STOP;
    counts->rescales += event->kind == SIM_RESCALE;
    bool ends = event->kind == SIM_STOP || event->kind == SIM_CANCEL ||
                (event->kind == SIM_SAVEPOINT && event->is_one_way);
    if (ends)
        know(client, it->job)->is_asked_to_end = true;
    ask(client, leader, it);
}

/* -- answers -------------------------------------------------------------------------------------- */

static void check_savepoint(struct sim_client *client, const char *path)
{
    char *metadata = mem_printf("%s/_metadata", path);
    if (!is_file(metadata))
        wrong(client, "the savepoint '%s' was confirmed, and is not there", path);
    mem_free(metadata);
}

void sim_client_check_savepoints(struct sim_client *client)
{
    for (uint32_t i = 0; i < client->savepoint_count; i++)
        check_savepoint(client, client->savepoints[i]);
}

static void take_savepoint(struct sim_client *client, const struct request *request,
    const char *path)
{
    say(client, "the savepoint is '%s'", path);
    check_savepoint(client, path);
    if (client->savepoint_count < REQUESTS_MAX)
        snprintf(client->savepoints[client->savepoint_count++], PATH_SIZE, "%s", path);
    bool is_last = strcmp(client->jobs[client->job_count - 1].id, request->job) == 0;
    if (request->event.kind != SIM_STOP || !client->options.trouble->starts_from_savepoints ||
        client->has_doubt || !is_last)
        return;
    snprintf(client->start_from, PATH_SIZE, "%s", path);
    client->directory++;
}

static void take_answer(struct sim_client *client, struct request *request,
    const struct operation *operation)
{
    bool has_savepoint = request->event.kind == SIM_SAVEPOINT || request->event.kind == SIM_STOP;
    request->is_open = false;
    client->options.counts->answers++;
    if (operation->error != NULL)
        say(client, "%s: %s", sim_event_kind_name(request->event.kind),
            weir_error_message(operation->error));
    else if (has_savepoint && operation->location == NULL)
        wrong(client, "a %s is done, and nobody says where its savepoint is",
            sim_event_kind_name(request->event.kind));
    else if (has_savepoint)
        take_savepoint(client, request, operation->location);
}

static void look_at_request(struct sim_client *client, struct sim_process *leader,
    struct request *request)
{
    const struct dispatcher *dispatcher = leader_dispatcher(leader->leader);
    const struct operation *operation = dispatcher_operation(dispatcher, request->operation);
    const struct job *job = dispatcher_find(dispatcher, request->job);
    bool is_over = job == NULL || job_state_is_terminal(job->state);
    if (operation != NULL && operation->is_done) {
        if (is_certain(leader))
            take_answer(client, request, operation);
    } else if (operation != NULL && is_over) {
        wrong(client, "the job is over, and a %s that was asked for has no answer",
            sim_event_kind_name(request->event.kind));
    } else if (operation == NULL && is_over) {
        request->is_open = false; /* a leader has taken the answer with it */
    } else if (operation == NULL && os_monotonic_ns() >= request->again_ns) {
        client->options.counts->retries++;
        ask(client, leader, request);
    }
}

/* -- looking -------------------------------------------------------------------------------------- */

static bool still_leads(const struct sim_process *leader)
{
    return !sim_os_is_dead(leader->number) && leader_dispatcher(leader->leader) != NULL;
}

static bool has_open_request(const struct sim_client *client)
{
    for (uint32_t i = 0; i < client->request_count; i++) {
        if (client->requests[i].is_open)
            return true;
    }
    return false;
}

/* Answers first: where the job goes on depends on them. A call may be the leader's last. */
void sim_client_look(struct sim_client *client, struct sim_process *leader)
{
    bool has_job = false;
    for (uint32_t i = 0; i < client->request_count && still_leads(leader); i++) {
        if (client->requests[i].is_open)
            look_at_request(client, leader, &client->requests[i]);
    }
    for (uint32_t i = 0;
         still_leads(leader) && i < dispatcher_job_count(leader_dispatcher(leader->leader)); i++)
        has_job =
            look_at_job(client, leader, dispatcher_job(leader_dispatcher(leader->leader), i)) ||
            has_job;
    if (!still_leads(leader))
        return;
    look_at_slots(client, leader_dispatcher(leader->leader));
    if (has_job || client->is_finished || has_open_request(client) ||
        os_monotonic_ns() < client->next_submit_ns)
        return;
    client->next_submit_ns = later_ns(SUBMIT_PAUSE_MS);
    submit(client, leader);
}

void sim_client_note_fault(struct sim_client *client)
{
    client->is_faulty = true;
}

void sim_client_note_heal(struct sim_client *client)
{
    client->is_healed = true;
}

bool sim_client_is_finished(const struct sim_client *client)
{
    return client->is_finished;
}

const char *sim_client_wrong(const struct sim_client *client)
{
    return client->wrong[0] == '\0' ? NULL : client->wrong;
}

struct sim_client *sim_client_new(const struct sim_client_options *options)
{
    struct sim_client *client = mem_alloc(sizeof(*client));
    client->options = *options;
    return client;
}

void sim_client_free(struct sim_client *client)
{
    mem_free(client);
}
