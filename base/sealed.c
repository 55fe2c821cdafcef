/* sealed.c -- see sealed.h. Magic, length, checksum, version, in this order. */
#include "base/sealed.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"

#include <inttypes.h>

#define MAGIC_SIZE ((size_t)8)
#define SUMMED     ((size_t)24) /* of the header's bytes, those in front of the checksum */

static uint64_t checksum_of(weir_str header, weir_str body)
{
    struct checksum *checksum = checksum_new();
    checksum_add(checksum, header.data, SUMMED);
    checksum_add(checksum, body.data, body.size);
    uint64_t value = checksum_value(checksum);
    checksum_free(checksum);
    return value;
}

void sealed_put(const struct sealed_form *form, weir_buffer *body, weir_buffer *out)
{
    weir_buffer *header = weir_buffer_new(SEALED_HEADER_SIZE);
    ASSERT(strlen(form->magic) == MAGIC_SIZE);
    weir_buffer_add(header, form->magic, MAGIC_SIZE);
    buffer_put_u32(header, form->version);
    buffer_put_u32(header, 0);
    buffer_put_u64(header, buffer_size(body));
    ASSERT(buffer_size(header) == SUMMED);
    buffer_put_u64(header, checksum_of(weir_buffer_view(header), weir_buffer_view(body)));
    weir_buffer_add_str(out, weir_buffer_view(header));
    weir_buffer_add_str(out, weir_buffer_view(body));
    if (weir_buffer_overflowed(body)) /* pass it on: a string of this length overflows any buffer */
        buffer_put_str(out, (weir_str){ .data = "", .size = UINT32_MAX });
    weir_buffer_free(header);
}

weir_error *sealed_open(const struct sealed_form *form, weir_str bytes, const char *what,
    uint32_t *version, weir_str *body)
{
    if (bytes.size < SEALED_HEADER_SIZE || memcmp(bytes.data, form->magic, MAGIC_SIZE) != 0)
        return weir_errorf(WEIR_E_CORRUPT, "%s is not %s: %s%s", what, form->noun,
            bytes.size < SEALED_HEADER_SIZE ? "it is too short" : "it does not start with ",
            bytes.size < SEALED_HEADER_SIZE ? "" : form->magic);
    struct reader reader = reader_of(
        (weir_str){ .data = bytes.data + MAGIC_SIZE, .size = SEALED_HEADER_SIZE - MAGIC_SIZE });
    *version = reader_u32(&reader);
    uint32_t zero = reader_u32(&reader);
    uint64_t length = reader_u64(&reader);
    uint64_t checksum = reader_u64(&reader);
    ASSERT(!reader_failed(&reader));
    if (length != bytes.size - SEALED_HEADER_SIZE)
        return weir_errorf(WEIR_E_CORRUPT,
            "%s is corrupt: it says that %" PRIu64 " bytes follow its header, but %zu do", what,
            length, (size_t)(bytes.size - SEALED_HEADER_SIZE));
    *body = (weir_str){ .data = bytes.data + SEALED_HEADER_SIZE, .size = length };
    uint64_t found = checksum_of(bytes, *body);
    if (found != checksum)
        return weir_errorf(WEIR_E_CORRUPT,
            "%s is corrupt: its checksum is %016" PRIx64 ", its bytes give %016" PRIx64, what,
            checksum, found);
    if (*version > form->version)
        return weir_errorf(WEIR_E_STATE,
            "%s has format version %" PRIu32 ", this program reads up to %" PRIu32
            ": start the job with the newer version of weir that wrote it",
            what, *version, form->version);
    if (*version == 0 || zero != 0)
        return weir_errorf(WEIR_E_CORRUPT,
            "%s is corrupt: format version %" PRIu32 " never existed", what, *version);
    return NULL;
}
