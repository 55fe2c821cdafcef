/* job.h -- how a job is written: verbs that build a graph of streams, and weir_main.
 *
 *     static void build(weir_job *job)
 *     {
 *         weir_stream *clicks = weir_source(job, "clicks", weir_kafka_source(
 *             .brokers = "localhost:9092", .topic = "clicks", .format = weir_json(&click_type)));
 *         weir_stream *by_user = weir_key_by(clicks, WEIR_KEY(click, user_id));
 *         weir_stream *profiles = weir_process(by_user, &build_profile, NULL);
 *         weir_sink(profiles, "out", weir_file_sink(.path = "out", .format = weir_json(&profile_type)));
 *     }
 *     int main(int argc, char **argv) { return weir_main(argc, argv, build); }
 *
 * build runs before anything starts; it must give the same graph for the same arguments, because
 * every process of a job builds it again. Mistakes are collected, not returned one by one: each verb
 * accepts the NULL or broken stream of an earlier mistake, and weir_main prints all of them.
 *
 * Ownership: streams belong to the job. Options of connectors are copied; strings, types and
 * operators in them are borrowed for the life of the job (use weir_job_alloc for computed ones).
 * Thread: the one that calls build. */
#ifndef WEIR_JOB_H
#define WEIR_JOB_H

#include <weir/connector.h>
#include <weir/operator.h>

typedef struct weir_job weir_job;
typedef struct weir_stream weir_stream;

/* -- streams ---------------------------------------------------------------------------------- */

/* Where records enter. `name` is also the uid of the source's positions in checkpoints. */
WEIR_API weir_stream *weir_source(weir_job *job, const char *name, struct weir_source source);

/* Event time of a source: the i64 member that holds it (milliseconds since the epoch), and how far
 * records may be out of order. The watermark is per split of the source: largest timestamp seen −
 * `out_of_orderness_ms`, never above the wall clock, the smallest over the splits that are not
 * idle. A record of the watermark's own millisecond may still follow: Flink's is one less. Without
 * this verb a source has no watermarks. */
#define weir_event_time(stream_, type_, member_, out_of_orderness_ms_) \
    weir_event_time_at((stream_), &type_##_type, \
        offsetof(struct type_, member_) + \
            0 * sizeof(*(int64_t *){ &((struct type_ *)0)->member_ }), \
        (out_of_orderness_ms_))
WEIR_API weir_stream *weir_event_time_at(weir_stream *source, const struct weir_type *type,
    size_t member_offset, int64_t out_of_orderness_ms);

/* One record in, one out: fills `out`, zeroed before the call; its strings may point into `in`, into
 * static memory or into weir_scratch. */
typedef weir_error *weir_map_record_fn(weir_ctx *ctx, const void *in, void *out);
WEIR_API weir_stream *weir_map(weir_stream *in, const char *name, weir_map_record_fn *map,
    const struct weir_type *out, const void *config);

/* Keeps the records for which `keep` is true. */
typedef bool weir_filter_fn(weir_ctx *ctx, const void *record);
WEIR_API weir_stream *weir_filter(weir_stream *in, const char *name, weir_filter_fn *keep,
    const void *config);

/* One record in, any number out by weir_emit. */
typedef weir_error *weir_flat_map_fn(weir_ctx *ctx, const void *record);
WEIR_API weir_stream *weir_flat_map(weir_stream *in, const char *name, weir_flat_map_fn *fn,
    const struct weir_type *out, const void *config);

/* Records of one key go to one subtask, in order, and see that key's state. */
WEIR_API weir_stream *weir_key_by(weir_stream *in, struct weir_key key);

/* The general operator. `config` is what weir_config returns; borrowed for the life of the job. */
WEIR_API weir_stream *weir_process(weir_stream *in, const struct weir_operator *op,
    const void *config);

/* Merges the records of a key, two into one, and emits the running result for each record. `uid`
 * names its state. */
WEIR_API weir_stream *weir_reduce(weir_stream *keyed, const char *uid, weir_reduce_fn *reduce);

/* The records of both, of one type, in no particular order between them. */
WEIR_API weir_stream *weir_union(weir_stream *a, weir_stream *b);

/* The side output that the operator behind `of` declared under `name`. */
WEIR_API weir_stream *weir_side_output(weir_stream *of, const char *name);

/* The records that the source or operator behind `of` refused, as struct weir_dead_letter. More than
 * `per_second_max` of them in a second (per subtask, averaged over ten) fail the job; 0: no limit.
 * An operator whose dead letters are not connected fails the job at its first bad record. */
WEIR_API weir_stream *weir_dead_letters(weir_stream *of, uint32_t per_second_max);

/* Where records leave. `name` is also the uid of what the sink keeps in checkpoints. A sink has the
 * parallelism and slot group of its inputs, if they agree. */
WEIR_API void weir_sink(weir_stream *in, const char *name, struct weir_sink sink);

/* -- how records travel to the next operator (default: forward when the parallelism is the same,
 * else rebalance) ------------------------------------------------------------------------------ */
WEIR_API weir_stream *weir_rebalance(weir_stream *in); /* round robin */
WEIR_API weir_stream *weir_broadcast(weir_stream *in); /* every subtask gets every record */

/* -- hints about the operator behind a stream; each returns its argument ----------------------- */
enum weir_chaining { WEIR_CHAIN_ALWAYS, WEIR_CHAIN_HEAD, WEIR_CHAIN_NEVER };
WEIR_API weir_stream *weir_uid(weir_stream *of, const char *uid);
WEIR_API weir_stream *weir_parallelism(weir_stream *of, uint32_t parallelism);
WEIR_API weir_stream *weir_chaining(weir_stream *of, enum weir_chaining chaining);
WEIR_API weir_stream *weir_slot_group(weir_stream *of, const char *group); /* default "default" */

/* What an operator verb of your own needs: the type and the job of a stream. */
WEIR_API const struct weir_type *weir_stream_type(const weir_stream *stream);
WEIR_API weir_job *weir_stream_job(const weir_stream *stream);

/* Zeroed memory that lives as long as the job. Never NULL. */
WEIR_API void *weir_job_alloc(weir_job *job, size_t size);
/* Reports a mistake of the job's own (a missing option, say) among the graph's; takes the error. */
WEIR_API void weir_job_fail(weir_job *job, weir_error *error);

/* -- the program ------------------------------------------------------------------------------ */

enum weir_option_kind {
    WEIR_OPTION_FLAG,     /* --bounded */
    WEIR_OPTION_TEXT,     /* --topic NAME */
    WEIR_OPTION_NUMBER,   /* --parallelism 4; within [min, max] */
    WEIR_OPTION_DURATION, /* --interval 10s; ms s m h d; kept in milliseconds */
    WEIR_OPTION_SIZE      /* --memory 1GB; B KB MB GB, powers of 1024; kept in bytes */
};

struct weir_option {
    const char *name; /* without dashes */
    enum weir_option_kind kind;
    const char *value_name; /* for the usage text: "HOST:PORT[,…]" */
    const char *fallback;   /* as it would be written; NULL: none */
    const char *help;       /* one sentence */
    int64_t min, max;       /* both 0: 0 or 1 .. INT64_MAX as the kind allows */
};

struct weir_program {
    const char *name; /* of the job: names its checkpoints and consumer group */
    const char *help; /* one paragraph */
    const struct weir_option *options;
    uint32_t option_count;
    void (*build)(weir_job *job);
};

/* Values of options, in build. `name` is one of the program's or of weir_main's own; an option that was not
 * given and has no fallback is NULL, 0, false. */
WEIR_API const char *weir_job_text(weir_job *job, const char *name);
WEIR_API int64_t weir_job_number(weir_job *job, const char *name); /* also durations and sizes */
WEIR_API bool weir_job_flag(weir_job *job, const char *name);

/* Runs the program: `explain` prints the plan (--as text|json|dot), `run` (also when no verb is
 * given) executes it in this process, --help tells everything. Returns the exit status: 0, or the
 * code's (error.h), after printing one clear sentence on standard error. */
WEIR_API int weir_main(int argc, char **argv, void (*build)(weir_job *job));
WEIR_API int weir_main_program(int argc, char **argv, const struct weir_program *program);

#endif
