/* A list of changes gives back what was put into it, in the same order. */
#include "state/changes.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

static struct row_key key_of(const char *text)
{
    return (struct row_key){ .key = str(text), .group = 300, .state = 255 };
}

static void gives_back_rows_and_cells(void **state)
{
    (void)state;
    struct changes changes = { 0 };
    struct row_key key = key_of("odd");
    changes_begin(&changes, &key, false);
    changes_add(&changes, str(""), str("value"));
    changes_add(&changes, str("a"), (weir_str){ 0 });
    changes_add(&changes, str("bc"), (weir_str){ .data = "", .size = 0 });
    assert_true(changes_end(&changes));
    key = key_of("");
    changes_begin(&changes, &key, true);
    assert_true(changes_end(&changes));
    assert_int_equal(changes.row_count, 2);
    assert_int_equal(changes.cell_count, 3);
    assert_int_equal(changes.cleared_count, 1);

    const struct change_row *row = changes_next(&changes, NULL);
    assert_true(weir_str_equal(change_row_key(row).key, str("odd")));
    assert_int_equal(change_row_key(row).group, 300);
    assert_int_equal(change_row_key(row).state, 255);
    weir_str name, value;
    struct change_cells cells = change_cells(row);
    assert_true(change_cells_next(&cells, &name, &value));
    assert_int_equal(name.size, 0);
    assert_true(weir_str_equal(value, str("value")));
    assert_true(change_cells_next(&cells, &name, &value));
    assert_true(weir_str_equal(name, str("a")));
    assert_null(value.data);
    assert_true(change_cells_next(&cells, &name, &value));
    assert_true(weir_str_equal(name, str("bc")));
    assert_non_null(value.data);
    assert_int_equal(value.size, 0);
    assert_false(change_cells_next(&cells, &name, &value));
    row = changes_next(&changes, row);
    assert_true(row->is_cleared);
    assert_int_equal(row->key_size, 0);
    cells = change_cells(row);
    assert_false(change_cells_next(&cells, &name, &value));
    assert_null(changes_next(&changes, row));
    changes_release(&changes);
}

static void a_list_without_bytes_has_no_row(void **state)
{
    (void)state;
    assert_null(changes_next(&(struct changes){ 0 }, NULL));
}

static void a_row_without_changes_is_none(void **state)
{
    (void)state;
    struct changes changes = { 0 };
    struct row_key key = key_of("nothing");
    changes_begin(&changes, &key, false);
    assert_false(changes_end(&changes));
    assert_int_equal(changes.row_count, 0);
    assert_null(changes_next(&changes, NULL));
    changes_release(&changes);
}

/* A size is one byte up to a limit: on both sides of it, of the name and of the value. */
static void long_names_and_values_are_cells_like_others(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 0, 1, 253, 254, 255, 256, 70000 };
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    char *bytes = mem_alloc(70000);
    struct changes changes = { 0 };
    for (int i = 0; i < 70000; i++)
        bytes[i] = (char)(i % 251);
    for (int i = 0; i < COUNT; i++) {
        struct row_key key = key_of("row");
        changes_begin(&changes, &key, false);
        for (int j = 0; j < COUNT; j++)
            changes_add(&changes, (weir_str){ .data = bytes, .size = sizes[i] },
                (weir_str){ .data = bytes, .size = sizes[j] });
        changes_add(&changes, (weir_str){ .data = bytes, .size = sizes[i] }, (weir_str){ 0 });
        assert_true(changes_end(&changes));
    }
    assert_true(changes_are_sound(&changes));
    const struct change_row *row = NULL;
    for (int i = 0; i < COUNT; i++) {
        weir_str name, value;
        row = changes_next(&changes, row);
        struct change_cells cells = change_cells(row);
        for (int j = 0; j < COUNT; j++) {
            assert_true(change_cells_next(&cells, &name, &value));
            assert_true(weir_str_equal(name, (weir_str){ .data = bytes, .size = sizes[i] }));
            assert_non_null(value.data);
            assert_true(weir_str_equal(value, (weir_str){ .data = bytes, .size = sizes[j] }));
        }
        assert_true(change_cells_next(&cells, &name, &value));
        assert_null(value.data);
        assert_int_equal(name.size, sizes[i]);
        assert_false(change_cells_next(&cells, &name, &value));
    }
    assert_null(changes_next(&changes, row));
    changes_release(&changes);
    mem_free(bytes);
}

static void grows_as_needed(void **state)
{
    (void)state;
    struct changes changes = { 0 };
    char text[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        struct row_key key = key_of(text);
        changes_begin(&changes, &key, false);
        for (int j = 0; j <= i % 3; j++)
            changes_add(&changes, str(text), str(text));
        assert_true(changes_end(&changes));
    }
    const struct change_row *row = NULL;
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        row = changes_next(&changes, row);
        assert_true(weir_str_equal(change_row_key(row).key, str(text)));
        assert_int_equal(row->cell_count, 1 + i % 3);
        assert_int_equal((uintptr_t)row % 4, 0);
    }
    assert_null(changes_next(&changes, row));
    changes_release(&changes);
}

/* Whatever one byte of a list says, reading it back stays within it, or is refused. */
static void a_damaged_list_is_not_sound_or_harmless(void **state)
{
    (void)state;
    struct changes changes = { 0 };
    struct row_key key = key_of("some key");
    changes_begin(&changes, &key, true);
    changes_add(&changes, str("a"), str("value"));
    changes_add(&changes, str("bc"), (weir_str){ 0 });
    assert_true(changes_end(&changes));
    key = key_of("other");
    changes_begin(&changes, &key, false);
    changes_add(&changes, str(""), str("v"));
    assert_true(changes_end(&changes));
    assert_true(changes_are_sound(&changes));
    uint32_t refused = 0;
    for (size_t at = 0; at < changes.size; at++) {
        char was = changes.bytes[at];
        for (int bit = 0; bit < 8; bit++) {
            changes.bytes[at] = (char)(was ^ 1 << bit);
            if (!changes_are_sound(&changes)) {
                refused++;
                continue;
            }
            const struct change_row *row = NULL;
            while ((row = changes_next(&changes, row)) != NULL) {
                weir_str name, value;
                struct change_cells cells = change_cells(row);
                while (change_cells_next(&cells, &name, &value))
                    assert_true(name.data + name.size <= changes.bytes + changes.size);
            }
        }
        changes.bytes[at] = was;
    }
    assert_true(refused > 100);
    changes.size -= 4;
    assert_false(changes_are_sound(&changes));
    changes.size += 4;
    changes.cell_count++;
    assert_false(changes_are_sound(&changes));
    changes_release(&changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_rows_and_cells),
        cmocka_unit_test(a_list_without_bytes_has_no_row),
        cmocka_unit_test(a_row_without_changes_is_none),
        cmocka_unit_test(long_names_and_values_are_cells_like_others),
        cmocka_unit_test(grows_as_needed),
        cmocka_unit_test(a_damaged_list_is_not_sound_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
