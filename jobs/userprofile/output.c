/* output.c -- see output.h. Prefixes: output_, dead_letter_ */
#include "jobs/userprofile/output.h"

#include "jobs/userprofile/text.h"

#define LETTER_SIZE_MAX \
    ((size_t)1 << 20) /* 64 KiB in base64 and names that are escaped: far below */

/* -- profiles and fragments ------------------------------------------------------------------ */

static weir_error *encode_output(const struct weir_format *format, const void *record,
    weir_buffer *key, weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    (void)format;
    const struct output *output = record;
    weir_buffer_add_str(key, output->yid);
    *key_is_null = false;
    if (output->json.data == NULL)
        *value_is_null = true;
    else
        weir_buffer_add_str(value, output->json);
    return NULL;
}

static const struct weir_format_class output_class = { .name = "profile", .encode = encode_output };

struct weir_format output_format(void)
{
    return (struct weir_format){ .format_class = &output_class, .type = &output_type };
}

/* -- dead letters ---------------------------------------------------------------------------- */

/* RFC 4648 with padding, into the end of a buffer. */
static void add_base64(weir_buffer *buffer, weir_str raw)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = (raw.size + 2) / 3 * 4;
    char *to = weir_buffer_reserve(buffer, size);
    for (uint64_t i = 0; i < raw.size; i += 3) {
        uint64_t left = raw.size - i;
        const unsigned char *at = (const unsigned char *)raw.data + i;
        uint32_t three =
            (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) | (left > 2 ? at[2] : 0);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    weir_buffer_added(buffer, size);
}

static void add_head(struct text *text, const struct weir_dead_letter *letter)
{
    TEXT_ADD(text, "{\"topic\":");
    text_quote(text, letter->topic);
    TEXT_ADD(text, ",\"partition\":");
    text_number(text, letter->partition);
    TEXT_ADD(text, ",\"offset\":");
    text_number(text, letter->offset);
    TEXT_ADD(text, ",\"reason\":");
    text_quote(text, letter->reason);
    TEXT_ADD(text, ",\"size\":");
    text_number(text, (int64_t)letter->size);
    TEXT_ADD(text, ",\"raw\":\"");
}

static weir_error *encode_letter(const struct weir_format *format, const void *record,
    weir_buffer *key, weir_buffer *value, bool *key_is_null, bool *value_is_null)
{
    (void)format;
    (void)key;
    (void)key_is_null;
    (void)value_is_null;
    const struct weir_dead_letter *letter = record;
    struct text head;
    text_init(&head, LETTER_SIZE_MAX);
    add_head(&head, letter);
    weir_buffer_add_str(value, text_view(&head));
    text_release(&head);
    add_base64(value, letter->raw);
    weir_buffer_add_str(value, WEIR_STR("\"}"));
    return NULL;
}

static const struct weir_format_class letter_class = { .name = "dead-letter",
    .encode = encode_letter };

struct weir_format dead_letter_format(void)
{
    return (struct weir_format){ .format_class = &letter_class, .type = &weir_dead_letter_type };
}
