/* What only the RocksDB backend has: incremental snapshots, its directory, its own ways to fail. */
#include "state/rocksdb.h"

#include "base/os.h"
#include "state/cache.h"
#include "state/rocksdb_private.h"
#include "test/support/shelf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

static void fill_groups(struct backend *backend, struct group_range groups, int from, int to)
{
    char key[32];
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        struct row_key row = shelf_row(0, key);
        if (group_range_has(groups, row.group))
            shelf_put(backend, &row, str(""), str(key));
    }
}

static void fill(struct backend *backend, int from, int to)
{
    fill_groups(backend, shelf_all_groups(), from, to);
}

static uint32_t count_ssts(const struct shelf_part *part)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < part->file_count; i++)
        count += rocks_is_sst(part->files[i].name);
    return count;
}

static bool note_group(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    struct group_range *seen = arg;
    (void)entry, (void)value;
    seen->first = row->group < seen->first ? row->group : seen->first;
    seen->last = row->group > seen->last ? row->group : seen->last;
    return true;
}

/* Of everything that the store has; first UINT32_MAX: nothing. */
static struct group_range groups_in(struct backend *store)
{
    struct group_range seen = { .first = UINT32_MAX };
    struct backend_iterator *iterator = backend_rocksdb.iterator_new(store);
    bool is_over;
    shelf_ok(backend_rocksdb.iterator_give(iterator, note_group, &seen, &is_over));
    assert_true(is_over);
    backend_rocksdb.iterator_free(iterator);
    return seen;
}

/* Files of `now` that are also listed by `before`. */
static uint32_t count_common(const struct shelf_part *before, const struct shelf_part *now)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < now->file_count; i++)
        for (uint32_t j = 0; j < before->file_count; j++)
            count += strcmp(now->files[i].path, before->files[j].path) == 0 &&
                     strcmp(now->files[i].name, before->files[j].name) == 0;
    return count;
}

static void keys_keep_rows_together_and_in_order(void **state)
{
    (void)state;
    char bytes[ROCKS_KEY_HEADER];
    assert_ptr_equal(rocks_put_header(bytes, 0x1234, 0xfe, 0x01020304), bytes + 7);
    assert_memory_equal(bytes, "\x12\x34\xfe\x01\x02\x03\x04", 7);
    struct row_key row;
    weir_str entry;
    char key[] = "\x00\x05\x02\x00\x00\x00\x03keyENTRY";
    assert_true(rocks_parse_key(key, sizeof(key) - 1, &row, &entry));
    assert_int_equal(row.group, 5);
    assert_int_equal(row.state, 2);
    assert_true(weir_str_equal(row.key, str("key")));
    assert_true(weir_str_equal(entry, str("ENTRY")));
    assert_int_equal(row.hash, hash_bytes("key", 3));
    for (size_t size = 0; size < 10; size++)
        assert_false(rocks_parse_key(key, size, &row, &entry));
    assert_true(rocks_parse_key(key, 10, &row, &entry));
    assert_int_equal(entry.size, 0);
}

static void the_successor_is_behind_everything_with_the_prefix(void **state)
{
    (void)state;
    char plain[] = "abc", carry[] = "ab\xff\xff", group[] = "\x00\xff\xff";
    assert_int_equal(rocks_successor(plain, 3), 3);
    assert_memory_equal(plain, "abd", 3);
    assert_int_equal(rocks_successor(carry, 4), 2);
    assert_memory_equal(carry, "ac", 2);
    assert_int_equal(rocks_successor(group, 3), 1);
    assert_memory_equal(group, "\x01", 1);
}

static void a_snapshot_stores_only_new_files(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    struct shelf_part parts[4];
    for (int i = 0; i < 3; i++) {
        fill(backend, i * 1000, i * 1000 + 1000);
        shelf_snapshot(&shelf, backend, shelf_all_groups(), &parts[i]);
        assert_int_equal(count_ssts(&parts[i]), i + 1);
        if (i > 0)
            assert_int_equal(count_common(&parts[i - 1], &parts[i]) >= (uint32_t)i, 1);
    }
    uint32_t before = shelf_stored_count(&shelf);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &parts[3]); /* nothing has changed */
    assert_int_equal(count_ssts(&parts[3]), 3);
    assert_int_equal(count_common(&parts[2], &parts[3]) >= 3, 1);
    assert_true(shelf_stored_count(&shelf) - before <= 3); /* MANIFEST, CURRENT, OPTIONS at most */
    shelf_close(backend);
    for (int i = 0; i < 4; i++)
        shelf_part_release(&parts[i]);
    shelf_release(&shelf);
}

static void a_restore_in_place_stores_nothing_again(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    struct shelf_part first, second, third;
    fill(backend, 0, 1000);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &first);
    shelf_close(backend);
    shelf.attempt = 2;
    backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), &first, 1);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &second);
    assert_int_equal(count_common(&first, &second), 1); /* its one .sst */
    fill(backend, 2000, 2100);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &third);
    assert_int_equal(count_ssts(&third), 2);
    assert_true(count_common(&first, &third) == 1);
    shelf_close(backend);
    shelf_part_release(&first);
    shelf_part_release(&second);
    shelf_part_release(&third);
    shelf_release(&shelf);
}

/* A checkpoint that failed takes its files with it: the next one must not refer to them. */
static void stores_again_what_was_deleted(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    struct shelf_part failed, good;
    fill(backend, 0, 1000);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &failed);
    for (uint32_t i = 0; i < failed.file_count; i++) {
        char *path = shelf_path(&shelf, &failed.files[i]);
        shelf_ok(os_remove(path));
        mem_free(path);
    }
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &good);
    for (uint32_t i = 0; i < good.file_count; i++)
        shelf_ok(state_file_verify(shelf.root, &good.files[i]));
    shelf_close(backend);
    shelf_part_release(&failed);
    shelf_part_release(&good);
    shelf_release(&shelf);
}

static bool exists(const char *path)
{
    struct os_stat stat;
    shelf_ok(os_stat(path, &stat));
    return stat.exists;
}

/* RocksDB's own has dashes, and costs two syncs. */
static void a_restored_database_is_given_an_identity_of_its_own(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    char ids[2][64] = { "" };
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 10);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    shelf_close(backend);
    for (int i = 0; i < 2; i++) {
        char path[128], *bytes;
        size_t size;
        backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), &part, 1);
        snprintf(path, sizeof(path), "%s/work-%" PRIu64 "/db/IDENTITY", shelf.root, shelf.opened);
        shelf_ok(os_read_file(path, sizeof(ids[i]), &bytes, &size));
        assert_int_equal(size, 32);
        assert_int_equal(strspn(bytes, "0123456789abcdef"), 32);
        memcpy(ids[i], bytes, size);
        mem_free(bytes);
        shelf_close(backend);
    }
    assert_string_not_equal(ids[0], ids[1]);
    shelf_part_release(&part);
    shelf_release(&shelf);
}

static void closing_removes_its_directory(void **state)
{
    (void)state;
    struct shelf shelf;
    char path[128];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    snprintf(path, sizeof(path), "%s/work-1", shelf.root);
    assert_true(exists(path));
    struct shelf_part part;
    fill(backend, 0, 10);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    snprintf(path, sizeof(path), "%s/work-1/chk-1", shelf.root);
    assert_false(exists(path));
    shelf_close(backend);
    snprintf(path, sizeof(path), "%s/work-1", shelf.root);
    assert_false(exists(path));
    shelf_part_release(&part);
    shelf_release(&shelf);
}

static void rubbish_in_its_directory_is_removed(void **state)
{
    (void)state;
    struct shelf shelf;
    char path[128];
    shelf_init(&shelf);
    snprintf(path, sizeof(path), "%s/work-1/db", shelf.root);
    shelf_ok(os_make_dirs(path));
    snprintf(path, sizeof(path), "%s/work-1/db/CURRENT", shelf.root);
    shelf_ok(os_write_file(path, "rubbish", 7));
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 10);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* Each file of a list left out in turn: an error, never an empty or a smaller database. */
static void a_list_with_a_file_left_out_is_refused(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 500);
    struct shelf_part part;
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    shelf_close(backend);
    for (uint32_t left_out = 0; left_out < part.file_count; left_out++) {
        struct state_file files[16];
        struct shelf_part less = { .groups = part.groups, .files = files };
        assert_true(part.file_count <= 16);
        for (uint32_t i = 0; i < part.file_count; i++)
            if (i != left_out)
                files[less.file_count++] = part.files[i];
        const char *name = part.files[left_out].name;
        bool is_needed =
            rocks_is_sst(name) || strncmp(name, "MANIFEST", 8) == 0 || strcmp(name, "CURRENT") == 0;
        struct group_range half = { .first = 0, .last = 7 };
        weir_error *whole = shelf_try_open(&shelf, &backend_rocksdb, part.groups, &less, 1);
        weir_error *some = shelf_try_open(&shelf, &backend_rocksdb, half, &less, 1);
        assert_int_equal(whole != NULL, is_needed);
        assert_int_equal(some != NULL, is_needed);
        weir_error_free(whole);
        weir_error_free(some);
    }
    shelf_part_release(&part);
    shelf_release(&shelf);
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    struct shelf_part part;
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part);
    const char *bad[] = { "../CURRENT", "", ".", "..", "/tmp/x", "a/b" };
    for (size_t i = 0; i < 6; i++) {
        part.files[0].name = bad[i];
        shelf_fails(shelf_try_open(&shelf, &backend_rocksdb, part.groups, &part, 1), WEIR_E_CORRUPT,
            "no name of a database's file");
    }
    shelf_close(backend);
    shelf_part_release(&part);
    shelf_release(&shelf);
}

/* The library's own writes fail: no file may grow past a limit. */
static void a_full_disk_fails_the_barrier(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 20000);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small = (struct rlimit){ .rlim_cur = 64 << 10, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct shelf_part part;
    weir_error *error = shelf_try_snapshot(&shelf, backend, shelf_all_groups(), &part);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    shelf_fails(error, WEIR_E_IO, "cannot freeze the state in");
    shelf_close(backend);
    shelf_part_release(&part);
    shelf_release(&shelf);
}

static void a_file_in_place_of_its_directory_is_an_error(void **state)
{
    (void)state;
    struct shelf shelf;
    char path[128];
    shelf_init(&shelf);
    snprintf(path, sizeof(path), "%s/file", shelf.root);
    shelf_ok(os_write_file(path, "x", 1));
    snprintf(path, sizeof(path), "%s/file/work", shelf.root);
    struct backend_options options = shelf_options(&shelf, shelf_all_groups());
    options.directory = path;
    struct backend *backend;
    weir_error *error = backend_rocksdb.open(&options, NULL, 0, &backend);
    assert_non_null(error);
    assert_null(backend);
    weir_error_free(error);
    shelf_release(&shelf);
}

static weir_str expiring(int64_t expires_ms, char bytes[8])
{
    memcpy(bytes, &expires_ms, 8);
    return (weir_str){ .data = bytes, .size = 8 };
}

/* Compaction drops what has expired, and leaves alone what has not and what has no expiry. */
static void compaction_forgets_what_has_expired(void **state)
{
    (void)state;
    struct shelf shelf;
    char key[32], bytes[8];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        for (uint32_t number = 0; number < 3; number++) {
            struct row_key row = shelf_row(number, key);
            shelf_put(backend, &row, str(""), expiring(i, bytes));
        }
    }
    struct backend_expiry expiry = { .processing_states = 1,
        .event_states = 2,
        .now_ms = 300,
        .watermark_ms = 600 };
    backend_rocksdb.expire(backend, &expiry);
    rocksdb_compact_range(((struct rocks *)(void *)backend)->db, NULL, 0, NULL, 0);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key), c = shelf_row(2, key);
        assert_int_equal(shelf_get(backend, &a, str("")).data != NULL, i >= 300);
        assert_int_equal(shelf_get(backend, &b, str("")).data != NULL, i >= 600);
        assert_non_null(shelf_get(backend, &c, str("")).data);
    }
    assert_int_equal(backend_rocksdb.expired(backend), 300 + 600);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* What a cache has handed down is dropped and counted below it. */
static void a_cache_counts_what_its_store_has_forgotten(void **state)
{
    enum { COUNT = 3000 };
    (void)state;
    struct shelf shelf;
    struct shelf_part part;
    char key[32], bytes[8];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    struct backend *store = ((struct cache *)(void *)backend)->store;
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key);
        shelf_put(backend, &a, str(""), expiring(i, bytes));
        shelf_put(backend, &b, str(""), expiring(i, bytes));
    }
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &part); /* large enough to be settled */
    assert_int_equal(backend_cache.expired(backend), 0);
    struct backend_expiry expiry = { .processing_states = 1,
        .event_states = 2,
        .now_ms = 1000,
        .watermark_ms = 500 };
    backend_cache.expire(backend, &expiry);
    rocksdb_compact_range(((struct rocks *)(void *)store)->db, NULL, 0, NULL, 0);
    assert_int_equal(backend_cache.expired(backend), 1000 + 500);
    shelf_close(backend);
    shelf_part_release(&part);
    shelf_release(&shelf);
}

/* A key of its own for each number: some short ones, most with so much in common that its start does not tell them
 * apart, some longer than a byte can say. */
static struct row_key odd_key(uint32_t number, char bytes[400])
{
    static const uint32_t shared[] = { 0, 3, 11, 19, 40, 300 };
    uint32_t size = shared[number % 6];
    memset(bytes, 'k', size);
    int digits = snprintf(bytes + size, 16, "%u", number);
    memset(bytes + size + digits, number % 5 == 0 ? 0xff : 0, number % 3);
    weir_str key = { .data = bytes, .size = size + (uint32_t)digits + number % 3 };
    return shelf_row_bytes(number % 2, key);
}

/* A sorted file refuses a key out of order. Each list has other rows, in another order; the last one wins. */
static void changes_are_written_in_the_order_of_keys(void **state)
{
    enum { COUNT = 3000, LISTS = 3 };
    (void)state;
    struct shelf shelf;
    struct changes changes[LISTS] = { 0 };
    const struct changes *lists[LISTS] = { &changes[0], &changes[1], &changes[2] };
    char bytes[400];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    for (uint32_t i = 0; i < LISTS * COUNT; i++) {
        uint32_t list = i / COUNT, number = (uint32_t)((uint64_t)i * 1237 % COUNT);
        if (number % (list + 1) != 0)
            continue;
        struct row_key row = odd_key(number, bytes);
        changes_begin(&changes[list], &row, false);
        changes_add(&changes[list], WEIR_STR(""), (weir_str){ .data = "012" + list, .size = 1 });
        changes_end(&changes[list]);
    }
    shelf_ok(backend_rocksdb.write_changes(backend, lists, LISTS));
    for (uint32_t i = 0; i < COUNT; i++) {
        struct row_key row = odd_key(i, bytes);
        shelf_expect(backend, &row, "", i % 3 == 0 ? "2" : i % 2 == 0 ? "1" : "0");
    }
    for (uint32_t i = 0; i < LISTS; i++)
        changes_release(&changes[i]);
    shelf_close(backend);
    shelf_release(&shelf);
}

/* What only segments have is in the table after a restore, not in the store, and in the next checkpoint. */
static void segments_are_restored_into_the_cache(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part parts[2];
    struct row_key gone = shelf_row(0, "key-7");
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 50);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &parts[0]); /* too little to be settled */
    shelf_close(backend);
    for (int round = 0; round < 2; round++) {
        backend = shelf_open(&shelf, &backend_cache, shelf_all_groups(), &parts[round], 1);
        struct cache *cache = (struct cache *)(void *)backend;
        assert_int_equal(cache->rows.row_count, 50);
        assert_int_equal(groups_in(cache->store).first, UINT32_MAX);
        if (round == 0)
            shelf_remove(backend, &gone, str(""));
        shelf_expect_none(backend, &gone, "");
        struct row_key row = shelf_row(0, "key-8");
        shelf_expect(backend, &row, "", "key-8");
        if (round == 0)
            shelf_snapshot(&shelf, backend, shelf_all_groups(), &parts[1]);
        shelf_close(backend);
    }
    shelf_part_release(&parts[0]);
    shelf_part_release(&parts[1]);
    shelf_release(&shelf);
}

/* A key that is none of ours is found by whoever goes over all keys: a scan, and a restore that copies. */
static void a_foreign_key_is_corrupt(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part parts[2];
    shelf_init(&shelf);
    struct group_range lower = { .first = 0, .last = 7 }, upper = { .first = 8, .last = 15 };
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, lower, NULL, 0);
    fill_groups(backend, lower, 0, 500); /* more than the other one has: that is copied */
    shelf_snapshot(&shelf, backend, lower, &parts[0]);
    shelf_close(backend);
    backend = shelf_open(&shelf, &backend_rocksdb, upper, NULL, 0);
    struct rocks *rocks = (struct rocks *)(void *)backend;
    char *message = NULL;
    rocksdb_put(rocks->db, rocks->write, "\0\x9\0x", 4, "v", 1, &message);
    assert_null(message);
    weir_error *error = backend_rocksdb.scan(backend, 0, NULL, NULL);
    shelf_fails(error, WEIR_E_CORRUPT, "a key of 4 bytes");
    shelf_snapshot(&shelf, backend, upper, &parts[1]);
    shelf_close(backend);
    shelf_fails(shelf_try_open(&shelf, &backend_rocksdb, shelf_all_groups(), parts, 2),
        WEIR_E_CORRUPT, "a key of 4 bytes that is none of ours");
    shelf_part_release(&parts[0]);
    shelf_part_release(&parts[1]);
    shelf_release(&shelf);
}

/* -- another parallelism ---------------------------------------------------------------------- */

/* Each half opens all files in place, stores none of them again, and has nothing of the other half. */
static void a_larger_parallelism_cuts_and_copies_nothing(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part whole, part;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 1000);
    rocksdb_compact_range(((struct rocks *)(void *)backend)->db, NULL, 0, NULL, 0);
    fill(backend, 1000, 1100);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &whole);
    shelf_close(backend);
    for (uint32_t i = 0; i < 3; i++) {
        struct group_range groups = key_group_range(i, 3, SHELF_MAX_PARALLELISM);
        backend = shelf_open(&shelf, &backend_rocksdb, groups, &whole, 1);
        struct group_range seen = groups_in(backend);
        assert_int_equal(seen.first, groups.first);
        assert_int_equal(seen.last, groups.last);
        shelf_snapshot(&shelf, backend, groups, &part);
        uint32_t tombstones = count_ssts(&part) - count_ssts(&whole);
        assert_int_equal(tombstones, 1);
        assert_true(count_common(&whole, &part) >= count_ssts(&whole));
        shelf_close(backend);
        shelf_part_release(&part);
    }
    shelf_part_release(&whole);
    shelf_release(&shelf);
}

/* What a file has of others only is not even kept. */
static void files_of_other_groups_are_dropped(void **state)
{
    (void)state;
    struct shelf shelf;
    struct shelf_part parts[2], whole, half;
    shelf_init(&shelf);
    for (uint32_t i = 0; i < 2; i++) {
        struct group_range groups = key_group_range(i, 2, SHELF_MAX_PARALLELISM);
        struct backend *backend = shelf_open(&shelf, &backend_rocksdb, groups, NULL, 0);
        fill_groups(backend, groups, 0, 500);
        rocksdb_compact_range(((struct rocks *)(void *)backend)->db, NULL, 0, NULL, 0);
        shelf_snapshot(&shelf, backend, groups, &parts[i]);
        shelf_close(backend);
    }
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), parts, 2);
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &whole);
    shelf_close(backend);
    backend = shelf_open(&shelf, &backend_rocksdb, parts[0].groups, &whole, 1);
    shelf_snapshot(&shelf, backend, parts[0].groups, &half);
    shelf_close(backend);
    assert_true(count_ssts(&whole) >= 2);
    assert_true(count_common(&whole, &half) < count_ssts(&whole));
    shelf_part_release(&parts[0]);
    shelf_part_release(&parts[1]);
    shelf_part_release(&whole);
    shelf_part_release(&half);
    shelf_release(&shelf);
}

/* Restored files are cut between groups, and within one that is very large. */
static void rescaling_cuts_large_state_into_files(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    size_t size = 1 << 20;
    char *bytes = mem_alloc(size), entry[16];
    struct row_key row = shelf_row(0, "a"), other = shelf_row(0, "b");
    assert_int_not_equal(row.group, other.group);
    for (uint64_t i = 0; i < 110; i++) {
        for (size_t at = 0; at < size; at += 8) { /* nothing that could be compressed */
            uint64_t word = hash_mix(i << 32 | at);
            memcpy(bytes + at, &word, 8);
        }
        snprintf(entry, sizeof(entry), "%03d", (int)i);
        shelf_put(backend, i < 40 ? &row : &other, str(entry),
            (weir_str){ .data = bytes, .size = size });
    }
    struct shelf_part whole, parts[2];
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &whole);
    shelf_close(backend);
    uint32_t found = 0;
    for (uint32_t i = 0; i < 2; i++) {
        struct group_range groups = key_group_range(i, 2, SHELF_MAX_PARALLELISM);
        backend = shelf_open(&shelf, &backend_rocksdb, groups, &whole, 1);
        shelf_snapshot(&shelf, backend, groups, &parts[i]);
        shelf_close(backend);
    }
    shelf_part_release(&whole);
    backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), parts, 2);
    for (uint32_t n = 0; n < 110; n++) {
        const struct row_key *at = n < 40 ? &row : &other;
        snprintf(entry, sizeof(entry), "%03d", (int)n);
        found += shelf_get(backend, at, str(entry)).size == size;
    }
    shelf_snapshot(&shelf, backend, shelf_all_groups(), &whole);
    shelf_close(backend);
    assert_int_equal(found, 110);
    assert_true(count_ssts(&whole) >= 3);
    mem_free(bytes);
    shelf_part_release(&whole);
    shelf_part_release(&parts[0]);
    shelf_part_release(&parts[1]);
    shelf_release(&shelf);
}

static void the_cache_may_be_resized_at_any_time(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    rocksdb_set_cache_size(1 << 20);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    fill(backend, 0, 1000);
    rocksdb_set_cache_size(ROCKSDB_CACHE_SIZE_DEFAULT);
    struct row_key row = shelf_row(0, "key-7");
    shelf_expect(backend, &row, "", "key-7");
    shelf_close(backend);
    shelf_release(&shelf);
}

static void expect_row(struct backend *backend, const char *expected)
{
    struct row_key row = shelf_row(0, "key");
    char *text = shelf_row_text(backend, &row, "");
    assert_string_equal(text, expected);
    mem_free(text);
}

static void add_row(struct changes *changes, const char *key, const char *entry, const char *value)
{
    struct row_key row = shelf_row(0, key);
    changes_begin(changes, &row, false);
    changes_add(changes, weir_str_of(entry), weir_str_of(value));
    changes_end(changes);
}

/* An entry of the row, and so many other rows. */
static void write_changes(struct backend *backend, const char *entry, uint32_t others)
{
    char key[24];
    struct changes changes = { 0 };
    const struct changes *list = &changes;
    add_row(&changes, "key", entry, "new");
    for (uint32_t i = 0; i < others; i++) {
        snprintf(key, sizeof(key), "other-%u", i);
        add_row(&changes, key, "", "value");
    }
    shelf_ok(backend_rocksdb.write_changes(backend, &list, 1));
    changes_release(&changes);
}

/* One iterator is kept from row to row, which sees nothing that was written since it was made. */
static void all_of_a_row_is_seen_that_was_written_before(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    struct row_key row = shelf_row(0, "key"), behind = shelf_row(0, "key2");
    shelf_put(backend, &behind, WEIR_STR("z"), WEIR_STR("of another row"));
    expect_row(backend, "");
    shelf_put(backend, &row, WEIR_STR("a"), WEIR_STR("1"));
    shelf_put(backend, &row, WEIR_STR("b"), WEIR_STR("1"));
    expect_row(backend, "a=1 b=1");
    shelf_put(backend, &row, WEIR_STR("a"), WEIR_STR("2"));
    expect_row(backend, "a=2 b=1");
    shelf_remove(backend, &row, WEIR_STR("b"));
    expect_row(backend, "a=2");
    write_changes(backend, "c", 0);
    expect_row(backend, "a=2 c=new");
    write_changes(backend, "d", 20000); /* sorted, in a file */
    expect_row(backend, "a=2 c=new d=new");
    shelf_clear(backend, &row);
    expect_row(backend, "");
    shelf_close(backend);
    shelf_release(&shelf);
}

static void an_iterator_is_kept_until_the_batch_is_over(void **state)
{
    (void)state;
    struct shelf shelf;
    struct backend_expiry now = { .now_ms = 1000 };
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    const struct rocks *rocks = (struct rocks *)(void *)backend;
    write_changes(backend, "a", 0);
    expect_row(backend, "a=new");
    const rocksdb_iterator_t *kept = rocks->kept;
    assert_non_null(kept);
    expect_row(backend, "a=new");
    assert_ptr_equal(rocks->kept, kept);
    backend_rocksdb.expire(backend, &now);
    assert_null(rocks->kept);
    expect_row(backend, "a=new");
    shelf_close(backend);
    shelf_release(&shelf);
}

static void a_write_under_way_ends_when_writing_is_stopped(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, &backend_rocksdb, shelf_all_groups(), NULL, 0);
    struct changes changes = { 0 };
    const struct changes *list = &changes;
    struct row_key row = shelf_row(0, "key");
    add_row(&changes, "key", "", "value");
    backend_rocksdb.stop_writing(backend);
    weir_error *error = backend_rocksdb.write_changes(backend, &list, 1);
    assert_int_equal(weir_error_code(error), WEIR_E_CANCELLED);
    weir_error_free(error);
    assert_null(shelf_get(backend, &row, str("")).data);
    changes_release(&changes);
    shelf_close(backend);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_under_way_ends_when_writing_is_stopped),
        cmocka_unit_test(all_of_a_row_is_seen_that_was_written_before),
        cmocka_unit_test(an_iterator_is_kept_until_the_batch_is_over),
        cmocka_unit_test(keys_keep_rows_together_and_in_order),
        cmocka_unit_test(the_successor_is_behind_everything_with_the_prefix),
        cmocka_unit_test(a_snapshot_stores_only_new_files),
        cmocka_unit_test(a_restore_in_place_stores_nothing_again),
        cmocka_unit_test(stores_again_what_was_deleted),
        cmocka_unit_test(a_restored_database_is_given_an_identity_of_its_own),
        cmocka_unit_test(closing_removes_its_directory),
        cmocka_unit_test(rubbish_in_its_directory_is_removed),
        cmocka_unit_test(a_list_with_a_file_left_out_is_refused),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(a_full_disk_fails_the_barrier),
        cmocka_unit_test(a_file_in_place_of_its_directory_is_an_error),
        cmocka_unit_test(compaction_forgets_what_has_expired),
        cmocka_unit_test(a_cache_counts_what_its_store_has_forgotten),
        cmocka_unit_test(changes_are_written_in_the_order_of_keys),
        cmocka_unit_test(segments_are_restored_into_the_cache),
        cmocka_unit_test(a_foreign_key_is_corrupt),
        cmocka_unit_test(a_larger_parallelism_cuts_and_copies_nothing),
        cmocka_unit_test(files_of_other_groups_are_dropped),
        cmocka_unit_test(rescaling_cuts_large_state_into_files),
        cmocka_unit_test(the_cache_may_be_resized_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
