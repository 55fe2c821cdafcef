/* wire_tls_test.c -- two workers' wires over TLS, stepped by the test: records arrive, strangers do not. */
#include "runtime/cluster/wire_tls.h"

#include "base/log.h"
#include "net/net.h"
#include "runtime/exchange/wire.h"
#include "test/support/certificates.h"
#include "test/support/expect.h"
#include "test/support/temp_dir.h"

#define TURNS_MAX 2000000u
#define RECORDS   200u
#define SIZE      30000u

static char *dir;

static int make_certificates(void **state)
{
    log_set_level(LOG_ERROR);
    dir = temp_dir_new();
    certificates_make(dir);
    net_free(net_new()); /* ignores SIGPIPE, as in every worker */
    return 0;
}

static int remove_certificates(void **state)
{
    temp_dir_free(dir);
    return 0;
}

static void tls_of(const char *name, const char *ca, struct wire_tls *it)
{
    struct tls_files files = { .cert_file = temp_dir_path(dir, "%s.pem", name),
        .key_file = temp_dir_path(dir, "%s.key", name),
        .ca_file = temp_dir_path(dir, "%s", ca) };
    expect_ok(wire_tls_init(&files, it));
}

/* Worker 0 sends to worker 1. */
struct duo {
    struct wire_tls tls[2];
    struct segment_pool *pools[2];
    struct wire *wires[2];
    struct channel *channels[2];
    weir_error *failures[2];
};

struct failure_arg {
    struct duo *duo;
    uint32_t worker;
};
static struct failure_arg failure_args[2];

static void on_failure(void *arg, weir_error *error)
{
    const struct failure_arg *it = arg;
    assert_null(it->duo->failures[it->worker]); /* once */
    it->duo->failures[it->worker] = error;
}

/* `plain`: the worker that uses no TLS; 2: none. */
static void duo_start(struct duo *duo, const char *const *names, const char *ca, uint32_t plain,
    int64_t timeout_ms)
{
    static struct wire_address addresses[2];
    *duo = (struct duo){ .wires = { NULL } };
    for (uint32_t w = 0; w < 2; w++) {
        tls_of(names[w], w == 0 ? ca : "ca.pem", &duo->tls[w]);
        struct wire_options options = { .host = "127.0.0.1",
            .self = { .job = "job", .attempt = 1, .worker = w, .worker_count = 2, .secret = { 9 } },
            .crypto = plain == w ? NULL : &duo->tls[w].crypto,
            .failed = on_failure,
            .arg = &failure_args[w] };
        failure_args[w] = (struct failure_arg){ duo, w };
        expect_ok(wire_new(&options, &duo->wires[w]));
        addresses[w] = (struct wire_address){ "127.0.0.1", wire_port(duo->wires[w]) };
        duo->pools[w] = segment_pool_new((size_t)4 << 20);
        duo->channels[w] = channel_new(2);
    }
    wire_add_output(duo->wires[0], 1, 1, duo->channels[0]);
    wire_add_input(duo->wires[1], 0, 1, duo->channels[1]);
    for (uint32_t w = 0; w < 2; w++)
        wire_connect(duo->wires[w], addresses, duo->pools[w], timeout_ms);
}

static void duo_end(struct duo *duo)
{
    for (uint32_t w = 0; w < 2; w++)
        wire_free(duo->wires[w]);
    for (uint32_t w = 0; w < 2; w++) {
        channel_free(duo->channels[w]);
        segment_pool_free(duo->pools[w]);
        wire_tls_release(&duo->tls[w]);
        weir_error_free(duo->failures[w]);
    }
}

static void turn(struct duo *duo)
{
    wire_step(duo->wires[0], 0);
    wire_step(duo->wires[1], 0);
}

static void push_one(struct duo *duo, uint32_t number)
{
    struct segment *segment = segment_take(duo->pools[0], SIZE);
    assert_non_null(segment);
    struct element *element = segment_add(segment, ELEMENT_RECORD, SIZE);
    memset(element + 1, (int)(number & 0xff), segment_element_size(SIZE) - sizeof(*element));
    element->value = number;
    channel_push(duo->channels[0], segment);
}

static void take_one(struct duo *duo, uint32_t *number)
{
    struct segment *segment = channel_pop(duo->channels[1]);
    if (segment == NULL)
        return;
    const struct element *element = segment_next(segment);
    assert_int_equal(element->value, *number);
    for (uint32_t i = 0; i < SIZE; i++)
        assert_int_equal(((const uint8_t *)(element + 1))[i], *number & 0xff);
    segment_give(segment);
    *number += 1;
}

static void records_arrive_whole_and_in_order(void **state)
{
    static const char *const names[2] = { "server", "server" };
    struct duo duo;
    uint32_t sent = 0, got = 0;
    duo_start(&duo, names, "ca.pem", 2, 60000);
    for (uint32_t i = 0; i < TURNS_MAX && got < RECORDS; i++) {
        if (sent < RECORDS && channel_room(duo.channels[0]) > 0)
            push_one(&duo, sent++);
        turn(&duo);
        assert_true(duo.failures[0] == NULL && duo.failures[1] == NULL);
        take_one(&duo, &got);
    }
    assert_int_equal(got, RECORDS);
    assert_true(metric_get(&wire_metrics(duo.wires[1])->bytes_in) > (int64_t)RECORDS * SIZE);
    duo_end(&duo);
}

static void who_cannot_prove_itself_never_connects_and_the_reason_is_told(void **state)
{
    static const struct {
        const char *names[2], *ca; /* ca: whom worker 0 believes */
        uint32_t plain;
        const char *reason;
    } rows[] = {
        { { "server", "elsewhere" }, "ca.pem", 2, "mismatch" },
        { { "server", "server" }, "other-ca.pem", 2,
            "self-signed certificate in certificate chain" },
        { { "server", "server" }, "ca.pem", 0, "there is no connection with worker 1" },
        { { "server", "server" }, "ca.pem", 1, "there is no connection with worker 1" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct duo duo;
        duo_start(&duo, rows[i].names, rows[i].ca, rows[i].plain, 300);
        for (uint32_t turns = 0;
             turns < TURNS_MAX && (duo.failures[0] == NULL || duo.failures[1] == NULL); turns++)
            wire_step(duo.wires[turns % 2], 1);
        assert_false(wire_is_connected(duo.wires[0]) || wire_is_connected(duo.wires[1]));
        expect_error(duo.failures[0], WEIR_E_TIMEOUT, rows[i].reason);
        expect_error(duo.failures[1], WEIR_E_TIMEOUT, "worker 0");
        duo.failures[0] = duo.failures[1] = NULL;
        duo_end(&duo);
    }
}

static void a_certificate_that_is_not_there_is_named(void **state)
{
    struct wire_tls tls;
    struct tls_files files = { .cert_file = "/none/cert.pem",
        .key_file = "/none/key.pem",
        .ca_file = temp_dir_path(dir, "ca.pem") };
    expect_error(wire_tls_init(&files, &tls), WEIR_E_USAGE, "/none/cert.pem");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_arrive_whole_and_in_order),
        cmocka_unit_test(who_cannot_prove_itself_never_connects_and_the_reason_is_told),
        cmocka_unit_test(a_certificate_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
