/* Snapshots are written on another thread while the task goes on: meant for the thread sanitizer.
 *
 * librocksdb is not built with it, so its own synchronisation is not seen: what its threads do is
 * left out (tools/tsan.supp). Our own accesses are judged. */
#include "base/os.h"
#include "test/support/shelf.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 12
#define KEYS   300

static weir_str str(const char *text)
{
    return weir_str_of(text);
}

struct upload {
    const struct backend_class *verbs;
    struct backend_snapshot *snapshot;
    struct shelf_part *part;
    weir_error *error;
};

static void *run_upload(void *arg)
{
    struct upload *upload = arg;
    upload->error = upload->verbs->snapshot_write(upload->snapshot, &upload->part->arena,
        &upload->part->files, &upload->part->file_count);
    upload->verbs->snapshot_free(upload->snapshot);
    return NULL;
}

static void write_round(struct backend *backend, int round)
{
    char key[32], value[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        snprintf(value, sizeof(value), "round-%d", round);
        struct row_key row = shelf_row(0, key);
        shelf_put(backend, &row, str(""), str(value));
        shelf_put(backend, &row, str(value), str(key));
        shelf_expect(backend, &row, "", value);
        if (i % 50 == 0) {
            char *text = shelf_row_text(backend, &row, "");
            mem_free(text);
        }
    }
    backend->backend_class->size(backend);
}

static void expect_round(struct backend *backend, int round)
{
    char key[32], value[32];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        snprintf(value, sizeof(value), "round-%d", round);
        struct row_key row = shelf_row(0, key);
        shelf_expect(backend, &row, "", value);
        snprintf(value, sizeof(value), "round-%d", round + 1);
        shelf_expect_none(backend, &row, value);
    }
}

static void the_task_goes_on_while_a_snapshot_is_written(void **state)
{
    const struct backend_class *verbs = *state;
    struct shelf shelf;
    struct shelf_part parts[ROUNDS];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, verbs, shelf_all_groups(), NULL, 0);
    write_round(backend, 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct upload upload = { .verbs = verbs, .part = &parts[round] };
        pthread_t thread;
        parts[round] = (struct shelf_part){ .groups = shelf_all_groups() };
        arena_init(&parts[round].arena, 4096, 64 << 20);
        shelf_ok(verbs->snapshot(backend, (uint64_t)round + 1, &upload.snapshot));
        assert_int_equal(pthread_create(&thread, NULL, run_upload, &upload), 0);
        write_round(backend, round + 1);
        struct backend_expiry expiry = { .processing_states = 2, .now_ms = round };
        verbs->expire(backend, &expiry);
        if (round > 0)
            verbs->confirm(backend, (uint64_t)round);
        assert_int_equal(pthread_join(thread, NULL), 0);
        shelf_ok(upload.error);
    }
    shelf_close(backend);
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 4 == 3) {
            backend = shelf_open(&shelf, verbs, shelf_all_groups(), &parts[round], 1);
            expect_round(backend, round);
            shelf_close(backend);
        }
        shelf_part_release(&parts[round]);
    }
    shelf_release(&shelf);
}

/* Two checkpoints in flight: both are whole. */
static void two_snapshots_may_be_written_at_once(void **state)
{
    const struct backend_class *verbs = *state;
    struct shelf shelf;
    struct shelf_part parts[2];
    struct upload uploads[2];
    pthread_t threads[2];
    shelf_init(&shelf);
    struct backend *backend = shelf_open(&shelf, verbs, shelf_all_groups(), NULL, 0);
    for (int i = 0; i < 2; i++) {
        write_round(backend, i);
        parts[i] = (struct shelf_part){ .groups = shelf_all_groups() };
        arena_init(&parts[i].arena, 4096, 64 << 20);
        uploads[i] = (struct upload){ .verbs = verbs, .part = &parts[i] };
        shelf_ok(verbs->snapshot(backend, (uint64_t)i + 1, &uploads[i].snapshot));
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_upload, &uploads[i]), 0);
    write_round(backend, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        shelf_ok(uploads[i].error);
    }
    shelf_close(backend);
    for (int i = 0; i < 2; i++) {
        backend = shelf_open(&shelf, verbs, shelf_all_groups(), &parts[i], 1);
        expect_round(backend, i);
        shelf_close(backend);
        shelf_part_release(&parts[i]);
    }
    shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHELF_FOR_EACH(the_task_goes_on_while_a_snapshot_is_written),
        SHELF_FOR_EACH(two_snapshots_may_be_written_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
