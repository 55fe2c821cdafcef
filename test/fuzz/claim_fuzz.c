/* claim_fuzz.c -- the files by which processes know who is in charge: attempts of a job (checkpoint/attempt.h), leaders of
 * a cluster by files (runtime/cluster/election_file.c). They lie in a directory that people, backups and other machines
 * write into.
 *
 * The input is a list of files: name, size (16 bits), bytes. The highest bit of the name says whether the checksum
 * behind the bytes is made right: a fuzzer cannot guess it. A file that is accepted is written again as the same bytes;
 * for any files the line of succession is walked to its end, and who leads is somebody whose file says so. */
#include "base/hash.h"
#include "checkpoint/attempt.h"
#include "runtime/cluster/election.h"
#include "test/fuzz/quiet_net.h"
#include "test/support/temp_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 8u
#define TEXT_MAX  4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dir;

static void must(weir_error *error)
{
    ASSERT(error == NULL);
}

/* -- attempts ------------------------------------------------------------------------------------------ */

/* What was read of a sound file comes out as its bytes. */
static void write_again(const char *attempts, const struct attempt *attempt)
{
    char *before, *after;
    size_t size, again;
    const char *path = temp_dir_path(attempts, "attempt-%" PRIu64, attempt->number);
    must(os_read_file(path, TEXT_MAX, &before, &size));
    /* an empty one was claimed and nothing else; no attempt writes down that it restored what lies ahead of it */
    if (size > 0 && attempt->restored <= attempt->numbers_to) {
        must(attempt_write(attempts, "job", attempt));
        must(os_read_file(path, TEXT_MAX, &after, &again));
        ASSERT(size == again && memcmp(before, after, size) == 0);
        mem_free(after);
    }
    mem_free(before);
}

static void read_attempts(const char *attempts)
{
    struct listing listing;
    struct attempts found;
    must(listing_read(attempts, &listing));
    weir_error *error = attempts_read(attempts, "job", &listing, &found);
    if (error == NULL) {
        for (uint64_t i = 0; i < 256; i++)
            (void)attempts_accept(&found, i % 16, i / 16);
        for (uint32_t i = 0; i < found.count; i++)
            if (!found.attempts[i].is_unreadable)
                write_again(attempts, &found.attempts[i]);
        attempts_prune(attempts, &found, FILES_MAX, 3);
        attempts_release(&found);
    } else {
        ASSERT(weir_error_code(error) == WEIR_E_STATE);
    }
    weir_error_free(error);
    listing_release(&listing);
}

/* -- leaders -------------------------------------------------------------------------------------------- */

static void check_leader(const char *leaders, const struct election_leader *leader)
{
    char *text;
    size_t size;
    if (leader->epoch == 0)
        return;
    must(os_read_file(temp_dir_path(leaders, "leader-%" PRIu64, leader->epoch), TEXT_MAX, &text,
        &size));
    ASSERT(strstr(text, leader->rpc) != NULL && strstr(text, leader->rest) != NULL);
    ASSERT(strstr(text, "state leading\n") != NULL);
    mem_free(text);
}

/* An observer; then a candidate, who looks until it has the lead, and is above all that was there. */
static void read_leaders(const char *leaders, uint64_t highest)
{
    struct election *election;
    struct election_options options = { .class = &election_file,
        .is_observer = true,
        .file = { .dir = leaders, .lease_ms = 1000 } };
    must(election_new(&options, &election));
    election_step(election, quiet_ms);
    check_leader(leaders, &election_view(election)->leader);
    election_free(election);
    options.is_observer = false;
    options.rpc = "own:1";
    options.rest = "own:2";
    must(election_new(&options, &election));
    for (uint32_t i = 0; i < 20 && !election_view(election)->is_leader; i++) {
        election_step(election, quiet_ms);
        quiet_ms += 500;
    }
    ASSERT(election_view(election)->is_leader);
    ASSERT(election_view(election)->leader.epoch > highest);
    election_free(election);
}

/* -- one input -------------------------------------------------------------------------------------------- */

static void put(const char *path, weir_str bytes, bool is_sealed)
{
    char text[TEXT_MAX + 64];
    int size = (int)bytes.size;
    memcpy(text, bytes.data, bytes.size);
    if (is_sealed)
        size += snprintf(text + size, 64, "checksum %016" PRIx64 "\n",
            hash_bytes(bytes.data, bytes.size));
    temp_dir_write(path, text, (unsigned long)size);
}

static void remove_dir(void)
{
    temp_dir_free(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t highest = 0;
    quiet_begin();
    if (dir == NULL) {
        dir = temp_dir_new();
        ASSERT(atexit(remove_dir) == 0);
    }
    char *attempts = mem_printf("%s/attempts", dir), *leaders = mem_printf("%s/leaders", dir);
    must(os_make_dirs(attempts));
    must(os_make_dirs(leaders));
    for (uint32_t i = 0; i < FILES_MAX && size >= 3; i++) {
        size_t length = ((size_t)data[1] | (size_t)data[2] << 8) % TEXT_MAX;
        length = length < size - 3 ? length : size - 3;
        weir_str bytes = { .data = (const char *)data + 3, .size = length };
        uint64_t number = 1 + data[0] % FILES_MAX;
        put(temp_dir_path(attempts, "attempt-%" PRIu64, number), bytes, data[0] >= 128);
        put(temp_dir_path(leaders, "leader-%" PRIu64, number), bytes, data[0] >= 128);
        highest = number > highest ? number : highest;
        data += 3 + length;
        size -= 3 + length;
    }
    read_attempts(attempts);
    read_leaders(leaders, highest);
    must(os_remove_tree(attempts));
    must(os_remove_tree(leaders));
    mem_free(attempts);
    mem_free(leaders);
    return 0;
}
