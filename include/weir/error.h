/* error.h -- how anything in Weir says that it failed, and why.
 *
 * A function that can fail returns `weir_error *`: NULL is success. An error carries a code (what
 * kind of trouble), a message (the thing, the cause and the fix, in one sentence), and the errors
 * that it wraps. It is a value: whoever holds it frees it, or returns it and so gives it away.
 *
 * Bad records are errors too: `weir_error_data("bad-json", ...)` from a format or an operator sends
 * the record to the dead letters under that reason instead of failing the job.
 *
 * Thread: an error belongs to one thread at a time. Cost: one allocation each, never per good
 * record. When memory runs out the functions return a static error that weir_error_free ignores. */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <stdbool.h>

#define WEIR_API                     __attribute__((visibility("default")))
#define WEIR_MUST_USE                __attribute__((warn_unused_result))
#define WEIR_PRINTF(format_, first_) __attribute__((format(printf, format_, first_)))

/* code, process exit status, meaning: one row is all that a new code needs. */
#define WEIR_CODES(X) \
    X(DATA, 10, "a record is bad; goes to the dead letters") \
    X(USAGE, 2, "a command-line option or configuration value is wrong") \
    X(PLAN, 3, "the job graph is wrong: types, uids, keys or parallelism do not fit") \
    X(IO, 11, "a file or socket operation failed") \
    X(DISK_FULL, 12, "no space left on the device") \
    X(CORRUPT, 13, "stored bytes do not match their checksum or format") \
    X(STATE, 14, "state or a checkpoint does not fit this job") \
    X(CONNECTOR, 15, "an outside system refused or is unreachable") \
    X(TIMEOUT, 16, "a bounded wait ran out") \
    X(CANCELLED, 17, "the work was cancelled on request") \
    X(LIMIT, 18, "a configured maximum was reached") \
    X(FENCED, 19, "a newer attempt of the same job has taken over") \
    X(MEMORY, 20, "memory ran out") \
    X(INTERNAL, 21, "a defect in Weir; please report it")

enum weir_code {
#define WEIR_CODE_ENUM(name_, exit_, text_) WEIR_E_##name_,
    WEIR_CODES(WEIR_CODE_ENUM)
#undef WEIR_CODE_ENUM
        WEIR_CODE_COUNT
};

typedef struct weir_error weir_error;

/* A new error with a printf-style message. Lower case, no full stop, names the thing and the fix. */
WEIR_API weir_error *weir_errorf(enum weir_code code, const char *format, ...) WEIR_PRINTF(2, 3)
    WEIR_MUST_USE;

/* A bad record. `reason` is a short static token such as "bad-json": it is borrowed for ever, becomes
 * the dead letter's reason, and is counted under that name. */
WEIR_API weir_error *weir_error_data(const char *reason, const char *format, ...) WEIR_PRINTF(2, 3)
    WEIR_MUST_USE;

/* Puts a sentence in front of `cause`, keeps its code and reason, and takes ownership of it. */
WEIR_API weir_error *weir_error_wrap(weir_error *cause, const char *format, ...) WEIR_PRINTF(2, 3)
    WEIR_MUST_USE;

/* Attaches a second error that happened while cleaning up after `first`; takes both, either may be
 * NULL. The first keeps its code. */
WEIR_API weir_error *weir_error_join(weir_error *first, weir_error *second) WEIR_MUST_USE;

/* Marks an error as worth a retry (a broker away, a time-out); returns its argument. */
WEIR_API weir_error *weir_error_retriable(weir_error *error) WEIR_MUST_USE;

/* Reads. Pointers stay valid until the error is freed or wrapped. */
WEIR_API enum weir_code weir_error_code(const weir_error *error);
WEIR_API const char *weir_error_reason(const weir_error *error);  /* token, or NULL unless DATA */
WEIR_API const char *weir_error_message(const weir_error *error); /* "outer: inner: cause" */
WEIR_API bool weir_error_is_retriable(const weir_error *error);

WEIR_API const char *weir_code_name(enum weir_code code); /* "WEIR_E_DATA" */
WEIR_API int weir_code_exit(enum weir_code code);         /* process exit status */

/* Frees the error and its chain. NULL is fine. */
WEIR_API void weir_error_free(weir_error *error);

/* Returns from the calling function when the expression is an error: the only control-flow macro. */
#define WEIR_TRY(expression_) \
    do { \
        weir_error *weir_try_error_ = (expression_); \
        if (weir_try_error_ != NULL) \
            return weir_try_error_; \
    } while (0)

#endif
