/*
 * kafka_tail: an independent read_committed reader that writes a topic to a file, record by record.
 *
 *   kafka_tail -b BROKERS -t TOPIC [-o FILE] [--isolation read_committed|read_uncommitted]
 *              [--until-end | --until-high] [--timestamps] [--timeout S] [--refresh-ms MS]
 *
 * Each record becomes one line of FILE (default stdout; truncated at start):
 *   {"partition":0,"offset":17,"key":null,"value":"aGVsbG8="}
 * with key and value in base64 or null, and "timestamp":ms before "key" if --timestamps. Lines
 * reach the kernel whenever no record is waiting, so a kill loses only what can be read again; a
 * last line without line feed is to be ignored.
 *
 * It reads all partitions from the beginning by static assignment and looks for new ones every
 * --refresh-ms (default 1000). It ends when every partition has been read up to a target:
 *   (neither)     SIGTERM sets the target: the stable end at that moment. A second ends at once.
 *   --until-end   the target is the stable end at start: all that is committed and visible now.
 *   --until-high  the target is the high watermark at start: waits for the transactions which are
 *                 open now. Commit markers come some ms after the producer's "commit OK", so use
 *                 this one to read what was just committed.
 * --timeout (default 60 s) bounds the way to the target; missing it is exit status 1. The reader
 * lives through broker restarts; offsets that no longer exist and a deleted topic are errors. A broker that
 * was frozen and still takes itself for the leader denies offsets, too: it is asked again for some seconds.
 *
 * How it knows that it is there: a record at target - 1 or beyond, or an end-of-partition event at
 * or beyond the target. Offsets alone would not do: the last one may be a marker or aborted.
 */
#include "tool.h"

#include <fcntl.h>
#include <getopt.h>

enum {
    BUFFER_SIZE = 32 << 20,
    FLUSH_SIZE = 1 << 20,
    GONE_AFTER_S = 5,
    DENIED_MAX_S = 10,
    AGAIN_MS = 200
};

struct options {
    const char *brokers, *topic, *output, *isolation;
    bool until_end, until_high, timestamps;
    long timeout_s, refresh_ms;
};

struct partition {
    int64_t next;      /* every visible record before this offset is in the buffer or the file */
    int64_t target;    /* -1: none yet */
    int64_t denied_us; /* since when a broker says that `next` is out of range; 0: it does not */
    int64_t again_us;  /* when to ask again */
};

/* Thread: main only. */
struct tail {
    struct options options;
    rd_kafka_t *rk;
    int fd;
    char *buffer;
    size_t used;
    int partition_count;
    struct partition partitions[MAX_PARTITIONS];
    bool have_target;
    int64_t deadline_us;     /* once it is known that there shall be an end */
    int64_t next_refresh_us; /* when to look for new partitions again */
    int64_t topic_seen_us;   /* when the topic last existed */
    int64_t records;
};

static void usage(void)
{
    fputs("usage: kafka_tail -b BROKERS -t TOPIC [-o FILE]\n"
          "           [--isolation read_committed|read_uncommitted] [--until-end | --until-high]\n"
          "           [--timestamps] [--timeout S] [--refresh-ms MS] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static void read_option(struct options *options, int letter)
{
    if (read_common_option(letter, &options->brokers, &options->timeout_s))
        return;
    if (letter == 't')
        options->topic = optarg;
    else if (letter == 'o')
        options->output = optarg;
    else if (letter == 'i')
        options->isolation = optarg;
    else if (letter == 'e')
        options->until_end = true;
    else if (letter == 'h')
        options->until_high = true;
    else if (letter == 'T')
        options->timestamps = true;
    else if (letter == 'r')
        options->refresh_ms = parse_number("--refresh-ms", optarg, 1, 3600000);
    else
        usage();
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = { COMMON_OPTIONS, { "topic", 1, NULL, 't' },
        { "output", 1, NULL, 'o' }, { "isolation", 1, NULL, 'i' }, { "until-end", 0, NULL, 'e' },
        { "until-high", 0, NULL, 'h' }, { "timestamps", 0, NULL, 'T' },
        { "refresh-ms", 1, NULL, 'r' }, { NULL, 0, NULL, 0 } };
    struct options options = { .isolation = "read_committed", .timeout_s = 60, .refresh_ms = 1000 };
    int letter;
    while ((letter = getopt_long(argc, argv, "b:t:o:X:", names, NULL)) != -1)
        read_option(&options, letter);
    if (!options.brokers || !options.topic || optind != argc)
        usage();
    if (options.until_end && options.until_high)
        usage();
    return options;
}

/* ---------------------------------------------------------------- output */

static void flush_lines(struct tail *tail)
{
    write_all(tail->fd, tail->buffer, tail->used);
    tail->used = 0;
}

/* Appends to the buffer, which has room for it: append_record sees to that. */
__attribute__((format(printf, 2, 3))) static void append(struct tail *tail, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tail->used +=
        (size_t)vsnprintf(tail->buffer + tail->used, BUFFER_SIZE - tail->used, format, args);
    va_end(args);
}

static void append_base64(struct tail *tail, const char *name, const void *data, size_t size)
{
    if (!data) {
        append(tail, ",\"%s\":null", name);
        return;
    }
    append(tail, ",\"%s\":\"", name);
    char *end = base64_encode(tail->buffer + tail->used, data, size);
    tail->used = (size_t)(end - tail->buffer);
    append(tail, "\"");
}

static void append_record(struct tail *tail, const rd_kafka_message_t *message)
{
    size_t room = base64_size(message->key_len) + base64_size(message->len) + 256;
    if (room > BUFFER_SIZE)
        die("record at partition %d offset %lld is too large (%zu bytes)", message->partition,
            (long long)message->offset, message->len);
    if (tail->used + room > BUFFER_SIZE)
        flush_lines(tail);
    append(tail, "{\"partition\":%d,\"offset\":%lld", message->partition,
        (long long)message->offset);
    if (tail->options.timestamps)
        append(tail, ",\"timestamp\":%lld", (long long)rd_kafka_message_timestamp(message, NULL));
    append_base64(tail, "key", message->key, message->key_len);
    append_base64(tail, "value", message->payload, message->len);
    append(tail, "}\n");
    tail->records++;
    if (tail->used >= FLUSH_SIZE)
        flush_lines(tail);
}

/* ---------------------------------------------------------------- partitions and targets */

/* Assigns partitions [from, to) from their beginning, in a list made for this one call: a list
 * element caches the partition it was first used for and must never be changed and used again. */
static void assign(struct tail *tail, int from, int to)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(to - from);
    for (int i = from; i < to; i++) {
        rd_kafka_topic_partition_list_add(list, tail->options.topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
        tail->partitions[i] = (struct partition){ .next = 0, .target = -1 };
    }
    rd_kafka_error_t *error = rd_kafka_incremental_assign(tail->rk, list);
    if (error)
        die("cannot assign partitions: %s", rd_kafka_error_string(error));
    rd_kafka_topic_partition_list_destroy(list);
    tail->partition_count = to;
}

/* Asks for partitions that were denied once more, each from where it is. */
static void ask_again(struct tail *tail)
{
    for (int i = 0; i < tail->partition_count; i++) {
        struct partition *partition = &tail->partitions[i];
        if (partition->again_us == 0 || clock_us() < partition->again_us)
            continue;
        partition->again_us = 0;
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, tail->options.topic, i)->offset = partition->next;
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(tail->rk, list));
        rd_kafka_error_t *error = rd_kafka_incremental_assign(tail->rk, list);
        if (error)
            die("cannot assign partition %d again: %s", i, rd_kafka_error_string(error));
        rd_kafka_topic_partition_list_destroy(list);
    }
}

static void note_denial(struct tail *tail, const rd_kafka_message_t *message)
{
    struct partition *partition = &tail->partitions[message->partition];
    int64_t now = clock_us();
    if (partition->denied_us == 0)
        partition->denied_us = now;
    if (now - partition->denied_us > DENIED_MAX_S * INT64_C(1000000)) {
        flush_lines(tail);
        die("partition %d: %s", message->partition, rd_kafka_message_errstr(message));
    }
    partition->again_us = now + AGAIN_MS * 1000;
}

/* Looks for new partitions. False: no broker answered within 2 s. */
static bool refresh(struct tail *tail)
{
    rd_kafka_resp_err_t error;
    int count = count_partitions(tail->rk, tail->options.topic, 2000, &error);
    int64_t now = clock_us();
    tail->next_refresh_us = now + tail->options.refresh_ms * 1000;
    if (error)
        return false;
    if (count > 0)
        tail->topic_seen_us = now;
    else if (now - tail->topic_seen_us > GONE_AFTER_S * 1000000)
        die("topic '%s' does not exist any more", tail->options.topic);
    if (count > tail->partition_count)
        assign(tail, tail->partition_count, count);
    return count > 0;
}

/* The offsets to read up to; no broker answering is no harm, the main loop comes back. */
static void try_set_targets(struct tail *tail)
{
    static int64_t ends[MAX_PARTITIONS];
    rd_kafka_t *asked = tail->rk;
    if (!refresh(tail))
        return;
    if (tail->options.until_high)
        asked = open_client(RD_KAFKA_CONSUMER,
            consumer_conf(tail->options.brokers, "read_uncommitted"));
    rd_kafka_resp_err_t error = query_offsets(asked, tail->options.topic, tail->partition_count,
        RD_KAFKA_OFFSET_END, 2000, ends);
    if (asked != tail->rk)
        rd_kafka_destroy(asked);
    if (error)
        return;
    for (int i = 0; i < tail->partition_count; i++)
        tail->partitions[i].target = ends[i];
    tail->have_target = true;
}

/* Seconds of waiting begin when it is known that there shall be an end. */
static bool shall_end(struct tail *tail)
{
    bool shall = tail->options.until_end || tail->options.until_high || stop_signals > 0;
    if (shall && tail->deadline_us == 0)
        tail->deadline_us = clock_us() + tail->options.timeout_s * 1000000;
    return shall;
}

static bool reached_target(const struct tail *tail)
{
    for (int i = 0; i < tail->partition_count; i++)
        if (tail->partitions[i].next < tail->partitions[i].target)
            return false;
    return tail->have_target;
}

static void die_late(struct tail *tail)
{
    flush_lines(tail);
    if (!tail->have_target)
        die("no broker told the end offsets within %ld s", tail->options.timeout_s);
    for (int i = 0; i < tail->partition_count; i++)
        if (tail->partitions[i].next < tail->partitions[i].target)
            die("partition %d: read up to offset %lld, not %lld, within %ld s", i,
                (long long)tail->partitions[i].next, (long long)tail->partitions[i].target,
                tail->options.timeout_s);
    die("the end came too late");
}

/* ---------------------------------------------------------------- reading */

static void take(struct tail *tail, const rd_kafka_message_t *message)
{
    rd_kafka_resp_err_t error = message->err;
    if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        note_denial(tail, message);
        return;
    }
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        flush_lines(tail);
        die("partition %d: %s", message->partition, rd_kafka_message_errstr(message));
    }
    if (error && error != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return; /* brokers come and go, the client keeps trying */
    struct partition *partition = &tail->partitions[message->partition];
    if (!error && message->offset < partition->next)
        die("partition %d: offset %lld again", message->partition, (long long)message->offset);
    partition->denied_us = partition->again_us = 0;
    int64_t next = message->offset + (error ? 0 : 1);
    if (next > partition->next)
        partition->next = next;
    if (!error)
        append_record(tail, message);
}

/* One record or event, or 100 ms of waiting; what was read before is written before the wait. */
static void step(struct tail *tail)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(tail->rk, 0);
    if (!message) {
        flush_lines(tail);
        message = rd_kafka_consumer_poll(tail->rk, 100);
    }
    if (message) {
        take(tail, message);
        rd_kafka_message_destroy(message);
    }
}

static void run(struct tail *tail)
{
    while (stop_signals < 2) {
        bool ending = shall_end(tail);
        if (ending && reached_target(tail))
            return;
        if (ending && clock_us() > tail->deadline_us)
            die_late(tail);
        if (ending && !tail->have_target)
            try_set_targets(tail);
        else if (clock_us() >= tail->next_refresh_us)
            refresh(tail);
        ask_again(tail);
        step(tail);
    }
}

int main(int argc, char **argv)
{
    static struct tail tail = { .fd = STDOUT_FILENO };
    tail.options = parse_options(argc, argv);
    catch_stop_signals();
    tail.buffer = allocate(BUFFER_SIZE);
    if (tail.options.output)
        tail.fd = open(tail.options.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (tail.fd < 0)
        die("cannot write %s: %s", tail.options.output, strerror(errno));
    tail.rk =
        open_client(RD_KAFKA_CONSUMER, consumer_conf(tail.options.brokers, tail.options.isolation));
    rd_kafka_poll_set_consumer(tail.rk);
    assign(&tail, 0, require_topic(tail.rk, tail.options.topic, tail.options.timeout_s));
    tail.topic_seen_us = clock_us();
    run(&tail);
    flush_lines(&tail);
    fprintf(stderr, "kafka_tail: %lld records of %d partitions\n", (long long)tail.records,
        tail.partition_count);
    bool complete = reached_target(&tail);
    limit_life(20); /* the file is complete; a frozen broker shall not hold us at closing */
    rd_kafka_destroy(tail.rk);
    free(tail.buffer);
    return complete ? EXIT_SUCCESS : EXIT_STOPPED;
}
