/* sim_kafka_broker_test.c -- the simulated brokers and their clients: what a program may rely on, and how it can be
 * hurt, one thing after the other. The shapes are those that real brokers have shown (docs/KAFKA.md). */
#include "test/sim/sim_kafka_client.h"
#include "test/sim/sim_os.h"

#include "base/os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* after what it needs */
#include <cmocka.h>

#define SECOND_NS INT64_C(1000000000)

static int setup(void **state)
{
    sim_os_start(1);
    sim_broker_start(1);
    sim_broker_make_topic("out", 2, false);
    sim_broker_make_topic("tokens", 1, true);
    return 0;
}

static int teardown(void **state)
{
    sim_broker_stop();
    sim_client_forget_intents();
    sim_os_stop();
    return 0;
}

static uint32_t delivered, failed;
static int64_t token_offset;

static void on_delivery(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque)
{
    delivered += message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (message->_private != NULL)
        token_offset = message->offset;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[256];
    assert_int_equal(rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)),
        RD_KAFKA_CONF_OK);
}

static rd_kafka_t *producer_new(const char *id)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "transactional.id", id);
    set(conf, "transaction.timeout.ms", "60000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    delivered = failed = 0;
    token_offset = -1;
    return rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
}

static rd_kafka_t *consumer_new(void)
{
    char reason[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "group.id", "readers");
    set(conf, "isolation.level", "read_committed");
    return rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
}

static void expect_code(rd_kafka_error_t *error, rd_kafka_resp_err_t code)
{
    assert_int_equal(rd_kafka_error_code(error), code);
    rd_kafka_error_destroy(error);
}

static void produce(rd_kafka_t *producer, const char *topic, int32_t partition, const char *text)
{
    static int one;
    rd_kafka_topic_t *it = rd_kafka_topic_new(producer, topic, NULL);
    assert_int_equal(rd_kafka_produce(it, partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)text,
                         strlen(text), "k", 1, strcmp(topic, "tokens") == 0 ? &one : NULL),
        0);
    rd_kafka_topic_destroy(it);
}

/* A producer with a transaction, in which two records are delivered. */
static rd_kafka_t *begun(const char *id)
{
    rd_kafka_t *producer = producer_new(id);
    assert_null(rd_kafka_init_transactions(producer, 20000));
    assert_null(rd_kafka_begin_transaction(producer));
    produce(producer, "out", 0, "a");
    produce(producer, "tokens", 0, "t");
    while (rd_kafka_flush(producer, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
        assert_int_equal(failed, 0);
    assert_int_equal(delivered, 2);
    return producer;
}

static void wait_s(int64_t seconds)
{
    sim_os_advance_ns(seconds * SECOND_NS);
    sim_broker_run();
}

/* How many records a read_committed reader sees in partition 0. */
static uint32_t visible(const char *topic)
{
    const struct sim_log *log = &sim_broker_topic(topic)->partitions[0];
    uint32_t count = 0;
    for (int64_t i = 0; i < sim_log_stable(log, log->count); i++)
        count += sim_log_is_visible(log, i, log->count);
    return count;
}

/* -- transactions --------------------------------------------------------------------------------- */

static void what_is_committed_is_seen_with_its_token(void **state)
{
    rd_kafka_t *producer = begun("id");
    assert_int_equal(visible("out") + visible("tokens"), 0);
    assert_null(rd_kafka_commit_transaction(producer, 10000));
    wait_s(1);
    assert_int_equal(visible("out"), 1);
    assert_int_equal(visible("tokens"), 1);
    assert_int_equal(token_offset, 0);
    rd_kafka_destroy(producer);
}

static void what_is_aborted_is_not_seen_and_hides_nothing(void **state)
{
    rd_kafka_t *producer = begun("id");
    assert_null(rd_kafka_abort_transaction(producer, 10000));
    assert_true(sim_broker_settle());
    assert_int_equal(visible("out") + visible("tokens"), 0);
    rd_kafka_destroy(producer);
}

static void an_open_transaction_hides_what_is_behind_it(void **state)
{
    rd_kafka_t *first = begun("first");
    rd_kafka_t *second = begun("second");
    assert_null(rd_kafka_commit_transaction(second, 10000));
    wait_s(1);
    assert_int_equal(visible("out"), 0);
    assert_null(rd_kafka_commit_transaction(first, 10000));
    wait_s(1);
    assert_int_equal(visible("out"), 2);
    rd_kafka_destroy(first);
    rd_kafka_destroy(second);
}

static void a_second_producer_fences_the_first(void **state)
{
    rd_kafka_t *first = begun("id");
    rd_kafka_t *second = begun("id");
    expect_code(rd_kafka_commit_transaction(first, 10000), RD_KAFKA_RESP_ERR__FENCED);
    expect_code(rd_kafka_begin_transaction(first), RD_KAFKA_RESP_ERR__FENCED);
    assert_null(rd_kafka_commit_transaction(second, 10000));
    assert_true(sim_broker_settle());
    assert_int_equal(visible("out"), 1);
    rd_kafka_destroy(first);
    rd_kafka_destroy(second);
}

static void a_transaction_that_takes_too_long_is_aborted_as_a_whole(void **state)
{
    rd_kafka_t *producer = begun("id");
    wait_s(75);
    expect_code(rd_kafka_commit_transaction(producer, 10000), RD_KAFKA_RESP_ERR__FENCED);
    assert_true(sim_broker_settle());
    assert_int_equal(visible("out"), 0);
    assert_int_equal(sim_broker_stats().timed_out, 1);
    rd_kafka_destroy(producer);
}

static void an_id_that_was_not_used_for_a_week_is_a_new_one(void **state)
{
    rd_kafka_t *old = begun("id");
    assert_null(rd_kafka_commit_transaction(old, 10000));
    wait_s(1);
    wait_s(8 * 86400);
    assert_null(rd_kafka_begin_transaction(old));
    produce(old, "out", 0, "b");
    assert_int_equal(rd_kafka_flush(old, 1000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(failed, 1);
    expect_code(rd_kafka_commit_transaction(old, 1000),
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING);
    rd_kafka_t *fresh = begun("id");
    assert_null(rd_kafka_commit_transaction(fresh, 10000));
    assert_true(sim_broker_settle());
    assert_int_equal(visible("out"), 2);
    rd_kafka_destroy(old);
    rd_kafka_destroy(fresh);
}

/* -- a bad network -------------------------------------------------------------------------------- */

static void what_is_sent_again_for_want_of_an_answer_is_there_once(void **state)
{
    sim_broker_set_faults(&(struct sim_broker_faults){ .lose_reply = 2, .lose_request = 3 });
    for (int i = 0; i < 10; i++) {
        rd_kafka_t *producer = begun("id");
        rd_kafka_error_t *error;
        while ((error = rd_kafka_commit_transaction(producer, 1000)) != NULL) {
            assert_true(rd_kafka_error_is_retriable(error));
            rd_kafka_error_destroy(error);
        }
        rd_kafka_destroy(producer);
    }
    assert_true(sim_broker_stats().lost_replies > 5);
    sim_broker_set_faults(NULL);
    assert_true(sim_broker_settle());
    assert_int_equal(visible("out"), 10);
}

/* What a client has sent, on its own. */
static rd_kafka_resp_err_t send_raw(const rd_kafka_t *producer, enum sim_request_kind kind,
    const char *text)
{
    struct sim_reply reply;
    struct sim_message message = { .value = (char *)(uintptr_t)text, .value_size = strlen(text) };
    return sim_broker_call(&(struct sim_request){ .kind = kind,
                               .id = producer->producer.id,
                               .topic = "out",
                               .producer = producer->producer.producer,
                               .epoch = producer->producer.epoch,
                               .is_commit = true,
                               .messages = &message,
                               .sequence = 1,
                               .count = 1 },
        &reply);
}

static void a_late_record_of_an_old_epoch_is_refused(void **state)
{
    rd_kafka_t *first = begun("id");
    rd_kafka_t *second = begun("id");
    assert_int_equal(send_raw(first, SIM_PRODUCE, "late"),
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
    assert_null(rd_kafka_commit_transaction(second, 10000));
    assert_true(sim_broker_settle());
    assert_int_equal(visible("out"), 1);
    rd_kafka_destroy(first);
    rd_kafka_destroy(second);
}

static void a_late_record_behind_the_end_of_its_transaction_is_refused(void **state)
{
    rd_kafka_t *producer = begun("id");
    assert_null(rd_kafka_commit_transaction(producer, 10000));
    wait_s(1);
    assert_int_equal(send_raw(producer, SIM_PRODUCE, "late"), RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    rd_kafka_destroy(producer);
}

static void a_late_record_of_the_same_epoch_gets_into_the_next_transaction(void **state)
{
    rd_kafka_t *producer = begun("id");
    assert_null(rd_kafka_abort_transaction(producer, 10000));
    wait_s(1);
    assert_null(rd_kafka_begin_transaction(producer));
    struct sim_reply reply;
    assert_int_equal(sim_broker_call(&(struct sim_request){ .kind = SIM_ADD_PARTITION,
                                         .id = "id",
                                         .topic = "out",
                                         .producer = producer->producer.producer,
                                         .epoch = producer->producer.epoch },
                         &reply),
        RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(send_raw(producer, SIM_PRODUCE, "late"), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
}

static void a_late_commit_ends_the_next_transaction_of_the_same_epoch_only(void **state)
{
    rd_kafka_t *first = begun("id");
    assert_int_equal(send_raw(first, SIM_END_TRANSACTION, ""), RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_s(1);
    assert_int_equal(visible("out"), 1); /* nobody has asked for this now */
    rd_kafka_t *second = begun("id");
    assert_int_equal(send_raw(first, SIM_END_TRANSACTION, ""), RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    wait_s(1);
    assert_int_equal(visible("out"), 1);
    rd_kafka_destroy(first);
    rd_kafka_destroy(second);
}

static void a_request_of_a_dead_process_may_arrive_later(void **state)
{
    uint32_t committed = 0;
    for (int i = 0; i < 20; i++) {
        sim_broker_set_faults(&(struct sim_broker_faults){ .delay_max_ms = 1000 });
        rd_kafka_t *producer = begun("id");
        sim_os_kill_at(1);
        expect_code(rd_kafka_commit_transaction(producer, 10000), RD_KAFKA_RESP_ERR__DESTROY);
        sim_os_reap(0);
        uint32_t before = visible("out");
        wait_s(2);
        wait_s(2);
        committed += visible("out") > before;
        rd_kafka_destroy(producer);
    }
    assert_in_range(committed, 3, 17);
}

static void brokers_that_are_down_answer_later(void **state)
{
    sim_broker_set_faults(&(struct sim_broker_faults){ .outage = 5, .outage_max_ms = 5000 });
    for (int i = 0; i < 20; i++) {
        rd_kafka_t *producer = producer_new("id");
        assert_null(rd_kafka_init_transactions(producer, 60000));
        rd_kafka_destroy(producer);
    }
    assert_true(sim_broker_stats().outages > 0);
}

static void an_outage_ends_with_the_faults_that_it_belongs_to(void **state)
{
    sim_broker_set_faults(&(struct sim_broker_faults){ .outage = 1, .outage_max_ms = 1000000 });
    rd_kafka_t *producer = producer_new("id");
    rd_kafka_error_t *error = rd_kafka_init_transactions(producer, 3000);
    assert_true(rd_kafka_error_is_retriable(error));
    expect_code(error, RD_KAFKA_RESP_ERR__TIMED_OUT);
    sim_broker_set_faults(NULL);
    assert_null(rd_kafka_init_transactions(producer, 3000));
    rd_kafka_destroy(producer);
}

/* -- readers -------------------------------------------------------------------------------------- */

static void read_from(rd_kafka_t *consumer, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "out", 0)->offset = offset;
    assert_int_equal(rd_kafka_assign(consumer, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
}

static void expect_next(rd_kafka_t *consumer, rd_kafka_resp_err_t code, int64_t offset)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
    assert_non_null(message);
    assert_int_equal(message->err, code);
    assert_int_equal(message->offset, offset);
    rd_kafka_message_destroy(message);
}

static void a_reader_passes_over_what_was_aborted_and_stops_at_the_stable_end(void **state)
{
    rd_kafka_t *producer = begun("id");
    assert_null(rd_kafka_abort_transaction(producer, 10000));
    wait_s(1);
    rd_kafka_destroy(producer);
    producer = begun("id"); /* offset 2, behind the marker */
    rd_kafka_t *consumer = consumer_new();
    read_from(consumer, 0);
    assert_null(rd_kafka_consumer_poll(consumer, 100));
    assert_null(rd_kafka_commit_transaction(producer, 10000));
    wait_s(1);
    expect_next(consumer, RD_KAFKA_RESP_ERR_NO_ERROR, 2);
    expect_next(consumer, RD_KAFKA_RESP_ERR__PARTITION_EOF, 4);
    assert_null(rd_kafka_consumer_poll(consumer, 100));
    rd_kafka_destroy(producer);
    rd_kafka_destroy(consumer);
}

static void a_replaced_leader_denies_what_came_after_it(void **state)
{
    rd_kafka_t *consumer = consumer_new();
    int64_t low, high;
    wait_s(10);
    rd_kafka_t *producer = begun("id");
    assert_null(rd_kafka_commit_transaction(producer, 10000));
    wait_s(1);
    sim_broker_set_faults(&(struct sim_broker_faults){ .stale = 3 });
    uint32_t behind = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(rd_kafka_query_watermark_offsets(consumer, "out", 0, &low, &high, 1000),
            RD_KAFKA_RESP_ERR_NO_ERROR);
        assert_true(high == 0 || high == 2);
        behind += high == 0;
        wait_s(1);
    }
    assert_in_range(behind, 1, 19);
    sim_broker_set_faults(NULL);
    wait_s(5);
    rd_kafka_query_watermark_offsets(consumer, "out", 0, &low, &high, 1000);
    assert_int_equal(high, 2);
    read_from(consumer, 3);
    expect_next(consumer, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, 3);
    rd_kafka_destroy(producer);
    rd_kafka_destroy(consumer);
}

int main(void)
{
#define TEST(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_committed_is_seen_with_its_token),
        TEST(what_is_aborted_is_not_seen_and_hides_nothing),
        TEST(an_open_transaction_hides_what_is_behind_it),
        TEST(a_second_producer_fences_the_first),
        TEST(a_transaction_that_takes_too_long_is_aborted_as_a_whole),
        TEST(an_id_that_was_not_used_for_a_week_is_a_new_one),
        TEST(what_is_sent_again_for_want_of_an_answer_is_there_once),
        TEST(a_late_record_of_an_old_epoch_is_refused),
        TEST(a_late_record_behind_the_end_of_its_transaction_is_refused),
        TEST(a_late_record_of_the_same_epoch_gets_into_the_next_transaction),
        TEST(a_late_commit_ends_the_next_transaction_of_the_same_epoch_only),
        TEST(a_request_of_a_dead_process_may_arrive_later),
        TEST(brokers_that_are_down_answer_later),
        TEST(an_outage_ends_with_the_faults_that_it_belongs_to),
        TEST(a_reader_passes_over_what_was_aborted_and_stops_at_the_stable_end),
        TEST(a_replaced_leader_denies_what_came_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
