/* mailbox.c -- see mailbox.h. */
#include "runtime/task/mailbox.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/queue.h"
#include <stdatomic.h>

/* Thread: as the header says. */
struct mailbox {
    struct inbox *inbox;
    struct waker *waker;
    atomic_bool is_closed;
};

struct mailbox *mailbox_new(uint32_t letters_max)
{
    ASSERT(letters_max > 0);
    struct mailbox *box = mem_alloc(sizeof(*box));
    box->inbox = inbox_new(letters_max, sizeof(struct letter));
    return box;
}

static void drop(const struct letter *letter)
{
    if (letter->drop != NULL)
        letter->drop(letter->arg);
}

void mailbox_free(struct mailbox *box)
{
    if (box == NULL)
        return;
    mailbox_close(box);
    struct letter letter;
    while (inbox_take(box->inbox, &letter))
        drop(&letter);
    inbox_free(box->inbox);
    mem_free(box);
}

void mailbox_set_waker(struct mailbox *box, struct waker *waker)
{
    box->waker = waker;
}

bool mailbox_take(struct mailbox *box, struct letter *letter)
{
    return inbox_take(box->inbox, letter);
}

void mailbox_close(struct mailbox *box)
{
    atomic_store(&box->is_closed, true);
    inbox_close(box->inbox);
}

void mailbox_push(struct mailbox *box, struct letter letter)
{
    ASSERT(letter.what != NULL && letter.run != NULL);
    if (!inbox_push(box->inbox, &letter)) {
        ASSERT(atomic_load(&box->is_closed)); /* full: senders are bounded, see the header */
        drop(&letter);
        return;
    }
    if (box->waker != NULL)
        waker_wake(box->waker);
}
