/* sim_connection.h -- the connections of net/net.h in the simulated network: the engine's own frames (net/frame.h) over
 * the sockets of sim_net.h, in the place of libevent.
 *
 * What net.h promises holds: calls come from inside net_wait only, what is closed may be closed there, who is not known
 * in time is closed, what fails is told once. net_wait does what there is to do now and returns; it never waits.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_CONNECTION_H
#define WEIR_TEST_SIM_CONNECTION_H

#include "net/net.h"

extern const struct net_class sim_connection_class; /* for net_current */
/* Right before a frame of this kind is put on its way, as who sends it: others may run in it. NULL: not. */
void sim_connection_on_send(void (*hook)(void *arg, uint32_t kind), void *arg);
/* Monotonic: of what happens without anything coming in; INT64_MAX: nothing. */
int64_t sim_connection_deadline_ms(const struct net *net);

#endif
