/* rest.c -- see rest.h: from a request to its handler, and what goes wrong on the way. */
#include "web/rest.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "runtime/cluster/conf.h"
#include "web/rest_route.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_MAX 8192

struct rest *rest_new(const struct rest_options *options)
{
    struct rest *rest = mem_alloc(sizeof(*rest));
    rest->options = *options;
    return rest;
}

void rest_free(struct rest *rest)
{
    mem_free(rest);
}

void rest_reply_release(struct rest_reply *reply)
{
    weir_buffer_free(reply->body);
    mem_free(reply->file);
    *reply = (struct rest_reply){ 0 };
}

/* -- errors --------------------------------------------------------------------------------- */

void rest_error(struct call *call, int status, const char *format, ...)
{
    char text[ERROR_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    weir_buffer_reset(call->reply->body);
    mem_free(call->reply->file);
    call->reply->file = NULL;
    call->reply->status = status;
    call->reply->type = REST_TYPE_JSON;
    call->json = json_to(call->reply->body);
    json_put_object(&call->json, NULL);
    json_put_array(&call->json, "errors");
    json_put_text(&call->json, NULL, text);
    json_put_end(&call->json);
    json_put_end(&call->json);
}

/* 503 is not for what may be full for long: Flink's client tries again for a minute. */
static int status_of(enum weir_code code)
{
    return code == WEIR_E_USAGE       ? 400
           : code == WEIR_E_STATE     ? 409
           : code == WEIR_E_CONNECTOR ? 404
           : code == WEIR_E_LIMIT     ? 429
                                      : 500;
}

void rest_refuse_with(struct call *call, const weir_error *error)
{
    rest_error(call, status_of(weir_error_code(error)), "%s", weir_error_message(error));
}

void rest_refuse(struct call *call, weir_error *error)
{
    rest_refuse_with(call, error);
    weir_error_free(error);
}

/* -- small things --------------------------------------------------------------------------- */

const char *rest_query(const struct call *call, const char *name)
{
    const struct rest_request *request = call->request;
    return request->query == NULL ? NULL : request->query(request->arg, name);
}

bool rest_is_hex(const char *text, size_t size)
{
    return strlen(text) == size && strspn(text, "0123456789abcdef") == size;
}

uint64_t rest_number(const char *text, uint64_t max)
{
    size_t size = strlen(text);
    if (size == 0 || size > 19 || strspn(text, "0123456789") != size)
        return UINT64_MAX;
    uint64_t value = strtoull(text, NULL, 10);
    return value > max ? UINT64_MAX : value;
}

/* -- a request ------------------------------------------------------------------------------ */

static bool comes_from_elsewhere(const struct rest_request *request)
{
    const char *site = request->fetch_site;
    return site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

/* "localhost:8081", "127.0.0.1", "[::1]:8081" are this machine. */
static bool is_for_another(const struct rest_request *request)
{
    const char *host = request->host;
    return host != NULL && conf_loopback_size(host, strlen(host)) == 0;
}

/* Refused: 403. What only looks is everybody's. */
static bool may_change(struct call *call)
{
    weir_error *error = NULL;
    bool has_proof = call->rest->options.has_proof;
    if (comes_from_elsewhere(call->request))
        error = weir_errorf(WEIR_E_USAGE, "A page of another origin may not do that.");
    else if (!has_proof && is_for_another(call->request))
        error = weir_errorf(WEIR_E_USAGE,
            "This was sent to another name: only localhost may be asked for that.");
    else if (!has_proof)
        error = call->request->check_user(call->request->arg);
    if (error == NULL)
        return true;
    rest_error(call, 403, "%s", weir_error_message(error));
    weir_error_free(error);
    return false;
}

static void no_route(struct call *call, const char *path)
{
    bool is_get = strcmp(call->request->method, "GET") == 0;
    if (!call->is_v1 && is_get && rest_ui(call, path))
        return;
    if (call->is_v1)
        rest_error(call, 404, "Not found: %s", call->request->path);
    else
        rest_error(call, 404, "File not found.");
}

static void run(struct call *call, const char *path)
{
    char copy[REST_PATH_MAX];
    struct segments segments;
    memcpy(copy, path, strlen(path) + 1);
    const struct route *route =
        rest_route_cut(copy, &segments) ? rest_route_find(call->request->method, &segments) : NULL;
    if (route == NULL)
        no_route(call, path);
    else if (route->is_guarded && !may_change(call))
        return;
    else if (rest_route_resolve(route, &segments, call))
        route->handle(call);
}

/* -- a reply that comes later ---------------------------------------------------------------- */

/* What of a call outlives its handler. Thread: control. */
struct later {
    struct call call; /* first */
    struct rest_request request;
    struct rest_reply reply;
};

struct call *rest_later(struct call *call)
{
    struct later *it = mem_alloc(sizeof(*it));
    it->request = *call->request;
    it->reply = *call->reply;
    it->call = (struct call){ .dispatcher = call->dispatcher,
        .request = &it->request,
        .reply = &it->reply,
        .json = call->json,
        .now_ms = call->now_ms };
    *call->reply = (struct rest_reply){ 0 };
    return &it->call;
}

void rest_answer(struct call *call)
{
    struct later *it = (struct later *)call;
    it->request.answer(it->request.answer_arg, &it->reply);
    rest_reply_release(&it->reply);
    mem_free(it);
}

bool rest_handle(struct rest *rest, const struct rest_request *request, struct rest_reply *reply)
{
    *reply = (struct rest_reply){ .status = 200,
        .type = REST_TYPE_JSON,
        .body = weir_buffer_new(REST_REPLY_MAX) };
    struct call call = { .rest = rest,
        .dispatcher = rest->options.dispatcher,
        .request = request,
        .reply = reply,
        .json = json_to(reply->body),
        .now_ms = os_wall_ms() };
    const char *path = request->path;
    call.is_v1 = strncmp(path, "/v1/", 4) == 0 || strcmp(path, "/v1") == 0;
    if (call.is_v1)
        path += 3;
    if (strlen(path) >= REST_PATH_MAX)
        rest_error(&call, 414, "The path is too long.");
    else
        run(&call, path);
    if (reply->body == NULL)
        return false;
    if (weir_buffer_overflowed(reply->body))
        rest_error(&call, 500, "The answer has more than %zu bytes.", REST_REPLY_MAX);
    return true;
}
