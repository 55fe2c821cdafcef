/*
 * kafka_feed: produces the lines of a file to a topic and ends only when every one is acknowledged.
 *
 *   kafka_feed -b BROKERS -t TOPIC [FILE] [--base64] [--partitions round-robin|key-hash|N]
 *              [--rate R] [--from-line N] [--count N] [--timeout S] [-X k=v]...
 *
 * A record's value is the raw bytes of a line without its line feed, its key is null; lines of
 * --base64 are "key TAB value", each in base64 or "-" for null. FILE (or --replay-raw FILE) is
 * mapped and, in raw mode, handed to the client without a copy; without FILE, stdin is read.
 *
 * Lines count from 0, and a line's partition depends on nothing but its number (round-robin) or key
 * (key-hash: the murmur2 of the Java client; a null key falls back to the number). So a run with
 * --from-line continues exactly what an earlier one began. The producer is idempotent: no
 * duplicates within a run, and the order within a partition is the order of the lines.
 *
 * --rate paces an open loop: after a stall it catches up, as a real source of events would.
 *
 * stdout: {"first_line":..,"next_line":..,"records":..,"acknowledged":..,"bytes":..,"seconds":..,
 * "records_per_s":..}. next_line is the first line that is not known to be in the topic: all lines
 * before it are, some after it may be. Exit status 0: all acknowledged; 1: some could not be within
 * --timeout seconds each (default 120); 3: stopped by SIGTERM, what was sent is acknowledged.
 */
#include "tool.h"

#include <fcntl.h>
#include <getopt.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { PARTITION_ROUND_ROBIN = -1, PARTITION_KEY_HASH = -2 };

struct options {
    const char *brokers, *topic, *file;
    bool base64;
    long partition; /* a number or one of the names above */
    long rate;      /* records per second, 0: as fast as possible */
    long from_line, count;
    long timeout_s;
};

/* Where lines come from: a mapping, or stdin with one line in `line` at a time. */
struct input {
    const char *map, *map_end, *map_next;
    char *line;
    size_t line_capacity;
};

/* Thread: main only; delivery reports run inside rd_kafka_poll. */
struct feed {
    struct options options;
    struct input input;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    int32_t partitions;
    int64_t line; /* the number of the next line to send */
    int64_t sent, acknowledged, failed, bytes;
    int64_t first_failed_line;
    rd_kafka_resp_err_t error; /* of the first failure */
    char *scratch;             /* a decoded key and value, MAX_RECORD bytes each */
};

static void usage(void)
{
    fputs("usage: kafka_feed -b BROKERS -t TOPIC [FILE | --replay-raw FILE] [--base64]\n"
          "           [--partitions round-robin|key-hash|N] [--rate R] [--from-line N]\n"
          "           [--count N] [--timeout S] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static long parse_partition(const char *text)
{
    if (strcmp(text, "round-robin") == 0)
        return PARTITION_ROUND_ROBIN;
    if (strcmp(text, "key-hash") == 0)
        return PARTITION_KEY_HASH;
    return parse_number("--partitions", text, 0, MAX_PARTITIONS - 1);
}

static void read_option(struct options *options, int letter)
{
    if (read_common_option(letter, &options->brokers, &options->timeout_s))
        return;
    if (letter == 't')
        options->topic = optarg;
    else if (letter == 'f')
        options->file = optarg;
    else if (letter == '6')
        options->base64 = true;
    else if (letter == 'p')
        options->partition = parse_partition(optarg);
    else if (letter == 'r')
        options->rate = parse_number("--rate", optarg, 0, 100000000);
    else if (letter == 'l')
        options->from_line = parse_number("--from-line", optarg, 0, LONG_MAX);
    else if (letter == 'n')
        options->count = parse_number("--count", optarg, 0, LONG_MAX);
    else
        usage();
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = { COMMON_OPTIONS, { "topic", 1, NULL, 't' },
        { "base64", 0, NULL, '6' }, { "partitions", 1, NULL, 'p' }, { "rate", 1, NULL, 'r' },
        { "from-line", 1, NULL, 'l' }, { "count", 1, NULL, 'n' }, { "replay-raw", 1, NULL, 'f' },
        { NULL, 0, NULL, 0 } };
    struct options options = { .partition = PARTITION_ROUND_ROBIN,
        .count = LONG_MAX,
        .timeout_s = 120 };
    int letter;
    while ((letter = getopt_long(argc, argv, "b:t:X:", names, NULL)) != -1)
        read_option(&options, letter);
    if (!options.file && optind < argc)
        options.file = argv[optind++];
    if (!options.brokers || !options.topic || optind != argc)
        usage();
    return options;
}

/* ---------------------------------------------------------------- input */

static struct input open_input(const char *file)
{
    struct input input = { 0 };
    struct stat status;
    if (!file)
        return input;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        die("cannot read %s: %s", file, strerror(errno));
    if (!S_ISREG(status.st_mode))
        die("%s is not a regular file: it cannot be mapped; use stdin", file);
    size_t size = (size_t)status.st_size;
    input.map = "";
    if (size > 0) {
        void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            die("cannot map %s: %s", file, strerror(errno));
        madvise(map, size, MADV_SEQUENTIAL);
        input.map = map;
    }
    close(fd);
    input.map_next = input.map;
    input.map_end = input.map + size;
    return input;
}

/* The next line without its line feed, valid until the next call (in a mapping: for ever). */
static bool next_line(struct input *input, const char **line, size_t *size)
{
    if (!input->map) {
        ssize_t length;
        do {
            clearerr(stdin);
            length = getline(&input->line, &input->line_capacity, stdin);
        } while (length < 0 && ferror(stdin) && errno == EINTR && stop_signals == 0);
        if (length < 0)
            return false;
        *line = input->line;
        *size = (size_t)length - (input->line[length - 1] == '\n');
        return true;
    }
    if (input->map_next == input->map_end)
        return false;
    size_t left = (size_t)(input->map_end - input->map_next);
    const char *end = memchr(input->map_next, '\n', left);
    *line = input->map_next;
    *size = end ? (size_t)(end - input->map_next) : left;
    input->map_next = end ? end + 1 : input->map_end;
    return true;
}

/* ---------------------------------------------------------------- producing */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct feed *feed = opaque;
    (void)rk;
    if (!message->err) {
        feed->acknowledged++;
        return;
    }
    int64_t line = (int64_t)(intptr_t)message->_private;
    if (feed->failed++ == 0)
        feed->error = message->err;
    if (line < feed->first_failed_line)
        feed->first_failed_line = line;
}

static void open_producer(struct feed *feed)
{
    char timeout_ms[16];
    rd_kafka_conf_t *conf = common_conf(feed->options.brokers);
    snprintf(timeout_ms, sizeof timeout_ms, "%ld", feed->options.timeout_s * 1000);
    set(conf, "enable.idempotence", "true");
    /* With five, a broker that was frozen gets old requests behind their repetitions, and refuses for good what is more than
     * five batches back ("out of order sequence number"). */
    set(conf, "max.in.flight.requests.per.connection", "1");
    set(conf, "message.timeout.ms", timeout_ms);
    set(conf, "linger.ms", "5");
    set(conf, "queue.buffering.max.messages", "200000");
    set(conf, "queue.buffering.max.kbytes", "131072");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, feed);
    feed->rk = open_client(RD_KAFKA_PRODUCER, conf);
    feed->partitions = require_topic(feed->rk, feed->options.topic, feed->options.timeout_s);
    if (feed->options.partition >= feed->partitions)
        die("topic '%s' has no partition %ld", feed->options.topic, feed->options.partition);
    feed->rkt = rd_kafka_topic_new(feed->rk, feed->options.topic, NULL);
}

static int32_t choose_partition(const struct feed *feed, const char *key, size_t key_size)
{
    if (feed->options.partition >= 0)
        return (int32_t)feed->options.partition;
    if (feed->options.partition == PARTITION_KEY_HASH && key)
        return rd_kafka_msg_partitioner_murmur2(feed->rkt, key, key_size, feed->partitions, NULL,
            NULL);
    return (int32_t)(feed->line % feed->partitions);
}

/* Queues one record, waiting while the queue is full. False: the client is beyond repair. */
static bool produce(struct feed *feed, const char *key, size_t key_size, const char *value,
    size_t size)
{
    bool mapped = feed->input.map && !feed->options.base64;
    int flags = mapped ? 0 : RD_KAFKA_MSG_F_COPY;
    int32_t partition = choose_partition(feed, key, key_size);
    /* librdkafka takes the value without const, but does not write to it. */
    void *payload = (void *)(uintptr_t)value;
    void *line = (void *)(intptr_t)feed->line;
    while (rd_kafka_produce(feed->rkt, partition, flags, payload, size, key, key_size, line) < 0) {
        rd_kafka_resp_err_t error = rd_kafka_last_error();
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            feed->failed++;
            feed->first_failed_line = feed->line;
            feed->error = error;
            return false;
        }
        rd_kafka_poll(feed->rk, 10);
    }
    feed->sent++;
    feed->bytes += (int64_t)(size + key_size);
    return true;
}

/* One base64 column of a line. Returns the decoded bytes in `to`, or NULL for "-". */
static const char *decode_column(const struct feed *feed, char *to, const char *from,
    size_t from_size, size_t *size)
{
    *size = 0;
    if (from_size == 1 && *from == '-')
        return NULL;
    ssize_t decoded = from_size / 4 * 3 > MAX_RECORD ? -1 : base64_decode(to, from, from_size);
    if (decoded < 0)
        die("line %lld: not base64, or over %d bytes", (long long)feed->line, MAX_RECORD);
    *size = (size_t)decoded;
    return to;
}

static bool send_line(struct feed *feed, const char *line, size_t size)
{
    if (!feed->options.base64)
        return produce(feed, NULL, 0, line, size);
    const char *tab = memchr(line, '\t', size);
    if (!tab)
        die("line %lld: no tab between key and value", (long long)feed->line);
    size_t key_size, value_size;
    size_t key_length = (size_t)(tab - line);
    const char *key = decode_column(feed, feed->scratch, line, key_length, &key_size);
    const char *value = decode_column(feed, feed->scratch + MAX_RECORD, tab + 1,
        size - key_length - 1, &value_size);
    return produce(feed, key, key_size, value, value_size);
}

/* Sleeps until the next record is due, serving delivery reports meanwhile. */
static void keep_pace(struct feed *feed, int64_t start_us)
{
    if (feed->options.rate == 0) {
        if (feed->sent % 512 == 0)
            rd_kafka_poll(feed->rk, 0);
        return;
    }
    int64_t due = start_us + feed->sent * 1000000 / feed->options.rate;
    int64_t early;
    while ((early = due - clock_us()) > 0 && stop_signals == 0)
        rd_kafka_poll(feed->rk, early > 10000 ? 10 : 1);
    rd_kafka_poll(feed->rk, 0);
}

/* True if the whole input was sent, false if a signal or an error ended it early. */
static bool send_all(struct feed *feed, int64_t start_us)
{
    const char *line;
    size_t size;
    while (feed->line < feed->options.from_line) {
        if (!next_line(&feed->input, &line, &size))
            return true;
        feed->line++;
    }
    while (feed->sent < feed->options.count) {
        keep_pace(feed, start_us);
        if (stop_signals > 0 || feed->failed > 0)
            return false;
        if (!next_line(&feed->input, &line, &size))
            return stop_signals == 0;
        if (!send_line(feed, line, size))
            return false;
        feed->line++;
    }
    return true;
}

/* Waits for every delivery report. Each comes within message.timeout.ms; if not, gives up. */
static void await_acknowledgements(struct feed *feed)
{
    int64_t deadline = clock_us() + (feed->options.timeout_s + 10) * 1000000;
    while (rd_kafka_outq_len(feed->rk) > 0 && clock_us() < deadline)
        rd_kafka_poll(feed->rk, 50);
    if (rd_kafka_outq_len(feed->rk) == 0)
        return;
    rd_kafka_purge(feed->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_poll(feed->rk, 1000) > 0)
        continue;
}

static void report(const struct feed *feed, double seconds)
{
    int64_t next = feed->first_failed_line < feed->line ? feed->first_failed_line : feed->line;
    printf("{\"first_line\":%ld,\"next_line\":%lld,\"records\":%lld,\"acknowledged\":%lld,"
           "\"bytes\":%lld,\"seconds\":%.3f,\"records_per_s\":%.0f}\n",
        feed->options.from_line, (long long)next, (long long)feed->sent,
        (long long)feed->acknowledged, (long long)feed->bytes, seconds,
        (double)feed->acknowledged / (seconds > 0 ? seconds : 1));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct feed feed = { .options = parse_options(argc, argv), .first_failed_line = INT64_MAX };
    catch_stop_signals();
    feed.input = open_input(feed.options.file);
    if (feed.options.base64)
        feed.scratch = allocate((size_t)2 * MAX_RECORD);
    open_producer(&feed);
    int64_t start_us = clock_us();
    bool complete = send_all(&feed, start_us);
    await_acknowledgements(&feed);
    report(&feed, (double)(clock_us() - start_us) / 1e6);
    if (feed.failed > 0)
        die("%lld records not acknowledged, first line %lld: %s", (long long)feed.failed,
            (long long)feed.first_failed_line, rd_kafka_err2str(feed.error));
    if (feed.acknowledged != feed.sent)
        die("%lld of %lld records acknowledged", (long long)feed.acknowledged,
            (long long)feed.sent);
    rd_kafka_topic_destroy(feed.rkt);
    rd_kafka_destroy(feed.rk);
    free(feed.scratch);
    free(feed.input.line);
    return complete ? EXIT_SUCCESS : EXIT_STOPPED;
}
