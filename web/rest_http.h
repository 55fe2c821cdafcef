/* rest_http.h -- the REST interface on an HTTP server: its handler.
 *
 *      struct http_server_options options = { .handler = rest_http_handle, .arg = rest,
 *          .body_dir = for executables while they arrive, ... };
 *
 * The server has judged the head by then: token, size, form (net/http_server.h). Executables come as files of
 * body_dir and go into the store. A request is kept until it is answered, whenever that is.
 *
 * Prefixes: rest_http_. Thread: the net's. */
#ifndef WEIR_WEB_REST_HTTP_H
#define WEIR_WEB_REST_HTTP_H

#include "net/http_server.h"

/* Of a job manager that does not lead: 307 to where the leader is, "http://host:port"; NULL: nobody leads now, 503, which
 * clients ask again. The words are for those who follow no redirect. */
void rest_http_redirect(struct http_request *request, const char *leader);
/* `rest`: struct rest. */
void rest_http_handle(void *rest, struct http_request *request);

#endif
