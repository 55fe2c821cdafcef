/* format.h -- what a checkpoint's metadata says, and its bytes.
 *
 * The metadata is the list of everything that a checkpoint is made of: for each operator of each
 * subtask the files of its keyed state, its items (positions of a source, segments of a sink,
 * counters), and files of its connector. It is msgpack-like own encoding (base/buffer.h) behind a
 * header with a version and a checksum (base/sealed.h). Version 3: staged files may be records in
 * flight (runtime/task/in_flight.h), which an older Weir would lose; version 1 has no `states`. Both are still read.
 *
 * What does not fit is WEIR_E_CORRUPT, a newer version WEIR_E_STATE. Counts and lengths are
 * checked before use, paths lead nowhere out of the directory. All memory of a decoded metadata is in
 * its arena.
 *
 * Thread: its holder. Limits: 1 GiB of metadata; 1,000,000 operators, and of each of them as many
 * files, staged files, items, counters. Prefixes: subtask_snapshot_, checkpoint_. */
#ifndef WEIR_CHECKPOINT_FORMAT_H
#define WEIR_CHECKPOINT_FORMAT_H

#include "base/memory.h"
#include "base/os.h"
#include "state/backend.h"
#include <weir/connector.h>

#define CHECKPOINT_SIZE_MAX  ((size_t)1 << 30)
#define CHECKPOINT_COUNT_MAX 1000000u

#define IN_FLIGHT_NAME "in-flight" /* of a staged file: records that a barrier has overtaken */

/* Thread: its holder. What one operator of one subtask put into a checkpoint. */
struct operator_snapshot {
    weir_str uid;
    uint32_t subtask;     /* of the operator */
    uint32_t parallelism; /* when it was written */
    weir_str backend;     /* the class's format; empty: no keyed state */
    uint64_t schema;      /* keyed_schema; 0: no keyed state */
    weir_str schema_text;
    weir_str states; /* state_schema.h; empty: no keyed state, or written before version 2 */
    struct group_range groups;
    struct state_file *files; /* keyed state */
    uint32_t file_count;
    struct state_file *staged; /* weir_file_add */
    uint32_t staged_count;
    struct weir_item *items; /* weir_item_add */
    uint32_t item_count;
    int64_t *counters; /* of the operator, by index, as names below */
    weir_str *counter_names;
    uint32_t counter_count;
    const char **syncs; /* weir_sync_add: to be synced before the ack; not stored */
    uint32_t sync_count;
};

/* One more, zeroed, behind the others. */
struct state_file *checkpoint_add_staged(struct operator_snapshot *op, struct arena *arena);
/* Bytes, of its staged files with that name. */
uint64_t checkpoint_in_flight_size(const struct operator_snapshot *op);

/* Thread: its holder; freed whole. What a subtask acks with: its operators. */
struct subtask_snapshot {
    struct arena arena;
    struct operator_snapshot *operators;
    uint32_t operator_count;
    uint64_t checkpoint;
    uint32_t subtask; /* number over the whole job, as the coordinator counts */
    int64_t sync_us, async_us, alignment_us; /* how long the parts took */
};
struct subtask_snapshot *subtask_snapshot_new(uint64_t checkpoint, uint32_t subtask);
void subtask_snapshot_free(struct subtask_snapshot *snapshot);

/* Thread: its holder. */
struct checkpoint_metadata {
    struct arena arena;
    weir_str job;
    uint64_t checkpoint;
    uint64_t attempt;
    uint64_t instance;    /* weir_instance_id */
    uint64_t fingerprint; /* of the plan that wrote it: information, not a condition */
    uint32_t max_parallelism;
    int64_t started_ms, completed_ms;
    struct operator_snapshot *operators; /* all subtasks' */
    uint32_t operator_count;
    uint32_t operator_capacity;
};
void checkpoint_metadata_init(struct checkpoint_metadata *metadata);
void checkpoint_metadata_release(struct checkpoint_metadata *metadata);
/* Copies the operators of a snapshot, and all that they point to, into the metadata. */
void checkpoint_metadata_add(struct checkpoint_metadata *metadata,
    const struct subtask_snapshot *snapshot);
/* A path inside a directory: relative, and no part of it is empty, "." or "..". */
bool checkpoint_path_is_safe(weir_str path);
/* Appends the bytes; too many: weir_buffer_overflowed. */
void checkpoint_encode(const struct checkpoint_metadata *metadata, weir_buffer *out);
/* As what each file of keyed state was verified (state_file.h), in the order of the metadata: a process of the same machine
 * that has the metadata need not read them again. False: they are not of this metadata. */
void checkpoint_put_identities(const struct checkpoint_metadata *metadata, weir_buffer *out);
bool checkpoint_take_identities(struct checkpoint_metadata *metadata, weir_str bytes);
/* `metadata` is initialised by the callee and released by the caller, on success only. `what` names
 * the bytes in errors. */
weir_error *checkpoint_decode(weir_str bytes, const char *what,
    struct checkpoint_metadata *metadata) WEIR_MUST_USE;

#endif
