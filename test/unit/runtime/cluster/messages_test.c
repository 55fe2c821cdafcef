/* messages_test.c -- every kind there and back, damaged ones, lists. */
#include "runtime/cluster/messages.h"

#include "base/buffer.h"
#include "test/support/expect.h"
#include "types/msgpack.h"

#define RECORD_SIZE 512

/* Each field of its own value. */
static void fill(const struct weir_type *type, char *record)
{
    memset(record, 0, RECORD_SIZE);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct weir_field *field = &type->fields[i];
        char *at = record + field->offset;
        if (field->kind == WEIR_STRING)
            *(weir_str *)(void *)at = weir_str_of(field->name);
        else if (field->kind == WEIR_BOOL)
            *at = 1;
        else
            *at = (char)(i + 7);
    }
}

static weir_buffer *encode(uint32_t kind, const char *record)
{
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    msgpack_encode(message_type(kind), record, bytes);
    return bytes;
}

static void every_kind_comes_back_as_it_was_sent(void **state)
{
    for (uint32_t kind = MESSAGE_HEARTBEAT; kind <= MESSAGE_METRICS; kind++) {
        _Alignas(16) char record[RECORD_SIZE], back[RECORD_SIZE];
        const struct weir_type *type = message_type(kind);
        assert_non_null(type);
        assert_string_not_equal(message_kind_name(kind), "?");
        assert_true(type->size <= RECORD_SIZE);
        fill(type, record);
        weir_buffer *bytes = encode(kind, record);
        memset(back, 0, sizeof(back));
        expect_ok(message_read((enum message_kind)kind, weir_buffer_view(bytes), back));
        weir_buffer *again = encode(kind, back);
        assert_int_equal(buffer_size(again), buffer_size(bytes));
        assert_memory_equal(weir_buffer_view(again).data, weir_buffer_view(bytes).data,
            buffer_size(bytes));
        weir_buffer_free(again);
        weir_buffer_free(bytes);
    }
}

static void a_message_that_is_cut_is_damaged_and_says_which(void **state)
{
    for (uint32_t kind = MESSAGE_HEARTBEAT; kind <= MESSAGE_METRICS; kind++) {
        _Alignas(16) char record[RECORD_SIZE], back[RECORD_SIZE];
        fill(message_type(kind), record);
        weir_buffer *bytes = encode(kind, record);
        weir_str view = weir_buffer_view(bytes);
        for (uint64_t size = 0; size < view.size; size++) {
            char *cut = mem_dup(view.data, size); /* the sanitizer sees a step behind its end */
            weir_error *error = message_read((enum message_kind)kind,
                (weir_str){ .data = cut, .size = size }, back);
            expect_error(error, WEIR_E_CORRUPT, message_kind_name(kind));
            mem_free(cut);
        }
        weir_buffer_free(bytes);
    }
}

static void kinds_that_do_not_exist_have_no_type(void **state)
{
    static const uint32_t kinds[] = { 0, MESSAGE_LOGGED + 1, 1000, UINT32_MAX };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        assert_null(message_type(kinds[i]));
        assert_string_equal(message_kind_name(kinds[i]), "?");
        assert_false(message_is_command(kinds[i]) || message_is_event(kinds[i]));
    }
    assert_true(message_is_command(MESSAGE_DRAIN) && !message_is_command(MESSAGE_RUNNING));
    assert_true(message_is_event(MESSAGE_METRICS) && !message_is_event(MESSAGE_DEPLOY));
}

static void an_error_arrives_with_its_code_its_text_and_whether_to_try_again(void **state)
{
    weir_error *error = message_error(WEIR_E_IO, true, WEIR_STR("the disk is gone"));
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_IO, "the disk is gone");
    error = message_error(WEIR_E_CORRUPT, false, WEIR_STR("bad"));
    assert_false(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_CORRUPT, "bad");
    expect_error(message_error(0, false, WEIR_STR("a")), WEIR_E_INTERNAL, "a");
    expect_error(message_error(-1, false, WEIR_STR("a")), WEIR_E_INTERNAL, "a");
    expect_error(message_error(WEIR_CODE_COUNT, false, (weir_str){ 0 }), WEIR_E_INTERNAL, "");
}

static void lists_come_back(void **state)
{
    static const char *const strings[] = { "", "one", "host:1" };
    static const uint32_t numbers[] = { 0, 7, UINT32_MAX };
    struct arena arena;
    const char **texts;
    const uint32_t *values;
    uint32_t count;
    arena_init(&arena, 1024, 1 << 20);
    assert_true(
        message_take_strings(message_put_strings(strings, 3, &arena), 3, &arena, &texts, &count));
    assert_int_equal(count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(texts[i], strings[i]);
    assert_null(texts[3]);
    assert_true(
        message_take_numbers(message_put_numbers(numbers, 3, &arena), 3, &arena, &values, &count));
    assert_int_equal(count, 3);
    assert_memory_equal(values, numbers, sizeof(numbers));
    assert_true(
        message_take_strings(message_put_strings(NULL, 0, &arena), 0, &arena, &texts, &count));
    assert_int_equal(count, 0);
    arena_release(&arena);
}

static void lists_that_are_too_long_or_damaged_are_refused(void **state)
{
    static const char *const strings[] = { "one", "two" };
    static const uint32_t numbers[] = { 1, 2 };
    struct arena arena;
    const char **texts;
    const uint32_t *values;
    uint32_t count;
    arena_init(&arena, 1024, 1 << 20);
    weir_str list = message_put_strings(strings, 2, &arena);
    assert_false(message_take_strings(list, 1, &arena, &texts, &count));
    for (uint64_t size = 0; size < list.size; size++)
        assert_false(message_take_strings((weir_str){ .data = list.data, .size = size }, 2, &arena,
            &texts, &count));
    weir_str row = message_put_numbers(numbers, 2, &arena);
    assert_false(message_take_numbers(row, 1, &arena, &values, &count));
    for (uint64_t size = 0; size < row.size; size++)
        assert_false(message_take_numbers((weir_str){ .data = row.data, .size = size }, 2, &arena,
            &values, &count));
    /* A count that the bytes cannot hold costs no memory; a string with a zero byte is none. */
    assert_false(message_take_numbers((weir_str){ .data = "\xff\xff\xff\xff", .size = 4 },
        UINT32_MAX, &arena, &values, &count));
    char *copy = arena_dup(&arena, list.data, list.size);
    *(char *)memchr(copy, 'n', list.size) = '\0';
    assert_false(message_take_strings((weir_str){ .data = copy, .size = list.size }, 2, &arena,
        &texts, &count));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was_sent),
        cmocka_unit_test(a_message_that_is_cut_is_damaged_and_says_which),
        cmocka_unit_test(kinds_that_do_not_exist_have_no_type),
        cmocka_unit_test(an_error_arrives_with_its_code_its_text_and_whether_to_try_again),
        cmocka_unit_test(lists_come_back),
        cmocka_unit_test(lists_that_are_too_long_or_damaged_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
