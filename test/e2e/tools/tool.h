/*
 * What the Kafka test tools share: failing, the clock, numbers, signals, base64, client settings.
 *
 * The tools are independent of the engine on purpose: they feed it and judge it. So this header
 * uses librdkafka and libc only, and everything in it is static inline: each tool stays one .c file
 * that `cc file.c $(pkg-config --cflags --libs rdkafka)` builds.
 *
 * Exit statuses of all tools: 0 done, 1 failed (one line on stderr says why), 2 wrong usage,
 * 3 stopped by a signal before the work was complete.
 */
#ifndef WEIR_TEST_E2E_TOOL_H
#define WEIR_TEST_E2E_TOOL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* program_invocation_short_name; so include this header first */
#endif

#include <librdkafka/rdkafka.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_STOPPED = 3 };
enum { MAX_PARTITIONS = 4096, MAX_SETTINGS = 64, MAX_RECORD = 8 << 20 };

/* ---------------------------------------------------------------- failing, clock, numbers */

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    /* Not exit(): a client handle with a dead broker behind it may take its time to close. */
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

static inline int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline long parse_number(const char *what, const char *text, long min, long max)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || *text == '\0' || *end != '\0' || number < min || number > max) {
        fprintf(stderr, "%s: %s must be a number from %ld to %ld, not '%s'\n",
            program_invocation_short_name, what, min, max, text);
        exit(EXIT_USAGE);
    }
    return number;
}

static inline void *allocate(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (!memory)
        die("out of memory (%zu bytes)", size);
    return memory;
}

/* ---------------------------------------------------------------- signals */

static volatile sig_atomic_t stop_signals; /* how often SIGTERM or SIGINT arrived */

static inline void on_stop(int number)
{
    (void)number;
    stop_signals++;
}

static inline void catch_stop_signals(void)
{
    struct sigaction action = { .sa_handler = on_stop };
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static inline void on_alarm(int number)
{
    static const char text[] = "the time limit of this tool passed inside the Kafka client\n";
    (void)number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(EXIT_FAILURE);
    _exit(EXIT_FAILURE);
}

/* The last bound: some librdkafka calls wait far beyond the time-out they were given (60 s were
 * seen on a frozen broker). Without this a test could hang in one. */
static inline void limit_life(long seconds)
{
    struct sigaction action = { .sa_handler = on_alarm };
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    alarm((unsigned)seconds);
}

static inline void write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            die("cannot write: %s", strerror(errno));
        data += written;
        size -= (size_t)written;
    }
}

/* ---------------------------------------------------------------- base64 */

static inline size_t base64_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Writes base64_size(size) characters, no terminating NUL. Returns the end. */
static inline char *base64_encode(char *to, const void *from, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = from;
    for (; size >= 3; size -= 3, in += 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = digits[bits >> 6 & 63];
        *to++ = digits[bits & 63];
    }
    if (size > 0) {
        uint32_t bits = (uint32_t)in[0] << 16 | (size == 2 ? (uint32_t)in[1] << 8 : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = size == 2 ? digits[bits >> 6 & 63] : '=';
        *to++ = '=';
    }
    return to;
}

static inline int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes at most size / 4 * 3 bytes; returns how many, or -1 if `from` is not padded base64. */
static inline ssize_t base64_decode(char *to, const char *from, size_t size)
{
    size_t padding = 0;
    char *start = to;
    if (size % 4 != 0)
        return -1;
    while (size > 0 && padding < 2 && from[size - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < size; i += 4) {
        int keep = i + 4 == size ? 3 - (int)padding : 3;
        uint32_t bits = 0;
        for (int j = 0; j < 4; j++) {
            int digit = j <= keep ? base64_digit(from[i + (size_t)j]) : 0;
            if (digit < 0)
                return -1;
            bits = bits << 6 | (uint32_t)digit;
        }
        for (int j = 0; j < keep; j++)
            *to++ = (char)(bits >> (16 - 8 * j) & 255);
    }
    return to - start;
}

/* ---------------------------------------------------------------- client handles */

/* The -X key=value pairs of the command line; they win over what a tool sets itself. */
static const char *extra_settings[MAX_SETTINGS];
static int extra_setting_count;

static inline void add_setting(const char *pair)
{
    if (extra_setting_count == MAX_SETTINGS || !strchr(pair, '='))
        die("-X wants at most %d pairs key=value; got '%s'", MAX_SETTINGS, pair);
    extra_settings[extra_setting_count++] = pair;
}

/* What most tools take, for getopt_long: -b BROKERS, --timeout S (1 h at most), -X k=v. */
#define COMMON_OPTIONS \
    { "brokers", 1, NULL, 'b' }, \
    { \
        "timeout", 1, NULL, 's' \
    }

/* False: it is none of them. */
static inline bool read_common_option(int letter, const char **brokers, long *timeout_s)
{
    if (letter == 'b')
        *brokers = optarg;
    else if (letter == 's')
        *timeout_s = parse_number("--timeout", optarg, 1, 3600);
    else if (letter == 'X')
        add_setting(optarg);
    else
        return false;
    return true;
}

static inline void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char error[512];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        die("%s", error);
}

/* Settings every tool starts from: reconnect quickly after a broker restart (the default back-off
 * of up to 10 s costs seconds), give up on a silent broker in 10 s instead of 60, and stay silent
 * while a test kills brokers on purpose (errors that matter reach the tool as results). */
static inline rd_kafka_conf_t *common_conf(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "reconnect.backoff.ms", "50");
    set(conf, "reconnect.backoff.max.ms", "500");
    set(conf, "socket.timeout.ms", "10000");
    set(conf, "message.max.bytes", "8388608");
    set(conf, "log_level", "2");
    return conf;
}

static inline rd_kafka_t *open_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char error[512];
    for (int i = 0; i < extra_setting_count; i++) {
        char key[128];
        const char *equals = strchr(extra_settings[i], '=');
        snprintf(key, sizeof key, "%.*s", (int)(equals - extra_settings[i]), extra_settings[i]);
        set(conf, key, equals + 1);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof error);
    if (!rk)
        die("%s", error);
    return rk;
}

/* A consumer that assigns its partitions itself and fails where it would silently skip. */
static inline rd_kafka_conf_t *consumer_conf(const char *brokers, const char *isolation)
{
    char group[64];
    rd_kafka_conf_t *conf = common_conf(brokers);
    snprintf(group, sizeof group, "%s-%ld", program_invocation_short_name, (long)getpid());
    set(conf, "group.id", group); /* required by the library, used for nothing */
    set(conf, "isolation.level", isolation);
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "auto.offset.reset", "error");
    /* At a prefetch limit the fetcher sleeps up to 1 s: bound memory by bytes, and generously. */
    set(conf, "queued.min.messages", "1000000");
    set(conf, "queued.max.messages.kbytes", "65536");
    set(conf, "fetch.message.max.bytes", "4194304");
    set(conf, "fetch.wait.max.ms", "100");
    return conf;
}

/* How many partitions the topic has, 0 if it does not exist. Assigning or producing to a topic that
 * does not exist raises no event at all, so tools ask first. *error is 0 if the broker answered. */
static inline int count_partitions(rd_kafka_t *rk, const char *topic, int timeout_ms,
    rd_kafka_resp_err_t *error)
{
    const struct rd_kafka_metadata *metadata;
    int count = 0;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
    if (!rkt)
        die("topic name '%s' is not possible", topic);
    *error = rd_kafka_metadata(rk, 0, rkt, &metadata, timeout_ms);
    rd_kafka_topic_destroy(rkt);
    if (*error)
        return 0;
    if (metadata->topic_cnt == 1) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[0];
        if (found->err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
            *error = found->err;
        else if (!found->err)
            count = found->partition_cnt;
    }
    for (int i = 0; i < count; i++)
        if (metadata->topics[0].partitions[i].leader < 0)
            *error = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    rd_kafka_metadata_destroy(metadata);
    if (count > MAX_PARTITIONS)
        die("topic '%s' has %d partitions, more than %d", topic, count, MAX_PARTITIONS);
    return *error ? 0 : count;
}

/* The same, patiently: until a broker answers and every partition has a leader. Dies if there is no
 * answer in time, or no such topic for a whole second: a broker that was just frozen or started may
 * lag behind the others. */
static inline int require_topic(rd_kafka_t *rk, const char *topic, long timeout_s)
{
    int64_t deadline = clock_us() + timeout_s * 1000000;
    int64_t missing_since = 0;
    rd_kafka_resp_err_t error;
    for (;;) {
        int count = count_partitions(rk, topic, 2000, &error);
        if (count > 0)
            return count;
        if (!error && missing_since == 0)
            missing_since = clock_us();
        if (!error && clock_us() - missing_since > 1000000)
            die("topic '%s' does not exist", topic);
        if (clock_us() > deadline || stop_signals > 0)
            die("no metadata of topic '%s' within %ld s: %s", topic, timeout_s,
                rd_kafka_err2str(error));
        usleep(50000);
    }
}

/* The end offset of each partition: the last stable offset on a read_committed consumer handle, the
 * high watermark otherwise. `at` is RD_KAFKA_OFFSET_END or _BEGINNING. One request per broker. */
static inline rd_kafka_resp_err_t query_offsets(rd_kafka_t *rk, const char *topic, int partitions,
    int64_t at, int timeout_ms, int64_t *offsets)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = at;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(rk, list, timeout_ms);
    for (int i = 0; !error && i < partitions; i++) {
        error = list->elems[i].err;
        offsets[list->elems[i].partition] = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return error;
}

#endif
