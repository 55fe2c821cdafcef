/* kafka_token_test.c -- what a token says about what to publish: every row, then a world of crashes.
 *
 * The tables are the judge's essay (connectors/kafka_token.h), row by row. The property is a model of the
 * whole protocol with nothing in it but the judge: a source whose records are the numbers 0, 1, 2, ...,
 * a sink that stages them, checkpoints that complete or are given up, an output and a token that
 * change together, attempts that die at any step, a zombie that goes on, reads that are stale. Whatever
 * happens, the output must be 0, 1, 2, ... */
#include "connectors/kafka_token.h"

#include "base/memory.h"
#include "test/support/random.h"

#include <stdio.h>
#include <stdlib.h>

#include "test/support/expect.h"

#define INSTANCE 77

/* -- tokens as text ------------------------------------------------------------------------------- */

static void a_token_comes_back_as_it_was_written(void **state)
{
    static const struct token tokens[] = {
        { true, 1, 2, 3, 4, 5 },
        { true, 0, 0, 0, 0, 0 },
        { true, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX },
    };
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        char text[TOKEN_TEXT_MAX];
        struct token back;
        size_t size = token_write(&tokens[i], text);
        expect_ok(token_parse((weir_str){ .data = text, .size = size }, &back));
        assert_true(back.exists);
        assert_int_equal(back.instance, tokens[i].instance);
        assert_int_equal(back.attempt, tokens[i].attempt);
        assert_int_equal(back.segment, tokens[i].segment);
        assert_int_equal(back.done, tokens[i].done);
        assert_int_equal(back.total, tokens[i].total);
    }
}

static void whatever_else_is_in_the_token_topic_is_refused(void **state)
{
    static const char *const texts[] = { "", "weir1", "weir1 1 2 3 4", "weir1 1 2 3 4 5 6",
        "weir1 1 2 3 4 5 ", " weir1 1 2 3 4 5", "weir2 1 2 3 4 5", "weir1  1 2 3 4 5",
        "weir1 1\t2 3 4 5", "weir1 -1 2 3 4 5", "weir1 +1 2 3 4 5", "weir1 1 2 3 5 4",
        "weir1 1 2 3 4 4294967296", "weir1 18446744073709551616 2 3 4 5", "weir1 01 2 3 4 5",
        "weir1 1 2 x 4 5", "weir1 1 x 3 4 5", "weir1 1 2 3 4 5x", "{\"token\":1}",
        "weir1 1111111111111111111111111111111111111111111111111111111111111111111111111111111111"
        "1111111111111111111111111111111111111111111111111 2 3 4 5" };
    struct token token;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        expect_error(token_parse(weir_str_of(texts[i]), &token), WEIR_E_CORRUPT,
            "does something else write to the token topic");
    expect_error(token_parse((weir_str){ .data = NULL }, &token), WEIR_E_CORRUPT, "token");
    expect_error(token_parse((weir_str){ .data = "weir1 1 2 3 4 5\0", .size = 16 }, &token),
        WEIR_E_CORRUPT, "token");
}

/* -- the judge, row by row -------------------------------------------------------------------------- */

struct row {
    const char *what;
    struct token token;
    struct token_segment segments[3];
    uint32_t count;
    uint64_t last;
    enum token_verdict verdict;
    struct token_place place;
};

#define SAME(attempt_, segment_, done_, total_) \
    { \
        true, INSTANCE, attempt_, segment_, done_, total_ \
    }
#define OTHER \
    { \
        true, INSTANCE + 1, 99, 30, 3, 3 \
    }
#define LIST      { { 20, 10, 2, false }, { 30, 20, 3, false }, { 45, 30, 1, false } }, 3, 45
#define LIST_OUT  { { 20, 10, 2, true }, { 30, 20, 3, false } }, 2, 30 /* the first is out */
#define FIRST     { { 20, 0, 2, false } }, 1, 20
#define FIRST_OUT { { 20, 0, 2, true } }, 1, 20

static const struct row rows[] = {
    { "complete at the first", SAME(5, 20, 2, 2), LIST, TOKEN_GO_ON, { 1, 0 } },
    { "complete in the middle", SAME(5, 30, 3, 3), LIST, TOKEN_GO_ON, { 2, 0 } },
    { "complete at the last", SAME(5, 45, 1, 1), LIST, TOKEN_GO_ON, { 3, 0 } },
    { "partial", SAME(5, 30, 1, 3), LIST, TOKEN_GO_ON, { 1, 1 } },
    { "partial, of an older attempt", SAME(1, 30, 2, 3), LIST, TOKEN_GO_ON, { 1, 2 } },
    { "the predecessor of the first", SAME(5, 10, 7, 7), LIST, TOKEN_GO_ON, { 0, 0 } },
    { "the predecessor, but partial", SAME(5, 10, 6, 7), LIST, TOKEN_LOST, { 0, 0 } },
    { "older than the predecessor", SAME(5, 9, 7, 7), LIST, TOKEN_LOST, { 0, 0 } },
    { "between predecessor and first", SAME(5, 15, 1, 1), LIST, TOKEN_AHEAD, { 0, 0 } },
    { "between two of the list", SAME(5, 31, 1, 1), LIST, TOKEN_AHEAD, { 0, 0 } },
    { "newer than the last, complete", SAME(5, 46, 1, 1), LIST, TOKEN_AHEAD, { 0, 0 } },
    { "newer than the last, partial", SAME(5, 46, 1, 2), LIST, TOKEN_AHEAD, { 0, 0 } },
    { "the number fits, the chunks do not", SAME(5, 30, 3, 4), LIST, TOKEN_LOST, { 0, 0 } },
    { "of a newer attempt", SAME(6, 30, 1, 3), LIST, TOKEN_FENCED, { 0, 0 } },
    { "of a newer attempt, and ahead", SAME(6, 99, 1, 3), LIST, TOKEN_FENCED, { 0, 0 } },
    { "none, a predecessor", { 0 }, LIST, TOKEN_LOST, { 0, 0 } },
    { "another instance, a predecessor", OTHER, LIST, TOKEN_LOST, { 0, 0 } },
    { "none, a fresh start", { 0 }, FIRST, TOKEN_GO_ON, { 0, 0 } },
    { "another instance, a fresh start", OTHER, FIRST, TOKEN_GO_ON, { 0, 0 } },
    { "the same instance, a fresh start", SAME(5, 9, 1, 1), FIRST, TOKEN_AHEAD, { 0, 0 } },
    { "the start said to be the place", SAME(5, 0, 0, 0), FIRST, TOKEN_GO_ON, { 0, 0 } },
    { "the first is out, and it says so", SAME(5, 20, 2, 2), LIST_OUT, TOKEN_GO_ON, { 1, 0 } },
    { "the first is out, it says more", SAME(5, 30, 1, 3), LIST_OUT, TOKEN_GO_ON, { 1, 1 } },
    { "the first is out, it says a part", SAME(5, 20, 1, 2), LIST_OUT, TOKEN_LOST, { 0, 0 } },
    { "the first is out, it says less", SAME(5, 10, 7, 7), LIST_OUT, TOKEN_LOST, { 0, 0 } },
    { "the first ever is out, none", { 0 }, FIRST_OUT, TOKEN_LOST, { 0, 0 } },
    { "the first ever is out, another", OTHER, FIRST_OUT, TOKEN_LOST, { 0, 0 } },
    { "the first ever is out, the start", SAME(5, 0, 0, 0), FIRST_OUT, TOKEN_LOST, { 0, 0 } },
    { "nothing held, none ever", { 0 }, { { 0 } }, 0, 0, TOKEN_GO_ON, { 0, 0 } },
    { "nothing held, another instance", OTHER, { { 0 } }, 0, 0, TOKEN_GO_ON, { 0, 0 } },
    { "nothing held, the last", SAME(5, 45, 1, 1), { { 0 } }, 0, 45, TOKEN_GO_ON, { 0, 0 } },
    { "nothing held, the last partial", SAME(5, 45, 1, 2), { { 0 } }, 0, 45, TOKEN_LOST, { 0, 0 } },
    { "nothing held, an older one", SAME(5, 44, 1, 1), { { 0 } }, 0, 45, TOKEN_LOST, { 0, 0 } },
    { "nothing held, a newer one", SAME(5, 46, 1, 1), { { 0 } }, 0, 45, TOKEN_AHEAD, { 0, 0 } },
    { "nothing held, none", { 0 }, { { 0 } }, 0, 45, TOKEN_LOST, { 0, 0 } },
    { "none ever held, but output", SAME(5, 3, 1, 1), { { 0 } }, 0, 0, TOKEN_AHEAD, { 0, 0 } },
};

static void the_judge_finds_the_place_or_says_why_not(void **state)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct token_place place = { 9, 9 };
        enum token_verdict verdict =
            token_judge(&row->token, INSTANCE, 5, row->segments, row->count, row->last, &place);
        if (verdict != row->verdict || place.index != row->place.index ||
            place.chunk != row->place.chunk)
            fail_msg("%s: verdict %d at %u.%u", row->what, (int)verdict, place.index, place.chunk);
    }
}

/* -- a world of crashes --------------------------------------------------------------------------- */

#define SEGMENTS_MAX 16
#define HISTORY_MAX  4096

/* Records [from, to), one a chunk. */
struct segment {
    uint64_t number, previous, from, to;
    bool is_published;
};

/* What a checkpoint keeps, and what a running sink has: the same. */
struct sink {
    struct segment held[SEGMENTS_MAX];
    uint32_t count;
    uint64_t last;     /* newest segment ever */
    uint64_t staged;   /* records staged so far */
    uint64_t position; /* records read from the source: staged ones, and those in hand */
};

struct attempt {
    struct sink sink;
    uint64_t number;
    uint64_t complete; /* newest complete checkpoint that it knows of */
    uint64_t epoch;    /* of its producer; 0: none */
    struct token_place place;
    bool has_judged;
    uint64_t end; /* of the token partition, as read */
    bool is_dead;
};

struct world {
    struct random random;
    uint64_t output;                   /* records 0 .. output - 1 are out, each once */
    struct token history[HISTORY_MAX]; /* of the token partition: the last is the truth */
    uint64_t token_count;
    uint64_t epoch, attempts, numbers;
    struct sink checkpoints[HISTORY_MAX];
    uint64_t checkpoint_numbers[HISTORY_MAX];
    uint32_t checkpoint_count;
    struct attempt now, zombie;
    uint32_t published, crashes, fenced, stale, ahead;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    return random_below(&world->random, (uint32_t)below);
}

static void drop_front(struct sink *sink, uint32_t count)
{
    memmove(sink->held, sink->held + count, (sink->count - count) * sizeof(sink->held[0]));
    sink->count -= count;
}

/* Reads some records and takes a checkpoint; a draw decides whether it completes. */
static void checkpoint(struct world *world, struct attempt *it)
{
    struct sink *sink = &it->sink;
    if (sink->count == SEGMENTS_MAX || world->checkpoint_count == HISTORY_MAX)
        return;
    uint64_t number = ++world->numbers;
    sink->position += draw(world, 4);
    if (sink->position > sink->staged) {
        sink->held[sink->count++] =
            (struct segment){ number, sink->last, sink->staged, sink->position, false };
        sink->last = number;
        sink->staged = sink->position;
    }
    if (it != &world->now || draw(world, 4) == 0)
        return; /* given up; of a zombie none is accepted */
    world->checkpoint_numbers[world->checkpoint_count] = number;
    world->checkpoints[world->checkpoint_count++] = *sink;
    if (draw(world, 4) > 0)
        it->complete = number; /* else it is complete, but the sink does not hear of it */
}

static uint32_t views_of(const struct attempt *it, struct token_segment *views, uint64_t *last)
{
    const struct sink *sink = &it->sink;
    uint32_t count = 0;
    *last = sink->count > 0 ? sink->held[0].previous : sink->last;
    for (uint32_t i = 0; i < sink->count && sink->held[i].number <= it->complete; i++) {
        const struct segment *segment = &sink->held[i];
        views[count++] = (struct token_segment){ segment->number, segment->previous,
            (uint32_t)(segment->to - segment->from), segment->is_published };
        *last = segment->number;
    }
    return count;
}

/* A transaction: refused when fenced, or when the token does not land where the reading ended. */
static bool commit(struct world *world, struct attempt *it, struct token token)
{
    if (it->epoch != world->epoch || it->end != world->token_count) {
        it->has_judged = false;
        it->epoch = 0;
        return false;
    }
    assert_true(world->token_count < HISTORY_MAX);
    world->history[world->token_count++] = token;
    it->end = world->token_count;
    return true;
}

/* init, read (perhaps what was true some time ago), judge, claim. */
static void judge(struct world *world, struct attempt *it)
{
    struct token_segment views[SEGMENTS_MAX];
    uint64_t last;
    it->epoch = ++world->epoch;
    it->end = world->token_count;
    if (draw(world, 8) == 0 && it->end > 0) {
        it->end -= 1 + draw(world, it->end);
        world->stale++;
    }
    struct token token = { 0 };
    if (it->end > 0)
        token = world->history[it->end - 1];
    uint32_t count = views_of(it, views, &last);
    switch (token_judge(&token, INSTANCE, it->number, views, count, last, &it->place)) {
    case TOKEN_FENCED:
        assert_ptr_equal(it, &world->zombie);
        it->is_dead = true;
        world->fenced++;
        return;
    case TOKEN_LOST:
        assert_true(it->end < world->token_count); /* the probe finds that the read was stale */
        return;
    case TOKEN_AHEAD:
        assert_ptr_equal(it, &world->zombie); /* others have gone on meanwhile */
        it->is_dead = true;
        world->ahead++;
        return;
    case TOKEN_GO_ON:
        break;
    }
    it->has_judged = true;
    if (token.exists && token.attempt != it->number) {
        token.attempt = it->number;
        commit(world, it, token);
    }
}

/* The next chunk, or the end of it. */
static void publish(struct world *world, struct attempt *it)
{
    struct token_segment views[SEGMENTS_MAX];
    uint64_t last;
    if (!it->has_judged) {
        judge(world, it);
        return;
    }
    uint32_t count = views_of(it, views, &last);
    if (it->place.index == count) {
        it->has_judged = false;
        if (count > 0 && it == &world->now) {
            drop_front(&it->sink, count - 1); /* the newest is kept to be read back */
            it->sink.held[0].is_published = true;
        }
        return;
    }
    const struct segment *segment = &it->sink.held[it->place.index];
    uint64_t record = segment->from + it->place.chunk;
    struct token token = { true, INSTANCE, it->number, segment->number, it->place.chunk + 1,
        (uint32_t)(segment->to - segment->from) };
    if (draw(world, 16) == 0) {
        it->epoch = 0; /* trouble: the handle is thrown away */
        it->has_judged = false;
        return;
    }
    if (!commit(world, it, token))
        return;
    assert_int_equal(record, world->output); /* never twice, never skipped, never out of order */
    world->output++;
    world->published++;
    if (draw(world, 16) == 0) {
        it->has_judged = false; /* committed, but the reply is lost */
        return;
    }
    it->place.chunk++;
    if (it->place.chunk == token.total)
        it->place = (struct token_place){ it->place.index + 1, 0 };
}

static void restore(struct world *world, uint32_t index)
{
    uint64_t attempt = ++world->attempts;
    world->numbers += draw(world, 100);
    world->now = (struct attempt){ .number = attempt };
    if (index == 0)
        return;
    world->now.sink = world->checkpoints[index - 1];
    world->now.sink.position = world->now.sink.staged; /* what was in hand is read again */
    world->now.complete = world->checkpoint_numbers[index - 1];
}

static void crash(struct world *world)
{
    world->crashes++;
    if (draw(world, 2) == 0) {
        world->zombie = world->now; /* does not know that it is over */
    }
    restore(world, world->checkpoint_count);
}

static void run_world(struct world *world, uint32_t steps)
{
    restore(world, 0);
    for (uint32_t i = 0; i < steps && world->token_count < HISTORY_MAX - 8; i++) {
        uint64_t what = draw(world, 16);
        if (what == 0)
            crash(world);
        else if (what <= 3)
            checkpoint(world, &world->now);
        else if (what <= 6 && world->zombie.number != 0 && !world->zombie.is_dead)
            publish(world, &world->zombie);
        else
            publish(world, &world->now);
    }
    world->zombie.is_dead = true;
    if (world->checkpoint_count > 0)
        world->now.complete = world->checkpoint_numbers[world->checkpoint_count - 1];
    world->now.has_judged = false;
    for (uint32_t i = 0; i < 400; i++)
        publish(world, &world->now);
}

static void nothing_is_published_twice_or_skipped_whatever_happens(void **state)
{
    uint32_t seeds = getenv("WEIR_TEST_LONG") != NULL ? 20000 : 1000;
    uint64_t published = 0, crashes = 0, fenced = 0, stale = 0;
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        struct world *world = mem_alloc(sizeof(*world));
        world->random.state = seed;
        run_world(world, 300);
        if (world->checkpoint_count > 0)
            assert_int_equal(world->output, world->checkpoints[world->checkpoint_count - 1].staged);
        published += world->published;
        crashes += world->crashes;
        fenced += world->fenced;
        stale += world->stale;
        mem_free(world);
    }
    print_message("%u worlds: %llu chunks, %llu crashes, %llu zombies fenced, %llu stale reads\n",
        seeds, (unsigned long long)published, (unsigned long long)crashes,
        (unsigned long long)fenced, (unsigned long long)stale);
    assert_true(published > 0 && crashes > 0 && fenced > 0 && stale > 0);
}

/* An older checkpoint may be restored only if nothing behind it is out. */
static void an_older_checkpoint_is_told_from_a_current_one(void **state)
{
    uint32_t refused = 0, accepted = 0;
    for (uint32_t seed = 1; seed <= 500; seed++) {
        struct world *world = mem_alloc(sizeof(*world));
        world->random.state = seed;
        run_world(world, 100);
        for (uint32_t index = 0; index <= world->checkpoint_count; index++) {
            struct token_segment views[SEGMENTS_MAX];
            struct token_place place;
            uint64_t last;
            restore(world, index);
            uint32_t count = views_of(&world->now, views, &last);
            struct token token = { 0 };
            if (world->token_count > 0)
                token = world->history[world->token_count - 1];
            enum token_verdict verdict =
                token_judge(&token, INSTANCE, world->attempts, views, count, last, &place);
            bool is_older = world->output > world->now.sink.staged;
            assert_int_equal(verdict, is_older ? TOKEN_AHEAD : TOKEN_GO_ON);
            refused += is_older;
            accepted += !is_older;
        }
        mem_free(world);
    }
    assert_true(refused > 100 && accepted > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_comes_back_as_it_was_written),
        cmocka_unit_test(whatever_else_is_in_the_token_topic_is_refused),
        cmocka_unit_test(the_judge_finds_the_place_or_says_why_not),
        cmocka_unit_test(nothing_is_published_twice_or_skipped_whatever_happens),
        cmocka_unit_test(an_older_checkpoint_is_told_from_a_current_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
