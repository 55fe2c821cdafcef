/* kafka_copy.c -- a job that copies a Kafka topic: to files as "partition TAB offset TAB value" lines, or to
 * another topic. With it the Kafka connectors are tested through the engine.
 *
 *   kafka_copy [run] --brokers B --topic T (--out DIR | --out-topic T) [--bounded] [--from-latest]
 *       [--group G] [--discovery-interval TIME] [OPTIONS OF EVERY JOB]
 *
 * It links the engine, so make builds it. */
#include <weir/weir.h>

#include <inttypes.h>
#include <stdio.h>

static weir_error *with_position(weir_ctx *ctx, const void *in, void *out)
{
    const struct weir_message *message = in;
    struct weir_message *line = out;
    char head[64];
    int size =
        snprintf(head, sizeof(head), "%d\t%" PRId64 "\t", message->partition, message->offset);
    char *text = weir_scratch(ctx, (size_t)size + message->value.size);
    memcpy(text, head, (size_t)size);
    if (message->value.size > 0)
        memcpy(text + size, message->value.data, message->value.size);
    *line = *message;
    line->value = (weir_str){ .data = text, .size = (size_t)size + message->value.size };
    return NULL;
}

static void build(weir_job *job)
{
    const char *brokers = weir_job_text(job, "brokers");
    const char *out = weir_job_text(job, "out"), *out_topic = weir_job_text(job, "out-topic");
    weir_stream *in = weir_source(job, "in",
        weir_kafka_source(.brokers = brokers, .topic = weir_job_text(job, "topic"),
            .group = weir_job_text(job, "group"), .format = weir_raw(),
            .bounded = weir_job_flag(job, "bounded"),
            .from_latest = weir_job_flag(job, "from-latest"),
            .discovery_interval_ms = weir_job_number(job, "discovery-interval")));
    if (out != NULL)
        weir_sink(weir_map(in, "with-position", with_position, &weir_message_type, NULL), "files",
            weir_file_sink(.path = out, .suffix = "txt", .format = weir_raw()));
    if (out_topic != NULL)
        weir_sink(in, "topic",
            weir_kafka_sink(.brokers = brokers, .topic = out_topic, .format = weir_raw()));
}

int main(int argc, char **argv)
{
    static const struct weir_option options[] = {
        { "brokers", WEIR_OPTION_TEXT, "HOST:PORT", "localhost:9092", "Of both topics.", 0, 0 },
        { "topic", WEIR_OPTION_TEXT, "NAME", NULL, "What to read.", 0, 0 },
        { "group", WEIR_OPTION_TEXT, "NAME", NULL, "Where positions are committed to.", 0, 0 },
        { "bounded", WEIR_OPTION_FLAG, NULL, NULL, "Stop at the present end.", 0, 0 },
        { "from-latest", WEIR_OPTION_FLAG, NULL, NULL, "Start at the present end.", 0, 0 },
        { "discovery-interval", WEIR_OPTION_DURATION, "TIME", "0", "For new partitions.", 0, 0 },
        { "out", WEIR_OPTION_TEXT, "DIR", NULL, "Where lines go.", 0, 0 },
        { "out-topic", WEIR_OPTION_TEXT, "NAME", NULL, "Where records go.", 0, 0 },
    };
    return weir_main_program(argc, argv,
        &(struct weir_program){ "kafka-copy", "Copies a Kafka topic.", options,
            sizeof(options) / sizeof(options[0]), build });
}
