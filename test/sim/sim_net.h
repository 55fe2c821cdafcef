/* sim_net.h -- the network of the simulator: TCP between machines, behind the table of base/os_socket.h.
 *
 *      process on machine 1: socket ==[chunk, chunk, FIN]==> socket: process on machine 2
 *
 * What is written becomes chunks that arrive later, each with a delay of its own: in order within a connection, in any
 * order between two. A buffer of `window` bytes is between the ends; then a write takes less, or nothing.
 *
 *      a link is cut      one way or both; chunks wait (TCP sends them again) until it is healed, or until an end that
 *                         limits the silence (os_socket_limit_silence) breaks its connection
 *      a process ends     its sockets are closed: the other side reads the rest, then the end; what it writes is reset
 *      a machine dies     nobody hears of it: what is sent there vanishes, until it is up again and resets
 *      a reset            both sides break, what was under way is lost
 *
 * The network has the clock, the processes and the trace of sim_os.h: calls are made by sim_os_process(), and one that
 * is dead sends nothing. Nothing waits: a poller says what is ready now.
 *
 * Connections of frames (net/net.h) on top of it: sim_connection.h.
 *
 * Prefixes: sim_net_. Thread: one. */
#ifndef WEIR_TEST_SIM_NET_H
#define WEIR_TEST_SIM_NET_H

#include "base/os_socket.h"

#define SIM_MACHINES_MAX 8u

/* Thread: one. */
struct sim_net_options {
    uint64_t seed;
    int64_t delay_ns, jitter_ns; /* of a chunk between machines: delay .. delay + jitter */
    size_t window;               /* bytes under way, in each direction of a connection */
};

/* An empty network; its table is os_socket_current until the stop, before which all sockets are closed. */
void sim_net_start(const struct sim_net_options *options);
void sim_net_stop(void);
uint32_t sim_net_add_machine(const char *name); /* its name is its host; borrowed */
void sim_net_place(uint32_t process, uint32_t machine);

/* What is due now arrives. */
void sim_net_deliver(void);
int64_t sim_net_deadline_ns(void); /* of the next arrival; INT64_MAX: nothing is under way */
uint64_t sim_net_activity(
    void);               /* grows with what has arrived, and with what was read and written */
void sim_net_stir(void); /* so does it when a waker was woken */
bool sim_net_is_connecting(const struct os_socket *socket);

/* -- trouble */
void sim_net_kill(uint32_t
        process); /* its sockets are closed by the system, or vanish with a machine that is down */
void sim_net_cut(uint32_t from, uint32_t to); /* one way */
void sim_net_heal(uint32_t from, uint32_t to);
void sim_net_set_down(uint32_t machine, bool is_down);
/* One of the connections, chosen by the number; with `is_wanted` one between two processes of which it says so, with
 * something under way. False: there is none. */
bool sim_net_reset(uint64_t number, bool (*is_wanted)(uint32_t a, uint32_t b));
/* What is under way to a process, or lies there unread, comes up to `max_ns` later, by another time for each connection. */
void sim_net_hold_back(uint32_t process, int64_t max_ns);
uint32_t sim_net_below(uint32_t count); /* a random number of the network's own: 0 .. count - 1 */

#endif
