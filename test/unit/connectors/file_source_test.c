/* file_source_test.c -- every line once, whatever the parallelism, across any restart. */
#include "test/support/gzip.h"
#include "test/support/random.h"
#include "test/support/stub_ctx.h"
#include "test/support/temp_dir.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array_)   (sizeof(array_) / sizeof((array_)[0]))
#define PARALLELISM_MAX 5u
#define LINES_MAX       4000u

/* -- what was read -------------------------------------------------------------------------- */

/* Lines seen over all subtasks and restarts: "name:offset:value", one entry each. */
struct seen {
    char *lines[LINES_MAX];
    uint32_t count;
};

static void see(struct seen *seen, const struct weir_message *message)
{
    if (seen == NULL)
        return;
    assert_true(seen->count < LINES_MAX);
    assert_non_null(message->value.data);
    assert_null(message->key.data);
    assert_int_equal(message->partition, -1);
    seen->lines[seen->count++] =
        mem_printf("%.*s:%lld:%.*s", (int)message->topic.size, message->topic.data,
            (long long)message->offset, (int)message->value.size, message->value.data);
}

static void forget(struct seen *seen)
{
    for (uint32_t i = 0; i < seen->count; i++)
        mem_free(seen->lines[i]);
    seen->count = 0;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void assert_same(struct seen *seen, struct seen *expected)
{
    qsort(seen->lines, seen->count, sizeof(char *), compare_text);
    qsort(expected->lines, expected->count, sizeof(char *), compare_text);
    for (uint32_t i = 0; i < seen->count && i < expected->count; i++)
        assert_string_equal(seen->lines[i], expected->lines[i]);
    assert_int_equal(seen->count, expected->count);
}

/* -- a source with some parallelism --------------------------------------------------------- */

struct fleet {
    struct weir_source source;
    uint32_t parallelism;
    weir_ctx *ctxs[PARALLELISM_MAX];
    void *instances[PARALLELISM_MAX];
    bool is_open[PARALLELISM_MAX];
    char *staging;
};

static weir_error *fleet_open(struct fleet *fleet, const struct weir_file_source_options *options,
    uint32_t parallelism, const struct fleet *old)
{
    *fleet = (struct fleet){ .source = weir_file_source_with(options),
        .parallelism = parallelism,
        .staging = temp_dir_new() };
    const struct weir_source_class *class = fleet->source.source_class;
    assert_null(class->validate(options));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < parallelism; i++) {
        fleet->ctxs[i] = stub_ctx_new(i, parallelism);
        fleet->ctxs[i]->staging_dir = fleet->staging;
        fleet->ctxs[i]->batch_max = 3 + i;
        for (uint32_t o = 0; old != NULL && o < old->parallelism; o++)
            stub_ctx_restore(fleet->ctxs[i], old->ctxs[o]);
        fleet->instances[i] = mem_alloc(class->instance_size);
        if (error == NULL)
            error = class->open(fleet->ctxs[i], options, fleet->instances[i]);
    }
    return error;
}

static void fleet_close(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        fleet->source.source_class->close(fleet->ctxs[i], fleet->instances[i]);
        mem_free(fleet->instances[i]);
        stub_ctx_free(fleet->ctxs[i]);
    }
    temp_dir_free(fleet->staging);
}

/* What it says of the last poll holds all that this has emitted, and no other file. */
static void check_positions(struct fleet *fleet, uint32_t i)
{
    const weir_ctx *ctx = fleet->ctxs[i];
    struct weir_position at = { .partition = 42 };
    uint32_t count = fleet->source.source_class->positions(fleet->instances[i], &at, 1);
    assert_int_equal(count, fleet->source.source_class->positions(fleet->instances[i], NULL, 0));
    assert_true(count == 1 || (count == 0 && ctx->row_count == 0));
    for (uint32_t r = 0; r < ctx->row_count; r++) {
        const struct weir_message *message = ctx->rows[r];
        assert_true(weir_str_equal(at.topic, message->topic));
        assert_int_equal(at.partition, -1);
        assert_true(at.first <= message->offset);
        assert_true(message->offset + (int64_t)message->value.size <= at.last + 1);
    }
}

/* One poll of one subtask; what it emitted is read after the poll: it must still be there. */
static weir_error *fleet_poll(struct fleet *fleet, uint32_t i, struct seen *seen, bool *finished)
{
    weir_ctx *ctx = fleet->ctxs[i];
    enum weir_source_status status;
    stub_ctx_next_batch(ctx);
    WEIR_TRY(fleet->source.source_class->poll(ctx, fleet->instances[i], &status));
    check_positions(fleet, i);
    for (uint32_t r = 0; r < ctx->row_count; r++)
        see(seen, ctx->rows[r]);
    *finished = status == WEIR_SOURCE_FINISHED;
    if (*finished)
        assert_int_equal(ctx->splits_finished, ctx->split_count);
    return NULL;
}

static weir_error *fleet_finish(struct fleet *fleet, struct seen *seen)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++)
        for (bool finished = false; !finished;)
            WEIR_TRY(fleet_poll(fleet, i, seen, &finished));
    return NULL;
}

static void fleet_snapshot(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        fleet->ctxs[i]->added_count = 0;
        assert_null(fleet->source.source_class->snapshot(fleet->ctxs[i], fleet->instances[i], 1));
    }
}

static void assert_code(weir_error *error, enum weir_code code, const char *part)
{
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), part) == NULL)
        fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

/* Writes a file of `count` lines, packed by its name, and adds them to what is expected. */
static void write_lines(const char *dir, const char *name, uint32_t count, struct seen *expected)
{
    char bytes[65536];
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t start = size;
        size += (size_t)snprintf(bytes + size, sizeof(bytes) - size, "%.*s%u", (int)(i % 7),
            "------", i);
        if (i % 5 == 0)
            size = start; /* an empty line */
        see(expected, &(struct weir_message){ .topic = weir_str_of(name),
                          .offset = (int64_t)start,
                          .value = { bytes + start, size - start },
                          .partition = -1 });
        bytes[size++] = '\n';
    }
    if (count > 1 && count % 2 == 0 && (count - 1) % 5 != 0)
        size--; /* without the last line feed */
    if (strstr(name, ".gz") == NULL) {
        temp_dir_write(temp_dir_path(dir, "%s", name), bytes, size);
        return;
    }
    size_t packed_size = 0, half = size / 2;
    char *packed = gzip_add(NULL, &packed_size, bytes, half);
    packed = gzip_add(packed, &packed_size, bytes + half, size - half);
    temp_dir_write(temp_dir_path(dir, "%s", name), packed, packed_size);
    free(packed);
}

static char *some_files(struct seen *expected)
{
    static const struct {
        const char *name;
        uint32_t count;
    } files[] = { { "a", 40 }, { "b.gz", 33 }, { "c", 0 }, { "d.ndjson", 1 }, { "e.gz", 50 },
        { "f", 7 }, { "g.gz", 0 }, { "h", 64 } };
    char *dir = temp_dir_new();
    for (size_t i = 0; i < COUNT(files); i++)
        write_lines(dir, files[i].name, files[i].count, expected);
    temp_dir_write(temp_dir_path(dir, ".hidden"), "x\n", 2);
    assert_null(os_make_dirs(temp_dir_path(dir, "sub/deeper")));
    return dir;
}

/* -- tests ---------------------------------------------------------------------------------- */

static void every_line_is_read_once_whatever_the_parallelism(void **state)
{
    struct seen expected = { .count = 0 }, seen = { .count = 0 };
    char *dir = some_files(&expected);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    for (uint32_t parallelism = 1; parallelism <= PARALLELISM_MAX; parallelism++) {
        struct fleet fleet;
        assert_null(fleet_open(&fleet, &options, parallelism, NULL));
        assert_null(fleet_finish(&fleet, &seen));
        assert_same(&seen, &expected);
        forget(&seen);
        fleet_close(&fleet);
    }
    forget(&expected);
    temp_dir_free(dir);
}

/* Polls at random, snapshots, forgets what came after the snapshot, goes on elsewhere. */
static void restarts_with_any_parallelism_lose_and_repeat_nothing(void **state)
{
    struct seen expected = { .count = 0 };
    char *dir = some_files(&expected);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct random random = { seed };
        struct seen seen = { .count = 0 };
        struct fleet fleet, next;
        assert_null(fleet_open(&fleet, &options, 1 + random_below(&random, PARALLELISM_MAX), NULL));
        for (int restart = 0; restart < 6; restart++) {
            bool finished;
            uint32_t polls = random_below(&random, 30);
            for (uint32_t i = 0; i < polls; i++)
                assert_null(
                    fleet_poll(&fleet, random_below(&random, fleet.parallelism), &seen, &finished));
            fleet_snapshot(&fleet);
            struct seen lost = { .count = 0 };
            assert_null(
                fleet_poll(&fleet, random_below(&random, fleet.parallelism), &lost, &finished));
            forget(&lost);
            assert_null(
                fleet_open(&next, &options, 1 + random_below(&random, PARALLELISM_MAX), &fleet));
            fleet_close(&fleet);
            fleet = next;
        }
        assert_null(fleet_finish(&fleet, &seen));
        assert_same(&seen, &expected);
        forget(&seen);
        fleet_close(&fleet);
    }
    forget(&expected);
    temp_dir_free(dir);
}

static void one_file_is_a_list_of_one(void **state)
{
    struct seen expected = { .count = 0 }, seen = { .count = 0 };
    char *dir = temp_dir_new();
    write_lines(dir, "one.gz", 20, &expected);
    write_lines(dir, "other", 20, NULL);
    struct weir_file_source_options options = { .path = temp_dir_path(dir, "one.gz"),
        .format = weir_raw() };
    struct fleet fleet;
    assert_null(fleet_open(&fleet, &options, 3, NULL));
    assert_null(fleet_finish(&fleet, &seen));
    assert_same(&seen, &expected);
    fleet_close(&fleet);
    forget(&seen);
    forget(&expected);
    temp_dir_free(dir);
}

static void new_files_are_read_after_a_restart_and_finished_ones_are_not(void **state)
{
    struct seen expected = { .count = 0 }, seen = { .count = 0 };
    char *dir = temp_dir_new();
    write_lines(dir, "b", 9, &expected);
    write_lines(dir, "d.gz", 9, &expected);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet, next;
    assert_null(fleet_open(&fleet, &options, 2, NULL));
    assert_null(fleet_finish(&fleet, &seen));
    fleet_snapshot(&fleet);
    write_lines(dir, "a", 9, &expected);
    write_lines(dir, "c", 9, &expected);
    write_lines(dir, "e", 9, &expected);
    assert_null(os_remove(temp_dir_path(dir, "b"))); /* done with: may go */
    assert_null(fleet_open(&next, &options, 3, &fleet));
    fleet_close(&fleet);
    assert_null(fleet_finish(&next, &seen));
    fleet_snapshot(&next);
    assert_same(&seen, &expected);
    temp_dir_write(temp_dir_path(dir, "b"), "back\n", 5); /* and is not read again */
    assert_null(fleet_open(&fleet, &options, 1, &next));
    fleet_close(&next);
    assert_null(fleet_finish(&fleet, &seen));
    assert_same(&seen, &expected);
    fleet_close(&fleet);
    forget(&seen);
    forget(&expected);
    temp_dir_free(dir);
}

static void subtasks_agree_although_a_file_appears_between_them(void **state)
{
    struct seen expected = { .count = 0 }, seen = { .count = 0 };
    char *dir = temp_dir_new();
    write_lines(dir, "b", 9, &expected);
    write_lines(dir, "c", 9, &expected);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    const struct weir_source_class *class = weir_file_source_with(&options).source_class;
    char *staging = temp_dir_new();
    for (uint32_t i = 0; i < 2; i++) {
        weir_ctx *ctx = stub_ctx_new(i, 2);
        ctx->staging_dir = staging;
        void *instance = mem_alloc(class->instance_size);
        assert_null(class->open(ctx, &options, instance));
        write_lines(dir, "a", 9, NULL); /* would move everybody */
        assert_int_equal(ctx->split_count, 1);
        for (enum weir_source_status status = WEIR_SOURCE_MORE; status != WEIR_SOURCE_FINISHED;) {
            stub_ctx_next_batch(ctx);
            assert_null(class->poll(ctx, instance, &status));
            for (uint32_t r = 0; r < ctx->row_count; r++)
                see(&seen, ctx->rows[r]);
        }
        class->close(ctx, instance);
        mem_free(instance);
        stub_ctx_free(ctx);
    }
    assert_same(&seen, &expected);
    forget(&seen);
    forget(&expected);
    temp_dir_free(staging);
    temp_dir_free(dir);
}

static void header_lines_are_passed_over_once(void **state)
{
    char *dir = temp_dir_new();
    temp_dir_write(temp_dir_path(dir, "x.csv"), "h1\nh2\n1\n2\n3\n", 12);
    temp_dir_write(temp_dir_path(dir, "y.csv"), "h1", 2);
    struct weir_file_source_options options = { .path = dir,
        .format = weir_raw(),
        .header_lines = 2 };
    struct seen seen = { .count = 0 };
    struct fleet fleet, next;
    bool finished;
    assert_null(fleet_open(&fleet, &options, 1, NULL));
    fleet.ctxs[0]->batch_max = 1;
    for (int polls = 0; polls < 8; polls++) { /* a restart after each poll */
        fleet_snapshot(&fleet);
        assert_null(fleet_open(&next, &options, 1, &fleet));
        fleet_close(&fleet);
        fleet = next;
        fleet.ctxs[0]->batch_max = 1;
        while (seen.count < 3 && seen.count <= (uint32_t)polls)
            assert_null(fleet_poll(&fleet, 0, &seen, &finished));
    }
    assert_null(fleet_finish(&fleet, &seen));
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.lines[0], "x.csv:6:1");
    assert_string_equal(seen.lines[2], "x.csv:10:3");
    fleet_close(&fleet);
    forget(&seen);
    temp_dir_free(dir);
}

static void a_line_that_is_too_long_is_a_dead_letter_with_its_true_size(void **state)
{
    static const size_t sizes[] = { 101, 5000, 70000, 3000000 };
    char *dir = temp_dir_new();
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *bytes = malloc(sizes[i] + 20);
        memcpy(bytes, "first\n", 6);
        memset(bytes + 6, 'x', sizes[i]);
        memcpy(bytes + 6 + sizes[i], "\nlast\n", 6);
        temp_dir_write(temp_dir_path(dir, "x"), bytes, sizes[i] + 12);
        free(bytes);
        struct weir_file_source_options options = { .path = dir,
            .format = weir_raw(),
            .line_size_max = 100 };
        struct seen seen = { .count = 0 };
        struct fleet fleet;
        assert_null(fleet_open(&fleet, &options, 1, NULL));
        assert_null(fleet_finish(&fleet, &seen));
        assert_int_equal(seen.count, 2);
        assert_string_equal(seen.lines[0], "x:0:first");
        char *last = mem_printf("x:%zu:last", sizes[i] + 7);
        assert_string_equal(seen.lines[1], last);
        mem_free(last);
        const weir_ctx *ctx = fleet.ctxs[0];
        assert_int_equal(ctx->rejected_count, 1);
        assert_int_equal(ctx->rejected_size, sizes[i]);
        assert_int_equal(ctx->rejected.offset, 6);
        assert_true(weir_str_equal(ctx->rejected.topic, WEIR_STR("x")));
        size_t kept = sizes[i] < WEIR_DEAD_LETTER_RAW_MAX ? sizes[i] : WEIR_DEAD_LETTER_RAW_MAX;
        assert_int_equal(ctx->rejected.value.size, kept);
        assert_int_equal(ctx->rejected.value.data[kept - 1], 'x');
        assert_non_null(strstr(ctx->rejected_why, "too-large: the line at byte 6 of 'x' has"));
        fleet_close(&fleet);
        forget(&seen);
    }
    temp_dir_free(dir);
}

static void a_damaged_packed_file_fails_and_is_no_dead_letter(void **state)
{
    char *dir = temp_dir_new();
    size_t size = 0;
    char *packed = gzip_add(NULL, &size, "one\ntwo\nthree\n", 14);
    packed[size - 6] ^= 1; /* the checksum */
    temp_dir_write(temp_dir_path(dir, "x.gz"), packed, size);
    free(packed);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    struct seen seen = { .count = 0 };
    struct fleet fleet;
    assert_null(fleet_open(&fleet, &options, 1, NULL));
    assert_code(fleet_finish(&fleet, &seen), WEIR_E_CORRUPT, "x.gz': incorrect data check at byte");
    assert_int_equal(fleet.ctxs[0]->rejected_count, 0);
    fleet_close(&fleet);
    forget(&seen);
    temp_dir_free(dir);
}

static void of_each_poll_it_is_known_where_its_lines_come_from(void **state)
{
    char *dir = temp_dir_new();
    struct fleet fleet;
    struct weir_position at;
    bool finished;
    temp_dir_write(temp_dir_path(dir, "a.txt"), "one\ntwo\nthree\nfour\nfive", 23);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    assert_null(fleet_open(&fleet, &options, 1, NULL));
    const struct weir_source_class *class = fleet.source.source_class;
    assert_int_equal(class->positions(fleet.instances[0], &at, 1), 0);
    static const int64_t rows[][2] = { { 0, 13 }, { 14, 18 }, { 19, 22 } }; /* three at most */
    for (size_t i = 0; i < COUNT(rows); i++) {
        do /* the first only opens the file */
            assert_null(fleet_poll(&fleet, 0, NULL, &finished));
        while (fleet.ctxs[0]->row_count == 0 && !finished);
        assert_int_equal(class->positions(fleet.instances[0], &at, 1), 1);
        assert_true(weir_str_equal(at.topic, WEIR_STR("a.txt")));
        assert_int_equal(at.first, rows[i][0]);
        assert_int_equal(at.last, rows[i][1]);
    }
    assert_null(fleet_finish(&fleet, NULL));
    assert_int_equal(class->positions(fleet.instances[0], &at, 1), 0);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void what_cannot_be_read_is_named_at_the_start(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_source_options options = { .path = temp_dir_path(dir, "missing"),
        .format = weir_raw() };
    struct fleet fleet;
    assert_code(fleet_open(&fleet, &options, 1, NULL), WEIR_E_CONNECTOR, "does not exist");
    fleet_close(&fleet);
    options.path = "/dev/null";
    assert_code(fleet_open(&fleet, &options, 1, NULL), WEIR_E_CONNECTOR, "neither a regular file");
    fleet_close(&fleet);
    options.path = dir; /* empty: nothing to read is no mistake */
    struct seen seen = { .count = 0 };
    assert_null(fleet_open(&fleet, &options, 2, NULL));
    assert_null(fleet_finish(&fleet, &seen));
    assert_int_equal(seen.count, 0);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void a_file_of_the_checkpoint_that_is_gone_or_cut_stops_the_job(void **state)
{
    struct seen expected = { .count = 0 }, seen = { .count = 0 };
    char *dir = temp_dir_new();
    write_lines(dir, "a", 50, &expected);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet, next;
    bool finished;
    assert_null(fleet_open(&fleet, &options, 1, NULL));
    for (int i = 0; i < 3; i++)
        assert_null(fleet_poll(&fleet, 0, &seen, &finished));
    fleet_snapshot(&fleet);
    temp_dir_write(temp_dir_path(dir, "a"), "", 0);
    assert_null(fleet_open(&next, &options, 1, &fleet));
    assert_code(fleet_finish(&next, &seen), WEIR_E_CONNECTOR, "was cut or replaced");
    fleet_close(&next);
    assert_null(os_remove(temp_dir_path(dir, "a")));
    assert_code(fleet_open(&next, &options, 1, &fleet), WEIR_E_CONNECTOR,
        "the file 'a' was read up to byte");
    fleet_close(&next);
    fleet_close(&fleet);
    forget(&seen);
    forget(&expected);
    temp_dir_free(dir);
}

static void items_of_something_else_are_refused(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    struct fleet other = { .parallelism = 1 }, fleet;
    other.ctxs[0] = stub_ctx_new(0, 1);
    weir_item_add(other.ctxs[0], WEIR_STR("partition-0"), WEIR_STR("12345678"));
    assert_code(fleet_open(&fleet, &options, 1, &other), WEIR_E_STATE,
        "'partition-0' is no position");
    fleet_close(&fleet);
    stub_ctx_free(other.ctxs[0]);
    temp_dir_free(dir);
}

static void mistakes_in_options_are_found_in_the_plan(void **state)
{
    struct weir_file_source_options options = { .format = weir_raw() };
    const struct weir_source_class *class = weir_file_source_with(&options).source_class;
    assert_code(class->validate(&options), WEIR_E_PLAN, "has no path");
    options.path = "x";
    options.line_size_max = 1u << 30;
    assert_code(class->validate(&options), WEIR_E_PLAN, "are the most");
    options.format = (struct weir_format){ .type = NULL };
    assert_code(class->validate(&options), WEIR_E_PLAN, "no format that can decode");
}

static void the_lag_falls_to_nothing(void **state)
{
    struct seen expected = { .count = 0 }, seen = { .count = 0 };
    char *dir = some_files(&expected);
    struct weir_file_source_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_null(fleet_open(&fleet, &options, 1, NULL));
    const struct weir_source_class *class = fleet.source.source_class;
    assert_int_equal(class->lag(fleet.ctxs[0], fleet.instances[0]), -1);
    bool finished = false;
    int64_t last = INT64_MAX;
    while (!finished) {
        assert_null(fleet_poll(&fleet, 0, &seen, &finished));
        last = class->lag(fleet.ctxs[0], fleet.instances[0]);
        assert_true(last < 1000);
    }
    assert_int_equal(last, 0);
    fleet_close(&fleet);
    forget(&seen);
    forget(&expected);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_is_read_once_whatever_the_parallelism),
        cmocka_unit_test(restarts_with_any_parallelism_lose_and_repeat_nothing),
        cmocka_unit_test(one_file_is_a_list_of_one),
        cmocka_unit_test(new_files_are_read_after_a_restart_and_finished_ones_are_not),
        cmocka_unit_test(subtasks_agree_although_a_file_appears_between_them),
        cmocka_unit_test(header_lines_are_passed_over_once),
        cmocka_unit_test(a_line_that_is_too_long_is_a_dead_letter_with_its_true_size),
        cmocka_unit_test(a_damaged_packed_file_fails_and_is_no_dead_letter),
        cmocka_unit_test(of_each_poll_it_is_known_where_its_lines_come_from),
        cmocka_unit_test(what_cannot_be_read_is_named_at_the_start),
        cmocka_unit_test(a_file_of_the_checkpoint_that_is_gone_or_cut_stops_the_job),
        cmocka_unit_test(items_of_something_else_are_refused),
        cmocka_unit_test(mistakes_in_options_are_found_in_the_plan),
        cmocka_unit_test(the_lag_falls_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
