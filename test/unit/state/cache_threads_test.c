/* The cache while a worker writes its snapshots. Against the model, which is meant for the thread sanitizer:
 * librocksdb is not built with it, so only our own accesses, and what libc sees, are judged. And one moment of
 * a worker's, chosen by the system call that it makes. */
#include "test/support/model.h"

#include "base/os.h"
#include "base/worker.h"
#include "state/cache.h"
#include "test/support/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define STEPS 60000u
#define SMALL (192u << 10) /* bytes of memory */

static void the_task_goes_on_while_a_worker_writes(void **state)
{
    (void)state;
    model_run(&(struct model_options){ .verbs = &backend_cache,
        .memory_size = SMALL,
        .has_threads = true,
        .has_faults = true,
        .steps = STEPS });
}

/* -- a checkpoint while a base is stored -------------------------------------------------------- */

/* Read by the_base_is_stored. */
static struct {
    struct shelf *shelf;
    struct backend *backend; /* NULL: the moment is over, or not to be waited for */
    struct shelf_part *part;
} moment;

/* In the middle of storing what RocksDB has frozen: a checkpoint comes and goes. */
static int the_base_is_stored(const char *from, const char *to)
{
    struct backend *backend = moment.backend;
    moment.backend = NULL;
    if (backend != NULL)
        shelf_snapshot(moment.shelf, backend, shelf_all_groups(), moment.part);
    return os_linux.link(from, to);
}

static void put_values(struct backend *backend, const char *value)
{
    char key[16];
    for (int i = 0; i < 1500; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(backend, &row, WEIR_STR(""), weir_str_of(value));
    }
}

/* What a checkpoint has left to be settled is asked for with the first batch of changes behind it. */
static void change_one(struct backend *backend, const char *value)
{
    struct backend_expiry now = { .now_ms = 1000 };
    struct row_key row = shelf_row(0, "key-7");
    shelf_put(backend, &row, WEIR_STR(""), weir_str_of(value));
    backend_cache.expire(backend, &now);
}

/* It lists the old base, whose files are all there: it would hang here if it waited for those of the new one. */
static void a_checkpoint_does_not_wait_for_a_base_that_is_stored(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part first, second;
    shelf_init(&shelf);
    shelf.workers = workers_new(0, 64);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    put_values(backend,
        "a value that is long enough for a log that is worth settling, the first one");
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &first);
    struct os os = *os_current;
    const struct os *before = os_current;
    os.link = the_base_is_stored;
    os_current = &os;
    moment.shelf = &shelf;
    moment.backend = backend;
    moment.part = &second;
    change_one(backend, "the second one");
    while (workers_step(shelf.workers))
        continue;
    os_current = before;
    assert_null(moment.backend); /* a base was stored */
    shelf_close(backend);
    backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), &second, 1);
    struct row_key row = shelf_row(0, "key-7");
    shelf_expect(backend, &row, "", "the second one");
    row = shelf_row(0, "key-8");
    shelf_expect(backend, &row, "",
        "a value that is long enough for a log that is worth settling, the first one");
    shelf_close(backend);
    shelf_part_release(&first);
    shelf_part_release(&second);
    while (workers_step(shelf.workers))
        continue;
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

/* -- a task that is as fast as the store ---------------------------------------------------------- */

#define BARRIERS_MAX 20u

/* Read by busy_write. Thread: main. */
static struct {
    struct backend *backend;
    struct backend_snapshot *snapshots[BARRIERS_MAX]; /* not written yet */
    uint32_t count, write_count;
} busy;

/* Whenever something has been written to the store there is more, as long as there are barriers. */
static weir_error *busy_write(struct backend *store, const struct changes *const *lists,
    uint32_t list_count)
{
    busy.write_count++;
    if (busy.count < BARRIERS_MAX) {
        put_values(busy.backend, "the next one");
        shelf_ok(backend_cache.snapshot(busy.backend, 2 + busy.count, &busy.snapshots[busy.count]));
        busy.count++;
    }
    return backend_rocksdb.write_changes(store, lists, list_count);
}

/* Or else all that was ever changed is replayed by a restore: the log is only shortened by a new base. */
static void a_base_does_not_wait_until_the_task_writes_nothing(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    struct backend_class verbs = backend_rocksdb;
    verbs.write_changes = busy_write;
    shelf_init(&shelf);
    shelf.workers = workers_new(0, 64);
    busy.backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    struct cache *cache = (struct cache *)(void *)busy.backend;
    cache->verbs = &verbs;
    put_values(busy.backend, "a value that is long enough for a log that is worth settling");
    shelf_snapshot(&shelf, busy.backend, shelf_all_groups(), &part);
    assert_true(cache->log.size > 0);
    change_one(busy.backend, "the second one");
    assert_true(workers_step(shelf.workers)); /* it settles, once */
    assert_int_equal(busy.write_count, 1);
    assert_int_equal(cache->log.size, 0);
    for (uint32_t i = 0; i < busy.count; i++)
        backend_cache.snapshot_free(busy.snapshots[i]);
    shelf_close(busy.backend);
    shelf_part_release(&part);
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

/* Its files must have nothing from behind the barrier of a snapshot that is not written yet. */
static void a_base_that_a_snapshot_is_in_the_way_of_is_taken_when_that_is_over(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    struct backend_snapshot *snapshot;
    shelf_init(&shelf);
    shelf.workers = workers_new(0, 64);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    struct cache *cache = (struct cache *)(void *)backend;
    put_values(backend, "a value that is long enough for a log that is worth settling");
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    change_one(backend, "the second one"); /* a worker is asked to settle */
    shelf_ok(backend_cache.snapshot(backend, 2, &snapshot));
    put_values(backend, "the next one");
    cache_flight_queue(cache, cache_flight_new(cache)); /* behind the barrier, as an eviction's */
    while (workers_step(shelf.workers))
        continue;
    assert_true(cache->log.size > 0);
    backend_cache.snapshot_free(snapshot);
    assert_true(workers_step(shelf.workers));
    assert_int_equal(cache->log.size, 0);
    shelf_close(backend);
    shelf_part_release(&part);
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

/* -- a log that is long --------------------------------------------------------------------------- */

#define LONG_ROWS  3000u
#define OLD_ROWS   10u
#define LONG_VALUE 300u

static void put_long_values(struct backend *backend, uint32_t from, uint32_t to, char first)
{
    char key[16], value[LONG_VALUE];
    memset(value, first, sizeof(value));
    for (uint32_t i = from; i < to; i++) {
        snprintf(key, sizeof(key), "key-%u", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(backend, &row, WEIR_STR(""), (weir_str){ value, sizeof(value) });
    }
}

static void expect_long_value(struct backend *backend, uint32_t number, char first)
{
    char key[16], value[LONG_VALUE + 1] = { 0 };
    memset(value, first, LONG_VALUE);
    snprintf(key, sizeof(key), "key-%u", number);
    struct row_key row = shelf_row(0, key);
    shelf_expect(backend, &row, "", value);
}

/* Through the cache each byte would be frozen, logged and written again. */
static void what_the_cache_has_no_room_for_is_restored_into_the_store(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    shelf_init(&shelf);
    shelf.workers = workers_new(0, 64); /* nobody settles */
    struct row_key removed = shelf_row(0, "key-2");
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    put_long_values(backend, LONG_ROWS, LONG_ROWS + OLD_ROWS, '-'); /* a short one in front */
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    shelf_part_release(&part);
    put_long_values(backend, 0, LONG_ROWS + OLD_ROWS, 'a'); /* one long list, and then short ones */
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    shelf_part_release(&part);
    for (uint32_t i = 0; i < 20; i++) {
        put_long_values(backend, i * LONG_ROWS / 20, (i + 1) * LONG_ROWS / 20, 'b');
        shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
        shelf_part_release(&part);
    }
    shelf_remove(backend, &removed, WEIR_STR(""));
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    assert_true(((struct cache *)(void *)backend)->log.size > 2 * LONG_ROWS * LONG_VALUE);
    shelf_close(backend);
    shelf.memory_size = 1 << 20;
    backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), &part, 1);
    struct cache *cache = (struct cache *)(void *)backend;
    assert_int_equal(cache->frozen, 0);
    for (uint32_t i = 0; i < LONG_ROWS + OLD_ROWS; i++)
        if (i != 2)
            expect_long_value(backend, i, i < LONG_ROWS ? 'b' : 'a');
    shelf_expect_none(backend, &removed, "");
    shelf_close(backend);
    shelf_part_release(&part);
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

/* -- closing ------------------------------------------------------------------------------------ */

static uint32_t write_count;

static weir_error *counting_write(struct backend *store, const struct changes *const *lists,
    uint32_t list_count)
{
    write_count++;
    return backend_rocksdb.write_changes(store, lists, list_count);
}

/* A job that is over, or is to start again, does not wait for a second's worth of writing. */
static void what_waits_for_the_store_is_not_written_when_it_is_closed(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    struct backend_class verbs = backend_rocksdb;
    verbs.write_changes = counting_write;
    shelf_init(&shelf);
    shelf.workers = workers_new(0, 64);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    ((struct cache *)(void *)backend)->verbs = &verbs;
    put_values(backend, "a value that is long enough for a log that is worth settling");
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    change_one(backend, "the second one");
    assert_true(atomic_load(&((struct cache *)(void *)backend)->is_settling)); /* it is asked for */
    shelf_close(backend);
    assert_int_equal(write_count, 0);
    backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), &part, 1);
    struct row_key row = shelf_row(0, "key-7");
    shelf_expect(backend, &row, "", "a value that is long enough for a log that is worth settling");
    shelf_close(backend);
    shelf_part_release(&part);
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

/* They share a lane; what another one writes may take seconds. */
static void a_cache_that_is_closed_does_not_settle_another_one(void **state)
{
    (void)state;
    struct shelf shelves[2];
    struct shelf_part parts[2];
    struct backend *backends[2];
    struct workers *workers = workers_new(0, 64);
    for (int i = 0; i < 2; i++) {
        shelf_init(&shelves[i]);
        shelves[i].workers = workers;
        backends[i] = shelf_open(&shelves[i], &backend_cache, shelf_all_groups(), NULL, 0);
        put_values(backends[i], "a value that is long enough for a log that is worth settling");
        shelf_snapshot(&shelves[i], backends[i], shelf_all_groups(), &parts[i]);
        change_one(backends[i], "the second one");
    }
    const struct cache *first = (struct cache *)(void *)backends[0];
    shelf_close(backends[1]);
    assert_true(cache_has_flights(first));
    assert_true(workers_step(workers));
    assert_false(cache_has_flights(first));
    assert_false(workers_step(workers));
    shelf_close(backends[0]);
    workers_free(workers);
    for (int i = 0; i < 2; i++) {
        shelf_part_release(&parts[i]);
        shelf_release(&shelves[i]);
    }
}

/* It would be of no use: behind it comes the end of the job, mostly. */
static void behind_a_last_checkpoint_nothing_is_settled(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    struct backend_expiry now = { .now_ms = 1000 };
    shelf_init(&shelf);
    shelf.workers = workers_new(0, 64);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    put_values(backend, "a value that is long enough for a log that is worth settling");
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    backend_cache.expire(backend, &now);
    assert_false(workers_step(shelf.workers));
    shelf_close(backend);
    shelf_part_release(&part);
    workers_free(shelf.workers);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_does_not_wait_for_a_base_that_is_stored),
        cmocka_unit_test(a_base_does_not_wait_until_the_task_writes_nothing),
        cmocka_unit_test(a_base_that_a_snapshot_is_in_the_way_of_is_taken_when_that_is_over),
        cmocka_unit_test(what_the_cache_has_no_room_for_is_restored_into_the_store),
        cmocka_unit_test(what_waits_for_the_store_is_not_written_when_it_is_closed),
        cmocka_unit_test(a_cache_that_is_closed_does_not_settle_another_one),
        cmocka_unit_test(behind_a_last_checkpoint_nothing_is_settled),
        cmocka_unit_test(the_task_goes_on_while_a_worker_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
