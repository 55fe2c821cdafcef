/* election_znode.c -- see election_znode.h. */
#include "runtime/cluster/election_znode.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RENEWALS_PER_TIMEOUT 4
#define REOPEN_MS            1000 /* after a session that ended */
#define SEQUENCE_SIZE        ((size_t)10)

void election_znode_init(struct election_znode *node, uint64_t id, bool is_observer)
{
    *node = (struct election_znode){ .id = id, .is_observer = is_observer };
}

/* All that belongs to a session. */
static void forget(struct election_znode *node)
{
    *node = (struct election_znode){ .id = node->id,
        .is_observer = node->is_observer,
        .leader = node->leader,
        .next_ms = node->next_ms };
}

static enum election_znode_call choose(const struct election_znode *node, int64_t now_ms)
{
    if (node->must_close)
        return ZNODE_CLOSE;
    if (node->link == ZNODE_CLOSED)
        return now_ms >= node->next_ms ? ZNODE_OPEN : ZNODE_NONE;
    if (node->link != ZNODE_CONNECTED || node->call != ZNODE_NONE)
        return ZNODE_NONE;
    if (!node->is_made && !node->is_observer)
        return ZNODE_MAKE;
    if (!node->is_listed)
        return now_ms >= node->next_ms ? ZNODE_LIST : ZNODE_NONE;
    if (node->own[0] == '\0' && !node->is_observer)
        return ZNODE_CREATE;
    if (node->lowest[0] != '\0' && !node->is_read)
        return ZNODE_READ;
    return node->is_lowest && now_ms >= node->next_ms ? ZNODE_RENEW : ZNODE_NONE;
}

enum election_znode_call election_znode_next(struct election_znode *node, int64_t now_ms)
{
    enum election_znode_call call = choose(node, now_ms);
    if (call == ZNODE_OPEN)
        node->link = ZNODE_CONNECTING;
    else if (call != ZNODE_NONE && call != ZNODE_CLOSE)
        node->call = call;
    if (call == ZNODE_LIST)
        node->is_stale = false;
    if (call != ZNODE_NONE)
        node->called_ms = now_ms;
    return call;
}

int64_t election_znode_deadline_ms(const struct election_znode *node)
{
    if (node->must_close)
        return 0;
    bool is_waiting =
        node->link == ZNODE_CLOSED || (node->link == ZNODE_CONNECTED && node->call == ZNODE_NONE &&
                                          (node->is_lowest || !node->is_listed));
    return is_waiting ? node->next_ms : INT64_MAX;
}

void election_znode_connected(struct election_znode *node, int64_t timeout_ms)
{
    if (node->must_close || node->link == ZNODE_CLOSED)
        return;
    node->link = ZNODE_CONNECTED;
    node->timeout_ms = timeout_ms;
    node->is_listed = false; /* a change may have been missed */
    node->next_ms = 0;
}

void election_znode_disconnected(struct election_znode *node)
{
    if (node->link == ZNODE_CONNECTED)
        node->link = ZNODE_CONNECTING;
}

void election_znode_ended(struct election_znode *node, int64_t now_ms)
{
    forget(node);
    node->must_close = true;
    node->next_ms = now_ms + REOPEN_MS;
}

void election_znode_closed(struct election_znode *node)
{
    ASSERT(node->must_close);
    node->must_close = false;
}

void election_znode_changed(struct election_znode *node)
{
    node->is_listed = false;
    node->is_stale = true;
    node->next_ms = 0;
}

static enum election_znode_call answered(struct election_znode *node)
{
    enum election_znode_call call = node->call;
    node->call = ZNODE_NONE;
    return call;
}

void election_znode_answer(struct election_znode *node, enum election_znode_result result,
    int64_t now_ms)
{
    enum election_znode_call call = answered(node);
    if (result == ZNODE_REFUSED) {
        election_znode_ended(node, now_ms);
        return;
    }
    if (result == ZNODE_OK && call == ZNODE_RENEW) {
        node->is_renewed = true;
        node->is_leader = node->is_lowest;
        node->confirmed_ms = node->called_ms;
        node->next_ms = now_ms + node->timeout_ms / RENEWALS_PER_TIMEOUT;
        return;
    }
    if (result == ZNODE_OK && call == ZNODE_MAKE)
        node->is_made = true;
    if (result == ZNODE_MISSING && call == ZNODE_RENEW) {
        node->is_leader = node->is_lowest = node->is_renewed = false;
        node->own[0] = '\0'; /* somebody has deleted it */
    }
    if (result == ZNODE_MISSING && call == ZNODE_LIST)
        node->next_ms = now_ms + REOPEN_MS; /* an observer that came first */
    node->is_listed = false;                /* whatever it was: look */
}

/* Of "candidate-<16 hex>-<10 digits, maybe with a sign>". */
static bool name_parse(const char *name, uint64_t *id, int64_t *sequence)
{
    const char *hex = name + strlen(ZNODE_PREFIX);
    char *end;
    if (strncmp(name, ZNODE_PREFIX, strlen(ZNODE_PREFIX)) != 0 || strlen(name) >= ZNODE_NAME_SIZE ||
        strspn(hex, "0123456789abcdef") != 16 || hex[16] != '-')
        return false;
    *id = strtoull(hex, NULL, 16);
    *sequence = strtoll(hex + 17, &end, 10);
    return *end == '\0' && strlen(hex + 17) >= SEQUENCE_SIZE;
}

void election_znode_children(struct election_znode *node, const char *const *names, uint32_t count)
{
    char lowest[ZNODE_NAME_SIZE] = "", own[ZNODE_NAME_SIZE] = "";
    int64_t lowest_sequence = INT64_MAX, own_sequence = INT64_MAX;
    enum election_znode_call call = answered(node);
    ASSERT(call == ZNODE_LIST);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id;
        int64_t sequence;
        if (!name_parse(names[i], &id, &sequence))
            continue;
        if (id == node->id && sequence < own_sequence) {
            own_sequence = sequence;
            snprintf(own, sizeof(own), "%s", names[i]);
        }
        if (sequence < lowest_sequence) {
            lowest_sequence = sequence;
            snprintf(lowest, sizeof(lowest), "%s", names[i]);
        }
    }
    if (strcmp(lowest, node->lowest) != 0)
        node->is_read = false;
    if (strcmp(own, node->own) != 0)
        node->is_leader = node->is_renewed = false;
    memcpy(node->own, own, sizeof(own));
    memcpy(node->lowest, lowest, sizeof(lowest));
    node->is_lowest = own[0] != '\0' && strcmp(own, lowest) == 0 && !node->is_observer;
    node->is_leader = node->is_leader && node->is_lowest;
    node->is_listed = !node->is_stale;
    if (lowest[0] == '\0')
        node->leader = (struct election_leader){ .epoch = 0 };
}

void election_znode_data(struct election_znode *node, const struct election_leader *leader)
{
    enum election_znode_call call = answered(node);
    ASSERT(call == ZNODE_READ);
    node->is_read = true;
    node->leader = *leader;
}

void election_znode_resign(struct election_znode *node)
{
    bool has_session = node->link != ZNODE_CLOSED || node->must_close;
    forget(node);
    node->is_observer = true;
    node->must_close = has_session;
    node->next_ms = 0;
}

bool election_znode_is_sure(const struct election_znode *node, int64_t now_ms)
{
    return node->is_leader && node->is_read && node->link == ZNODE_CONNECTED &&
           now_ms - node->confirmed_ms < node->timeout_ms;
}
