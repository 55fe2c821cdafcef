/* java_throwable.c -- the stream of java.io.ObjectOutputStream, version 5. Numbers are big-endian.
 *
 *      HANDLE    BYTES                                             MEANING
 *                ac ed 00 05                                       magic, version
 *                73                                                an object of
 *      7e0000      72 name, suid, 02, 3 fields                     SerializedThrowable
 *      7e0001        'L' fullStringifiedStackTrace 74 "Ljava/lang/String;"
 *                    'L' originalErrorClassName    71 7e0001
 *      7e0002        '[' serializedException       74 "[B"
 *                    78                                            end of the class; its super class:
 *      7e0003      72 name, suid, 02, 0 fields, 78                 java.lang.Exception
 *      7e0004      72 name, suid, 03, 4 fields                     java.lang.Throwable, which writes itself
 *      7e0005        'L' cause                     74 "Ljava/lang/Throwable;"
 *                    'L' detailMessage             71 7e0001
 *      7e0006        '[' stackTrace                74 "[Ljava/lang/StackTraceElement;"
 *      7e0007        'L' suppressedExceptions      74 "Ljava/util/List;"
 *                    78 70                                         end; no super class
 *                70 74 message 70 70 78                            values of Throwable, in the order above
 *                74 text 74 name 70                                values of SerializedThrowable
 *
 * A string is its size in two bytes and its characters in Java's UTF-8, which has no sequences of four bytes. */
#include "web/java_throwable.h"

#include "base/buffer.h"
#include "base/utf8.h"

#include <string.h>

#define TEXT_MAX 8192u /* bytes */
#define BLOB_MAX 65536u

enum { NONE = 0x70, REFERENCE = 0x71, CLASS = 0x72, OBJECT = 0x73, STRING = 0x74, END = 0x78 };

static void put_number(weir_buffer *out, uint64_t value, uint32_t size)
{
    while (size-- > 0)
        buffer_put_u8(out, (uint8_t)(value >> (8 * size)));
}

static void put_chars(weir_buffer *out, const char *text)
{
    put_number(out, strlen(text), 2);
    weir_buffer_add_str(out, weir_str_of(text));
}

static void put_class(weir_buffer *out, const char *name, uint64_t suid, uint8_t flags,
    uint32_t field_count)
{
    buffer_put_u8(out, CLASS);
    put_chars(out, name);
    put_number(out, suid, 8);
    buffer_put_u8(out, flags);
    put_number(out, field_count, 2);
}

/* `type` NULL: the one with handle 7e0001. */
static void put_field(weir_buffer *out, char kind, const char *name, const char *type)
{
    weir_buffer_add_byte(out, kind);
    put_chars(out, name);
    buffer_put_u8(out, type == NULL ? REFERENCE : STRING);
    if (type == NULL)
        put_number(out, 0x7e0001, 4);
    else
        put_chars(out, type);
}

/* What Java would not read is a question mark. */
static void put_text(weir_buffer *out, const char *text)
{
    char clean[TEXT_MAX];
    uint32_t size = 0;
    const char *end = text + strlen(text);
    while (text != end && size + 3 <= TEXT_MAX) {
        uint32_t taken = (unsigned char)*text < 0x80 ? 1 : utf8_sequence(text, end);
        if (taken == 0 || taken == 4)
            clean[size++] = '?';
        for (uint32_t i = 0; taken < 4 && i < taken; i++)
            clean[size++] = text[i];
        text += taken == 0 ? 1 : taken;
    }
    buffer_put_u8(out, STRING);
    put_number(out, size, 2);
    weir_buffer_add(out, clean, size);
}

static void put_classes(weir_buffer *out)
{
    put_class(out, "org.apache.flink.util.SerializedThrowable", UINT64_C(7284183123441947635), 2,
        3);
    put_field(out, 'L', "fullStringifiedStackTrace", "Ljava/lang/String;");
    put_field(out, 'L', "originalErrorClassName", NULL);
    put_field(out, '[', "serializedException", "[B");
    buffer_put_u8(out, END);
    put_class(out, "java.lang.Exception", UINT64_C(0xd0fd1f3e1a3b1cc4), 2, 0);
    buffer_put_u8(out, END);
    put_class(out, "java.lang.Throwable", UINT64_C(0xd5c635273977b8cb), 3, 4);
    put_field(out, 'L', "cause", "Ljava/lang/Throwable;");
    put_field(out, 'L', "detailMessage", NULL);
    put_field(out, '[', "stackTrace", "[Ljava/lang/StackTraceElement;");
    put_field(out, 'L', "suppressedExceptions", "Ljava/util/List;");
    buffer_put_u8(out, END);
    buffer_put_u8(out, NONE);
}

static void put_base64(weir_str bytes, weir_buffer *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = (const unsigned char *)bytes.data;
    for (uint64_t i = 0; i < bytes.size; i += 3) {
        uint64_t left = bytes.size - i;
        uint32_t bits = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
                        (left > 2 ? at[i + 2] : 0u);
        weir_buffer_add_byte(out, digits[bits >> 18]);
        weir_buffer_add_byte(out, digits[bits >> 12 & 63]);
        weir_buffer_add_byte(out, left > 1 ? digits[bits >> 6 & 63] : '=');
        weir_buffer_add_byte(out, left > 2 ? digits[bits & 63] : '=');
    }
}

void java_throwable(const char *name, const char *message, weir_buffer *out)
{
    weir_buffer *blob = weir_buffer_new(BLOB_MAX);
    put_number(blob, 0xaced0005, 4);
    buffer_put_u8(blob, OBJECT);
    put_classes(blob);
    buffer_put_u8(blob, NONE);
    put_text(blob, message);
    buffer_put_u8(blob, NONE);
    buffer_put_u8(blob, NONE);
    buffer_put_u8(blob, END);
    weir_buffer *stack = weir_buffer_new(BLOB_MAX);
    buffer_printf(stack, "%s: %s", name, message);
    put_text(blob, buffer_text(stack));
    put_text(blob, name);
    buffer_put_u8(blob, NONE);
    put_base64(weir_buffer_view(blob), out);
    weir_buffer_free(stack);
    weir_buffer_free(blob);
}
