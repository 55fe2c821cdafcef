/* schema.c -- soundness, equality, fingerprint, evolution and description of types. Runs when a job
 * is planned or restored, never per record (schema_field apart). */
#include "types/schema.h"

#include "base/assert.h"
#include "base/hash.h"

#include <string.h>

#define PRINT_SIZE_MAX ((size_t)4096)

/* A stored schema names its kinds by these numbers: they must never change. */
_Static_assert(WEIR_BOOL == 0 && WEIR_I32 == 1 && WEIR_U32 == 2 && WEIR_I64 == 3, "stored");
_Static_assert(WEIR_U64 == 4 && WEIR_F64 == 5 && WEIR_STRING == 6, "stored");

static const struct {
    const char *name;
    uint32_t size;
} kinds[] = {
    [WEIR_BOOL] = { "bool", sizeof(bool) },
    [WEIR_I32] = { "i32", sizeof(int32_t) },
    [WEIR_U32] = { "u32", sizeof(uint32_t) },
    [WEIR_I64] = { "i64", sizeof(int64_t) },
    [WEIR_U64] = { "u64", sizeof(uint64_t) },
    [WEIR_F64] = { "f64", sizeof(double) },
    [WEIR_STRING] = { "string", sizeof(weir_str) },
};
#define KIND_COUNT ((unsigned)(sizeof(kinds) / sizeof(kinds[0])))

uint32_t schema_kind_size(enum weir_kind kind)
{
    ASSERT((unsigned)kind < KIND_COUNT);
    return kinds[kind].size;
}

const char *schema_kind_name(enum weir_kind kind)
{
    ASSERT((unsigned)kind < KIND_COUNT);
    return kinds[kind].name;
}

const struct weir_field *schema_field(const struct weir_type *type, uint64_t id, uint32_t hint)
{
    if (hint < type->field_count && type->fields[hint].id == id)
        return &type->fields[hint];
    for (uint32_t i = 0; i < type->field_count; i++)
        if (type->fields[i].id == id)
            return &type->fields[i];
    return NULL;
}

/* -- soundness ------------------------------------------------------------------------------ */

static bool is_name(const char *name)
{
    return name != NULL && name[0] != '\0' && strlen(name) <= SCHEMA_NAME_SIZE_MAX;
}

/* Adds to the mistakes collected so far. */
#define MISTAKE(...) (*mistakes = weir_error_join(*mistakes, weir_errorf(WEIR_E_PLAN, __VA_ARGS__)))

static void check_place(const struct weir_type *type, const struct weir_field *field,
    weir_error **mistakes)
{
    uint32_t size = kinds[field->kind].size;
    uint32_t alignment = size > 8 ? 8 : size;
    if (size > type->size || field->offset > type->size - size)
        MISTAKE("field '%s' of type '%s' lies outside its struct (offset %u, struct of %u bytes)",
            field->name, type->name, field->offset, type->size);
    else if (field->offset % alignment != 0)
        MISTAKE("field '%s' of type '%s' is not aligned (offset %u); a record must not be packed",
            field->name, type->name, field->offset);
}

/* One field against its own rules; false: too broken to compare with others. */
static bool check_field(const struct weir_type *type, uint32_t index, weir_error **mistakes)
{
    const struct weir_field *field = &type->fields[index];
    if (!is_name(field->name)) {
        MISTAKE("field number %u of type '%s' has no name, or one of more than %u bytes", index,
            type->name, SCHEMA_NAME_SIZE_MAX);
        return false;
    }
    if ((unsigned)field->kind >= KIND_COUNT) {
        MISTAKE("field '%s' of type '%s' has the unknown kind %u", field->name, type->name,
            (unsigned)field->kind);
        return false;
    }
    if (field->id == 0)
        MISTAKE("field '%s' of type '%s' has the id 0; ids start at 1", field->name, type->name);
    check_place(type, field, mistakes);
    return true;
}

static void check_pair(const struct weir_type *type, const struct weir_field *a,
    const struct weir_field *b, weir_error **mistakes)
{
    if (a->id == b->id && a->id != 0)
        MISTAKE("fields '%s' and '%s' of type '%s' have the same id %u; give one of them a new one",
            a->name, b->name, type->name, a->id);
    if (strcmp(a->name, b->name) == 0)
        MISTAKE("type '%s' has two fields named '%s'", type->name, a->name);
    else if (a->offset < (uint64_t)b->offset + kinds[b->kind].size &&
             b->offset < (uint64_t)a->offset + kinds[a->kind].size)
        MISTAKE("fields '%s' and '%s' of type '%s' overlap", a->name, b->name, type->name);
}

static void check_fields(const struct weir_type *type, weir_error **mistakes)
{
    bool is_comparable[WEIR_FIELDS_MAX];
    ASSERT(type->field_count <= WEIR_FIELDS_MAX);
    for (uint32_t i = 0; i < type->field_count; i++) {
        is_comparable[i] = check_field(type, i, mistakes);
        for (uint32_t j = 0; j < i; j++)
            if (is_comparable[i] && is_comparable[j])
                check_pair(type, &type->fields[j], &type->fields[i], mistakes);
    }
}

weir_error *schema_validate(const struct weir_type *type)
{
    weir_error *error = NULL;
    weir_error **mistakes = &error;
    if (type == NULL)
        return weir_errorf(WEIR_E_PLAN, "there is no type; pass &<struct>_type of a WEIR_TYPE");
    if (!is_name(type->name))
        return weir_errorf(WEIR_E_PLAN, "a type has no name, or one of more than %u bytes",
            SCHEMA_NAME_SIZE_MAX);
    if (type->size == 0 || type->size > WEIR_RECORD_SIZE_MAX)
        MISTAKE("the struct of type '%s' has %u bytes; allowed are 1 to %u", type->name, type->size,
            WEIR_RECORD_SIZE_MAX);
    if (type->field_count == 0 || type->field_count > WEIR_FIELDS_MAX || type->fields == NULL)
        MISTAKE("type '%s' has %u fields; allowed are 1 to %d", type->name, type->field_count,
            WEIR_FIELDS_MAX);
    else
        check_fields(type, mistakes);
    return error;
}

/* -- equality ------------------------------------------------------------------------------- */

bool schema_equal(const struct weir_type *a, const struct weir_type *b)
{
    if (a == b)
        return true;
    if (a->size != b->size || a->field_count != b->field_count || strcmp(a->name, b->name) != 0)
        return false;
    for (uint32_t i = 0; i < a->field_count; i++) {
        const struct weir_field *x = &a->fields[i], *y = &b->fields[i];
        if (x->id != y->id || x->kind != y->kind || x->offset != y->offset ||
            strcmp(x->name, y->name) != 0)
            return false;
    }
    return true;
}

static uint64_t fold(uint64_t sum, uint64_t value)
{
    return hash_mix(sum + UINT64_C(0x9e3779b97f4a7c15)) ^ hash_mix(value + 1);
}

uint64_t weir_type_fingerprint(const struct weir_type *type)
{
    ASSERT(type != NULL);
    uint64_t sum = hash_bytes(type->name, strlen(type->name));
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct weir_field *field = &type->fields[i];
        sum = fold(sum, field->id);
        sum = fold(sum, (uint64_t)field->kind);
        sum = fold(sum, hash_bytes(field->name, strlen(field->name)));
    }
    return hash_mix(sum);
}

/* -- description ---------------------------------------------------------------------------- */

void schema_print(const struct weir_type *type, weir_buffer *out)
{
    buffer_printf(out, "%s {", type->name);
    for (uint32_t i = 0; i < type->field_count; i++)
        buffer_printf(out, "%s %u %s %s", i == 0 ? "" : ",", type->fields[i].id,
            type->fields[i].name, schema_kind_name(type->fields[i].kind));
    buffer_printf(out, " }");
}

void schema_put(const struct weir_type *type, weir_buffer *out)
{
    ASSERT(type->field_count <= WEIR_FIELDS_MAX);
    buffer_put_str(out, weir_str_of(type->name));
    buffer_put_u32(out, type->field_count);
    for (uint32_t i = 0; i < type->field_count; i++) {
        buffer_put_u32(out, type->fields[i].id);
        buffer_put_u8(out, (uint8_t)type->fields[i].kind);
        buffer_put_str(out, weir_str_of(type->fields[i].name));
    }
}

const char *schema_get_name(struct reader *reader, struct arena *arena)
{
    const char *name = reader_text(reader, arena, SCHEMA_NAME_SIZE_MAX);
    return name == NULL || name[0] == '\0' ? NULL : name;
}

static bool field_get(struct reader *reader, struct arena *arena, struct weir_field *field)
{
    uint32_t id = reader_u32(reader);
    uint8_t kind = reader_u8(reader);
    const char *name = schema_get_name(reader, arena);
    if (reader_failed(reader) || id == 0 || kind >= KIND_COUNT || name == NULL)
        return false;
    *field = (struct weir_field){ .id = id, .kind = (enum weir_kind)kind, .name = name };
    return true;
}

weir_error *schema_get(struct reader *reader, struct arena *arena, const struct weir_type **type)
{
    *type = NULL;
    const char *name = schema_get_name(reader, arena);
    uint32_t field_count = reader_u32(reader);
    if (name == NULL || reader_failed(reader) || field_count == 0 || field_count > WEIR_FIELDS_MAX)
        return weir_errorf(WEIR_E_CORRUPT, "a stored schema has no name or no sound field count");
    struct weir_field *fields = arena_alloc(arena, field_count * sizeof(*fields));
    struct weir_type *got = arena_alloc(arena, sizeof(*got));
    *got = (struct weir_type){ .name = name, .fields = fields };
    for (; got->field_count < field_count; got->field_count++) {
        struct weir_field *field = &fields[got->field_count];
        if (!field_get(reader, arena, field) || schema_field(got, field->id, 0) != NULL)
            return weir_errorf(WEIR_E_CORRUPT,
                "the stored schema of type '%s' is damaged at field number %u", name,
                got->field_count);
    }
    *type = got;
    return NULL;
}

void schema_put_placed(const struct weir_type *type, weir_buffer *out)
{
    schema_put(type, out);
    buffer_put_u32(out, type->size);
    for (uint32_t i = 0; i < type->field_count; i++)
        buffer_put_u32(out, type->fields[i].offset);
}

/* Strings that overlap would be resolved twice (types/layout.h). */
static bool overlap(const struct weir_field *fields, uint32_t index)
{
    const struct weir_field *it = &fields[index];
    for (uint32_t i = 0; i < index; i++)
        if (it->offset < fields[i].offset + schema_kind_size(fields[i].kind) &&
            fields[i].offset < it->offset + schema_kind_size(it->kind))
            return true;
    return false;
}

static weir_error *misplaced(const struct weir_type *type, const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT, "the stored schema of type '%s' is damaged: %s", type->name,
        what);
}

weir_error *schema_get_placed(struct reader *reader, struct arena *arena,
    const struct weir_type **type)
{
    const struct weir_type *stored;
    *type = NULL;
    WEIR_TRY(schema_get(reader, arena, &stored));
    struct weir_field *fields =
        arena_dup(arena, stored->fields, stored->field_count * sizeof(*fields));
    struct weir_type *placed = arena_dup(arena, stored, sizeof(*placed));
    placed->fields = fields;
    placed->size = reader_u32(reader);
    if (placed->size == 0 || placed->size > WEIR_RECORD_SIZE_MAX)
        return misplaced(placed, "its struct has an impossible size");
    for (uint32_t i = 0; i < placed->field_count; i++) {
        uint32_t size = schema_kind_size(fields[i].kind);
        fields[i].offset = reader_u32(reader);
        if (size > placed->size || fields[i].offset > placed->size - size)
            return misplaced(placed, "a field lies outside its struct");
        if (overlap(fields, i))
            return misplaced(placed, "two fields lie in one place");
    }
    if (reader_failed(reader))
        return misplaced(placed, "it ends too early");
    *type = placed;
    return NULL;
}

/* -- evolution ------------------------------------------------------------------------------ */

static bool kind_fits(enum weir_kind stored, enum weir_kind now)
{
    return stored == now || (stored == WEIR_I32 && now == WEIR_I64) ||
           (stored == WEIR_U32 && (now == WEIR_U64 || now == WEIR_I64));
}

static weir_error *cannot_restore(const struct weir_type *stored, const struct weir_type *now,
    const struct weir_field *before, const struct weir_field *field)
{
    weir_buffer *text = weir_buffer_new(PRINT_SIZE_MAX);
    buffer_printf(text, "stored: ");
    schema_print(stored, text);
    buffer_printf(text, "; now: ");
    schema_print(now, text);
    weir_error *error = weir_errorf(WEIR_E_STATE,
        "field %u '%s' of type '%s' was stored as %s and is %s now; give the new one a new id (%s)",
        field->id, field->name, now->name, schema_kind_name(before->kind),
        schema_kind_name(field->kind),
        weir_buffer_overflowed(text) ? "both schemas are too long to print" : buffer_text(text));
    weir_buffer_free(text);
    return error;
}

weir_error *schema_can_restore(const struct weir_type *stored, const struct weir_type *now,
    weir_buffer *dropped)
{
    for (uint32_t i = 0; i < stored->field_count; i++) {
        const struct weir_field *before = &stored->fields[i];
        const struct weir_field *field = schema_field(now, before->id, i);
        if (field != NULL && !kind_fits(before->kind, field->kind))
            return cannot_restore(stored, now, before, field);
        if (field == NULL && dropped != NULL)
            buffer_printf(dropped, "%s'%s'", buffer_size(dropped) == 0 ? "" : ", ", before->name);
    }
    return NULL;
}
