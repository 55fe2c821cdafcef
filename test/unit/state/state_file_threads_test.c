/* Files of state are verified by several threads at once: meant for the thread sanitizer.
 *
 * Threads that happen to come one after the other would show nothing. So the system call by which a file is
 * opened is held until two threads are in it: of one caller and his helper, or of two callers. */
#include "base/os.h"
#include "base/os_process.h"
#include "base/worker.h"
#include "test/support/shelf.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define FILES   24u
#define SIZE    300000u /* a file is more than one block to read */
#define HELPERS 2u
#define BROKEN  7u
#define LIMIT_S 60

/* Two threads that open files wait for each other, once. Thread: any, under `lock`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    pthread_t first;
    int count; /* threads so far; 2: nobody waits any more */
} meeting = { .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };

static void meet(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LIMIT_S;
    pthread_mutex_lock(&meeting.lock);
    if (meeting.count == 0 || (meeting.count == 1 && !pthread_equal(meeting.first, pthread_self())))
        meeting.count++;
    if (meeting.count == 1)
        meeting.first = pthread_self();
    pthread_cond_broadcast(&meeting.came);
    while (meeting.count < 2 &&
           pthread_cond_timedwait(&meeting.came, &meeting.lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&meeting.lock);
}

static int open_together(const char *path, enum os_open_mode mode, void **handle)
{
    meet();
    return os_linux.open(path, mode, handle);
}

struct fixture {
    struct shelf shelf;
    struct arena arena;
    struct workers *workers;
    struct state_file stored[FILES];
    const struct os *before;
};

static void begin(struct fixture *it)
{
    char name[16], *bytes = mem_alloc(SIZE);
    shelf_init(&it->shelf);
    arena_init(&it->arena, 4096, 1 << 20);
    char *from = mem_printf("%s/finished", it->shelf.root);
    for (uint32_t i = 0; i < FILES; i++) {
        memset(bytes, (int)i, SIZE);
        snprintf(name, sizeof(name), "%u", i);
        shelf_ok(os_write_file(from, bytes, SIZE));
        shelf_ok(state_file_store(from, it->shelf.root, 1, name, &it->arena, &it->stored[i]));
        it->stored[i].identity =
            0; /* who verifies them is another process than the one that has stored them */
    }
    mem_free(from);
    mem_free(bytes);
    it->workers = workers_new(HELPERS, 8);
    static struct os os;
    it->before = os_current;
    os = *os_current;
    os.open = open_together;
    meeting.count = 0;
    os_current = &os;
}

static void end(struct fixture *it)
{
    os_current = it->before;
    workers_free(it->workers);
    arena_release(&it->arena);
    shelf_release(&it->shelf);
}

/* Thread: who verifies; its files are copies, as each backend's are. */
struct restore {
    struct fixture *it;
    struct state_file files[FILES];
    weir_error *error;
};

static void *verify(void *arg)
{
    struct restore *restore = arg;
    struct state_file *list[FILES];
    for (uint32_t i = 0; i < FILES; i++)
        list[i] = &restore->files[i];
    restore->error = state_files_verify(restore->it->shelf.root, restore->it->workers, list, FILES);
    return NULL;
}

static struct restore restore_of(struct fixture *it)
{
    struct restore restore = { .it = it };
    memcpy(restore.files, it->stored, sizeof(restore.files));
    return restore;
}

static void expect_all_verified(const struct restore *restore)
{
    shelf_ok(restore->error);
    for (uint32_t i = 0; i < FILES; i++)
        assert_true(restore->files[i].is_verified && restore->files[i].identity != 0);
}

static void who_verifies_is_helped_by_workers(void **state)
{
    (void)state;
    if (os_cpu_count() < 2)
        skip(); /* nobody helps then */
    struct fixture it;
    begin(&it);
    struct restore restore = restore_of(&it);
    verify(&restore);
    assert_int_equal(meeting.count, 2);
    expect_all_verified(&restore);
    end(&it);
}

/* As when several tasks of a process are restored: the files are the same, the lists are each one's own. */
static void several_verify_the_same_files_with_the_same_workers(void **state)
{
    (void)state;
    struct fixture it;
    begin(&it);
    struct restore whole = restore_of(&it), broken = restore_of(&it);
    pthread_t thread;
    broken.files[BROKEN].checksum ^= 1;
    assert_int_equal(pthread_create(&thread, NULL, verify, &broken), 0);
    verify(&whole);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(meeting.count, 2);
    shelf_fails(broken.error, WEIR_E_CORRUPT, broken.files[BROKEN].path);
    assert_false(broken.files[BROKEN].is_verified);
    expect_all_verified(&whole);
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_verifies_is_helped_by_workers),
        cmocka_unit_test(several_verify_the_same_files_with_the_same_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
