/* json_read.h -- the JSON body of a request: an object whose members are asked for by name and kind.
 *
 * Jansson reads it, and nothing else sees Jansson. A missing member and null are the same. A member of another
 * kind, a name given twice, text that is no JSON or no object, or too long: WEIR_E_USAGE, which names it.
 *
 * Prefixes: json_. Thread: its owner. Limits: the caller's size; as deep as Jansson goes (2048), a list of
 * JSON_LIST_MAX. */
#ifndef WEIR_WEB_JSON_READ_H
#define WEIR_WEB_JSON_READ_H

#include <weir/type.h>

#define JSON_LIST_MAX 10000u

struct json_body; /* Thread: its owner */
/* An empty body is an empty object. */
weir_error *json_read(weir_str text, size_t size_max, struct json_body **body) WEIR_MUST_USE;
void json_free(struct json_body *body);
/* What is got lives as long as the body. */
weir_error *json_get_text(const struct json_body *body, const char *name, const char **text)
    WEIR_MUST_USE; /* NULL: none */
weir_error *json_get_bool(const struct json_body *body, const char *name, bool *value)
    WEIR_MUST_USE; /* false: none */
weir_error *json_get_list(struct json_body *body, const char *name, const char *const **list,
    uint32_t *count) WEIR_MUST_USE; /* of texts; empty: none */

#endif
