/* os_child.h -- child processes: started with limits, waited for without blocking, gone when we are.
 *
 * A child has a process group of its own, reads nothing on standard input, appends what it prints to a
 * log, and is killed by the kernel when the thread that started it ends. Descriptor 3 is a file in memory
 * that both sides see: what we give it, or what it gives us. Nothing else of ours is open in it. When it has read
 * what it was given, a page of that memory is left for a number (os_child_tell): it costs no call to write there, so a
 * process that crashes can, and no descriptor, which the program might have closed and opened as something else.
 *
 * The parent's side is behind a table of its own, as os.h is: the children of the simulator are objects.
 * Prefixes: os_child_, os_children_
 * Thread: the one that starts them. */
#ifndef WEIR_BASE_OS_CHILD_H
#define WEIR_BASE_OS_CHILD_H

#include <weir/type.h>

struct waker;
struct os_child;

/* Thread: its holder. */
struct os_child_options {
    const char *path;
    char *const *argv;     /* the last one is NULL */
    const char *directory; /* where it runs */
    const char *log_path;  /* of standard output and error; appended to */
    weir_str input;        /* on descriptor 3, from the start */
    uint64_t
        data_size_max; /* bytes of private memory: more and its allocations fail; 0: no limit */
};
/* WEIR_E_USAGE: it is no program for this machine; others: it could not be started. */
weir_error *os_child_start(const struct os_child_options *options, struct os_child **child)
    WEIR_MUST_USE;
/* From now on each end of a child wakes the waker. NULL: no longer. */
void os_children_watch(struct waker *waker);

/* Thread: its holder. */
struct os_child_end {
    int status; /* of exit; -1: by a signal */
    int signal; /* 0: by exit */
    bool has_core;
};
bool os_child_has_ended(struct os_child *child, struct os_child_end *end); /* never waits */
const char *os_signal_name(int signal);                                    /* "SIGSEGV" */
bool os_signal_dumps_core(int signal); /* it does, where the system keeps core files */
void os_child_kill(const struct os_child *child,
    int signal); /* its process group; harmless when it is gone */
int os_child_pid(const struct os_child *child);
uint64_t os_child_rss(const struct os_child *child); /* bytes; 0: not known */
/* What is on descriptor 3, at most size_max bytes; mem_free it. */
weir_error *os_child_output(struct os_child *child, size_t size_max, char **bytes, size_t *size)
    WEIR_MUST_USE;
/* What it has said with os_child_tell; false: nothing. */
bool os_child_told(struct os_child *child, uint32_t *number);
void os_child_free(struct os_child *child); /* kills what is left, waits for it */
/* A log that is larger is cut to its last quarter. Lines that come at this moment may be lost. */
void os_child_trim_log(const char *path, uint64_t size_max);

/* -- the child's side */
/* What it was given on descriptor 3, at most size_max bytes; mem_free it. WEIR_E_USAGE: nothing is there. */
weir_error *os_child_input(size_t size_max, char **bytes, size_t *size) WEIR_MUST_USE;
/* A number for the parent, which hears of it however this process ends; the last one counts. After os_child_input, else
 * nothing happens. Thread: any, also a signal handler. */
void os_child_tell(uint32_t number);

/* -- the table */
/* Thread: immutable after init: set os_child_current before the first child is started. What the simulator replaces:
 * each function is the one above of the same name. A child is the implementation's own. */
struct os_child_class {
    weir_error *(*start)(const struct os_child_options *options, struct os_child **child);
    bool (*has_ended)(struct os_child *child, struct os_child_end *end);
    void (*kill)(const struct os_child *child, int signal);
    int (*pid)(const struct os_child *child);
    uint64_t (*rss)(const struct os_child *child);
    weir_error *(*output)(struct os_child *child, size_t size_max, char **bytes, size_t *size);
    bool (*told)(struct os_child *child, uint32_t *number);
    void (*free)(struct os_child *child);
    void (*trim_log)(const char *path, uint64_t size_max);
};
extern const struct os_child_class os_child_linux;
extern const struct os_child_class *os_child_current; /* &os_child_linux at start */

#endif
