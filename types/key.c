/* key.c -- what does not run per record, and keys of several fields. */
#include "types/key.h"

#include "base/assert.h"
#include "types/schema.h"

#include <endian.h>

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "keys borrow a number's bytes from the record");

static const struct weir_field *field_at(const struct weir_type *type, uint32_t offset)
{
    for (uint32_t i = 0; i < type->field_count; i++)
        if (type->fields[i].offset == offset)
            return &type->fields[i];
    return NULL;
}

weir_error *key_validate(const struct weir_key *key)
{
    if (key->type == NULL)
        return weir_errorf(WEIR_E_PLAN, "a key has no type; use WEIR_KEY(type, member)");
    if (key->offset_count == 0 || key->offset_count > WEIR_KEY_FIELDS_MAX)
        return weir_errorf(WEIR_E_PLAN, "the key of type '%s' has %u fields; allowed are 1 to %d",
            key->type->name, key->offset_count, WEIR_KEY_FIELDS_MAX);
    for (uint32_t i = 0; i < key->offset_count; i++) {
        const struct weir_field *field = field_at(key->type, key->offsets[i]);
        if (field == NULL)
            return weir_errorf(WEIR_E_PLAN,
                "the key of type '%s' uses a member at offset %u that is no field; add it to the "
                "WEIR_TYPE",
                key->type->name, key->offsets[i]);
        for (uint32_t j = 0; j < i; j++)
            if (key->offsets[i] == key->offsets[j])
                return weir_errorf(WEIR_E_PLAN, "the key of type '%s' uses the field '%s' twice",
                    key->type->name, field->name);
    }
    return NULL;
}

void key_plan_init(struct key_plan *plan, const struct weir_key *key)
{
    ASSERT(key->offset_count >= 1 && key->offset_count <= WEIR_KEY_FIELDS_MAX);
    *plan = (struct key_plan){ .part_count = key->offset_count };
    for (uint32_t i = 0; i < key->offset_count; i++) {
        const struct weir_field *field = field_at(key->type, key->offsets[i]);
        ASSERT(field != NULL);
        plan->parts[i].offset = field->offset;
        plan->parts[i].size = field->kind == WEIR_STRING ? 0 : schema_kind_size(field->kind);
    }
}

/* Appends; false: no room. */
static bool add(char *scratch, size_t scratch_size, size_t *used, const void *bytes, size_t size)
{
    ASSERT(*used <= scratch_size);
    if (size > scratch_size - *used)
        return false;
    if (size > 0)
        memcpy(scratch + *used, bytes, size);
    *used += size;
    return true;
}

static bool add_string(char *scratch, size_t scratch_size, size_t *used, const char *at)
{
    weir_str string;
    memcpy(&string, at, sizeof(string));
    if (string.data == NULL)
        string.size = 0;
    if (string.size > WEIR_RECORD_SIZE_MAX)
        return false;
    uint32_t size = (uint32_t)string.size;
    return add(scratch, scratch_size, used, &size, sizeof(size)) &&
           add(scratch, scratch_size, used, string.data, size);
}

weir_str key_encode_parts(const struct key_plan *plan, const void *record, char *scratch,
    size_t scratch_size)
{
    size_t used = 0;
    for (uint32_t i = 0; i < plan->part_count; i++) {
        const char *at = (const char *)record + plan->parts[i].offset;
        bool has_room = plan->parts[i].size == 0
                            ? add_string(scratch, scratch_size, &used, at)
                            : add(scratch, scratch_size, &used, at, plan->parts[i].size);
        if (!has_room)
            return (weir_str){ .data = NULL };
    }
    return (weir_str){ .data = scratch, .size = used };
}

weir_str key_encode(const struct weir_key *key, const void *record, char *scratch,
    size_t scratch_size)
{
    struct key_plan plan;
    key_plan_init(&plan, key);
    return key_plan_encode(&plan, record, scratch, scratch_size);
}
