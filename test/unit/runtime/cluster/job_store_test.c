/* job_store_test.c -- jobs outlive leaders; late writes of old leaders lose; every call fails once. */
#include "runtime/cluster/job_store.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/sealed.h"
#include "test/sim/sim_os.h"

#include <errno.h>
#include <stdio.h>

#include "test/support/expect.h"

#define DIR "/shared/jobs"

static const char *const ids[] = { "00000000000000000000000000000001",
    "00000000000000000000000000000002", "00000000000000000000000000000003",
    "00000000000000000000000000000004" };
static const char *const digest =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* An election that says what it is told to. */
struct fake {
    struct election election;
    bool is_sure;
    uint32_t no_from; /* the n-th check from now on, and all behind it, say no; 0: none */
};

static uint32_t
    fail_from_check; /* the disk fails from the n-th check from now on; 0: it does not */

static weir_error *fake_check(struct election *election)
{
    struct fake *fake = (struct fake *)election;
    if (fail_from_check > 0 && --fail_from_check == 0) {
        sim_os_fail_one_in(1, EIO);
        fake->is_sure = false;
    }
    if (fake->no_from == 1)
        fake->is_sure = false;
    fake->no_from -= fake->no_from > 0;
    return fake->is_sure ? NULL : weir_errorf(WEIR_E_FENCED, "another one leads");
}

static const struct election_class fake_class = { .name = "fake", .check = fake_check };

static struct fake fake_of(void)
{
    return (struct fake){ .election = { .class = &fake_class, .view = { .is_leader = true } },
        .is_sure = true };
}

static weir_error *open_as(uint64_t epoch, struct election *election, struct job_store **store)
{
    struct job_store_options options = { .dir = DIR,
        .epoch = epoch,
        .election = election,
        .over_max = 2 };
    return job_store_open(&options, store);
}

static struct job_store *leader(uint64_t epoch)
{
    struct job_store *store;
    expect_ok(open_as(epoch, NULL, &store));
    return store;
}

static struct job_record record_of(uint32_t i)
{
    struct job_record record = { .name = "wordcount",
        .message = "",
        .spec = { .data = "spec\0bytes", .size = 10 },
        .blob_count = 1,
        .submitted_ms = 1000 - i }; /* not in the order of ids */
    snprintf(record.id, sizeof(record.id), "%s", ids[i]);
    snprintf(record.blobs[0], sizeof(record.blobs[0]), "%s", digest);
    return record;
}

static weir_error *add(struct job_store *store, uint32_t i)
{
    struct job_record record = record_of(i);
    return job_store_add(store, &record);
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

static void a_job_is_found_by_the_next_leader_with_all_that_it_is(void **state)
{
    struct job_store *store = leader(1);
    assert_int_equal(job_store_count(store), 0);
    expect_ok(add(store, 0));
    expect_ok(add(store, 1));
    expect_ok(job_store_update(store, ids[1], RECORD_RUNNING, "", 2000));
    job_store_close(store);
    sim_os_kill(0);
    sim_os_reap(0);
    sim_os_power_loss();
    store = leader(2);
    assert_int_equal(job_store_count(store), 2);
    const struct job_record *job = job_store_at(store, 0);
    assert_string_equal(job->id, ids[1]);
    assert_int_equal(job->status, RECORD_RUNNING);
    assert_int_equal(job->started_ms, 2000);
    assert_int_equal(job->epoch, 2);
    job = job_store_find(store, ids[0]);
    assert_string_equal(job->name, "wordcount");
    assert_int_equal(job->status, RECORD_ACCEPTED);
    assert_int_equal(job->submitted_ms, 1000);
    assert_int_equal(job->spec.size, 10);
    assert_memory_equal(job->spec.data, "spec\0bytes", 10);
    assert_int_equal(job->blob_count, 1);
    assert_string_equal(job->blobs[0], digest);
    job_store_close(store);
    assert_int_equal(file_count(), 3); /* two jobs, one adopted-2 */
}

static void jobs_that_are_over_stay_until_others_are(void **state)
{
    struct job_store *store = leader(1);
    for (uint32_t i = 0; i < 4; i++) {
        expect_ok(add(store, i));
        expect_ok(job_store_update(store, ids[i], RECORD_FAILED, "it broke", 5000 + i));
    }
    assert_int_equal(job_store_count(store), 2);
    assert_null(job_store_find(store, ids[1]));
    job_store_close(store);
    store = leader(2);
    assert_int_equal(job_store_count(store), 2);
    const struct job_record *job = job_store_find(store, ids[3]);
    assert_int_equal(job->status, RECORD_FAILED);
    assert_int_equal(job->ended_ms, 5003);
    assert_string_equal(job->message, "it broke");
    assert_int_equal(job->epoch, 1); /* nothing to take over */
    expect_error(job_store_update(store, ids[3], RECORD_RUNNING, "", 1), WEIR_E_STATE, "is over");
    job_store_close(store);
}

static void what_is_archived_of_a_job_that_is_over_is_found_by_the_leaders_to_come(void **state)
{
    struct job_store *store = leader(1);
    expect_ok(add(store, 0));
    expect_ok(job_store_end(store, ids[0], RECORD_FINISHED, "", WEIR_STR("a\0b"), 3000));
    job_store_close(store);
    for (uint64_t epoch = 2; epoch < 4; epoch++) {
        store = leader(epoch);
        const struct job_record *job = job_store_find(store, ids[0]);
        assert_int_equal(job->archive.size, 3);
        assert_memory_equal(job->archive.data, "a\0b", 3);
        assert_int_equal(job->ended_ms, 3000);
        job_store_forget_archives(store); /* and the next one finds it all the same */
        assert_int_equal(job->archive.size, 0);
        job_store_close(store);
    }
}

/* As it was written before there were archives. */
static void a_record_of_the_first_version_is_read(void **state)
{
    static const struct sealed_form form = { .magic = "WEIRJOB1", .noun = "a job", .version = 1 };
    weir_buffer *body = weir_buffer_new(4096), *bytes = weir_buffer_new(4096);
    struct job_record record;
    char *texts;
    buffer_put_u64(body, 7);
    buffer_put_u8(body, RECORD_FINISHED);
    for (uint64_t i = 1; i < 4; i++)
        buffer_put_u64(body, i);
    buffer_put_str(body, weir_str_of(ids[0]));
    buffer_put_str(body, WEIR_STR("wordcount"));
    buffer_put_str(body, WEIR_STR("why"));
    buffer_put_str(body, WEIR_STR("spec"));
    buffer_put_u32(body, 1);
    buffer_put_str(body, weir_str_of(digest));
    sealed_put(&form, body, bytes);
    expect_ok(job_record_decode(weir_buffer_view(bytes), "it", &record, &texts));
    assert_string_equal(record.name, "wordcount");
    assert_string_equal(record.message, "why");
    assert_int_equal(record.ended_ms, 3);
    assert_int_equal(record.archive.size, 0);
    mem_free(texts);
    weir_buffer_free(body);
    weir_buffer_free(bytes);
}

static void another_specification_is_found_by_the_next_leader_and_nothing_else_has_changed(
    void **state)
{
    struct job_store *store = leader(1);
    expect_ok(add(store, 0));
    expect_ok(job_store_update(store, ids[0], RECORD_RUNNING, "", 2000));
    expect_ok(job_store_change(store, ids[0], WEIR_STR("another")));
    job_store_close(store);
    store = leader(2);
    const struct job_record *job = job_store_find(store, ids[0]);
    assert_int_equal(job->spec.size, 7);
    assert_memory_equal(job->spec.data, "another", 7);
    assert_int_equal(job->status, RECORD_RUNNING);
    assert_int_equal(job->started_ms, 2000);
    assert_string_equal(job->blobs[0], digest);
    expect_ok(job_store_update(store, ids[0], RECORD_FINISHED, "", 3000));
    expect_error(job_store_change(store, ids[0], WEIR_STR("x")), WEIR_E_STATE, "is over");
    expect_error(job_store_change(store, ids[1], WEIR_STR("x")), WEIR_E_STATE, "there is no job");
    job_store_close(store);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct job_store *store = leader(1);
    struct job_record record = record_of(0);
    snprintf(record.id, sizeof(record.id), "../../etc/passwd");
    expect_error(job_store_add(store, &record), WEIR_E_USAGE, "32 hex digits");
    record = record_of(0);
    record.blobs[0][3] = '/';
    expect_error(job_store_add(store, &record), WEIR_E_USAGE, "64 hex digits");
    record = record_of(0);
    record.name = "";
    expect_error(job_store_add(store, &record), WEIR_E_USAGE, "1 to 255 bytes");
    record = record_of(0);
    record.spec.size = JOB_SPEC_MAX + 1;
    expect_error(job_store_add(store, &record), WEIR_E_LIMIT, "at most");
    expect_ok(add(store, 0));
    expect_error(add(store, 0), WEIR_E_STATE, "there is a job");
    expect_error(job_store_update(store, ids[1], RECORD_RUNNING, "", 1), WEIR_E_STATE, "no job");
    job_store_close(store);
}

static void the_largest_job_fits_and_a_long_message_is_cut(void **state)
{
    struct job_store *store = leader(1);
    struct job_record record = record_of(0);
    char *spec = mem_alloc(JOB_SPEC_MAX), *message = mem_alloc(3 * JOB_MESSAGE_MAX);
    memset(message, 'm', 3 * JOB_MESSAGE_MAX - 1);
    record.spec = (weir_str){ .data = spec, .size = JOB_SPEC_MAX };
    expect_ok(job_store_add(store, &record));
    expect_ok(job_store_update(store, ids[0], RECORD_FAILED, message, 1));
    job_store_close(store);
    store = leader(2);
    assert_int_equal(strlen(job_store_at(store, 0)->message), JOB_MESSAGE_MAX);
    assert_int_equal(job_store_at(store, 0)->spec.size, JOB_SPEC_MAX);
    job_store_close(store);
    mem_free(spec);
    mem_free(message);
}

/* -- old leaders ------------------------------------------------------------------------------ */

static void a_newer_leader_keeps_older_ones_out(void **state)
{
    struct job_store *store = leader(5);
    struct job_store *old;
    job_store_close(store);
    expect_error(open_as(4, NULL, &old), WEIR_E_FENCED, "epoch 5, this one has 4");
    assert_null(old);
    store = leader(5); /* the same one again */
    job_store_close(store);
}

static void without_certainty_nothing_is_written_or_deleted(void **state)
{
    struct fake fake = fake_of();
    struct job_store *store, *none;
    expect_ok(open_as(1, &fake.election, &store));
    expect_ok(add(store, 0));
    uint32_t files = file_count();
    fake.is_sure = false;
    expect_error(add(store, 1), WEIR_E_FENCED, "cannot store job 'wordcount'");
    expect_error(job_store_update(store, ids[0], RECORD_FINISHED, "", 1), WEIR_E_FENCED, "leads");
    assert_int_equal(job_store_find(store, ids[0])->status, RECORD_ACCEPTED);
    assert_int_equal(job_store_count(store), 1);
    expect_error(open_as(2, &fake.election, &none), WEIR_E_FENCED, "leads");
    assert_int_equal(file_count(), files);
    job_store_close(store);
}

static struct job_store *next; /* of epoch 4, opened by the hook */

static void four_takes_over(void *arg)
{
    next = leader(4);
    (void)arg;
}

/* Leader 3 is stopped before each call of a write, 4 takes over, 3 goes on: what 4 knows stays, for 5, too. */
static void a_late_write_never_counts(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        for (uint32_t is_new = 0; is_new < 2; is_new++) {
            teardown(NULL);
            setup(NULL);
            struct fake fake = fake_of();
            struct job_store *old;
            expect_ok(open_as(3, &fake.election, &old));
            expect_ok(add(old, 0));
            next = NULL;
            sim_os_freeze_at(n, four_takes_over, NULL);
            weir_error *error =
                is_new == 1 ? add(old, 1) : job_store_update(old, ids[0], RECORD_FAILED, "3", 1);
            sim_os_freeze_at(0, NULL, NULL);
            was_hit = next != NULL;
            weir_error_free(error);
            job_store_close(old);
            if (!was_hit)
                continue;
            uint32_t known = job_store_count(next);
            enum job_status status = job_store_find(next, ids[0])->status;
            job_store_close(next);
            struct job_store *five = leader(5);
            assert_int_equal(job_store_count(five), known);
            assert_int_equal(job_store_find(five, ids[0])->status, status);
            job_store_close(five);
        }
    }
}

static void a_confirmation_is_a_check_behind_the_rename(void **state)
{
    struct fake fake = fake_of();
    struct job_store *store;
    expect_ok(open_as(1, &fake.election, &store));
    fake.no_from = 2; /* the first check, before the rename, passes */
    expect_error(add(store, 0), WEIR_E_FENCED, "leads");
    assert_int_equal(job_store_count(store), 0);
    job_store_close(store);
}

static void a_job_that_ended_and_was_deleted_does_not_come_back(void **state)
{
    struct job_store *three = leader(3), *four;
    expect_ok(add(three, 0));
    char *bytes;
    size_t size;
    char path[128];
    snprintf(path, sizeof(path), DIR "/job-%s-3", ids[0]);
    expect_ok(os_read_file(path, 1 << 20, &bytes, &size));
    job_store_close(three);
    four = leader(4);
    expect_ok(job_store_update(four, ids[0], RECORD_FINISHED, "", 1));
    for (uint32_t i = 1; i < 4; i++) {
        expect_ok(add(four, i));
        expect_ok(job_store_update(four, ids[i], RECORD_FINISHED, "", 1 + i));
    }
    assert_null(job_store_find(four, ids[0]));
    job_store_close(four);
    expect_ok(os_write_file(path, bytes, size)); /* 3 wakes up */
    mem_free(bytes);
    four = leader(5);
    assert_null(job_store_find(four, ids[0]));
    job_store_close(four);
}

/* -- the disk --------------------------------------------------------------------------------- */

static void scenario(void)
{
    struct job_store *store;
    weir_error *error = open_as(2, NULL, &store);
    if (error == NULL)
        error = weir_error_join(add(store, 1),
            weir_error_join(job_store_update(store, ids[0], RECORD_RUNNING, "", 7),
                job_store_update(store, ids[1], RECORD_FINISHED, "", 8)));
    weir_error_free(error);
    job_store_close(store);
}

static void no_call_that_fails_or_is_the_last_one_loses_a_job(void **state)
{
    for (int how = 0; how < 3; how++) {
        for (uint64_t n = 1; n < 80; n++) {
            teardown(NULL);
            setup(NULL);
            struct job_store *store = leader(1);
            expect_ok(add(store, 0));
            job_store_close(store);
            if (how == 0)
                sim_os_fail_at(n, ENOSPC);
            else
                sim_os_kill_at(n);
            scenario();
            sim_os_kill_at(0);
            sim_os_fail_at(0, 0);
            if (how == 2 || sim_os_is_dead(0)) {
                sim_os_kill(0);
                sim_os_reap(0);
            }
            if (how == 2)
                sim_os_power_loss();
            store = leader(3);
            assert_non_null(job_store_find(store, ids[0]));
            job_store_close(store);
            store = leader(4);
            assert_non_null(job_store_find(store, ids[0]));
            job_store_close(store);
        }
    }
}

/* At each call of the submission: write, sync, rename, sync of the directory. */
static void a_submission_that_was_refused_does_not_come_back_with_the_next_leader(void **state)
{
    bool was_refused = true;
    for (uint64_t n = 1; was_refused; n++) {
        teardown(NULL);
        setup(NULL);
        struct job_store *store = leader(1);
        sim_os_fail_at(n, ENOSPC);
        weir_error *error = add(store, 0);
        sim_os_fail_at(0, 0);
        was_refused = error != NULL;
        weir_error_free(error);
        expect_ok(add(store, 1)); /* the client tries again */
        job_store_close(store);
        sim_os_kill(0);
        sim_os_reap(0);
        sim_os_power_loss();
        store = leader(2);
        assert_int_equal(job_store_count(store), was_refused ? 1 : 2);
        assert_non_null(job_store_find(store, ids[1]));
        job_store_close(store);
    }
}

static void what_cannot_be_taken_back_is_said_and_nothing_is_accepted_before_it_is(void **state)
{
    struct fake fake = fake_of();
    struct job_store *store;
    expect_ok(open_as(1, &fake.election, &store));
    sim_os_fail_one_in(1, EIO);
    expect_error(add(store, 0), WEIR_E_IO, "cannot store"); /* there is nothing to take back */
    sim_os_fail_one_in(0, 0);
    char path[128];
    snprintf(path, sizeof(path), DIR "/job-%s-1", ids[0]);
    fail_from_check = 2;
    expect_error(add(store, 0), WEIR_E_FENCED, "look at 'weir list' before you submit it again");
    expect_error(add(store, 1), WEIR_E_IO, "has to be deleted first");
    sim_os_fail_one_in(0, 0);
    struct os_stat stat;
    fake.is_sure = true;
    expect_ok(add(store, 1));
    expect_ok(os_stat(path, &stat));
    assert_false(stat.exists);
    job_store_close(store);
}

static void three_takes_it_back(void *arg)
{
    expect_ok(os_remove(arg));
}

/* Leader 4 is stopped before each call of its takeover, and 3 takes back what it has refused. */
static void a_submission_that_is_taken_back_while_the_next_leader_looks_is_no_error(void **state)
{
    for (uint64_t n = 1; n < 40; n++) {
        teardown(NULL);
        setup(NULL);
        char path[128];
        struct job_store *store = leader(3);
        expect_ok(add(store, 0));
        expect_ok(add(store, 1));
        job_store_close(store);
        snprintf(path, sizeof(path), DIR "/job-%s-3", ids[0]);
        sim_os_freeze_at(n, three_takes_it_back, path);
        store = leader(4);
        sim_os_freeze_at(0, NULL, NULL);
        assert_non_null(job_store_find(store, ids[1]));
        job_store_close(store);
    }
}

static void a_damaged_file_is_passed_over_and_left_alone(void **state)
{
    struct job_store *store = leader(1);
    expect_ok(add(store, 0));
    expect_ok(add(store, 1));
    job_store_close(store);
    char path[128], *bytes;
    size_t size;
    snprintf(path, sizeof(path), DIR "/job-%s-1", ids[0]);
    expect_ok(os_read_file(path, 1 << 20, &bytes, &size));
    for (size_t bit = 0; bit < size * 8; bit += 5) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
        struct job_record record;
        char *texts;
        weir_error *error =
            job_record_decode((weir_str){ .data = bytes, .size = size }, "it", &record, &texts);
        assert_non_null(error);
        assert_int_equal(weir_error_code(error), WEIR_E_CORRUPT);
        weir_error_free(error);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
    bytes[40] = (char)~bytes[40];
    expect_ok(os_write_file(path, bytes, size));
    mem_free(bytes);
    store = leader(2);
    assert_int_equal(job_store_count(store), 1);
    assert_non_null(job_store_find(store, ids[1]));
    job_store_close(store);
    struct os_stat stat;
    expect_ok(os_stat(path, &stat));
    assert_true(stat.exists);
}

#define CASE(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_is_found_by_the_next_leader_with_all_that_it_is),
        CASE(jobs_that_are_over_stay_until_others_are),
        CASE(what_is_archived_of_a_job_that_is_over_is_found_by_the_leaders_to_come),
        CASE(a_record_of_the_first_version_is_read),
        CASE(another_specification_is_found_by_the_next_leader_and_nothing_else_has_changed),
        CASE(what_does_not_fit_is_refused),
        CASE(the_largest_job_fits_and_a_long_message_is_cut),
        CASE(a_newer_leader_keeps_older_ones_out),
        CASE(without_certainty_nothing_is_written_or_deleted),
        CASE(a_late_write_never_counts),
        CASE(a_confirmation_is_a_check_behind_the_rename),
        CASE(a_job_that_ended_and_was_deleted_does_not_come_back),
        CASE(no_call_that_fails_or_is_the_last_one_loses_a_job),
        CASE(a_submission_that_was_refused_does_not_come_back_with_the_next_leader),
        CASE(what_cannot_be_taken_back_is_said_and_nothing_is_accepted_before_it_is),
        CASE(a_submission_that_is_taken_back_while_the_next_leader_looks_is_no_error),
        CASE(a_damaged_file_is_passed_over_and_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
