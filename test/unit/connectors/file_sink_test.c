/* file_sink_test.c -- what complete checkpoints cover is published, once, whatever happens between. */
#include "test/support/fault_os.h"
#include "test/support/random.h"
#include "test/support/stub_ctx.h"
#include "test/support/temp_dir.h"

#include "base/log.h"
#include "base/os.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array_)   (sizeof(array_) / sizeof((array_)[0]))
#define PARALLELISM_MAX 4u

static void assert_ok(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

static void assert_code(weir_error *error, enum weir_code code, const char *part)
{
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), part) == NULL)
        fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

/* -- a sink with some parallelism ----------------------------------------------------------- */

struct fleet {
    struct weir_sink sink;
    uint32_t parallelism;
    weir_ctx *ctxs[PARALLELISM_MAX];
    void *instances[PARALLELISM_MAX];
};

static weir_error *fleet_open(struct fleet *fleet, const struct weir_file_sink_options *options,
    uint32_t parallelism, uint64_t attempt, const struct fleet *old)
{
    *fleet = (struct fleet){ .sink = weir_file_sink_with(options), .parallelism = parallelism };
    const struct weir_sink_class *class = fleet->sink.sink_class;
    assert_null(class->validate(options));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < parallelism; i++) {
        fleet->ctxs[i] = stub_ctx_new(i, parallelism);
        fleet->ctxs[i]->instance = 77;
        fleet->ctxs[i]->attempt = attempt;
        for (uint32_t o = 0; old != NULL && o < old->parallelism; o++)
            stub_ctx_restore(fleet->ctxs[i], old->ctxs[o]);
        fleet->instances[i] = mem_alloc(class->instance_size);
    }
    for (uint32_t i = 0; i < parallelism && error == NULL; i++)
        error = class->open(fleet->ctxs[i], options, fleet->instances[i]);
    return error;
}

static void fleet_close(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        fleet->sink.sink_class->close(fleet->ctxs[i], fleet->instances[i]);
        mem_free(fleet->instances[i]);
        stub_ctx_free(fleet->ctxs[i]);
    }
}

static weir_error *fleet_write(struct fleet *fleet, uint32_t i, const char *key, const char *value)
{
    struct weir_message message = { .key = weir_str_of(key), .value = weir_str_of(value) };
    struct weir_row row = { .record = &message };
    return fleet->sink.sink_class->write(fleet->ctxs[i], fleet->instances[i], &row, 1);
}

/* As the engine: snapshot, then a worker syncs what the sink named. */
static weir_error *fleet_snapshot(struct fleet *fleet, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        weir_ctx *ctx = fleet->ctxs[i];
        ctx->added_count = ctx->sync_count = 0;
        WEIR_TRY(fleet->sink.sink_class->snapshot(ctx, fleet->instances[i], checkpoint));
        for (uint32_t s = 0; s < ctx->sync_count; s++) {
            struct os_stat stat;
            WEIR_TRY(os_stat(ctx->syncs[s], &stat));
            assert_true(stat.exists);
        }
    }
    return NULL;
}

static uint32_t unpublished(struct fleet *fleet)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < fleet->parallelism; i++)
        count += fleet->sink.sink_class->unpublished(fleet->ctxs[i], fleet->instances[i]);
    return count;
}

static void fleet_complete(struct fleet *fleet, uint32_t i, uint64_t checkpoint)
{
    assert_ok(fleet->sink.sink_class->checkpoint_complete(fleet->ctxs[i], fleet->instances[i],
        checkpoint));
}

/* Complete, and published. */
static void fleet_publish(struct fleet *fleet, uint64_t checkpoint)
{
    for (uint32_t i = 0; i < fleet->parallelism; i++) {
        fleet_complete(fleet, i, checkpoint);
        assert_ok(stub_ctx_run(fleet->ctxs[i]));
    }
    assert_int_equal(unpublished(fleet), 0);
}

/* The names in a directory, each with a blank behind it. */
static const char *names_in(const char *dir)
{
    static char text[4096];
    char **names;
    uint32_t count;
    size_t size = 0;
    assert_ok(os_list(dir, &names, &count));
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s ", names[i]);
    os_names_free(names, count);
    return text;
}

static void assert_content(const char *path, const char *expected)
{
    char *bytes;
    size_t size;
    assert_ok(os_read_file(path, 1 << 20, &bytes, &size));
    assert_string_equal(bytes, expected);
    mem_free(bytes);
}

/* -- the way -------------------------------------------------------------------------------- */

static void lines_are_hidden_until_their_checkpoint_is_complete(void **state)
{
    char *dir = temp_dir_new();
    char *out = mem_printf("%s/a/out", dir);
    struct weir_file_sink_options options = { .path = out, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 2, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "{\"a\":1}"));
    assert_ok(fleet_write(&fleet, 0, NULL, ""));
    assert_string_equal(names_in(out), "");
    assert_ok(fleet_snapshot(&fleet, 7));
    assert_int_equal(fleet.ctxs[0]->sync_count, 1);
    assert_int_equal(fleet.ctxs[1]->sync_count, 0); /* it wrote nothing */
    assert_ok(fleet_write(&fleet, 0, NULL, "later"));
    assert_int_equal(unpublished(&fleet), 0); /* nothing is waiting for a rename */
    fleet_complete(&fleet, 0, 7);
    assert_int_equal(unpublished(&fleet), 1);
    assert_null(strstr(names_in(out), "part-0000000007-000.ndjson"));
    fleet_publish(&fleet, 7);
    assert_string_equal(names_in(out), "part-0000000007-000.ndjson ");
    assert_content(temp_dir_path(out, "part-0000000007-000.ndjson"), "{\"a\":1}\n\n");
    fleet_close(&fleet);
    assert_string_equal(names_in(out), "part-0000000007-000.ndjson ");
    mem_free(out);
    temp_dir_free(dir);
}

static void keys_are_in_front_of_a_tab(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir,
        .prefix = "p",
        .suffix = "tsv",
        .format = weir_raw(),
        .with_key = true };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, "k", "v\tw"));
    assert_ok(fleet_write(&fleet, 0, "gone", NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "v"));
    assert_int_equal(fleet.ctxs[0]->rejected_count, 0);
    assert_ok(fleet_snapshot(&fleet, 1));
    fleet_publish(&fleet, 1);
    assert_content(temp_dir_path(dir, "p-0000000001-000.tsv"), "k\tv\tw\ngone\t\n\tv\n");
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void what_is_no_line_is_a_bad_record(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "a\nb"));
    assert_ok(fleet_write(&fleet, 0, NULL, NULL));
    assert_int_equal(fleet.ctxs[0]->rejected_count, 2);
    fleet_close(&fleet);
    options.with_key = true;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, "a\tb", "v"));
    assert_ok(fleet_write(&fleet, 0, "a\nb", "v"));
    assert_ok(fleet_write(&fleet, 0, "a", "v\n"));
    assert_int_equal(fleet.ctxs[0]->rejected_count, 3);
    assert_ok(fleet_snapshot(&fleet, 1));
    fleet_publish(&fleet, 1);
    assert_string_equal(names_in(dir), "");
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void a_large_output_is_one_file(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    char *value = mem_alloc(100001);
    memset(value, 'x', 100000);
    for (int i = 0; i < 50; i++)
        assert_ok(fleet_write(&fleet, 0, NULL, value));
    mem_free(value);
    assert_ok(fleet_snapshot(&fleet, 1));
    fleet_publish(&fleet, 1);
    struct os_stat stat;
    assert_ok(os_stat(temp_dir_path(dir, "part-0000000001-000.ndjson"), &stat));
    assert_int_equal(stat.size, 50 * 100001);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void a_checkpoint_that_failed_is_published_with_the_next(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "one"));
    assert_ok(fleet_snapshot(&fleet, 1)); /* aborted: nobody tells the sink */
    assert_ok(fleet_write(&fleet, 0, NULL, "two"));
    assert_ok(fleet_snapshot(&fleet, 2));
    assert_int_equal(fleet.ctxs[0]->sync_count, 2);
    fleet_publish(&fleet, 2);
    assert_content(temp_dir_path(dir, "part-0000000001-000.ndjson"), "one\n");
    assert_content(temp_dir_path(dir, "part-0000000002-000.ndjson"), "two\n");
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void a_late_completion_publishes_only_what_it_covers(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "one"));
    assert_ok(fleet_snapshot(&fleet, 1));
    assert_ok(fleet_write(&fleet, 0, NULL, "two"));
    assert_ok(fleet_snapshot(&fleet, 2));
    fleet_publish(&fleet, 1);
    assert_non_null(strstr(names_in(dir), " part-0000000001-000.ndjson"));
    assert_null(strstr(names_in(dir), "part-0000000002"));
    fleet_close(&fleet);
    temp_dir_free(dir);
}

/* -- restarts ------------------------------------------------------------------------------- */

static void a_restart_publishes_what_the_checkpoint_has_and_deletes_the_rest(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet, next;
    assert_ok(fleet_open(&fleet, &options, 3, 1, NULL));
    for (uint32_t i = 0; i < 3; i++)
        assert_ok(fleet_write(&fleet, i, NULL, "first"));
    assert_ok(fleet_snapshot(&fleet, 4)); /* complete, but the process dies before it hears so */
    temp_dir_write(temp_dir_path(dir, ".part-0000000000000001-1-0-0.ndjson"), "other", 5);
    for (uint32_t i = 0; i < 3; i++) {
        char *value = mem_alloc(300001);
        memset(value, 'x', 300000);
        assert_ok(fleet_write(&fleet, i, NULL, value)); /* a hidden file that is in no checkpoint */
        mem_free(value);
    }
    assert_ok(fleet_open(&next, &options, 2, 2, &fleet));
    assert_string_equal(names_in(dir),
        ".part-0000000000000001-1-0-0.ndjson "
        "part-0000000004-000.ndjson part-0000000004-001.ndjson part-0000000004-002.ndjson ");
    fleet_close(&next);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

/* Its region restarts, in the same attempt: its own leavings go. */
static void a_subtask_that_starts_again_alone_leaves_the_others_theirs(void **state)
{
    char *dir = temp_dir_new();
    char *value = mem_alloc(300001);
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    memset(value, 'x', 300000);
    assert_ok(fleet_open(&fleet, &options, 2, 1, NULL));
    for (uint32_t i = 0; i < 2; i++)
        assert_ok(fleet_write(&fleet, i, NULL, "first"));
    assert_ok(fleet_snapshot(&fleet, 4));
    fleet_publish(&fleet, 4);
    for (uint32_t i = 0; i < 2; i++)
        assert_ok(fleet_write(&fleet, i, NULL, value)); /* written to a hidden file */
    const struct weir_sink_class *class = fleet.sink.sink_class;
    weir_ctx *again = stub_ctx_new(1, 2);
    again->instance = 77;
    again->attempt = 1;
    for (uint32_t i = 0; i < 2; i++)
        stub_ctx_restore(again, fleet.ctxs[i]);
    void *instance = mem_alloc(class->instance_size);
    class->close(fleet.ctxs[1], fleet.instances[1]);
    assert_ok(class->open(again, &options, instance));
    mem_free(fleet.instances[1]);
    stub_ctx_free(fleet.ctxs[1]);
    fleet.ctxs[1] = again;
    fleet.instances[1] = instance;
    assert_non_null(strstr(names_in(dir), "-1-0-1.ndjson ")); /* hidden, of subtask 0 */
    assert_null(strstr(names_in(dir), "-1-1-"));
    for (uint32_t i = 0; i < 3; i++)
        assert_ok(fleet_write(&fleet, 1, NULL, value));
    assert_ok(fleet_snapshot(&fleet, 5));
    fleet_publish(&fleet, 5);
    assert_string_equal(names_in(dir), "part-0000000004-000.ndjson part-0000000004-001.ndjson "
                                       "part-0000000005-000.ndjson part-0000000005-001.ndjson ");
    mem_free(value);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

/* Twice from the same checkpoint, in the same attempt: what it has begun in between must not pass for what the
 * checkpoint has, and be published, or refused for its size. */
static void what_a_subtask_has_begun_before_it_starts_again_is_nothing_of_its_checkpoint(
    void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet, again, last;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "first"));
    assert_ok(fleet_snapshot(&fleet, 1));
    fleet_publish(&fleet, 1);
    assert_ok(os_remove(temp_dir_path(dir, "part-0000000001-000.ndjson"))); /* by its reader */
    assert_ok(fleet_open(&again, &options, 1, 1, &fleet));
    assert_ok(fleet_write(&again, 0, NULL, "other"));
    assert_ok(fleet_snapshot(&again, 2)); /* never completes */
    assert_ok(fleet_open(&last, &options, 1, 1, &fleet));
    assert_string_equal(names_in(dir), "");
    fleet_close(&last);
    fleet_close(&again);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void what_was_published_before_the_crash_is_published_no_more(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet, next;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "one"));
    assert_ok(fleet_snapshot(&fleet, 1));
    fleet_publish(&fleet, 1);
    assert_ok(fleet_open(&next, &options, 1, 2, &fleet));
    assert_string_equal(names_in(dir), "part-0000000001-000.ndjson ");
    fleet_close(&next);
    /* a consumer may take it away */
    assert_ok(os_remove(temp_dir_path(dir, "part-0000000001-000.ndjson")));
    assert_ok(fleet_open(&next, &options, 1, 3, &fleet));
    assert_string_equal(names_in(dir), "");
    fleet_close(&next);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void output_beyond_the_checkpoint_stops_the_job(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet, next;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_snapshot(&fleet, 5));
    temp_dir_write(temp_dir_path(dir, "part-0000000006-000.ndjson"), "x\n", 2);
    assert_code(fleet_open(&next, &options, 1, 2, &fleet), WEIR_E_CONNECTOR,
        "part-0000000006-000.ndjson' is output from behind checkpoint 5");
    fleet_close(&next);
    assert_code(fleet_open(&next, &options, 1, 2, NULL), WEIR_E_CONNECTOR, "of another run");
    fleet_close(&next);
    options.prefix = "other"; /* its own names do not mind */
    assert_ok(fleet_open(&next, &options, 1, 2, NULL));
    fleet_close(&next);
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void nothing_published_is_ever_replaced(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "mine"));
    assert_ok(fleet_snapshot(&fleet, 1));
    temp_dir_write(temp_dir_path(dir, "part-0000000001-000.ndjson"), "theirs", 6);
    fleet_complete(&fleet, 0, 1);
    assert_code(stub_ctx_run(fleet.ctxs[0]), WEIR_E_CONNECTOR,
        "exists already and is not replaced");
    assert_content(temp_dir_path(dir, "part-0000000001-000.ndjson"), "theirs");
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void a_hidden_file_that_was_changed_is_not_published(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "mine"));
    assert_ok(fleet_snapshot(&fleet, 1));
    temp_dir_write(fleet.ctxs[0]->syncs[0], "", 0);
    fleet_complete(&fleet, 0, 1);
    assert_code(stub_ctx_run(fleet.ctxs[0]), WEIR_E_CORRUPT, "has 0 bytes instead of 5");
    fleet_close(&fleet);
    temp_dir_free(dir);
}

static void a_zombie_publishes_nothing(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet zombie, next;
    assert_ok(fleet_open(&zombie, &options, 1, 1, NULL));
    assert_ok(fleet_write(&zombie, 0, NULL, "one"));
    assert_ok(fleet_snapshot(&zombie, 1));
    fleet_complete(&zombie, 0, 1);
    zombie.ctxs[0]->is_fenced = true;
    assert_code(stub_ctx_run(zombie.ctxs[0]), WEIR_E_FENCED, "taken over");
    assert_int_equal(strncmp(names_in(dir), ".part-", 6), 0);
    assert_ok(fleet_open(&next, &options, 1, 2, &zombie)); /* publishes it */
    zombie.ctxs[0]->is_fenced =
        false; /* it had asked before, and renames only now: nothing to do */
    assert_ok(stub_ctx_run(zombie.ctxs[0]));
    assert_string_equal(names_in(dir), "part-0000000001-000.ndjson ");
    fleet_close(&next);
    fleet_close(&zombie);
    temp_dir_free(dir);
}

static void items_of_something_else_are_refused(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    static const weir_str items[][2] = { { { "segments", 8 }, { "", 0 } },
        { { "slot-1", 6 }, { "\1\0\0\0\0\0\0\0\0\0\0\0\0", 13 } },
        { { "segments", 8 }, { "\2\0\0\0\0\0\0\0\0\0\0\0\0", 13 } },
        { { "segments", 8 }, { "\1\0\0\0\0\0\0\0\0\1\0\0\0", 13 } } };
    for (size_t i = 0; i < COUNT(items); i++) {
        struct fleet other = { .parallelism = 1 }, fleet;
        other.ctxs[0] = stub_ctx_new(0, 1);
        weir_item_add(other.ctxs[0], items[i][0], items[i][1]);
        assert_code(fleet_open(&fleet, &options, 1, 2, &other), WEIR_E_STATE,
            "is not of a file sink");
        fleet_close(&fleet);
        stub_ctx_free(other.ctxs[0]);
    }
    temp_dir_free(dir);
}

static void mistakes_in_options_are_found_in_the_plan(void **state)
{
    struct weir_file_sink_options options = { .format = weir_raw() };
    const struct weir_sink_class *class = weir_file_sink_with(&options).sink_class;
    assert_code(class->validate(&options), WEIR_E_PLAN, "has no path");
    options.path = "x";
    options.prefix = "../x";
    assert_code(class->validate(&options), WEIR_E_PLAN, "no slash");
    options.prefix = NULL;
    options.format = (struct weir_format){ .type = NULL };
    assert_code(class->validate(&options), WEIR_E_PLAN, "no format that can encode");
}

/* -- faults --------------------------------------------------------------------------------- */

/* A failed write while the checkpoint is taken: it is declined, and the task fails. */
static void a_failed_write_in_a_snapshot_fails_the_task(void **state)
{
    char *dir = temp_dir_new();
    struct weir_file_sink_options options = { .path = dir, .format = weir_raw() };
    struct fleet fleet;
    assert_ok(fleet_open(&fleet, &options, 1, 1, NULL));
    assert_ok(fleet_write(&fleet, 0, NULL, "one"));
    fault_os_start(2, FAULT_ONCE, ENOSPC); /* open, then write half of it */
    assert_code(fleet_snapshot(&fleet, 1), WEIR_E_IO, "could not be written");
    assert_true(fault_os_stop());
    assert_code(fleet_snapshot(&fleet, 2), WEIR_E_IO, "before"); /* what is in it is unknown */
    assert_code(stub_ctx_run(fleet.ctxs[0]), WEIR_E_DISK_FULL, "");
    fleet_close(&fleet);
    temp_dir_free(dir);
}

/* Lines that are published, sorted, as one text. */
static char *published_lines(const char *dir)
{
    char **names, *lines[4096];
    uint32_t count, line_count = 0;
    assert_ok(os_list(dir, &names, &count));
    for (uint32_t i = 0; i < count; i++) {
        if (names[i][0] == '.')
            continue;
        char *bytes;
        size_t size;
        assert_ok(os_read_file(temp_dir_path(dir, "%s", names[i]), 1 << 20, &bytes, &size));
        for (char *at = bytes, *feed; (feed = strchr(at, '\n')) != NULL; at = feed + 1) {
            *feed = '\0';
            assert_true(line_count < COUNT(lines));
            lines[line_count++] = mem_strdup(at);
        }
        mem_free(bytes);
    }
    os_names_free(names, count);
    char *text = mem_alloc(line_count * 12 + 1);
    for (uint32_t wanted = 0, at = 0; wanted < line_count; wanted++) {
        uint32_t least = UINT32_MAX;
        for (uint32_t i = 0; i < line_count; i++)
            if (lines[i] != NULL && (least == UINT32_MAX || strcmp(lines[i], lines[least]) < 0))
                least = i;
        at += (uint32_t)snprintf(text + at, 12, "%s ", lines[least]);
        mem_free(lines[least]);
        lines[least] = NULL;
    }
    return text;
}

/* Lines number 1 .. count as they have to be published. */
static char *expected_lines(uint32_t count)
{
    char *text = mem_alloc(count * 12 + 1);
    for (uint32_t i = 1, at = 0; i <= count; i++)
        at += (uint32_t)snprintf(text + at, 12, "%06u ", i);
    return text;
}

/* A job that lives and dies, and what its storage would know. */
struct world {
    struct random random;
    struct weir_file_sink_options options;
    struct fleet fleet, restored; /* `restored`: what the newest complete checkpoint has */
    uint64_t checkpoint, attempt;
    uint32_t written, complete; /* lines, undone ones not counted */
};

/* Now and then a call fails: one of the first `calls`. */
static void maybe_fault(struct world *world, uint32_t one_in, uint32_t calls, enum fault fault)
{
    bool happens = random_one_in(&world->random, one_in);
    fault_os_start(happens ? 1 + random_below(&world->random, calls) : 0, fault, EIO);
}

static void write_some(struct world *world)
{
    for (uint32_t i = random_below(&world->random, 20); i > 0; i--) {
        char line[16];
        snprintf(line, sizeof(line), "%06u", ++world->written);
        assert_ok(fleet_write(&world->fleet, random_below(&world->random, world->fleet.parallelism),
            NULL, line));
    }
}

static void keep_items(struct world *world)
{
    for (uint32_t i = 0; i < world->restored.parallelism; i++)
        stub_ctx_free(world->restored.ctxs[i]);
    world->restored.parallelism = world->fleet.parallelism;
    for (uint32_t i = 0; i < world->fleet.parallelism; i++) {
        const weir_ctx *ctx = world->fleet.ctxs[i];
        world->restored.ctxs[i] = stub_ctx_new(i, world->fleet.parallelism);
        for (uint32_t a = 0; a < ctx->added_count; a++)
            weir_item_add(world->restored.ctxs[i], ctx->added[a].name, ctx->added[a].value);
    }
}

/* True: the job has failed. Some are not told, some publish only when the next one is complete. */
static bool tell(struct world *world, uint32_t i)
{
    weir_ctx *ctx = world->fleet.ctxs[i];
    if (random_one_in(&world->random, 4))
        return false;
    fleet_complete(&world->fleet, i, world->checkpoint);
    if (random_one_in(&world->random, 2) && ctx->call_count < STUB_CALLS_MAX - 2)
        return false;
    maybe_fault(world, 6, 8, FAULT_LIE);
    weir_error *error = stub_ctx_run(ctx);
    fault_os_stop();
    bool has_failed = error != NULL;
    weir_error_free(error);
    return has_failed;
}

static bool take_checkpoint(struct world *world)
{
    maybe_fault(world, 8, 6, FAULT_ONCE);
    weir_error *error = fleet_snapshot(&world->fleet, ++world->checkpoint);
    fault_os_stop();
    bool has_failed = error != NULL;
    weir_error_free(error);
    if (has_failed || random_one_in(&world->random, 3)) /* or it does not complete */
        return has_failed;
    world->complete = world->written;
    keep_items(world);
    for (uint32_t i = 0; i < world->fleet.parallelism; i++)
        has_failed = tell(world, i) || has_failed;
    return has_failed;
}

static void restart(struct world *world)
{
    if (random_one_in(&world->random, 2)) /* killed: it tidies nothing up */
        fault_os_start(1, FAULT_CRASH, EIO);
    fleet_close(&world->fleet);
    fault_os_stop();
    world->written = world->complete;
    world->checkpoint += 10;
    assert_ok(fleet_open(&world->fleet, &world->options,
        1 + random_below(&world->random, PARALLELISM_MAX), ++world->attempt, &world->restored));
    char *found = published_lines(world->options.path);
    char *expected = expected_lines(world->complete);
    assert_string_equal(found, expected);
    mem_free(found);
    mem_free(expected);
    const char *names = names_in(world->options.path);
    assert_true(names[0] != '.' && strstr(names, " .") == NULL); /* nothing hidden is left */
}

/* Writes, checkpoints that complete or not, publishes that run or not, crashes, another parallelism
 * each time, and a failing call now and then. */
static void live(uint64_t seed)
{
    char *dir = temp_dir_new();
    struct world world = { .random = { seed },
        .attempt = 1,
        .options = { .path = dir, .format = weir_raw() } };
    assert_ok(fleet_open(&world.fleet, &world.options,
        1 + random_below(&world.random, PARALLELISM_MAX), 1, NULL));
    for (int step = 0; step < 60; step++) {
        uint32_t dice = random_below(&world.random, 8);
        bool has_failed = dice == 0 || (dice <= 2 && take_checkpoint(&world));
        if (dice > 2)
            write_some(&world);
        if (has_failed)
            restart(&world);
    }
    fleet_close(&world.fleet);
    for (uint32_t i = 0; i < world.restored.parallelism; i++)
        stub_ctx_free(world.restored.ctxs[i]);
    temp_dir_free(dir);
}

static void crashes_and_failures_lose_and_repeat_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= 150; seed++)
        live(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_hidden_until_their_checkpoint_is_complete),
        cmocka_unit_test(keys_are_in_front_of_a_tab),
        cmocka_unit_test(what_is_no_line_is_a_bad_record),
        cmocka_unit_test(a_large_output_is_one_file),
        cmocka_unit_test(a_checkpoint_that_failed_is_published_with_the_next),
        cmocka_unit_test(a_late_completion_publishes_only_what_it_covers),
        cmocka_unit_test(a_restart_publishes_what_the_checkpoint_has_and_deletes_the_rest),
        cmocka_unit_test(a_subtask_that_starts_again_alone_leaves_the_others_theirs),
        cmocka_unit_test(
            what_a_subtask_has_begun_before_it_starts_again_is_nothing_of_its_checkpoint),
        cmocka_unit_test(what_was_published_before_the_crash_is_published_no_more),
        cmocka_unit_test(output_beyond_the_checkpoint_stops_the_job),
        cmocka_unit_test(nothing_published_is_ever_replaced),
        cmocka_unit_test(a_hidden_file_that_was_changed_is_not_published),
        cmocka_unit_test(a_zombie_publishes_nothing),
        cmocka_unit_test(items_of_something_else_are_refused),
        cmocka_unit_test(mistakes_in_options_are_found_in_the_plan),
        cmocka_unit_test(a_failed_write_in_a_snapshot_fails_the_task),
        cmocka_unit_test(crashes_and_failures_lose_and_repeat_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
