/* submit.c -- see submit.h. */
#include "runtime/program/submit.h"

#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"

#include <string.h>

/* The weir that was built or installed with this program, else whichever PATH has. */
static weir_error *find_weir(const char *self, char **weir)
{
    struct os_stat stat;
    const char *slash = strrchr(self, '/');
    *weir = mem_printf("%.*s/weir", (int)(slash == NULL ? 0 : slash - self), self);
    WEIR_TRY(os_stat(*weir, &stat));
    if (stat.exists && stat.is_regular)
        return NULL;
    mem_free(*weir);
    *weir = mem_strdup("weir");
    return NULL;
}

/* True: argument i is --cluster, *skip of them are. */
static bool is_cluster(const char *argument, uint32_t *skip)
{
    static const char name[] = "--cluster";
    *skip = strcmp(argument, name) == 0 ? 2 : 1;
    return *skip == 2 || strncmp(argument, "--cluster=", sizeof(name)) == 0;
}

weir_error *submit_run(const char *address, const char *const *arguments, uint32_t argument_count)
{
    char *self, *weir = NULL;
    uint32_t skip, count = 0;
    WEIR_TRY(os_self_path(&self));
    char **argv = mem_alloc_array((size_t)argument_count + 6, sizeof(*argv));
    weir_error *error = find_weir(self, &weir);
    argv[count++] = weir;
    argv[count++] = mem_strdup("run");
    argv[count++] = mem_strdup("-m");
    argv[count++] = mem_strdup(address);
    argv[count++] = self;
    for (uint32_t i = 0; i < argument_count; i += skip) {
        if (!is_cluster(arguments[i], &skip))
            argv[count++] = mem_strdup(arguments[i]);
    }
    if (error == NULL)
        error = weir_error_wrap(os_exec(argv),
            "--cluster needs the command weir beside the job, or on PATH");
    while (count > 0)
        mem_free(argv[--count]);
    mem_free(argv);
    return error;
}
