/* savepoint_format_test.c -- metadata of a savepoint that no Weir wrote, behind a checksum that fits: each thing
 * that cannot be is refused by what it is, and nothing of it is kept. */
#include "checkpoint/savepoint_format.h"

#include "base/buffer.h"
#include "base/sealed.h"
#include "test/support/expect.h"

static const struct sealed_form form = { .magic = SAVEPOINT_MAGIC,
    .noun = "the metadata of a savepoint",
    .version = 1 };

/* Pairs as MessagePack: an array of two, the kind, a map of field ids. */
#define HEAD \
    "\x92\x01\x83\x01\xa4shop\x02\x07\x03\x10" /* job, checkpoint 7, maximum parallelism 16 */
/* uid "op", subtask 0 of 1, key groups 0 to 15, keyed or not */
#define GROUPS \
    "\x02\x00" \
    "\x03\x01" \
    "\x04\x00" \
    "\x05\x0f"
#define KEYED   "\x92\x02\x86\x01\xa2op" GROUPS "\x06\xc3"
#define UNKEYED "\x92\x02\x86\x01\xa2op" GROUPS "\x06\xc2"
#define KEY     "\x92\x03\x82\x02\xa4name\x03\xa6string"
/* name, kind, type, TTL 5 ms of event time */
#define STATE_OF(kind_, ttl_, time_) \
    "\x92\x04\x85\x01\xa4seen\x02" kind_ "\x03\xa4user\x04" ttl_ "\x05" time_
#define STATE \
    STATE_OF("\xa5value", "\x05", \
        "\xa5" \
        "event")
#define FIELD "\x92\x05\x83\x01\x09\x02\xa5spent\x03\xa3i64"
#define ENTRIES \
    "\x92\x06\x84\x01\xa9" \
    "entries-0\x02\xa9" \
    "entries-0\x03\x64\x04\x01"
#define STAGED_AT(path_) "\x92\x07\x84\x01\xa4part\x02" path_ "\x03\x64\x04\x01"
#define ITEM             "\x92\x08\x82\x01\xa5split\x02\xa1x"
#define COUNTER          "\x92\x09\x82\x01\xa4late\x02\x03"
#define WHOLE            HEAD KEYED KEY STATE FIELD ENTRIES STAGED_AT("\xa8staged-0") ITEM COUNTER

struct row {
    const char *bytes;
    size_t size;
    const char *message;
};
#define ROW(bytes_, message_) \
    { \
        bytes_, sizeof(bytes_) - 1, message_ \
    }

static weir_error *decode(weir_str body, struct checkpoint_metadata *metadata)
{
    weir_buffer *bytes = weir_buffer_new(1u << 20), *sealed = weir_buffer_new(1u << 20);
    weir_buffer_add_str(bytes, body);
    sealed_put(&form, bytes, sealed);
    weir_error *error = savepoint_decode(weir_buffer_view(sealed), "s/_metadata", metadata);
    weir_buffer_free(bytes);
    weir_buffer_free(sealed);
    return error;
}

static void expect_refused(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct checkpoint_metadata metadata;
        weir_error *error =
            decode((weir_str){ .data = rows[i].bytes, .size = rows[i].size }, &metadata);
        expect_error(error, WEIR_E_CORRUPT, rows[i].message);
    }
}
#define EXPECT_REFUSED(rows_) expect_refused((rows_), COUNT_OF(rows_))

static void pairs_of_every_kind_are_taken_as_they_are(void **state)
{
    struct checkpoint_metadata metadata;
    expect_ok(decode(WEIR_STR(WHOLE), &metadata));
    assert_true(weir_str_equal(metadata.job, WEIR_STR("shop")));
    assert_int_equal(metadata.checkpoint, 7);
    assert_int_equal(metadata.max_parallelism, 16);
    assert_int_equal(metadata.operator_count, 1);
    const struct operator_snapshot *op = &metadata.operators[0];
    assert_true(weir_str_equal(op->backend, WEIR_STR(SAVEPOINT_BACKEND)));
    assert_string_equal(op->files[0].path, "entries-0");
    assert_string_equal(op->staged[0].name, "part");
    assert_true(weir_str_equal(op->items[0].value, WEIR_STR("x")));
    assert_int_equal(op->counters[0], 3);
    struct state_schema schema;
    expect_ok(state_schema_get(op->states, &metadata.arena, &schema));
    assert_int_equal(schema.key_count, 1);
    assert_int_equal(schema.keys[0].id, 1);
    assert_string_equal(schema.keys[0].name, "name");
    assert_int_equal(schema.states[0].ttl_ms, 5);
    assert_int_equal(schema.states[0].ttl_time, WEIR_EVENT_TIME);
    assert_int_equal(schema.states[0].type->fields[0].id, 9);
    checkpoint_metadata_release(&metadata);
}

static void what_is_no_pair_or_out_of_order_is_refused(void **state)
{
    static const struct row rows[] = {
        ROW("", "s/_metadata is corrupt: it says of no job that it is of it"),
        ROW("\x92\x01", "it ends too early"),
        ROW(HEAD "\x92\x02\x86", "it ends too early"),
        ROW("\x00", "it holds something that is no pair of a known kind"),
        ROW("\x93\x01\x80\x00", "it holds something that is no pair of a known kind"),
        ROW("\x92\x00\x80", "it holds something that is no pair of a known kind"),
        ROW("\x92\x0a\x80", "it holds something that is no pair of a known kind"),
        ROW("\x92\xff\x80", "it holds something that is no pair of a known kind"),
        ROW(HEAD HEAD, "its pairs are not in order"),
        ROW(UNKEYED HEAD, "its pairs are not in order"),
        ROW(HEAD ITEM, "its pairs are not in order"),
        ROW(HEAD KEY UNKEYED, "its pairs are not in order"),
        ROW(HEAD "\x92\x02\x05", "'operator_pair': there is no map at byte 1 of 1"),
        ROW("\x92\x01\x81\x02\xa5seven", "field 2 'checkpoint'"),
    };
    EXPECT_REFUSED(rows);
}

static void a_head_or_an_operator_with_impossible_numbers_is_refused(void **state)
{
    static const char head[] = "it has no job, or an impossible number or maximum parallelism";
    static const char operator_[] =
        "an operator has no uid, or a subtask's number is not below the parallelism";
    static const struct row rows[] = {
        ROW("\x92\x01\x82\x02\x07\x03\x10", head), /* no job */
        ROW("\x92\x01\x82\x01\xa4shop\x02\x07", head),
        ROW("\x92\x01\x83\x01\xa4shop\x02\x07\x03\xcd\x80\x01", head), /* 32769 */
        ROW("\x92\x01\x83\x01\xa4shop\x02\xcf\x40\0\0\0\0\0\0\0\x03\x10", head),
        ROW("\x92\x01\x83\x01\xa4shop\x06\xcf\x40\0\0\0\0\0\0\0\x03\x10", head),
        ROW(HEAD "\x92\x02\x84" GROUPS, operator_),
        ROW(HEAD "\x92\x02\x83\x01\xa2op\x02\x01\x03\x01", operator_),
        ROW(HEAD "\x92\x02\x84\x01\xa2op\x03\x01\x04\x02\x05\x01",
            "a range of key groups cannot be"),
        ROW(HEAD "\x92\x02\x83\x01\xa2op\x03\x01\x05\xcd\x80\x00",
            "a range of key groups cannot be"),
    };
    EXPECT_REFUSED(rows);
}

static void states_of_unknown_kinds_or_without_a_name_are_refused(void **state)
{
    static const char of_state[] = "a state is of no known kind, or there are too many";
    static const char of_field[] =
        "a field is of no known kind or of no state, or there are too many";
    static const struct row rows[] = {
        ROW(HEAD KEYED STATE_OF("\xa4heap", "\x05",
                "\xa5"
                "event") FIELD,
            of_state),
        ROW(HEAD KEYED STATE_OF("\xa5value", "\xff",
                "\xa5"
                "event") FIELD,
            of_state), /* -1 ms */
        ROW(HEAD KEYED STATE_OF("\xa5value", "\x05", "\xa4lunar") FIELD, of_state),
        ROW(HEAD KEYED FIELD, of_field),
        ROW(HEAD KEYED STATE "\x92\x05\x83\x01\x09\x02\xa5spent\x03\xa3i63", of_field),
        ROW(HEAD KEYED "\x92\x03\x82\x02\xa4name\x03\xa4text",
            "a key has a field of no known kind, or too many"),
        ROW(HEAD KEYED "\x92\x03\x81\x03\xa6string", "a name is none"),
        ROW(HEAD KEYED "\x92\x03\x82\x02\xa0\x03\xa6string", "a name is none"),
        ROW(HEAD KEYED "\x92\x03\x82\x02\xa4na\0e\x03\xa6string", "a name is none"),
        /* two states of one name; a type without fields */
        ROW(HEAD KEYED STATE FIELD STATE FIELD, "what its states are makes no sense"),
        ROW(HEAD KEYED STATE, "what its states are makes no sense"),
        ROW(HEAD KEYED STATE UNKEYED, "what its states are makes no sense"),
    };
    EXPECT_REFUSED(rows);
}

static void no_file_leads_out_of_the_savepoint(void **state)
{
    static const char file[] = "a file's name is none, or leads out of the savepoint";
    static const struct row rows[] = {
        ROW(HEAD UNKEYED "\x92\x07\x83\x02\xa1p\x03\x64\x04\x01", file),
        ROW(HEAD UNKEYED "\x92\x07\x83\x01\xa1p\x03\x64\x04\x01", file),
        ROW(HEAD UNKEYED "\x92\x07\x82\x01\xa2..\x02\xa1p", file),
        ROW(HEAD UNKEYED STAGED_AT("\xa2.."), file),
        ROW(HEAD UNKEYED STAGED_AT("\xa2/p"), file),
        ROW(HEAD UNKEYED STAGED_AT("\xa3"
                                   "d/p"),
            file),
        ROW(HEAD UNKEYED ENTRIES, "an operator without keyed state has entries"),
    };
    EXPECT_REFUSED(rows);
}

/* What every count may reach, and one more. */
static void more_of_a_kind_than_a_program_can_have_is_refused(void **state)
{
    const struct {
        weir_str before, each;
        uint32_t max;
        const char *message;
    } rows[] = {
        { WEIR_STR(HEAD KEYED), WEIR_STR(KEY), WEIR_KEY_FIELDS_MAX,
            "a key has a field of no known kind, or too many" },
        { WEIR_STR(HEAD KEYED STATE), WEIR_STR(FIELD), WEIR_FIELDS_MAX,
            "a field is of no known kind or of no state, or there are too many" },
        { WEIR_STR(HEAD KEYED), WEIR_STR(STATE FIELD), WEIR_STATES_MAX,
            "a state is of no known kind, or there are too many" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct checkpoint_metadata metadata;
        weir_buffer *body = weir_buffer_new(1u << 20);
        weir_buffer_add_str(body, rows[i].before);
        for (uint32_t n = 0; n <= rows[i].max; n++)
            weir_buffer_add_str(body, rows[i].each);
        expect_error(decode(weir_buffer_view(body), &metadata), WEIR_E_CORRUPT, rows[i].message);
        weir_buffer_free(body);
    }
}

/* A name of the longest kind is kept; one byte more is none. */
static void names_have_a_length_that_is_known(void **state)
{
    for (uint32_t size = 256; size <= 257; size++) {
        char name[260] = { 0 };
        struct checkpoint_metadata metadata;
        weir_buffer *body = weir_buffer_new(1u << 20);
        memset(name, 'n', size);
        weir_buffer_add_str(body, WEIR_STR(HEAD KEYED "\x92\x03\x82\x03\xa6string\x02\xda\x01"));
        weir_buffer_add_byte(body, (char)(size - 256));
        weir_buffer_add(body, name, size);
        weir_buffer_add_str(body, WEIR_STR(STATE FIELD));
        weir_error *error = decode(weir_buffer_view(body), &metadata);
        if (size == 257) {
            expect_error(error, WEIR_E_CORRUPT, "a name is none");
        } else {
            expect_ok(error);
            checkpoint_metadata_release(&metadata);
        }
        weir_buffer_free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_every_kind_are_taken_as_they_are),
        cmocka_unit_test(what_is_no_pair_or_out_of_order_is_refused),
        cmocka_unit_test(a_head_or_an_operator_with_impossible_numbers_is_refused),
        cmocka_unit_test(states_of_unknown_kinds_or_without_a_name_are_refused),
        cmocka_unit_test(no_file_leads_out_of_the_savepoint),
        cmocka_unit_test(more_of_a_kind_than_a_program_can_have_is_refused),
        cmocka_unit_test(names_have_a_length_that_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
