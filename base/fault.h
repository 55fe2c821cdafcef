/* fault.h -- named places where a test build can be made to die, fail or stall.
 *
 *      WEIR_FAULT=point:nth:action[,point:nth:action]     action: kill | error | stall-<ms>
 *
 * At the nth time that a point is passed (1: the first) the process kills itself with SIGKILL, or the
 * point returns an error, or it sleeps. So the faults of the simulator can be driven into real
 * processes, at the steps of a protocol that matter, each time at the same place.
 *
 *      FAULT_TRY(POINT)     in a function that returns weir_error *: like WEIR_TRY
 *      FAULT_POINT(POINT)   elsewhere: `error` is refused for it at start
 *
 * A new point is one row below. In a build without WEIR_FAULT_POINTS (release) the macros are
 * nothing, and WEIR_FAULT in the environment is an error, not a silent no.
 *
 * Thread: any; fault_init before the first other thread. */
#ifndef WEIR_BASE_FAULT_H
#define WEIR_BASE_FAULT_H

#include <weir/error.h>

/* identifier, name, may it return an error?, where it is */
#define FAULT_POINTS(X) \
    X(RESTORE_BEFORE_ATTEMPT, "restore-before-attempt", true, "before an attempt is claimed") \
    X(RESTORE_AFTER_ATTEMPT, "restore-after-attempt", true, "claimed, nothing read yet") \
    X(RESTORE_AFTER_READ, "restore-after-read", true, "metadata read and verified") \
    X(DEPLOY_BEFORE_START, "deploy-before-start", true, "tasks are made, threads are not") \
    X(DEPLOY_AFTER_START, "deploy-after-start", false, "threads are started") \
    X(TRIGGER_BEFORE_SEND, "trigger-before-send", false, "before sources hear of a checkpoint") \
    X(TRIGGER_AFTER_SEND, "trigger-after-send", false, "all sources were told") \
    X(SNAPSHOT_BEFORE_BARRIER, "snapshot-before-barrier", true, "aligned, barrier not sent on") \
    X(SNAPSHOT_AFTER_BARRIER, "snapshot-after-barrier", true, "barrier sent on, not frozen") \
    X(SNAPSHOT_AFTER_FREEZE, "snapshot-after-freeze", false, "state frozen, nothing written") \
    X(SNAPSHOT_BEFORE_WRITE, "snapshot-before-write", true, "worker begins to store files") \
    X(SNAPSHOT_AFTER_WRITE, "snapshot-after-write", true, "files stored, no ack yet") \
    X(ACK_RECEIVED, "ack-received", false, "the job manager has an ack") \
    X(STORE_BEFORE_PUBLISH, "store-before-publish", true, "all acks are there") \
    X(PUBLISH_BEFORE_SYNC, "publish-before-sync", true, "metadata written, not synced") \
    X(PUBLISH_BEFORE_RENAME, "publish-before-rename", true, "metadata synced, not renamed") \
    X(PUBLISH_AFTER_RENAME, "publish-after-rename", true, "renamed, directory not synced") \
    X(STORE_AFTER_PUBLISH, "store-after-publish", false, "complete, nobody knows") \
    X(NOTIFY_BEFORE_SEND, "notify-before-send", false, "complete, no task was told") \
    X(NOTIFY_AFTER_SEND, "notify-after-send", false, "all tasks were told") \
    X(COMPLETE_BEFORE_CALL, "complete-before-call", true, "a task hears, operators do not yet") \
    X(COMPLETE_AFTER_CALL, "complete-after-call", true, "the operators of a task were told") \
    X(CLEAN_BEFORE, "clean-before", false, "before old files are deleted") \
    X(CLEAN_AFTER, "clean-after", false, "old files are deleted") \
    X(SUBMIT_BEFORE_STORE, "submit-before-store", false, "a job is checked, nothing knows of it") \
    X(SUBMIT_AFTER_STORE, "submit-after-store", false, "a job is stored, nobody was told") \
    X(JOB_START_BEFORE_STORE, "job-start-before-store", false, \
        "its directory is open, that it starts is not stored") \
    X(JOB_START_AFTER_STORE, "job-start-after-store", false, \
        "that it starts is stored, nothing has begun") \
    X(JOB_OVER_BEFORE_STORE, "job-over-before-store", false, \
        "a job has ended, that is not stored") \
    X(JOB_OVER_AFTER_STORE, "job-over-after-store", false, \
        "that it has ended is stored, nobody was told") \
    X(CANCEL_BEFORE_TASKS, "cancel-before-tasks", false, "a cancel is accepted, no task was told") \
    X(STOP_ASKED, "stop-asked", false, "a stop has begun, who asked was not told") \
    X(RESCALE_ASKED, "rescale-asked", false, "the plan of a rescale is asked for") \
    X(RESCALE_PLANNED, "rescale-planned", false, "the new plan is there, its checkpoint is not") \
    X(RESCALE_BEFORE_CHANGE, "rescale-before-change", false, \
        "the checkpoint of a rescale is there, the old tasks run") \
    X(RESCALE_BEFORE_STORE, "rescale-before-store", false, \
        "the old tasks are gone, the new version is not stored") \
    X(RESCALE_AFTER_STORE, "rescale-after-store", false, \
        "the new version is stored, nothing of it runs") \
    X(SAVEPOINT_ASKED, "savepoint-asked", false, "its checkpoint is asked for, nobody was told") \
    X(SAVEPOINT_PINNED, "savepoint-pinned", true, "the files are linked, nothing is written") \
    X(SAVEPOINT_WRITTEN, "savepoint-written", false, "it is complete, nobody knows") \
    X(SAVEPOINT_BEFORE_METADATA, "savepoint-before-metadata", true, \
        "entries written, metadata not") \
    X(SAVEPOINT_BEFORE_RENAME, "savepoint-before-rename", true, \
        "written and synced, name is hidden") \
    X(IMPORT_BEFORE_PUBLISH, "import-before-publish", true, \
        "converted, the checkpoint is not published") \
    X(IMPORT_AFTER_PUBLISH, "import-after-publish", true, "published, no task was deployed") \
    X(LAST_CHECKPOINT_REQUESTED, "last-checkpoint-requested", false, "the end has begun") \
    X(KAFKA_INITIALISED, "kafka-initialised", true, "init_transactions done, token not read") \
    X(KAFKA_JUDGED, "kafka-judged", true, "token read and, if older, claimed") \
    X(KAFKA_PRODUCED, "kafka-produced", true, "a chunk's records are queued, the token is not") \
    X(KAFKA_DELIVERED, "kafka-delivered", true, "a transaction is whole, not committed") \
    X(KAFKA_COMMITTED, "kafka-committed", true, "committed, nobody knows") \
    X(KAFKA_PUBLISHED, "kafka-published", true, "all chunks are out, the sink does not know") \
    X(FILE_BEFORE_RENAME, "file-before-rename", true, "a part is complete, its name is hidden") \
    X(FILE_AFTER_RENAME, "file-after-rename", true, "parts are renamed, the directory not synced") \
    X(FINISH_BEFORE_TEAR_DOWN, "finish-before-tear-down", false, "all is published")

enum fault_point {
#define FAULT_ENUM(id_, name_, can_fail_, where_) FAULT_##id_,
    FAULT_POINTS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_POINT_COUNT
};

/* Reads WEIR_FAULT. An unknown point, a malformed rule: WEIR_E_USAGE, with what is known. */
weir_error *fault_init(void) WEIR_MUST_USE;

#ifdef WEIR_FAULT_POINTS
weir_error *fault_pass(enum fault_point point) WEIR_MUST_USE; /* Thread: any */
void fault_pass_void(enum fault_point point);                 /* Thread: any */
#define FAULT_TRY(id_)   WEIR_TRY(fault_pass(FAULT_##id_))
#define FAULT_POINT(id_) fault_pass_void(FAULT_##id_)
#else
#define FAULT_TRY(id_)   ((void)FAULT_##id_)
#define FAULT_POINT(id_) ((void)FAULT_##id_)
#endif

#endif
