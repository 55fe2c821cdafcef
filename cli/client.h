/* client.h -- the REST interface of a job manager, as the verbs ask it.
 *
 *      client_open     where it is (-m, the configuration, or what was started here), its token, its TLS: those of the
 *                      configuration, and of what was started here those that it was started with; of
 *                      several, and of standbys that say who leads, the one that answers
 *      client_call     a request, JSON in and out; what the server refuses is an error in its words
 *      client_start_wait, client_pause     a wait that ends
 *
 * The server's rule for errors is Flink's: an object whose only member is "errors". Everything has the deadline of
 * --timeout, counted from client_open or the last client_renew; an upload has none while bytes go through.
 *
 * Prefixes: client_. Thread: one. Limits: an answer of HTTP_CLIENT_ANSWER_MAX. */
#ifndef WEIR_CLI_CLIENT_H
#define WEIR_CLI_CLIENT_H

#include "cli/document.h"
#include "cli/verb.h"
#include "net/http_client.h"
#include "runtime/cluster/conf.h"

#define CLIENT_POLL_MAX_MS 2000
#define CLIENT_URLS_MAX    16u

/* Thread: one. */
struct client {
    char *url;                   /* of who is asked now, without a slash at its end */
    char *urls[CLIENT_URLS_MAX]; /* that were given: one who leads is found by any that is there */
    uint32_t url_count;
    char *token;
    const char *conf_path; /* by --conf, WEIR_CONF, or conf/weir.yaml; NULL: none */
    struct conf conf;
    struct waker *waker; /* what a pause sleeps on */
    int64_t timeout_ms, deadline_ns;
    int64_t pause_ms; /* the next one */
    char *
        failure; /* what the first call that may pass later has failed with since one did not; NULL: none */
    int status; /* of the last answer; 0: there was none */
    bool is_json;
    bool is_led; /* `url` is what a standby has said */
};

/* After an error there is nothing to close. */
weir_error *client_open(const struct verb_call *call, struct client *client) WEIR_MUST_USE;
void client_close(struct client *client);
/* That of the configuration alone is asked; or that of the cluster which `weir cluster start` has started with this
 * directory, if it has, with what that was started with where the configuration says nothing. */
void client_use_conf(struct client *client);
weir_error *client_use_cluster(struct client *client, const char *dir) WEIR_MUST_USE;
/* For client_use_cluster of later verbs: where this one is asked, with which token file and certificates. */
weir_error *client_keep_cluster(const struct client *client, const char *dir) WEIR_MUST_USE;

/* `body` NULL: of a GET none, of others {}. An answer that is wanted (NULL: it is not) is document_free'd. Errors
 * that may pass (no answer, 503) are retriable. */
weir_error *client_call(struct client *client, enum http_method method, const char *path,
    const struct document *body, struct document **answer) WEIR_MUST_USE;
/* An answer that is no JSON; mem_free it. *size: of what may have any bytes; terminated all the same. */
weir_error *client_text(struct client *client, const char *path, char **text, size_t *size)
    WEIR_MUST_USE;
/* PUT of a file. */
weir_error *client_upload(struct client *client, const char *path, const char *file) WEIR_MUST_USE;
/* Is there such a thing? Asked with HEAD. */
weir_error *client_has(struct client *client, const char *path, bool *has) WEIR_MUST_USE;

/* Polling: at once, then after 10 ms, and twice as long each time up to CLIENT_POLL_MAX_MS. */
void client_start_wait(struct client *client);
void client_renew(struct client *client);         /* the deadline: something has happened */
bool client_is_late(const struct client *client); /* the deadline is over */
void client_pause(struct client *client); /* until the next poll, the deadline, or a signal */

/* What a person is told meanwhile; nothing with --json. */
weir_error *client_say(const struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3))) WEIR_MUST_USE;
/* The answer of --json, nothing without; frees the document. */
weir_error *client_answer(const struct client *client, struct document *document) WEIR_MUST_USE;
/* A segment of a path. mem_free it. */
char *client_escape(const char *text);

#endif
