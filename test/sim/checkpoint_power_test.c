/* checkpoint_power_test.c -- the checkpoint directory when a process is killed and then the power fails.
 *
 * A kill alone loses nothing: the system has what was written. A power failure alone loses what a living
 * process has not synced, which it knows. Together they are worse: the second process sees things that
 * the first one wrote and did not live to sync, takes them for granted, and the power failure takes
 * them away. The story, for every call n of the first process and many power failures:
 *
 *      1. the first process publishes checkpoints and is killed at its n-th call;
 *      2. the second one restores checkpoint x; from here on its sinks may show the output of x;
 *      3. the power fails;
 *      4. the third one must restore x, too: with an older one it would show that output again.
 *
 * The same again with the second process publishing something, and killed at each of its calls. */
#include "checkpoint/storage.h"

#include "base/log.h"
#include "state/state_file.h"
#include "test/sim/sim_os.h"
#include "test/support/expect.h"

#include <inttypes.h>

#define ROOT         "/checkpoints/of/us"
#define JOB          "wordcount"
#define LOSSES       12u
#define PUBLICATIONS 3u

static struct storage *storage;

/* Stores a small file and publishes a checkpoint that lists it. */
static weir_error *publish(uint64_t number)
{
    struct subtask_snapshot *snapshot = subtask_snapshot_new(number, 0);
    struct state_file file;
    struct operator_snapshot op = { .uid = WEIR_STR("op"),
        .parallelism = 1,
        .backend = WEIR_STR("hashmap"),
        .groups = { 0, 127 },
        .files = &file,
        .file_count = 1 };
    char *from = mem_printf("%s/made-%" PRIu64, storage_staging_dir(storage), number);
    weir_error *error = os_write_file(from, from, strlen(from));
    if (error == NULL)
        error = state_file_store(from, storage_dir(storage), storage_attempt(storage), "made",
            &snapshot->arena, &file);
    if (error == NULL) {
        struct checkpoint_metadata metadata;
        checkpoint_metadata_init(&metadata);
        metadata.job = WEIR_STR(JOB);
        metadata.checkpoint = number;
        metadata.attempt = storage_attempt(storage);
        metadata.max_parallelism = 128;
        snapshot->operators = &op;
        snapshot->operator_count = 1;
        checkpoint_metadata_add(&metadata, snapshot);
        error = storage_publish(storage, &metadata);
        checkpoint_metadata_release(&metadata);
    }
    mem_free(from);
    subtask_snapshot_free(snapshot);
    return error;
}

/* Opens and restores; the number, 0: none. */
static weir_error *start(uint64_t *number)
{
    struct checkpoint_metadata metadata;
    bool found;
    *number = 0;
    WEIR_TRY(storage_open(ROOT, JOB, 2, &storage));
    WEIR_TRY(storage_restore(storage, NULL, &metadata, &found));
    if (!found)
        return NULL;
    *number = metadata.checkpoint;
    checkpoint_metadata_release(&metadata);
    return NULL;
}

/* Kills the process, which may be dead already. */
static void die(void)
{
    sim_os_kill(0);
    storage_close(storage);
    storage = NULL;
    sim_os_reap(0);
}

/* A whole life; *restored is what it restored, *published what it published last. */
static void live(uint64_t kill_call, uint32_t publications, uint64_t *restored, uint64_t *published)
{
    *published = 0;
    sim_os_kill_at(kill_call);
    weir_error *error = start(restored);
    for (uint32_t i = 0; i < publications && error == NULL; i++) {
        uint64_t number = storage_last_number(storage) + 1;
        error = publish(number);
        if (error == NULL)
            *published = number;
        if (error == NULL)
            storage_clean(storage);
    }
    if (error != NULL)
        *restored = *restored > 0 && storage == NULL ? 0 : *restored;
    weir_error_free(error);
    sim_os_kill_at(0);
}

/* False: the process lived through it, so every call has had its turn. */
static bool tell(uint64_t first_kill, uint64_t second_kill, uint32_t second_publications,
    uint64_t loss)
{
    uint64_t restored, published, number;
    sim_os_start(loss + 1);
    live(first_kill, PUBLICATIONS, &restored, &published);
    bool was_hit = sim_os_is_dead(0);
    die();
    uint64_t promised = published;
    live(second_kill, second_publications, &restored, &published);
    was_hit = was_hit && (second_kill == 0 || sim_os_is_dead(0));
    bool has_started = storage != NULL && !sim_os_is_dead(0);
    if (has_started || published > 0)
        promised = published > 0 ? published : restored;
    die();
    sim_os_power_loss();
    expect_ok(start(&number));
    if (number < promised)
        fail_msg("checkpoint %" PRIu64 " was restored, %" PRIu64 " before the power failed "
                 "(kills at %" PRIu64 ", %" PRIu64 ", loss %" PRIu64 ")",
            number, promised, first_kill, second_kill, loss);
    die();
    sim_os_stop();
    return was_hit;
}

static void what_was_restored_once_is_restored_again(void **state)
{
    uint64_t n = 1;
    for (bool was_hit = true; was_hit; n++) {
        for (uint64_t loss = 0; loss < LOSSES; loss++)
            was_hit = tell(n, 0, 0, loss);
    }
    assert_true(n > 100); /* there are as many calls */
}

static void what_was_published_survives_whatever_came_before(void **state)
{
    for (uint64_t first = 1; first < 60; first += 3) {
        bool was_hit = true;
        for (uint64_t n = 1; was_hit && n < 200; n += 2)
            was_hit = tell(first, n, 2, n + first);
    }
}

static int be_quiet(void **state)
{
    log_set_level(LOG_ERROR);
    return 0;
}

static int stop_sim(void **state)
{
    if (os_current != &os_linux && storage != NULL)
        die();
    if (os_current != &os_linux)
        sim_os_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_was_restored_once_is_restored_again, stop_sim),
        cmocka_unit_test_teardown(what_was_published_survives_whatever_came_before, stop_sim),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
