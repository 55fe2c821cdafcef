/* fault.c -- see fault.h. The rules are read once; passing a point without a rule costs a load. */
#include "base/fault.h"

#include "base/assert.h"

#include <stdlib.h>

#ifndef WEIR_FAULT_POINTS

weir_error *fault_init(void)
{
    const char *rules = getenv("WEIR_FAULT");
    if (rules == NULL || rules[0] == '\0')
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "WEIR_FAULT is set to '%s', but this program was built without fault points; build it with "
        "'make faults' or unset WEIR_FAULT",
        rules);
}

#else

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define STALL_MAX_MS 600000
#define LOG_SIZE_MAX ((size_t)1 << 20)

enum fault_action { FAULT_NOTHING, FAULT_KILL, FAULT_ERROR, FAULT_STALL };
static const char *const ends[] = { [FAULT_BEFORE] = "before", [FAULT_AFTER] = "after" };
static const char
    *const actions[] = { [FAULT_KILL] = "kill", [FAULT_ERROR] = "error", [FAULT_STALL] = "stall" };

/* One end of a step. Thread: passed: any; the rest is immutable after init. */
struct fault {
    enum fault_action action;
    uint64_t nth;
    int64_t stall_ms;
    _Atomic uint64_t passed;
};

static const struct step {
    const char *name, *what;
    bool can_fail;
} steps[FAULT_STEP_COUNT] = {
#define FAULT_ROW(id_, name_, can_fail_, what_) \
    [FAULT_##id_] = { .name = (name_), .what = (what_), .can_fail = (can_fail_) },
    FAULT_STEPS(FAULT_ROW)
#undef FAULT_ROW
};
static struct fault faults[FAULT_STEP_COUNT][2];
static _Atomic uint64_t fired_count;
static char log_path[OS_PATH_MAX]; /* empty: nothing is counted */

/* -- what has fired ------------------------------------------------------------------------- */

/* One write at the end of the file: other processes of the job may do so, too. */
static weir_error *append(const char *line)
{
    struct os_file *file;
    WEIR_TRY(os_open(log_path, OS_APPEND, &file));
    weir_error *error = os_write(file, line, strlen(line));
    os_close(file);
    return error;
}

/* NULL: there is none yet. mem_free it. */
static weir_error *read_log(char **text)
{
    struct os_stat stat;
    size_t size;
    *text = NULL;
    WEIR_TRY(os_stat(log_path, &stat));
    return stat.exists ? os_read_file(log_path, LOG_SIZE_MAX, text, &size) : NULL;
}

/* A fault that is not counted would pass for one that was never met. */
static void must(weir_error *error)
{
    if (error != NULL)
        log_error("fault", "WEIR_FAULT_LOG: %s", weir_error_message(error));
    ASSERT(error == NULL);
}

static void note_fired(enum fault_step step, enum fault_end end)
{
    if (log_path[0] == '\0')
        return;
    char *line = mem_printf("fired %s-%s %s\n", steps[step].name, ends[end],
        actions[faults[step][end].action]);
    must(append(line));
    mem_free(line);
}

static bool is_in_log(const char *text, enum fault_step step, enum fault_end end)
{
    char *line = mem_printf("fired %s-%s %s\n", steps[step].name, ends[end],
        actions[faults[step][end].action]);
    bool is_in = strstr(text, line) != NULL;
    mem_free(line);
    return is_in;
}

void fault_recovered(void)
{
    static const char recovered[] = "recovered\n";
    const size_t size = sizeof(recovered) - 1;
    char *text;
    if (log_path[0] == '\0')
        return;
    must(read_log(&text));
    size_t length = text == NULL ? 0 : strlen(text);
    if (length > 0 && (length < size || strcmp(text + length - size, recovered) != 0))
        must(append(recovered));
    mem_free(text);
}

/* -- reading rules -------------------------------------------------------------------------- */

/* False: there is no such point. */
static bool find(const char *name, size_t size, enum fault_step *step, enum fault_end *end)
{
    for (uint32_t i = 0; i < 2 * FAULT_STEP_COUNT; i++) {
        char *point = mem_printf("%s-%s", steps[i / 2].name, ends[i % 2]);
        bool is_it = strlen(point) == size && memcmp(point, name, size) == 0;
        mem_free(point);
        *step = (enum fault_step)(i / 2);
        *end = (enum fault_end)(i % 2);
        if (is_it)
            return true;
    }
    return false;
}

static weir_error *unknown(const char *name, size_t size)
{
    weir_buffer *known = weir_buffer_new(16384);
    for (size_t i = 0; i < FAULT_STEP_COUNT; i++)
        buffer_printf(known, "%s%s", i == 0 ? "" : ", ", steps[i].name);
    weir_error *error = weir_errorf(WEIR_E_USAGE,
        "WEIR_FAULT names the fault point '%.*s', which does not exist; write <step>-before or "
        "<step>-after, where step is one of: %s",
        (int)size, name, buffer_text(known));
    weir_buffer_free(known);
    return error;
}

static weir_error *malformed(const char *rule)
{
    return weir_errorf(WEIR_E_USAGE,
        "WEIR_FAULT has the rule '%s'; write point:nth:action, where nth is 1 or more and action "
        "is kill, error or stall-<ms>, at most %d",
        rule, STALL_MAX_MS);
}

static bool parse_number(const char *text, char end, int64_t max, int64_t *number)
{
    char *stop;
    errno = 0;
    long long value = strtoll(text, &stop, 10);
    *number = value;
    return text[0] >= '0' && text[0] <= '9' && *stop == end && errno == 0 && value <= max;
}

static bool parse_action(struct fault *fault, const char *text)
{
    if (strcmp(text, "kill") == 0)
        fault->action = FAULT_KILL;
    else if (strcmp(text, "error") == 0)
        fault->action = FAULT_ERROR;
    else if (strncmp(text, "stall-", 6) == 0 &&
             parse_number(text + 6, '\0', STALL_MAX_MS, &fault->stall_ms))
        fault->action = FAULT_STALL;
    else
        return false;
    return true;
}

/* Each point has room for one rule. */
static weir_error *find_free(const char *rule, size_t size, enum fault_step *step,
    enum fault_end *end)
{
    if (!find(rule, size, step, end))
        return unknown(rule, size);
    if (faults[*step][*end].action == FAULT_NOTHING)
        return NULL;
    return weir_errorf(WEIR_E_USAGE,
        "WEIR_FAULT has two rules for the fault point '%.*s'; a point can fire once in a run",
        (int)size, rule);
}

static weir_error *parse_rule(const char *rule)
{
    size_t size = strcspn(rule, ":");
    enum fault_step step;
    enum fault_end end;
    if (rule[size] != ':')
        return malformed(rule);
    WEIR_TRY(find_free(rule, size, &step, &end));
    struct fault *fault = &faults[step][end];
    const char *nth = rule + size + 1;
    const char *colon = strchr(nth, ':');
    int64_t number;
    if (colon == NULL || !parse_number(nth, ':', INT64_MAX, &number) || number < 1 ||
        !parse_action(fault, colon + 1))
        return malformed(rule);
    fault->nth = (uint64_t)number;
    if (fault->action == FAULT_ERROR && !steps[step].can_fail)
        return weir_errorf(WEIR_E_USAGE,
            "the fault point '%.*s' cannot return an error, only kill or stall-<ms>", (int)size,
            rule);
    return NULL;
}

static weir_error *parse_rules(const char *rules)
{
    char *copy = mem_strdup(rules);
    weir_error *error = NULL;
    for (char *rule = copy; *rule != '\0' && error == NULL;) {
        size_t size = strcspn(rule, ",");
        bool is_last = rule[size] == '\0';
        rule[size] = '\0';
        error = parse_rule(rule);
        rule += size + !is_last;
    }
    mem_free(copy);
    return error;
}

/* Nor may the first that fires find that there is nowhere to note it. */
static weir_error *forget_fired(void)
{
    char *text;
    WEIR_TRY(append(""));
    WEIR_TRY(read_log(&text));
    for (uint32_t i = 0; text != NULL && i < FAULT_STEP_COUNT; i++) {
        for (enum fault_end end = FAULT_BEFORE; end <= FAULT_AFTER; end++) {
            if (faults[i][end].action != FAULT_NOTHING && is_in_log(text, (enum fault_step)i, end))
                faults[i][end].action = FAULT_NOTHING;
        }
    }
    mem_free(text);
    return NULL;
}

weir_error *fault_init(void)
{
    const char *rules = getenv("WEIR_FAULT"), *path = getenv("WEIR_FAULT_LOG");
    memset(faults, 0, sizeof(faults));
    snprintf(log_path, sizeof(log_path), "%s", path == NULL ? "" : path);
    if (rules == NULL)
        return NULL;
    WEIR_TRY(parse_rules(rules));
    return log_path[0] == '\0' ? NULL : forget_fired();
}

/* -- passing points ------------------------------------------------------------------------- */

static void tell(enum fault_step step, enum fault_end end)
{
    const struct fault *fault = &faults[step][end];
    char what[64];
    if (fault->action == FAULT_STALL)
        snprintf(what, sizeof(what), "stalled for %" PRId64 " ms", fault->stall_ms);
    else
        snprintf(what, sizeof(what), "%s", fault->action == FAULT_KILL ? "killed" : "error");
    log_warn("fault", "%s at '%s-%s' (%s), time %" PRIu64, what, steps[step].name, ends[end],
        steps[step].what, fault->nth);
}

static weir_error *fire(enum fault_step step, enum fault_end end)
{
    const struct fault *fault = &faults[step][end];
    tell(step, end);
    atomic_fetch_add(&fired_count, 1);
    note_fired(step, end);
    switch (fault->action) {
    case FAULT_NOTHING:
        break;
    case FAULT_KILL:
        os_kill_self();
    case FAULT_ERROR:
        return weir_error_retriable(weir_errorf(WEIR_E_IO,
            "fault point '%s-%s' was told to fail here", steps[step].name, ends[end]));
    case FAULT_STALL:
        os_sleep_ms(fault->stall_ms);
        break;
    }
    return NULL;
}

uint64_t fault_count(void)
{
    return fired_count;
}

weir_error *fault_pass(enum fault_step step, enum fault_end end)
{
    ASSERT((unsigned)step < FAULT_STEP_COUNT);
    struct fault *fault = &faults[step][end];
    if (fault->action == FAULT_NOTHING || atomic_fetch_add(&fault->passed, 1) + 1 != fault->nth)
        return NULL;
    return fire(step, end);
}

void fault_pass_void(enum fault_step step, enum fault_end end)
{
    weir_error *error = fault_pass(step, end);
    ASSERT(error == NULL); /* refused by fault_init */
}

#endif
