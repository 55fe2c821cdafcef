/* Random operations against a plain model (test/support/model.h), and keyed state on one backend
 * against the others. */
#include "base/buffer.h"
#include "state/keyed.h"
#include "test/support/model.h"
#include "test/support/sample.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEPS       300000u /* where a step takes 5 to 10 us; others take 20 to 50 */
#define STEPS_KEYED 40000u
#define TINY        (48u << 10)  /* bytes of memory: a cache evicts all the time, flights or not */
#define SMALL       (192u << 10) /* and now and then, clean rows during flights */

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
        sample_fill_small(record, model_seed(), random % 1000);
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
    uint64_t random = sample_random(model_seed(), at * 8 + 1),
             what = sample_random(model_seed(), at * 8 + 2) % 100;
    uint32_t state = (uint32_t)(sample_random(model_seed(), at * 8 + 3) % KEYED_STATES);
    enum weir_state_kind kind = keyed_states[state].kind;
    char bytes[16];
    weir_str entry =
        kind == WEIR_MAP ? model_name((uint32_t)(random >> 20) % 30, bytes) : WEIR_STR("");
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
    uint64_t random = sample_random(model_seed(), at * 8);
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
    weir_str key = model_name((uint32_t)(random >> 30) % 20, bytes);
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
    struct twin twins[3] = { { .verbs = &backend_hashmap }, { .verbs = &backend_rocksdb },
        { .verbs = &backend_cache } };
    for (int i = 0; i < 3; i++) {
        shelf_init(&twins[i].shelf);
        if (twins[i].verbs == &backend_cache)
            twins[i].shelf.memory_size = TINY;
        twin_open(&twins[i], NULL);
    }
    uint64_t steps = getenv("WEIR_TEST_LONG") == NULL ? STEPS_KEYED : 5 * STEPS_KEYED;
    for (uint64_t at = 0; at < steps;) {
        uint64_t next = keyed_callback(&twins[0], at);
        for (int i = 1; i < 3; i++) {
            assert_int_equal(keyed_callback(&twins[i], at), next);
            if (twins[0].seen != twins[i].seen)
                fail_msg("backend %d differs after step %" PRIu64, i, at);
        }
        at = next;
    }
    for (int i = 0; i < 3; i++) {
        keyed_free(twins[i].keyed);
        shelf_release(&twins[i].shelf);
    }
}

static void random_operations_agree(void **state)
{
    model_run(*state);
}

#define MODEL(name_, ...) \
    { \
        name_ ": random_operations_agree", random_operations_agree, NULL, NULL, \
            &(struct model_options) \
        { \
            __VA_ARGS__ \
        } \
    }

/* The tests in front of it, together. */
static void a_million_operations_met_every_kind_of_trouble(void **state)
{
    const struct model_totals *it = &model_totals;
    printf("%" PRIu64 " operations, %" PRIu64 " snapshots, %" PRIu64 " thrown away; %" PRIu64
           " restores, %" PRIu64 " by another class, %" PRIu64 " rescales; %" PRIu64 " evictions\n",
        it->operations, it->snapshots, it->thrown_away, it->restores, it->restores_by_other,
        it->rescales, it->evictions);
    assert_true(it->operations >= 1000000);
    assert_true(it->snapshots >= 80 && it->thrown_away >= 8);
    assert_true(it->restores >= 80 && it->restores_by_other >= 10 && it->rescales >= 20);
    assert_true(it->evictions >= 1000);
}

/* WEIR_TEST_ONLY=<pattern> runs the tests whose names match. */
int main(void)
{
    model_seed();
    cmocka_set_test_filter(getenv("WEIR_TEST_ONLY"));
    const struct CMUnitTest tests[] = {
        MODEL("hashmap", .verbs = &backend_hashmap, .steps = STEPS),
        MODEL("rocksdb-uncached", .verbs = &backend_rocksdb, .steps = STEPS / 2),
        MODEL("rocksdb", .verbs = &backend_cache, .steps = STEPS),
        MODEL("rocksdb, evicting all the time", .verbs = &backend_cache, .memory_size = TINY,
            .other = &backend_rocksdb, .steps = STEPS / 2),
        MODEL("rocksdb, failing to write", .verbs = &backend_cache, .memory_size = SMALL,
            .has_faults = true, .steps = STEPS / 3),
        MODEL("rocksdb, with a worker", .verbs = &backend_cache, .memory_size = SMALL,
            .has_threads = true, .has_faults = true, .other = &backend_rocksdb, .steps = STEPS / 2),
        cmocka_unit_test(a_million_operations_met_every_kind_of_trouble),
        cmocka_unit_test(keyed_state_is_the_same_on_every_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
