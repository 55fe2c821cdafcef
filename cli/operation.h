/* operation.h -- what takes a while: asked for with one request, whose answer is an id, and polled by it.
 *
 *      operation_run    POST -> {"request-id"}; GET <polled>/<id> until {"status":{"id":"COMPLETED"},"operation":{..}}
 *
 * A job manager that does not answer a poll is asked again until the time-out, for another one may take over; the
 * request itself is made once. An operation that has failed is an error in the server's words.
 *
 * And the job that it is about: an id of 32 digits is taken as it is, anything else is looked up.
 * Prefixes: operation_, job_. Thread: one. */
#ifndef WEIR_CLI_OPERATION_H
#define WEIR_CLI_OPERATION_H

#include "cli/client.h"

#define JOB_ID_SIZE 33 /* with its terminator */

/* Thread: one. */
struct operation {
    enum http_method method;
    char *path;              /* what is asked; mem_free'd by operation_release */
    char *polled;            /* what is polled, without the id; the same */
    struct document *body;   /* NULL: {} */
    char id[JOB_ID_SIZE];    /* of the operation, once begun */
    struct document *answer; /* of the last poll, once done */
};
void operation_release(struct operation *operation);
weir_error *operation_begin(struct client *client, struct operation *operation) WEIR_MUST_USE;
/* Begins it, too. `what` is for the time-out: "the savepoint". */
weir_error *operation_run(struct client *client, struct operation *operation, const char *what)
    WEIR_MUST_USE;
/* Its "operation"; never NULL. */
const struct document *operation_result(const struct operation *operation);

bool job_is_id(const char *word);
/* By id, by 4 or more digits of its front, or by name; of several with a name the one that has not ended. */
weir_error *job_find(struct client *client, const char *word, char id[JOB_ID_SIZE]) WEIR_MUST_USE;
bool job_state_has_ended(const char *state);
/* Of an overview: it has not ended, and none of its tasks has got a slot. */
bool job_waits_for_slots(const struct document *job);
/* A path for others, who are elsewhere in the file system: absolute, "file:" taken away. mem_free it. NULL of NULL
 * and "". */
weir_error *job_path(const char *path, char **absolute) WEIR_MUST_USE;

#endif
