/* in_flight_fuzz.c -- records in flight, from a file of a checkpoint. Its checksum has been compared with the one that the
 * checkpoint lists before it is read: who made the one has made the other.
 *
 * The first byte says for which subtask of how many. What is accepted is gone through to its last byte. */
#include "base/assert.h"
#include "base/hash.h"
#include "runtime/task/in_flight.h"
#include "test/support/temp_dir.h"

#include <stdlib.h>

#define GROUPS 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct note {
    uint64_t number;
    double amount;
    weir_str text;
};
WEIR_TYPE(note, WEIR_FIELD(1, note, number), WEIR_FIELD(2, note, text),
    WEIR_FIELD(3, note, amount));

static char *dir;
static uint64_t sum; /* of all that was read */

static void see(const struct weir_row *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct note *note = rows[i].record;
        sum += note->number + (note->amount > 0);
        if (note->text.data != NULL)
            sum += hash_bytes(note->text.data, note->text.size);
    }
}

static weir_error *read_all(const char *path, const struct in_flight_owner *owner, uint32_t batch)
{
    struct in_flight_reader reader;
    struct weir_row rows[IN_FLIGHT_ROWS_MAX];
    uint32_t count = 1;
    weir_error *error = NULL;
    WEIR_TRY(in_flight_open(&reader, path, &note_type, 0, owner));
    while (error == NULL && count > 0) {
        error = in_flight_next(&reader, rows, batch, &count);
        if (error == NULL)
            see(rows, count);
    }
    in_flight_close(&reader);
    return error;
}

static void remove_dir(void)
{
    temp_dir_free(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (dir == NULL) {
        dir = temp_dir_new();
        atexit(remove_dir);
    }
    if (size == 0)
        return 0;
    const char *path = temp_dir_path(dir, "in-flight");
    struct in_flight_owner owner = { .parallelism = 1 + data[0] % GROUPS,
        .max_parallelism = GROUPS };
    owner.subtask = data[0] / GROUPS % owner.parallelism;
    temp_dir_write(path, data + 1, size - 1);
    weir_error *error = read_all(path, &owner, data[0] % 2 == 0 ? 3 : IN_FLIGHT_ROWS_MAX);
    ASSERT(error == NULL || weir_error_code(error) == WEIR_E_CORRUPT ||
           weir_error_code(error) == WEIR_E_STATE);
    weir_error_free(error);
    return 0;
}
