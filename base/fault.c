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
#include "base/os_process.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define STALL_MAX_MS 600000

enum fault_action { FAULT_NOTHING, FAULT_KILL, FAULT_ERROR, FAULT_STALL };

/* Thread: passed: any; the rest is immutable after init. */
struct fault {
    const char *name, *where;
    bool can_fail;
    enum fault_action action;
    uint64_t nth;
    int64_t stall_ms;
    _Atomic uint64_t passed;
};

static struct fault faults[FAULT_POINT_COUNT] = {
#define FAULT_ROW(id_, name_, can_fail_, where_) \
    [FAULT_##id_] = { .name = (name_), .where = (where_), .can_fail = (can_fail_) },
    FAULT_POINTS(FAULT_ROW)
#undef FAULT_ROW
};

/* -- reading rules -------------------------------------------------------------------------- */

static struct fault *find(const char *name, size_t size)
{
    for (size_t i = 0; i < FAULT_POINT_COUNT; i++) {
        if (strlen(faults[i].name) == size && memcmp(faults[i].name, name, size) == 0)
            return &faults[i];
    }
    return NULL;
}

static weir_error *unknown(const char *name, size_t size)
{
    weir_buffer *known = weir_buffer_new(4096);
    for (size_t i = 0; i < FAULT_POINT_COUNT; i++)
        buffer_printf(known, "%s%s", i == 0 ? "" : ", ", faults[i].name);
    weir_error *error = weir_errorf(WEIR_E_USAGE,
        "WEIR_FAULT names the fault point '%.*s', which does not exist; known are: %s", (int)size,
        name, buffer_text(known));
    weir_buffer_free(known);
    return error;
}

static weir_error *malformed(const char *rule)
{
    return weir_errorf(WEIR_E_USAGE,
        "WEIR_FAULT has the rule '%s'; write point:nth:action, where nth is 1 or more and action "
        "is "
        "kill, error or stall-<ms>",
        rule);
}

static bool parse_number(const char *text, char end, int64_t max, int64_t *number)
{
    char *stop;
    long long value = strtoll(text, &stop, 10);
    *number = value;
    return text[0] >= '0' && text[0] <= '9' && *stop == end && value <= max;
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

static weir_error *parse_rule(const char *rule)
{
    size_t size = strcspn(rule, ":");
    if (rule[size] != ':')
        return malformed(rule);
    struct fault *fault = find(rule, size);
    if (fault == NULL)
        return unknown(rule, size);
    const char *nth = rule + size + 1;
    const char *colon = strchr(nth, ':');
    int64_t number;
    if (colon == NULL || !parse_number(nth, ':', INT64_MAX, &number) || number < 1 ||
        !parse_action(fault, colon + 1))
        return malformed(rule);
    fault->nth = (uint64_t)number;
    if (fault->action == FAULT_ERROR && !fault->can_fail)
        return weir_errorf(WEIR_E_USAGE,
            "the fault point '%s' cannot return an error, only kill or stall-<ms>", fault->name);
    return NULL;
}

weir_error *fault_init(void)
{
    for (size_t i = 0; i < FAULT_POINT_COUNT; i++) {
        faults[i].action = FAULT_NOTHING;
        faults[i].passed = 0;
    }
    const char *rules = getenv("WEIR_FAULT");
    if (rules == NULL)
        return NULL;
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

/* -- passing points ------------------------------------------------------------------------- */

weir_error *fault_pass(enum fault_point point)
{
    ASSERT((unsigned)point < FAULT_POINT_COUNT);
    struct fault *fault = &faults[point];
    if (fault->action == FAULT_NOTHING)
        return NULL;
    if (atomic_fetch_add(&fault->passed, 1) + 1 != fault->nth)
        return NULL;
    switch (fault->action) {
    case FAULT_NOTHING:
        break;
    case FAULT_KILL:
        log_warn("fault", "killed at '%s' (%s), time %" PRIu64, fault->name, fault->where,
            fault->nth);
        os_kill_self();
    case FAULT_ERROR:
        log_warn("fault", "error at '%s' (%s), time %" PRIu64, fault->name, fault->where,
            fault->nth);
        return weir_error_retriable(
            weir_errorf(WEIR_E_IO, "fault point '%s' was told to fail here", fault->name));
    case FAULT_STALL:
        log_warn("fault", "stalled for %" PRId64 " ms at '%s' (%s), time %" PRIu64, fault->stall_ms,
            fault->name, fault->where, fault->nth);
        os_sleep_ms(fault->stall_ms);
        break;
    }
    return NULL;
}

void fault_pass_void(enum fault_point point)
{
    weir_error *error = fault_pass(point);
    ASSERT(error == NULL); /* refused by fault_init */
}

#endif
