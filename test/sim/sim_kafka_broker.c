/* sim_kafka_broker.c -- see sim_kafka_broker.h: topics, the coordinator, what is due, the network. */
#include "test/sim/sim_kafka_broker.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/random.h"

#include <stdio.h>
#include <string.h>

#define MS              INT64_C(1000000)
#define ID_EXPIRES_MS   (INT64_C(7) * 86400 * 1000) /* transactional.id.expiration.ms */
#define MARKER_DELAY_MS 20u
#define CHECK_MS        10000 /* transaction.abort.timed.out.transaction.cleanup.interval.ms */
#define GIVE_UP_MAX_MS  3000u /* until a client notices that there is no answer */
#define COMPACT_ONE_IN  50u
#define SETTLE_ROUNDS   100000u

enum txn_state {
    TXN_EMPTY,
    TXN_ONGOING,
    TXN_PREPARE_COMMIT,
    TXN_PREPARE_ABORT,
    TXN_COMMITTED,
    TXN_ABORTED
};

/* A partition of a transaction; its marker is written at due_ns. */
struct member {
    char topic[SIM_TOPIC_NAME_MAX];
    int32_t partition;
    int64_t due_ns;
};

/* A transactional id. */
struct txn {
    char id[SIM_ID_MAX];
    int64_t producer, timeout_ms, start_ns, used_ns;
    int32_t epoch;
    enum txn_state state;
    struct member *members;
    uint32_t member_count;
};

/* A request that arrives late. */
struct flight {
    struct sim_request request;
    int64_t due_ns;
};

static struct cluster {
    struct sim_topic *topics;
    uint32_t topic_count;
    struct txn *txns;
    uint32_t txn_count;
    struct flight *flights;
    uint32_t flight_count;
    int64_t next_producer, down_until_ns;
    struct random random;
    struct sim_broker_faults faults;
    struct sim_broker_stats stats;
} cluster;

enum sim_broker_defect sim_broker_defect;

bool sim_broker_one_in(uint32_t count)
{
    return count > 0 && random_one_in(&cluster.random, count);
}

uint32_t sim_broker_below(uint32_t count)
{
    return random_below(&cluster.random, count);
}

bool sim_broker_goes_stale(void)
{
    bool does = sim_broker_one_in(cluster.faults.stale);
    cluster.stats.stale += does;
    return does;
}

static int64_t now_ns(void)
{
    return os_monotonic_ns();
}

/* -- topics --------------------------------------------------------------------------------------- */

struct sim_topic *sim_broker_topic(const char *name)
{
    for (uint32_t i = 0; i < cluster.topic_count; i++)
        if (strcmp(cluster.topics[i].name, name) == 0)
            return &cluster.topics[i];
    return NULL;
}

void sim_broker_make_topic(const char *name, uint32_t partitions, bool compacts)
{
    struct sim_topic *it = sim_broker_topic(name);
    if (it == NULL) {
        cluster.topics =
            mem_realloc(cluster.topics, (cluster.topic_count + 1) * sizeof(*cluster.topics));
        it = &cluster.topics[cluster.topic_count++];
        *it = (struct sim_topic){ .compacts = compacts };
        ASSERT(strlen(name) < sizeof(it->name));
        snprintf(it->name, sizeof(it->name), "%s", name);
    }
    if (it->partition_count >= partitions)
        return;
    it->partitions = mem_realloc(it->partitions, partitions * sizeof(*it->partitions));
    memset(it->partitions + it->partition_count, 0,
        (partitions - it->partition_count) * sizeof(*it->partitions));
    it->partition_count = partitions;
}

static struct sim_log *log_of(const char *topic, int32_t partition)
{
    const struct sim_topic *it = sim_broker_topic(topic);
    if (it == NULL || partition < 0 || (uint32_t)partition >= it->partition_count)
        return NULL;
    return &it->partitions[partition];
}

/* -- the coordinator ------------------------------------------------------------------------------ */

static struct txn *txn_of(const char *id)
{
    for (uint32_t i = 0; i < cluster.txn_count; i++)
        if (strcmp(cluster.txns[i].id, id) == 0)
            return &cluster.txns[i];
    return NULL;
}

static struct txn *txn_add(const char *id)
{
    cluster.txns = mem_realloc(cluster.txns, (cluster.txn_count + 1) * sizeof(*cluster.txns));
    struct txn *it = &cluster.txns[cluster.txn_count++];
    *it = (struct txn){ .producer = cluster.next_producer++, .epoch = -1 };
    ASSERT(strlen(id) < sizeof(it->id));
    snprintf(it->id, sizeof(it->id), "%s", id);
    return it;
}

static bool is_preparing(const struct txn *txn)
{
    return txn->state == TXN_PREPARE_COMMIT || txn->state == TXN_PREPARE_ABORT;
}

static void complete(struct txn *txn)
{
    txn->state = txn->state == TXN_PREPARE_COMMIT ? TXN_COMMITTED : TXN_ABORTED;
    txn->member_count = 0;
}

/* Decided. The markers follow, each at its own time. */
static void prepare(struct txn *txn, bool is_commit)
{
    txn->state = is_commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT;
    cluster.stats.transactions++;
    cluster.stats.aborted += !is_commit;
    for (uint32_t i = 0; i < txn->member_count; i++)
        txn->members[i].due_ns = now_ns() + sim_broker_below(MARKER_DELAY_MS) * MS;
    if (txn->member_count == 0)
        complete(txn);
}

/* Ends what another producer, or this one too long ago, has begun. */
static void fence(struct txn *txn)
{
    txn->epoch++;
    cluster.stats.fenced++;
    prepare(txn, false);
}

static rd_kafka_resp_err_t init_producer(const struct sim_request *request, struct sim_reply *reply)
{
    struct txn *txn = txn_of(request->id);
    if (txn == NULL)
        txn = txn_add(request->id);
    txn->used_ns = now_ns();
    if (is_preparing(txn))
        return RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
    if (txn->state == TXN_ONGOING && sim_broker_defect != SIM_BROKER_FENCES_NOBODY) {
        fence(txn);
        return RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
    }
    txn->epoch++;
    if (txn->state != TXN_ONGOING)
        txn->state = TXN_EMPTY;
    txn->timeout_ms = request->timeout_ms;
    reply->producer = txn->producer;
    reply->epoch = txn->epoch;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Whether a request is of the producer in charge. */
static rd_kafka_resp_err_t check_producer(struct txn **found, const struct sim_request *request)
{
    struct txn *txn = *found = txn_of(request->id);
    if (txn == NULL || txn->producer != request->producer)
        return RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING;
    txn->used_ns = now_ns();
    if (txn->epoch != request->epoch && sim_broker_defect != SIM_BROKER_ANY_EPOCH)
        return RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool has_member(const struct txn *txn, const char *topic, int32_t partition)
{
    for (uint32_t i = 0; i < txn->member_count; i++)
        if (txn->members[i].partition == partition && strcmp(txn->members[i].topic, topic) == 0)
            return true;
    return false;
}

static rd_kafka_resp_err_t add_partition(const struct sim_request *request)
{
    struct txn *txn;
    rd_kafka_resp_err_t code = check_producer(&txn, request);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if (is_preparing(txn))
        return RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
    if (log_of(request->topic, request->partition) == NULL)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (txn->state != TXN_ONGOING) {
        txn->state = TXN_ONGOING;
        txn->start_ns = now_ns();
        txn->member_count = 0;
    }
    if (has_member(txn, request->topic, request->partition))
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    txn->members = mem_realloc(txn->members, (txn->member_count + 1) * sizeof(*txn->members));
    struct member *member = &txn->members[txn->member_count++];
    *member = (struct member){ .partition = request->partition };
    snprintf(member->topic, sizeof(member->topic), "%s", request->topic);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t end_transaction(const struct sim_request *request)
{
    struct txn *txn;
    rd_kafka_resp_err_t code = check_producer(&txn, request);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    bool is_commit = request->is_commit;
    switch (txn->state) {
    case TXN_ONGOING:
        prepare(txn, is_commit);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    case TXN_PREPARE_COMMIT:
    case TXN_PREPARE_ABORT:
        return is_commit == (txn->state == TXN_PREPARE_COMMIT)
                   ? RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS
                   : RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
    case TXN_COMMITTED:
    case TXN_ABORTED:
        return is_commit == (txn->state == TXN_COMMITTED) ? RD_KAFKA_RESP_ERR_NO_ERROR
                                                          : RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
    case TXN_EMPTY:
        break;
    }
    return RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
}

/* A partition leader asks before it opens a transaction. */
static rd_kafka_resp_err_t verify(const struct sim_request *request)
{
    struct txn *txn;
    rd_kafka_resp_err_t code = check_producer(&txn, request);
    if (code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED)
        return RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if (txn->state != TXN_ONGOING || !has_member(txn, request->topic, request->partition))
        return RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t produce(const struct sim_request *request, struct sim_reply *reply)
{
    struct sim_log *log = log_of(request->topic, request->partition);
    if (log == NULL)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (log->is_leaderless)
        return RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    if (request->producer >= 0 && !sim_log_is_open(log, request->producer, request->epoch)) {
        rd_kafka_resp_err_t code = verify(request);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return code;
    }
    return sim_log_append(log, now_ns(), request->producer, request->epoch, request->sequence,
        request->messages, request->count, &reply->offset);
}

static rd_kafka_resp_err_t apply(const struct sim_request *request, struct sim_reply *reply)
{
    switch (request->kind) {
    case SIM_INIT_PRODUCER:
        return init_producer(request, reply);
    case SIM_ADD_PARTITION:
        return add_partition(request);
    case SIM_PRODUCE:
        return produce(request, reply);
    case SIM_END_TRANSACTION:
        return end_transaction(request);
    case SIM_CREATE_TOPIC:
        sim_broker_make_topic(request->topic, (uint32_t)request->partition, true);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    case SIM_READ:
        break;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* -- what is due ---------------------------------------------------------------------------------- */

static void write_markers(struct txn *txn)
{
    for (uint32_t i = 0; i < txn->member_count;) {
        const struct member *member = &txn->members[i];
        if (member->due_ns > now_ns()) {
            i++;
            continue;
        }
        struct sim_topic *topic = sim_broker_topic(member->topic);
        struct sim_log *log = &topic->partitions[member->partition];
        sim_log_mark(log, now_ns(), txn->producer, txn->epoch, txn->state == TXN_PREPARE_COMMIT);
        if (topic->compacts && sim_broker_one_in(COMPACT_ONE_IN))
            sim_log_compact(log);
        txn->members[i] = txn->members[--txn->member_count];
    }
    if (txn->member_count == 0)
        complete(txn);
}

static void run_txn(struct txn *txn)
{
    if (is_preparing(txn))
        write_markers(txn);
    if (txn->state == TXN_ONGOING && now_ns() > txn->start_ns + (txn->timeout_ms + CHECK_MS) * MS) {
        cluster.stats.timed_out++;
        fence(txn);
    }
}

static void flight_release(struct flight *flight)
{
    for (uint32_t i = 0; i < flight->request.count; i++) {
        mem_free(flight->request.messages[i].key);
        mem_free(flight->request.messages[i].value);
    }
    mem_free((void *)(uintptr_t)flight->request.messages);
    mem_free((void *)(uintptr_t)flight->request.id);
    mem_free((void *)(uintptr_t)flight->request.topic);
}

static void land(void)
{
    for (uint32_t i = 0; i < cluster.flight_count;) {
        struct flight flight = cluster.flights[i];
        if (flight.due_ns > now_ns()) {
            i++;
            continue;
        }
        cluster.flights[i] = cluster.flights[--cluster.flight_count];
        struct sim_reply reply;
        rd_kafka_resp_err_t code = apply(&flight.request, &reply);
        sim_os_mix((uint64_t)code);
        cluster.stats.landed_late++;
        flight_release(&flight);
    }
}

/* An id that nobody has used for days is another one when it comes back. */
static void forget_ids(void)
{
    for (uint32_t i = 0; i < cluster.txn_count;) {
        struct txn *txn = &cluster.txns[i];
        if (txn->state == TXN_ONGOING || is_preparing(txn) ||
            now_ns() - txn->used_ns < ID_EXPIRES_MS * MS) {
            i++;
            continue;
        }
        mem_free(txn->members);
        *txn = cluster.txns[--cluster.txn_count];
        cluster.stats.forgotten++;
    }
}

void sim_broker_run(void)
{
    land();
    for (uint32_t i = 0; i < cluster.txn_count; i++)
        run_txn(&cluster.txns[i]);
    forget_ids();
}

bool sim_broker_is_settled(void)
{
    for (uint32_t i = 0; i < cluster.txn_count; i++)
        if (cluster.txns[i].state == TXN_ONGOING || is_preparing(&cluster.txns[i]))
            return false;
    return cluster.flight_count == 0;
}

bool sim_broker_settle(void)
{
    for (uint32_t i = 0; i < SETTLE_ROUNDS && !sim_broker_is_settled(); i++) {
        sim_os_advance_ns(100 * MS);
        sim_broker_run();
    }
    if (!sim_broker_is_settled())
        return false;
    for (uint32_t t = 0; t < cluster.topic_count; t++)
        for (uint32_t p = 0; p < cluster.topics[t].partition_count; p++) {
            const struct sim_log *log = &cluster.topics[t].partitions[p];
            if (sim_log_stable(log, log->count) != log->count)
                return false;
        }
    return true;
}

/* -- the network ---------------------------------------------------------------------------------- */

static void delay(const struct sim_request *request)
{
    if (request->kind == SIM_READ)
        return;
    struct flight flight = { .request = *request,
        .due_ns =
            now_ns() + (1 + sim_broker_below((uint32_t)cluster.faults.delay_max_ms + 1)) * MS };
    struct sim_message *copies = mem_alloc_array(request->count + 1, sizeof(*copies));
    for (uint32_t i = 0; i < request->count; i++) {
        copies[i] = request->messages[i];
        copies[i].key = copies[i].key == NULL ? NULL : mem_dup(copies[i].key, copies[i].key_size);
        copies[i].value =
            copies[i].value == NULL ? NULL : mem_dup(copies[i].value, copies[i].value_size);
    }
    flight.request.messages = copies;
    flight.request.id = mem_strdup(request->id);
    flight.request.topic = mem_strdup(request->topic);
    cluster.flights =
        mem_realloc(cluster.flights, (cluster.flight_count + 1) * sizeof(*cluster.flights));
    cluster.flights[cluster.flight_count++] = flight;
    cluster.stats.delayed++;
}

/* The sender waits, and gives up. */
static rd_kafka_resp_err_t no_answer(void)
{
    os_pause_ms(1 + sim_broker_below(GIVE_UP_MAX_MS));
    sim_broker_run();
    return RD_KAFKA_RESP_ERR__TRANSPORT;
}

static rd_kafka_resp_err_t refusal_of(enum sim_request_kind kind)
{
    static const rd_kafka_resp_err_t coordinators[] = { RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS };
    static const rd_kafka_resp_err_t leaders[] = { RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS };
    uint32_t choice = sim_broker_below(3);
    return kind == SIM_PRODUCE || kind == SIM_READ ? leaders[choice] : coordinators[choice];
}

static bool is_down(void)
{
    if (sim_broker_one_in(cluster.faults.outage)) {
        cluster.stats.outages++;
        cluster.down_until_ns =
            now_ns() + (1 + sim_broker_below((uint32_t)cluster.faults.outage_max_ms)) * MS;
    }
    return cluster.down_until_ns > now_ns();
}

/* On its way there. NO_ERROR: it has arrived. */
static rd_kafka_resp_err_t deliver(const struct sim_request *request)
{
    bool was_dead = sim_os_is_dead(sim_os_process());
    if (request->kind != SIM_READ && sim_broker_one_in(cluster.faults.strike))
        sim_os_strike();
    int error = sim_os_call('k', request->topic != NULL ? request->topic : request->id);
    if (sim_os_is_dead(sim_os_process())) {
        if (!was_dead && sim_broker_one_in(2)) /* it was handed to the system */
            delay(request);
        return RD_KAFKA_RESP_ERR__DESTROY;
    }
    os_pause_ms(sim_broker_below(3));
    sim_broker_run();
    if (error != 0 || is_down())
        return no_answer();
    if (sim_broker_one_in(cluster.faults.lose_request)) {
        cluster.stats.lost_requests++;
        return no_answer();
    }
    if (sim_broker_one_in(cluster.faults.delay)) {
        delay(request);
        return no_answer();
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t sim_broker_call(const struct sim_request *request, struct sim_reply *reply)
{
    *reply = (struct sim_reply){ .offset = -1 };
    cluster.stats.requests++;
    rd_kafka_resp_err_t code = deliver(request);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if (sim_broker_one_in(cluster.faults.refuse)) {
        cluster.stats.refused++;
        return refusal_of(request->kind);
    }
    code = apply(request, reply);
    sim_os_mix((uint64_t)code * 31 + (uint64_t)reply->offset);
    if (request->kind == SIM_READ)
        return code;
    int error = sim_os_call('K', NULL);
    if (sim_os_is_dead(sim_os_process()))
        return RD_KAFKA_RESP_ERR__DESTROY;
    os_pause_ms(sim_broker_below(3));
    if (error == 0 && !sim_broker_one_in(cluster.faults.lose_reply))
        return code;
    cluster.stats.lost_replies++;
    return no_answer();
}

/* -- the cluster ---------------------------------------------------------------------------------- */

void sim_broker_start(uint64_t seed)
{
    cluster =
        (struct cluster){ .random = { .state = hash_mix(seed * 3 + 7) }, .next_producer = 1000 };
}

void sim_broker_stop(void)
{
    for (uint32_t t = 0; t < cluster.topic_count; t++) {
        for (uint32_t p = 0; p < cluster.topics[t].partition_count; p++)
            sim_log_release(&cluster.topics[t].partitions[p]);
        mem_free(cluster.topics[t].partitions);
    }
    for (uint32_t i = 0; i < cluster.txn_count; i++)
        mem_free(cluster.txns[i].members);
    for (uint32_t i = 0; i < cluster.flight_count; i++)
        flight_release(&cluster.flights[i]);
    mem_free(cluster.topics);
    mem_free(cluster.txns);
    mem_free(cluster.flights);
    cluster = (struct cluster){ .topics = NULL };
}

void sim_broker_set_faults(const struct sim_broker_faults *faults)
{
    cluster.faults = faults == NULL ? (struct sim_broker_faults){ .lose_request = 0 } : *faults;
    cluster.down_until_ns = 0; /* an outage of those before */
}

struct sim_broker_stats sim_broker_stats(void)
{
    return cluster.stats;
}
