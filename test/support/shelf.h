/* shelf.h -- a checkpoint directory under the temporary directory, and backends that store into it.
 *
 * What goes wrong without being asked for fails the test, so tests read as a list of steps. */
#ifndef WEIR_TEST_SHELF_H
#define WEIR_TEST_SHELF_H

#include "base/memory.h"
#include "state/backend.h"

#define SHELF_MAX_PARALLELISM 16u

struct shelf {
    char root[64];       /* the checkpoint directory */
    uint64_t opened;     /* backends so far: each has a directory of its own */
    uint64_t checkpoint; /* number of the last one */
    uint64_t attempt;
    uint64_t memory_size;    /* of each backend */
    struct workers *workers; /* theirs; NULL: none */
};

/* One subtask's part of a checkpoint. */
struct shelf_part {
    struct arena arena;
    struct state_file *files;
    uint32_t file_count;
    struct group_range groups;
};

/* Between init and release files are not synced (RocksDB's own still are). */
void shelf_init(struct shelf *shelf);
void shelf_release(struct shelf *shelf); /* removes everything */

struct group_range shelf_all_groups(void);
struct row_key shelf_row(uint32_t state, const char *key);
struct row_key shelf_row_bytes(uint32_t state, weir_str key);
struct backend_options shelf_options(struct shelf *shelf, struct group_range groups);

struct backend *shelf_open(struct shelf *shelf, const struct backend_class *backend_class,
    struct group_range groups, const struct shelf_part *parts, uint32_t part_count);
/* The same, but returns the error; *backend is closed again if there is none. */
weir_error *shelf_try_open(struct shelf *shelf, const struct backend_class *backend_class,
    struct group_range groups, const struct shelf_part *parts, uint32_t part_count);
void shelf_close(struct backend *backend);

/* A fresh backend of the class under test, over all groups, and a shelf for it. */
struct shelf_fixture {
    struct shelf shelf;
    const struct backend_class *verbs;
    struct backend *backend; /* NULL: closed by the test */
};
void shelf_begin(struct shelf_fixture *it, void **state); /* *state: the class */
void shelf_end(struct shelf_fixture *it);
/* Snapshot, close, open again from it over the same groups. */
void shelf_restart(struct shelf_fixture *it);

/* Rows of a table of tests: the test with each class as its state. */
#define SHELF_TEST(class_, test_) \
    { \
#class_ ": " #test_, test_, NULL, NULL, (void *)(uintptr_t)&backend_##class_ \
    }
#define SHELF_FOR_EACH(test_) \
    SHELF_TEST(hashmap, test_), SHELF_TEST(rocksdb, test_), SHELF_TEST(cache, test_)

/* Both parts of a snapshot. Release the part. */
void shelf_snapshot(struct shelf *shelf, struct backend *backend, struct group_range groups,
    struct shelf_part *part);
weir_error *shelf_try_snapshot(struct shelf *shelf, struct backend *backend,
    struct group_range groups, struct shelf_part *part);
void shelf_part_release(struct shelf_part *part);
char *shelf_path(const struct shelf *shelf, const struct state_file *file); /* mem_free it */
uint32_t shelf_stored_count(const struct shelf *shelf);                     /* files in shared/ */

/* Verbs that must succeed. */
void shelf_put(struct backend *backend, const struct row_key *row, weir_str entry, weir_str value);
void shelf_remove(struct backend *backend, const struct row_key *row, weir_str entry);
void shelf_clear(struct backend *backend, const struct row_key *row);
weir_str shelf_get(struct backend *backend, const struct row_key *row, weir_str entry);
void shelf_expect(struct backend *backend, const struct row_key *row, const char *entry,
    const char *value);
void shelf_expect_none(struct backend *backend, const struct row_key *row, const char *entry);

/* Every entry of a state as "key/entry=value", sorted, one a line: to compare backends. mem_free. */
char *shelf_dump(struct backend *backend, uint32_t state);
/* The entries of a row as "entry=value entry=value", in the order of each. mem_free. */
char *shelf_row_text(struct backend *backend, const struct row_key *row, const char *prefix);

void shelf_ok(weir_error *error); /* fails the test if any */
void shelf_fails(weir_error *error, enum weir_code code, const char *part_of_message); /* frees */

#endif
