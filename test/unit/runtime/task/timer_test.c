/* timer_test.c -- timers fire in order, once, survive a restore, and follow a simple model. */
#include "runtime/task/timer.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/support/temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define MAX_PARALLELISM 128

static char *dir;
static char *shared_dir;

static void succeed(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

static struct keyed *open_keyed(const struct backend_source *sources, uint32_t source_count)
{
    struct backend_options options = { .directory = temp_dir_path(dir, "work"),
        .checkpoint_dir = dir,
        .attempt = 1,
        .groups = { 0, MAX_PARALLELISM - 1 },
        .memory_size = 1u << 20 };
    struct backend *backend;
    succeed(backend_hashmap.open(&options, sources, source_count, &backend));
    return keyed_new(backend, NULL, 0, MAX_PARALLELISM);
}

static void set(struct timers *timers, enum weir_time time, int64_t at_ms, const char *key)
{
    weir_str bytes = weir_str_of(key);
    timers_set(timers, time, at_ms, bytes, hash_bytes(bytes.data, bytes.size));
}

static void cancel(struct timers *timers, enum weir_time time, int64_t at_ms, const char *key)
{
    weir_str bytes = weir_str_of(key);
    timers_cancel(timers, time, at_ms, bytes, hash_bytes(bytes.data, bytes.size));
}

/* The next due timer must be this one; NULL key: there must be none. */
static void pops(struct timers *timers, enum weir_time time, int64_t until_ms, int64_t at_ms,
    const char *key)
{
    int64_t got_ms;
    weir_str got;
    uint64_t hash;
    bool is_any = timers_pop(timers, time, until_ms, &got_ms, &got, &hash);
    assert_int_equal(is_any, key != NULL);
    if (key == NULL)
        return;
    assert_int_equal(got_ms, at_ms);
    assert_int_equal(got.size, strlen(key));
    assert_memory_equal(got.data, key, got.size);
    assert_int_equal(hash, hash_bytes(got.data, got.size));
}

static void they_pop_in_order_of_time_and_kind_by_kind(void **state)
{
    struct keyed *keyed = open_keyed(NULL, 0);
    struct timers *timers;
    succeed(timers_open(keyed, MAX_PARALLELISM, &timers));
    set(timers, WEIR_EVENT_TIME, 30, "c");
    set(timers, WEIR_EVENT_TIME, 10, "a");
    set(timers, WEIR_PROCESSING_TIME, 5, "p");
    set(timers, WEIR_EVENT_TIME, 20, "b");
    set(timers, WEIR_EVENT_TIME, 20, "b"); /* the same is one */
    assert_int_equal(timers_count(timers), 4);
    assert_int_equal(timers_next_ms(timers, WEIR_EVENT_TIME), 10);
    assert_int_equal(timers_next_ms(timers, WEIR_PROCESSING_TIME), 5);
    pops(timers, WEIR_EVENT_TIME, 9, 0, NULL);
    pops(timers, WEIR_EVENT_TIME, 20, 10, "a");
    pops(timers, WEIR_EVENT_TIME, 20, 20, "b");
    pops(timers, WEIR_EVENT_TIME, 20, 0, NULL);
    cancel(timers, WEIR_EVENT_TIME, 30, "c");
    cancel(timers, WEIR_EVENT_TIME, 31, "c"); /* was never set */
    assert_int_equal(timers_next_ms(timers, WEIR_EVENT_TIME), INT64_MAX);
    pops(timers, WEIR_PROCESSING_TIME, INT64_MAX, 5, "p");
    assert_int_equal(timers_count(timers), 0);
    timers_free(timers);
    keyed_free(keyed);
}

static void times_at_the_ends_of_the_scale_work(void **state)
{
    struct keyed *keyed = open_keyed(NULL, 0);
    struct timers *timers;
    succeed(timers_open(keyed, MAX_PARALLELISM, &timers));
    set(timers, WEIR_EVENT_TIME, INT64_MAX - 1, "late");
    set(timers, WEIR_EVENT_TIME, 0, "zero");
    set(timers, WEIR_EVENT_TIME, -5, "before 1970");
    pops(timers, WEIR_EVENT_TIME, INT64_MAX, -5, "before 1970");
    pops(timers, WEIR_EVENT_TIME, INT64_MAX, 0, "zero");
    pops(timers, WEIR_EVENT_TIME, INT64_MAX, INT64_MAX - 1, "late");
    timers_free(timers);
    keyed_free(keyed);
}

/* Snapshots the backend and opens another one from it; the old one is freed. */
static struct keyed *restore(struct keyed *keyed, struct timers *timers, struct arena *arena)
{
    struct backend *backend = keyed_backend(keyed);
    struct backend_snapshot *snapshot;
    struct state_file *files;
    uint32_t file_count;
    static uint64_t checkpoint;
    succeed(timers_flush(timers));
    succeed(backend_hashmap.snapshot(backend, ++checkpoint, &snapshot));
    succeed(backend_hashmap.snapshot_write(snapshot, arena, &files, &file_count));
    backend_hashmap.snapshot_free(snapshot);
    timers_free(timers);
    keyed_free(keyed);
    struct backend_source source = { .groups = { 0, MAX_PARALLELISM - 1 },
        .files = files,
        .file_count = file_count };
    return open_keyed(&source, 1);
}

static void they_survive_a_restore(void **state)
{
    struct arena arena;
    struct keyed *keyed = open_keyed(NULL, 0);
    struct timers *timers;
    arena_init(&arena, 4096, 1u << 20);
    succeed(timers_open(keyed, MAX_PARALLELISM, &timers));
    set(timers, WEIR_EVENT_TIME, 10, "fired");
    set(timers, WEIR_EVENT_TIME, 20, "cancelled");
    set(timers, WEIR_EVENT_TIME, 30, "waits");
    succeed(timers_flush(timers));
    pops(timers, WEIR_EVENT_TIME, 15, 10, "fired");
    cancel(timers, WEIR_EVENT_TIME, 20, "cancelled");
    set(timers, WEIR_PROCESSING_TIME, 40, "new");
    set(timers, WEIR_PROCESSING_TIME, 41, "come and gone");
    cancel(timers, WEIR_PROCESSING_TIME, 41, "come and gone");
    keyed = restore(keyed, timers, &arena);
    succeed(timers_open(keyed, MAX_PARALLELISM, &timers));
    assert_int_equal(timers_count(timers), 2);
    pops(timers, WEIR_EVENT_TIME, INT64_MAX, 30, "waits");
    pops(timers, WEIR_EVENT_TIME, INT64_MAX, 0, NULL);
    pops(timers, WEIR_PROCESSING_TIME, INT64_MAX, 40, "new");
    timers_free(timers);
    keyed_free(keyed);
    arena_release(&arena);
}

/* Against an array of flags: set, cancel, pop and restore in any order. */
static void they_follow_a_model(void **state)
{
    enum { KEYS = 7, TIMES = 13, STEPS = 3000 };
    for (uint64_t seed = 1; seed <= 5; seed++) {
        bool waits[KEYS][TIMES] = { { false } };
        uint64_t random = seed;
        struct arena arena;
        struct keyed *keyed = open_keyed(NULL, 0);
        struct timers *timers;
        arena_init(&arena, 4096, 16u << 20);
        succeed(timers_open(keyed, MAX_PARALLELISM, &timers));
        for (int step = 0; step < STEPS; step++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint32_t k = (uint32_t)(random >> 33) % KEYS, t = (uint32_t)(random >> 43) % TIMES;
            uint32_t what = (uint32_t)(random >> 53) % 100;
            char key[16];
            snprintf(key, sizeof(key), "key-%u", k);
            if (what < 55) {
                set(timers, WEIR_EVENT_TIME, t, key);
                waits[k][t] = true;
            } else if (what < 75) {
                cancel(timers, WEIR_EVENT_TIME, t, key);
                waits[k][t] = false;
            } else if (what < 98) {
                int64_t at_ms, least = INT64_MAX;
                weir_str got;
                uint64_t hash;
                for (int64_t i = TIMES - 1; i >= 0; i--)
                    for (int j = 0; j < KEYS; j++)
                        least = waits[j][i] ? i : least;
                bool is_due = least <= t;
                assert_int_equal(timers_pop(timers, WEIR_EVENT_TIME, t, &at_ms, &got, &hash),
                    is_due);
                if (is_due) {
                    uint32_t owner = (uint32_t)(got.data[4] - '0');
                    assert_int_equal(at_ms, least);
                    assert_true(waits[owner][least]);
                    waits[owner][least] = false;
                }
            } else {
                keyed = restore(keyed, timers, &arena);
                succeed(timers_open(keyed, MAX_PARALLELISM, &timers));
            }
        }
        timers_free(timers);
        keyed_free(keyed);
        arena_release(&arena);
    }
}

static int make_dir(void **state)
{
    dir = temp_dir_new();
    shared_dir = mem_printf("%s/shared", dir);
    succeed(os_make_dirs(shared_dir));
    return 0;
}

static int remove_dir(void **state)
{
    mem_free(shared_dir);
    temp_dir_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_pop_in_order_of_time_and_kind_by_kind),
        cmocka_unit_test(times_at_the_ends_of_the_scale_work),
        cmocka_unit_test(they_survive_a_restore),
        cmocka_unit_test(they_follow_a_model),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
