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
 *
 * SIM_MUTANT=<name> plants one in any run. Thread: one. */
#ifndef WEIR_TEST_SIM_MUTANT_H
#define WEIR_TEST_SIM_MUTANT_H

enum sim_mutant {
    SIM_SOUND,
    SIM_LOST_SYNC,
    SIM_SKIP_BARRIER,
    SIM_FORGET_POSITION,
    SIM_EARLY_POSITION,
    SIM_PUBLISH_BEFORE_COMPLETE,
    SIM_FORGET_PENDING,
    SIM_MUTANTS
};
extern enum sim_mutant sim_mutant; /* SIM_SOUND at the start */

const char *sim_mutant_name(enum sim_mutant mutant);
enum sim_mutant sim_mutant_find(const char *name); /* SIM_MUTANTS: no such mutant; NULL: sound */

struct weir_ctx;
void sim_mutant_forget_items(struct weir_ctx *ctx); /* as if the checkpoint had none for it */

#endif
