/* election_file.c -- an election by files in a directory that all job managers see.
 *
 *      leader-<epoch>     a claim; the highest number is in charge, all others are fenced
 *
 *      weir-leader 1
 *      epoch 5
 *      sequence 17                 rises with each renewal: it lives
 *      state leading               or resigned
 *      rpc host:port
 *      rest host:port
 *      checksum 0011223344556677   of the lines above
 *
 * A claim is the exclusive creation of the next file, which only one can do. It is empty until the first renewal; a
 * file that is empty or damaged is a leader that is not known: it has its lease like any other. Each file is written
 * by its claimant only, aside and renamed, so no zombie can write over another's. Stories:
 *
 *   Two candidates at once. Both see 4 stand still, one creates 5, the other is told that it exists: it watches on.
 *
 *   A crash between claim and lease. 5 is there and empty. It does not change, so after a lease somebody claims 6.
 *
 *   The leader is stopped and goes on. 5 stops, 6 is claimed. When 5 goes on, its check finds 6; it steps down. If it
 *   was stopped behind a check, in the middle of a renewal, it renames leader-5, which nobody looks at.
 *
 *   A candidate is stopped before it claims. It saw 4 stand still. Meanwhile 5 led and resigned, 6 leads and has
 *   deleted 4 and 5. Now it creates 5 again, and it works. But it looks before it leads, and finds 6. The highest
 *   claim is never deleted, so there is always one to find.
 *
 *   The directory is gone. The leader misses its file and steps down. Nobody makes the directory anew while it runs:
 *   it may be another disk's that is not mounted, and then there would be two leaders.
 *
 *   The disk is full. The leader cannot renew; after a lease it is not certain any more, and says so to every check.
 *   Whoever can claim does; if nobody can, the same one leads on when there is space.
 *
 * On NFS names and attributes are cached by the client: a lease shorter than that (actimeo, 60 s by default) makes
 * candidates impatient, and a check may miss a claim until the lease is over. Mount it with actimeo=1, or noac.
 *
 * Thread: control. Prefixes: election_file */
#include "runtime/cluster/election.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "checkpoint/listing.h"
#include "runtime/cluster/election_lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_SIZE_MAX  ((size_t)4096)
#define PREFIX         "leader-"
#define LOOKS_PER_STEP 4u /* lost, claim, renew, lead */

struct file_election {
    struct election election;
    char *dir;
    struct election_leader own; /* addresses; epoch: of the claim that was held last */
    struct election_lease lease;
    uint64_t sequence;
    bool has_pruned; /* since the claim */
    char *trouble;   /* the last that was logged; NULL: none since it went well */
};

static struct file_election *of(struct election *election)
{
    return (struct file_election *)election;
}

static int64_t now(void)
{
    return os_monotonic_ms();
}

static void report(struct file_election *file, weir_error *error)
{
    const char *message = weir_error_message(error);
    if (file->trouble == NULL || strcmp(file->trouble, message) != 0) {
        log_warn("election", "%s", message);
        mem_free(file->trouble);
        file->trouble = mem_strdup(message);
    }
    weir_error_free(error);
}

/* -- a claim's file --------------------------------------------------------------------------- */

static char *path_of(const struct file_election *file, uint64_t epoch)
{
    return mem_printf("%s/" PREFIX "%" PRIu64, file->dir, epoch);
}

static char *text_of(const struct election_leader *leader, uint64_t sequence, bool is_resigned)
{
    char *lines = mem_printf("weir-leader 1\nepoch %" PRIu64 "\nsequence %" PRIu64
                             "\nstate %s\nrpc %s\nrest %s\n",
        leader->epoch, sequence, is_resigned ? "resigned" : "leading", leader->rpc, leader->rest);
    char *text = mem_printf("%schecksum %016" PRIx64 "\n", lines, hash_bytes(lines, strlen(lines)));
    mem_free(lines);
    return text;
}

/* Reads, writes again, and compares: whatever is damaged or unknown differs. */
static bool parse(const char *text, struct election_leader *leader, bool *is_resigned)
{
    uint64_t sequence;
    char state[9];
    int count = sscanf(text,
        "weir-leader 1\nepoch %18" SCNu64 "\nsequence %18" SCNu64
        "\nstate %8s\nrpc %261s\nrest %261s\n",
        &leader->epoch, &sequence, state, leader->rpc, leader->rest);
    if (count != 5)
        return false;
    *is_resigned = strcmp(state, "resigned") == 0;
    char *again = text_of(leader, sequence, *is_resigned);
    bool is_equal = strcmp(text, again) == 0;
    mem_free(again);
    return is_equal;
}

static weir_error *write_own(struct file_election *file, bool is_resigned)
{
    char *path = path_of(file, file->own.epoch);
    char *text = text_of(&file->own, ++file->sequence, is_resigned);
    weir_error *error = os_write_file(path, text, strlen(text));
    mem_free(text);
    mem_free(path);
    return error;
}

/* -- looking ---------------------------------------------------------------------------------- */

static weir_error *find_claims(const struct file_election *file, uint64_t own,
    struct election_look *look)
{
    char **names;
    uint32_t count;
    *look = (struct election_look){ .highest = 0 };
    WEIR_TRY(os_list(file->dir, &names, &count));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number;
        if (!listing_number(names[i], PREFIX, &number))
            continue;
        look->highest = number > look->highest ? number : look->highest;
        look->is_own_there = look->is_own_there || number == own;
    }
    os_names_free(names, count);
    return NULL;
}

/* What the highest claim says of itself. *leader: as far as it is known. */
static weir_error *read_highest(const struct file_election *file, struct election_look *look,
    struct election_leader *leader)
{
    char *path = path_of(file, look->highest);
    char *text;
    size_t size;
    weir_error *error = os_read_file(path, FILE_SIZE_MAX, &text, &size);
    mem_free(path);
    if (error != NULL)
        return error;
    struct election_leader found = { .epoch = 0 };
    look->content = hash_bytes(text, size);
    bool is_whole = strlen(text) == size && parse(text, &found, &look->is_resigned) &&
                    found.epoch == look->highest;
    look->is_resigned = look->is_resigned && is_whole;
    *leader = is_whole && !look->is_resigned ? found : (struct election_leader){ .epoch = 0 };
    mem_free(text);
    return NULL;
}

/* Deletes what older leaders have left: their files, and what crashes left of whole-file writes. */
static void prune(struct file_election *file)
{
    char **names;
    uint32_t count;
    weir_error *error = os_list(file->dir, &names, &count);
    for (uint32_t i = 0; error == NULL && i < count; i++) {
        uint64_t number;
        bool is_old = listing_number(names[i], PREFIX, &number) && number < file->own.epoch;
        bool is_rest =
            strncmp(names[i], PREFIX, strlen(PREFIX)) == 0 && strstr(names[i], ".tmp") != NULL;
        if (!is_old && !is_rest)
            continue;
        char *path = mem_printf("%s/%s", file->dir, names[i]);
        error = os_remove(path);
        mem_free(path);
    }
    os_names_free(names, count);
    if (error != NULL)
        report(file, error);
}

/* -- acting ----------------------------------------------------------------------------------- */

/* Takes the next number, unless another is faster. */
static weir_error *claim(struct file_election *file)
{
    uint64_t number = file->lease.floor + 1;
    char *path = path_of(file, number);
    bool was_taken = false;
    weir_error *error = os_claim(path, &was_taken);
    mem_free(path);
    if (error == NULL && !was_taken)
        error = os_sync_dir(file->dir);
    if (error != NULL || was_taken)
        return error;
    election_lease_claimed(&file->lease, number);
    file->own.epoch = number;
    file->sequence = 0;
    file->has_pruned = false;
    return NULL;
}

static weir_error *renew(struct file_election *file)
{
    int64_t begun_ms = now();
    WEIR_TRY(write_own(file, false));
    election_lease_renewed(&file->lease, begun_ms);
    if (file->lease.is_leader && !file->has_pruned) {
        file->has_pruned = true;
        prune(file);
    }
    return NULL;
}

/* *is_done: nothing more for this step. */
static weir_error *look_and_act(struct file_election *file, struct election_leader *leader,
    bool *is_done)
{
    struct election_look look;
    uint64_t own = file->lease.own;
    *is_done = true;
    WEIR_TRY(find_claims(file, own, &look));
    if (look.highest != 0 && look.highest != own)
        WEIR_TRY(read_highest(file, &look, leader));
    switch (election_lease_look(&file->lease, &look, now())) {
    case ELECTION_WAIT:
        return NULL;
    case ELECTION_CLAIM:
        *is_done = false; /* won or lost: look again */
        return FAULT_STEP(ELECTION_CLAIM, claim(file));
    case ELECTION_RENEW:
        *is_done = file->lease.is_leader;
        return renew(file);
    case ELECTION_LEAD:
        *leader = file->own;
        log_info("election", "this job manager is the leader: epoch=%" PRIu64, own);
        return NULL;
    case ELECTION_LOST:
        log_warn("election", "no longer in charge: epoch=%" PRIu64 " now=%" PRIu64, own,
            look.highest);
        *is_done = false; /* who is it? */
        return NULL;
    }
    return NULL;
}

static bool is_same(const struct election_view *a, const struct election_view *b)
{
    return a->is_leader == b->is_leader && a->leader.epoch == b->leader.epoch &&
           strcmp(a->leader.rpc, b->leader.rpc) == 0 && strcmp(a->leader.rest, b->leader.rest) == 0;
}

static bool file_step(struct election *election, int64_t now_ms)
{
    struct file_election *file = of(election);
    struct election_view view = { .leader = election->view.leader };
    if (!election_lease_is_due(&file->lease, now_ms))
        return false;
    weir_error *error = NULL;
    bool is_done = false;
    for (uint32_t i = 0; i < LOOKS_PER_STEP && error == NULL && !is_done; i++)
        error = look_and_act(file, &view.leader, &is_done);
    if (error != NULL) {
        election_lease_failed(&file->lease, now());
        report(file, weir_error_wrap(error, "the election of a leader waits"));
    } else {
        mem_free(file->trouble);
        file->trouble = NULL;
    }
    view.is_leader = file->lease.is_leader;
    bool has_changed = !is_same(&view, &election->view);
    election->view = view;
    return has_changed;
}

static int64_t file_deadline_ms(const struct election *election)
{
    return ((const struct file_election *)election)->lease.next_ms;
}

static weir_error *file_check(struct election *election)
{
    struct file_election *file = of(election);
    struct election_look look;
    if (!election_lease_is_sure(&file->lease, now())) {
        file->lease.next_ms = 0;
        return weir_errorf(WEIR_E_FENCED,
            "this job manager could not renew its lease in '%s' in time, so another one may lead",
            file->dir);
    }
    weir_error *error = find_claims(file, file->lease.own, &look);
    if (error != NULL)
        return weir_error_join(weir_errorf(WEIR_E_FENCED,
                                   "it is not certain that this job manager is still the leader"),
            error);
    if (look.highest == file->lease.own && look.is_own_there)
        return NULL;
    file->lease.next_ms = 0;
    return weir_errorf(WEIR_E_FENCED,
        "this job manager was the leader with epoch %" PRIu64 "; in '%s' it is %" PRIu64 " now",
        file->lease.own, file->dir, look.highest);
}

static void file_resign(struct election *election)
{
    struct file_election *file = of(election);
    file->lease.may_claim = false;
    if (file->lease.own == 0)
        return;
    election_lease_give_up(&file->lease);
    file->lease.next_ms = 0;
    weir_error *error = write_own(file, true);
    if (error != NULL)
        report(file, weir_error_wrap(error, "others wait for the end of this leader's lease"));
}

static void file_close(struct election *election)
{
    struct file_election *file = of(election);
    mem_free(file->dir);
    mem_free(file->trouble);
    mem_free(file);
}

/* The directory above must be there: where nothing is mounted, none is made. */
static weir_error *make_dir(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    char *parent = slash == NULL || slash == dir ? mem_strdup(slash == NULL ? "." : "/")
                                                 : mem_printf("%.*s", (int)(slash - dir), dir);
    struct os_stat stat;
    weir_error *error = os_stat(parent, &stat);
    if (error == NULL && !stat.is_directory)
        error = weir_errorf(WEIR_E_IO,
            "there is no directory '%s' for the election; make or mount it, for all job managers",
            parent);
    mem_free(parent);
    return error == NULL ? os_make_dirs_durable(dir) : error;
}

static weir_error *file_open(const struct election_options *options, struct election **election)
{
    if (!options->is_observer)
        WEIR_TRY(make_dir(options->file.dir));
    struct file_election *file = mem_alloc(sizeof(*file));
    file->dir = mem_strdup(options->file.dir);
    election_lease_init(&file->lease, options->file.lease_ms, !options->is_observer);
    if (!options->is_observer) {
        snprintf(file->own.rpc, sizeof(file->own.rpc), "%s", options->rpc);
        snprintf(file->own.rest, sizeof(file->own.rest), "%s", options->rest);
    }
    *election = &file->election;
    return NULL;
}

const struct election_class election_file = { .name = "file",
    .open = file_open,
    .step = file_step,
    .deadline_ms = file_deadline_ms,
    .check = file_check,
    .resign = file_resign,
    .close = file_close };
