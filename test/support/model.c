/* model.c -- see model.h. */
#include "test/support/model.h"

#include "base/worker.h"

#include "base/hash.h"
#include "state/cache.h"
#include "test/support/sample.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STATES    3u
#define KEYS      60u
#define ENTRIES   90u /* two digits; more than fit into a leaf */
#define VALUE_MAX 6000u

struct model_totals model_totals;

uint64_t model_seed(void)
{
    static uint64_t seed;
    if (seed != 0)
        return seed;
    const char *given = getenv("WEIR_TEST_SEED");
    seed = given == NULL ? 20240607 : strtoull(given, NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    return seed;
}

/* -- the model ------------------------------------------------------------------------------ */

/* What a value is follows from its number: its size and its bytes. 0: there is none. */
struct model {
    uint64_t numbers[STATES][KEYS][ENTRIES];
};

static weir_str value_of(uint64_t number, char bytes[VALUE_MAX])
{
    uint64_t random = sample_random(number, 1);
    size_t size = random % 16 == 0 ? 0 : random % 100 == 1 ? random % VALUE_MAX : random % 40;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = sample_random(number, i + 2);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
    return (weir_str){ .data = bytes, .size = size };
}

/* Keys and entries of one to three bytes and more, in an order that is that of their numbers. */
weir_str model_name(uint32_t number, char bytes[16])
{
    int size =
        number == 0 ? 0 : snprintf(bytes, 16, "%02u%.*s", number, (int)(number % 9), "longname");
    return (weir_str){ .data = bytes, .size = (uint64_t)size };
}

struct run {
    const struct model_options *options;
    struct shelf shelf;
    const struct backend_class *verbs;
    struct backend *backends[SHELF_MAX_PARALLELISM];
    uint32_t parallelism;
    struct model *now;
    /* of the snapshot that was taken and not written yet */
    struct model *pending;
    struct backend_snapshot *snapshots[SHELF_MAX_PARALLELISM];
    struct shelf_part written[SHELF_MAX_PARALLELISM];
    weir_error *error;
    pthread_t thread;
    /* of the last one that was written */
    struct model *frozen;
    struct shelf_part parts[SHELF_MAX_PARALLELISM];
    uint32_t part_count; /* 0: none is written */
    uint64_t step;
    uint32_t counts[5]; /* written, failed, thrown away, restored, restored by the other class */
};

static uint64_t draw(const struct run *run, uint64_t salt)
{
    return sample_random(model_seed(), run->step * 16 + salt);
}

struct place {
    uint32_t state, key, entry;
    struct row_key row;
    struct backend *backend;
    char key_bytes[16], entry_bytes[16];
    weir_str name;
};

static void choose(const struct run *run, struct place *place)
{
    place->state = (uint32_t)(draw(run, 1) % STATES);
    place->key = (uint32_t)(draw(run, 2) % KEYS);
    /* a third of everything happens to one busy key */
    if (draw(run, 3) % 3 == 0)
        place->key = 7;
    place->entry = draw(run, 10) % 4 == 0 ? 0 : (uint32_t)(draw(run, 4) % ENTRIES);
    place->row = shelf_row_bytes(place->state, model_name(place->key, place->key_bytes));
    place->name = model_name(place->entry, place->entry_bytes);
    place->backend =
        run->backends[key_group_subtask(place->row.group, run->parallelism, SHELF_MAX_PARALLELISM)];
}

static uint64_t *number_at(struct run *run, const struct place *place)
{
    return &run->now->numbers[place->state][place->key][place->entry];
}

/* -- operations ----------------------------------------------------------------------------- */

static void check_entry(struct run *run, const struct place *place)
{
    char bytes[VALUE_MAX];
    uint64_t number = *number_at(run, place);
    weir_str found = shelf_get(place->backend, &place->row, place->name);
    if ((found.data == NULL) != (number == 0) ||
        (number != 0 && !weir_str_equal(found, value_of(number, bytes))))
        fail_msg("step %" PRIu64 ": state %u key %u entry %u differs", run->step, place->state,
            place->key, place->entry);
}

/* A number for a new value; of the same size as the old one, if one is found soon. */
static uint64_t new_number(const struct run *run, uint64_t old)
{
    char bytes[VALUE_MAX];
    uint64_t number = draw(run, 5) | 1;
    if (old == 0 || draw(run, 6) % 2 == 0)
        return number;
    size_t size = value_of(old, bytes).size;
    for (uint64_t i = 0; i < 100 && value_of(number, bytes).size != size; i++)
        number = sample_random(number, i) | 1;
    return number;
}

static void put_entry(struct run *run, const struct place *place)
{
    char bytes[VALUE_MAX], old_bytes[VALUE_MAX];
    uint64_t *number = number_at(run, place);
    uint64_t old = *number;
    *number = new_number(run, old);
    weir_str value = value_of(*number, bytes);
    bool may_edit =
        run->verbs->edit != NULL && (old == 0 || value_of(old, old_bytes).size == value.size);
    if (may_edit && draw(run, 14) % 4 != 0) {
        void *memory;
        bool is_new;
        shelf_ok(run->verbs->edit(place->backend, &place->row, place->name, value.size, &memory,
            &is_new));
        assert_int_equal(is_new, old == 0);
        memcpy(memory, value.data, value.size);
    } else {
        shelf_put(place->backend, &place->row, place->name, value);
    }
}

struct walk {
    struct run *run;
    const struct place *place;
    uint32_t next;
    weir_str prefix;
};

static bool has_prefix(weir_str name, weir_str prefix)
{
    return name.size >= prefix.size && memcmp(name.data, prefix.data, prefix.size) == 0;
}

static bool check_next(void *arg, weir_str entry, weir_str value)
{
    struct walk *walk = arg;
    const uint64_t *numbers = walk->run->now->numbers[walk->place->state][walk->place->key];
    char bytes[VALUE_MAX];
    while (walk->next < ENTRIES &&
           (numbers[walk->next] == 0 || !has_prefix(model_name(walk->next, bytes), walk->prefix)))
        walk->next++;
    assert_true(walk->next < ENTRIES);
    assert_true(weir_str_equal(entry, model_name(walk->next, bytes)));
    assert_true(weir_str_equal(value, value_of(numbers[walk->next], bytes)));
    walk->next++;
    return true;
}

static void check_row(struct run *run, const struct place *place)
{
    char bytes[16];
    struct walk walk = { .run = run, .place = place, .prefix = place->name };
    walk.prefix.size = draw(run, 7) % (walk.prefix.size + 1);
    shelf_ok(run->verbs->each(place->backend, &place->row, walk.prefix, check_next, &walk));
    const uint64_t *numbers = run->now->numbers[place->state][place->key];
    for (; walk.next < ENTRIES; walk.next++)
        assert_true(
            numbers[walk.next] == 0 || !has_prefix(model_name(walk.next, bytes), walk.prefix));
}

static uint32_t number_in(weir_str name)
{
    return name.size == 0 ? 0 : (uint32_t)((name.data[0] - '0') * 10 + name.data[1] - '0');
}

struct sweep {
    const struct run *run;
    uint32_t state, count;
};

static bool check_scanned(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    struct sweep *sweep = arg;
    char bytes[VALUE_MAX];
    assert_int_equal(row->state, sweep->state);
    uint32_t key = number_in(row->key), name = number_in(entry);
    uint64_t number = sweep->run->now->numbers[row->state][key][name];
    if (number == 0 || !weir_str_equal(value, value_of(number, bytes)))
        fail_msg("step %" PRIu64 ": scan differs at state %u key %u entry %u%s", sweep->run->step,
            row->state, key, name, number == 0 ? ", which is gone" : "");
    sweep->count++;
    return true;
}

static void check_all(struct run *run)
{
    for (uint32_t state = 0; state < STATES; state++) {
        struct sweep sweep = { .run = run, .state = state };
        for (uint32_t i = 0; i < run->parallelism; i++)
            shelf_ok(run->verbs->scan(run->backends[i], state, check_scanned, &sweep));
        uint32_t expected = 0;
        for (uint32_t key = 0; key < KEYS; key++)
            for (uint32_t entry = 0; entry < ENTRIES; entry++)
                expected += run->now->numbers[state][key][entry] != 0;
        assert_int_equal(sweep.count, expected);
    }
}

static void clear_row(struct run *run, const struct place *place)
{
    shelf_clear(place->backend, &place->row);
    memset(run->now->numbers[place->state][place->key], 0, sizeof(run->now->numbers[0][0]));
}

/* Some rows, each twice, of which one is used next. */
static void prefetch_rows(struct run *run, const struct place *place)
{
    struct row_key rows[2 * KEYS];
    char bytes[2 * KEYS][16];
    uint32_t count = 0;
    for (uint32_t i = 0; i < draw(run, 15) % (2 * KEYS); i++) {
        rows[count] =
            shelf_row_bytes(place->state, model_name((place->key + i / 2) % KEYS, bytes[count]));
        count += place->backend == run->backends[key_group_subtask(rows[count].group,
                                       run->parallelism, SHELF_MAX_PARALLELISM)];
    }
    if (place->backend->rows != NULL)
        rows_prefetch(place->backend->rows, rows, count);
    if (run->verbs->prefetch != NULL)
        run->verbs->prefetch(place->backend, rows, count);
}

/* -- faults --------------------------------------------------------------------------------- */

/* The store of a cache, failing while a snapshot is written, not when the task itself writes. */
static _Thread_local enum { WORKS, FAILS, WRITES_AND_FAILS } fault;

static weir_error *failing_write(struct backend *store, const struct changes *const *lists,
    uint32_t list_count)
{
    if (fault == WORKS)
        return backend_rocksdb.write_changes(store, lists, list_count);
    if (fault == WRITES_AND_FAILS)
        shelf_ok(backend_rocksdb.write_changes(store, lists, list_count));
    return weir_errorf(WEIR_E_IO, "the disk is on fire");
}

static void make_fallible(struct run *run, struct backend *backend)
{
    static struct backend_class failing;
    struct cache *cache = (struct cache *)(void *)backend;
    if (run->shelf.workers != NULL) /* the filter's build uses the verbs, too */
        workers_drain(run->shelf.workers, &cache->filter);
    failing = backend_rocksdb;
    failing.write_changes = failing_write;
    cache->verbs = &failing;
}

/* As if the disk of the log had been full a moment ago. */
static void break_log(struct backend *backend)
{
    struct cache *cache = (struct cache *)(void *)backend;
    pthread_mutex_lock(&cache->log_lock);
    cache->log.is_broken = true;
    pthread_mutex_unlock(&cache->log_lock);
}

/* -- snapshots ------------------------------------------------------------------------------ */

static bool is_frozen(const struct run *run)
{
    return run->snapshots[0] != NULL;
}

static struct group_range groups_of(const struct run *run, uint32_t subtask)
{
    return key_group_range(subtask, run->parallelism, SHELF_MAX_PARALLELISM);
}

/* The parts of all subtasks, up to the first error. Thread: worker. */
static void *write_all(void *arg)
{
    struct run *run = arg;
    run->error = NULL;
    fault = run->options->has_faults && run->shelf.checkpoint % 3 == 0
                ? FAILS + (run->shelf.checkpoint & 1)
                : WORKS;
    for (uint32_t i = 0; i < run->parallelism; i++) {
        struct shelf_part *part = &run->written[i];
        *part = (struct shelf_part){ .groups = groups_of(run, i) };
        arena_init(&part->arena, 4096, 64 << 20);
        if (run->error == NULL)
            run->error = run->verbs->snapshot_write(run->snapshots[i], &part->arena, &part->files,
                &part->file_count);
        run->verbs->snapshot_free(run->snapshots[i]);
    }
    fault = WORKS;
    return NULL;
}

static void release_parts(struct shelf_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        shelf_part_release(&parts[i]);
}

static void freeze(struct run *run)
{
    if (is_frozen(run))
        return;
    run->shelf.checkpoint++;
    if (run->options->has_faults && run->verbs == &backend_cache && run->shelf.checkpoint % 5 == 0)
        break_log(run->backends[draw(run, 14) % run->parallelism]);
    for (uint32_t i = 0; i < run->parallelism; i++)
        shelf_ok(run->verbs->snapshot(run->backends[i], run->shelf.checkpoint, &run->snapshots[i]));
    *run->pending = *run->now;
    if (run->options->has_threads)
        assert_int_equal(pthread_create(&run->thread, NULL, write_all, run), 0);
}

static void write_frozen(struct run *run)
{
    if (!is_frozen(run))
        return;
    if (run->options->has_threads)
        pthread_join(run->thread, NULL);
    else
        write_all(run);
    memset(run->snapshots, 0, sizeof(run->snapshots));
    run->counts[run->error != NULL]++;
    if (run->error != NULL) {
        assert_true(run->options->has_faults);
        release_parts(run->written, run->parallelism);
        weir_error_free(run->error);
        run->error = NULL;
        return;
    }
    release_parts(run->parts, run->part_count);
    memcpy(run->parts, run->written, sizeof(run->parts));
    run->part_count = run->parallelism;
    *run->frozen = *run->pending;
    for (uint32_t i = 0; i < run->parallelism; i++)
        run->verbs->confirm(run->backends[i], run->shelf.checkpoint);
}

static void throw_away(struct run *run)
{
    if (!is_frozen(run) || run->options->has_threads)
        return;
    for (uint32_t i = 0; i < run->parallelism; i++) {
        run->verbs->snapshot_free(run->snapshots[i]);
        run->snapshots[i] = NULL;
    }
    run->counts[2]++;
}

static void open_all(struct run *run)
{
    run->shelf.attempt++;
    for (uint32_t i = 0; i < run->parallelism; i++) {
        run->backends[i] =
            shelf_open(&run->shelf, run->verbs, groups_of(run, i), run->parts, run->part_count);
        if (run->options->has_faults && run->verbs == &backend_cache)
            make_fallible(run, run->backends[i]);
    }
}

/* The hand of the clock counts the slots that it has passed. */
static void count_evictions(const struct backend *backend)
{
    const struct cache *cache = (const struct cache *)(const void *)backend;
    if (backend->backend_class == &backend_cache)
        model_totals.evictions += cache->hand / cache->rows.slot_count;
}

static void close_all(struct run *run)
{
    write_frozen(run);
    for (uint32_t i = 0; i < run->parallelism; i++)
        count_evictions(run->backends[i]);
    for (uint32_t i = 0; i < run->parallelism; i++)
        shelf_close(run->backends[i]);
}

/* Back to the last written snapshot: what came after it is lost, as after a crash. */
static void restore(struct run *run)
{
    if (run->part_count == 0 || is_frozen(run))
        return;
    static const uint32_t parallelisms[] = { 1, 1, 2, 2, 3, 3, 4, 5, 16 };
    close_all(run);
    uint32_t before = run->parallelism;
    if (draw(run, 8) % 2 == 0)
        run->parallelism = parallelisms[draw(run, 9) % 9];
    model_totals.rescales += run->parallelism != before;
    run->verbs = run->options->verbs;
    if (run->options->other != NULL && draw(run, 12) % 2 == 0)
        run->verbs = run->options->other;
    run->counts[3 + (run->verbs == run->options->other)]++;
    open_all(run);
    *run->now = *run->frozen;
    check_all(run); /* what the snapshot has */
}

/* -- the run -------------------------------------------------------------------------------- */

static void step_snapshots(struct run *run, uint64_t what)
{
    if (what < 5)
        freeze(run);
    else if (what < 9)
        write_frozen(run);
    else if (what < 10)
        throw_away(run);
    else if (what < 15)
        restore(run);
    else
        check_all(run);
}

static void step(struct run *run)
{
    struct place place;
    choose(run, &place);
    if (draw(run, 13) % 8 == 0)
        run->verbs->expire(place.backend,
            &(struct backend_expiry){ .now_ms = (int64_t)run->step * 100 });
    if (place.backend->rows != NULL && draw(run, 11) % 8 == 0)
        prefetch_rows(run, &place);
    uint64_t what = draw(run, 0) % 20000;
    if (what < 8000)
        put_entry(run, &place);
    else if (what < 13000)
        check_entry(run, &place);
    else if (what < 18000) {
        shelf_remove(place.backend, &place.row, place.name);
        *number_at(run, &place) = 0;
    } else if (what < 19700)
        check_row(run, &place);
    else if (what < 19980)
        clear_row(run, &place);
    else
        step_snapshots(run, what - 19980);
}

void model_run(const struct model_options *options)
{
    struct run run = { .options = options, .verbs = options->verbs, .parallelism = 1 };
    run.now = mem_alloc(sizeof(*run.now));
    run.pending = mem_alloc(sizeof(*run.pending));
    run.frozen = mem_alloc(sizeof(*run.frozen));
    shelf_init(&run.shelf);
    if (options->memory_size > 0)
        run.shelf.memory_size = options->memory_size;
    if (options->has_threads)
        run.shelf.workers = workers_new(2, 64);
    open_all(&run);
    uint64_t steps = getenv("WEIR_TEST_LONG") == NULL ? options->steps : 5 * options->steps;
    for (run.step = 0; run.step < steps; run.step++)
        step(&run);
    check_all(&run);
    close_all(&run);
    printf("%u snapshots written, %u failed, %u thrown away; %u restored, %u by the other class\n",
        run.counts[0], run.counts[1], run.counts[2], run.counts[3] + run.counts[4], run.counts[4]);
    model_totals.operations += steps;
    model_totals.snapshots += run.counts[0];
    model_totals.thrown_away += run.counts[2];
    model_totals.restores += run.counts[3] + run.counts[4];
    model_totals.restores_by_other += run.counts[4];
    release_parts(run.parts, run.part_count);
    if (options->has_threads)
        workers_free(run.shelf.workers);
    shelf_release(&run.shelf);
    mem_free(run.now);
    mem_free(run.pending);
    mem_free(run.frozen);
}
