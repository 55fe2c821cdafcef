/* sim_kafka_client.h -- librdkafka's handles, as the simulator has them.
 *
 * sim_kafka_client.c, sim_kafka_producer.c and sim_kafka_consumer.c define those functions of librdkafka that
 * have to do with a handle; a program that links them runs the connectors of connectors/kafka_*.c on the
 * simulated brokers. Settings, their checks, lists of partitions and the names of errors stay librdkafka's.
 *
 * No thread, no socket: a call that would wait lets the simulated clock go on, and returns with a result
 * or a time-out. What the client would do by itself happens in the calls. As in librdkafka, records are
 * delivered once each under retries, a fenced producer is fatal, other failures of a transaction want an
 * abort, a commit that was not answered may be asked for again.
 *
 * Thread: one, but for rd_kafka_destroy. Prefixes: sim_client_ */
#ifndef WEIR_TEST_SIM_KAFKA_CLIENT_H
#define WEIR_TEST_SIM_KAFKA_CLIENT_H

#include "test/sim/sim_kafka_broker.h"

typedef void sim_client_delivery_fn(rd_kafka_t *handle, const rd_kafka_message_t *message,
    void *opaque);

struct rd_kafka_error_s {
    rd_kafka_resp_err_t code;
    bool is_retriable;
};

struct rd_kafka_topic_s {
    rd_kafka_t *handle;
    char name[SIM_TOPIC_NAME_MAX];
};

struct rd_kafka_queue_s {
    rd_kafka_t *handle;
    rd_kafka_event_t *event; /* of an admin call */
    uint32_t commits;        /* results that have not been called back */
    void (*commit_cb)(rd_kafka_t *, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t *, void *);
    void *commit_opaque;
};

/* A record of a producer. */
struct sim_produced {
    char topic[SIM_TOPIC_NAME_MAX];
    int32_t partition, sequence; /* sequence -1: never sent */
    struct sim_message message;
    void *opaque;
    bool is_lent; /* the value is the program's */
    bool is_done; /* has its result */
    rd_kafka_resp_err_t code;
    int64_t offset;
};

/* A partition of a transaction, and its next sequence number. */
struct sim_lane {
    char topic[SIM_TOPIC_NAME_MAX];
    int32_t partition, next_sequence;
    bool is_added;
};

enum sim_producer_state { SIM_NEW, SIM_READY, SIM_OPEN, SIM_COMMITTING, SIM_FAILED, SIM_FATAL };
struct sim_producer {
    char *id;
    int64_t timeout_ms, producer;
    int32_t epoch;
    enum sim_producer_state state;
    rd_kafka_resp_err_t failure;
    uint64_t intent;
    struct sim_produced *records;
    uint32_t count, reported; /* delivery reports made */
    struct sim_lane *lanes;
    uint32_t lane_count;
};

/* A partition that a consumer reads. */
struct sim_assigned {
    char topic[SIM_TOPIC_NAME_MAX];
    int32_t partition;
    int64_t next;
    bool is_end_told, is_lost; /* given up after an offset out of range */
};
struct sim_consumer {
    struct sim_assigned *assigned;
    uint32_t count, turn;
    int64_t stale_at_ns, stale_until_ns; /* its broker knows what was there then, until then */
    bool is_committed;                   /* read_committed */
};

struct rd_kafka_s {
    rd_kafka_type_t type;
    rd_kafka_conf_t *conf;
    sim_client_delivery_fn *delivery;
    void *opaque;
    struct sim_producer producer;
    struct sim_consumer consumer;
    rd_kafka_queue_t queue; /* the consumer's */
};

void sim_client_fail(rd_kafka_resp_err_t code); /* rd_kafka_last_error */
void sim_producer_release(struct sim_producer *producer);
void sim_consumer_release(struct sim_consumer *consumer);

/* What a program meant with its transactions, for the oracle. */
struct sim_intent {
    uint64_t produced; /* records, at the commit */
    bool is_asked;     /* to commit */
    size_t flushed;    /* at most: bytes that had not been sent yet when it was flushed */
};
const struct sim_intent *sim_client_intents(uint64_t *count);
void sim_client_forget_intents(void);

/* Planted. */
enum sim_client_defect {
    SIM_CLIENT_SOUND,
    SIM_CLIENT_TOKEN_OUTSIDE, /* what has an opaque is sent outside of the transaction */
    SIM_CLIENT_BELIEVES,      /* a commit counts as done, whatever the answer is */
};
extern enum sim_client_defect sim_client_defect;

#endif
