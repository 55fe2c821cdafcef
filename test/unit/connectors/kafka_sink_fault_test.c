/* kafka_sink_fault_test.c -- what becomes of the output of the Kafka sink when any call fails, another attempt takes over, or
 * the token topic tells another story than the checkpoint: each record is there once, or nothing goes on. */
#include "test/unit/connectors/kafka_sink_kit.h"

#include <errno.h>

/* -- tokens ------------------------------------------------------------------------------------------- */

/* What somebody else has written there, outside of any transaction. */
static void put_token(const char *key, const char *text)
{
    struct sim_message message = { .key = (char *)(uintptr_t)key,
        .value = (char *)(uintptr_t)text,
        .key_size = key == NULL ? 0 : strlen(key),
        .value_size = strlen(text) };
    int64_t offset;
    sim_broker_make_topic(TOKENS, 1, true);
    assert_int_equal(sim_log_append(&sim_broker_topic(TOKENS)->partitions[0], os_monotonic_ns(), -1,
                         0, 0, &message, 1, &offset),
        RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Publishes the output of checkpoints 3, 5 and 7. The last one holds that of 5, too, and knows that it is out. */
static void publish_three(struct rig *rig)
{
    expect_ok(start(rig, 0, 1, 10, NULL));
    expect_ok(write_text(rig, "a"));
    expect_ok(checkpoint(rig, 3));
    expect_ok(write_text(rig, "b"));
    expect_ok(checkpoint(rig, 5));
    expect_ok(write_text(rig, "c"));
    expect_ok(checkpoint(rig, 7));
}

/* Restores checkpoint 7 beside what the token topic says now. */
static weir_error *restore_beside(struct rig *rig, const char *token, bool republish)
{
    publish_three(rig);
    put_token("weir", token);
    rig->options.republish = republish;
    return restart(rig, 1);
}

static void a_token_that_does_not_fit_stops_the_start_unless_duplicates_are_accepted(void **state)
{
    static const struct {
        const char *token, *words;
        enum weir_code code;
    } rows[] = { { "weir1 7 99 7 1 1", "attempt 99 of this job publishes", WEIR_E_FENCED },
        { "weir1 8 10 7 1 1", "is of another job", WEIR_E_STATE },
        { "weir1 7 10 2 1 1", "is of an older checkpoint", WEIR_E_STATE },
        { "weir1 7 10 3 1 1", "needs that of checkpoint 5", WEIR_E_STATE },
        { "weir1 7 10 7 1 2", "is of an older checkpoint", WEIR_E_STATE },
        { "weir1 7 10 9 2 3", "already has output of checkpoint 9 (2 of 3 transactions)",
            WEIR_E_STATE } };
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        struct rig rig = { .options = plain };
        bool republish = i % 2 == 1;
        weir_error *error = restore_beside(&rig, rows[i / 2].token, republish);
        if (republish) {
            expect_ok(error);
            expect_ok(write_text(&rig, "d"));
            expect_ok(checkpoint(&rig, 8));
        } else {
            expect_error(error, rows[i / 2].code, rows[i / 2].words);
        }
        end(&rig);
        end_test(state);
        begin_test(state);
    }
}

static void a_token_that_is_missing_is_told_from_one_that_was_read_too_early(void **state)
{
    struct rig rig = { .options = plain };
    publish_three(&rig);
    rig.options.token_topic = "another"; /* as if that had been deleted */
    expect_error(restart(&rig, 1), WEIR_E_STATE,
        "the progress token in topic 'another', partition 0, is missing");
    end(&rig);
    expect_out("out", "a b c ");
}

/* While the checkpoint holds the first output ever, there may be no token: unless it knows that this is out. */
static void a_token_that_is_missing_behind_the_first_output_is_missed(void **state)
{
    for (uint32_t known = 0; known < 2; known++) {
        struct rig rig = { .options = plain };
        expect_ok(start(&rig, 0, 1, 10, NULL));
        expect_ok(write_text(&rig, "a"));
        expect_ok(known == 1 ? checkpoint(&rig, 3) : take_snapshot(&rig, 3));
        if (known == 1)
            expect_ok(checkpoint(&rig, 5));
        rig.options.token_topic = "another"; /* as if that had been deleted */
        weir_error *error = restart(&rig, 1);
        if (known == 0)
            expect_ok(error);
        else
            expect_error(error, WEIR_E_STATE,
                "partition 0, is missing; the restored checkpoint needs that of checkpoint 3");
        expect_out("out", "a ");
        end(&rig);
        end_test(state);
        begin_test(state);
    }
}

/* What the checkpoint knows to be out is not published again. */
static void what_is_known_to_be_out_is_not_repeated_where_duplicates_are_accepted(void **state)
{
    struct rig rig = { .options = plain };
    publish_three(&rig);
    rig.options.token_topic = "another";
    rig.options.republish = true;
    expect_ok(restart(&rig, 1));
    expect_out("out", "a b c c ");
    expect_ok(write_text(&rig, "d"));
    expect_ok(checkpoint(&rig, 8));
    rig.options.republish = false;
    expect_ok(restart(&rig, 1));
    expect_out("out", "a b c c d ");
    end(&rig);
}

/* The snapshot was taken before that could be known. */
static void what_is_not_known_to_be_out_is_repeated_where_duplicates_are_accepted(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 10, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(checkpoint(&rig, 3));
    put_token("weir", "weir1 7 10 9 1 1");
    rig.options.republish = true;
    expect_ok(restart(&rig, 1));
    expect_out("out", "a a ");
    end(&rig);
}

/* Nothing of this job's is published, and nothing restored. */
static void a_fresh_start_goes_on_behind_another_life_but_not_behind_its_own(void **state)
{
    struct rig rig = { .options = plain };
    put_token("weir", "weir1 8 99 9 1 1");
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(checkpoint(&rig, 1));
    expect_out("out", "a ");
    end(&rig);
    put_token("weir", "weir1 7 1 9 1 1");
    expect_error(start(&rig, 0, 1, 2, NULL), WEIR_E_STATE,
        "but the restored checkpoint's output ends at 0");
    end(&rig);
}

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* A reader of what is committed sees nothing behind it, until the brokers end it. */
static void a_transaction_that_somebody_left_open_beside_the_tokens_is_waited_for(void **state)
{
    char reason[256], text[] = "x";
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "transactional.id", "somebody", reason, sizeof(reason));
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *somebody = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    assert_null(rd_kafka_init_transactions(somebody, 1000));
    assert_null(rd_kafka_begin_transaction(somebody));
    rd_kafka_topic_t *topic = rd_kafka_topic_new(somebody, TOKENS, NULL);
    assert_int_equal(rd_kafka_produce(topic, 0, RD_KAFKA_MSG_F_COPY, text, 1, NULL, 0, NULL), 0);
    assert_int_equal(rd_kafka_flush(somebody, 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    expect_ok(complete(&rig, 1));
    expect_out("out", "a ");
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(somebody);
    end(&rig);
}

static void whoever_writes_into_the_token_topic_is_told_of(void **state)
{
    struct rig rig = { .options = plain };
    expect_error(restore_beside(&rig, "hello", false), WEIR_E_CORRUPT,
        "a progress token is not one of Weir's: 'hello'");
    end(&rig);
}

static void a_token_behind_many_other_records_is_found(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(checkpoint(&rig, 1));
    for (int i = 0; i < 100; i++)
        put_token(i % 2 == 0 ? "somebody" : NULL, "else");
    expect_ok(restart(&rig, 1));
    expect_ok(write_text(&rig, "b"));
    expect_ok(checkpoint(&rig, 2));
    expect_out("out", "a b ");
    end(&rig);
}

/* -- faults ------------------------------------------------------------------------------------------- */

/* The story of all faults: two checkpoints of two records, each record a transaction of its own. After an error the next
 * attempt starts from the newest complete checkpoint, as the engine does, until there is none. */
struct story {
    struct rig rig;
    weir_ctx *saved; /* items of the newest complete checkpoint; NULL: none */
    uint64_t at;     /* its number */
    uint64_t attempt;
};

static void save(struct story *story, uint64_t checkpoint)
{
    weir_ctx *copy = stub_ctx_new(0, 1);
    for (uint32_t i = 0; i < story->rig.ctx->added_count; i++)
        weir_item_add(copy, story->rig.ctx->added[i].name, story->rig.ctx->added[i].value);
    stub_ctx_free(story->saved);
    story->saved = copy;
    story->at = checkpoint;
}

static weir_error *live(struct story *story)
{
    WEIR_TRY(start(&story->rig, 0, 1, ++story->attempt, story->saved));
    for (uint64_t number = story->at + 1; number <= 2; number++) {
        WEIR_TRY(write_text(&story->rig, number == 1 ? "a" : "c"));
        WEIR_TRY(write_text(&story->rig, number == 1 ? "b" : "d"));
        WEIR_TRY(take_snapshot(&story->rig, number));
        save(story, number); /* it is complete from here on, whoever hears of it */
        WEIR_TRY(complete(&story->rig, number));
    }
    return NULL;
}

/* Lives until the end is reached; whether anything was in the way. */
static void tell_story(uint32_t lives_max)
{
    struct story story = { .rig = { .options = plain } };
    story.rig.options.chunk_size = 1;
    weir_error *error = live(&story);
    for (uint32_t lives = 1; error != NULL; lives++) {
        assert_true(lives < lives_max);
        assert_int_not_equal(weir_error_code(error), WEIR_E_STATE);
        assert_int_not_equal(weir_error_code(error), WEIR_E_FENCED);
        weir_error_free(error);
        end(&story.rig);
        error = live(&story);
    }
    end(&story.rig);
    stub_ctx_free(story.saved);
    expect_out("out", "a b c d ");
}

static void any_call_of_disk_or_broker_may_fail(void **state)
{
    uint64_t n = 1;
    for (bool was_hit = true; was_hit; n++) {
        sim_os_fail_at(n, EIO);
        tell_story(3);
        was_hit = sim_os_stats().faults > 0;
        end_test(state);
        begin_test(state);
    }
    assert_in_range(n, 50, 1000);
}

static void any_of_its_steps_may_fail_before_it_and_behind_it(void **state)
{
    static const char *const steps[] = { "kafka-init", "kafka-judge", "kafka-begin",
        "kafka-produce", "kafka-flush", "kafka-commit", "kafka-publish" };
    for (size_t i = 0; i < 2 * COUNT_OF(steps); i++) {
        char rule[64];
        uint64_t before = fault_count();
        snprintf(rule, sizeof(rule), "%s-%s:1:error", steps[i / 2],
            i % 2 == 0 ? "before" : "after");
        setenv("WEIR_FAULT", rule, 1);
        expect_ok(fault_init());
        tell_story(3);
        assert_int_equal(fault_count(), before + 1);
        end_test(state);
        begin_test(state);
    }
}

static void brokers_that_lose_delay_and_refuse_change_nothing(void **state)
{
    for (uint32_t i = 0; i < 40; i++) {
        struct sim_broker_faults faults = { .lose_request = i % 2 == 0 ? 4 : 0,
            .lose_reply = i % 3 == 0 ? 5 : 0,
            .delay = i % 5 == 0 ? 6 : 0,
            .refuse = i % 7 == 0 ? 3 : 0,
            .stale = i % 4 == 0 ? 2 : 0,
            .delay_max_ms = 90000 };
        sim_broker_stop();
        sim_broker_start(i);
        sim_broker_make_topic("out", 1, false);
        sim_broker_set_faults(&faults);
        tell_story(20);
        end_test(state);
        begin_test(state);
    }
}

static void brokers_that_do_not_come_back_are_given_up_in_the_end(void **state)
{
    static const struct sim_broker_faults gone = { .lose_request = 1 };
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    sim_broker_set_faults(&gone);
    weir_error *error = complete(&rig, 1);
    assert_true(weir_error_is_retriable(error));
    expect_error(error, WEIR_E_CONNECTOR, "cannot publish into topic 'out'");
    sim_broker_set_faults(NULL);
    expect_ok(restart(&rig, 1));
    expect_out("out", "a ");
    end(&rig);
}

/* From some call on nothing is answered for longer than a commit waits at a time. */
static struct outage {
    struct sim_broker_faults faults;
    uint64_t calls_left;
    int64_t until_ns; /* 0: it has not begun */
} outage;

static void go_quiet(void *arg)
{
    (void)arg;
    if (outage.until_ns == 0 && outage.calls_left-- == 1) {
        outage.until_ns = os_monotonic_ns() + INT64_C(15) * 1000000000;
        sim_broker_set_faults(&outage.faults);
    } else if (outage.until_ns != 0 && os_monotonic_ns() >= outage.until_ns) {
        sim_broker_set_faults(NULL);
    }
}

/* Requests are lost, or done and only their answers are lost: a commit is asked for again until it is answered. */
static void an_outage_that_begins_in_any_call_is_waited_for(void **state)
{
    static const struct sim_broker_faults kinds[] = { { .lose_request = 1 }, { .lose_reply = 1 } };
    for (uint64_t n = 1, finished = 0; finished < COUNT_OF(kinds); n++) {
        struct rig rig = { .options = plain };
        expect_ok(start(&rig, 0, 1, 1, NULL));
        expect_ok(write_text(&rig, "a"));
        expect_ok(take_snapshot(&rig, 1));
        outage = (struct outage){ .faults = kinds[finished], .calls_left = n };
        sim_os_on_call(go_quiet, NULL);
        expect_ok(complete(&rig, 1));
        sim_os_on_call(NULL, NULL);
        sim_broker_set_faults(NULL);
        expect_out("out", "a ");
        if (outage.until_ns == 0) {
            assert_true(n > 10);
            finished++;
            n = 0;
        }
        end(&rig);
        end_test(state);
        begin_test(state);
    }
}

/* -- topics that go ---------------------------------------------------------------------------------- */

/* Within some call a topic goes, as if it had been deleted. */
static struct loss {
    const char *topic;
    uint64_t calls_left;
    bool has_come;
} loss;

static void lose_topic(void *arg)
{
    (void)arg;
    if (loss.has_come || loss.calls_left-- > 1)
        return;
    loss.has_come = true;
    sim_broker_topic(loss.topic)->partition_count = 0;
}

/* A record without a key, and one whose key is too long for a message. */
static void write_odd_keys(struct rig *rig)
{
    char key[101];
    memset(key, 'k', 100);
    key[100] = '\0';
    expect_ok(write_item(rig, &(struct item){ .value = "a" }));
    expect_ok(write_item(rig, &(struct item){ .key = key, .value = "b" }));
}

static void a_topic_that_goes_in_any_call_is_named_and_gets_its_records_when_it_is_back(
    void **state)
{
    static const char *const topics[] = { "out", TOKENS };
    for (uint64_t n = 1, finished = 0; finished < 2; n++) {
        struct rig rig = { .options = plain };
        expect_ok(start(&rig, 0, 1, 1, NULL));
        write_odd_keys(&rig);
        expect_ok(take_snapshot(&rig, 1));
        loss = (struct loss){ .topic = topics[finished], .calls_left = n };
        sim_os_on_call(lose_topic, NULL);
        weir_error *error = complete(&rig, 1);
        sim_os_on_call(NULL, NULL);
        if (!loss.has_come) {
            expect_ok(error);
            finished++;
            n = 0;
        } else {
            sim_broker_topic(loss.topic)->partition_count = 1;
            if (error != NULL)
                expect_error(error, WEIR_E_CONNECTOR, "cannot publish into topic 'out'");
            expect_ok(restart(&rig, 1));
        }
        expect_out("out", "a b ");
        end(&rig);
        end_test(state);
        begin_test(state);
    }
}

static void a_token_topic_that_is_too_small_is_asked_to_be_made_larger(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 1, 2, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    sim_broker_topic(TOKENS)->partition_count = 1;
    expect_error(complete(&rig, 1), WEIR_E_CONNECTOR,
        "has 1 partition, subtask 1 needs one of its own");
    sim_broker_topic(TOKENS)->partition_count = 2;
    expect_ok(restart(&rig, 2));
    expect_out("out", "a ");
    end(&rig);
}

/* -- a successor ------------------------------------------------------------------------------------- */

/* Attempt 2, which starts within some call of attempt 1. */
static struct successor {
    struct rig rig;
    const weir_ctx *from;
    uint64_t calls_left;
    bool has_started;
} successor;

static void take_over(void *arg)
{
    (void)arg;
    if (successor.has_started || successor.calls_left-- > 1)
        return;
    successor.has_started = true;
    successor.rig = (struct rig){ .options = plain };
    expect_ok(start(&successor.rig, 0, 1, 2, successor.from));
}

static void a_successor_may_start_in_any_call_and_ends_what_the_old_attempt_does(void **state)
{
    for (uint64_t n = 1, is_over = 0; is_over == 0; n++) {
        struct rig rig = { .options = plain };
        expect_ok(start(&rig, 0, 1, 1, NULL));
        expect_ok(write_text(&rig, "a"));
        expect_ok(take_snapshot(&rig, 1));
        weir_ctx *saved = stub_ctx_new(0, 1);
        stub_ctx_restore(saved, rig.ctx);
        for (uint32_t i = 0; i < rig.ctx->added_count; i++)
            weir_item_add(saved, rig.ctx->added[i].name, rig.ctx->added[i].value);
        successor = (struct successor){ .from = saved, .calls_left = n };
        sim_os_on_call(take_over, NULL);
        weir_error *error = complete(&rig, 1);
        sim_os_on_call(NULL, NULL);
        is_over = !successor.has_started;
        if (is_over)
            expect_ok(error);
        else if (error != NULL)
            expect_error(error, WEIR_E_FENCED, "attempt 2 of this job publishes into topic 'out'");
        if (successor.has_started) {
            expect_ok(write_text(&successor.rig, "b"));
            expect_ok(checkpoint(&successor.rig, 2));
            end(&successor.rig);
        }
        expect_out("out", is_over ? "a " : "a b ");
        end(&rig);
        stub_ctx_free(saved);
        end_test(state);
        begin_test(state);
    }
}

static struct rig *fenced;

static void fence(void *arg)
{
    (void)arg;
    if (successor.calls_left-- == 1)
        fenced->ctx->is_fenced = true;
}

static void whoever_is_fenced_while_it_publishes_says_that_and_not_what_came_of_it(void **state)
{
    static const struct sim_broker_faults gone = { .lose_request = 1 };
    for (uint64_t n = 1; n < 6; n++) {
        struct rig rig = { .options = plain };
        expect_ok(start(&rig, 0, 1, 1, NULL));
        expect_ok(write_text(&rig, "a"));
        expect_ok(take_snapshot(&rig, 1));
        fenced = &rig;
        successor = (struct successor){ .calls_left = n };
        sim_broker_set_faults(&gone);
        sim_os_on_call(fence, NULL);
        expect_error(complete(&rig, 1), WEIR_E_FENCED, "a test has taken over");
        end(&rig);
        end_test(state);
        begin_test(state);
    }
}

static void whoever_is_fenced_by_the_directory_publishes_nothing_and_says_so(void **state)
{
    struct rig rig = { .options = plain };
    expect_ok(start(&rig, 0, 1, 1, NULL));
    expect_ok(write_text(&rig, "a"));
    expect_ok(take_snapshot(&rig, 1));
    rig.ctx->is_fenced = true;
    expect_error(complete(&rig, 1), WEIR_E_FENCED, "a test has taken over");
    expect_out("out", "");
    end(&rig);
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, begin_test, end_test)
    const struct CMUnitTest tests[] = {
        TEST(a_token_that_does_not_fit_stops_the_start_unless_duplicates_are_accepted),
        TEST(a_token_that_is_missing_is_told_from_one_that_was_read_too_early),
        TEST(a_token_that_is_missing_behind_the_first_output_is_missed),
        TEST(what_is_known_to_be_out_is_not_repeated_where_duplicates_are_accepted),
        TEST(what_is_not_known_to_be_out_is_repeated_where_duplicates_are_accepted),
        TEST(a_fresh_start_goes_on_behind_another_life_but_not_behind_its_own),
        TEST(a_transaction_that_somebody_left_open_beside_the_tokens_is_waited_for),
        TEST(whoever_writes_into_the_token_topic_is_told_of),
        TEST(a_token_behind_many_other_records_is_found),
        TEST(any_call_of_disk_or_broker_may_fail),
        TEST(any_of_its_steps_may_fail_before_it_and_behind_it),
        TEST(brokers_that_lose_delay_and_refuse_change_nothing),
        TEST(brokers_that_do_not_come_back_are_given_up_in_the_end),
        TEST(an_outage_that_begins_in_any_call_is_waited_for),
        TEST(a_topic_that_goes_in_any_call_is_named_and_gets_its_records_when_it_is_back),
        TEST(a_token_topic_that_is_too_small_is_asked_to_be_made_larger),
        TEST(a_successor_may_start_in_any_call_and_ends_what_the_old_attempt_does),
        TEST(whoever_is_fenced_while_it_publishes_says_that_and_not_what_came_of_it),
        TEST(whoever_is_fenced_by_the_directory_publishes_nothing_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
