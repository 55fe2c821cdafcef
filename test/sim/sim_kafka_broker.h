/* sim_kafka_broker.h -- the brokers of the simulator: topics, the transaction coordinator, and the network.
 *
 * One cluster for all processes, behind a network that the seed makes bad. It forgets nothing: what is
 * acknowledged stays. What brokers do by themselves (writing markers, ending transactions that take too
 * long, handling what was late) happens when the clock has come that far and somebody asks.
 *
 *      a transactional id    empty -> ongoing -> prepare -> (a marker in each partition) -> complete
 *      InitProducerId        raises the epoch; what is ongoing is aborted first, under a raised epoch
 *      time-out              the same, by the broker
 *      a stale epoch         is refused by the coordinator, and by a partition that has seen a newer one;
 *                            a partition asks the coordinator before it opens a transaction (KIP-890)
 *
 * A request that is sent may be lost, or its reply, or arrive much later, when its sender has given up, or
 * is long dead (that is what a late produce and a late commit are). In each case the sender sees a
 * time-out. Before a request is sent and before its reply is taken the process may die or freeze.
 *
 * Thread: one. There is one cluster at a time. Prefixes: sim_broker_ */
#ifndef WEIR_TEST_SIM_KAFKA_BROKER_H
#define WEIR_TEST_SIM_KAFKA_BROKER_H

#include "test/sim/sim_kafka_log.h"

#define SIM_TOPIC_NAME_MAX 64
#define SIM_ID_MAX         128

/* Each n: one request in n, 0: none. */
struct sim_broker_faults {
    uint32_t lose_request, lose_reply, delay, refuse, stale, outage;
    uint32_t
        strike; /* of those that write: it is the last one of its process, or that freezes, if it is to */
    int64_t delay_max_ms, outage_max_ms;
};
/* What has happened since the start. */
struct sim_broker_stats {
    uint64_t requests, lost_requests, lost_replies, delayed, landed_late, refused, stale, outages;
    uint64_t transactions, aborted, timed_out, fenced, forgotten;
};

void sim_broker_start(uint64_t seed);
void sim_broker_stop(void);
/* NULL: none. An outage that goes on ends; a request that is late stays so. */
void sim_broker_set_faults(const struct sim_broker_faults *faults);
struct sim_broker_stats sim_broker_stats(void);
/* Everything that is due. */
void sim_broker_run(void);
/* Until nothing is under way any more: the clock goes on. False: a transaction hangs. */
bool sim_broker_settle(void);
bool sim_broker_is_settled(void);
/* Luck of the network's, for who plays tricks with it. */
bool sim_broker_one_in(uint32_t count);
uint32_t sim_broker_below(uint32_t count);

bool sim_broker_goes_stale(void); /* a reader is answered by a leader that was replaced */

/* -- topics ---------------------------------------------------------------------------------------- */
struct sim_topic {
    char name[SIM_TOPIC_NAME_MAX];
    struct sim_log *partitions;
    uint32_t partition_count;
    bool compacts;
};
struct sim_topic *sim_broker_topic(const char *name); /* NULL: none; moves when one is made */
/* Makes it, or makes it larger. */
void sim_broker_make_topic(const char *name, uint32_t partitions, bool compacts);

/* -- requests -------------------------------------------------------------------------------------- */
enum sim_request_kind {
    SIM_INIT_PRODUCER, /* -> producer, epoch */
    SIM_ADD_PARTITION,
    SIM_PRODUCE, /* -> offset */
    SIM_END_TRANSACTION,
    SIM_CREATE_TOPIC, /* compacted; partition: how many */
    SIM_READ,         /* anything that changes nothing: whether it comes through */
};
struct sim_request {
    enum sim_request_kind kind;
    const char *id, *topic; /* transactional id */
    int64_t producer, timeout_ms;
    int32_t epoch, partition, sequence;
    bool is_commit;
    const struct sim_message *messages;
    uint32_t count;
};
struct sim_reply {
    int64_t producer, offset;
    int32_t epoch;
};
/* RD_KAFKA_RESP_ERR__TRANSPORT: no answer, it may have been done or may still be; __DESTROY: the process is
 * dead. Else the broker's answer. Time passes. */
rd_kafka_resp_err_t sim_broker_call(const struct sim_request *request, struct sim_reply *reply);

/* -- planted defects ------------------------------------------------------------------------------- */
enum sim_broker_defect {
    SIM_BROKER_SOUND,
    SIM_BROKER_FENCES_NOBODY, /* init leaves open what is open: the new producer goes on with it */
    SIM_BROKER_ANY_EPOCH,     /* any epoch is as good as the newest one */
};
extern enum sim_broker_defect sim_broker_defect;

#endif
