/* Flights from inside: when rows are frozen ahead of a barrier. */
#include "state/cache.h"

#include "base/log.h"
#include "base/os.h"
#include "test/support/shelf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A barrier, and what the backend sees of the clock behind it. */
static void barrier(struct shelf *shelf, struct backend *backend, int64_t now_ms)
{
    struct backend_expiry now = { .now_ms = now_ms };
    struct shelf_part part;
    shelf_snapshot(shelf, backend, shelf_all_groups(), &part);
    shelf_part_release(&part);
    backend->backend_class->expire(backend, &now);
}

/* Changes so many rows; how many of them a batch at this time leaves for the barrier. */
static uint32_t left_by_a_batch(struct backend *backend, uint32_t count, int64_t now_ms)
{
    const struct cache *cache = (struct cache *)(void *)backend;
    struct backend_expiry now = { .now_ms = now_ms };
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(backend, &row, WEIR_STR(""), WEIR_STR("value"));
    }
    backend->backend_class->expire(backend, &now);
    return cache->dirty[0].count + cache->dirty[1].count;
}

static void nothing_is_frozen_in_the_first_half_of_the_time_to_a_barrier(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    assert_true(left_by_a_batch(backend, 10, 1000) < 10); /* when the next one comes is not known */
    barrier(&shelf, backend, 1000);
    assert_true(left_by_a_batch(backend, 10, 2000) < 10);
    barrier(&shelf, backend, 11000);
    assert_int_equal(left_by_a_batch(backend, 10, 15999), 10);
    assert_true(left_by_a_batch(backend, 10, 16000) < 10);
    barrier(&shelf, backend, 17000); /* out of turn: the next one may come as soon */
    assert_int_equal(left_by_a_batch(backend, 10, 19999), 10);
    assert_true(left_by_a_batch(backend, 10, 20000) < 10);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* The last barrier was at 11,000, the next one is expected at 21,000. */
static struct backend *open_between_barriers(struct shelf *shelf)
{
    shelf_init(shelf);
    struct backend *backend = shelf_open(shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    barrier(shelf, backend, 1000);
    barrier(shelf, backend, 11000);
    return backend;
}

/* The first barrier has no other one before it: it comes when it was planned to. */
static void nothing_is_frozen_in_the_first_half_of_the_time_to_the_first_barrier(void **state)
{
    (void)state;
    struct shelf shelf;
    struct backend *backend;
    shelf_init(&shelf);
    struct backend_options options = shelf_options(&shelf, shelf_all_groups());
    options.checkpoint_interval_ms = 10000;
    shelf_ok(backend_cache.open(&options, NULL, 0, &backend));
    assert_int_equal(left_by_a_batch(backend, 10, 1000), 10);
    assert_int_equal(left_by_a_batch(backend, 10, 5999), 10);
    assert_true(left_by_a_batch(backend, 10, 6000) < 10);
    barrier(&shelf, backend, 7000); /* out of turn: the next one still comes in its turn */
    assert_int_equal(left_by_a_batch(backend, 10, 11999), 10);
    assert_true(left_by_a_batch(backend, 10, 12000) < 10);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* Ten rows are changed; true: the batches that follow freeze them. */
static bool is_frozen_from(struct backend *backend, int64_t now_ms)
{
    uint32_t before = left_by_a_batch(backend, 10, now_ms), left;
    while ((left = left_by_a_batch(backend, 0, now_ms)) < before)
        before = left;
    return left == 0;
}

/* What is changed all the time is frozen with each turn, and each but the last is in vain. */
static void turns_rest_for_half_of_the_time_to_the_barrier(void **state)
{
    (void)state;
    struct shelf shelf;
    struct backend *backend = open_between_barriers(&shelf);
    assert_true(is_frozen_from(backend, 18000));
    assert_false(is_frozen_from(backend, 18999));
    assert_true(is_frozen_from(backend, 19500));
    assert_false(is_frozen_from(backend, 19999));
    assert_true(is_frozen_from(backend, 20000)); /* 500 after 19500, 1000 before 21000 */
    barrier(&shelf, backend, 111000);
    assert_true(is_frozen_from(backend, 181000));
    assert_false(is_frozen_from(backend, 190999));
    assert_true(is_frozen_from(backend, 191000)); /* 10,000 after 181,000, 20,000 before 211,000 */
    assert_true(is_frozen_from(backend, 221000));
    assert_false(is_frozen_from(backend, 230000));
    assert_true(is_frozen_from(backend, 231000)); /* 10,000 after 221,000, 20,000 late */
    shelf_close(backend);
    shelf_release(&shelf);
}

/* A barrier that comes out of turn would have to freeze all of it. */
static void so_many_dirty_rows_are_frozen_at_any_time(void **state)
{
    (void)state;
    struct shelf shelf;
    struct backend *backend = open_between_barriers(&shelf);
    assert_int_equal(left_by_a_batch(backend, 63, 11001), 63);
    assert_true(left_by_a_batch(backend, 64, 11002) < 64);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* Or else they are frozen over and over again, in vain with each time but the last. */
static void rows_that_are_changed_all_the_time_are_not_many_dirty_rows(void **state)
{
    (void)state;
    struct shelf shelf;
    struct backend *backend = open_between_barriers(&shelf);
    uint32_t left = left_by_a_batch(backend, 100, 11001);
    while (left > 0)
        left = left_by_a_batch(backend, 0, 11002);
    assert_int_equal(left_by_a_batch(backend, 100, 11003), 100);
    assert_int_equal(left_by_a_batch(backend, 163, 11004), 163); /* 63 others */
    assert_true(left_by_a_batch(backend, 164, 11005) < 164);
    barrier(&shelf, backend, 21000);
    assert_int_equal(left_by_a_batch(backend, 164, 21001), 164);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* -- when the log goes to the store ------------------------------------------------------------------ */

/* A cache without workers, and its last checkpoint. */
struct logged {
    struct shelf shelf;
    struct backend *backend;
    struct shelf_part part;
};

static void logged_init(struct logged *it)
{
    *it = (struct logged){ 0 };
    shelf_init(&it->shelf);
    it->backend = shelf_open(&it->shelf, &backend_cache, shelf_all_groups(), NULL, 0);
}

static void logged_release(struct logged *it)
{
    shelf_close(it->backend);
    shelf_part_release(&it->part);
    shelf_release(&it->shelf);
}

/* Bytes of the log behind a checkpoint, with so many rows of a kilobyte changed in front of it. */
static uint64_t log_behind_a_checkpoint(struct logged *it, uint32_t count)
{
    static char value[1024];
    value[0]++;
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        shelf_put(it->backend, &row, WEIR_STR(""),
            (weir_str){ .data = value, .size = sizeof(value) });
    }
    shelf_part_release(&it->part);
    shelf_snapshot(&it->shelf, it->backend, shelf_all_groups(), &it->part);
    return ((struct cache *)(void *)it->backend)->log.size;
}

/* What is changed again until then is written once. */
static void a_log_that_grows_goes_to_the_store_when_it_is_long(void **state)
{
    (void)state;
    struct logged it;
    logged_init(&it);
    assert_in_range(log_behind_a_checkpoint(&it, 25), 25 << 10, 32 << 10);
    assert_in_range(log_behind_a_checkpoint(&it, 25), 50 << 10, 64 << 10);
    assert_int_equal(log_behind_a_checkpoint(&it, 25), 0);
    assert_in_range(log_behind_a_checkpoint(&it, 25), 25 << 10, 32 << 10);
    logged_release(&it);
}

/* Or a restart of a job that was busy once would replay it each time. */
static void a_log_that_hardly_grows_any_more_goes_to_the_store(void **state)
{
    (void)state;
    struct logged it;
    logged_init(&it);
    assert_true(log_behind_a_checkpoint(&it, 40) > 40 << 10);
    assert_true(log_behind_a_checkpoint(&it, 7) > 47 << 10);
    assert_int_equal(log_behind_a_checkpoint(&it, 3), 0);
    logged_release(&it);
}

static void a_log_that_a_restore_has_replayed_goes_to_the_store_when_the_job_is_at_rest(
    void **state)
{
    (void)state;
    struct logged it;
    logged_init(&it);
    assert_true(log_behind_a_checkpoint(&it, 40) > 40 << 10);
    shelf_close(it.backend);
    it.shelf.attempt++;
    it.backend = shelf_open(&it.shelf, &backend_cache, shelf_all_groups(), &it.part, 1);
    assert_int_equal(log_behind_a_checkpoint(&it, 1), 0);
    logged_release(&it);
}

/* Or the store would have to take the rest in before the job goes on. */
static void a_log_is_not_longer_than_what_a_restore_has_memory_for(void **state)
{
    (void)state;
    uint64_t enough = cache_log_max(0, UINT64_C(8) << 30);
    assert_true(enough >= 64 << 10);
    assert_int_equal(cache_log_max(0, enough), enough / 2);
    assert_int_equal(cache_log_max(enough / 2, enough), enough / 2);
}

static void a_log_goes_to_the_store_before_rows_have_to_leave(void **state)
{
    (void)state;
    struct logged it;
    logged_init(&it);
    struct cache *cache = (struct cache *)(void *)it.backend;
    cache->budget = cache_size(cache) * 4 / 3 + (1 << 10); /* with room for next to nothing */
    assert_int_equal(log_behind_a_checkpoint(&it, 25), 0);
    logged_release(&it);
}

/* -- a disk that is full -------------------------------------------------------------------------- */

#define ROWS 100u

static bool is_store_full, is_log_full;

static weir_error *write_into_store(struct backend *store, const struct changes *const *lists,
    uint32_t list_count)
{
    if (is_store_full)
        return weir_errorf(WEIR_E_DISK_FULL, "no space is left for the store");
    return backend_rocksdb.write_changes(store, lists, list_count);
}

static int write_into_log(void *handle, const void *bytes, size_t size, size_t *written)
{
    return is_log_full ? ENOSPC : os_linux.write(handle, bytes, size, written);
}

/* A cache without workers, which settles with each checkpoint, on a disk that may become full. */
struct disk {
    struct shelf shelf;
    struct backend *backend;
    struct backend_class verbs; /* of the store */
    const struct os *before;
};

static void disk_init(struct disk *disk)
{
    log_set_level(LOG_ERROR);
    is_store_full = is_log_full = false;
    shelf_init(&disk->shelf);
    static struct os os;
    disk->before = os_current;
    os = *os_current;
    os.write = write_into_log;
    os_current = &os;
    disk->backend = shelf_open(&disk->shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    disk->verbs = backend_rocksdb;
    disk->verbs.write_changes = write_into_store;
    ((struct cache *)(void *)disk->backend)->verbs = &disk->verbs;
}

static void disk_release(struct disk *disk)
{
    shelf_close(disk->backend);
    os_current = disk->before;
    shelf_release(&disk->shelf);
}

static weir_error *put_rows(struct backend *backend, char letter)
{
    char key[16], value[1024];
    weir_error *error = NULL;
    memset(value, letter, sizeof(value));
    for (uint32_t i = 0; i < ROWS && error == NULL; i++) {
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        error = backend->backend_class->put(backend, &row, WEIR_STR(""),
            (weir_str){ .data = value, .size = sizeof(value) });
    }
    return error;
}

static void expect_rows(struct disk *disk, struct shelf_part *part, char letter)
{
    struct backend *backend = shelf_open(&disk->shelf, &backend_cache, shelf_all_groups(), part, 1);
    for (uint32_t i = 0; i < ROWS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%u", i);
        struct row_key row = shelf_row(0, key);
        weir_str value = shelf_get(backend, &row, WEIR_STR(""));
        assert_int_equal(value.size, 1024);
        assert_int_equal(value.data[0], letter);
        assert_int_equal(value.data[1023], letter);
    }
    shelf_close(backend);
}

/* Checkpoints with changes: what the store refuses is in the log. The last one's part is the caller's. */
static void checkpoints(struct disk *disk, uint32_t count, char letter, struct shelf_part *part)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            shelf_part_release(part);
        shelf_ok(put_rows(disk->backend, letter));
        shelf_snapshot(&disk->shelf, disk->backend, shelf_all_groups(), part);
    }
}

static void a_store_that_refuses_for_good_fails_the_task_and_no_checkpoint_is_lost(void **state)
{
    (void)state;
    struct disk disk;
    struct shelf_part part;
    disk_init(&disk);
    is_store_full = true;
    checkpoints(&disk, CACHE_FAILURES_MAX - 1, 'a', &part);
    shelf_part_release(&part);
    is_store_full = false; /* it passes: what was counted so far is forgotten */
    checkpoints(&disk, 1, 'b', &part);
    shelf_part_release(&part);
    is_store_full = true;
    checkpoints(&disk, CACHE_FAILURES_MAX, 'c', &part);
    shelf_fails(put_rows(disk.backend, 'd'), WEIR_E_DISK_FULL, "it must be opened anew");
    is_store_full = false;
    shelf_fails(put_rows(disk.backend, 'd'), WEIR_E_DISK_FULL, "it must be opened anew");
    expect_rows(&disk, &part, 'c');
    shelf_part_release(&part);
    disk_release(&disk);
}

/* Neither the log nor the store takes anything: what is changed waits in memory. True: the task is to fail. */
static bool fails_the_task(struct disk *disk)
{
    struct shelf_part part;
    weir_error *error = put_rows(disk->backend, 'b');
    if (error == NULL)
        error = shelf_try_snapshot(&disk->shelf, disk->backend, shelf_all_groups(), &part);
    bool is_retriable = weir_error_is_retriable(error);
    shelf_fails(error, WEIR_E_DISK_FULL, "cannot write a snapshot of keyed state");
    shelf_part_release(&part);
    return is_retriable;
}

static void a_full_disk_declines_checkpoints_until_there_is_room_or_the_task_has_to_fail(
    void **state)
{
    (void)state;
    struct disk disk;
    struct shelf_part part;
    disk_init(&disk);
    checkpoints(&disk, 1, 'a', &part);
    shelf_part_release(&part);
    is_store_full = is_log_full = true;
    assert_false(fails_the_task(&disk));
    assert_false(fails_the_task(&disk));
    is_store_full = is_log_full = false;
    checkpoints(&disk, 1, 'c', &part);
    is_store_full = is_log_full = true;
    uint32_t tries = 1;
    while (tries <= CACHE_FAILURES_MAX && !fails_the_task(&disk))
        tries++;
    assert_in_range(tries, 2, CACHE_FAILURES_MAX);
    is_store_full = is_log_full = false;
    expect_rows(&disk, &part, 'c');
    shelf_part_release(&part);
    disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_frozen_in_the_first_half_of_the_time_to_a_barrier),
        cmocka_unit_test(nothing_is_frozen_in_the_first_half_of_the_time_to_the_first_barrier),
        cmocka_unit_test(turns_rest_for_half_of_the_time_to_the_barrier),
        cmocka_unit_test(so_many_dirty_rows_are_frozen_at_any_time),
        cmocka_unit_test(rows_that_are_changed_all_the_time_are_not_many_dirty_rows),
        cmocka_unit_test(a_log_that_grows_goes_to_the_store_when_it_is_long),
        cmocka_unit_test(a_log_that_hardly_grows_any_more_goes_to_the_store),
        cmocka_unit_test(
            a_log_that_a_restore_has_replayed_goes_to_the_store_when_the_job_is_at_rest),
        cmocka_unit_test(a_log_is_not_longer_than_what_a_restore_has_memory_for),
        cmocka_unit_test(a_log_goes_to_the_store_before_rows_have_to_leave),
        cmocka_unit_test(a_store_that_refuses_for_good_fails_the_task_and_no_checkpoint_is_lost),
        cmocka_unit_test(
            a_full_disk_declines_checkpoints_until_there_is_room_or_the_task_has_to_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
