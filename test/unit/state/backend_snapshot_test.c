/* Every backend can be frozen, stored, restored and rescaled, and says so when it cannot. */
#include "base/os.h"
#include "test/support/shelf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

/* -- snapshots ------------------------------------------------------------------------------ */

static void fill(struct backend *backend, struct group_range groups, int from, int to)
{
    char key[32], value[32];
    for (int i = from; i < to; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        snprintf(value, sizeof(value), "value-%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key);
        if (!group_range_has(groups, a.group))
            continue;
        shelf_put(backend, &a, str(""), str(value));
        shelf_put(backend, &b, str(value), str(key));
        shelf_put(backend, &b, str("other"), str("x"));
    }
}

/* What states 0 and 1 hold, as one text. */
static char *contents(struct backend *backend)
{
    char *a = shelf_dump(backend, 0), *b = shelf_dump(backend, 1);
    char *text = mem_printf("%s--\n%s", a, b);
    mem_free(a);
    mem_free(b);
    return text;
}

static void expect_contents(struct backend *backend, const char *expected)
{
    char *text = contents(backend);
    if (strcmp(text, expected) != 0)
        fail_msg("contents differ: %zu bytes instead of %zu", strlen(text), strlen(expected));
    mem_free(text);
}

static void an_empty_snapshot_restores_empty(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    shelf_restart(&it);
    expect_contents(it.backend, "--\n");
    shelf_restart(&it);
    expect_contents(it.backend, "--\n");
    shelf_end(&it);
}

static void restores_what_was_there(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    for (int round = 0; round < 4; round++) {
        fill(it.backend, shelf_all_groups(), round * 300, round * 300 + 500);
        char *expected = contents(it.backend);
        shelf_restart(&it);
        expect_contents(it.backend, expected);
        mem_free(expected);
    }
    shelf_end(&it);
}

static void a_snapshot_is_frozen_at_its_barrier(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 500);
    char *expected = contents(it.backend);
    struct backend_snapshot *snapshot;
    shelf_ok(it.verbs->snapshot(it.backend, 1, &snapshot));
    struct row_key row = shelf_row(0, "key-3"), gone = shelf_row(1, "key-4");
    shelf_put(it.backend, &row, str(""), str("later"));
    shelf_clear(it.backend, &gone);
    fill(it.backend, shelf_all_groups(), 500, 900);
    struct shelf_part part = { .groups = shelf_all_groups() };
    arena_init(&part.arena, 4096, 64 << 20);
    shelf_ok(it.verbs->snapshot_write(snapshot, &part.arena, &part.files, &part.file_count));
    it.verbs->snapshot_free(snapshot);
    shelf_expect(it.backend, &row, "", "later");
    shelf_close(it.backend);
    it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
    expect_contents(it.backend, expected);
    mem_free(expected);
    shelf_part_release(&part);
    shelf_end(&it);
}

static void a_snapshot_may_be_thrown_away(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 50);
    char *expected = contents(it.backend);
    struct backend_snapshot *snapshot;
    shelf_ok(it.verbs->snapshot(it.backend, 1, &snapshot));
    it.verbs->snapshot_free(snapshot);
    expect_contents(it.backend, expected);
    shelf_restart(&it);
    expect_contents(it.backend, expected);
    mem_free(expected);
    shelf_end(&it);
}

/* Older checkpoints stay good while newer ones are made. */
static void every_retained_checkpoint_can_be_restored(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct shelf_part parts[4];
    char *expected[4];
    for (int i = 0; i < 4; i++) {
        fill(it.backend, shelf_all_groups(), i * 400, i * 400 + 600);
        expected[i] = contents(it.backend);
        shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[i]);
    }
    shelf_close(it.backend);
    for (int i = 0; i < 4; i++) {
        it.shelf.attempt++;
        it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), &parts[i], 1);
        expect_contents(it.backend, expected[i]);
        fill(it.backend, shelf_all_groups(), 5000, 5100); /* must not touch stored files */
        struct shelf_part more;
        shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &more);
        shelf_part_release(&more);
        shelf_close(it.backend);
    }
    it.backend = NULL;
    for (int i = 0; i < 4; i++) {
        mem_free(expected[i]);
        shelf_part_release(&parts[i]);
    }
    shelf_end(&it);
}

/* Opens `count` backends over all groups from parts, snapshots and closes them; parts become theirs. */
static void rescale(struct shelf_fixture *it, struct shelf_part *parts, uint32_t *part_count,
    uint32_t count, const char *expected)
{
    struct shelf_part next[SHELF_MAX_PARALLELISM];
    char *whole[2] = { mem_strdup(""), mem_strdup("") };
    for (uint32_t i = 0; i < count; i++) {
        struct group_range groups = key_group_range(i, count, SHELF_MAX_PARALLELISM);
        struct backend *backend = shelf_open(&it->shelf, it->verbs, groups, parts, *part_count);
        for (uint32_t number = 0; number < 2; number++) {
            char *text = shelf_dump(backend, number);
            char *both = mem_printf("%s%s", whole[number], text);
            mem_free(text);
            mem_free(whole[number]);
            whole[number] = both;
        }
        shelf_snapshot(&it->shelf, backend, groups, &next[i]);
        shelf_close(backend);
    }
    for (uint32_t i = 0; i < *part_count; i++)
        shelf_part_release(&parts[i]);
    for (uint32_t i = 0; i < count; i++) /* in no particular order */
        parts[i] = next[count - 1 - i];
    *part_count = count;
    assert_int_equal(strlen(whole[0]) + 3 + strlen(whole[1]), strlen(expected));
    mem_free(whole[0]);
    mem_free(whole[1]);
}

static void moves_key_groups_between_subtasks(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 2000);
    char *expected = contents(it.backend);
    struct shelf_part parts[SHELF_MAX_PARALLELISM];
    uint32_t part_count = 1;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[0]);
    shelf_close(it.backend);
    const uint32_t parallelisms[] = { 2, 3, 1, 16, 5, 1 };
    for (size_t i = 0; i < sizeof(parallelisms) / sizeof(parallelisms[0]); i++) {
        it.shelf.attempt++;
        rescale(&it, parts, &part_count, parallelisms[i], expected);
    }
    it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), parts, part_count);
    expect_contents(it.backend, expected);
    shelf_part_release(&parts[0]);
    mem_free(expected);
    shelf_end(&it);
}

/* -- trouble -------------------------------------------------------------------------------- */

static void refuses_sources_that_do_not_cover_its_groups(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct shelf_part parts[2];
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[0]);
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &parts[1]);
    shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), parts, 2), WEIR_E_STATE,
        "key group 0 is in more than one");
    parts[0].groups.last = 4;
    parts[1].groups.first = 6;
    shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), parts, 2), WEIR_E_STATE,
        "key group 5 is in none");
    shelf_part_release(&parts[0]);
    shelf_part_release(&parts[1]);
    shelf_end(&it);
}

static void refuses_the_files_of_another_backend(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    const struct backend_class *other =
        it.verbs == &backend_hashmap ? &backend_rocksdb : &backend_hashmap;
    fill(it.backend, shelf_all_groups(), 0, 10);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    weir_error *error = shelf_try_open(&it.shelf, other, shelf_all_groups(), &part, 1);
    assert_non_null(error);
    weir_error_free(error);
    shelf_part_release(&part);
    shelf_end(&it);
}

enum damage { FLIP_FIRST, FLIP_MIDDLE, FLIP_LAST, TRUNCATE, APPEND, REMOVE, DAMAGE_COUNT };

static void inflict(enum damage damage, const char *path)
{
    char *bytes;
    size_t size;
    if (damage == REMOVE) {
        shelf_ok(os_remove(path));
        return;
    }
    shelf_ok(os_read_file(path, 64 << 20, &bytes, &size));
    assert_true(size > 0);
    if (damage == FLIP_FIRST || damage == FLIP_MIDDLE || damage == FLIP_LAST)
        bytes[damage == FLIP_FIRST ? 0 : damage == FLIP_MIDDLE ? size / 2 : size - 1] ^= 1;
    /* a new inode: the old one may be linked to other places */
    shelf_ok(os_write_file(path, bytes,
        damage == TRUNCATE ? size - 1
        : damage == APPEND ? size + 1
                           : size));
    mem_free(bytes);
}

static void names_the_damaged_file(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 300);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    struct group_range half = { .first = 0, .last = 7 };
    for (uint32_t i = 0; i < part.file_count; i++) {
        char *path = shelf_path(&it.shelf, &part.files[i]);
        char *bytes;
        size_t size;
        shelf_ok(os_read_file(path, 64 << 20, &bytes, &size));
        for (int damage = 0; damage < DAMAGE_COUNT && size > 0; damage++) {
            inflict((enum damage)damage, path);
            shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1),
                WEIR_E_CORRUPT, part.files[i].path);
            shelf_fails(shelf_try_open(&it.shelf, it.verbs, half, &part, 1), WEIR_E_CORRUPT,
                part.files[i].path);
            shelf_ok(os_write_file(path, bytes, size));
        }
        mem_free(bytes);
        mem_free(path);
    }
    shelf_close(it.backend);
    it.backend = shelf_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
    struct row_key row = shelf_row(0, "key-299");
    shelf_expect(it.backend, &row, "", "value-299");
    shelf_part_release(&part);
    shelf_end(&it);
}

static void a_list_without_files_is_corrupt(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct shelf_part part = { .groups = shelf_all_groups() };
    weir_error *error = shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
    assert_non_null(error);
    weir_error_free(error);
    shelf_end(&it);
}

static void a_list_must_not_lead_out_of_the_directory(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    const char *path = part.files[0].path;
    const char *bad[] = { "/etc/passwd", "../x", "shared/../../x", "..", "shared/..", "" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        part.files[0].path = bad[i];
        shelf_fails(shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1),
            WEIR_E_CORRUPT, "no path inside");
    }
    part.files[0].path = path;
    shelf_part_release(&part);
    shelf_end(&it);
}

/* -- failing disks --------------------------------------------------------------------------- */

/* The n-th call of the table from now on fails with this errno value; 0: none. */
static struct {
    uint32_t countdown;
    int error;
} fault;

static int faulty(void)
{
    return fault.countdown > 0 && --fault.countdown == 0 ? fault.error : 0;
}

static int faulty_open(const char *path, enum os_open_mode mode, void **handle)
{
    int error = faulty();
    return error != 0 ? error : os_linux.open(path, mode, handle);
}
static int faulty_read_at(void *handle, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    int error = faulty();
    return error != 0 ? error : os_linux.read_at(handle, offset, bytes, size, got);
}
static int faulty_write(void *handle, const void *bytes, size_t size, size_t *written)
{
    int error = faulty();
    return error != 0 ? error : os_linux.write(handle, bytes, size, written);
}
static int faulty_sync(void *handle)
{
    int error = faulty();
    return error != 0 ? error : os_linux.sync(handle);
}
static int faulty_sync_dir(const char *path)
{
    int error = faulty();
    return error != 0 ? error : os_linux.sync_dir(path);
}
static int faulty_rename(const char *from, const char *to)
{
    int error = faulty();
    return error != 0 ? error : os_linux.rename(from, to);
}
static int faulty_stat(const char *path, struct os_stat *stat)
{
    int error = faulty();
    return error != 0 ? error : os_linux.stat(path, stat);
}
static int faulty_list(const char *path, char ***names, uint32_t *count)
{
    int error = faulty();
    return error != 0 ? error : os_linux.list(path, names, count);
}
static int no_links(const char *from, const char *to)
{
    (void)from;
    (void)to;
    return EXDEV;
}

static struct os faulty_os(void)
{
    struct os os = os_linux;
    os.open = faulty_open;
    os.read_at = faulty_read_at;
    os.write = faulty_write;
    os.sync = faulty_sync;
    os.sync_dir = faulty_sync_dir;
    os.rename = faulty_rename;
    os.stat = faulty_stat;
    os.list = faulty_list;
    return os;
}

/* Whatever call fails while a snapshot is written, it is an error, and the next snapshot is good. */
static void a_failing_disk_fails_the_snapshot_only(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct os os = faulty_os();
    uint32_t failures = 0;
    for (uint32_t nth = 1;; nth++) {
        fill(it.backend, shelf_all_groups(), (int)nth * 20, (int)nth * 20 + 20);
        struct shelf_part part;
        fault.countdown = nth;
        fault.error = nth % 2 == 0 ? ENOSPC : EIO;
        os_current = &os;
        weir_error *error = shelf_try_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
        os_current = &os_linux;
        bool is_over = fault.countdown > 0;
        fault.countdown = 0;
        if (error != NULL) {
            failures++;
            enum weir_code code = weir_error_code(error);
            assert_true(code == WEIR_E_IO || code == WEIR_E_DISK_FULL);
        }
        weir_error_free(error);
        shelf_part_release(&part);
        if (is_over)
            break;
    }
    assert_true(failures >= 5);
    char *expected = contents(it.backend);
    shelf_restart(&it);
    expect_contents(it.backend, expected);
    mem_free(expected);
    shelf_end(&it);
}

static void a_failing_disk_fails_the_restore(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    fill(it.backend, shelf_all_groups(), 0, 100);
    struct shelf_part part;
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    struct os os = faulty_os();
    uint32_t failures = 0;
    for (uint32_t nth = 1;; nth++) {
        fault.countdown = nth;
        fault.error = EIO;
        os_current = &os;
        weir_error *error = shelf_try_open(&it.shelf, it.verbs, shelf_all_groups(), &part, 1);
        os_current = &os_linux;
        bool is_over = fault.countdown > 0;
        fault.countdown = 0;
        failures += error != NULL;
        weir_error_free(error);
        if (is_over)
            break;
    }
    assert_true(failures >= 3);
    shelf_part_release(&part);
    shelf_end(&it);
}

static void copies_when_it_cannot_link(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    struct os os = os_linux;
    os.link = no_links;
    os_current = &os;
    fill(it.backend, shelf_all_groups(), 0, 500);
    char *expected = contents(it.backend);
    shelf_restart(&it);
    expect_contents(it.backend, expected);
    os_current = &os_linux;
    mem_free(expected);
    shelf_end(&it);
}

static void sources_are_verified_before_they_are_opened(void **state)
{
    struct shelf_fixture it;
    struct shelf_part part;
    struct arena arena;
    shelf_begin(&it, state);
    arena_init(&arena, 1024, 1 << 20);
    fill(it.backend, shelf_all_groups(), 0, 100);
    shelf_snapshot(&it.shelf, it.backend, shelf_all_groups(), &part);
    struct backend_options options = shelf_options(&it.shelf, shelf_all_groups());
    struct backend_source source = { .groups = part.groups,
        .files = part.files,
        .file_count = part.file_count };
    shelf_ok(backend_verify_sources(&options, &source, 1, &arena));
    assert_int_equal(source.file_count, part.file_count);
    for (uint32_t i = 0; i < part.file_count; i++) {
        assert_true(source.files[i].is_verified);
        assert_false(part.files[i].is_verified); /* others look at the same list */
    }
    char *path = shelf_path(&it.shelf, &part.files[0]);
    shelf_ok(os_write_file(path, "x", 1));
    source.files = part.files;
    shelf_fails(backend_verify_sources(&options, &source, 1, &arena), WEIR_E_CORRUPT,
        "cannot restore keyed state");
    shelf_ok(backend_verify_sources(&options, NULL, 0, &arena));
    mem_free(path);
    arena_release(&arena);
    shelf_part_release(&part);
    shelf_end(&it);
}

/* -- expiry --------------------------------------------------------------------------------- */

static weir_str expiring(int64_t expires_ms, char bytes[9])
{
    memcpy(bytes, &expires_ms, 8);
    bytes[8] = 'v';
    return (weir_str){ .data = bytes, .size = 9 };
}

/* Drops nothing too early, whatever it drops. */
static void expiry_leaves_what_may_still_be_read(void **state)
{
    struct shelf_fixture it;
    shelf_begin(&it, state);
    char key[32], bytes[9];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key), c = shelf_row(2, key);
        shelf_put(it.backend, &a, str(""), expiring(i, bytes));
        shelf_put(it.backend, &b, str("x"), expiring(i, bytes));
        shelf_put(it.backend, &c, str(""), expiring(i, bytes));
    }
    struct backend_expiry expiry = { .processing_states = 1,
        .event_states = 2,
        .now_ms = 1000,
        .watermark_ms = 2000 };
    for (int i = 0; i < 3000; i++)
        it.verbs->expire(it.backend, &expiry);
    shelf_restart(&it);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        struct row_key a = shelf_row(0, key), b = shelf_row(1, key), c = shelf_row(2, key);
        if (i >= 1000)
            assert_non_null(shelf_get(it.backend, &a, str("")).data);
        if (i >= 2000)
            assert_non_null(shelf_get(it.backend, &b, str("x")).data);
        assert_non_null(shelf_get(it.backend, &c, str("")).data);
    }
    shelf_end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHELF_FOR_EACH(an_empty_snapshot_restores_empty),
        SHELF_FOR_EACH(restores_what_was_there),
        SHELF_FOR_EACH(a_snapshot_is_frozen_at_its_barrier),
        SHELF_FOR_EACH(a_snapshot_may_be_thrown_away),
        SHELF_FOR_EACH(every_retained_checkpoint_can_be_restored),
        SHELF_FOR_EACH(moves_key_groups_between_subtasks),
        SHELF_FOR_EACH(refuses_sources_that_do_not_cover_its_groups),
        SHELF_FOR_EACH(refuses_the_files_of_another_backend),
        SHELF_FOR_EACH(names_the_damaged_file),
        SHELF_FOR_EACH(a_list_without_files_is_corrupt),
        SHELF_FOR_EACH(a_list_must_not_lead_out_of_the_directory),
        SHELF_FOR_EACH(a_failing_disk_fails_the_snapshot_only),
        SHELF_FOR_EACH(a_failing_disk_fails_the_restore),
        SHELF_FOR_EACH(copies_when_it_cannot_link),
        SHELF_FOR_EACH(sources_are_verified_before_they_are_opened),
        SHELF_FOR_EACH(expiry_leaves_what_may_still_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
