/* format_test.c -- what goes in comes out; nothing else gets through. */
#include "checkpoint/format.h"

#include "base/buffer.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))
#define HEADER_SIZE   32u

static void sample_operator(struct operator_snapshot *operator, struct arena * arena,
    uint32_t subtask)
{
    *operator=(struct operator_snapshot){ .uid = WEIR_STR("build-profile"),
        .subtask = subtask,
        .parallelism = 2,
        .backend = WEIR_STR("hashmap"),
        .schema = 0xabcdef,
        .schema_text = WEIR_STR("value p {1 user_id u64}"),
        .states = WEIR_STR("STATES"),
        .groups = { subtask * 4, 3 + subtask * 4 },
        .file_count = 1,
        .staged_count = 1,
        .item_count = 2,
        .counter_count = 1 };
    operator->files = arena_alloc(arena, sizeof(struct state_file));
    operator->files[0] =(struct state_file){ .name = "000001.sst",
        .path = "shared/aa-3-1",
        .length = 3,
        .checksum = UINT64_MAX };
    operator->staged = arena_alloc(arena, sizeof(struct state_file));
    operator->staged[0] =(struct state_file){ .name = "segment", .path = "shared/bb-0-1" };
    operator->items = arena_alloc(arena, 2 * sizeof(struct weir_item));
    operator->items[0] =(struct weir_item){ .name = WEIR_STR("part-0"), .value = WEIR_STR("17") };
    operator->items[1] =(struct weir_item){ .name = WEIR_STR(""), .value = { .data = NULL } };
    operator->counters = arena_alloc(arena, sizeof(int64_t));
    operator->counters[0] = - 5;
    operator->counter_names = arena_alloc(arena, sizeof(weir_str));
    operator->counter_names[0] = WEIR_STR("late");
}

static void sample(struct checkpoint_metadata *metadata)
{
    checkpoint_metadata_init(metadata);
    metadata->job = WEIR_STR("wordcount");
    metadata->checkpoint = 7;
    metadata->attempt = 3;
    metadata->instance = 0x1122334455667788;
    metadata->fingerprint = 42;
    metadata->max_parallelism = 8;
    metadata->started_ms = -1;
    metadata->completed_ms = INT64_MAX;
    for (uint32_t i = 0; i < 2; i++) {
        struct subtask_snapshot *snapshot = subtask_snapshot_new(7, i);
        snapshot->operators = arena_alloc(&snapshot->arena, sizeof(*snapshot->operators));
        snapshot->operator_count = 1;
        sample_operator(&snapshot->operators[0], &snapshot->arena, i);
        checkpoint_metadata_add(metadata, snapshot);
        subtask_snapshot_free(snapshot); /* the metadata has its own copy */
    }
}

static weir_buffer *encoded(void)
{
    struct checkpoint_metadata metadata;
    sample(&metadata);
    weir_buffer *bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(&metadata, bytes);
    assert_false(weir_buffer_overflowed(bytes));
    checkpoint_metadata_release(&metadata);
    return bytes;
}

static void assert_str(weir_str found, const char *expected)
{
    if (expected == NULL)
        assert_null(found.data);
    else
        assert_true(weir_str_equal(found, weir_str_of(expected)));
}

static void assert_code(weir_error *error, enum weir_code code, const char *part)
{
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), part) == NULL)
        fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

static void what_was_encoded_is_decoded(void **state)
{
    weir_buffer *bytes = encoded();
    struct checkpoint_metadata metadata;
    assert_null(checkpoint_decode(weir_buffer_view(bytes), "it", &metadata));
    weir_buffer_free(bytes); /* the metadata has its own copy */
    assert_str(metadata.job, "wordcount");
    assert_int_equal(metadata.checkpoint, 7);
    assert_int_equal(metadata.attempt, 3);
    assert_int_equal(metadata.instance, 0x1122334455667788);
    assert_int_equal(metadata.fingerprint, 42);
    assert_int_equal(metadata.max_parallelism, 8);
    assert_int_equal(metadata.started_ms, -1);
    assert_int_equal(metadata.completed_ms, INT64_MAX);
    assert_int_equal(metadata.operator_count, 2);
    const struct operator_snapshot *second = &metadata.operators[1];
    assert_str(second->uid, "build-profile");
    assert_int_equal(second->subtask, 1);
    assert_int_equal(second->parallelism, 2);
    assert_str(second->backend, "hashmap");
    assert_int_equal(second->schema, 0xabcdef);
    assert_str(second->schema_text, "value p {1 user_id u64}");
    assert_int_equal(second->groups.first, 4);
    assert_int_equal(second->groups.last, 7);
    assert_int_equal(second->file_count, 1);
    assert_string_equal(second->files[0].name, "000001.sst");
    assert_string_equal(second->files[0].path, "shared/aa-3-1");
    assert_int_equal(second->files[0].length, 3);
    assert_true(second->files[0].checksum == UINT64_MAX);
    assert_string_equal(second->staged[0].name, "segment");
    assert_int_equal(second->item_count, 2);
    assert_str(second->items[0].name, "part-0");
    assert_str(second->items[0].value, "17");
    assert_int_equal(second->items[0].subtask, 1);
    assert_str(second->items[1].name, "");
    assert_str(second->items[1].value, NULL);
    assert_int_equal(second->counters[0], -5);
    assert_str(second->counter_names[0], "late");
    checkpoint_metadata_release(&metadata);
}

static void as_what_files_were_verified_goes_beside_the_bytes(void **state)
{
    weir_buffer *bytes = encoded(), *identities = weir_buffer_new(1024);
    struct checkpoint_metadata metadata, other;
    sample(&metadata);
    for (uint32_t i = 0; i < metadata.operator_count; i++)
        metadata.operators[i].files[0].identity = UINT64_MAX - i;
    checkpoint_put_identities(&metadata, identities);
    assert_null(checkpoint_decode(weir_buffer_view(bytes), "it", &other));
    assert_int_equal(other.operators[1].files[0].identity, 0); /* not stored */
    assert_true(checkpoint_take_identities(&other, weir_buffer_view(identities)));
    for (uint32_t i = 0; i < other.operator_count; i++) {
        assert_true(other.operators[i].files[0].identity == UINT64_MAX - i);
        assert_false(
            other.operators[i].files[0].is_verified); /* that is for whoever sees the file */
    }
    weir_str view = weir_buffer_view(identities);
    view.size--;
    assert_false(checkpoint_take_identities(&other, view));
    weir_buffer_add_str(identities, WEIR_STR("x"));
    assert_false(checkpoint_take_identities(&other, weir_buffer_view(identities)));
    checkpoint_metadata_release(&other);
    checkpoint_metadata_release(&metadata);
    weir_buffer_free(identities);
    weir_buffer_free(bytes);
}

static void nothing_at_all_round_trips(void **state)
{
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    weir_buffer *bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    checkpoint_encode(&metadata, bytes);
    checkpoint_metadata_release(&metadata);
    assert_null(checkpoint_decode(weir_buffer_view(bytes), "it", &metadata));
    assert_int_equal(metadata.operator_count, 0);
    checkpoint_metadata_release(&metadata);
    weir_buffer_free(bytes);
}

static void a_buffer_that_is_too_small_overflows(void **state)
{
    struct checkpoint_metadata metadata;
    sample(&metadata);
    for (size_t size = 0; size < 200; size += 7) {
        weir_buffer *bytes = weir_buffer_new(size);
        checkpoint_encode(&metadata, bytes);
        assert_true(weir_buffer_overflowed(bytes));
        weir_buffer_free(bytes);
    }
    checkpoint_metadata_release(&metadata);
}

/* Decodes a copy in memory of exactly this size, so that the sanitizer sees each byte too far. */
static weir_error *decode_copy(const char *bytes, size_t size)
{
    char *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, bytes, size);
    struct checkpoint_metadata metadata;
    weir_error *error =
        checkpoint_decode((weir_str){ .data = copy, .size = size }, "it", &metadata);
    if (error == NULL)
        checkpoint_metadata_release(&metadata);
    free(copy);
    return error;
}

static void every_flipped_bit_is_corruption(void **state)
{
    weir_buffer *bytes = encoded();
    weir_str view = weir_buffer_view(bytes);
    char *copy = malloc(view.size);
    memcpy(copy, view.data, view.size);
    for (size_t i = 0; i < view.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] = (char)(copy[i] ^ (1 << bit));
            assert_code(decode_copy(copy, view.size), WEIR_E_CORRUPT, "it is");
            copy[i] = (char)(copy[i] ^ (1 << bit));
        }
    assert_null(decode_copy(copy, view.size));
    free(copy);
    weir_buffer_free(bytes);
}

static void every_truncation_and_addition_is_corruption(void **state)
{
    weir_buffer *bytes = encoded();
    weir_str view = weir_buffer_view(bytes);
    for (size_t size = 0; size < view.size; size++)
        assert_code(decode_copy(view.data, size), WEIR_E_CORRUPT, "it is");
    weir_buffer_add_byte(bytes, 'x');
    view = weir_buffer_view(bytes);
    assert_code(decode_copy(view.data, view.size), WEIR_E_CORRUPT, "bytes follow its header");
    weir_buffer_free(bytes);
}

/* A header that fits `body`: damage behind a right checksum. */
static weir_buffer *sealed(uint32_t version, uint32_t zero, weir_str body)
{
    weir_buffer *out = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    weir_buffer_add(out, "WEIRCHK1", 8);
    buffer_put_u32(out, version);
    buffer_put_u32(out, zero);
    buffer_put_u64(out, body.size);
    struct checksum *checksum = checksum_new();
    checksum_add(checksum, weir_buffer_view(out).data, 24);
    checksum_add(checksum, body.data, body.size);
    buffer_put_u64(out, checksum_value(checksum));
    checksum_free(checksum);
    weir_buffer_add_str(out, body);
    return out;
}

static weir_error *decode_sealed(uint32_t version, uint32_t zero, weir_str body)
{
    weir_buffer *bytes = sealed(version, zero, body);
    weir_str view = weir_buffer_view(bytes);
    weir_error *error = decode_copy(view.data, view.size);
    weir_buffer_free(bytes);
    return error;
}

static void a_newer_version_is_refused_by_name_and_is_not_corruption(void **state)
{
    assert_code(decode_sealed(4, 0, WEIR_STR("x")), WEIR_E_STATE, "format version 4");
    assert_code(decode_sealed(0, 0, WEIR_STR("x")), WEIR_E_CORRUPT, "version 0");
    assert_code(decode_sealed(1, 1, WEIR_STR("x")), WEIR_E_CORRUPT, "it is corrupt");
}

/* The sample as version 1 wrote it: without what the states are. */
static void the_version_before_is_still_read(void **state)
{
    static const char states[] = "\x06\0\0\0STATES";
    const size_t size = sizeof(states) - 1;
    weir_buffer *bytes = encoded(), *old = weir_buffer_new(CHECKPOINT_SIZE_MAX);
    weir_str view = weir_buffer_view(bytes);
    for (const char *at = view.data + HEADER_SIZE; at < view.data + view.size;) {
        if ((size_t)(view.data + view.size - at) >= size && memcmp(at, states, size) == 0)
            at += size;
        else
            weir_buffer_add_byte(old, *at++);
    }
    assert_int_equal(buffer_size(old), view.size - HEADER_SIZE - 2 * size);
    weir_error *error = decode_sealed(1, 0, weir_buffer_view(old));
    assert_null(error);
    assert_code(decode_sealed(2, 0, weir_buffer_view(old)), WEIR_E_CORRUPT, "it is corrupt");
    weir_buffer_free(old);
    weir_buffer_free(bytes);
}

/* Every cut and every changed byte of a body under a right checksum: an error or not, never a crash. */
static void damage_under_a_right_checksum_does_no_harm(void **state)
{
    weir_buffer *bytes = encoded();
    weir_str view = weir_buffer_view(bytes);
    weir_str body = { .data = view.data + HEADER_SIZE, .size = view.size - HEADER_SIZE };
    for (size_t size = 0; size < body.size; size++)
        assert_code(decode_sealed(2, 0, (weir_str){ .data = body.data, .size = size }),
            WEIR_E_CORRUPT, "it is corrupt");
    static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
    char *copy = malloc(body.size);
    memcpy(copy, body.data, body.size);
    for (size_t i = 0; i < body.size; i++) {
        for (size_t v = 0; v < COUNT(values); v++) {
            char before = copy[i];
            copy[i] = (char)values[v];
            weir_error_free(decode_sealed(2, 0, (weir_str){ .data = copy, .size = body.size }));
            copy[i] = before;
        }
    }
    free(copy);
    weir_buffer_free(bytes);
}

static void paths_that_leave_the_directory_are_refused(void **state)
{
    static const char *const paths[] = { "", "/etc/passwd", "..", "../x", "a/../b", "a//b", "a/.",
        ".", "a/", "shared/.." };
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct checkpoint_metadata metadata;
        sample(&metadata);
        metadata.operators[0].files[0].path = paths[i];
        weir_buffer *bytes = weir_buffer_new(CHECKPOINT_SIZE_MAX);
        checkpoint_encode(&metadata, bytes);
        checkpoint_metadata_release(&metadata);
        weir_str view = weir_buffer_view(bytes);
        assert_code(decode_copy(view.data, view.size), WEIR_E_CORRUPT, "not a path inside");
        weir_buffer_free(bytes);
    }
}

static void many_subtasks_are_added(void **state)
{
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    for (uint32_t i = 0; i < 1000; i++) {
        struct subtask_snapshot *snapshot = subtask_snapshot_new(1, i);
        snapshot->operators = arena_alloc(&snapshot->arena, 2 * sizeof(*snapshot->operators));
        snapshot->operator_count = 2;
        for (uint32_t j = 0; j < 2; j++)
            snapshot->operators[j] = (struct operator_snapshot){ .uid = WEIR_STR("op"),
                .subtask = i,
                .parallelism = 1000 };
        checkpoint_metadata_add(&metadata, snapshot);
        subtask_snapshot_free(snapshot);
    }
    assert_int_equal(metadata.operator_count, 2000);
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(metadata.operators[i].subtask, i / 2);
    checkpoint_metadata_release(&metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(the_version_before_is_still_read),
        cmocka_unit_test(as_what_files_were_verified_goes_beside_the_bytes),
        cmocka_unit_test(nothing_at_all_round_trips),
        cmocka_unit_test(a_buffer_that_is_too_small_overflows),
        cmocka_unit_test(every_flipped_bit_is_corruption),
        cmocka_unit_test(every_truncation_and_addition_is_corruption),
        cmocka_unit_test(a_newer_version_is_refused_by_name_and_is_not_corruption),
        cmocka_unit_test(damage_under_a_right_checksum_does_no_harm),
        cmocka_unit_test(paths_that_leave_the_directory_are_refused),
        cmocka_unit_test(many_subtasks_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
