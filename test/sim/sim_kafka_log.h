/* sim_kafka_log.h -- one partition of a simulated Kafka topic: records, producers, transaction markers.
 *
 * An offset is an index. A record is plain, or belongs to a transaction, which a marker of its producer
 * commits or aborts for this partition; until then nobody who reads read_committed sees it or what is
 * behind it (the last stable offset). A producer is known by its id; an older epoch is refused, a batch
 * that is sent again is not appended again, a gap is refused: as brokers do it.
 *
 * A view is what a reader's broker knows: all up to an offset. A leader that has been replaced and does
 * not know it yet answers with an older view.
 *
 * `intent` is the simulator's own: which transaction the program has meant the record for. No broker
 * knows that; the oracle does.
 *
 * Thread: one. Prefixes: sim_log_ */
#ifndef WEIR_TEST_SIM_KAFKA_LOG_H
#define WEIR_TEST_SIM_KAFKA_LOG_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

/* What is sent. Null: data is NULL. */
struct sim_message {
    char *key, *value;
    size_t key_size, value_size;
    uint64_t intent;
};

enum sim_log_kind { SIM_LOG_DATA, SIM_LOG_COMMIT, SIM_LOG_ABORT };
struct sim_log_record {
    enum sim_log_kind kind;
    int64_t producer; /* -1: plain */
    int64_t at_ns;
    int64_t decided_at; /* offset of the marker, -1: none yet */
    bool is_committed, is_gone /* compacted away */;
    struct sim_message message;
};

/* A producer, as a partition leader knows it. */
struct sim_log_producer {
    int64_t id;
    int32_t epoch, next_sequence; /* next_sequence -1: any */
    int64_t first_open;           /* offset of its open transaction's first record, -1: none */
    struct {
        int32_t sequence, count;
        int64_t offset;
    } recent[5]; /* batches, newest first; count 0: none */
};

struct sim_log {
    struct sim_log_record *records;
    int64_t count, capacity;
    struct sim_log_producer *producers;
    uint32_t producer_count;
    bool is_leaderless; /* takes nothing */
};

void sim_log_release(struct sim_log *log);
/* Appends a batch of `count`, copied. producer -1: plain. *offset: of the first one, also when it was
 * there already. Else an error of a broker's. */
rd_kafka_resp_err_t sim_log_append(struct sim_log *log, int64_t now_ns, int64_t producer,
    int32_t epoch, int32_t sequence, const struct sim_message *messages, uint32_t count,
    int64_t *offset);
/* Has this producer a transaction open here, under this epoch? */
bool sim_log_is_open(const struct sim_log *log, int64_t producer, int32_t epoch);
/* Ends the producer's transaction here. */
void sim_log_mark(struct sim_log *log, int64_t now_ns, int64_t producer, int32_t epoch,
    bool is_commit);
/* Records of a key that a newer committed one has replaced go. */
void sim_log_compact(struct sim_log *log);

/* What was there at that time. */
int64_t sim_log_end_at(const struct sim_log *log, int64_t at_ns);
/* The last stable offset of a view that ends at `end`. */
int64_t sim_log_stable(const struct sim_log *log, int64_t end);
/* Whether a read_committed reader with that view sees the record. */
bool sim_log_is_visible(const struct sim_log *log, int64_t offset, int64_t end);

/* Planted, for the test of the oracle. */
enum sim_log_defect {
    SIM_LOG_SOUND,
    SIM_LOG_LOSES,   /* one record in some is acknowledged and not kept */
    SIM_LOG_DOUBLES, /* ... is appended twice */
    SIM_LOG_SWAPS,   /* ... changes places with the one before */
    SIM_LOG_TEARS,   /* half of a transaction is aborted by its commit marker */
    SIM_LOG_SHOWS_ABORTED,
    SIM_LOG_ANY_EPOCH,
    SIM_LOG_ANY_SEQUENCE, /* what is sent again is appended again */
};
extern enum sim_log_defect sim_log_defect;

#endif
