/* connection_event.h -- connections of the real network: the functions of its table, and what its listeners ask.
 *
 * A connection is a stream (net_event.h), a frame reader and its owner's handler. It is CONNECTING (a name is looked
 * up, one address after the other is tried; what is sent waits aside), OPEN, FAILED (the owner hears of it at the
 * end of this wait, or of the next one) or gone.
 *
 * Prefixes: connection_
 * Thread: the net's. */
#ifndef WEIR_NET_CONNECTION_EVENT_H
#define WEIR_NET_CONNECTION_EVENT_H

#include "net/net_event.h"

LIST_HEAD(connection_list, connection);
struct connection_list *net_connections(struct net *net);

/* Takes the socket and `peer`; *count is one more until it is gone, or until connection_forget. */
struct connection *connection_accept(struct net *net, int fd, const struct tls *tls, char *peer,
    uint32_t *count);
/* Before one is accepted: of NET_STRANGERS_MAX strangers the oldest goes. */
void connection_make_room(struct connection_list *list, const uint32_t *count);
/* Asks the listener's owner for a handler; closes it if there is none. */
void connection_offer(struct connection *it, bool (*accepted)(void *arg, struct connection *it),
    void *arg);
void connection_forget(struct connection_list *list, const uint32_t *count); /* it is freed */
void connection_free_all(struct connection_list *list);

struct connection *connection_event_connect(struct net *net, const char *host, uint16_t port,
    const struct tls *tls, const struct connection_handler *handler, void *arg);
void connection_event_set_handler(struct connection *it, const struct connection_handler *handler,
    void *arg);
void connection_event_set_frame_max(struct connection *it, uint32_t frame_max);
void connection_event_set_queued_max(struct connection *it, uint64_t queued_max);
void connection_event_keep(struct connection *it);
void connection_event_send(struct connection *it, uint32_t kind, weir_str payload);
void connection_event_close(struct connection *it);
void connection_event_close_flushed(struct connection *it);
int64_t connection_event_heard_ms(const struct connection *it);
const char *connection_event_peer(const struct connection *it);
weir_error *connection_event_check_user(const struct connection *it) WEIR_MUST_USE;

#endif
