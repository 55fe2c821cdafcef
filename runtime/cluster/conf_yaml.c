/* conf_yaml.c -- see conf_yaml.h. A cursor over libyaml's events and the path of names down to it. */
#include "runtime/cluster/conf_yaml.h"

#include "base/assert.h"
#include "runtime/cluster/conf.h"

#include <inttypes.h>
#include <string.h>
#include <yaml.h>

#define PATH_MAX_SIZE ((size_t)256)

/* Thread: its owner. */
struct cursor {
    const char *what;
    conf_yaml_fn *each;
    void *arg;
    char path[PATH_MAX_SIZE];     /* of names, joined: where the next value belongs */
    size_t sizes[CONF_DEPTH_MAX]; /* of the path, outside of each mapping that is open */
    uint32_t depth;               /* mappings that are open */
    bool has_key;                 /* the next scalar or mapping is a value */
    bool is_done;
};

static weir_error *mistake(const struct cursor *cursor, const yaml_mark_t *mark, const char *text)
{
    return weir_errorf(WEIR_E_USAGE, "'%s', line %zu: %s", cursor->what, mark->line + 1, text);
}

static weir_error *push_key(struct cursor *cursor, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    size_t start = cursor->sizes[cursor->depth - 1];
    if (size == 0 || memchr(name, '\0', size) != NULL)
        return mistake(cursor, &event->start_mark, "a key is empty");
    if (start + 1 + size + 1 > PATH_MAX_SIZE)
        return mistake(cursor, &event->start_mark, "a key is longer than any that is known");
    if (start > 0)
        cursor->path[start++] = '.';
    memcpy(cursor->path + start, name, size);
    cursor->path[start + size] = '\0';
    cursor->has_key = true;
    return NULL;
}

static weir_error *take_scalar(struct cursor *cursor, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor != NULL)
        return mistake(cursor, &event->start_mark, "anchors are not known here; write the value");
    if (cursor->depth == 0 && event->data.scalar.length == 0)
        return NULL; /* a file of comments only */
    if (cursor->depth == 0)
        return mistake(cursor, &event->start_mark, "this is no 'key: value'");
    if (!cursor->has_key)
        return push_key(cursor, event);
    cursor->has_key = false;
    if (memchr(text, '\0', event->data.scalar.length) != NULL)
        return mistake(cursor, &event->start_mark, "a value contains a zero byte");
    if (event->data.scalar.length == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return weir_errorf(WEIR_E_USAGE,
            "'%s', line %zu: option '%s' has no value; give it one, or comment it out",
            cursor->what, event->start_mark.line + 1, cursor->path);
    return cursor->each(cursor->arg, cursor->path, text, (uint32_t)event->start_mark.line + 1);
}

static weir_error *open_mapping(struct cursor *cursor, const yaml_event_t *event)
{
    if (event->data.mapping_start.anchor != NULL)
        return mistake(cursor, &event->start_mark, "anchors are not known here; write the values");
    if (cursor->depth > 0 && !cursor->has_key)
        return mistake(cursor, &event->start_mark, "a key must be a name");
    if (cursor->depth == CONF_DEPTH_MAX)
        return mistake(cursor, &event->start_mark, "this is nested deeper than any option");
    cursor->sizes[cursor->depth++] = cursor->has_key ? strlen(cursor->path) : 0;
    cursor->has_key = false;
    return NULL;
}

static weir_error *take(struct cursor *cursor, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(cursor, event);
    case YAML_MAPPING_START_EVENT:
        return open_mapping(cursor, event);
    case YAML_MAPPING_END_EVENT:
        ASSERT(cursor->depth > 0 && !cursor->has_key);
        cursor->depth--;
        return NULL;
    case YAML_SEQUENCE_START_EVENT:
        return mistake(cursor, &event->start_mark,
            "a list is not known here; write the values in one line, with commas");
    case YAML_ALIAS_EVENT:
        return mistake(cursor, &event->start_mark, "aliases are not known here; write the value");
    case YAML_DOCUMENT_START_EVENT:
        if (cursor->is_done)
            return mistake(cursor, &event->start_mark, "a second document begins; join them");
        cursor->is_done = true;
        return NULL;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return NULL;
    }
    return NULL;
}

static weir_error *no_yaml(const struct cursor *cursor, const yaml_parser_t *parser)
{
    ASSERT(parser->error != YAML_NO_ERROR);
    return weir_errorf(WEIR_E_USAGE, "'%s', line %zu: this is no YAML: %s", cursor->what,
        parser->problem_mark.line + 1, parser->problem == NULL ? "no memory" : parser->problem);
}

weir_error *conf_yaml_read(const char *what, weir_str bytes, conf_yaml_fn *each, void *arg)
{
    struct cursor cursor = { .what = what, .each = each, .arg = arg };
    yaml_parser_t parser;
    weir_error *error = NULL;
    bool is_end = false;
    ASSERT(yaml_parser_initialize(&parser) == 1); /* only memory can be missing */
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.data, bytes.size);
    while (error == NULL && !is_end) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            error = no_yaml(&cursor, &parser);
            break;
        }
        error = take(&cursor, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return error;
}
