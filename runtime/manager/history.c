/* history.c -- see history.h.
 *
 * A checkpoint that is no longer in the ring, or is over, hears of nothing any more: acks that come after an
 * abort, and a second end, change nothing. Counts are by what was told, not by what is kept. */
#include "runtime/manager/history.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

#define TEXT_MAX 8192 /* bytes */

static char *copy_text(const char *text)
{
    return text == NULL ? NULL : mem_printf("%.*s", TEXT_MAX, text);
}

void history_init(struct history *history, uint32_t subtask_count)
{
    *history = (struct history){ .subtask_count = subtask_count };
}

static void release_failure(struct history_failure *it)
{
    mem_free(it->text);
    mem_free(it->vertex);
    mem_free(it->place);
    *it = (struct history_failure){ 0 };
}

static void release_checkpoint(struct history_checkpoint *it)
{
    mem_free(it->acks);
    mem_free(it->path);
    mem_free(it->why);
    *it = (struct history_checkpoint){ 0 };
}

void history_release(struct history *history)
{
    for (uint32_t i = 0; i < HISTORY_FAILURES; i++)
        release_failure(&history->failures[i]);
    for (uint32_t i = 0; i < HISTORY_CHECKPOINTS; i++)
        release_checkpoint(&history->checkpoints[i]);
}

void history_begin(struct history *history, uint32_t subtask_count)
{
    struct history begun = { .subtask_count = subtask_count,
        .failure_count = history->failure_count,
        .takeover = history->takeover };
    memcpy(begun.failures, history->failures, sizeof(begun.failures));
    for (uint32_t i = 0; i < HISTORY_CHECKPOINTS; i++)
        release_checkpoint(&history->checkpoints[i]);
    *history = begun;
}

/* -- writing -------------------------------------------------------------------------------- */

void history_taken_over(struct history *history, uint64_t epoch, int64_t now_ms)
{
    ASSERT(now_ms > 0);
    history->takeover = (struct history_takeover){ .epoch = epoch, .at_ms = now_ms };
}

void history_failed(struct history *history, const struct history_failure *failure)
{
    struct history_failure *it = &history->failures[history->failure_count++ % HISTORY_FAILURES];
    release_failure(it);
    *it = *failure;
    it->text = copy_text(failure->text);
    it->vertex = copy_text(failure->vertex);
    it->place = copy_text(failure->place);
}

void history_triggered(struct history *history, uint64_t number, bool is_savepoint, int64_t now_ms)
{
    ASSERT(now_ms > 0);
    struct history_checkpoint *it =
        &history->checkpoints[history->checkpoint_count++ % HISTORY_CHECKPOINTS];
    release_checkpoint(it);
    *it = (struct history_checkpoint){ .number = number,
        .is_savepoint = is_savepoint,
        .triggered_ms = now_ms,
        .acks = mem_alloc_array(history->subtask_count, sizeof(*it->acks)) };
}

/* NULL: it is forgotten. */
static struct history_checkpoint *kept(struct history *history, uint64_t number)
{
    for (uint32_t i = 0; i < HISTORY_CHECKPOINTS; i++) {
        struct history_checkpoint *it = &history->checkpoints[i];
        if (it->number == number && it->triggered_ms != 0)
            return it;
    }
    return NULL;
}

/* NULL: it is over, or forgotten. */
static struct history_checkpoint *pending(struct history *history, uint64_t number)
{
    struct history_checkpoint *it = kept(history, number);
    return it != NULL && it->status == HISTORY_IN_PROGRESS ? it : NULL;
}

void history_acked(struct history *history, uint64_t number, uint32_t subtask,
    const struct history_ack *ack)
{
    ASSERT(subtask < history->subtask_count && ack->at_ms > 0);
    struct history_checkpoint *it = pending(history, number);
    if (it == NULL || it->acks[subtask].at_ms != 0)
        return;
    it->acks[subtask] = *ack;
    it->acked_count++;
}

void history_completed(struct history *history, uint64_t number, uint64_t size, const char *path,
    int64_t now_ms)
{
    history->completed_count++;
    struct history_checkpoint *it = pending(history, number);
    if (it == NULL)
        return;
    it->status = HISTORY_COMPLETED;
    it->ended_ms = now_ms;
    it->size = size;
    if (it->path == NULL)
        it->path = copy_text(path);
    histogram_add(&history->durations, (now_ms - it->triggered_ms) * 1000);
}

void history_saved(struct history *history, uint64_t number, const char *path)
{
    struct history_checkpoint *it = kept(history, number);
    if (it == NULL)
        return;
    mem_free(it->path);
    it->path = copy_text(path);
}

void history_aborted(struct history *history, uint64_t number, const char *why, int64_t now_ms)
{
    history->failed_count++;
    struct history_checkpoint *it = pending(history, number);
    if (it == NULL)
        return;
    it->status = HISTORY_FAILED;
    it->ended_ms = now_ms;
    it->why = copy_text(why);
}

void history_restored(struct history *history, uint64_t number, bool was_savepoint, int64_t now_ms)
{
    history->restored_count++;
    history->restored = number;
    history->restored_ms = now_ms;
    history->was_savepoint = was_savepoint;
    if (history->takeover.restored == 0)
        history->takeover.restored = number;
}

/* -- reading -------------------------------------------------------------------------------- */

const struct history_failure *history_failure(const struct history *history, uint32_t i)
{
    if (i >= HISTORY_FAILURES || i >= history->failure_count)
        return NULL;
    return &history->failures[(history->failure_count - 1 - i) % HISTORY_FAILURES];
}

const struct history_checkpoint *history_checkpoint(const struct history *history, uint32_t i)
{
    if (i >= HISTORY_CHECKPOINTS || i >= history->checkpoint_count)
        return NULL;
    return &history->checkpoints[(history->checkpoint_count - 1 - i) % HISTORY_CHECKPOINTS];
}

const struct history_checkpoint *history_find(const struct history *history, uint64_t number)
{
    const struct history_checkpoint *it;
    for (uint32_t i = 0; (it = history_checkpoint(history, i)) != NULL; i++)
        if (it->number == number)
            return it;
    return NULL;
}

const struct history_checkpoint *history_newest(const struct history *history,
    enum history_status status, bool is_savepoint)
{
    const struct history_checkpoint *it;
    for (uint32_t i = 0; (it = history_checkpoint(history, i)) != NULL; i++) {
        bool is_kind = status != HISTORY_COMPLETED || it->is_savepoint == is_savepoint;
        if (it->status == status && is_kind)
            return it;
    }
    return NULL;
}
