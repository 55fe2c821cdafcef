/* dispatcher_test.c -- all jobs of a job manager, with task managers that are only pretended: what is asked for, who is
 * believed, what is remembered. Whole jobs run in cluster_test.c. */
#include "runtime/cluster/dispatcher.h"

#include "base/sealed.h"
#include "base/worker.h"
#include "net/sha256.h"
#include "runtime/cluster/job_store.h"
#include "test/support/temp_dir.h"
#include "test/support/trial.h"
#include "test/unit/runtime/cluster/fake_net.h"

#include <stdio.h>

#define NOBODY "00000000000000000000000000000000"

struct rig {
    char *dir;
    struct workers *workers;
    struct blob_store *blobs;
    struct job_store *store;
    const char *checkpoints; /* the job manager's default; NULL: none */
    struct dispatcher *dispatcher;
    char digest[SHA256_HEX_SIZE + 1];
    struct connection managers[3];
};

static void put_blob(struct rig *rig)
{
    static const struct blob_digest algorithm = { .begin = sha256_begin,
        .add = sha256_add,
        .end = sha256_end };
    struct blob_store_options options = { .dir = temp_dir_path(rig->dir, "blobs"),
        .epoch = 1,
        .digest = &algorithm,
        .size_max = 1000,
        .total_max = 1000 };
    struct blob_put *put;
    char *path = mem_printf("%s/executable", rig->dir);
    struct os_file *file;
    expect_ok(os_open(path, OS_CREATE, &file));
    expect_ok(os_write(file, "x", 1));
    os_close(file);
    expect_ok(sha256_file(path, rig->digest));
    mem_free(path);
    expect_ok(blob_store_open(&options, clock_ms, &rig->blobs));
    expect_ok(blob_put_begin(rig->blobs, rig->digest, 1, &put));
    expect_ok(blob_put_add(put, "x", 1));
    expect_ok(blob_put_finish(put, clock_ms));
}

static void lead(struct rig *rig, uint64_t epoch)
{
    struct job_store_options kept = { .dir = temp_dir_path(rig->dir, "jobs"),
        .epoch = epoch,
        .over_max = 2 };
    expect_ok(job_store_open(&kept, &rig->store));
    struct dispatcher_options options = { .workers = rig->workers,
        .store = rig->store,
        .epoch = epoch,
        .token = "secret",
        .asks_user = true,
        .blobs_url = "http://localhost/v1/blobs",
        .blobs = rig->blobs,
        .checkpoints = rig->checkpoints,
        .heartbeat_ms = 200,
        .heartbeat_timeout_ms = 5000,
        .slot_timeout_ms = 10000,
        .start_timeout_ms = 10000,
        .retained_jobs = 2 };
    rig->dispatcher = dispatcher_new(&options);
    expect_ok(dispatcher_recover(rig->dispatcher));
}

static void lead_no_more(struct rig *rig)
{
    dispatcher_free(rig->dispatcher);
    job_store_close(rig->store);
}

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){ .dir = temp_dir_new(), .workers = workers_new(0, 64) };
    put_blob(rig);
    lead(rig, 5);
}

static void rig_close(struct rig *rig)
{
    lead_no_more(rig);
    blob_store_close(rig->blobs);
    workers_free(rig->workers);
    for (size_t i = 0; i < COUNT_OF(rig->managers); i++)
        release(&rig->managers[i]);
    temp_dir_free(rig->dir);
}

static void turn(struct rig *rig)
{
    for (uint32_t i = 0; i < 10; i++) {
        dispatcher_step(rig->dispatcher, clock_ms);
        workers_step(rig->workers);
    }
}

static const struct job *submit(struct rig *rig)
{
    static const char *const arguments[] = { "--count", "1" };
    char id[DISPATCHER_ID_SIZE];
    struct submission submission = { .program = "job",
        .digest = rig->digest,
        .arguments = arguments,
        .argument_count = 2 };
    expect_ok(dispatcher_submit(rig->dispatcher, &submission, id));
    turn(rig);
    const struct job *job = dispatcher_find(rig->dispatcher, id);
    assert_non_null(job);
    return job;
}

static struct message_register registration(void)
{
    return (struct message_register){ .protocol = MESSAGE_PROTOCOL,
        .token = WEIR_STR("secret"),
        .id = WEIR_STR("tm"),
        .host = WEIR_STR("localhost"),
        .slot_count = 2,
        .memory_size = 1000 };
}

static void connect_manager(struct rig *rig, uint32_t index)
{
    struct message_register message = registration();
    assert_true(dispatcher_accepted(rig->dispatcher, &rig->managers[index]));
    rig->managers[index].heard_ms = clock_ms;
    speak(&rig->managers[index], MESSAGE_REGISTER, &message);
    assert_int_equal(rig->managers[index].sent[MESSAGE_REGISTERED], 1);
    turn(rig);
}

/* -- who is believed ------------------------------------------------------------------------------ */

static void a_task_manager_with_the_token_is_registered(void **state)
{
    struct rig rig;
    struct message_registered answer;
    rig_open(&rig);
    connect_manager(&rig, 0);
    read_last(&rig.managers[0], MESSAGE_REGISTERED, &answer);
    assert_int_equal(answer.epoch, 5);
    assert_true(rig.managers[0].is_kept);
    assert_int_equal(resources_slots_total(dispatcher_resources(rig.dispatcher)), 2);
    clock_ms += 5001;
    turn(&rig);
    assert_true(rig.managers[0].is_closed); /* silent */
    assert_int_equal(resources_count(dispatcher_resources(rig.dispatcher)), 0);
    rig_close(&rig);
}

static void a_task_manager_that_leaves_is_answered_and_gets_no_more_work(void **state)
{
    struct rig rig;
    struct message_heartbeat beat = { .epoch = 5 }, answer;
    rig_open(&rig);
    connect_manager(&rig, 0);
    speak(&rig.managers[0], MESSAGE_HEARTBEAT, &beat);
    read_last(&rig.managers[0], MESSAGE_HEARTBEAT, &answer);
    assert_false(answer.is_leaving);
    beat.is_leaving = true;
    speak(&rig.managers[0], MESSAGE_HEARTBEAT, &beat);
    read_last(&rig.managers[0], MESSAGE_HEARTBEAT, &answer);
    assert_true(answer.is_leaving);
    assert_int_equal(resources_slots_total(dispatcher_resources(rig.dispatcher)), 0);
    submit(&rig);
    assert_int_equal(rig.managers[0].sent[MESSAGE_PLAN], 0);
    rig_close(&rig);
}

static void who_is_not_believed_is_told_why_and_closed(void **state)
{
    struct message_register wrong[8];
    static const char *const words[] = { "token", "token", "version", "damaged", "damaged",
        "damaged", "leads no more", "run as one user" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        wrong[i] = registration();
    wrong[0].token = WEIR_STR("guess");
    wrong[1].token = (weir_str){ 0 };
    wrong[2].protocol++;
    wrong[3].slot_count = 0;
    wrong[4].id = (weir_str){ 0 };
    wrong[5].slot_count = UINT32_MAX;
    wrong[6].epoch = 6;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct rig rig;
        struct message_refused refused;
        rig_open(&rig);
        rig.managers[0].is_foreign = i == 7;
        assert_true(dispatcher_accepted(rig.dispatcher, &rig.managers[0]));
        speak(&rig.managers[0], MESSAGE_REGISTER, &wrong[i]);
        read_last(&rig.managers[0], MESSAGE_REFUSED, &refused);
        char *text = mem_printf("%.*s", (int)refused.text.size, refused.text.data);
        assert_non_null(strstr(text, words[i]));
        mem_free(text);
        assert_true(rig.managers[0].is_closed);
        assert_int_equal(resources_count(dispatcher_resources(rig.dispatcher)), 0);
        rig_close(&rig);
    }
}

static void before_it_has_said_who_it_is_nobody_says_anything_else(void **state)
{
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        struct rig rig;
        rig_open(&rig);
        assert_true(dispatcher_accepted(rig.dispatcher, &rig.managers[0]));
        rig.managers[0].handler->frame(rig.managers[0].arg, &rig.managers[0], kind,
            WEIR_STR("\x80"));
        assert_int_equal(rig.managers[0].sent[MESSAGE_REFUSED], 1);
        assert_true(rig.managers[0].is_closed);
        rig_close(&rig);
    }
}

static void a_worker_of_a_job_that_does_not_run_is_refused(void **state)
{
    struct rig rig;
    rig_open(&rig);
    const struct job *job = submit(&rig);
    const char *ids[] = { NOBODY, job->id };
    for (uint32_t i = 0; i < 2; i++) {
        struct message_hello hello = { .protocol = MESSAGE_PROTOCOL, .job = weir_str_of(ids[i]) };
        assert_true(dispatcher_accepted(rig.dispatcher, &rig.managers[i]));
        speak(&rig.managers[i], MESSAGE_HELLO, &hello);
        assert_int_equal(rig.managers[i].sent[MESSAGE_REFUSED], 1);
        assert_true(rig.managers[i].is_closed);
    }
    rig_close(&rig);
}

static void one_that_registers_again_takes_the_place_of_its_old_connection(void **state)
{
    struct rig rig;
    rig_open(&rig);
    connect_manager(&rig, 0);
    connect_manager(&rig, 1);
    assert_true(rig.managers[0].is_closed);
    assert_false(rig.managers[1].is_closed);
    assert_int_equal(resources_count(dispatcher_resources(rig.dispatcher)), 1);
    rig_close(&rig);
}

/* -- the life of a job without tasks ------------------------------------------------------------------ */

/* The job, as its executable would plan it. */
static void make_plan(const struct rig *rig, uint32_t parallelism, weir_buffer *out)
{
    weir_job *job;
    trial_reset(&(struct trial){ .count = 1, .parallelism = parallelism });
    char *checkpoints = mem_printf("%s/checkpoints", rig->dir);
    struct job_spec spec = { .plan = trial_plan(&job),
        .checkpoints = checkpoints,
        .retained = 1,
        .interval_ms = 1000,
        .timeout_ms = 1000,
        .stop_timeout_ms = 1000,
        .restart = RESTART_DEFAULT,
        .backend = "hashmap",
        .memory_size = UINT64_C(64) << 20 };
    job_spec_encode(&spec, out);
    mem_free(checkpoints);
    job_free(job);
}

/* The task manager answers what it was asked last. */
static void answer_plan(struct rig *rig, uint32_t parallelism)
{
    struct message_plan plan;
    weir_buffer *bytes = weir_buffer_new(JOB_SPEC_SIZE_MAX);
    make_plan(rig, parallelism, bytes);
    read_last(&rig->managers[0], MESSAGE_PLAN, &plan);
    struct message_planned planned = { .request = plan.request, .spec = weir_buffer_view(bytes) };
    speak(&rig->managers[0], MESSAGE_PLANNED, &planned);
    weir_buffer_free(bytes);
}

/* Up to its first restore, which no worker has read yet: as if the disk did not answer. */
static const struct job *submit_to_stall(struct rig *rig)
{
    connect_manager(rig, 0);
    const struct job *job = submit(rig);
    answer_plan(rig, 2);
    for (uint32_t i = 0; i < 10 && job->jobmanager == NULL; i++) {
        workers_step(rig->workers);
        dispatcher_step(rig->dispatcher, clock_ms);
    }
    assert_int_equal(job->state, JOB_CREATED);
    assert_true(workers_is_waiting(rig->workers));
    return job;
}

/* Whatever is due, but no disk. */
static void turn_stalled(struct rig *rig)
{
    for (uint32_t i = 0; i < 10; i++)
        dispatcher_step(rig->dispatcher, clock_ms);
}

static void a_cancel_waits_for_a_disk_that_stalls_and_nobody_else_does(void **state)
{
    struct rig rig;
    char other[DISPATCHER_ID_SIZE];
    rig_open(&rig);
    const struct job *job = submit_to_stall(&rig);
    expect_ok(dispatcher_cancel(rig.dispatcher, job->id));
    turn_stalled(&rig);
    assert_int_equal(job->state, JOB_CANCELLING);
    expect_ok(dispatcher_cancel(rig.dispatcher, job->id)); /* again: nothing more to do */
    struct submission submission = { .program = "job", .digest = rig.digest };
    expect_ok(dispatcher_submit(rig.dispatcher, &submission, other));
    turn_stalled(&rig);
    assert_int_equal(rig.managers[0].sent[MESSAGE_PLAN], 2); /* the cluster goes on */
    assert_int_equal(job->state, JOB_CANCELLING);
    turn(&rig);
    assert_int_equal(job->state, JOB_CANCELED);
    rig_close(&rig);
}

static void a_job_whose_disk_stalls_is_rescaled_or_cancelled_when_it_answers(void **state)
{
    for (uint32_t is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
        struct rig rig;
        char id[DISPATCHER_ID_SIZE] = "";
        rig_open(&rig);
        const struct job *job = submit_to_stall(&rig);
        const struct jobmanager *first = job->jobmanager;
        expect_ok(dispatcher_rescale(rig.dispatcher, job->id, 1, id));
        answer_plan(&rig, 1);
        turn_stalled(&rig);
        assert_ptr_equal(job->jobmanager, first);
        if (is_cancelled)
            expect_ok(dispatcher_cancel(rig.dispatcher, job->id));
        turn(&rig);
        assert_int_equal(job->state, is_cancelled ? JOB_CANCELED : JOB_CREATED);
        if (!is_cancelled)
            assert_int_equal(job->plan->vertices[0].parallelism, 1);
        rig_close(&rig);
    }
}

static void a_job_can_be_cancelled_before_and_while_it_is_planned(void **state)
{
    for (uint32_t is_planning = 0; is_planning < 2; is_planning++) {
        struct rig rig;
        rig_open(&rig);
        if (is_planning)
            connect_manager(&rig, 0);
        const struct job *job = submit(&rig);
        assert_int_equal(job->state, JOB_INITIALIZING);
        assert_int_equal(rig.managers[0].sent[MESSAGE_PLAN], is_planning);
        expect_ok(dispatcher_cancel(rig.dispatcher, job->id));
        turn(&rig);
        assert_int_equal(job->state, JOB_CANCELED);
        expect_error(dispatcher_cancel(rig.dispatcher, job->id), WEIR_E_STATE, "CANCELED");
        if (is_planning) { /* its plan comes too late, and is nobody's */
            struct message_plan plan;
            read_last(&rig.managers[0], MESSAGE_PLAN, &plan);
            struct message_planned planned = { .request = plan.request, .spec = WEIR_STR("x") };
            speak(&rig.managers[0], MESSAGE_PLANNED, &planned);
            turn(&rig);
            assert_int_equal(job->state, JOB_CANCELED);
        }
        rig_close(&rig);
    }
}

static void a_plan_that_cannot_be_made_or_read_fails_the_job_with_its_words(void **state)
{
    static const struct {
        weir_str spec;
        int32_t code;
        const char *text, *words;
    } rows[] = { { { 0 }, WEIR_E_USAGE, "there is no option '--x'", "there is no option '--x'" },
        { { .data = "rubbish", .size = 7 }, 0, "", "" } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig rig;
        struct message_plan plan;
        rig_open(&rig);
        connect_manager(&rig, 0);
        const struct job *job = submit(&rig);
        read_last(&rig.managers[0], MESSAGE_PLAN, &plan);
        struct message_planned planned = { .request = plan.request,
            .spec = rows[i].spec,
            .code = rows[i].code,
            .text = weir_str_of(rows[i].text) };
        speak(&rig.managers[0], MESSAGE_PLANNED, &planned);
        turn(&rig);
        assert_int_equal(job->state, JOB_FAILED);
        assert_non_null(strstr(weir_error_message(job->error), rows[i].words));
        rig_close(&rig);
    }
}

static void a_task_manager_that_is_lost_while_it_plans_is_replaced(void **state)
{
    struct rig rig;
    rig_open(&rig);
    connect_manager(&rig, 0);
    const struct job *job = submit(&rig);
    struct connection *it = &rig.managers[0];
    it->handler->closed(it->arg, it, weir_errorf(WEIR_E_IO, "reset"));
    turn(&rig);
    assert_int_equal(job->state, JOB_INITIALIZING);
    connect_manager(&rig, 1);
    assert_int_equal(rig.managers[1].sent[MESSAGE_PLAN], 1);
    rig_close(&rig);
}

static void a_plan_that_does_not_come_fails_the_job(void **state)
{
    struct rig rig;
    rig_open(&rig);
    connect_manager(&rig, 0);
    const struct job *job = submit(&rig);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(job->state, JOB_INITIALIZING);
        clock_ms += 1001;
        rig.managers[0].heard_ms = clock_ms;
        turn(&rig);
    }
    assert_int_equal(job->state, JOB_FAILED);
    assert_non_null(strstr(weir_error_message(job->error), "has not made the job's plan"));
    rig_close(&rig);
}

static void what_is_over_stays_so_under_the_next_leader_and_what_is_not_goes_on(void **state)
{
    struct rig rig;
    char ids[2][DISPATCHER_ID_SIZE];
    rig_open(&rig);
    for (uint32_t i = 0; i < 2; i++)
        memcpy(ids[i], submit(&rig)->id, DISPATCHER_ID_SIZE);
    expect_ok(dispatcher_cancel(rig.dispatcher, ids[0]));
    turn(&rig);
    lead_no_more(&rig);
    lead(&rig, 6);
    connect_manager(&rig, 0);
    assert_int_equal(dispatcher_job_count(rig.dispatcher), 2);
    assert_int_equal(dispatcher_find(rig.dispatcher, ids[0])->state, JOB_CANCELED);
    assert_int_equal(dispatcher_find(rig.dispatcher, ids[1])->state, JOB_INITIALIZING);
    assert_int_equal(rig.managers[0].sent[MESSAGE_PLAN], 1);
    rig_close(&rig);
}

static void refuse_plan(struct rig *rig)
{
    struct message_plan plan;
    read_last(&rig->managers[0], MESSAGE_PLAN, &plan);
    struct message_planned planned = { .request = plan.request,
        .code = WEIR_E_IO,
        .text = WEIR_STR("not now") };
    speak(&rig->managers[0], MESSAGE_PLANNED, &planned);
    turn(rig);
}

/* Under a leader that has not planned it, with a task manager that is asked to. */
static const struct job *lead_on(struct rig *rig, uint64_t epoch, const char *id)
{
    lead_no_more(rig);
    lead(rig, epoch);
    release(&rig->managers[0]);
    connect_manager(rig, 0);
    assert_int_equal(rig->managers[0].sent[MESSAGE_PLAN], 1);
    return dispatcher_find(rig->dispatcher, id);
}

/* In seconds; its task manager is alive meanwhile. */
static uint32_t wait_for_plan(struct rig *rig, uint32_t count)
{
    uint32_t seconds = 0;
    while (rig->managers[0].sent[MESSAGE_PLAN] < count && seconds < 100) {
        rig->managers[0].heard_ms = clock_ms += 1000;
        dispatcher_step(rig->dispatcher, clock_ms);
        seconds++;
    }
    assert_int_equal(rig->managers[0].sent[MESSAGE_PLAN], count);
    return seconds;
}

static void a_job_that_has_run_is_planned_again_for_an_hour_and_then_suspended(void **state)
{
    struct rig rig;
    char id[DISPATCHER_ID_SIZE];
    uint32_t seconds = 0;
    rig_open(&rig);
    memcpy(id, submit(&rig)->id, DISPATCHER_ID_SIZE);
    expect_ok(job_store_update(rig.store, id, RECORD_RUNNING, "", 1));
    const struct job *job = lead_on(&rig, 6, id);
    for (uint32_t i = 2; i < 66; i++) {
        refuse_plan(&rig);
        assert_int_equal(job->state, JOB_INITIALIZING);
        uint32_t waited = wait_for_plan(&rig, i);
        assert_true(i == 2 ? waited <= 2 : waited <= 67);
        seconds += waited;
    }
    assert_in_range(seconds, 3000, 4200);
    refuse_plan(&rig);
    assert_int_equal(job->state, JOB_SUSPENDED);
    assert_non_null(strstr(weir_error_message(job->error), "not now. The job is suspended"));
    job = lead_on(&rig, 7, id);
    assert_int_equal(job->state, JOB_INITIALIZING);
    rig_close(&rig);
}

/* As an executable that was built with an older libweir makes it. */
static void answer_plan_of_another_version(struct rig *rig)
{
    static const struct sealed_form form = { .magic = "WEIRJOB1",
        .noun = "a job",
        .version = JOB_SPEC_VERSION - 1 };
    struct message_plan plan;
    weir_buffer *body = weir_buffer_new(10), *bytes = weir_buffer_new(1000);
    sealed_put(&form, body, bytes);
    read_last(&rig->managers[0], MESSAGE_PLAN, &plan);
    struct message_planned planned = { .request = plan.request, .spec = weir_buffer_view(bytes) };
    speak(&rig->managers[0], MESSAGE_PLANNED, &planned);
    weir_buffer_free(bytes);
    weir_buffer_free(body);
    turn(rig);
}

/* As that of another version; the job is the second leader's. */
static const struct job *suspend(struct rig *rig, const struct submission *submission,
    char id[DISPATCHER_ID_SIZE])
{
    expect_ok(dispatcher_submit(rig->dispatcher, submission, id));
    expect_ok(job_store_update(rig->store, id, RECORD_RUNNING, "", 1));
    const struct job *job = lead_on(rig, 6, id);
    answer_plan_of_another_version(rig);
    assert_int_equal(job->state, JOB_SUSPENDED);
    return job;
}

static void a_job_that_is_suspended_says_how_to_go_on(void **state)
{
    static const char *const given[] = { "--count", "1", "--checkpoints", "/kept/here" },
                             *const joined[] = { "--checkpoints=/kept/here" };
    static const struct {
        const char *const *arguments;
        uint32_t argument_count;
        const char *root, *words;
    } rows[] = { { given, 4, "/all", "'/kept/here' are kept: 'weir cancel " },
        { joined, 1, NULL, "'weir run' with the same --checkpoints" },
        { NULL, 0, "/all", "ends it, 'weir run -s /all/" },
        { NULL, 0, NULL, "ends it, 'weir run' begins it anew" } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig rig;
        char id[DISPATCHER_ID_SIZE];
        rig_open(&rig);
        rig.checkpoints = rows[i].root;
        struct submission submission = { .program = "job",
            .digest = rig.digest,
            .arguments = rows[i].arguments,
            .argument_count = rows[i].argument_count };
        const struct job *job = suspend(&rig, &submission, id);
        const char *text = weir_error_message(job->error);
        assert_non_null(
            strstr(text, "build the job again with this libweir. The job is suspended"));
        if (strstr(text, rows[i].words) == NULL || strstr(text, id) == NULL)
            fail_msg("no '%s' in: %s", rows[i].words, text);
        char operation[DISPATCHER_ID_SIZE] = "";
        expect_error(dispatcher_checkpoint(rig.dispatcher, id, operation), WEIR_E_STATE,
            rows[i].words); /* who asks for something is told, too */
        rig_close(&rig);
    }
}

static void a_job_that_has_run_and_is_of_another_version_is_suspended_and_kept(void **state)
{
    struct rig rig;
    char id[DISPATCHER_ID_SIZE];
    rig_open(&rig);
    struct submission submission = { .program = "job", .digest = rig.digest };
    const struct job *job = suspend(&rig, &submission, id);
    clock_ms += BLOB_GRACE_MS + 60001;
    turn(&rig);
    connect_manager(&rig, 1);
    assert_int_equal(rig.managers[1].sent[MESSAGE_PLAN], 0); /* it would be the same again */
    assert_true(blob_store_has(rig.blobs, rig.digest));
    job = lead_on(&rig, 7, id); /* which may be of the version before */
    answer_plan_of_another_version(&rig);
    assert_int_equal(job->state, JOB_SUSPENDED);
    expect_ok(dispatcher_cancel(rig.dispatcher, id));
    turn(&rig);
    assert_int_equal(job->state, JOB_CANCELED);
    rig_close(&rig);
}

static void an_executable_goes_when_no_job_needs_it_and_not_before(void **state)
{
    struct rig rig;
    rig_open(&rig);
    const struct job *job = submit(&rig);
    clock_ms += BLOB_GRACE_MS + 60001;
    turn(&rig);
    assert_true(blob_store_has(rig.blobs, rig.digest));
    expect_ok(dispatcher_cancel(rig.dispatcher, job->id));
    turn(&rig);
    clock_ms += 60001;
    turn(&rig);
    assert_false(blob_store_has(rig.blobs, rig.digest));
    struct submission submission = { .program = "job", .digest = rig.digest };
    char id[DISPATCHER_ID_SIZE];
    expect_error(dispatcher_submit(rig.dispatcher, &submission, id), WEIR_E_USAGE,
        "upload it first");
    rig_close(&rig);
}

static void of_jobs_that_are_over_the_newest_are_listed(void **state)
{
    struct rig rig;
    char ids[4][DISPATCHER_ID_SIZE];
    rig_open(&rig);
    for (uint32_t i = 0; i < 4; i++) {
        memcpy(ids[i], submit(&rig)->id, DISPATCHER_ID_SIZE);
        if (i == 1)
            continue; /* goes on */
        expect_ok(dispatcher_cancel(rig.dispatcher, ids[i]));
        turn(&rig);
    }
    assert_int_equal(dispatcher_job_count(rig.dispatcher), 3);
    assert_null(dispatcher_find(rig.dispatcher, ids[0]));
    for (uint32_t i = 1; i < 4; i++)
        assert_string_equal(dispatcher_job(rig.dispatcher, i - 1)->id, ids[i]);
    rig_close(&rig);
}

/* -- asking -------------------------------------------------------------------------------------------- */

static void what_is_asked_of_a_job_that_is_not_there_or_does_not_run_is_refused(void **state)
{
    struct rig rig;
    rig_open(&rig);
    const struct job *waiting = submit(&rig);
    const char *ids[] = { NOBODY, waiting->id };
    const enum weir_code codes[] = { WEIR_E_CONNECTOR, WEIR_E_STATE };
    for (uint32_t i = 0; i < 2; i++) {
        char operation[DISPATCHER_ID_SIZE] = "";
        struct dispatcher *it = rig.dispatcher;
        expect_error(dispatcher_savepoint(it, ids[i], rig.dir, false, operation), codes[i], ids[i]);
        expect_error(dispatcher_stop(it, ids[i], rig.dir, false, operation), codes[i], ids[i]);
        expect_error(dispatcher_checkpoint(it, ids[i], operation), codes[i], ids[i]);
        expect_error(dispatcher_rescale(it, ids[i], 2, operation), codes[i], ids[i]);
        assert_string_equal(operation, "");
    }
    expect_error(dispatcher_cancel(rig.dispatcher, NOBODY), WEIR_E_CONNECTOR, NOBODY);
    assert_null(dispatcher_operation(rig.dispatcher, NOBODY));
    rig_close(&rig);
}

static void an_operation_that_is_asked_for_twice_is_one_and_is_forgotten_in_time(void **state)
{
    struct rig rig;
    char mine[DISPATCHER_ID_SIZE] = "0123456789abcdef0123456789abcdef",
         bad[DISPATCHER_ID_SIZE] = "../x";
    rig_open(&rig);
    const char *nowhere = temp_dir_path(rig.dir, "nowhere");
    expect_ok(dispatcher_dispose(rig.dispatcher, nowhere, mine));
    const struct operation *first = dispatcher_operation(rig.dispatcher, mine);
    assert_false(first->is_done); /* a worker does it: no heartbeat waits for a disk */
    turn(&rig);
    assert_true(first->is_done);
    assert_non_null(first->error);
    expect_ok(dispatcher_dispose(rig.dispatcher, nowhere, mine));
    assert_ptr_equal(dispatcher_operation(rig.dispatcher, mine), first);
    /* also of a job that is long gone: a client asks again when it has not heard the answer */
    expect_ok(dispatcher_stop(rig.dispatcher, NOBODY, rig.dir, false, mine));
    expect_error(dispatcher_dispose(rig.dispatcher, nowhere, bad), WEIR_E_USAGE, "trigger id");
    clock_ms += OPERATION_KEEP_MS + 1;
    turn(&rig);
    assert_null(dispatcher_operation(rig.dispatcher, mine));
    rig_close(&rig);
}

static void there_is_a_limit_of_operations(void **state)
{
    struct rig rig;
    rig_open(&rig);
    for (uint32_t i = 0; i < OPERATIONS_MAX; i++) {
        char id[DISPATCHER_ID_SIZE] = "";
        expect_ok(dispatcher_dispose(rig.dispatcher, "/none/at/all", id));
        turn(&rig);
    }
    char id[DISPATCHER_ID_SIZE] = "";
    expect_error(dispatcher_dispose(rig.dispatcher, "/none/at/all", id), WEIR_E_LIMIT,
        "operations");
    rig_close(&rig);
}

/* -- logs ------------------------------------------------------------------------------------------ */

struct heard {
    uint32_t count;
    char text[200];
    enum weir_code code; /* of the last one; 0: well */
};

static void hear(void *arg, weir_str bytes, const weir_error *error)
{
    struct heard *heard = arg;
    heard->count++;
    heard->code = error == NULL ? 0 : weir_error_code(error);
    snprintf(heard->text, sizeof(heard->text), "%.*s", error == NULL ? (int)bytes.size : 150,
        error == NULL ? bytes.data : weir_error_message(error));
}

static void expect_heard(const struct heard *heard, uint32_t count, int code, const char *text)
{
    assert_int_equal(heard->count, count);
    assert_int_equal((int)heard->code, code);
    assert_non_null(strstr(heard->text, text));
}

static const struct log_question a_question = { .kind = LOG_NAMED,
    .name = { .data = "x.log", .size = 5 },
    .offset = 7 };

static void a_log_is_asked_of_its_task_manager_and_told_once(void **state)
{
    struct rig rig;
    struct heard heard = { 0 };
    struct message_log asked;
    rig_open(&rig);
    connect_manager(&rig, 0);
    expect_error(dispatcher_log(rig.dispatcher, "tn", &a_question, hear, &heard), WEIR_E_CONNECTOR,
        "no task manager 'tn'");
    expect_error(dispatcher_log(rig.dispatcher, NULL, &a_question, hear, &heard), WEIR_E_CONNECTOR,
        "keeps no logs");
    expect_ok(dispatcher_log(rig.dispatcher, "tm", &a_question, hear, &heard));
    read_last(&rig.managers[0], MESSAGE_LOG, &asked);
    assert_int_equal(asked.kind, LOG_NAMED);
    assert_true(weir_str_equal(asked.name, WEIR_STR("x.log")));
    assert_int_equal(asked.offset, 7);
    struct message_logged answer = { .epoch = 5, .request = asked.request + 1 };
    speak(&rig.managers[0], MESSAGE_LOGGED, &answer); /* to nobody */
    assert_int_equal(heard.count, 0);
    answer.request--;
    answer.bytes = WEIR_STR("a line");
    speak(&rig.managers[0], MESSAGE_LOGGED, &answer);
    speak(&rig.managers[0], MESSAGE_LOGGED, &answer);
    expect_heard(&heard, 1, 0, "a line");
    expect_ok(dispatcher_log(rig.dispatcher, "tm", &a_question, hear, &heard));
    answer = (struct message_logged){ .request = asked.request + 1,
        .code = WEIR_E_CONNECTOR,
        .text = WEIR_STR("there is no log") };
    speak(&rig.managers[0], MESSAGE_LOGGED, &answer);
    expect_heard(&heard, 2, WEIR_E_CONNECTOR, "there is no log");
    rig_close(&rig);
}

static void whoever_waits_for_a_log_does_not_wait_for_ever(void **state)
{
    struct rig rig;
    struct heard heard = { 0 };
    rig_open(&rig);
    connect_manager(&rig, 0);
    expect_ok(dispatcher_log(rig.dispatcher, "tm", &a_question, hear, &heard));
    for (int i = 0; i < 10; i++) {
        clock_ms += 1000;
        assert_int_equal(heard.count, 0);
        rig.managers[0].heard_ms = clock_ms; /* its heart beats */
        assert_true(dispatcher_deadline_ms(rig.dispatcher) <= clock_ms + 10000);
        turn(&rig);
    }
    expect_heard(&heard, 1, WEIR_E_TIMEOUT, "has not sent its log");
    expect_ok(dispatcher_log(rig.dispatcher, "tm", &a_question, hear, &heard));
    clock_ms += 5001; /* silent: it is lost */
    turn(&rig);
    expect_heard(&heard, 2, WEIR_E_CONNECTOR, "'tm' is lost");
    connect_manager(&rig, 1);
    expect_ok(dispatcher_log(rig.dispatcher, "tm", &a_question, hear, &heard));
    rig_close(&rig);
    expect_heard(&heard, 3, WEIR_E_STATE, "leads no more");
}

static void there_is_a_limit_of_logs_that_are_read(void **state)
{
    struct rig rig;
    struct heard heard = { 0 };
    weir_error *error = NULL;
    uint32_t count = 0;
    rig_open(&rig);
    connect_manager(&rig, 0);
    while (error == NULL && count++ < 1000)
        error = dispatcher_log(rig.dispatcher, "tm", &a_question, hear, &heard);
    expect_error(error, WEIR_E_LIMIT, "logs are being read");
    rig_close(&rig);
    assert_int_equal(heard.count, count - 1);
}

static void its_own_log_is_read_by_a_worker(void **state)
{
    struct rig rig;
    struct heard heard = { 0 };
    struct log_dir *logs;
    struct workers *workers = workers_new(0, 8);
    rig_open(&rig);
    expect_ok(log_dir_open(rig.dir, "jobmanager", 1 << 20, &logs));
    char *path = log_dir_own_file(logs);
    temp_dir_write(path, "led\n", 4);
    mem_free(path);
    struct dispatcher *own =
        dispatcher_new(&(struct dispatcher_options){ .workers = workers, .logs = logs });
    struct log_question question = { .kind = LOG_OWN, .offset = LOG_END };
    expect_ok(dispatcher_log(own, NULL, &question, hear, &heard));
    dispatcher_free(own); /* under way: told all the same */
    expect_heard(&heard, 1, 0, "led");
    log_dir_close(logs);
    workers_free(workers);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_manager_with_the_token_is_registered),
        cmocka_unit_test(a_task_manager_that_leaves_is_answered_and_gets_no_more_work),
        cmocka_unit_test(who_is_not_believed_is_told_why_and_closed),
        cmocka_unit_test(before_it_has_said_who_it_is_nobody_says_anything_else),
        cmocka_unit_test(a_worker_of_a_job_that_does_not_run_is_refused),
        cmocka_unit_test(one_that_registers_again_takes_the_place_of_its_old_connection),
        cmocka_unit_test(a_job_can_be_cancelled_before_and_while_it_is_planned),
        cmocka_unit_test(a_cancel_waits_for_a_disk_that_stalls_and_nobody_else_does),
        cmocka_unit_test(a_job_whose_disk_stalls_is_rescaled_or_cancelled_when_it_answers),
        cmocka_unit_test(a_plan_that_cannot_be_made_or_read_fails_the_job_with_its_words),
        cmocka_unit_test(a_task_manager_that_is_lost_while_it_plans_is_replaced),
        cmocka_unit_test(a_plan_that_does_not_come_fails_the_job),
        cmocka_unit_test(what_is_over_stays_so_under_the_next_leader_and_what_is_not_goes_on),
        cmocka_unit_test(a_job_that_has_run_is_planned_again_for_an_hour_and_then_suspended),
        cmocka_unit_test(a_job_that_has_run_and_is_of_another_version_is_suspended_and_kept),
        cmocka_unit_test(a_job_that_is_suspended_says_how_to_go_on),
        cmocka_unit_test(an_executable_goes_when_no_job_needs_it_and_not_before),
        cmocka_unit_test(of_jobs_that_are_over_the_newest_are_listed),
        cmocka_unit_test(what_is_asked_of_a_job_that_is_not_there_or_does_not_run_is_refused),
        cmocka_unit_test(an_operation_that_is_asked_for_twice_is_one_and_is_forgotten_in_time),
        cmocka_unit_test(there_is_a_limit_of_operations),
        cmocka_unit_test(a_log_is_asked_of_its_task_manager_and_told_once),
        cmocka_unit_test(whoever_waits_for_a_log_does_not_wait_for_ever),
        cmocka_unit_test(there_is_a_limit_of_logs_that_are_read),
        cmocka_unit_test(its_own_log_is_read_by_a_worker),
    };
    return cmocka_run_group_tests(tests, fake_net_put, fake_net_restore);
}
