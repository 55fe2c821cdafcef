/* sim_file.c -- see sim_file.h. Both copies have the same capacity and are zero behind their end. */
#include "test/sim/sim_file.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

static size_t page_count(size_t size)
{
    return (size + SIM_PAGE_SIZE - 1) / SIM_PAGE_SIZE;
}

void sim_file_release(struct sim_file *file)
{
    mem_free(file->bytes);
    mem_free(file->safe);
    mem_free(file->dirty);
    *file = (struct sim_file){ .size = 0 };
}

static char *grown(char *old, size_t old_size, size_t size)
{
    char *bytes = mem_realloc(old, size);
    memset(bytes + old_size, 0, size - old_size);
    return bytes;
}

static void reserve(struct sim_file *file, size_t size)
{
    if (size <= file->capacity)
        return;
    size_t capacity = file->capacity == 0 ? SIM_PAGE_SIZE : file->capacity;
    while (capacity < size)
        capacity *= 2;
    file->bytes = grown(file->bytes, file->capacity, capacity);
    file->safe = grown(file->safe, file->capacity, capacity);
    file->dirty = (bool *)(void *)grown((char *)(void *)file->dirty,
        page_count(file->capacity) * sizeof(bool), page_count(capacity) * sizeof(bool));
    file->capacity = capacity;
}

static void mark(struct sim_file *file, size_t from, size_t to)
{
    for (size_t page = from / SIM_PAGE_SIZE; page * SIM_PAGE_SIZE < to; page++)
        file->dirty[page] = true;
}

void sim_file_write(struct sim_file *file, size_t offset, const void *bytes, size_t size)
{
    ASSERT(offset <= file->size);
    if (size == 0)
        return;
    reserve(file, offset + size);
    memcpy(file->bytes + offset, bytes, size);
    mark(file, offset, offset + size);
    if (offset + size > file->size) {
        file->size = offset + size;
        file->is_size_dirty = true;
    }
}

void sim_file_truncate(struct sim_file *file)
{
    if (file->size == 0)
        return;
    memset(file->bytes, 0, file->size);
    mark(file, 0, file->size);
    file->size = 0;
    file->is_size_dirty = true;
}

size_t sim_file_read(const struct sim_file *file, size_t offset, void *bytes, size_t size)
{
    if (offset >= file->size)
        return 0;
    size_t left = file->size - offset;
    size_t got = size < left ? size : left;
    memcpy(bytes, file->bytes + offset, got);
    return got;
}

static void copy_page(struct sim_file *file, size_t page)
{
    memcpy(file->safe + page * SIM_PAGE_SIZE, file->bytes + page * SIM_PAGE_SIZE, SIM_PAGE_SIZE);
}

static void clean(struct sim_file *file)
{
    if (file->capacity > 0)
        memset(file->dirty, 0, page_count(file->capacity) * sizeof(bool));
    file->is_size_dirty = false;
}

static void set_safe_size(struct sim_file *file, size_t size)
{
    if (size < file->safe_size)
        memset(file->safe + size, 0, file->safe_size - size);
    file->safe_size = size;
}

void sim_file_sync(struct sim_file *file)
{
    for (size_t page = 0; page < page_count(file->capacity); page++) {
        if (file->dirty[page])
            copy_page(file, page);
    }
    if (file->is_size_dirty)
        set_safe_size(file, file->size);
    clean(file);
}

void sim_file_fail_sync(struct sim_file *file)
{
    clean(file);
}

/* -- the power fails ------------------------------------------------------------------------------ */

enum luck { NOTHING_SURVIVES, EVERYTHING_SURVIVES, A_PREFIX_SURVIVES, PAGES_SURVIVE, LUCKS };

static size_t surviving_size(const struct sim_file *file, struct random *random)
{
    if (!file->is_size_dirty)
        return file->safe_size;
    size_t low = file->size < file->safe_size ? file->size : file->safe_size;
    size_t high = file->size < file->safe_size ? file->safe_size : file->size;
    switch (random_below(random, 4)) {
    case 0:
        return file->safe_size;
    case 1:
        return file->size;
    default:
        return low + random_next(random) % (high - low + 1);
    }
}

/* The first sectors of the page are new, the rest is old. */
static void tear_page(struct sim_file *file, size_t page, struct random *random)
{
    size_t sectors = random_below(random, SIM_PAGE_SIZE / SIM_SECTOR_SIZE);
    memcpy(file->safe + page * SIM_PAGE_SIZE, file->bytes + page * SIM_PAGE_SIZE,
        sectors * SIM_SECTOR_SIZE);
}

static void keep_pages(struct sim_file *file, enum luck luck, struct random *random)
{
    size_t pages = page_count(file->capacity);
    size_t border = pages == 0 ? 0 : random_next(random) % (pages + 1);
    for (size_t page = 0; page < pages; page++) {
        if (!file->dirty[page])
            continue;
        if (luck == EVERYTHING_SURVIVES || (luck == A_PREFIX_SURVIVES && page < border) ||
            (luck == PAGES_SURVIVE && random_one_in(random, 2)))
            copy_page(file, page);
        else if (luck != A_PREFIX_SURVIVES || page == border)
            tear_page(file, page, random);
    }
}

void sim_file_lose(struct sim_file *file, struct random *random)
{
    enum luck luck = (enum luck)random_below(random, LUCKS);
    if (luck != NOTHING_SURVIVES) {
        size_t size = luck == EVERYTHING_SURVIVES ? file->size : surviving_size(file, random);
        keep_pages(file, luck, random);
        if (file->is_size_dirty)
            file->safe_size = size;
        if (file->capacity > 0)
            memset(file->safe + file->safe_size, 0, file->capacity - file->safe_size);
    }
    if (file->capacity > 0)
        memcpy(file->bytes, file->safe, file->capacity);
    file->size = file->safe_size;
    clean(file);
}
