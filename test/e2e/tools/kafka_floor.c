/*
 * kafka_floor: what the client library itself costs, for bench/kafka.py to hold the connectors against.
 *
 *   kafka_floor --brokers B --topic T [--out-topic T] [--transaction N] [-X k=v]...
 *
 * Reads all that is committed in a topic and forgets it, or produces it to another topic: as plain as librdkafka
 * allows, batch in, batch out, without a copy, in transactions of N records (default 1,000,000) on one producer. It
 * could not be restarted: that is what the connectors add.
 *
 * stdout: {"records":..,"cpu_us":..}: CPU microseconds a record of the whole process. Exit status: tool.h.
 */
#include "tool.h"

#include <getopt.h>

enum { BATCH = 256, IN_FLIGHT_MAX = 200000, WAIT_MS = 20000, LIFE_S = 600 };

/* Thread: main only; delivery reports run inside rd_kafka_poll and rd_kafka_flush. */
struct floor {
    const char *brokers, *topic, *out_topic;
    long transaction;
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *out;
    int partitions, ended;            /* partitions read to their end */
    int64_t records, delivered, open; /* open: records of the transaction */
};

static void usage(void)
{
    fputs(
        "usage: kafka_floor --brokers B --topic T [--out-topic T] [--transaction N] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static void read_option(struct floor *it, int letter)
{
    if (letter == 'b')
        it->brokers = optarg;
    else if (letter == 't')
        it->topic = optarg;
    else if (letter == 'o')
        it->out_topic = optarg;
    else if (letter == 'n')
        it->transaction = parse_number("--transaction", optarg, 1, 100000000);
    else if (letter == 'X')
        add_setting(optarg);
    else
        usage();
}

static void parse_options(struct floor *it, int argc, char **argv)
{
    static const struct option names[] = { { "brokers", 1, NULL, 'b' }, { "topic", 1, NULL, 't' },
        { "out-topic", 1, NULL, 'o' }, { "transaction", 1, NULL, 'n' }, { NULL, 0, NULL, 0 } };
    int letter;
    while ((letter = getopt_long(argc, argv, "X:", names, NULL)) != -1)
        read_option(it, letter);
    if (!it->brokers || !it->topic || optind != argc)
        usage();
}

static void check(const char *doing, rd_kafka_error_t *error)
{
    if (error)
        die("cannot %s: %s", doing, rd_kafka_error_string(error));
}

/* What was read is given back when it is written. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct floor *it = opaque;
    (void)rk;
    if (message->err)
        die("a record is not delivered: %s", rd_kafka_err2str(message->err));
    it->delivered++;
    rd_kafka_message_destroy(message->_private);
}

static void open_consumer(struct floor *it)
{
    it->consumer = open_client(RD_KAFKA_CONSUMER, consumer_conf(it->brokers, "read_committed"));
    rd_kafka_poll_set_consumer(it->consumer);
    it->queue = rd_kafka_queue_get_consumer(it->consumer);
    it->partitions = require_topic(it->consumer, it->topic, WAIT_MS / 1000);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(it->partitions);
    for (int i = 0; i < it->partitions; i++)
        rd_kafka_topic_partition_list_add(list, it->topic, i)->offset = 0;
    rd_kafka_resp_err_t error = rd_kafka_assign(it->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error)
        die("cannot assign: %s", rd_kafka_err2str(error));
}

static void open_producer(struct floor *it)
{
    rd_kafka_conf_t *conf = common_conf(it->brokers);
    set(conf, "transactional.id", "kafka-floor");
    /* what has lingered while a request is on its way makes the client spin */
    set(conf, "linger.ms", "1000");
    set(conf, "batch.num.messages", "100000");
    set(conf, "queue.buffering.max.messages", "1000000");
    set(conf, "partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, it);
    it->producer = open_client(RD_KAFKA_PRODUCER, conf);
    check("start transactions", rd_kafka_init_transactions(it->producer, WAIT_MS));
    require_topic(it->producer, it->out_topic, WAIT_MS / 1000);
    it->out = rd_kafka_topic_new(it->producer, it->out_topic, NULL);
}

static void commit(struct floor *it)
{
    if (it->open == 0)
        return;
    check("commit", rd_kafka_commit_transaction(it->producer, WAIT_MS));
    it->open = 0;
}

static void produce(struct floor *it, rd_kafka_message_t **messages, int count)
{
    rd_kafka_message_t out[BATCH];
    if (it->open == 0)
        check("begin", rd_kafka_begin_transaction(it->producer));
    for (int i = 0; i < count; i++)
        out[i] = (rd_kafka_message_t){ .payload = messages[i]->payload,
            .len = messages[i]->len,
            .key = messages[i]->key,
            .key_len = messages[i]->key_len,
            ._private = messages[i] };
    if (rd_kafka_produce_batch(it->out, RD_KAFKA_PARTITION_UA, 0, out, count) != count)
        die("records are refused");
    it->open += count;
    do
        rd_kafka_poll(it->producer, it->records - it->delivered > IN_FLIGHT_MAX ? 10 : 0);
    while (it->records - it->delivered > IN_FLIGHT_MAX && stop_signals == 0);
    if (it->open >= it->transaction)
        commit(it);
}

/* The records among `messages`, in front. */
static int sort_out(struct floor *it, rd_kafka_message_t **messages, ssize_t count)
{
    int records = 0;
    for (ssize_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = messages[i];
        if (!message->err) {
            messages[records++] = message;
            continue;
        }
        if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            die("cannot read: %s", rd_kafka_message_errstr(message));
        it->ended++;
        rd_kafka_message_destroy(message);
    }
    it->records += records;
    return records;
}

static void run(struct floor *it)
{
    rd_kafka_message_t *messages[BATCH];
    while (it->ended < it->partitions && stop_signals == 0) {
        int count =
            sort_out(it, messages, rd_kafka_consume_batch_queue(it->queue, 100, messages, BATCH));
        if (it->out && count > 0)
            produce(it, messages, count);
        for (int i = 0; i < count && !it->out; i++)
            rd_kafka_message_destroy(messages[i]);
    }
    if (it->out)
        commit(it);
}

int main(int argc, char **argv)
{
    struct floor it = { .transaction = 1000000 };
    struct timespec used;
    parse_options(&it, argc, argv);
    catch_stop_signals();
    limit_life(LIFE_S);
    open_consumer(&it);
    if (it.out_topic)
        open_producer(&it);
    run(&it);
    if (stop_signals > 0)
        return EXIT_STOPPED;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    printf("{\"records\":%lld,\"cpu_us\":%.3f}\n", (long long)it.records,
        ((double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3) /
            (double)(it.records > 0 ? it.records : 1));
    fflush(stdout);
    _exit(EXIT_SUCCESS); /* what closing costs is no part of a record */
}
