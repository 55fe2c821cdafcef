/* task_executor_test.c -- the task manager of a cluster with a job manager that is only pretended: whom it obeys, and
 * which of its children go. They are real processes, of a script that waits. Whole jobs run in cluster_test.c. */
#include "runtime/cluster/task_executor.h"

#include "base/os_child.h"
#include "base/worker.h"
#include "test/support/temp_dir.h"
#include "test/unit/runtime/cluster/fake_net.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define DIGEST    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FIRST     "11111111111111111111111111111111"
#define SECOND    "22222222222222222222222222222222"
#define BEAT_MS   200
#define SILENT_MS 2000
#define BOUND_MS  60000

struct rig {
    char *dir;
    struct workers *workers;
    struct connection leader;
    struct task_executor *executor;
};

static struct connection *own_leader;
static struct net_class class;

static struct connection *own_connect(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg)
{
    assert_string_equal(host, "leader");
    assert_int_equal(port, 6123);
    own_leader->handler = handler;
    own_leader->arg = arg;
    own_leader->is_closed = false;
    own_leader->heard_ms = clock_ms;
    return own_leader;
}

static weir_error *no_fetch(void *arg, const char *url, const char *digest, const char *path)
{
    return weir_errorf(WEIR_E_IO, "nothing is fetched here");
}

static void step(struct rig *rig)
{
    task_executor_step(rig->executor, clock_ms);
    workers_step(rig->workers);
}

static void put_script(const char *dir, const char *script)
{
    struct os_file *file;
    char *path = mem_printf("%s/blobs/" DIGEST, dir);
    expect_ok(os_open(path, OS_CREATE, &file));
    expect_ok(os_write(file, script, strlen(script)));
    os_close(file);
    assert_int_equal(chmod(path, 0700), 0);
    mem_free(path);
}

/* Connected; nobody has said anything yet. */
static void rig_open_with(struct rig *rig, const char *script)
{
    *rig = (struct rig){ .dir = temp_dir_new(), .workers = workers_new(0, 64) };
    own_leader = &rig->leader;
    class = *net_current;
    class.connect = own_connect;
    net_current = &class;
    os_children_watch(own_waker);
    struct task_executor_options options = { .workers = rig->workers,
        .id = "tm",
        .host = "localhost",
        .bind_host = "localhost",
        .slot_count = 4,
        .memory_size = UINT64_C(1) << 30,
        .asks_user = true,
        .address = "leader:6123",
        .work_dir = rig->dir,
        .fetch = no_fetch };
    expect_ok(task_executor_new(&options, &rig->executor));
    put_script(rig->dir, script);
    step(rig);
    rig->leader.handler->opened(rig->leader.arg, &rig->leader);
    assert_int_equal(rig->leader.sent[MESSAGE_REGISTER], 1);
}

static void rig_open(struct rig *rig)
{
    rig_open_with(rig, "#!/bin/sh\nexec tail -f /dev/null\n");
}

static void rig_close(struct rig *rig)
{
    task_executor_free(rig->executor);
    os_children_watch(NULL);
    workers_free(rig->workers);
    release(&rig->leader);
    temp_dir_free(rig->dir);
}

static void say_registered(struct rig *rig, uint64_t epoch, const char *const *jobs, uint32_t count)
{
    struct arena arena;
    arena_init(&arena, 4096, 1 << 20);
    struct message_registered message = { .epoch = epoch,
        .heartbeat_ms = BEAT_MS,
        .timeout_ms = SILENT_MS,
        .blobs = WEIR_STR("http://leader/v1/blobs"),
        .jobs = message_put_strings(jobs, count, &arena) };
    speak(&rig->leader, MESSAGE_REGISTERED, &message);
    arena_release(&arena);
}

static void start(struct rig *rig, uint64_t epoch, const char *job, uint64_t attempt)
{
    struct arena arena;
    arena_init(&arena, 4096, 1 << 20);
    struct message_start message = { .epoch = epoch,
        .job = weir_str_of(job),
        .attempt = attempt,
        .worker_count = 1,
        .slot_count = 1,
        .memory_size = 1 << 20,
        .digest = WEIR_STR(DIGEST),
        .program = WEIR_STR("job"),
        .arguments = message_put_strings(NULL, 0, &arena),
        .secret = WEIR_STR("secret") };
    speak(&rig->leader, MESSAGE_START, &message);
    arena_release(&arena);
}

static void kill_attempts(struct rig *rig, const char *job, uint64_t attempt, uint32_t grace_ms)
{
    struct message_kill message = { .epoch = 5,
        .job = weir_str_of(job),
        .attempt = attempt,
        .grace_ms = grace_ms };
    speak(&rig->leader, MESSAGE_KILL, &message);
}

/* Children end in their own time, which is not the test's. */
static void wait_children(struct rig *rig, uint32_t count)
{
    int64_t until = os_linux.monotonic_ns() / 1000000 + BOUND_MS;
    for (step(rig); task_executor_child_count(rig->executor) > count &&
                    os_linux.monotonic_ns() / 1000000 < until;
         step(rig))
        waker_wait(own_waker, 10);
    assert_int_equal(task_executor_child_count(rig->executor), count);
}

/* Nobody who is left was told to end: the next thing to do is to look, or to beat. */
static void expect_rest_stays(const struct rig *rig)
{
    assert_true(task_executor_deadline_ms(rig->executor) > clock_ms);
}

/* -- who is obeyed ----------------------------------------------------------------------------------- */

static void a_leader_that_was_replaced_is_not_obeyed(void **state)
{
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    assert_true(task_executor_is_registered(rig.executor));
    start(&rig, 4, FIRST, 1);
    assert_true(rig.leader.is_closed);
    assert_false(task_executor_is_registered(rig.executor));
    assert_int_equal(task_executor_child_count(rig.executor), 0);
    clock_ms += 10000;
    step(&rig);
    assert_false(rig.leader.is_closed); /* another try */
    say_registered(&rig, 4, NULL, 0);
    assert_true(rig.leader.is_closed);
    assert_false(task_executor_is_registered(rig.executor));
    clock_ms += 10000;
    step(&rig);
    say_registered(&rig, 6, NULL, 0);
    assert_true(task_executor_is_registered(rig.executor));
    rig_close(&rig);
}

static void nobody_is_obeyed_before_the_registration(void **state)
{
    struct rig rig;
    rig_open(&rig);
    start(&rig, 5, FIRST, 1);
    assert_true(rig.leader.is_closed);
    assert_int_equal(task_executor_child_count(rig.executor), 0);
    rig_close(&rig);
}

static void a_job_manager_of_another_user_is_not_obeyed(void **state)
{
    struct rig rig;
    rig_open(&rig);
    rig.leader.is_foreign = true;
    say_registered(&rig, 5, NULL, 0);
    assert_true(rig.leader.is_closed);
    assert_false(task_executor_is_registered(rig.executor));
    clock_ms += 10000;
    step(&rig); /* another try: the port is the cluster's again */
    rig.leader.is_foreign = false;
    say_registered(&rig, 5, NULL, 0);
    assert_true(task_executor_is_registered(rig.executor));
    rig_close(&rig);
}

static void a_job_manager_that_says_nothing_is_left(void **state)
{
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    clock_ms += SILENT_MS;
    step(&rig);
    assert_false(rig.leader.is_closed);
    clock_ms++;
    step(&rig);
    assert_true(rig.leader.is_closed);
    assert_false(task_executor_is_registered(rig.executor));
    rig_close(&rig);
}

/* -- who ends ---------------------------------------------------------------------------------------- */

static void workers_of_jobs_that_a_new_leader_does_not_know_end(void **state)
{
    static const char *const known[] = { FIRST };
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    start(&rig, 5, FIRST, 1);
    start(&rig, 5, SECOND, 1);
    assert_int_equal(task_executor_child_count(rig.executor), 2);
    rig.leader.handler->closed(rig.leader.arg, &rig.leader, weir_errorf(WEIR_E_IO, "reset"));
    step(&rig);
    assert_int_equal(task_executor_child_count(rig.executor), 2); /* they go on without one */
    clock_ms += 10000;
    step(&rig);
    say_registered(&rig, 6, known, 1);
    wait_children(&rig, 1);
    expect_rest_stays(&rig);
    kill_attempts(&rig, FIRST, 1, 0); /* speaks for epoch 5 */
    assert_true(rig.leader.is_closed);
    assert_int_equal(task_executor_child_count(rig.executor), 1);
    rig_close(&rig);
}

static void an_attempt_ends_with_all_older_ones_and_no_newer_one(void **state)
{
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    for (uint64_t attempt = 1; attempt <= 3; attempt++)
        start(&rig, 5, FIRST, attempt);
    start(&rig, 5, SECOND, 1);
    kill_attempts(&rig, FIRST, 2, 0);
    wait_children(&rig, 2);
    expect_rest_stays(&rig);
    rig_close(&rig);
}

static void who_does_not_end_in_time_is_killed(void **state)
{
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    start(&rig, 5, FIRST, 1);
    kill_attempts(&rig, FIRST, 1, 1000);
    clock_ms += 999;
    step(&rig);
    assert_int_equal(task_executor_child_count(rig.executor), 1);
    assert_int_equal(rig.leader.sent[MESSAGE_WORKER_ENDED], 0);
    clock_ms++;
    wait_children(&rig, 0);
    struct message_worker_ended ended;
    read_last(&rig.leader, MESSAGE_WORKER_ENDED, &ended);
    assert_true(ended.was_killed);
    rig_close(&rig);
}

static void one_that_takes_the_place_of_another_has_a_directory_of_its_own(void **state)
{
    struct rig rig;
    struct os_stat stat;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    start(&rig, 5, FIRST, 1);
    kill_attempts(&rig, FIRST, 1, 0);
    uint32_t told = rig.leader.sent[MESSAGE_WORKER_ENDED];
    int64_t until = os_linux.monotonic_ns() / 1000000 + BOUND_MS;
    while (rig.leader.sent[MESSAGE_WORKER_ENDED] == told &&
           os_linux.monotonic_ns() / 1000000 < until) {
        waker_wait(own_waker, 10);
        task_executor_step(rig.executor,
            clock_ms); /* what is to be removed waits for the workers */
    }
    assert_int_equal(rig.leader.sent[MESSAGE_WORKER_ENDED], told + 1);
    start(&rig, 5, FIRST, 1);
    workers_step(rig.workers);
    char *dir = mem_printf("%s/" FIRST "-1-0.2", rig.dir);
    expect_ok(os_stat(dir, &stat));
    assert_true(stat.exists);
    mem_free(dir);
    rig_close(&rig);
}

/* -- leaving ----------------------------------------------------------------------------------------- */

static void beat(struct rig *rig, bool is_leaving)
{
    speak(&rig->leader, MESSAGE_HEARTBEAT,
        &(struct message_heartbeat){ .epoch = 5, .is_leaving = is_leaving });
}

static void expect_leaving_is_told(struct rig *rig, uint32_t beats)
{
    struct message_heartbeat told;
    step(rig);
    assert_int_equal(rig->leader.sent[MESSAGE_HEARTBEAT], beats);
    read_last(&rig->leader, MESSAGE_HEARTBEAT, &told);
    assert_true(told.is_leaving);
}

static void who_leaves_says_so_at_once_and_waits_for_the_answer_and_its_workers(void **state)
{
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    start(&rig, 5, FIRST, 1);
    step(&rig);
    uint32_t beats = rig.leader.sent[MESSAGE_HEARTBEAT];
    task_executor_leave(rig.executor);
    expect_leaving_is_told(&rig, beats + 1);
    beat(&rig, false); /* the answer to the beat before */
    kill_attempts(&rig, FIRST, 1, 0);
    wait_children(&rig, 0);
    assert_false(task_executor_has_left(rig.executor));
    start(&rig, 5, SECOND, 1); /* under way when it was told */
    beat(&rig, true);
    assert_false(task_executor_has_left(rig.executor));
    kill_attempts(&rig, SECOND, 1, 0);
    wait_children(&rig, 0);
    assert_true(task_executor_has_left(rig.executor));
    rig_close(&rig);
}

static void a_job_manager_that_comes_anew_is_told_anew(void **state)
{
    static const char *const known[] = { FIRST };
    struct rig rig;
    rig_open(&rig);
    say_registered(&rig, 5, NULL, 0);
    start(&rig, 5, FIRST, 1);
    task_executor_leave(rig.executor);
    step(&rig);
    uint32_t beats = rig.leader.sent[MESSAGE_HEARTBEAT];
    beat(&rig, true);
    rig.leader.handler->closed(rig.leader.arg, &rig.leader, weir_errorf(WEIR_E_IO, "reset"));
    assert_true(task_executor_has_left(rig.executor)); /* nobody would take its jobs away */
    clock_ms += 10000;
    step(&rig);
    say_registered(&rig, 5, known, 1);
    assert_false(task_executor_has_left(rig.executor));
    expect_leaving_is_told(&rig, beats + 1);
    rig_close(&rig);
}

static void an_executable_that_makes_no_plan_is_told_so(void **state)
{
    static const char *const scripts[][2] = { { "no program", "'job' has not been started: '/" },
        { "#!/bin/sh\nexit 0\n", "status 0 without a plan; is it a program with weir_main" },
        { "#!/bin/sh\nexit 3\n", "status 3 without a plan; is it a program with weir_main" } };
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        struct rig rig;
        struct arena arena;
        struct message_planned planned;
        rig_open_with(&rig, scripts[i][0]);
        say_registered(&rig, 5, NULL, 0);
        arena_init(&arena, 4096, 1 << 20);
        struct message_plan message = { .epoch = 5,
            .request = WEIR_STR(FIRST),
            .digest = WEIR_STR(DIGEST),
            .program = WEIR_STR("job"),
            .arguments = message_put_strings(NULL, 0, &arena) };
        speak(&rig.leader, MESSAGE_PLAN, &message);
        arena_release(&arena);
        wait_children(&rig, 0);
        read_last(&rig.leader, MESSAGE_PLANNED, &planned);
        assert_int_equal(planned.spec.size, 0);
        assert_int_not_equal(planned.code, 0);
        char *text = mem_printf("%.*s", (int)planned.text.size, planned.text.data);
        assert_non_null(strstr(text, scripts[i][1]));
        mem_free(text);
        rig_close(&rig);
    }
}

/* -- how they end ------------------------------------------------------------------------------------ */

static void how_a_worker_was_killed_is_told_and_why_there_is_no_core(void **state)
{
    static const struct {
        const char *script, *text;
    } rows[] = {
        { "echo some; echo words; kill -SEGV $$",
            "it was killed by SIGSEGV (no core: RLIMIT_CORE is 0); its last words: words" },
        { "kill -KILL $$", "it was killed by SIGKILL" }, { "exit 3", "it ended with status 3" }
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig rig;
        struct message_worker_ended ended;
        char *script = mem_printf("#!/bin/sh\n%s\n", rows[i].script);
        rig_open_with(&rig, script);
        say_registered(&rig, 5, NULL, 0);
        start(&rig, 5, FIRST, 1);
        wait_children(&rig, 0);
        read_last(&rig.leader, MESSAGE_WORKER_ENDED, &ended);
        assert_true(weir_str_equal(ended.text, weir_str_of(rows[i].text)));
        assert_int_equal(ended.task, 0); /* it did not say */
        mem_free(script);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_that_was_replaced_is_not_obeyed),
        cmocka_unit_test(one_that_takes_the_place_of_another_has_a_directory_of_its_own),
        cmocka_unit_test(nobody_is_obeyed_before_the_registration),
        cmocka_unit_test(a_job_manager_of_another_user_is_not_obeyed),
        cmocka_unit_test(a_job_manager_that_says_nothing_is_left),
        cmocka_unit_test(workers_of_jobs_that_a_new_leader_does_not_know_end),
        cmocka_unit_test(an_attempt_ends_with_all_older_ones_and_no_newer_one),
        cmocka_unit_test(who_does_not_end_in_time_is_killed),
        cmocka_unit_test(who_leaves_says_so_at_once_and_waits_for_the_answer_and_its_workers),
        cmocka_unit_test(a_job_manager_that_comes_anew_is_told_anew),
        cmocka_unit_test(an_executable_that_makes_no_plan_is_told_so),
        cmocka_unit_test(how_a_worker_was_killed_is_told_and_why_there_is_no_core),
    };
    const struct rlimit none = { 0, 0 };
    assert_int_equal(setrlimit(RLIMIT_CORE, &none), 0);
    return cmocka_run_group_tests(tests, fake_net_put, fake_net_restore);
}
