/* timer.c -- see timer.h.
 *
 * A timer is in three places at once: the set (to make setting twice one timer, and to find it for
 * cancel), the queue of its kind, and, until the next flush, the list of fresh ones. One that the
 * backend knows and that has fired or was cancelled waits in the list of gone ones instead. Lists are
 * intrusive and a timer knows its place in the queue, so every removal is exact: nothing dead is kept. */
#include "runtime/task/timer.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "runtime/task/timer_queue.h"
#include "state/timer_entry.h"

#define TIMERS_MAX       (64u << 20)
#define SIZE_CLASS       16u /* bytes: timers are rounded up to it ... */
#define SIZE_CLASS_COUNT 64u /* ... and recycled up to 1 KiB; larger keys are allocated alone */
#define SLAB_SIZE        (64u << 10)

/* Thread: task. */
struct timer {
    struct timer *next, *previous; /* in the fresh or gone list */
    int64_t at_ms;
    uint64_t key_hash;
    struct timer_place place; /* in its queue; none when it was set after timers_close */
    uint32_t key_size;
    uint8_t time;   /* enum weir_time */
    bool is_stored; /* the backend has it */
    char key[];
};

/* Most of those that are not looked for are told by the hash, without a look at them. Thread: task. */
struct slot {
    uint64_t hash;
    struct timer *timer; /* NULL: free */
};

/* Thread: task. */
struct timers {
    struct keyed *keyed;
    uint32_t max_parallelism;
    struct slot *table; /* open addressing, linear probing; power of two */
    uint32_t table_size, count;
    struct timer_queue queues[2]; /* by enum weir_time */
    struct timer *fresh, *gone;
    struct timer *popped; /* its key is out; recycled at the next call */
    bool is_closed;
    struct timer *recycled[SIZE_CLASS_COUNT + 1];
    char **slabs;
    uint32_t slab_count, slab_used;
};

/* -- memory ----------------------------------------------------------------------------------- */

static uint32_t size_class(size_t key_size)
{
    return (uint32_t)((sizeof(struct timer) + key_size + SIZE_CLASS - 1) / SIZE_CLASS);
}

static struct timer *carve(struct timers *timers, uint32_t class)
{
    size_t size = (size_t) class * SIZE_CLASS;
    if (timers->slab_count == 0 || timers->slab_used + size > SLAB_SIZE) {
        timers->slabs =
            mem_realloc(timers->slabs, (timers->slab_count + 1) * sizeof(*timers->slabs));
        timers->slabs[timers->slab_count++] = mem_alloc(SLAB_SIZE);
        timers->slab_used = 0;
    }
    char *at = timers->slabs[timers->slab_count - 1] + timers->slab_used;
    timers->slab_used += (uint32_t)size;
    return (struct timer *)(void *)at;
}

static struct timer *timer_new(struct timers *timers, size_t key_size)
{
    uint32_t class = size_class(key_size);
    if (class > SIZE_CLASS_COUNT)
        return mem_alloc(sizeof(struct timer) + key_size);
    struct timer *timer = timers->recycled[class];
    if (timer == NULL)
        return carve(timers, class);
    timers->recycled[class] = timer->next;
    return timer;
}

static void timer_free(struct timers *timers, struct timer *timer)
{
    uint32_t class = size_class(timer->key_size);
    if (class > SIZE_CLASS_COUNT) {
        mem_free(timer);
        return;
    }
    timer->next = timers->recycled[class];
    timers->recycled[class] = timer;
}

static void list_add(struct timer **list, struct timer *timer)
{
    timer->previous = NULL;
    timer->next = *list;
    if (*list != NULL)
        (*list)->previous = timer;
    *list = timer;
}

static void list_remove(struct timer **list, struct timer *timer)
{
    if (timer->previous != NULL)
        timer->previous->next = timer->next;
    else
        *list = timer->next;
    if (timer->next != NULL)
        timer->next->previous = timer->previous;
}

/* -- the set ------------------------------------------------------------------------------------ */

static uint64_t hash_of(enum weir_time time, int64_t at_ms, uint64_t key_hash)
{
    return hash_mix(key_hash + (uint64_t)at_ms * 2 + (uint64_t)time);
}

/* Where it is looked for first. */
static const struct slot *slot_of(const struct timers *timers, uint64_t hash)
{
    return &timers->table[(uint32_t)hash & (timers->table_size - 1)];
}

/* The slot that holds the timer, or the free one where it would go. */
static uint32_t find(const struct timers *timers, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash)
{
    uint64_t hash = hash_of(time, at_ms, key_hash);
    uint32_t mask = timers->table_size - 1;
    for (uint32_t slot = (uint32_t)hash & mask;; slot = (slot + 1) & mask) {
        const struct timer *timer = timers->table[slot].timer;
        if (timer == NULL)
            return slot;
        if (timers->table[slot].hash == hash && timer->at_ms == at_ms && timer->time == time &&
            timer->key_size == key.size && memcmp(timer->key, key.data, key.size) == 0)
            return slot;
    }
}

static void table_grow(struct timers *timers)
{
    struct slot *old = timers->table;
    uint32_t old_size = timers->table_size;
    timers->table_size = old_size == 0 ? 64 : old_size * 2;
    timers->table = mem_alloc_array(timers->table_size, sizeof(*timers->table));
    uint32_t mask = timers->table_size - 1;
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].timer == NULL)
            continue;
        uint32_t slot = (uint32_t)old[i].hash & mask;
        while (timers->table[slot].timer != NULL)
            slot = (slot + 1) & mask;
        timers->table[slot] = old[i];
    }
    mem_free(old);
}

/* Removes by moving later entries of the probe run back: no tombstones. */
static void table_remove(struct timers *timers, uint32_t slot)
{
    uint32_t mask = timers->table_size - 1;
    for (uint32_t next = (slot + 1) & mask; timers->table[next].timer != NULL;
         next = (next + 1) & mask) {
        uint32_t home = (uint32_t)timers->table[next].hash & mask;
        if (((next - home) & mask) >= ((next - slot) & mask)) {
            timers->table[slot] = timers->table[next];
            slot = next;
        }
    }
    timers->table[slot] = (struct slot){ 0 };
}

/* -- setting, cancelling, firing ------------------------------------------------------------------ */

static void forget_popped(struct timers *timers)
{
    if (timers->popped != NULL && !timers->popped->is_stored)
        timer_free(timers, timers->popped);
    timers->popped = NULL;
}

static struct timer *add(struct timers *timers, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash)
{
    ASSERT(key.size <= UINT32_MAX && timers->count < TIMERS_MAX);
    if (timers->count * 4 >= timers->table_size * 3)
        table_grow(timers);
    uint32_t slot = find(timers, time, at_ms, key, key_hash);
    if (timers->table[slot].timer != NULL)
        return NULL;
    struct timer *timer = timer_new(timers, key.size);
    timer->at_ms = at_ms;
    timer->key_hash = key_hash;
    timer->key_size = (uint32_t)key.size;
    timer->time = (uint8_t)time;
    timer->is_stored = false;
    if (key.size > 0)
        memcpy(timer->key, key.data, key.size);
    timers->table[slot] = (struct slot){ .hash = hash_of(time, at_ms, key_hash), .timer = timer };
    timers->count++;
    timer->place = (struct timer_place){ 0 };
    if (!timers->is_closed)
        timer->place = timer_queue_add(&timers->queues[time], at_ms, timer);
    return timer;
}

void timers_set(struct timers *timers, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash)
{
    struct timer *timer = add(timers, time, at_ms, key, key_hash);
    if (timer != NULL)
        list_add(&timers->fresh, timer);
}

/* Out of the set and the queue; a stored one waits in `gone` for the flush, a fresh one is over. */
static void take_out(struct timers *timers, struct timer *timer)
{
    weir_str key = { .data = timer->key, .size = timer->key_size };
    uint32_t slot = find(timers, timer->time, timer->at_ms, key, timer->key_hash);
    ASSERT(timers->table[slot].timer == timer);
    table_remove(timers, slot);
    timers->count--;
    if (timer->place.instant != NULL)
        timer_queue_remove(&timers->queues[timer->time], timer->place);
    if (timer->is_stored)
        list_add(&timers->gone, timer);
    else
        list_remove(&timers->fresh, timer);
}

void timers_cancel(struct timers *timers, enum weir_time time, int64_t at_ms, weir_str key,
    uint64_t key_hash)
{
    if (timers->count == 0)
        return;
    struct timer *timer = timers->table[find(timers, time, at_ms, key, key_hash)].timer;
    if (timer == NULL)
        return;
    take_out(timers, timer);
    if (!timer->is_stored)
        timer_free(timers, timer);
}

int64_t timers_next_ms(struct timers *timers, enum weir_time time)
{
    return timer_queue_next_ms(&timers->queues[time]);
}

bool timers_pop(struct timers *timers, enum weir_time time, int64_t until_ms, int64_t *at_ms,
    weir_str *key, uint64_t *key_hash)
{
    forget_popped(timers);
    void *first;
    if (timer_queue_next_ms(&timers->queues[time]) > until_ms ||
        timer_queue_peek(&timers->queues[time], &first, 1) == 0)
        return false;
    struct timer *timer = first;
    take_out(timers, timer);
    timers->popped = timer;
    *at_ms = timer->at_ms;
    *key = (weir_str){ .data = timer->key, .size = timer->key_size };
    *key_hash = timer->key_hash;
    return true;
}

uint32_t timers_prefetch(const struct timers *timers, enum weir_time time, int64_t until_ms)
{
    void *due[KEYED_PREFETCH_MAX];
    struct keyed_next next[KEYED_PREFETCH_MAX];
    if (timer_queue_next_ms(&timers->queues[time]) > until_ms)
        return 0;
    uint32_t count = timer_queue_peek(&timers->queues[time], due, KEYED_PREFETCH_MAX);
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(due[i]);
    for (uint32_t i = 0; i < count; i++) {
        const struct timer *timer = due[i];
        next[i] = (struct keyed_next){ .key = { .data = timer->key, .size = timer->key_size },
            .hash = timer->key_hash };
        __builtin_prefetch(slot_of(timers, hash_of(time, timer->at_ms, timer->key_hash)));
    }
    keyed_prefetch(timers->keyed, next, count);
    return count;
}

void timers_close(struct timers *timers)
{
    timers->is_closed = true;
}

uint32_t timers_count(const struct timers *timers)
{
    return timers->count;
}

/* -- the backend ---------------------------------------------------------------------------------- */

static struct row_key row_of(const struct timers *timers, const struct timer *timer)
{
    return (struct row_key){ .key = { .data = timer->key, .size = timer->key_size },
        .hash = timer->key_hash,
        .group = key_group_of(timer->key_hash, timers->max_parallelism),
        .state = STATE_NUMBER_TIMERS };
}

static weir_str entry_of(const struct timer *timer, char bytes[TIMER_ENTRY_SIZE])
{
    timer_entry_put(bytes, timer->time, timer->at_ms);
    return (weir_str){ .data = bytes, .size = TIMER_ENTRY_SIZE };
}

/* First what is gone, then what is new: a timer that went and came back ends up stored. */
weir_error *timers_flush(struct timers *timers)
{
    struct backend *backend = keyed_backend(timers->keyed);
    char bytes[TIMER_ENTRY_SIZE];
    forget_popped(timers);
    while (timers->gone != NULL) {
        struct timer *timer = timers->gone;
        struct row_key row = row_of(timers, timer);
        WEIR_TRY(backend->backend_class->remove(backend, &row, entry_of(timer, bytes)));
        list_remove(&timers->gone, timer);
        timer_free(timers, timer);
    }
    while (timers->fresh != NULL) {
        struct timer *timer = timers->fresh;
        struct row_key row = row_of(timers, timer);
        WEIR_TRY(backend->backend_class->put(backend, &row, entry_of(timer, bytes), WEIR_STR("")));
        list_remove(&timers->fresh, timer);
        timer->is_stored = true;
    }
    return NULL;
}

/* Thread: task. */
struct load {
    struct timers *timers;
    weir_error *error;
};

static bool load_one(void *arg, const struct row_key *row, weir_str entry, weir_str value)
{
    struct load *load = arg;
    (void)value;
    enum weir_time time;
    int64_t at_ms;
    if (!timer_entry_get(entry, &time, &at_ms)) {
        load->error = weir_errorf(WEIR_E_CORRUPT,
            "a stored timer has %zu bytes instead of %d: restore an older checkpoint",
            (size_t)entry.size, TIMER_ENTRY_SIZE);
        return false;
    }
    struct timer *timer = add(load->timers, time, at_ms, row->key, row->hash);
    if (timer != NULL)
        timer->is_stored = true;
    return true;
}

weir_error *timers_open(struct keyed *keyed, uint32_t max_parallelism, struct timers **timers)
{
    struct timers *it = mem_alloc(sizeof(*it));
    it->keyed = keyed;
    it->max_parallelism = max_parallelism;
    table_grow(it);
    struct load load = { .timers = it };
    struct backend *backend = keyed_backend(keyed);
    weir_error *error = backend->backend_class->scan(backend, STATE_NUMBER_TIMERS, load_one, &load);
    error = weir_error_join(error, load.error);
    if (error != NULL) {
        timers_free(it);
        return weir_error_wrap(error, "cannot restore timers");
    }
    *timers = it;
    return NULL;
}

static void free_large(struct timers *timers, struct timer *timer)
{
    if (size_class(timer->key_size) > SIZE_CLASS_COUNT)
        timer_free(timers, timer);
}

void timers_free(struct timers *timers)
{
    if (timers == NULL)
        return;
    forget_popped(timers);
    for (uint32_t i = 0; i < timers->table_size; i++) {
        if (timers->table[i].timer != NULL)
            free_large(timers, timers->table[i].timer);
    }
    while (timers->gone != NULL) {
        struct timer *timer = timers->gone;
        list_remove(&timers->gone, timer);
        free_large(timers, timer);
    }
    for (uint32_t i = 0; i < timers->slab_count; i++)
        mem_free(timers->slabs[i]);
    mem_free(timers->slabs);
    timer_queue_release(&timers->queues[0]);
    timer_queue_release(&timers->queues[1]);
    mem_free(timers->table);
    mem_free(timers);
}
