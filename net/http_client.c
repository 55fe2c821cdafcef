/* http_client.c -- see http_client.h. */
#include "net/http_client.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"

#include <curl/curl.h>
#include <pthread.h>

/* One request on its way. Thread: its caller. */
struct request {
    const struct http_call *call;
    CURL *curl;
    struct curl_slist *headers;
    weir_buffer *answer;
    struct os_file *from, *to;
    weir_error *error; /* from inside of a callback */
};

static void prepare(void)
{
    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

/* -- bodies ------------------------------------------------------------------------------------- */

static size_t give_body(char *to, size_t size, size_t count, void *arg)
{
    struct request *request = arg;
    size_t got = 0;
    request->error = os_read(request->from, to, size * count, &got);
    return request->error == NULL ? got : CURL_READFUNC_ABORT;
}

static weir_error *keep_answer(struct request *request, const char *bytes, size_t size)
{
    long status = 0;
    curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
    if (request->call->answer_file != NULL && status >= 200 && status < 300) {
        if (request->to == NULL)
            WEIR_TRY(os_open(request->call->answer_file, OS_TRUNCATE, &request->to));
        return os_write(request->to, bytes, size);
    }
    weir_buffer_add(request->answer, bytes, size);
    if (weir_buffer_overflowed(request->answer))
        return weir_errorf(WEIR_E_LIMIT, "the answer of %s is longer than is taken here",
            request->call->url);
    return NULL;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct request *request = arg;
    if (request->error == NULL)
        request->error = keep_answer(request, bytes, size * count);
    return request->error == NULL ? size * count : 0;
}

/* -- what is asked --------------------------------------------------------------------------------- */

#define SET(option_, value_) \
    ASSERT(curl_easy_setopt(request->curl, (option_), (value_)) == CURLE_OK)

static void add_header(struct request *request, const char *name, const char *value)
{
    char *line = mem_printf("%s%s", name, value);
    request->headers = curl_slist_append(request->headers, line);
    ASSERT(request->headers != NULL);
    mem_free(line);
}

static weir_error *set_body(struct request *request)
{
    const struct http_call *call = request->call;
    struct os_stat stat;
    if (call->body_file != NULL) {
        WEIR_TRY(os_stat(call->body_file, &stat));
        WEIR_TRY(os_open(call->body_file, OS_READ, &request->from));
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)stat.size);
        SET(CURLOPT_READFUNCTION, give_body);
        SET(CURLOPT_READDATA, request);
    } else if (call->body.size > 0 || call->method != HTTP_GET) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        SET(CURLOPT_POSTFIELDS, call->body.size == 0 ? "" : call->body.data);
    }
    add_header(request, "Content-Type:", call->content_type == NULL ? "" : call->content_type);
    return NULL;
}

static void set_tls(struct request *request)
{
    const struct tls_files *tls = &request->call->tls;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (tls->ca_file != NULL) {
        SET(CURLOPT_CAINFO, tls->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    if (tls->cert_file != NULL) {
        SET(CURLOPT_SSLCERT, tls->cert_file);
        SET(CURLOPT_SSLKEY, tls->key_file);
    }
}

static void set_times(struct request *request)
{
    SET(CURLOPT_NOSIGNAL, 1L); /* signals belong to the process, not to a thread's time-out */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CLIENT_CONNECT_MS);
    SET(CURLOPT_TIMEOUT_MS, (long)request->call->timeout_ms);
    if (request->call->timeout_ms == 0) {
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, (long)HTTP_CLIENT_STALL_S);
    }
}

static weir_error *set_all(struct request *request)
{
    static const char *const methods[] = { [HTTP_GET] = "GET",
        [HTTP_PUT] = "PUT",
        [HTTP_POST] = "POST",
        [HTTP_PATCH] = "PATCH",
        [HTTP_DELETE] = "DELETE" };
    const struct http_call *call = request->call;
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, request);
    set_times(request);
    set_tls(request);
    WEIR_TRY(set_body(request));
    ASSERT(!call->wants_head || call->method == HTTP_GET);
    SET(CURLOPT_CUSTOMREQUEST, call->wants_head ? "HEAD" : methods[call->method]);
    if (call->wants_head)
        SET(CURLOPT_NOBODY, 1L);
    if (call->token != NULL)
        add_header(request, "Authorization: Bearer ", call->token);
    SET(CURLOPT_HTTPHEADER, request->headers);
    return NULL;
}

/* -- what came of it ---------------------------------------------------------------------------------- */

/* code of libcurl, ours, is it worth a retry?, what a person may do */
static const struct {
    CURLcode number;
    enum weir_code code;
    bool is_retriable;
    const char *advice;
} failures[] = {
    { CURLE_COULDNT_CONNECT, WEIR_E_CONNECTOR, true,
        "refused or unreachable: check that it runs there, and the port" },
    { CURLE_COULDNT_RESOLVE_HOST, WEIR_E_CONNECTOR, true, "the name is not known: check it" },
    { CURLE_OPERATION_TIMEDOUT, WEIR_E_TIMEOUT, true, "no answer in time" },
    { CURLE_PEER_FAILED_VERIFICATION, WEIR_E_CONNECTOR, false,
        "its certificate is not trusted: check the CA file, and that it is made out for this "
        "name" },
    { CURLE_SSL_CONNECT_ERROR, WEIR_E_CONNECTOR, false,
        "no TLS was agreed on: check that it speaks https, and that it accepts the certificate "
        "shown" },
    { CURLE_SSL_CACERT_BADFILE, WEIR_E_USAGE, false, "the CA file cannot be used" },
    { CURLE_SSL_CERTPROBLEM, WEIR_E_USAGE, false, "the own certificate or key cannot be used" },
    { CURLE_URL_MALFORMAT, WEIR_E_USAGE, false, "that is no URL" },
    { CURLE_UNSUPPORTED_PROTOCOL, WEIR_E_USAGE, false, "only http and https are spoken" },
};

static weir_error *failure(const struct request *request, CURLcode number, const char *detail)
{
    const char *url = request->call->url;
    if (detail[0] == '\0')
        detail = curl_easy_strerror(number);
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (failures[i].number != number)
            continue;
        weir_error *error =
            weir_errorf(failures[i].code, "%s: %s (%s)", url, failures[i].advice, detail);
        return failures[i].is_retriable ? weir_error_retriable(error) : error;
    }
    return weir_error_retriable(
        weir_errorf(WEIR_E_CONNECTOR, "%s: the connection broke off (%s)", url, detail));
}

static weir_error *perform(struct request *request, struct http_answer *answer)
{
    char detail[CURL_ERROR_SIZE] = "";
    WEIR_TRY(set_all(request));
    SET(CURLOPT_ERRORBUFFER, detail);
    CURLcode number = curl_easy_perform(request->curl);
    curl_off_t connected_us = 0;
    curl_easy_getinfo(request->curl, CURLINFO_CONNECT_TIME_T, &connected_us);
    answer->is_unreachable = number != CURLE_OK && connected_us == 0;
    if (request->error != NULL)
        return request->error;
    if (number != CURLE_OK)
        return failure(request, number, detail);
    long status = 0;
    curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
    if (request->call->answer_file != NULL && status >= 200 && status < 300 && request->to == NULL)
        WEIR_TRY(os_open(request->call->answer_file, OS_TRUNCATE, &request->to)); /* empty */
    weir_str bytes = weir_buffer_view(request->answer);
    char *redirect = NULL;
    curl_easy_getinfo(request->curl, CURLINFO_REDIRECT_URL, &redirect);
    answer->redirect = mem_strdup(redirect);
    answer->status = (int)status;
    answer->size = bytes.size;
    answer->bytes = mem_alloc(bytes.size + 1);
    memcpy(answer->bytes, bytes.size == 0 ? "" : bytes.data, bytes.size);
    return NULL;
}

weir_error *http_client_call(const struct http_call *call, struct http_answer *answer)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, prepare) == 0);
    struct request request = { .call = call, .curl = curl_easy_init() };
    ASSERT(request.curl != NULL);
    *answer = (struct http_answer){ .status = 0 };
    request.answer =
        weir_buffer_new(call->answer_max == 0 ? HTTP_CLIENT_ANSWER_MAX : call->answer_max);
    weir_error *error = perform(&request, answer);
    bool has_file = request.to != NULL;
    os_close(request.from);
    os_close(request.to);
    if (error != NULL && has_file)
        error = weir_error_join(error, os_remove(call->answer_file));
    weir_buffer_free(request.answer);
    curl_slist_free_all(request.headers);
    curl_easy_cleanup(request.curl);
    return error;
}

void http_client_release(struct http_answer *answer)
{
    mem_free(answer->bytes);
    mem_free(answer->redirect);
    *answer = (struct http_answer){ .status = 0 };
}
