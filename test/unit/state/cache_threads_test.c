/* The cache against the model while a worker writes its snapshots: meant for the thread sanitizer.
 *
 * librocksdb is not built with it: only our own accesses, and what libc sees, are judged. */
#include "test/support/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define STEPS 60000u
#define SMALL (192u << 10) /* bytes of memory */

static void the_task_goes_on_while_a_worker_writes(void **state)
{
    (void)state;
    model_run(&(struct model_options){ .verbs = &backend_cache,
        .memory_size = SMALL,
        .has_threads = true,
        .has_faults = true,
        .steps = STEPS });
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_task_goes_on_while_a_worker_writes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
