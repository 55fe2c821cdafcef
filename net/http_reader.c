/* http_reader.c -- see http_reader.h. */
#include "net/http_reader.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum stage { IN_HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, DONE, BROKEN };

#define LINE_MAX_SIZE 256u /* of a chunk's size with its extensions */

void http_reader_init(struct http_reader *reader, uint64_t body_max)
{
    reader->body_max = body_max;
    reader->stage = IN_HEAD;
    reader->size = 0;
}

static enum http_event bad(struct http_reader *reader, int status, const char *problem)
{
    reader->stage = BROKEN;
    reader->status = status;
    reader->problem = problem;
    return HTTP_BAD;
}

/* `size` 0: how large it will be is not known. */
static enum http_event too_large(struct http_reader *reader, uint64_t size)
{
    if (size > 0)
        snprintf(reader->told, sizeof(reader->told),
            "the body has %" PRIu64 " bytes, but this server takes %" PRIu64 " at most", size,
            reader->body_max);
    else
        snprintf(reader->told, sizeof(reader->told),
            "the body has more than the %" PRIu64 " bytes that this server takes",
            reader->body_max);
    return bad(reader, 413, reader->told);
}

static weir_str take(weir_str *bytes, uint64_t size)
{
    if (size > bytes->size)
        size = bytes->size;
    weir_str taken = { .data = bytes->data, .size = size };
    bytes->data += size;
    bytes->size -= size;
    return taken;
}

/* -- the head ---------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place; false: a % that means nothing, or a zero byte. */
static bool decode(char *text, bool is_query)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '%') {
            int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]);
            if (low < 0 || high + low == 0)
                return false;
            *to++ = (char)(high * 16 + low);
            at += 2;
        } else {
            *to++ = is_query && *at == '+' ? ' ' : *at;
        }
    }
    *to = '\0';
    return true;
}

static bool read_query(struct http_head *head, char *text)
{
    while (text != NULL) {
        char *parameter = strsep(&text, "&");
        char *name = strsep(&parameter, "=");
        char *value = parameter == NULL ? name + strlen(name) : parameter;
        if (*name == '\0' && *value == '\0')
            continue;
        if (head->query_count == HTTP_PAIRS_MAX || !decode(name, true) || !decode(value, true))
            return false;
        head->query[head->query_count++] = (struct http_pair){ .name = name, .value = value };
    }
    return true;
}

static bool read_target(struct http_head *head, char *target)
{
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        target = strchr(strstr(target, "//") + 2, '/');
        if (target == NULL)
            return false;
    }
    if (target[0] != '/')
        return false;
    for (const char *at = target; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == '#' || *at == 0x7f)
            return false;
    char *path = strsep(&target, "?");
    head->path = path;
    return decode(path, false) && read_query(head, target);
}

static bool read_method(struct http_head *head, const char *name)
{
    static const char *const names[] = { [HTTP_GET] = "GET",
        [HTTP_PUT] = "PUT",
        [HTTP_POST] = "POST",
        [HTTP_PATCH] = "PATCH",
        [HTTP_DELETE] = "DELETE" };
    head->is_head = strcmp(name, "HEAD") == 0;
    head->method = HTTP_GET;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            head->method = (enum http_method)i;
            return true;
        }
    }
    return head->is_head;
}

static enum http_event read_request_line(struct http_reader *reader, char *line)
{
    struct http_head *head = &reader->head;
    char *method = strsep(&line, " ");
    char *target = strsep(&line, " ");
    if (line == NULL)
        return bad(reader, 400, "the request does not begin with: METHOD TARGET HTTP/1.1");
    bool is_11 = strcmp(line, "HTTP/1.1") == 0;
    if (!is_11 && strcmp(line, "HTTP/1.0") != 0)
        return bad(reader, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    if (!read_method(head, method))
        return bad(reader, 405, "the method is none of GET, HEAD, PUT, POST, PATCH, DELETE");
    if (!read_target(head, target))
        return bad(reader, 400,
            "the path or a query parameter is not well-formed, or there are too many");
    head->is_keep_alive = is_11;
    return HTTP_HEAD;
}

static bool is_token(const char *text)
{
    return *text != '\0' && text[strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t size = strlen(text);
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        text[--size] = '\0';
    return text;
}

static enum http_event read_header(struct http_reader *reader, char *line)
{
    struct http_head *head = &reader->head;
    char *value = strchr(line, ':');
    if (value == NULL)
        return bad(reader, 400, "a header has no colon");
    *value++ = '\0';
    if (!is_token(line))
        return bad(reader, 400, "the name of a header is no word, or a header goes over two lines");
    for (const char *at = value; *at != '\0'; at++)
        if ((*at >= 0 && *at < ' ' && *at != '\t') || *at == 0x7f)
            return bad(reader, 400, "a header contains control characters");
    if (head->header_count == HTTP_PAIRS_MAX)
        return bad(reader, 431, "there are too many headers");
    head->headers[head->header_count++] = (struct http_pair){ .name = line, .value = trim(value) };
    return HTTP_HEAD;
}

static uint32_t count_of(const struct http_head *head, const char *name)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < head->header_count; i++)
        count += strcasecmp(head->headers[i].name, name) == 0;
    return count;
}

static bool read_length(const char *text, uint64_t *length)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return false;
    *length = 0;
    for (size_t i = 0; i < digits; i++)
        *length = *length * 10 + (uint64_t)(text[i] - '0');
    return true;
}

/* What the headers say of the body and of the connection. */
static enum http_event judge(struct http_reader *reader)
{
    struct http_head *head = &reader->head;
    const char *length = http_reader_header(head, "Content-Length");
    const char *coding = http_reader_header(head, "Transfer-Encoding");
    const char *connection = http_reader_header(head, "Connection");
    const char *expect = http_reader_header(head, "Expect");
    if (count_of(head, "Content-Length") + count_of(head, "Transfer-Encoding") > 1)
        return bad(reader, 400, "the length of the body is said more than once");
    if (coding != NULL && strcasecmp(coding, "chunked") != 0)
        return bad(reader, 501, "the body may be chunked, but not encoded in another way");
    if (length != NULL && !read_length(length, &head->content_length))
        return bad(reader, 400, "Content-Length is not a number");
    if (head->content_length > reader->body_max)
        return too_large(reader, head->content_length);
    if (connection != NULL && strcasestr(connection, "close") != NULL)
        head->is_keep_alive = false;
    else if (connection != NULL && strcasestr(connection, "keep-alive") != NULL)
        head->is_keep_alive = true;
    head->is_chunked = coding != NULL;
    head->expects_continue = expect != NULL && strcasecmp(expect, "100-continue") == 0;
    reader->left = head->content_length;
    reader->stage = head->is_chunked ? CHUNK_SIZE : BODY;
    reader->body_size = 0;
    return HTTP_HEAD;
}

/* The text ends with an empty line. */
static enum http_event parse_head(struct http_reader *reader)
{
    reader->head = (struct http_head){ .path = NULL };
    reader->text[reader->size] = '\0';
    if (strlen(reader->text) != reader->size)
        return bad(reader, 400, "the head contains a zero byte");
    char *line = reader->text, *end = strstr(line, "\r\n");
    *end = '\0';
    enum http_event event = read_request_line(reader, line);
    for (line = end + 2; event == HTTP_HEAD && *line != '\r'; line = end + 2) {
        end = strstr(line, "\r\n");
        *end = '\0';
        event = read_header(reader, line);
    }
    reader->size = 0; /* of the next text: the lines of chunks go elsewhere */
    return event == HTTP_HEAD ? judge(reader) : event;
}

static enum http_event collect_head(struct http_reader *reader, weir_str *bytes)
{
    while (bytes->size > 0) {
        if (reader->size == HTTP_HEAD_MAX)
            return bad(reader, 431, "the head of the request is too long");
        reader->text[reader->size++] = *take(bytes, 1).data;
        const char *end = reader->text + reader->size;
        if (reader->size == 2 && memcmp(reader->text, "\r\n", 2) == 0)
            reader->size = 0; /* some clients end a body with an empty line */
        else if (reader->size >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0)
            return parse_head(reader);
    }
    return HTTP_MORE;
}

/* -- the body ----------------------------------------------------------------------------------- */

/* "1a2b;extension\r\n": digits are read into `left`, and what follows them is skipped. `size` counts, and its
 * top bit says that the digits are over. */
#define DIGITS_OVER ((size_t)1 << 20)
#define SEEN_CR     ((size_t)1 << 21)

static enum http_event read_chunk_size(struct http_reader *reader, weir_str *bytes)
{
    while (bytes->size > 0) {
        char c = *take(bytes, 1).data;
        size_t count = reader->size & (DIGITS_OVER - 1), flags = reader->size & ~(DIGITS_OVER - 1);
        int digit = hex_digit(c);
        if (flags & SEEN_CR) {
            if (c != '\n')
                return bad(reader, 400, "the size of a chunk does not end with CR LF");
            reader->size = 0;
            reader->stage = reader->left == 0 ? TRAILER : CHUNK;
            if (reader->left > reader->body_max - reader->body_size)
                return too_large(reader, 0);
            return HTTP_MORE;
        }
        if (c == '\r' && count > 0)
            flags |= SEEN_CR;
        else if (!(flags & DIGITS_OVER) && digit >= 0 && count < 15)
            reader->left = (count == 0 ? 0 : reader->left * 16) + (uint64_t)digit;
        else if (count > 0 && (flags & DIGITS_OVER || c == ';' || c == ' ') && c != '\n')
            flags |= DIGITS_OVER;
        else
            return bad(reader, 400, "the size of a chunk is no number");
        if (count == LINE_MAX_SIZE)
            return bad(reader, 400, "the size of a chunk is no number");
        reader->size = (count + 1) | flags;
    }
    return HTTP_MORE;
}

static enum http_event read_body(struct http_reader *reader, weir_str *bytes, weir_str *piece,
    enum stage next)
{
    *piece = take(bytes, reader->left);
    reader->left -= piece->size;
    reader->body_size += piece->size;
    ASSERT(reader->body_size <= reader->body_max);
    if (reader->left == 0)
        reader->stage = (int)next;
    return piece->size == 0 ? HTTP_MORE : HTTP_BODY;
}

static enum http_event read_chunk_end(struct http_reader *reader, weir_str *bytes)
{
    while (bytes->size > 0 && reader->stage == CHUNK_END) {
        if (*take(bytes, 1).data != "\r\n"[reader->size])
            return bad(reader, 400, "a chunk is longer than it says");
        if (++reader->size == 2) {
            reader->size = 0;
            reader->stage = CHUNK_SIZE;
        }
    }
    return HTTP_MORE;
}

/* Headers behind the last chunk mean nothing here: lines up to an empty one. `left` is the length of a line. */
static enum http_event skip_trailer(struct http_reader *reader, weir_str *bytes)
{
    while (bytes->size > 0 && reader->stage == TRAILER) {
        char c = *take(bytes, 1).data;
        if (++reader->size > HTTP_HEAD_MAX)
            return bad(reader, 431, "what follows the last chunk is too long");
        if (c == '\n' && reader->left == 0)
            reader->stage = DONE;
        else if (c == '\n')
            reader->left = 0;
        else if (c != '\r')
            reader->left++;
    }
    return HTTP_MORE;
}

static enum http_event step(struct http_reader *reader, weir_str *bytes, weir_str *piece)
{
    switch ((enum stage)reader->stage) {
    case IN_HEAD:
        return collect_head(reader, bytes);
    case BODY:
        return read_body(reader, bytes, piece, DONE);
    case CHUNK_SIZE:
        return read_chunk_size(reader, bytes);
    case CHUNK:
        return read_body(reader, bytes, piece, CHUNK_END);
    case CHUNK_END:
        return read_chunk_end(reader, bytes);
    case TRAILER:
        return skip_trailer(reader, bytes);
    case DONE:
    case BROKEN:
        break;
    }
    ASSERT(false && "a broken reader is not asked again");
}

enum http_event http_reader_read(struct http_reader *reader, weir_str *bytes, weir_str *piece)
{
    enum http_event event = HTTP_MORE;
    do {
        if (reader->stage == BODY && reader->left == 0)
            reader->stage = DONE;
        if (reader->stage == DONE) {
            http_reader_init(reader, reader->body_max);
            return HTTP_END;
        }
        if (bytes->size > 0)
            event = step(reader, bytes, piece);
    } while (event == HTTP_MORE && (bytes->size > 0 || reader->stage == DONE));
    return event;
}

/* -- what it has read ------------------------------------------------------------------------------ */

const char *http_reader_header(const struct http_head *head, const char *name)
{
    for (uint32_t i = 0; i < head->header_count; i++)
        if (strcasecmp(head->headers[i].name, name) == 0)
            return head->headers[i].value;
    return NULL;
}

const char *http_reader_query(const struct http_head *head, const char *name)
{
    for (uint32_t i = 0; i < head->query_count; i++)
        if (strcmp(head->query[i].name, name) == 0)
            return head->query[i].value;
    return NULL;
}

/* -- the target again ------------------------------------------------------------------------------- */

static void add_escaped(weir_buffer *out, const char *text, const char *also)
{
    for (; *text != '\0'; text++) {
        bool is_plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                        (*text >= '0' && *text <= '9') || strchr(also, *text) != NULL;
        if (is_plain)
            weir_buffer_add_byte(out, *text);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*text);
    }
}

void http_reader_target(const struct http_head *head, weir_buffer *out)
{
    add_escaped(out, head->path, "-._~/");
    for (uint32_t i = 0; i < head->query_count; i++) {
        weir_buffer_add_byte(out, i == 0 ? '?' : '&');
        add_escaped(out, head->query[i].name, "-._~");
        weir_buffer_add_byte(out, '=');
        add_escaped(out, head->query[i].value, "-._~");
    }
}
