/* publisher_options.h -- the command line of kafka_publisher.c, as a table. Included once, by it. */
#ifndef WEIR_TEST_PUBLISHER_OPTIONS_H
#define WEIR_TEST_PUBLISHER_OPTIONS_H

#include <weir/connector.h>

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARALLELISM_MAX 16
#define UNITS_MAX       64
#define SETTINGS_MAX    32

/* Thread: main. */
struct options {
    struct weir_kafka_sink_options sink;
    const char *dir;
    uint32_t parallelism, units, records, size, interval_ms, give_up;
    uint64_t epochs, seed, huge_at;
    bool is_keyless, is_finishing;
    const char *settings[SETTINGS_MAX + 1];
    uint32_t setting_count;
};

_Noreturn static void usage(void)
{
    fputs("usage: kafka_publisher --brokers B --topic T --dir DIR ...; see its source\n", stderr);
    exit(2);
}

enum kind { TEXT, FLAG, NUMBER32, NUMBER64 };

/* Where each option goes. `fallback` of numbers. */
static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    uint64_t max, fallback;
} rows[] = {
    { "brokers", TEXT, offsetof(struct options, sink.brokers), 0, 0 },
    { "topic", TEXT, offsetof(struct options, sink.topic), 0, 0 },
    { "token-topic", TEXT, offsetof(struct options, sink.token_topic), 0, 0 },
    { "dir", TEXT, offsetof(struct options, dir), 0, 0 },
    { "republish", FLAG, offsetof(struct options, sink.republish), 0, 0 },
    { "keyless", FLAG, offsetof(struct options, is_keyless), 0, 0 },
    { "finish", FLAG, offsetof(struct options, is_finishing), 0, 0 },
    { "chunk-size", NUMBER32, offsetof(struct options, sink.chunk_size), UINT32_MAX, 0 },
    { "parallelism", NUMBER32, offsetof(struct options, parallelism), PARALLELISM_MAX, 2 },
    { "units", NUMBER32, offsetof(struct options, units), UNITS_MAX, 4 },
    { "records", NUMBER32, offsetof(struct options, records), 10000000, 10 },
    { "size", NUMBER32, offsetof(struct options, size), 8u << 20, 100 },
    { "interval-ms", NUMBER32, offsetof(struct options, interval_ms), 60000, 20 },
    { "give-up", NUMBER32, offsetof(struct options, give_up), 100, 0 },
    { "epochs", NUMBER64, offsetof(struct options, epochs), UINT32_MAX, UINT32_MAX },
    { "seed", NUMBER64, offsetof(struct options, seed), UINT64_MAX, 1 },
    { "huge-at", NUMBER64, offsetof(struct options, huge_at), UINT64_MAX, 0 },
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static void put_number(struct options *options, const struct row *row, uint64_t value)
{
    char *at = (char *)options + row->offset;
    uint32_t value32 = (uint32_t)value;
    if (row->kind == NUMBER32)
        memcpy(at, &value32, sizeof(value32));
    else if (row->kind == NUMBER64)
        memcpy(at, &value, sizeof(value));
}

static void put_option(struct options *options, const struct row *row, const char *text)
{
    char *at = (char *)options + row->offset;
    if (row->kind == TEXT) {
        memcpy(at, &text, sizeof(text));
    } else if (row->kind == FLAG) {
        *(bool *)at = true;
    } else {
        char *end;
        unsigned long long value = strtoull(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0' || value > row->max)
            usage();
        put_number(options, row, value);
    }
}

static void parse_options(struct options *options, int argc, char **argv)
{
    struct option names[ROW_COUNT + 1] = { 0 };
    for (size_t i = 0; i < ROW_COUNT; i++) {
        names[i] = (struct option){ rows[i].name, rows[i].kind != FLAG, NULL, (int)i + 256 };
        put_number(options, &rows[i], rows[i].fallback);
    }
    int letter;
    while ((letter = getopt_long(argc, argv, "X:", names, NULL)) != -1) {
        if (letter >= 256)
            put_option(options, &rows[letter - 256], optarg);
        else if (letter == 'X' && options->setting_count < SETTINGS_MAX)
            options->settings[options->setting_count++] = optarg;
        else
            usage();
    }
    if (options->is_finishing)
        options->epochs = 0;
    if (options->sink.brokers == NULL || options->sink.topic == NULL || options->dir == NULL ||
        options->parallelism == 0 || optind != argc)
        usage();
    options->sink.format = weir_raw();
    options->sink.client = options->settings;
}

#endif
