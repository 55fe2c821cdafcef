/* savepoint.c -- weir savepoint: a savepoint out of a complete checkpoint, with no job near. A job that has
 * stopped, or crashed, or was deleted has left its checkpoints; whoever wants to move one, keep it, or
 * change what no checkpoint survives (backend, structs) makes this of it. */
#include "checkpoint/savepoint.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "cli/verb.h"

static weir_error *write_from(const struct snapshot_dir *from, const char *root, char **path)
{
    char *work = os_temporary_path("weir-savepoint");
    struct scan_place place = { .dir = from->dir, .work_dir = work };
    weir_error *error = savepoint_write(&place, &from->metadata, root, path);
    error = weir_error_join(error, os_remove_tree(work));
    mem_free(work);
    return error;
}

static weir_error *run(const struct verb_call *call)
{
    struct snapshot_dir from;
    char *path = NULL;
    WEIR_TRY(snapshot_dir_open(call->paths[0], &from));
    weir_error *error = write_from(&from, call->paths[1], &path);
    snapshot_dir_close(&from);
    if (error == NULL) {
        weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
        buffer_printf(out, "%s\n", path);
        error = buffer_to_stdout(out);
    }
    mem_free(path);
    return error;
}

const struct verb verb_savepoint = { .name = "savepoint",
    .usage = "CHECKPOINT DIR",
    .help = "Makes a savepoint in DIR out of a complete checkpoint (<checkpoints>/<job>/chk-<n>), "
            "and prints\n"
            "its path. The checkpoint stays as it is. Do not do it to the checkpoints of a job "
            "that runs: it\n"
            "deletes old ones; send it SIGUSR1 instead.",
    .path_count = 2,
    .run = run };
