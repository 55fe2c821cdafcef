/* cluster_test.c -- weir cluster: processes are started, counted, shown and ended. The daemons are scripts; the job
 * manager's answers one request with as many task managers as were started. */
#include "cli/local_cluster.h"
#include "runtime/cluster/conf.h"

#include "test/unit/cli/cli_rig.h"

#include <signal.h>
#include <sys/stat.h>

static const struct reply none[] = { { NULL, 0, NULL } };
static char *programs, *home;
static struct rig *rig;

static void write_program(const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", programs, name);
    temp_dir_write(path, text, strlen(text));
    assert_int_equal(chmod(path, 0700), 0);
    mem_free(path);
}

static const char jobmanager[] =
    "#!/usr/bin/env python3\n"
    "import glob, http.server, json, sys\n"
    "port = int([a for a in sys.argv if a.startswith('rest.port=')][-1][10:])\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        names = glob.glob(sys.argv[0] + '.*')\n"
    "        n = len(names)\n"
    "        body = "
    "b'{\"taskmanagers\":%d,\"slots-total\":%d,\"slots-available\":1,\"jobs-running\":2,\"jobs\":[{"
    "\"state\":\"RUNNING\",\"tasks\":{\"total\":4,\"scheduled\":1}},{\"state\":\"FAILED\"},"
    "{\"jid\":\"abc\",\"name\":\"clicks\",\"state\":\"RESTARTING\",\"slots-required\":7,"
    "\"tasks\":{\"total\":14,\"scheduled\":14}},"
    "{\"jid\":\"def\",\"name\":\"new\",\"state\":\"INITIALIZING\",\"tasks\":{\"total\":0,"
    "\"scheduled\":0}}]}' % (n, "
    "n)\n"
    "        if self.path == '/v1/taskmanagers':\n"
    "            body = json.dumps({'taskmanagers': [{'id': 'host-%s-0a1b2c' % name.rsplit('.', "
    "1)[1]} "
    "for name in names]}).encode()\n"
    "        self.send_response(200)\n"
    "        self.send_header('Content-Length', str(len(body)))\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "http.server.HTTPServer(('127.0.0.1', port), H).serve_forever()\n";

/* Registers by a file beside the job manager's program. */
static void write_taskmanager(void)
{
    char *text = mem_printf("#!/bin/sh\necho \"$@\"\n: > %s/weir-jobmanager.$$\nexec sleep 1000\n",
        programs);
    write_program("weir-taskmanager", text);
    mem_free(text);
}

static bool accept_nobody(void *arg, struct connection *it)
{
    return false;
}

/* One that is free at the moment. */
static unsigned free_port(void)
{
    struct net *net = net_new();
    struct listener *listener;
    struct listen_options options = { .host = "127.0.0.1", .accepted = accept_nobody };
    expect_ok(net_listen(net, &options, &listener));
    unsigned port = listener_port(listener);
    listener_free(listener);
    net_free(net);
    return port;
}

static int ask(const char *verb, unsigned rest, unsigned rpc, const char *more)
{
    char *line = mem_printf("cluster %s --dir %s -D rest.address=127.0.0.1 -D rest.port=%u "
                            "-D rest.bind-address=127.0.0.1 -D jobmanager.rpc.port=%u%s",
        verb, home, rest, rpc, more);
    int status = rig_call(rig, line);
    mem_free(line);
    return status;
}

static void expect_text(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        print_error("%s\nhas no: %s\n%s", text, part, rig->error);
    assert_non_null(strstr(text, part));
}

static void expect_nobody_lives(void)
{
    struct local_cluster *cluster = mem_alloc(sizeof(*cluster));
    expect_ok(local_read(home, cluster));
    assert_int_equal(cluster->count, 0);
    mem_free(cluster);
}

static void a_cluster_is_started_shown_and_ended(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    assert_int_equal(ask("status", rest, rpc, ""), 1);
    expect_text(rig->error, "no cluster runs in");
    assert_int_equal(ask("start", rest, rpc, " -n 2 --slots 3 --memory 64MB"), 0);
    expect_text(rig->out,
        "Started a job manager and 2 task managers with 2 slots: http://127.0.0.1:");
    assert_null(strstr(rig->out, "does not know its jobs"));
    assert_int_equal(ask("start", rest, rpc, ""), 1);
    expect_text(rig->error, "a cluster runs in");
    assert_int_equal(ask("status", 1, rpc, ""), 0); /* the address is that of the start */
    expect_text(rig->out, "taskmanager-2");
    expect_text(rig->out,
        "2 task managers, 1 of 2 slots free, 1 job running\n"
        "job abc (clicks) is RESTARTING: it waits for 7 slots; start another task manager, or "
        "'weir rescale abc N'\n"
        "job def (new) is INITIALIZING\n");
    assert_int_equal(ask("status", rest, rpc, " --json"), 0);
    expect_text(rig->out, "\"processes\":3,\"alive\":3,\"ended\":[],\"taskmanagers\":2");
    expect_text(rig->out, "\"jobs-running\":1,\"jobs-waiting-for-slots\":1");
    char *log;
    size_t size;
    expect_ok(os_read_file(temp_dir_path(home, "taskmanager-1.log"), 4096, &log, &size));
    expect_text(log, "--conf /dev/null -D rest.address=127.0.0.1");
    expect_text(log, "-D taskmanager.numberOfTaskSlots=3 -D taskmanager.memory.process.size=64MB");
    mem_free(log);
    assert_int_equal(ask("stop", rest, rpc, ""), 0);
    assert_string_equal(rig->out,
        "Stopped 3 processes.\nEnded with it, for they had not ended: 3 jobs. Without high "
        "availability the next job manager does not know of them.\n");
    expect_nobody_lives();
    assert_int_equal(ask("stop", rest, rpc, ""), 0);
    expect_text(rig->out, "No cluster runs in");
}

static void a_port_that_somebody_has_is_named_before_anything_is_started(void **state)
{
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    unsigned taken = http_server_port(rig->server), rpc = free_port();
    char *words =
        mem_printf("port %u cannot be had; choose another one by -D rest.port=PORT", taken);
    assert_int_equal(ask("start", taken, rpc, ""), 1);
    expect_text(rig->error, words);
    mem_free(words);
    assert_int_equal(ask("start", rpc, taken, ""), 1);
    expect_text(rig->error, "by -D jobmanager.rpc.port=PORT");
    assert_int_equal(ask("start", 0, rpc, ""), 2);
    expect_text(rig->error, "option 'rest.port' is '0'; it must be from 1 to 65535");
    expect_nobody_lives();
}

/* Or else it would end with its log as the answer. */
static void more_slots_than_a_task_manager_may_have_are_refused_before_anything_is_started(
    void **state)
{
    static const char *const options[] = { "--slots ", "-D taskmanager.numberOfTaskSlots=" };
    char *range = mem_printf("it must be from 1 to %d", CONF_SLOTS_MAX);
    for (uint32_t i = 0; i < 2; i++) {
        char *more = mem_printf(" %s%d", options[i], CONF_SLOTS_MAX + 1);
        assert_int_equal(ask("start", free_port(), free_port(), more), 2);
        expect_text(rig->error, range);
        mem_free(more);
    }
    mem_free(range);
    expect_nobody_lives();
}

static void half_a_cluster_is_none(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    write_program("weir-jobmanager", jobmanager);
    assert_int_equal(ask("start", rest, rpc, ""), 2);
    expect_text(rig->error, "there is no program weir-taskmanager");
    expect_nobody_lives();
    write_program("weir-taskmanager", "#!/bin/sh\necho no room for me\nexit 1\n");
    assert_int_equal(ask("start", rest, rpc, ""), 1);
    expect_text(rig->error, "the taskmanager-1 has ended");
    expect_text(rig->error, "no room for me");
    expect_nobody_lives();
    write_program("weir-taskmanager", "#!/bin/sh\necho out of luck\nexit 1\n");
    assert_int_equal(ask("start", rest, rpc, ""), 1);
    expect_text(rig->error, "out of luck");
    assert_null(strstr(rig->error, "no room for me")); /* of the life before */
    expect_nobody_lives();
    write_program("weir-taskmanager", "#!/bin/sh\nexec sleep 1000\n"); /* never registers */
    assert_int_equal(ask("start", rest, rpc, " --timeout 1s"), 1);
    expect_text(rig->error, "0 of 1 task managers have registered in 1 s");
    expect_nobody_lives();
}

static void end_process(const char *name)
{
    struct local_cluster *cluster = mem_alloc(sizeof(*cluster));
    bool was_killed;
    uint32_t i = 0;
    expect_ok(local_read(home, cluster));
    while (i < cluster->count && strcmp(cluster->processes[i].name, name) != 0)
        i++;
    assert_true(i < cluster->count);
    expect_ok(os_daemon_stop(&cluster->processes[i].daemon, SIGTERM, 60000, &was_killed));
    mem_free(cluster);
}

/* With nothing but the directory: what was said at the first start is remembered. */
static int start_again(const char *more)
{
    char *line = mem_printf("cluster start --dir %s%s", home, more);
    int status = rig_call(rig, line);
    mem_free(line);
    return status;
}

static void one_that_has_ended_is_shown_and_started_again_as_it_was(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    assert_int_equal(ask("start", rest, rpc, " -n 2 --slots 3"), 0);
    end_process("taskmanager-1");
    assert_int_equal(ask("status", rest, rpc, ""), 1);
    expect_text(rig->out, "taskmanager-1 has ended: ");
    expect_text(rig->out, "/taskmanager-1.log says why, 'weir cluster start' starts it again\n");
    assert_int_equal(ask("status", rest, rpc, " --json"), 1);
    expect_text(rig->out, "\"alive\":2,");
    expect_text(rig->out, "\"ended\":[\"taskmanager-1\"],");
    assert_int_equal(start_again(""), 0);
    expect_text(rig->out,
        "Started taskmanager-1; the cluster has 3 task managers"); /* it counts starts */
    char *log, *words = mem_printf("-D rest.port=%u ", rest);
    size_t size;
    expect_ok(os_read_file(temp_dir_path(home, "taskmanager-1.log"), 4096, &log, &size));
    const char *second = strchr(log, '\n');
    assert_non_null(second);
    expect_text(second, words);
    expect_text(second, "-D taskmanager.numberOfTaskSlots=3\n");
    mem_free(log);
    mem_free(words);
    assert_int_equal(ask("status", 1, rpc, ""), 0);
    assert_int_equal(start_again(""), 1);
    expect_text(rig->error, "a cluster runs in");
    assert_int_equal(ask("stop", rest, rpc, " --json"), 0);
    assert_string_equal(rig->out, "{\"stopped\":3,\"killed\":0,\"jobs\":3}\n");
    expect_nobody_lives();
}

/* As the job manager sees one that is frozen: nothing has come from it for too long. */
static void one_that_is_alive_but_not_registered_is_named_with_what_to_do(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    struct local_cluster *cluster = mem_alloc(sizeof(*cluster));
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    assert_int_equal(ask("start", rest, rpc, " -n 2"), 0);
    expect_ok(local_read(home, cluster));
    for (uint32_t i = 0; i < cluster->count; i++) {
        if (strcmp(cluster->processes[i].name, "taskmanager-2") != 0)
            continue;
        char *file =
            mem_printf("%s/weir-jobmanager.%d", programs, cluster->processes[i].daemon.pid);
        expect_ok(os_remove(file));
        mem_free(file);
    }
    mem_free(cluster);
    assert_int_equal(ask("status", rest, rpc, ""), 1);
    expect_text(rig->out, "taskmanager-2 is alive, but not registered at http://127.0.0.1:");
    expect_text(rig->out, "('kill -CONT ");
    expect_text(rig->out, "1 task manager, 1 of 1 slot free, 1 job running\n");
    assert_null(strstr(rig->out, "taskmanager-1 is alive, but"));
    assert_int_equal(ask("status", rest, rpc, " --json"), 1);
    expect_text(rig->out, "\"unregistered\":[\"taskmanager-2\"]");
}

static void a_silent_job_manager_does_not_keep_what_this_machine_knows(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    assert_int_equal(ask("start", rest, rpc, ""), 0);
    end_process("jobmanager");
    assert_int_equal(ask("status", rest, rpc, ""), 1);
    expect_text(rig->out, "jobmanager has ended: ");
    expect_text(rig->error, "no job manager answers at");
    assert_int_equal(ask("status", rest, rpc, " --json"), 1);
    expect_text(rig->out, "\"processes\":2,\"alive\":1,\"ended\":[\"jobmanager\"]}\n");
    expect_text(rig->error, "no job manager answers at");
}

/* It answers every request with where its leader is. */
static void write_standby(unsigned leader)
{
    char *text =
        mem_printf("#!/usr/bin/env python3\n"
                   "import http.server, sys\n"
                   "port = int([a for a in sys.argv if a.startswith('rest.port=')][-1][10:])\n"
                   "class H(http.server.BaseHTTPRequestHandler):\n"
                   "    def do_GET(self):\n"
                   "        self.send_response(307)\n"
                   "        self.send_header('Location', 'http://127.0.0.1:%u' + self.path)\n"
                   "        self.send_header('Content-Length', '0')\n"
                   "        self.end_headers()\n"
                   "http.server.HTTPServer(('127.0.0.1', port), H).serve_forever()\n",
            leader);
    write_program("weir-jobmanager", text);
    mem_free(text);
}

static void what_it_takes_to_be_heard_is_remembered_with_the_address(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    char *token = mem_printf("%s/token", programs);
    temp_dir_write(token, "secret", 6);
    assert_int_equal(chmod(token, 0600), 0);
    char *more = mem_printf(" -D security.token-file=%s", token);
    assert_int_equal(ask("start", rest, rpc, more), 0);
    char *expected = mem_printf("http://127.0.0.1:%u\nsecurity.token-file=%s", rest, token);
    for (int i = 0; i < 2; i++) {
        char *text = local_address(home);
        assert_string_equal(text, expected);
        mem_free(text);
        assert_int_equal(start_again(" -n 2"), i); /* says nothing of it; then all runs */
    }
    assert_int_equal(chmod(token, 0644), 0);
    assert_int_equal(ask("status", rest, rpc, ""), 2);
    assert_int_equal(ask("stop", rest, rpc, ""), 0); /* ends it, though it cannot be asked */
    mem_free(expected);
    mem_free(more);
    mem_free(token);
}

static void a_standby_that_is_started_is_remembered_and_not_the_leader_that_it_names(void **state)
{
    unsigned leader = free_port(), rest = free_port();
    char *first = home, *url;
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    assert_int_equal(ask("start", leader, free_port(), ""), 0);
    write_standby(leader);
    home = mem_printf("%s/standby", programs);
    assert_int_equal(ask("start", rest, free_port(), ""), 0);
    url = local_address(home);
    char *expected = mem_printf("http://127.0.0.1:%u", rest);
    assert_string_equal(url, expected);
    assert_int_equal(ask("stop", rest, 1, ""), 0);
    mem_free(expected);
    mem_free(url);
    mem_free(home);
    home = first;
}

static void a_cluster_that_runs_gets_what_is_missing_and_nothing_of_it_is_ended(void **state)
{
    unsigned rest = free_port(), rpc = free_port();
    write_program("weir-jobmanager", jobmanager);
    write_taskmanager();
    assert_int_equal(ask("start", rest, rpc, ""), 0);
    assert_int_equal(start_again(" -n 3 --json"), 0);
    expect_text(rig->out, "\"started\":[\"taskmanager-2\",\"taskmanager-3\"]");
    write_program("weir-taskmanager", "#!/bin/sh\necho no room for me\nexit 1\n");
    assert_int_equal(start_again(" -n 9"), 1);
    expect_text(rig->error, "the taskmanager-4 has ended");
    assert_int_equal(ask("status", 1, rpc, " --json"), 0);
    expect_text(rig->out, "\"processes\":4,\"alive\":4,");
    end_process("jobmanager");
    assert_int_equal(start_again(""), 0);
    expect_text(rig->out, "Started jobmanager; the cluster has 3 task managers");
    expect_text(rig->out, "this one does not know its jobs: start each again from its newest "
                          "checkpoint, 'weir run -s CHECKPOINTS/JOB/chk-N PROGRAM'.\n");
    assert_int_equal(ask("stop", rest, rpc, " --json"), 0);
    expect_nobody_lives();
}

static void a_pid_file_that_a_crash_has_cut_names_nobody(void **state)
{
    char *path = mem_printf("%s/jobmanager.pid", programs);
    struct local_cluster *cluster = mem_alloc(sizeof(*cluster));
    uint32_t killed;
    temp_dir_write(path, "12", 2);
    expect_ok(local_read(programs, cluster));
    assert_int_equal(cluster->count, 1);
    assert_int_equal(local_alive(cluster), 0);
    expect_ok(local_stop(cluster, 1000, &killed));
    expect_ok(local_read(programs, cluster));
    assert_int_equal(cluster->count, 0);
    mem_free(cluster);
    mem_free(path);
}

static int open_home(void **state)
{
    rig = rig_open(none, NULL);
    programs = temp_dir_new();
    home = mem_printf("%s/home", programs);
    char *path = mem_printf("%s:/usr/local/bin:/usr/bin:/bin", programs);
    setenv("PATH", path, 1);
    mem_free(path);
    return setenv("WEIR_CONF", "/dev/null", 1);
}

static int close_home(void **state)
{
    char *line = mem_printf("cluster stop --dir %s", home);
    int status = rig_call(rig, line); /* what a failed test has left */
    mem_free(line);
    mem_free(home);
    temp_dir_free(programs);
    rig_close(rig);
    return status;
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, open_home, close_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cluster_is_started_shown_and_ended),
        TEST(a_port_that_somebody_has_is_named_before_anything_is_started),
        TEST(more_slots_than_a_task_manager_may_have_are_refused_before_anything_is_started),
        TEST(half_a_cluster_is_none),
        TEST(one_that_has_ended_is_shown_and_started_again_as_it_was),
        TEST(a_cluster_that_runs_gets_what_is_missing_and_nothing_of_it_is_ended),
        TEST(one_that_is_alive_but_not_registered_is_named_with_what_to_do),
        TEST(a_silent_job_manager_does_not_keep_what_this_machine_knows),
        TEST(what_it_takes_to_be_heard_is_remembered_with_the_address),
        TEST(a_standby_that_is_started_is_remembered_and_not_the_leader_that_it_names),
        TEST(a_pid_file_that_a_crash_has_cut_names_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
