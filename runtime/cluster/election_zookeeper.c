/* election_zookeeper.c -- an election by ephemeral nodes of ZooKeeper: the border of election_znode.h.
 *
 * ZooKeeper's client has threads of its own. What they call back with goes into an inbox, and the control thread
 * reads it in its next step; the waker says that there is one. A callback never touches anything else.
 *
 *      control thread: election_zookeeper_step ── calls ──> client's threads ── messages ──> inbox ── waker
 *
 * Nothing calls back behind zookeeper_close, so what is then in the inbox is of the closed session, and thrown away.
 * Opening resolves the names of the servers on the control thread: numbers, or /etc/hosts, take no time. Closing
 * tells the servers, and waits up to 3 s for them.
 *
 * Nodes are open to all, or with `auth` for the user of the digest scheme only.
 * Thread: control, but on_* of the client's. Prefixes: election_zookeeper */
#define THREADED 1 /* the header hides what it does not have without */

#include "runtime/cluster/election.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/queue.h"
#include "runtime/cluster/election_znode.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#define MESSAGES_MAX 1024u
#define DATA_MAX     ((size_t)1024)
#define POLL_MS      50 /* without a waker */

/* Thread: made by the client's, freed by control. */
struct message {
    enum { LINK, WATCH, ANSWER } kind;
    int code;       /* of a LINK the state, of an ANSWER the result */
    char *text;     /* data, or names with a 0 behind each; NULL: none */
    uint32_t count; /* of names */
    int64_t czxid;
};

struct zookeeper_election {
    struct election election;
    struct election_znode node;
    struct waker *waker;
    struct inbox *inbox;
    atomic_bool has_overflowed;
    zhandle_t *handle;                 /* NULL: no session */
    char *quorum, *path, *auth, *data; /* data: of the own node */
    int timeout_ms;
    uint32_t parts; /* of the path, that are made */
    bool is_last_part;
    int64_t stepped_ms;
    int trouble; /* the last code that was logged */
};

static struct zookeeper_election *of(struct election *election)
{
    return (struct zookeeper_election *)election;
}

static int64_t now(void)
{
    return os_monotonic_ms();
}

/* -- on the client's threads ------------------------------------------------------------------ */

static void post(const void *context, struct message message)
{
    struct zookeeper_election *zookeeper =
        (void *)(uintptr_t)context; /* the client hands it on as const */
    if (!inbox_push(zookeeper->inbox, &message)) {
        mem_free(message.text);
        atomic_store(&zookeeper->has_overflowed, true);
    }
    if (zookeeper->waker != NULL)
        waker_wake(zookeeper->waker);
}

static void on_event(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)path;
    post(context,
        (struct message){ .kind = type == ZOO_SESSION_EVENT ? LINK : WATCH, .code = state });
}

static void answer(const void *context, struct message message)
{
    message.kind = ANSWER;
    post(context, message);
}

static void on_string(int code, const char *path, const void *context)
{
    (void)path;
    answer(context, (struct message){ .code = code });
}

static void on_stat(int code, const struct Stat *stat, const void *context)
{
    (void)stat;
    answer(context, (struct message){ .code = code });
}

static void on_data(int code, const char *value, int size, const struct Stat *stat,
    const void *context)
{
    struct message message = { .code = code };
    if (code == ZOK) {
        size_t length = size < 0 || value == NULL ? 0 : (size_t)size;
        message.text = mem_alloc(DATA_MAX);
        memcpy(message.text, value == NULL ? "" : value, length < DATA_MAX ? length : DATA_MAX - 1);
        message.czxid = stat->czxid;
    }
    answer(context, message);
}

static void on_names(int code, const struct String_vector *names, const void *context)
{
    struct message message = { .code = code };
    if (code == ZOK) {
        size_t size = 0;
        for (int32_t i = 0; i < names->count; i++)
            size += strlen(names->data[i]) + 1;
        char *at = message.text = mem_alloc(size + 1);
        for (int32_t i = 0; i < names->count; i++)
            at = stpcpy(at, names->data[i]) + 1;
        message.count = (uint32_t)names->count;
    }
    answer(context, message);
}

static void on_log(const char *text)
{
    log_debug("zookeeper", "%s", text);
}

/* -- calls ------------------------------------------------------------------------------------ */

static const struct ACL_vector *acl_of(const struct zookeeper_election *zookeeper)
{
    return zookeeper->auth == NULL ? &ZOO_OPEN_ACL_UNSAFE : &ZOO_CREATOR_ALL_ACL;
}

static void complain(struct zookeeper_election *zookeeper, const char *what, int code)
{
    if (zookeeper->trouble != code)
        log_warn("election", "ZooKeeper at '%s' cannot %s: %s", zookeeper->quorum, what,
            zerror(code));
    zookeeper->trouble = code;
}

static void end_session(struct zookeeper_election *zookeeper)
{
    struct message message;
    if (zookeeper->handle != NULL)
        zookeeper_close(zookeeper->handle);
    zookeeper->handle = NULL;
    while (inbox_take(zookeeper->inbox, &message))
        mem_free(message.text);
    atomic_store(&zookeeper->has_overflowed, false);
}

static void begin_session(struct zookeeper_election *zookeeper)
{
    ASSERT(zookeeper->handle == NULL);
    zookeeper->handle = zookeeper_init2(zookeeper->quorum, on_event, zookeeper->timeout_ms, NULL,
        zookeeper, 0, on_log);
    if (zookeeper->handle == NULL) {
        complain(zookeeper, "be reached, no name of a server is known", ZSYSTEMERROR);
        election_znode_ended(&zookeeper->node, now());
        return;
    }
    int code = zookeeper->auth == NULL ? ZOK
                                       : zoo_add_auth(zookeeper->handle, "digest", zookeeper->auth,
                                             (int)strlen(zookeeper->auth), NULL, NULL);
    if (code != ZOK)
        complain(zookeeper, "take the user", code);
}

/* The path down to its n-th part, and behind the last one nothing: *is_last. */
static char *part_of(const char *path, uint32_t n, bool *is_last)
{
    const char *at = path;
    for (uint32_t i = 0; i <= n; i++)
        at += 1 + strcspn(at + 1, "/");
    *is_last = *at == '\0';
    return mem_printf("%.*s", (int)(at - path), path);
}

static int make_part(struct zookeeper_election *zookeeper)
{
    char *part = part_of(zookeeper->path, zookeeper->parts, &zookeeper->is_last_part);
    int code =
        zoo_acreate(zookeeper->handle, part, "", 0, acl_of(zookeeper), 0, on_string, zookeeper);
    mem_free(part);
    return code;
}

static int create(struct zookeeper_election *zookeeper)
{
    char *name =
        mem_printf("%s/" ZNODE_PREFIX "%016" PRIx64 "-", zookeeper->path, zookeeper->node.id);
    int code = zoo_acreate(zookeeper->handle, name, zookeeper->data, (int)strlen(zookeeper->data),
        acl_of(zookeeper), ZOO_EPHEMERAL | ZOO_SEQUENCE, on_string, zookeeper);
    mem_free(name);
    return code;
}

static int read_or_renew(struct zookeeper_election *zookeeper, bool is_renewal)
{
    const struct election_znode *node = &zookeeper->node;
    char *name = mem_printf("%s/%s", zookeeper->path, is_renewal ? node->own : node->lowest);
    int code = is_renewal ? zoo_aset(zookeeper->handle, name, zookeeper->data,
                                (int)strlen(zookeeper->data), -1, on_stat, zookeeper)
                          : zoo_aget(zookeeper->handle, name, 0, on_data, zookeeper);
    mem_free(name);
    return code;
}

static enum election_znode_result result_of(int code)
{
    switch (code) {
    case ZOK:
    case ZNODEEXISTS:
        return ZNODE_OK;
    case ZNONODE:
        return ZNODE_MISSING;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
        return ZNODE_LOST;
    default:
        return ZNODE_REFUSED;
    }
}

/* What could not even be asked is answered at once. */
static void carry_out(struct zookeeper_election *zookeeper, enum election_znode_call call)
{
    int code = ZOK;
    switch (call) {
    case ZNODE_NONE:
        return;
    case ZNODE_OPEN:
        begin_session(zookeeper);
        return;
    case ZNODE_CLOSE:
        end_session(zookeeper);
        election_znode_closed(&zookeeper->node);
        return;
    case ZNODE_MAKE:
        zookeeper->parts = 0;
        code = make_part(zookeeper);
        break;
    case ZNODE_LIST:
        code = zoo_aget_children(zookeeper->handle, zookeeper->path, 1, on_names, zookeeper);
        break;
    case ZNODE_CREATE:
        code = create(zookeeper);
        break;
    case ZNODE_READ:
    case ZNODE_RENEW:
        code = read_or_renew(zookeeper, call == ZNODE_RENEW);
        break;
    }
    if (code != ZOK) {
        complain(zookeeper, "be asked", code);
        election_znode_answer(&zookeeper->node, result_of(code), now());
    }
}

/* -- messages --------------------------------------------------------------------------------- */

static void take_link(struct zookeeper_election *zookeeper, int state)
{
    struct election_znode *node = &zookeeper->node;
    if (state == ZOO_CONNECTED_STATE) {
        zookeeper->trouble = ZOK;
        election_znode_connected(node, zoo_recv_timeout(zookeeper->handle));
    } else if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE) {
        complain(zookeeper, "go on with the session",
            state == ZOO_AUTH_FAILED_STATE ? ZAUTHFAILED : ZSESSIONEXPIRED);
        election_znode_ended(node, now());
    } else {
        complain(zookeeper, "be reached", ZCONNECTIONLOSS);
        election_znode_disconnected(node);
    }
}

static void take_names(struct zookeeper_election *zookeeper, const struct message *message)
{
    const char **names = mem_alloc_array(message->count + 1, sizeof(*names));
    const char *at = message->text;
    for (uint32_t i = 0; i < message->count; i++) {
        names[i] = at;
        at += strlen(at) + 1;
    }
    election_znode_children(&zookeeper->node, names, message->count);
    mem_free(names);
}

static void take_data(struct zookeeper_election *zookeeper, const struct message *message)
{
    struct election_leader leader = { .epoch = (uint64_t)message->czxid };
    if (sscanf(message->text, "weir-leader 1\nrpc %261s\nrest %261s\n", leader.rpc, leader.rest) !=
        2)
        leader = (struct election_leader){ .epoch = leader.epoch };
    election_znode_data(&zookeeper->node, &leader);
}

static void take_answer(struct zookeeper_election *zookeeper, const struct message *message)
{
    enum election_znode_call call = zookeeper->node.call;
    enum election_znode_result result = result_of(message->code);
    if (result == ZNODE_REFUSED)
        complain(zookeeper, "do what it was asked for", message->code);
    if (result == ZNODE_OK && call == ZNODE_LIST) {
        take_names(zookeeper, message);
    } else if (result == ZNODE_OK && call == ZNODE_READ) {
        take_data(zookeeper, message);
    } else if (result == ZNODE_OK && call == ZNODE_MAKE && !zookeeper->is_last_part) {
        zookeeper->parts++;
        int code = make_part(zookeeper);
        if (code != ZOK)
            election_znode_answer(&zookeeper->node, result_of(code), now());
    } else {
        election_znode_answer(&zookeeper->node, result, now());
    }
}

static void take(struct zookeeper_election *zookeeper, const struct message *message)
{
    if (zookeeper->node.must_close)
        return;
    switch (message->kind) {
    case LINK:
        take_link(zookeeper, message->code);
        break;
    case WATCH:
        election_znode_changed(&zookeeper->node);
        break;
    case ANSWER:
        take_answer(zookeeper, message);
        break;
    }
}

/* -- the class -------------------------------------------------------------------------------- */

/* Brings the view up to date. True: it is another one. */
static bool show(struct zookeeper_election *zookeeper)
{
    struct election_view old = zookeeper->election.view, *view = &zookeeper->election.view;
    const struct election_znode *node = &zookeeper->node;
    view->leader = node->leader;
    view->is_leader = node->is_leader && node->is_read;
    if (view->is_leader && !old.is_leader)
        log_info("election", "this job manager is the leader: epoch=%" PRIu64, view->leader.epoch);
    if (!view->is_leader && old.is_leader)
        log_warn("election", "no longer in charge: epoch=%" PRIu64, old.leader.epoch);
    return view->is_leader != old.is_leader || view->leader.epoch != old.leader.epoch ||
           strcmp(view->leader.rpc, old.leader.rpc) != 0 ||
           strcmp(view->leader.rest, old.leader.rest) != 0;
}

static bool zookeeper_step(struct election *election, int64_t now_ms)
{
    struct zookeeper_election *zookeeper = of(election);
    struct message message;
    zookeeper->stepped_ms = now_ms;
    if (atomic_load(&zookeeper->has_overflowed))
        election_znode_ended(&zookeeper->node, now_ms);
    while (inbox_take(zookeeper->inbox, &message)) {
        take(zookeeper, &message);
        mem_free(message.text);
    }
    for (;;) {
        enum election_znode_call call = election_znode_next(&zookeeper->node, now_ms);
        if (call == ZNODE_NONE)
            return show(zookeeper);
        carry_out(zookeeper, call);
    }
}

static int64_t zookeeper_deadline_ms(const struct election *election)
{
    const struct zookeeper_election *zookeeper = (const struct zookeeper_election *)election;
    int64_t deadline_ms = election_znode_deadline_ms(&zookeeper->node);
    int64_t poll_ms = zookeeper->stepped_ms + POLL_MS;
    return zookeeper->waker == NULL && poll_ms < deadline_ms ? poll_ms : deadline_ms;
}

static weir_error *zookeeper_check(struct election *election)
{
    struct zookeeper_election *zookeeper = of(election);
    if (zookeeper->handle != NULL && zoo_state(zookeeper->handle) == ZOO_CONNECTED_STATE &&
        election_znode_is_sure(&zookeeper->node, now()))
        return NULL;
    return weir_errorf(WEIR_E_FENCED,
        "ZooKeeper at '%s' has not confirmed in time that this job manager is still the leader",
        zookeeper->quorum);
}

static void zookeeper_resign(struct election *election)
{
    struct zookeeper_election *zookeeper = of(election);
    end_session(zookeeper); /* takes the node away */
    election_znode_resign(&zookeeper->node);
}

static void zookeeper_release(struct election *election)
{
    struct zookeeper_election *zookeeper = of(election);
    end_session(zookeeper);
    inbox_free(zookeeper->inbox);
    mem_free(zookeeper->quorum);
    mem_free(zookeeper->path);
    mem_free(zookeeper->auth);
    mem_free(zookeeper->data);
    mem_free(zookeeper);
}

static weir_error *zookeeper_open(const struct election_options *options,
    struct election **election)
{
    struct zookeeper_election *zookeeper = mem_alloc(sizeof(*zookeeper));
    ASSERT(options->zookeeper.path[0] == '/');
    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    zookeeper->waker = options->waker;
    zookeeper->inbox = inbox_new(MESSAGES_MAX, sizeof(struct message));
    zookeeper->quorum = mem_strdup(options->zookeeper.quorum);
    zookeeper->path = mem_strdup(options->zookeeper.path);
    zookeeper->auth = mem_strdup(options->zookeeper.auth);
    zookeeper->timeout_ms = (int)options->zookeeper.session_timeout_ms;
    zookeeper->data = options->is_observer ? mem_strdup("")
                                           : mem_printf("weir-leader 1\nrpc %s\nrest %s\n",
                                                 options->rpc, options->rest);
    election_znode_init(&zookeeper->node, os_random(), options->is_observer);
    *election = &zookeeper->election;
    return NULL;
}

const struct election_class election_zookeeper = { .name = "zookeeper",
    .open = zookeeper_open,
    .step = zookeeper_step,
    .deadline_ms = zookeeper_deadline_ms,
    .check = zookeeper_check,
    .resign = zookeeper_resign,
    .close = zookeeper_release };
