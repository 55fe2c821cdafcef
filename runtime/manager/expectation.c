/* expectation.c -- see expectation.h. A walk over the plan: what can be compared is taken out of it. */
#include "runtime/manager/expectation.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "state/keyed.h"

#define SCHEMA_TEXT_MAX ((size_t)1 << 20)

static void expect(const struct plan_operator *op, const char *backend, struct arena *arena,
    struct restore_expectation *it)
{
    it->uid = weir_str_of(op->uid);
    it->backend = WEIR_STR("");
    it->schema_text = WEIR_STR("");
    if (!op->has_keyed_state)
        return;
    weir_buffer *text = weir_buffer_new(SCHEMA_TEXT_MAX);
    keyed_schema_text(op->op->states, op->op->state_count, text);
    weir_str view = weir_buffer_view(text);
    it->backend = weir_str_of(backend);
    it->states = op->op->states;
    it->state_count = op->op->state_count;
    it->key = op->key;
    it->has_timers = op->op->has_timers;
    it->schema = keyed_schema(op->op->states, op->op->state_count);
    it->schema_text =
        (weir_str){ .data = arena_dup(arena, view.data, view.size), .size = view.size };
    weir_buffer_free(text);
}

void expectations_init(struct expectations *it, const struct plan *plan, const char *backend)
{
    *it = (struct expectations){ .count = 0 };
    for (uint32_t v = 0; v < plan->vertex_count; v++)
        it->count += plan->vertices[v].operator_count;
    arena_init(&it->arena, (size_t)4 << 10, (size_t)1 << 30);
    it->list = arena_alloc(&it->arena, it->count * sizeof(*it->list));
    struct restore_expectation *next = it->list;
    for (uint32_t v = 0; v < plan->vertex_count; v++)
        for (uint32_t i = 0; i < plan->vertices[v].operator_count; i++)
            expect(&plan->vertices[v].operators[i], backend, &it->arena, next++);
    ASSERT(next == it->list + it->count);
}

void expectations_release(struct expectations *it)
{
    arena_release(&it->arena);
}
