/* rest_log.c -- logs of the job manager and of task managers: which there are, and the text of one. Of their threads, what
 * shows them: a process of machine code has no dump of its own to send.
 *
 * A text is at most LOG_TEXT_MAX bytes: from ?offset= on, else the last ones. Names are compared with those that there
 * are, where the files are.
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/memory.h"

/* Thread: control. */
struct asking {
    struct call *later;
    bool is_list;
};

static void put_list(struct call *call, weir_str bytes)
{
    struct arena arena;
    struct log_file *list;
    uint32_t count;
    arena_init(&arena, 4096, (size_t)16 << 20);
    if (!log_files_take(bytes, &arena, &list, &count)) {
        rest_error(call, 500, "The list of logs is damaged.");
        arena_release(&arena);
        return;
    }
    json_put_object(&call->json, NULL);
    json_put_array(&call->json, "logs");
    for (uint32_t i = 0; i < count; i++) {
        json_put_object(&call->json, NULL);
        json_put_str(&call->json, "name", list[i].name);
        json_put_uint(&call->json, "size", list[i].size);
        json_put_int(&call->json, "mtime", list[i].modified_ms);
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
    arena_release(&arena);
}

static void on_log(void *arg, weir_str bytes, const weir_error *error)
{
    struct asking *it = arg;
    struct call *call = it->later;
    if (error != NULL) {
        rest_refuse_with(call, error);
    } else if (it->is_list) {
        put_list(call, bytes);
    } else {
        call->reply->type = REST_TYPE_TEXT;
        weir_buffer_add_str(call->reply->body, bytes);
    }
    rest_answer(call);
    mem_free(it);
}

static void ask(struct call *call, const char *task_manager, enum log_kind kind, const char *name)
{
    struct log_question question = { .kind = kind, .name = weir_str_of(name), .offset = LOG_END };
    const char *offset = rest_query(call, "offset");
    if (offset != NULL)
        question.offset = rest_number(offset, INT64_MAX);
    if (offset != NULL && question.offset == UINT64_MAX) {
        rest_error(call, 400, "offset is not a number of bytes.");
        return;
    }
    struct asking *it = mem_alloc(sizeof(*it));
    *it = (struct asking){ .later = rest_later(call), .is_list = kind == LOG_LIST };
    weir_error *error = dispatcher_log(call->dispatcher, task_manager, &question, on_log, it);
    if (error != NULL)
        on_log(it, (weir_str){ 0 }, error);
    weir_error_free(error);
}

void rest_jobmanager_logs(struct call *call)
{
    ask(call, NULL, LOG_LIST, NULL);
}

void rest_jobmanager_log(struct call *call)
{
    ask(call, NULL, LOG_OWN, NULL);
}

void rest_jobmanager_stdout(struct call *call)
{
    ask(call, NULL, LOG_OUTPUT, NULL);
}

void rest_jobmanager_log_named(struct call *call)
{
    ask(call, NULL, LOG_NAMED, call->text);
}

void rest_taskmanager_logs(struct call *call)
{
    ask(call, call->text, LOG_LIST, NULL);
}

void rest_taskmanager_log(struct call *call)
{
    ask(call, call->text, LOG_OWN, NULL);
}

void rest_taskmanager_stdout(struct call *call)
{
    ask(call, call->text, LOG_OUTPUT, NULL);
}

void rest_taskmanager_log_named(struct call *call)
{
    ask(call, call->text, LOG_NAMED, call->name);
}

/* -- threads -------------------------------------------------------------------------------- */

static void put_threads(struct call *call, const char *name)
{
    struct json *json = &call->json;
    json_put_object(json, NULL);
    json_put_array(json, "threadInfos");
    json_put_object(json, NULL);
    json_put_text(json, "threadName", name);
    json_put_printf(json, "stringifiedThreadInfo",
        "The threads of %s are shown where it runs: gdb -batch -ex 'thread apply all bt' -p PID\n",
        name);
    json_put_end(json);
    json_put_end(json);
    json_put_end(json);
}

void rest_jobmanager_threads(struct call *call)
{
    put_threads(call, "the job manager");
}

void rest_taskmanager_threads(struct call *call)
{
    if (rest_find_taskmanager(call) != NULL)
        put_threads(call, call->text);
}
