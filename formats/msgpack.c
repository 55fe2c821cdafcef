/* msgpack.c -- weir_msgpack: a record is a MessagePack map, field id -> value (types/msgpack.h).
 *
 * The format of savepoints, as a format of messages: for topics between Weir jobs, where a field may
 * be added or dropped without touching the other side. Decoded strings point into the message. */
#include "types/msgpack.h"

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    (void)ctx;
    if (message->value.data == NULL)
        return weir_error_data("bad-msgpack", "the value is null");
    return msgpack_decode(format->type, message->value, NULL, record);
}

static weir_error *encode(const struct weir_format *format, const void *record, weir_buffer *key,
    weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    (void)key;
    (void)key_is_null;
    (void)value_is_null;
    msgpack_encode(format->type, record, value);
    return NULL;
}

static const struct weir_format_class msgpack_class = {
    .name = "msgpack",
    .decode = decode,
    .encode = encode,
};

struct weir_format weir_msgpack(const struct weir_type *type)
{
    return (struct weir_format){ .format_class = &msgpack_class, .type = type };
}
