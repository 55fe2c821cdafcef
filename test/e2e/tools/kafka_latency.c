/*
 * kafka_latency: how long records take from one topic to another, through whatever copies them.
 *
 *   kafka_latency -b BROKERS --in TOPIC --out TOPIC [--rate R] [--size BYTES] [--warm S] [--seconds S]
 *                 [--timeout S] [-X k=v]...
 *
 * A record has the time at which it was to be sent, and that is where its latency begins: a sender or a copier
 * that falls behind makes the latencies of what waits longer, and not the records fewer (no coordinated omission).
 * It ends when the consumer, which reads read_committed, has it.
 *
 * First one record goes through alone, for which there are --timeout seconds: the copier may still be starting.
 * Then --rate a second (20,000) for --warm (5) and --seconds (20) seconds, of which those of the latter count. It ends
 * when every record is back, and fails when one is not within --timeout (60), or is back twice.
 *
 * stdout: {"records":..,"p50_ms":..,"p99_ms":..,"p999_ms":..,"max_ms":..,"gap_ms":..,"late_ms":..}: quantiles of an
 * HDR histogram (histogram.h), the longest time without a record at the consumer, and how late this program itself sent.
 */
#include "tool.h"

#include "histogram.h"

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BATCH = 1000, SIZE_MIN = 16, SIZE_MAX_BYTES = 65536, DRAIN_MS = 10000 };

struct options {
    const char *brokers, *in, *out;
    long rate, size, warm_s, seconds, timeout_s;
};

/* At the front of each record. */
struct stamp {
    int64_t number; /* 0: the one that goes alone */
    int64_t due_us;
};

/* Thread: immutable once the reader runs, but for what says otherwise. */
struct run {
    struct options options;
    int64_t total;                 /* records behind the first */
    int64_t opened_us;             /* nothing of this run was due before */
    _Atomic int64_t started_us;    /* record 1 is due; 0: not yet */
    rd_kafka_t *consumer;          /* reader */
    _Atomic bool has_first;        /* the first record is back */
    uint8_t *is_back;              /* reader; by number */
    int64_t back, last_us, gap_us; /* reader */
    struct histogram latencies;    /* reader; in microseconds */
};

static void usage(void)
{
    fputs("usage: kafka_latency -b BROKERS --in TOPIC --out TOPIC [--rate R] [--size BYTES]\n"
          "           [--warm S] [--seconds S] [--timeout S] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static void read_option(struct options *options, int letter)
{
    if (read_common_option(letter, &options->brokers, &options->timeout_s))
        return;
    if (letter == 'i')
        options->in = optarg;
    else if (letter == 'o')
        options->out = optarg;
    else if (letter == 'r')
        options->rate = parse_number("--rate", optarg, 1, 10000000);
    else if (letter == 'z')
        options->size = parse_number("--size", optarg, SIZE_MIN, SIZE_MAX_BYTES);
    else if (letter == 'w')
        options->warm_s = parse_number("--warm", optarg, 0, 3600);
    else if (letter == 'n')
        options->seconds = parse_number("--seconds", optarg, 1, 3600);
    else
        usage();
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = { COMMON_OPTIONS, { "in", 1, NULL, 'i' },
        { "out", 1, NULL, 'o' }, { "rate", 1, NULL, 'r' }, { "size", 1, NULL, 'z' },
        { "warm", 1, NULL, 'w' }, { "seconds", 1, NULL, 'n' }, { NULL, 0, NULL, 0 } };
    struct options options = { .rate = 20000,
        .size = 100,
        .warm_s = 5,
        .seconds = 20,
        .timeout_s = 60 };
    int letter;
    while ((letter = getopt_long(argc, argv, "b:X:", names, NULL)) != -1)
        read_option(&options, letter);
    if (!options.brokers || !options.in || !options.out || optind != argc)
        usage();
    return options;
}

/* ---------------------------------------------------------------- reading */

static void open_consumer(struct run *run)
{
    const struct options *options = &run->options;
    rd_kafka_conf_t *conf = consumer_conf(options->brokers, "read_committed");
    set(conf, "fetch.wait.max.ms", "10");
    run->consumer = open_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(run->consumer);
    int count = require_topic(run->consumer, options->out, options->timeout_s);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, options->out, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t error = rd_kafka_assign(run->consumer, list);
    if (error)
        die("cannot assign partitions: %s", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(list);
}

static void take(struct run *run, const rd_kafka_message_t *message, int64_t now_us)
{
    struct stamp stamp;
    if (message->err == RD_KAFKA_RESP_ERR__FATAL ||
        message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        die("partition %d: %s", message->partition, rd_kafka_message_errstr(message));
    if (message->err)
        return;
    if (message->len < sizeof stamp)
        die("a record of %zu bytes is in '%s': the topics must be empty", message->len,
            run->options.out);
    memcpy(&stamp, message->payload, sizeof stamp);
    if (stamp.due_us < run->opened_us)
        die("a record of another run is in '%s': the topics must be empty", run->options.out);
    if (stamp.number < 0 || stamp.number > run->total || run->is_back[stamp.number]++ > 0)
        die("record %lld is back twice, or is none of ours", (long long)stamp.number);
    run->back++;
    if (stamp.number == 0) {
        run->has_first = true;
        return;
    }
    int64_t from_us = run->started_us + run->options.warm_s * 1000000;
    if (stamp.due_us < from_us)
        return;
    histogram_add(&run->latencies, now_us - stamp.due_us);
    if (run->last_us > 0 && now_us - run->last_us > run->gap_us)
        run->gap_us = now_us - run->last_us;
    run->last_us = now_us;
}

static void *read_all(void *arg)
{
    static rd_kafka_message_t *batch[BATCH];
    struct run *run = arg;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(run->consumer);
    int64_t heard_us = clock_us();
    while (run->back < run->total + 1) {
        /* The batch call waits its whole time-out for a full batch: keep it short. */
        ssize_t count = rd_kafka_consume_batch_queue(queue, 1, batch, BATCH);
        int64_t now_us = clock_us();
        if (count > 0)
            heard_us = now_us;
        else if (now_us > heard_us + run->options.timeout_s * 1000000)
            die("%lld of %lld records are back, and no more for %ld s", (long long)run->back,
                (long long)run->total + 1, run->options.timeout_s);
        for (ssize_t i = 0; i < count; i++) {
            take(run, batch[i], now_us);
            rd_kafka_message_destroy(batch[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
    return NULL;
}

/* ---------------------------------------------------------------- sending */

static void send_one(rd_kafka_t *producer, rd_kafka_topic_t *topic, int32_t partition,
    const struct options *options, struct stamp stamp)
{
    static char record[SIZE_MAX_BYTES];
    memcpy(record, &stamp, sizeof stamp);
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, record, (size_t)options->size,
               NULL, 0, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("cannot send: %s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(producer, 1);
    }
}

static void wait_for_first(struct run *run, rd_kafka_t *producer)
{
    int64_t deadline = clock_us() + run->options.timeout_s * 1000000;
    while (!run->has_first) {
        if (clock_us() > deadline)
            die("the first record was not copied within %ld s", run->options.timeout_s);
        if (stop_signals > 0)
            exit(EXIT_STOPPED);
        rd_kafka_poll(producer, 10);
    }
}

/* Returns how late it was at worst, in microseconds. */
static int64_t send_all(struct run *run, rd_kafka_t *producer, rd_kafka_topic_t *topic,
    int partitions)
{
    int64_t late_us = 0, started_us = clock_us(), number = 1;
    run->started_us = started_us;
    while (number <= run->total) {
        int64_t now_us = clock_us();
        int64_t due_us = started_us + (number - 1) * 1000000 / run->options.rate;
        if (due_us > now_us) {
            rd_kafka_poll(producer, 0);
            usleep((useconds_t)(due_us - now_us < 500 ? 500 : due_us - now_us));
            continue;
        }
        if (now_us - due_us > late_us)
            late_us = now_us - due_us;
        send_one(producer, topic, (int32_t)(number % partitions), &run->options,
            (struct stamp){ number, due_us });
        number++;
        if (stop_signals > 0)
            exit(EXIT_STOPPED);
    }
    if (rd_kafka_flush(producer, DRAIN_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("not all records were acknowledged within %d ms", DRAIN_MS);
    return late_us;
}

static double ms(int64_t us)
{
    return (double)us / 1000;
}

static void report(const struct run *run, int64_t late_us)
{
    const struct histogram *it = &run->latencies;
    printf("{\"records\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,"
           "\"gap_ms\":%.3f,\"late_ms\":%.3f}\n",
        (unsigned long long)it->total, ms(histogram_quantile(it, 500000)),
        ms(histogram_quantile(it, 990000)), ms(histogram_quantile(it, 999000)), ms(it->max),
        ms(run->gap_us), ms(late_us));
}

int main(int argc, char **argv)
{
    static struct run run;
    pthread_t reader;
    run.options = parse_options(argc, argv);
    run.total = run.options.rate * (run.options.warm_s + run.options.seconds);
    run.is_back = allocate((size_t)run.total + 1);
    memset(run.is_back, 0, (size_t)run.total + 1);
    run.opened_us = clock_us();
    catch_stop_signals();
    limit_life(run.options.warm_s + run.options.seconds + 4 * run.options.timeout_s);
    open_consumer(&run);
    rd_kafka_conf_t *conf = common_conf(run.options.brokers);
    set(conf, "linger.ms", "1");
    set(conf, "enable.idempotence",
        "true"); /* else a retry would look like a fault of the copier */
    rd_kafka_t *producer = open_client(RD_KAFKA_PRODUCER, conf);
    int partitions = require_topic(producer, run.options.in, run.options.timeout_s);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, run.options.in, NULL);
    if (pthread_create(&reader, NULL, read_all, &run) != 0)
        die("cannot start a thread");
    send_one(producer, topic, 0, &run.options, (struct stamp){ 0, clock_us() });
    wait_for_first(&run, producer);
    int64_t late_us = send_all(&run, producer, topic, partitions);
    pthread_join(reader, NULL);
    report(&run, late_us);
    fflush(stdout);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    rd_kafka_consumer_close(run.consumer);
    rd_kafka_destroy(run.consumer);
    free(run.is_back);
    return 0;
}
