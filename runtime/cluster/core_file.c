/* core_file.c -- see core_file.h. */
#include "runtime/cluster/core_file.h"

#include "base/log.h"
#include "base/os.h"

#include <elf.h>

#define PATTERN_PATH     "/proc/sys/kernel/core_pattern"
#define PATTERN_SIZE_MAX 4096u

char *core_file_pattern(void)
{
    char *text;
    size_t size;
    weir_error *error = os_read_file(PATTERN_PATH, PATTERN_SIZE_MAX, &text, &size);
    if (error != NULL) {
        weir_error_free(error);
        return NULL;
    }
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* An ELF file says what it is in its first bytes. */
static bool is_core(const char *path)
{
    struct os_stat stat;
    struct os_file *file = NULL;
    unsigned char ident[EI_NIDENT + sizeof(Elf64_Half)];
    Elf64_Half type = ET_NONE;
    size_t got = 0;
    weir_error *error = os_stat(path, &stat);
    if (error == NULL && stat.is_regular)
        error = os_open(path, OS_READ, &file);
    if (error == NULL && file != NULL)
        error = os_read_at(file, 0, ident, sizeof(ident), &got);
    os_close(file);
    if (error == NULL && got == sizeof(ident))
        memcpy(&type, ident + EI_NIDENT, sizeof(type));
    weir_error_free(error);
    return type == ET_CORE && memcmp(ident, ELFMAG, SELFMAG) == 0;
}

/* mem_free it; NULL: there is none. */
static char *find_core(const char *dir)
{
    char **names, *found = NULL;
    uint32_t count;
    weir_error *error = os_list(dir, &names, &count);
    for (uint32_t i = 0; error == NULL && found == NULL && i < count; i++) {
        found = mem_printf("%s/%s", dir, names[i]);
        if (is_core(found))
            continue;
        mem_free(found);
        found = NULL;
    }
    if (error == NULL)
        os_names_free(names, count);
    weir_error_free(error);
    return found;
}

/* Where it is now; mem_free it. NULL: it goes with the directory that it is in. */
static char *move(const char *from, const struct core_place *place)
{
    char *to = NULL;
    weir_error *error =
        place->logs == NULL ? NULL : log_dir_keep_core(place->logs, from, place->name, &to);
    if (error != NULL)
        log_warn("taskmanager", "the directory of cores: %s", weir_error_message(error));
    weir_error_free(error);
    if (to != NULL)
        return to;
    error = os_rename(from, place->spare);
    if (error == NULL)
        return mem_strdup(place->spare);
    log_warn("taskmanager", "a core is lost: %s", weir_error_message(error));
    weir_error_free(error);
    return NULL;
}

char *core_file_keep(const char *pattern, const struct core_place *place)
{
    if (pattern == NULL)
        return mem_printf(
            " (core dumped; where, " PATTERN_PATH " would say, which cannot be read)");
    if (pattern[0] == '|' || pattern[0] == '/')
        return mem_printf(" (core dumped by core_pattern '%s')", pattern);
    char *from = find_core(place->dir);
    if (from == NULL)
        return mem_printf(" (core dumped by core_pattern '%s', but not into the directory that the "
                          "process was started in)",
            pattern);
    char *to = move(from, place);
    char *text = to == NULL ? mem_printf(" (core dumped, and lost: it could not be moved)")
                            : mem_printf(" (core dumped: '%s')", to);
    mem_free(from);
    mem_free(to);
    return text;
}
