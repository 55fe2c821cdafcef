/* job_spec.h -- what a job is for a job manager that has no code of it: its plan, and how it is to be run.
 *
 *      JOB plan ARGS... --> job_spec_encode --> bytes (file descriptor 3) --> job_spec_decode: the job manager
 *
 * Made by the job's own executable (runtime/program) from the same arguments with which its workers are started:
 * those read what is theirs (batch size, buffer time-out, worker threads) from the arguments themselves, so only
 * what the job manager needs is here. Paths are as they were written: what a relative one means is the job
 * manager's to say, or to refuse. The arguments are shown to whoever may see the job: a secret does not belong
 * in them.
 *
 * The bytes come over a network from others. What is decoded is within the limits that the options of a program
 * have (runtime/program/options.c), so it may go into jobmanager_options as it is.
 *
 * Its version is that of the messages (messages.h): a worker that would be refused later is refused here, before
 * anything has started, and the person who has submitted it reads what to do.
 *
 * Thread: immutable after decoding. */
#ifndef WEIR_CLUSTER_JOB_SPEC_H
#define WEIR_CLUSTER_JOB_SPEC_H

#include "runtime/cluster/messages.h"
#include "runtime/graph/plan_codec.h"
#include "runtime/manager/restart.h"

#define JOB_SPEC_VERSION MESSAGE_PROTOCOL

/* Limits of the options, too. */
#define JOB_SPEC_MS_MAX       (INT64_C(365) * 24 * 3600 * 1000)
#define JOB_SPEC_RETAINED_MAX 1000u
#define JOB_SPEC_RESTARTS_MAX 1000000u
#define JOB_SPEC_MEMORY_MIN   (UINT64_C(16) << 20)

#define JOB_SPEC_SIZE_MAX (PLAN_SIZE_MAX + ((size_t)4 << 20)) /* encoded, bytes */
/* An arena with room for this much never aborts on what job_spec_decode takes. */
#define JOB_SPEC_DECODED_SIZE_MAX (16 * JOB_SPEC_SIZE_MAX)

/* Thread: immutable after init. Pointers are borrowed. */
struct job_spec {
    const struct plan *plan;      /* decoded: without code, not to be run (plan_codec.h) */
    const char *const *arguments; /* without the program and the verb */
    uint32_t argument_count;
    const char *checkpoints; /* root directory; NULL: none, temporary ones */
    uint32_t retained;       /* complete checkpoints to keep */
    const char *savepoints;  /* where they are written; NULL: nowhere */
    bool is_fresh;
    const char *from_savepoint; /* NULL: none */
    bool allow_non_restored;
    int64_t interval_ms, min_pause_ms, timeout_ms; /* of checkpoints */
    int64_t aligned_timeout_ms;
    int64_t stop_timeout_ms;
    struct restart_options restart;
    const char *backend; /* format of keyed state (state/backend.h) */
    uint64_t memory_size;
};

/* Appended; `out` overflows if it has no room or the job is larger than JOB_SPEC_SIZE_MAX. */
void job_spec_encode(const struct job_spec *spec, weir_buffer *out);

/* Everything lives in the arena; the bytes are not needed any more. WEIR_E_CORRUPT: no job; WEIR_E_STATE: that of
 * a newer Weir. */
weir_error *job_spec_decode(weir_str bytes, struct arena *arena, struct job_spec *spec)
    WEIR_MUST_USE;

#endif
