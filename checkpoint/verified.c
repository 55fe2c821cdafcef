/* verified.c -- see verified.h. */
#include "checkpoint/verified.h"

#include <stdlib.h>
#include <string.h>

struct verified_file {
    const char *path;
    uint64_t identity;
};

static int compare(const void *a, const void *b)
{
    const struct verified_file *left = a, *right = b;
    return strcmp(left->path, right->path);
}

static uint64_t file_count(const struct checkpoint_metadata *metadata)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        count += metadata->operators[i].file_count;
    return count;
}

static void add(struct verified *verified, const struct state_file *file)
{
    if (file->identity == 0)
        return;
    verified->files[verified->count++] =
        (struct verified_file){ .path = arena_strdup(&verified->arena, file->path),
            .identity = file->identity };
}

void verified_set(struct verified *verified, const struct checkpoint_metadata *metadata)
{
    verified_forget(verified);
    arena_init(&verified->arena, 4096, SIZE_MAX / 2);
    verified->files =
        arena_alloc(&verified->arena, file_count(metadata) * sizeof(*verified->files));
    for (uint32_t i = 0; i < metadata->operator_count; i++)
        for (uint32_t f = 0; f < metadata->operators[i].file_count; f++)
            add(verified, &metadata->operators[i].files[f]);
    if (verified->count > 0)
        qsort(verified->files, verified->count, sizeof(*verified->files), compare);
}

void verified_forget(struct verified *verified)
{
    if (verified->files != NULL)
        arena_release(&verified->arena);
    *verified = (struct verified){ .count = 0 };
}

void verified_tell(const struct verified *verified, struct checkpoint_metadata *metadata)
{
    for (uint32_t i = 0; i < metadata->operator_count && verified->count > 0; i++)
        for (uint32_t f = 0; f < metadata->operators[i].file_count; f++) {
            struct state_file *file = &metadata->operators[i].files[f];
            const struct verified_file key = { .path = file->path };
            const struct verified_file *known =
                bsearch(&key, verified->files, verified->count, sizeof(key), compare);
            file->identity = known == NULL ? 0 : known->identity;
        }
}
