/* fault.h -- named steps of the protocol, each with two ends where a test build can be made to die, fail or stall.
 *
 *      WEIR_FAULT=point:nth:action[,point:nth:action]     point: <step>-before | <step>-after
 *                                                         action: kill | error | stall-<ms>
 *
 * At the nth time that a point is passed (1: the first) the process kills itself with SIGKILL, or the step returns an
 * error, or it sleeps. `error` before a step: it is not done, and fails; after it: it is done, and says that it
 * failed, as a disk or a network does. So the faults of the simulator can be driven into real processes, at the steps
 * of a protocol that matter, each time at the same place.
 *
 *      error = FAULT_STEP(STEP, call(...));      around a call that returns weir_error *; the value is an error
 *      FAULT_STEP_VOID(STEP, call(...));         around anything else: `error` is refused for it at start
 *
 * Whatever a call of FAULT_STEP makes must be released by whoever gets its error: after an error of `-after` it is there.
 *
 * WEIR_FAULT_LOG=FILE counts: what fires appends "fired <point> <action>", and a job that comes to its good end behind
 * that appends "recovered". A rule that the file says has fired is not heard again: so a job that is started again, or
 * the next worker of a cluster, runs under the same environment without the fault. test/e2e/test_fault_matrix.py goes
 * through all steps, ends and actions.
 *
 * A new step is one row below, and a row of that test. In a build without WEIR_FAULT_POINTS (release) the macros are
 * the call alone, and WEIR_FAULT in the environment is an error, not a silent no.
 *
 * Thread: any; fault_init before the first other thread. */
#ifndef WEIR_BASE_FAULT_H
#define WEIR_BASE_FAULT_H

#include <weir/error.h>

#include <stdint.h>

/* identifier, name, may it return an error?, what is done */
#define FAULT_STEPS(X) \
    X(ATTEMPT_CLAIM, "attempt-claim", true, "an attempt is claimed") \
    X(RESTORE_READ, "restore-read", true, "the newest complete checkpoint is read and verified") \
    X(RESTORE_CHOOSE, "restore-choose", true, "what is restored is written down") \
    X(STATE_FILE_FETCH, "state-file-fetch", true, "a file comes out of a checkpoint") \
    X(DATABASE_OPEN, "database-open", true, "the database is opened, empty or restored") \
    X(KEY_GROUP_SPLIT, "key-group-split", true, "groups of another subtask are cut off") \
    X(KEY_GROUP_MERGE, "key-group-merge", true, "groups of another source are copied in") \
    X(SEGMENT_REPLAY, "segment-replay", true, "a segment of changes is replayed") \
    X(TIMERS_OPEN, "timers-open", true, "timers are read from the state") \
    X(SOURCE_OPEN, "source-open", true, "a source opens, and seeks its position") \
    X(SOURCE_POLL, "source-poll", true, "records are read; the first time: after a restore") \
    X(SINK_OPEN, "sink-open", true, "a sink opens, and settles what was staged") \
    X(DEPLOY_START, "deploy-start", true, "the threads of the tasks are started") \
    X(TRIGGER_SEND, "trigger-send", false, "sources are told of a checkpoint") \
    X(TRIGGER_RECEIVE, "trigger-receive", true, "a source takes part in a checkpoint") \
    X(BARRIER_BLOCK, "barrier-block", false, "a barrier is there, others are not") \
    X(BARRIER_ALIGN, "barrier-align", true, "the last barrier is there, the snapshot is taken") \
    X(OVERTAKE_SEND, "overtake-send", false, "tasks are told that barriers overtake") \
    X(OVERTAKE_RECEIVE, "overtake-receive", false, "a task is told that barriers overtake") \
    X(BARRIER_OVERTAKE, "barrier-overtake", true, "barriers are in sight, the snapshot is taken") \
    X(BARRIER_SEND, "barrier-send", true, "the barrier is sent on") \
    X(SNAPSHOT_FREEZE, "snapshot-freeze", false, "all of a task is frozen") \
    X(SOURCE_SNAPSHOT, "source-snapshot", true, "a source says its position") \
    X(SINK_SNAPSHOT, "sink-snapshot", true, "a sink closes what it has staged") \
    X(TIMERS_FLUSH, "timers-flush", true, "timers are written into the state") \
    X(STATE_FREEZE, "state-freeze", true, "keyed state is frozen") \
    X(SINK_SYNC, "sink-sync", true, "a sink's own files are synced") \
    X(SNAPSHOT_WRITE, "snapshot-write", true, "a worker stores the files of a snapshot") \
    X(SEGMENT_APPEND, "segment-append", true, "frozen changes are appended to a segment") \
    X(STORE_WRITE, "store-write", true, "frozen changes are written to the database") \
    X(STORE_SETTLE, "store-settle", true, "all that is frozen is written to the database") \
    X(DATABASE_FREEZE, "database-freeze", true, "the database is flushed, its files are linked") \
    X(BASE_STORE, "base-store", true, "a new base is stored") \
    X(STATE_FILE_LINK, "state-file-link", true, "a file is linked under a temporary name, synced") \
    X(STATE_FILE_SYNC, "state-file-sync", true, "that file is synced") \
    X(STATE_FILE_RENAME, "state-file-rename", true, "the file gets its name") \
    X(STATE_DIRECTORY_SYNC, "state-directory-sync", true, "the names of files are synced") \
    X(ACK_SEND, "ack-send", false, "a task acks") \
    X(ACK_RECEIVE, "ack-receive", false, "the job manager has an ack") \
    X(CHECKPOINT_PUBLISH, "checkpoint-publish", true, "all acks are there, it is completed") \
    X(METADATA_WRITE, "metadata-write", true, "metadata is written aside") \
    X(METADATA_SYNC, "metadata-sync", true, "metadata is synced") \
    X(METADATA_RENAME, "metadata-rename", true, "metadata gets its name") \
    X(METADATA_DIRECTORY_SYNC, "metadata-directory-sync", true, "the name of metadata is synced") \
    X(CLEAN, "clean", false, "what is superfluous is deleted") \
    X(CHECKPOINT_DELETE, "checkpoint-delete", true, "an old checkpoint is dereferenced") \
    X(STATE_FILE_DELETE, "state-file-delete", true, "a file without a checkpoint is deleted") \
    X(NOTIFY_SEND, "notify-send", false, "tasks are told of the completion") \
    X(NOTIFY_RECEIVE, "notify-receive", true, "a task tells its operators") \
    X(SOURCE_COMMIT, "source-commit", true, "a source hears of the completion") \
    X(PART_RENAME, "part-rename", true, "complete parts get their names") \
    X(PART_DIRECTORY_SYNC, "part-directory-sync", true, "the names of parts are synced") \
    X(ABORT_SEND, "abort-send", false, "tasks are told that a checkpoint has failed") \
    X(ABORT_RECEIVE, "abort-receive", false, "a task hears that a checkpoint has failed") \
    X(SAVEPOINT_PIN, "savepoint-pin", true, "the files of a savepoint are linked aside") \
    X(SAVEPOINT_WRITE, "savepoint-write", true, "a savepoint is written") \
    X(SAVEPOINT_ENTRIES, "savepoint-entries", true, "entries are written") \
    X(SAVEPOINT_METADATA, "savepoint-metadata", true, "the metadata of a savepoint is written") \
    X(SAVEPOINT_RENAME, "savepoint-rename", true, "a savepoint gets its name") \
    X(IMPORT_CONVERT, "import-convert", true, "a savepoint is converted") \
    X(IMPORT_PUBLISH, "import-publish", true, "what was converted becomes a checkpoint") \
    X(STOP_SOURCES, "stop-sources", false, "sources are told to stop") \
    X(LAST_CHECKPOINT, "last-checkpoint", false, "the last checkpoint is asked for") \
    X(FINISH, "finish", false, "all is published, it is torn down") \
    X(KAFKA_INIT, "kafka-init", true, "a producer is opened: older transactions end") \
    X(KAFKA_JUDGE, "kafka-judge", true, "the token is read and, if older, claimed") \
    X(KAFKA_BEGIN, "kafka-begin", true, "a transaction begins") \
    X(KAFKA_PRODUCE, "kafka-produce", true, "a chunk's records are queued, the token is not") \
    X(KAFKA_FLUSH, "kafka-flush", true, "all of a transaction is delivered") \
    X(KAFKA_COMMIT, "kafka-commit", true, "a transaction is committed") \
    X(KAFKA_PUBLISH, "kafka-publish", true, "all chunks go out") \
    X(ELECTION_CLAIM, "election-claim", true, "a job manager claims to be the leader") \
    X(JOB_STORE_WRITE, "job-store-write", true, "a job's record is written") \
    X(BLOB_STORE, "blob-store", true, "an uploaded file gets its name") \
    X(SUBMIT_STORE, "submit-store", true, "a job is checked, and stored") \
    X(JOB_START_STORE, "job-start-store", false, "that a job starts is stored") \
    X(JOB_OVER_STORE, "job-over-store", false, "that a job has ended is stored") \
    X(CANCEL_TASKS, "cancel-tasks", false, "a cancel is accepted, tasks are told") \
    X(STOP_REQUEST, "stop-request", false, "a stop begins, who asked was not told") \
    X(SAVEPOINT_REQUEST, "savepoint-request", false, "its checkpoint is asked for") \
    X(RESCALE_REQUEST, "rescale-request", false, "the plan of a rescale is asked for") \
    X(RESCALE_CHECKPOINT, "rescale-checkpoint", false, "its checkpoint is asked for") \
    X(RESCALE_CHANGE, "rescale-change", false, "the checkpoint is there, the old tasks are ended") \
    X(RESCALE_STORE, "rescale-store", true, "the old tasks are gone, the new version is stored") \
    X(JOBS_RECOVER, "jobs-recover", true, "a new leader reads the jobs") \
    X(WORKER_START, "worker-start", true, "a worker process is started") \
    X(HELLO_RECEIVE, "hello-receive", false, "a worker's hello is taken") \
    X(DEPLOY_SEND, "deploy-send", false, "workers are told what to run") \
    X(DEPLOY_RECEIVE, "deploy-receive", true, "a worker deploys its tasks") \
    X(ACK_FORWARD, "ack-forward", false, "a worker sends an ack over the network") \
    X(ACK_ARRIVE, "ack-arrive", false, "an ack arrives from the network")

enum fault_step {
#define FAULT_ENUM(id_, name_, can_fail_, what_) FAULT_##id_,
    FAULT_STEPS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_STEP_COUNT
};

/* Reads WEIR_FAULT and WEIR_FAULT_LOG. An unknown point, a malformed rule: WEIR_E_USAGE, with what is known. */
weir_error *fault_init(void) WEIR_MUST_USE;

#ifdef WEIR_FAULT_POINTS
enum fault_end { FAULT_BEFORE, FAULT_AFTER };
weir_error *fault_pass(enum fault_step step, enum fault_end end) WEIR_MUST_USE; /* Thread: any */
void fault_pass_void(enum fault_step step, enum fault_end end);                 /* Thread: any */
uint64_t fault_count(void); /* how many have fired in this process. Thread: any */
/* The job has come to a good end: the log says so if something has fired since it said so last. Thread: control. */
void fault_recovered(void);
#define FAULT_STEP(id_, call_) \
    __extension__({ \
        weir_error *fault_##id_ = fault_pass(FAULT_##id_, FAULT_BEFORE); \
        if (fault_##id_ == NULL) \
            fault_##id_ = (call_); \
        if (fault_##id_ == NULL) \
            fault_##id_ = fault_pass(FAULT_##id_, FAULT_AFTER); \
        fault_##id_; \
    })
#define FAULT_STEP_VOID(id_, ...) \
    do { \
        fault_pass_void(FAULT_##id_, FAULT_BEFORE); \
        __VA_ARGS__; \
        fault_pass_void(FAULT_##id_, FAULT_AFTER); \
    } while (0)
#define FAULT_RECOVERED() fault_recovered()
#else
#define FAULT_STEP(id_, call_) ((void)FAULT_##id_, (call_))
#define FAULT_STEP_VOID(id_, ...) \
    do { \
        (void)FAULT_##id_; \
        __VA_ARGS__; \
    } while (0)
#define FAULT_RECOVERED() ((void)0)
#endif

#endif
