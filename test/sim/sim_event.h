/* sim_event.h -- what goes into the simulated job and what comes out of it, as plain functions.
 *
 * An input record follows from the shape's seed and the record's index, so the job, the files it reads
 * and the oracle agree on it without telling each other. Outcomes are what the job emits; a row is an
 * outcome as it stands in an output file, with a checksum of its own.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_EVENT_H
#define WEIR_TEST_SIM_EVENT_H

#include <weir/type.h>

struct sim_event {
    uint64_t index;
    uint64_t key;
    int64_t at_ms;
    int64_t amount;
    weir_str text;
};
WEIR_TYPE(sim_event, WEIR_FIELD(1, sim_event, index), WEIR_FIELD(2, sim_event, key),
    WEIR_FIELD(3, sim_event, at_ms), WEIR_FIELD(4, sim_event, amount),
    WEIR_FIELD(5, sim_event, text));

enum sim_kind {
    SIM_RECORD,  /* key, index, amount, tally: the how-manieth of its key */
    SIM_FLUSH,   /* key, -, count: of records since the last one, by a processing-time timer */
    SIM_WINDOW,  /* key, start, sum, count: by an event-time timer */
    SIM_FINAL,   /* key, best, sum, count: by the timer at the end of time */
    SIM_REDUCED, /* key, -, sum, count: running, of a second keyed operator */
    SIM_DEAD,    /* -, index: a bad record */
    SIM_KINDS
};
struct sim_outcome {
    uint32_t kind;
    uint64_t key;
    uint64_t index;
    int64_t sum;
    uint64_t count;
    weir_str text;
};
WEIR_TYPE(sim_outcome, WEIR_FIELD(1, sim_outcome, kind), WEIR_FIELD(2, sim_outcome, key),
    WEIR_FIELD(3, sim_outcome, index), WEIR_FIELD(4, sim_outcome, sum),
    WEIR_FIELD(5, sim_outcome, count), WEIR_FIELD(6, sim_outcome, text));

struct sim_row {
    uint64_t kind, key, index, count;
    int64_t sum;
    uint64_t text_hash;
    uint64_t checksum; /* of all before */
};
_Static_assert(sizeof(struct sim_row) == 56, "rows of output files have no gaps");

enum sim_source { SIM_GENERATOR, SIM_FILES, SIM_UNION, SIM_CHAIN, SIM_SOURCES };

/* What a seed is about, whatever happens to it. */
struct sim_shape {
    uint64_t seed;
    uint64_t count;           /* of input records */
    uint64_t generated_count; /* the first ones come from the generator, the others from files */
    uint32_t file_count;
    enum sim_source source;
    uint32_t key_count, hot_percent;  /* of records that have key 0 */
    uint32_t drop_one_in, bad_one_in; /* 0: none */
    uint32_t text_max, wide_one_in;   /* bytes; records of up to 60 KB, 0: none */
    int64_t window_ms, disorder_ms, flush_ms;
    uint32_t max_parallelism;
    bool has_reduce, has_rebalance, has_broadcast, has_one_sink;
    bool reads_text; /* files are lines, read by the engine's own source; else frames */
    bool is_live; /* records come while the job runs: which of them are late is nobody's to say */
    bool writes_text;     /* files are lines, written by the engine's own sink; else rows */
    bool has_two_regions; /* the graph is there twice, for odd and for even keys */
};

void sim_event_fill(const struct sim_shape *shape, uint64_t index, struct sim_event *event);
bool sim_event_is_dropped(const struct sim_shape *shape, uint64_t index);
bool sim_event_is_bad(const struct sim_shape *shape, uint64_t index);
int64_t sim_event_window(const struct sim_shape *shape, int64_t at_ms); /* its start */

void sim_row_fill(struct sim_row *row, const struct sim_outcome *outcome);
bool sim_row_is_whole(const struct sim_row *row);
uint64_t sim_text_hash(weir_str text);

#endif
