/* wire_tls.h -- TLS of a worker: of the data plane (wire.h), where both sides prove themselves, and of its
 * connection to the job manager.
 *
 * Workers are each other's server and client, with the certificate of their machine: it must be signed by the
 * CA, made out for the host that its task manager says (taskmanager.host), and good for both uses.
 *
 * Thread: immutable after init; what is made of it must end before wire_tls_release. */
#ifndef WEIR_CLUSTER_WIRE_TLS_H
#define WEIR_CLUSTER_WIRE_TLS_H

#include "net/tls.h"
#include "runtime/exchange/wire_link.h"

/* Thread: immutable after init. */
struct wire_tls {
    struct tls *server, *client;
    struct wire_crypto crypto; /* for struct wire_options */
};

/* Of all three files. Stays where it is: crypto points into it. At an error there is nothing to release. */
weir_error *wire_tls_init(const struct tls_files *files, struct wire_tls *it) WEIR_MUST_USE;
void wire_tls_release(struct wire_tls *it); /* one that is zero, too */

#endif
