/* plan_codec_test.c -- a plan comes back from bytes as far as it is data; other bytes are refused, or harmless. */
#include "runtime/graph/plan_codec.h"

#include "base/sealed.h"
#include "graph_fixture.h"
#include "test/support/expect.h"
#include "test/support/trial.h"
#include "types/schema.h"

#include <stdlib.h>

/* -- graphs ------------------------------------------------------------------------------------ */

static const struct plan *unchained(weir_job *job)
{
    const struct plan_options options = { .job = "test",
        .parallelism = 3,
        .max_parallelism = 9,
        .is_chaining_disabled = true };
    weir_stream *keyed = weir_key_by(clicks(job), WEIR_KEY(click, page));
    weir_stream *built = weir_process(keyed, &build_profile, NULL);
    weir_sink(built, "a", FAKE_SINK(.type = &profile_type));
    weir_sink(built, "b", FAKE_SINK(.type = NULL));
    return plan_of(job, &options);
}

/* Names at their limits, two of each; a source that is read twice; every way to travel. */
static const struct plan *tangled(weir_job *job)
{
    char name[256];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    weir_stream *source = weir_event_time(clicks(job), click, at_ms, 0);
    weir_stream *one = weir_process(source, pass(job, name), NULL);
    weir_stream *two = weir_process(weir_broadcast(source), pass(job, name), NULL);
    weir_stream *both = weir_union(weir_rebalance(one), weir_union(two, two));
    weir_stream *fork = weir_process(both, pass(job, "a/b \xc3\xa9"), NULL);
    weir_sink(weir_process(fork, pass(job, "left"), NULL), "out-left", FAKE_SINK(.type = NULL));
    weir_sink(weir_process(fork, pass(job, "right"), NULL), "out-right", FAKE_SINK(.type = NULL));
    weir_sink(weir_union(fork, one), "all", FAKE_SINK(.type = NULL));
    weir_sink(weir_key_by(fork, WEIR_KEY(click, price)), "by-price", FAKE_SINK(.type = NULL));
    return plan_of(job, &two_wide);
}

static const struct plan *of_a_trial(weir_job *job)
{
    trial_reset(&(struct trial){ .count = 1 });
    trial_build(job);
    return plan_of(job, &two_wide);
}

typedef const struct plan *graph_fn(weir_job *job);
static graph_fn *const graphs[] = { example, unchained, tangled, of_a_trial };

/* -- there and back ---------------------------------------------------------------------------- */

static weir_buffer *encoded(const struct plan *plan)
{
    weir_buffer *bytes = weir_buffer_new(PLAN_SIZE_MAX);
    plan_encode(plan, bytes);
    assert_false(weir_buffer_overflowed(bytes));
    return bytes;
}

static const struct plan *decoded(weir_str bytes, struct arena *arena)
{
    const struct plan *plan;
    arena_init(arena, 4096, PLAN_DECODED_SIZE_MAX);
    expect_ok(plan_decode(bytes, arena, &plan));
    return plan;
}

static void assert_same(weir_buffer *a, weir_buffer *b)
{
    assert_int_equal(buffer_size(a), buffer_size(b));
    assert_memory_equal(weir_buffer_view(a).data, weir_buffer_view(b).data, buffer_size(a));
    weir_buffer_free(a);
    weir_buffer_free(b);
}

typedef void explain_fn(const struct plan *plan, weir_buffer *out);

static weir_buffer *explained(explain_fn *explain, const struct plan *plan)
{
    weir_buffer *out = weir_buffer_new(1u << 20);
    explain(plan, out);
    assert_false(weir_buffer_overflowed(out));
    return out;
}

static void a_decoded_plan_is_explained_in_the_same_bytes(void **state)
{
    explain_fn *const ways[] = { explain_text, explain_json, explain_dot };
    for (size_t g = 0; g < COUNT_OF(graphs); g++) {
        struct arena arena;
        weir_job *job = job_new(NULL);
        const struct plan *plan = graphs[g](job);
        weir_buffer *bytes = encoded(plan);
        const struct plan *back = decoded(weir_buffer_view(bytes), &arena);
        for (size_t i = 0; i < COUNT_OF(ways); i++)
            assert_same(explained(ways[i], plan), explained(ways[i], back));
        assert_same(bytes, encoded(back)); /* what no way to explain tells */
        arena_release(&arena);
        job_free(job);
    }
}

static void assert_targets_equal(const struct plan_operator *a, const struct plan_operator *b)
{
    assert_int_equal(a->target_count, b->target_count);
    for (uint32_t i = 0; i < a->target_count; i++) {
        const struct plan_target *x = &a->targets[i], *y = &b->targets[i];
        assert_int_equal(x->output, y->output);
        assert_int_equal(x->side, y->side);
        assert_int_equal(x->is_chained, y->is_chained);
        assert_int_equal(x->operator_, y->operator_);
        assert_int_equal(x->edge, y->edge);
    }
}

/* Both what is in the bytes and what is made anew from it. */
static void vertices_and_edges_are_those_of_the_original(void **state)
{
    for (size_t g = 0; g < COUNT_OF(graphs); g++) {
        struct arena arena;
        weir_job *job = job_new(NULL);
        const struct plan *a = graphs[g](job);
        weir_buffer *bytes = encoded(a);
        const struct plan *b = decoded(weir_buffer_view(bytes), &arena);
        weir_buffer_free(bytes); /* not needed any more */
        assert_int_equal(a->subtask_count, b->subtask_count);
        for (uint32_t v = 0; v < a->vertex_count; v++) {
            const struct plan_vertex *x = &a->vertices[v], *y = &b->vertices[v];
            assert_string_equal(x->name, y->name);
            assert_int_equal(x->first_subtask, y->first_subtask);
            assert_int_equal(x->in_edge_count, y->in_edge_count);
            assert_int_equal(x->out_edge_count, y->out_edge_count);
            assert_memory_equal(x->in_edges, y->in_edges, x->in_edge_count * sizeof(uint32_t));
            assert_memory_equal(x->out_edges, y->out_edges, x->out_edge_count * sizeof(uint32_t));
            for (uint32_t i = 0; i < x->operator_count; i++) {
                assert_targets_equal(&x->operators[i], &y->operators[i]);
                assert_int_equal(x->operators[i].has_keyed_state, y->operators[i].has_keyed_state);
            }
        }
        for (uint32_t e = 0; e < a->edge_count; e++) {
            const struct plan_edge *x = &a->edges[e], *y = &b->edges[e];
            assert_int_equal(x->from_vertex, y->from_vertex);
            assert_int_equal(x->from_operator, y->from_operator);
            assert_int_equal(x->output, y->output);
            assert_true(schema_equal(x->type, y->type));
            assert_int_equal(x->key.offset_count, y->key.offset_count);
            assert_memory_equal(x->key.offsets, y->key.offsets, sizeof(x->key.offsets));
        }
        arena_release(&arena);
        job_free(job);
    }
}

static void a_decoded_plan_has_no_code(void **state)
{
    struct arena arena;
    weir_job *job = job_new(NULL);
    weir_buffer *bytes = encoded(example(job));
    const struct plan *plan = decoded(weir_buffer_view(bytes), &arena);
    const struct plan_operator *source = &plan->vertices[0].operators[0];
    const struct plan_operator *built = &plan->vertices[1].operators[0];
    const struct plan_operator *sink = &plan->vertices[1].operators[1];
    assert_string_equal(built->uid, "build-profile");
    assert_int_equal(built->op->state_count, 2);
    assert_null(built->op->on_record);
    assert_null(built->op->on_timer);
    assert_string_equal(source->source.source_class->name, "fake-source");
    assert_null(source->source.source_class->poll);
    assert_null(source->source.options);
    assert_string_equal(sink->sink.sink_class->name, "fake-sink");
    assert_null(sink->sink.sink_class->write);
    weir_buffer_free(bytes);
    arena_release(&arena);
    job_free(job);
}

/* -- bytes from others --------------------------------------------------------------------------- */

#define BODY_AT SEALED_HEADER_SIZE

static weir_error *decode_body(weir_str body, uint32_t version)
{
    const struct sealed_form form = { .magic = "WEIRPLN1", .version = version };
    struct arena arena;
    const struct plan *plan;
    weir_buffer *inner = weir_buffer_new(PLAN_SIZE_MAX), *bytes = weir_buffer_new(PLAN_SIZE_MAX);
    weir_buffer_add_str(inner, body);
    sealed_put(&form, inner, bytes);
    arena_init(&arena, 4096, PLAN_DECODED_SIZE_MAX);
    weir_error *error = plan_decode(weir_buffer_view(bytes), &arena, &plan);
    assert_true((plan == NULL) == (error != NULL));
    if (error == NULL) {
        weir_buffer_free(explained(explain_text, plan));
        weir_buffer_free(explained(explain_json, plan));
        weir_buffer_free(explained(explain_dot, plan));
    }
    arena_release(&arena);
    weir_buffer_free(inner);
    weir_buffer_free(bytes);
    return error;
}

static weir_str body_of(const weir_buffer *bytes)
{
    weir_str whole = weir_buffer_view(bytes);
    return (weir_str){ .data = whole.data + BODY_AT, .size = whole.size - BODY_AT };
}

static void bytes_that_are_cut_anywhere_are_refused(void **state)
{
    weir_job *job = job_new(NULL);
    weir_buffer *bytes = encoded(example(job));
    weir_str body = body_of(bytes);
    for (size_t size = 0; size < body.size; size++)
        expect_error(decode_body((weir_str){ .data = body.data, .size = size }, 1), WEIR_E_CORRUPT,
            "");
    weir_buffer_add_byte(bytes, '\0');
    expect_error(decode_body(body_of(bytes), 1), WEIR_E_CORRUPT, "its length is wrong");
    weir_buffer_free(bytes);
    job_free(job);
}

static void bytes_that_are_changed_anywhere_are_refused_or_harmless(void **state)
{
    static const unsigned char flips[] = { 0x01, 0x80, 0xff };
    weir_job *job = job_new(NULL);
    weir_buffer *bytes = encoded(example(job));
    weir_str body = body_of(bytes);
    char *copy = malloc(body.size);
    uint32_t refused = 0;
    for (size_t i = 0; i < body.size; i++) {
        for (size_t f = 0; f < sizeof(flips); f++) {
            memcpy(copy, body.data, body.size);
            copy[i] = (char)(copy[i] ^ flips[f]);
            weir_error *error = decode_body((weir_str){ .data = copy, .size = body.size }, 1);
            refused += error != NULL;
            weir_error_free(error);
        }
    }
    assert_true(refused > 0 && refused < body.size * sizeof(flips));
    free(copy);
    weir_buffer_free(bytes);
    job_free(job);
}

static void a_newer_version_and_a_flipped_bit_are_told_apart(void **state)
{
    struct arena arena;
    const struct plan *plan;
    weir_job *job = job_new(NULL);
    weir_buffer *bytes = encoded(example(job));
    weir_str view = weir_buffer_view(bytes);
    expect_error(decode_body(body_of(bytes), 2), WEIR_E_STATE, "the plan has format version 2");
    char *copy = malloc(view.size);
    memcpy(copy, view.data, view.size);
    copy[view.size / 2] ^= 1;
    arena_init(&arena, 4096, PLAN_DECODED_SIZE_MAX);
    expect_error(plan_decode((weir_str){ .data = copy, .size = view.size }, &arena, &plan),
        WEIR_E_CORRUPT, "checksum");
    arena_release(&arena);
    free(copy);
    weir_buffer_free(bytes);
    job_free(job);
}

/* -- rules: a sound plan is made unsound, in one place ------------------------------------------- */

/* A plan that a test may change. */
#define MUTABLE(type_, pointer_) ((type_ *)(uintptr_t)(pointer_))

static struct plan_vertex *vertex(struct plan *plan, uint32_t index)
{
    return MUTABLE(struct plan_vertex, &plan->vertices[index]);
}

static struct plan_operator *operator_at(struct plan *plan, uint32_t v, uint32_t index)
{
    return MUTABLE(struct plan_operator, &plan->vertices[v].operators[index]);
}

static struct plan_target *target(struct plan *plan, uint32_t v, uint32_t operator_, uint32_t index)
{
    return MUTABLE(struct plan_target, &operator_at(plan, v, operator_)->targets[index]);
}

static struct plan_edge *edge(struct plan *plan, uint32_t index)
{
    return MUTABLE(struct plan_edge, &plan->edges[index]);
}

static void back(struct plan *plan)
{
    edge(plan, 0)->to_vertex = 0;
}

static void out_of_the_plan(struct plan *plan)
{
    edge(plan, 0)->to_vertex = plan->vertex_count;
}

static void key_beside_fields(struct plan *plan)
{
    edge(plan, 0)->key.offsets[0] = 3;
}

static void key_without_type(struct plan *plan)
{
    operator_at(plan, 1, 0)->key.type = NULL;
}

static void forward_to_more(struct plan *plan)
{
    vertex(plan, 3)->parallelism = 4;
}

static void too_wide(struct plan *plan)
{
    vertex(plan, 1)->parallelism = plan->max_parallelism + 1;
}

static void no_slot_group(struct plan *plan)
{
    vertex(plan, 1)->slot_group = plan->slot_group_count;
}

static void empty_slot_group(struct plan *plan)
{
    vertex(plan, 3)->slot_group = 0;
}

static void same_uid(struct plan *plan)
{
    operator_at(plan, 1, 0)->uid = "clean";
}

static void same_name(struct plan *plan)
{
    operator_at(plan, 1, 0)->name = "clean";
}

static void uid_of_a_parent(struct plan *plan)
{
    operator_at(plan, 1, 0)->uid = "../x";
}

static void coloured_name(struct plan *plan)
{
    operator_at(plan, 1, 0)->name = "\x1b[31m";
}

static void time_is_no_time(struct plan *plan)
{
    operator_at(plan, 0, 0)->event_time_offset = offsetof(struct click, price);
}

static void unkeyed_state(struct plan *plan)
{
    operator_at(plan, 1, 0)->is_keyed = false;
}

static void blind_sink(struct plan *plan)
{
    operator_at(plan, 2, 0)->in = NULL;
}

static void loop(struct plan *plan)
{
    target(plan, 0, 0, 0)->operator_ = 0;
}

static void two_parents(struct plan *plan)
{
    target(plan, 0, 0, 1)->operator_ = 1;
}

static void side_that_is_none(struct plan *plan)
{
    target(plan, 0, 1, 1)->side = 2;
}

static void unheard_dead_letters(struct plan *plan)
{
    operator_at(plan, 1, 0)->has_dead_letters = false;
}

static void edge_twice(struct plan *plan)
{
    target(plan, 0, 1, 1)->edge = 0;
}

static void no_input(struct plan *plan)
{
    edge(plan, 1)->to_vertex = 3; /* and so none of 2 */
}

static void negative_lateness(struct plan *plan)
{
    operator_at(plan, 0, 0)->out_of_orderness_ms = -1;
}

static void what_no_build_would_have_made_is_refused(void **state)
{
    static const struct {
        void (*break_)(struct plan *plan);
        const char *message;
    } rows[] = {
        { back, "an edge does not lead" },
        { out_of_the_plan, "an edge does not lead" },
        { key_beside_fields, "a key is none" },
        { key_without_type, "a key is none" },
        { forward_to_more, "a forward edge" },
        { too_wide, "a vertex is none" },
        { no_slot_group, "a vertex is none" },
        { empty_slot_group, "nobody is in a slot group" },
        { same_uid, "name or uid of another" },
        { same_name, "name or uid of another" },
        { uid_of_a_parent, "cannot name a file" },
        { coloured_name, "an operator is none" },
        { time_is_no_time, "event time" },
        { negative_lateness, "event time" },
        { unkeyed_state, "state without a key" },
        { blind_sink, "a sink is none" },
        { loop, "no tree" },
        { two_parents, "no tree" },
        { side_that_is_none, "no output" },
        { unheard_dead_letters, "no output" },
        { edge_twice, "begins nowhere, or twice" },
        { no_input, "another vertex has none" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        weir_job *job = job_new(NULL);
        weir_buffer *sound = encoded(example(job));
        const struct plan *plan = decoded(weir_buffer_view(sound), &arena);
        rows[i].break_(MUTABLE(struct plan, plan));
        weir_buffer *bytes = encoded(plan);
        expect_error(decode_body(body_of(bytes), 1), WEIR_E_CORRUPT, rows[i].message);
        weir_buffer_free(sound);
        weir_buffer_free(bytes);
        arena_release(&arena);
        job_free(job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decoded_plan_is_explained_in_the_same_bytes),
        cmocka_unit_test(vertices_and_edges_are_those_of_the_original),
        cmocka_unit_test(a_decoded_plan_has_no_code),
        cmocka_unit_test(bytes_that_are_cut_anywhere_are_refused),
        cmocka_unit_test(bytes_that_are_changed_anywhere_are_refused_or_harmless),
        cmocka_unit_test(a_newer_version_and_a_flipped_bit_are_told_apart),
        cmocka_unit_test(what_no_build_would_have_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
