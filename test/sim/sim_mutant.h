/* sim_mutant.h -- defects that can be planted, to see whether the simulator would find them.
 *
 * An oracle that is never red proves nothing. Each mutant breaks one promise of the engine or of its
 * connectors, outside of the engine's own code:
 *
 *      lost-sync                a disk that says it has synced, and has not
 *      skip-barrier             inputs are not held back while barriers align
 *      forget-position          sources start from the beginning whatever the checkpoint says
 *      early-position           sources write down a position behind a batch that comes only later
 *      publish-before-complete  sinks publish at the barrier
 *      forget-pending           sinks forget at a restore what they had not published
 *      never-ends               the simulator's own source stays silent at its end, and does not say that this is it
 *      other-way                chance comes from the clock of the machine, not from the seed
 *
 * and with Kafka (sim_kafka.h), where the first five are what the sink relies on, and the others show that
 * the check of the topics is not blind:
 *
 *      no-fencing               a new producer goes on with the transaction that the old one left open
 *      any-epoch                brokers do not look at epochs
 *      token-outside            the token is not part of the transaction
 *      sent-twice               what is sent again for want of an answer is appended again
 *      believed-commit          a commit counts as done, whatever the answer is
 *      loss, duplicate, reorder, torn, aborted-read   in a partition of an output topic
 *
 * SIM_MUTANT=<name> plants one in a program of seeds that knows it. Thread: one. */
#ifndef WEIR_TEST_SIM_MUTANT_H
#define WEIR_TEST_SIM_MUTANT_H

#include <weir/connector.h>

enum sim_mutant {
    SIM_SOUND,
    SIM_LOST_SYNC,
    SIM_SKIP_BARRIER,
    SIM_FORGET_POSITION,
    SIM_EARLY_POSITION,
    SIM_PUBLISH_BEFORE_COMPLETE,
    SIM_FORGET_PENDING,
    SIM_NEVER_ENDS,
    SIM_OTHER_WAY,
    SIM_FILE_MUTANTS, /* the rest is for Kafka only */
    SIM_KAFKA_NO_FENCING = SIM_FILE_MUTANTS,
    SIM_KAFKA_ANY_EPOCH,
    SIM_KAFKA_TOKEN_OUTSIDE,
    SIM_KAFKA_SENT_TWICE,
    SIM_KAFKA_BELIEVED_COMMIT,
    SIM_KAFKA_LOSS,
    SIM_KAFKA_DUPLICATE,
    SIM_KAFKA_REORDER,
    SIM_KAFKA_TORN,
    SIM_KAFKA_ABORTED_READ,
    SIM_MUTANTS
};
/* Sets: those that a program of seeds knows, because they are planted there and its seeds find them. */
#define SIM_MUTANT_SET(mutant_) (UINT32_C(1) << (mutant_))
#define SIM_KNOWN_WITH_FILES \
    (SIM_MUTANT_SET(SIM_FILE_MUTANTS) - SIM_MUTANT_SET(SIM_LOST_SYNC)) /* from the first one on */
#define SIM_KNOWN_WITH_KAFKA /* all but those of the sources of files */ \
    (SIM_MUTANT_SET(SIM_MUTANTS) - SIM_MUTANT_SET(SIM_LOST_SYNC) - \
        SIM_MUTANT_SET(SIM_FORGET_POSITION) - SIM_MUTANT_SET(SIM_EARLY_POSITION) - \
        SIM_MUTANT_SET(SIM_NEVER_ENDS))
#define SIM_KNOWN_IN_A_CLUSTER \
    (SIM_MUTANT_SET(SIM_LOST_SYNC) + SIM_MUTANT_SET(SIM_FORGET_POSITION) + \
        SIM_MUTANT_SET(SIM_PUBLISH_BEFORE_COMPLETE) + SIM_MUTANT_SET(SIM_FORGET_PENDING) + \
        SIM_MUTANT_SET(SIM_NEVER_ENDS) + SIM_MUTANT_SET(SIM_OTHER_WAY))

extern enum sim_mutant sim_mutant; /* SIM_SOUND at the start */

const char *sim_mutant_name(enum sim_mutant mutant);
/* SIM_MUTANTS: none of the set has this name; NULL: sound. */
enum sim_mutant sim_mutant_find(uint32_t set, const char *name);

uint64_t sim_mutant_chance(uint64_t seed); /* what a simulator draws from: the seed */
struct weir_ctx;
void sim_mutant_forget_items(struct weir_ctx *ctx); /* as if the checkpoint had none for it */
/* The sink as it is, or with what is planted around it. One class of sinks a process. */
struct weir_sink sim_mutant_sink(struct weir_sink sink);

#endif
