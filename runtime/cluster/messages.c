/* messages.c -- see messages.h: one table of kinds, and lists as bytes. */
#include "runtime/cluster/messages.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "types/msgpack.h"

/* Thread: immutable after init. */
struct row {
    const char *name;
    const struct weir_type *type;
};

static const struct row table[] = {
    [MESSAGE_HEARTBEAT] = { "HEARTBEAT", &message_heartbeat_type },
    [MESSAGE_REFUSED] = { "REFUSED", &message_refused_type },
    [MESSAGE_REGISTER] = { "REGISTER", &message_register_type },
    [MESSAGE_REGISTERED] = { "REGISTERED", &message_registered_type },
    [MESSAGE_PLAN] = { "PLAN", &message_plan_type },
    [MESSAGE_PLANNED] = { "PLANNED", &message_planned_type },
    [MESSAGE_START] = { "START", &message_start_type },
    [MESSAGE_WORKER_ENDED] = { "WORKER_ENDED", &message_worker_ended_type },
    [MESSAGE_KILL] = { "KILL", &message_kill_type },
    [MESSAGE_HELLO] = { "HELLO", &message_hello_type },
    [MESSAGE_DEPLOY] = { "DEPLOY", &message_deploy_type },
    [MESSAGE_TRIGGER] = { "TRIGGER", &message_command_type },
    [MESSAGE_COMPLETE] = { "COMPLETE", &message_command_type },
    [MESSAGE_OVERTAKE] = { "OVERTAKE", &message_command_type },
    [MESSAGE_ABORT] = { "ABORT", &message_command_type },
    [MESSAGE_STOP] = { "STOP", &message_command_type },
    [MESSAGE_DRAIN] = { "DRAIN", &message_command_type },
    [MESSAGE_CANCEL] = { "CANCEL", &message_command_type },
    [MESSAGE_RUNNING] = { "RUNNING", &message_event_type },
    [MESSAGE_ENDED] = { "ENDED", &message_event_type },
    [MESSAGE_FAILED] = { "FAILED", &message_event_type },
    [MESSAGE_ACKED] = { "ACKED", &message_event_type },
    [MESSAGE_DECLINED] = { "DECLINED", &message_event_type },
    [MESSAGE_PUBLISHED] = { "PUBLISHED", &message_event_type },
    [MESSAGE_METRICS] = { "METRICS", &message_event_type },
    [MESSAGE_LOG] = { "LOG", &message_log_type },
    [MESSAGE_LOGGED] = { "LOGGED", &message_logged_type },
};

const struct weir_type *message_type(uint32_t kind)
{
    return kind < sizeof(table) / sizeof(table[0]) ? table[kind].type : NULL;
}

bool message_is_command(uint32_t kind)
{
    return message_type(kind) == &message_command_type;
}

bool message_is_event(uint32_t kind)
{
    return message_type(kind) == &message_event_type;
}

const char *message_kind_name(uint32_t kind)
{
    return message_type(kind) == NULL ? "?" : table[kind].name;
}

char *message_text(weir_str text)
{
    return text.data == NULL ? NULL : mem_printf("%.*s", (int)text.size, text.data);
}

void message_send(struct connection *to, enum message_kind kind, const void *record)
{
    weir_buffer *bytes = weir_buffer_new(NET_FRAME_MAX);
    msgpack_encode(table[kind].type, record, bytes);
    connection_send(to, kind,
        weir_buffer_view(bytes)); /* one that is too long ends the connection */
    weir_buffer_free(bytes);
}

weir_error *message_read(enum message_kind kind, weir_str payload, void *record)
{
    ASSERT(message_type(kind) != NULL);
    weir_error *error = msgpack_decode(table[kind].type, payload, NULL, record);
    if (error == NULL)
        return NULL;
    weir_error *damaged = weir_errorf(WEIR_E_CORRUPT, "a %s message is damaged: %s",
        table[kind].name, weir_error_message(error));
    weir_error_free(error);
    return damaged;
}

weir_error *message_error(int32_t code, bool is_retriable, weir_str text)
{
    bool is_known = code > 0 && code < WEIR_CODE_COUNT;
    weir_error *error = weir_errorf(is_known ? (enum weir_code)code : WEIR_E_INTERNAL, "%.*s",
        (int)(text.size > 65536 ? 65536 : text.size), text.data == NULL ? "" : text.data);
    return is_retriable ? weir_error_retriable(error) : error;
}

/* -- lists ---------------------------------------------------------------------------------------- */

static weir_str keep(weir_buffer *bytes, struct arena *arena)
{
    weir_str view = weir_buffer_view(bytes);
    weir_str kept = { .data = arena_dup(arena, view.data, view.size), .size = view.size };
    weir_buffer_free(bytes);
    return kept;
}

weir_str message_put_strings(const char *const *list, uint32_t count, struct arena *arena)
{
    weir_buffer *bytes = weir_buffer_new(NET_FRAME_MAX);
    buffer_put_u32(bytes, count);
    for (uint32_t i = 0; i < count; i++)
        buffer_put_str(bytes, weir_str_of(list[i]));
    return keep(bytes, arena);
}

bool message_take_strings(weir_str bytes, uint32_t count_max, struct arena *arena,
    const char ***list, uint32_t *count)
{
    struct reader reader = reader_of(bytes);
    *count = reader_u32(&reader);
    if (reader_failed(&reader) || *count > count_max || *count > bytes.size / 4)
        return false;
    *list = arena_alloc(arena, (*count + 1) * sizeof(**list));
    for (uint32_t i = 0; i < *count; i++) {
        weir_str text = reader_str(&reader);
        if (reader_failed(&reader) || text.data == NULL ||
            memchr(text.data, '\0', text.size) != NULL)
            return false;
        char *copy = arena_alloc(arena, text.size + 1);
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        (*list)[i] = copy;
    }
    (*list)[*count] = NULL;
    return reader_at_end(&reader);
}

weir_str message_put_numbers(const uint32_t *list, uint32_t count, struct arena *arena)
{
    weir_buffer *bytes = weir_buffer_new(NET_FRAME_MAX);
    buffer_put_u32(bytes, count);
    for (uint32_t i = 0; i < count; i++)
        buffer_put_u32(bytes, list[i]);
    return keep(bytes, arena);
}

bool message_take_numbers(weir_str bytes, uint32_t count_max, struct arena *arena,
    const uint32_t **list, uint32_t *count)
{
    struct reader reader = reader_of(bytes);
    *count = reader_u32(&reader);
    if (reader_failed(&reader) || *count > count_max || *count > bytes.size / 4)
        return false;
    uint32_t *numbers = arena_alloc(arena, (*count + 1) * sizeof(*numbers));
    for (uint32_t i = 0; i < *count; i++)
        numbers[i] = reader_u32(&reader);
    *list = numbers;
    return reader_at_end(&reader) && !reader_failed(&reader);
}
