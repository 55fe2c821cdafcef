/* sim_net_test.c -- the simulated network: what TCP promises, and how it breaks. The first tests hold for the real one,
 * too (test/unit/base/os_socket_test.c). */
#include "test/sim/sim_net.h"

#include "base/os.h"
#include "test/sim/sim_os.h"
#include "test/support/expect.h"

#define DELAY_NS  INT64_C(1000000)
#define WINDOW    1000u
#define LATER_MS  10
#define SECOND_MS 1000

/* Process 1 on machine "a" has connected to process 2 on "b". */
struct pair {
    struct os_socket *listener, *ends[2];
};

static void wait_ms(int64_t ms)
{
    for (int64_t i = 0; i < ms; i++) {
        sim_os_advance_ns(1000000);
        sim_net_deliver();
    }
}

static int start(void **state)
{
    struct sim_net_options options = { .seed = 1,
        .delay_ns = DELAY_NS,
        .jitter_ns = DELAY_NS,
        .window = WINDOW };
    sim_os_start(1);
    sim_net_start(&options);
    sim_net_place(1, sim_net_add_machine("a"));
    sim_net_place(2, sim_net_add_machine("b"));
    return 0;
}

static int stop(void **state)
{
    sim_net_stop();
    sim_os_stop();
    return 0;
}

static void open_pair(struct pair *pair)
{
    sim_os_run_as(2);
    expect_ok(os_socket_listen("b", 80, &pair->listener));
    sim_os_run_as(1);
    expect_ok(os_socket_connect("b", 80, &pair->ends[0]));
    assert_true(sim_net_is_connecting(pair->ends[0]));
    wait_ms(LATER_MS);
    expect_ok(os_socket_check(pair->ends[0]));
    sim_os_run_as(2);
    expect_ok(os_socket_accept(pair->listener, &pair->ends[1]));
    assert_non_null(pair->ends[1]);
}

static void close_pair(const struct pair *pair)
{
    os_socket_close(pair->ends[0]);
    os_socket_close(pair->ends[1]);
    os_socket_close(pair->listener);
}

static size_t put(const struct pair *pair, int end, const char *bytes, size_t size)
{
    size_t done;
    struct iovec piece = { .iov_base = (char *)(uintptr_t)bytes, .iov_len = size };
    sim_os_run_as((uint32_t)end + 1);
    expect_ok(os_socket_writev(pair->ends[end], &piece, 1, &done));
    return done;
}

static weir_error *get(const struct pair *pair, int end, char *bytes, size_t size, size_t *done)
{
    struct iovec piece = { .iov_base = bytes, .iov_len = size };
    sim_os_run_as((uint32_t)end + 1);
    return os_socket_readv(pair->ends[end], &piece, 1, done);
}

/* Exactly this is there to be read. */
static void expect_text(const struct pair *pair, int end, const char *text)
{
    char bytes[64] = "";
    size_t done;
    expect_ok(get(pair, end, bytes, sizeof(bytes) - 1, &done));
    assert_string_equal(bytes, text);
    assert_int_equal(done, strlen(text));
}

static void expect_broken(const struct pair *pair, int end, const char *why)
{
    char bytes[8];
    size_t done;
    expect_error(get(pair, end, bytes, sizeof(bytes), &done), WEIR_E_IO, why);
}

static void what_is_written_arrives_later_in_order(void **state)
{
    struct pair pair;
    open_pair(&pair);
    assert_int_equal(put(&pair, 0, "one ", 4), 4);
    assert_int_equal(put(&pair, 0, "two", 3), 3);
    expect_text(&pair, 1, "");
    wait_ms(LATER_MS);
    expect_text(&pair, 1, "one two");
    close_pair(&pair);
}

static void a_reader_that_is_slow_stops_the_writer(void **state)
{
    static const char bytes[2 * WINDOW];
    char got[WINDOW];
    size_t done;
    struct pair pair;
    open_pair(&pair);
    assert_int_equal(put(&pair, 0, bytes, sizeof(bytes)), WINDOW);
    assert_int_equal(put(&pair, 0, bytes, 1), 0);
    wait_ms(LATER_MS);
    expect_ok(get(&pair, 1, got, sizeof(got), &done));
    assert_int_equal(done, WINDOW);
    assert_int_equal(put(&pair, 0, bytes, 1), 1);
    close_pair(&pair);
}

static void who_reads_a_closed_connection_gets_the_rest_and_then_its_end(void **state)
{
    struct pair pair;
    open_pair(&pair);
    put(&pair, 0, "bye", 3);
    sim_net_kill(1);
    wait_ms(LATER_MS);
    expect_text(&pair, 1, "bye");
    wait_ms(1);
    expect_broken(&pair, 1, "closed there");
    close_pair(&pair);
}

static void a_cut_holds_one_way_up_until_it_is_healed(void **state)
{
    struct pair pair;
    open_pair(&pair);
    sim_net_cut(0, 1);
    put(&pair, 0, "held", 4);
    put(&pair, 1, "back", 4);
    wait_ms(SECOND_MS);
    expect_text(&pair, 0, "back");
    expect_text(&pair, 1, "");
    sim_net_heal(0, 1);
    wait_ms(LATER_MS);
    expect_text(&pair, 1, "held");
    close_pair(&pair);
}

static void silence_breaks_the_end_that_limits_it(void **state)
{
    struct pair pair;
    open_pair(&pair);
    os_socket_limit_silence(pair.ends[1], SECOND_MS);
    sim_net_cut(0, 1);
    wait_ms(SECOND_MS - 1);
    expect_text(&pair, 1, "");
    wait_ms(2);
    expect_broken(&pair, 1, "timed out");
    expect_text(&pair, 0, "");
    close_pair(&pair);
}

static void nobody_hears_of_a_machine_that_goes_down_until_it_is_up_again(void **state)
{
    struct pair pair;
    open_pair(&pair);
    sim_net_set_down(1, true);
    sim_net_kill(2);
    put(&pair, 0, "anybody?", 8);
    wait_ms(10 * SECOND_MS);
    expect_text(&pair, 0, "");
    sim_net_set_down(1, false);
    wait_ms(LATER_MS);
    expect_broken(&pair, 0, "reset");
    close_pair(&pair);
}

static void a_reset_loses_what_was_under_way(void **state)
{
    struct pair pair;
    open_pair(&pair);
    put(&pair, 0, "lost", 4);
    assert_true(sim_net_reset(0, NULL));
    expect_broken(&pair, 0, "reset");
    expect_broken(&pair, 1, "reset");
    assert_false(sim_net_reset(0, NULL));
    close_pair(&pair);
}

static bool is_anybody(uint32_t a, uint32_t b)
{
    return a + b == 3;
}

static void a_reset_of_a_busy_connection_spares_the_idle_ones(void **state)
{
    struct pair idle, busy;
    open_pair(&idle);
    sim_os_run_as(2);
    os_socket_close(idle.listener); /* its port is used again */
    open_pair(&busy);
    idle.listener = NULL;
    assert_false(sim_net_reset(0, is_anybody));
    put(&busy, 0, "lost", 4);
    assert_true(sim_net_reset(0, is_anybody));
    expect_broken(&busy, 0, "reset");
    expect_text(&idle, 0, "");
    close_pair(&idle);
    close_pair(&busy);
}

static void what_is_held_back_comes_later_and_in_order(void **state)
{
    struct pair pair;
    open_pair(&pair);
    put(&pair, 0, "late", 4);
    wait_ms(LATER_MS);
    sim_net_hold_back(2, (int64_t)SECOND_MS * 1000000);
    put(&pair, 0, "r", 1);
    expect_text(&pair, 1, "");
    wait_ms(SECOND_MS + LATER_MS);
    expect_text(&pair, 1, "later");
    close_pair(&pair);
}

static void where_nobody_listens_a_connection_is_refused(void **state)
{
    struct os_socket *socket;
    sim_os_run_as(1);
    expect_ok(os_socket_connect("b", 81, &socket));
    wait_ms(LATER_MS);
    expect_error(os_socket_check(socket), WEIR_E_IO, "refused");
    os_socket_close(socket);
    expect_error(os_socket_connect("c", 81, &socket), WEIR_E_CONNECTOR, "host 'c'");
}

static void a_dead_process_sends_nothing(void **state)
{
    struct pair pair;
    size_t done;
    struct iovec piece = { .iov_base = (char[]){ "late" }, .iov_len = 4 };
    open_pair(&pair);
    sim_os_kill(1);
    sim_os_run_as(1);
    expect_error(os_socket_writev(pair.ends[0], &piece, 1, &done), WEIR_E_IO, "nobody");
    wait_ms(LATER_MS);
    expect_text(&pair, 1, "");
    close_pair(&pair);
}

static void a_poller_tells_what_is_ready_and_of_writing_only_who_asks(void **state)
{
    struct pair pair;
    struct os_poll_event events[OS_POLL_EVENTS_MAX];
    open_pair(&pair);
    struct os_poller *poller = os_poller_new();
    os_poller_add(poller, os_socket_fd(pair.ends[1]), false, &pair);
    assert_int_equal(os_poller_wait(poller, events, 0), 0);
    put(&pair, 0, "x", 1);
    wait_ms(LATER_MS);
    assert_int_equal(os_poller_wait(poller, events, 0), 1);
    assert_true(events[0].tag == &pair && events[0].is_readable && !events[0].is_writable);
    os_poller_change(poller, os_socket_fd(pair.ends[1]), true, &pair);
    assert_int_equal(os_poller_wait(poller, events, 0), 1);
    assert_true(events[0].is_writable);
    os_poller_remove(poller, os_socket_fd(pair.ends[1]));
    os_poller_free(poller);
    close_pair(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_arrives_later_in_order, start, stop),
        cmocka_unit_test_setup_teardown(a_reader_that_is_slow_stops_the_writer, start, stop),
        cmocka_unit_test_setup_teardown(
            who_reads_a_closed_connection_gets_the_rest_and_then_its_end, start, stop),
        cmocka_unit_test_setup_teardown(a_cut_holds_one_way_up_until_it_is_healed, start, stop),
        cmocka_unit_test_setup_teardown(silence_breaks_the_end_that_limits_it, start, stop),
        cmocka_unit_test_setup_teardown(
            nobody_hears_of_a_machine_that_goes_down_until_it_is_up_again, start, stop),
        cmocka_unit_test_setup_teardown(a_reset_loses_what_was_under_way, start, stop),
        cmocka_unit_test_setup_teardown(a_reset_of_a_busy_connection_spares_the_idle_ones, start,
            stop),
        cmocka_unit_test_setup_teardown(what_is_held_back_comes_later_and_in_order, start, stop),
        cmocka_unit_test_setup_teardown(where_nobody_listens_a_connection_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_dead_process_sends_nothing, start, stop),
        cmocka_unit_test_setup_teardown(a_poller_tells_what_is_ready_and_of_writing_only_who_asks,
            start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
