/* temp_dir.c -- mkdtemp, and rm -r through base/os.h. */
#include "test/support/temp_dir.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define RING_SIZE 16u

char *temp_dir_new(void)
{
    const char *parent = getenv("TMPDIR");
    char *path = mem_printf("%s/weir-test-XXXXXX", parent == NULL ? "/tmp" : parent);
    ASSERT(mkdtemp(path) != NULL);
    return path;
}

void temp_dir_free(char *path)
{
    weir_error *error = os_remove_tree(path);
    ASSERT(error == NULL);
    mem_free(path);
}

const char *temp_dir_path(const char *dir, const char *format, ...)
{
    static char ring[RING_SIZE][OS_PATH_MAX];
    static unsigned next;
    char *text = ring[next++ % RING_SIZE];
    int size = snprintf(text, OS_PATH_MAX, "%s/", dir);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + size, (size_t)(OS_PATH_MAX - size), format, arguments);
    va_end(arguments);
    return text;
}

void temp_dir_write(const char *path, const void *bytes, unsigned long size)
{
    struct os_file *file;
    weir_error *error = os_open(path, OS_TRUNCATE, &file);
    ASSERT(error == NULL);
    error = os_write(file, bytes, size);
    ASSERT(error == NULL);
    os_close(file);
}
