/* wire_host.c -- see wire_host.h. */
#include "runtime/exchange/wire_host.h"

#include "base/assert.h"
#include "base/os.h"
#include "base/worker.h"

void wire_host_init(struct wire_host *host, const char *name, struct workers *workers,
    struct waker *waker)
{
    *host = (struct wire_host){ .name = name, .workers = workers, .waker = waker };
}

void wire_host_release(struct wire_host *host)
{
    if (host->is_asked && host->workers != NULL)
        workers_drain(host->workers, host);
    weir_error_free(host->error);
    *host = (struct wire_host){ .name = NULL };
}

static void look_up(void *arg)
{
    struct wire_host *host = arg;
    host->error = os_socket_look_up(host->name, &host->addresses);
    atomic_store_explicit(&host->is_answered, true, memory_order_release);
    waker_wake(host->waker);
}

/* False: nobody can be asked now. */
static bool ask(struct wire_host *host)
{
    ASSERT(!host->is_asked);
    host->next = host->addresses.count = 0;
    atomic_store_explicit(&host->is_answered, false, memory_order_relaxed);
    if (host->workers != NULL && !workers_submit(host->workers, host, look_up, host))
        return false;
    host->is_asked = true;
    if (host->workers == NULL)
        look_up(host);
    return true;
}

bool wire_host_has_answered(const struct wire_host *host)
{
    return host->is_asked &&
           atomic_load_explicit(&((struct wire_host *)(uintptr_t)host)->is_answered,
               memory_order_acquire);
}

bool wire_host_has_more(const struct wire_host *host)
{
    return !host->is_asked && host->next < host->addresses.count;
}

const char *wire_host_next(struct wire_host *host, weir_error **error)
{
    *error = NULL;
    if (!host->is_asked && !wire_host_has_more(host) && !ask(host)) {
        *error = weir_error_retriable(weir_errorf(WEIR_E_LIMIT,
            "the address of host '%s' is not looked up: too much blocking work is waiting",
            host->name));
        return NULL;
    }
    if (host->is_asked && !wire_host_has_answered(host))
        return NULL;
    host->is_asked = false;
    *error = host->error;
    host->error = NULL;
    return *error == NULL ? host->addresses.list[host->next++] : NULL;
}
