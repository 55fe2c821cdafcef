/* sim_file.h -- the contents of one file: as processes see them, and as a power failure leaves them.
 *
 *      bytes   "page cache": what read returns       write --> bytes, page dirty
 *      safe    "platter":    what surely survives    sync  --> dirty pages copied to safe, clean
 *
 * A power failure keeps, of what is dirty, whatever the dice say: nothing, everything, a prefix, or
 * single pages, the last of them torn at a sector. The length is as uncertain as the bytes: a file may
 * end up as long as it was safely, as long as it was written, or anything between, with zeros where
 * a page did not make it.
 *
 * A failed sync is what it is on Linux: the pages are clean afterwards, but not safe. A second sync
 * succeeds and saves nothing. So an engine that retries a sync loses data here, too.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_FILE_H
#define WEIR_TEST_SIM_FILE_H

#include "test/support/random.h"
#include <stddef.h>

#define SIM_PAGE_SIZE   ((size_t)4096)
#define SIM_SECTOR_SIZE ((size_t)512)

struct sim_file {
    char *bytes, *safe;
    size_t size, safe_size, capacity; /* of both */
    bool *dirty;                      /* a page each */
    bool is_size_dirty;
};

void sim_file_release(struct sim_file *file);
/* `end` of what is written lies behind or in the file: no holes are made. */
void sim_file_write(struct sim_file *file, size_t offset, const void *bytes, size_t size);
void sim_file_truncate(struct sim_file *file); /* to nothing */
size_t sim_file_read(const struct sim_file *file, size_t offset, void *bytes, size_t size);
void sim_file_sync(struct sim_file *file);
void sim_file_fail_sync(struct sim_file *file);
/* The power fails: bytes and safe are equal afterwards. */
void sim_file_lose(struct sim_file *file, struct random *random);

#endif
