/* json_text.h -- stored entries as JSON, a line each.
 *
 *      {"operator":"count","state":"last","key":{"key":25},"value":{"index":122,"nth":2}}
 *      {"operator":"count","state":"views","key":{"user":"ann"},"entry":"/home","expires_ms":17,"value":{…}}
 *      {"operator":"count","timer":"event","at_ms":1700000000000,"key":{"user":"ann"}}
 *
 * Fields are named as the stored schema names them. A string that is no UTF-8 is {"hex":"fffe"}, and so is a
 * key that does not fit its schema. A NULL string is null; a number that JSON has not is a string: "NaN".
 * An entry of a map is its key, one of a list its place, a number; what a list keeps beside its elements, the
 * place of the next one, is "next".
 *
 * Prefixes: json_. Thread: any. */
#ifndef WEIR_CLI_JSON_TEXT_H
#define WEIR_CLI_JSON_TEXT_H

#include "checkpoint/state_scan.h"

/* Not json_string: Jansson has one, and the linker would take either. */
void json_quoted(weir_str text, weir_buffer *out);
/* What may be text or not: control bytes make it {"hex":…}, too. */
void json_bytes(weir_str bytes, weir_buffer *out);
void json_record(const struct weir_type *type, const void *record, weir_buffer *out);
/* {"user":"ann"}: a key by its fields. */
void json_key(const struct state_schema *schema, weir_str key, weir_buffer *out);
/* The rest of a line, with its line feed: what is in front of it, "{" at least, is the caller's. */
void json_entry(weir_str uid, const struct state_schema *schema, const struct scan_entry *entry,
    weir_buffer *out);

#endif
