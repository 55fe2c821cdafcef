/* fault_os.c -- a table around os_linux that counts. */
#include "test/support/fault_os.h"

#include <stddef.h>

static uint64_t calls, failing_call;
static enum fault how;
static int with_error;
static void (*on_call)(void *arg);
static void *on_call_arg;

/* What becomes of this call. */
enum outcome { DONE, NOT_DONE, DONE_BUT_FAILED };

static enum outcome next_call(void)
{
    calls++;
    if (calls == failing_call && on_call != NULL) {
        void (*hook)(void *arg) = on_call;
        on_call = NULL;
        failing_call = 0;
        hook(on_call_arg);
        return DONE;
    }
    if (failing_call == 0 || calls < failing_call)
        return DONE;
    if (calls == failing_call && how == FAULT_LIE)
        return DONE_BUT_FAILED;
    if (calls == failing_call || how == FAULT_CRASH)
        return NOT_DONE;
    return DONE;
}

#define CALL(expression_) \
    do { \
        enum outcome outcome_ = next_call(); \
        int result_ = outcome_ == NOT_DONE ? with_error : (expression_); \
        return outcome_ == DONE_BUT_FAILED && result_ == 0 ? with_error : result_; \
    } while (0)

static int fault_open(const char *path, enum os_open_mode mode, void **handle)
{
    enum outcome outcome = next_call();
    int result = outcome == NOT_DONE ? with_error : os_linux.open(path, mode, handle);
    if (outcome != DONE_BUT_FAILED || result != 0)
        return result;
    os_linux.close(*handle); /* made, perhaps, but nobody has it */
    return with_error;
}

static int fault_read_at(void *handle, uint64_t offset, void *bytes, size_t size, size_t *got)
{
    CALL(os_linux.read_at(handle, offset, bytes, size, got));
}

static int fault_write(void *handle, const void *bytes, size_t size, size_t *written)
{
    enum outcome outcome = next_call();
    if (outcome == NOT_DONE) {
        os_linux.write(handle, bytes, size / 2, written);
        return with_error;
    }
    int result = os_linux.write(handle, bytes, size, written);
    return outcome == DONE_BUT_FAILED ? with_error : result;
}

static int fault_sync(void *handle)
{
    (void)handle; /* a process that dies takes nothing with it: real syncs only cost time */
    CALL(0);
}

static int fault_stat(const char *path, struct os_stat *stat)
{
    CALL(os_linux.stat(path, stat));
}

static int fault_make_dir(const char *path)
{
    CALL(os_linux.make_dir(path));
}

static int fault_sync_dir(const char *path)
{
    (void)path;
    CALL(0);
}

static int fault_rename(const char *from, const char *to)
{
    CALL(os_linux.rename(from, to));
}

static int fault_link(const char *from, const char *to)
{
    CALL(os_linux.link(from, to));
}

static int fault_remove(const char *path)
{
    CALL(os_linux.remove(path));
}

static int fault_list(const char *path, char ***names, uint32_t *count)
{
    enum outcome outcome = next_call();
    int result = outcome == NOT_DONE ? with_error : os_linux.list(path, names, count);
    if (outcome != DONE_BUT_FAILED || result != 0)
        return result;
    os_names_free(*names, *count);
    return with_error;
}

static struct os table;

void fault_os_start(uint64_t nth, enum fault fault, int error)
{
    calls = 0;
    failing_call = nth;
    how = fault;
    with_error = error;
    table = os_linux;
    table.open = fault_open;
    table.read_at = fault_read_at;
    table.write = fault_write;
    table.sync = fault_sync;
    table.stat = fault_stat;
    table.make_dir = fault_make_dir;
    table.sync_dir = fault_sync_dir;
    table.rename = fault_rename;
    table.link = fault_link;
    table.remove = fault_remove;
    table.list = fault_list;
    os_current = &table;
}

void fault_os_hook(uint64_t nth, void (*hook)(void *arg), void *arg)
{
    fault_os_start(nth, FAULT_ONCE, 0);
    on_call = hook;
    on_call_arg = arg;
}

bool fault_os_stop(void)
{
    os_current = &os_linux;
    bool was_hit = failing_call != 0 && calls >= failing_call;
    if (on_call_arg != NULL)
        was_hit = on_call == NULL;
    on_call = NULL;
    on_call_arg = NULL;
    return was_hit;
}
