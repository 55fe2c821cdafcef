/* attempt.c -- attempt files, and the line of succession. See attempt.h for why. */
#include "checkpoint/attempt.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_SIZE_MAX   ((size_t)4096)
#define CLAIM_TRIES_MAX 1000u

static char *path_of(const char *dir, uint64_t number)
{
    return mem_printf("%s/attempt-%" PRIu64, dir, number);
}

/* -- the file ------------------------------------------------------------------------------- */

static char *text_of(const char *job, const struct attempt *attempt)
{
    char *lines = mem_printf("weir-attempt 1\njob %s\nattempt %" PRIu64 "\nchosen %d\n"
                             "restored %" PRIu64 " of attempt %" PRIu64 "\nnumbers-to %" PRIu64 "\n"
                             "instance %016" PRIx64 "\n",
        job, attempt->number, attempt->has_chosen ? 1 : 0, attempt->restored,
        attempt->restored_attempt, attempt->numbers_to, attempt->instance);
    uint64_t checksum = hash_bytes(lines, strlen(lines));
    char *text = mem_printf("%schecksum %016" PRIx64 "\n", lines, checksum);
    mem_free(lines);
    return text;
}

/* Reads the numbers, writes them again, and compares: whatever is damaged or unknown differs. */
static bool parse(const char *text, char job[65], struct attempt *attempt)
{
    struct attempt found = { .number = 0 };
    int chosen = 0;
    int count = sscanf(text,
        "weir-attempt 1\njob %64s\nattempt %18" SCNu64 "\nchosen %1d\n"
        "restored %18" SCNu64 " of attempt %18" SCNu64 "\nnumbers-to %18" SCNu64 "\n"
        "instance %16" SCNx64,
        job, &found.number, &chosen, &found.restored, &found.restored_attempt, &found.numbers_to,
        &found.instance);
    if (count != 7)
        return false;
    found.has_chosen = chosen == 1;
    char *again = text_of(job, &found);
    bool is_equal = strcmp(text, again) == 0;
    mem_free(again);
    if (is_equal)
        *attempt = found;
    return is_equal;
}

weir_error *attempt_write(const char *dir, const char *job, const struct attempt *attempt)
{
    ASSERT(attempt->number > 0 && !attempt->is_unreadable);
    ASSERT(attempt->restored <= attempt->numbers_to);
    char *path = path_of(dir, attempt->number);
    char *text = text_of(job, attempt);
    weir_error *error = os_write_file(path, text, strlen(text));
    mem_free(text);
    mem_free(path);
    return error;
}

static weir_error *interpret(const char *path, const char *text, size_t size, const char *job,
    struct attempt *attempt)
{
    uint64_t number = attempt->number;
    if (size == 0)
        return NULL;
    char found_job[65] = "";
    if (strlen(text) == size && parse(text, found_job, attempt) && attempt->number == number) {
        if (strcmp(found_job, job) == 0)
            return NULL;
        return weir_errorf(WEIR_E_STATE,
            "the checkpoints in '%.*s' are of job '%s', not of job "
            "'%s': give each job its own name or directory",
            (int)(strrchr(path, '/') - path), path, found_job, job);
    }
    *attempt = (struct attempt){ .number = number, .is_unreadable = true };
    log_error("checkpoint",
        "the file of an attempt is damaged, what it restored is not known:"
        " file=%s",
        path);
    return NULL;
}

weir_error *attempt_read(const char *dir, const char *job, uint64_t number, struct attempt *attempt)
{
    *attempt = (struct attempt){ .number = number };
    char *path = path_of(dir, number);
    char *text = NULL;
    size_t size = 0;
    weir_error *error = os_read_file(path, FILE_SIZE_MAX, &text, &size);
    if (error == NULL)
        error = interpret(path, text, size, job, attempt);
    mem_free(text);
    mem_free(path);
    return error;
}

/* -- claim and check ------------------------------------------------------------------------ */

weir_error *attempt_claim(const char *dir, uint64_t *number)
{
    return attempt_claim_above(dir, 0, number);
}

weir_error *attempt_claim_above(const char *dir, uint64_t above, uint64_t *number)
{
    *number = 0;
    for (uint32_t i = 0; i < CLAIM_TRIES_MAX; i++) {
        struct listing listing;
        WEIR_TRY(listing_read(dir, &listing));
        uint64_t highest = listing_highest(&listing, LISTING_ATTEMPT);
        uint64_t next = (highest > above ? highest : above) + 1;
        listing_release(&listing);
        char *path = path_of(dir, next);
        bool was_taken;
        weir_error *error = os_claim(path, &was_taken);
        mem_free(path);
        if (error != NULL)
            return error;
        if (was_taken)
            continue;
        *number = next; /* at an error it stays used: it may be durable */
        return os_sync_dir(dir);
    }
    return weir_errorf(WEIR_E_STATE,
        "cannot claim an attempt in '%s': others were faster %u times;"
        " start the job once",
        dir, CLAIM_TRIES_MAX);
}

weir_error *attempt_check(const char *dir, uint64_t number)
{
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(dir, &names, &count));
    uint64_t highest = 0;
    bool is_there = false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t found;
        if (!listing_number(names[i], "attempt-", &found))
            continue;
        is_there = is_there || found == number;
        highest = found > highest ? found : highest;
    }
    os_names_free(names, count);
    if (highest > number)
        return weir_errorf(WEIR_E_FENCED,
            "attempt %" PRIu64 " of the job in '%s' has taken over"
            " from this one, which is attempt %" PRIu64,
            highest, dir, number);
    if (!is_there)
        return weir_errorf(WEIR_E_FENCED,
            "the file of this attempt, '%s/attempt-%" PRIu64 "', is"
            " gone: the checkpoint directory was removed or replaced while the job ran",
            dir, number);
    return NULL;
}

/* -- the line of succession ----------------------------------------------------------------- */

weir_error *attempts_read(const char *dir, const char *job, const struct listing *listing,
    struct attempts *attempts)
{
    *attempts = (struct attempts){ .attempts = mem_alloc_array(listing->count,
                                       sizeof(*attempts->attempts)) };
    for (uint32_t i = 0; i < listing->count; i++) {
        if (listing->entries[i].kind != LISTING_ATTEMPT)
            continue;
        weir_error *error = attempt_read(dir, job, listing->entries[i].number,
            &attempts->attempts[attempts->count]);
        if (error != NULL) {
            attempts_release(attempts);
            return error;
        }
        attempts->count++;
    }
    return NULL;
}

void attempts_release(struct attempts *attempts)
{
    mem_free(attempts->attempts);
    *attempts = (struct attempts){ .count = 0 };
}

static const struct attempt *find(const struct attempts *attempts, uint64_t number)
{
    for (uint32_t i = 0; i < attempts->count; i++)
        if (attempts->attempts[i].number == number && attempts->attempts[i].has_chosen)
            return &attempts->attempts[i];
    return NULL;
}

/* The newest that has chosen: where the line starts. NULL: none. */
static const struct attempt *newest(const struct attempts *attempts)
{
    for (uint32_t i = attempts->count; i > 0; i--)
        if (attempts->attempts[i - 1].has_chosen)
            return &attempts->attempts[i - 1];
    return NULL;
}

/* Walks down the line. Where it breaks (a damaged file) what lies below cannot be judged: it counts,
 * up to where the line broke. */
bool attempts_accept(const struct attempts *attempts, uint64_t checkpoint, uint64_t by_attempt)
{
    const struct attempt *on_line = newest(attempts);
    if (on_line == NULL || by_attempt > on_line->number)
        return true;
    uint64_t number = on_line->number;
    uint64_t limit = UINT64_MAX;
    while (on_line != NULL) {
        if (by_attempt >= number)
            return by_attempt == number && checkpoint <= limit;
        limit = on_line->restored < limit ? on_line->restored : limit;
        if (on_line->restored_attempt >= number)
            break; /* a line goes down: this one was tampered with */
        number = on_line->restored_attempt;
        on_line = find(attempts, number);
    }
    return by_attempt <= number && checkpoint <= limit;
}

static bool is_needed(const struct attempts *attempts, uint64_t number, uint64_t oldest_kept)
{
    for (const struct attempt *on_line = newest(attempts); on_line != NULL;) {
        if (on_line->number == number)
            return true;
        if (on_line->restored < oldest_kept || on_line->restored_attempt >= on_line->number)
            return false;
        on_line = find(attempts, on_line->restored_attempt);
    }
    return false;
}

void attempts_prune(const char *dir, const struct attempts *attempts, uint64_t number,
    uint64_t oldest_kept)
{
    for (uint32_t i = 0; i < attempts->count; i++) {
        uint64_t old = attempts->attempts[i].number;
        if (old >= number || is_needed(attempts, old, oldest_kept))
            continue;
        char *path = path_of(dir, old);
        weir_error *error = os_remove(path);
        if (error != NULL)
            log_warn("checkpoint", "cannot remove the file of an old attempt: %s",
                weir_error_message(error));
        weir_error_free(error);
        mem_free(path);
    }
}
