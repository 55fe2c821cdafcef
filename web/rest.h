/* rest.h -- the REST interface of the job manager: one request in, one reply out.
 *
 *      rest_request --route--> handler --looks at--> dispatcher   --> rest_reply
 *                                      --asks------> dispatcher
 *
 * It speaks as Flink's does, so that Flink's command line and dashboard operate and watch Weir's jobs: the
 * documents have the fields of Flink 1.20 and of 2.x, every number always there (a client that misses one tries
 * for a minute). What it cannot do is take a job of Flink's. Each route is there twice: /v1/x, and /x for pages.
 *
 * No sockets here: rest_http.c binds it to a server. It keeps nothing of its own: what it shows is the dispatcher's,
 * what takes a while is an operation there. Nothing waits: what a disk or
 * another machine must bring first (an executable that is stored, a log) is answered later.
 *
 * Whoever may send a request that changes something may run programs. The server in front has refused those who have not the
 * token or certificate that is asked for. Where none is (has_proof), which is on this machine alone, everybody may look, and
 * what changes something, or hands out the executable of a job, is refused here unless the job manager's own user sends it,
 * or root; and if it was sent to a name that is not this machine's (Host): by a page whose name was made to lead here. What
 * a browser sends from a page of another origin is refused always (Sec-Fetch-Site).
 *
 * Thread: control. Limits: REST_JSON_MAX bytes of a JSON body, REST_PATH_MAX of a path, REST_REPLY_MAX of a reply. */
#ifndef WEIR_WEB_REST_H
#define WEIR_WEB_REST_H

#include "runtime/cluster/blob_store.h"
#include "runtime/cluster/dispatcher.h"

#define REST_JSON_MAX  ((size_t)1 << 20)
#define REST_PATH_MAX  2048u
#define REST_REPLY_MAX ((size_t)256 << 20)

/* Thread: immutable after init. */
struct rest_setting {
    const char *key, *value;
};

/* Strings are borrowed, and outlive it. Thread: immutable after init. */
struct rest_options {
    struct dispatcher *dispatcher;
    struct blob_store *blobs; /* executables */
    const char *ui_dir;       /* of another page; NULL: Weir's own */
    bool
        has_proof; /* the server in front asks for a token or certificate; else it serves this machine alone */
    const struct rest_setting *settings;
    uint32_t setting_count; /* shown to people: without secrets */
};

/* Thread: control. */
struct rest_reply {
    int status;
    const char *type;  /* static */
    weir_buffer *body; /* of it or of the file one is sent */
    char *file;        /* a path; NULL: the body */
};

/* Borrowed for the call; what its strings are in, until it is answered. Thread: control. */
struct rest_request {
    const char *method;                                      /* "GET" */
    const char *path;                                        /* decoded, without the query */
    const char *(*query)(const void *arg, const char *name); /* decoded; NULL: none */
    const void *arg;
    weir_str body;
    const char *body_file;  /* instead of a body; NULL: none */
    const char *fetch_site; /* of the header Sec-Fetch-Site; NULL: none */
    const char *host;       /* of the header Host; NULL: none */
    /* Is it of the job manager's user, or root's? Asked only when something is to change, and nobody has shown a proof. */
    weir_error *(*check_user)(const void *arg);
    /* A reply that comes later: once, from the dispatcher, which may be ending. Borrowed for the call. */
    void (*answer)(void *answer_arg, struct rest_reply *reply);
    void *answer_arg;
};

struct rest;
struct rest *rest_new(const struct rest_options *options);
void rest_free(struct rest *rest);
/* Fills in the reply: released by the caller. False: request->answer has brought it, or will. */
bool rest_handle(struct rest *rest, const struct rest_request *request, struct rest_reply *reply);
void rest_reply_release(struct rest_reply *reply);

#endif
