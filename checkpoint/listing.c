/* listing.c -- names to kinds and numbers. */
#include "checkpoint/listing.h"

#include "base/memory.h"
#include "base/os.h"
#include "state/state_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 18u /* no overflow, whatever stands there */

bool listing_number(const char *name, const char *prefix, uint64_t *number)
{
    size_t prefix_size = strlen(prefix);
    if (strncmp(name, prefix, prefix_size) != 0)
        return false;
    const char *digits = name + prefix_size;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > DIGITS_MAX || digits[count] != '\0' || digits[0] == '0')
        return false;
    *number = strtoull(digits, NULL, 10);
    return true;
}

/* "<anything>.<16 hex digits>.tmp", as os_write_file makes them. */
static bool is_temporary(const char *name)
{
    size_t size = strlen(name);
    const size_t tail = 1 + 16 + 4;
    return size > tail && name[size - tail] == '.' &&
           strspn(name + size - tail + 1, "0123456789abcdef") == 16 &&
           strcmp(name + size - 4, ".tmp") == 0;
}

static enum listing_kind kind_of(const char *name, uint64_t *number)
{
    if (listing_number(name, "attempt-", number))
        return LISTING_ATTEMPT;
    if (listing_number(name, "chk-", number))
        return LISTING_CHECKPOINT;
    if (listing_number(name, "staging-", number) || listing_number(name, "work-", number))
        return LISTING_OWN_DIR;
    if (strcmp(name, STATE_FILE_DIR) == 0)
        return LISTING_SHARED;
    return is_temporary(name) ? LISTING_TEMPORARY : LISTING_UNKNOWN;
}

static int compare(const void *a, const void *b)
{
    const struct listing_entry *left = a, *right = b;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    return (left->number > right->number) - (left->number < right->number);
}

static weir_error *look_for_metadata(const char *dir, struct listing_entry *entry)
{
    char *path = mem_printf("%s/%s/" LISTING_METADATA, dir, entry->name);
    struct os_stat stat;
    weir_error *error = os_stat(path, &stat);
    if (error == NULL)
        entry->is_complete = stat.exists;
    mem_free(path);
    return error;
}

weir_error *listing_read(const char *dir, struct listing *listing)
{
    *listing = (struct listing){ .count = 0 };
    WEIR_TRY(os_list(dir, &listing->names, &listing->count));
    listing->entries = mem_alloc_array(listing->count, sizeof(*listing->entries));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < listing->count && error == NULL; i++) {
        struct listing_entry *entry = &listing->entries[i];
        entry->name = listing->names[i];
        entry->kind = kind_of(entry->name, &entry->number);
        if (entry->kind == LISTING_CHECKPOINT)
            error = look_for_metadata(dir, entry);
    }
    if (error != NULL) {
        listing_release(listing);
        return error;
    }
    if (listing->count > 0)
        qsort(listing->entries, listing->count, sizeof(*listing->entries), compare);
    return NULL;
}

void listing_release(struct listing *listing)
{
    os_names_free(listing->names, listing->count);
    mem_free(listing->entries);
    *listing = (struct listing){ .count = 0 };
}

uint64_t listing_highest(const struct listing *listing, enum listing_kind kind)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < listing->count; i++)
        if (listing->entries[i].kind == kind && listing->entries[i].number > highest)
            highest = listing->entries[i].number;
    return highest;
}
