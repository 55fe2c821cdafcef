/* jobmanager_restore.c -- what comes before tasks: an attempt of one's own, and what to restore.
 * Prefixes: jobmanager_, restored_
 *
 *      first start     the storage has claimed an attempt when it was opened
 *      restart         still in charge? claim the next one, so that a task of the old attempt that
 *                      hangs somewhere can publish nothing
 *      both            read the newest complete checkpoint and verify it; does it fit the plan? */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/os.h"
#include "base/worker.h"
#include "runtime/manager/jobmanager_private.h"
#include "state/keyed.h"

#include <inttypes.h>

#define SCHEMA_TEXT_MAX ((size_t)1 << 20)

/* -- what the plan expects ------------------------------------------------------------------------ */

static void expect(struct jobmanager *jobmanager, const struct plan_operator *op)
{
    struct restore_expectation *it = &jobmanager->expectations[jobmanager->expectation_count++];
    it->uid = weir_str_of(op->uid);
    it->backend = WEIR_STR("");
    it->schema_text = WEIR_STR("");
    if (!op->has_keyed_state)
        return;
    weir_buffer *text = weir_buffer_new(SCHEMA_TEXT_MAX);
    keyed_schema_text(op->op->states, op->op->state_count, text);
    weir_str view = weir_buffer_view(text);
    it->backend = weir_str_of(jobmanager->options.backend);
    it->schema = keyed_schema(op->op->states, op->op->state_count);
    it->schema_text = (weir_str){ .data = arena_dup(&jobmanager->arena, view.data, view.size),
        .size = view.size };
    weir_buffer_free(text);
}

void jobmanager_expect(struct jobmanager *jobmanager)
{
    const struct plan *plan = jobmanager->options.plan;
    uint32_t count = 0;
    for (uint32_t v = 0; v < plan->vertex_count; v++)
        count += plan->vertices[v].operator_count;
    arena_init(&jobmanager->arena, (size_t)4 << 10, (size_t)1 << 30);
    jobmanager->expectations =
        arena_alloc(&jobmanager->arena, count * sizeof(*jobmanager->expectations));
    for (uint32_t v = 0; v < plan->vertex_count; v++)
        for (uint32_t i = 0; i < plan->vertices[v].operator_count; i++)
            expect(jobmanager, &plan->vertices[v].operators[i]);
    ASSERT(jobmanager->expectation_count == count);
}

/* -- the worker's part ---------------------------------------------------------------------------- */

void restored_free(struct restored *restored)
{
    if (restored == NULL)
        return;
    if (restored->found)
        checkpoint_metadata_release(&restored->metadata);
    mem_free(restored);
}

void jobmanager_forget_restored(struct jobmanager *jobmanager)
{
    restored_free(jobmanager->restored);
    jobmanager->restored = NULL;
}

static weir_error *claim(struct jobmanager *jobmanager)
{
    FAULT_TRY(RESTORE_BEFORE_ATTEMPT);
    if (!jobmanager->is_first_restore) {
        WEIR_TRY(storage_check_attempt(jobmanager->options.storage));
        WEIR_TRY(storage_next_attempt(jobmanager->options.storage));
    }
    FAULT_TRY(RESTORE_AFTER_ATTEMPT);
    return NULL;
}

static weir_error *read_newest(struct jobmanager *jobmanager, struct restored *restored)
{
    struct storage *storage = jobmanager->options.storage;
    WEIR_TRY(claim(jobmanager));
    if (jobmanager->is_first_restore && jobmanager->options.is_fresh)
        return storage_fresh(storage);
    WEIR_TRY(storage_restore(storage, &restored->metadata, &restored->found));
    FAULT_TRY(RESTORE_AFTER_READ);
    if (!restored->found)
        return NULL;
    return restore_check(&restored->metadata, jobmanager->expectations,
        jobmanager->expectation_count, jobmanager->options.plan->max_parallelism);
}

static void run_restore(void *arg)
{
    struct jobmanager *jobmanager = arg;
    struct restored *restored = mem_alloc(sizeof(*restored));
    struct event event = { .kind = EVENT_RESTORED };
    event.error = read_newest(jobmanager, restored);
    event.restored = restored;
    jobmanager_post(jobmanager, &event);
}

void jobmanager_restore(struct jobmanager *jobmanager, int64_t now_ms)
{
    if (!workers_submit(jobmanager->options.workers, jobmanager, run_restore, jobmanager))
        jobmanager_failed(jobmanager,
            weir_errorf(WEIR_E_LIMIT, "cannot restore: too much blocking work is waiting"), now_ms);
}

/* -- control's part ------------------------------------------------------------------------------- */

static void report(const struct jobmanager *jobmanager, const struct restored *restored)
{
    const char *what = jobmanager->is_first_restore ? "resumed" : "restarted";
    if (!restored->found) {
        if (!jobmanager->is_first_restore)
            log_info("job", "restarted from the beginning: no checkpoint was complete");
        else if (!storage_is_temporary(jobmanager->options.storage))
            log_info("job", "started from the beginning: no checkpoint is in '%s' yet",
                storage_dir(jobmanager->options.storage));
        return;
    }
    const struct checkpoint_metadata *metadata = &restored->metadata;
    log_info("job", "%s from checkpoint %" PRIu64 " of attempt %" PRIu64 " (taken %.0f s ago)",
        what, metadata->checkpoint, metadata->attempt,
        (double)(os_wall_ms() - metadata->started_ms) / 1000);
}

void jobmanager_restored(struct jobmanager *jobmanager, struct event *event, int64_t now_ms)
{
    struct restored *restored = event->restored;
    uint64_t number = storage_last_number(jobmanager->options.storage);
    ASSERT(jobmanager->restored == NULL);
    if (event->error != NULL) {
        weir_error *error = event->error;
        event->error = NULL; /* taken */
        jobmanager_failed(jobmanager, error, now_ms);
        return;
    }
    event->restored = NULL; /* taken */
    report(jobmanager, restored);
    if (restored->found)
        jobmanager->instance = restored->metadata.instance;
    else
        jobmanager->instance = storage_instance(jobmanager->options.storage);
    jobmanager->restored = restored;
    jobmanager->is_first_restore = false;
    jobmanager->stats.attempt = storage_attempt(jobmanager->options.storage);
    jobmanager->stats.last_checkpoint = restored->found ? restored->metadata.checkpoint : 0;
    if (number > jobmanager->last_number)
        jobmanager->last_number = number;
    execution_restored(&jobmanager->execution, restored->found);
}
