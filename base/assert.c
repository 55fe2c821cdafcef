/* assert.c -- the last words of a broken belief. Plain stdio and abort: nothing else may be
 * trusted. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "weir: assertion failed: %s (%s:%d); this is a defect, please report it\n",
        expression, file, line);
    abort();
}
