/* hashmap.h -- inside of the hashmap backend: what its verbs and its file share.
 *
 * Private to state/hashmap*. Thread: task. Limits: those of rows.h. */
#ifndef WEIR_STATE_HASHMAP_H
#define WEIR_STATE_HASHMAP_H

#include "base/buffer.h"
#include "state/rows.h"

/* Thread: task. */
struct hashmap {
    struct backend backend;
    struct rows rows;
    uint64_t sweep_slot; /* where expire goes on; a hint, for rows move */
    uint32_t sweep_leaf;
    uint64_t expired_count; /* entries that it has swept */
    uint64_t attempt;
    char *directory; /* NULL: none */
    char *checkpoint_dir;
    struct group_range groups;
};

/* The row, made when it is missing and `may_add`; NULL: missing. */
struct slot *hashmap_slot(struct hashmap *map, const struct row_key *key, bool may_add);
/* Sets an entry of the row in this slot; the row may move. */
void hashmap_set(struct hashmap *map, struct slot *slot, weir_str entry, weir_str value);

/* -- its file, hashmap_file.c ------------------------------------------------------------------- */

weir_error *hashmap_freeze(struct hashmap *map, struct backend_snapshot **snapshot);
weir_error *hashmap_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count);
void hashmap_snapshot_free(struct backend_snapshot *snapshot);
/* Adds the wanted groups of a source. */
weir_error *hashmap_load(struct hashmap *map, const struct backend_source *source);

#endif
