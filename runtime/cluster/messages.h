/* messages.h -- what job manager, task managers and workers say to each other.
 *
 *      task manager   REGISTER ->  <- REGISTERED     it has slots; then both HEARTBEAT
 *                     <- PLAN      PLANNED ->        run the executable as a planner: what is the job?
 *                     <- START     WORKER_ENDED ->   run it as a worker; how it ended
 *                     <- KILL                        all workers of a job up to this attempt
 *                     <- LOG       LOGGED ->         a piece of a log, or which there are
 *      worker         HELLO ->     <- DEPLOY         here I am; these are your subtasks
 *                     <- TRIGGER COMPLETE ABORT STOP DRAIN CANCEL
 *                     RUNNING ACKED DECLINED ENDED FAILED PUBLISHED METRICS ->
 *
 * A message is one frame (net/net.h): its kind, and a MessagePack map by field id (types/msgpack.h). So a
 * newer side may add fields; what an older one does not know it skips. What may not be skipped raises
 * MESSAGE_PROTOCOL, which both sides compare at REGISTER and HELLO: REFUSED, and why, is the answer then. A job says
 * its own with its plan already (job_spec.h), so what changes the bytes of a plan or a job raises it, too.
 *
 * Fencing. `epoch` is the leader's (election.h): a task manager or worker that has heard of a higher one
 * obeys no lower one. `attempt` is the job's (checkpoint/attempt.h): a worker belongs to one and ends with it.
 *
 * Lists travel as strings of base/buffer.h's codec, made and read by the pairs below.
 *
 * Thread: any. Limits: NET_FRAME_MAX a message. */
#ifndef WEIR_CLUSTER_MESSAGES_H
#define WEIR_CLUSTER_MESSAGES_H

#include "base/memory.h"
#include "net/net.h"
#include <weir/type.h>

#define MESSAGE_PROTOCOL 3u

enum message_kind {
    MESSAGE_HEARTBEAT = 1,
    MESSAGE_REFUSED,
    MESSAGE_REGISTER,
    MESSAGE_REGISTERED,
    MESSAGE_PLAN,
    MESSAGE_PLANNED,
    MESSAGE_START,
    MESSAGE_WORKER_ENDED,
    MESSAGE_KILL,
    MESSAGE_HELLO,
    MESSAGE_DEPLOY,
    MESSAGE_TRIGGER,
    MESSAGE_COMPLETE,
    MESSAGE_OVERTAKE,
    MESSAGE_ABORT,
    MESSAGE_STOP,
    MESSAGE_DRAIN,
    MESSAGE_CANCEL,
    MESSAGE_RUNNING,
    MESSAGE_ENDED,
    MESSAGE_FAILED,
    MESSAGE_ACKED,
    MESSAGE_DECLINED,
    MESSAGE_PUBLISHED,
    MESSAGE_METRICS,
    MESSAGE_LOG,
    MESSAGE_LOGGED
};

/* Strings of a message that was read point into the frame. Thread: its holder, for all of them. */
struct message_refused {
    int32_t code; /* enum weir_code */
    weir_str text;
};
WEIR_TYPE(message_refused, WEIR_FIELD(1, message_refused, code),
    WEIR_FIELD(2, message_refused, text));

struct message_heartbeat {
    uint64_t epoch;
    uint64_t rss_size; /* bytes, of the process; of a task manager with its workers */
    weir_str address;  /* of a job manager: the leader's, if it is not this one */
    bool
        is_leaving; /* of a task manager: give it no more work, and take what it has away; the answer says it back */
};
WEIR_TYPE(message_heartbeat, WEIR_FIELD(1, message_heartbeat, epoch),
    WEIR_FIELD(2, message_heartbeat, rss_size), WEIR_FIELD(3, message_heartbeat, address),
    WEIR_FIELD(4, message_heartbeat, is_leaving));

struct message_register {
    uint32_t protocol;
    weir_str version;
    weir_str token;
    weir_str id;   /* of the task manager, for its life */
    weir_str host; /* where its workers are reached */
    uint32_t slot_count;
    uint64_t memory_size; /* bytes for all slots */
    uint64_t epoch;       /* the highest that it has heard of */
    weir_str machine;     /* "x86_64" */
};
WEIR_TYPE(message_register, WEIR_FIELD(1, message_register, protocol),
    WEIR_FIELD(2, message_register, version), WEIR_FIELD(3, message_register, token),
    WEIR_FIELD(4, message_register, id), WEIR_FIELD(5, message_register, host),
    WEIR_FIELD(6, message_register, slot_count), WEIR_FIELD(7, message_register, memory_size),
    WEIR_FIELD(8, message_register, epoch), WEIR_FIELD(9, message_register, machine));

struct message_registered {
    uint64_t epoch;
    uint32_t heartbeat_ms, timeout_ms;
    weir_str blobs; /* URL of the directory of executables */
    weir_str jobs;  /* strings: the jobs that run; workers of others end */
};
WEIR_TYPE(message_registered, WEIR_FIELD(1, message_registered, epoch),
    WEIR_FIELD(2, message_registered, heartbeat_ms), WEIR_FIELD(3, message_registered, timeout_ms),
    WEIR_FIELD(4, message_registered, blobs), WEIR_FIELD(5, message_registered, jobs));

struct message_plan {
    uint64_t epoch;
    weir_str request; /* an id that comes back */
    weir_str digest;  /* of the executable */
    weir_str program; /* what it is called */
    weir_str arguments;
};
WEIR_TYPE(message_plan, WEIR_FIELD(1, message_plan, epoch), WEIR_FIELD(2, message_plan, request),
    WEIR_FIELD(3, message_plan, digest), WEIR_FIELD(4, message_plan, arguments),
    WEIR_FIELD(5, message_plan, program));

struct message_planned {
    uint64_t epoch;
    weir_str request;
    weir_str spec; /* job_spec.h; empty: none */
    int32_t code;  /* enum weir_code, when there is none */
    weir_str text;
};
WEIR_TYPE(message_planned, WEIR_FIELD(1, message_planned, epoch),
    WEIR_FIELD(2, message_planned, request), WEIR_FIELD(3, message_planned, spec),
    WEIR_FIELD(4, message_planned, code), WEIR_FIELD(5, message_planned, text));

struct message_start {
    uint64_t epoch;
    weir_str job;
    uint64_t attempt;
    uint32_t worker;       /* its index in the attempt */
    uint32_t worker_count; /* of the attempt */
    uint32_t slot_count;
    uint64_t memory_size; /* bytes */
    weir_str digest, program;
    weir_str arguments;
    weir_str secret; /* that it says in HELLO, and workers to each other */
};
WEIR_TYPE(message_start, WEIR_FIELD(1, message_start, epoch), WEIR_FIELD(2, message_start, job),
    WEIR_FIELD(3, message_start, attempt), WEIR_FIELD(4, message_start, worker),
    WEIR_FIELD(5, message_start, slot_count), WEIR_FIELD(6, message_start, memory_size),
    WEIR_FIELD(7, message_start, digest), WEIR_FIELD(8, message_start, arguments),
    WEIR_FIELD(9, message_start, secret), WEIR_FIELD(10, message_start, worker_count),
    WEIR_FIELD(11, message_start, program));

struct message_kill {
    uint64_t epoch;
    weir_str job;
    uint64_t attempt;  /* and all lower ones */
    uint32_t grace_ms; /* to end by themselves */
};
WEIR_TYPE(message_kill, WEIR_FIELD(1, message_kill, epoch), WEIR_FIELD(2, message_kill, job),
    WEIR_FIELD(3, message_kill, attempt), WEIR_FIELD(4, message_kill, grace_ms));

struct message_worker_ended {
    uint64_t epoch;
    weir_str job;
    uint64_t attempt;
    uint32_t worker;
    bool was_killed;   /* because it was told to */
    int32_t code;      /* enum weir_code of its failure; 0: it ended well, or by a signal */
    weir_str text;     /* how it ended, for people */
    bool is_retriable; /* its own code is not to blame */
    uint32_t task; /* that it was in, by its own words: number of the subtask + 1; 0: not known */
};
WEIR_TYPE(message_worker_ended, WEIR_FIELD(1, message_worker_ended, epoch),
    WEIR_FIELD(2, message_worker_ended, job), WEIR_FIELD(3, message_worker_ended, attempt),
    WEIR_FIELD(4, message_worker_ended, worker), WEIR_FIELD(5, message_worker_ended, was_killed),
    WEIR_FIELD(6, message_worker_ended, code), WEIR_FIELD(7, message_worker_ended, text),
    WEIR_FIELD(8, message_worker_ended, is_retriable), WEIR_FIELD(9, message_worker_ended, task));

struct message_hello {
    uint32_t protocol;
    weir_str job;
    uint64_t attempt;
    uint32_t worker;
    weir_str secret;
    uint64_t fingerprint; /* of the plan that it has built */
    uint32_t data_port;   /* 0: it is alone, and listens to nobody */
};
WEIR_TYPE(message_hello, WEIR_FIELD(1, message_hello, protocol), WEIR_FIELD(2, message_hello, job),
    WEIR_FIELD(3, message_hello, attempt), WEIR_FIELD(4, message_hello, worker),
    WEIR_FIELD(5, message_hello, secret), WEIR_FIELD(6, message_hello, fingerprint),
    WEIR_FIELD(7, message_hello, data_port));

struct message_deploy {
    uint64_t epoch, attempt, instance;
    uint64_t last_checkpoint;
    weir_str restore;   /* metadata of the checkpoint; empty: fresh */
    weir_str placement; /* numbers: of each subtask the worker */
    weir_str addresses; /* strings: of each worker "host:port" */
    weir_str checkpoint_dir, staging_dir;
    bool has_checkpoints; /* the directory outlives the job */
    weir_str identities;  /* checkpoint_put_identities; empty: not told */
};
WEIR_TYPE(message_deploy, WEIR_FIELD(1, message_deploy, epoch),
    WEIR_FIELD(2, message_deploy, attempt), WEIR_FIELD(3, message_deploy, instance),
    WEIR_FIELD(4, message_deploy, last_checkpoint), WEIR_FIELD(5, message_deploy, restore),
    WEIR_FIELD(6, message_deploy, placement), WEIR_FIELD(7, message_deploy, addresses),
    WEIR_FIELD(8, message_deploy, checkpoint_dir), WEIR_FIELD(9, message_deploy, staging_dir),
    WEIR_FIELD(10, message_deploy, has_checkpoints), WEIR_FIELD(11, message_deploy, identities));

/* TRIGGER, COMPLETE, ABORT; STOP, DRAIN, CANCEL: without a checkpoint. */
struct message_command {
    uint64_t epoch, attempt, checkpoint;
};
WEIR_TYPE(message_command, WEIR_FIELD(1, message_command, epoch),
    WEIR_FIELD(2, message_command, attempt), WEIR_FIELD(3, message_command, checkpoint));

/* RUNNING, ENDED, FAILED, ACKED, DECLINED, PUBLISHED, METRICS: what a worker tells. */
struct message_event {
    uint64_t epoch, attempt;
    uint32_t subtask;
    uint64_t checkpoint;
    int32_t code; /* enum weir_code, of FAILED and DECLINED */
    bool is_retriable;
    weir_str text;
    weir_str bytes; /* ACKED: the snapshot, as checkpoint metadata; METRICS: see metrics_report.h */
    int64_t sync_us, async_us, alignment_us;
    bool is_of_worker; /* FAILED: of no task, or nobody knows which; `subtask` is any of its own */
    weir_str identities; /* ACKED: checkpoint_put_identities; empty: not told */
};
WEIR_TYPE(message_event, WEIR_FIELD(1, message_event, epoch), WEIR_FIELD(2, message_event, attempt),
    WEIR_FIELD(3, message_event, subtask), WEIR_FIELD(4, message_event, checkpoint),
    WEIR_FIELD(5, message_event, code), WEIR_FIELD(6, message_event, is_retriable),
    WEIR_FIELD(7, message_event, text), WEIR_FIELD(8, message_event, bytes),
    WEIR_FIELD(9, message_event, sync_us), WEIR_FIELD(10, message_event, async_us),
    WEIR_FIELD(11, message_event, alignment_us), WEIR_FIELD(12, message_event, is_of_worker),
    WEIR_FIELD(13, message_event, identities));

/* A struct log_question, and its answer (log_dir.h). */
struct message_log {
    uint64_t epoch;
    uint64_t request; /* a number that comes back */
    uint32_t kind;    /* enum log_kind */
    weir_str name;
    uint64_t offset;
};
WEIR_TYPE(message_log, WEIR_FIELD(1, message_log, epoch), WEIR_FIELD(2, message_log, request),
    WEIR_FIELD(3, message_log, kind), WEIR_FIELD(4, message_log, name),
    WEIR_FIELD(5, message_log, offset));

struct message_logged {
    uint64_t epoch, request;
    weir_str bytes;
    int32_t code; /* enum weir_code: why there are none; 0: there are */
    weir_str text;
};
WEIR_TYPE(message_logged, WEIR_FIELD(1, message_logged, epoch),
    WEIR_FIELD(2, message_logged, request), WEIR_FIELD(3, message_logged, bytes),
    WEIR_FIELD(4, message_logged, code), WEIR_FIELD(5, message_logged, text));

/* No frame: what a worker reads on descriptor 3 when it begins (task_executor.c writes it). */
struct worker_start {
    weir_str job;
    uint64_t attempt, epoch;
    uint32_t worker, worker_count;
    weir_str secret;
    weir_str jobmanager; /* "host:port" to say HELLO to */
    weir_str host;       /* that it listens on */
    uint32_t data_port;  /* 0: any */
    uint64_t memory_size;
    weir_str work_dir;
    int64_t heartbeat_ms, timeout_ms;
    int64_t watchdog_ms; /* a step of a task that takes longer is the end of the worker; 0: never */
    int64_t orphan_ms;   /* so long it goes on without a job manager */
    weir_str ca_file, cert_file, key_file; /* empty: no TLS */
};
WEIR_TYPE(worker_start, WEIR_FIELD(1, worker_start, job), WEIR_FIELD(2, worker_start, attempt),
    WEIR_FIELD(3, worker_start, epoch), WEIR_FIELD(4, worker_start, worker),
    WEIR_FIELD(5, worker_start, secret), WEIR_FIELD(6, worker_start, jobmanager),
    WEIR_FIELD(7, worker_start, host), WEIR_FIELD(8, worker_start, data_port),
    WEIR_FIELD(9, worker_start, memory_size), WEIR_FIELD(10, worker_start, work_dir),
    WEIR_FIELD(11, worker_start, heartbeat_ms), WEIR_FIELD(12, worker_start, timeout_ms),
    WEIR_FIELD(13, worker_start, watchdog_ms), WEIR_FIELD(14, worker_start, orphan_ms),
    WEIR_FIELD(15, worker_start, ca_file), WEIR_FIELD(16, worker_start, cert_file),
    WEIR_FIELD(17, worker_start, key_file), WEIR_FIELD(18, worker_start, worker_count));

const char *message_kind_name(uint32_t kind); /* "REGISTER"; "?" */
bool message_is_command(uint32_t kind);       /* its record is a struct message_command */
bool message_is_event(uint32_t kind);         /* struct message_event */
/* What its record is; NULL: no such kind. */
const struct weir_type *message_type(uint32_t kind);

char *message_text(weir_str text); /* with a NUL behind it; NULL of none; mem_free it */
void message_send(struct connection *to, enum message_kind kind, const void *record);
/* Fills a struct of the kind's type. WEIR_E_CORRUPT: which message is damaged, and how. */
weir_error *message_read(enum message_kind kind, weir_str payload, void *record) WEIR_MUST_USE;
/* An error as it travels, and as it arrives: its code, retriable or not, its text. Code 0 is none: INTERNAL. */
weir_error *message_error(int32_t code, bool is_retriable, weir_str text) WEIR_MUST_USE;

/* -- lists. What is put is freed by the caller; what is taken lives in the arena. */
weir_str message_put_strings(const char *const *list, uint32_t count, struct arena *arena);
/* False: the bytes are no such list, or there are more than count_max. */
bool message_take_strings(weir_str bytes, uint32_t count_max, struct arena *arena,
    const char ***list, uint32_t *count);
weir_str message_put_numbers(const uint32_t *list, uint32_t count, struct arena *arena);
bool message_take_numbers(weir_str bytes, uint32_t count_max, struct arena *arena,
    const uint32_t **list, uint32_t *count);

#endif
