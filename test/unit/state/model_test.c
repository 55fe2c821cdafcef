/* Random operations against a plain model, and keyed state on one backend against the other.
 *
 * The model is an array of every possible entry. Snapshots are written late, sometimes restored, with
 * another number of subtasks or the same. WEIR_TEST_SEED repeats a run; WEIR_TEST_LONG makes it longer. */
#include "base/buffer.h"
#include "state/keyed.h"
#include "test/support/sample.h"
#include "test/support/shelf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STATES      3u
#define KEYS        60u
#define ENTRIES     40u
#define VALUE_MAX   6000u
#define STEPS       200000u
#define STEPS_KEYED 40000u

static uint64_t seed;

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
static weir_str name_of(uint32_t number, char bytes[16])
{
    int size =
        number == 0 ? 0 : snprintf(bytes, 16, "%02u%.*s", number, (int)(number % 9), "longname");
    return (weir_str){ .data = bytes, .size = (uint64_t)size };
}

struct run {
    struct shelf shelf;
    const struct backend_class *verbs;
    struct backend *backends[SHELF_MAX_PARALLELISM];
    uint32_t parallelism;
    struct model *now;
    /* of the last snapshot */
    struct model *frozen;
    struct backend_snapshot *snapshots[SHELF_MAX_PARALLELISM]; /* taken, not written yet */
    struct shelf_part parts[SHELF_MAX_PARALLELISM];
    uint32_t part_count; /* 0: none is written */
    uint64_t step, counts[8];
};

static uint64_t draw(const struct run *run, uint64_t salt)
{
    return sample_random(seed, run->step * 16 + salt);
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
    place->entry = (uint32_t)(draw(run, 4) % ENTRIES);
    place->row = shelf_row_bytes(place->state, name_of(place->key, place->key_bytes));
    place->name = name_of(place->entry, place->entry_bytes);
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
        fail_msg("seed %" PRIu64 " step %" PRIu64 ": state %u key %u entry %u differs", seed,
            run->step, place->state, place->key, place->entry);
}

static void put_entry(struct run *run, const struct place *place)
{
    char bytes[VALUE_MAX];
    uint64_t number = draw(run, 5) | 1;
    weir_str value = value_of(number, bytes);
    const uint64_t *old = number_at(run, place);
    char old_bytes[VALUE_MAX];
    bool may_edit =
        run->verbs->edit != NULL && (*old == 0 || value_of(*old, old_bytes).size == value.size);
    if (may_edit && draw(run, 6) % 2 == 0) {
        void *memory;
        bool is_new;
        shelf_ok(run->verbs->edit(place->backend, &place->row, place->name, value.size, &memory,
            &is_new));
        assert_int_equal(is_new, *old == 0);
        memcpy(memory, value.data, value.size);
    } else {
        shelf_put(place->backend, &place->row, place->name, value);
    }
    *number_at(run, place) = number;
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
           (numbers[walk->next] == 0 || !has_prefix(name_of(walk->next, bytes), walk->prefix)))
        walk->next++;
    assert_true(walk->next < ENTRIES);
    assert_true(weir_str_equal(entry, name_of(walk->next, bytes)));
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
        assert_true(numbers[walk.next] == 0 || !has_prefix(name_of(walk.next, bytes), walk.prefix));
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
    uint64_t number = sweep->run->now->numbers[row->state][number_in(row->key)][number_in(entry)];
    assert_true(number != 0);
    assert_true(weir_str_equal(value, value_of(number, bytes)));
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

/* -- snapshots ------------------------------------------------------------------------------ */

static bool is_frozen(const struct run *run)
{
    return run->snapshots[0] != NULL;
}

static void freeze(struct run *run)
{
    if (is_frozen(run))
        return;
    run->shelf.checkpoint++;
    for (uint32_t i = 0; i < run->parallelism; i++)
        shelf_ok(run->verbs->snapshot(run->backends[i], run->shelf.checkpoint, &run->snapshots[i]));
    *run->frozen = *run->now;
}

static void release_parts(struct run *run)
{
    for (uint32_t i = 0; i < run->part_count; i++)
        shelf_part_release(&run->parts[i]);
    run->part_count = 0;
}

static void write_frozen(struct run *run)
{
    if (!is_frozen(run))
        return;
    release_parts(run);
    for (uint32_t i = 0; i < run->parallelism; i++) {
        struct shelf_part *part = &run->parts[i];
        *part = (struct shelf_part){ .groups = key_group_range(i, run->parallelism,
                                         SHELF_MAX_PARALLELISM) };
        arena_init(&part->arena, 4096, 64 << 20);
        shelf_ok(run->verbs->snapshot_write(run->snapshots[i], &part->arena, &part->files,
            &part->file_count));
        run->verbs->snapshot_free(run->snapshots[i]);
        run->snapshots[i] = NULL;
        run->verbs->confirm(run->backends[i], run->shelf.checkpoint);
    }
    run->part_count = run->parallelism;
}

static void open_all(struct run *run)
{
    run->shelf.attempt++;
    for (uint32_t i = 0; i < run->parallelism; i++)
        run->backends[i] = shelf_open(&run->shelf, run->verbs,
            key_group_range(i, run->parallelism, SHELF_MAX_PARALLELISM), run->parts,
            run->part_count);
}

static void close_all(struct run *run)
{
    for (uint32_t i = 0; i < run->parallelism; i++) {
        run->verbs->snapshot_free(run->snapshots[i]);
        run->snapshots[i] = NULL;
        shelf_close(run->backends[i]);
    }
}

/* Back to the last written snapshot: what came after it is lost, as after a crash. */
static void restore(struct run *run)
{
    if (run->part_count == 0 || is_frozen(run))
        return;
    static const uint32_t parallelisms[] = { 1, 1, 2, 2, 3, 3, 4, 5, 16 };
    close_all(run);
    if (draw(run, 8) % 2 == 0)
        run->parallelism = parallelisms[draw(run, 9) % 9];
    open_all(run);
    *run->now = *run->frozen;
    check_all(run);
}

static void step(struct run *run)
{
    struct place place;
    choose(run, &place);
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
    else if (what < 19985)
        freeze(run);
    else if (what < 19990)
        write_frozen(run);
    else if (what < 19995)
        restore(run);
    else
        check_all(run);
}

static void random_operations_agree_with_a_plain_model(void **state)
{
    struct run run = { .verbs = *state, .parallelism = 1 };
    run.now = mem_alloc(sizeof(*run.now));
    run.frozen = mem_alloc(sizeof(*run.frozen));
    shelf_init(&run.shelf);
    open_all(&run);
    uint64_t steps = getenv("WEIR_TEST_LONG") == NULL ? STEPS : 10 * STEPS;
    for (run.step = 0; run.step < steps; run.step++)
        step(&run);
    check_all(&run);
    close_all(&run);
    release_parts(&run);
    shelf_release(&run.shelf);
    mem_free(run.now);
    mem_free(run.frozen);
}

/* -- keyed state on both backends ------------------------------------------------------------ */

struct small {
    int64_t count;
    uint32_t last;
};
WEIR_TYPE(small, WEIR_FIELD(1, small, count), WEIR_FIELD(2, small, last));

static void add_small(void *total, const void *value)
{
    ((struct small *)total)->count += ((const struct small *)value)->count;
    ((struct small *)total)->last = ((const struct small *)value)->last;
}

static void add_sample(void *total, const void *value)
{
    struct sample *sum = total;
    const struct sample *more = value;
    sum->index += more->index;
    sum->text = more->text;
}

#define STATE(kind_, type_, ...) \
    { \
        .name = #kind_ #type_, .kind = WEIR_##kind_, .type = &type_##_type, __VA_ARGS__ \
    }
#define TTL(time_, ms_) .ttl_ms = (ms_), .ttl_time = WEIR_##time_##_TIME
static const struct weir_state keyed_states[] = {
    STATE(VALUE, small),
    STATE(VALUE, sample),
    STATE(MAP, small),
    STATE(MAP, sample),
    STATE(LIST, small),
    STATE(LIST, sample),
    STATE(REDUCING, small, .reduce = add_small),
    STATE(REDUCING, sample, .reduce = add_sample),
    STATE(VALUE, small, TTL(EVENT, 30)),
    STATE(VALUE, sample, TTL(PROCESSING, 30)),
    STATE(MAP, small, TTL(PROCESSING, 20)),
    STATE(MAP, sample, TTL(EVENT, 50)),
    STATE(LIST, small, TTL(EVENT, 40)),
    STATE(LIST, sample, TTL(PROCESSING, 10)),
    STATE(REDUCING, small, .reduce = add_small, TTL(EVENT, 25)),
};
#define KEYED_STATES (sizeof(keyed_states) / sizeof(keyed_states[0]))

/* Two of them run the same steps and must see the same: everything seen goes into `seen`. */
struct twin {
    struct shelf shelf;
    const struct backend_class *verbs;
    struct keyed *keyed;
    uint64_t seen;
    int64_t now_ms;
};

static void see(struct twin *twin, uint64_t number)
{
    twin->seen = hash_mix(twin->seen + number + 1);
}

static void see_text(struct twin *twin, weir_str text)
{
    see(twin, text.data == NULL ? 0 : hash_bytes(text.data, text.size));
}

static void see_record(struct twin *twin, uint32_t state, const void *record)
{
    see(twin, record != NULL);
    if (record == NULL)
        return;
    if (keyed_states[state].type == &small_type) {
        see(twin, (uint64_t)((const struct small *)record)->count);
        see(twin, ((const struct small *)record)->last);
    } else {
        see(twin, ((const struct sample *)record)->index);
        see_text(twin, ((const struct sample *)record)->key);
        see_text(twin, ((const struct sample *)record)->text);
    }
}

static void change(uint32_t state, void *record, uint64_t random)
{
    if (keyed_states[state].type == &small_type) {
        ((struct small *)record)->count += (int64_t)(random % 100);
        ((struct small *)record)->last = (uint32_t)random;
    } else {
        uint64_t index = ((struct sample *)record)->index;
        sample_fill_small(record, seed, random % 1000);
        ((struct sample *)record)->index += index;
    }
}

struct look {
    struct twin *twin;
    uint32_t state;
};

static bool see_entry(void *arg, weir_str entry, const void *value)
{
    struct look *look = arg;
    see_text(look->twin, entry);
    see_record(look->twin, look->state, value);
    return true;
}

static void keyed_step(struct twin *twin, uint64_t at)
{
    struct keyed *keyed = twin->keyed;
    uint64_t random = sample_random(seed, at * 8 + 1), what = sample_random(seed, at * 8 + 2) % 100;
    uint32_t state = (uint32_t)(sample_random(seed, at * 8 + 3) % KEYED_STATES);
    enum weir_state_kind kind = keyed_states[state].kind;
    char bytes[16];
    weir_str entry =
        kind == WEIR_MAP ? name_of((uint32_t)(random >> 20) % 30, bytes) : WEIR_STR("");
    union {
        struct small small;
        struct sample sample;
    } record = { 0 };
    struct look look = { .twin = twin, .state = state };
    change(state, &record, random);
    if (what < 4)
        keyed_clear(keyed, state);
    else if (kind == WEIR_LIST && what < 60)
        keyed_list_add(keyed, state, &record);
    else if (kind == WEIR_LIST)
        keyed_list_each(keyed, state, see_entry, &look);
    else if (what < 30)
        see_record(twin, state, keyed_read(keyed, state, entry));
    else if (kind == WEIR_REDUCING)
        keyed_reducing_add(keyed, state, &record);
    else if (what < 70)
        change(state, keyed_edit(keyed, state, entry), random);
    else if (what < 80)
        keyed_remove(keyed, state, entry);
    else if (kind == WEIR_MAP)
        keyed_each(keyed, state, (weir_str){ .data = entry.data, .size = entry.size > 0 },
            see_entry, &look);
}

static void twin_open(struct twin *twin, const struct shelf_part *part)
{
    struct backend *backend =
        shelf_open(&twin->shelf, twin->verbs, shelf_all_groups(), part, part == NULL ? 0 : 1);
    twin->keyed = keyed_new(backend, keyed_states, KEYED_STATES, SHELF_MAX_PARALLELISM);
}

/* One callback: a key, some steps, a commit; now and then time passes or the job restarts. */
static uint64_t keyed_callback(struct twin *twin, uint64_t at)
{
    uint64_t random = sample_random(seed, at * 8);
    char bytes[16];
    if (random % 5 == 0)
        twin->now_ms += (int64_t)(random >> 8) % 10;
    if (random % 2000 == 7) {
        struct shelf_part part;
        shelf_snapshot(&twin->shelf, keyed_backend(twin->keyed), shelf_all_groups(), &part);
        keyed_free(twin->keyed);
        twin->shelf.attempt++;
        twin_open(twin, &part);
        shelf_part_release(&part);
    }
    keyed_set_time(twin->keyed, twin->now_ms, twin->now_ms - 5);
    weir_str key = name_of((uint32_t)(random >> 30) % 20, bytes);
    keyed_select(twin->keyed, key, hash_bytes(key.data, key.size));
    keyed_set_timestamp(twin->keyed, twin->now_ms - (int64_t)(random >> 40) % 20);
    uint64_t end = at + 1 + (random >> 50) % 8;
    while (at < end)
        keyed_step(twin, ++at);
    shelf_ok(keyed_commit(twin->keyed));
    return at;
}

static void keyed_state_is_the_same_on_every_backend(void **state)
{
    struct twin twins[2] = { { .verbs = &backend_hashmap }, { .verbs = &backend_rocksdb } };
    for (int i = 0; i < 2; i++) {
        shelf_init(&twins[i].shelf);
        twin_open(&twins[i], NULL);
    }
    uint64_t steps = getenv("WEIR_TEST_LONG") == NULL ? STEPS_KEYED : 10 * STEPS_KEYED;
    for (uint64_t at = 0; at < steps;) {
        uint64_t next = keyed_callback(&twins[0], at);
        assert_int_equal(keyed_callback(&twins[1], at), next);
        if (twins[0].seen != twins[1].seen)
            fail_msg("seed %" PRIu64 ": the backends differ after step %" PRIu64, seed, at);
        at = next;
    }
    for (int i = 0; i < 2; i++) {
        keyed_free(twins[i].keyed);
        shelf_release(&twins[i].shelf);
    }
}

int main(void)
{
    const char *given = getenv("WEIR_TEST_SEED");
    seed = given == NULL ? 20240607 : strtoull(given, NULL, 10);
    printf("seed %" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        SHELF_FOR_EACH(random_operations_agree_with_a_plain_model),
        cmocka_unit_test(keyed_state_is_the_same_on_every_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
