/* sim_names.c -- see sim_names.h: a sorted array, searched by halves. */
#include "test/sim/sim_names.h"

#include "base/memory.h"

#include <stdbool.h>
#include <string.h>

struct sim_names *sim_names_new(void)
{
    return mem_alloc(sizeof(struct sim_names));
}

static void clear(struct sim_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        mem_free(names->names[i].text);
    names->count = 0;
}

void sim_names_free(struct sim_names *names)
{
    if (names == NULL)
        return;
    clear(names);
    mem_free(names->names);
    mem_free(names);
}

/* Where the name is, or would go. */
static uint32_t find(const struct sim_names *names, const char *text, bool *is_there)
{
    uint32_t low = 0, high = names->count;
    *is_there = false;
    while (low < high && !*is_there) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(names->names[middle].text, text);
        *is_there = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return *is_there ? high : low;
}

struct sim_inode *sim_names_get(const struct sim_names *names, const char *text)
{
    bool is_there;
    uint32_t at = find(names, text, &is_there);
    return is_there ? names->names[at].inode : NULL;
}

void sim_names_put(struct sim_names *names, const char *text, struct sim_inode *inode)
{
    bool is_there;
    uint32_t at = find(names, text, &is_there);
    if (is_there) {
        names->names[at].inode = inode;
        return;
    }
    if (names->count == names->capacity) {
        names->capacity = names->capacity == 0 ? 8 : names->capacity * 2;
        names->names = mem_realloc(names->names, names->capacity * sizeof(*names->names));
    }
    memmove(names->names + at + 1, names->names + at, (names->count - at) * sizeof(*names->names));
    names->names[at] = (struct sim_name){ .text = mem_strdup(text), .inode = inode };
    names->count++;
}

void sim_names_drop(struct sim_names *names, const char *text)
{
    bool is_there;
    uint32_t at = find(names, text, &is_there);
    if (!is_there)
        return;
    mem_free(names->names[at].text);
    names->count--;
    memmove(names->names + at, names->names + at + 1, (names->count - at) * sizeof(*names->names));
}

void sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
    clear(to);
    for (uint32_t i = 0; i < from->count; i++)
        sim_names_put(to, from->names[i].text, from->names[i].inode);
}
