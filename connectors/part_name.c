/* part_name.c -- a name is read by taking numbers out of it, making it again, and comparing. */
#include "connectors/part_name.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 18u /* no overflow, whatever stands there */

bool part_name_is_affix(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size <= PART_AFFIX_SIZE_MAX && text[0] != '.' && strchr(text, '/') == NULL;
}

char *part_name_published(const struct part_name *name, uint64_t checkpoint, uint32_t subtask)
{
    return mem_printf("%s-%010" PRIu64 "-%03" PRIu32 ".%s", name->prefix, checkpoint, subtask,
        name->suffix);
}

char *part_name_hidden(const struct part_name *name, uint64_t attempt, uint32_t subtask,
    uint64_t sequence)
{
    return mem_printf(".%s-%016" PRIx64 "-%" PRIu64 "-%" PRIu32 "-%" PRIu64 ".%s", name->prefix,
        name->owner, attempt, subtask, sequence, name->suffix);
}

/* "-<digits>" */
static bool take_number(const char **text, uint64_t *number)
{
    if (**text != '-')
        return false;
    size_t count = strspn(*text + 1, "0123456789");
    if (count == 0 || count > DIGITS_MAX)
        return false;
    *number = strtoull(*text + 1, NULL, 10);
    *text += 1 + count;
    return true;
}

/* Passes over `part`. */
static bool take_text(const char **text, const char *part)
{
    size_t size = strlen(part);
    if (strncmp(*text, part, size) != 0)
        return false;
    *text += size;
    return true;
}

static bool is_same(char *made, const char *file_name)
{
    bool same = strcmp(made, file_name) == 0;
    mem_free(made);
    return same;
}

bool part_name_is_published(const struct part_name *name, const char *file_name,
    uint64_t *checkpoint)
{
    const char *at = file_name;
    uint64_t subtask;
    return take_text(&at, name->prefix) && take_number(&at, checkpoint) &&
           take_number(&at, &subtask) && subtask <= UINT32_MAX &&
           is_same(part_name_published(name, *checkpoint, (uint32_t)subtask), file_name);
}

bool part_name_is_hidden(const struct part_name *name, const char *file_name, uint64_t *attempt,
    uint32_t *subtask)
{
    const char *at = file_name;
    char owner[24];
    uint64_t writer, sequence;
    snprintf(owner, sizeof(owner), "-%016" PRIx64, name->owner);
    if (!take_text(&at, ".") || !take_text(&at, name->prefix) || !take_text(&at, owner) ||
        !take_number(&at, attempt) || !take_number(&at, &writer) || !take_number(&at, &sequence) ||
        writer > UINT32_MAX)
        return false;
    *subtask = (uint32_t)writer;
    return is_same(part_name_hidden(name, *attempt, *subtask, sequence), file_name);
}
