/* os_peer.h -- whose process is at the other end of a connection within this machine.
 *
 *      os_peer_check(fd)  --addresses, ports--> kernel (sock_diag) --user of the socket there--> this one, or root?
 *
 * TCP has no SO_PEERCRED, but the kernel knows who has opened the socket at the other end, and tells everybody: one
 * question about one connection by netlink, answered at once, whatever the number of connections. Nobody can have
 * another one's connection answered for: the addresses and ports are those of `fd`. It takes no secret that would have
 * to be made, found, handed on and kept, and any client has it: curl, a browser, Flink's command.
 *
 * Not /proc/net/tcp, which has the same: a text of all connections, whose rows move while it is read.
 *
 * Of a socket that nobody has taken from its listener yet, or that was closed, the kernel would say that it is
 * root's; so what has no inode belongs to nobody here. Whoever runs code as this user or as root, a proxy
 * say, answers for all whom it lets through.
 *
 * Seen is what is in this process's network namespace; a user that its user namespace has no number for
 * is 65534.
 * Prefixes: os_. Thread: any; nothing waits. */
#ifndef WEIR_BASE_OS_PEER_H
#define WEIR_BASE_OS_PEER_H

#include <weir/error.h>

/* NULL: the other end of the TCP connection is a process of this process's user, or of root. Else who it is, or why that
 * cannot be known: half a sentence, without a fix, WEIR_E_USAGE. */
weir_error *os_peer_check(int fd) WEIR_MUST_USE;

#endif
