/* json_read.c -- see json_read.h. */
#include "web/json_read.h"

#include "base/memory.h"

#include <jansson.h>

struct json_body {
    json_t *object;
    struct arena arena; /* of lists */
};

weir_error *json_read(weir_str text, size_t size_max, struct json_body **body)
{
    json_error_t problem = { .text = "" };
    if (text.size > size_max)
        return weir_errorf(WEIR_E_USAGE, "the body has %llu bytes, at most %zu are read",
            (unsigned long long)text.size, size_max);
    json_t *object = text.size == 0
                         ? json_object()
                         : json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &problem);
    if (object == NULL)
        return weir_errorf(WEIR_E_USAGE, "the body is no JSON: line %d, column %d: %s",
            problem.line, problem.column, problem.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return weir_errorf(WEIR_E_USAGE, "the body is no JSON object");
    }
    *body = mem_alloc(sizeof(**body));
    (*body)->object = object;
    arena_init(&(*body)->arena, 1024, 4 * JSON_LIST_MAX * sizeof(char *));
    return NULL;
}

void json_free(struct json_body *body)
{
    if (body == NULL)
        return;
    json_decref(body->object);
    arena_release(&body->arena);
    mem_free(body);
}

/* NULL: none. */
static json_t *member(const struct json_body *body, const char *name)
{
    json_t *it = json_object_get(body->object, name);
    return json_is_null(it) ? NULL : it;
}

static weir_error *wrong_kind(const char *name, const char *kind)
{
    return weir_errorf(WEIR_E_USAGE, "member '%s' of the body is no %s", name, kind);
}

weir_error *json_get_text(const struct json_body *body, const char *name, const char **text)
{
    json_t *it = member(body, name);
    if (it != NULL && !json_is_string(it))
        return wrong_kind(name, "string");
    *text = it == NULL ? NULL : json_string_value(it);
    return NULL;
}

weir_error *json_get_bool(const struct json_body *body, const char *name, bool *value)
{
    json_t *it = member(body, name);
    if (it != NULL && !json_is_boolean(it))
        return wrong_kind(name, "boolean");
    *value = json_is_true(it);
    return NULL;
}

weir_error *json_get_list(struct json_body *body, const char *name, const char *const **list,
    uint32_t *count)
{
    json_t *it = member(body, name);
    *list = NULL;
    *count = 0;
    if (it == NULL)
        return NULL;
    if (!json_is_array(it))
        return wrong_kind(name, "array of strings");
    size_t size = json_array_size(it);
    if (size > JSON_LIST_MAX)
        return weir_errorf(WEIR_E_USAGE, "member '%s' of the body has more than %u items", name,
            JSON_LIST_MAX);
    const char **texts = arena_alloc(&body->arena, (size + 1) * sizeof(*texts));
    for (size_t i = 0; i < size; i++) {
        texts[i] = json_string_value(json_array_get(it, i));
        if (texts[i] == NULL)
            return wrong_kind(name, "array of strings");
    }
    *list = texts;
    *count = (uint32_t)size;
    return NULL;
}
