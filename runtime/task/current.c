/* current.c -- see current.h. */
#include "runtime/task/current.h"

#include "runtime/task/context.h"
#include "runtime/task/task_private.h"

#define POSITIONS_MAX 8u
#define TOPIC_MAX     255u

_Thread_local const struct weir_ctx *current_context;
_Thread_local bool current_is_async;

/* Thread: its holder. Text that grows at `at`. */
struct text {
    char *at, *end;
};

static void add_bytes(struct text *text, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && text->at < text->end; i++)
        *text->at++ = bytes[i];
}

static void add(struct text *text, const char *part)
{
    add_bytes(text, part, strlen(part));
}

static void add_number(struct text *text, uint64_t number)
{
    char digits[21], *first = &digits[20];
    *first = '\0';
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(text, first);
}

/* "topic 'clicks', partition 3, offsets 17 to 42", "file 'a.csv', bytes 0 to 99": in the words of bad records. */
static void add_position(struct text *text, const struct weir_position *it)
{
    bool is_file = it->partition < 0, is_one = it->first == it->last;
    add(text, is_file ? "file '" : "topic '");
    add_bytes(text, it->topic.data, it->topic.size < TOPIC_MAX ? it->topic.size : TOPIC_MAX);
    add(text, "', ");
    if (!is_file) {
        add(text, "partition ");
        add_number(text, (uint64_t)it->partition);
        add(text, ", ");
    }
    add(text, is_file ? "byte" : "offset");
    add(text, is_one ? " " : "s ");
    add_number(text, (uint64_t)it->first);
    if (is_one)
        return;
    add(text, " to ");
    add_number(text, (uint64_t)it->last);
}

/* What it handles is not of the last poll when somebody in front of it emits in another call than that of a record. */
static bool is_of_the_poll(const struct task *task)
{
    if (task == NULL || !task->is_source)
        return false;
    for (uint32_t i = 0; i < task->chain.count; i++)
        if (task->chain.contexts[i]->call != NULL)
            return false;
    return true;
}

static void add_positions(struct text *text, const struct task *task)
{
    struct weir_position list[POSITIONS_MAX];
    if (!is_of_the_poll(task) || task->head->op->source.source_class->positions == NULL)
        return;
    uint32_t count =
        task->head->op->source.source_class->positions(task->head->instance, list, POSITIONS_MAX);
    for (uint32_t i = 0; i < count && i < POSITIONS_MAX; i++) {
        add(text, i == 0 ? ": " : ", or ");
        add_position(text, &list[i]);
    }
    if (count > POSITIONS_MAX)
        add(text, ", or others");
}

/* A source has counted what it emitted before this poll; others what they get now, too. */
static void add_record(struct text *text, const struct weir_ctx *ctx)
{
    bool is_source = ctx->op->kind == PLAN_SOURCE;
    uint64_t number = (uint64_t)metric_get(is_source ? &ctx->records_out : &ctx->records_in);
    if (ctx->call != NULL) {
        add(text, ", ");
        add(text, ctx->call);
    }
    if (number == 0)
        return;
    add(text, is_source || ctx->call != NULL ? ", behind record " : ", at or before record ");
    add_number(text, number);
    add(text, " of this attempt");
}

void current_describe(char *to, size_t size)
{
    const struct weir_ctx *ctx = current_context;
    struct text text = { .at = to, .end = to + size - 1 };
    if (ctx != NULL) {
        add(&text, ctx->op->kind == PLAN_SOURCE ? "source '"
                   : ctx->op->kind == PLAN_SINK ? "sink '"
                                                : "operator '");
        add(&text, ctx->op->name);
        add(&text, "' (");
        add_number(&text, ctx->subtask + 1);
        add(&text, "/");
        add_number(&text, ctx->vertex->parallelism);
        add(&text, current_is_async ? "), in an asynchronous call" : ")");
    }
    if (ctx != NULL && !current_is_async) {
        add_record(&text, ctx);
        add_positions(&text, ctx->task);
    }
    *text.at = '\0';
}

bool current_task(uint32_t *number)
{
    if (current_context == NULL)
        return false;
    *number = current_context->vertex->first_subtask + current_context->subtask;
    return true;
}
