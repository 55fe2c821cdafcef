/* message_fuzz.c -- any bytes as what task managers and workers send to a job manager: refused, or taken.
 *
 * The input is a list of frames: kind, size (16 bits), payload. They come over a connection that has said nothing yet,
 * and over one that has registered, which may be closed for what it says, and comes back then. Each payload is also
 * read as every kind of message, and what is accepted is a fixed point: written again, it is read as the same. What
 * events carry is read by its own reader. */
#include "base/buffer.h"
#include "base/log.h"
#include "base/worker.h"
#include "checkpoint/format.h"
#include "net/sha256.h"
#include "runtime/cluster/dispatcher.h"
#include "runtime/cluster/worker_metrics.h"
#include "test/fuzz/quiet_net.h"
#include "test/support/temp_dir.h"
#include "types/msgpack.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_SIZE  512
#define SUBTASKS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- every kind ---------------------------------------------------------------------------------------- */

static void read_event(const struct message_event *message)
{
    static struct worker_task_metrics table[SUBTASKS_MAX];
    struct checkpoint_metadata metadata;
    (void)worker_metrics_get(message->bytes, table, SUBTASKS_MAX);
    weir_error *error = checkpoint_decode(message->bytes, "a snapshot", &metadata);
    if (error == NULL)
        checkpoint_metadata_release(&metadata);
    weir_error_free(error);
    weir_error_free(message_error(message->code, message->is_retriable, message->text));
}

static void read_lists(weir_str bytes)
{
    struct arena arena;
    const char **strings;
    const uint32_t *numbers;
    uint32_t count;
    arena_init(&arena, 4096, (size_t)64 << 20);
    if (message_take_strings(bytes, 1000, &arena, &strings, &count))
        ASSERT(weir_str_equal(message_put_strings(strings, count, &arena), bytes));
    if (message_take_numbers(bytes, 1000, &arena, &numbers, &count))
        ASSERT(weir_str_equal(message_put_numbers(numbers, count, &arena), bytes));
    arena_release(&arena);
}

static void read_as(enum message_kind kind, weir_str payload)
{
    _Alignas(16) char record[RECORD_SIZE], again[RECORD_SIZE];
    ASSERT(message_type(kind)->size <= RECORD_SIZE);
    weir_error *error = message_read(kind, payload, record);
    if (error != NULL) {
        ASSERT(weir_error_code(error) == WEIR_E_CORRUPT);
        weir_error_free(error);
        return;
    }
    weir_buffer *first = weir_buffer_new(1 << 24), *second = weir_buffer_new(1 << 24);
    msgpack_encode(message_type(kind), record, first);
    error = message_read(kind, weir_buffer_view(first), again);
    ASSERT(error == NULL);
    msgpack_encode(message_type(kind), again, second);
    ASSERT(weir_str_equal(weir_buffer_view(first), weir_buffer_view(second)));
    if (message_is_event(kind))
        read_event((const void *)record);
    weir_buffer_free(first);
    weir_buffer_free(second);
}

/* -- the job manager ------------------------------------------------------------------------------------- */

static void say(struct dispatcher *dispatcher, struct connection *it, uint32_t kind,
    weir_str payload)
{
    if (it->handler == NULL || it->is_closed) {
        *it = (struct connection){ .handler = NULL };
        ASSERT(dispatcher_accepted(dispatcher, it));
    }
    quiet_hear(it, kind, payload);
    dispatcher_step(dispatcher, quiet_ms);
}

static void enlist(struct dispatcher *dispatcher, struct connection *it)
{
    struct message_register message = { .protocol = MESSAGE_PROTOCOL,
        .id = WEIR_STR("tm"),
        .host = WEIR_STR("localhost"),
        .slot_count = 1,
        .memory_size = 1 };
    weir_buffer *bytes = weir_buffer_new(1 << 16);
    msgpack_encode(&message_register_type, &message, bytes);
    say(dispatcher, it, MESSAGE_REGISTER, weir_buffer_view(bytes));
    weir_buffer_free(bytes);
    ASSERT(!it->is_closed);
}

static void feed(struct dispatcher *dispatcher, const uint8_t *data, size_t size)
{
    struct connection stranger = { .handler = NULL }, known = { .handler = NULL };
    while (size >= 3) {
        uint32_t kind = data[0];
        size_t length = (size_t)data[1] | (size_t)data[2] << 8;
        length = length < size - 3 ? length : size - 3;
        char *copy = mem_dup(data + 3, length); /* the sanitizer sees a step behind its end */
        weir_str payload = { .data = copy, .size = length };
        for (uint32_t k = MESSAGE_HEARTBEAT; k <= MESSAGE_METRICS; k++)
            read_as((enum message_kind)k, payload);
        read_lists(payload);
        if (known.handler == NULL || known.is_closed)
            enlist(dispatcher, &known);
        say(dispatcher, &known, kind, payload);
        say(dispatcher, &stranger, kind, payload);
        mem_free(copy);
        data += 3 + length;
        size -= 3 + length;
    }
    dispatcher_free(dispatcher);
}

static char *dir;

static void remove_dir(void)
{
    temp_dir_free(dir);
}

/* None is in it: nobody can submit a job, but the dispatcher looks after it. */
static void open_blobs(struct blob_store **blobs)
{
    static const struct blob_digest algorithm = { .begin = sha256_begin,
        .add = sha256_add,
        .end = sha256_end };
    dir = temp_dir_new();
    struct blob_store_options options = { .dir = dir,
        .epoch = 1,
        .digest = &algorithm,
        .size_max = 1,
        .total_max = 1 };
    weir_error *error = blob_store_open(&options, quiet_ms, blobs);
    ASSERT(error == NULL);
    atexit(remove_dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct workers *workers;
    static struct blob_store *blobs;
    quiet_begin();
    if (workers == NULL) {
        open_blobs(&blobs);
        workers = workers_new(0, 64);
    }
    struct dispatcher_options options = { .workers = workers,
        .epoch = 1,
        .blobs_url = "",
        .blobs = blobs,
        .heartbeat_ms = 1000,
        .heartbeat_timeout_ms = 1000000,
        .slot_timeout_ms = 1000,
        .start_timeout_ms = 1000,
        .retained_jobs = 10 };
    feed(dispatcher_new(&options), data, size);
    return 0;
}
