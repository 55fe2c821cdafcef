/* document.c -- see document.h. A document is Jansson's json_t by another name. */
#include "cli/document.h"

#include "base/assert.h"
#include "base/memory.h"

#include <jansson.h>

/* Jansson counts references in what it only reads, so it takes no const. */
static json_t *inside(const struct document *document)
{
    return (json_t *)(uintptr_t)document;
}

weir_error *document_parse(weir_str text, struct document **document)
{
    json_error_t error;
    json_t *root = json_loadb(text.size == 0 ? "" : text.data, text.size, 0, &error);
    if (root == NULL)
        return weir_errorf(WEIR_E_CORRUPT, "line %d, column %d: %s", error.line, error.column,
            error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return weir_errorf(WEIR_E_CORRUPT, "it is JSON, but not an object");
    }
    *document = (struct document *)root;
    return NULL;
}

struct document *document_new(void)
{
    json_t *root = json_object();
    ASSERT(root != NULL);
    return (struct document *)root;
}

void document_free(struct document *document)
{
    json_decref(inside(document));
}

char *document_print(const struct document *document)
{
    size_t size = json_dumpb(inside(document), NULL, 0, JSON_COMPACT);
    char *text = mem_alloc(size + 1);
    ASSERT(size > 0 && json_dumpb(inside(document), text, size, JSON_COMPACT) == size);
    return text;
}

/* -- made ------------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
    json_t *value = text == NULL ? json_null() : json_string(text);
    ASSERT(value != NULL); /* no UTF-8: nobody has asked json_is_text */
    return value;
}

static void put(struct document *document, const char *name, json_t *value)
{
    ASSERT(json_object_set_new(inside(document), name, value) == 0);
}

void document_put_text(struct document *document, const char *name, const char *text)
{
    put(document, name, text_or_null(text));
}

void document_put_bool(struct document *document, const char *name, bool value)
{
    put(document, name, json_boolean(value));
}

void document_put_int(struct document *document, const char *name, int64_t value)
{
    put(document, name, json_integer(value));
}

void document_put_list(struct document *document, const char *name, char *const *texts,
    uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        ASSERT(json_array_append_new(list, text_or_null(texts[i])) == 0);
    put(document, name, list);
}

/* -- read ------------------------------------------------------------------------------------------- */

const struct document *document_get(const struct document *document, const char *name)
{
    return (const struct document *)json_object_get(inside(document), name);
}

const char *document_text(const struct document *document, const char *name)
{
    return json_string_value(inside(document_get(document, name)));
}

bool document_bool(const struct document *document, const char *name)
{
    return json_is_true(inside(document_get(document, name)));
}

int64_t document_int(const struct document *document, const char *name, int64_t fallback)
{
    const json_t *value = inside(document_get(document, name));
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

uint32_t document_count(const struct document *list)
{
    return (uint32_t)json_array_size(inside(list));
}

const struct document *document_at(const struct document *list, uint32_t index)
{
    return (const struct document *)json_array_get(inside(list), index);
}

const char *document_text_at(const struct document *list, uint32_t index)
{
    return json_string_value(inside(document_at(list, index)));
}

bool document_is_only(const struct document *document, const char *name)
{
    return json_object_size(inside(document)) == 1 && document_get(document, name) != NULL;
}
