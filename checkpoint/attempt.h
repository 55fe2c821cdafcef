/* attempt.h -- who is in charge of a job's checkpoint directory, and whose checkpoints count.
 *
 * An attempt is one start of the job. It claims its number by creating `attempt-<a>`, which only one
 * process can do; the highest number in the directory is in charge, all others are fenced. Then it
 * chooses what it restores from and writes that into its file:
 *
 *      weir-attempt 1
 *      job wordcount
 *      attempt 5
 *      chosen 1                    0: it has not chosen yet
 *      restored 10 of attempt 3    the checkpoint, and who made it; 0 of 0: none, a fresh start
 *      numbers-to 163              it may use checkpoint numbers up to this one
 *      instance 8899aabbccddeeff   made by the first attempt in the directory, taken over by the others
 *      checksum 0011223344556677   of the lines above
 *
 * An empty file is an attempt that crashed right after its claim: it has chosen nothing.
 *
 * A zombie is an attempt that goes on although a newer one has claimed: stopped by SIGSTOP, cut off,
 * slow. It checks the directory before each thing that others can see, but can be stopped right
 * behind its check. Two stories, and why they end well:
 *
 *   A zombie publishes late.
 *   1. attempt 3 has written the metadata of checkpoint 11, has checked that it is in charge, stops.
 *   2. attempt 4 claims, finds 10 to be the newest, writes "restored 10 of attempt 3", runs.
 *   3. attempt 3 goes on: its rename makes checkpoint 11 complete.
 *   4. attempt 5 starts. 11 would undo what 4 has done. But 4 says 10: 3's line ends at 10, 11 is void.
 *   No output of 11 was seen: sinks of attempt 3 check, too, behind step 3, and find 4.
 *   (Step 3 is stopped in most cases already: 4 has deleted the file to be renamed.)
 *
 *   A zombie chooses late.
 *   1. attempt 4 claims, finds 10 to be the newest, stops before it writes its choice.
 *   2. attempt 3's checkpoint 11 becomes complete, as above.
 *   3. attempt 5 claims, finds 11, 4 has chosen nothing: it writes "restored 11 of attempt 3", and its
 *      sinks publish the output of 11.
 *   4. attempt 4 goes on and writes "restored 10 of attempt 3".
 *   5. attempt 6 starts. If every file counted, 4 would make 11 void, though its output is out.
 *
 * So not every file counts, only the line of succession: from the newest attempt that has chosen, to
 * the one whose checkpoint it restored, to the one whose checkpoint *that* one restored, and so on.
 * Attempts beside the line, and checkpoints beyond a point where the line left their attempt, are void.
 * In step 5 the line is 5 -> 3: attempt 4 is beside it.
 *
 * What makes it right: an attempt shows nothing to the world before its choice is durable, and then
 * only after a check that it is still in charge. So whatever was shown belongs to an attempt whose
 * choice was on disk before the next one claimed, and the next one sees it.
 *
 * Numbers. A checkpoint number is never used twice. Before an attempt uses one, "numbers-to" of its
 * file is at least that; the next attempt starts behind the highest numbers-to.
 *
 * Prefixes: attempt_, attempts_. Thread: attempt_check any, the rest one at a time. */
#ifndef WEIR_CHECKPOINT_ATTEMPT_H
#define WEIR_CHECKPOINT_ATTEMPT_H

#include "checkpoint/listing.h"

/* Thread: its holder. */
struct attempt {
    uint64_t number;
    bool has_chosen;
    bool is_unreadable;        /* damaged: treated as not chosen, numbers unknown */
    uint64_t restored;         /* checkpoint, 0: none */
    uint64_t restored_attempt; /* that made it */
    uint64_t numbers_to;
    uint64_t instance; /* 0: unknown */
};

/* Creates the file of the next attempt, durably. *number is not 0 when the file is there, although an
 * error came behind that: the caller is that attempt then, and fences the older ones. */
weir_error *attempt_claim(const char *dir, uint64_t *number) WEIR_MUST_USE;
/* The same, with a number higher than `above`: of a job that has had attempts in another directory. */
weir_error *attempt_claim_above(const char *dir, uint64_t above, uint64_t *number) WEIR_MUST_USE;
weir_error *attempt_write(const char *dir, const char *job, const struct attempt *attempt)
    WEIR_MUST_USE;
/* WEIR_E_STATE if the file is of another job. A damaged file is logged, not an error. */
weir_error *attempt_read(const char *dir, const char *job, uint64_t number, struct attempt *attempt)
    WEIR_MUST_USE;
/* NULL while no higher attempt has claimed and the own file is there; else WEIR_E_FENCED. */
weir_error *attempt_check(const char *dir, uint64_t number) WEIR_MUST_USE;

/* Thread: its holder. All attempts of a directory, rising. */
struct attempts {
    struct attempt *attempts;
    uint32_t count;
};
weir_error *attempts_read(const char *dir, const char *job, const struct listing *listing,
    struct attempts *attempts) WEIR_MUST_USE;
void attempts_release(struct attempts *attempts);
/* Whether a checkpoint with this number and of this attempt is on the line of succession. */
bool attempts_accept(const struct attempts *attempts, uint64_t checkpoint, uint64_t by_attempt);
/* Deletes the files of attempts below `number` that are not needed to judge checkpoints from
 * `oldest_kept` on. Trouble is logged. */
void attempts_prune(const char *dir, const struct attempts *attempts, uint64_t number,
    uint64_t oldest_kept);

#endif
