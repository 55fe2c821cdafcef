/*
 * kafka_topic: create, grow, delete, describe and trim topics of a test broker.
 *
 *   kafka_topic -b BROKERS create NAME [-p N] [-r N] [-c key=value]... [--if-not-exists]
 *   kafka_topic -b BROKERS grow NAME -p N            to N partitions in total
 *   kafka_topic -b BROKERS delete NAME
 *   kafka_topic -b BROKERS describe NAME             one JSON object on stdout
 *   kafka_topic -b BROKERS trim NAME --before N      deletes records below offset N, in every partition
 *   kafka_topic -b BROKERS committed NAME --group G  the group's offsets, a JSON list; null: none
 *   kafka_topic -b BROKERS join NAME --group G       is a member of the group until a signal; says "joined"
 *
 * create, grow and delete return only when the metadata of every live broker shows the change and
 * every partition has a leader, so that whatever runs next does not meet a topic that "does not
 * exist" yet. In a cluster the brokers learn of it one after the other, up to some 100 ms apart.
 *
 * describe tells three offsets of each partition: low, high (the end, open and aborted transactions
 * included) and stable (the last stable offset: what a read_committed reader can reach). No single
 * call tells both ends: the isolation level is a setting of the handle, so it takes two handles.
 *
 * Every wait ends at --timeout seconds (default 30).
 */
#include "tool.h"

#include <getopt.h>

enum { MAX_CONFIGS = 32 };

struct options {
    const char *brokers;
    const char *verb;
    const char *topic;
    int partitions;
    int replication;
    long timeout_s;
    bool if_not_exists;
    long before;
    const char *group;
    int config_count;
    char *configs[MAX_CONFIGS];
};

static void usage(void)
{
    fputs("usage: kafka_topic -b BROKERS create|grow|delete|describe|trim|committed|join NAME\n"
          "           [-p PARTITIONS] [-r REPLICATION] [-c key=value]... [--if-not-exists]\n"
          "           [--before OFFSET] [--group GROUP] [--timeout S] [-X k=v]...\n",
        stderr);
    exit(EXIT_USAGE);
}

static void read_option(struct options *options, int letter)
{
    if (letter == 'b')
        options->brokers = optarg;
    else if (letter == 'p')
        options->partitions = (int)parse_number("-p", optarg, 1, MAX_PARTITIONS);
    else if (letter == 'r')
        options->replication = (int)parse_number("-r", optarg, 1, 100);
    else if (letter == 'i')
        options->if_not_exists = true;
    else if (letter == 't')
        options->timeout_s = parse_number("--timeout", optarg, 1, 600);
    else if (letter == 'B')
        options->before = parse_number("--before", optarg, 0, LONG_MAX);
    else if (letter == 'g')
        options->group = optarg;
    else if (letter == 'X')
        add_setting(optarg);
    else if (letter == 'c' && options->config_count < MAX_CONFIGS && strchr(optarg, '='))
        options->configs[options->config_count++] = optarg;
    else
        usage();
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = { { "brokers", 1, NULL, 'b' },
        { "partitions", 1, NULL, 'p' }, { "replication", 1, NULL, 'r' }, { "config", 1, NULL, 'c' },
        { "if-not-exists", 0, NULL, 'i' }, { "timeout", 1, NULL, 't' }, { "before", 1, NULL, 'B' },
        { "group", 1, NULL, 'g' }, { NULL, 0, NULL, 0 } };
    struct options options = { .partitions = 0, .replication = -1, .timeout_s = 30 };
    int letter;
    while ((letter = getopt_long(argc, argv, "b:p:r:c:X:", names, NULL)) != -1)
        read_option(&options, letter);
    if (!options.brokers || optind + 2 != argc)
        usage();
    options.verb = argv[optind];
    options.topic = argv[optind + 1];
    return options;
}

/* ---------------------------------------------------------------- admin requests */

/* What the broker said about the one topic of a result. */
static rd_kafka_resp_err_t topic_error(const rd_kafka_topic_result_t **results, size_t count,
    const char **text)
{
    if (count != 1)
        die("the broker answered for %zu topics instead of one", count);
    *text = rd_kafka_topic_result_error_string(results[0]);
    return rd_kafka_topic_result_error(results[0]);
}

static const rd_kafka_topic_result_t **topic_results(rd_kafka_event_t *event, size_t *count)
{
    rd_kafka_event_type_t type = rd_kafka_event_type(event);
    *count = 0;
    if (type == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
        return rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
            count);
    if (type == RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT)
        return rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(
                                                           event),
            count);
    if (type == RD_KAFKA_EVENT_DELETETOPICS_RESULT)
        return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
            count);
    die("unexpected event %s", rd_kafka_event_name(event));
}

static void finish(const struct options *options, rd_kafka_queue_t *queue,
    rd_kafka_resp_err_t accepted)
{
    const char *text;
    size_t count;
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)options->timeout_s * 1000 + 1000);
    if (!event)
        die("%s '%s': no answer within %ld s", options->verb, options->topic, options->timeout_s);
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (error)
        die("%s '%s': %s", options->verb, options->topic, rd_kafka_event_error_string(event));
    const rd_kafka_topic_result_t **results = topic_results(event, &count);
    error = topic_error(results, count, &text);
    if (error && error != accepted)
        die("%s '%s': %s", options->verb, options->topic, text ? text : rd_kafka_err2str(error));
    rd_kafka_event_destroy(event);
}

static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *rk, const struct options *options)
{
    char error[256];
    int timeout_ms = (int)options->timeout_s * 1000;
    rd_kafka_AdminOptions_t *admin = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_ANY);
    if (rd_kafka_AdminOptions_set_request_timeout(admin, timeout_ms, error, sizeof error))
        die("%s", error);
    return admin;
}

/* Whether this broker, asked over a handle that knows no other yet, shows `wanted` partitions. */
static bool broker_shows(const struct rd_kafka_metadata_broker *broker,
    const struct options *options, int wanted)
{
    char address[300];
    rd_kafka_resp_err_t error;
    snprintf(address, sizeof address, "%s:%d", broker->host, broker->port);
    rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, consumer_conf(address, "read_committed"));
    int count = count_partitions(rk, options->topic, 2000, &error);
    rd_kafka_destroy(rk);
    return !error && count == wanted;
}

static bool all_brokers_show(rd_kafka_t *rk, const struct options *options, int wanted)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 0, NULL, &metadata, 2000))
        return false;
    bool all = metadata->broker_cnt > 0;
    for (int i = 0; all && i < metadata->broker_cnt; i++)
        all = broker_shows(&metadata->brokers[i], options, wanted);
    rd_kafka_metadata_destroy(metadata);
    return all;
}

/* Until the change is everywhere; `wanted` is 0 if the topic shall be gone. */
static void wait_for_partitions(rd_kafka_t *rk, const struct options *options, int wanted)
{
    int64_t deadline = clock_us() + options->timeout_s * 1000000;
    while (!all_brokers_show(rk, options, wanted)) {
        if (clock_us() > deadline)
            die("%s '%s': after %ld s not every broker shows %d partitions with leaders",
                options->verb, options->topic, options->timeout_s, wanted);
        usleep(10000);
    }
}

static void create(rd_kafka_t *rk, rd_kafka_queue_t *queue, const struct options *options)
{
    char error[256];
    int partitions = options->partitions ? options->partitions : 1;
    rd_kafka_AdminOptions_t *admin = admin_options(rk, options);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(options->topic, partitions,
        options->replication, error, sizeof error);
    if (!topic)
        die("%s", error);
    for (int i = 0; i < options->config_count; i++) {
        char *equals = strchr(options->configs[i], '=');
        *equals = '\0';
        if (rd_kafka_NewTopic_set_config(topic, options->configs[i], equals + 1))
            die("topic setting '%s' is not possible", options->configs[i]);
    }
    rd_kafka_CreateTopics(rk, &topic, 1, admin, queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_AdminOptions_destroy(admin);
    finish(options, queue,
        options->if_not_exists ? RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS
                               : RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_for_partitions(rk, options, partitions);
}

static void grow(rd_kafka_t *rk, rd_kafka_queue_t *queue, const struct options *options)
{
    char error[256];
    if (!options->partitions)
        usage();
    rd_kafka_AdminOptions_t *admin = admin_options(rk, options);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(options->topic,
        (size_t)options->partitions, error, sizeof error);
    if (!more)
        die("%s", error);
    rd_kafka_CreatePartitions(rk, &more, 1, admin, queue);
    rd_kafka_NewPartitions_destroy(more);
    rd_kafka_AdminOptions_destroy(admin);
    finish(options, queue, RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_for_partitions(rk, options, options->partitions);
}

static void delete_topic(rd_kafka_t *rk, rd_kafka_queue_t *queue, const struct options *options)
{
    rd_kafka_AdminOptions_t *admin = admin_options(rk, options);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(options->topic);
    rd_kafka_DeleteTopics(rk, &topic, 1, admin, queue);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_AdminOptions_destroy(admin);
    finish(options, queue, RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_for_partitions(rk, options, 0);
}

/* ---------------------------------------------------------------- describe */

static void query_patiently(rd_kafka_t *rk, const struct options *options, int partitions,
    int64_t at, int64_t *offsets)
{
    int64_t deadline = clock_us() + options->timeout_s * 1000000;
    for (;;) {
        rd_kafka_resp_err_t error =
            query_offsets(rk, options->topic, partitions, at, 2000, offsets);
        if (!error)
            return;
        if (clock_us() > deadline)
            die("no offsets of '%s' within %ld s: %s", options->topic, options->timeout_s,
                rd_kafka_err2str(error));
        usleep(20000);
    }
}

static void describe(rd_kafka_t *uncommitted, const struct options *options)
{
    static int64_t low[MAX_PARTITIONS], high[MAX_PARTITIONS], stable[MAX_PARTITIONS];
    rd_kafka_t *committed =
        open_client(RD_KAFKA_CONSUMER, consumer_conf(options->brokers, "read_committed"));
    int partitions = require_topic(uncommitted, options->topic, options->timeout_s);
    /* In this order, stable <= high holds in the answer however fast the topic grows. */
    query_patiently(committed, options, partitions, RD_KAFKA_OFFSET_BEGINNING, low);
    query_patiently(committed, options, partitions, RD_KAFKA_OFFSET_END, stable);
    query_patiently(uncommitted, options, partitions, RD_KAFKA_OFFSET_END, high);
    printf("{\"topic\":\"%s\",\"partitions\":[", options->topic);
    for (int i = 0; i < partitions; i++)
        printf("%s{\"partition\":%d,\"low\":%lld,\"high\":%lld,\"stable\":%lld}", i ? "," : "", i,
            (long long)low[i], (long long)high[i], (long long)stable[i]);
    printf("]}\n");
    rd_kafka_destroy(committed);
}

/* ---------------------------------------------------------------- trim, committed */

static rd_kafka_topic_partition_list_t *all_partitions(rd_kafka_t *rk,
    const struct options *options, int64_t offset)
{
    int partitions = require_topic(rk, options->topic, options->timeout_s);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, options->topic, i)->offset = offset;
    return list;
}

static void trim(rd_kafka_t *rk, rd_kafka_queue_t *queue, const struct options *options)
{
    rd_kafka_AdminOptions_t *admin = admin_options(rk, options);
    rd_kafka_topic_partition_list_t *list = all_partitions(rk, options, options->before);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(rk, &request, 1, admin, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)options->timeout_s * 1000 + 1000);
    if (!event || rd_kafka_event_error(event))
        die("trim '%s': %s", options->topic,
            event ? rd_kafka_event_error_string(event) : "no answer in time");
    const rd_kafka_topic_partition_list_t *done =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    for (int i = 0; i < done->cnt; i++)
        if (done->elems[i].err)
            die("trim '%s': partition %d: %s", options->topic, done->elems[i].partition,
                rd_kafka_err2str(done->elems[i].err));
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_AdminOptions_destroy(admin);
}

static void committed(const struct options *options)
{
    if (!options->group)
        usage();
    rd_kafka_conf_t *conf = consumer_conf(options->brokers, "read_committed");
    set(conf, "group.id", options->group);
    rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *list = all_partitions(rk, options, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_resp_err_t error = rd_kafka_committed(rk, list, (int)options->timeout_s * 1000);
    if (error)
        die("committed '%s': %s", options->topic, rd_kafka_err2str(error));
    for (int i = 0; i < list->cnt; i++) {
        printf(i ? "," : "[");
        if (list->elems[i].offset < 0)
            printf("null");
        else
            printf("%lld", (long long)list->elems[i].offset);
    }
    printf("]\n");
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
}

static void join(const struct options *options)
{
    if (!options->group)
        usage();
    rd_kafka_conf_t *conf = consumer_conf(options->brokers, "read_committed");
    set(conf, "group.id", options->group);
    set(conf, "auto.offset.reset", "earliest");
    rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, options->topic, RD_KAFKA_PARTITION_UA);
    if (rd_kafka_subscribe(rk, list))
        die("join '%s': cannot subscribe", options->topic);
    rd_kafka_topic_partition_list_destroy(list);
    bool joined = false;
    while (stop_signals == 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message && !joined && (joined = true)) {
            printf("joined\n");
            fflush(stdout);
        }
        if (message)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    limit_life(options.timeout_s * 2 + 30);
    catch_stop_signals();
    rd_kafka_t *rk =
        open_client(RD_KAFKA_CONSUMER, consumer_conf(options.brokers, "read_uncommitted"));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    if (strcmp(options.verb, "create") == 0)
        create(rk, queue, &options);
    else if (strcmp(options.verb, "grow") == 0)
        grow(rk, queue, &options);
    else if (strcmp(options.verb, "delete") == 0)
        delete_topic(rk, queue, &options);
    else if (strcmp(options.verb, "describe") == 0)
        describe(rk, &options);
    else if (strcmp(options.verb, "trim") == 0)
        trim(rk, queue, &options);
    else if (strcmp(options.verb, "committed") == 0)
        committed(&options);
    else if (strcmp(options.verb, "join") == 0)
        join(&options);
    else
        usage();
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
