/* unpack.h -- the bytes of a file from front to end, unpacked if it is a gzip file.
 *
 * A gzip file may have several members, one behind the other, as `cat a.gz b.gz` makes them; their
 * contents follow each other. What is damaged, cut off, or no gzip member is WEIR_E_CORRUPT, and the
 * message names the file and the byte of the packed file: it is never taken for an end.
 *
 * Offsets count unpacked bytes. Going to one costs nothing in a plain file; in a packed one everything
 * before it is unpacked and thrown away, a block at a time, by unpack_skip.
 *
 * Blocking: a call reads at most about `size` bytes of a local file. Thread: its holder. */
#ifndef WEIR_CONNECTORS_UNPACK_H
#define WEIR_CONNECTORS_UNPACK_H

#include <weir/error.h>
#include <stddef.h>

#include <stdint.h>

struct unpack; /* Thread: its holder */

/* `offset`: of the first byte to be read. A plain file that is shorter is an error. */
weir_error *unpack_open(const char *path, bool is_packed, uint64_t offset, struct unpack **unpack)
    WEIR_MUST_USE;
void unpack_close(struct unpack *unpack); /* NULL is fine */
/* Reads up to `size` > 0 bytes; *got 0 only at the end. */
weir_error *unpack_read(struct unpack *unpack, void *bytes, size_t size, size_t *got) WEIR_MUST_USE;
/* Passes over a part of what is in front of the offset; *is_there: read now. `scratch` is overwritten. */
weir_error *unpack_skip(struct unpack *unpack, void *scratch, size_t size, bool *is_there)
    WEIR_MUST_USE;
/* Bytes of the file that were read so far, packed as they are. */
uint64_t unpack_consumed(const struct unpack *unpack);

#endif
