/* merge.c -- see merge.h. */
#include "jobs/userprofile/merge.h"

#include "jobs/userprofile/heap.h"

#define BLOCK_SIZE  ((size_t)16 << 10)
#define COMPACT_MIN 256u
#define COUNT_COST  5u /* bytes in the output beside the name, at least: "":1, */
#define TAG_COST    9u /* "tag.":1, */
#define MEMBER_COST 3u
#define KEPT_MAX    4096u /* entries or members whose room is kept for the next person */

/* -- bytes ----------------------------------------------------------------------------------- */

struct merge_block {
    struct merge_block *next;
    size_t size, used;
    char bytes[];
};

static char *take_bytes(struct merge *merge, size_t size)
{
    struct merge_block *block = merge->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        block = heap_resize(NULL, sizeof(*block) + room);
        *block = (struct merge_block){ .next = merge->blocks, .size = room };
        merge->blocks = block;
    }
    char *bytes = block->bytes + block->used;
    block->used += size;
    return bytes;
}

static weir_str copy(struct merge *merge, weir_str text)
{
    char *bytes = take_bytes(merge, text.size);
    if (text.size > 0)
        memcpy(bytes, text.data, text.size);
    return (weir_str){ .data = bytes, .size = text.size };
}

static void copy_entry(struct merge *merge, struct merged *entry)
{
    entry->name = copy(merge, entry->name);
    if (!entry->is_tag)
        return;
    entry->newest.event_id = copy(merge, entry->newest.event_id);
    entry->newest.value = copy(merge, entry->newest.value);
}

static void free_blocks(struct merge_block *block)
{
    while (block != NULL) {
        struct merge_block *next = block->next;
        free(block);
        block = next;
    }
}

/* -- the whole ------------------------------------------------------------------------------- */

void merge_release(struct merge *merge)
{
    free_blocks(merge->blocks);
    free(merge->entries);
    free(merge->members);
    memset(merge, 0, sizeof(*merge));
}

void merge_reset(struct merge *merge)
{
    if (merge->entry_capacity > KEPT_MAX || merge->member_capacity > KEPT_MAX)
        merge_release(merge);
    struct merge kept = *merge;
    if (kept.blocks != NULL) {
        free_blocks(kept.blocks->next);
        kept.blocks->next = NULL;
        kept.blocks->used = 0;
    }
    *merge = (struct merge){ .entries = kept.entries,
        .entry_capacity = kept.entry_capacity,
        .compact_at = COMPACT_MIN,
        .is_sorted = true,
        .members = kept.members,
        .member_capacity = kept.member_capacity,
        .blocks = kept.blocks };
}

/* -- order and duplicates -------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
    const struct merged *a = left, *b = right;
    return a->is_tag != b->is_tag ? a->is_tag - b->is_tag : weir_str_compare(a->name, b->name);
}

/* Two entries of one name into the first. */
static void fold(struct merged *into, const struct merged *other)
{
    if (into->is_tag)
        latest_merge(&into->newest, &other->newest);
    else
        into->count += other->count;
}

static uint64_t cost_of(const struct merged *entry)
{
    return entry->name.size + (entry->is_tag ? TAG_COST : COUNT_COST);
}

/* Sorts, merges entries of one name, and gives back the bytes of those that are gone. */
static void compact(struct merge *merge)
{
    if (merge->is_sorted)
        return;
    qsort(merge->entries, merge->entry_count, sizeof(*merge->entries), compare);
    uint32_t last = 0;
    for (uint32_t i = 1; i < merge->entry_count; i++) {
        if (compare(&merge->entries[last], &merge->entries[i]) == 0) {
            merge->size -= cost_of(&merge->entries[i]);
            fold(&merge->entries[last], &merge->entries[i]);
        } else {
            merge->entries[++last] = merge->entries[i];
        }
    }
    merge->entry_count = last + 1;
    merge->is_sorted = true;
    struct merge_block *old = merge->blocks;
    merge->blocks = NULL;
    for (uint32_t i = 0; i < merge->entry_count; i++)
        copy_entry(merge, &merge->entries[i]);
    for (uint32_t i = 0; i < merge->member_count; i++)
        merge->members[i] = copy(merge, merge->members[i]);
    free_blocks(old);
}

/* More than doubled since the last time: brings the list, and the lower bound of its size, down to
 * what is really there. */
static bool settle(struct merge *merge)
{
    if (merge->entry_count >= merge->compact_at) {
        compact(merge);
        merge->compact_at = 2 * merge->entry_count + COMPACT_MIN;
        merge->is_over = merge->size > MERGE_SIZE_MAX;
    }
    return !merge->is_over;
}

static bool add(struct merge *merge, struct merged *entry)
{
    if (merge->entry_count == merge->entry_capacity) {
        merge->entry_capacity = merge->entry_capacity == 0 ? 64 : merge->entry_capacity * 2;
        merge->entries =
            heap_resize(merge->entries, merge->entry_capacity * sizeof(*merge->entries));
    }
    if (merge->entry_count > 0 && compare(&merge->entries[merge->entry_count - 1], entry) >= 0)
        merge->is_sorted = false;
    copy_entry(merge, entry);
    merge->entries[merge->entry_count++] = *entry;
    merge->size += cost_of(entry);
    return settle(merge);
}

/* -- what goes in ---------------------------------------------------------------------------- */

void merge_totals(struct merge *merge, const struct totals *totals)
{
    merge->totals.flags |= totals->flags;
    totals_merge(&merge->totals, totals);
}

bool merge_count(struct merge *merge, weir_str name, int64_t count)
{
    struct merged merged = { .name = name, .count = count };
    return add(merge, &merged);
}

bool merge_tag(struct merge *merge, weir_str name, const struct latest *newest)
{
    struct merged merged = { .name = name, .is_tag = true, .newest = *newest };
    return add(merge, &merged);
}

bool merge_member(struct merge *merge, weir_str member)
{
    if (merge->member_count == merge->member_capacity) {
        merge->member_capacity = merge->member_capacity == 0 ? 16 : merge->member_capacity * 2;
        merge->members =
            heap_resize(merge->members, merge->member_capacity * sizeof(*merge->members));
    }
    merge->members[merge->member_count++] = copy(merge, member);
    merge->member_size += member.size + MEMBER_COST;
    if (merge->member_size > MERGE_SIZE_MAX)
        merge->is_over = true;
    return !merge->is_over;
}

void merge_finish(struct merge *merge)
{
    compact(merge);
    if (merge->size > MERGE_SIZE_MAX)
        merge->is_over = true;
}
