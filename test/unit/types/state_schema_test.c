/* state_schema_test.c -- what a program declares comes back from bytes; other bytes are refused, or harmless. */
#include "types/state_schema.h"

#include "base/buffer.h"
#include "state/timer_entry.h"
#include "test/support/expect.h"
#include "test/support/keyed_fixture.h"
#include "types/schema.h"

#include <stdlib.h>

static weir_buffer *described(void)
{
    struct state_schema schema;
    struct weir_key key = WEIR_KEY2(note, title, count);
    weir_buffer *bytes = weir_buffer_new(1u << 20);
    state_schema_of(&schema, &key, keyed_fixture_states, STATE_COUNT);
    state_schema_put(&schema, bytes);
    return bytes;
}

static void a_declaration_survives_the_way_through_bytes(void **state)
{
    struct arena arena;
    struct state_schema schema;
    weir_buffer *bytes = described();
    arena_init(&arena, 4096, 1u << 20);
    expect_ok(state_schema_get(weir_buffer_view(bytes), &arena, &schema));
    assert_int_equal(schema.key_count, 2);
    assert_string_equal(schema.keys[0].name, "title");
    assert_int_equal(schema.keys[1].kind, WEIR_I64);
    assert_int_equal(schema.state_count, STATE_COUNT);
    for (uint32_t i = 0; i < STATE_COUNT; i++) {
        const struct weir_state *got = &schema.states[i], *declared = &keyed_fixture_states[i];
        assert_string_equal(got->name, declared->name);
        assert_int_equal(got->kind, declared->kind);
        assert_int_equal(got->ttl_ms, declared->ttl_ms);
        assert_int_equal(got->ttl_time, declared->ttl_time);
        assert_true(schema_equal(got->type, declared->type));
        assert_int_equal(got->shares_row, declared->shares_row);
        assert_int_equal(state_schema_find(&schema, declared->name), i);
    }
    assert_int_equal(state_schema_find(&schema, "nothing"), -1);
    arena_release(&arena);
    weir_buffer_free(bytes);
}

/* Cut anywhere it is refused; changed anywhere it is refused, or sound: each field in its struct, alone. */
static void damage_is_refused_or_harmless(void **state)
{
    weir_buffer *bytes = described();
    weir_str view = weir_buffer_view(bytes);
    char *copy = malloc(view.size);
    for (uint64_t i = 0; i < view.size; i++) {
        struct arena arena;
        struct state_schema schema;
        arena_init(&arena, 4096, 1u << 24);
        memcpy(copy, view.data, view.size);
        expect_error(state_schema_get((weir_str){ .data = copy, .size = i }, &arena, &schema),
            WEIR_E_CORRUPT, "stored");
        copy[i] = (char)(copy[i] ^ 0x11);
        weir_error *error =
            state_schema_get((weir_str){ .data = copy, .size = view.size }, &arena, &schema);
        for (uint32_t s = 0; error == NULL && s < schema.state_count; s++) {
            const struct weir_type *type = schema.states[s].type;
            for (uint32_t f = 0; f < type->field_count; f++)
                assert_true(
                    type->fields[f].offset + schema_kind_size(type->fields[f].kind) <= type->size);
        }
        weir_error_free(error);
        arena_release(&arena);
    }
    free(copy);
    weir_buffer_free(bytes);
}

static void fields_in_one_place_are_refused(void **state)
{
    static const struct weir_field fields[] = { { 1, WEIR_STRING, 0, "a" },
        { 2, WEIR_STRING, 8, "b" } };
    static const struct weir_type type = { "t", 32, 2, fields };
    static const struct weir_state it = { .name = "s", .type = &type };
    struct state_schema schema = { .states = &it, .state_count = 1 }, got;
    struct arena arena;
    weir_buffer *bytes = weir_buffer_new(1000);
    arena_init(&arena, 4096, 1u << 20);
    state_schema_put(&schema, bytes);
    expect_error(state_schema_get(weir_buffer_view(bytes), &arena, &got), WEIR_E_CORRUPT,
        "two fields lie in one place");
    arena_release(&arena);
    weir_buffer_free(bytes);
}

static void timers_sort_by_time_and_come_back(void **state)
{
    static const int64_t times[] = { INT64_MIN, -1, 0, 1, INT64_MAX };
    char before[TIMER_ENTRY_SIZE] = { 0 }, bytes[TIMER_ENTRY_SIZE];
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        enum weir_time time;
        int64_t at_ms;
        timer_entry_put(bytes, WEIR_EVENT_TIME, times[i]);
        weir_str name = { .data = bytes, .size = sizeof(bytes) };
        assert_true(timer_entry_get(name, &time, &at_ms));
        assert_int_equal(time, WEIR_EVENT_TIME);
        assert_int_equal(at_ms, times[i]);
        assert_true(memcmp(before, bytes, sizeof(bytes)) < 0);
        memcpy(before, bytes, sizeof(bytes));
        name.size--;
        assert_false(timer_entry_get(name, &time, &at_ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declaration_survives_the_way_through_bytes),
        cmocka_unit_test(damage_is_refused_or_harmless),
        cmocka_unit_test(fields_in_one_place_are_refused),
        cmocka_unit_test(timers_sort_by_time_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
