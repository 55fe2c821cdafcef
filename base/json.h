/* json.h -- JSON out: objects, arrays and members, appended to a buffer; the writer sets the commas.
 *
 *      struct json json = json_to(buffer);
 *      json_put_object(&json, NULL);                    {
 *      json_put_text(&json, "name", "a \"b\"");         "name":"a \"b\""
 *      json_put_array(&json, "counts");                 ,"counts":[
 *      json_put_int(&json, NULL, 1);                    1
 *      json_put_end(&json);                             ]
 *      json_put_end(&json);                             }
 *
 * A name is given inside an object, NULL inside an array and at the top. What comes out is always JSON:
 * bytes that are no UTF-8 become U+FFFD, numbers that JSON has not are the strings "NaN", "Infinity",
 * "-Infinity". (Formats of records are another matter: weir/json.h reads and writes by a schema.)
 *
 * Prefixes: json_
 * Thread: its owner. Limits: JSON_DEPTH_MAX; the buffer's own, which remembers that it overflowed. */
#ifndef WEIR_BASE_JSON_H
#define WEIR_BASE_JSON_H

#include <weir/connector.h>

#define JSON_DEPTH_MAX 32u

/* Thread: its owner. */
struct json {
    weir_buffer *out;
    uint32_t depth;
    bool is_object[JSON_DEPTH_MAX], has_members[JSON_DEPTH_MAX];
};

struct json json_to(weir_buffer *out); /* borrowed */
void json_put_object(struct json *json, const char *name);
void json_put_array(struct json *json, const char *name);
void json_put_end(struct json *json); /* the innermost */

void json_put_text(struct json *json, const char *name, const char *text); /* NULL: null */
void json_put_str(struct json *json, const char *name, weir_str text);     /* NULL data: null */
void json_put_printf(struct json *json, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* a string, cut at 1 KiB */
void json_put_int(struct json *json, const char *name, int64_t value);
void json_put_uint(struct json *json, const char *name, uint64_t value);
void json_put_real(struct json *json, const char *name, double value);
void json_put_bool(struct json *json, const char *name, bool value);
void json_put_null(struct json *json, const char *name);
/* The comma and the name; the caller appends one value to the buffer itself. */
void json_put_name(struct json *json, const char *name);

/* One string with its quotes, outside of a writer. */
void json_put_quote(weir_str text, weir_buffer *out);
bool json_is_text(weir_str bytes); /* they are UTF-8 */

#endif
