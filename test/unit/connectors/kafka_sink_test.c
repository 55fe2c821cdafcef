/* kafka_sink_test.c -- what the Kafka sink publishes, when, and what it refuses. What becomes of it when something fails, another
 * attempt takes over, or the token topic tells another story: kafka_sink_fault_test.c. Whole jobs: sim_kafka_test.c; a real
 * broker: test/e2e/test_sink_alone.py. */
#include "test/unit/connectors/kafka_sink_kit.h"

#include "base/hash.h"

#include <errno.h>
#include <inttypes.h>

/* -- publishing ------------------------------------------------------------------------------------ */

static void nothing_is_published_before_its_checkpoint_is_complete(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(write_text(&rig, "b"));
    expect_ok(take_snapshot(&rig, 1));
    expect_ok(write_text(&rig, "c"));
    expect_out("out", "");
    assert_int_equal(rig.sink.sink_class->unpublished(rig.ctx, rig.instance), 0);
    expect_ok(rig.sink.sink_class->checkpoint_complete(rig.ctx, rig.instance, 1));
    assert_int_equal(rig.sink.sink_class->unpublished(rig.ctx, rig.instance), 1);
    expect_ok(stub_ctx_run(rig.ctx));
    assert_int_equal(rig.sink.sink_class->unpublished(rig.ctx, rig.instance), 0);
    expect_out("out", "a b ");
    expect_ok(checkpoint(&rig, 2));
    expect_out("out", "a b c ");
    end(&rig);
}

static void a_checkpoint_that_was_given_up_goes_out_with_the_next_one(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    expect_ok(write_text(&rig, "b"));
    expect_ok(checkpoint(&rig, 2));
    expect_out("out", "a b ");
    expect_ok(complete(&rig, 1));   /* told late: nothing comes twice */
    expect_ok(checkpoint(&rig, 3)); /* with nothing in it */
    expect_out("out", "a b ");
    end(&rig);
}

static void completions_that_come_while_it_publishes_are_published_behind_that(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    expect_ok(rig.sink.sink_class->checkpoint_complete(rig.ctx, rig.instance, 1));
    expect_ok(write_text(&rig, "b"));
    expect_ok(take_snapshot(&rig, 2));
    expect_ok(rig.sink.sink_class->checkpoint_complete(rig.ctx, rig.instance, 2));
    assert_int_equal(rig.ctx->call_count, 1); /* one at a time */
    expect_ok(stub_ctx_run(rig.ctx));
    expect_out("out", "a b ");
    end(&rig);
}

static void output_goes_out_in_transactions_of_the_size_that_is_asked_for(void **state)
{
    struct rig rig = { .options = plain };
    char text[] = "record-0";
    rig.options.chunk_size = 20;
    expect_ok(start(&rig, 0, 1, 1, NULL));
    for (char i = '0'; i <= '6'; i++) {
        text[7] = i;
        expect_ok(write_text(&rig, text));
    }
    uint64_t before = sim_broker_stats().transactions;
    expect_ok(checkpoint(&rig, 1));
    expect_out("out", "record-0 record-1 record-2 record-3 record-4 record-5 record-6 ");
    assert_int_equal(sim_broker_stats().transactions - before, 4);
    end(&rig);
}

/* The client spins while it is flushed: that is for what fills no batch. */
static void full_batches_are_sent_before_the_client_is_flushed(void **state)
{
    enum { BATCH_SIZE = 1000000, RECORD_SIZE = 600000 };
    struct rig rig = { .options = plain };
    uint64_t count;
    expect_ok(start(&rig, 0, 1, 1, NULL));
    for (uint32_t i = 0; i < 3; i++)
        expect_ok(write_item(&rig, &(struct item){ .key = "k", .size = RECORD_SIZE }));
    expect_ok(checkpoint(&rig, 1));
    const struct sim_intent *intents = sim_client_intents(&count);
    for (uint64_t i = 0; i < count; i++)
        assert_true(intents[i].flushed <= BATCH_SIZE);
    end(&rig);
}

/* The partition in which the record of that value can be read; -1: in none. */
static int32_t partition_with(const struct sim_topic *topic, const char *value)
{
    for (uint32_t p = 0; p < topic->partition_count; p++) {
        const struct sim_log *log = &topic->partitions[p];
        for (int64_t i = 0; i < log->count; i++) {
            const struct sim_message *message = &log->records[i].message;
            if (message->value_size == strlen(value) &&
                memcmp(message->value, value, message->value_size) == 0 &&
                sim_log_is_visible(log, i, log->count))
                return (int32_t)p;
        }
    }
    return -1;
}

static void a_key_goes_where_javas_clients_put_it_unless_another_partitioner_is_set(void **state)
{
    static const char *const other[] = { "partitioner=fnv1a", NULL };
    static const char *const keys[] = { "21", "foobar", "abc", "a-little-bit-long-string" };
    static const int32_t murmur2[] = { -973932308, -790332482, 479470107, -985981536 };
    for (uint32_t round = 0; round < 2; round++) {
        const char *topic = round == 0 ? "java" : "other";
        sim_broker_make_topic(topic, 5, false);
        struct rig rig = { .options = plain };
        rig.options.topic = topic;
        rig.options.client = round == 0 ? NULL : other;
        expect_ok(start(&rig, 0, 1, 1, NULL));
        for (uint32_t i = 0; i < 4; i++)
            expect_ok(write_item(&rig, &(struct item){ .key = keys[i], .value = keys[i] }));
        expect_ok(checkpoint(&rig, 1));
        assert_true(sim_broker_settle());
        for (uint32_t i = 0; i < 4; i++) {
            uint64_t of_client = hash_bytes(keys[i], strlen(keys[i])); /* of the simulated one */
            assert_int_equal(partition_with(sim_broker_topic(topic), keys[i]),
                round == 0 ? (uint32_t)(murmur2[i] & INT32_MAX) % 5 : of_client % 5);
        }
        end(&rig);
    }
}

/* Or a partition that is down would hold up what could go elsewhere. */
static void records_without_a_key_go_around_a_partition_without_a_leader(void **state)
{
    static const char *const values[] = { "a", "b", "c", "d" };
    sim_broker_make_topic("half", 2, false);
    sim_broker_topic("half")->partitions[0].is_leaderless = true;
    struct rig rig = { .options = plain };
    rig.options.topic = "half";
    expect_ok(start(&rig, 0, 1, 1, NULL));
    for (uint32_t i = 0; i < 4; i++)
        expect_ok(write_item(&rig, &(struct item){ .value = values[i] }));
    expect_ok(checkpoint(&rig, 1));
    assert_true(sim_broker_settle());
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(partition_with(sim_broker_topic("half"), values[i]), 1);
    end(&rig);
}

/* Its records are on the shelf, and nobody has published them. */
static void a_restart_publishes_what_the_checkpoint_holds_before_anything_new(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    expect_ok(write_text(&rig, "lost with its attempt"));
    expect_ok(restart(&rig, 1));
    expect_out("out", "a ");
    expect_ok(write_text(&rig, "b"));
    expect_ok(checkpoint(&rig, 2));
    expect_out("out", "a b ");
    expect_ok(restart(&rig, 1)); /* all of it is out already */
    expect_out("out", "a b ");
    end(&rig);
}

static void another_start_in_the_same_attempt_uses_no_name_of_a_file_twice(void **state)
{
    struct rig rig = { .options = plain }, again = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    expect_ok(write_text(&rig, "of no use any more"));
    expect_ok(start(&again, 0, 1, 1, rig.ctx));
    end(&rig);
    expect_ok(write_text(&again, "b"));
    expect_ok(checkpoint(&again, 2));
    expect_out("out", "a b ");
    end(&again);
}

/* -- slots ------------------------------------------------------------------------------------------ */

static void output_of_subtasks_that_are_no_more_is_finished_by_those_that_are_left(void **state)
{
    struct rig one = { .options = plain }, two = { .options = plain };
    expect_ok(start(&one, 0, 2, 1, NULL));
    expect_ok(start(&two, 1, 2, 1, NULL));
    expect_ok(write_text(&one, "a"));
    expect_ok(write_text(&two, "b"));
    expect_ok(take_snapshot(&one, 1));
    expect_ok(take_snapshot(&two, 1));
    struct rig left = { .options = plain };
    weir_ctx *both = stub_ctx_new(0, 2);
    for (uint32_t i = 0; i < one.ctx->added_count; i++)
        both->added[both->added_count++] = one.ctx->added[i];
    for (uint32_t i = 0; i < two.ctx->added_count; i++)
        both->added[both->added_count++] = two.ctx->added[i];
    expect_ok(start(&left, 0, 1, 2, both));
    expect_out("out", "a b ");
    expect_ok(write_text(&left, "c"));
    expect_ok(checkpoint(&left, 2));
    expect_out("out", "a b c ");
    /* slot 1 is remembered by whoever has none of its own number: a larger job goes on with it */
    struct rig first = { .options = plain }, second = { .options = plain };
    expect_ok(start(&first, 0, 3, 3, left.ctx));
    expect_ok(start(&second, 1, 3, 3, left.ctx));
    expect_ok(write_text(&second, "d"));
    expect_ok(take_snapshot(&first, 3));
    expect_ok(take_snapshot(&second, 3));
    expect_ok(complete(&first, 3));
    expect_ok(complete(&second, 3));
    expect_out("out", "a b c d ");
    stub_ctx_free(both);
    end(&one);
    end(&two);
    end(&left);
    end(&first);
    end(&second);
}

static void a_sink_whose_checkpoints_never_complete_stops_before_it_forgets_one(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    for (uint64_t i = 1; i <= 64; i++) {
        expect_ok(write_text(&rig, "x"));
        expect_ok(take_snapshot(&rig, i));
    }
    weir_error *error = write_text(&rig, "one too many");
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_LIMIT, "output for topic 'out' of 64 checkpoints in a row waits");
    expect_ok(complete(&rig, 64));
    expect_ok(write_text(&rig, "y"));
    expect_ok(checkpoint(&rig, 65));
    end(&rig);
}

static void files_of_published_segments_go_when_no_checkpoint_lists_them(void **state)
{
    struct rig rig = { .options = plain };
    char **names;
    uint32_t count;
    expect_ok(start(&rig, 0, 1, 1, NULL));
    for (uint64_t i = 1; i <= 6; i++) {
        expect_ok(write_text(&rig, "x"));
        expect_ok(checkpoint(&rig, i));
    }
    expect_ok(write_text(&rig, "x"));
    expect_ok(take_snapshot(&rig, 7));
    expect_ok(write_text(&rig, "x"));
    expect_ok(take_snapshot(&rig, 8));
    expect_ok(complete(&rig, 7));
    expect_ok(complete(&rig, 7)); /* what 8 lists must stay: it may be stored at this moment */
    expect_ok(os_list(rig.staging, &names, &count));
    assert_int_equal(count, 3);
    os_names_free(names, count);
    expect_ok(complete(&rig, 8));
    expect_ok(complete(&rig, 8));
    expect_ok(os_list(rig.staging, &names, &count));
    assert_int_equal(count, 1); /* to be read back */
    os_names_free(names, count);
    end(&rig);
}

/* -- refusals ---------------------------------------------------------------------------------------- */

static void mistakes_of_its_options_are_found_before_the_job_runs(void **state)
{
    static const struct weir_format_class decodes_only = { .name = "one way" };
    static const char *const odd[] = { "acks=0", NULL };
    struct weir_kafka_sink_options rows[8];
    static const char *const words[COUNT_OF(rows)] = { "needs .brokers", "needs .brokers",
        "needs a .topic", "needs a .topic", "is at most 67108864 bytes, not 67108865",
        "is not yours to set", "needs a .format that can encode", "a format without options" };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        rows[i] = plain;
    rows[0].brokers = NULL;
    rows[1].brokers = "";
    rows[2].topic = NULL;
    rows[3].topic = "";
    rows[4].chunk_size = (64u << 20) + 1;
    rows[5].client = odd;
    rows[6].format.format_class = &decodes_only;
    rows[7].format.options = &plain;
    static const struct weir_format_class trusting = { .name = "trusting", .encode = encode };
    struct weir_sink sink = weir_kafka_sink_with(&plain);
    struct weir_kafka_sink_options fine = plain;
    fine.format.format_class = &trusting;
    expect_ok(sink.sink_class->validate(&plain));
    expect_ok(sink.sink_class->validate(&fine));
    assert_ptr_equal(sink.sink_class->in_type(&plain), &item_type);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_error(sink.sink_class->validate(&rows[i]), WEIR_E_PLAN, words[i]);
    rows[6].format.format_class = NULL;
    expect_error(sink.sink_class->validate(&rows[6]), WEIR_E_PLAN, words[6]);
}

static void topics_that_cannot_take_its_output_are_named_at_the_start(void **state)
{
    struct rig rig = { .options = plain };
    rig.options.topic = "elsewhere";
    expect_error(start(&rig, 0, 1, 1, NULL), WEIR_E_CONNECTOR, "topic 'elsewhere' does not exist");
    end(&rig);
    rig.options = plain;
    rig.options.token_topic = "out";
    expect_error(start(&rig, 0, 1, 1, NULL), WEIR_E_CONNECTOR,
        "token topic 'out' on brokers '" BROKERS "' deletes old records");
    end(&rig);
    static const char *const bad[] = { "no-equals-sign", NULL };
    rig.options = plain;
    rig.options.client = bad;
    expect_error(start(&rig, 0, 1, 1, NULL), WEIR_E_PLAN, "is not name=value");
    end(&rig);
}

static void the_token_topic_has_a_name_that_is_its_own(void **state)
{
    struct rig rig = { .options = plain };
    rig.options.token_topic = "mine";
    expect_ok(start(&rig, 0, 1, 1, NULL));
    end(&rig);
    assert_non_null(sim_broker_topic("mine"));
    rig.options = plain;
    sim_broker_make_topic("Out_9.b-c", 1, false);
    rig.options.topic = "Out_9.b-c";
    expect_ok(start(&rig, 0, 1, 1, NULL));
    end(&rig);
    assert_non_null(sim_broker_topic("weir-tokens-job-stub-Out_9.b-c"));
    rig.options.topic =
        "o:t"; /* no broker has such a topic, and what replaces the colon is not enough of a difference */
    sim_broker_make_topic("o:t", 1, false);
    expect_ok(start(&rig, 0, 1, 1, NULL));
    end(&rig);
    assert_null(sim_broker_topic("weir-tokens-job-stub-o_t"));
    char name[64];
    snprintf(name, sizeof(name), "weir-tokens-job-stub-o_t-%016" PRIx64,
        hash_bytes("weir-tokens-job-stub-o:t", 24));
    assert_non_null(sim_broker_topic(name));
}

static void what_no_broker_would_take_is_a_dead_letter_and_never_staged(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_item(&rig, &(struct item){ .key = "k", .size = 1048588 }));
    assert_int_equal(rig.ctx->rejected_count, 1);
    expect_ok(write_item(&rig, &(struct item){ .value = "odd", .is_odd = true }));
    assert_int_equal(rig.ctx->rejected_count, 2);
    expect_ok(write_item(&rig, &(struct item){ .value = "no key" }));
    expect_ok(write_item(&rig, &(struct item){ .key = "k" })); /* null: a tombstone */
    expect_error(write_item(&rig, &(struct item){ .is_broken = true }), WEIR_E_INTERNAL,
        "cannot stage output for topic 'out'");
    expect_ok(checkpoint(&rig, 1));
    expect_out("out", "no key  ");
    end(&rig);
    sim_broker_make_topic("table", 1, true);
    rig.options.topic = "table";
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_item(&rig, &(struct item){ .value = "no key" }));
    assert_int_equal(rig.ctx->rejected_count, 1);
    expect_ok(write_text(&rig, "a"));
    expect_ok(checkpoint(&rig, 1));
    expect_out("table", "a ");
    end(&rig);
}

/* Whichever is less: what the topic takes, or what the client sends. */
static void the_limit_of_the_client_counts_too(void **state)
{
    static const char *const small[] = { "message.max.bytes=2000", NULL };
    struct rig rig = { .options = plain };
    rig.options.client = small;
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_item(&rig, &(struct item){ .key = "k", .size = 1600 }));
    assert_int_equal(rig.ctx->rejected_count, 1);
    expect_ok(write_item(&rig, &(struct item){ .key = "k", .size = 1400 }));
    assert_int_equal(rig.ctx->rejected_count, 1);
    end(&rig);
}

static void output_that_cannot_be_staged_fails_the_task_and_not_the_checkpoint_alone(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    sim_os_fail_at(1, EIO);
    expect_error(write_text(&rig, "a"), WEIR_E_IO, "cannot stage output for topic 'out'");
    expect_error(write_text(&rig, "b"), WEIR_E_IO, "an earlier write to it failed");
    expect_error(take_snapshot(&rig, 1), WEIR_E_IO, "an earlier write to it failed");
    expect_error(stub_ctx_run(rig.ctx), WEIR_E_IO, "output for topic 'out' could not be staged");
    end(&rig);
    expect_out("out", "");
}

static void a_checkpoint_without_its_files_is_not_restored(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    expect_ok(os_remove_tree(SHELF));
    expect_error(restart(&rig, 1), WEIR_E_CORRUPT, "but does not have it; restore an older");
    end(&rig);
    expect_out("out", "");
}

static void items_that_no_slot_wrote_are_refused(void **state)
{
    static const char nothing[4] = { 0 };
    struct rig rig = { .options = plain };
    weir_ctx *from = stub_ctx_new(0, 1);
    weir_item_add(from, WEIR_STR("slot-0"), (weir_str){ nothing, sizeof(nothing) });
    expect_error(start(&rig, 0, 1, 1, from), WEIR_E_CORRUPT, "item 'slot-0' of a Kafka sink");
    end(&rig);
    stub_ctx_free(from);
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_published_before_its_checkpoint_is_complete),
        TEST(a_checkpoint_that_was_given_up_goes_out_with_the_next_one),
        TEST(completions_that_come_while_it_publishes_are_published_behind_that),
        TEST(output_goes_out_in_transactions_of_the_size_that_is_asked_for),
        TEST(full_batches_are_sent_before_the_client_is_flushed),
        TEST(a_key_goes_where_javas_clients_put_it_unless_another_partitioner_is_set),
        TEST(records_without_a_key_go_around_a_partition_without_a_leader),
        TEST(a_restart_publishes_what_the_checkpoint_holds_before_anything_new),
        TEST(another_start_in_the_same_attempt_uses_no_name_of_a_file_twice),
        TEST(output_of_subtasks_that_are_no_more_is_finished_by_those_that_are_left),
        TEST(a_sink_whose_checkpoints_never_complete_stops_before_it_forgets_one),
        TEST(files_of_published_segments_go_when_no_checkpoint_lists_them),
        TEST(mistakes_of_its_options_are_found_before_the_job_runs),
        TEST(topics_that_cannot_take_its_output_are_named_at_the_start),
        TEST(the_token_topic_has_a_name_that_is_its_own),
        TEST(what_no_broker_would_take_is_a_dead_letter_and_never_staged),
        TEST(the_limit_of_the_client_counts_too),
        TEST(output_that_cannot_be_staged_fails_the_task_and_not_the_checkpoint_alone),
        TEST(a_checkpoint_without_its_files_is_not_restored),
        TEST(items_that_no_slot_wrote_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
