/* log_threads_test.c -- lines of many threads stay whole. Standard error goes to a file. */
#include "base/log.h"

#include "test/support/expect.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
    const int *thread = arg;
    for (int i = 0; i < LINES; i++) {
        log_info("test", "thread %d line %d of a text long enough to be torn", *thread, i);
        log_set_level(LOG_INFO);
    }
    return NULL;
}

static void lines_of_many_threads_stay_whole(void **state)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, write_lines, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);

    rewind(file);
    char line[512];
    int next[THREADS] = { 0 }, thread, number, end;
    while (fgets(line, sizeof(line), file) != NULL) {
        end = 0;
        sscanf(line, "%*s INFO  test: thread %d line %d of a text long enough to be torn%n",
            &thread, &number, &end);
        assert_int_equal(line[end], '\n');
        assert_in_range(thread, 0, THREADS - 1);
        assert_int_equal(number, next[thread]++);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_many_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
