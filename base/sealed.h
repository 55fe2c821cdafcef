/* sealed.h -- the header in front of what is stored or sent whole: what it is, how long, and that no bit of it
 * has changed.
 *
 *      OFFSET SIZE  MEANING
 *           0    8  magic: "WEIRCHK1" of a checkpoint, "WEIRSAV1" of a savepoint, ...
 *           8    4  format version
 *          12    4  zero
 *          16    8  length of the body in bytes
 *          24    8  checksum (base/hash.h) of all other bytes: 0..23, then the body
 *          32    n  body
 *
 * A version that is newer than this code is refused by name (WEIR_E_STATE); anything else that does not
 * fit is WEIR_E_CORRUPT, so a flipped bit is never taken for a newer version: a version is believed only
 * under its checksum. Thread: any. */
#ifndef WEIR_BASE_SEALED_H
#define WEIR_BASE_SEALED_H

#include <weir/connector.h>

#define SEALED_HEADER_SIZE ((size_t)32)

/* Thread: immutable after init. */
struct sealed_form {
    const char *magic; /* 8 bytes */
    const char *noun;  /* "checkpoint metadata" */
    uint32_t version;  /* the newest that is read; 1 is the oldest */
};

/* Appends header and body. A body that has overflowed makes `out` overflow. */
void sealed_put(const struct sealed_form *form, weir_buffer *body, weir_buffer *out);
/* The body is a view of the bytes. `what` names them in errors. */
weir_error *sealed_open(const struct sealed_form *form, weir_str bytes, const char *what,
    uint32_t *version, weir_str *body) WEIR_MUST_USE;

#endif
