/* blob_store_test.c -- a file is what it is called, within limits, until nobody needs it. */
#include "runtime/cluster/blob_store.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "test/support/expect.h"

#define DIR "/shared/blobs"

/* A digest that is good enough for a test: the checksum, four times. */
static void *begin(void)
{
    return checksum_new();
}

static void add(void *state, const void *bytes, size_t size)
{
    checksum_add(state, bytes, size);
}

static void end(void *state, char digest[BLOB_DIGEST_SIZE + 1])
{
    uint64_t sum = checksum_value(state);
    snprintf(digest, BLOB_DIGEST_SIZE + 1, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64,
        sum, sum, sum, sum);
    checksum_free(state);
}

static const struct blob_digest algorithm = { .begin = begin, .add = add, .end = end };

static const char *digest_of(const char *text)
{
    static char digests[8][BLOB_DIGEST_SIZE + 1];
    static uint32_t next;
    char *digest = digests[next++ % 8];
    void *state = begin();
    add(state, text, strlen(text));
    end(state, digest);
    return digest;
}

static struct blob_store *leader(uint64_t epoch)
{
    struct blob_store *store;
    struct blob_store_options options = { .dir = DIR,
        .epoch = epoch,
        .digest = &algorithm,
        .size_max = 100,
        .total_max = 150 };
    expect_ok(blob_store_open(&options, 0, &store));
    return store;
}

static weir_error *put_as(struct blob_store *store, const char *text, const char *digest,
    uint64_t size)
{
    struct blob_put *put;
    WEIR_TRY(blob_put_begin(store, digest, size, &put));
    weir_error *error = NULL;
    for (size_t i = 0; text[i] != '\0' && error == NULL; i++)
        error = blob_put_add(put, text + i, 1);
    if (error != NULL) {
        blob_put_abort(put);
        return error;
    }
    return blob_put_finish(put, 0);
}

static weir_error *put(struct blob_store *store, const char *text)
{
    return put_as(store, text, digest_of(text), strlen(text));
}

static uint32_t file_count(void)
{
    char **names;
    uint32_t count;
    expect_ok(os_list(DIR, &names, &count));
    os_names_free(names, count);
    return count;
}

static int setup(void **state)
{
    log_set_level(LOG_ERROR);
    sim_os_start(1);
    return 0;
}

static int teardown(void **state)
{
    sim_os_stop();
    return 0;
}

static void what_was_stored_survives_and_is_verified(void **state)
{
    struct blob_store *store = leader(1);
    const char *digest = digest_of("a program");
    assert_false(blob_store_has(store, digest));
    assert_null(blob_store_path(store, digest));
    expect_ok(put(store, "a program"));
    expect_ok(put(store, "a program")); /* again: the same */
    assert_int_equal(blob_store_total(store), 9);
    blob_store_close(store);
    sim_os_kill(0);
    sim_os_reap(0);
    sim_os_power_loss();
    store = leader(2);
    assert_true(blob_store_has(store, digest));
    char *path = blob_store_path(store, digest);
    expect_ok(blob_store_verify(&algorithm, path, digest));
    expect_ok(os_write_file(path, "b program", 9));
    expect_error(blob_store_verify(&algorithm, path, digest), WEIR_E_CORRUPT, "is damaged");
    mem_free(path);
    blob_store_close(store);
}

static void other_bytes_never_get_the_name(void **state)
{
    struct blob_store *store = leader(1);
    const char *digest = digest_of("good");
    expect_error(put_as(store, "evil", digest, 4), WEIR_E_CORRUPT, "send it again");
    expect_error(put_as(store, "goo", digest, 4), WEIR_E_CORRUPT, "3 of 4 bytes");
    expect_error(put_as(store, "goodness", digest, 4), WEIR_E_CORRUPT, "more bytes");
    assert_false(blob_store_has(store, digest));
    assert_int_equal(file_count(), 0);
    blob_store_close(store);
}

static void names_that_are_no_digest_are_refused(void **state)
{
    static const char *const names[] = { "", "..", "../../../../etc/passwd",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "../3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
    struct blob_store *store = leader(1);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct blob_put *none;
        expect_error(blob_put_begin(store, names[i], 4, &none), WEIR_E_USAGE, "64 hex digits");
        assert_null(blob_store_path(store, names[i]));
    }
    blob_store_close(store);
}

static void sizes_have_limits_that_count_what_is_arriving(void **state)
{
    struct blob_store *store = leader(1);
    struct blob_put *first, *second;
    expect_error(put_as(store, "x", digest_of("x"), 101), WEIR_E_LIMIT, "blob.size-max");
    expect_error(put_as(store, "x", digest_of("x"), 0), WEIR_E_USAGE, "empty");
    expect_ok(blob_put_begin(store, digest_of("x"), 100, &first));
    expect_error(blob_put_begin(store, digest_of("y"), 51, &second), WEIR_E_LIMIT,
        "blob.total-max");
    expect_ok(blob_put_begin(store, digest_of("y"), 50, &second));
    blob_put_abort(first);
    blob_put_abort(second);
    blob_put_abort(NULL);
    expect_ok(put(store, "it is all free again"));
    assert_int_equal(file_count(), 1);
    blob_store_close(store);
}

static bool is_kept(void *arg, const char *digest)
{
    return strcmp(arg, digest) == 0;
}

static void what_no_job_needs_goes_after_a_while(void **state)
{
    struct blob_store *store = leader(1);
    char kept[BLOB_DIGEST_SIZE + 1];
    snprintf(kept, sizeof(kept), "%s", digest_of("kept"));
    expect_ok(put(store, "gone"));
    expect_ok(put(store, "kept"));
    expect_ok(put(store, "gone, too"));
    expect_ok(blob_store_collect(store, is_kept, kept, BLOB_GRACE_MS - 1));
    assert_int_equal(file_count(), 3);
    expect_ok(blob_store_collect(store, is_kept, kept, BLOB_GRACE_MS));
    assert_int_equal(file_count(), 1);
    assert_int_equal(blob_store_total(store), 4);
    assert_true(blob_store_has(store, kept));
    blob_store_close(store);
}

static void a_leader_that_was_replaced_deletes_and_adds_nothing(void **state)
{
    char none[] = "";
    struct blob_store *three = leader(3);
    expect_ok(put(three, "promised"));
    struct blob_store *four = leader(4);
    expect_ok(blob_store_collect(three, is_kept, none, BLOB_GRACE_MS));
    expect_ok(put(three, "late"));
    char *path = blob_store_path(four, digest_of("promised"));
    expect_ok(blob_store_verify(&algorithm, path, digest_of("promised")));
    assert_false(blob_store_has(four, digest_of("late")));
    mem_free(path);
    blob_store_close(three);
    blob_store_close(four);
    struct blob_store_options options = { .dir = DIR, .epoch = 3, .digest = &algorithm };
    expect_error(blob_store_open(&options, 0, &three), WEIR_E_FENCED, "epoch 4");
}

static void a_crash_at_any_call_leaves_no_wrong_file_and_no_rubbish(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        teardown(NULL);
        setup(NULL);
        struct blob_store *store = leader(1);
        expect_ok(put(store, "first"));
        sim_os_kill_at(n);
        weir_error *error = put(store, "second");
        sim_os_kill_at(0);
        bool is_stored = error == NULL;
        weir_error_free(error);
        blob_store_close(store);
        was_hit = sim_os_is_dead(0);
        if (was_hit)
            sim_os_reap(0);
        store = leader(2);
        assert_true(blob_store_has(store, digest_of("first")));
        assert_true(blob_store_has(store, digest_of("second")) || !is_stored);
        assert_int_equal(file_count(), 1 + blob_store_has(store, digest_of("second")));
        char *path = blob_store_path(store, digest_of("second"));
        if (path != NULL)
            expect_ok(blob_store_verify(&algorithm, path, digest_of("second")));
        mem_free(path);
        blob_store_close(store);
    }
}

static void a_call_that_fails_leaves_the_store_usable(void **state)
{
    for (uint64_t n = 1; n < 20; n++) {
        teardown(NULL);
        setup(NULL);
        struct blob_store *store = leader(1);
        sim_os_fail_at(n, ENOSPC);
        weir_error_free(put(store, "second"));
        sim_os_fail_at(0, 0);
        expect_ok(put(store, "second"));
        assert_int_equal(blob_store_total(store), 6);
        blob_store_close(store);
        store = leader(2);
        assert_int_equal(file_count(), 1);
        blob_store_close(store);
    }
}

#define CASE(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_stored_survives_and_is_verified),
        CASE(other_bytes_never_get_the_name),
        CASE(names_that_are_no_digest_are_refused),
        CASE(sizes_have_limits_that_count_what_is_arriving),
        CASE(what_no_job_needs_goes_after_a_while),
        CASE(a_leader_that_was_replaced_deletes_and_adds_nothing),
        CASE(a_crash_at_any_call_leaves_no_wrong_file_and_no_rubbish),
        CASE(a_call_that_fails_leaves_the_store_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
