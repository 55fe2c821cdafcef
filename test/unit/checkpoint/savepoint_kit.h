/* savepoint_kit.h -- what the tests of savepoints share: an operator with state of every kind and timers, in
 * one or more subtasks, as a checkpoint; and the way there and back.
 *
 * The checkpoint is on a shelf (test/support/shelf.h) of its own; savepoints and the job that restores them
 * are in a directory that the test makes. What must work fails the test when it does not. */
#ifndef WEIR_TEST_SAVEPOINT_KIT_H
#define WEIR_TEST_SAVEPOINT_KIT_H

#include "checkpoint/savepoint.h"
#include "checkpoint/savepoint_import.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/os.h"
#include "state/placement.h"
#include "state/timer_entry.h"
#include "test/support/expect.h"
#include "test/support/keyed_fixture.h"
#include "test/support/temp_dir.h"
#include "types/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KIT_KEYS 40u

/* The record that the state is keyed by. */
struct tick {
    weir_str name;
};
WEIR_TYPE(tick, WEIR_FIELD(1, tick, name));

struct kit {
    struct shelf shelf;
    struct checkpoint_metadata metadata; /* of the checkpoint */
    char *dir;                           /* of savepoints and the job that restores */
    char *savepoint;                     /* NULL: none yet */
};

static inline struct restore_expectation kit_expects(const struct weir_state *states,
    uint32_t state_count)
{
    return (struct restore_expectation){ .uid = WEIR_STR("op"),
        .backend = WEIR_STR("hashmap"),
        .schema = keyed_schema(states, state_count),
        .schema_text = WEIR_STR("text"),
        .states = states,
        .state_count = state_count,
        .key = WEIR_KEY(tick, name),
        .has_timers = true };
}

static inline void kit_add(struct keyed *keyed, const char *key, uint32_t number)
{
    weir_str name = weir_str_of(key);
    keyed_select(keyed, name, key_hash(name));
    keyed_set_timestamp(keyed, 10);
    static const uint32_t values[] = { FIXED, TTL_FIXED }, notes[] = { NOTE, TTL_NOTE };
    for (uint32_t i = 0; i < 2; i++) {
        *(struct profile *)keyed_edit(keyed, values[i], WEIR_STR("")) =
            (struct profile){ .user_id = number, .visits = -(int64_t)number, .is_new = true };
        *(struct note *)keyed_edit(keyed, notes[i], WEIR_STR("")) = (struct note){ .title = name,
            .count = number,
            .text = number % 2 == 0 ? WEIR_STR("") : (weir_str){ .data = NULL } };
    }
    ((struct profile *)keyed_edit(keyed, MAP, WEIR_STR("a\0b")))->visits = number;
    ((struct profile *)keyed_edit(keyed, MAP, WEIR_STR("")))->visits = 1;
    ((struct profile *)keyed_edit(keyed, TTL_MAP, WEIR_STR("x")))->visits = 2;
    ((struct note *)keyed_edit(keyed, NOTES, name))->title = WEIR_STR("\xff\xfe");
    for (uint32_t i = 0; i < 3; i++) {
        keyed_list_add(keyed, LIST, &(struct profile){ .user_id = i });
        keyed_list_add(keyed, NOTE_LIST, &(struct note){ .title = name, .count = i });
        keyed_list_add(keyed, TTL_LIST, &(struct note){ .title = name, .count = i });
        keyed_reducing_add(keyed, SUM, &(struct profile){ .visits = number });
    }
    keyed_reducing_add(keyed, LONGEST, &(struct note){ .title = name });
    keyed_reducing_add(keyed, TTL_SUM, &(struct profile){ .visits = 4 });
    shelf_ok(keyed_commit(keyed));
}

static inline void kit_add_timer(struct backend *backend, const char *key, uint32_t number)
{
    char entry[TIMER_ENTRY_SIZE];
    struct row_key row = shelf_row(STATE_NUMBER_TIMERS, key);
    timer_entry_put(entry, number % 2 == 0 ? WEIR_EVENT_TIME : WEIR_PROCESSING_TIME,
        (int64_t)number * 1000 - 5000);
    shelf_put(backend, &row, (weir_str){ .data = entry, .size = sizeof(entry) }, WEIR_STR(""));
}

/* One subtask: all keys of its groups. */
static inline void kit_subtask(struct kit *kit, const struct backend_class *verbs, uint32_t subtask,
    uint32_t parallelism)
{
    struct group_range groups = key_group_range(subtask, parallelism, SHELF_MAX_PARALLELISM);
    struct keyed *keyed = keyed_new(shelf_open(&kit->shelf, verbs, groups, NULL, 0),
        keyed_fixture_states, STATE_COUNT, SHELF_MAX_PARALLELISM);
    keyed_set_time(keyed, 1000, 0);
    for (uint32_t i = 0; i < KIT_KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%u", i);
        if (!group_range_has(groups, shelf_row(0, key).group))
            continue;
        kit_add(keyed, key, i);
        kit_add_timer(keyed_backend(keyed), key, i);
    }
    struct shelf_part part;
    shelf_snapshot(&kit->shelf, keyed_backend(keyed), groups, &part);
    keyed_free(keyed);
    struct restore_expectation expected = kit_expects(keyed_fixture_states, STATE_COUNT);
    struct state_schema schema;
    state_schema_of(&schema, &expected.key, keyed_fixture_states, STATE_COUNT);
    weir_buffer *states = weir_buffer_new(1u << 20);
    state_schema_put(&schema, states);
    struct subtask_snapshot *snapshot = subtask_snapshot_new(7, subtask);
    struct weir_item item = { .name = WEIR_STR("split-0"), .value = WEIR_STR("1\0002") };
    weir_str counter = WEIR_STR("late");
    int64_t count = 5 + subtask;
    struct operator_snapshot operators[2] = { { .uid = WEIR_STR("op"),
                                                  .subtask = subtask,
                                                  .parallelism = parallelism,
                                                  .backend = weir_str_of(verbs->format),
                                                  .schema = expected.schema,
                                                  .schema_text = expected.schema_text,
                                                  .states = weir_buffer_view(states),
                                                  .groups = groups,
                                                  .files = part.files,
                                                  .file_count = part.file_count,
                                                  .counters = &count,
                                                  .counter_names = &counter,
                                                  .counter_count = 1 },
        { .uid = WEIR_STR("source"),
            .subtask = subtask,
            .parallelism = parallelism,
            .groups = groups,
            .items = &item,
            .item_count = 1,
            .staged = part.files, /* any file will do */
            .staged_count = 1 } };
    snapshot->operators = operators;
    snapshot->operator_count = 2;
    checkpoint_metadata_add(&kit->metadata, snapshot);
    subtask_snapshot_free(snapshot);
    weir_buffer_free(states);
    shelf_part_release(&part);
}

static inline void kit_init(struct kit *kit, const struct backend_class *verbs,
    uint32_t parallelism)
{
    *kit = (struct kit){ .dir = temp_dir_new() };
    log_set_level(LOG_ERROR);
    shelf_init(&kit->shelf);
    checkpoint_metadata_init(&kit->metadata);
    kit->metadata.job = WEIR_STR("shop");
    kit->metadata.checkpoint = 7;
    kit->metadata.instance = 99;
    kit->metadata.max_parallelism = SHELF_MAX_PARALLELISM;
    for (uint32_t i = 0; i < parallelism; i++)
        kit_subtask(kit, verbs, i, parallelism);
}

static inline void kit_release(struct kit *kit)
{
    checkpoint_metadata_release(&kit->metadata);
    shelf_release(&kit->shelf);
    temp_dir_free(kit->dir);
    mem_free(kit->savepoint);
}

static inline weir_error *kit_try_save(struct kit *kit)
{
    struct scan_place place = { .dir = kit->shelf.root, .work_dir = kit->dir };
    char *root = mem_printf("%s/savepoints", kit->dir);
    mem_free(kit->savepoint);
    kit->savepoint = NULL;
    weir_error *error = savepoint_write(&place, &kit->metadata, root, &kit->savepoint);
    mem_free(root);
    return error;
}

static inline void kit_save(struct kit *kit)
{
    expect_ok(kit_try_save(kit));
}

/* Into a checkpoint directory in the kit's own. */
static inline weir_error *kit_import(const struct kit *kit,
    const struct restore_expectation *expected, const char *backend, uint32_t max_parallelism,
    bool may_drop, struct checkpoint_metadata *metadata)
{
    struct restore_expectation both[2] = { *expected, { .uid = WEIR_STR("source") } };
    both[0].backend = weir_str_of(backend);
    char *target_dir = mem_printf("%s/job", kit->dir), *work = mem_printf("%s/work", kit->dir);
    struct import_target target = { .checkpoint_dir = target_dir,
        .work_dir = work,
        .attempt = 1,
        .backend = weir_str_of(backend),
        .max_parallelism = max_parallelism,
        .expectations = both,
        .expectation_count = 2,
        .may_drop = may_drop };
    weir_error *error = os_make_dirs(work);
    if (error == NULL)
        error = os_make_dirs(target_dir);
    if (error == NULL)
        error = savepoint_import(kit->savepoint, &target, metadata);
    if (error == NULL)
        error = restore_check(metadata, both, 2, max_parallelism);
    mem_free(work);
    mem_free(target_dir);
    return error;
}

/* A number made of every entry of a state, in whatever order. */
struct kit_digest {
    uint64_t sum, count;
    uint32_t state;
    struct placement placements[STATE_COUNT];
};

static inline bool kit_digest_add(void *arg, const struct row_key *row, weir_str entry,
    weir_str value)
{
    struct kit_digest *digest = arg;
    uint32_t state = row->state;
    if (state < STATE_COUNT)
        assert_true(
            placement_find(digest->placements, STATE_COUNT, row->state, entry, &state, &entry));
    if (state != digest->state)
        return true;
    uint64_t sum = hash_bytes(row->key.data, row->key.size);
    sum = hash_mix(sum) + hash_bytes(entry.data == NULL ? "" : entry.data, entry.size);
    sum = hash_mix(sum) + hash_bytes(value.data, value.size);
    digest->sum += hash_mix(sum);
    digest->count++;
    return true;
}

/* Of a state over all groups, whatever the subtasks were. */
static inline struct kit_digest kit_digest(const char *checkpoint_dir,
    const struct checkpoint_metadata *metadata, const struct backend_class *verbs, uint32_t state)
{
    struct kit_digest digest = { .state = state };
    placement_init(digest.placements, keyed_fixture_states, STATE_COUNT);
    struct backend_source sources[8];
    uint32_t count = 0;
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        if (metadata->operators[i].backend.size > 0)
            sources[count++] = (struct backend_source){ .groups = metadata->operators[i].groups,
                .files = metadata->operators[i].files,
                .file_count = metadata->operators[i].file_count };
    char *work = temp_dir_new(), *own = mem_printf("%s/backend", work);
    struct backend_options options = { .directory = own,
        .checkpoint_dir = checkpoint_dir,
        .groups = { 0, metadata->max_parallelism - 1 },
        .memory_size = 8u << 20 };
    struct backend *backend;
    shelf_ok(verbs->open(&options, sources, count, &backend));
    uint32_t row = state < STATE_COUNT ? digest.placements[state].row : state;
    shelf_ok(verbs->scan(backend, row, kit_digest_add, &digest));
    verbs->close(backend);
    mem_free(own);
    temp_dir_free(work);
    return digest;
}

#endif
