/* document.h -- JSON as a tree: answers are read from it, requests are made of it.
 *
 * Jansson does the work, and nothing else of the command sees Jansson. What is asked for and is not there, or is of
 * another kind, is NULL, or the fallback: an answer comes from another version, perhaps, so a member more or less is
 * no reason to fail; whoever cannot do without it says so.
 *
 * What is got belongs to the document that it is in. Text is UTF-8: ask json_is_text about what a person typed.
 * Prefixes: document_. Thread: one. Limits: depth 2048 (Jansson's), the caller's size. */
#ifndef WEIR_CLI_DOCUMENT_H
#define WEIR_CLI_DOCUMENT_H

#include <weir/type.h>

struct document; /* Thread: one */
/* WEIR_E_CORRUPT: it is none, or not an object. */
weir_error *document_parse(weir_str text, struct document **document) WEIR_MUST_USE;
struct document *document_new(void); /* {} */
void document_free(struct document *document);
char *document_print(const struct document *document); /* in one line; mem_free it */

void document_put_text(struct document *document, const char *name,
    const char *text); /* NULL: null */
void document_put_bool(struct document *document, const char *name, bool value);
void document_put_int(struct document *document, const char *name, int64_t value);
void document_put_list(struct document *document, const char *name, char *const *texts,
    uint32_t count);

const struct document *document_get(const struct document *document, const char *name);
const char *document_text(const struct document *document, const char *name);
int64_t document_int(const struct document *document, const char *name, int64_t fallback);
bool document_bool(const struct document *document, const char *name); /* false: or not there */
/* Of a list; 0: it is none. */
uint32_t document_count(const struct document *list);
const struct document *document_at(const struct document *list, uint32_t index);
const char *document_text_at(const struct document *list, uint32_t index);
/* Is it an object with this member and no other? */
bool document_is_only(const struct document *document, const char *name);

#endif
