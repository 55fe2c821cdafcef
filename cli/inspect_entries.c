/* inspect_entries.c -- entries as JSON lines. They are printed while they are read: a state of any size can
 * be piped into something. Prefixes: inspect_ */
#include "cli/inspect.h"

#include "base/buffer.h"
#include "base/os_process.h"
#include "cli/json_text.h"

#include <stdlib.h>

#define BLOCK_SIZE    ((size_t)64 << 10)
#define LINE_MAX_SIZE ((size_t)256 << 20)

/* Thread: one. */
struct printing {
    const struct inspect_filter *filter;
    weir_str uid;
    struct arena arena;
    struct state_schema schema;
    weir_buffer *out, *key; /* key: room */
    uint64_t printed;
};

static weir_error *flush(struct printing *it)
{
    weir_str text = weir_buffer_view(it->out);
    if (weir_buffer_overflowed(it->out))
        return weir_errorf(WEIR_E_LIMIT, "an entry is too long to print");
    WEIR_TRY(os_stdout_write(text.data, text.size));
    weir_buffer_reset(it->out);
    return NULL;
}

/* A key of one field, as --key has it: the text of a string, or a number as JSON has it. */
static bool has_key(struct printing *it, weir_str key)
{
    weir_str wanted = weir_str_of(it->filter->key);
    if (it->schema.key_count == 1 && it->schema.keys[0].kind == WEIR_STRING)
        return weir_str_equal(key, wanted);
    weir_buffer_reset(it->key);
    json_key(&it->schema, key, it->key);
    weir_str json = weir_buffer_view(it->key); /* {"user_id":17} */
    const char *value = memchr(json.data, ':', json.size);
    if (it->schema.key_count != 1 || value == NULL)
        return weir_str_equal(json, wanted);
    value++;
    return weir_str_equal((weir_str){ .data = value,
                              .size = json.size - 1 - (uint64_t)(value - json.data) },
        wanted);
}

static weir_error *print_entry(void *arg, const struct scan_entry *entry)
{
    struct printing *it = arg;
    const struct inspect_filter *filter = it->filter;
    if (filter->state != NULL &&
        (entry->state == NULL || strcmp(entry->state->name, filter->state) != 0))
        return NULL;
    if (filter->key != NULL && !has_key(it, entry->head.key))
        return NULL;
    weir_buffer_add_byte(it->out, '{');
    json_entry(it->uid, &it->schema, entry, it->out);
    it->printed++;
    if (it->printed ==
        filter->limit) /* ends the scan: the rest of a large state is not read for nothing */
        return weir_errorf(WEIR_E_CANCELLED, "these were enough");
    return buffer_size(it->out) < BLOCK_SIZE ? NULL : flush(it);
}

static weir_error *print_operator(struct printing *it, const struct inspection *of,
    const struct operator_snapshot *op)
{
    struct scan_place place = { .dir = of->snapshot.dir, .work_dir = of->work_dir };
    arena_reset(&it->arena);
    it->uid = op->uid;
    WEIR_TRY(scan_schema(op, &it->arena, &it->schema));
    if (it->filter->state != NULL && state_schema_find(&it->schema, it->filter->state) < 0)
        return it->filter->operator_ == NULL
                   ? NULL
                   : weir_errorf(WEIR_E_USAGE,
                         "operator '%s' has no state '%s'; weir inspect %s lists them",
                         it->filter->operator_, it->filter->state, of->path);
    return state_scan(&place, op, print_entry, it);
}

bool inspect_wants(const struct inspect_filter *filter, weir_str uid)
{
    return filter->operator_ == NULL || weir_str_equal(uid, weir_str_of(filter->operator_));
}

weir_error *inspect_entries(const struct inspection *of, const struct inspect_filter *filter)
{
    const struct checkpoint_metadata *metadata = &of->snapshot.metadata;
    struct printing it = { .filter = filter,
        .out = weir_buffer_new(LINE_MAX_SIZE),
        .key = weir_buffer_new(LINE_MAX_SIZE) };
    weir_error *error = NULL;
    bool found = false;
    arena_init(&it.arena, (size_t)16 << 10, (size_t)64 << 20);
    for (uint32_t i = 0; i < metadata->operator_count && error == NULL; i++) {
        const struct operator_snapshot *op = &metadata->operators[i];
        if (!inspect_wants(filter, op->uid) || op->backend.size == 0)
            continue;
        found = true;
        error = print_operator(&it, of, op);
    }
    if (it.printed == filter->limit && filter->limit > 0 && error != NULL &&
        weir_error_code(error) == WEIR_E_CANCELLED) {
        weir_error_free(error);
        error = NULL;
    }
    if (error == NULL && !found)
        error = weir_errorf(WEIR_E_USAGE, "no operator%s%s with keyed state is in %s",
            filter->operator_ == NULL ? "" : " ",
            filter->operator_ == NULL ? "" : filter->operator_, of->path);
    if (error == NULL)
        error = flush(&it);
    arena_release(&it.arena);
    weir_buffer_free(it.key);
    weir_buffer_free(it.out);
    return error;
}
