/* connector.h -- the contract of sources, sinks and formats, and the verbs that make them.
 *
 * A connector is a class (a static const table of callbacks) and options (a struct, copied by the
 * graph). The engine makes one instance per subtask: `instance_size` zeroed bytes.
 *
 * The life of a source subtask: open (positions of the restored checkpoint at hand) · poll again and
 * again: emits up to a batch, never blocks · snapshot at a barrier: says its positions ·
 * checkpoint_complete · close. Of a sink subtask: open · write · snapshot at the barrier: what was
 * written since the last one becomes part of checkpoint n · checkpoint_complete(n): now publish it ·
 * close. A sink must publish nothing before that, and everything of n even when it learns of the
 * completion only after a restart (open gets the items that snapshot(n) gave).
 *
 * Items. What a connector keeps in a checkpoint is a set of items, name -> bytes, each at most
 * WEIR_ITEM_SIZE_MAX. At a restore *every* subtask gets the items of *all* old subtasks and takes
 * those it owns (split number % parallelism, usually): that is what makes another parallelism work.
 *
 * Thread: task, but for `run` of weir_async. No callback blocks, but open, which may for a bounded
 * time. Errors: retriable ones restart the job under its restart strategy, others fail it. */
#ifndef WEIR_CONNECTOR_H
#define WEIR_CONNECTOR_H

#include <weir/operator.h>

struct weir_job; /* job.h */

#define WEIR_ITEM_SIZE_MAX (16u << 20)

/* -- formats: bytes <-> records ---------------------------------------------------------------- */

/* A growable, bounded byte buffer that a format writes into; reset and owned by the caller. */
typedef struct weir_buffer weir_buffer;
WEIR_API void weir_buffer_add(weir_buffer *buffer, const void *bytes, size_t size);
WEIR_API void weir_buffer_add_str(weir_buffer *buffer, weir_str text);
WEIR_API void weir_buffer_add_byte(weir_buffer *buffer, char byte);
/* Room for `size` bytes at the end, to be filled and then claimed by weir_buffer_added. Never NULL. */
WEIR_API char *weir_buffer_reserve(weir_buffer *buffer, size_t size);
WEIR_API void weir_buffer_added(weir_buffer *buffer, size_t size);
WEIR_API weir_str weir_buffer_view(const weir_buffer *buffer);
WEIR_API void weir_buffer_reset(weir_buffer *buffer);
WEIR_API weir_buffer *weir_buffer_new(size_t size_max); /* going over is remembered as an error */
WEIR_API bool weir_buffer_overflowed(const weir_buffer *buffer);
WEIR_API void weir_buffer_free(weir_buffer *buffer);

struct weir_format {
    const struct weir_format_class *format_class;
    const struct weir_type *type; /* of the records it makes or takes */
    const void *options;          /* borrowed for the life of the job */
};

struct weir_format_class {
    const char *name;
    /* Plan time: does it fit the type? Every mistake in one error. NULL: always. */
    weir_error *(*validate)(const struct weir_format *format);
    /* Bytes to record. `record` is zeroed; its strings may point into the message or into `scratch`
     * (from weir_scratch), both valid until the batch has been handled. A WEIR_E_DATA error
     * makes the message a dead letter. NULL: cannot decode. */
    weir_error *(*decode)(const struct weir_format *format, weir_ctx *ctx,
        const struct weir_message *message, void *record);
    /* Record to bytes, appended to `key` and `value`, both empty before. `*key_is_null` is true and
     * `*value_is_null` false on entry; a null value is a tombstone. NULL: cannot encode. */
    weir_error *(*encode)(const struct weir_format *format, const void *record, weir_buffer *key,
        weir_buffer *value, bool *key_is_null, bool *value_is_null);
};

WEIR_API struct weir_format weir_raw(void); /* struct weir_message */
/* One object a record. Written, a string that is not UTF-8 has U+FFFD for what is not, and a double
 * that is NaN or infinite is null, which is read as 0: no error says so. */
WEIR_API struct weir_format weir_json(const struct weir_type *type);
/* A message is a line of RFC 4180, fields by position. A line feed between quotes is fine in a message
 * of Kafka, but the file source cuts at every line feed: of a quoted one it makes two bad records, of
 * several more, and those between the first and the last may even pass for good ones. The file sink
 * refuses to write such a record ("unframeable"). */
WEIR_API struct weir_format weir_csv(const struct weir_type *type);
WEIR_API struct weir_format weir_msgpack(const struct weir_type *type); /* map: field id -> value */

/* -- what every connector may ask --------------------------------------------------------------- */

/* Items of the restored checkpoint, from all old subtasks; count 0 at a fresh start. In open; for
 * sources as long as they live. */
struct weir_item {
    weir_str name, value;
    uint32_t subtask; /* the old subtask that wrote it */
};
WEIR_API uint32_t weir_item_count(const weir_ctx *ctx);
WEIR_API struct weir_item weir_item_at(const weir_ctx *ctx, uint32_t index);
/* In snapshot: adds an item; copied. */
WEIR_API void weir_item_add(weir_ctx *ctx, weir_str name, weir_str value);
/* For a connector that contains others: from here on item names are written with this prefix (static
 * text), and only items with it are seen, without it. "" takes it away. */
WEIR_API void weir_item_scope(weir_ctx *ctx, const char *prefix);
/* In snapshot: what the restored checkpoint has in this scope goes into this one, too, shared out
 * between the subtasks. For what is not open in every subtask yet: an item of the same name that any
 * subtask adds itself counts instead, so it does no harm where it is. */
WEIR_API void weir_item_carry(weir_ctx *ctx);
/* In snapshot: makes a finished file part of the checkpoint; a worker syncs it, and a sync that fails fails
 * the task, as below. `path` lies in weir_staging_dir and stays the connector's to delete: the checkpoint
 * has its own link or copy, kept and verified at restore as long as a checkpoint refers to it. File names
 * must differ between subtasks and checkpoints. */
WEIR_API void weir_file_add(weir_ctx *ctx, const char *path);
/* In open: where a file of the restored checkpoint now lies, by its file name (the last part of what
 * weir_file_add was given); NULL: it has none such. Read-only: other checkpoints may share it. */
WEIR_API const char *weir_file_find(const weir_ctx *ctx, weir_str file_name);

/* In snapshot: a finished file outside of weir_staging_dir that must be durable, and its name in its
 * directory, too, before the checkpoint can complete: a worker syncs both. A sync that fails fails the
 * task, because what the file holds is unknown then, and a second sync would tell nothing. */
WEIR_API void weir_sync_add(weir_ctx *ctx, const char *path);

WEIR_API const char *weir_job_name_of(const weir_ctx *ctx);
WEIR_API const char *weir_uid_of(const weir_ctx *ctx); /* of the source, sink or operator */
/* A random number made at a fresh start and kept in every checkpoint since. */
WEIR_API uint64_t weir_instance_id(const weir_ctx *ctx);
/* Rises with every start and restart of the job. It stays when only a region of the job restarts, which this subtask
 * is in: then nothing of its former self is left but its files, also in weir_staging_dir. */
WEIR_API uint64_t weir_attempt(const weir_ctx *ctx);
/* NULL while this attempt is the newest; a WEIR_E_FENCED error when another has taken over. Reads
 * the checkpoint directory: call it from open or from weir_async's run. Thread: any. */
WEIR_API weir_error *weir_check_attempt(const weir_ctx *ctx) WEIR_MUST_USE;
/* A directory for files of unfinished checkpoints, in the checkpoint directory of the job, or in a
 * temporary one for a job without checkpoints. Made before open. */
WEIR_API const char *weir_staging_dir(const weir_ctx *ctx);
WEIR_API bool weir_has_checkpoints(const weir_ctx *ctx);

/* Blocking work off the task thread: `run(arg)` on a worker thread, then `done(ctx, arg)` on the
 * task thread. An error from run or done fails the task. One after the other per ctx, in order.
 * Both see `arg`, which the caller owns and keeps until done (at a failure, close is called after
 * the last run has returned). */
WEIR_API void weir_async(weir_ctx *ctx, weir_error *(*run)(void *arg),
    weir_error *(*done)(weir_ctx *ctx, void *arg), void *arg);

/* A descriptor that wakes the subtask when eight bytes (any number > 0) are written to it: hand it
 * to a client library as its event descriptor. */
WEIR_API int weir_wake_fd(const weir_ctx *ctx);

/* -- sources ------------------------------------------------------------------------------------ */

enum weir_source_status {
    WEIR_SOURCE_MORE,    /* poll again at once */
    WEIR_SOURCE_IDLE,    /* nothing now: poll when woken, or after 100 ms */
    WEIR_SOURCE_FINISHED /* nothing ever again */
};

/* A connector call as a value: it may be returned, stored and passed on; weir_source copies what it
 * needs. Make one with weir_source_of: the options are inside, so nothing is left behind in a block. */
#define WEIR_OPTIONS_SIZE_MAX 128
struct weir_source {
    const struct weir_source_class *source_class;
    const void
        *options; /* of options_size bytes, somewhere that lives; NULL: they are in `stored` */
    size_t stored_size; /* 0: nothing is stored */
    _Alignas(16) char stored[WEIR_OPTIONS_SIZE_MAX];
};

/* Records of one partition or file that came one behind the other. */
struct weir_position {
    weir_str topic;      /* or the name of the file */
    int32_t partition;   /* -1: a file */
    int64_t first, last; /* offsets; of a file the first and the last byte */
};

struct weir_source_class {
    const char *name;
    size_t options_size;
    size_t instance_size;
    const struct weir_type *(*out_type)(const void *options);
    weir_error *(*validate)(const void *options); /* plan time, no I/O; NULL: nothing to check */
    weir_error *(*open)(weir_ctx *ctx, const void *options, void *instance);
    /* Emits at most weir_source_room records. */
    weir_error *(*poll)(weir_ctx *ctx, void *instance, enum weir_source_status *status);
    weir_error *(*snapshot)(weir_ctx *ctx, void *instance, uint64_t checkpoint);
    weir_error *(*checkpoint_complete)(weir_ctx *ctx, void *instance, uint64_t checkpoint);
    void (*close)(weir_ctx *ctx, void *instance);
    /* Records between what was emitted and the end of the input as now known; -1: unknown. */
    int64_t (*lag)(weir_ctx *ctx, void *instance);
    /* For the last words of a crash: where the records of the last poll came from, and inside of poll the one that is
     * being decoded, if that is known. Fills in at most `max`; returns how many there are. Called by a signal handler
     * on the task's thread: it may read memory, nothing else. NULL: nobody knows. */
    uint32_t (*positions)(const void *instance, struct weir_position *list, uint32_t max);
};

/* Copies options_size bytes of options into the value. More than WEIR_OPTIONS_SIZE_MAX are not stored,
 * which the plan reports. */
static inline struct weir_source weir_source_of(const struct weir_source_class *source_class,
    const void *options)
{
    struct weir_source source = { .source_class = source_class };
    if (source_class->options_size <= sizeof(source.stored)) {
        source.stored_size = source_class->options_size;
        memcpy(source.stored, options, source.stored_size);
    }
    return source;
}

/* Declares a split (a partition, a file): its number is the handle for the calls below and its
 * watermark counts from now on. Finished splits no longer count. Idle: known to have no more now. */
WEIR_API uint32_t weir_split_add(weir_ctx *ctx);
WEIR_API void weir_split_idle(weir_ctx *ctx, uint32_t split, bool is_idle);
WEIR_API void weir_split_finish(weir_ctx *ctx, uint32_t split);

WEIR_API uint32_t weir_source_room(const weir_ctx *ctx);
/* Decodes a message by the format and emits the record, or makes it a dead letter. The message is
 * borrowed until the next callback on this instance: records point into it. */
WEIR_API void weir_source_emit(weir_ctx *ctx, uint32_t split, const struct weir_format *format,
    const struct weir_message *message);
/* Emits a record that needs no decoding; it must live until the next callback on this instance, or
 * in weir_scratch. */
WEIR_API void weir_source_emit_record(weir_ctx *ctx, uint32_t split, const void *record);
/* Refuses a message that cannot even be framed (a line too long); takes the error. `size`: length of
 * the whole value, of which message->value may hold only the first WEIR_DEAD_LETTER_RAW_MAX bytes. */
WEIR_API void weir_source_reject(weir_ctx *ctx, const struct weir_message *message, uint64_t size,
    weir_error *error);

/* -- sinks -------------------------------------------------------------------------------------- */

/* As struct weir_source; made by weir_sink_of. */
struct weir_sink {
    const struct weir_sink_class *sink_class;
    const void *options;
    size_t stored_size;
    _Alignas(16) char stored[WEIR_OPTIONS_SIZE_MAX];
};

struct weir_sink_class {
    const char *name;
    size_t options_size;
    size_t instance_size;
    const struct weir_type *(*in_type)(const void *options); /* NULL result: any type */
    weir_error *(*validate)(const void *options);
    weir_error *(*open)(weir_ctx *ctx, const void *options, void *instance);
    weir_error *(
        *write)(weir_ctx *ctx, void *instance, const struct weir_row *rows, uint32_t row_count);
    weir_error *(*snapshot)(weir_ctx *ctx, void *instance, uint64_t checkpoint);
    weir_error *(*checkpoint_complete)(weir_ctx *ctx, void *instance, uint64_t checkpoint);
    /* Complete checkpoints whose output is not published yet: the engine stops feeding a sink that has
     * more than two, and ends a job only when all have none. Those that are not complete do not count:
     * what could complete them would be held back with the records. NULL: none ever. */
    uint32_t (*unpublished)(weir_ctx *ctx, void *instance);
    void (*close)(weir_ctx *ctx, void *instance);
};

/* The type of the records that reach a sink: what the format of a sink for any type is made of. */
WEIR_API const struct weir_type *weir_in_type(const weir_ctx *ctx);
static inline struct weir_sink weir_sink_of(const struct weir_sink_class *sink_class,
    const void *options)
{
    struct weir_sink sink = { .sink_class = sink_class };
    if (sink_class->options_size <= sizeof(sink.stored)) {
        sink.stored_size = sink_class->options_size;
        memcpy(sink.stored, options, sink.stored_size);
    }
    return sink;
}

/* Runs the format's encode into the ctx's buffers; the views in `message` are valid until the next
 * call. Over `size_max` bytes of key and value: WEIR_E_DATA "too-large". */
WEIR_API weir_error *weir_sink_encode(weir_ctx *ctx, const struct weir_format *format,
    const void *record, size_t size_max, struct weir_message *message) WEIR_MUST_USE;

/* -- the connectors ----------------------------------------------------------------------------- */

/* Kafka topic(s) as a source. Positions are in the checkpoint and are committed to the group when it
 * completes. Reads read_committed. New partitions are found. */
struct weir_kafka_source_options {
    const char *brokers; /* HOST:PORT[,…] */
    const char *topic;
    const char *group; /* NULL: the job's name */
    struct weir_format format;
    bool bounded;                  /* stop at the end offsets seen at the start of the run */
    bool from_latest;              /* where to start without a checkpoint; default: earliest */
    int64_t discovery_interval_ms; /* 0: 10 s */
    const char *const *client;     /* "name=value" for librdkafka, NULL-terminated; NULL: none */
};
WEIR_API struct weir_source weir_kafka_source_with(const struct weir_kafka_source_options *options);
#define weir_kafka_source(...) \
    weir_kafka_source_with(&(struct weir_kafka_source_options){ __VA_ARGS__ })

/* Kafka topic as a sink, exactly once however long the downtime (docs/KAFKA.md). */
struct weir_kafka_sink_options {
    const char *brokers;
    const char *topic;
    struct weir_format format;
    const char *token_topic; /* NULL: "weir-tokens-<job>-<uid>-<topic>"; created if missing */
    uint32_t chunk_size;     /* bytes a transaction; 0: 16 MB; at most 64 MB */
    bool republish;          /* go on although output after the restored checkpoint exists */
    const char *const *client;
};
WEIR_API struct weir_sink weir_kafka_sink_with(const struct weir_kafka_sink_options *options);
#define weir_kafka_sink(...) weir_kafka_sink_with(&(struct weir_kafka_sink_options){ __VA_ARGS__ })

/* The regular files directly in a directory (or one file), each a split, read once, one after the other
 * by name; names ending in .gz are unpacked, names starting with a dot left out. Records are lines,
 * without their line feed; an empty line is a record. The first `header_lines` of each file are passed
 * over. A file that was not begun holds the watermark back. Files that are added are found at the next
 * start of the job. */
struct weir_file_source_options {
    const char *path;
    struct weir_format format;
    uint32_t header_lines;
    uint32_t line_size_max; /* bytes; 0: 1 MiB; longer ones become dead letters "too-large" */
};
WEIR_API struct weir_source weir_file_source_with(const struct weir_file_source_options *options);
#define weir_file_source(...) \
    weir_file_source_with(&(struct weir_file_source_options){ __VA_ARGS__ })

/* Files in a directory, exactly once: <prefix>-<checkpoint>-<subtask>.<suffix>, each written under a
 * dot name and renamed when its checkpoint is complete. A record is its value and a line feed; with
 * `with_key` it is key TAB value, and a null value is written as nothing. What would break that is a
 * bad record, "unframeable". Needs a directory or prefix of its own: output of another run in it, or
 * from behind the restored checkpoint, stops the job. */
struct weir_file_sink_options {
    const char *path;
    const char *prefix; /* NULL: "part" */
    const char *suffix; /* NULL: "ndjson" */
    struct weir_format format;
    bool with_key;
};
WEIR_API struct weir_sink weir_file_sink_with(const struct weir_file_sink_options *options);
#define weir_file_sink(...) weir_file_sink_with(&(struct weir_file_sink_options){ __VA_ARGS__ })

/* Makes `count` records (0: for ever): record i = f(seed, i), whatever the parallelism. */
typedef void weir_generate_fn(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx);
struct weir_generator_options {
    const struct weir_type *type;
    weir_generate_fn *generate; /* fills a zeroed record; strings from weir_scratch or static */
    uint64_t seed;
    uint64_t count;
    uint64_t per_second; /* 0: as fast as possible; over all subtasks */
};
WEIR_API struct weir_source weir_generator_with(const struct weir_generator_options *options);
#define weir_generator(...) weir_generator_with(&(struct weir_generator_options){ __VA_ARGS__ })

/* `first` until all of its splits are finished, then `second`: history, then live. Both make records
 * of one type. Each subtask goes over when its own splits of `first` are done. */
WEIR_API struct weir_source weir_source_chain(struct weir_job *job, struct weir_source first,
    struct weir_source second);

/* To standard output, one JSON line a record; and nowhere. */
WEIR_API struct weir_sink weir_print(void);
WEIR_API struct weir_sink weir_blackhole(void);

#endif
