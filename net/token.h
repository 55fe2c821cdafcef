/* token.h -- a shared secret that one process shows to another.
 *
 * Made of os_random (in production the kernel's getrandom; reproducible in the simulator), written as hex so
 * that it fits into a header, a file or an environment variable. Never log one.
 * Thread: any. */
#ifndef WEIR_NET_TOKEN_H
#define WEIR_NET_TOKEN_H

#include <weir/type.h>

#define TOKEN_SIZE 64 /* 256 bits as hex digits */

void token_new(char token[TOKEN_SIZE + 1]); /* terminated */
/* Takes the same time wherever they differ; only a different length shows. */
bool token_equal(weir_str a, weir_str b);

#endif
