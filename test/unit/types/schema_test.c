/* schema_test.c -- sound and unsound types, what makes two equal, what may be restored as what. */
#include "types/schema.h"

#include "test/support/expect.h"

struct click {
    uint64_t user_id;
    int32_t at;
    bool is_paid;
    double price;
    weir_str page;
};
#define CLICK_FIELDS \
    WEIR_FIELD(1, click, user_id), WEIR_FIELD(2, click, at), WEIR_FIELD(3, click, is_paid), \
        WEIR_FIELD(4, click, price), WEIR_FIELD(5, click, page)
WEIR_TYPE(click, CLICK_FIELDS);

/* The click type with one field replaced. */
static struct weir_type changed(struct weir_field *fields, uint32_t index, struct weir_field field)
{
    memcpy(fields, click_fields, sizeof(click_fields));
    fields[index] = field;
    return (struct weir_type){ .name = "click",
        .size = sizeof(struct click),
        .field_count = 5,
        .fields = fields };
}

static void types_of_the_api_are_sound(void **state)
{
    expect_ok(schema_validate(&click_type));
    expect_ok(schema_validate(&weir_message_type));
    expect_ok(schema_validate(&weir_dead_letter_type));
}

static void unsound_fields_are_told(void **state)
{
    static const struct {
        struct weir_field field;
        const char *said;
    } mistakes[] = {
        { { 0, WEIR_I32, 8, "at" }, "field 'at' of type 'click' has the id 0" },
        { { 1, WEIR_I32, 8, "at" },
            "fields 'user_id' and 'at' of type 'click' have the same id 1" },
        { { 2, WEIR_I32, 8, "page" }, "type 'click' has two fields named 'page'" },
        { { 2, WEIR_I32, 8, NULL }, "field number 1 of type 'click' has no name" },
        { { 2, WEIR_I32, 8, "" }, "field number 1 of type 'click' has no name" },
        { { 2, (enum weir_kind)7, 8, "at" }, "has the unknown kind 7" },
        { { 2, WEIR_I32, 40, "at" }, "lies outside its struct (offset 40, struct of 40 bytes)" },
        { { 2, WEIR_STRING, 32, "at" }, "lies outside its struct" },
        { { 2, WEIR_I32, UINT32_MAX - 3, "at" }, "lies outside its struct" },
        { { 2, WEIR_I32, 9, "at" }, "is not aligned (offset 9)" },
        { { 2, WEIR_I64, 8, "at" }, "fields 'at' and 'is_paid' of type 'click' overlap" },
        { { 2, WEIR_I32, 4, "at" }, "fields 'user_id' and 'at' of type 'click' overlap" },
    };
    struct weir_field fields[5];
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        struct weir_type type = changed(fields, 1, mistakes[i].field);
        expect_error(schema_validate(&type), WEIR_E_PLAN, mistakes[i].said);
    }
}

static void unsound_types_are_told(void **state)
{
    struct weir_type type = click_type;
    expect_error(schema_validate(NULL), WEIR_E_PLAN, "there is no type");
    type.name = NULL;
    expect_error(schema_validate(&type), WEIR_E_PLAN, "a type has no name");
    type = click_type;
    type.size = 0;
    expect_error(schema_validate(&type), WEIR_E_PLAN, "has 0 bytes");
    type = click_type;
    type.field_count = 65;
    expect_error(schema_validate(&type), WEIR_E_PLAN, "has 65 fields; allowed are 1 to 64");
    type.field_count = 0;
    expect_error(schema_validate(&type), WEIR_E_PLAN, "has 0 fields");
    type = click_type;
    type.fields = NULL;
    expect_error(schema_validate(&type), WEIR_E_PLAN, "fields; allowed are 1 to 64");
}

static void every_mistake_is_in_the_one_error(void **state)
{
    struct weir_field fields[5];
    struct weir_type type = changed(fields, 1, (struct weir_field){ 0, WEIR_I32, 9, "page" });
    weir_error *error = schema_validate(&type);
    assert_non_null(strstr(weir_error_message(error), "has the id 0"));
    assert_non_null(strstr(weir_error_message(error), "is not aligned"));
    expect_error(error, WEIR_E_PLAN, "two fields named 'page'");
}

static void fingerprint_and_equality_see_every_change(void **state)
{
    static const struct weir_field changes[] = {
        { 9, WEIR_I32, 8, "at" },
        { 2, WEIR_U32, 8, "at" },
        { 2, WEIR_I32, 8, "time" },
    };
    struct weir_field fields[5];
    uint64_t fingerprint = weir_type_fingerprint(&click_type);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct weir_type type = changed(fields, 1, changes[i]);
        assert_true(weir_type_fingerprint(&type) != fingerprint);
        assert_false(schema_equal(&type, &click_type));
    }
    struct weir_type type = changed(fields, 0, click_fields[1]); /* another order */
    fields[1] = click_fields[0];
    assert_true(weir_type_fingerprint(&type) != fingerprint);
    assert_false(schema_equal(&type, &click_type));
    type = click_type;
    type.name = "Click";
    assert_true(weir_type_fingerprint(&type) != fingerprint);
    assert_false(schema_equal(&type, &click_type));
}

static void equality_sees_the_struct_and_the_fingerprint_does_not(void **state)
{
    struct weir_field fields[5];
    struct weir_type type = changed(fields, 1, click_fields[1]);
    assert_true(schema_equal(&type, &click_type)); /* a copy, as in another file */
    assert_true(weir_type_fingerprint(&type) == weir_type_fingerprint(&click_type));
    fields[2].offset += 1;
    assert_false(schema_equal(&type, &click_type));
    assert_true(weir_type_fingerprint(&type) == weir_type_fingerprint(&click_type));
}

static void a_fingerprint_never_changes(void **state)
{
    assert_true(weir_type_fingerprint(&click_type) == UINT64_C(0xaeb17ea83809b4ad));
}

static void a_schema_reads_well(void **state)
{
    weir_buffer *out = weir_buffer_new(1000);
    schema_print(&click_type, out);
    assert_string_equal(buffer_text(out),
        "click { 1 user_id u64, 2 at i32, 3 is_paid bool, 4 price f64, 5 page string }");
    weir_buffer_free(out);
}

static void a_stored_schema_comes_back(void **state)
{
    weir_buffer *bytes = weir_buffer_new(1000);
    struct arena arena;
    arena_init(&arena, 256, 1 << 16);
    schema_put(&click_type, bytes);
    weir_str whole = weir_buffer_view(bytes);
    const struct weir_type *got;
    struct reader reader = reader_of(whole);
    expect_ok(schema_get(&reader, &arena, &got));
    assert_true(reader_at_end(&reader));
    assert_true(weir_type_fingerprint(got) == weir_type_fingerprint(&click_type));
    expect_ok(schema_can_restore(got, &click_type, NULL));
    for (whole.size--; whole.size > 0; whole.size--) { /* cut anywhere: an error, no crash */
        reader = reader_of(whole);
        weir_error *error = schema_get(&reader, &arena, &got);
        expect_error(error, WEIR_E_CORRUPT, "stored schema");
        assert_null(got);
        arena_reset(&arena);
    }
    arena_release(&arena);
    weir_buffer_free(bytes);
}

static void restoring_follows_the_field_id(void **state)
{
    static const struct {
        struct weir_field stored;
        const char *said; /* NULL: restored */
    } cases[] = {
        { { 2, WEIR_I32, 8, "renamed" }, NULL },
        { { 77, WEIR_STRING, 8, "at" }, NULL }, /* unknown id: dropped; id 2: zero */
        { { 4, WEIR_I64, 8, "at" },
            "field 4 'price' of type 'click' was stored as i64 and is f64" },
        { { 1, WEIR_U32, 8, "at" }, NULL }, /* u32 -> u64 */
        { { 1, WEIR_I32, 8, "at" }, "was stored as i32 and is u64" },
        { { 2, WEIR_I64, 8, "at" }, "field 2 'at' of type 'click' was stored as i64 and is i32" },
        { { 5, WEIR_BOOL, 8, "at" }, "stored: click { 5 at bool }; now: click { 1 user_id u64" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct weir_type stored = { .name = "click", .field_count = 1, .fields = &cases[i].stored };
        weir_error *error = schema_can_restore(&stored, &click_type, NULL);
        if (cases[i].said == NULL)
            expect_ok(error);
        else
            expect_error(error, WEIR_E_STATE, cases[i].said);
    }
}

static void dropped_fields_are_named(void **state)
{
    weir_buffer *dropped = weir_buffer_new(100);
    struct weir_type now = click_type;
    now.field_count = 3;
    expect_ok(schema_can_restore(&click_type, &now, dropped));
    assert_string_equal(buffer_text(dropped), "'price', 'page'");
    weir_buffer_free(dropped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_of_the_api_are_sound),
        cmocka_unit_test(unsound_fields_are_told),
        cmocka_unit_test(unsound_types_are_told),
        cmocka_unit_test(every_mistake_is_in_the_one_error),
        cmocka_unit_test(fingerprint_and_equality_see_every_change),
        cmocka_unit_test(equality_sees_the_struct_and_the_fingerprint_does_not),
        cmocka_unit_test(a_fingerprint_never_changes),
        cmocka_unit_test(a_schema_reads_well),
        cmocka_unit_test(a_stored_schema_comes_back),
        cmocka_unit_test(restoring_follows_the_field_id),
        cmocka_unit_test(dropped_fields_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
