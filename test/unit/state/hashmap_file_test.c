/* hashmap_file_test.c -- a snapshot of the hashmap backend that was never right: each mistake is named. Those that were right
 * and were damaged are found by their checksum (backend_snapshot_test.c). */
#include "base/buffer.h"
#include "base/memory.h"
#include "state/backend.h"
#include "test/support/temp_dir.h"

#include "test/support/expect.h"

static char *dir;

static int make_dir(void **state)
{
    dir = temp_dir_new();
    return 0;
}

static int remove_dir(void **state)
{
    temp_dir_free(dir);
    return 0;
}

/* -- a file of parts --------------------------------------------------------------------------------- */

static void put_head(weir_buffer *out, const char *magic, uint32_t version)
{
    weir_buffer_add(out, magic, 8);
    buffer_put_u32(out, version);
    buffer_put_u32(out, 0);
}

static void put_row(weir_buffer *out, uint8_t group, uint32_t size, const char *key)
{
    buffer_put_u8(out, 1);
    buffer_put_u8(out, 0);
    buffer_put_u8(out, group);
    buffer_put_u8(out, 0);
    buffer_put_u32(out, size);
    weir_buffer_add(out, key, strlen(key));
}

static void put_entry(weir_buffer *out, uint32_t name_size, uint32_t value_size, const char *both)
{
    buffer_put_u8(out, 2);
    buffer_put_u32(out, name_size);
    buffer_put_u32(out, value_size);
    weir_buffer_add(out, both, strlen(both));
}

static void put_end(weir_buffer *out, uint64_t count)
{
    buffer_put_u8(out, 3);
    buffer_put_u64(out, count);
}

/* Key groups 0..3 of what is in the buffer, which is freed. */
static weir_error *restore(weir_buffer *bytes, struct backend **backend)
{
    weir_str view = weir_buffer_view(bytes);
    struct state_file file = { .name = "state.hashmap",
        .path = "file",
        .length = view.size,
        .is_verified = true };
    struct group_range groups = { 0, 3 };
    struct backend_source source = { .groups = groups, .files = &file, .file_count = 1 };
    struct backend_options options = { .checkpoint_dir = dir,
        .groups = groups,
        .memory_size = 1 << 20 };
    temp_dir_write(temp_dir_path(dir, "file"), view.data, view.size);
    weir_buffer_free(bytes);
    return backend_hashmap.open(&options, &source, 1, backend);
}

static weir_buffer *begin(void)
{
    weir_buffer *out = weir_buffer_new(1 << 16);
    put_head(out, "WEIRHASH", 1);
    return out;
}

/* -- tests --------------------------------------------------------------------------------------------- */

static weir_buffer *other_magic(void)
{
    weir_buffer *out = weir_buffer_new(1 << 16);
    put_head(out, "WEIRWASH", 1);
    return out;
}

static weir_buffer *newer_version(void)
{
    weir_buffer *out = weir_buffer_new(1 << 16);
    put_head(out, "WEIRHASH", 2);
    return out;
}

static weir_buffer *nothing(void)
{
    return weir_buffer_new(1);
}

static weir_buffer *no_end(void)
{
    return begin();
}

static weir_buffer *unknown_tag(void)
{
    weir_buffer *out = begin();
    buffer_put_u8(out, 4);
    return out;
}

static weir_buffer *entry_first(void)
{
    weir_buffer *out = begin();
    put_entry(out, 1, 1, "nv");
    return out;
}

static weir_buffer *long_key(void)
{
    weir_buffer *out = begin();
    put_row(out, 0, (64u << 20) + 1, "");
    return out;
}

static weir_buffer *cut_key(void)
{
    weir_buffer *out = begin();
    put_row(out, 0, 5, "key");
    return out;
}

static weir_buffer *long_name(void)
{
    weir_buffer *out = begin();
    put_row(out, 0, 3, "key");
    put_entry(out, (64u << 20) + 1, 1, "");
    return out;
}

static weir_buffer *long_value(void)
{
    weir_buffer *out = begin();
    put_row(out, 0, 3, "key");
    put_entry(out, 1, (64u << 20) + 1, "");
    return out;
}

static weir_buffer *cut_entry(void)
{
    weir_buffer *out = begin();
    put_row(out, 0, 3, "key");
    put_entry(out, 2, 2, "nnv");
    return out;
}

static weir_buffer *wrong_count(void)
{
    weir_buffer *out = begin();
    put_row(out, 0, 3, "key");
    put_entry(out, 1, 1, "nv");
    put_end(out, 2);
    return out;
}

static weir_buffer *cut_end(void)
{
    weir_buffer *out = begin();
    buffer_put_u8(out, 3);
    buffer_put_u32(out, 0);
    return out;
}

static weir_buffer *more_behind(void)
{
    weir_buffer *out = begin();
    put_end(out, 0);
    buffer_put_u8(out, 0);
    return out;
}

static void what_is_no_snapshot_is_refused_by_what_is_wrong_with_it(void **state)
{
    static const struct {
        weir_buffer *(*make)(void);
        const char *words;
        enum weir_code code;
    } rows[] = { { other_magic, "it starts with other bytes", WEIR_E_CORRUPT },
        { newer_version, "has format version 2, this program reads 1", WEIR_E_STATE },
        { nothing, "it ends too early", WEIR_E_CORRUPT },
        { no_end, "it ends too early", WEIR_E_CORRUPT },
        { unknown_tag, "an unknown tag", WEIR_E_CORRUPT },
        { entry_first, "an entry stands before the first row", WEIR_E_CORRUPT },
        { long_key, "a key is too long", WEIR_E_CORRUPT },
        { cut_key, "it ends too early", WEIR_E_CORRUPT },
        { long_name, "an entry is too long", WEIR_E_CORRUPT },
        { long_value, "an entry is too long", WEIR_E_CORRUPT },
        { cut_entry, "it ends too early", WEIR_E_CORRUPT },
        { wrong_count, "entries are missing", WEIR_E_CORRUPT },
        { cut_end, "it ends too early", WEIR_E_CORRUPT },
        { more_behind, "something follows its end", WEIR_E_CORRUPT } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct backend *backend;
        expect_error(restore(rows[i].make(), &backend), rows[i].code, rows[i].words);
    }
}

static bool count_row(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    uint32_t *count = arg;
    assert_int_equal(row->group, 1);
    assert_true(weir_str_equal(row->key, WEIR_STR("key")));
    ++*count;
    return true;
}

static void rows_of_other_key_groups_stay_in_the_file(void **state)
{
    uint32_t count = 0;
    struct backend *backend;
    weir_buffer *out = begin();
    put_row(out, 9, 5, "other");
    put_entry(out, 1, 1, "nv");
    put_row(out, 1, 3, "key");
    put_entry(out, 0, 2, "vv");
    put_entry(out, 1, 0, "n");
    put_row(out, 4, 0, "");
    put_entry(out, 1, 1, "nv");
    put_end(out, 4);
    expect_ok(restore(out, &backend));
    expect_ok(backend_hashmap.scan(backend, 0, count_row, &count));
    assert_int_equal(count, 2);
    backend_hashmap.close(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_snapshot_is_refused_by_what_is_wrong_with_it),
        cmocka_unit_test(rows_of_other_key_groups_stay_in_the_file),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
