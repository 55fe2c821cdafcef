/* gzip.h -- makes gzip members for tests.
 *
 * Thread: any. The result is to be freed with free. */
#ifndef WEIR_TEST_GZIP_H
#define WEIR_TEST_GZIP_H

#include <stddef.h>

/* Appends a member with `size` bytes of content to `packed` (may be NULL) of *packed_size bytes. */
char *gzip_add(char *packed, size_t *packed_size, const void *bytes, size_t size);

#endif
