/* guard.c -- the hot paths, one at a time, for a count of their instructions.
 *
 *     bench_guard PATH ROUNDS
 *
 * tools/guard.py runs it under valgrind's callgrind, which counts between the start and the end of guard_measured();
 * everything before it (tables, files, threads of a library) is free. One thread, fixed input, a clock that
 * stands still: the count is the same each time, so it may be compared with that of another commit.
 * A round is RECORDS records. Without arguments it says so and does nothing. */
#include "base/memory.h"
#include "base/os.h"
#include "jobs/userprofile/event.h"
#include "runtime/exchange/gate.h"
#include "runtime/exchange/partition.h"
#include "runtime/exchange/wire_frame.h"
#include "runtime/graph/builder.h"
#include "runtime/graph/plan.h"
#include "runtime/manager/local.h"
#include "state/keyed.h"
#include "test/sim/sim_os.h"
#include "test/support/nexmark.h"

#include <weir/testing.h>
#include <weir/weir.h>

#include <stdio.h>
#include <stdlib.h>

#define RECORDS     8192u
#define BATCH       256u
#define TEXT_MAX    512u
#define KEYS        1000u
#define KEY_GROUPS  128u
#define MEMORY_SIZE (UINT64_C(64) << 20)

static weir_error *(*measured_run)(uint32_t rounds);

/* What is counted: not inlined, so that callgrind finds it by its name. */
__attribute__((noinline)) weir_error *guard_measured(uint32_t rounds);
weir_error *guard_measured(uint32_t rounds)
{
    return measured_run(rounds);
}

static weir_error *measure(weir_error *(*run)(uint32_t rounds), uint32_t rounds)
{
    measured_run = run;
    return guard_measured(rounds);
}

/* -- chain: the bids of an auction, filtered, mapped and forgotten, in one task --------------------------- */

struct offer {
    int64_t auction, bidder, price;
    weir_str extra;
};
WEIR_TYPE(offer, WEIR_FIELD(1, offer, auction), WEIR_FIELD(2, offer, bidder),
    WEIR_FIELD(3, offer, price), WEIR_FIELD(4, offer, extra));

static struct local *local;

/* From a table: the generator of the engine is part of the path, the making of events is not. */
static void make_event(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)seed;
    (void)ctx;
    *(struct nexmark_event *)record = (struct nexmark_event){ .id = (int64_t)(index % KEYS),
        .party = (int64_t)index,
        .price = 100,
        .extra = WEIR_STR("an extra text of some bytes"),
        .kind = index % 50 < 4 ? NEXMARK_AUCTION : NEXMARK_BID };
}

static bool is_bid(weir_ctx *ctx, const void *record)
{
    (void)ctx;
    return ((const struct nexmark_event *)record)->kind == NEXMARK_BID;
}

static weir_error *project(weir_ctx *ctx, const void *in, void *out)
{
    (void)ctx;
    const struct nexmark_event *event = in;
    *(struct offer *)out = (struct offer){ event->id, event->party, event->price, event->extra };
    return NULL;
}

static weir_error *step_to_end(uint32_t rounds)
{
    (void)rounds;
    while (local_step(local)) {
        sim_os_advance_ns(1000000);
        local_worker_step(local);
        for (uint32_t i = 0; i < local_slot_count(local); i++)
            local_slot_round(local, i);
    }
    return local_error(local);
}

static weir_error *run_chain(uint32_t rounds)
{
    sim_os_start(1);
    weir_job *job = job_new(NULL);
    weir_stream *events = weir_source(job, "events",
        weir_generator(.type = &nexmark_event_type, .generate = make_event, .seed = 1,
            .count = (uint64_t)rounds * RECORDS));
    weir_stream *bids = weir_filter(events, "bids", is_bid, NULL);
    weir_sink(weir_map(bids, "project", project, &offer_type, NULL), "nowhere", weir_blackhole());
    struct local_options options = local_defaults;
    options.worker_count = 0;
    options.backend = &backend_hashmap;
    WEIR_TRY(
        plan_build(job, &(struct plan_options){ .job = "guard", .parallelism = 1 }, &options.plan));
    WEIR_TRY(local_open(&options, &local));
    weir_error *error = measure(step_to_end, rounds);
    local_close(local);
    job_free(job);
    sim_os_stop();
    return error;
}

/* -- hop: a key_by edge, both sides in turn ---------------------------------------------------------------- */

static struct offer offers[BATCH];
static struct weir_row offer_rows[BATCH];
static struct partition *partition;
static struct gate *gate;
static uint64_t received;

static void make_offers(void)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        offers[i] = (struct offer){ .auction = i * 7919,
            .bidder = i,
            .price = 100,
            .extra = WEIR_STR("an extra text of some bytes") };
        offer_rows[i] = (struct weir_row){ .record = &offers[i], .timestamp_ms = i };
    }
}

static weir_error *hop_rounds(uint32_t rounds)
{
    struct gate_input input;
    for (uint32_t i = 0; i < rounds * RECORDS / BATCH; i++) {
        WEIR_TRY(partition_emit(partition, offer_rows, BATCH));
        if (partition_has_room(partition))
            continue;
        for (gate_next(gate, &input); input.kind == GATE_ROWS; gate_next(gate, &input))
            received += input.row_count;
    }
    return NULL;
}

static weir_error *run_hop(uint32_t rounds)
{
    struct segment_pool *pool = segment_pool_new(16u << 20);
    struct channel *channel = channel_new(CHANNEL_CREDITS_DEFAULT);
    struct partition_options options = { .kind = PARTITIONER_KEY_GROUP,
        .type = &offer_type,
        .key = WEIR_KEY(offer, auction),
        .max_parallelism = KEY_GROUPS,
        .pool = pool };
    make_offers();
    partition = partition_new(&options, &channel, 1);
    gate = gate_new(&channel, 1, &offer_type, GATE_BATCH_MAX);
    weir_error *error = measure(hop_rounds, rounds);
    partition_free(partition);
    gate_free(gate);
    channel_free(channel);
    segment_pool_free(pool);
    return received > 0 ? error : weir_errorf(WEIR_E_INTERNAL, "nothing came over the hop");
}

/* -- read-modify-write of what is in the cache -------------------------------------------------------------- */

struct tally {
    int64_t visits, sum, last;
};
WEIR_TYPE(tally, WEIR_FIELD(1, tally, visits), WEIR_FIELD(2, tally, sum),
    WEIR_FIELD(3, tally, last));

static const struct weir_state tallies[] = {
    { .name = "tally", .kind = WEIR_VALUE, .type = &tally_type }
};
static struct keyed *keyed;

static weir_error *visit_rounds(uint32_t rounds)
{
    for (uint64_t i = 0; i < (uint64_t)rounds * RECORDS; i++) {
        uint64_t user = hash_mix(i) % KEYS;
        weir_str key = { .data = (const char *)&user, .size = sizeof(user) };
        keyed_select(keyed, key, hash_bytes(&user, sizeof(user)));
        struct tally *tally = keyed_edit(keyed, 0, WEIR_STR(""));
        tally->visits++;
        WEIR_TRY(keyed_commit(keyed));
    }
    return NULL;
}

static weir_error *visit(const struct backend_class *verbs, uint32_t rounds)
{
    char root[] = "build/bench-guard-XXXXXX", path[64];
    if (mkdtemp(root) == NULL)
        return weir_errorf(WEIR_E_IO,
            "cannot make a directory in build/: is this the root of the tree?");
    snprintf(path, sizeof(path), "%s/work", root);
    struct backend_options options = { .directory = path,
        .checkpoint_dir = root,
        .attempt = 1,
        .groups = { .first = 0, .last = KEY_GROUPS - 1 },
        .memory_size = MEMORY_SIZE };
    struct backend *backend;
    WEIR_TRY(verbs->open(&options, NULL, 0, &backend));
    keyed = keyed_new(backend, tallies, 1, KEY_GROUPS);
    keyed_set_time(keyed, 1000, INT64_MIN);
    WEIR_TRY(visit_rounds(1)); /* all keys are there */
    weir_error *error = measure(visit_rounds, rounds);
    keyed_free(keyed);
    WEIR_TRY(os_remove_tree(root));
    return error;
}

static weir_error *run_hashmap(uint32_t rounds)
{
    return visit(&backend_hashmap, rounds);
}

static weir_error *run_cache(uint32_t rounds)
{
    return visit(&backend_cache, rounds);
}

/* -- JSON ------------------------------------------------------------------------------------------------ */

static struct weir_message messages[RECORDS];
static uint32_t decode_rounds;
static weir_error *decode_error;
static weir_ctx *decode_ctx;

static void make_message(uint32_t i, char *text)
{
    int size = snprintf(text, TEXT_MAX,
        "{\"event_id\":\"e-%09u\",\"ts\":%llu,\"source\":\"app\",\"ids\":{\"user\":\"u%u\","
        "\"device\":\"a%07x\"},\"type\":\"view\",\"category\":\"loans\",\"amount\":%u.%02u,"
        "\"tags\":{\"city\":\"%s\",\"vip\":%u}}",
        i * 7919, 1716200000123ull + i * 37, i * 31 % 1000000, i * 40503, i % 100000, i % 100,
        i % 8 == 0 ? "北京" : "Beijing", i % 10);
    messages[i].value = (weir_str){ .data = text, .size = (uint64_t)size };
}

static weir_error *decode_all(uint32_t rounds)
{
    struct weir_format format = event_format();
    for (uint32_t i = 0; i < rounds * RECORDS; i++) {
        struct event event = { .ids = { { .data = NULL } } };
        WEIR_TRY(format.format_class->decode(&format, decode_ctx, &messages[i % RECORDS], &event));
    }
    return NULL;
}

/* The decoder takes scratch memory from a ctx, which an operator has. */
static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    (void)record;
    decode_ctx = ctx;
    decode_error = measure(decode_all, decode_rounds);
    return NULL;
}

static const struct weir_operator decoder = { .name = "decoder",
    .in = &weir_message_type,
    .on_record = on_record };

static weir_error *run_json(uint32_t rounds)
{
    char *corpus = malloc((size_t)RECORDS * TEXT_MAX);
    for (uint32_t i = 0; i < RECORDS; i++)
        make_message(i, corpus + (size_t)i * TEXT_MAX);
    decode_rounds = rounds;
    weir_harness *harness = weir_harness_new(&decoder, NULL, WEIR_NO_KEY);
    weir_harness_send(harness, 0, weir_message, &messages[0]);
    weir_harness_free(harness);
    free(corpus);
    return decode_error;
}

/* -- wire: segments as frames, sealed, cut anywhere, checked ------------------------------------------------ */

static struct wire_frame_reader reader;
static struct segment *sent;
static uint32_t sent_records;

static weir_error *on_hello(void *arg, const char *payload, uint32_t size)
{
    (void)arg;
    (void)payload;
    (void)size;
    return NULL;
}

static weir_error *on_begin(void *arg, uint32_t channel, uint32_t size, struct segment **segment)
{
    (void)channel;
    *segment = segment_take_copy(arg, size);
    return NULL;
}

static weir_error *on_segment(void *arg, uint32_t channel, struct segment *segment)
{
    (void)arg;
    (void)channel;
    received += segment->record_count;
    segment_give(segment);
    return NULL;
}

static weir_error *on_credit(void *arg, uint32_t channel, uint32_t granted)
{
    (void)arg;
    (void)channel;
    (void)granted;
    return NULL;
}

/* As a connection would bring them: into the pieces that the reader offers. */
static weir_error *bring(const char *bytes, size_t size)
{
    while (size > 0) {
        struct iovec pieces[2];
        uint32_t count = wire_frame_reader_pieces(&reader, pieces);
        size_t taken = 0;
        for (uint32_t i = 0; i < count && taken < size; i++) {
            size_t part = pieces[i].iov_len < size - taken ? pieces[i].iov_len : size - taken;
            memcpy(pieces[i].iov_base, bytes + taken, part);
            taken += part;
        }
        WEIR_TRY(wire_frame_reader_took(&reader, taken));
        bytes += taken;
        size -= taken;
    }
    return NULL;
}

static weir_error *send_frame(uint32_t type, const char *payload, uint32_t size)
{
    struct wire_frame_header header = { .type = type, .size = size, .channel = 0 };
    wire_frame_seal(&header, payload);
    WEIR_TRY(bring((const char *)&header, sizeof(header)));
    return bring(payload, size);
}

static weir_error *frame_rounds(uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds * RECORDS; i += sent_records)
        WEIR_TRY(send_frame(WIRE_FRAME_SEGMENT, sent->bytes, sent->used));
    return NULL;
}

static weir_error *run_wire(uint32_t rounds)
{
    struct segment_pool *pool = segment_pool_new(16u << 20);
    struct wire_frame_calls calls = { pool, on_hello, on_begin, on_segment, on_credit };
    const struct wire_frame_hello hello = { .job = "guard", .attempt = 1, .worker_count = 2 };
    char greeting[WIRE_FRAME_HELLO_SIZE + 8];
    wire_frame_reader_init(&reader, &calls);
    sent = segment_take(pool, 0);
    for (struct element *element; (element = segment_add(sent, ELEMENT_RECORD, 100)) != NULL;)
        memset(element + 1, 'x', 100);
    sent_records = sent->record_count;
    WEIR_TRY(send_frame(WIRE_FRAME_HELLO, greeting, wire_frame_write_hello(&hello, greeting)));
    weir_error *error = measure(frame_rounds, rounds);
    segment_give(sent);
    wire_frame_reader_release(&reader);
    segment_pool_free(pool);
    return received > 0 ? error : weir_errorf(WEIR_E_INTERNAL, "no frame came through");
}

/* -- the program ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    weir_error *(*run)(uint32_t rounds);
} paths[] = { { "chain", run_chain }, { "hop", run_hop }, { "hashmap", run_hashmap },
    { "cache", run_cache }, { "json", run_json }, { "wire", run_wire } };

int main(int argc, char **argv)
{
    if (argc == 1) /* as `make bench` does */
        return puts("bench_guard is run by `make bench-guard`") < 0;
    for (size_t i = 0; argc == 3 && i < sizeof(paths) / sizeof(paths[0]); i++)
        if (strcmp(paths[i].name, argv[1]) == 0) {
            weir_error *error = paths[i].run((uint32_t)strtoul(argv[2], NULL, 10));
            if (error != NULL)
                fprintf(stderr, "bench_guard: %s\n", weir_error_message(error));
            return error != NULL;
        }
    fprintf(stderr, "usage: bench_guard chain|hop|hashmap|cache|json|wire ROUNDS\n");
    return 2;
}
