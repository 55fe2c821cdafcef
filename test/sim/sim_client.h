/* sim_client.h -- the people of a simulated cluster: they submit the job, ask for savepoints, stops, rescales, cancel,
 * and hold the leader to what it has said.
 *
 *      no job that is not over       it is submitted; behind a stop whose savepoint is known perhaps from that (-s), in a
 *                                    checkpoint directory of its own
 *      what was asked for            has an id of the client's; a leader that does not know it is asked again (a retry)
 *      an answer                     comes, at the latest when the job is over; a savepoint that was confirmed is there
 *      a job that is over            stays over, whoever leads
 *      a job that fails              may do so while faults are about, but not by itself
 *      slots                         a task manager's are all free or a job's, and none is two jobs'
 *
 * An answer counts when the leader certainly leads (election_check), as the REST API does it.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_CLIENT_H
#define WEIR_TEST_SIM_CLIENT_H

#include "test/sim/sim_run.h"
#include "test/sim/sim_trouble.h"

/* Thread: immutable after init; what it points to outlives the client. */
struct sim_client_options {
    const struct sim_trouble *trouble;
    struct sim_counts *counts;
    void (*say)(void *arg, const char *text);
    void *arg;
};

struct sim_client;
struct sim_client *sim_client_new(const struct sim_client_options *options);
void sim_client_free(struct sim_client *client);

/* Looks at the jobs and answers of a job manager that leads; submits, and asks again. */
void sim_client_look(struct sim_client *client, struct sim_process *leader);
/* A savepoint, stop, cancel, rescale or checkpoint of the job that is there. */
void sim_client_ask(struct sim_client *client, struct sim_process *leader,
    const struct sim_trouble_event *event);
void sim_client_note_fault(struct sim_client *client); /* there is one, so things may fail */
void sim_client_note_heal(struct sim_client *client);  /* there is none any more */
/* Confirmed savepoints are there: behind a power failure, say. As the observer. */
void sim_client_check_savepoints(struct sim_client *client);

bool sim_client_is_finished(const struct sim_client *client);  /* the job has come to its end */
const char *sim_client_wrong(const struct sim_client *client); /* NULL: nothing is */

#endif
