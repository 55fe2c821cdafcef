/* sim_kafka.c -- see sim_kafka.h. */
#include "test/sim/sim_kafka.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_kafka_client.h"
#include "test/sim/sim_kafka_input.h"
#include "test/sim/sim_mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKERS        "sim:9092"
#define PARTITIONS_MAX 4u
#define COUNT_MAX      1500u
#define SECOND_MS      INT64_C(1000)
#define DAY_MS         (86400 * SECOND_MS)
#define DISCOVERY_MS   50
#define CHUNK_SIZE_MAX 20000u

static const char *const outputs[] = { "main", "side", "reduced", "dead" };
#define OUTPUTS (sizeof(outputs) / sizeof(outputs[0]))

static const struct sim_shape *shape; /* of this run */

/* -- what a seed means ---------------------------------------------------------------------------- */

/* How long nobody runs: up to what no transaction, and then what no transactional id survives. */
static int64_t draw_down_ms(struct random *random)
{
    switch (random_below(random, 10)) {
    case 0:
    case 1:
        return (int64_t)sim_scenario_spread(random, 1, 180) * SECOND_MS;
    case 2:
        return (int64_t)sim_scenario_spread(random, 1, 10) * DAY_MS;
    default:
        return (int64_t)sim_scenario_spread(random, 1, 2 * SECOND_MS);
    }
}

/* An error at one of the sink's own steps. */
static void draw_point(struct sim_life *life, struct random *random)
{
    static const char *const steps[] = {
#define STEP_NAME(id_, name_, can_fail_, what_) name_,
        FAULT_STEPS(STEP_NAME)
#undef STEP_NAME
    };
    const char *step;
    do
        step = steps[random_below(random, FAULT_STEP_COUNT)];
    while (strncmp(step, "kafka-", 6) != 0);
    snprintf(life->fault, sizeof(life->fault), "%s-%s:%u:error", step,
        random_one_in(random, 2) ? "before" : "after", 1 + random_below(random, 10));
}

static void draw_life(struct sim_life *life, struct random *random)
{
    if (random_one_in(random, 3))
        draw_point(life, random);
    if (life->end == SIM_END_HEAL) /* only the last one is to come to the end */
        life->end = SIM_END_ZOMBIE;
    life->setup.stages[2] =
        life->setup.stages[1]; /* order per key ends where records are dealt out */
    life->down_ms = draw_down_ms(random);
    life->outside = random_below(random, 5) == 0 ? 0 : random_next(random) | 1;
    if (life->end == SIM_END_FREEZE) /* within the first publishes, rather */
        life->freeze_call = sim_scenario_spread(random, 1, 600);
    life->step_max *= 2;
}

static void draw(struct sim_scenario *scenario, struct random *random)
{
    struct sim_shape *it = &scenario->shape;
    it->count = it->count % COUNT_MAX + 1;
    if (it->source == SIM_GENERATOR && random_one_in(random, 2))
        it->source = SIM_FILES;
    it->generated_count = it->source == SIM_GENERATOR ? it->count
                          : it->source == SIM_FILES   ? 0
                                                      : 1 + it->generated_count % it->count;
    it->is_live = it->source != SIM_GENERATOR && random_one_in(random, 2);
    it->window_ms = it->window_ms + 30; /* fewer of them than records */
    for (uint32_t i = 0; i < scenario->life_count; i++)
        draw_life(&scenario->lives[i], random);
    scenario->lives[scenario->life_count - 1].setup.is_bounded = true;
}

static struct sim_broker_faults faults_of(uint64_t number)
{
    struct random random = { .state = number };
    struct sim_broker_faults it = { .delay_max_ms =
                                        (int64_t)sim_scenario_spread(&random, 10, 100 * SECOND_MS),
        .outage_max_ms = (int64_t)sim_scenario_spread(&random, 10, 30 * SECOND_MS) };
    uint32_t *const rates[] = { &it.lose_request, &it.lose_reply, &it.delay, &it.refuse };
    if (number == 0)
        return (struct sim_broker_faults){ .lose_request = 0 };
    for (uint32_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        *rates[i] = random_one_in(&random, 2) ? 0 : (uint32_t)sim_scenario_spread(&random, 4, 200);
    it.strike = random_one_in(&random, 2) ? 0 : (uint32_t)sim_scenario_spread(&random, 5, 300);
    it.outage = random_one_in(&random, 2) ? 0 : (uint32_t)sim_scenario_spread(&random, 50, 500);
    it.stale = random_one_in(&random, 2) ? 0 : (uint32_t)sim_scenario_spread(&random, 2, 30);
    return it;
}

static void print(const struct sim_scenario *scenario)
{
    printf("  kafka: the input is %s\n", scenario->shape.is_live ? "live" : "there from the start");
    for (uint32_t i = 0; i < scenario->life_count; i++) {
        const struct sim_life *life = &scenario->lives[i];
        struct sim_broker_faults it = faults_of(life->outside);
        printf("  kafka %u: after %" PRId64
               " ms; of the requests 1 in %u is lost, 1 in %u answered in "
               "vain, 1 in %u late by up to %" PRId64
               " ms, 1 in %u refused, 1 in %u an outage of up to "
               "%" PRId64 " ms, 1 in %u read stale, 1 in %u strikes%s\n",
            i, life->down_ms, it.lose_request, it.lose_reply, it.delay, it.delay_max_ms, it.refuse,
            it.outage, it.outage_max_ms, it.stale, it.strike,
            life->setup.is_bounded ? ", bounded" : "");
    }
}

static void arm(const struct sim_life *life)
{
    struct sim_broker_faults it = faults_of(life->outside);
    sim_broker_set_faults(&it);
    if (life->setup.is_bounded)
        sim_input_fill();
}

/* -- formats -------------------------------------------------------------------------------------- */

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    char digits[32] = "";
    ASSERT(message->value.size > 0 && message->value.size < sizeof(digits));
    memcpy(digits, message->value.data, message->value.size);
    ASSERT(strspn(digits, "0123456789") == message->value.size); /* an aborted record has none */
    sim_event_fill(shape, strtoull(digits, NULL, 10), record);
    return NULL;
}

/* Dead letters have no key. */
static weir_error *encode(const struct weir_format *format, const void *record, weir_buffer *key,
    weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    struct sim_row row;
    sim_row_fill(&row, record);
    *key_is_null = row.kind == SIM_DEAD;
    if (!*key_is_null)
        weir_buffer_add(key, &row.key, sizeof(row.key));
    weir_buffer_add(value, &row, sizeof(row));
    return NULL;
}

static const struct weir_format_class format_class = { .name = "sim-kafka",
    .decode = decode,
    .encode = encode };

/* -- connectors ----------------------------------------------------------------------------------- */

static struct weir_source source(const struct sim_shape *of, bool is_bounded)
{
    return weir_kafka_source(.brokers = BROKERS, .topic = SIM_INPUT_TOPIC,
        .discovery_interval_ms = DISCOVERY_MS, .bounded = is_bounded,
        .format = { .format_class = &format_class, .type = &sim_event_type });
}

static struct weir_sink sink(const struct sim_shape *of, const char *name)
{
    return sim_mutant_sink(weir_kafka_sink(.brokers = BROKERS, .topic = name,
        .chunk_size = 1 + (uint32_t)(hash_mix(of->seed) % CHUNK_SIZE_MAX),
        .format = { .format_class = &format_class, .type = &sim_outcome_type }));
}

/* -- the cluster -------------------------------------------------------------------------------- */

static void plant(void)
{
    sim_broker_defect = sim_mutant == SIM_KAFKA_NO_FENCING  ? SIM_BROKER_FENCES_NOBODY
                        : sim_mutant == SIM_KAFKA_ANY_EPOCH ? SIM_BROKER_ANY_EPOCH
                                                            : SIM_BROKER_SOUND;
    sim_client_defect = sim_mutant == SIM_KAFKA_TOKEN_OUTSIDE     ? SIM_CLIENT_TOKEN_OUTSIDE
                        : sim_mutant == SIM_KAFKA_BELIEVED_COMMIT ? SIM_CLIENT_BELIEVES
                                                                  : SIM_CLIENT_SOUND;
    static const enum sim_log_defect defects[SIM_MUTANTS] = {
        [SIM_KAFKA_ANY_EPOCH] = SIM_LOG_ANY_EPOCH,
        [SIM_KAFKA_SENT_TWICE] = SIM_LOG_ANY_SEQUENCE,
        [SIM_KAFKA_LOSS] = SIM_LOG_LOSES,
        [SIM_KAFKA_DUPLICATE] = SIM_LOG_DOUBLES,
        [SIM_KAFKA_REORDER] = SIM_LOG_SWAPS,
        [SIM_KAFKA_TORN] = SIM_LOG_TEARS,
        [SIM_KAFKA_ABORTED_READ] = SIM_LOG_SHOWS_ABORTED,
    };
    sim_log_defect = defects[sim_mutant];
}

static void start(const struct sim_scenario *scenario)
{
    shape = &scenario->shape;
    sim_broker_start(shape->seed);
    plant();
    sim_input_start(shape);
    for (uint32_t i = 0; i < OUTPUTS; i++)
        sim_broker_make_topic(outputs[i], 1 + sim_broker_below(PARTITIONS_MAX), false);
}

static void stop(uint64_t counts[SIM_OUTSIDE_COUNTS])
{
    struct sim_broker_stats stats = sim_broker_stats();
    _Static_assert(sizeof(stats) <= SIM_OUTSIDE_COUNTS * sizeof(uint64_t), "room for each count");
    memcpy(counts, &stats, sizeof(stats));
    sim_broker_stop();
    sim_client_forget_intents();
}

/* -- the check ------------------------------------------------------------------------------------ */

/* What one look at all topics finds. */
struct sight {
    struct sim_oracle *oracle;
    uint64_t *tallies; /* by key: of the last record that was seen */
    uint64_t *visible; /* by intent: records */
    uint64_t intent_count;
    char wrong[512];
};

static void see_row(struct sight *sight, const struct sim_message *message, const char *where)
{
    struct sim_row row;
    if (message->value_size != sizeof(row)) {
        snprintf(sight->wrong, sizeof(sight->wrong), "%zu bytes %s", message->value_size, where);
        return;
    }
    memcpy(&row, message->value, sizeof(row));
    sim_oracle_take(sight->oracle, &row, where);
    if (row.kind != SIM_RECORD || row.key >= shape->key_count)
        return;
    if (row.count <= sight->tallies[row.key] && sight->wrong[0] == '\0')
        snprintf(sight->wrong, sizeof(sight->wrong),
            "out of order: number %" PRIu64 " of key %" PRIu64 " comes behind number %" PRIu64
            " %s",
            row.count, row.key, sight->tallies[row.key], where);
    sight->tallies[row.key] = row.count;
}

static void see_partition(struct sight *sight, const char *topic, uint32_t p,
    const struct sim_log *log, bool is_output)
{
    int64_t stable = sim_log_stable(log, log->count);
    uint64_t count;
    const struct sim_intent *intents = sim_client_intents(&count);
    for (int64_t i = 0; i < stable && sight->wrong[0] == '\0'; i++) {
        const struct sim_log_record *record = &log->records[i];
        char where[SIM_TOPIC_NAME_MAX + 64];
        if (!sim_log_is_visible(log, i, log->count) && !(record->is_gone && record->is_committed))
            continue;
        snprintf(where, sizeof(where), "%s-%u, offset %" PRId64, topic, p, i);
        sight->visible[record->message.intent]++;
        if (!intents[record->message.intent].is_asked)
            snprintf(sight->wrong, sizeof(sight->wrong), "an aborted read: nobody has committed %s",
                where);
        if (is_output)
            see_row(sight, &record->message, where);
    }
}

static void see_topic(struct sight *sight, const char *name, bool is_output)
{
    const struct sim_topic *topic = sim_broker_topic(name);
    for (uint32_t p = 0; topic != NULL && p < topic->partition_count; p++)
        see_partition(sight, name, p, &topic->partitions[p], is_output);
}

static void find_torn(struct sight *sight)
{
    uint64_t count;
    const struct sim_intent *intents = sim_client_intents(&count);
    for (uint64_t i = 1; i < count && sight->wrong[0] == '\0'; i++)
        if (sight->visible[i] != 0 && sight->visible[i] != intents[i].produced)
            snprintf(sight->wrong, sizeof(sight->wrong),
                "a torn transaction: %" PRIu64 " of its %" PRIu64 " records are there",
                sight->visible[i], intents[i].produced);
}

/* Tokens count as records of their transactions. */
static void see_all(struct sight *sight)
{
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        char tokens[SIM_TOPIC_NAME_MAX];
        snprintf(tokens, sizeof(tokens), "weir-tokens-sim-%s-%s", outputs[i], outputs[i]);
        see_topic(sight, outputs[i], true);
        see_topic(sight, tokens, false);
    }
    if (sim_broker_is_settled())
        find_torn(sight);
}

static const char *check(struct sim_oracle *oracle, bool is_complete)
{
    static char text[512];
    struct sight sight = { .oracle = oracle };
    uint64_t count;
    sim_broker_run();
    bool hangs = is_complete && !sim_broker_settle();
    sim_client_intents(&count);
    sight.tallies = mem_alloc_array(shape->key_count, sizeof(uint64_t));
    sight.visible = mem_alloc_array(count + 1, sizeof(uint64_t));
    sim_oracle_begin(oracle);
    see_all(&sight);
    const char *wrong = sim_oracle_end(oracle, is_complete);
    mem_free(sight.tallies);
    mem_free(sight.visible);
    snprintf(text, sizeof(text), "%s", hangs ? "a transaction hangs" : sight.wrong);
    return text[0] != '\0' ? text : wrong;
}

static const char *const count_names[] = { "requests", "requests that were lost",
    "replies that were lost", "requests that were delayed", "requests that landed late",
    "requests that were refused", "reads from a leader that was replaced", "outages",
    "transactions", "aborted transactions", "transactions that timed out",
    "transactions that were ended by another producer or a time-out",
    "transactional ids that were forgotten", NULL };

const struct sim_outside sim_kafka = { .count_names = count_names,
    .draw = draw,
    .print = print,
    .start = start,
    .stop = stop,
    .arm = arm,
    .tick = sim_input_tick,
    .check = check,
    .source = source,
    .sink = sink };
