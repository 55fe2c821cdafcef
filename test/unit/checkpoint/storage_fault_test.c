/* storage_fault_test.c -- the checkpoint directory when calls fail, processes die, and zombies go on.
 *
 * Each test runs one life of a job (open, restore, publish, clean, close) again and again; each time
 * something happens at its n-th call of the operating system, for every n. Then a new attempt must
 * restore what it has to: never nothing, never a mixture, never what was undone. */
#include "test/unit/checkpoint/storage_kit.h"

#include <errno.h>

/* What a life came to. */
struct life {
    const char *root;
    const char *text; /* of the checkpoint that it publishes; NULL: publishes none */
    uint64_t attempt; /* 0: it did not get as far */
    char restored[16];
    bool has_published; /* and was told so */
    bool may_show;      /* behind that it was still in charge: its sinks publish */
    bool was_disk_full;
};

/* Ends with the storage open: *storage NULL when it could not open. */
static void live(struct life *life, struct storage **storage)
{
    uint64_t number;
    weir_error *error = kit_try_open(life->root, 2, storage, &number, life->restored);
    if (error == NULL)
        life->attempt = storage_attempt(*storage);
    if (error == NULL && life->text != NULL) {
        error = kit_try_publish(*storage, storage_last_number(*storage) + 1, life->text, "more");
        life->has_published = error == NULL;
    }
    if (error == NULL && life->text != NULL) {
        storage_clean(*storage);
        error = storage_check_attempt(*storage);
        life->may_show = error == NULL;
    }
    if (error != NULL) {
        assert_true(strlen(weir_error_message(error)) > 10);
        life->was_disk_full = weir_error_code(error) == WEIR_E_DISK_FULL;
    }
    weir_error_free(error);
}

static void live_and_close(struct life *life)
{
    struct storage *storage = NULL;
    live(life, &storage);
    storage_close(storage);
}

/* kit_two without real syncs. */
static char *two_quickly(void)
{
    fault_os_start(0, FAULT_ONCE, 0);
    char *root = kit_two();
    fault_os_stop();
    return root;
}

/* -- one call fails ------------------------------------------------------------------------- */

static void check_after(const struct life *life, uint64_t nth, enum fault fault)
{
    struct life after = { .root = life->root, .text = "after" };
    fault_os_start(0, FAULT_ONCE, 0);
    live_and_close(&after);
    fault_os_stop();
    bool is_new = strcmp(after.restored, life->text) == 0;
    if ((!is_new && strcmp(after.restored, "two") != 0) || (life->has_published && !is_new) ||
        !after.has_published || !after.may_show)
        fail_msg("call %" PRIu64 ", fault %d: restored '%s', published before: %d, after: %d", nth,
            (int)fault, after.restored, life->has_published, after.has_published);
    struct life last = { .root = life->root };
    fault_os_start(0, FAULT_ONCE, 0);
    live_and_close(&last);
    fault_os_stop();
    assert_string_equal(last.restored, "after");
}

static uint64_t fail_every_call(enum fault fault, int error)
{
    uint32_t disk_full_count = 0;
    uint64_t n = 1;
    for (bool was_hit = true; was_hit; n++) {
        char *root = two_quickly();
        struct life life = { .root = root, .text = "three" };
        kit_log_begin(root);
        fault_os_start(n, fault, error);
        live_and_close(&life);
        was_hit = fault_os_stop();
        mem_free(kit_log_end(root));
        check_after(&life, n, fault);
        assert_true(was_hit || life.may_show);
        disk_full_count += life.was_disk_full;
        temp_dir_free(root);
    }
    assert_int_equal(disk_full_count > 0, error == ENOSPC);
    return n;
}

static void any_call_may_find_the_disk_full(void **state)
{
    assert_true(fail_every_call(FAULT_ONCE, ENOSPC) > 60); /* there are as many calls to fail */
}

static void any_call_may_say_that_it_failed_and_be_done(void **state)
{
    fail_every_call(FAULT_LIE, EIO);
}

static void the_process_may_die_before_any_call(void **state)
{
    fail_every_call(FAULT_CRASH, EIO);
}

/* The restart of a failed job tries again when the disk fails it: it must not take itself for another. */
static void an_attempt_that_could_not_start_is_not_fenced_by_itself(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        char *root = two_quickly();
        struct storage *storage = kit_open(root, 2, "two");
        kit_log_begin(root);
        fault_os_start(n, FAULT_ONCE, EIO);
        weir_error *error = storage_next_attempt(storage);
        was_hit = fault_os_stop();
        mem_free(kit_log_end(root));
        if (error != NULL) {
            weir_error_free(error);
            assert_ok(storage_check_attempt(storage));
            assert_ok(storage_next_attempt(storage));
        }
        assert_ok(storage_check_attempt(storage));
        storage_close(storage);
        temp_dir_free(root);
    }
}

/* The first start of all: a directory that is half made must not stop the second one. */
static void the_first_start_may_die_anywhere(void **state)
{
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++) {
        char *root = temp_dir_new();
        char *deep = mem_printf("%s/a/b", root);
        struct life life = { .root = deep, .text = "one" };
        kit_log_begin(root);
        fault_os_start(n, FAULT_CRASH, EIO);
        live_and_close(&life);
        was_hit = fault_os_stop();
        mem_free(kit_log_end(root));
        struct life next = { .root = deep, .text = "two" };
        fault_os_start(0, FAULT_ONCE, 0);
        live_and_close(&next);
        fault_os_stop();
        assert_true(next.may_show);
        assert_true(
            strcmp(next.restored, "one") == 0 || (!life.has_published && next.restored[0] == '\0'));
        mem_free(deep);
        temp_dir_free(root);
    }
}

/* -- another attempt comes in between ------------------------------------------------------- */

/* The other one, and whether it manages to delete what the first one is about to rename. */
struct intruder {
    struct life life;
    bool can_delete;
    struct storage *storage; /* stays open: it is in charge */
};

static int (*remove_before)(const char *path);

static int remove_but_temporaries(const char *path)
{
    size_t size = strlen(path);
    return size > 4 && strcmp(path + size - 4, ".tmp") == 0 ? EIO : remove_before(path);
}

static void intrude(void *arg)
{
    struct intruder *intruder = arg;
    const struct os *before = os_current;
    struct os table = *before;
    remove_before = table.remove;
    if (!intruder->can_delete)
        table.remove = remove_but_temporaries;
    os_current = &table;
    live(&intruder->life, &intruder->storage);
    os_current = before;
}

/* What the next attempt has to restore. */
static const char *expected_after(const struct life *first, const struct life *other)
{
    const struct life *newer = first->attempt > other->attempt ? first : other;
    if (newer->has_published)
        return newer->text;
    return newer->restored;
}

static void check_intrusion(uint64_t n, bool publishes, bool can_delete, bool *was_hit,
    uint32_t *void_count)
{
    char *root = two_quickly();
    struct life first = { .root = root, .text = "first" };
    struct intruder intruder = { .can_delete = can_delete,
        .life = { .root = root, .text = publishes ? "other" : NULL } };
    kit_log_begin(root);
    fault_os_hook(n, intrude, &intruder);
    live_and_close(&first);
    *was_hit = fault_os_stop();
    if (*was_hit) {
        fault_os_start(0, FAULT_ONCE, 0);
        storage_close(intruder.storage);
        struct life last = { .root = root };
        live_and_close(&last);
        fault_os_stop();
        char *log = kit_log_end(root);
        const char *expected = expected_after(&first, &intruder.life);
        if (strcmp(last.restored, expected) != 0)
            fail_msg("call %" PRIu64 ": restored '%s' instead of '%s'", n, last.restored, expected);
        /* what sinks may have published is never undone */
        assert_true(!first.may_show || strcmp(last.restored, "first") == 0 ||
                    strcmp(intruder.life.restored, "first") == 0);
        assert_true(!publishes || intruder.life.has_published);
        *void_count += strstr(log, "void, because") != NULL;
        mem_free(log);
    } else {
        mem_free(kit_log_end(root));
    }
    temp_dir_free(root);
}

static uint32_t intrude_at_every_call(bool publishes, bool can_delete)
{
    uint32_t void_count = 0;
    bool was_hit = true;
    for (uint64_t n = 1; was_hit; n++)
        check_intrusion(n, publishes, can_delete, &was_hit, &void_count);
    return void_count;
}

static void an_attempt_that_takes_over_at_any_call_wins(void **state)
{
    assert_int_equal(intrude_at_every_call(true, true), 0);
    assert_int_equal(intrude_at_every_call(false, true), 0);
}

/* The zombie's rename succeeds behind the back of the new attempt: the checkpoint is void. */
static void a_zombie_that_slips_through_is_void(void **state)
{
    assert_int_equal(intrude_at_every_call(false, false), 1);
    intrude_at_every_call(true, false); /* the newer one's is found first: nobody looks */
}

static void a_zombie_that_is_not_in_between_is_fenced(void **state)
{
    char *root = two_quickly();
    struct storage *zombie = kit_open(root, 2, "two");
    struct storage *storage = kit_open(root, 2, "two");
    uint64_t next = storage_last_number(zombie) + 1;
    assert_code(storage_check_attempt(zombie), WEIR_E_FENCED, "has taken over");
    assert_code(kit_try_publish(zombie, next, "z", NULL), WEIR_E_IO, "staging-2"); /* deleted */
    assert_ok(os_make_dirs(storage_staging_dir(zombie)));
    assert_code(kit_try_publish(zombie, next, "z", NULL), WEIR_E_FENCED, "has taken over");
    kit_log_begin(root);
    storage_clean(zombie); /* logs, does nothing */
    mem_free(kit_log_end(root));
    next = storage_last_number(storage) + 1;
    kit_publish(storage, next, "three");
    storage_close(zombie);
    storage_close(storage);
    storage_close(kit_open(root, next, "three"));
    temp_dir_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_may_find_the_disk_full),
        cmocka_unit_test(any_call_may_say_that_it_failed_and_be_done),
        cmocka_unit_test(the_process_may_die_before_any_call),
        cmocka_unit_test(an_attempt_that_could_not_start_is_not_fenced_by_itself),
        cmocka_unit_test(the_first_start_may_die_anywhere),
        cmocka_unit_test(an_attempt_that_takes_over_at_any_call_wins),
        cmocka_unit_test(a_zombie_that_slips_through_is_void),
        cmocka_unit_test(a_zombie_that_is_not_in_between_is_fenced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
