/* in_flight_test.c -- records in flight on a disk and back: each once, to whom its key belongs, and no file is believed. */
#include "runtime/task/in_flight.h"

#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/random.h"
#include "types/key_group.h"
#include "types/layout.h"

#include <stdio.h>

#include "test/support/expect.h"

#define DIRECTORY "/checkpoints/job"
#define RECORDS   500u
#define GROUPS    64u

struct note {
    uint64_t number;
    weir_str text;
};
WEIR_TYPE(note, WEIR_FIELD(1, note, number), WEIR_FIELD(2, note, text));
/* The same with another field and without one; and what it cannot become. */
struct wider {
    weir_str more;
    uint64_t number;
};
WEIR_TYPE(wider, WEIR_FIELD(1, wider, number), WEIR_FIELD(7, wider, more));
struct other {
    weir_str number;
};
WEIR_TYPE(other, WEIR_FIELD(1, other, number));

struct fixture {
    struct arena arena;
    struct operator_snapshot op;
    char *path;
};

static int set_up(void **state)
{
    struct fixture *it = mem_alloc(sizeof(*it));
    sim_os_start(1);
    arena_init(&it->arena, 4096, 1 << 20);
    it->op.uid = WEIR_STR("op");
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    arena_release(&it->arena);
    mem_free(it->path);
    mem_free(it);
    sim_os_stop();
    return 0;
}

/* Record `number` as it lies in a segment, its key's hash its number's. */
static size_t put_element(char *bytes, uint64_t number)
{
    char text[32];
    struct layout layout;
    layout_init(&layout, &note_type);
    snprintf(text, sizeof(text), "note %llu", (unsigned long long)number);
    struct note note = { .number = number, .text = weir_str_of(text) };
    size_t size = layout_size(&layout, &note);
    struct element *element = (struct element *)(void *)bytes;
    memset(bytes, 0, segment_element_size(size));
    *element = (struct element){ .size = (uint32_t)size,
        .kind = ELEMENT_RECORD,
        .value = (int64_t)number,
        .key_hash = hash_mix(number) };
    layout_write(&layout, &note, element + 1);
    return segment_element_size(size);
}

/* RECORDS of them: runs of three, each other run with a key. */
static void store(struct fixture *it)
{
    alignas(16) char run[3 * 256];
    weir_buffer *in_flight = in_flight_new();
    for (uint64_t number = 0; number < RECORDS; number += 3) {
        size_t size = 0;
        for (uint64_t i = number; i < number + 3 && i < RECORDS; i++)
            size += put_element(run + size, i);
        in_flight_add(in_flight, number % 2 == 0, (struct element *)(void *)run, size);
    }
    expect_ok(in_flight_store(in_flight, &note_type, DIRECTORY, 7, &it->arena, &it->op));
    weir_buffer_free(in_flight);
    it->path = mem_printf(DIRECTORY "/%s", it->op.staged[0].path);
}

static bool is_keyed(uint64_t number)
{
    return number / 3 * 3 % 2 == 0;
}

static weir_error *read_all(const struct fixture *it, const struct in_flight_owner *owner,
    uint32_t old, uint32_t *times, uint32_t batch)
{
    struct in_flight_reader reader;
    struct weir_row rows[64];
    uint32_t count;
    uint64_t last = 0;
    WEIR_TRY(in_flight_open(&reader, it->path, &note_type, old, owner));
    weir_error *error;
    while ((error = in_flight_next(&reader, rows, batch, &count)) == NULL && count > 0) {
        assert_in_range(count, 1, batch);
        for (uint32_t i = 0; i < count; i++) {
            const struct note *note = rows[i].record;
            char text[32];
            snprintf(text, sizeof(text), "note %llu", (unsigned long long)note->number);
            assert_true(weir_str_equal(note->text, weir_str_of(text)));
            assert_int_equal(rows[i].timestamp_ms, note->number);
            assert_int_equal(rows[i].key_hash, hash_mix(note->number));
            assert_true(note->number == 0 || note->number > last); /* in order */
            last = note->number;
            times[note->number] += owner->subtask + 1;
        }
    }
    in_flight_close(&reader);
    return error;
}

static void each_record_is_handed_over_once_to_whom_it_belongs(void **state)
{
    struct fixture *it = *state;
    store(it);
    assert_int_equal(it->op.staged_count, 1);
    assert_string_equal(it->op.staged[0].name, IN_FLIGHT_NAME);
    for (uint32_t parallelism = 1; parallelism <= 5; parallelism++) {
        for (uint32_t old = 0; old < 3; old++) {
            uint32_t times[RECORDS] = { 0 };
            for (uint32_t subtask = 0; subtask < parallelism; subtask++)
                expect_ok(read_all(it, &(struct in_flight_owner){ subtask, parallelism, GROUPS },
                    old, times, 1 + subtask * 7));
            for (uint64_t i = 0; i < RECORDS; i++) {
                uint32_t group = key_group_of(hash_mix(i), GROUPS);
                uint32_t owner =
                    is_keyed(i) ? key_group_subtask(group, parallelism, GROUPS) : old % parallelism;
                assert_int_equal(times[i], owner + 1);
            }
        }
    }
}

static void a_type_that_has_changed_is_read_as_a_savepoint_is(void **state)
{
    struct fixture *it = *state;
    struct in_flight_reader reader;
    struct weir_row rows[4];
    uint32_t count;
    const struct in_flight_owner owner = { 0, 1, GROUPS };
    store(it);
    expect_ok(in_flight_open(&reader, it->path, &wider_type, 0, &owner));
    expect_ok(in_flight_next(&reader, rows, 4, &count));
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(((const struct wider *)rows[i].record)->number, i);
        assert_null(((const struct wider *)rows[i].record)->more.data);
    }
    in_flight_close(&reader);
    expect_error(in_flight_open(&reader, it->path, &other_type, 0, &owner), WEIR_E_STATE,
        "take a savepoint, which has none in flight");
}

static void nothing_in_flight_is_a_file_without_records(void **state)
{
    struct fixture *it = *state;
    uint32_t times[RECORDS] = { 0 };
    weir_buffer *in_flight = in_flight_new();
    expect_ok(in_flight_store(in_flight, &note_type, DIRECTORY, 7, &it->arena, &it->op));
    weir_buffer_free(in_flight);
    it->path = mem_printf(DIRECTORY "/%s", it->op.staged[0].path);
    expect_ok(read_all(it, &(struct in_flight_owner){ 0, 1, GROUPS }, 0, times, 64));
}

/* Its checksum is looked at before; whoever reads it believes nothing all the same. */
static void a_file_that_is_cut_or_changed_is_an_error_or_still_whole(void **state)
{
    struct fixture *it = *state;
    char *bytes;
    size_t size;
    uint32_t refused = 0;
    struct random random = { 1 };
    store(it);
    expect_ok(os_read_file(it->path, 1 << 20, &bytes, &size));
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t at = random_below(&random, (uint32_t)size);
        char was = bytes[at];
        size_t cut = i % 2 == 0 ? at : size;
        bytes[at] = (char)(was ^ (1 << random_below(&random, 8)));
        expect_ok(os_write_file(it->path, bytes, cut));
        bytes[at] = was;
        struct in_flight_reader reader;
        struct weir_row rows[64];
        uint32_t count = 1;
        weir_error *error = in_flight_open(&reader, it->path, &note_type, 0,
            &(struct in_flight_owner){ 0, 1, GROUPS });
        if (error == NULL) {
            while (error == NULL && count > 0)
                error = in_flight_next(&reader, rows, 64, &count);
            in_flight_close(&reader);
        }
        refused += error != NULL;
        weir_error_free(error);
    }
    mem_free(bytes);
    assert_true(refused > 150); /* nearly each cut: between two records it still is whole */
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_record_is_handed_over_once_to_whom_it_belongs),
        TEST(a_type_that_has_changed_is_read_as_a_savepoint_is),
        TEST(nothing_in_flight_is_a_file_without_records),
        TEST(a_file_that_is_cut_or_changed_is_an_error_or_still_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
