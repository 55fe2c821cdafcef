/* wire_test.c -- two wires over the loopback, stepped by the test; and one wire with a test in the place of the
 * other worker, which says what a worker should not. */
#include "runtime/exchange/wire.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/worker.h"
#include "test/support/expect.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNELS_MAX 4u
#define TURNS_MAX    2000000u

/* Worker 0 and worker 1; channel i leads from 0 to 1, but the last one back if `has_return`. */
struct duo {
    struct segment_pool *pools[2];
    struct wire *wires[2]; /* NULL: none */
    struct wire_address addresses[2];
    struct channel *from[CHANNELS_MAX], *to[CHANNELS_MAX];
    uint32_t channel_count;
    uint64_t sent[CHANNELS_MAX], got[CHANNELS_MAX]; /* records */
    weir_error *failures[2];
    uint32_t failure_count[2];
};

struct duo_options {
    uint32_t channel_count; /* 0: 1 */
    uint32_t credits;       /* 0: 2 */
    bool has_return;
    size_t pool_size; /* 0: 16 MiB */
    const struct wire_crypto *crypto;
    int64_t timeout_ms; /* 0: a minute */
    uint16_t port;      /* of worker 1, which is not there; 0: it is */
    struct workers *workers;
};

struct failure_arg {
    struct duo *duo;
    uint32_t worker;
};
static struct failure_arg failure_args[2];

static void on_failure(void *arg, weir_error *error)
{
    const struct failure_arg *it = arg;
    assert_int_equal(it->duo->failure_count[it->worker]++, 0); /* once */
    it->duo->failures[it->worker] = error;
}

static const struct wire_frame_hello hello = { .job = "job",
    .attempt = 7,
    .worker_count = 2,
    .secret = { 1, 2, 3 } };

static void make_wire(struct duo *duo, uint32_t worker, const struct duo_options *options)
{
    failure_args[worker] = (struct failure_arg){ duo, worker };
    struct wire_options wire = { .host = "127.0.0.1",
        .port = worker == 1 ? options->port : 0,
        .self = hello,
        .crypto = options->crypto,
        .workers = options->workers,
        .failed = on_failure,
        .arg = &failure_args[worker] };
    wire.self.worker = worker;
    expect_ok(wire_new(&wire, &duo->wires[worker]));
    duo->addresses[worker] =
        (struct wire_address){ .host = "127.0.0.1", .port = wire_port(duo->wires[worker]) };
    for (uint32_t i = 0; i < duo->channel_count; i++) {
        bool is_back = options->has_return && i + 1 == duo->channel_count;
        if ((worker == 0) != is_back)
            wire_add_output(duo->wires[worker], 1 - worker, 100 - i, duo->from[i]);
        else
            wire_add_input(duo->wires[worker], 1 - worker, 100 - i, duo->to[i]);
    }
}

static void connect_wire(struct duo *duo, uint32_t worker, const struct duo_options *options)
{
    wire_connect(duo->wires[worker], duo->addresses, duo->pools[worker],
        options->timeout_ms ? options->timeout_ms : 60000);
}

static void duo_init(struct duo *duo, const struct duo_options *options)
{
    *duo = (struct duo){ .channel_count = options->channel_count ? options->channel_count : 1 };
    for (uint32_t w = 0; w < 2; w++)
        duo->pools[w] =
            segment_pool_new(options->pool_size ? options->pool_size : (size_t)16 << 20);
    for (uint32_t i = 0; i < duo->channel_count; i++) {
        duo->from[i] = channel_new(options->credits ? options->credits : 2);
        duo->to[i] = channel_new(options->credits ? options->credits : 2);
    }
    duo->addresses[1] = (struct wire_address){ .host = "127.0.0.1", .port = options->port };
    make_wire(duo, 0, options);
    if (options->port == 0)
        make_wire(duo, 1, options);
    for (uint32_t w = 0; w < 2; w++)
        if (duo->wires[w] != NULL)
            connect_wire(duo, w, options);
}

static void duo_release(struct duo *duo)
{
    for (uint32_t w = 0; w < 2; w++) {
        wire_free(duo->wires[w]);
        weir_error_free(duo->failures[w]);
    }
    for (uint32_t i = 0; i < duo->channel_count; i++) {
        channel_free(duo->from[i]);
        channel_free(duo->to[i]);
    }
    for (uint32_t w = 0; w < 2; w++)
        segment_pool_free(duo->pools[w]); /* asserts that all segments have come back */
}

static void turn(struct duo *duo)
{
    for (uint32_t w = 0; w < 2; w++)
        if (duo->wires[w] != NULL)
            wire_step(duo->wires[w], 0);
}

static bool are_connected(struct duo *duo)
{
    return wire_is_connected(duo->wires[0]) && wire_is_connected(duo->wires[1]);
}

/* Turns until a condition holds, which it must. */
#define TURN_UNTIL(duo_, condition_) \
    do { \
        uint32_t turns_ = 0; \
        for (; !(condition_) && turns_ < TURNS_MAX; turns_++) \
            turn(duo_); \
        assert_true(condition_); \
    } while (0)

/* One segment with one record that knows its number, of `size` bytes. */
static struct segment *make_segment(struct segment_pool *pool, uint64_t number, uint32_t size)
{
    struct segment *segment = segment_take(pool, size);
    assert_non_null(segment);
    struct element *element = segment_add(segment, ELEMENT_RECORD, size);
    memset(element + 1, (int)(number & 0xff), segment_element_size(size) - sizeof(*element));
    element->value = (int64_t)number;
    return segment;
}

/* Pushes while there is room. */
static void produce(struct duo *duo, uint32_t channel, struct segment_pool *pool, uint32_t size)
{
    while (channel_room(duo->from[channel]) > 0)
        channel_push(duo->from[channel], make_segment(pool, duo->sent[channel]++, size));
}

/* Takes what is there and looks at every byte of it. */
static void consume(struct duo *duo, uint32_t channel)
{
    struct segment *segment;
    while ((segment = channel_pop(duo->to[channel])) != NULL) {
        const struct element *element = segment_next(segment);
        assert_int_equal(element->value, duo->got[channel]);
        for (uint32_t i = 0; i < element->size; i++)
            if (((const uint8_t *)(element + 1))[i] != (duo->got[channel] & 0xff))
                fail_msg("byte %u of record %llu", i, (unsigned long long)duo->got[channel]);
        assert_null(segment_next(segment));
        assert_int_equal(segment->record_count, 1);
        segment_give(segment);
        duo->got[channel]++;
    }
}

static void exchange(struct duo *duo, uint32_t channel, uint32_t pool, uint32_t size,
    uint64_t count)
{
    uint64_t end = duo->sent[channel] + count;
    while (duo->got[channel] < end) {
        assert_int_equal(duo->failure_count[0] + duo->failure_count[1], 0);
        if (duo->sent[channel] < end)
            produce(duo, channel, duo->pools[pool], size);
        turn(duo);
        consume(duo, channel);
    }
}

/* -- moving ----------------------------------------------------------------------------------- */

static void segments_arrive_in_order_and_whole_in_both_directions(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .channel_count = 2, .has_return = true });
    exchange(&duo, 0, 0, 30000, 300);
    exchange(&duo, 1, 1, 10, 300);
    exchange(&duo, 0, 0, 1, 300);
    const struct wire_metrics *metrics = wire_metrics(duo.wires[1]);
    assert_true(metric_get(&metrics->segments_in) >= 600);
    assert_true(metric_get(&metrics->segments_out) >= 300);
    assert_true(metric_get(&metrics->bytes_in) > 300 * 30000);
    assert_true(
        metric_get(&wire_metrics(duo.wires[0])->bytes_out) >= metric_get(&metrics->bytes_in));
    duo_release(&duo);
}

static void a_record_longer_than_all_credits_goes_through(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .credits = 1 });
    exchange(&duo, 0, 0, 2u << 20, 20);
    exchange(&duo, 0, 0, 5, 20);
    exchange(&duo, 0, 0, 100000, 20);
    duo_release(&duo);
}

static void a_consumer_that_takes_nothing_stops_the_producer_and_nothing_grows(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .credits = 3 });
    TURN_UNTIL(&duo, are_connected(&duo));
    for (uint32_t i = 0; i < 1000; i++) {
        produce(&duo, 0, duo.pools[0], 20000);
        turn(&duo);
    }
    assert_int_equal(duo.sent[0], 6); /* the credits of both sides, and not one more */
    assert_int_equal(segment_pool_used(duo.pools[0]), 3 * SEGMENT_SIZE);
    assert_int_equal(segment_pool_used(duo.pools[1]), 3 * SEGMENT_SIZE);
    exchange(&duo, 0, 0, 20000, 100);
    duo_release(&duo);
}

static void a_blocked_channel_holds_up_no_other(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .channel_count = 3 });
    TURN_UNTIL(&duo, are_connected(&duo));
    for (uint32_t i = 0; i < 200; i++) {
        produce(&duo, 1, duo.pools[0], 30000); /* nobody takes from it */
        turn(&duo);
    }
    uint64_t stuck = duo.sent[1];
    exchange(&duo, 0, 0, 30000, 500);
    exchange(&duo, 2, 0, 30000, 500);
    assert_int_equal(duo.sent[1], stuck);
    exchange(&duo, 1, 0, 30000, 100);
    duo_release(&duo);
}

static void events_travel_in_small_segments(void **state)
{
    struct duo duo;
    struct segment *segment;
    duo_init(&duo, &(struct duo_options){ .credits = 1 });
    for (int64_t i = 0; i < 6; i++) { /* more than the credits: they always find a place */
        segment = segment_take_event(duo.pools[0]);
        segment_add(segment, ELEMENT_BARRIER, 0)->value = i;
        channel_push(duo.from[0], segment);
    }
    for (int64_t i = 0; i < 6; i++) {
        while ((segment = channel_pop(duo.to[0])) == NULL) {
            channel_flushed(duo.from[0]);
            turn(&duo);
        }
        assert_int_equal(segment->capacity, sizeof(struct element));
        assert_int_equal(segment_next(segment)->value, i);
        segment_give(segment);
    }
    duo_release(&duo);
}

static void stopping_in_the_middle_gives_all_memory_back(void **state)
{
    for (uint32_t turns = 0; turns < 40; turns++) {
        struct duo duo;
        duo_init(&duo, &(struct duo_options){ .channel_count = 2, .credits = 40 });
        produce(&duo, 0, duo.pools[0], 30000);
        for (uint32_t i = 0; i < turns; i++) {
            produce(&duo, 1, duo.pools[0], 30000);
            turn(&duo);
        }
        wire_stop(duo.wires[turns % 2]);
        duo_release(&duo);
    }
}

/* -- meeting ---------------------------------------------------------------------------------- */

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct os_socket *socket;
    expect_ok(os_socket_listen("127.0.0.1", 0, &socket));
    uint16_t port = os_socket_port(socket);
    os_socket_close(socket);
    return port;
}

static void a_worker_may_start_before_the_other_listens(void **state)
{
    struct duo duo;
    struct duo_options options = { .port = free_port() };
    duo_init(&duo, &options);
    for (uint32_t i = 0; i < 50; i++)
        turn(&duo); /* refused, again and again */
    assert_int_equal(duo.failure_count[0], 0);
    make_wire(&duo, 1, &options);
    connect_wire(&duo, 1, &options);
    exchange(&duo, 0, 0, 1000, 10);
    duo_release(&duo);
}

static void a_worker_that_never_comes_is_named_at_the_deadline(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .port = free_port(), .timeout_ms = 50 });
    TURN_UNTIL(&duo, duo.failures[0] != NULL);
    assert_true(weir_error_is_retriable(duo.failures[0]));
    expect_error(duo.failures[0], WEIR_E_TIMEOUT, "no connection with worker 1 (127.0.0.1:");
    duo.failures[0] = NULL;
    duo_release(&duo);
}

static void a_worker_waits_for_a_lower_one_until_the_deadline_only(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .timeout_ms = 50 });
    for (uint32_t i = 0; i < TURNS_MAX && duo.failures[1] == NULL; i++)
        wire_step(duo.wires[1], 1); /* worker 0 does nothing */
    expect_error(duo.failures[1], WEIR_E_TIMEOUT, "worker 0");
    duo.failures[1] = NULL;
    duo_release(&duo);
}

/* -- a test in the place of worker 0 ------------------------------------------------------------ */

/* Worker 1 with its wire and a plain socket to it. */
struct impostor {
    struct duo duo;
    struct os_socket *socket;
};

static void impostor_init(struct impostor *it)
{
    duo_init(&it->duo, &(struct duo_options){ .credits = 2 });
    wire_free(it->duo.wires[0]);
    it->duo.wires[0] = NULL;
    expect_ok(os_socket_connect("127.0.0.1", it->duo.addresses[1].port, &it->socket));
}

static void impostor_release(struct impostor *it)
{
    os_socket_close(it->socket);
    duo_release(&it->duo);
}

static void say(struct impostor *it, struct wire_frame_header header, const void *payload,
    size_t size)
{
    struct iovec pieces[2] = { { &header, sizeof(header) }, { (void *)(uintptr_t)payload, size } };
    size_t done = 0;
    for (uint32_t i = 0; i < TURNS_MAX && done == 0; i++) { /* it may not be connected yet */
        turn(&it->duo);
        expect_ok(os_socket_writev(it->socket, pieces, size > 0 ? 2 : 1, &done));
    }
    assert_int_equal(done, sizeof(header) + size);
}

static void say_hello(struct impostor *it, const struct wire_frame_hello *words)
{
    char payload[WIRE_FRAME_HELLO_SIZE + 16];
    uint32_t size = wire_frame_write_hello(words, payload);
    struct wire_frame_header header = { .type = WIRE_FRAME_HELLO, .size = size };
    wire_frame_seal(&header, payload);
    say(it, header, payload, size);
}

/* What the wire has answered, or how the connection ended. Bytes are enough here. */
static weir_error *listen_for(struct impostor *it, size_t size)
{
    char bytes[4096];
    size_t got = 0;
    for (uint32_t i = 0; i < TURNS_MAX && got < size; i++) {
        size_t done;
        turn(&it->duo);
        WEIR_TRY(os_socket_readv(it->socket,
            &(struct iovec){ .iov_base = bytes, .iov_len = sizeof(bytes) }, 1, &done));
        got += done;
    }
    assert_true(got >= size);
    return NULL;
}

static void who_says_the_wrong_hello_is_closed_and_the_wire_goes_on(void **state)
{
    struct wire_frame_hello wrong[4] = { hello, hello, hello, hello };
    wrong[0].secret[31] = 1;
    wrong[1].attempt = 6;
    wrong[2].job = "jab";
    wrong[3].worker = 1;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct impostor it;
        impostor_init(&it);
        say_hello(&it, &wrong[i]);
        expect_error(listen_for(&it, 1), WEIR_E_IO, "broke"); /* not one byte is answered */
        assert_int_equal(it.duo.failure_count[1], 0);
        os_socket_close(it.socket);
        expect_ok(os_socket_connect("127.0.0.1", it.duo.addresses[1].port, &it.socket));
        say_hello(&it, &hello);
        expect_ok(listen_for(&it, sizeof(struct wire_frame_header) + WIRE_FRAME_HELLO_SIZE));
        assert_true(wire_is_connected(it.duo.wires[1]));
        impostor_release(&it);
    }
}

static void a_second_connection_of_a_worker_is_closed(void **state)
{
    struct impostor it;
    impostor_init(&it);
    say_hello(&it, &hello);
    expect_ok(listen_for(&it, sizeof(struct wire_frame_header) + WIRE_FRAME_HELLO_SIZE));
    struct os_socket *first = it.socket;
    expect_ok(os_socket_connect("127.0.0.1", it.duo.addresses[1].port, &it.socket));
    say_hello(&it, &hello);
    expect_error(listen_for(&it, 1), WEIR_E_IO, "broke");
    assert_int_equal(it.duo.failure_count[1], 0);
    os_socket_close(first);
    TURN_UNTIL(&it.duo, it.duo.failure_count[1] == 1);
    impostor_release(&it);
}

static void a_worker_that_dies_in_the_middle_of_a_frame_ends_the_attempt(void **state)
{
    static const char payload[4096];
    static const size_t sizes[] = { 0, 1, 100, 4000 };
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct impostor it;
        impostor_init(&it);
        say_hello(&it, &hello);
        say(&it,
            (struct wire_frame_header){ .type = WIRE_FRAME_SEGMENT, .channel = 100, .size = 30000 },
            payload, sizes[i]);
        os_socket_close(it.socket);
        it.socket = NULL;
        TURN_UNTIL(&it.duo, it.duo.failures[1] != NULL);
        assert_true(weir_error_is_retriable(it.duo.failures[1]));
        expect_error(it.duo.failures[1], WEIR_E_IO, "lost worker 0 at 127.0.0.1:");
        it.duo.failures[1] = NULL;
        for (uint32_t n = 0; n < 10; n++)
            turn(&it.duo); /* quiet now */
        impostor_release(&it);
    }
}

/* Says a hello and one frame that is not right. */
static void expect_refused(struct wire_frame_header header, const void *payload,
    enum weir_code code, const char *text)
{
    struct impostor it;
    impostor_init(&it);
    say_hello(&it, &hello);
    if (header.checksum == 0)
        wire_frame_seal(&header, payload);
    say(&it, header, payload, header.size);
    TURN_UNTIL(&it.duo, it.duo.failures[1] != NULL);
    expect_error(it.duo.failures[1], code, text);
    it.duo.failures[1] = NULL;
    assert_int_equal(channel_is_empty(it.duo.to[0]), true);
    impostor_release(&it);
}

static void frames_that_are_not_right_end_the_attempt(void **state)
{
    struct element end = { .kind = ELEMENT_END };
    expect_refused((struct wire_frame_header){ .type = 9 }, NULL, WEIR_E_CORRUPT, "type 9");
    expect_refused((struct wire_frame_header){ .type = WIRE_FRAME_SEGMENT,
                       .size = 32,
                       .channel = 100,
                       .checksum = 1 },
        &end, WEIR_E_CORRUPT, "wrong checksum");
    expect_refused((struct wire_frame_header){ .type = WIRE_FRAME_SEGMENT,
                       .size = 32,
                       .channel = 99 },
        &end, WEIR_E_INTERNAL, "channel 99, which does not lead here");
    expect_refused((struct wire_frame_header){ .type = WIRE_FRAME_CREDIT, .channel = 100 }, NULL,
        WEIR_E_INTERNAL, "channel 100, which does not lead here");
}

static void segments_without_credit_end_the_attempt(void **state)
{
    struct impostor it;
    struct element barrier = { .kind = ELEMENT_BARRIER };
    struct wire_frame_header header = { .type = WIRE_FRAME_SEGMENT, .size = 32, .channel = 100 };
    wire_frame_seal(&header, &barrier);
    impostor_init(&it);
    say_hello(&it, &hello);
    expect_ok(listen_for(&it, 2 * sizeof(header) + WIRE_FRAME_HELLO_SIZE));
    say(&it, header, &barrier, sizeof(barrier));
    say(&it, header, &barrier, sizeof(barrier));
    for (uint32_t i = 0; i < 50; i++)
        turn(&it.duo);
    assert_int_equal(it.duo.failure_count[1], 0);
    say(&it, header, &barrier, sizeof(barrier)); /* it was granted two */
    TURN_UNTIL(&it.duo, it.duo.failures[1] != NULL);
    expect_error(it.duo.failures[1], WEIR_E_INTERNAL, "without credit");
    it.duo.failures[1] = NULL;
    impostor_release(&it);
}

static void a_pool_that_is_used_up_ends_the_attempt(void **state)
{
    struct duo duo;
    duo_init(&duo, &(struct duo_options){ .pool_size = 3 * SEGMENT_SIZE, .credits = 3 });
    struct segment *taken = segment_take(duo.pools[1], 0), *more = segment_take(duo.pools[1], 0);
    produce(&duo, 0, duo.pools[0], 100);
    TURN_UNTIL(&duo, duo.failures[1] != NULL);
    expect_error(duo.failures[1], WEIR_E_LIMIT, "give the job more --memory");
    duo.failures[1] = NULL;
    segment_give(taken);
    segment_give(more);
    duo_release(&duo);
}

/* -- crypto ------------------------------------------------------------------------------------- */

/* Bytes are turned over, a few at a time, and every third call would block: now for reading, now for writing. */
struct session {
    struct os_socket *socket;
    uint32_t calls;
    const void
        *retried; /* the bytes of a write that would have blocked: it comes again with the same */
};
static uint32_t piece_max = 7;

static weir_error *xor_wrap(void *arg, struct os_socket *socket, const char *host, void **session)
{
    struct session *it = *session = mem_alloc(sizeof(*it));
    it->socket = socket;
    return NULL;
}

static weir_error *xor_read(void *session, void *bytes, size_t size, size_t *done,
    bool *wants_write)
{
    struct session *it = session;
    if (it->calls++ % 3 == 0) {
        *wants_write = true; /* it is writable: so it is called again */
        return NULL;
    }
    WEIR_TRY(os_socket_readv(it->socket,
        &(struct iovec){ .iov_base = bytes, .iov_len = size < piece_max ? size : piece_max }, 1,
        done));
    for (size_t i = 0; i < *done; i++)
        ((uint8_t *)bytes)[i] ^= 0x55;
    return NULL;
}

static weir_error *xor_write(void *session, const void *bytes, size_t size, size_t *done,
    bool *wants_write)
{
    struct session *it = session;
    uint8_t turned[4096];
    size_t part = size < piece_max ? size : piece_max;
    assert_true(it->retried == NULL || it->retried == bytes);
    it->retried = NULL;
    *wants_write = true;
    if (it->calls++ % 3 == 0) {
        it->retried = bytes;
        return NULL;
    }
    for (size_t i = 0; i < part; i++)
        turned[i] = ((const uint8_t *)bytes)[i] ^ 0x55;
    return os_socket_writev(it->socket, &(struct iovec){ .iov_base = turned, .iov_len = part }, 1,
        done);
}

static void xor_free(void *session)
{
    mem_free(session);
}

static const struct wire_crypto xor_crypto = { NULL, xor_wrap, xor_read, xor_write, xor_free };

static void records_go_through_crypto_in_pieces_of_any_size(void **state)
{
    for (piece_max = 1; piece_max < 4096; piece_max = piece_max * 5 + 1) {
        struct duo duo;
        duo_init(&duo,
            &(struct duo_options){ .crypto = &xor_crypto, .channel_count = 2, .has_return = true });
        exchange(&duo, 0, 0, 100, 20);
        exchange(&duo, 1, 1, piece_max < 100 ? 2000 : 30000, 20);
        duo_release(&duo);
    }
}

static weir_error *refuse_wrap(void *arg, struct os_socket *socket, const char *host,
    void **session)
{
    return weir_errorf(WEIR_E_CONNECTOR, "no certificate");
}

static void crypto_that_refuses_is_said_at_the_deadline(void **state)
{
    struct wire_crypto refusing = xor_crypto;
    struct duo duo;
    refusing.wrap = refuse_wrap;
    duo_init(&duo, &(struct duo_options){ .crypto = &refusing, .timeout_ms = 50 });
    TURN_UNTIL(&duo, duo.failures[0] != NULL);
    expect_error(duo.failures[0], WEIR_E_TIMEOUT, "no certificate");
    duo.failures[0] = NULL;
    duo_release(&duo);
}

/* -- where the other one is -------------------------------------------------------------------- */

static struct os_socket_class own_sockets;
static struct os own_os;
static uint32_t look_ups;
static int64_t late_ns; /* the clock has jumped so far */

/* Nobody listens at the first one. */
static weir_error *look_up_two(const char *host, struct os_addresses *addresses)
{
    look_ups++;
    *addresses = (struct os_addresses){ 2, { "127.0.0.9", "127.0.0.1" } };
    return NULL;
}

static weir_error *look_up_none(const char *host, struct os_addresses *addresses)
{
    return weir_errorf(WEIR_E_CONNECTOR, "nobody knows host '%s'", host);
}

static int64_t late_clock_ns(void)
{
    return os_linux.monotonic_ns() + late_ns;
}

static void put_look_up(weir_error *(*look_up)(const char *host, struct os_addresses *addresses))
{
    own_sockets = os_socket_linux;
    own_sockets.look_up = look_up;
    os_socket_current = &own_sockets;
    look_ups = 0;
}

static int restore_os(void **state)
{
    os_socket_current = &os_socket_linux;
    os_current = &os_linux;
    return 0;
}

static void all_addresses_of_a_host_are_tried(void **state)
{
    struct duo duo;
    put_look_up(look_up_two);
    duo_init(&duo, &(struct duo_options){ .channel_count = 1 });
    exchange(&duo, 0, 0, 100, 10);
    assert_int_equal(look_ups, 1);
    duo_release(&duo);
}

/* A listener whose queue is full answers nothing, as a machine does that is away. */
static void an_address_that_does_not_answer_leaves_time_for_the_next_one(void **state)
{
    struct duo duo;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000009) };
    int fds[4];
    put_look_up(look_up_two);
    own_os = os_linux;
    own_os.monotonic_ns = late_clock_ns;
    os_current = &own_os;
    late_ns = 0;
    duo_init(&duo, &(struct duo_options){ .timeout_ms = 60000 });
    at.sin_port = htons(duo.addresses[1].port);
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | (i == 0 ? 0 : SOCK_NONBLOCK), 0);
        assert_true(fds[i] >= 0);
        if (i == 0)
            assert_true(
                bind(fds[0], (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fds[0], 0) == 0);
        else
            (void)connect(fds[i], (struct sockaddr *)&at, sizeof(at));
    }
    for (uint32_t i = 0; i < 1000; i++)
        turn(&duo);
    assert_false(are_connected(&duo));
    late_ns = INT64_C(16) * 1000000000;
    TURN_UNTIL(&duo, are_connected(&duo));
    assert_int_equal(look_ups, 1);
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
    duo_release(&duo);
}

/* Whoever only connects takes a place that a worker needs: there are so many, each for ten seconds. */
static void who_says_nothing_gets_no_place_of_a_worker_for_long(void **state)
{
    struct impostor it;
    struct os_socket *silent[WIRE_STRANGERS_MAX];
    own_os = os_linux;
    own_os.monotonic_ns = late_clock_ns;
    os_current = &own_os;
    late_ns = 0;
    impostor_init(&it);
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        turn(&it.duo); /* one after the other: the last one is one too many */
        silent[i] = it.socket;
        expect_ok(os_socket_connect("127.0.0.1", it.duo.addresses[1].port, &it.socket));
    }
    expect_error(listen_for(&it, 1), WEIR_E_IO, "broke");
    os_socket_close(it.socket);
    late_ns = INT64_C(11) * 1000000000;
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        it.socket = silent[i];
        expect_error(listen_for(&it, 1), WEIR_E_IO, "broke");
        os_socket_close(it.socket);
    }
    expect_ok(os_socket_connect("127.0.0.1", it.duo.addresses[1].port, &it.socket));
    say_hello(&it, &hello);
    expect_ok(listen_for(&it, sizeof(struct wire_frame_header) + WIRE_FRAME_HELLO_SIZE));
    assert_true(wire_is_connected(it.duo.wires[1]));
    assert_int_equal(it.duo.failure_count[1], 0);
    impostor_release(&it);
}

static void a_name_is_looked_up_aside_and_nothing_waits_for_it(void **state)
{
    struct duo duo;
    struct workers *workers = workers_new(0, 8);
    put_look_up(look_up_two);
    duo_init(&duo, &(struct duo_options){ .workers = workers });
    for (uint32_t i = 0; i < 100; i++)
        turn(&duo);
    assert_int_equal(look_ups, 0);
    assert_true(workers_step(workers));
    assert_int_equal(look_ups, 1);
    TURN_UNTIL(&duo, are_connected(&duo));
    assert_false(workers_step(workers));
    duo_release(&duo);
    duo_init(&duo, &(struct duo_options){ .workers = workers });
    turn(&duo);
    duo_release(&duo); /* while it is looked up */
    workers_free(workers);
}

static void a_name_that_means_nothing_is_told_at_the_deadline(void **state)
{
    struct duo duo;
    put_look_up(look_up_none);
    duo_init(&duo, &(struct duo_options){ .timeout_ms = 50 });
    TURN_UNTIL(&duo, duo.failures[0] != NULL);
    expect_error(duo.failures[0], WEIR_E_TIMEOUT, "nobody knows host '127.0.0.1'");
    duo.failures[0] = NULL;
    weir_error_free(duo.failures[1]); /* it was waited for there, too */
    duo.failures[1] = NULL;
    duo_release(&duo);
}

static void a_port_that_is_taken_is_named(void **state)
{
    struct duo duo;
    struct wire *wire;
    duo_init(&duo, &(struct duo_options){ .timeout_ms = 50 });
    struct wire_options options = { .host = "127.0.0.1",
        .port = duo.addresses[1].port,
        .self = hello };
    expect_error(wire_new(&options, &wire), WEIR_E_LIMIT, "cannot listen on 127.0.0.1:");
    assert_null(wire);
    duo_release(&duo);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_arrive_in_order_and_whole_in_both_directions),
        cmocka_unit_test(a_record_longer_than_all_credits_goes_through),
        cmocka_unit_test(a_consumer_that_takes_nothing_stops_the_producer_and_nothing_grows),
        cmocka_unit_test(a_blocked_channel_holds_up_no_other),
        cmocka_unit_test(events_travel_in_small_segments),
        cmocka_unit_test(stopping_in_the_middle_gives_all_memory_back),
        cmocka_unit_test(a_worker_may_start_before_the_other_listens),
        cmocka_unit_test(a_worker_that_never_comes_is_named_at_the_deadline),
        cmocka_unit_test(a_worker_waits_for_a_lower_one_until_the_deadline_only),
        cmocka_unit_test(who_says_the_wrong_hello_is_closed_and_the_wire_goes_on),
        cmocka_unit_test(a_second_connection_of_a_worker_is_closed),
        cmocka_unit_test(a_worker_that_dies_in_the_middle_of_a_frame_ends_the_attempt),
        cmocka_unit_test(frames_that_are_not_right_end_the_attempt),
        cmocka_unit_test(segments_without_credit_end_the_attempt),
        cmocka_unit_test(a_pool_that_is_used_up_ends_the_attempt),
        cmocka_unit_test(records_go_through_crypto_in_pieces_of_any_size),
        cmocka_unit_test(crypto_that_refuses_is_said_at_the_deadline),
        cmocka_unit_test_teardown(all_addresses_of_a_host_are_tried, restore_os),
        cmocka_unit_test_teardown(an_address_that_does_not_answer_leaves_time_for_the_next_one,
            restore_os),
        cmocka_unit_test_teardown(who_says_nothing_gets_no_place_of_a_worker_for_long, restore_os),
        cmocka_unit_test_teardown(a_name_is_looked_up_aside_and_nothing_waits_for_it, restore_os),
        cmocka_unit_test_teardown(a_name_that_means_nothing_is_told_at_the_deadline, restore_os),
        cmocka_unit_test(a_port_that_is_taken_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
