/* Whichever call of a backend fails: the error sticks, nothing crashes, commit returns it. */
#include "test/support/keyed_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A backend in front of a hashmap whose n-th call fails. With `edit` it keeps entries in memory. */
struct faulty {
    struct backend backend;
    struct backend *behind;
};
static uint32_t countdown; /* 0: never */

static weir_error *fault(void)
{
    if (countdown > 0 && --countdown == 0)
        return weir_errorf(WEIR_E_IO, "the disk is on fire");
    return NULL;
}

static struct backend *behind(struct backend *backend)
{
    return ((struct faulty *)(void *)backend)->behind;
}

static weir_error *faulty_get(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str *value)
{
    *value = (weir_str){ 0 };
    WEIR_TRY(fault());
    return backend_hashmap.get(behind(backend), row, entry, value);
}
static weir_error *faulty_put(struct backend *backend, const struct row_key *row, weir_str entry,
    weir_str value)
{
    WEIR_TRY(fault());
    return backend_hashmap.put(behind(backend), row, entry, value);
}
static weir_error *faulty_remove(struct backend *backend, const struct row_key *row, weir_str entry)
{
    WEIR_TRY(fault());
    return backend_hashmap.remove(behind(backend), row, entry);
}
static weir_error *faulty_clear(struct backend *backend, const struct row_key *row)
{
    WEIR_TRY(fault());
    return backend_hashmap.clear(behind(backend), row);
}
static weir_error *faulty_each(struct backend *backend, const struct row_key *row, weir_str prefix,
    backend_entry_fn *each, void *arg)
{
    weir_error *error = backend_hashmap.each(behind(backend), row, prefix, each, arg);
    return weir_error_join(error, fault());
}
static weir_error *faulty_edit(struct backend *backend, const struct row_key *row, weir_str entry,
    size_t size, void **bytes, bool *is_new)
{
    WEIR_TRY(fault());
    return backend_hashmap.edit(behind(backend), row, entry, size, bytes, is_new);
}
static void faulty_close(struct backend *backend)
{
    shelf_close(behind(backend));
    mem_free(backend);
}

static struct keyed *open_faulty(struct shelf *shelf, const struct backend_class *backend_class)
{
    struct faulty *faulty = mem_alloc(sizeof(*faulty));
    faulty->backend.backend_class = backend_class;
    faulty->behind = shelf_open(shelf, &backend_hashmap, shelf_all_groups(), NULL, 0);
    return keyed_new(&faulty->backend, keyed_fixture_states, STATE_COUNT, SHELF_MAX_PARALLELISM);
}

static bool count_calls(void *arg, weir_str entry, const void *value)
{
    (void)entry;
    (void)value;
    *(int *)arg += 1;
    return true;
}

/* Every verb of keyed, on every kind of state, none of which may crash after a failure. */
static void use_everything(struct keyed *keyed)
{
    int calls = 0;
    for (uint32_t state = 0; state < STATE_COUNT; state++) {
        bool is_note = keyed_fixture_states[state].type->size == sizeof(struct note);
        struct note note = { .title = WEIR_STR("title"), .count = 1 };
        struct profile profile = { .visits = 1 };
        const void *record = is_note ? (const void *)&note : &profile;
        weir_str entry = WEIR_STR("");
        switch (keyed_fixture_states[state].kind) {
        case WEIR_LIST:
            keyed_list_add(keyed, state, record);
            keyed_list_each(keyed, state, count_calls, &calls);
            keyed_list_add(keyed, state, record);
            break;
        case WEIR_REDUCING:
            keyed_reducing_add(keyed, state, record);
            keyed_read(keyed, state, entry);
            break;
        case WEIR_MAP:
            entry = WEIR_STR("entry");
            keyed_edit(keyed, state, entry);
            keyed_each(keyed, state, WEIR_STR(""), count_calls, &calls);
            keyed_remove(keyed, state, entry);
            keyed_edit(keyed, state, WEIR_STR("other"));
            break;
        case WEIR_VALUE:
            keyed_read(keyed, state, entry);
            memset(keyed_edit(keyed, state, entry), 0, is_note ? sizeof(note) : sizeof(profile));
            break;
        }
        if (state % 2 == 0)
            keyed_clear(keyed, state);
    }
}

static void any_failing_call_fails_the_commit(const struct backend_class *backend_class)
{
    uint32_t failures = 0;
    for (uint32_t nth = 1;; nth++) {
        struct shelf shelf;
        shelf_init(&shelf);
        struct keyed *keyed = open_faulty(&shelf, backend_class);
        for (int round = 0; round < 2; round++) {
            countdown = round == 1 ? nth : 0; /* with something to find */
            keyed_select(keyed, WEIR_STR("key"), hash_bytes("key", 3));
            use_everything(keyed);
            if (round == 0)
                shelf_ok(keyed_commit(keyed));
        }
        weir_error *error = keyed_commit(keyed);
        bool is_over = countdown > 0;
        countdown = 0;
        if (!is_over) {
            failures++;
            shelf_fails(error, WEIR_E_IO, "the disk is on fire");
            shelf_fails(keyed_commit(keyed), WEIR_E_STATE, "failed before");
        }
        keyed_free(keyed);
        shelf_release(&shelf);
        if (is_over)
            break;
    }
    assert_true(failures > 30);
}

static void a_failing_store_is_a_sticky_error(void **state)
{
    (void)state;
    struct backend_class copied = { .name = "faulty",
        .close = faulty_close,
        .get = faulty_get,
        .put = faulty_put,
        .remove = faulty_remove,
        .clear = faulty_clear,
        .each = faulty_each };
    struct backend_class in_place = copied;
    in_place.edit = faulty_edit;
    any_failing_call_fails_the_commit(&copied);
    any_failing_call_fails_the_commit(&in_place);
}

static void an_error_nobody_asked_for_is_freed(void **state)
{
    (void)state;
    struct shelf shelf;
    struct backend_class verbs = { .name = "faulty",
        .close = faulty_close,
        .get = faulty_get,
        .put = faulty_put };
    shelf_init(&shelf);
    struct keyed *keyed = open_faulty(&shelf, &verbs);
    keyed_select(keyed, WEIR_STR("key"), hash_bytes("key", 3));
    countdown = 1;
    assert_null(keyed_read(keyed, NOTE, WEIR_STR("")));
    keyed_unselect(keyed);
    keyed_free(keyed);
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_store_is_a_sticky_error),
        cmocka_unit_test(an_error_nobody_asked_for_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
