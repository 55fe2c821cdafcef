/* os.h -- everything that Weir asks of the operating system, behind one replaceable table.
 *
 * Time, randomness, files and waking: `runtime`, `state`, `checkpoint` and the file connectors call
 * os_* and nothing else, so the simulator (test/sim) can put a virtual clock, a seeded random
 * number generator and a disk that loses unsynced writes in their place: the same code as in
 * production.
 *
 *      os_open ... os_wall_ms          the functions below: checks, error messages
 *              |
 *        struct os *os_current         the table: the real one (os_linux.c), or the simulator's
 *
 * Errors name the path and the system's words; a full disk is WEIR_E_DISK_FULL with the fix.
 * A failed os_sync must not be retried on the same file: write a new one.
 * Prefixes: waker_
 * Thread: any, but a file or waker belongs to one thread at a time (waker_wake: any).
 * Paths: at most OS_PATH_MAX bytes. */
#ifndef WEIR_BASE_OS_H
#define WEIR_BASE_OS_H

#include <weir/error.h>
#include <stddef.h>
#include <stdint.h>

#define OS_PATH_MAX  4096
#define OS_NAMES_MAX 1000000u /* in one directory */

/* -- time and randomness -------------------------------------------------------------------- */
int64_t os_monotonic_ns(void); /* never goes back */
int64_t os_monotonic_ms(void); /* the same clock */
int64_t os_wall_ms(void);      /* since the epoch */
uint64_t os_random(void);
static inline int64_t os_earlier(int64_t a, int64_t b) /* of two deadlines; INT64_MAX: none */
{
    return a < b ? a : b;
}
/* Until a deadline; 0: it has come. INT64_MIN is one, too: overdue. */
static inline int64_t os_left_ms(int64_t deadline_ms, int64_t now_ms)
{
    return deadline_ms <= now_ms ? 0 : deadline_ms - now_ms;
}
/* Waits that long before something outside is asked again. Not for what another thread can tell: a waker. */
void os_pause_ms(int64_t ms);

/* -- files ---------------------------------------------------------------------------------- */
enum os_open_mode {
    OS_READ,
    OS_CREATE,   /* for writing; fails if it exists */
    OS_TRUNCATE, /* for writing; empties it or makes it */
    OS_APPEND    /* for writing at the end; makes it */
};
struct os_file; /* Thread: its owner */
weir_error *os_open(const char *path, enum os_open_mode mode, struct os_file **file) WEIR_MUST_USE;
/* Reads up to size bytes; *got < size only at the end of the file. */
weir_error *os_read(struct os_file *file, void *bytes, size_t size, size_t *got) WEIR_MUST_USE;
weir_error *os_read_at(struct os_file *file, uint64_t offset, void *bytes, size_t size, size_t *got)
    WEIR_MUST_USE;
weir_error *os_write(struct os_file *file, const void *bytes, size_t size) WEIR_MUST_USE; /* all */
weir_error *os_sync(struct os_file *file) WEIR_MUST_USE; /* fdatasync */
void os_close(struct os_file *file);                     /* NULL is fine; does not sync */

/* Makes an empty file, which only one process can do: the others are told that it was taken. */
weir_error *os_claim(const char *path, bool *was_taken) WEIR_MUST_USE;

/* Thread: its owner. */
struct os_stat {
    bool exists, is_directory, is_regular;
    uint64_t size;
    int64_t modified_ms;
    uint64_t device,
        inode; /* which file, whatever its name, until the machine boots; 0: not told */
};
weir_error *os_stat(const char *path, struct os_stat *stat) WEIR_MUST_USE; /* missing is no error */
weir_error *os_make_dirs(const char *path) WEIR_MUST_USE;                  /* mkdir -p, 0700 */
/* The same, and a power failure does not take them away again. */
weir_error *os_make_dirs_durable(const char *path) WEIR_MUST_USE;
weir_error *os_sync_dir(const char *path) WEIR_MUST_USE;
weir_error *os_rename(const char *from, const char *to) WEIR_MUST_USE; /* replaces */
weir_error *os_link(const char *from, const char *to) WEIR_MUST_USE;   /* hard link */
weir_error *os_remove(const char *path) WEIR_MUST_USE;                 /* missing is no error */
weir_error *os_remove_tree(const char *path) WEIR_MUST_USE;            /* rm -r; missing is fine */
/* Names in a directory, sorted by bytes, without . and ..; free with os_names_free. At most
 * OS_NAMES_MAX names. */
weir_error *os_list(const char *path, char ***names, uint32_t *count) WEIR_MUST_USE;
void os_names_free(char **names, uint32_t count);
/* Whole files, for small ones: read (at most size_max bytes; mem_free it; terminated), and write to
 * a temporary name ("<path>.<random>.tmp": what a crash leaves of it), sync, rename, sync the
 * directory. */
weir_error *os_read_file(const char *path, size_t size_max, char **bytes, size_t *size)
    WEIR_MUST_USE;
weir_error *os_write_file(const char *path, const void *bytes, size_t size) WEIR_MUST_USE;

/* -- waking a thread ------------------------------------------------------------------------- */
struct waker; /* an eventfd */
struct waker *waker_new(void);
void waker_free(struct waker *waker);
void waker_wake(struct waker *waker); /* Thread: any; awake: a fence and a load, 20 ns */
/* Returns when woken since the last return, or at the time-out (negative: none), or early. */
void waker_wait(struct waker *waker, int64_t timeout_ms);
int waker_fd(const struct waker *waker);
/* The two halves of a wait, for an owner that polls other descriptors with waker_fd. waker_sleep false: woken
 * already, do not wait. Then always waker_awake; is_ready: waker_fd was readable. */
bool waker_sleep(struct waker *waker);
void waker_awake(struct waker *waker, bool is_ready);

/* -- standard error, for base/log only (one write call; errors are ignored) ------------------- */
void os_stderr_write(const void *bytes, size_t size);
bool os_stderr_is_terminal(void);
void os_stderr_cut(uint64_t size_max); /* empties it, if it is a regular file at least as large */

/* -- the table -------------------------------------------------------------------------------- */
/* Thread: immutable after init: set os_current before the first thread starts. What the simulator
 * replaces. The functions return 0 or an errno value. `handle` is the implementation's own. */
struct os {
    int64_t (*monotonic_ns)(void);
    int64_t (*wall_ms)(void);
    uint64_t (*random)(void);
    void (*pause_ms)(int64_t ms);
    int (*open)(const char *path, enum os_open_mode mode, void **handle);
    int (*read_at)(void *handle, uint64_t offset, void *bytes, size_t size, size_t *got);
    int (*write)(void *handle, const void *bytes, size_t size, size_t *written); /* may be short */
    int (*sync)(void *handle);
    void (*close)(void *handle);
    int (*stat)(const char *path, struct os_stat *stat);
    int (*make_dir)(const char *path);
    int (*sync_dir)(const char *path);
    int (*rename)(const char *from, const char *to);
    int (*link)(const char *from, const char *to);
    int (*remove)(const char *path); /* a file or an empty directory */
    int (*list)(const char *path, char ***names, uint32_t *count);
};
extern const struct os os_linux;
extern const struct os *os_current; /* &os_linux at start */

#endif
