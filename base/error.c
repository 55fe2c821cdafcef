/* error.c -- an error is one allocation: code, flags, and the whole sentence "outer: inner: cause".
 *
 * Wrapping makes a new sentence and frees the old error, so no reader walks a chain, and what is
 * shown is always complete. Messages are cut at MESSAGE_SIZE_MAX with an ellipsis, at a character
 * border of UTF-8: a message may quote input of any length. */
#include <weir/error.h>

#include "base/assert.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_SIZE_MAX ((size_t)8192) /* with the terminator */

/* Thread: its owner; the static one is immutable. */
struct weir_error {
    enum weir_code code;
    bool is_retriable;
    bool is_static;
    const char *reason;
    const char *message; /* behind the struct */
};

static weir_error out_of_memory = { .code = WEIR_E_MEMORY,
    .is_static = true,
    .message = "memory ran out; give the process more, or lower its limits" };

static const struct {
    const char *name;
    int exit_status;
} codes[] = {
#define CODE_ROW(name_, exit_, text_) { "WEIR_E_" #name_, (exit_) },
    WEIR_CODES(CODE_ROW)
#undef CODE_ROW
};
_Static_assert(sizeof(codes) / sizeof(codes[0]) == WEIR_CODE_COUNT, "one row a code");

/* -- making --------------------------------------------------------------------------------- */

/* A sentence being put together, bounded. Thread: its owner. */
struct sentence {
    size_t size;
    bool is_cut;
    char text[MESSAGE_SIZE_MAX];
};

static void WEIR_PRINTF(2, 0)
    sentence_vadd(struct sentence *sentence, const char *format, va_list arguments)
{
    size_t room = sizeof(sentence->text) - sentence->size;
    if (sentence->is_cut)
        return;
    int size = vsnprintf(sentence->text + sentence->size, room, format, arguments);
    ASSERT(size >= 0);
    sentence->is_cut = (size_t)size >= room;
    sentence->size += sentence->is_cut ? room - 1 : (size_t)size;
}

static void WEIR_PRINTF(2, 3) sentence_add(struct sentence *sentence, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sentence_vadd(sentence, format, arguments);
    va_end(arguments);
}

/* Puts an ellipsis in place of the last bytes of a cut sentence, leaving no half character. */
static void sentence_end(struct sentence *sentence)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    if (!sentence->is_cut)
        return;
    size_t size = sizeof(sentence->text) - sizeof(ellipsis);
    while (size > 0 && (sentence->text[size] & 0xc0) == 0x80)
        size--;
    memcpy(sentence->text + size, ellipsis, sizeof(ellipsis));
    sentence->size = size + sizeof(ellipsis) - 1;
}

/* NULL when memory ran out. */
static weir_error *error_make(enum weir_code code, const char *reason, struct sentence *sentence)
{
    ASSERT((unsigned)code < WEIR_CODE_COUNT);
    sentence_end(sentence);
    weir_error *error = mem_try_alloc(sizeof(*error) + sentence->size + 1);
    if (error == NULL)
        return NULL;
    char *message = (char *)(error + 1);
    memcpy(message, sentence->text, sentence->size);
    *error = (weir_error){ .code = code, .reason = reason, .message = message };
    return error;
}

static void WEIR_PRINTF(2, 0)
    sentence_start(struct sentence *sentence, const char *format, va_list arguments)
{
    sentence->size = 0;
    sentence->is_cut = false;
    sentence_vadd(sentence, format, arguments);
}

weir_error *weir_errorf(enum weir_code code, const char *format, ...)
{
    struct sentence sentence;
    va_list arguments;
    va_start(arguments, format);
    sentence_start(&sentence, format, arguments);
    va_end(arguments);
    /* Every bad record has a reason: it is a column of the dead letters. */
    weir_error *error = error_make(code, code == WEIR_E_DATA ? "bad-record" : NULL, &sentence);
    return error == NULL ? &out_of_memory : error;
}

weir_error *weir_error_data(const char *reason, const char *format, ...)
{
    ASSERT(reason != NULL);
    struct sentence sentence;
    va_list arguments;
    va_start(arguments, format);
    sentence_start(&sentence, format, arguments);
    va_end(arguments);
    weir_error *error = error_make(WEIR_E_DATA, reason, &sentence);
    return error == NULL ? &out_of_memory : error;
}

/* Out of memory, the bare cause is worth more than the static error. */
weir_error *weir_error_wrap(weir_error *cause, const char *format, ...)
{
    ASSERT(cause != NULL);
    struct sentence sentence;
    va_list arguments;
    va_start(arguments, format);
    sentence_start(&sentence, format, arguments);
    va_end(arguments);
    sentence_add(&sentence, ": %s", cause->message);
    weir_error *error = error_make(cause->code, cause->reason, &sentence);
    if (error == NULL)
        return cause;
    error->is_retriable = cause->is_retriable;
    weir_error_free(cause);
    return error;
}

weir_error *weir_error_join(weir_error *first, weir_error *second)
{
    if (first == NULL)
        return second;
    if (second == NULL)
        return first;
    ASSERT(first != second || first->is_static);
    struct sentence sentence = { .size = 0 };
    sentence_add(&sentence, "%s; and then: %s", first->message, second->message);
    weir_error *error = error_make(first->code, first->reason, &sentence);
    weir_error_free(second);
    if (error == NULL)
        return first;
    error->is_retriable = first->is_retriable;
    weir_error_free(first);
    return error;
}

weir_error *weir_error_retriable(weir_error *error)
{
    if (error != NULL && !error->is_static)
        error->is_retriable = true;
    return error;
}

/* -- reading -------------------------------------------------------------------------------- */

enum weir_code weir_error_code(const weir_error *error)
{
    ASSERT(error != NULL);
    return error->code;
}

const char *weir_error_reason(const weir_error *error)
{
    ASSERT(error != NULL);
    return error->reason;
}

const char *weir_error_message(const weir_error *error)
{
    ASSERT(error != NULL);
    return error->message;
}

bool weir_error_is_retriable(const weir_error *error)
{
    ASSERT(error != NULL);
    return error->is_retriable;
}

const char *weir_code_name(enum weir_code code)
{
    ASSERT((unsigned)code < WEIR_CODE_COUNT);
    return codes[code].name;
}

int weir_code_exit(enum weir_code code)
{
    ASSERT((unsigned)code < WEIR_CODE_COUNT);
    return codes[code].exit_status;
}

void weir_error_free(weir_error *error)
{
    if (error != NULL && !error->is_static)
        mem_free(error);
}
