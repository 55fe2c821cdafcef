/* msgpack.c -- writing with msgpack-c's packer, reading with a bounded cursor of our own. */
#include "types/msgpack.h"

#include "base/assert.h"
#include "types/schema.h"

#include <msgpack/pack.h>

#include <endian.h>
#include <string.h>

#define NESTING_MAX 16u

/* -- writing -------------------------------------------------------------------------------- */

static int packer_write(void *data, const char *bytes, size_t size)
{
    weir_buffer_add(data, bytes, size);
    return 0;
}

static void string_pack(msgpack_packer *packer, const char *at)
{
    weir_str string;
    memcpy(&string, at, sizeof(string));
    if (string.data == NULL) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_str(packer, string.size);
    msgpack_pack_str_body(packer, string.data, string.size);
}

/* The member at `at` goes through a copy: its alignment is only as good as the caller's record. */
static void field_pack(msgpack_packer *packer, enum weir_kind kind, const char *at)
{
    uint64_t bits = 0;
    double real;
    if (kind != WEIR_STRING)
        memcpy(&bits, at, schema_kind_size(kind));
    switch (kind) {
    case WEIR_BOOL:
        (void)(bits != 0 ? msgpack_pack_true(packer) : msgpack_pack_false(packer));
        break;
    case WEIR_I32:
        msgpack_pack_int32(packer, (int32_t)(uint32_t)bits);
        break;
    case WEIR_I64:
        msgpack_pack_int64(packer, (int64_t)bits);
        break;
    case WEIR_U32:
    case WEIR_U64:
        msgpack_pack_uint64(packer, bits);
        break;
    case WEIR_F64:
        memcpy(&real, &bits, sizeof(real));
        msgpack_pack_double(packer, real);
        break;
    case WEIR_STRING:
        string_pack(packer, at);
        break;
    }
}
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "integers are kept by their low bytes");

void msgpack_encode(const struct weir_type *type, const void *record, weir_buffer *out)
{
    ASSERT(type->field_count <= WEIR_FIELDS_MAX);
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, packer_write);
    msgpack_pack_map(&packer, type->field_count);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct weir_field *field = &type->fields[i];
        msgpack_pack_uint32(&packer, field->id);
        field_pack(&packer, field->kind, (const char *)record + field->offset);
    }
}

/* -- reading: one token at a time ----------------------------------------------------------- */

/* What a header says. A container's items follow as tokens of their own. */
enum token_kind {
    TOKEN_BAD, /* cut short, or the byte 0xc1 */
    TOKEN_NIL,
    TOKEN_BOOL,
    TOKEN_UINT,
    TOKEN_INT, /* below zero */
    TOKEN_DOUBLE,
    TOKEN_BYTES, /* str or bin */
    TOKEN_EXT,
    TOKEN_ARRAY,
    TOKEN_MAP
};

/* Thread: its stack's owner. */
struct token {
    enum token_kind kind;
    union {
        bool truth;
        uint64_t number;
        int64_t negative;
        double real;
        weir_str bytes;
        uint64_t count; /* of the values inside: a map's keys count too */
    };
};

/* Thread: its stack's owner. */
struct cursor {
    const unsigned char *at, *end;
};

/* A big-endian number of `size` bytes; false: the input ends before. */
static bool number_take(struct cursor *cursor, uint32_t size, uint64_t *number)
{
    DEBUG_ASSERT(size <= sizeof(*number));
    if (size > (size_t)(cursor->end - cursor->at))
        return false;
    *number = 0;
    for (uint32_t i = 0; i < size; i++)
        *number = *number << 8 | cursor->at[i];
    cursor->at += size;
    return true;
}

static struct token bytes_take(struct cursor *cursor, enum token_kind kind, uint64_t size)
{
    if (size > (size_t)(cursor->end - cursor->at))
        return (struct token){ .kind = TOKEN_BAD };
    weir_str bytes = { .data = (const char *)cursor->at, .size = size };
    cursor->at += size;
    return (struct token){ .kind = kind, .bytes = bytes };
}

static struct token signed_token(int64_t number)
{
    if (number >= 0)
        return (struct token){ .kind = TOKEN_UINT, .number = (uint64_t)number };
    return (struct token){ .kind = TOKEN_INT, .negative = number };
}

static struct token real_token(uint64_t bits, uint32_t size)
{
    struct token token = { .kind = TOKEN_DOUBLE };
    if (size == sizeof(float)) {
        uint32_t half = (uint32_t)bits;
        float single;
        memcpy(&single, &half, sizeof(single));
        token.real = (double)single;
    } else {
        memcpy(&token.real, &bits, sizeof(token.real));
    }
    return token;
}

/* The headers 0xc0 .. 0xdf that have a number of 1, 2, 4 or 8 bytes behind them; the others are
 * known without a table. */
static const struct {
    enum token_kind kind;
    uint8_t number_size;
} headers[0x20] = {
    [0x04] = { TOKEN_BYTES, 1 }, /* bin */
    [0x05] = { TOKEN_BYTES, 2 },
    [0x06] = { TOKEN_BYTES, 4 },
    [0x07] = { TOKEN_EXT, 1 },
    [0x08] = { TOKEN_EXT, 2 },
    [0x09] = { TOKEN_EXT, 4 },
    [0x0a] = { TOKEN_DOUBLE, 4 },
    [0x0b] = { TOKEN_DOUBLE, 8 },
    [0x0c] = { TOKEN_UINT, 1 },
    [0x0d] = { TOKEN_UINT, 2 },
    [0x0e] = { TOKEN_UINT, 4 },
    [0x0f] = { TOKEN_UINT, 8 },
    [0x10] = { TOKEN_INT, 1 },
    [0x11] = { TOKEN_INT, 2 },
    [0x12] = { TOKEN_INT, 4 },
    [0x13] = { TOKEN_INT, 8 },
    [0x19] = { TOKEN_BYTES, 1 }, /* str */
    [0x1a] = { TOKEN_BYTES, 2 },
    [0x1b] = { TOKEN_BYTES, 4 },
    [0x1c] = { TOKEN_ARRAY, 2 },
    [0x1d] = { TOKEN_ARRAY, 4 },
    [0x1e] = { TOKEN_MAP, 2 },
    [0x1f] = { TOKEN_MAP, 4 },
};

static struct token long_token_take(struct cursor *cursor, unsigned char header)
{
    ASSERT(header >= 0xc0 && header <= 0xdf);
    enum token_kind kind = headers[header - 0xc0].kind;
    uint32_t size = headers[header - 0xc0].number_size;
    uint64_t number;
    if (!number_take(cursor, size, &number))
        return (struct token){ .kind = TOKEN_BAD };
    switch (kind) {
    case TOKEN_BYTES:
        return bytes_take(cursor, TOKEN_BYTES, number);
    case TOKEN_EXT: /* a byte of type first */
        return bytes_take(cursor, TOKEN_EXT, number + 1);
    case TOKEN_DOUBLE:
        return real_token(number, size);
    case TOKEN_INT: /* the sign bit goes up to bit 63 and comes back with its copies */
        return signed_token((int64_t)(number << (64 - 8 * size)) >> (64 - 8 * size));
    case TOKEN_UINT:
        return (struct token){ .kind = TOKEN_UINT, .number = number };
    case TOKEN_ARRAY:
        return (struct token){ .kind = TOKEN_ARRAY, .count = number };
    case TOKEN_MAP:
        return (struct token){ .kind = TOKEN_MAP, .count = number * 2 };
    case TOKEN_BAD:
    case TOKEN_NIL:
    case TOKEN_BOOL:
        break;
    }
    return (struct token){ .kind = TOKEN_BAD };
}

static struct token token_take(struct cursor *cursor)
{
    if (cursor->at == cursor->end)
        return (struct token){ .kind = TOKEN_BAD };
    unsigned char header = *cursor->at++;
    if (header < 0x80)
        return (struct token){ .kind = TOKEN_UINT, .number = header };
    if (header >= 0xe0)
        return signed_token((int64_t)header - 0x100);
    if (header < 0x90)
        return (struct token){ .kind = TOKEN_MAP, .count = (header & 0x0fu) * 2 };
    if (header < 0xa0)
        return (struct token){ .kind = TOKEN_ARRAY, .count = header & 0x0fu };
    if (header < 0xc0)
        return bytes_take(cursor, TOKEN_BYTES, header & 0x1fu);
    if (header == 0xc0)
        return (struct token){ .kind = TOKEN_NIL };
    if (header == 0xc2 || header == 0xc3)
        return (struct token){ .kind = TOKEN_BOOL, .truth = header == 0xc3 };
    if (header >= 0xd4 && header <= 0xd8) /* ext of 1, 2, 4, 8, 16 bytes and their type */
        return bytes_take(cursor, TOKEN_EXT, (UINT64_C(1) << (header - 0xd4)) + 1);
    return long_token_take(cursor, header);
}

/* Skips what a token has opened. Each item costs a byte at least, so a claimed count of billions
 * ends with the input. False: bad bytes, or nested too deep. */
static bool skip(struct cursor *cursor, struct token token)
{
    uint64_t left[NESTING_MAX];
    uint32_t depth = 0;
    for (;;) {
        if (token.kind == TOKEN_BAD)
            return false;
        if (token.kind == TOKEN_ARRAY || token.kind == TOKEN_MAP) {
            if (depth == NESTING_MAX)
                return false;
            left[depth++] = token.count;
        }
        while (depth > 0 && left[depth - 1] == 0)
            depth--;
        if (depth == 0)
            return true;
        left[depth - 1]--;
        token = token_take(cursor);
    }
}

/* -- reading: fields ------------------------------------------------------------------------ */

/* The number as one of the field's kind, in `*bits`; false: it is none, or does not fit. */
static bool number_fits(enum weir_kind kind, struct token token, uint64_t *bits)
{
    bool is_signed = kind == WEIR_I32 || kind == WEIR_I64;
    bool is_wide = kind == WEIR_I64 || kind == WEIR_U64;
    uint64_t max = (is_wide ? UINT64_MAX : UINT32_MAX) >> is_signed;
    if (token.kind == TOKEN_UINT) {
        *bits = token.number;
        return token.number <= max;
    }
    if (token.kind != TOKEN_INT || !is_signed)
        return false;
    *bits = (uint64_t)token.negative;
    return is_wide || token.negative >= INT32_MIN;
}

/* Stores a token in its field; false: it does not fit. */
static bool field_store(const struct weir_field *field, struct token token, struct arena *arena,
    char *at)
{
    uint64_t bits = 0;
    if (token.kind == TOKEN_NIL)
        return true; /* zeroed already */
    switch (field->kind) {
    case WEIR_BOOL:
        memcpy(at, &token.truth, sizeof(token.truth));
        return token.kind == TOKEN_BOOL;
    case WEIR_I32:
    case WEIR_U32:
    case WEIR_I64:
    case WEIR_U64:
        if (!number_fits(field->kind, token, &bits))
            return false;
        memcpy(at, &bits, schema_kind_size(field->kind));
        return true;
    case WEIR_F64:
        memcpy(at, &token.real, sizeof(token.real));
        return token.kind == TOKEN_DOUBLE;
    case WEIR_STRING:
        if (token.kind != TOKEN_BYTES)
            return false;
        if (arena != NULL)
            token.bytes.data = arena_dup(arena, token.bytes.data, token.bytes.size);
        memcpy(at, &token.bytes, sizeof(token.bytes));
        return true;
    }
    return false;
}

/* Thread: its stack's owner. One decoding. */
struct decoding {
    const struct weir_type *type;
    weir_str bytes;
    struct cursor cursor;
    uint64_t seen; /* a bit a field */
    uint32_t next; /* the field that comes next if the order is the type's */
};
_Static_assert(WEIR_FIELDS_MAX <= 64, "a bit a field");

static weir_error *bad(const struct decoding *decoding, const char *what)
{
    size_t at = (size_t)((const char *)decoding->cursor.at - decoding->bytes.data);
    return weir_error_data("bad-msgpack",
        "cannot read a record of type '%s': %s at byte %zu of %zu", decoding->type->name, what, at,
        (size_t)decoding->bytes.size);
}

static weir_error *bad_field(const struct decoding *decoding, const struct weir_field *field,
    const char *what)
{
    return weir_error_data("bad-msgpack", "cannot read a record of type '%s': field %u '%s' %s %s",
        decoding->type->name, field->id, field->name, what, schema_kind_name(field->kind));
}

/* One pair of the map. */
static weir_error *pair_decode(struct decoding *decoding, struct arena *arena, char *record)
{
    static const char damaged[] = "the bytes are cut, damaged or nested too deep";
    struct token id = token_take(&decoding->cursor);
    const struct weir_field *field =
        id.kind == TOKEN_UINT ? schema_field(decoding->type, id.number, decoding->next) : NULL;
    if (field == NULL && !skip(&decoding->cursor, id))
        return bad(decoding, damaged);
    struct token value = token_take(&decoding->cursor);
    if (value.kind == TOKEN_BAD)
        return bad(decoding, damaged);
    if (field == NULL)
        return skip(&decoding->cursor, value) ? NULL : bad(decoding, damaged);
    uint32_t index = (uint32_t)(field - decoding->type->fields);
    if (decoding->seen >> index & 1)
        return bad_field(decoding, field, "is there twice, as");
    decoding->seen |= UINT64_C(1) << index;
    decoding->next = index + 1;
    if (!field_store(field, value, arena, record + field->offset))
        return bad_field(decoding, field, "holds no");
    return NULL;
}

weir_error *msgpack_decode(const struct weir_type *type, weir_str bytes, struct arena *arena,
    void *record)
{
    ASSERT(type->field_count <= WEIR_FIELDS_MAX);
    memset(record, 0, type->size);
    struct decoding decoding = { .type = type, .bytes = bytes };
    if (bytes.data == NULL)
        decoding.bytes = WEIR_STR("");
    decoding.cursor.at = (const unsigned char *)decoding.bytes.data;
    decoding.cursor.end = decoding.cursor.at + decoding.bytes.size;
    struct token map = token_take(&decoding.cursor);
    if (map.kind != TOKEN_MAP)
        return bad(&decoding, "there is no map");
    for (uint64_t i = 0; i < map.count; i += 2)
        WEIR_TRY(pair_decode(&decoding, arena, record));
    if (decoding.cursor.at != decoding.cursor.end)
        return bad(&decoding, "there is more behind the map");
    return NULL;
}

/* -- streams -------------------------------------------------------------------------------- */

bool msgpack_take(weir_str *bytes, weir_str *value)
{
    if (bytes->size == 0)
        return false;
    struct cursor cursor = { .at = (const unsigned char *)bytes->data,
        .end = (const unsigned char *)bytes->data + bytes->size };
    if (!skip(&cursor, token_take(&cursor)))
        return false;
    size_t size = (size_t)((const char *)cursor.at - bytes->data);
    *value = (weir_str){ .data = bytes->data, .size = size };
    bytes->data += size;
    bytes->size -= size;
    return true;
}
