/* segment.c -- the pool: free lists under a lock, and one number that must not be exceeded.
 *
 * `allocated` counts every byte that the pool holds, handed out or kept; `used` what is handed
 * out. Kept segments are freed only when their bytes are wanted for another size. */
#include "runtime/exchange/segment.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define EVENT_CAPACITY ((uint32_t)sizeof(struct element))
/* Kept segments of long records, at most: as many as are on their way in a few channels. */
#define LARGE_COUNT_MAX 32u
#define LARGE_SIZE_MAX  ((size_t)16 << 20)

enum size_class { CLASS_USUAL, CLASS_EVENT, CLASS_COUNT, CLASS_OWN = CLASS_COUNT };

/* Thread: any; `lock` guards all but `used` when read. */
struct segment_pool {
    pthread_mutex_t lock;
    size_t size_max;
    size_t allocated;
    _Atomic size_t used;
    struct segment *kept[CLASS_COUNT];
    struct segment *large[LARGE_COUNT_MAX]; /* of their own size, kept; oldest first */
    uint32_t large_count;
    size_t large_size; /* bytes of them */
};

static size_t bytes_of(uint32_t capacity)
{
    return offsetof(struct segment, bytes) + capacity;
}

static enum size_class class_of(uint32_t capacity)
{
    if (capacity == SEGMENT_CAPACITY)
        return CLASS_USUAL;
    return capacity == EVENT_CAPACITY ? CLASS_EVENT : CLASS_OWN;
}

/* What lies in a kept segment is nobody's: a view that outlived its batch is reported at once. */
static void poison(struct segment *segment)
{
#ifdef HAS_ASAN
    ASAN_POISON_MEMORY_REGION(segment->bytes, segment->size - offsetof(struct segment, bytes));
#else
    (void)segment;
#endif
}

static void unpoison(struct segment *segment, size_t size)
{
#ifdef HAS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(segment->bytes, size);
#else
    (void)segment, (void)size;
#endif
}

struct segment_pool *segment_pool_new(size_t size_max)
{
    struct segment_pool *pool = mem_alloc(sizeof(*pool));
    ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    pool->size_max = size_max;
    return pool;
}

static void discard(struct segment_pool *pool, struct segment *segment)
{
    ASSERT(pool->allocated >= segment->size);
    pool->allocated -= segment->size;
    unpoison(segment, segment->size - offsetof(struct segment, bytes));
    mem_free(segment);
}

/* -- long records ---------------------------------------------------------------------------- */

static struct segment *remove_large(struct segment_pool *pool, uint32_t index)
{
    struct segment *segment = pool->large[index];
    pool->large_size -= segment->size;
    pool->large_count--;
    memmove(pool->large + index, pool->large + index + 1,
        (pool->large_count - index) * sizeof(segment));
    return segment;
}

/* The newest that fits, with at most a quarter left over; NULL: none. */
static struct segment *pop_large(struct segment_pool *pool, size_t size)
{
    for (uint32_t i = pool->large_count; i > 0; i--) {
        size_t has = pool->large[i - 1]->size;
        if (has >= size && has - size <= size / 4)
            return remove_large(pool, i - 1);
    }
    return NULL;
}

/* The oldest make way for it. */
static void keep_large(struct segment_pool *pool, struct segment *segment)
{
    if (segment->size > LARGE_SIZE_MAX) {
        discard(pool, segment);
        return;
    }
    while (
        pool->large_count == LARGE_COUNT_MAX || pool->large_size + segment->size > LARGE_SIZE_MAX)
        discard(pool, remove_large(pool, 0));
    pool->large[pool->large_count++] = segment;
    pool->large_size += segment->size;
}

/* -- taking, giving -------------------------------------------------------------------------- */

static struct segment *pop_kept(struct segment_pool *pool, enum size_class class)
{
    struct segment *segment = pool->kept[class];
    if (segment != NULL)
        pool->kept[class] = segment->next;
    return segment;
}

void segment_pool_free(struct segment_pool *pool)
{
    if (pool == NULL)
        return;
    for (enum size_class class = 0; class < CLASS_COUNT; class ++) {
        struct segment *segment;
        while ((segment = pop_kept(pool, class)) != NULL)
            discard(pool, segment);
    }
    while (pool->large_count > 0)
        discard(pool, remove_large(pool, 0));
    ASSERT(segment_pool_used(pool) == 0);
    ASSERT(pool->allocated == 0);
    ASSERT(pthread_mutex_destroy(&pool->lock) == 0);
    mem_free(pool);
}

/* Frees what is kept until `size` more bytes may be allocated. */
static bool make_room(struct segment_pool *pool, size_t size)
{
    while (pool->size_max - pool->allocated < size) {
        struct segment *segment =
            pool->large_count > 0 ? remove_large(pool, 0) : pop_kept(pool, CLASS_USUAL);
        if (segment == NULL)
            segment = pop_kept(pool, CLASS_EVENT);
        if (segment == NULL)
            return false;
        discard(pool, segment);
    }
    return true;
}

static struct segment *take_locked(struct segment_pool *pool, uint32_t capacity)
{
    enum size_class class = class_of(capacity);
    size_t size = bytes_of(capacity);
    struct segment *segment = class == CLASS_OWN ? pop_large(pool, size) : pop_kept(pool, class);
    if (segment == NULL) {
        if (!make_room(pool, size))
            return NULL;
        segment = mem_alloc(size);
        segment->size = (uint32_t)size;
        pool->allocated += size;
    }
    size_t used = atomic_load_explicit(&pool->used, memory_order_relaxed) + segment->size;
    ASSERT(used <= pool->allocated && pool->allocated <= pool->size_max);
    atomic_store_explicit(&pool->used, used, memory_order_relaxed);
    return segment;
}

static struct segment *take(struct segment_pool *pool, uint32_t capacity)
{
    ASSERT(pthread_mutex_lock(&pool->lock) == 0);
    struct segment *segment = take_locked(pool, capacity);
    ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
    if (segment == NULL)
        return NULL;
    *segment = (struct segment){ .pool = pool, .size = segment->size, .capacity = capacity };
    unpoison(segment, capacity);
    return segment;
}

struct segment *segment_take(struct segment_pool *pool, size_t payload)
{
    if (payload > UINT32_MAX / 2)
        return NULL;
    uint32_t needed = (uint32_t)segment_element_size(payload);
    return take(pool, needed <= SEGMENT_CAPACITY ? SEGMENT_CAPACITY : needed);
}

struct segment *segment_take_event(struct segment_pool *pool)
{
    return take(pool, EVENT_CAPACITY);
}

struct segment *segment_take_copy(struct segment_pool *pool, size_t size)
{
    if (size <= EVENT_CAPACITY)
        return take(pool, EVENT_CAPACITY);
    return segment_take(pool, size - sizeof(struct element));
}

bool segment_adopt(struct segment *segment, uint32_t size)
{
    uint32_t at = 0, record_count = 0;
    if (size == 0 || size > segment->capacity || size % 16 != 0)
        return false;
    while (at < size) {
        const struct element *element = (const void *)(segment->bytes + at);
        if (size - at < sizeof(*element) || element->kind > ELEMENT_END ||
            element->size > size - at - sizeof(*element))
            return false;
        record_count += element->kind == ELEMENT_RECORD;
        at += (uint32_t)segment_element_size(element->size);
    }
    segment->used = size;
    segment->record_count = record_count;
    return true;
}

void segment_give(struct segment *segment)
{
    struct segment_pool *pool = segment->pool;
    enum size_class class = class_of(segment->capacity);
    size_t size = segment->size;
    ASSERT(segment->used <= segment->capacity);
    poison(segment);
    ASSERT(pthread_mutex_lock(&pool->lock) == 0);
    size_t used = atomic_load_explicit(&pool->used, memory_order_relaxed);
    ASSERT(used >= size);
    atomic_store_explicit(&pool->used, used - size, memory_order_relaxed);
    if (class == CLASS_OWN) {
        keep_large(pool, segment);
    } else {
        segment->next = pool->kept[class];
        pool->kept[class] = segment;
    }
    ASSERT(pthread_mutex_unlock(&pool->lock) == 0);
}

size_t segment_pool_used(const struct segment_pool *pool)
{
    return atomic_load_explicit(&pool->used, memory_order_relaxed);
}

size_t segment_pool_size_max(const struct segment_pool *pool)
{
    return pool->size_max;
}
