/* operate_test.c -- conversations of the verbs that operate jobs: what is asked byte by byte, what is printed. */
#include "test/unit/cli/cli_rig.h"

#define RESUME_SAVEPOINT "You can resume your program from this savepoint with the run command.\n"
#define BUSY             "{\"status\":{\"id\":\"IN_PROGRESS\"}}"
#define BEGUN            "{\"request-id\":\"" ASKED "\"}"
#define DONE(text_)      "{\"status\":{\"id\":\"COMPLETED\"},\"operation\":{" text_ "}}"
#define END \
    { \
        NULL, 0, NULL \
    }

static const char jobs_text[] =
    "{\"jobs\":["
    "{\"jid\":\"" OTHER "\",\"name\":\"late\",\"state\":\"RUNNING\",\"start-time\":2000},"
    "{\"jid\":\"" JOB "\",\"name\":\"early\",\"state\":\"RESTARTING\",\"start-time\":1000},"
    "{\"jid\":\"aa000000000000000000000000000000\",\"name\":\"new\",\"state\":\"CREATED\",\"start-"
    "time\":0},"
    "{\"jid\":\"bb000000000000000000000000000000\",\"name\":\"early\",\"state\":\"FINISHED\","
    "\"start-time\":0},"
    "{\"jid\":\"bb100000000000000000000000000000\",\"name\":\"twin\",\"state\":\"FAILED\",\"start-"
    "time\":0},"
    "{\"jid\":\"bb200000000000000000000000000000\",\"name\":\"twin\",\"state\":\"CANCELED\","
    "\"start-time\":0}]}";

#define ROW_OVERVIEW \
    { \
        "GET /v1/jobs/overview", 200, jobs_text \
    }

#define RUNNING \
    "------------------ Running/Restarting Jobs -------------------\n" \
    "01.01.1970 00:00:01 : " JOB " : early (RESTARTING)\n" \
    "01.01.1970 00:00:02 : " OTHER " : late (RUNNING)\n" \
    "--------------------------------------------------------------\n"
#define SCHEDULED \
    "----------------------- Scheduled Jobs -----------------------\n" \
    "01.01.1970 00:00:00 : aa000000000000000000000000000000 : new (CREATED)\n" \
    "--------------------------------------------------------------\n"
#define ENDED \
    "---------------------- Terminated Jobs -----------------------\n" \
    "01.01.1970 00:00:00 : bb000000000000000000000000000000 : early (FINISHED)\n" \
    "01.01.1970 00:00:00 : bb100000000000000000000000000000 : twin (FAILED)\n" \
    "01.01.1970 00:00:00 : bb200000000000000000000000000000 : twin (CANCELED)\n" \
    "--------------------------------------------------------------\n"
#define WAITING "Waiting for response...\n"

static void a_list_has_the_lines_of_flinks(void **state)
{
    static const struct reply jobs[] = { ROW_OVERVIEW, END };
    static const struct reply none[] = { { "GET /v1/jobs/overview", 200, "{\"jobs\":[]}" }, END };
    expect_talk("list", "", jobs, 0, WAITING RUNNING SCHEDULED, "");
    expect_talk("list", "-r", jobs, 0, WAITING RUNNING, "");
    expect_talk("list", "--scheduled", jobs, 0, WAITING SCHEDULED, "");
    expect_talk("list", "-a", jobs, 0, WAITING RUNNING SCHEDULED ENDED, "");
    expect_talk("list", "-a", none, 0, WAITING "No running jobs.\nNo scheduled jobs.\n", "");
    expect_talk("list", "--json", none, 0, "{\"jobs\":[]}\n", "");
    char *all = mem_printf("%s\n", jobs_text);
    expect_talk("list", "--json", jobs, 0, all, "");
    expect_talk("list", "--json -a", jobs, 0, all, "");
    mem_free(all);
    expect_talk("list", "-s --json", jobs, 0,
        "{\"jobs\":[{\"jid\":\"aa000000000000000000000000000000\",\"name\":\"new\",\"state\":"
        "\"CREATED\",\"start-time\":0}]}\n",
        "");
}

static void a_job_that_is_suspended_is_listed_with_where_the_reason_is(void **state)
{
    static const struct reply jobs[] = { { "GET /v1/jobs/overview", 200,
                                             "{\"jobs\":[{\"jid\":\"" JOB "\",\"name\":\"old\","
                                             "\"state\":\"SUSPENDED\",\"start-time\":1000}]}" },
        END };
    expect_talk("list", "-r", jobs, 0,
        WAITING
        "No running jobs.\n"
        "----------------------- Suspended Jobs -----------------------\n"
        "01.01.1970 00:00:01 : " JOB " : old (SUSPENDED)\n"
        "    this job manager cannot run it: 'weir logs jobmanager' says why, and what to do\n"
        "--------------------------------------------------------------\n",
        "");
}

static void a_cancelled_job_is_not_waited_for(void **state)
{
    static const struct reply ok[] = { { "PATCH /v1/jobs/" JOB "?mode=cancel {}", 202, "{}" },
        END };
    static const struct reply ended[] = {
        { "PATCH /v1/jobs/" JOB "?mode=cancel {}", 409, "{\"errors\":[\"already FINISHED\"]}" }, END
    };
    expect_talk("cancel", JOB, ok, 0, "Cancelling job " JOB ".\nCancelled job " JOB ".\n", "");
    expect_talk("cancel", JOB " --json", ok, 0, "{\"jobid\":\"" JOB "\"}\n", "");
    expect_talk("cancel", JOB, ended, 1, "Cancelling job " JOB ".\n", "already FINISHED");
    static const struct reply silent[] = { { "PATCH /v1/jobs/" JOB "?mode=cancel {}", 0, NULL },
        END };
    expect_talk("cancel", JOB " --timeout 100ms", silent, 1, "Cancelling job " JOB ".\n",
        "job " JOB " may be cancelled yet, or not: 'weir list -a' shows it");
}

static void a_job_is_found_by_the_front_of_its_id_or_by_its_name(void **state)
{
    static const struct reply early[] = { ROW_OVERVIEW,
        { "PATCH /v1/jobs/" JOB "?mode=cancel {}", 202, "{}" }, END };
    static const struct reply only_list[] = { ROW_OVERVIEW, END };
    static const char *const words[] = { "01234",
        "early" }; /* the other one called early has ended */
    for (size_t i = 0; i < COUNT_OF(words); i++)
        expect_talk("cancel", words[i], early, 0,
            "Cancelling job " JOB ".\nCancelled job " JOB ".\n", "");
    expect_talk("cancel", "0123", only_list, 1, "", "2 jobs are '0123'");
    expect_talk("cancel", "aa0", only_list, 1, "", "there is no job 'aa0'");
    expect_talk("cancel", "a", only_list, 1, "", "by its id (4 digits of it, or more)");
    expect_talk("cancel", "twin", only_list, 1, "", "2 jobs are 'twin'");
    expect_talk("cancel", "nobody", only_list, 1, "", "there is no job 'nobody'");
}

static void a_stop_takes_the_savepoint_along(void **state)
{
    static const struct reply plain[] = {
        { "POST /v1/jobs/" JOB
          "/stop {\"targetDirectory\":null,\"drain\":false,\"formatType\":\"CANONICAL\","
          "\"triggerId\":null}",
            202, BEGUN },
        { "GET /v1/jobs/" JOB "/savepoints/" ASKED, 200, BUSY },
        { "GET /v1/jobs/" JOB "/savepoints/" ASKED, 503, "{\"errors\":[\"a new leader\"]}" },
        { "GET /v1/jobs/" JOB "/savepoints/" ASKED, 200, DONE("\"location\":\"file:/s/1\"") }, END
    };
    static const struct reply drained[] = {
        { "POST /v1/jobs/" JOB
          "/stop {\"targetDirectory\":\"/s\",\"drain\":true,\"formatType\":\"CANONICAL\","
          "\"triggerId\":null}",
            202, BEGUN },
        { "GET /v1/jobs/" JOB "/savepoints/" ASKED, 200, DONE("\"location\":\"file:/s/1\"") }, END
    };
    static const char suspended[] = "Suspending job \"" JOB "\" with a CANONICAL savepoint.\n"
                                    "Savepoint completed. Path: file:/s/1\n" RESUME_SAVEPOINT;
    static const char done[] = "Draining job \"" JOB "\" with a CANONICAL savepoint.\n"
                               "Savepoint completed. Path: file:/s/1\n" RESUME_SAVEPOINT;
    expect_talk("stop", JOB, plain, 0, suspended, "");
    expect_talk("stop", "-p " JOB, plain, 0, suspended, ""); /* the option may do without */
    expect_talk("stop", JOB " -p", plain, 0, suspended, "");
    expect_talk("stop", "-p /s --drain " JOB, drained, 0, done, "");
    expect_talk("stop", JOB " -d -savepointPath=file:/s", drained, 0, done, "");
    expect_talk("stop", "--json -d -p /s " JOB, drained, 0,
        "{\"jobid\":\"" JOB "\",\"location\":\"file:/s/1\"}\n", "");
}

#define SAVEPOINT_BODY(dir_, cancel_) \
    " {\"target-directory\":" dir_ ",\"cancel-job\":" cancel_ \
    ",\"formatType\":\"CANONICAL\",\"triggerId\":null}"
#define POLL_SAVEPOINT "GET /v1/jobs/" JOB "/savepoints/" ASKED
#define TRIGGERING     "Triggering savepoint for job " JOB ".\n"

static void a_savepoint_is_asked_for_once_and_polled(void **state)
{
    static const struct reply done[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("\"/s\"", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 200, BUSY }, { POLL_SAVEPOINT, 200, DONE("\"location\":\"file:/s/1\"") },
        END
    };
    static const struct reply failed[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 200,
            DONE("\"failure-cause\":{\"class\":\"c\",\"stack-trace\":\"disk full\"}") },
        END
    };
    static const struct reply detached[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN }, END
    };
    static const struct reply cancelled[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("\"/s\"", "true"), 202, BEGUN },
        { POLL_SAVEPOINT, 200, DONE("\"location\":\"file:/s/1\"") }, END
    };
    static const struct reply no_place[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 200, DONE("") }, END
    };
    expect_talk("savepoint", JOB " /s", done, 0,
        TRIGGERING WAITING "Savepoint completed. Path: file:/s/1\n" RESUME_SAVEPOINT, "");
    expect_talk("savepoint", JOB, failed, 1, TRIGGERING WAITING, "disk full");
    expect_talk("savepoint", JOB, no_place, 1, TRIGGERING WAITING, "nobody says where");
    expect_talk("savepoint", "-detached " JOB " -type canonical", detached, 0,
        TRIGGERING "Successfully trigger manual savepoint, triggerId: " ASKED "\n", "");
    expect_talk("cancel", "-s /s " JOB, cancelled, 0,
        "Cancelling job " JOB " with a savepoint.\n"
        "Savepoint completed. Path: file:/s/1\n" RESUME_SAVEPOINT,
        "");
}

static void polling_ends_with_the_first_answer_that_makes_no_sense_or_at_the_time_out(void **state)
{
    static const struct reply garbage[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 200, "{\"statu" }, END
    };
    static const struct reply forgotten[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 404, "{\"errors\":[\"Operation not found\"]}" }, END
    };
    static const struct reply no_status[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 200, "{}" }, END
    };
    static const struct reply no_id[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, "{}" }, END
    };
    static const struct reply silent[] = {
        { "POST /v1/jobs/" JOB "/savepoints" SAVEPOINT_BODY("null", "false"), 202, BEGUN },
        { POLL_SAVEPOINT, 0, NULL }, END
    };
    expect_talk("savepoint", JOB, garbage, 1, TRIGGERING WAITING, "the answer is no JSON");
    expect_talk("savepoint", JOB, forgotten, 1, TRIGGERING WAITING, "Operation not found");
    expect_talk("savepoint", JOB, no_status, 1, TRIGGERING WAITING, "has no status");
    expect_talk("savepoint", JOB, no_id, 1, TRIGGERING WAITING, "no 'request-id'");
    expect_talk("savepoint", JOB " --timeout 1s", silent, 1, TRIGGERING WAITING,
        "the savepoint is not done after 1 s; it goes on (request " ASKED ")");
}

static void a_savepoint_is_disposed_of_by_its_path(void **state)
{
    static const struct reply replies[] = {
        { "POST /v1/savepoint-disposal {\"savepoint-path\":\"/s/1\"}", 200, BEGUN },
        { "GET /v1/savepoint-disposal/" ASKED, 200, DONE("") }, END
    };
    static const struct reply none[] = { END };
    expect_talk("savepoint", "-d file:/s/1", replies, 0,
        "Disposing savepoint 'file:/s/1'.\n" WAITING "Savepoint 'file:/s/1' disposed.\n", "");
    expect_talk("savepoint", "-d /s/1 " JOB, none, 2, "", "--dispose PATH alone");
    expect_talk("savepoint", "", none, 2, "", "takes a job, or a checkpoint and a directory");
}

static void what_is_a_path_is_never_looked_for_among_jobs(void **state)
{
    static const struct reply none[] = { END };
    static const struct reply by_name[] = { ROW_OVERVIEW, END };
    expect_talk("savepoint", "./nowhere /s", none, 2, "", "there is no './nowhere'");
    expect_talk("savepoint", "./nowhere", none, 2, "", "where does the savepoint go?");
    expect_talk("savepoint", "nowhere", by_name, 1, "", "there is no job 'nowhere'");
}

#define ROWS_CHECKPOINT \
    { "POST /v1/jobs/" JOB "/checkpoints {\"checkpointType\":\"CONFIGURED\",\"triggerId\":null}", \
        202, BEGUN }, \
    { \
        "GET /v1/jobs/" JOB "/checkpoints/" ASKED, 200, DONE("\"checkpointId\":26") \
    }
#define DETAILS "GET /v1/jobs/" JOB "/checkpoints/details/26"
#define COMPLETED \
    "Triggering checkpoint for job " JOB ".\n" WAITING "Checkpoint 26 for job " JOB " completed." \
    "\n"

static void a_checkpoint_says_its_number_and_its_path(void **state)
{
    static const struct reply replies[] = { ROWS_CHECKPOINT,
        { DETAILS, 200, "{\"id\":26,\"external_path\":\"/c/early/chk-26\"}" }, END };
    static const struct reply full[] = {
        { "POST /v1/jobs/" JOB "/checkpoints {\"checkpointType\":\"FULL\",\"triggerId\":null}", 202,
            BEGUN },
        { "GET /v1/jobs/" JOB "/checkpoints/" ASKED, 200,
            DONE("\"failureCause\":{\"class\":\"weir.TIMEOUT\"}") },
        END
    };
    expect_talk("checkpoint", JOB, replies, 0,
        COMPLETED "Path: /c/early/chk-26\n"
                  "You can resume your program from this checkpoint with the run command.\n",
        "");
    expect_talk("checkpoint", "--json " JOB, replies, 0,
        "{\"jobid\":\"" JOB "\",\"checkpointId\":26,\"location\":\"/c/early/chk-26\"}\n", "");
    expect_talk("checkpoint", "-full --json " JOB, full, 1, "", "weir.TIMEOUT");
}

static void of_a_temporary_checkpoint_nobody_is_told_to_resume(void **state)
{
    static const struct reply replies[] = { ROWS_CHECKPOINT,
        { DETAILS, 200,
            "{\"id\":26,\"external_path\":\"<checkpoint-not-externally-addressable>\"}" },
        END };
    expect_talk("checkpoint", JOB, replies, 0,
        COMPLETED "It is temporary, and goes with the job: what is to be resumed from is a "
                  "savepoint ('weir savepoint " JOB
                  " DIR'), or a checkpoint of a job with --checkpoints DIR.\n",
        "");
    expect_talk("checkpoint", "--json " JOB, replies, 0,
        "{\"jobid\":\"" JOB "\",\"checkpointId\":26,\"location\":null}\n", "");
}

static void a_checkpoint_whose_path_nobody_says_is_complete_all_the_same(void **state)
{
    static const struct reply forgotten[] = { ROWS_CHECKPOINT,
        { DETAILS, 404, "{\"errors\":[\"Could not find checkpointing statistics\"]}" }, END };
    static const struct reply without[] = { ROWS_CHECKPOINT, { DETAILS, 200, "{\"id\":26}" }, END };
    expect_talk("checkpoint", "--json " JOB, forgotten, 1, "",
        "checkpoint 26 is complete, but nobody says where");
    expect_talk("checkpoint", "--json " JOB, without, 1, "",
        "checkpoint 26 is complete, but nobody says where");
}

static void a_rescale_says_how_long_there_was_no_output(void **state)
{
    static const struct reply replies[] = { { "PATCH /v1/jobs/" JOB "/rescaling?parallelism=4 {}",
                                                202, BEGUN },
        { "GET /v1/jobs/" JOB "/rescaling/" ASKED, 200,
            DONE("\"downtime-ms\":120,\"duration-ms\":450") },
        END };
    static const struct reply none[] = { END };
    expect_talk("rescale", JOB " 4", replies, 0,
        "Rescaling job " JOB " to parallelism 4.\n" WAITING "Rescaled job " JOB
        " to parallelism 4.\nWithout output for 120 ms, 450 ms in all.\n",
        "");
    expect_talk("rescale", JOB " 4 --json", replies, 0,
        "{\"jobid\":\"" JOB
        "\",\"parallelism\":4,\"unchanged\":false,\"downtime-ms\":120,\"duration-ms\":450}\n",
        "");
    static const struct reply same[] = { { "PATCH /v1/jobs/" JOB "/rescaling?parallelism=4 {}", 202,
                                             BEGUN },
        { "GET /v1/jobs/" JOB "/rescaling/" ASKED, 200,
            DONE("\"unchanged\":true,\"downtime-ms\":0,\"duration-ms\":45") },
        END };
    expect_talk("rescale", JOB " 4", same, 0,
        "Rescaling job " JOB " to parallelism 4.\n" WAITING "Job " JOB
        " has parallelism 4 already: nothing was changed.\n",
        "");
    static const char *const wrong[] = { JOB " 0", JOB " 4x", JOB " 99999999999999999999" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        expect_talk("rescale", wrong[i], none, 2, "", "it must be from 1 to");
}

static void explain_prints_what_comes(void **state)
{
    static const struct reply plan[] = { { "GET /v1/jobs/" JOB "/explain", 200, "vertex 0\n" },
        END };
    static const struct reply json[] = { { "GET /v1/jobs/" JOB "/plan", 200, "{\"plan\":{}}" },
        END };
    expect_talk("explain", JOB, plan, 0, "vertex 0\n", "");
    expect_talk("explain", JOB " --json", json, 0, "{\"plan\":{}}", "");
}

#define TASK_MANAGERS \
    { \
        "GET /v1/taskmanagers", 200, "{\"taskmanagers\":[{\"id\":\"tm/1\"},{\"id\":\"tm 2\"}]}" \
    }
#define LOG(name_, size_, time_) "{\"name\":\"" name_ "\",\"size\":" #size_ ",\"mtime\":" #time_ "}"

static void the_logs_of_a_process_are_listed_and_printed(void **state)
{
    static const struct reply list[] = {
        { "GET /v1/jobmanager/logs", 404, "{\"errors\":[\"none\"]}" }, TASK_MANAGERS,
        { "GET /v1/taskmanagers/tm/1/logs", 200, "{\"logs\":[" LOG("x.log", 12, 1) "]}" },
        { "GET /v1/taskmanagers/tm 2/logs", 200, "{\"logs\":[]}" }, END
    };
    static const struct reply lists[] = { { "GET /v1/jobmanager/logs", 200,
                                              "{\"logs\":[" LOG("jobmanager.log", 7, 2) "]}" },
        TASK_MANAGERS,
        { "GET /v1/taskmanagers/tm/1/logs", 200,
            "{\"logs\":[" LOG("taskmanager.log", 1234567, 1) "," LOG(JOB "-0-0.log", 0,
                1) "," LOG(JOB "-12-3.log", 5, 1) "]}" },
        { "GET /v1/taskmanagers/tm 2/logs", 504, "{\"errors\":[\"slow\"]}" }, END };
    static const struct reply own[] = { { "GET /v1/jobmanager/logs", 200,
                                            "{\"logs\":[" LOG("jobmanager.log.1", 9,
                                                1) "," LOG("jobmanager.log", 7, 2) "]}" },
        { "GET /v1/jobmanager/logs/jobmanager.log?offset=0", 200, "one\n" },
        { "GET /v1/jobmanager/logs/jobmanager.log?offset=4", 200, "two" }, END };
    static const struct reply named[] = { TASK_MANAGERS,
        { "GET /v1/taskmanagers/tm/1/logs", 200, "{\"logs\":[" LOG("x.log", 4, 1) "]}" },
        { "GET /v1/taskmanagers/tm/1/logs/x.log?offset=0", 200, "one\n" }, END };
    static const struct reply none[] = { TASK_MANAGERS,
        { "GET /v1/taskmanagers/tm/1/logs", 200, "{\"logs\":[]}" }, END };
    static const struct reply unasked[] = { END };
    expect_talk("logs", "", list, 0,
        "PROCESS  LOG         BYTES  OF\n"
        "tm/1     x.log          12  the process itself\n"
        "jobmanager: the job manager says (404): none\n",
        "");
    expect_talk("logs", "", lists, 0,
        "PROCESS     LOG                                             BYTES  OF\n"
        "jobmanager  jobmanager.log                                      7  the process itself\n"
        "tm/1        taskmanager.log                               1234567  the process itself\n"
        "tm/1        " JOB "-0-0.log            0  a plan\n"
        "tm/1        " JOB "-12-3.log           5  worker 3 of attempt 12\n"
        "tm 2: the job manager says (504): slow\n",
        "");
    expect_talk("logs", "--json", list, 0,
        "{\"process\":\"jobmanager\",\"error\":\"the job manager says (404): none\"}\n"
        "{\"process\":\"tm/1\",\"name\":\"x.log\",\"size\":12,\"mtime\":1}\n",
        "");
    expect_talk("logs", "jobmanager", own, 0, "one\ntwo", "");
    expect_talk("logs", "jobmanager --json", own, 0,
        "{\"process\":\"jobmanager\",\"name\":\"jobmanager.log\",\"size\":7,\"mtime\":2,"
        "\"text\":\"one\\u000atwo\"}\n",
        "");
    expect_talk("logs", "tm/1 x.log", named, 0, "one\n", "");
    expect_talk("logs", "jobmanager --worker 2", unasked, 2, "", "--worker is of a job");
    expect_talk("logs", "--worker 2", unasked, 2, "", "--worker needs to know of what");
    expect_talk("logs", "jobmanager -f --json", unasked, 2, "", "leave out --json or --follow");
    expect_talk("logs", "tm/1 ../x.log", none, 1, "", "tm/1 has no log '../x.log'");
}

#define LOGS_OF_JOB \
    { "GET /v1/taskmanagers/tm/1/logs", 200, \
        "{\"logs\":[" LOG(JOB "-2-0.log", 4, 30) "," LOG(JOB "-1-0.log", 4, \
            10) "," LOG(OTHER "-1-0.log", 4, 5) "," LOG("taskmanager.log", 4, 5) "]}" }, \
    { \
        "GET /v1/taskmanagers/tm 2/logs", 200, \
            "{\"logs\":[" LOG(JOB "-2-1.log", 4, 20) "," LOG(JOB "-2-1.log.tmp", 4, 20) "]}" \
    }

static void the_logs_of_a_job_are_those_of_its_workers_the_newest_last(void **state)
{
    static const struct reply all[] = { TASK_MANAGERS, LOGS_OF_JOB,
        { "GET /v1/taskmanagers/tm/1/logs/" JOB "-1-0.log?offset=0", 200, "old\n" },
        { "GET /v1/taskmanagers/tm 2/logs/" JOB "-2-1.log?offset=0", 200, "mid\n" },
        { "GET /v1/taskmanagers/tm/1/logs/" JOB "-2-0.log?offset=0", 200, "new\n" }, END };
    static const struct reply one[] = { TASK_MANAGERS, LOGS_OF_JOB,
        { "GET /v1/taskmanagers/tm 2/logs/" JOB "-2-1.log?offset=0", 200, "mid\n" }, END };
    static const struct reply none[] = { TASK_MANAGERS,
        { "GET /v1/taskmanagers/tm/1/logs", 504, "{\"errors\":[\"slow\"]}" },
        { "GET /v1/taskmanagers/tm 2/logs", 200, "{\"logs\":[]}" }, END };
    expect_talk("logs", JOB, all, 0,
        "==> tm/1 " JOB "-1-0.log <==\nold\n\n==> tm 2 " JOB "-2-1.log <==\nmid\n\n==> tm/1 " JOB
        "-2-0.log <==\nnew\n",
        "");
    expect_talk("logs", JOB " --worker 1", one, 0, "==> tm 2 " JOB "-2-1.log <==\nmid\n", "");
    expect_talk("logs", JOB " --worker 1 --json", one, 0,
        "{\"process\":\"tm 2\",\"name\":\"" JOB "-2-1.log\",\"size\":4,\"mtime\":20,"
        "\"text\":\"mid\\u000a\"}\n",
        "");
    expect_talk("logs", JOB, none, 1, "", "has a log of job " JOB);
}

static void a_job_is_followed_to_its_last_words(void **state)
{
#define STATUS(state_) \
    { \
        "GET /v1/jobs/" JOB "/status", 200, "{\"status\":\"" state_ "\"}" \
    }
#define ONE_LOG(size_) \
    { "GET /v1/taskmanagers", 200, "{\"taskmanagers\":[{\"id\":\"tm\"}]}" }, \
    { \
        "GET /v1/taskmanagers/tm/logs", 200, "{\"logs\":[" LOG(JOB "-1-0.log", size_, 1) "]}" \
    }
#define TEXT_FROM(offset_, text_) \
    { \
        "GET /v1/taskmanagers/tm/logs/" JOB "-1-0.log?offset=" #offset_, 200, text_ \
    }
    static const struct reply replies[] = { STATUS("CREATED"),
        { "GET /v1/taskmanagers", 200, "{\"taskmanagers\":[]}" }, STATUS("RUNNING"), ONE_LOG(4),
        TEXT_FROM(0, "one\n"), STATUS("RUNNING"), ONE_LOG(4), STATUS("RUNNING"), ONE_LOG(3),
        TEXT_FROM(0, "cut"), STATUS("FAILED"), ONE_LOG(8), TEXT_FROM(3, "SIGSE"), END };
    expect_talk("logs", "-f " JOB, replies, 0, "==> tm " JOB "-1-0.log <==\none\ncutSIGSE", "");
}

static void following_a_job_that_nobody_knows_and_that_has_no_logs_is_an_error(void **state)
{
    static const struct reply unknown[] = { { "GET /v1/jobs/" JOB "/status", 404,
                                                "{\"errors\":[\"none\"]}" },
        { "GET /v1/taskmanagers", 200, "{\"taskmanagers\":[]}" }, END };
    expect_talk("logs", "-f " JOB, unknown, 1, "",
        "has a log of job " JOB ": there is no such job");
}

static int fixed_place(void **state)
{
    setenv("TZ", "UTC", 1);
    return setenv("WEIR_CONF", "/dev/null", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_the_lines_of_flinks),
        cmocka_unit_test(a_job_that_is_suspended_is_listed_with_where_the_reason_is),
        cmocka_unit_test(a_cancelled_job_is_not_waited_for),
        cmocka_unit_test(a_job_is_found_by_the_front_of_its_id_or_by_its_name),
        cmocka_unit_test(a_stop_takes_the_savepoint_along),
        cmocka_unit_test(a_savepoint_is_asked_for_once_and_polled),
        cmocka_unit_test(polling_ends_with_the_first_answer_that_makes_no_sense_or_at_the_time_out),
        cmocka_unit_test(a_savepoint_is_disposed_of_by_its_path),
        cmocka_unit_test(what_is_a_path_is_never_looked_for_among_jobs),
        cmocka_unit_test(a_checkpoint_says_its_number_and_its_path),
        cmocka_unit_test(of_a_temporary_checkpoint_nobody_is_told_to_resume),
        cmocka_unit_test(a_checkpoint_whose_path_nobody_says_is_complete_all_the_same),
        cmocka_unit_test(a_rescale_says_how_long_there_was_no_output),
        cmocka_unit_test(explain_prints_what_comes),
        cmocka_unit_test(the_logs_of_a_process_are_listed_and_printed),
        cmocka_unit_test(the_logs_of_a_job_are_those_of_its_workers_the_newest_last),
        cmocka_unit_test(a_job_is_followed_to_its_last_words),
        cmocka_unit_test(following_a_job_that_nobody_knows_and_that_has_no_logs_is_an_error),
    };
    return cmocka_run_group_tests(tests, fixed_place, NULL);
}
