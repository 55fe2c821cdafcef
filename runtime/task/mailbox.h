/* mailbox.h -- the only way to make a task do something from outside.
 *
 * A task's step empties the mailbox, then processes one batch of input. Whatever is not a record
 * (checkpoint trigger, completion, "upload done", stop) arrives here as a letter and runs on the task
 * thread between two batches. That is why operators, timers and state have no locks.
 *
 *      worker, job manager  --push-->  [ letters ]  --take-->  task
 *
 * Cost:    an empty mailbox costs the task one relaxed load per step.
 * Limit:   letters_max. Senders are bounded (a few per checkpoint, one per asynchronous call), so a
 *          full box is a defect and asserts.
 * Owner:   the task. A letter's arg changes hands with it, back to `drop` if it stays unread.
 * Closing: after mailbox_close a push drops the letter at once. */
#ifndef WEIR_TASK_MAILBOX_H
#define WEIR_TASK_MAILBOX_H

#include "base/os.h"
#include <stdint.h>

struct task;
/* Thread: its holder. */
struct letter {
    const char *what; /* static text, for logs */
    void (*run)(struct task *task, void *arg);
    void (*drop)(void *arg); /* may be NULL */
    void *arg;
};

struct mailbox;                                    /* Thread: task, but push */
struct mailbox *mailbox_new(uint32_t letters_max); /* wakes nobody until it is told whom */
void mailbox_free(struct mailbox *box);            /* drops what is inside */
void mailbox_set_waker(struct mailbox *box, struct waker *waker); /* before the first push */
bool mailbox_take(struct mailbox *box, struct letter *letter);    /* false: nothing there */
void mailbox_close(struct mailbox *box);

/* Thread: any */
void mailbox_push(struct mailbox *box, struct letter letter);

#endif
