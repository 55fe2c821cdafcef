/* state_scan_test.c -- stored state whose bytes are right, by their checksums, and make no sense: it is refused,
 * entry by entry, from a backend and from a savepoint, and whoever looks at the entries can stop it. */
#include "checkpoint/state_scan.h"

#include "base/buffer.h"
#include "base/os.h"
#include "checkpoint/savepoint_format.h"
#include "state/keyed.h"
#include "state/timer_entry.h"
#include "test/support/keyed_fixture.h"
#include "test/support/temp_dir.h"

#include <stdlib.h>

#include "test/support/expect.h"

/* A savepoint's or a checkpoint's operator, whose state is that of keyed_fixture. */
struct stored {
    struct shelf shelf;
    struct shelf_part part;
    struct state_file file; /* of a savepoint */
    weir_buffer *states;
    struct operator_snapshot op;
};

static void stored_begin(struct stored *it, const char *backend)
{
    struct state_schema schema;
    struct weir_key none = { .type = NULL };
    shelf_init(&it->shelf);
    it->states = weir_buffer_new(1u << 20);
    state_schema_of(&schema, &none, keyed_fixture_states, STATE_COUNT);
    state_schema_put(&schema, it->states);
    it->op = (struct operator_snapshot){ .uid = WEIR_STR("op"),
        .parallelism = 1,
        .backend = weir_str_of(backend),
        .states = weir_buffer_view(it->states),
        .groups = shelf_all_groups() };
}

static void stored_end(struct stored *it)
{
    weir_buffer_free(it->states);
    shelf_release(&it->shelf);
}

static weir_error *scan(struct stored *it, scan_fn *each, void *arg)
{
    struct scan_place place = { .dir = it->shelf.root, .work_dir = it->shelf.root };
    return state_scan(&place, &it->op, each, arg);
}

static weir_error *count_entry(void *arg, const struct scan_entry *entry)
{
    (void)entry;
    ++*(uint32_t *)arg;
    return NULL;
}

static weir_error *refuse_third(void *arg, const struct scan_entry *entry)
{
    return ++*(uint32_t *)arg == 3 ? weir_errorf(WEIR_E_LIMIT, "that is enough") : NULL;
}

/* -- of a backend --------------------------------------------------------------------------------- */

static weir_error *scan_backend_with(const struct backend_class *verbs, uint32_t state,
    weir_str entry, weir_str value)
{
    struct stored it;
    uint32_t count = 0;
    stored_begin(&it, verbs->format);
    struct backend *backend = shelf_open(&it.shelf, verbs, shelf_all_groups(), NULL, 0);
    struct row_key row = shelf_row(state, "somebody");
    shelf_put(backend, &row, entry, value);
    shelf_snapshot(&it.shelf, backend, shelf_all_groups(), &it.part);
    shelf_close(backend);
    it.op.files = it.part.files;
    it.op.file_count = it.part.file_count;
    weir_error *error = scan(&it, count_entry, &count);
    assert_int_equal(count, error == NULL);
    shelf_part_release(&it.part);
    stored_end(&it);
    return error;
}

static void bytes_of_a_backend_that_no_state_has_written_are_refused(void **state)
{
    static const char outside[sizeof(struct note)] = { 1 };           /* a string's place: byte 1 */
    static const char neither[sizeof(struct profile)] = { [16] = 7 }; /* is_new */
    const struct {
        uint32_t state;
        weir_str entry, value;
        const char *message;
    } rows[] = {
        { FIXED, WEIR_STR(""), WEIR_STR("abc"), "a stored record of 3 bytes is none" },
        { FIXED, WEIR_STR(""), { neither, sizeof(neither) }, "neither true nor false" },
        { NOTE, WEIR_STR(""), WEIR_STR("abc"), "has 3 bytes, less than its struct's" },
        { NOTE, WEIR_STR(""), { outside, sizeof(outside) }, "points outside its" },
        { TTL_FIXED, WEIR_STR(""), WEIR_STR("1234567"), "a stored entry of 7 bytes is none" },
        { LIST, WEIR_STR(""), WEIR_STR("123"), "a stored end of a list of 3 bytes is none" },
        { NOTES, WEIR_STR("x"), WEIR_STR(""), "a stored name of 1 bytes is none" },
        { NOTES, WEIR_STR("\x01x"), WEIR_STR(""), "a stored name of 2 bytes is none" },
        { STATE_NUMBER_TIMERS, WEIR_STR("soon"), WEIR_STR(""),
            "a stored timer of 4 bytes is none" },
        { STATE_NUMBER_TIMERS,
            WEIR_STR("\x07"
                     "12345678"),
            WEIR_STR(""), "a stored timer of 9 bytes is none" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        weir_error *error =
            scan_backend_with(&backend_hashmap, rows[i].state, rows[i].entry, rows[i].value);
        expect_error(error, WEIR_E_CORRUPT, rows[i].message);
    }
    expect_ok(scan_backend_with(&backend_hashmap, LIST, WEIR_STR(""), WEIR_STR("12345678")));
    expect_error(scan_backend_with(&backend_rocksdb, FIXED, WEIR_STR(""), WEIR_STR("abc")),
        WEIR_E_CORRUPT, "a stored record of 3 bytes is none");
}

static void an_operator_that_cannot_be_looked_into_is_named(void **state)
{
    struct stored it;
    uint32_t count = 0;
    stored_begin(&it, "abacus");
    expect_error(scan(&it, count_entry, &count), WEIR_E_STATE,
        "operator 'op' keeps its state in 'abacus', which this version of Weir does not know");
    it.op.states.size /= 2;
    expect_error(scan(&it, count_entry, &count), WEIR_E_CORRUPT,
        "operator 'op': the stored schema of type 'profile' is damaged");
    it.op.states.size = 0;
    expect_error(scan(&it, count_entry, &count), WEIR_E_STATE,
        "operator 'op': its checkpoint does not say what its state is");
    it.op.backend = WEIR_STR("");
    expect_ok(scan(&it, count_entry, &count)); /* no keyed state */
    assert_int_equal(count, 0);
    stored_end(&it);
}

/* -- of a savepoint ------------------------------------------------------------------------------- */

/* The file of entries, as a savepoint's writer makes it: `times` times the same. */
static void store_entries(struct stored *it, const struct savepoint_entry *entry,
    const struct weir_type *type, const void *record, uint32_t times)
{
    struct entry_writer *writer;
    it->file = (struct state_file){ .name = "entries-0", .path = "entries-0" };
    char *path = shelf_path(&it->shelf, &it->file);
    expect_ok(entry_writer_open(path, &writer));
    for (uint32_t i = 0; i < times; i++)
        expect_ok(entry_writer_add(writer, entry, type, record));
    expect_ok(entry_writer_finish(writer, &it->file));
    entry_writer_free(writer);
    mem_free(path);
    it->op.files = &it->file;
    it->op.file_count = 1;
}

static void entries_of_a_savepoint_that_fit_no_state_are_refused(void **state)
{
    static const struct profile profile = { .user_id = 1 };
    static const struct note note = { .title = { "x", 1 } }; /* field 1 is no number */
    const struct {
        struct savepoint_entry entry;
        const struct weir_type *type;
        const void *record;
        const char *message; /* NULL: it is fine */
    } rows[] = {
        { { .state = FIXED }, &profile_type, &profile, NULL },
        { { .state = MAP, .entry = WEIR_STR("") }, &profile_type, &profile, NULL },
        { { .state = LIST, .entry = WEIR_STR("12345678") }, &profile_type, &profile, NULL },
        { { .state = STATE_COUNT }, &profile_type, &profile,
            "entry of a state that is not listed" },
        { { .state = FIXED, .entry = WEIR_STR("x") }, &profile_type, &profile,
            "a stored entry's name of 1 bytes is none" },
        { { .state = MAP }, &profile_type, &profile, "a stored entry's name of 0 bytes is none" },
        { { .state = LIST }, &profile_type, &profile, "a stored entry's name of 0 bytes is none" },
        { { .state = LIST, .entry = WEIR_STR("123") }, &profile_type, &profile,
            "a stored entry's name of 3 bytes is none" },
        { { .state = LIST, .entry = WEIR_STR("") }, &note_type, &note, "'list_end'" },
        { { .state = FIXED }, &note_type, &note, "cannot read a record of type 'profile'" },
        { { .state = STATE_NUMBER_TIMERS }, &note_type, &note, "'timer_value'" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct stored it;
        uint32_t count = 0;
        struct savepoint_entry entry = rows[i].entry;
        entry.key = WEIR_STR("somebody");
        stored_begin(&it, SAVEPOINT_BACKEND);
        store_entries(&it, &entry, rows[i].type, rows[i].record, 2);
        weir_error *error = scan(&it, count_entry, &count);
        if (rows[i].message == NULL) {
            expect_ok(error);
            assert_int_equal(count, 2);
        } else {
            expect_error(error, WEIR_E_CORRUPT, rows[i].message);
            assert_int_equal(count, 0);
        }
        stored_end(&it);
    }
}

static void whoever_looks_at_the_entries_can_stop(void **state)
{
    static const struct profile profile = { .user_id = 1 };
    struct stored it;
    uint32_t count = 0;
    stored_begin(&it, SAVEPOINT_BACKEND);
    store_entries(&it, &(struct savepoint_entry){ .state = FIXED, .key = WEIR_STR("k") },
        &profile_type, &profile, 5);
    expect_error(scan(&it, refuse_third, &count), WEIR_E_LIMIT, "that is enough");
    assert_int_equal(count, 3);
    stored_end(&it);
}

/* The checksum is that of the file, and the file is no stream of entries. */
static void a_file_that_holds_something_else_is_refused(void **state)
{
    struct stored it;
    uint32_t count = 0;
    stored_begin(&it, SAVEPOINT_BACKEND);
    temp_dir_write(temp_dir_path(it.shelf.root, "entries-0"), "abc", 3);
    struct checksum *checksum = checksum_new();
    checksum_add(checksum, "abc", 3);
    it.file = (struct state_file){ .name = "entries-0",
        .path = "entries-0",
        .length = 3,
        .checksum = checksum_value(checksum) };
    checksum_free(checksum);
    it.op.files = &it.file;
    it.op.file_count = 1;
    expect_error(scan(&it, count_entry, &count), WEIR_E_CORRUPT, "what is no entry is at byte 0");
    it.file.length = 4;
    expect_error(scan(&it, count_entry, &count), WEIR_E_CORRUPT, "has 3 bytes instead of 4");
    assert_int_equal(count, 0);
    stored_end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_a_backend_that_no_state_has_written_are_refused),
        cmocka_unit_test(an_operator_that_cannot_be_looked_into_is_named),
        cmocka_unit_test(entries_of_a_savepoint_that_fit_no_state_are_refused),
        cmocka_unit_test(whoever_looks_at_the_entries_can_stop),
        cmocka_unit_test(a_file_that_holds_something_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
