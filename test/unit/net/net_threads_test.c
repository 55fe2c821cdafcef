/* net_threads_test.c -- two nets on two threads that talk to each other, and a third one that wakes them. */
#include "net/net.h"

#include "test/unit/net/net_kit.h"

#include <pthread.h>
#include <stdatomic.h>

#define FRAMES 2000

/* Thread: any. */
static struct {
    _Atomic uint32_t port;
    _Atomic bool is_over;
    struct waker *waker;
} shared;

static void *serve(void *arg)
{
    struct net *net = net_new();
    struct end server = { .echoes = true };
    struct acceptor acceptor = { .ends = &server, .count_max = 1, .keeps = true };
    struct listener *listener = listen_here(net, &acceptor, NULL, 0);
    shared.waker = net_waker(net);
    atomic_store(&shared.port, listener_port(listener));
    waker_wake(arg);
    while (!atomic_load(&shared.is_over))
        net_wait(net, -1);
    assert_int_equal(server.frame_count, FRAMES);
    net_free(net);
    return NULL;
}

static void two_threads_talk_and_a_wake_is_never_lost(void **state)
{
    struct net *net = net_new();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve, net_waker(net)), 0);
    while (atomic_load(&shared.port) == 0)
        net_wait(net, -1);
    struct end client = { 0 };
    client.it = net_connect(net, "127.0.0.1", (uint16_t)atomic_load(&shared.port), NULL,
        &end_handler, &client);
    connection_keep(client.it);
    for (uint32_t i = 0; i < FRAMES; i++) {
        connection_send(client.it, i, WEIR_STR("hello"));
        wait_until(net, client.frame_count == i + 1);
    }
    atomic_store(&shared.is_over, true);
    waker_wake(shared.waker);
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_until(net, client.closed_count == 1);
    weir_error_free(client.why);
    net_free(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_talk_and_a_wake_is_never_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
