/* gzip.c -- deflate with a gzip header. */
#include "test/support/gzip.h"

#include "base/assert.h"

#include <zlib.h>

#include <stdlib.h>
#include <string.h>

char *gzip_add(char *packed, size_t *packed_size, const void *bytes, size_t size)
{
    z_stream stream = { .next_in = (Bytef *)(size_t)bytes, .avail_in = (uInt)size };
    int result = deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    ASSERT(result == Z_OK);
    size_t bound = deflateBound(&stream, (uLong)size);
    packed = realloc(packed, *packed_size + bound);
    ASSERT(packed != NULL);
    stream.next_out = (Bytef *)packed + *packed_size;
    stream.avail_out = (uInt)bound;
    result = deflate(&stream, Z_FINISH);
    ASSERT(result == Z_STREAM_END);
    *packed_size += stream.total_out;
    deflateEnd(&stream);
    return packed;
}
