/* history_test.c -- what happened to a job: the newest are kept, counts are exact, what is over stays so. */
#include "runtime/manager/history.h"

#include "test/support/expect.h"

#include <stdlib.h>

static const struct history_ack ack = { .at_ms = 150, .sync_us = 1, .async_us = 2, .size = 10 };

static void a_new_history_is_empty(void **state)
{
    struct history history;
    history_init(&history, 0);
    assert_null(history_failure(&history, 0));
    assert_null(history_checkpoint(&history, 0));
    assert_null(history_find(&history, 0));
    assert_null(history_newest(&history, HISTORY_IN_PROGRESS, false));
    history_release(&history);
}

static void failures_are_copied_and_the_newest_comes_first(void **state)
{
    struct history history;
    history_init(&history, 2);
    for (uint32_t i = 0; i < HISTORY_FAILURES + 3; i++) {
        char text[] = "died ?", place[] = "tm-1";
        text[5] = (char)('a' + i);
        history_failed(&history, &(struct history_failure){ .text = text,
                                     .place = i % 2 == 0 ? place : NULL,
                                     .attempt = i,
                                     .at_ms = 1 + i });
    }
    assert_int_equal(history.failure_count, HISTORY_FAILURES + 3);
    assert_string_equal(history_failure(&history, 0)->text, "died s");
    assert_string_equal(history_failure(&history, 0)->place, "tm-1");
    assert_null(history_failure(&history, 1)->place);
    assert_string_equal(history_failure(&history, HISTORY_FAILURES - 1)->text, "died d");
    assert_null(history_failure(&history, HISTORY_FAILURES));
    history_release(&history);
}

static void a_text_is_cut(void **state)
{
    struct history history;
    history_init(&history, 1);
    char *text = calloc(1, 20000);
    memset(text, 'x', 19999);
    history_failed(&history, &(struct history_failure){ .text = text, .at_ms = 1 });
    assert_int_equal(strlen(history_failure(&history, 0)->text), 8192);
    free(text);
    history_release(&history);
}

static void failures_outlive_a_plan_and_checkpoints_do_not(void **state)
{
    struct history history;
    static char text[] = "died", vertex[] = "count";
    history_init(&history, 2);
    history_failed(&history,
        &(struct history_failure){ .text = text, .vertex = vertex, .at_ms = 1 });
    history_triggered(&history, 1, false, 10);
    history_completed(&history, 1, 5, "/c", 20);
    history_begin(&history, 3);
    vertex[0] = '?'; /* the old plan is gone */
    assert_int_equal(history.failure_count, 1);
    assert_string_equal(history_failure(&history, 0)->vertex, "count");
    assert_null(history_checkpoint(&history, 0));
    assert_int_equal(history.completed_count, 0);
    history_triggered(&history, 2, false, 30);
    history_acked(&history, 2, 2, &(struct history_ack){ .at_ms = 31 });
    assert_int_equal(history_checkpoint(&history, 0)->acked_count, 1);
    history_release(&history);
}

static void a_takeover_is_no_failure_and_knows_what_the_job_came_from(void **state)
{
    struct history history;
    history_init(&history, 2);
    assert_int_equal(history.takeover.at_ms, 0);
    history_taken_over(&history, 3, 50);
    history_begin(&history, 2);
    assert_int_equal(history.takeover.restored, 0);
    history_restored(&history, 17, false, 60);
    history_restored(&history, 20, false, 70); /* a failure later */
    assert_int_equal(history.takeover.epoch, 3);
    assert_int_equal(history.takeover.at_ms, 50);
    assert_int_equal(history.takeover.restored, 17);
    assert_int_equal(history.failure_count, 0);
    assert_null(history_failure(&history, 0));
    history_release(&history);
}

static void a_checkpoint_gathers_acks_until_it_is_complete(void **state)
{
    struct history history;
    history_init(&history, 2);
    history_triggered(&history, 7, false, 100);
    const struct history_checkpoint *it = history_find(&history, 7);
    assert_ptr_equal(it, history_newest(&history, HISTORY_IN_PROGRESS, false));
    history_acked(&history, 7, 1, &ack);
    history_acked(&history, 7, 1, &(struct history_ack){ .at_ms = 999 }); /* twice */
    history_acked(&history, 8, 0, &ack);                                  /* of no checkpoint */
    assert_int_equal(it->acked_count, 1);
    assert_int_equal(it->acks[0].at_ms, 0);
    assert_int_equal(it->acks[1].at_ms, 150);
    history_acked(&history, 7, 0, &ack);
    history_completed(&history, 7, 4096, "/c/chk-7", 180);
    assert_int_equal(it->status, HISTORY_COMPLETED);
    assert_int_equal(it->ended_ms, 180);
    assert_int_equal(it->size, 4096);
    assert_string_equal(it->path, "/c/chk-7");
    assert_int_equal(history.completed_count, 1);
    assert_int_equal(history.durations.max_us, 80000);
    history_release(&history);
}

static void a_savepoint_is_where_it_was_written_whether_it_or_its_checkpoint_was_ready_first(
    void **state)
{
    struct history history;
    history_init(&history, 1);
    for (uint64_t number = 1; number <= 2; number++)
        history_triggered(&history, number, true, 100);
    history_completed(&history, 1, 1, "/c/chk-1", 180);
    history_saved(&history, 1, "/s/savepoint-1");
    history_saved(&history, 2, "/s/savepoint-2");
    history_completed(&history, 2, 1, "/c/chk-2", 180);
    history_saved(&history, 3, "/s/savepoint-3"); /* forgotten */
    assert_string_equal(history_find(&history, 1)->path, "/s/savepoint-1");
    assert_string_equal(history_find(&history, 2)->path, "/s/savepoint-2");
    history_release(&history);
}

static void what_is_over_hears_of_nothing_more(void **state)
{
    struct history history;
    history_init(&history, 1);
    history_triggered(&history, 1, false, 100);
    history_aborted(&history, 1, "task 0 declined", 120);
    history_acked(&history, 1, 0, &ack);
    history_completed(&history, 1, 1, NULL, 130);
    const struct history_checkpoint *it = history_find(&history, 1);
    assert_int_equal(it->status, HISTORY_FAILED);
    assert_string_equal(it->why, "task 0 declined");
    assert_int_equal(it->ended_ms, 120);
    assert_int_equal(it->acked_count, 0);
    assert_int_equal(history.durations.count, 0);
    history_release(&history);
}

static void the_newest_of_a_status_and_kind_is_found(void **state)
{
    struct history history;
    history_init(&history, 1);
    for (uint64_t number = 1; number <= 4; number++)
        history_triggered(&history, number, number == 2, 100 + (int64_t)number);
    history_completed(&history, 1, 1, NULL, 200);
    history_completed(&history, 2, 1, "/s", 200);
    history_aborted(&history, 3, "x", 200);
    assert_int_equal(history_newest(&history, HISTORY_COMPLETED, false)->number, 1);
    assert_int_equal(history_newest(&history, HISTORY_COMPLETED, true)->number, 2);
    assert_int_equal(history_newest(&history, HISTORY_FAILED, true)->number, 3);
    assert_int_equal(history_newest(&history, HISTORY_IN_PROGRESS, false)->number, 4);
    history_release(&history);
}

static void what_no_longer_fits_is_forgotten_and_still_counted(void **state)
{
    struct history history;
    history_init(&history, 3);
    for (uint64_t number = 1; number <= HISTORY_CHECKPOINTS + 5; number++) {
        history_triggered(&history, number, false, 100);
        history_acked(&history, number, 2, &ack);
        history_completed(&history, number, 1, "/p", 101);
    }
    history_completed(&history, 1, 1, NULL, 101); /* forgotten */
    assert_int_equal(history.checkpoint_count, HISTORY_CHECKPOINTS + 5);
    assert_int_equal(history.completed_count, HISTORY_CHECKPOINTS + 6);
    assert_null(history_find(&history, 5));
    assert_int_equal(history_find(&history, 6)->number, 6);
    assert_int_equal(history_checkpoint(&history, 0)->number, HISTORY_CHECKPOINTS + 5);
    assert_null(history_checkpoint(&history, HISTORY_CHECKPOINTS));
    history_release(&history);
}

static void the_last_restore_is_remembered(void **state)
{
    struct history history;
    history_init(&history, 1);
    history_restored(&history, 4, true, 50);
    history_restored(&history, 9, false, 60);
    assert_int_equal(history.restored_count, 2);
    assert_int_equal(history.restored, 9);
    assert_int_equal(history.restored_ms, 60);
    assert_false(history.was_savepoint);
    history_release(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_history_is_empty),
        cmocka_unit_test(failures_are_copied_and_the_newest_comes_first),
        cmocka_unit_test(a_text_is_cut),
        cmocka_unit_test(failures_outlive_a_plan_and_checkpoints_do_not),
        cmocka_unit_test(a_takeover_is_no_failure_and_knows_what_the_job_came_from),
        cmocka_unit_test(a_checkpoint_gathers_acks_until_it_is_complete),
        cmocka_unit_test(
            a_savepoint_is_where_it_was_written_whether_it_or_its_checkpoint_was_ready_first),
        cmocka_unit_test(what_is_over_hears_of_nothing_more),
        cmocka_unit_test(the_newest_of_a_status_and_kind_is_found),
        cmocka_unit_test(what_no_longer_fits_is_forgotten_and_still_counted),
        cmocka_unit_test(the_last_restore_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
