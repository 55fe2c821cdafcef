/*
 * kafka_txn: writes tagged records in transactions and ends them as told, for tests of isolation.
 *
 *   kafka_txn -b BROKERS -t TOPIC --id TXID [--unit U] [--epoch E] [--epochs N] [--records R]
 *             [--size BYTES] [--end commit|abort|open|init] [--hold S] [--txn-timeout-ms MS]
 *             [--timeout S] [-X k=v]...
 *
 * Transaction e of E .. E+N-1 (default one, epoch 1) holds R records (default 10), record i in
 * partition i modulo their number, key "U", value
 *   {"unit":U,"epoch":e,"index":i,"total":R,"pad":"xx..."}    padded to at least --size bytes
 * so that a reader can tell: an epoch is visible whole or not at all, and once.
 *
 * Progress goes to stdout, a line at a time: "ready" (init_transactions is done, which fences
 * others of this TXID), and per transaction "begun E", "flushed E" (every record acknowledged),
 * then "committed E" or "aborted E". A test waits for a line and kills the process there. --end open
 * stops after "flushed", prints "open E" and sleeps --hold seconds (default 60) or until a signal;
 * then it exits without a word to the broker, as a crash would. --end init stops after "ready".
 *
 * After "ready" any error is exit status 1 with the error's name: nothing is retried but what
 * librdkafka calls retriable. Before it, a fresh handle is tried until --timeout (default 30 s):
 * init_transactions may end with COORDINATOR_NOT_AVAILABLE, not retriable, while a coordinator
 * moves, and that handle is of no use any more.
 */
#include "tool.h"

#include <getopt.h>

enum { MAX_SIZE = 4 << 20 };

struct options {
    const char *brokers, *topic, *id, *end;
    long unit, epoch, epochs, records, size;
    long hold_s, txn_timeout_ms, timeout_s;
};

struct txn {
    struct options options;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    int partitions;
    long acknowledged;           /* of the current transaction */
    rd_kafka_resp_err_t failure; /* of the first record that was not */
    char *value;
};

static void usage(void)
{
    fputs("usage: kafka_txn -b BROKERS -t TOPIC --id TXID [--unit U] [--epoch E] [--epochs N]\n"
          "           [--records R] [--size BYTES] [--end commit|abort|open|init] [--hold S]\n"
          "           [--txn-timeout-ms MS] [--timeout S] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static void read_option(struct options *options, int letter)
{
    switch (letter) {
    case 'b':
        options->brokers = optarg;
        break;
    case 't':
        options->topic = optarg;
        break;
    case 'i':
        options->id = optarg;
        break;
    case 'e':
        options->end = optarg;
        break;
    case 'u':
        options->unit = parse_number("--unit", optarg, 0, INT_MAX);
        break;
    case 'E':
        options->epoch = parse_number("--epoch", optarg, 0, INT_MAX);
        break;
    case 'N':
        options->epochs = parse_number("--epochs", optarg, 1, INT_MAX);
        break;
    case 'R':
        options->records = parse_number("--records", optarg, 0, 10000000);
        break;
    case 'S':
        options->size = parse_number("--size", optarg, 0, MAX_SIZE);
        break;
    case 'h':
        options->hold_s = parse_number("--hold", optarg, 0, 3600);
        break;
    case 'm':
        options->txn_timeout_ms = parse_number("--txn-timeout-ms", optarg, 1000, 900000);
        break;
    case 's':
        options->timeout_s = parse_number("--timeout", optarg, 1, 600);
        break;
    case 'X':
        add_setting(optarg);
        break;
    default:
        usage();
    }
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = { { "brokers", 1, NULL, 'b' }, { "topic", 1, NULL, 't' },
        { "id", 1, NULL, 'i' }, { "end", 1, NULL, 'e' }, { "unit", 1, NULL, 'u' },
        { "epoch", 1, NULL, 'E' }, { "epochs", 1, NULL, 'N' }, { "records", 1, NULL, 'R' },
        { "size", 1, NULL, 'S' }, { "hold", 1, NULL, 'h' }, { "timeout", 1, NULL, 's' },
        { "txn-timeout-ms", 1, NULL, 'm' }, { NULL, 0, NULL, 0 } };
    struct options options = { .end = "commit",
        .epoch = 1,
        .epochs = 1,
        .records = 10,
        .hold_s = 60,
        .txn_timeout_ms = 60000,
        .timeout_s = 30 };
    int letter;
    while ((letter = getopt_long(argc, argv, "b:t:X:", names, NULL)) != -1)
        read_option(&options, letter);
    const char *end = options.end;
    bool known = !strcmp(end, "commit") || !strcmp(end, "abort") || !strcmp(end, "open") ||
                 !strcmp(end, "init");
    if (!options.brokers || !options.topic || !options.id || !known || optind != argc)
        usage();
    return options;
}

/* ---------------------------------------------------------------- transactions */

typedef rd_kafka_error_t *(*txn_call)(rd_kafka_t *rk, int timeout_ms);

/* Runs a transactional call, again while librdkafka says that this is right, until the bound. */
static void call(const struct txn *txn, const char *name, txn_call function)
{
    int64_t deadline = clock_us() + txn->options.timeout_s * 1000000;
    for (;;) {
        rd_kafka_error_t *error = function(txn->rk, 5000);
        if (!error)
            return;
        if (!rd_kafka_error_is_retriable(error) || clock_us() > deadline)
            die("%s: %s: %s", name, rd_kafka_error_name(error), rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        usleep(20000);
    }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct txn *txn = opaque;
    (void)rk;
    if (!message->err)
        txn->acknowledged++;
    else if (!txn->failure)
        txn->failure = message->err;
}

static void say(const char *what, long epoch)
{
    if (epoch < 0)
        printf("%s\n", what);
    else
        printf("%s %ld\n", what, epoch);
    fflush(stdout);
}

static void open_producer(struct txn *txn)
{
    char number[16];
    const struct options *options = &txn->options;
    rd_kafka_conf_t *conf = common_conf(options->brokers);
    set(conf, "transactional.id", options->id);
    snprintf(number, sizeof number, "%ld", options->txn_timeout_ms);
    set(conf, "transaction.timeout.ms", number);
    set(conf, "message.timeout.ms", number); /* may not be longer than the transaction's */
    set(conf, "queue.buffering.max.messages", "10000000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, txn);
    txn->rk = open_client(RD_KAFKA_PRODUCER, conf);
    txn->partitions = require_topic(txn->rk, options->topic, options->timeout_s);
    txn->rkt = rd_kafka_topic_new(txn->rk, options->topic, NULL);
}

static void close_producer(struct txn *txn)
{
    rd_kafka_topic_destroy(txn->rkt);
    rd_kafka_destroy(txn->rk);
}

static void open_and_init(struct txn *txn)
{
    int64_t deadline = clock_us() + txn->options.timeout_s * 1000000;
    for (;;) {
        open_producer(txn);
        rd_kafka_error_t *error = rd_kafka_init_transactions(txn->rk, 5000);
        if (!error)
            return;
        if (clock_us() > deadline || stop_signals > 0)
            die("init: %s: %s", rd_kafka_error_name(error), rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        close_producer(txn);
        usleep(100000);
    }
}

static void produce_all(struct txn *txn, long epoch)
{
    const struct options *options = &txn->options;
    char key[24];
    int key_size = snprintf(key, sizeof key, "%ld", options->unit);
    for (long i = 0; i < options->records; i++) {
        int size = snprintf(txn->value, MAX_SIZE,
            "{\"unit\":%ld,\"epoch\":%ld,\"index\":%ld,\"total\":%ld,\"pad\":\"", options->unit,
            epoch, i, options->records);
        for (; size < options->size - 2; size++)
            txn->value[size] = 'x';
        memcpy(txn->value + size, "\"}", 2);
        size += 2;
        int32_t partition = (int32_t)(i % txn->partitions);
        /* A refused record is not part of the transaction, and the commit would still say OK. */
        if (rd_kafka_produce(txn->rkt, partition, RD_KAFKA_MSG_F_COPY, txn->value, (size_t)size,
                key, (size_t)key_size, NULL) < 0)
            die("produce: %s", rd_kafka_err2name(rd_kafka_last_error()));
        if (i % 512 == 0)
            rd_kafka_poll(txn->rk, 0);
    }
}

/* Produces one transaction and sees every record acknowledged. */
static void fill(struct txn *txn, long epoch)
{
    txn->acknowledged = 0;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(txn->rk);
    if (error)
        die("begin: %s", rd_kafka_error_name(error));
    say("begun", epoch);
    produce_all(txn, epoch);
    rd_kafka_resp_err_t flushed = rd_kafka_flush(txn->rk, (int)txn->options.timeout_s * 1000);
    if (flushed)
        die("flush: %s", rd_kafka_err2name(flushed));
    if (txn->acknowledged != txn->options.records)
        die("%ld of %ld records acknowledged: %s", txn->acknowledged, txn->options.records,
            rd_kafka_err2name(txn->failure));
    say("flushed", epoch);
}

static void end(struct txn *txn, long epoch)
{
    if (strcmp(txn->options.end, "commit") == 0) {
        call(txn, "commit", rd_kafka_commit_transaction);
        say("committed", epoch);
    } else if (strcmp(txn->options.end, "abort") == 0) {
        call(txn, "abort", rd_kafka_abort_transaction);
        say("aborted", epoch);
    } else {
        say("open", epoch);
        int64_t until = clock_us() + txn->options.hold_s * 1000000;
        while (clock_us() < until && stop_signals == 0)
            usleep(10000);
        _exit(EXIT_SUCCESS); /* no goodbye: closing the handle must not end the transaction */
    }
}

int main(int argc, char **argv)
{
    struct txn txn = { .options = parse_options(argc, argv) };
    const struct options *options = &txn.options;
    catch_stop_signals();
    txn.value = allocate(MAX_SIZE + 256);
    open_and_init(&txn);
    say("ready", -1);
    for (long i = 0; i < options->epochs && strcmp(options->end, "init") != 0; i++) {
        if (stop_signals > 0)
            return EXIT_STOPPED;
        fill(&txn, options->epoch + i);
        end(&txn, options->epoch + i);
    }
    close_producer(&txn);
    free(txn.value);
    return EXIT_SUCCESS;
}
