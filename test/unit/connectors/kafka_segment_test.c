/* kafka_segment_test.c -- what is staged comes back, chunk by chunk, or it is said to be broken. */
#include "connectors/kafka_segment.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/support/fault_os.h"
#include "test/support/random.h"
#include "test/support/temp_dir.h"

#include <errno.h>
#include <stdio.h>

#include "test/support/expect.h"

#define RECORD_MAX ((size_t)16 << 20)

struct fixture {
    char *dir;
    const char *path;
    struct kafka_segment *segment;
};

static int set_up(void **state)
{
    struct fixture *it = mem_alloc(sizeof(*it));
    it->dir = temp_dir_new();
    it->path = mem_printf("%s/one.segment", it->dir);
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    kafka_segment_free(it->segment);
    temp_dir_free(it->dir);
    mem_free((char *)(uintptr_t)it->path);
    mem_free(it);
    return 0;
}

static void begin(struct fixture *it, uint32_t chunk_size)
{
    kafka_segment_free(it->segment);
    it->segment = kafka_segment_new(it->path, chunk_size);
}

static void add(struct fixture *it, const char *key, const char *value)
{
    weir_str none = { .data = NULL };
    expect_ok(kafka_segment_add(it->segment, key == NULL ? none : weir_str_of(key),
        value == NULL ? none : weir_str_of(value)));
}

static const struct kafka_chunk *finish(struct fixture *it, uint32_t *count)
{
    expect_ok(kafka_segment_finish(it->segment));
    return kafka_segment_chunks(it->segment, count);
}

/* -- reading back ----------------------------------------------------------------------------------- */

/* What the reader saw: "key=value;", a null as "-". */
struct seen {
    weir_buffer *text;
    uint32_t count;
    uint32_t fail_at; /* 0: never */
};

static void see(weir_buffer *text, weir_str bytes)
{
    if (bytes.data == NULL)
        weir_buffer_add_byte(text, '-');
    else
        weir_buffer_add_str(text, bytes);
}

static weir_error *on_record(void *arg, weir_str key, weir_str value)
{
    struct seen *seen = arg;
    if (++seen->count == seen->fail_at)
        return weir_errorf(WEIR_E_CONNECTOR, "enough");
    see(seen->text, key);
    weir_buffer_add_byte(seen->text, '=');
    see(seen->text, value);
    weir_buffer_add_byte(seen->text, ';');
    return NULL;
}

static weir_error *read_chunk(const char *path, const struct kafka_chunk *chunk,
    kafka_chunk_fn *each, void *arg)
{
    struct kafka_chunk_buffer buffer = { 0 };
    weir_error *error = kafka_chunk_read(path, chunk, &buffer, each, arg);
    kafka_chunk_buffer_release(&buffer);
    return error;
}

static void expect_chunk(struct fixture *it, const struct kafka_chunk *chunk, const char *text)
{
    struct seen seen = { .text = weir_buffer_new(1u << 20) };
    expect_ok(read_chunk(it->path, chunk, on_record, &seen));
    weir_str got = weir_buffer_view(seen.text);
    assert_int_equal(got.size, strlen(text));
    assert_memory_equal(got.data, text, got.size);
    assert_int_equal(seen.count, chunk->records);
    weir_buffer_free(seen.text);
}

static weir_error *ignore(void *arg, weir_str key, weir_str value)
{
    uint64_t *size = arg;
    *size += key.size + value.size;
    return NULL;
}

static weir_error *read_all(const char *path, const struct kafka_chunk *chunks, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++)
        WEIR_TRY(read_chunk(path, &chunks[i], ignore, &size));
    return NULL;
}

/* -- tests ---------------------------------------------------------------------------------------------- */

static void keys_and_values_come_back_null_and_empty_apart(void **state)
{
    struct fixture *it = *state;
    uint32_t count;
    begin(it, 1000);
    add(it, "k", "v");
    add(it, "", "");
    add(it, NULL, "v");
    add(it, "k", NULL);
    add(it, NULL, NULL);
    add(it, "", NULL);
    add(it, NULL, "");
    const struct kafka_chunk *chunks = finish(it, &count);
    assert_int_equal(count, 1);
    assert_int_equal(chunks[0].records, 7);
    assert_int_equal(chunks[0].size, 4);
    assert_int_equal(kafka_segment_record_count(it->segment), 7);
    expect_chunk(it, chunks, "k=v;=;-=v;k=-;-=-;=-;-=;");
}

static void an_empty_segment_leaves_no_file(void **state)
{
    struct fixture *it = *state;
    uint32_t count;
    struct os_stat stat;
    begin(it, 1000);
    finish(it, &count);
    assert_int_equal(count, 0);
    expect_ok(os_stat(it->path, &stat));
    assert_false(stat.exists);
}

static void a_chunk_ends_before_it_grows_too_large(void **state)
{
    struct fixture *it = *state;
    uint32_t count;
    begin(it, 10);
    add(it, "a", "1234");          /* 5 */
    add(it, "b", "1234");          /* 10: just fits */
    add(it, "c", "");              /* next chunk */
    add(it, "d", "12345678");      /* 1 + 9 = 10 */
    add(it, NULL, NULL);           /* no bytes at all: fits */
    add(it, "e", "0123456789abc"); /* larger than a chunk: alone */
    add(it, "f", "x");
    const struct kafka_chunk *chunks = finish(it, &count);
    assert_int_equal(count, 4);
    expect_chunk(it, &chunks[0], "a=1234;b=1234;");
    expect_chunk(it, &chunks[1], "c=;d=12345678;-=-;");
    expect_chunk(it, &chunks[2], "e=0123456789abc;");
    expect_chunk(it, &chunks[3], "f=x;");
    expect_chunk(it, &chunks[1], "c=;d=12345678;-=-;"); /* in any order, again */
}

static void a_chunk_ends_at_its_number_of_records(void **state)
{
    struct fixture *it = *state;
    uint32_t count;
    begin(it, 4u << 20);
    for (uint32_t i = 0; i < 2 * KAFKA_CHUNK_RECORDS_MAX + 1; i++)
        add(it, NULL, "");
    const struct kafka_chunk *chunks = finish(it, &count);
    assert_int_equal(count, 3);
    assert_int_equal(chunks[0].records, KAFKA_CHUNK_RECORDS_MAX);
    assert_int_equal(chunks[1].records, KAFKA_CHUNK_RECORDS_MAX);
    assert_int_equal(chunks[2].records, 1);
    expect_ok(read_all(it->path, chunks, count));
}

static weir_error *compare_large(void *arg, weir_str key, weir_str value)
{
    uint32_t *seed = arg;
    assert_int_equal(key.size, 4);
    assert_memory_equal(key.data, seed, 4);
    for (size_t i = 0; i < value.size; i += 4099)
        assert_int_equal((uint8_t)value.data[i], (uint8_t)(i * 31 + *seed));
    ++*seed;
    return NULL;
}

static void records_up_to_the_limit_come_back(void **state)
{
    struct fixture *it = *state;
    static const size_t sizes[] = { 0, 1, (256u << 10) - 13, (256u << 10) - 12, 256u << 10,
        1u << 20, RECORD_MAX - 4, 3 };
    uint32_t count, seed = 0;
    char *bytes = mem_alloc(RECORD_MAX);
    begin(it, 8u << 20);
    for (uint32_t n = 0; n < COUNT_OF(sizes); n++) {
        for (size_t i = 0; i < sizes[n]; i++)
            bytes[i] = (char)(i * 31 + n);
        weir_str key = { .data = (const char *)&n, .size = 4 };
        expect_ok(
            kafka_segment_add(it->segment, key, (weir_str){ .data = bytes, .size = sizes[n] }));
    }
    mem_free(bytes);
    const struct kafka_chunk *chunks = finish(it, &count);
    assert_true(count > 1);
    for (uint32_t i = 0; i < count; i++)
        expect_ok(read_chunk(it->path, &chunks[i], compare_large, &seed));
    assert_int_equal(seed, COUNT_OF(sizes));
}

/* Where the records of a chunk lie. */
struct kept {
    weir_str values[100];
    uint32_t count;
};

static weir_error *keep(void *arg, weir_str key, weir_str value)
{
    struct kept *kept = arg;
    (void)key;
    kept->values[kept->count++] = value;
    return NULL;
}

/* Of several blocks, so that each would have had the place of the one before. */
static void records_stay_where_they_are_until_the_next_chunk_is_read(void **state)
{
    struct fixture *it = *state;
    struct kafka_chunk_buffer buffer = { 0 };
    static char bytes[50000];
    uint32_t count;
    begin(it, 2u << 20);
    for (uint32_t i = 0; i < 80; i++) {
        memset(bytes, 'a' + (int)i % 26, sizeof(bytes));
        expect_ok(kafka_segment_add(it->segment, (weir_str){ .data = NULL },
            (weir_str){ .data = bytes, .size = sizeof(bytes) }));
    }
    const struct kafka_chunk *chunks = finish(it, &count);
    assert_int_equal(count, 2);
    for (uint32_t chunk = 0, number = 0; chunk < count; chunk++) {
        struct kept kept = { .count = 0 };
        expect_ok(kafka_chunk_read(it->path, &chunks[chunk], &buffer, keep, &kept));
        for (uint32_t i = 0; i < kept.count; i++, number++) {
            memset(bytes, 'a' + (int)number % 26, sizeof(bytes));
            assert_int_equal(kept.values[i].size, sizeof(bytes));
            assert_memory_equal(kept.values[i].data, bytes, sizeof(bytes));
        }
    }
    kafka_chunk_buffer_release(&buffer);
}

static void add_too_large(void *arg)
{
    struct fixture *it = arg;
    char *bytes = mem_alloc(RECORD_MAX + 1);
    weir_str value = { .data = bytes, .size = RECORD_MAX + 1 };
    weir_error_free(kafka_segment_add(it->segment, (weir_str){ .data = NULL }, value));
}

static void a_record_over_the_limit_is_the_callers_defect(void **state)
{
    struct fixture *it = *state;
    begin(it, 1000);
    expect_abort(add_too_large, it);
}

static void an_error_of_the_callback_ends_the_reading(void **state)
{
    struct fixture *it = *state;
    struct seen seen = { .text = weir_buffer_new(1000), .fail_at = 2 };
    uint32_t count;
    begin(it, 1000);
    for (uint32_t i = 0; i < 5; i++)
        add(it, "k", "v");
    const struct kafka_chunk *chunks = finish(it, &count);
    expect_error(read_chunk(it->path, chunks, on_record, &seen), WEIR_E_CONNECTOR, "enough");
    assert_int_equal(seen.count, 2);
    weir_buffer_free(seen.text);
}

/* Three chunks of a few blocks each; the bytes of the file in memory. */
static char *sample_file(struct fixture *it, const struct kafka_chunk **chunks, uint32_t *count,
    size_t *size)
{
    struct random random = { 7 };
    char value[3000], *bytes;
    begin(it, 700000);
    for (uint32_t i = 0; i < 600; i++) {
        for (size_t b = 0; b < sizeof(value); b++)
            value[b] = (char)random_below(&random, 40);
        expect_ok(kafka_segment_add(it->segment, (weir_str){ .data = value, .size = i % 9 },
            (weir_str){ .data = value, .size = sizeof(value) }));
    }
    *chunks = finish(it, count);
    assert_int_equal(*count, 3);
    expect_ok(os_read_file(it->path, 16u << 20, &bytes, size));
    return bytes;
}

static void every_changed_byte_is_noticed(void **state)
{
    struct fixture *it = *state;
    const struct kafka_chunk *chunks;
    uint32_t count;
    size_t size;
    char *bytes = sample_file(it, &chunks, &count, &size);
    for (size_t i = 0; i < size; i += i < 40 ? 1 : 19937) {
        bytes[i] ^= 0x40;
        temp_dir_write(it->path, bytes, size);
        expect_error(read_all(it->path, chunks, count), WEIR_E_CORRUPT, "one.segment");
        bytes[i] ^= 0x40;
    }
    temp_dir_write(it->path, bytes, size);
    expect_ok(read_all(it->path, chunks, count));
    mem_free(bytes);
}

static void a_file_cut_anywhere_is_noticed(void **state)
{
    struct fixture *it = *state;
    const struct kafka_chunk *chunks;
    uint32_t count;
    size_t size;
    char *bytes = sample_file(it, &chunks, &count, &size);
    for (size_t cut = 0; cut < size; cut += cut < 20 ? 1 : 39979) {
        temp_dir_write(it->path, bytes, cut);
        expect_error(read_all(it->path, chunks, count), WEIR_E_CORRUPT, "it ends too early");
    }
    expect_ok(os_remove(it->path));
    expect_error(read_all(it->path, chunks, count), WEIR_E_IO, "one.segment");
    mem_free(bytes);
}

static void a_list_that_does_not_fit_the_file_is_noticed(void **state)
{
    struct fixture *it = *state;
    const struct kafka_chunk *chunks;
    uint32_t count;
    size_t size;
    mem_free(sample_file(it, &chunks, &count, &size));
    struct kafka_chunk wrong = chunks[1];
    wrong.records--;
    expect_error(read_all(it->path, &wrong, 1), WEIR_E_CORRUPT, "more records than listed");
    wrong = chunks[2];
    wrong.records++;
    expect_error(read_all(it->path, &wrong, 1), WEIR_E_CORRUPT, "it ends too early");
    wrong = chunks[1];
    wrong.offset++;
    expect_error(read_all(it->path, &wrong, 1), WEIR_E_CORRUPT, "one.segment");
    wrong.offset = UINT64_C(1) << 40;
    expect_error(read_all(it->path, &wrong, 1), WEIR_E_CORRUPT, "it ends too early");
}

/* A write that failed half-way has left bytes in the file that no list speaks of: what comes after
 * them could never be read, so the segment takes nothing more, and says so each time. */
static void after_a_failed_write_a_segment_takes_nothing_more(void **state)
{
    struct fixture *it = *state;
    uint32_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        char value[4000] = { 1 };
        weir_error *error = NULL;
        uint32_t count, added = 0;
        begin(it, 300000);
        fault_os_start(nth, FAULT_ONCE, ENOSPC);
        for (uint32_t i = 0; i < 300; i++) {
            for (size_t b = 0; b < sizeof(value); b++)
                value[b] = (char)hash_mix(i * sizeof(value) + b);
            error = kafka_segment_add(it->segment, (weir_str){ .data = NULL },
                (weir_str){ .data = value, .size = sizeof(value) });
            if (error != NULL)
                break;
            added++;
        }
        if (error == NULL)
            error = kafka_segment_finish(it->segment);
        bool was_hit = fault_os_stop();
        assert_int_equal(was_hit, error != NULL);
        if (!was_hit) {
            const struct kafka_chunk *chunks = finish(it, &count);
            expect_ok(read_all(it->path, chunks, count));
            break;
        }
        failures++;
        expect_error(error, WEIR_E_DISK_FULL, "one.segment");
        expect_error(kafka_segment_add(it->segment, WEIR_STR("k"), WEIR_STR("v")), WEIR_E_IO,
            "an earlier write");
        expect_error(kafka_segment_finish(it->segment), WEIR_E_IO, "an earlier write");
    }
    assert_true(failures > 5);
}

static void random_segments_come_back(void **state)
{
    struct fixture *it = *state;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct random random = { seed };
        weir_buffer *expected = weir_buffer_new(16u << 20);
        struct seen seen = { .text = weir_buffer_new(16u << 20) };
        uint32_t count, records = (uint32_t)random_below(&random, 3000);
        begin(it, 1 + (uint32_t)random_below(&random, 100000));
        for (uint32_t i = 0; i < records; i++) {
            char key[64], value[512];
            size_t key_size = random_below(&random, sizeof(key));
            size_t value_size = random_below(&random, sizeof(value));
            memset(key, 'a' + (int)random_below(&random, 26), sizeof(key));
            memset(value, 'A' + (int)random_below(&random, 26), sizeof(value));
            weir_str k = { .data = random_below(&random, 5) == 0 ? NULL : key };
            weir_str v = { .data = random_below(&random, 5) == 0 ? NULL : value };
            k.size = k.data == NULL ? 0 : key_size;
            v.size = v.data == NULL ? 0 : value_size;
            expect_ok(kafka_segment_add(it->segment, k, v));
            struct seen to = { .text = expected };
            expect_ok(on_record(&to, k, v));
        }
        const struct kafka_chunk *chunks = finish(it, &count);
        for (uint32_t i = 0; i < count; i++)
            expect_ok(read_chunk(it->path, &chunks[i], on_record, &seen));
        weir_str a = weir_buffer_view(expected), b = weir_buffer_view(seen.text);
        assert_int_equal(seen.count, records);
        assert_true(weir_str_equal(a, b));
        weir_buffer_free(expected);
        weir_buffer_free(seen.text);
    }
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_and_values_come_back_null_and_empty_apart),
        TEST(an_empty_segment_leaves_no_file),
        TEST(a_chunk_ends_before_it_grows_too_large),
        TEST(a_chunk_ends_at_its_number_of_records),
        TEST(records_up_to_the_limit_come_back),
        TEST(records_stay_where_they_are_until_the_next_chunk_is_read),
        TEST(a_record_over_the_limit_is_the_callers_defect),
        TEST(an_error_of_the_callback_ends_the_reading),
        TEST(every_changed_byte_is_noticed),
        TEST(a_file_cut_anywhere_is_noticed),
        TEST(a_list_that_does_not_fit_the_file_is_noticed),
        TEST(after_a_failed_write_a_segment_takes_nothing_more),
        TEST(random_segments_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
