/* os_scratch.h -- directories for what need not survive its process, and those that a process which was killed has left.
 *
 *      <parent>/weir.<name>.<16 digits>      of one process, which has a claim on it (os_dir_claim) while it lives
 *
 * A killed process removes nothing, so who starts next does: os_scratch_sweep. The kernel takes a claim back with its
 * holder, so one that can be had is the proof that nobody lives in there. A directory is made under another name and
 * gets its own with the claim on it: nobody ever sees one without. What belongs to another user, is a link, or lies
 * where there are no locks stays as it is.
 *
 * Prefixes: os_scratch_
 * Thread: its owner; sweep: any. */
#ifndef WEIR_BASE_OS_SCRATCH_H
#define WEIR_BASE_OS_SCRATCH_H

#include <weir/error.h>

#include <stdint.h>

/* Thread: its owner. */
struct os_scratch {
    char *path; /* NULL: none */
    int claim;
};

/* Where they lie when nobody says it: TMPDIR, or /tmp. */
const char *os_scratch_parent(void);
/* `name`: who it is of, at most 64 letters; `parent` NULL: os_scratch_parent. After an error there is nothing to close. */
weir_error *os_scratch_open(const char *parent, const char *name, struct os_scratch *scratch)
    WEIR_MUST_USE;
/* Removes it with all that is in it; an error says what is left. A zeroed one is fine. */
weir_error *os_scratch_close(struct os_scratch *scratch) WEIR_MUST_USE;
/* It stays, and a sweep may remove it. */
void os_scratch_leave(struct os_scratch *scratch);
/* Removes those in `parent` that nobody lives in; after count_max of them it is enough. *removed: how many; an error is
 * about others. */
weir_error *os_scratch_sweep(const char *parent, uint32_t count_max, uint32_t *removed)
    WEIR_MUST_USE;

#endif
