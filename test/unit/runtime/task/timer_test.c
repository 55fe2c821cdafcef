/* timer_test.c -- timers: the set, the order, and their way through the backend and back. */
#include "runtime/task/timer.h"

#include "base/hash.h"
#include "test/support/keyed_fixture.h"
#include "test/support/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "test/support/expect.h"

#define EVENT      WEIR_EVENT_TIME
#define PROCESSING WEIR_PROCESSING_TIME

static struct keyed_fixture fixture;
static struct timers *timers;

static void open_timers(void)
{
    shelf_ok(timers_open(fixture.keyed, SHELF_MAX_PARALLELISM, &timers));
}

static int begin(void **state)
{
    keyed_fixture_begin(&fixture, state);
    open_timers();
    return 0;
}

static int end(void **state)
{
    timers_free(timers);
    keyed_fixture_end(&fixture);
    return 0;
}

/* Flush, snapshot, and everything anew from it. */
static void restart(void)
{
    shelf_ok(timers_flush(timers));
    timers_free(timers);
    keyed_fixture_restart(&fixture);
    open_timers();
}

static uint64_t hash_of(const char *key)
{
    return hash_bytes(key, strlen(key));
}

static void set(enum weir_time time, int64_t at_ms, const char *key)
{
    timers_set(timers, time, at_ms, weir_str_of(key), hash_of(key));
}

static void cancel(enum weir_time time, int64_t at_ms, const char *key)
{
    timers_cancel(timers, time, at_ms, weir_str_of(key), hash_of(key));
}

/* All that are due, as "key@time ", in the order they pop. */
static const char *pop(enum weir_time time, int64_t until_ms)
{
    static char text[4096];
    size_t used = 0;
    int64_t at_ms;
    weir_str key;
    uint64_t hash;
    text[0] = '\0';
    while (timers_pop(timers, time, until_ms, &at_ms, &key, &hash)) {
        assert_int_equal(hash, hash_bytes(key.data, key.size));
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s@%" PRId64 " ",
            (int)key.size, key.data, at_ms);
        assert_true(used < sizeof(text));
    }
    return text;
}

/* How many timers the backend holds. */
static bool count_row(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    ++*(uint32_t *)arg;
    return true;
}

static uint32_t stored(void)
{
    uint32_t count = 0;
    struct backend *backend = keyed_backend(fixture.keyed);
    shelf_ok(backend->backend_class->scan(backend, STATE_NUMBER_TIMERS, count_row, &count));
    return count;
}

/* -- the set -------------------------------------------------------------------------------------- */

static void timers_pop_in_order_of_time(void **state)
{
    set(EVENT, 30, "c");
    set(EVENT, 10, "a");
    set(EVENT, 20, "b");
    assert_int_equal(timers_next_ms(timers, EVENT), 10);
    assert_string_equal(pop(EVENT, 9), "");
    assert_string_equal(pop(EVENT, 20), "a@10 b@20 ");
    assert_int_equal(timers_next_ms(timers, EVENT), 30);
    assert_string_equal(pop(EVENT, INT64_MAX), "c@30 ");
    assert_int_equal(timers_next_ms(timers, EVENT), INT64_MAX);
    assert_int_equal(timers_count(timers), 0);
}

static void timers_of_one_instant_pop_in_the_order_they_were_set(void **state)
{
    set(EVENT, 10, "z");
    set(EVENT, 10, "a");
    set(EVENT, 5, "m");
    set(EVENT, 10, "k");
    assert_string_equal(pop(EVENT, 10), "m@5 z@10 a@10 k@10 ");
}

static void setting_twice_is_one_timer(void **state)
{
    set(EVENT, 10, "a");
    set(EVENT, 10, "a");
    set(EVENT, 10, "b");
    set(EVENT, 11, "a");
    assert_int_equal(timers_count(timers), 3);
    assert_string_equal(pop(EVENT, INT64_MAX), "a@10 b@10 a@11 ");
    set(EVENT, 10, "a"); /* it has fired: this is a new one */
    assert_string_equal(pop(EVENT, INT64_MAX), "a@10 ");
}

static void the_two_times_know_nothing_of_each_other(void **state)
{
    set(EVENT, 10, "a");
    set(PROCESSING, 10, "a");
    set(PROCESSING, 5, "a");
    cancel(EVENT, 5, "a");
    assert_int_equal(timers_next_ms(timers, PROCESSING), 5);
    assert_string_equal(pop(PROCESSING, 100), "a@5 a@10 ");
    assert_string_equal(pop(EVENT, 100), "a@10 ");
}

static void a_cancelled_timer_does_not_pop(void **state)
{
    set(EVENT, 10, "a");
    set(EVENT, 10, "b");
    set(EVENT, 20, "a");
    cancel(EVENT, 10, "a");
    cancel(EVENT, 10, "a");
    cancel(EVENT, 15, "a");
    cancel(EVENT, 20, "b");
    assert_int_equal(timers_count(timers), 2);
    assert_string_equal(pop(EVENT, INT64_MAX), "b@10 a@20 ");
    cancel(EVENT, 10, "b"); /* gone already */
}

static void times_before_the_epoch_are_times(void **state)
{
    set(EVENT, INT64_MIN, "first");
    set(EVENT, -5, "b");
    set(EVENT, 0, "c");
    set(EVENT, INT64_MAX - 1, "last");
    restart();
    assert_string_equal(pop(EVENT, -1), "first@-9223372036854775808 b@-5 ");
    assert_string_equal(pop(EVENT, INT64_MAX), "c@0 last@9223372036854775806 ");
}

static void keys_may_be_empty_and_large(void **state)
{
    static char large[5000];
    int64_t at_ms;
    weir_str key;
    uint64_t hash;
    memset(large, 'x', sizeof(large) - 1);
    set(EVENT, 1, "");
    set(EVENT, 2, large);
    set(EVENT, 3, large);
    restart();
    cancel(EVENT, 3, large);
    assert_string_equal(pop(EVENT, 1), "@1 ");
    assert_true(timers_pop(timers, EVENT, 2, &at_ms, &key, &hash));
    assert_true(weir_str_equal(key, weir_str_of(large)));
    set(EVENT, 4, large);
    assert_int_equal(timers_count(timers), 1);
}

static void after_the_end_what_is_set_waits_for_a_later_run(void **state)
{
    set(EVENT, 10, "a");
    set(PROCESSING, 5, "p");
    set(EVENT, 1000, "b");
    timers_close(timers);
    set(EVENT, 20, "a");
    set(EVENT, 30, "a");
    set(EVENT, 10, "a"); /* waits already: nothing new */
    cancel(EVENT, 30, "a");
    assert_string_equal(pop(EVENT, INT64_MAX), "a@10 b@1000 ");
    assert_string_equal(pop(PROCESSING, INT64_MAX), "p@5 ");
    assert_int_equal(timers_next_ms(timers, EVENT), INT64_MAX);
    assert_int_equal(timers_count(timers), 1);
    restart();
    assert_string_equal(pop(EVENT, INT64_MAX), "a@20 ");
}

/* -- the backend ---------------------------------------------------------------------------------- */

static void timers_come_back_from_a_snapshot(void **state)
{
    set(EVENT, 30, "c");
    set(EVENT, 10, "a");
    set(PROCESSING, 20, "b");
    restart();
    assert_int_equal(timers_count(timers), 3);
    set(EVENT, 10, "a"); /* still one timer */
    assert_string_equal(pop(EVENT, 100), "a@10 c@30 ");
    assert_string_equal(pop(PROCESSING, 100), "b@20 ");
    restart();
    assert_int_equal(timers_count(timers), 0);
}

static void what_comes_and_goes_between_two_barriers_never_touches_the_store(void **state)
{
    set(EVENT, 10, "a");
    set(EVENT, 20, "b");
    pop(EVENT, 10);
    assert_int_equal(stored(), 0);
    shelf_ok(timers_flush(timers));
    assert_int_equal(stored(), 1);
    set(EVENT, 30, "c");
    cancel(EVENT, 30, "c");
    shelf_ok(timers_flush(timers));
    assert_int_equal(stored(), 1);
}

static void a_flush_writes_what_is_new_and_removes_what_is_gone(void **state)
{
    set(EVENT, 10, "a");
    set(EVENT, 20, "b");
    set(EVENT, 30, "c");
    shelf_ok(timers_flush(timers));
    assert_int_equal(stored(), 3);
    pop(EVENT, 10);
    cancel(EVENT, 20, "b");
    assert_int_equal(stored(), 3); /* until the next barrier */
    shelf_ok(timers_flush(timers));
    assert_int_equal(stored(), 1);
    shelf_ok(timers_flush(timers));
    assert_int_equal(stored(), 1);
}

static void a_stored_timer_that_goes_and_comes_back_is_stored(void **state)
{
    set(EVENT, 10, "a");
    set(EVENT, 20, "b");
    shelf_ok(timers_flush(timers));
    cancel(EVENT, 10, "a");
    set(EVENT, 10, "a");
    assert_string_equal(pop(EVENT, 10), "a@10 ");
    set(EVENT, 10, "a");
    restart();
    assert_string_equal(pop(EVENT, 100), "a@10 b@20 ");
}

static void a_key_that_is_out_stays_valid_over_a_new_timer(void **state)
{
    int64_t at_ms;
    weir_str key;
    uint64_t hash;
    set(EVENT, 10, "the-key");
    assert_true(timers_pop(timers, EVENT, 10, &at_ms, &key, &hash));
    for (int i = 0; i < 100; i++)
        timers_set(timers, EVENT, 100 + i, key, hash);
    assert_true(weir_str_equal(key, weir_str_of("the-key")));
    assert_int_equal(timers_count(timers), 100);
}

static void a_damaged_timer_in_the_store_is_told(void **state)
{
    struct row_key row = shelf_row(STATE_NUMBER_TIMERS, "a");
    shelf_put(keyed_backend(fixture.keyed), &row, WEIR_STR("short"), WEIR_STR(""));
    timers_free(timers);
    timers = NULL;
    shelf_fails(timers_open(fixture.keyed, SHELF_MAX_PARALLELISM, &timers), WEIR_E_CORRUPT,
        "cannot restore timers");
    timers = NULL;
}

/* -- many ----------------------------------------------------------------------------------------- */

#define MANY 100000

static void a_hundred_thousand_of_one_instant_pop_in_order(void **state)
{
    int64_t at_ms;
    weir_str key;
    uint64_t hash;
    for (uint64_t i = 0; i < MANY; i++)
        timers_set(timers, EVENT, 7, (weir_str){ .data = (const char *)&i, .size = sizeof(i) },
            hash_bytes(&i, sizeof(i)));
    assert_int_equal(timers_count(timers), MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_true(timers_pop(timers, EVENT, 7, &at_ms, &key, &hash));
        assert_int_equal(key.size, sizeof(i));
        assert_memory_equal(key.data, &i, sizeof(i));
    }
    assert_false(timers_pop(timers, EVENT, INT64_MAX, &at_ms, &key, &hash));
}

/* A list of what should be there, and a simple way to do everything. */
struct model {
    struct {
        enum weir_time time;
        int64_t at_ms;
        char key[8];
        uint64_t sequence;
    } timers[512];
    uint32_t count;
    uint64_t next;
};

static int find(const struct model *model, enum weir_time time, int64_t at_ms, const char *key)
{
    for (uint32_t i = 0; i < model->count; i++)
        if (model->timers[i].time == time && model->timers[i].at_ms == at_ms &&
            strcmp(model->timers[i].key, key) == 0)
            return (int)i;
    return -1;
}

static int earliest(const struct model *model, enum weir_time time)
{
    int best = -1;
    for (uint32_t i = 0; i < model->count; i++) {
        if (model->timers[i].time != time)
            continue;
        if (best < 0 || model->timers[i].at_ms < model->timers[best].at_ms ||
            (model->timers[i].at_ms == model->timers[best].at_ms &&
                model->timers[i].sequence < model->timers[best].sequence))
            best = (int)i;
    }
    return best;
}

static void forget(struct model *model, int index)
{
    if (index >= 0)
        model->timers[index] = model->timers[--model->count];
}

static void pop_both(struct model *model, enum weir_time time, int64_t until_ms)
{
    int64_t at_ms;
    weir_str key;
    uint64_t hash;
    int first = earliest(model, time);
    bool is_due = first >= 0 && model->timers[first].at_ms <= until_ms;
    assert_int_equal(timers_next_ms(timers, time),
        first < 0 ? INT64_MAX : model->timers[first].at_ms);
    assert_int_equal(timers_pop(timers, time, until_ms, &at_ms, &key, &hash), is_due);
    if (!is_due)
        return;
    assert_int_equal(at_ms, model->timers[first].at_ms);
    assert_true(weir_str_equal(key, weir_str_of(model->timers[first].key)));
    forget(model, first);
}

static void step(struct model *model, struct random *random)
{
    enum weir_time time = random_one_in(random, 2) ? EVENT : PROCESSING;
    int64_t at_ms = random_below(random, 40);
    char key[8];
    snprintf(key, sizeof(key), "k%u", random_below(random, 10));
    int found = find(model, time, at_ms, key);
    switch (random_below(random, 5)) {
    case 0:
        cancel(time, at_ms, key);
        forget(model, found);
        break;
    case 1:
        pop_both(model, time, at_ms);
        break;
    default:
        set(time, at_ms, key);
        if (found >= 0)
            break;
        model->timers[model->count].time = time;
        model->timers[model->count].at_ms = at_ms;
        model->timers[model->count].sequence = model->next++;
        memcpy(model->timers[model->count++].key, key, sizeof(key));
        break;
    }
    assert_int_equal(timers_count(timers), model->count);
}

/* What was set in one instant before a restart has no order among itself afterwards: only as a set. */
static void expect_all(const struct model *model)
{
    struct model rest = *model;
    int64_t at_ms, last_ms = INT64_MIN;
    weir_str key;
    uint64_t hash;
    for (int time = 0; time < 2; time++) {
        last_ms = INT64_MIN;
        while (timers_pop(timers, (enum weir_time)time, INT64_MAX, &at_ms, &key, &hash)) {
            char text[8] = "";
            memcpy(text, key.data, key.size);
            int found = find(&rest, (enum weir_time)time, at_ms, text);
            assert_true(found >= 0 && at_ms >= last_ms);
            last_ms = at_ms;
            forget(&rest, found);
        }
    }
    assert_int_equal(rest.count, 0);
}

static void they_behave_like_a_list_through_restarts(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct random random = { .state = seed };
        struct model model = { .count = 0 };
        for (int i = 0; i < 400; i++) {
            step(&model, &random);
            if (i % 50 == 17)
                shelf_ok(timers_flush(timers));
        }
        restart();
        expect_all(&model);
        restart();
        assert_int_equal(timers_count(timers), 0);
    }
}

/* -- another parallelism -------------------------------------------------------------------------- */

static void a_timer_goes_with_its_key_group(void **state)
{
    char key[8];
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        set(EVENT, i, key);
    }
    shelf_ok(timers_flush(timers));
    struct shelf_part part;
    shelf_snapshot(&fixture.shelf, keyed_backend(fixture.keyed), shelf_all_groups(), &part);
    uint32_t count = 0;
    for (uint32_t subtask = 0; subtask < 3; subtask++) {
        struct group_range groups = key_group_range(subtask, 3, SHELF_MAX_PARALLELISM);
        struct backend *backend = shelf_open(&fixture.shelf, fixture.verbs, groups, &part, 1);
        struct keyed *keyed =
            keyed_new(backend, keyed_fixture_states, STATE_COUNT, SHELF_MAX_PARALLELISM);
        struct timers *some;
        shelf_ok(timers_open(keyed, SHELF_MAX_PARALLELISM, &some));
        assert_in_range(timers_count(some), 1, 99);
        count += timers_count(some);
        timers_free(some);
        keyed_free(keyed);
    }
    assert_int_equal(count, 100);
    shelf_part_release(&part);
}

static struct CMUnitTest tests[64];
static size_t test_count;

static void add(const char *name, CMUnitTestFunction test, const struct backend_class *backend)
{
    char *full = malloc(128);
    snprintf(full, 128, "%s (%s)", name, backend->name);
    tests[test_count++] = (struct CMUnitTest){ full, test, begin, end, (void *)(uintptr_t)backend };
}

#define EACH(X) \
    X(timers_pop_in_order_of_time) \
    X(timers_of_one_instant_pop_in_the_order_they_were_set) \
    X(setting_twice_is_one_timer) \
    X(the_two_times_know_nothing_of_each_other) \
    X(a_cancelled_timer_does_not_pop) \
    X(times_before_the_epoch_are_times) \
    X(keys_may_be_empty_and_large) \
    X(after_the_end_what_is_set_waits_for_a_later_run) \
    X(timers_come_back_from_a_snapshot) \
    X(what_comes_and_goes_between_two_barriers_never_touches_the_store) \
    X(a_flush_writes_what_is_new_and_removes_what_is_gone) \
    X(a_stored_timer_that_goes_and_comes_back_is_stored) \
    X(a_key_that_is_out_stays_valid_over_a_new_timer) \
    X(a_damaged_timer_in_the_store_is_told) \
    X(they_behave_like_a_list_through_restarts) \
    X(a_timer_goes_with_its_key_group)

int main(void)
{
    const struct backend_class *backends[] = { &backend_hashmap, &backend_rocksdb };
    for (size_t b = 0; b < COUNT_OF(backends); b++) {
#define ADD(test_) add(#test_, test_, backends[b]);
        EACH(ADD)
#undef ADD
    }
    add("a_hundred_thousand_of_one_instant_pop_in_order",
        a_hundred_thousand_of_one_instant_pop_in_order, &backend_hashmap);
    int failed = _cmocka_run_group_tests("timers", tests, test_count, NULL, NULL);
    for (size_t i = 0; i < test_count; i++)
        free((void *)(uintptr_t)tests[i].name);
    return failed;
}
