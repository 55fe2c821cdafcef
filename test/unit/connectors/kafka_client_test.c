/* kafka_client_test.c -- settings that a user may and may not make; errors that may pass, or not. */
#include "connectors/kafka_client.h"

#include "test/support/expect.h"

static const struct kafka_setting none[] = { { NULL, NULL } };

static weir_error *check(const char *setting)
{
    const char *const client[] = { setting, NULL };
    return kafka_check_client(client);
}

static void settings_of_the_client_are_accepted(void **state)
{
    static const char *const settings[] = { "compression.type=lz4", "linger.ms=50",
        "sasl.mechanisms=PLAIN", "sasl.password=a=b=c", "client.id=", "partitioner=consistent" };
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        expect_ok(check(settings[i]));
    expect_ok(kafka_check_client(NULL));
}

static void settings_that_promises_rest_on_are_refused(void **state)
{
    static const char *const settings[] = { "transactional.id=x", "enable.idempotence=false",
        "acks=1", "isolation.level=read_uncommitted", "enable.auto.commit=true", "group.id=x",
        "auto.offset.reset=latest", "enable.partition.eof=false", "bootstrap.servers=other:9092",
        "allow.auto.create.topics=true" };
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        expect_error(check(settings[i]), WEIR_E_PLAN, "is not yours to set");
}

static void settings_that_do_not_exist_are_refused(void **state)
{
    expect_error(check("linger"), WEIR_E_PLAN, "is not name=value");
    expect_error(check("no.such.thing=1"), WEIR_E_PLAN, "refuses the setting no.such.thing=1");
    expect_error(check("linger.ms=soon"), WEIR_E_PLAN, "refuses the setting linger.ms=soon");
}

static void later_settings_win(void **state)
{
    static const char *const client[] = { "message.max.bytes=20000", NULL };
    rd_kafka_t *handle = NULL;
    expect_ok(kafka_open(RD_KAFKA_PRODUCER, "127.0.0.1:1", none, NULL, NULL, NULL, &handle));
    assert_int_equal(kafka_message_max(handle), 8u << 20);
    kafka_close(handle);
    expect_ok(kafka_open(RD_KAFKA_PRODUCER, "127.0.0.1:1", none, client, NULL, NULL, &handle));
    assert_int_equal(kafka_message_max(handle), 20000);
    kafka_close(handle);
    kafka_close(NULL);
}

static void errors_say_what_where_and_whether_to_try_again(void **state)
{
    static const struct {
        rd_kafka_resp_err_t code;
        bool is_retriable;
        const char *text;
    } rows[] = {
        { RD_KAFKA_RESP_ERR__TRANSPORT, true, "is the address right" },
        { RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, true, "is the address right" },
        { RD_KAFKA_RESP_ERR__TIMED_OUT, true, "_TIMED_OUT" },
        { RD_KAFKA_RESP_ERR__FENCED, true, "_FENCED" }, /* only the job knows who is in charge */
        { RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, true, "INVALID_PRODUCER_ID_MAPPING" },
        { RD_KAFKA_RESP_ERR_UNKNOWN, true, "UNKNOWN" },
        { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, true, "UNKNOWN_TOPIC_OR_PART" },
        { RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, true, "COORDINATOR_NOT_AVAILABLE" },
        { RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, true, "NOT_ENOUGH_REPLICAS" },
        { RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, false, "MSG_SIZE_TOO_LARGE" },
        { RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, false, "INVALID_TIMESTAMP" },
        { RD_KAFKA_RESP_ERR_INVALID_RECORD, false, "INVALID_RECORD" },
        { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, false, "ask for the right" },
        { RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, false, "ask for the right" },
        { RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, false, "INVALID_TRANSACTION_TIMEOUT" },
        { RD_KAFKA_RESP_ERR_POLICY_VIOLATION, false, "POLICY_VIOLATION" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        weir_error *error = kafka_error("broker:9092", "do something", rows[i].code);
        assert_int_equal(weir_error_is_retriable(error), rows[i].is_retriable);
        assert_non_null(strstr(weir_error_message(error), rows[i].text));
        expect_error(error, WEIR_E_CONNECTOR, "cannot do something on brokers 'broker:9092': ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_the_client_are_accepted),
        cmocka_unit_test(settings_that_promises_rest_on_are_refused),
        cmocka_unit_test(settings_that_do_not_exist_are_refused),
        cmocka_unit_test(later_settings_win),
        cmocka_unit_test(errors_say_what_where_and_whether_to_try_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
