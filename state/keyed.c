/* keyed.c -- typed state of the current key.
 *
 * Two ways to an entry, chosen once per state:
 *
 *      in place   the type has no strings and the backend keeps entries in memory: reads and edits
 *                 are pointers into the backend, there is nothing to commit
 *      copied     reads and edits are decoded copies in the scratch arena, listed in `touched`;
 *                 commit encodes and puts the dirty ones. Strings point into the copy, so nothing
 *                 that happens to the backend meanwhile can pull them away
 *
 * Both give the same results, and pointers that behave the same: a read and an edit of one entry in
 * one callback are one record.
 *
 * How a record is stored, stamped and checked is in stored.h, in which row and under which name in placement.h.
 * Whoever finds an expired entry treats it as absent; the backend drops it when it comes by (backend_class.expire).
 *
 * Cost: no allocation per record once the arena has its size; an edit in place is a hash probe. */
#include "state/keyed.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "state/placement.h"
#include "state/rows.h"
#include "state/stored.h"
#include "state/touched.h"

#include <endian.h>

#define SCRATCH_BLOCK   ((size_t)16 << 10)
#define SCRATCH_MAX     ((size_t)256 << 20) /* decoded copies of one callback */
#define KEY_ROOM        64u /* bytes at first; also what an arena may add to a piece */
#define PREFETCH_STATES 4u
#define ROWS_AHEAD      8u
#define SLOTS_AHEAD     (2 * ROWS_AHEAD)
#define SEQUENCE_SIZE   sizeof(uint64_t)
#define ENTRY_NAME_MAX  ((size_t)WEIR_RECORD_SIZE_MAX)
#define PREFIX_ROOM     64u /* of a marked prefix on the stack */

/* One declared state, looked up. Thread: task. */
struct plan {
    const struct weir_state *state;
    struct stored_form form;
    struct placement placement;
    bool is_in_place;
    /* WEIR_LIST, of the current key: the next sequence number, and when the number expires */
    bool knows_next;
    uint64_t next;
    int64_t next_expires_ms;
};

/* Hashes of the keys that will be selected next, in this order, and the states whose rows in memory are asked for while
 * the keys before are worked on: those of one block, of the first ones, because those that every record touches stand
 * there. Thread: task. */
struct ahead {
    uint64_t hashes[KEYED_PREFETCH_MAX];
    uint32_t count, at;
    uint32_t states[PREFETCH_STATES], state_count;
};

/* Thread: task. */
struct keyed {
    struct backend *backend;
    const struct backend_class *verbs;
    struct plan *plans;
    uint32_t state_count, max_parallelism;
    bool has_key, has_work; /* work: something for commit or for the reset after it */
    bool has_failed;        /* an error was returned by commit: nothing works any more */
    struct row_key row;
    char *key, *name; /* the current key's bytes; room for a marked name */
    size_t key_capacity, name_capacity;
    struct stored_time time;
    struct touched_list touched;
    struct ahead ahead;
    uint64_t dirty_lists; /* bit = state: the next sequence number has changed */
    struct backend_expiry expiry;
    uint64_t expired_count; /* met by reads and edits */
    struct arena scratch;
    char *encoded; /* one record on its way to the backend */
    size_t encoded_capacity;
    void *dummy; /* what edits get after an error: zeroes, as large as the largest type */
    size_t dummy_size;
    weir_error *error;
};

/* -- errors --------------------------------------------------------------------------------- */

static __attribute__((noinline)) void fail(struct keyed *keyed, weir_error *error)
{
    if (keyed->error == NULL && !keyed->has_failed)
        keyed->error = error;
    else
        weir_error_free(error);
    keyed->has_work = true;
}

static __attribute__((noinline)) void fail_in(struct keyed *keyed, uint32_t state,
    weir_error *error)
{
    fail(keyed, weir_error_wrap(error, "state '%s'", keyed->plans[state].state->name));
}

/* The errors are made apart, so that what runs for each record saves no registers for them. */
static __attribute__((noinline)) struct plan *no_key(struct keyed *keyed, uint32_t state)
{
    fail_in(keyed, state,
        weir_errorf(WEIR_E_STATE,
            "it is used while no key is current; use it in on_record, on_timer, or after "
            "weir_batch_select"));
    return NULL;
}

/* The state's plan with a key selected and no error so far; NULL: there is one now. */
static inline struct plan *plan_of(struct keyed *keyed, uint32_t state)
{
    ASSERT(state < keyed->state_count);
    if (__builtin_expect(keyed->error != NULL || keyed->has_failed, 0))
        return NULL;
    if (__builtin_expect(!keyed->has_key, 0))
        return no_key(keyed, state);
    keyed->row.state = keyed->plans[state].placement.row;
    return &keyed->plans[state];
}

static void *dummy_of(struct keyed *keyed)
{
    return memset(keyed->dummy, 0, keyed->dummy_size);
}

/* Scratch memory, or NULL and an error when one callback wants too much of it. */
static void *take(struct keyed *keyed, uint32_t state, size_t size)
{
    keyed->has_work = true;
    if (__builtin_expect(size + KEY_ROOM <= SCRATCH_MAX - keyed->scratch.size, 1))
        return arena_take(&keyed->scratch, size);
    fail_in(keyed, state,
        weir_errorf(WEIR_E_LIMIT,
            "one callback read and edited more than %zu bytes of it; touch fewer entries at once",
            SCRATCH_MAX));
    return NULL;
}

static bool is_name_too_long(struct keyed *keyed, uint32_t state, weir_str entry)
{
    if (__builtin_expect(entry.size <= ENTRY_NAME_MAX, 1))
        return false;
    fail_in(keyed, state,
        weir_errorf(WEIR_E_LIMIT, "a map key has %zu bytes; at most %zu are allowed",
            (size_t)entry.size, ENTRY_NAME_MAX));
    return true;
}

static __attribute__((noinline)) void grow_name(struct keyed *keyed, size_t size)
{
    keyed->name = mem_realloc(keyed->name, size * 2);
    keyed->name_capacity = size * 2;
}

/* What the entry is called in the backend, until the next one is asked for. */
static inline weir_str name_of(struct keyed *keyed, const struct plan *plan, weir_str entry)
{
    if (placement_has_name(&plan->placement, entry))
        return entry;
    if (__builtin_expect(entry.size >= keyed->name_capacity, 0))
        grow_name(keyed, entry.size + 1);
    return placement_name(&plan->placement, entry, keyed->name);
}

/* -- stored bytes and records ---------------------------------------------------------------- */

/* The record's layout bytes; NULL data: none, expired, or damaged (an error). */
static weir_str open_stored(struct keyed *keyed, uint32_t state, const struct plan *plan,
    weir_str value)
{
    weir_str layout;
    weir_error *error = stored_open(&plan->form, &keyed->time, value, &layout);
    if (__builtin_expect(error != NULL, 0))
        fail_in(keyed, state, error);
    else if (layout.data == NULL && value.data != NULL)
        keyed->expired_count++;
    return layout;
}

/* A decoded copy in scratch memory; NULL: an error. */
static void *decode(struct keyed *keyed, uint32_t state, const struct plan *plan, weir_str layout)
{
    void *copy = take(keyed, state, layout.size);
    if (copy == NULL)
        return NULL;
    memcpy(copy, layout.data, layout.size);
    return plan->form.layout.string_count == 0 ? copy : layout_open(&plan->form.layout, copy);
}

/* The record as stored, in keyed->encoded; NULL data: too large (an error). */
static weir_str encode(struct keyed *keyed, uint32_t state, const struct plan *plan,
    const void *record)
{
    size_t size = stored_size(&plan->form, record);
    if (__builtin_expect(size == SIZE_MAX, 0)) {
        fail_in(keyed, state,
            weir_errorf(WEIR_E_LIMIT, "a record with its strings is larger than %u bytes",
                WEIR_RECORD_SIZE_MAX));
        return (weir_str){ 0 };
    }
    if (__builtin_expect(size > keyed->encoded_capacity, 0)) {
        keyed->encoded = mem_realloc(keyed->encoded, size * 2);
        keyed->encoded_capacity = size * 2;
    }
    ASSERT(size >= plan->form.fixed_size && size <= keyed->encoded_capacity);
    stored_write(&plan->form, &keyed->time, record, keyed->encoded);
    return (weir_str){ .data = keyed->encoded, .size = size };
}

static void put_record(struct keyed *keyed, uint32_t state, weir_str entry, const void *record)
{
    const struct plan *plan = &keyed->plans[state];
    weir_str value = encode(keyed, state, plan, record);
    if (value.data == NULL)
        return;
    keyed->row.state = plan->placement.row;
    weir_error *error =
        keyed->verbs->put(keyed->backend, &keyed->row, name_of(keyed, plan, entry), value);
    if (__builtin_expect(error != NULL, 0))
        fail_in(keyed, state, error);
}

/* -- copied entries ------------------------------------------------------------------------- */

/* The touched entry, read from the backend if this is the first time; NULL: an error. */
static struct touched *touch(struct keyed *keyed, uint32_t state, const struct plan *plan,
    weir_str entry)
{
    struct touched *found = touched_find(&keyed->touched, state, entry);
    if (found != NULL)
        return found;
    if (is_name_too_long(keyed, state, entry))
        return NULL;
    char *name = take(keyed, state, entry.size);
    if (name == NULL)
        return NULL;
    if (entry.size > 0)
        memcpy(name, entry.data, entry.size);
    weir_str value;
    weir_error *error =
        keyed->verbs->get(keyed->backend, &keyed->row, name_of(keyed, plan, entry), &value);
    if (__builtin_expect(error != NULL, 0)) {
        fail_in(keyed, state, error);
        return NULL;
    }
    weir_str stored = open_stored(keyed, state, plan, value);
    void *record = stored.data == NULL ? NULL : decode(keyed, state, plan, stored);
    if (keyed->error != NULL)
        return NULL;
    found = touched_add(&keyed->touched, state, (weir_str){ .data = name, .size = entry.size });
    ASSERT(found->status == TOUCHED_ABSENT && found->state == state);
    found->record = record;
    found->status = record == NULL ? TOUCHED_ABSENT : TOUCHED_CLEAN;
    return found;
}

static void *edit_copied(struct keyed *keyed, uint32_t state, const struct plan *plan,
    weir_str entry, bool *is_new)
{
    struct touched *touched = touch(keyed, state, plan, entry);
    if (touched == NULL)
        return dummy_of(keyed);
    *is_new = touched->status == TOUCHED_ABSENT;
    if (*is_new) {
        void *record = take(keyed, state, plan->form.layout.size);
        if (record == NULL)
            return dummy_of(keyed);
        touched->record = memset(record, 0, plan->form.layout.size);
    }
    touched->status = TOUCHED_DIRTY;
    return touched->record;
}

static void forget_all(struct keyed *keyed, uint32_t state)
{
    for (uint32_t i = 0; i < keyed->touched.count; i++) {
        struct touched *touched = &keyed->touched.items[i];
        if (touched->state != state)
            continue;
        touched->status = TOUCHED_ABSENT;
        touched->record = NULL;
    }
}

/* Puts the dirty entries of a state (all: UINT32_MAX). They stay dirty: the callback still has
 * pointers to them. */
static void put_dirty(struct keyed *keyed, uint32_t state)
{
    for (uint32_t i = 0; i < keyed->touched.count && keyed->error == NULL; i++) {
        const struct touched *touched = &keyed->touched.items[i];
        if (touched->status == TOUCHED_DIRTY && (state == UINT32_MAX || touched->state == state))
            put_record(keyed, touched->state, touched->entry, touched->record);
    }
}

/* -- entries in place ----------------------------------------------------------------------- */

static inline void *edit_in_place(struct keyed *keyed, uint32_t state, const struct plan *plan,
    weir_str entry, bool *is_new)
{
    void *bytes;
    if (is_name_too_long(keyed, state, entry))
        return dummy_of(keyed);
    weir_error *error = keyed->verbs->edit(keyed->backend, &keyed->row, name_of(keyed, plan, entry),
        plan->form.fixed_size, &bytes, is_new);
    if (__builtin_expect(error != NULL, 0)) {
        fail_in(keyed, state, error);
        return dummy_of(keyed);
    }
    DEBUG_ASSERT((uintptr_t)bytes % LAYOUT_ALIGNMENT == 0);
    if (plan->form.header_size == 0)
        return bytes;
    char *record = (char *)bytes + STORED_EXPIRY_SIZE;
    if (!*is_new && stored_is_expired(&plan->form, &keyed->time, bytes)) {
        memset(record, 0, plan->form.layout.size);
        *is_new = true;
        keyed->expired_count++;
    }
    stored_put_expiry(bytes, stored_expiry(&plan->form, &keyed->time));
    return record;
}

static const void *read_in_place(struct keyed *keyed, uint32_t state, const struct plan *plan,
    weir_str entry)
{
    weir_str value;
    if (is_name_too_long(keyed, state, entry))
        return NULL;
    weir_error *error =
        keyed->verbs->get(keyed->backend, &keyed->row, name_of(keyed, plan, entry), &value);
    if (__builtin_expect(error == NULL, 1))
        return open_stored(keyed, state, plan, value).data;
    fail_in(keyed, state, error);
    return NULL;
}

/* -- values and map entries ------------------------------------------------------------------ */

const void *keyed_read(struct keyed *keyed, uint32_t state, weir_str entry)
{
    const struct plan *plan = plan_of(keyed, state);
    if (plan == NULL)
        return NULL;
    DEBUG_ASSERT(plan->state->kind != WEIR_LIST);
    if (plan->is_in_place)
        return read_in_place(keyed, state, plan, entry);
    const struct touched *touched = touch(keyed, state, plan, entry);
    return touched == NULL ? NULL : touched->record;
}

static inline void *edit(struct keyed *keyed, uint32_t state, weir_str entry, bool *is_new)
{
    const struct plan *plan = plan_of(keyed, state);
    *is_new = false;
    if (plan == NULL)
        return dummy_of(keyed);
    DEBUG_ASSERT(plan->state->kind != WEIR_LIST);
    return plan->is_in_place ? edit_in_place(keyed, state, plan, entry, is_new)
                             : edit_copied(keyed, state, plan, entry, is_new);
}

void *keyed_edit(struct keyed *keyed, uint32_t state, weir_str entry)
{
    bool is_new;
    return edit(keyed, state, entry, &is_new);
}

void keyed_remove(struct keyed *keyed, uint32_t state, weir_str entry)
{
    const struct plan *plan = plan_of(keyed, state);
    if (plan == NULL || is_name_too_long(keyed, state, entry))
        return;
    weir_error *error =
        keyed->verbs->remove(keyed->backend, &keyed->row, name_of(keyed, plan, entry));
    if (__builtin_expect(error != NULL, 0))
        fail_in(keyed, state, error);
    struct touched *touched =
        plan->is_in_place ? NULL : touched_find(&keyed->touched, state, entry);
    if (touched != NULL) {
        touched->status = TOUCHED_ABSENT;
        touched->record = NULL;
    }
}

/* Thread: its stack's owner. */
struct clearing {
    const struct keyed *keyed;
    char *name; /* of the entry before: that which was given last must stay */
    size_t size, capacity;
    weir_error *error;
};

static void remove_before(struct clearing *clearing)
{
    const struct keyed *keyed = clearing->keyed;
    weir_str name = { .data = clearing->name, .size = clearing->size };
    if (name.size > 0)
        clearing->error = keyed->verbs->remove(keyed->backend, &keyed->row, name);
}

static bool clear_entry(void *arg, weir_str name, weir_str value)
{
    struct clearing *clearing = arg;
    (void)value;
    remove_before(clearing);
    if (name.size > clearing->capacity) {
        clearing->capacity = 2 * name.size;
        clearing->name = mem_realloc(clearing->name, clearing->capacity);
    }
    memcpy(clearing->name, name.data, name.size);
    clearing->size = name.size;
    return clearing->error == NULL;
}

/* One of the maps in a row. */
static weir_error *clear_marked(const struct keyed *keyed, const struct plan *plan)
{
    weir_str mark = { .data = &plan->placement.mark, .size = 1 };
    struct clearing clearing = { .keyed = keyed };
    if (plan->placement.is_first)
        WEIR_TRY(keyed->verbs->remove(keyed->backend, &keyed->row, WEIR_STR("")));
    weir_error *error =
        keyed->verbs->each(keyed->backend, &keyed->row, mark, clear_entry, &clearing);
    if (error == NULL && clearing.error == NULL)
        remove_before(&clearing);
    mem_free(clearing.name);
    return weir_error_join(error, clearing.error);
}

void keyed_clear(struct keyed *keyed, uint32_t state)
{
    struct plan *plan = plan_of(keyed, state);
    if (plan == NULL)
        return;
    if (plan->state->kind == WEIR_VALUE || plan->state->kind == WEIR_REDUCING) {
        keyed_remove(keyed, state, WEIR_STR(""));
        return;
    }
    weir_error *error = plan->placement.mark == 0 ? keyed->verbs->clear(keyed->backend, &keyed->row)
                                                  : clear_marked(keyed, plan);
    if (__builtin_expect(error != NULL, 0))
        fail_in(keyed, state, error);
    forget_all(keyed, state);
    plan->knows_next = false;
    keyed->dirty_lists &= ~(UINT64_C(1) << state);
}

/* A copy of the record and its strings in scratch memory; NULL: an error. */
static const void *copy_record(struct keyed *keyed, uint32_t state, const struct plan *plan,
    const void *record)
{
    weir_str encoded = encode(keyed, state, plan, record);
    if (encoded.data == NULL)
        return NULL;
    weir_str bytes = { .data = encoded.data + plan->form.header_size,
        .size = encoded.size - plan->form.header_size };
    return decode(keyed, state, plan, bytes);
}

/* Strings of `record` end up in the total, which is written only after we have returned. */
void keyed_reducing_add(struct keyed *keyed, uint32_t state, const void *record)
{
    bool is_new;
    void *total = edit(keyed, state, WEIR_STR(""), &is_new);
    if (keyed->error != NULL || keyed->has_failed)
        return;
    const struct plan *plan = &keyed->plans[state];
    ASSERT(plan->state->kind == WEIR_REDUCING && plan->state->reduce != NULL);
    if (plan->form.layout.string_count > 0)
        record = copy_record(keyed, state, plan, record);
    if (record == NULL)
        return;
    if (is_new)
        memcpy(total, record, plan->form.layout.size);
    else
        plan->state->reduce(total, record);
}

/* -- iterating ------------------------------------------------------------------------------ */

/* Thread: task. */
struct iteration {
    struct keyed *keyed;
    uint32_t state;
    const struct plan *plan;
    void *record; /* room for one decoded record: each may be called inside each */
    keyed_each_fn *each;
    void *arg;
};

/* Strings point into the bytes, which are good until the callback returns. */
static bool give_entry(void *arg, weir_str entry, weir_str value)
{
    const struct iteration *it = arg;
    struct keyed *keyed = it->keyed;
    if (it->plan->state->kind == WEIR_LIST && entry.size != SEQUENCE_SIZE)
        return true; /* the next sequence number */
    if (it->plan->placement.mark != 0 && entry.size > 0)
        entry = (weir_str){ .data = entry.data + 1, .size = entry.size - 1 };
    weir_str stored = open_stored(keyed, it->state, it->plan, value);
    if (stored.data == NULL)
        return keyed->error == NULL;
    const void *record = stored.data;
    if (!it->plan->is_in_place) {
        layout_read(&it->plan->form.layout, stored.data, it->record);
        record = it->record;
    }
    bool goes_on = it->each(it->arg, entry, record);
    return goes_on && keyed->error == NULL;
}

/* Of the first one of the maps in a row, which the mark does not stand in front of. False: no more. */
static bool give_unmarked(struct iteration *it, const struct row_key *row, weir_error **error)
{
    struct keyed *keyed = it->keyed;
    weir_str value;
    *error = keyed->verbs->get(keyed->backend, row, WEIR_STR(""), &value);
    if (*error != NULL || value.data == NULL)
        return *error == NULL;
    if (!it->plan->is_in_place) { /* what was got is good until the next verb only */
        char *copy = take(keyed, it->state, value.size);
        if (copy == NULL)
            return false;
        value.data = memcpy(copy, value.data, value.size);
    }
    return give_entry(it, WEIR_STR(""), value);
}

/* One of the maps in a row. */
static weir_error *each_marked(struct iteration *it, const struct row_key *row, weir_str prefix)
{
    struct keyed *keyed = it->keyed;
    char room[PREFIX_ROOM];
    weir_error *error;
    if (it->plan->placement.is_first && prefix.size == 0 && !give_unmarked(it, row, &error))
        return error;
    char *name = prefix.size < sizeof(room) ? room : take(keyed, it->state, prefix.size + 1);
    if (name == NULL)
        return NULL;
    name[0] = it->plan->placement.mark;
    if (prefix.size > 0)
        memcpy(name + 1, prefix.data, prefix.size);
    prefix = (weir_str){ .data = name, .size = prefix.size + 1 };
    return keyed->verbs->each(keyed->backend, row, prefix, give_entry, it);
}

static void iterate(struct keyed *keyed, uint32_t state, weir_str prefix, keyed_each_fn *each,
    void *arg)
{
    const struct plan *plan = plan_of(keyed, state);
    if (plan == NULL)
        return;
    struct iteration it = { .keyed = keyed,
        .state = state,
        .plan = plan,
        .each = each,
        .arg = arg };
    if (!plan->is_in_place) {
        it.record = take(keyed, state, plan->form.layout.size);
        put_dirty(keyed, state);
        if (keyed->error != NULL)
            return;
    }
    struct row_key row = keyed->row; /* the callback selects other states */
    row.state = plan->placement.row;
    weir_error *error = plan->placement.mark == 0
                            ? keyed->verbs->each(keyed->backend, &row, prefix, give_entry, &it)
                            : each_marked(&it, &row, prefix);
    if (__builtin_expect(error != NULL, 0))
        fail_in(keyed, state, error);
}

void keyed_each(struct keyed *keyed, uint32_t state, weir_str prefix, keyed_each_fn *each,
    void *arg)
{
    ASSERT(state < keyed->state_count && keyed->plans[state].state->kind == WEIR_MAP);
    iterate(keyed, state, prefix, each, arg);
}

/* -- lists ---------------------------------------------------------------------------------- */

/* Reads the next sequence number of the current key's list; an expired one starts again, because it
 * expires no earlier than every element. */
static void load_next(struct keyed *keyed, uint32_t state, struct plan *plan)
{
    weir_str value;
    weir_error *error = keyed->verbs->get(keyed->backend, &keyed->row, WEIR_STR(""), &value);
    plan->next = 0;
    plan->next_expires_ms = INT64_MIN;
    if (error == NULL && value.data != NULL && value.size != plan->form.header_size + SEQUENCE_SIZE)
        error = weir_errorf(WEIR_E_CORRUPT,
            "the length of a stored list has %zu bytes: restore another checkpoint",
            (size_t)value.size);
    if (__builtin_expect(error != NULL, 0)) {
        fail_in(keyed, state, error);
        return;
    }
    plan->knows_next = true;
    if (value.data == NULL || stored_is_expired(&plan->form, &keyed->time, value.data))
        return;
    uint64_t next;
    memcpy(&next, value.data + plan->form.header_size, sizeof(next));
    plan->next = le64toh(next);
    if (plan->form.header_size != 0)
        plan->next_expires_ms = stored_get_expiry(value.data);
}

static void put_next(struct keyed *keyed, uint32_t state, const struct plan *plan)
{
    char bytes[STORED_EXPIRY_SIZE + SEQUENCE_SIZE];
    uint64_t next = htole64(plan->next);
    if (plan->form.header_size != 0)
        stored_put_expiry(bytes, plan->next_expires_ms);
    memcpy(bytes + plan->form.header_size, &next, sizeof(next));
    keyed->row.state = state;
    weir_error *error = keyed->verbs->put(keyed->backend, &keyed->row, WEIR_STR(""),
        (weir_str){ .data = bytes, .size = plan->form.header_size + SEQUENCE_SIZE });
    if (__builtin_expect(error != NULL, 0))
        fail_in(keyed, state, error);
}

void keyed_list_add(struct keyed *keyed, uint32_t state, const void *record)
{
    struct plan *plan = plan_of(keyed, state);
    if (plan == NULL)
        return;
    ASSERT(plan->state->kind == WEIR_LIST);
    if (!plan->knows_next)
        load_next(keyed, state, plan);
    if (keyed->error != NULL)
        return;
    ASSERT(plan->knows_next && plan->next < UINT64_MAX);
    uint64_t sequence = htobe64(plan->next++);
    char entry[SEQUENCE_SIZE];
    memcpy(entry, &sequence, sizeof(sequence));
    put_record(keyed, state, (weir_str){ .data = entry, .size = sizeof(entry) }, record);
    if (plan->form.header_size != 0) {
        int64_t expires_ms = stored_expiry(&plan->form, &keyed->time);
        if (expires_ms > plan->next_expires_ms)
            plan->next_expires_ms = expires_ms;
    }
    keyed->dirty_lists |= UINT64_C(1) << state;
    keyed->has_work = true;
}

void keyed_list_each(struct keyed *keyed, uint32_t state, keyed_each_fn *each, void *arg)
{
    ASSERT(state < keyed->state_count && keyed->plans[state].state->kind == WEIR_LIST);
    iterate(keyed, state, WEIR_STR(""), each, arg);
}

/* -- the current key ------------------------------------------------------------------------- */

/* Everything that commit does but returning the error. */
static void commit(struct keyed *keyed)
{
    bool is_good = keyed->error == NULL && !keyed->has_failed;
    if (is_good)
        put_dirty(keyed, UINT32_MAX);
    for (uint64_t left = keyed->dirty_lists; left != 0; left &= left - 1) {
        uint32_t state = (uint32_t)__builtin_ctzll(left);
        keyed->plans[state].knows_next = false;
        if (is_good && keyed->error == NULL)
            put_next(keyed, state, &keyed->plans[state]);
    }
    touched_reset(&keyed->touched);
    arena_reset(&keyed->scratch);
    ASSERT(keyed->touched.count == 0);
    keyed->dirty_lists = 0;
    keyed->has_work = keyed->error != NULL || keyed->has_failed;
}

weir_error *keyed_commit(struct keyed *keyed)
{
    if (__builtin_expect(!keyed->has_work, 1))
        return NULL;
    commit(keyed);
    if (__builtin_expect(!keyed->has_work, 1))
        return NULL;
    if (keyed->has_failed)
        return weir_errorf(WEIR_E_STATE,
            "keyed state has failed before, so nothing may be written any more; restart the job");
    weir_error *error = keyed->error;
    keyed->error = NULL;
    keyed->has_failed = true;
    return error;
}

static __attribute__((noinline)) void grow_key(struct keyed *keyed, size_t size)
{
    keyed->key = mem_realloc(keyed->key, size * 2);
    keyed->key_capacity = size * 2;
}

static bool is_one_block(const struct plan *plan)
{
    return plan->state->kind == WEIR_VALUE || plan->state->kind == WEIR_REDUCING;
}

/* The slots of one key that is to come, or the rows behind them. */
static inline void prefetch_one(const struct keyed *keyed, uint32_t index, bool is_slot)
{
    const struct rows *rows = keyed->backend->rows;
    if (index >= keyed->ahead.count)
        return;
    uint64_t hash = keyed->ahead.hashes[index];
    for (uint32_t i = 0; i < keyed->ahead.state_count; i++) {
        uint32_t state = keyed->ahead.states[i];
        if (is_slot)
            rows_prefetch_slot(rows, hash, state);
        else
            rows_prefetch_row(rows, hash, state,
                sizeof(struct row) + sizeof(uint64_t) + keyed->plans[state].form.fixed_size);
    }
}

void keyed_select(struct keyed *keyed, weir_str key, uint64_t hash)
{
    if (__builtin_expect(keyed->has_work, 0))
        commit(keyed); /* an error stays for the next keyed_commit */
    if (__builtin_expect(key.size > keyed->key_capacity, 0))
        grow_key(keyed, key.size);
    if (key.size == sizeof(uint64_t)) /* most keys: spares the call of memcpy */
        memcpy(keyed->key, key.data, sizeof(uint64_t));
    else if (key.size > 0)
        memcpy(keyed->key, key.data, key.size);
    keyed->row = (struct row_key){ .key = { .data = keyed->key, .size = key.size },
        .hash = hash,
        .group = key_group_of(hash, keyed->max_parallelism) };
    keyed->has_key = true;
    if (keyed->ahead.at < keyed->ahead.count) {
        uint32_t at = keyed->ahead.at++;
        prefetch_one(keyed, at + SLOTS_AHEAD, true);
        prefetch_one(keyed, at + ROWS_AHEAD, false);
    }
}

/* A few at a time, while the keys before them are worked on: the processor waits for what is asked for at once, and
 * forgets the prefetches that are too many. */
static void start_ahead(struct keyed *keyed, const struct keyed_next *next, uint32_t count)
{
    keyed->ahead.at = 0;
    keyed->ahead.count = keyed->ahead.state_count == 0 ? 0 : count;
    for (uint32_t i = 0; i < keyed->ahead.count; i++)
        keyed->ahead.hashes[i] = next[i].hash;
    for (uint32_t i = 0; i < SLOTS_AHEAD; i++)
        prefetch_one(keyed, i, true);
    for (uint32_t i = 0; i < ROWS_AHEAD; i++)
        prefetch_one(keyed, i, false);
}

/* Rows that have entries are asked for at once, all that leads to them one after the other. */
void keyed_prefetch(struct keyed *keyed, const struct keyed_next *next, uint32_t count)
{
    struct row_key rows[KEYED_PREFETCH_MAX];
    uint32_t made = 0;
    ASSERT(count <= KEYED_PREFETCH_MAX);
    start_ahead(keyed, next, count);
    if (count == 0)
        return;
    for (uint32_t state = 0; state < keyed->state_count && state < PREFETCH_STATES; state++) {
        if (keyed->plans[state].placement.row != state)
            continue; /* asked for with the first map of the row */
        bool has_entries = keyed->backend->rows != NULL && !is_one_block(&keyed->plans[state]);
        bool is_fetching =
            keyed->verbs->prefetch != NULL && keyed->verbs->is_fetching(keyed->backend, state);
        if (!has_entries && !is_fetching)
            continue;
        for (; made < count; made++)
            rows[made] = (struct row_key){ .key = next[made].key,
                .hash = next[made].hash,
                .group = key_group_of(next[made].hash, keyed->max_parallelism) };
        for (uint32_t i = 0; i < count; i++)
            rows[i].state = state;
        if (has_entries)
            rows_prefetch(keyed->backend->rows, rows, count);
        if (is_fetching)
            keyed->verbs->prefetch(keyed->backend, rows, count);
    }
}

void keyed_unselect(struct keyed *keyed)
{
    if (keyed->has_work)
        commit(keyed);
    keyed->has_key = false;
}

weir_str keyed_key(const struct keyed *keyed)
{
    return keyed->has_key ? keyed->row.key : (weir_str){ 0 };
}

uint64_t keyed_hash(const struct keyed *keyed)
{
    return keyed->has_key ? keyed->row.hash : 0;
}

void keyed_set_time(struct keyed *keyed, int64_t now_ms, int64_t watermark_ms)
{
    keyed->time.now_ms = now_ms;
    keyed->time.watermark_ms = watermark_ms;
    if (keyed->has_work)
        return;
    keyed->expiry.now_ms = now_ms;
    keyed->expiry.watermark_ms = watermark_ms;
    if (keyed->verbs->expire != NULL)
        keyed->verbs->expire(keyed->backend, &keyed->expiry);
}

void keyed_set_timestamp(struct keyed *keyed, int64_t timestamp_ms)
{
    keyed->time.timestamp_ms = timestamp_ms;
}

/* -- life ----------------------------------------------------------------------------------- */

static void plan_init(struct keyed *keyed, uint32_t index, const struct weir_state *state,
    struct placement placement)
{
    struct plan *plan = &keyed->plans[index];
    plan->state = state;
    plan->placement = placement;
    stored_form_init(&plan->form, state);
    ASSERT(index < WEIR_STATES_MAX);
    plan->is_in_place = keyed->verbs->edit != NULL && plan->form.layout.string_count == 0;
    if (plan->form.layout.size > keyed->dummy_size)
        keyed->dummy_size = plan->form.layout.size;
    if (keyed->backend->rows != NULL && index < PREFETCH_STATES && is_one_block(plan))
        keyed->ahead.states[keyed->ahead.state_count++] = index;
    uint64_t bit = UINT64_C(1) << index;
    if (state->ttl_ms > 0 && state->ttl_time == WEIR_PROCESSING_TIME)
        keyed->expiry.processing_states |= bit;
    else if (state->ttl_ms > 0)
        keyed->expiry.event_states |= bit;
}

struct keyed *keyed_new(struct backend *backend, const struct weir_state *states,
    uint32_t state_count, uint32_t max_parallelism)
{
    ASSERT(state_count <= WEIR_STATES_MAX);
    ASSERT(backend != NULL && backend->backend_class->get != NULL);
    ASSERT(max_parallelism >= 1 && max_parallelism <= MAX_PARALLELISM_LIMIT);
    struct keyed *keyed = mem_alloc(sizeof(*keyed));
    keyed->backend = backend;
    keyed->verbs = backend->backend_class;
    keyed->state_count = state_count;
    keyed->max_parallelism = max_parallelism;
    keyed->time.watermark_ms = INT64_MIN;
    keyed->time.timestamp_ms = WEIR_NO_TIMESTAMP;
    keyed->plans = mem_alloc_array(state_count, sizeof(*keyed->plans));
    struct placement placements[WEIR_STATES_MAX];
    placement_init(placements, states, state_count);
    for (uint32_t i = state_count; i-- > 0;)
        plan_init(keyed, i, &states[i], placements[i]);
    keyed->key = mem_alloc(KEY_ROOM);
    keyed->name = mem_alloc(KEY_ROOM);
    keyed->key_capacity = keyed->name_capacity = KEY_ROOM;
    keyed->dummy = mem_alloc(keyed->dummy_size);
    arena_init(&keyed->scratch, SCRATCH_BLOCK, SCRATCH_MAX);
    return keyed;
}

void keyed_free(struct keyed *keyed)
{
    if (keyed == NULL)
        return;
    keyed->verbs->close(keyed->backend);
    weir_error_free(keyed->error);
    touched_release(&keyed->touched);
    arena_release(&keyed->scratch);
    mem_free(keyed->plans);
    mem_free(keyed->encoded);
    mem_free(keyed->dummy);
    mem_free(keyed->key);
    mem_free(keyed->name);
    mem_free(keyed);
}

struct keyed_expired keyed_expired(const struct keyed *keyed)
{
    return (struct keyed_expired){ .met = keyed->expired_count,
        .dropped = keyed->verbs->expired(keyed->backend) };
}

struct backend *keyed_backend(struct keyed *keyed)
{
    return keyed->backend;
}
