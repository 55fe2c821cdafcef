/* kafka_partitioner_test.c -- every record once, each key in order, partitions one behind the other. */
#include "connectors/kafka_partitioner.h"

#include "base/memory.h"
#include "test/support/random.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support/expect.h"

#define RECORDS 1000u
#define KEYS    40u

/* No leader is known, so each partition is as good as another. Thread: immutable. */
static const struct kafka_led all = { .count = 0 };

/* Records 0 .. count - 1 by their values; `text` holds them. */
struct fixture {
    struct kafka_partitioner partitioner;
    char (*text)[2][16];
};

static int set_up(void **state)
{
    struct fixture *it = mem_alloc(sizeof(*it));
    it->text = mem_alloc_array(RECORDS, sizeof(*it->text));
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    kafka_partitioner_release(&it->partitioner);
    mem_free(it->text);
    mem_free(it);
    return 0;
}

static weir_str view(const char *text)
{
    return (weir_str){ .data = text, .size = strlen(text) };
}

/* A key of KEYS; of KEYS itself: none. */
static void add(struct fixture *it, uint32_t number, uint32_t key)
{
    snprintf(it->text[number][0], sizeof(it->text[number][0]), "k%u", key);
    snprintf(it->text[number][1], sizeof(it->text[number][1]), "%u", number);
    kafka_partitioner_add(&it->partitioner,
        key == KEYS ? (weir_str){ .data = NULL } : view(it->text[number][0]),
        view(it->text[number][1]));
}

static void fill(struct fixture *it, uint32_t partitions, uint32_t first, uint32_t count,
    uint64_t seed)
{
    struct random random = { .state = seed };
    kafka_partitioner_start(&it->partitioner, partitions, &all, first);
    for (uint32_t i = 0; i < count; i++)
        add(it, i, random_below(&random, KEYS + 1));
    kafka_partitioner_sort(&it->partitioner);
}

static uint32_t number_of(const struct kafka_outgoing *record)
{
    return (uint32_t)strtoul(record->value.data, NULL, 10);
}

/* How many partitions have a record. */
static uint32_t count_fronts(const struct kafka_partitioner *it)
{
    uint32_t fronts = 0;
    bool is_seen[64] = { false };
    for (uint32_t i = 0; i < it->count; i++) {
        int32_t partition = kafka_partitioner_at(it, i)->partition;
        assert_in_range(partition, 0, it->partition_count - 1);
        fronts += !is_seen[partition];
        is_seen[partition] = true;
    }
    return fronts;
}

static void each_record_comes_once_and_of_a_partition_in_order(void **state)
{
    struct fixture *it = *state;
    static const uint32_t partitions[] = { 1, 2, 7, 64, 3 };
    for (uint32_t round = 0; round < 5; round++) {
        fill(it, partitions[round], round, RECORDS, round);
        bool is_seen[RECORDS] = { false };
        uint32_t last[64] = { 0 };
        for (uint32_t i = 0; i < RECORDS; i++) {
            const struct kafka_outgoing *record = kafka_partitioner_at(&it->partitioner, i);
            uint32_t number = number_of(record);
            assert_false(is_seen[number]);
            is_seen[number] = true;
            assert_true(number + 1 > last[record->partition]);
            last[record->partition] = number + 1;
        }
    }
}

static void the_first_of_each_partition_stand_in_front_and_the_others_together(void **state)
{
    struct fixture *it = *state;
    fill(it, 7, 0, RECORDS, 1);
    uint32_t fronts = count_fronts(&it->partitioner);
    assert_int_equal(fronts, 7);
    for (uint32_t i = 0; i + 1 < RECORDS; i++) {
        int32_t left = kafka_partitioner_at(&it->partitioner, i)->partition;
        int32_t right = kafka_partitioner_at(&it->partitioner, i + 1)->partition;
        if (i + 1 < fronts)
            assert_int_not_equal(left, right);
        else if (i >= fronts)
            assert_true(left <= right);
    }
}

/* The hashes are those that Kafka's own test of its murmur2 has. */
static void a_key_goes_where_javas_clients_put_it(void **state)
{
    struct fixture *it = *state;
    static const struct {
        const char *key;
        int32_t hash;
    } rows[] = { { "21", -973932308 }, { "foobar", -790332482 },
        { "a-little-bit-long-string", -985981536 }, { "abc", 479470107 } };
    kafka_partitioner_start(&it->partitioner, 16, &all, 0);
    for (uint32_t i = 0; i < 4; i++)
        kafka_partitioner_add(&it->partitioner, view(rows[i].key), view(rows[i].key));
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(it->partitioner.records[i].partition, (rows[i].hash & INT32_MAX) % 16);
}

static void records_without_a_key_are_spread_evenly_each_share_in_one_run(void **state)
{
    struct fixture *it = *state;
    uint32_t shares[4] = { 0 };
    kafka_partitioner_start(&it->partitioner, 4, &all, 3);
    for (uint32_t i = 0; i < 100; i++)
        add(it, i, KEYS);
    kafka_partitioner_sort(&it->partitioner);
    for (uint32_t i = 0; i < 100; i++) {
        const struct kafka_outgoing *record = &it->partitioner.records[i];
        assert_int_equal(record->partition, (3 + i / 25) % 4);
        shares[record->partition]++;
    }
    for (uint32_t p = 0; p < 4; p++)
        assert_int_equal(shares[p], 25);
}

static void records_without_a_key_go_around_partitions_without_a_leader_and_keys_do_not(
    void **state)
{
    struct fixture *it = *state;
    uint32_t led[] = { 0, 3 }, shares[4] = { 0 };
    kafka_partitioner_start(&it->partitioner, 4,
        &(struct kafka_led){ .partitions = led, .count = 2 }, 5);
    for (uint32_t i = 0; i < 100; i++)
        add(it, i, KEYS);
    kafka_partitioner_add(&it->partitioner, view("abc"), view("100"));
    kafka_partitioner_sort(&it->partitioner);
    for (uint32_t i = 0; i < 100; i++)
        shares[it->partitioner.records[i].partition]++;
    assert_int_equal(it->partitioner.records[0].partition, 3); /* the fifth of two, from zero */
    assert_int_equal(shares[0], 50);
    assert_int_equal(shares[3], 50);
    assert_int_equal(it->partitioner.records[100].partition, 479470107 % 4);
}

static void small_chunks_do_not_all_go_to_one_partition(void **state)
{
    struct fixture *it = *state;
    for (uint32_t first = 0; first < 8; first++) {
        kafka_partitioner_start(&it->partitioner, 4, &all, first);
        add(it, 0, KEYS);
        kafka_partitioner_sort(&it->partitioner);
        assert_int_equal(kafka_partitioner_at(&it->partitioner, 0)->partition, first % 4);
    }
}

static void without_partitions_the_client_decides_and_the_order_stays(void **state)
{
    struct fixture *it = *state;
    fill(it, 0, 0, RECORDS, 1);
    for (uint32_t i = 0; i < RECORDS; i++) {
        const struct kafka_outgoing *record = kafka_partitioner_at(&it->partitioner, i);
        assert_int_equal(number_of(record), i);
        assert_int_equal(record->partition, KAFKA_PARTITION_ANY);
    }
}

static void a_chunk_without_records_is_nothing(void **state)
{
    struct fixture *it = *state;
    fill(it, 4, 0, 0, 1);
    assert_int_equal(it->partitioner.count, 0);
}

static void a_tombstone_stays_one(void **state)
{
    struct fixture *it = *state;
    kafka_partitioner_start(&it->partitioner, 4, &all, 0);
    kafka_partitioner_add(&it->partitioner, WEIR_STR("key"), (weir_str){ .data = NULL });
    kafka_partitioner_sort(&it->partitioner);
    assert_null(kafka_partitioner_at(&it->partitioner, 0)->value.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_record_comes_once_and_of_a_partition_in_order, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            the_first_of_each_partition_stand_in_front_and_the_others_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_key_goes_where_javas_clients_put_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            records_without_a_key_are_spread_evenly_each_share_in_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            records_without_a_key_go_around_partitions_without_a_leader_and_keys_do_not, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(small_chunks_do_not_all_go_to_one_partition, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(without_partitions_the_client_decides_and_the_order_stays,
            set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_chunk_without_records_is_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tombstone_stays_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
