/*
 * kafka_digest: reads a topic as fast as it can and tells how many, how fast, and what it cost.
 *
 *   kafka_digest -b BROKERS -t TOPIC [--count N] [--isolation read_committed|read_uncommitted]
 *                [--checksum] [--timeout S] [-X k=v]...
 *
 * Reads every partition from its beginning, until N records or until the end offset at start.
 * stdout: {"records":..,"bytes":..,"seconds":..,"records_per_s":..,"mb_per_s":..,
 *          "cpu_us_per_record":..,"checksum":".."}
 * Seconds run from the first record to the last; CPU is user + system time of this process, threads
 * of the client included, from before the assignment. The checksum is the sum of a hash of key and
 * value over all records: equal for the same records in any order or partitioning.
 * Exit status 1 if the end was not reached within --timeout (default 120 s).
 */
#include "tool.h"

#include <getopt.h>
#include <sys/resource.h>

enum { BATCH = 2000 };

struct options {
    const char *brokers, *topic, *isolation;
    bool checksum;
    long count, timeout_s;
};

struct digest {
    struct options options;
    rd_kafka_t *rk;
    int partition_count, partitions_left;
    int64_t ends[MAX_PARTITIONS];
    bool ended[MAX_PARTITIONS];
    int64_t records, bytes;
    int64_t first_us, last_us;
    uint64_t checksum;
};

static void usage(void)
{
    fputs("usage: kafka_digest -b BROKERS -t TOPIC [--count N] [--checksum] [--timeout S]\n"
          "           [--isolation read_committed|read_uncommitted] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static void read_option(struct options *options, int letter)
{
    if (read_common_option(letter, &options->brokers, &options->timeout_s))
        return;
    if (letter == 't')
        options->topic = optarg;
    else if (letter == 'i')
        options->isolation = optarg;
    else if (letter == 'c')
        options->checksum = true;
    else if (letter == 'n')
        options->count = parse_number("--count", optarg, 1, LONG_MAX);
    else
        usage();
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = { COMMON_OPTIONS, { "topic", 1, NULL, 't' },
        { "isolation", 1, NULL, 'i' }, { "checksum", 0, NULL, 'c' }, { "count", 1, NULL, 'n' },
        { NULL, 0, NULL, 0 } };
    struct options options = { .isolation = "read_committed", .count = LONG_MAX, .timeout_s = 120 };
    int letter;
    while ((letter = getopt_long(argc, argv, "b:t:X:", names, NULL)) != -1)
        read_option(&options, letter);
    if (!options.brokers || !options.topic || optind != argc)
        usage();
    return options;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Not cryptographic. Null, empty and zero bytes all differ because the size is mixed in. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const char *bytes = data;
    uint64_t word;
    hash = mix(hash, data ? size + 1 : 0);
    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    if (size > 0)
        memcpy(&word, bytes, size);
    return mix(hash, word);
}

static void end_partition(struct digest *digest, int partition)
{
    if (!digest->ended[partition]) {
        digest->ended[partition] = true;
        digest->partitions_left--;
    }
}

static void take(struct digest *digest, const rd_kafka_message_t *message)
{
    bool eof = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        message->err == RD_KAFKA_RESP_ERR__FATAL)
        die("partition %d: %s", message->partition, rd_kafka_message_errstr(message));
    if (message->err && !eof)
        return;
    int64_t end = digest->ends[message->partition];
    if (!eof && message->offset < end && digest->records < digest->options.count) {
        digest->records++;
        digest->bytes += (int64_t)(message->len + message->key_len);
        if (digest->options.checksum) {
            uint64_t hash = hash_bytes(0, message->key, message->key_len);
            digest->checksum += hash_bytes(hash, message->payload, message->len);
        }
    }
    if (message->offset + (eof ? 0 : 1) >= end)
        end_partition(digest, message->partition);
}

static void open_consumer(struct digest *digest)
{
    const struct options *options = &digest->options;
    digest->rk =
        open_client(RD_KAFKA_CONSUMER, consumer_conf(options->brokers, options->isolation));
    rd_kafka_poll_set_consumer(digest->rk);
    int count = require_topic(digest->rk, options->topic, options->timeout_s);
    rd_kafka_resp_err_t error =
        query_offsets(digest->rk, options->topic, count, RD_KAFKA_OFFSET_END, 10000, digest->ends);
    if (error)
        die("no end offsets of '%s': %s", options->topic, rd_kafka_err2str(error));
    digest->partition_count = digest->partitions_left = count;
}

static void assign_all(struct digest *digest)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(digest->partition_count);
    for (int i = 0; i < digest->partition_count; i++)
        rd_kafka_topic_partition_list_add(list, digest->options.topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t error = rd_kafka_assign(digest->rk, list);
    if (error)
        die("cannot assign partitions: %s", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(list);
}

static void consume(struct digest *digest)
{
    static rd_kafka_message_t *batch[BATCH];
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(digest->rk);
    int64_t deadline = clock_us() + digest->options.timeout_s * 1000000;
    while (digest->partitions_left > 0 && digest->records < digest->options.count) {
        if (clock_us() > deadline)
            die("only %lld records within %ld s", (long long)digest->records,
                digest->options.timeout_s);
        if (stop_signals > 0)
            exit(EXIT_STOPPED);
        /* The batch call waits its whole time-out for a full batch: keep it short. */
        ssize_t count = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);
        int64_t before = digest->records;
        for (ssize_t i = 0; i < count; i++) {
            if (digest->records == 0 && digest->first_us == 0 && !batch[i]->err)
                digest->first_us = clock_us();
            take(digest, batch[i]);
            rd_kafka_message_destroy(batch[i]);
        }
        if (digest->records > before)
            digest->last_us = clock_us();
    }
    rd_kafka_queue_destroy(queue);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    static struct digest digest;
    digest.options = parse_options(argc, argv);
    catch_stop_signals();
    limit_life(digest.options.timeout_s * 2 + 30);
    open_consumer(&digest);
    double cpu = cpu_seconds();
    assign_all(&digest);
    consume(&digest);
    cpu = cpu_seconds() - cpu;
    double seconds = (double)(digest.last_us - digest.first_us) / 1e6;
    double records = (double)digest.records;
    printf("{\"records\":%lld,\"bytes\":%lld,\"seconds\":%.3f,\"records_per_s\":%.0f,"
           "\"mb_per_s\":%.1f,\"cpu_us_per_record\":%.3f",
        (long long)digest.records, (long long)digest.bytes, seconds,
        seconds > 0 ? records / seconds : 0.0,
        seconds > 0 ? (double)digest.bytes / 1e6 / seconds : 0.0,
        records > 0 ? cpu * 1e6 / records : 0.0);
    if (digest.options.checksum)
        printf(",\"checksum\":\"%016llx\"", (unsigned long long)digest.checksum);
    printf("}\n");
    fflush(stdout);
    rd_kafka_destroy(digest.rk);
    return EXIT_SUCCESS;
}
