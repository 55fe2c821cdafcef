/* kafka_client.c -- see kafka_client.h. Prefixes: kafka_ */
#include "connectors/kafka_client.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_TIMEOUT_MS 3000

static const struct kafka_setting house_settings[] = {
    /* a broker that comes back is found at once, not after the default of up to 10 s */
    { "reconnect.backoff.ms", "50" },
    { "reconnect.backoff.max.ms", "500" },
    { "socket.nagle.disable", "true" },
    { "log.connection.close", "false" },
    { "client.id", "weir" },
    { "message.max.bytes", "8388608" },
    /* asking for a topic must not make one: a producer's metadata request would */
    { "allow.auto.create.topics", "false" },
    { NULL, NULL },
};

/* -- handles ------------------------------------------------------------------------------------- */

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    log_line(level <= 3 ? LOG_WARN : LOG_DEBUG, "kafka", "%s: %s", facility, text);
}

static weir_error *set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[256];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
        return NULL;
    return weir_errorf(WEIR_E_PLAN, "the Kafka client refuses the setting %s=%s: %s", name, value,
        reason);
}

/* What the protocols of the connectors rest on. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = { "transactional.id", "enable.idempotence", "acks",
        "request.required.acks", "isolation.level", "enable.auto.commit",
        "enable.auto.offset.store", "enable.partition.eof", "auto.offset.reset", "group.id",
        "group.instance.id", "allow.auto.create.topics", "max.in.flight",
        "max.in.flight.requests.per.connection", "queue.buffering.max.messages",
        "queue.buffering.max.kbytes", "bootstrap.servers", "metadata.broker.list" };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (strcmp(ours[i], name) == 0)
            return true;
    }
    return false;
}

static weir_error *set_one(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    if (is_ours(name))
        return weir_errorf(WEIR_E_PLAN,
            "the Kafka client setting '%s' is not yours to set: what the connector promises rests "
            "on it",
            name);
    return set(conf, name, value);
}

static weir_error *set_client(rd_kafka_conf_t *conf, const char *const *client)
{
    for (; client != NULL && *client != NULL; client++) {
        const char *equals = strchr(*client, '=');
        if (equals == NULL)
            return weir_errorf(WEIR_E_PLAN, "the Kafka client setting '%s' is not name=value",
                *client);
        char *name = mem_printf("%.*s", (int)(equals - *client), *client);
        weir_error *error = set_one(conf, name, equals + 1);
        mem_free(name);
        WEIR_TRY(error);
    }
    return NULL;
}

weir_error *kafka_check_client(const char *const *client)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    weir_error *error = set_client(conf, client);
    rd_kafka_conf_destroy(conf);
    return error;
}

static weir_error *set_all(rd_kafka_conf_t *conf, const char *brokers,
    const struct kafka_setting *settings, const char *const *client)
{
    for (const struct kafka_setting *it = house_settings; it->name != NULL; it++)
        WEIR_TRY(set(conf, it->name, it->value));
    WEIR_TRY(set(conf, "bootstrap.servers", brokers));
    for (; settings->name != NULL; settings++)
        WEIR_TRY(set(conf, settings->name, settings->value));
    return set_client(conf, client);
}

weir_error *kafka_open(rd_kafka_type_t type, const char *brokers,
    const struct kafka_setting *settings, const char *const *client,
    void (*dr_cb)(rd_kafka_t *, const rd_kafka_message_t *, void *), void *opaque,
    rd_kafka_t **handle)
{
    ASSERT(brokers != NULL && settings != NULL);
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    weir_error *error = set_all(conf, brokers, settings, client);
    if (error != NULL) {
        rd_kafka_conf_destroy(conf);
        return error;
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, opaque);
    if (dr_cb != NULL)
        rd_kafka_conf_set_dr_msg_cb(conf, dr_cb);
    *handle = rd_kafka_new(type, conf, reason, sizeof(reason));
    if (*handle != NULL)
        return NULL;
    rd_kafka_conf_destroy(conf);
    return weir_errorf(WEIR_E_CONNECTOR, "cannot make a Kafka client for brokers '%s': %s", brokers,
        reason);
}

size_t kafka_message_max(rd_kafka_t *handle)
{
    char text[32];
    size_t size = sizeof(text);
    rd_kafka_conf_res_t result =
        rd_kafka_conf_get(rd_kafka_conf(handle), "message.max.bytes", text, &size);
    ASSERT(result == RD_KAFKA_CONF_OK);
    return strtoull(text, NULL, 10);
}

/* A consumer that is being destroyed. Thread: worker, until is_done. */
struct closing {
    rd_kafka_t *handle;
    struct waker *waker;
    _Atomic bool is_done;
};

static void close_run(void *arg)
{
    struct closing *it = arg;
    rd_kafka_destroy_flags(it->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    it->is_done = true;
    waker_wake(it->waker);
}

/* librdkafka 2.0.2 loses a reference when a topic is deleted whose partitions are assigned: destroying
 * that consumer never returns. So a thread does it, which is left behind if it takes too long: the
 * job is about to fail over the missing topic, and must be able to. */
static void close_consumer(rd_kafka_t *handle)
{
    struct workers *workers = workers_new(1, 1);
    struct closing *it = mem_alloc(sizeof(*it));
    int64_t deadline_ns = os_monotonic_ns() + (int64_t)CLOSE_TIMEOUT_MS * 1000000;
    *it = (struct closing){ .handle = handle, .waker = waker_new() };
    bool is_submitted = workers_submit(workers, NULL, close_run, it);
    ASSERT(is_submitted);
    while (!it->is_done && os_monotonic_ns() < deadline_ns)
        waker_wait(it->waker, CLOSE_TIMEOUT_MS);
    if (!it->is_done) {
        log_warn("kafka", "a client does not end; it is left behind");
        return;
    }
    workers_free(workers);
    waker_free(it->waker);
    mem_free(it);
}

void kafka_close(rd_kafka_t *handle)
{
    if (handle == NULL)
        return;
    if (rd_kafka_type(handle) == RD_KAFKA_CONSUMER) {
        close_consumer(handle);
        return;
    }
    rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(handle);
}

/* -- errors -------------------------------------------------------------------------------------- */

/* Refusals: trying again without a change elsewhere gives the same answer. An unknown topic is none: a
 * broker that has just started may not know it yet; kafka_partitions decides when it is missing. */
static bool is_refusal(rd_kafka_resp_err_t code)
{
    static const rd_kafka_resp_err_t refusals[] = {
        RD_KAFKA_RESP_ERR__AUTHENTICATION,
        RD_KAFKA_RESP_ERR__INVALID_ARG,
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
        RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR,
        RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
        RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
        RD_KAFKA_RESP_ERR_INVALID_CONFIG,
        RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i] == code)
            return true;
    }
    return false;
}

static const char *fix_of(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return "; is the address right, is a broker running there?";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return "; ask for the right in the broker's ACLs";
    default:
        return "";
    }
}

weir_error *kafka_error(const char *brokers, const char *doing, rd_kafka_resp_err_t code)
{
    weir_error *error = weir_errorf(WEIR_E_CONNECTOR, "cannot %s on brokers '%s': %s (%s)%s", doing,
        brokers, rd_kafka_err2str(code), rd_kafka_err2name(code), fix_of(code));
    return is_refusal(code) ? error : weir_error_retriable(error);
}
