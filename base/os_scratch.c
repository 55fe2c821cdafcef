/* os_scratch.c -- see os_scratch.h. */
#include "base/os_scratch.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX        "weir."
#define NAME_SIZE_MAX ((size_t)64)
#define RANDOM_DIGITS ((size_t)16)

const char *os_scratch_parent(void)
{
    const char *given = getenv("TMPDIR");
    return given == NULL || given[0] == '\0' ? "/tmp" : given;
}

weir_error *os_scratch_open(const char *parent, const char *name, struct os_scratch *scratch)
{
    ASSERT(strlen(name) <= NAME_SIZE_MAX);
    char *path = mem_printf("%s/" PREFIX "%s.%016" PRIx64,
        parent == NULL ? os_scratch_parent() : parent, name, os_random());
    char *aside = mem_printf("%s.new", path);
    *scratch = (struct os_scratch){ .claim = -1 };
    weir_error *error = os_make_dirs(aside);
    if (error == NULL) {
        scratch->claim = os_dir_claim(aside); /* -1: nobody else gets one here either */
        error = os_rename(aside, path);
        if (error != NULL)
            error = weir_error_join(error, os_remove_tree(aside));
    }
    mem_free(aside);
    if (error == NULL) {
        scratch->path = path;
        return NULL;
    }
    os_dir_unclaim(scratch->claim);
    mem_free(path);
    return error;
}

weir_error *os_scratch_close(struct os_scratch *scratch)
{
    if (scratch->path == NULL)
        return NULL;
    weir_error *error = os_remove_tree(scratch->path);
    os_scratch_leave(scratch);
    return error;
}

void os_scratch_leave(struct os_scratch *scratch)
{
    if (scratch->path != NULL)
        os_dir_unclaim(scratch->claim);
    mem_free(scratch->path);
    *scratch = (struct os_scratch){ .claim = -1 };
}

static bool is_scratch(const char *name)
{
    const char *digits = strrchr(name, '.');
    size_t prefix = strlen(PREFIX);
    return strncmp(name, PREFIX, prefix) == 0 && digits >= name + prefix &&
           strlen(digits + 1) == RANDOM_DIGITS &&
           strspn(digits + 1, "0123456789abcdef") == RANDOM_DIGITS;
}

/* Whoever has the claim is alone in there. False: somebody lives there, or it is not ours. */
static bool sweep_one(const char *path, weir_error **error)
{
    int claim = os_dir_is_own(path) ? os_dir_claim(path) : -1;
    if (claim < 0)
        return false;
    *error = os_remove_tree(path);
    os_dir_unclaim(claim);
    return true;
}

weir_error *os_scratch_sweep(const char *parent, uint32_t count_max, uint32_t *removed)
{
    char **names;
    uint32_t count, tried = 0;
    weir_error *error = NULL;
    *removed = 0;
    WEIR_TRY(os_list(parent, &names, &count));
    for (uint32_t i = 0; i < count && tried < count_max; i++) {
        weir_error *failed = NULL;
        char *path = is_scratch(names[i]) ? mem_printf("%s/%s", parent, names[i]) : NULL;
        if (path != NULL && sweep_one(path, &failed)) {
            tried++;
            *removed += failed == NULL;
        }
        error = weir_error_join(error, failed);
        mem_free(path);
    }
    os_names_free(names, count);
    return error;
}
