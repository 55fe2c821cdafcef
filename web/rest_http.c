/* rest_http.c -- see rest_http.h. */
#include "web/rest_http.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "web/rest.h"

static const char *method_name(enum http_method method)
{
    static const char *const names[] = { "GET", "PUT", "POST", "PATCH", "DELETE" };
    return names[method];
}

static const char *query(const void *request, const char *name)
{
    return http_query(request, name);
}

static weir_error *check_user(const void *request)
{
    return http_check_user(request);
}

static void send(void *arg, struct rest_reply *reply)
{
    struct http_request *request = arg;
    http_add_header(request, "X-Content-Type-Options", "nosniff");
    if (reply->file != NULL)
        http_reply_file(request, reply->type, reply->file);
    else
        http_reply(request, reply->status, reply->type, weir_buffer_view(reply->body));
}

void rest_http_handle(void *arg, struct http_request *request)
{
    struct rest_reply reply;
    const struct rest_request asked = { .method = method_name(http_method(request)),
        .path = http_path(request),
        .query = query,
        .arg = request,
        .body = http_body(request),
        .body_file = http_body_file(request),
        .fetch_site = http_header(request, "Sec-Fetch-Site"),
        .host = http_header(request, "Host"),
        .check_user = check_user,
        .answer = send,
        .answer_arg = request };
    if (!rest_handle(arg, &asked, &reply))
        return;
    send(request, &reply);
    rest_reply_release(&reply);
}

void rest_http_redirect(struct http_request *request, const char *leader)
{
    weir_buffer *location = weir_buffer_new((size_t)64 << 10);
    if (leader == NULL) {
        http_reply_error(request, 503, "No job manager leads now: ask again.");
    } else {
        char *text = mem_printf("This job manager is a standby: %s leads, ask there.", leader);
        buffer_printf(location, "%s", leader);
        http_target(request, location);
        http_add_header(request, "Location", buffer_text(location));
        http_reply_error(request, 307, text);
        mem_free(text);
    }
    weir_buffer_free(location);
}
