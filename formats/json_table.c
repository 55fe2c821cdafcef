/* json_table.c -- see json_table.h.
 *
 * The hash takes length, first, middle and last byte, and multiplies; multipliers are tried until
 * no two names of the type share a slot, which for usual types is one of the first. If none does,
 * names that collide sit in the next slot: the lookup is right whatever the hash. */
#include "formats/json_table.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "types/schema.h"

#include <stdatomic.h>

#define MULTIPLIER     0x9e3779b1u
#define MULTIPLIERS    256u /* that are tried */
#define NAME_SIZE_MAX  (6u * SCHEMA_NAME_SIZE_MAX + 16u)
#define COLLISIONS_MAX UINT32_MAX

/* Newest first; tables are only ever added. Thread: any. */
static _Atomic(struct json_table *) tables;

static inline uint32_t hash_name(weir_str name, uint32_t multiplier)
{
    const unsigned char *bytes = (const unsigned char *)name.data;
    if (name.size == 0)
        return 0;
    uint32_t mixed = (uint32_t)bytes[0] | (uint32_t)bytes[name.size / 2] << 8 |
                     (uint32_t)bytes[name.size - 1] << 16 | (uint32_t)name.size << 24;
    return mixed * multiplier >> 24;
}
_Static_assert(JSON_SLOTS == 1u << 8, "the hash has eight bits");

uint32_t json_table_find(const struct json_table *table, weir_str name)
{
    uint32_t slot = hash_name(name, table->multiplier);
    for (; table->slots[slot] != 0; slot = (slot + 1) % JSON_SLOTS) {
        uint32_t index = table->slots[slot] - 1u;
        if (weir_str_equal(table->fields[index].name, name))
            return index;
    }
    return table->type->field_count;
}

/* Puts all names into the slots; gives how many were not in their own. */
static uint32_t fill_slots(struct json_table *table, uint32_t multiplier)
{
    uint32_t collisions = 0;
    table->multiplier = multiplier;
    memset(table->slots, 0, sizeof(table->slots));
    for (uint32_t i = 0; i < table->type->field_count; i++) {
        uint32_t slot = hash_name(table->fields[i].name, multiplier);
        for (; table->slots[slot] != 0; slot = (slot + 1) % JSON_SLOTS)
            collisions++;
        table->slots[slot] = (uint8_t)(i + 1);
    }
    return collisions;
}

static void choose_multiplier(struct json_table *table)
{
    uint32_t best = MULTIPLIER, fewest = COLLISIONS_MAX;
    for (uint32_t i = 0; i < MULTIPLIERS && fewest > 0; i++) {
        uint32_t collisions = fill_slots(table, MULTIPLIER + 2 * i);
        if (collisions < fewest) {
            best = MULTIPLIER + 2 * i;
            fewest = collisions;
        }
    }
    fill_slots(table, best);
}

static void init_field(struct json_field *field, const char *name, weir_buffer *text)
{
    field->name = weir_str_of(mem_strdup(name));
    weir_buffer_reset(text);
    weir_buffer_add_byte(text, ',');
    weir_json_put_string(text, field->name);
    weir_buffer_add_byte(text, ':');
    weir_str written = weir_buffer_view(text);
    ASSERT(!weir_buffer_overflowed(text));
    field->written =
        (weir_str){ .data = mem_dup(written.data, written.size), .size = written.size };
    size_t size = written.size - 1; /* without the comma */
    if (size > JSON_PATTERN_SIZE)
        return;
    memcpy(field->pattern, written.data + 1, size);
    field->mask = (1u << size) - 1;
}

static struct json_table *table_new(const struct weir_type *type, uint64_t fingerprint)
{
    ASSERT(type->field_count <= WEIR_FIELDS_MAX);
    size_t size = sizeof(struct json_table) + type->field_count * sizeof(struct json_field);
    struct json_table *table = mem_alloc(size);
    weir_buffer *text = weir_buffer_new(NAME_SIZE_MAX);
    table->type = type;
    table->fingerprint = fingerprint;
    for (uint32_t i = 0; i < type->field_count; i++)
        init_field(&table->fields[i], type->fields[i].name, text);
    weir_buffer_free(text);
    choose_multiplier(table);
    return table;
}

const struct json_table *json_table_of(const struct weir_type *type)
{
    weir_error *error = type == NULL ? NULL : schema_validate(type);
    if (type == NULL || error != NULL) {
        weir_error_free(error);
        return NULL;
    }
    uint64_t fingerprint = weir_type_fingerprint(type);
    uint32_t count = 0;
    struct json_table *table = atomic_load_explicit(&tables, memory_order_acquire);
    for (; table != NULL; table = table->next) {
        if (table->type == type && table->fingerprint == fingerprint)
            return table;
        count++;
    }
    ASSERT(
        count < JSON_TABLES_MAX); /* types are static: a program that makes ever more is broken */
    table = table_new(type, fingerprint);
    table->next = atomic_load_explicit(&tables, memory_order_relaxed);
    /* Another thread may add the same type at the same time: two equal tables do no harm. */
    while (!atomic_compare_exchange_weak_explicit(&tables, &table->next, table,
        memory_order_release, memory_order_relaxed))
        continue;
    return table;
}
