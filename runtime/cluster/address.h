/* address.h -- names of things in a cluster, checked: "host:port", digests and ids in hexadecimal.
 *
 * Thread: any. */
#ifndef WEIR_CLUSTER_ADDRESS_H
#define WEIR_CLUSTER_ADDRESS_H

#include <weir/type.h>

#define ADDRESS_HOST_SIZE   256 /* with the NUL */
#define ADDRESS_DIGEST_SIZE 64  /* hexadecimal digits of SHA-256 */

/* "[::1]:6123" gives "::1". False: it is no address, or the port is not 1..65535. */
bool address_split(const char *address, char host[ADDRESS_HOST_SIZE], uint16_t *port);
bool address_is_digest(weir_str text); /* 64 lower-case hexadecimal digits */
bool address_is_id(weir_str text);     /* 32 of them */
void address_new_id(char id[33]);      /* random */

#endif
