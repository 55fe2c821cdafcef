/* raw.c -- weir_raw: the message itself is the record, undecoded.
 *
 * Decoding borrows: the strings of the record are those of the message. Encoding passes key and
 * value on, null ones as null; topic, offset, partition and timestamp say where a message came from,
 * not where it goes. */
#include <weir/connector.h>

static weir_error *decode(const struct weir_format *format, weir_ctx *ctx,
    const struct weir_message *message, void *record)
{
    (void)format;
    (void)ctx;
    *(struct weir_message *)record = *message;
    return NULL;
}

static void put(weir_buffer *out, weir_str bytes, bool *is_null)
{
    *is_null = bytes.data == NULL;
    if (!*is_null)
        weir_buffer_add_str(out, bytes);
}

static weir_error *encode(const struct weir_format *format, const void *record, weir_buffer *key,
    weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    (void)format;
    const struct weir_message *message = record;
    put(key, message->key, key_is_null);
    put(value, message->value, value_is_null);
    return NULL;
}

static const struct weir_format_class raw_class = {
    .name = "raw",
    .decode = decode,
    .encode = encode,
};

struct weir_format weir_raw(void)
{
    return (struct weir_format){ .format_class = &raw_class, .type = &weir_message_type };
}
