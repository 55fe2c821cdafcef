/* current.c -- see current.h. */
#include "runtime/task/current.h"

#include "runtime/task/context.h"

_Thread_local const struct weir_ctx *current_context;

/* Thread: its holder. Text that grows at `at`. */
struct text {
    char *at, *end;
};

static void add(struct text *text, const char *part)
{
    for (; *part != '\0' && text->at < text->end; part++)
        *text->at++ = *part;
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
        add(&text, "), about record ");
        add_number(&text, (uint64_t)metric_get(
                              ctx->op->kind == PLAN_SOURCE ? &ctx->records_out : &ctx->records_in));
    }
    *text.at = '\0';
}
