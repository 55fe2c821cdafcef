/* explain_dot.c -- the plan as a Graphviz digraph: ./job explain --as dot | dot -Tsvg > plan.svg
 *
 * A vertex is a box: its parallelism, then a line per chained operator. An edge is drawn with its
 * partitioner and key; side outputs are dashed, dead letters dotted. */
#include "runtime/graph/explain_private.h"

#include "base/buffer.h"

/* Inside a quoted label: a backslash or a quote would end or change it. */
static void put_escaped(weir_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            weir_buffer_add_byte(out, '\\');
        weir_buffer_add_byte(out, *text);
    }
}

static void put_vertex(weir_buffer *out, const struct plan *plan, uint32_t index)
{
    const struct plan_vertex *vertex = &plan->vertices[index];
    buffer_printf(out, "    v%u [label=\"", index);
    for (uint32_t i = 0; i < vertex->operator_count; i++) {
        const struct plan_operator *operator_ = &vertex->operators[i];
        const char *connector = explain_connector(operator_);
        put_escaped(out, operator_->name);
        if (connector != NULL) {
            buffer_printf(out, " (");
            put_escaped(out, connector);
            buffer_printf(out, ")");
        }
        buffer_printf(out, "\\n");
    }
    buffer_printf(out, "x%u", vertex->parallelism);
    if (plan->slot_group_count > 1) {
        buffer_printf(out, ", slots ");
        put_escaped(out, plan->slot_groups[vertex->slot_group]);
    }
    buffer_printf(out, "\"];\n");
}

static void put_edge(weir_buffer *out, const struct plan *plan, uint32_t index)
{
    static const char *const styles[] = { [PLAN_OUTPUT_MAIN] = "solid",
        [PLAN_OUTPUT_SIDE] = "dashed",
        [PLAN_OUTPUT_DEAD_LETTERS] = "dotted" };
    const struct plan_edge *edge = &plan->edges[index];
    buffer_printf(out, "    v%u -> v%u [style=%s, label=\"%s", edge->from_vertex, edge->to_vertex,
        styles[edge->output], partitioner_name(edge->partitioner));
    for (uint32_t i = 0; i < edge->key.offset_count; i++) {
        buffer_printf(out, "%s", i == 0 ? " of " : ", ");
        put_escaped(out, explain_key_field(&edge->key, i));
    }
    buffer_printf(out, "\\n");
    put_escaped(out, explain_type(edge->type));
    const char *side = explain_edge_side(plan, index);
    if (side != NULL) {
        buffer_printf(out, ": ");
        put_escaped(out, side);
    }
    buffer_printf(out, "\"];\n");
}

void explain_dot(const struct plan *plan, weir_buffer *out)
{
    buffer_printf(out, "digraph \"");
    put_escaped(out, plan->job);
    buffer_printf(out, "\" {\n    rankdir=LR;\n    node [shape=box, style=rounded];\n");
    for (uint32_t i = 0; i < plan->vertex_count; i++)
        put_vertex(out, plan, i);
    for (uint32_t i = 0; i < plan->edge_count; i++)
        put_edge(out, plan, i);
    buffer_printf(out, "}\n");
}
