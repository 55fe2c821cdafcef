/* heap.h -- memory of the job's own, outside of the engine's budget: the working memory of one
 * emission.
 *
 * Running out ends the process, as it does in the engine: it is the size of one person's output, a
 * job that has not got it cannot go on, and starts again from its last checkpoint. Thread: any. */
#ifndef USERPROFILE_HEAP_H
#define USERPROFILE_HEAP_H

#include <stdio.h>
#include <stdlib.h>

static inline void *heap_resize(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (memory == NULL) {
        fprintf(stderr, "userprofile: out of memory: %zu bytes for one profile\n", size);
        abort();
    }
    return memory;
}

#endif
