/* inspect_test.c -- `weir inspect --verify` on metadata that no engine would write, with the right checksum. */
#include "checkpoint/format.h"

#include "base/buffer.h"
#include "cli/verb.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"
#include "types/key_group.h"

#define MAX_PARALLELISM 16u

/* An operator with a position each and no state. Thread: one. */
static void add_subtask(struct checkpoint_metadata *metadata, uint32_t subtask,
    uint32_t parallelism)
{
    struct subtask_snapshot *snapshot = subtask_snapshot_new(7, subtask);
    struct operator_snapshot *op = arena_alloc(&snapshot->arena, sizeof(*op));
    *op = (struct operator_snapshot){ .uid = WEIR_STR("numbers"),
        .subtask = subtask,
        .parallelism = parallelism,
        .groups = key_group_range(subtask, parallelism, MAX_PARALLELISM),
        .item_count = 1 };
    op->items = arena_alloc(&snapshot->arena, sizeof(*op->items));
    *op->items = (struct weir_item){ .name = WEIR_STR("split"), .value = WEIR_STR("17") };
    snapshot->operators = op;
    snapshot->operator_count = 1;
    checkpoint_metadata_add(metadata, snapshot);
    subtask_snapshot_free(snapshot);
}

/* The exit status of the command for these subtasks of `parallelism`. */
static int verify(const uint32_t *subtasks, uint32_t count, uint32_t parallelism)
{
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    metadata.job = WEIR_STR("wordcount");
    metadata.checkpoint = 7;
    metadata.max_parallelism = MAX_PARALLELISM;
    for (uint32_t i = 0; i < count; i++)
        add_subtask(&metadata, subtasks[i], parallelism);
    weir_buffer *bytes = weir_buffer_new((size_t)1 << 20);
    checkpoint_encode(&metadata, bytes);
    char *dir = temp_dir_new(), *path = mem_printf("%s", dir);
    temp_dir_write(temp_dir_path(dir, "_metadata"), buffer_text(bytes), buffer_size(bytes));
    char weir[] = "weir", inspect[] = "inspect", option[] = "--verify",
         *argv[] = { weir, inspect, path, option, NULL };
    int status = cli_main(4, argv);
    mem_free(path);
    temp_dir_free(dir);
    weir_buffer_free(bytes);
    checkpoint_metadata_release(&metadata);
    return status;
}

static void a_subtask_that_is_missing_or_there_twice_is_not_whole(void **state)
{
    int corrupt = weir_code_exit(WEIR_E_CORRUPT);
    assert_int_equal(verify((const uint32_t[]){ 0, 1 }, 2, 2), 0);
    assert_int_equal(verify((const uint32_t[]){ 0 }, 1, 2), corrupt);
    assert_int_equal(verify((const uint32_t[]){ 1, 1 }, 2, 2), corrupt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subtask_that_is_missing_or_there_twice_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
