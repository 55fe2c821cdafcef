/* client.c -- see client.h. */
#include "cli/client.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"
#include "cli/local_cluster.h"
#include "cli/operation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_FIRST_MS 10
#define HOPS_MAX      3 /* from standby to standby */
#define JSON_TYPE     "application/json; charset=UTF-8"

/* -- where ---------------------------------------------------------------------------------------- */

static weir_error *load_conf(const struct verb_call *call, struct client *client)
{
    WEIR_TRY(conf_find(config_text(call->config, "conf"), &client->conf_path));
    return conf_load(client->conf_path, call->defines, call->define_count, &client->conf);
}

/* Flink's grammar: host:port, or a URL. A port that is not said is the configuration's. */
static char *url_of(const struct conf *conf, const char *given)
{
    const char *scheme = conf->security.is_ssl ? "https" : "http";
    if (given == NULL) {
        bool is_bare = strchr(conf->rest.address, ':') != NULL; /* IPv6 */
        return mem_printf("%s://%s%s%s:%u", scheme, is_bare ? "[" : "", conf->rest.address,
            is_bare ? "]" : "", conf->rest.port);
    }
    const char *mark = strstr(given, "://");
    const char *host = mark == NULL ? given : mark + 3;
    size_t scheme_size = mark == NULL ? strlen(scheme) : (size_t)(mark - given);
    size_t size = strcspn(host, "/");
    const char *end = host[0] == '[' ? strchr(host, ']') : host;
    bool has_port = end != NULL && memchr(end, ':', size - (size_t)(end - host)) != NULL;
    size_t rest = strlen(host + size);
    while (rest > 0 && host[size + rest - 1] == '/')
        rest--;
    char port[16] = "";
    if (!has_port)
        snprintf(port, sizeof(port), ":%u", conf->rest.port);
    return mem_printf("%.*s://%.*s%s%.*s", (int)scheme_size, mark == NULL ? scheme : given,
        (int)size, host, port, (int)rest, host + size);
}

/* Those of the configuration as it is now. */
static weir_error *take_secrets(struct client *client)
{
    const struct conf *conf = &client->conf;
    mem_free(client->token);
    client->token = NULL;
    if (conf->security.key != NULL)
        WEIR_TRY(os_check_private(conf->security.key));
    return conf_secret(conf, "security.token-file", &client->token);
}

/* "a:1,b:2": each is as good as the other. */
static void add_urls(struct client *client, const char *given)
{
    if (given == NULL)
        client->urls[client->url_count++] = url_of(&client->conf, NULL);
    for (const char *at = given; at != NULL && client->url_count < CLIENT_URLS_MAX;) {
        char *one = mem_printf("%.*s", (int)strcspn(at, ","), at);
        client->urls[client->url_count++] = url_of(&client->conf, one);
        mem_free(one);
        at = strchr(at, ',');
        at = at == NULL ? NULL : at + 1;
    }
}

/* It alone is asked. */
static void set_url(struct client *client, char *url)
{
    for (uint32_t i = 0; i < client->url_count; i++)
        mem_free(client->urls[i]);
    client->urls[0] = url;
    client->url_count = 1;
    mem_free(client->url);
    client->url = mem_strdup(url);
}

void client_use_conf(struct client *client)
{
    set_url(client, url_of(&client->conf, NULL));
}

/* Lines behind the URL. */
static weir_error *complete(struct conf *conf, const char *text)
{
    weir_error *error = NULL;
    for (const char *at = strchr(text, '\n'); at != NULL && error == NULL; at = strchr(at, '\n')) {
        size_t size = strcspn(++at, "\n");
        char *line = mem_printf("%.*s", (int)size, at);
        if (size > 0)
            error = conf_complete(conf, line);
        mem_free(line);
    }
    return error;
}

weir_error *client_use_cluster(struct client *client, const char *dir)
{
    char *text = local_address(dir);
    if (text == NULL)
        return NULL;
    weir_error *error = complete(&client->conf, text);
    if (error == NULL)
        error = take_secrets(client);
    if (error == NULL)
        set_url(client, mem_printf("%.*s", (int)strcspn(text, "\n"), text));
    mem_free(text);
    return error;
}

weir_error *client_keep_cluster(const struct client *client, const char *dir)
{
    static const char security[] = "security.";
    const struct config *config = client->conf.config;
    uint32_t count;
    const struct weir_option *rows = conf_rows(&count);
    char *path = mem_printf("%s/address", dir);
    weir_buffer *text = weir_buffer_new(CLI_OUTPUT_MAX);
    weir_error *error = NULL;
    /* Not client->url: that may be of a leader on another machine, which goes while this one stays. */
    buffer_printf(text, "%s", client->urls[0]);
    for (uint32_t i = 0; i < count && error == NULL; i++) {
        char *file = NULL;
        if (strncmp(rows[i].name, security, strlen(security)) != 0 ||
            !config_given(config, rows[i].name))
            continue;
        const char *value = config_text(config, rows[i].name);
        if (strcmp(rows[i].value_name, "FILE") == 0)
            error = job_path(value, &file);
        buffer_printf(text, "\n%s=%s", rows[i].name, file != NULL ? file : value);
        mem_free(file);
    }
    if (error == NULL)
        error = os_write_file(path, buffer_text(text), buffer_size(text));
    weir_buffer_free(text);
    mem_free(path);
    return error;
}

/* Where a URL leads: without its scheme, which -m need not say, and with one name for this machine. */
static char *place_of(const char *url)
{
    const char *mark = strstr(url, "://"), *host = mark == NULL ? url : mark + 3;
    size_t end = strcspn(host, "\n"), here = conf_loopback_size(host, strcspn(host, "/\n"));
    return mem_printf("%s%.*s", here > 0 ? "localhost" : "", (int)(end - here), host + here);
}

static bool is_same_place(const struct conf *conf, const char *given, const char *address)
{
    char *url = url_of(conf, given), *asked = place_of(url), *known = place_of(address);
    bool is_same = strcmp(asked, known) == 0;
    mem_free(known);
    mem_free(asked);
    mem_free(url);
    return is_same;
}

/* A cluster that 'weir cluster start' has started here is asked if it is the one that is meant by -m, or if nothing says
 * where another one is. */
static weir_error *use_remembered(struct client *client, const char *given)
{
    const struct config *config = client->conf.config;
    bool is_elsewhere = given == NULL &&
                        (config_given(config, "rest.port") || config_given(config, "rest.address"));
    char *dir = is_elsewhere ? NULL : local_dir(NULL);
    char *address = dir == NULL ? NULL : local_address(dir);
    weir_error *error = NULL;
    if (address != NULL && (given == NULL || is_same_place(&client->conf, given, address)))
        error = client_use_cluster(client, dir);
    mem_free(address);
    mem_free(dir);
    return error;
}

weir_error *client_open(const struct verb_call *call, struct client *client)
{
    const char *given = config_text(call->config, "jobmanager");
    *client = (struct client){ .is_json = config_flag(call->config, "json"),
        .timeout_ms = config_number(call->config, "timeout") };
    WEIR_TRY(load_conf(call, client));
    weir_error *error = take_secrets(client);
    if (error == NULL && !config_has(call->config, "dir")) /* `weir cluster` says which one */
        error = use_remembered(client, given);
    if (error != NULL) {
        mem_free(client->token);
        conf_release(&client->conf);
        return error;
    }
    if (client->url_count == 0) {
        add_urls(client, given);
        client->url = mem_strdup(client->urls[0]);
    }
    client->waker = waker_new();
    client_renew(client);
    client_start_wait(client);
    return NULL;
}

void client_close(struct client *client)
{
    waker_free(client->waker);
    for (uint32_t i = 0; i < client->url_count; i++)
        mem_free(client->urls[i]);
    mem_free(client->url);
    mem_free(client->token);
    mem_free(client->failure);
    conf_release(&client->conf);
}

/* -- time ----------------------------------------------------------------------------------------- */

static int64_t left_ms(const struct client *client)
{
    int64_t left = (client->deadline_ns - os_monotonic_ns()) / 1000000;
    return left < 0 ? 0 : left;
}

void client_renew(struct client *client)
{
    client->deadline_ns = os_monotonic_ns() + client->timeout_ms * 1000000;
}

bool client_is_late(const struct client *client)
{
    return left_ms(client) == 0;
}

void client_start_wait(struct client *client)
{
    client->pause_ms = POLL_FIRST_MS;
}

void client_pause(struct client *client)
{
    int64_t left = left_ms(client);
    waker_wait(client->waker, client->pause_ms < left ? client->pause_ms : left);
    client->pause_ms *= 2;
    if (client->pause_ms > CLIENT_POLL_MAX_MS)
        client->pause_ms = CLIENT_POLL_MAX_MS;
}

/* -- requests --------------------------------------------------------------------------------------- */

static weir_error *explain_silence(const struct client *client, const char *path, int64_t waited_ms,
    weir_error *error)
{
    return weir_error_wrap(error,
        "the job manager at %s has not answered what was asked, %s, within %.1f s: 'weir cluster "
        "status' shows whether its process runs, 'weir logs jobmanager' or its log what it does; "
        "--timeout TIME waits longer",
        client->url, path, (double)waited_ms / 1000);
}

static weir_error *explain(const struct client *client, const char *path, int64_t waited_ms,
    weir_error *error)
{
    bool is_retriable = weir_error_is_retriable(error);
    if (client->status != 0)
        return error;
    if (weir_error_code(error) == WEIR_E_TIMEOUT)
        error = explain_silence(client, path, waited_ms, error);
    else if (weir_error_code(error) == WEIR_E_CONNECTOR && client->is_led)
        error = weir_error_wrap(error,
            "the leader does not answer at %s, where another job manager says that it is: if it "
            "has just gone, another one is elected within seconds; ask again",
            client->url);
    else if (weir_error_code(error) == WEIR_E_CONNECTOR)
        error = weir_error_wrap(error,
            "no job manager answers at %s: 'weir cluster start' starts one here, -m HOST:PORT says "
            "where one is%s",
            client->url,
            strncmp(client->url, "http://", 7) == 0 ? " (with TLS -m https://HOST:PORT)" : "");
    return is_retriable ? weir_error_retriable(error) : error;
}

static weir_error *request_once(struct client *client, struct http_call *http, const char *path,
    struct http_answer *answer)
{
    char *url = mem_printf("%s%s", client->url, path);
    http->url = url;
    http->token = client->token;
    http->tls.ca_file = client->conf.security.ca;
    http->tls.cert_file = client->conf.security.cert;
    http->tls.key_file = client->conf.security.key;
    if (http->body_file == NULL)
        http->timeout_ms = left_ms(client) + 1; /* 0 would be: none */
    client->status = 0;
    weir_error *error = http_client_call(http, answer);
    if (error == NULL)
        client->status = answer->status;
    mem_free(url);
    return error;
}

/* A standby says where the leader is: from there on that one is asked. False: it does not. */
static bool go_to_leader(struct client *client, struct http_answer *answer)
{
    if (answer->status != 307 || answer->redirect == NULL)
        return false;
    const char *mark = strstr(answer->redirect, "://");
    size_t size = mark == NULL ? 0 : (size_t)(mark - answer->redirect) + 3;
    mem_free(client->url);
    client->is_led = true;
    client->url =
        mem_printf("%.*s", (int)(size + strcspn(answer->redirect + size, "/")), answer->redirect);
    http_client_release(answer);
    return true;
}

static weir_error *request_led(struct client *client, struct http_call *http, const char *path,
    struct http_answer *answer)
{
    for (int hops = 0;; hops++) {
        WEIR_TRY(request_once(client, http, path, answer));
        if (hops == HOPS_MAX || !go_to_leader(client, answer))
            return NULL;
    }
}

/* One that has led, or of those given another one. The index of the next one that is tried. */
static bool try_another(struct client *client, uint32_t *next)
{
    if (*next == client->url_count)
        return false;
    mem_free(client->url);
    client->is_led = false;
    client->url = mem_strdup(client->urls[(*next)++]);
    return true;
}

/* Who cannot be reached has not been asked: so another one is, whatever it is about. */
static weir_error *request(struct client *client, struct http_call *http, const char *path,
    struct http_answer *answer)
{
    uint32_t next = 0;
    int64_t begin_ms = os_monotonic_ms();
    weir_error *error = request_led(client, http, path, answer);
    while (error != NULL && answer->is_unreachable && left_ms(client) > 0 &&
           try_another(client, &next)) {
        weir_error_free(error);
        error = request_led(client, http, path, answer);
    }
    return error == NULL ? NULL : explain(client, path, os_monotonic_ms() - begin_ms, error);
}

/* What the server's words, which are Flink's, leave out: what to do. */
static const char *way_out(int status, const char *text)
{
    if (status == 401)
        return "; the command weir sends that of 'security.token-file': set it in the "
               "configuration, or by -D security.token-file=FILE";
    bool is_job = strncmp(text, "Job ", 4) == 0 && strstr(text, " not found") != NULL;
    return status == 404 && is_job ? "; 'weir list -a' shows those that there are" : "";
}

/* The sentences of "errors", each on a line. */
static weir_error *refusal(const struct client *client, const struct document *errors)
{
    weir_buffer *text = weir_buffer_new(HTTP_CLIENT_ANSWER_MAX);
    for (uint32_t i = 0; i < document_count(errors); i++) {
        const char *line = document_text_at(errors, i);
        buffer_printf(text, "%s%s", i == 0 ? "" : "\n", line == NULL ? "?" : line);
    }
    weir_error *error = weir_errorf(WEIR_E_CONNECTOR, "the job manager says (%d): %s%s",
        client->status, buffer_text(text), way_out(client->status, buffer_text(text)));
    weir_buffer_free(text);
    return client->status == 503 ? weir_error_retriable(error) : error;
}

static weir_error *no_such_status(const struct client *client, const char *path)
{
    weir_error *error = weir_errorf(WEIR_E_CONNECTOR,
        "%s%s: status %d, and nothing that a job manager would say; check what listens there",
        client->url, path, client->status);
    return client->status == 503 ? weir_error_retriable(error) : error;
}

/* Frees the answer's bytes; *document NULL: none is wanted. */
static weir_error *read_answer(struct client *client, const char *path, struct http_answer *http,
    struct document **answer)
{
    struct document *document = NULL;
    bool is_ok = http->status >= 200 && http->status < 300;
    weir_str text = { .data = http->bytes, .size = http->size };
    weir_error *error = http->size == 0 && is_ok ? NULL : document_parse(text, &document);
    http_client_release(http);
    if (error != NULL && !is_ok) {
        weir_error_free(error);
        return no_such_status(client, path);
    }
    if (error != NULL)
        return weir_error_wrap(error, "%s%s: the answer is no JSON; check what listens there",
            client->url, path);
    if (document == NULL)
        document = document_new();
    if (document_is_only(document, "errors"))
        error = refusal(client, document_get(document, "errors"));
    else if (!is_ok)
        error = no_such_status(client, path);
    if (error != NULL || answer == NULL)
        document_free(document);
    else
        *answer = document;
    return error;
}

/* The last attempt of a wait has next to no time: that it took too long says nothing, what has failed first does. */
static weir_error *first_failure(struct client *client, weir_error *error)
{
    bool is_late = error != NULL && weir_error_code(error) == WEIR_E_TIMEOUT;
    if (is_late && client->failure != NULL) {
        weir_error_free(error);
        return weir_error_retriable(weir_errorf(WEIR_E_CONNECTOR, "%s", client->failure));
    }
    if (error == NULL) {
        mem_free(client->failure);
        client->failure = NULL;
    } else if (!is_late && client->failure == NULL && weir_error_is_retriable(error)) {
        client->failure = mem_strdup(weir_error_message(error));
    }
    return error;
}

weir_error *client_call(struct client *client, enum http_method method, const char *path,
    const struct document *body, struct document **answer)
{
    struct http_answer http;
    char *text = body != NULL ? document_print(body) : method == HTTP_GET ? NULL : mem_strdup("{}");
    struct http_call call = { .method = method,
        .content_type = text == NULL ? NULL : JSON_TYPE,
        .body = weir_str_of(text == NULL ? "" : text) };
    weir_error *error = request(client, &call, path, &http);
    mem_free(text);
    return first_failure(client, error != NULL ? error : read_answer(client, path, &http, answer));
}

weir_error *client_text(struct client *client, const char *path, char **text, size_t *size)
{
    struct http_answer http;
    struct http_call call = { .method = HTTP_GET };
    WEIR_TRY(request(client, &call, path, &http));
    if (http.status < 200 || http.status >= 300)
        return read_answer(client, path, &http, NULL);
    *text = http.bytes;
    *size = http.size;
    return NULL;
}

weir_error *client_upload(struct client *client, const char *path, const char *file)
{
    struct http_answer http;
    struct http_call call = { .method = HTTP_PUT,
        .content_type = "application/octet-stream",
        .body_file = file };
    WEIR_TRY(request(client, &call, path, &http));
    return read_answer(client, path, &http, NULL);
}

weir_error *client_has(struct client *client, const char *path, bool *has)
{
    struct http_answer http;
    struct http_call call = { .method = HTTP_GET, .wants_head = true };
    WEIR_TRY(request(client, &call, path, &http));
    *has = http.status == 200;
    http_client_release(&http);
    return NULL;
}

/* -- output ----------------------------------------------------------------------------------------- */

weir_error *client_say(const struct client *client, const char *format, ...)
{
    if (client->is_json)
        return NULL;
    va_list arguments;
    va_start(arguments, format);
    weir_error *error = cli_vprintf(format, arguments);
    va_end(arguments);
    return error;
}

weir_error *client_answer(const struct client *client, struct document *document)
{
    weir_error *error = NULL;
    if (client->is_json) {
        char *text = document_print(document);
        error = cli_printf("%s\n", text);
        mem_free(text);
    }
    document_free(document);
    return error;
}

char *client_escape(const char *text)
{
    weir_buffer *out = weir_buffer_new(strlen(text) * 3 + 1);
    for (; *text != '\0'; text++) {
        bool is_plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                        (*text >= '0' && *text <= '9') || strchr("-._~", *text) != NULL;
        if (is_plain)
            weir_buffer_add_byte(out, *text);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*text);
    }
    char *escaped = mem_strdup(buffer_text(out));
    weir_buffer_free(out);
    return escaped;
}
