/* layout.c -- the parts of layout.h that do not run per record of the exchange: making a layout,
 * and judging bytes that come from a disk. */
#include "types/layout.h"

void layout_init(struct layout *layout, const struct weir_type *type)
{
    ASSERT(type != NULL && type->size > 0 && type->field_count <= WEIR_FIELDS_MAX);
    *layout = (struct layout){ .type = type, .size = type->size };
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].kind != WEIR_STRING)
            continue;
        ASSERT(type->fields[i].offset + sizeof(weir_str) <= type->size);
        layout->string_offsets[layout->string_count++] = type->fields[i].offset;
    }
}

static bool string_fits(const char *bytes, uint32_t struct_size, size_t size, uint32_t offset)
{
    uint64_t place[2]; /* offset, size */
    memcpy(place, bytes + offset, sizeof(place));
    if (place[0] == 0)
        return place[1] == 0;
    return place[0] >= struct_size && place[0] <= size && place[1] <= size - place[0];
}

weir_error *layout_check(const struct layout *layout, const void *bytes, size_t size)
{
    const struct weir_type *type = layout->type;
    if (size < layout->size)
        return weir_errorf(WEIR_E_CORRUPT,
            "a stored record of type '%s' has %zu bytes, less than its struct's %u", type->name,
            size, layout->size);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct weir_field *field = &type->fields[i];
        const unsigned char *at = (const unsigned char *)bytes + field->offset;
        if (field->kind == WEIR_STRING && !string_fits(bytes, layout->size, size, field->offset))
            return weir_errorf(WEIR_E_CORRUPT,
                "field '%s' of a stored record of type '%s' points outside its %zu bytes",
                field->name, type->name, size);
        if (field->kind == WEIR_BOOL && *at > 1)
            return weir_errorf(WEIR_E_CORRUPT,
                "field '%s' of a stored record of type '%s' is neither true nor false", field->name,
                type->name);
    }
    return NULL;
}
