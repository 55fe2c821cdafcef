/* sha256.h -- the name of a blob: SHA-256 of its bytes, as hex.
 *
 * Files between processes are addressed by it (GET /blobs/<sha256>): equal bytes have one name, and whoever
 * fetches one can check that it got what it asked for. base/hash is faster and guards against accidents only.
 * Thread: any; sha256_file blocks. */
#ifndef WEIR_NET_SHA256_H
#define WEIR_NET_SHA256_H

#include <weir/type.h>

#define SHA256_HEX_SIZE 64

/* Piece by piece: end frees the state. */
void *sha256_begin(void);
void sha256_add(void *state, const void *bytes, size_t size);
void sha256_end(void *state, char hex[SHA256_HEX_SIZE + 1]);

void sha256_bytes(weir_str bytes, char hex[SHA256_HEX_SIZE + 1]); /* lower case, terminated */
weir_error *sha256_file(const char *path, char hex[SHA256_HEX_SIZE + 1]) WEIR_MUST_USE;

#endif
