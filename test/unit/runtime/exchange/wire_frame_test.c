/* wire_frame_test.c -- frames out of bytes that are cut anywhere, changed anywhere, or no frames at all. */
#include "runtime/exchange/wire_frame.h"

#include "base/memory.h"
#include "test/support/expect.h"
#include "test/support/sample.h"

#include <stdio.h>

#define STREAM_MAX (512u << 10)

/* Bytes of frames, and what the reader said of them as text: "hello 56 segment 7 64 credit 7 9 ". */
struct bench {
    struct segment_pool *pool;
    struct wire_frame_reader reader;
    char *stream;
    size_t size;
    char text[4096];
    size_t text_size;
};

static void note(struct bench *bench, const char *what, uint32_t a, uint32_t b)
{
    bench->text_size += (size_t)snprintf(bench->text + bench->text_size,
        sizeof(bench->text) - bench->text_size, "%s %u %u ", what, a, b);
}

static weir_error *on_hello(void *arg, const char *payload, uint32_t size)
{
    note(arg, "hello", size, (uint32_t)(uint8_t)payload[size - 1]);
    return NULL;
}

static weir_error *on_begin(void *arg, uint32_t channel, uint32_t size, struct segment **segment)
{
    struct bench *bench = arg;
    *segment = segment_take_copy(bench->pool, size);
    assert_non_null(*segment);
    return NULL;
}

static weir_error *on_segment(void *arg, uint32_t channel, struct segment *segment)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < segment->used; i++)
        sum = sum * 31 + (uint8_t)segment->bytes[i];
    note(arg, "segment", channel, segment->record_count);
    note(arg, "of", segment->used, sum);
    segment_give(segment);
    return NULL;
}

static weir_error *on_credit(void *arg, uint32_t channel, uint32_t granted)
{
    note(arg, "credit", channel, granted);
    return NULL;
}

static void begin(struct bench *bench)
{
    struct wire_frame_calls calls = { bench, on_hello, on_begin, on_segment, on_credit };
    wire_frame_reader_init(&bench->reader, &calls);
    bench->text_size = 0;
    bench->text[0] = 0;
}

static int set_up(void **state)
{
    struct bench *bench = mem_alloc(sizeof(*bench));
    bench->pool = segment_pool_new((size_t)16 << 20);
    bench->stream = mem_alloc(STREAM_MAX);
    begin(bench);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    wire_frame_reader_release(&bench->reader);
    segment_pool_free(bench->pool); /* asserts that all have come back */
    mem_free(bench->stream);
    mem_free(bench);
    return 0;
}

static void append(struct bench *bench, struct wire_frame_header header, const void *payload)
{
    wire_frame_seal(&header, payload);
    assert_true(bench->size + sizeof(header) + header.size <= STREAM_MAX);
    memcpy(bench->stream + bench->size, &header, sizeof(header));
    if (header.size > 0)
        memcpy(bench->stream + bench->size + sizeof(header), payload, header.size);
    bench->size += sizeof(header) + header.size;
}

static const struct wire_frame_hello own = { .job = "job",
    .attempt = 7,
    .worker = 1,
    .worker_count = 3,
    .secret = { 1, 2, 3 } };

static void append_hello(struct bench *bench)
{
    char payload[WIRE_FRAME_HELLO_SIZE + 8];
    struct wire_frame_hello hello = own;
    hello.worker = 0;
    uint32_t size = wire_frame_write_hello(&hello, payload);
    append(bench, (struct wire_frame_header){ .type = WIRE_FRAME_HELLO, .size = size }, payload);
}

static void append_credit(struct bench *bench, uint32_t channel, uint32_t granted)
{
    append(bench,
        (struct wire_frame_header){ .type = WIRE_FRAME_CREDIT,
            .channel = channel,
            .value = granted },
        NULL);
}

/* A segment of records of these sizes. */
static void append_records(struct bench *bench, uint32_t channel, const uint32_t *sizes,
    uint32_t count)
{
    struct segment *segment = segment_take(bench->pool, sizes[0]);
    for (uint32_t i = 0; i < count; i++) {
        struct element *element = segment_add(segment, ELEMENT_RECORD, sizes[i]);
        assert_non_null(element);
        for (uint32_t b = 0; b < segment_element_size(sizes[i]) - sizeof(*element); b++)
            ((char *)(element + 1))[b] = (char)sample_random(channel, i * 31 + b);
    }
    append(bench,
        (struct wire_frame_header){ .type = WIRE_FRAME_SEGMENT,
            .channel = channel,
            .size = segment->used },
        segment->bytes);
    segment_give(segment);
}

static void append_barrier(struct bench *bench, uint32_t channel)
{
    struct element barrier = { .kind = ELEMENT_BARRIER, .value = 4 };
    append(bench,
        (struct wire_frame_header){ .type = WIRE_FRAME_SEGMENT,
            .channel = channel,
            .size = sizeof(barrier) },
        &barrier);
}

/* Gives the reader so many bytes as if a read had brought them: at most what it has asked for. */
static weir_error *feed(struct bench *bench, const char *bytes, size_t size)
{
    while (size > 0) {
        struct iovec pieces[2];
        uint32_t count = wire_frame_reader_pieces(&bench->reader, pieces);
        size_t moved = 0;
        for (uint32_t i = 0; i < count; i++) {
            assert_true(pieces[i].iov_len > 0);
            size_t part = pieces[i].iov_len < size - moved ? pieces[i].iov_len : size - moved;
            memcpy(pieces[i].iov_base, bytes + moved, part);
            moved += part;
        }
        WEIR_TRY(wire_frame_reader_took(&bench->reader, moved));
        bytes += moved;
        size -= moved;
    }
    return NULL;
}

/* Some of everything, small. */
static void write_small(struct bench *bench)
{
    append_hello(bench);
    append_credit(bench, 3, 6);
    append_records(bench, 5, (uint32_t[]){ 1, 100, 16 }, 3);
    append_barrier(bench, 5);
    append_credit(bench, 4, UINT32_MAX);
    append_records(bench, 6, (uint32_t[]){ 0 }, 1);
}

/* -- tests ------------------------------------------------------------------------------------ */

static void frames_are_the_same_wherever_the_bytes_are_cut(void **state)
{
    struct bench *bench = *state;
    char whole[sizeof(bench->text)];
    write_small(bench);
    expect_ok(feed(bench, bench->stream, bench->size));
    memcpy(whole, bench->text, sizeof(whole));
    assert_non_null(strstr(whole, "hello 59 98 credit 3 6 segment 5 3 "));
    assert_non_null(strstr(whole, "credit 4 4294967295 segment 6 1 of 32 "));
    for (size_t cut = 1; cut < bench->size; cut++) {
        begin(bench);
        expect_ok(feed(bench, bench->stream, cut));
        expect_ok(feed(bench, bench->stream + cut, bench->size - cut));
        assert_string_equal(bench->text, whole);
    }
    for (size_t step = 1; step < 64; step++) {
        begin(bench);
        for (size_t at = 0; at < bench->size; at += step)
            expect_ok(
                feed(bench, bench->stream + at, step < bench->size - at ? step : bench->size - at));
        assert_string_equal(bench->text, whole);
    }
}

static void large_segments_are_read_in_place_however_they_are_cut(void **state)
{
    struct bench *bench = *state;
    char whole[sizeof(bench->text)];
    append_hello(bench);
    append_records(bench, 1, (uint32_t[]){ 20000, 12000 }, 2);
    append_records(bench, 2, (uint32_t[]){ 100000 }, 1);
    append_barrier(bench, 2);
    append_records(bench, 1, (uint32_t[]){ 9000, 1, 9000 }, 3);
    append_credit(bench, 9, 1);
    expect_ok(feed(bench, bench->stream, bench->size));
    memcpy(whole, bench->text, sizeof(whole));
    for (uint64_t seed = 0; seed < 100; seed++) {
        begin(bench);
        for (size_t at = 0, part; at < bench->size; at += part) {
            part = 1 + sample_random(seed, at) % 12000;
            part = part < bench->size - at ? part : bench->size - at;
            expect_ok(feed(bench, bench->stream + at, part));
        }
        assert_string_equal(bench->text, whole);
    }
}

/* Whatever bit is changed, nothing that is wrong comes out, and an error does as soon as the frame is whole. */
static void a_changed_bit_is_noticed_before_anybody_sees_it(void **state)
{
    struct bench *bench = *state;
    char whole[sizeof(bench->text)];
    write_small(bench);
    append_records(bench, 6, (uint32_t[]){ 30000 },
        1); /* so that a longer size is not waited for */
    size_t size = bench->size;
    expect_ok(feed(bench, bench->stream, size));
    memcpy(whole, bench->text, sizeof(whole));
    for (size_t at = 0; at < 500; at++) {
        begin(bench);
        bench->stream[at] ^= (char)(1 << at % 8);
        weir_error *error = feed(bench, bench->stream, size);
        bench->stream[at] ^= (char)(1 << at % 8);
        if (error != NULL)
            expect_error(error, WEIR_E_CORRUPT, "");
        else
            assert_non_null(bench->reader.segment); /* a longer size: it waits for the rest */
        assert_memory_equal(bench->text, whole, bench->text_size);
        assert_true(bench->text_size < strlen(whole));
        wire_frame_reader_release(&bench->reader);
    }
}

static void frames_that_do_not_fit_are_refused_by_their_header(void **state)
{
    struct bench *bench = *state;
    static const struct wire_frame_header headers[] = {
        { .type = 0, .size = 0 },
        { .type = 4, .size = 32 },
        { .type = WIRE_FRAME_HELLO, .size = WIRE_FRAME_HELLO_SIZE }, /* a second one */
        { .type = WIRE_FRAME_SEGMENT, .size = 0 },
        { .type = WIRE_FRAME_SEGMENT, .size = 16 },
        { .type = WIRE_FRAME_SEGMENT, .size = 40 },
        { .type = WIRE_FRAME_SEGMENT, .size = (2u << 20) + 48 },
        { .type = WIRE_FRAME_SEGMENT, .size = UINT32_MAX - 15 },
        { .type = WIRE_FRAME_CREDIT, .size = 16 },
    };
    append_hello(bench);
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        begin(bench);
        expect_ok(feed(bench, bench->stream, bench->size));
        weir_error *error = feed(bench, (const char *)&headers[i], sizeof(headers[i]));
        assert_true(error != NULL && weir_error_is_retriable(error));
        expect_error(error, WEIR_E_CORRUPT, "does not fit here");
    }
}

static void nothing_but_a_hello_is_read_of_a_stranger(void **state)
{
    struct bench *bench = *state;
    static const struct wire_frame_header headers[] = {
        { .type = WIRE_FRAME_SEGMENT, .size = 32 },
        { .type = WIRE_FRAME_CREDIT },
        { .type = WIRE_FRAME_HELLO, .size = WIRE_FRAME_HELLO_SIZE + WIRE_FRAME_JOB_MAX + 1 },
    };
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        begin(bench);
        expect_error(feed(bench, (const char *)&headers[i], sizeof(headers[i])), WEIR_E_CORRUPT,
            "where a hello is expected");
    }
    assert_int_equal(segment_pool_used(bench->pool), 0);
}

static void segments_with_broken_elements_are_refused(void **state)
{
    struct bench *bench = *state;
    struct element broken[2][2] = {
        { { .size = 17, .kind = ELEMENT_RECORD } },             /* past the end */
        { { .size = 0, .kind = ELEMENT_END + 1, .value = 1 } }, /* of no kind */
    };
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        begin(bench);
        bench->size = 0;
        append_hello(bench);
        append(bench,
            (struct wire_frame_header){ .type = WIRE_FRAME_SEGMENT, .channel = 8, .size = 48 },
            broken[i]);
        expect_error(feed(bench, bench->stream, bench->size), WEIR_E_CORRUPT,
            "channel 8 has broken elements");
        wire_frame_reader_release(&bench->reader);
    }
}

static void a_hello_is_only_right_with_the_job_the_attempt_and_the_secret(void **state)
{
    static const struct {
        struct wire_frame_hello hello;
        uint32_t size; /* 0: whole */
        int version_change;
        enum weir_code code;
        const char *text;
    } rows[] = {
        { { "job", 7, 2, 3, { 1, 2, 4 } }, 0, 0, WEIR_E_FENCED, "secret" },
        { { "job", 7, 2, 3, { 0 } }, 0, 0, WEIR_E_FENCED, "secret" },
        { { "jo", 7, 2, 3, { 1, 2, 3 } }, 0, 0, WEIR_E_FENCED, "not of job 'job'" },
        { { "joe", 7, 2, 3, { 1, 2, 3 } }, 0, 0, WEIR_E_FENCED, "not of job 'job'" },
        { { "job", 6, 2, 3, { 1, 2, 3 } }, 0, 0, WEIR_E_FENCED, "attempt 6, this one of 7" },
        { { "job", 7, 1, 3, { 1, 2, 3 } }, 0, 0, WEIR_E_INTERNAL, "worker 1 of 3" },
        { { "job", 7, 3, 3, { 1, 2, 3 } }, 0, 0, WEIR_E_INTERNAL, "worker 3 of 3" },
        { { "job", 7, 2, 4, { 1, 2, 3 } }, 0, 0, WEIR_E_INTERNAL, "worker 2 of 4" },
        { { "job", 7, 2, 3, { 1, 2, 3 } }, 0, 1, WEIR_E_STATE, "version 2" },
        { { "job", 7, 2, 3, { 1, 2, 3 } }, 7, 0, WEIR_E_CORRUPT, "no worker" },
        { { "job", 7, 2, 3, { 1, 2, 3 } }, 55, 0, WEIR_E_CORRUPT, "cut short" },
    };
    char payload[WIRE_FRAME_HELLO_SIZE + 8];
    uint32_t worker = 99;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t size = wire_frame_write_hello(&rows[i].hello, payload);
        payload[4] = (char)(payload[4] + rows[i].version_change);
        expect_error(wire_frame_check_hello(&own, payload, rows[i].size ? rows[i].size : size,
                         &worker),
            rows[i].code, rows[i].text);
    }
    assert_int_equal(worker, 99);
    struct wire_frame_hello right = own;
    right.worker = 2;
    expect_ok(
        wire_frame_check_hello(&own, payload, wire_frame_write_hello(&right, payload), &worker));
    assert_int_equal(worker, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_are_the_same_wherever_the_bytes_are_cut, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(large_segments_are_read_in_place_however_they_are_cut,
            set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_bit_is_noticed_before_anybody_sees_it, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(frames_that_do_not_fit_are_refused_by_their_header, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(nothing_but_a_hello_is_read_of_a_stranger, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(segments_with_broken_elements_are_refused, set_up,
            tear_down),
        cmocka_unit_test(a_hello_is_only_right_with_the_job_the_attempt_and_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
