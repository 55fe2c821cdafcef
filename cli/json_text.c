/* json_text.c -- see json_text.h. */
#include "cli/json_text.h"

#include "base/buffer.h"
#include "base/json.h"
#include "types/schema.h"

#include <endian.h>
#include <inttypes.h>

/* -- strings -------------------------------------------------------------------------------- */

static void put_hex(weir_str bytes, weir_buffer *out)
{
    buffer_printf(out, "{\"hex\":\"");
    for (uint64_t i = 0; i < bytes.size; i++)
        buffer_printf(out, "%02x", (unsigned)(unsigned char)bytes.data[i]);
    buffer_printf(out, "\"}");
}

void json_quoted(weir_str text, weir_buffer *out)
{
    if (text.data == NULL) {
        buffer_printf(out, "null");
        return;
    }
    if (json_is_text(text))
        json_put_quote(text, out);
    else
        put_hex(text, out);
}

void json_bytes(weir_str bytes, weir_buffer *out)
{
    for (uint64_t i = 0; i < bytes.size; i++) {
        if ((unsigned char)bytes.data[i] < 0x20) {
            put_hex(bytes, out);
            return;
        }
    }
    json_quoted(bytes, out);
}

/* -- records -------------------------------------------------------------------------------- */

/* A member, or a part of a key: its bytes, little-endian. */
static void put_value(enum weir_kind kind, const void *at, weir_buffer *out)
{
    uint64_t bits = 0;
    weir_str string;
    double real;
    if (kind != WEIR_STRING)
        memcpy(&bits, at, schema_kind_size(kind));
    switch (kind) {
    case WEIR_BOOL:
        buffer_printf(out, bits != 0 ? "true" : "false");
        return;
    case WEIR_I32:
        buffer_printf(out, "%" PRId32, (int32_t)(uint32_t)bits);
        return;
    case WEIR_I64:
        buffer_printf(out, "%" PRId64, (int64_t)bits);
        return;
    case WEIR_U32:
    case WEIR_U64:
        buffer_printf(out, "%" PRIu64, bits);
        return;
    case WEIR_F64:
        memcpy(&real, &bits, sizeof(real));
        json_put_real(&(struct json){ .out = out }, NULL, real);
        return;
    case WEIR_STRING:
        memcpy(&string, at, sizeof(string));
        json_quoted(string, out);
        return;
    }
}

void json_record(const struct weir_type *type, const void *record, weir_buffer *out)
{
    weir_buffer_add_byte(out, '{');
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (i > 0)
            weir_buffer_add_byte(out, ',');
        json_quoted(weir_str_of(type->fields[i].name), out);
        weir_buffer_add_byte(out, ':');
        put_value(type->fields[i].kind, (const char *)record + type->fields[i].offset, out);
    }
    weir_buffer_add_byte(out, '}');
}

/* -- keys ----------------------------------------------------------------------------------- */

/* The bytes of field `index` (types/key.h), taken off `*key`; false: they are not there. */
static bool part_take(const struct state_schema *schema, uint32_t index, weir_str *key,
    weir_str *part)
{
    uint32_t size =
        schema->keys[index].kind == WEIR_STRING ? 0 : schema_kind_size(schema->keys[index].kind);
    if (schema->keys[index].kind == WEIR_STRING && schema->key_count == 1)
        size = (uint32_t)key->size;
    else if (schema->keys[index].kind == WEIR_STRING) {
        if (key->size < sizeof(size))
            return false;
        memcpy(&size, key->data, sizeof(size));
        size = le32toh(size);
        key->data += sizeof(size);
        key->size -= sizeof(size);
    }
    if (key->size < size)
        return false;
    *part = (weir_str){ .data = key->data, .size = size };
    key->data += size;
    key->size -= size;
    return true;
}

static bool put_parts(const struct state_schema *schema, weir_str key, weir_buffer *out)
{
    for (uint32_t i = 0; i < schema->key_count; i++) {
        weir_str part;
        if (!part_take(schema, i, &key, &part))
            return false;
        buffer_printf(out, i == 0 ? "{" : ",");
        json_quoted(weir_str_of(schema->keys[i].name), out);
        weir_buffer_add_byte(out, ':');
        enum weir_kind kind = schema->keys[i].kind;
        put_value(kind, kind == WEIR_STRING ? (const void *)&part : part.data, out);
    }
    weir_buffer_add_byte(out, '}');
    return schema->key_count > 0 && key.size == 0;
}

void json_key(const struct state_schema *schema, weir_str key, weir_buffer *out)
{
    weir_buffer *parts = weir_buffer_new((size_t)1 << 20);
    if (put_parts(schema, key, parts))
        weir_buffer_add_str(out, weir_buffer_view(parts));
    else
        put_hex(key, out);
    weir_buffer_free(parts);
}

/* -- entries -------------------------------------------------------------------------------- */

static void put_name(const struct scan_entry *entry, weir_buffer *out)
{
    uint64_t place;
    if (entry->head.entry.data == NULL || entry->is_list_end)
        return;
    buffer_printf(out, ",\"entry\":");
    if (entry->state->kind == WEIR_LIST && entry->head.entry.size == sizeof(place)) {
        memcpy(&place, entry->head.entry.data, sizeof(place));
        buffer_printf(out, "%" PRIu64, be64toh(place));
    } else {
        json_quoted(entry->head.entry, out);
    }
}

static void put_timer(const struct scan_entry *entry, weir_buffer *out)
{
    const struct timer_value *timer = entry->record;
    buffer_printf(out, ",\"timer\":\"%s\",\"at_ms\":%" PRId64 ",\"key\":",
        timer->is_event_time ? "event" : "processing", timer->at_ms);
}

void json_entry(weir_str uid, const struct state_schema *schema, const struct scan_entry *entry,
    weir_buffer *out)
{
    buffer_printf(out, "\"operator\":");
    json_quoted(uid, out);
    if (entry->state == NULL) {
        put_timer(entry, out);
        json_key(schema, entry->head.key, out);
        buffer_printf(out, "}\n");
        return;
    }
    buffer_printf(out, ",\"state\":");
    json_quoted(weir_str_of(entry->state->name), out);
    buffer_printf(out, ",\"key\":");
    json_key(schema, entry->head.key, out);
    put_name(entry, out);
    if (entry->state->ttl_ms != 0)
        buffer_printf(out, ",\"expires_ms\":%" PRId64, entry->head.expires_ms);
    if (entry->is_list_end)
        buffer_printf(out, ",\"next\":%" PRIu64, ((const struct list_end *)entry->record)->next);
    else {
        buffer_printf(out, ",\"value\":");
        json_record(entry->type, entry->record, out);
    }
    buffer_printf(out, "}\n");
}
