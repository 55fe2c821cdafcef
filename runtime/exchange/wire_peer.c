/* wire_peer.c -- see wire_peer.h. Places are counted modulo 2^32, as in channel.c; differences are small. */
#include "runtime/exchange/wire_peer.h"

#include "base/memory.h"

#include <stdlib.h>

/* One channel, its end on this side. */
struct port {
    struct channel *channel;
    uint32_t number;
    uint32_t granted; /* places, ever */
    uint32_t moved;   /* places, ever: sent, or pushed */
};

struct ports {
    struct port *items; /* by number */
    uint32_t count;
};

struct wire_peer {
    uint32_t worker;
    struct ports outputs, inputs;
    uint32_t turn; /* the output that is looked at first: nobody is always last */
};

struct wire_peer *wire_peer_new(uint32_t worker)
{
    struct wire_peer *peer = mem_alloc(sizeof(*peer));
    peer->worker = worker;
    return peer;
}

void wire_peer_free(struct wire_peer *peer)
{
    if (peer == NULL)
        return;
    mem_free(peer->outputs.items);
    mem_free(peer->inputs.items);
    mem_free(peer);
}

static void add(struct ports *ports, uint32_t number, struct channel *channel)
{
    if ((ports->count & (ports->count - 1)) == 0) /* a power of two: full, or nothing yet */
        ports->items = mem_realloc(ports->items,
            (ports->count == 0 ? 1 : (size_t)ports->count * 2) * sizeof(struct port));
    ports->items[ports->count++] = (struct port){ .channel = channel, .number = number };
}

void wire_peer_add_output(struct wire_peer *peer, uint32_t number, struct channel *channel)
{
    add(&peer->outputs, number, channel);
}

void wire_peer_add_input(struct wire_peer *peer, uint32_t number, struct channel *channel)
{
    add(&peer->inputs, number, channel);
    channel_set_remote(channel);
}

bool wire_peer_has_channels(const struct wire_peer *peer)
{
    return peer->outputs.count + peer->inputs.count > 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = ((const struct port *)a)->number, right = ((const struct port *)b)->number;
    return (left > right) - (left < right);
}

static void sort(struct ports *ports)
{
    if (ports->count > 0)
        qsort(ports->items, ports->count, sizeof(struct port), compare);
    for (uint32_t i = 1; i < ports->count; i++)
        ASSERT(ports->items[i - 1].number < ports->items[i].number);
}

void wire_peer_start(struct wire_peer *peer)
{
    sort(&peer->outputs);
    sort(&peer->inputs);
}

static struct port *find(const struct ports *ports, uint32_t number)
{
    struct port key = { .number = number };
    if (ports->count == 0)
        return NULL;
    return bsearch(&key, ports->items, ports->count, sizeof(struct port), compare);
}

/* -- out ------------------------------------------------------------------------------------- */

static bool has_credit(const struct port *port)
{
    return (int32_t)(port->granted - port->moved) > 0;
}

/* One segment of an output; false: it has none that may go. */
static bool send_one(struct port *port, struct wire_link *link)
{
    struct segment *segment = has_credit(port) ? channel_pop(port->channel) : NULL;
    if (segment == NULL)
        return false;
    port->moved += channel_places(segment);
    wire_link_add_segment(link, port->number, segment);
    return true;
}

/* Outputs take turns, a segment each. */
static void fill_segments(struct wire_peer *peer, struct wire_link *link)
{
    uint32_t count = peer->outputs.count, idle = 0;
    while (idle < count && wire_link_space(link) > 0) {
        idle = send_one(&peer->outputs.items[peer->turn], link) ? 0 : idle + 1;
        peer->turn = peer->turn + 1 == count ? 0 : peer->turn + 1;
    }
}

static void fill_grants(struct wire_peer *peer, struct wire_link *link)
{
    for (uint32_t i = 0; i < peer->inputs.count && wire_link_space(link) > 0; i++) {
        struct port *port = &peer->inputs.items[i];
        uint32_t granted = port->moved + channel_room(port->channel);
        uint32_t more = granted - port->granted;
        if ((int32_t)more <= 0)
            continue;
        if (has_credit(port) && more * 2 < channel_credits(port->channel))
            continue;
        port->granted = granted;
        wire_link_add_credit(link, port->number, granted);
    }
}

void wire_peer_fill(struct wire_peer *peer, struct wire_link *link)
{
    fill_grants(peer, link); /* first: a few bytes that let the other side go on */
    fill_segments(peer, link);
}

/* -- in -------------------------------------------------------------------------------------- */

static weir_error *unknown(const struct wire_peer *peer, uint32_t number)
{
    return weir_errorf(WEIR_E_INTERNAL,
        "worker %u sends to channel %u, which does not lead here: its plan or its placement is "
        "another one",
        peer->worker, number);
}

weir_error *wire_peer_begin(struct wire_peer *peer, struct segment_pool *pool, uint32_t number,
    uint32_t size, struct segment **segment)
{
    const struct port *port = find(&peer->inputs, number);
    if (port == NULL)
        return unknown(peer, number);
    if (!has_credit(port))
        return weir_errorf(WEIR_E_INTERNAL, "worker %u sends to channel %u without credit",
            peer->worker, number);
    *segment = segment_take_copy(pool, size);
    if (*segment != NULL)
        return NULL;
    return weir_errorf(WEIR_E_LIMIT,
        "no memory is left for a segment of %u bytes from worker %u: %zu of %zu bytes between "
        "subtasks are in use; give the job more --memory",
        size, peer->worker, segment_pool_used(pool), segment_pool_size_max(pool));
}

weir_error *wire_peer_push(struct wire_peer *peer, uint32_t number, struct segment *segment)
{
    struct port *port = find(&peer->inputs, number);
    ASSERT(port != NULL);
    port->moved += channel_places(segment);
    channel_push(port->channel, segment);
    return NULL;
}

weir_error *wire_peer_credit(struct wire_peer *peer, uint32_t number, uint32_t granted)
{
    struct port *port = find(&peer->outputs, number);
    if (port == NULL)
        return unknown(peer, number);
    if ((int32_t)(granted - port->granted) <= 0)
        return weir_errorf(WEIR_E_INTERNAL, "worker %u takes credit of channel %u back",
            peer->worker, number);
    port->granted = granted;
    return NULL;
}
