/* rest_fuzz.c -- any request: "METHOD PATH?QUERY\nBODY" as a client could send it.
 *
 * Invariants: one reply, with a status of HTTP's and a type; what is said to be JSON is JSON; an error is an object
 * with "errors" and nothing else. */
#include "test/support/temp_dir.h"
#include "test/unit/web/blob_double.h"
#include "test/unit/web/dispatcher_double.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_right)
{
    if (!is_right)
        abort();
}

static void check(const struct rest_reply *reply)
{
    must(reply->status >= 200 && reply->status < 600 && reply->type != NULL);
    if (reply->file != NULL || strncmp(reply->type, "application/json", 16) != 0)
        return;
    weir_str text = weir_buffer_view(reply->body);
    json_t *value = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    must(value != NULL);
    if (reply->status >= 400)
        must(json_object_size(value) == 1 && json_is_array(json_object_get(value, "errors")));
    json_decref(value);
}

/* A copy of the bytes up to `end`, without NULs, which no reader of HTTP lets through; moves behind it. */
static char *word(const uint8_t **at, const uint8_t *last, char end)
{
    const uint8_t *stop = memchr(*at, end, (size_t)(last - *at));
    size_t size = (size_t)((stop == NULL ? last : stop) - *at);
    char *text = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)((*at)[i] == 0 ? '?' : (*at)[i]);
    *at = stop == NULL ? last : stop + 1;
    return text;
}

static char *directory;

static void remove_directory(void)
{
    temp_dir_free(directory);
}

static const char *a_directory(void)
{
    directory = temp_dir_new();
    must(atexit(remove_directory) == 0);
    return directory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct client client;
    if (client.rest == NULL)
        client = client_new(&(struct rest_options){ .blobs = double_blobs(a_directory()) });
    const uint8_t *at = data, *last = data + size;
    char *method = word(&at, last, ' '), *path = word(&at, last, '?');
    char *query = word(&at, last, '\n');
    client_handle(&client, (struct rest_request){ .method = method,
                               .path = path,
                               .query = double_query,
                               .arg = query,
                               .body = { .data = (const char *)at, .size = (size_t)(last - at) } });
    check(&client.reply);
    rest_reply_release(&client.reply);
    mem_free(method);
    mem_free(path);
    mem_free(query);
    return 0;
}
