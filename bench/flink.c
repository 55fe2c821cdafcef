/* flink.c -- Weir's half of the comparison with Flink: one workload, one process, one line of JSON.
 *
 *     bench_flink run --workload q0 --count 20000000 --warm 5000000 [--digest] [OPTIONS OF EVERY JOB]
 *
 * bench/flink/compare.py runs it and Flink's half in turn; bench/README.md says what is compared. Each workload is
 * written as a user would write it, and its twin in bench/flink does the same on the same events. CPU is that
 * of the process from event `warm` on (its source marks it) to the end of the job, whose last checkpoint is in it.
 *
 * Digest: the sum of a hash of each row that comes out. Its texts count with their bytes under --digest, else with
 * their lengths, so that a timed run says what came out and hardly pays for it; `generator` adds three fields up.
 *
 * Without arguments it says so and does nothing. */
#include <weir/weir.h>

#include "test/support/nexmark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define SEED       7
#define STARTED    "WEIR_BENCH_STARTED_NS" /* monotonic, when the process was made */
#define HOUR_MS    INT64_C(3600000)
#define DAY_MS     (24 * HOUR_MS)
#define WINDOW_MS  INT64_C(10000)
#define CLOCK_ROWS 256 /* from one look at the clock to the next, as in Seen.java */

/* Thread: immutable after init, that is, once the graph is built. */
static struct {
    uint64_t count, warm, keys;
    bool is_zipf, is_full;
} asked;

/* Thread: task, of which there is one (parallelism 1); main reads it when the job is over. */
static struct {
    uint64_t digest, rows, events;
    int64_t warm_cpu_ns, warm_ns; /* 0: event `warm` has not come */
    int64_t first_ns, last_ns, pause_ns;
} seen;

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Of each event at the source. */
static void count_event(void)
{
    if (seen.events++ != asked.warm)
        return;
    seen.warm_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    seen.warm_ns = now_ns(CLOCK_MONOTONIC);
}

/* -- the sink of all ------------------------------------------------------------------------------------ */

typedef uint64_t digest_fn(const void *row);

static weir_error *open_sink(weir_ctx *ctx, const void *options, void *instance)
{
    (void)ctx;
    *(digest_fn **)instance = *(digest_fn *const *)options;
    return NULL;
}

static void look_at_clock(void)
{
    int64_t now = now_ns(CLOCK_MONOTONIC);
    if (seen.first_ns == 0)
        seen.first_ns = now;
    else if (seen.warm_ns > 0 && now - seen.last_ns > seen.pause_ns)
        seen.pause_ns = now - seen.last_ns;
    seen.last_ns = now;
}

/* Rows may come one by one, so it is not each call that looks at the clock. */
static weir_error *write_sink(weir_ctx *ctx, void *instance, const struct weir_row *rows,
    uint32_t row_count)
{
    digest_fn *digest = *(digest_fn **)instance;
    (void)ctx;
    if (seen.rows % CLOCK_ROWS + row_count >= CLOCK_ROWS || seen.rows == 0)
        look_at_clock();
    seen.rows += row_count;
    for (uint32_t i = 0; i < row_count; i++)
        seen.digest += digest(rows[i].record);
    return NULL;
}

static void close_sink(weir_ctx *ctx, void *instance)
{
    (void)ctx;
    (void)instance;
}

static const struct weir_sink_class digesting = { .name = "digesting",
    .options_size = sizeof(digest_fn *),
    .instance_size = sizeof(digest_fn *),
    .open = open_sink,
    .write = write_sink,
    .close = close_sink };

static void sink_digest(weir_stream *in, digest_fn *digest)
{
    weir_sink(in, "digest", weir_sink_of(&digesting, &digest));
}

/* -- bids ----------------------------------------------------------------------------------------------- */

static void make_event(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)seed;
    count_event();
    nexmark_make(index, record, weir_scratch(ctx, nexmark_text_max(index)));
}

static weir_stream *events(weir_job *job)
{
    nexmark_init(SEED);
    return weir_source(job, "events",
        weir_generator(.type = &nexmark_event_type, .generate = make_event, .seed = SEED,
            .count = asked.count));
}

static bool is_bid(weir_ctx *ctx, const void *record)
{
    (void)ctx;
    return ((const struct nexmark_event *)record)->kind == NEXMARK_BID;
}

static weir_stream *bids(weir_job *job)
{
    return weir_filter(events(job), "bids", is_bid, NULL);
}

/* The events alone, what both sides pay before anything of theirs begins: one record makes all of them, and tells their
 * digest. */
static void make_all(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    struct nexmark_event event;
    char text[NEXMARK_TEXT_MAX];
    uint64_t digest = 0;
    (void)seed;
    (void)index;
    (void)ctx;
    for (uint64_t i = 0; i < asked.count; i++) {
        count_event();
        event = (struct nexmark_event){ .at_ms = 0 };
        nexmark_make(i, &event, text);
        digest += asked.is_full ? nexmark_digest(&event)
                                : (uint64_t)(event.id ^ event.price) ^ event.extra.size;
    }
    ((struct nexmark_event *)record)->id = (int64_t)digest;
}

static uint64_t digest_of_all(const void *row)
{
    return (uint64_t)((const struct nexmark_event *)row)->id;
}

static void build_generator(weir_job *job)
{
    nexmark_init(SEED);
    sink_digest(weir_source(job, "all",
                    weir_generator(.type = &nexmark_event_type, .generate = make_all, .seed = SEED,
                        .count = 1)),
        digest_of_all);
}

/* q0: auction, bidder, price, time, extra; q1: the price in another currency, in thousandths. */
struct bid {
    int64_t auction, bidder, price, at_ms;
    weir_str extra;
};
WEIR_TYPE(bid, WEIR_FIELD(1, bid, auction), WEIR_FIELD(2, bid, bidder), WEIR_FIELD(3, bid, price),
    WEIR_FIELD(4, bid, at_ms), WEIR_FIELD(5, bid, extra));

static uint64_t bid_digest(const void *row)
{
    const struct bid *bid = row;
    uint64_t digest = digest_number(digest_number(0, bid->auction), bid->bidder);
    digest = digest_number(digest_number(digest, bid->price), bid->at_ms);
    return digest_text(digest, bid->extra, asked.is_full);
}

static weir_error *project(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct nexmark_event *event = in;
    *(struct bid *)out = (struct bid){ .auction = event->id,
        .bidder = event->party,
        .price = event->price,
        .at_ms = event->at_ms,
        .extra = event->extra };
    return NULL;
}

static weir_error *convert(weir_ctx *ctx, const void *in, void *out)
{
    WEIR_TRY(project(ctx, in, out));
    ((struct bid *)out)->price *= 908;
    return NULL;
}

static void build_q0(weir_job *job)
{
    sink_digest(weir_map(bids(job), "project", project, &bid_type, NULL), bid_digest);
}

static void build_q1(weir_job *job)
{
    sink_digest(weir_map(bids(job), "convert", convert, &bid_type, NULL), bid_digest);
}

/* q2: price of each 123rd auction. */
static bool is_chosen(weir_ctx *ctx, const void *record)
{
    return is_bid(ctx, record) && ((const struct nexmark_event *)record)->id % 123 == 0;
}

static uint64_t price_digest(const void *row)
{
    const struct bid *bid = row;
    return digest_number(digest_number(0, bid->auction), bid->price);
}

static void build_q2(weir_job *job)
{
    weir_stream *chosen = weir_filter(events(job), "chosen", is_chosen, NULL);
    sink_digest(weir_map(chosen, "project", project, &bid_type, NULL), price_digest);
}

/* q14: bids of a middling price with the part of the day, and how often 'c' is in their extra text. */
struct timed_bid {
    int64_t auction, bidder, price, at_ms, count;
    weir_str part, extra;
};
WEIR_TYPE(timed_bid, WEIR_FIELD(1, timed_bid, auction), WEIR_FIELD(2, timed_bid, bidder),
    WEIR_FIELD(3, timed_bid, price), WEIR_FIELD(4, timed_bid, at_ms),
    WEIR_FIELD(5, timed_bid, count), WEIR_FIELD(6, timed_bid, part),
    WEIR_FIELD(7, timed_bid, extra));

static bool is_middling(weir_ctx *ctx, const void *record)
{
    int64_t price = ((const struct nexmark_event *)record)->price * 908;
    return is_bid(ctx, record) && price > INT64_C(1000000000) && price < INT64_C(50000000000);
}

static weir_str part_of_day(int64_t at_ms)
{
    int64_t hour = at_ms % DAY_MS / HOUR_MS;
    if (hour >= 8 && hour <= 18)
        return WEIR_STR("dayTime");
    return hour <= 6 || hour >= 20 ? WEIR_STR("nightTime") : WEIR_STR("otherTime");
}

/* How often a letter is in a text, eight bytes at a time: a byte of `others` has its highest bit where another one is. */
static int64_t count_of(weir_str text, char letter)
{
    const uint64_t ones = UINT64_MAX / 255, low = ones * 127, wanted = ones * (uint8_t)letter;
    uint64_t count = 0, i = 0, word;
    for (; i + sizeof(word) <= text.size; i += sizeof(word)) {
        memcpy(&word, text.data + i, sizeof(word));
        word ^= wanted;
        uint64_t others = ((word & low) + low) | word;
        count += (~others >> 7 & ones) * ones >> 56;
    }
    for (; i < text.size; i++)
        count += text.data[i] == letter;
    return (int64_t)count;
}

static weir_error *tell_time(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct nexmark_event *event = in;
    *(struct timed_bid *)out = (struct timed_bid){ .auction = event->id,
        .bidder = event->party,
        .price = event->price * 908,
        .at_ms = event->at_ms,
        .count = count_of(event->extra, 'c'),
        .part = part_of_day(event->at_ms),
        .extra = event->extra };
    return NULL;
}

static uint64_t timed_digest(const void *row)
{
    const struct timed_bid *bid = row;
    uint64_t digest = digest_number(digest_number(0, bid->auction), bid->bidder);
    digest = digest_number(digest_number(digest, bid->price), bid->at_ms);
    digest = digest_text(digest_number(digest, bid->count), bid->part, asked.is_full);
    return digest_text(digest, bid->extra, asked.is_full);
}

static void build_q14(weir_job *job)
{
    weir_stream *middling = weir_filter(events(job), "middling", is_middling, NULL);
    sink_digest(weir_map(middling, "tell-time", tell_time, &timed_bid_type, NULL), timed_digest);
}

/* q21: the id of the channel: by its name, or as the URL says; without one there is no row. */
struct channel_bid {
    int64_t auction, bidder, price;
    weir_str channel, channel_id;
};
WEIR_TYPE(channel_bid, WEIR_FIELD(1, channel_bid, auction), WEIR_FIELD(2, channel_bid, bidder),
    WEIR_FIELD(3, channel_bid, price), WEIR_FIELD(4, channel_bid, channel),
    WEIR_FIELD(5, channel_bid, channel_id));

static bool is_named(weir_str text, weir_str name)
{
    return text.size == name.size && strncasecmp(text.data, name.data, name.size) == 0;
}

/* What (&|^)channel_id=([^&]*) finds: parameter by parameter, since one byte is sought faster than eleven. */
static weir_str id_in_url(weir_str url)
{
    static const char name[] = "channel_id=";
    const size_t size = sizeof(name) - 1;
    const char *end = url.data + url.size, *at = url.data;
    while (at != NULL && ((size_t)(end - at) < size || memcmp(at, name, size) != 0)) {
        at = memchr(at, '&', (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    if (at == NULL)
        return (weir_str){ .data = NULL };
    at += size;
    const char *stop = memchr(at, '&', (size_t)(end - at));
    return (weir_str){ .data = at, .size = (uint64_t)((stop == NULL ? end : stop) - at) };
}

static weir_str channel_id(const struct nexmark_event *bid)
{
    static const weir_str names[] = { { "apple", 5 }, { "google", 6 }, { "facebook", 8 },
        { "baidu", 5 } };
    static const weir_str ids[] = { { "0", 1 }, { "1", 1 }, { "2", 1 }, { "3", 1 } };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (is_named(bid->name, names[i]))
            return ids[i];
    return id_in_url(bid->text);
}

static weir_error *tell_channel(weir_ctx *ctx, const void *record)
{
    const struct nexmark_event *event = record;
    weir_str id = event->kind == NEXMARK_BID ? channel_id(event) : (weir_str){ .data = NULL };
    if (id.data != NULL)
        weir_emit(ctx, channel_bid,
            (&(struct channel_bid){ event->id, event->party, event->price, event->name, id }));
    return NULL;
}

static uint64_t channel_digest(const void *row)
{
    const struct channel_bid *bid = row;
    uint64_t digest = digest_number(digest_number(0, bid->auction), bid->bidder);
    digest = digest_text(digest_number(digest, bid->price), bid->channel, asked.is_full);
    return digest_text(digest, bid->channel_id, asked.is_full);
}

static void build_q21(weir_job *job)
{
    sink_digest(weir_flat_map(events(job), "tell-channel", tell_channel, &channel_bid_type, NULL),
        channel_digest);
}

/* q22: three parts of the URL. */
struct split_bid {
    int64_t auction, bidder, price;
    weir_str channel, parts[3];
};
static const struct weir_field split_bid_fields[] = { WEIR_FIELD(1, split_bid, auction),
    WEIR_FIELD(2, split_bid, bidder), WEIR_FIELD(3, split_bid, price),
    WEIR_FIELD(4, split_bid, channel), WEIR_FIELD(5, split_bid, parts[0]),
    WEIR_FIELD(6, split_bid, parts[1]), WEIR_FIELD(7, split_bid, parts[2]) };
static const struct weir_type split_bid_type = { .name = "split_bid",
    .size = sizeof(struct split_bid),
    .field_count = sizeof(split_bid_fields) / sizeof(split_bid_fields[0]),
    .fields = split_bid_fields };

static weir_str part_between(weir_str text, char separator, int index)
{
    const char *at = text.data, *end = text.data + text.size;
    for (; index > 0 && at != NULL; index--) {
        at = memchr(at, separator, (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    if (at == NULL)
        return (weir_str){ .data = NULL };
    const char *stop = memchr(at, separator, (size_t)(end - at));
    return (weir_str){ .data = at, .size = (uint64_t)((stop == NULL ? end : stop) - at) };
}

static weir_error *split_url(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct nexmark_event *event = in;
    struct split_bid *bid = out;
    *bid =
        (struct split_bid){ event->id, event->party, event->price, event->name, { { NULL, 0 } } };
    for (int i = 0; i < 3; i++)
        bid->parts[i] = part_between(event->text, '/', 3 + i);
    return NULL;
}

static uint64_t split_digest(const void *row)
{
    const struct split_bid *bid = row;
    uint64_t digest = digest_number(digest_number(0, bid->auction), bid->bidder);
    digest = digest_text(digest_number(digest, bid->price), bid->channel, asked.is_full);
    for (int i = 0; i < 3; i++)
        digest = digest_text(digest, bid->parts[i], asked.is_full);
    return digest;
}

static void build_q22(weir_job *job)
{
    sink_digest(weir_map(bids(job), "split-url", split_url, &split_bid_type, NULL), split_digest);
}

/* -- keyed ---------------------------------------------------------------------------------------------- */

/* What travels to a keyed operator, and what its states hold. */
struct triple {
    int64_t key, a, b;
};
WEIR_TYPE(triple, WEIR_FIELD(1, triple, key), WEIR_FIELD(2, triple, a), WEIR_FIELD(3, triple, b));

static uint64_t triple_digest(const void *row)
{
    const struct triple *triple = row;
    return digest_number(digest_number(digest_number(0, triple->key), triple->a), triple->b);
}

/* q12, in event time: bids of each bidder in windows of ten seconds. */
static weir_error *by_bidder(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct nexmark_event *event = in;
    *(struct triple *)out = (struct triple){ .key = event->party, .a = event->at_ms };
    return NULL;
}

/* A window is an entry of the map under its end. A watermark may be followed by records as old as itself, so it
 * closes the window whose end it reaches. */
static weir_error *count_bid(weir_ctx *ctx, const void *record)
{
    const struct triple *bid = record;
    int64_t end_ms = bid->a - bid->a % WINDOW_MS + WINDOW_MS;
    weir_str window = { .data = (const char *)&end_ms, .size = sizeof(end_ms) };
    struct triple *count = weir_map_edit(ctx, 0, window, triple);
    if (count->b++ == 0)
        weir_timer_set(ctx, WEIR_EVENT_TIME, end_ms);
    count->key = bid->key;
    return NULL;
}

static weir_error *close_window(weir_ctx *ctx, enum weir_time time, int64_t at_ms)
{
    (void)time;
    weir_str window = { .data = (const char *)&at_ms, .size = sizeof(at_ms) };
    const struct triple *count = weir_map_read(ctx, 0, window, triple);
    weir_emit(ctx, triple, (&(struct triple){ .key = count->key, .a = at_ms, .b = count->b }));
    weir_map_remove(ctx, 0, window);
    return NULL;
}

static const struct weir_state window_states[] = {
    { .name = "windows", .kind = WEIR_MAP, .type = &triple_type }
};
static const struct weir_operator windows = { .uid = "windows",
    .in = &triple_type,
    .out = &triple_type,
    .states = window_states,
    .state_count = 1,
    .has_timers = true,
    .on_record = count_bid,
    .on_timer = close_window };

static void build_q12(weir_job *job)
{
    weir_stream *timed =
        weir_filter(weir_event_time(events(job), nexmark_event, at_ms, 0), "bids", is_bid, NULL);
    weir_stream *pairs = weir_map(timed, "by-bidder", by_bidder, &triple_type, NULL);
    sink_digest(weir_process(weir_key_by(pairs, WEIR_KEY(triple, key)), &windows, NULL),
        triple_digest);
}

/* q17: of each auction and day, and after each bid, how many bids there were, three of it by price, and the
 * least, greatest and summed price. */
struct statistic {
    int64_t key, total, low, middle, high, min, max, sum;
};
WEIR_TYPE(statistic, WEIR_FIELD(1, statistic, key), WEIR_FIELD(2, statistic, total),
    WEIR_FIELD(3, statistic, low), WEIR_FIELD(4, statistic, middle), WEIR_FIELD(5, statistic, high),
    WEIR_FIELD(6, statistic, min), WEIR_FIELD(7, statistic, max), WEIR_FIELD(8, statistic, sum));

static uint64_t statistic_digest(const void *row)
{
    const struct statistic *it = row;
    uint64_t digest = digest_number(digest_number(0, it->key), it->total);
    digest = digest_number(digest_number(digest, it->low), it->middle);
    digest = digest_number(digest_number(digest, it->high), it->min);
    return digest_number(digest_number(digest, it->max), it->sum);
}

static weir_error *by_auction_and_day(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct nexmark_event *event = in;
    *(struct triple *)out =
        (struct triple){ .key = event->id << 16 | event->at_ms / DAY_MS, .a = event->price };
    return NULL;
}

static weir_error *add_bid(weir_ctx *ctx, const void *record)
{
    const struct triple *bid = record;
    struct statistic *it = weir_state_edit(ctx, 0, statistic);
    int64_t price = bid->a;
    it->key = bid->key;
    it->min = it->total == 0 || price < it->min ? price : it->min;
    it->max = price > it->max ? price : it->max;
    it->total++;
    it->low += price < 10000;
    it->middle += price >= 10000 && price < 1000000;
    it->high += price >= 1000000;
    it->sum += price;
    weir_emit(ctx, statistic, it);
    return NULL;
}

static const struct weir_state statistic_states[] = {
    { .name = "statistic", .kind = WEIR_VALUE, .type = &statistic_type }
};
static const struct weir_operator statistics = { .uid = "statistics",
    .in = &triple_type,
    .out = &statistic_type,
    .states = statistic_states,
    .state_count = 1,
    .on_record = add_bid };

static void build_q17(weir_job *job)
{
    weir_stream *prices =
        weir_map(bids(job), "by-auction-and-day", by_auction_and_day, &triple_type, NULL);
    sink_digest(weir_process(weir_key_by(prices, WEIR_KEY(triple, key)), &statistics, NULL),
        statistic_digest);
}

/* Read-modify-write: 24 bytes of state for each of --keys keys. Uniform, or about as 1/rank: an octave of ranks is as
 * likely as any other. */
static void make_visit(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    struct triple *visit = record;
    (void)ctx;
    count_event();
    uint64_t state = nexmark_start(seed, index), rank;
    if (asked.is_zipf) {
        int octaves = 63 - __builtin_clzll(asked.keys);
        uint64_t first = UINT64_C(1) << nexmark_below(&state, octaves);
        rank = first + (uint64_t)nexmark_below(&state, (int64_t)first);
    } else {
        rank = (uint64_t)nexmark_below(&state, (int64_t)asked.keys);
    }
    visit->key = (int64_t)(rank * NEXMARK_GOLDEN); /* neighbours in rank are none as keys */
    visit->a = nexmark_below(&state, 1000);
    visit->b = (int64_t)index;
}

struct tally {
    int64_t visits, sum, last;
};
WEIR_TYPE(tally, WEIR_FIELD(1, tally, visits), WEIR_FIELD(2, tally, sum),
    WEIR_FIELD(3, tally, last));

static weir_error *add_visit(weir_ctx *ctx, const void *record)
{
    const struct triple *visit = record;
    struct tally *tally = weir_state_edit(ctx, 0, tally);
    tally->visits++;
    tally->sum += visit->a;
    tally->last = visit->b;
    weir_emit(ctx, triple,
        (&(struct triple){ .key = visit->key, .a = tally->visits, .b = tally->sum }));
    return NULL;
}

static const struct weir_state tally_states[] = {
    { .name = "tally", .kind = WEIR_VALUE, .type = &tally_type }
};
static const struct weir_operator tallies = { .uid = "tallies",
    .in = &triple_type,
    .out = &triple_type,
    .states = tally_states,
    .state_count = 1,
    .on_record = add_visit };

static void build_rmw(weir_job *job)
{
    weir_stream *visits = weir_source(job, "visits",
        weir_generator(.type = &triple_type, .generate = make_visit, .seed = SEED,
            .count = asked.count));
    sink_digest(weir_process(weir_key_by(visits, WEIR_KEY(triple, key)), &tallies, NULL),
        triple_digest);
}

/* -- Kafka ---------------------------------------------------------------------------------------------- */

static bool count_message(weir_ctx *ctx, const void *record)
{
    (void)ctx;
    (void)record;
    if (seen.first_ns == 0)
        seen.first_ns = now_ns(CLOCK_MONOTONIC);
    seen.rows++;
    count_event();
    return true;
}

/* Its digest is that of the topic, which compare.py asks somebody else for. */
static void build_copy(weir_job *job)
{
    const char *brokers = weir_job_text(job, "brokers");
    weir_stream *in = weir_source(job, "in",
        weir_kafka_source(.brokers = brokers, .topic = weir_job_text(job, "in"),
            .format = weir_raw(), .bounded = !weir_job_flag(job, "unbounded")));
    weir_sink(weir_filter(in, "count", count_message, NULL), "out",
        weir_kafka_sink(.brokers = brokers, .topic = weir_job_text(job, "out"),
            .format = weir_raw()));
}

/* -- the program ---------------------------------------------------------------------------------------- */

static const struct workload {
    const char *name;
    void (*build)(weir_job *job);
} workloads[] = { { "generator", build_generator }, { "q0", build_q0 }, { "q1", build_q1 },
    { "q2", build_q2 }, { "q14", build_q14 }, { "q21", build_q21 }, { "q22", build_q22 },
    { "q12", build_q12 }, { "q17", build_q17 }, { "rmw", build_rmw }, { "copy", build_copy } };
#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static const char *workload_name = "";

static void build(weir_job *job)
{
    const char *name = weir_job_text(job, "workload");
    asked.count = (uint64_t)weir_job_number(job, "count");
    asked.warm = (uint64_t)weir_job_number(job, "warm");
    asked.keys = (uint64_t)weir_job_number(job, "keys");
    asked.is_zipf = weir_job_flag(job, "zipf");
    asked.is_full = weir_job_flag(job, "digest");
    for (size_t i = 0; i < WORKLOADS; i++)
        if (strcmp(workloads[i].name, name) == 0) {
            workload_name = workloads[i].name;
            workloads[i].build(job);
            return;
        }
    weir_job_fail(job, weir_errorf(WEIR_E_PLAN, "there is no workload '%s'", name));
}

static void report(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const char *started = getenv(STARTED);
    double first_ms =
        started == NULL ? 0 : (double)(seen.first_ns - strtoll(started, NULL, 10)) / 1e6;
    double cpu_s = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - seen.warm_cpu_ns) / 1e9;
    double wall_s = (double)(now_ns(CLOCK_MONOTONIC) - seen.warm_ns) / 1e9;
    printf("{\"workload\":\"%s\",\"events\":%" PRIu64 ",\"warm\":%" PRIu64 ",\"rows\":%" PRIu64
           ",\"digest\":\"%016" PRIx64 "\",\"cpu_s\":%.6f,\"wall_s\":%.6f,\"first_ms\":%.3f,"
           "\"pause_ms\":%.3f,\"rss_mb\":%.1f}\n",
        workload_name, seen.events, asked.warm, seen.rows, seen.digest, cpu_s, wall_s, first_ms,
        (double)seen.pause_ns / 1e6, (double)usage.ru_maxrss / 1024);
}

static int run_program(int argc, char **argv)
{
    static const struct weir_option options[] = {
        { "workload", WEIR_OPTION_TEXT, "NAME", "q0", "What to run.", 0, 0 },
        { "count", WEIR_OPTION_NUMBER, "N", "1000000", "Events.", 1, INT64_C(1) << 40 },
        { "warm", WEIR_OPTION_NUMBER, "N", "0", "Events before the measurement begins.", 0,
            INT64_C(1) << 40 },
        { "keys", WEIR_OPTION_NUMBER, "N", "1000000", "Of rmw.", 2, INT64_C(1) << 30 },
        { "zipf", WEIR_OPTION_FLAG, NULL, NULL, "Keys of rmw are not equally likely.", 0, 0 },
        { "digest", WEIR_OPTION_FLAG, NULL, NULL, "The digest covers texts, not only lengths.", 0,
            0 },
        { "brokers", WEIR_OPTION_TEXT, "HOST:PORT", "localhost:9092", "Of copy.", 0, 0 },
        { "in", WEIR_OPTION_TEXT, "TOPIC", "in", "Of copy.", 0, 0 },
        { "out", WEIR_OPTION_TEXT, "TOPIC", "out", "Of copy.", 0, 0 },
        { "unbounded", WEIR_OPTION_FLAG, NULL, NULL, "The copy goes on until it is stopped.", 0,
            0 },
    };
    int status = weir_main_program(argc, argv,
        &(struct weir_program){ "bench-flink", "One workload of the comparison with Flink.",
            options, sizeof(options) / sizeof(options[0]), build });
    if (status == 0 && seen.events > 0)
        report();
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 1) /* as `make bench` does: figures of one side alone say nothing here */
        return puts("bench_flink is run by `make bench-flink`") < 0;
    return run_program(argc, argv);
}
