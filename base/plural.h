/* plural.h -- "1 slot", "2 slots": in what people read.
 *
 *      log_info("...", "%u slot%s", count, plural(count))
 *
 * Prefixes: plural
 * Thread: any. */
#ifndef WEIR_BASE_PLURAL_H
#define WEIR_BASE_PLURAL_H

#include <stdint.h>

static inline const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

#endif
