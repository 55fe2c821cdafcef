/* sim_oracle.c -- see sim_oracle.h.
 *
 * The truth is made of counters that are set to what is expected; a check clears the found ones, goes
 * through all files, and compares. */
#include "test/sim/sim_oracle.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/sim/sim_job.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define FILE_SIZE_MAX ((size_t)64 << 20)

/* One window of a key, one of a hash table's slots. */
struct pane {
    uint64_t key;
    int64_t start_ms, sum;
    uint64_t count;
    bool is_found;
};

struct ledger {
    uint64_t count; /* expected */
    int64_t sum, best;
    uint64_t flushed; /* found */
    bool is_final_found;
    bool *tallies, *reduced; /* found, by number - 1 */
};

struct sim_oracle {
    const struct sim_shape *shape;
    struct ledger *keys;
    bool *found; /* by index: record or dead letter */
    struct pane *panes;
    uint64_t pane_count, pane_slots;
    uint64_t booked, bad;
    uint64_t rows_found, kinds_found[SIM_KINDS];
    char text[512];
    bool is_wrong;
};

static void wrong(struct sim_oracle *oracle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void wrong(struct sim_oracle *oracle, const char *format, ...)
{
    if (oracle->is_wrong)
        return;
    oracle->is_wrong = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(oracle->text, sizeof(oracle->text), format, arguments);
    va_end(arguments);
}

/* -- the truth ------------------------------------------------------------------------------------ */

/* The slot of a window, an empty one if there is none. */
static struct pane *pane_of(struct sim_oracle *oracle, uint64_t key, int64_t start_ms)
{
    uint64_t slot = ((uint64_t)start_ms * 31 + key) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    for (;; slot++) {
        struct pane *pane = &oracle->panes[slot % oracle->pane_slots];
        if (pane->count == 0 || (pane->key == key && pane->start_ms == start_ms))
            return pane;
    }
}

static void expect_event(struct sim_oracle *oracle, uint64_t index)
{
    struct sim_event event;
    sim_event_fill(oracle->shape, index, &event);
    int64_t amount = event.amount * 3 + 1;
    struct ledger *ledger = &oracle->keys[event.key];
    ledger->best = ledger->count == 0 || amount > ledger->best ? amount : ledger->best;
    ledger->count++;
    ledger->sum += amount;
    int64_t start_ms = sim_event_window(oracle->shape, event.at_ms);
    struct pane *pane = pane_of(oracle, event.key, start_ms);
    oracle->pane_count += pane->count == 0;
    *pane = (struct pane){ .key = event.key,
        .start_ms = start_ms,
        .sum = pane->sum + amount,
        .count = pane->count + 1 };
    oracle->booked++;
}

struct sim_oracle *sim_oracle_new(const struct sim_shape *shape)
{
    struct sim_oracle *oracle = mem_alloc(sizeof(*oracle));
    oracle->shape = shape;
    oracle->keys = mem_alloc_array(shape->key_count, sizeof(*oracle->keys));
    oracle->found = mem_alloc_array(shape->count + 1, sizeof(bool));
    oracle->pane_slots = shape->count * 2 + 1;
    oracle->panes = mem_alloc_array(oracle->pane_slots, sizeof(*oracle->panes));
    for (uint64_t i = 0; i < shape->count; i++) {
        if (sim_event_is_dropped(shape, i))
            continue;
        if (sim_event_is_bad(shape, i))
            oracle->bad++;
        else
            expect_event(oracle, i);
    }
    for (uint32_t k = 0; k < shape->key_count; k++) {
        oracle->keys[k].tallies = mem_alloc_array(oracle->keys[k].count + 1, sizeof(bool));
        oracle->keys[k].reduced = mem_alloc_array(oracle->keys[k].count + 1, sizeof(bool));
    }
    return oracle;
}

void sim_oracle_free(struct sim_oracle *oracle)
{
    for (uint32_t k = 0; k < oracle->shape->key_count; k++) {
        mem_free(oracle->keys[k].tallies);
        mem_free(oracle->keys[k].reduced);
    }
    mem_free(oracle->keys);
    mem_free(oracle->found);
    mem_free(oracle->panes);
    mem_free(oracle);
}

void sim_oracle_begin(struct sim_oracle *oracle)
{
    const struct sim_shape *shape = oracle->shape;
    memset(oracle->found, 0, shape->count * sizeof(bool));
    memset(oracle->kinds_found, 0, sizeof(oracle->kinds_found));
    for (uint32_t k = 0; k < shape->key_count; k++) {
        struct ledger *ledger = &oracle->keys[k];
        ledger->flushed = 0;
        ledger->is_final_found = false;
        memset(ledger->tallies, 0, ledger->count * sizeof(bool));
        memset(ledger->reduced, 0, ledger->count * sizeof(bool));
    }
    for (uint64_t i = 0; i < oracle->pane_slots; i++)
        oracle->panes[i].is_found = false;
    oracle->rows_found = 0;
    oracle->is_wrong = false;
}

/* -- rows ----------------------------------------------------------------------------------------- */

/* Notes that it was found; says so if it was before. */
static void find_once(struct sim_oracle *oracle, bool *found, const struct sim_row *row,
    const char *what)
{
    if (*found)
        wrong(oracle, "%s is there twice: key %" PRIu64 ", index %" PRIu64 ", count %" PRIu64, what,
            row->key, row->index, row->count);
    *found = true;
}

static void on_record(struct sim_oracle *oracle, const struct sim_row *row)
{
    const struct sim_shape *shape = oracle->shape;
    struct sim_event event;
    if (row->index >= shape->count || sim_event_is_dropped(shape, row->index) ||
        sim_event_is_bad(shape, row->index)) {
        wrong(oracle, "record %" PRIu64 " should not be there", row->index);
        return;
    }
    sim_event_fill(shape, row->index, &event);
    if (row->key != event.key || row->sum != event.amount * 3 + 1 ||
        row->text_hash != sim_text_hash(event.text)) {
        wrong(oracle, "record %" PRIu64 " is not what went in", row->index);
        return;
    }
    struct ledger *ledger = &oracle->keys[row->key];
    find_once(oracle, &oracle->found[row->index], row, "a record");
    if (row->count == 0 || row->count > ledger->count)
        wrong(oracle,
            "record %" PRIu64 " is number %" PRIu64 " of key %" PRIu64 ", which has %" PRIu64,
            row->index, row->count, row->key, ledger->count);
    else
        find_once(oracle, &ledger->tallies[row->count - 1], row, "a tally");
}

static void on_window(struct sim_oracle *oracle, const struct sim_row *row)
{
    struct pane *pane = pane_of(oracle, row->key, (int64_t)row->index);
    if (oracle->shape->is_live) /* what comes late opens a window again */
        return;
    if (pane->count != row->count || pane->sum != row->sum)
        wrong(oracle,
            "window %" PRIu64 " of key %" PRIu64 " has %" PRIu64 " records, expected %" PRIu64,
            row->index, row->key, row->count, pane->count);
    find_once(oracle, &pane->is_found, row, "a window");
}

static void on_final(struct sim_oracle *oracle, struct ledger *ledger, const struct sim_row *row)
{
    if (row->count != ledger->count || row->sum != ledger->sum ||
        (int64_t)row->index != ledger->best)
        wrong(oracle,
            "key %" PRIu64 " ends with %" PRIu64 " records and the sum %" PRId64
            ", expected %" PRIu64 " and %" PRId64,
            row->key, row->count, row->sum, ledger->count, ledger->sum);
    find_once(oracle, &ledger->is_final_found, row, "the end of a key");
}

static void on_reduced(struct sim_oracle *oracle, struct ledger *ledger, const struct sim_row *row)
{
    if (row->count == 0 || row->count > ledger->count) {
        wrong(oracle, "%" PRIu64 " reduced records of key %" PRIu64 ", which has %" PRIu64,
            row->count, row->key, ledger->count);
        return;
    }
    if (row->count == ledger->count && row->sum != ledger->sum)
        wrong(oracle, "key %" PRIu64 " is reduced to %" PRId64 ", expected %" PRId64, row->key,
            row->sum, ledger->sum);
    find_once(oracle, &ledger->reduced[row->count - 1], row, "a reduced record");
}

static void on_flush(struct sim_oracle *oracle, struct ledger *ledger, const struct sim_row *row)
{
    ledger->flushed += row->count;
    if (row->count == 0 || ledger->flushed > ledger->count)
        wrong(oracle, "key %" PRIu64 " is flushed %" PRIu64 " more, so %" PRIu64 " of %" PRIu64,
            row->key, row->count, ledger->flushed, ledger->count);
}

static void on_dead(struct sim_oracle *oracle, const struct sim_row *row)
{
    if (row->index >= oracle->shape->count || !sim_event_is_bad(oracle->shape, row->index) ||
        sim_event_is_dropped(oracle->shape, row->index)) {
        wrong(oracle, "record %" PRIu64 " is no dead letter", row->index);
        return;
    }
    find_once(oracle, &oracle->found[row->index], row, "a dead letter");
}

static void on_row(struct sim_oracle *oracle, const struct sim_row *row)
{
    if (!sim_row_is_whole(row) || row->kind >= SIM_KINDS || row->key >= oracle->shape->key_count) {
        wrong(oracle, "a row is damaged");
        return;
    }
    struct ledger *ledger = &oracle->keys[row->key];
    oracle->rows_found++;
    oracle->kinds_found[row->kind]++;
    switch ((enum sim_kind)row->kind) {
    case SIM_RECORD:
        on_record(oracle, row);
        return;
    case SIM_FLUSH:
        on_flush(oracle, ledger, row);
        return;
    case SIM_WINDOW:
        on_window(oracle, row);
        return;
    case SIM_FINAL:
        on_final(oracle, ledger, row);
        return;
    case SIM_REDUCED:
        on_reduced(oracle, ledger, row);
        return;
    case SIM_DEAD:
        on_dead(oracle, row);
        return;
    case SIM_KINDS:
        break;
    }
}

static void note_place(struct sim_oracle *oracle, const char *where)
{
    size_t used = strlen(oracle->text);
    if (oracle->is_wrong)
        snprintf(oracle->text + used, sizeof(oracle->text) - used, " in '%s'", where);
}

void sim_oracle_take(struct sim_oracle *oracle, const struct sim_row *row, const char *where)
{
    if (oracle->is_wrong)
        return;
    on_row(oracle, row);
    note_place(oracle, where);
}

/* -- files ---------------------------------------------------------------------------------------- */

static int nibble(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* From lines of hexadecimal digits to rows, in place; false: they are no such lines. Nothing of the C
 * library looks at a line: with strict_string_checks=1, as the tests run, strspn looks for the end of the
 * whole file each time, 14 thousand times in one of 1.5 MB. */
static bool unhex(char *bytes, size_t *size)
{
    const size_t line = 2 * sizeof(struct sim_row) + 1;
    size_t count = *size / line, used = 0;
    bool is_fine = *size % line == 0;
    for (size_t i = 0; i < count && is_fine; i++) {
        const char *at = bytes + i * line;
        is_fine = at[line - 1] == '\n';
        for (size_t d = 0; d + 1 < line && is_fine; d += 2) {
            int high = nibble(at[d]), low = nibble(at[d + 1]);
            is_fine = high >= 0 && low >= 0;
            bytes[used++] = (char)(high * 16 + low);
        }
    }
    *size = used;
    return is_fine;
}

static weir_error *read_rows(struct sim_oracle *oracle, const char *path)
{
    char *bytes;
    size_t size;
    struct sim_row row;
    WEIR_TRY(os_read_file(path, FILE_SIZE_MAX, &bytes, &size));
    if (oracle->shape->writes_text && !unhex(bytes, &size))
        wrong(oracle, "a line is damaged");
    if (size == 0 || size % sizeof(row) != 0)
        wrong(oracle, "%zu bytes", size);
    for (size_t at = 0; at + sizeof(row) <= size && !oracle->is_wrong; at += sizeof(row)) {
        memcpy(&row, bytes + at, sizeof(row));
        on_row(oracle, &row);
    }
    note_place(oracle, path);
    mem_free(bytes);
    return NULL;
}

static weir_error *read_all(struct sim_oracle *oracle, const char *directory)
{
    char **names;
    uint32_t count;
    WEIR_TRY(os_list(directory, &names, &count));
    weir_error *error = NULL;
    for (uint32_t i = 0; i < count && error == NULL && !oracle->is_wrong; i++) {
        if (names[i][0] == '.')
            continue; /* not published */
        char *path = mem_printf("%s/%s", directory, names[i]);
        error = read_rows(oracle, path);
        mem_free(path);
    }
    os_names_free(names, count);
    return error;
}

static void expect_kind(struct sim_oracle *oracle, enum sim_kind kind, uint64_t count)
{
    static const char *const names[SIM_KINDS] = { "records", "flushes", "windows", "ends of keys",
        "reduced records", "dead letters" };
    if (oracle->kinds_found[kind] != count)
        wrong(oracle, "%" PRIu64 " %s are there, expected %" PRIu64, oracle->kinds_found[kind],
            names[kind], count);
}

static void check_complete(struct sim_oracle *oracle)
{
    uint64_t keys = 0, flushed = 0;
    for (uint32_t k = 0; k < oracle->shape->key_count; k++) {
        keys += oracle->keys[k].count > 0;
        flushed += oracle->keys[k].flushed;
    }
    expect_kind(oracle, SIM_RECORD, oracle->booked);
    if (!oracle->shape->is_live)
        expect_kind(oracle, SIM_WINDOW, oracle->pane_count);
    expect_kind(oracle, SIM_FINAL, keys);
    expect_kind(oracle, SIM_REDUCED, oracle->shape->has_reduce ? oracle->booked : 0);
    expect_kind(oracle, SIM_DEAD, oracle->bad);
    if (flushed != oracle->booked)
        wrong(oracle, "%" PRIu64 " records were flushed, expected %" PRIu64, flushed,
            oracle->booked);
}

const char *sim_oracle_end(struct sim_oracle *oracle, bool is_complete)
{
    if (is_complete)
        check_complete(oracle);
    return oracle->is_wrong ? oracle->text : NULL;
}

const char *sim_oracle_check(struct sim_oracle *oracle, const char *directory, bool is_complete)
{
    sim_oracle_begin(oracle);
    weir_error *error = read_all(oracle, directory);
    if (error != NULL)
        wrong(oracle, "%s", weir_error_message(error));
    weir_error_free(error);
    return sim_oracle_end(oracle, is_complete);
}

uint64_t sim_oracle_found(const struct sim_oracle *oracle)
{
    return oracle->rows_found;
}

uint64_t sim_oracle_booked(const struct sim_oracle *oracle)
{
    return oracle->booked;
}
