/* verb_test.c -- the grammar, and the texts that are made of the table of verbs. */
#include "cli/manual.h"

#include "test/unit/cli/cli_rig.h"

static const struct reply none[] = { { NULL, 0, NULL } };

/* The command without a server. */
static void expect_call(const char *line, int status, const char *out, const char *error)
{
    struct rig *rig = rig_open(none, NULL);
    int got = rig_call(rig, line);
    if (got != status || strstr(rig->out, out) == NULL || strstr(rig->error, error) == NULL)
        print_error("weir %s: %d\n%s%s", line, got, rig->out, rig->error);
    assert_int_equal(got, status);
    assert_non_null(strstr(rig->out, out));
    assert_non_null(strstr(rig->error, error));
    rig_close_complete(rig);
}

static void what_is_no_verb_names_the_nearest(void **state)
{
    expect_call("lst", 2, "", "did you mean 'weir list'?");
    expect_call("cluster strat", 2, "",
        "there is no verb 'cluster strat'; did you mean 'weir cluster start'?");
    expect_call("cluster", 2, "", "did you mean 'weir cluster start'?");
    expect_call("cluster explode", 2, "", "did you mean 'weir cluster start'?");
    expect_call("checkpiont x", 2, "", "did you mean 'weir checkpoint'?");
    expect_call("quux", 2, "", "there is no verb 'quux'; see weir help");
    expect_call("--json list", 2, "", "'--json' is no verb; options stand behind one");
    expect_call("help nope", 2, "", "there is no verb 'nope'; see weir help");
    expect_call("help lst", 2, "", "did you mean 'weir list'?");
    expect_call("completion fish", 2, "", "completion is for bash");
}

static void what_is_no_option_names_the_nearest(void **state)
{
    expect_call("stop --drian x", 2, "", "there is no option '--drian'; did you mean '--drain'?");
    expect_call("stop -z x", 2, "", "there is no option '-z'; 'weir stop -h' lists all");
    expect_call("list -D", 2, "", "option '--define' needs a value: --define=KEY=VALUE");
    expect_call("list --json --json", 2, "", "option '--json' is given twice");
    expect_call("list --json=yes", 2, "", "takes no value");
    expect_call("list x", 2, "", "'weir list' takes options only");
    expect_call("cluster start --slots 1025", 2, "", "it must be from 1 to 1024");
    expect_call("list --timeout soon", 2, "", "it must be a number with ms, s, m, h or d");
    expect_call("inspect", 2, "", "takes 1 path");
    expect_call("inspect -m x y", 2, "", "there is no option '-m'"); /* it asks no job manager */
    expect_call("cancel \xff", 2, "", "argument 1 is not UTF-8");
}

static void every_verb_explains_itself(void **state)
{
    for (uint32_t i = 0; i < verb_count; i++) {
        const struct verb *verb = verb_table[i];
        char *usage = mem_printf("usage: weir %s %s\n", verb->name, verb->usage);
        char *lines[] = { mem_printf("%s -h", verb->name), mem_printf("help %s", verb->name) };
        for (size_t j = 0; j < COUNT_OF(lines); j++) {
            expect_call(lines[j], 0, usage, "");
            mem_free(lines[j]);
        }
        expect_call("help", 0, verb->brief, "");
        mem_free(usage);
    }
    expect_call("version", 0, "weir ", "");
}

static void no_two_options_of_a_verb_have_one_name(void **state)
{
    for (uint32_t i = 0; i < verb_count; i++) {
        const struct verb *verb = verb_table[i];
        char *seen = mem_strdup(" h help ");
        for (uint32_t j = 0; j < verb->option_count + (verb->is_local ? 0 : verb_common_count);
             j++) {
            const struct verb_option *option =
                j < verb->option_count ? &verb->options[j] : &verb_common[j - verb->option_count];
            char *names =
                mem_printf("%s %s", option->row.name, option->also == NULL ? "" : option->also);
            for (char *rest, *name = strtok_r(names, " ", &rest); name != NULL;
                 name = strtok_r(NULL, " ", &rest)) {
                char *word = mem_printf(" %s ", name), *more = mem_printf("%s%s ", seen, name);
                if (strstr(seen, word) != NULL)
                    print_error("weir %s: %s\n", verb->name, name);
                assert_null(strstr(seen, word));
                mem_free(word);
                mem_free(seen);
                seen = more;
            }
            mem_free(names);
        }
        mem_free(seen);
    }
}

static void the_manual_in_the_tree_is_made_from_the_tables(void **state)
{
    static const char *const pages[][2] = { { "weir", "1" }, { "weir-jobmanager", "8" },
        { "weir-taskmanager", "8" }, { "weir.yaml", "5" } };
    const char *root = getenv("WEIR_ROOT");
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        weir_buffer *out = weir_buffer_new(CLI_OUTPUT_MAX);
        char *bytes;
        size_t size;
        expect_ok(os_read_file(temp_dir_path(root == NULL ? "." : root, "docs/man/%s.%s",
                                   pages[i][0], pages[i][1]),
            1 << 20, &bytes, &size));
        assert_true(manual_print(pages[i][0], out));
        assert_string_equal(bytes, buffer_text(out)); /* else: make man */
        mem_free(bytes);
        weir_buffer_free(out);
    }
    expect_call("man weir-jobmanager", 0, ".TH WEIR\\-JOBMANAGER 8", "");
    expect_call("man nothing", 2, "", "there is no page 'nothing'; the manual has: weir weir-job");
}

/* Asks bash itself: the words typed so far, and what it would offer. */
static void expect_completion(const char *typed, int at, const char *offers)
{
    char got[4096] = "", *dir = temp_dir_new();
    weir_buffer *script = weir_buffer_new(CLI_OUTPUT_MAX);
    verb_completion(script);
    buffer_printf(script, "COMP_WORDS=(weir %s)\nCOMP_CWORD=%d\n_weir\necho \"${COMPREPLY[*]}\"\n",
        typed, at);
    char *path = mem_printf("%s/script", dir), *command = mem_printf("bash %s", path);
    temp_dir_write(path, buffer_text(script), buffer_size(script));
    FILE *answer = popen(command, "r");
    assert_non_null(fgets(got, sizeof(got), answer));
    assert_int_equal(pclose(answer), 0);
    got[strcspn(got, "\n")] = '\0';
    assert_string_equal(got, offers);
    mem_free(command);
    mem_free(path);
    weir_buffer_free(script);
    temp_dir_free(dir);
}

static void completion_offers_verbs_and_their_options(void **state)
{
    expect_completion("ca", 1, "cancel");
    expect_completion("cluster st", 2, "start stop status");
    expect_completion("cluster start --t", 3, "--taskmanagers --timeout");
    expect_completion("stop --d", 2, "--drain --detached --define");
    expect_completion("inspect --j", 2, "--json --job");
    expect_completion("nothing --j", 2, "");
    expect_completion("list -m", 2, "-m");
    expect_completion("run -", 2,
        "--help --detached -d --parallelism -p --from-savepoint -s --allow-non-restored-state -n "
        "--job-name -c --jobmanager -m --conf --define -D --timeout --json");
    expect_completion("help clu", 2, "cluster");
    expect_completion("man weir-", 2, "weir-jobmanager weir-taskmanager");
    expect_completion("completion ''", 2, "bash");
}

static int no_configuration(void **state)
{
    return setenv("WEIR_CONF", "/dev/null", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_verb_names_the_nearest),
        cmocka_unit_test(what_is_no_option_names_the_nearest),
        cmocka_unit_test(every_verb_explains_itself),
        cmocka_unit_test(no_two_options_of_a_verb_have_one_name),
        cmocka_unit_test(the_manual_in_the_tree_is_made_from_the_tables),
        cmocka_unit_test(completion_offers_verbs_and_their_options),
    };
    return cmocka_run_group_tests(tests, no_configuration, NULL);
}
