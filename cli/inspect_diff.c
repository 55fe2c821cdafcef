/* inspect_diff.c -- what the second of two savepoints or checkpoints has more, less, and otherwise.
 *
 *      1. the first one's entries go into a scratch database: (operator, state, key, entry) -> value
 *      2. the second one's are looked up in it one by one: not there: added; other value: changed; each that is
 *         found is removed from it
 *      3. what is left was removed
 *
 * So neither has to be in any order, or in memory. Operators are matched by uid, states by name, and values
 * are compared as MessagePack by field id: backends, subtasks and struct layouts do not show. Items (positions
 * of sources, progress of sinks) are compared by name. Prefixes: inspect_ */
#include "cli/inspect.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/os_process.h"
#include "cli/json_text.h"
#include "types/msgpack.h"

#include <inttypes.h>

#define STATES_TOGETHER 200u /* numbers of a database's states; all operators' together */
#define TIMERS          "timers"
#define VALUE_MAX       ((size_t)16 << 20)
#define OUTPUT_BLOCK    ((size_t)64 << 10)

/* A state, or the timers, of an operator, in either of the two. Thread: one. */
struct pairing {
    weir_str uid;
    const char *state;
    uint64_t added, changed, removed, same;
};

/* Thread: one. */
struct comparing {
    struct backend *scratch;
    struct pairing pairings[STATES_TOGETHER];
    uint32_t pairing_count;
    struct arena arena; /* of names */
    weir_str uid;       /* that is scanned */
    struct state_schema schema;
    weir_buffer *value, *row, *out;
    uint64_t limit, printed;
    bool is_json;
};

/* -- what is where -------------------------------------------------------------------------- */

static weir_error *number_of(struct comparing *it, const char *state, uint32_t *number)
{
    for (*number = 0; *number < it->pairing_count; ++*number)
        if (weir_str_equal(it->pairings[*number].uid, it->uid) &&
            strcmp(it->pairings[*number].state, state) == 0)
            return NULL;
    if (it->pairing_count == STATES_TOGETHER)
        return weir_errorf(WEIR_E_LIMIT, "more than %u states cannot be compared", STATES_TOGETHER);
    it->pairings[it->pairing_count++] =
        (struct pairing){ .uid = { .data = arena_dup(&it->arena, it->uid.data, it->uid.size),
                              .size = it->uid.size },
            .state = arena_strdup(&it->arena, state) };
    return NULL;
}

/* The entry as bytes that are equal for equal entries: as value of its row, and timers as names. */
static weir_error *place(struct comparing *it, const struct scan_entry *entry, struct row_key *row,
    weir_str *name)
{
    bool is_timer = entry->state == NULL;
    WEIR_TRY(number_of(it, is_timer ? TIMERS : entry->state->name, &row->state));
    row->key = entry->head.key;
    row->hash = hash_bytes(row->key.data, row->key.size);
    row->group = 0;
    weir_buffer_reset(it->value);
    weir_buffer_reset(it->row);
    msgpack_encode(entry->type, entry->record, is_timer ? it->row : it->value);
    buffer_put_u64(it->value, (uint64_t)entry->head.expires_ms);
    *name = is_timer                         ? weir_buffer_view(it->row)
            : entry->head.entry.data == NULL ? WEIR_STR("")
                                             : entry->head.entry;
    return NULL;
}

static weir_error *keep(void *arg, const struct scan_entry *entry)
{
    struct comparing *it = arg;
    struct row_key row;
    weir_str name;
    WEIR_TRY(place(it, entry, &row, &name));
    return it->scratch->backend_class->put(it->scratch, &row, name, weir_buffer_view(it->value));
}

/* -- what differs --------------------------------------------------------------------------- */

/* What a line about one entry or item begins with. */
static void begin_line(struct comparing *it, char sign)
{
    it->printed++;
    if (it->is_json)
        buffer_printf(it->out, "{\"change\":\"%s\",",
            sign == '+'   ? "added"
            : sign == '-' ? "removed"
                          : "changed");
    else
        buffer_printf(it->out, "%c {", sign);
}

static weir_error *print(struct comparing *it, char sign, const struct scan_entry *entry)
{
    if (it->limit > 0 && it->printed >= it->limit)
        return NULL;
    begin_line(it, sign);
    json_entry(it->uid, &it->schema, entry, it->out);
    if (buffer_size(it->out) < OUTPUT_BLOCK)
        return NULL;
    weir_str text = weir_buffer_view(it->out);
    WEIR_TRY(os_stdout_write(text.data, text.size));
    weir_buffer_reset(it->out);
    return NULL;
}

static weir_error *compare(void *arg, const struct scan_entry *entry)
{
    struct comparing *it = arg;
    const struct backend_class *verbs = it->scratch->backend_class;
    struct row_key row;
    weir_str name, before;
    WEIR_TRY(place(it, entry, &row, &name));
    struct pairing *pairing = &it->pairings[row.state];
    WEIR_TRY(verbs->get(it->scratch, &row, name, &before));
    if (before.data == NULL) {
        pairing->added++;
        return print(it, '+', entry);
    }
    bool is_same = weir_str_equal(before, weir_buffer_view(it->value));
    WEIR_TRY(verbs->remove(it->scratch, &row, name));
    if (is_same) {
        pairing->same++;
        return NULL;
    }
    pairing->changed++;
    return print(it, '!', entry);
}

/* Of the first one: is it left in the scratch database? */
static weir_error *find_removed(void *arg, const struct scan_entry *entry)
{
    struct comparing *it = arg;
    struct row_key row;
    weir_str name, left;
    WEIR_TRY(place(it, entry, &row, &name));
    WEIR_TRY(it->scratch->backend_class->get(it->scratch, &row, name, &left));
    if (left.data == NULL)
        return NULL;
    it->pairings[row.state].removed++;
    return print(it, '-', entry);
}

/* -- items ---------------------------------------------------------------------------------- */

/* The item of this name; NULL: none. */
static const struct weir_item *find_item(const struct checkpoint_metadata *metadata, weir_str uid,
    weir_str name)
{
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *op = &metadata->operators[i];
        for (uint32_t n = 0; n < op->item_count && weir_str_equal(op->uid, uid); n++)
            if (weir_str_equal(op->items[n].name, name))
                return &op->items[n];
    }
    return NULL;
}

static void print_item(struct comparing *it, char sign, weir_str uid, const struct weir_item *item)
{
    if (it->limit > 0 && it->printed >= it->limit)
        return;
    begin_line(it, sign);
    buffer_printf(it->out, "\"operator\":");
    json_quoted(uid, it->out);
    buffer_printf(it->out, ",\"item\":");
    json_quoted(item->name, it->out);
    buffer_printf(it->out, ",\"value\":");
    json_bytes(item->value, it->out);
    buffer_printf(it->out, "}\n");
}

/* Items of the one that the other has not; with `changed`, also those of another value. */
static uint64_t diff_items(struct comparing *it, const struct checkpoint_metadata *one,
    const struct checkpoint_metadata *other, char sign, uint64_t *changed)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < one->operator_count; i++) {
        const struct operator_snapshot *op = &one->operators[i];
        for (uint32_t n = 0; n < op->item_count; n++) {
            const struct weir_item *item = &op->items[n];
            const struct weir_item *twin = find_item(other, op->uid, item->name);
            bool is_changed = twin != NULL && !weir_str_equal(twin->value, item->value);
            if (twin == NULL)
                count++;
            if (is_changed && changed != NULL)
                ++*changed;
            if (twin == NULL || (is_changed && changed != NULL))
                print_item(it, twin == NULL ? sign : '!', op->uid, item);
        }
    }
    return count;
}

/* -- all of it ------------------------------------------------------------------------------ */

static weir_error *scan_all(struct comparing *it, const struct inspection *of, scan_fn *each)
{
    const struct checkpoint_metadata *metadata = &of->snapshot.metadata;
    struct scan_place place_of = { .dir = of->snapshot.dir, .work_dir = of->work_dir };
    for (uint32_t i = 0; i < metadata->operator_count; i++) {
        const struct operator_snapshot *op = &metadata->operators[i];
        it->uid = op->uid;
        if (op->backend.size == 0)
            continue;
        WEIR_TRY(scan_schema(op, &it->arena, &it->schema));
        WEIR_TRY(state_scan(&place_of, op, each, it));
    }
    return NULL;
}

static void print_pairing(struct comparing *it, const struct pairing *pairing)
{
    if (!it->is_json) {
        buffer_printf(it->out,
            "operator '%.*s', '%s': %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64
            " removed, %" PRIu64 " the same\n",
            (int)pairing->uid.size, pairing->uid.data, pairing->state, pairing->added,
            pairing->changed, pairing->removed, pairing->same);
        return;
    }
    buffer_printf(it->out, "{\"operator\":");
    json_quoted(pairing->uid, it->out);
    buffer_printf(it->out, ",\"entries\":");
    json_quoted(weir_str_of(pairing->state), it->out);
    buffer_printf(it->out,
        ",\"added\":%" PRIu64 ",\"changed\":%" PRIu64 ",\"removed\":%" PRIu64 ",\"same\":%" PRIu64
        "}\n",
        pairing->added, pairing->changed, pairing->removed, pairing->same);
}

static weir_error *compare_all(struct comparing *it, const struct inspection *a,
    const struct inspection *b, bool *is_same)
{
    const struct checkpoint_metadata *first = &a->snapshot.metadata,
                                     *second = &b->snapshot.metadata;
    WEIR_TRY(scan_all(it, a, keep));
    WEIR_TRY(scan_all(it, b, compare));
    WEIR_TRY(scan_all(it, a, find_removed));
    uint64_t changed = 0;
    uint64_t removed = diff_items(it, first, second, '-', NULL);
    uint64_t added = diff_items(it, second, first, '+', &changed);
    *is_same = removed + added + changed == 0;
    buffer_printf(it->out,
        it->is_json ? "{\"items\":{\"added\":%" PRIu64 ",\"changed\":%" PRIu64
                      ",\"removed\":%" PRIu64 "}}\n"
                    : "items of connectors: %" PRIu64 " added, %" PRIu64 " changed, %" PRIu64
                      " removed\n",
        added, changed, removed);
    for (uint32_t i = 0; i < it->pairing_count; i++) {
        const struct pairing *pairing = &it->pairings[i];
        print_pairing(it, pairing);
        *is_same = *is_same && pairing->added + pairing->changed + pairing->removed == 0;
    }
    weir_str text = weir_buffer_view(it->out);
    return os_stdout_write(text.data, text.size);
}

weir_error *inspect_diff(const struct inspection *a, const struct inspection *b, uint64_t limit,
    bool *is_same)
{
    struct comparing *it = mem_alloc(sizeof(*it));
    char *directory = mem_printf("%s/diff", a->work_dir);
    struct backend_options options = { .directory = directory,
        .groups = { 0, 0 },
        .memory_size = SCAN_MEMORY_SIZE };
    it->limit = limit;
    it->is_json = a->is_json;
    *is_same = false;
    weir_error *error = backend_rocksdb.open(&options, NULL, 0, &it->scratch);
    if (error == NULL) {
        it->value = weir_buffer_new(VALUE_MAX);
        it->row = weir_buffer_new(VALUE_MAX);
        it->out = weir_buffer_new((size_t)256 << 20);
        arena_init(&it->arena, (size_t)16 << 10, (size_t)1 << 30);
        error = compare_all(it, a, b, is_same);
        arena_release(&it->arena);
        weir_buffer_free(it->out);
        weir_buffer_free(it->row);
        weir_buffer_free(it->value);
        backend_rocksdb.close(it->scratch);
    }
    mem_free(directory);
    mem_free(it);
    return error;
}
