/* inspect.c -- weir inspect: what is in a savepoint or checkpoint, with no job near; and, with one, what it
 * would restore of it. Prefixes: inspect_, inspection_ */
#include "cli/inspect.h"

#include "base/os.h"
#include "base/os_process.h"
#include "cli/verb.h"

weir_error *inspection_open(const char *path, bool is_json, bool reads_entries,
    struct inspection *it)
{
    *it = (struct inspection){ .path = path, .is_json = is_json };
    WEIR_TRY(snapshot_dir_open(path, &it->snapshot));
    weir_error *error = reads_entries ? os_scratch_open(NULL, "inspect", &it->scratch) : NULL;
    it->work_dir = it->scratch.path;
    if (error != NULL)
        snapshot_dir_close(&it->snapshot);
    return error;
}

void inspection_close(struct inspection *it)
{
    weir_error_free(os_scratch_close(&it->scratch));
    snapshot_dir_close(&it->snapshot);
}

/* -- will that job restore it? -------------------------------------------------------------------- */

/* The job is asked itself: it alone knows its graph, and its answer is what a start would give. Becomes
 * `JOB explain --from-savepoint PATH ARGUMENTS`. */
static weir_error *ask_job(const char *path, const char *job, char **rest)
{
    char verb[] = "explain", option[] = "--from-savepoint";
    uint32_t count = 0;
    while (rest != NULL && rest[count] != NULL)
        count++;
    char **argv = mem_alloc_array(count + 5, sizeof(*argv));
    argv[0] = mem_strdup(job);
    argv[1] = verb;
    argv[2] = option;
    argv[3] = mem_strdup(path);
    for (uint32_t i = 0; i < count; i++)
        argv[4 + i] = rest[i];
    weir_error *error = os_exec(argv);
    mem_free(argv[0]);
    mem_free(argv[3]);
    mem_free(argv);
    return error;
}

/* -- the verb ------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct verb_option options[] = {
    { { "entries", WEIR_OPTION_FLAG, NULL, NULL, "Print entries, a line of JSON each.", 0, 0 }, NULL, VERB_ONCE },
    { { "operator", WEIR_OPTION_TEXT, "UID", NULL, "With --entries: only of this operator.", 0, 0 }, NULL, VERB_ONCE },
    { { "state", WEIR_OPTION_TEXT, "NAME", NULL, "With --entries: only of this state, and no timers.", 0, 0 }, NULL, VERB_ONCE },
    { { "key", WEIR_OPTION_TEXT, "TEXT", NULL, "With --entries: only of this key, of one field.", 0, 0 }, NULL, VERB_ONCE },
    { { "limit", WEIR_OPTION_NUMBER, "N", "0",
        "With --entries, --diff: print at most so many; 0: all.", 0, INT64_MAX }, NULL, VERB_ONCE },
    { { "verify", WEIR_OPTION_FLAG, NULL, NULL,
        "Read everything: checksums, references, and every entry; print how many there are.", 0, 0 }, NULL, VERB_ONCE },
    { { "diff", WEIR_OPTION_TEXT, "PATH", NULL,
        "What that one has more, less and otherwise. Exit status 1: there is something.", 0, 0 }, NULL, VERB_ONCE },
    { { "json", WEIR_OPTION_FLAG, NULL, NULL, "The answer as JSON; that of --entries always is.", 0, 0 }, NULL, VERB_ONCE },
    { { "job", WEIR_OPTION_TEXT, "PROGRAM", NULL,
        "Would this job restore it? What is kept, converted, dropped, refused. The job's options follow "
        "behind --.", 0, 0 }, NULL, VERB_ONCE },
};
/* clang-format on */

static weir_error *diff(const struct inspection *it, const char *other, uint64_t limit, int *status)
{
    struct inspection second;
    bool is_same;
    WEIR_TRY(inspection_open(other, it->is_json, true, &second));
    weir_error *error = inspect_diff(it, &second, limit, &is_same);
    inspection_close(&second);
    if (error == NULL && !is_same)
        *status = 1;
    return error;
}

static weir_error *answer(const struct verb_call *call, const struct inspection *it)
{
    const struct config *config = call->config;
    uint64_t limit = (uint64_t)config_number(config, "limit");
    if (config_flag(config, "verify"))
        return inspect_verify(it);
    if (config_given(config, "diff"))
        return diff(it, config_text(config, "diff"), limit, &call->outcome->status);
    if (!config_flag(config, "entries"))
        return inspect_list(it);
    struct inspect_filter filter = { .operator_ = config_text(config, "operator"),
        .state = config_text(config, "state"),
        .key = config_text(config, "key"),
        .limit = limit };
    return inspect_entries(it, &filter);
}

static weir_error *check(const struct verb_call *call)
{
    static const char *const questions[] = { "entries", "verify", "diff", "job" };
    static const char *const filters[] = { "operator", "state", "key" };
    int count = 0;
    for (uint32_t i = 0; i < 4; i++)
        count += config_given(call->config, questions[i]);
    if (count > 1)
        return weir_errorf(WEIR_E_USAGE,
            "--entries, --verify, --diff and --job are one question each; ask one at a time");
    if (config_given(call->config, "json") && config_given(call->config, "job"))
        return weir_errorf(WEIR_E_USAGE,
            "option '--json' is not for --job: what the job says is text; leave one out");
    for (uint32_t i = 0; i < 3; i++)
        if (config_given(call->config, filters[i]) && !config_flag(call->config, "entries"))
            return weir_errorf(WEIR_E_USAGE, "option '--%s' is for --entries; give that, too",
                filters[i]);
    return NULL;
}

static weir_error *run(const struct verb_call *call)
{
    struct inspection it;
    WEIR_TRY(check(call));
    if (config_given(call->config, "job"))
        return ask_job(call->arguments[0], config_text(call->config, "job"), call->rest);
    bool is_list = !config_flag(call->config, "entries") && !config_flag(call->config, "verify") &&
                   !config_given(call->config, "diff");
    WEIR_TRY(inspection_open(call->arguments[0], config_flag(call->config, "json"), !is_list, &it));
    weir_error *error = answer(call, &it);
    inspection_close(&it);
    return error;
}

const struct verb verb_inspect = { .name = "inspect",
    .usage = "PATH [OPTIONS] [--job PROGRAM [-- JOB OPTIONS]]",
    .brief = "looks into a savepoint or a checkpoint, with no job near",
    .help =
        "Looks into a savepoint, or into a checkpoint (<checkpoints>/<job>/chk-<n>): its "
        "operators,\n"
        "states, key groups and sizes, unless another question is asked. The job is not needed.",
    .takes = "1 path, then options",
    .argument_min = 1,
    .argument_max = 1,
    .is_local = true,
    .has_rest = true,
    VERB_OPTIONS(options),
    .run = run };
