/* unpack.c -- plain files and zlib's inflate behind one read. */
#include "connectors/unpack.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <zlib.h>

#include <inttypes.h>
#include <limits.h>

#define INPUT_SIZE  ((size_t)64 << 10)
#define GZIP_WINDOW (15 + 16) /* the largest window, gzip headers only */

/* Thread: its holder. */
struct unpack {
    struct os_file *file;
    char *path;
    bool is_packed;
    uint64_t read;     /* bytes of the file */
    uint64_t to_skip;  /* unpacked bytes in front of the offset */
    uint64_t unpacked; /* bytes so far */
    z_stream stream;   /* the rest: packed only */
    bool is_in_member; /* its end has not come yet */
    bool is_at_end;    /* of the file */
    unsigned char *input;
};

static voidpf allocate(voidpf arg, uInt count, uInt size)
{
    (void)arg;
    return mem_alloc_array(count, size);
}

static void release(voidpf arg, voidpf memory)
{
    (void)arg;
    mem_free(memory);
}

static weir_error *start_packed(struct unpack *unpack)
{
    unpack->stream.zalloc = allocate;
    unpack->stream.zfree = release;
    int result = inflateInit2(&unpack->stream, GZIP_WINDOW);
    if (result != Z_OK)
        return weir_errorf(WEIR_E_INTERNAL, "zlib cannot start: %s", zError(result));
    unpack->input = mem_alloc(INPUT_SIZE);
    unpack->is_in_member = true; /* even an empty gzip file has one */
    return NULL;
}

static weir_error *start_plain(struct unpack *unpack)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(unpack->path, &stat));
    if (stat.size < unpack->to_skip)
        return weir_errorf(WEIR_E_CONNECTOR,
            "'%s' has %" PRIu64 " bytes, but was read up to byte"
            " %" PRIu64 " before: it was cut or replaced; put the old file back",
            unpack->path, stat.size, unpack->to_skip);
    unpack->read = unpack->to_skip;
    unpack->to_skip = 0;
    return NULL;
}

weir_error *unpack_open(const char *path, bool is_packed, uint64_t offset, struct unpack **unpack)
{
    *unpack = NULL;
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    struct unpack *opened = mem_alloc(sizeof(*opened));
    opened->file = file;
    opened->path = mem_strdup(path);
    opened->is_packed = is_packed;
    opened->to_skip = offset;
    weir_error *error = is_packed ? start_packed(opened) : start_plain(opened);
    if (error != NULL) {
        unpack_close(opened);
        return error;
    }
    *unpack = opened;
    return NULL;
}

void unpack_close(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    if (unpack->input != NULL)
        inflateEnd(&unpack->stream);
    mem_free(unpack->input);
    os_close(unpack->file);
    mem_free(unpack->path);
    mem_free(unpack);
}

/* -- packed --------------------------------------------------------------------------------- */

static weir_error *damaged(const struct unpack *unpack, const char *why)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "cannot unpack '%s': %s at byte %" PRIu64 " of the packed file,"
        " behind %" PRIu64 " unpacked bytes; replace the file and start again",
        unpack->path, why, unpack->read - unpack->stream.avail_in, unpack->unpacked);
}

static weir_error *read_input(struct unpack *unpack)
{
    size_t got;
    ASSERT(unpack->stream.avail_in == 0);
    WEIR_TRY(os_read_at(unpack->file, unpack->read, unpack->input, INPUT_SIZE, &got));
    unpack->read += got;
    unpack->is_at_end = got == 0;
    unpack->stream.next_in = unpack->input;
    unpack->stream.avail_in = (uInt)got;
    return NULL;
}

/* One call of inflate: makes some output, or ends a member, or is an error. */
static weir_error *step(struct unpack *unpack)
{
    if (!unpack->is_in_member) { /* more bytes behind the end of a member: another member */
        int reset = inflateReset(&unpack->stream);
        ASSERT(reset == Z_OK);
        unpack->is_in_member = true;
    }
    switch (inflate(&unpack->stream, Z_NO_FLUSH)) {
    case Z_STREAM_END:
        unpack->is_in_member = false;
        return NULL;
    case Z_OK:
    case Z_BUF_ERROR: /* it needs more input */
        return NULL;
    case Z_MEM_ERROR:
        return weir_errorf(WEIR_E_MEMORY, "cannot unpack '%s': memory ran out", unpack->path);
    default:
        return damaged(unpack, unpack->stream.msg == NULL ? "it is damaged" : unpack->stream.msg);
    }
}

static weir_error *read_packed(struct unpack *unpack, void *bytes, size_t size, size_t *got)
{
    unpack->stream.next_out = bytes;
    unpack->stream.avail_out = size > UINT_MAX ? UINT_MAX : (uInt)size;
    uInt room = unpack->stream.avail_out;
    while (unpack->stream.avail_out == room) {
        if (unpack->stream.avail_in == 0)
            WEIR_TRY(read_input(unpack));
        if (unpack->is_at_end && unpack->is_in_member)
            return damaged(unpack, "it ends in the middle");
        if (unpack->is_at_end)
            break;
        WEIR_TRY(step(unpack));
    }
    *got = room - unpack->stream.avail_out;
    unpack->unpacked += *got;
    return NULL;
}

/* -- either --------------------------------------------------------------------------------- */

static weir_error *read_some(struct unpack *unpack, void *bytes, size_t size, size_t *got)
{
    ASSERT(size > 0);
    *got = 0;
    if (unpack->is_packed)
        return read_packed(unpack, bytes, size, got);
    WEIR_TRY(os_read_at(unpack->file, unpack->read, bytes, size, got));
    unpack->read += *got;
    return NULL;
}

weir_error *unpack_read(struct unpack *unpack, void *bytes, size_t size, size_t *got)
{
    ASSERT(unpack->to_skip == 0); /* unpack_skip first */
    return read_some(unpack, bytes, size, got);
}

weir_error *unpack_skip(struct unpack *unpack, void *scratch, size_t size, bool *is_there)
{
    size_t got = 0;
    if (unpack->to_skip > 0)
        WEIR_TRY(read_some(unpack, scratch, unpack->to_skip < size ? unpack->to_skip : size, &got));
    if (unpack->to_skip > 0 && got == 0)
        return weir_errorf(WEIR_E_CONNECTOR,
            "'%s' has %" PRIu64 " unpacked bytes, %" PRIu64 " less"
            " than were read before: it was replaced; put the old file back",
            unpack->path, unpack->unpacked, unpack->to_skip);
    unpack->to_skip -= got;
    *is_there = unpack->to_skip == 0;
    return NULL;
}

uint64_t unpack_consumed(const struct unpack *unpack)
{
    return unpack->read - unpack->stream.avail_in;
}
