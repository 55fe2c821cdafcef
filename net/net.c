/* net.c -- the functions of net.h: each goes through the table, and nothing else.
 * Prefixes: net_, listener_, connection_ */
#include "net/net.h"

const struct net_class *net_current = &net_libevent;

struct net *net_new(void)
{
    return net_current->new ();
}

void net_free(struct net *net)
{
    if (net != NULL)
        net_current->free(net);
}

void net_wait(struct net *net, int64_t timeout_ms)
{
    net_current->wait(net, timeout_ms);
}

struct waker *net_waker(struct net *net)
{
    return net_current->waker(net);
}

weir_error *net_listen(struct net *net, const struct listen_options *options,
    struct listener **listener)
{
    return net_current->listen(net, options, listener);
}

uint16_t listener_port(const struct listener *listener)
{
    return net_current->listener_port(listener);
}

void listener_free(struct listener *listener)
{
    if (listener != NULL)
        net_current->listener_free(listener);
}

struct connection *net_connect(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg)
{
    return net_current->connect(net, host, port, tls, handler, arg);
}

void connection_set_handler(struct connection *it, const struct connection_handler *handler,
    void *arg)
{
    net_current->set_handler(it, handler, arg);
}

void connection_set_frame_max(struct connection *it, uint32_t frame_max)
{
    net_current->set_frame_max(it, frame_max);
}

void connection_set_queued_max(struct connection *it, uint64_t queued_max)
{
    net_current->set_queued_max(it, queued_max);
}

void connection_keep(struct connection *it)
{
    net_current->keep(it);
}

void connection_send(struct connection *it, uint32_t kind, weir_str payload)
{
    net_current->send(it, kind, payload);
}

void connection_close(struct connection *it)
{
    net_current->close(it);
}

void connection_close_flushed(struct connection *it)
{
    net_current->close_flushed(it);
}

int64_t connection_heard_ms(const struct connection *it)
{
    return net_current->heard_ms(it);
}

const char *connection_peer(const struct connection *it)
{
    return net_current->peer(it);
}

weir_error *connection_check_user(const struct connection *it)
{
    return net_current->check_user(it);
}
