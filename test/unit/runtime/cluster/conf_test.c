/* conf_test.c -- the file, the overrides, what is refused, and the file in the tree. */
#include "runtime/cluster/conf.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/os.h"
#include "test/support/temp_dir.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "test/support/expect.h"

static weir_error *load(const char *yaml, const char *override, struct conf *conf)
{
    char *dir = temp_dir_new();
    const char *path = temp_dir_path(dir, "weir.yaml");
    temp_dir_write(path, yaml, strlen(yaml));
    weir_error *error = conf_load(path, &override, override == NULL ? 0 : 1, conf);
    temp_dir_free(dir);
    return error;
}

static weir_error *check(const char *yaml)
{
    struct conf conf;
    expect_ok(load(yaml, NULL, &conf));
    weir_error *error = conf_check(&conf);
    conf_release(&conf);
    return error;
}

static void without_a_file_all_are_defaults_that_fit(void **state)
{
    struct conf conf;
    expect_ok(conf_load(NULL, NULL, 0, &conf));
    expect_ok(conf_check(&conf));
    assert_string_equal(conf.jobmanager.rpc_address, "localhost");
    assert_int_equal(conf.jobmanager.rpc_port, 6123);
    assert_int_equal(conf.jobmanager.terminal_jobs_max, 1000);
    assert_int_equal(conf.rest.port, 8081);
    assert_int_equal(conf.heartbeat.interval_ms, 1000);
    assert_int_equal(conf.heartbeat.timeout_ms, 5000);
    assert_int_equal(conf.slot_timeout_ms, 300000);
    assert_int_equal(conf.ha.type, CONF_HA_NONE);
    assert_int_equal(conf.blob.size_max, 256 << 20);
    assert_null(conf.checkpoints);
    assert_false(conf.is_log_json || conf.security.is_ssl);
    assert_int_equal(conf.log_level, LOG_INFO);
    conf_release(&conf);
    conf_release(&conf);
}

static void flat_and_nested_keys_mean_the_same(void **state)
{
    static const char *const same[] = {
        "rest.port: 9000\nhigh-availability.type: file\n"
        "high-availability.zookeeper.path.root: /w\nlog.level: debug\n",
        "rest:\n  port: 9000\nhigh-availability:\n  type: file\n  zookeeper:\n    path:\n"
        "      root: /w\nlog: {level: debug}\n",
        "---\n# a comment\nhigh-availability:\n    zookeeper.path: {root: \"/w\"}\n    type: "
        "'file'\n"
        "rest.port: \"9000\"   # another\nlog.level: debug\n...\n",
        "{\"rest\": {\"port\": 9000}, \"high-availability\": {\"type\": \"file\",\n"
        " \"zookeeper\": {\"path.root\": \"/w\"}}, \"log.level\": \"debug\"}",
    };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct conf conf;
        expect_ok(load(same[i], NULL, &conf));
        assert_int_equal(conf.rest.port, 9000);
        assert_int_equal(conf.ha.type, CONF_HA_FILE);
        assert_string_equal(conf.ha.path_root, "/w");
        assert_int_equal(conf.log_level, LOG_DEBUG);
        assert_int_equal(conf.jobmanager.rpc_port, 6123);
        conf_release(&conf);
    }
}

static void an_empty_file_changes_nothing(void **state)
{
    static const char *const empty[] = { "", "# only\n# comments\n", "---\n", "{}\n" };
    for (size_t i = 0; i < COUNT_OF(empty); i++) {
        struct conf conf;
        expect_ok(load(empty[i], NULL, &conf));
        assert_int_equal(conf.rest.port, 8081);
        conf_release(&conf);
    }
}

static void an_override_counts_more_than_the_file(void **state)
{
    struct conf conf;
    expect_ok(load("rest.port: 9000\nio.tmp.dirs: /a\n", "rest.port=9001", &conf));
    assert_int_equal(conf.rest.port, 9001);
    assert_string_equal(conf.tmp_dirs, "/a");
    conf_release(&conf);
    expect_ok(load("", "io.tmp.dirs=/x=y", &conf));
    assert_string_equal(conf.tmp_dirs, "/x=y");
    conf_release(&conf);
    expect_error(load("", "rest.prot=1", &conf), WEIR_E_USAGE,
        "'-D rest.prot=1': there is no option 'rest.prot'; did you mean 'rest.port'?");
    expect_error(load("", "rest.port", &conf), WEIR_E_USAGE, "it looks like -D key=value");
    expect_error(load("", "=1", &conf), WEIR_E_USAGE, "it looks like -D key=value");
    expect_error(load("", "rest.port=65536", &conf), WEIR_E_USAGE,
        "option 'rest.port' is '65536'; it must be from 1 to 65535");
}

static void mistakes_in_the_file_say_the_line(void **state)
{
    static const struct {
        const char *yaml, *text;
    } cases[] = {
        { "\nrest:\n  prot: 1\n",
            "line 3: there is no option 'rest.prot'; did you mean 'rest.port'" },
        { "a.key.nobody.knows: 1\n", "line 1: there is no option 'a.key.nobody.knows'" },
        { "rest.port: many\n", "line 1: option 'rest.port' is 'many'; it must be a whole number" },
        { "heartbeat.timeout: 5\n", "it must be a number with ms, s, m, h or d" },
        { "taskmanager.memory.process.size: 1MB\n", "it must be at least 16MB" },
        { "security.ssl.enabled: yes\n", "it must be true or false" },
        { "log.level: loud\n",
            "line 1: option 'log.level' is 'loud'; it must be one of debug|info|warn|error" },
        { "rest.port: 1\nrest:\n  port: 2\n",
            "line 3: option 'rest.port' is given twice, first in line 1" },
        { "rest.port:\n", "line 1: option 'rest.port' has no value" },
        { "rest:\n- port\n", "line 2: a list is not known here" },
        { "rest: &a\n  port: 1\n", "anchors are not known here" },
        { "rest.port: &a 1\n", "anchors are not known here" },
        { "rest.port: *a\n", "aliases are not known here" },
        { "rest.port: 1\n---\nrest.port: 2\n", "line 2: a second document begins" },
        { "? {a: b}\n: c\n", "a key must be a name" },
        { "just words\n", "this is no 'key: value'" },
        { "\"\": 1\n", "a key is empty" },
        { "a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n", "nested deeper than any option" },
        { "rest.port: \"1\n", "this is no YAML" },
        { "rest.port: \"1\\0\"\n", "a value contains a zero byte" },
        { "rest: 1\n", "line 1: there is no option 'rest'" },
    };
    struct conf conf;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        expect_error(load(cases[i].yaml, NULL, &conf), WEIR_E_USAGE, cases[i].text);
        assert_null(conf.config);
    }
}

static void a_key_of_any_length_is_refused(void **state)
{
    char yaml[2000];
    struct conf conf;
    for (size_t size = 50; size < 1000; size += 7) {
        memset(yaml, 'k', size);
        memcpy(yaml + size, ": 1\n", sizeof(": 1\n"));
        expect_error(load(yaml, NULL, &conf), WEIR_E_USAGE, "line 1: ");
    }
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct conf conf;
    expect_error(conf_load("/nowhere/weir.yaml", NULL, 0, &conf), WEIR_E_USAGE,
        "there is no configuration '/nowhere/weir.yaml'; check --conf");
}

static void the_file_that_is_given_counts_more_than_that_of_the_environment(void **state)
{
    const char *path;
    (void)state;
    assert_int_equal(setenv("WEIR_CONF", "/env.yaml", 1), 0);
    expect_ok(conf_find("/given.yaml", &path));
    assert_string_equal(path, "/given.yaml");
    expect_ok(conf_find(NULL, &path));
    assert_string_equal(path, "/env.yaml");
    assert_int_equal(unsetenv("WEIR_CONF"), 0);
}

static void the_front_of_a_place_may_name_this_machine(void **state)
{
    static const struct {
        const char *place;
        size_t size;
    } cases[] = { { "localhost", 9 }, { "localhost:8081", 9 }, { "127.0.0.2:1", 9 },
        { "[::1]:8081", 5 }, { "[::1]", 5 }, { "[::1", 4 }, { "[", 0 }, { "", 0 }, { ":8081", 0 },
        { "localhost.net:1", 0 }, { "localhost/x", 0 }, { "[::2]:1", 0 } };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(conf_loopback_size(cases[i].place, strlen(cases[i].place)), cases[i].size);
}

static void only_addresses_of_this_machine_are_loopback(void **state)
{
    static const struct {
        const char *address;
        bool is_loopback;
    } cases[] = { { "localhost", true }, { "127.0.0.1", true }, { "127.3.2.1", true },
        { "::1", true }, { "0.0.0.0", false }, { "::", false }, { "10.0.0.1", false },
        { "127.evil.example", false }, { "127.0.0.1.example", false },
        { "localhost.example", false }, { "", false }, { "::ffff:10.0.0.1", false },
        { "128.0.0.1", false } };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(conf_is_loopback(cases[i].address), cases[i].is_loopback);
}

#define SSL "security.ssl: {enabled: true, cert: c, key: k, ca: a}\n"

static void an_open_port_needs_tls_and_proof(void **state)
{
    static const char *const binds[] = { "jobmanager.bind-host: 0.0.0.0\n",
        "rest.bind-address: 0.0.0.0\n", "taskmanager.bind-host: 0.0.0.0\n" };
    for (size_t i = 0; i < COUNT_OF(binds); i++) {
        static const struct {
            const char *security, *text;
        } cases[] = {
            { "", "which other machines can reach, but the connections are not protected: set "
                  "'security.ssl.enabled: true' and 'security.token-file'" },
            { "security.token-file: t\n", "the connections are not protected" },
            { SSL, "but anybody may give it orders" },
            { SSL "security.token-file: t\n", NULL },
            { SSL "security.ssl.mutual: true\n", NULL },
        };
        for (size_t j = 0; j < COUNT_OF(cases); j++) {
            char *yaml = mem_printf("%s%s", binds[i], cases[j].security);
            if (cases[j].text == NULL)
                expect_ok(check(yaml));
            else
                expect_error(check(yaml), WEIR_E_USAGE, cases[j].text);
            mem_free(yaml);
        }
    }
}

static void a_secret_is_a_word_in_a_file_of_its_owner_alone(void **state)
{
    static const char key[] = "security.token-file";
    static const struct {
        const char *text, *error;
        unsigned mode;
    } rows[] = {
        { " secret\n", NULL, 0600 },
        { "secret word", NULL, 0400 },
        { "secret", "is secret, but not its owner's alone (mode 0604): chmod 600 '", 0604 },
        { "secret", "is secret, but not its owner's alone (mode 0604): chmod 600 '", 0604 },
        { " \n", "is empty; write the secret into it", 0600 },
    };
    char *dir = temp_dir_new(), *secret, *option = mem_printf("%s=%s/token", key, dir);
    struct conf conf;
    expect_ok(load("", option, &conf));
    expect_error(conf_secret(&conf, key, &secret), WEIR_E_USAGE,
        "security.token-file cannot be used");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = config_text(conf.config, key);
        expect_ok(os_write_file(path, rows[i].text, strlen(rows[i].text)));
        assert_int_equal(chmod(path, rows[i].mode), 0);
        if (rows[i].error != NULL) {
            expect_error(conf_secret(&conf, key, &secret), WEIR_E_USAGE, rows[i].error);
            continue;
        }
        expect_ok(conf_secret(&conf, key, &secret));
        assert_string_equal(secret, "secret");
        mem_free(secret);
    }
    conf_release(&conf);
    expect_ok(conf_load(NULL, NULL, 0, &conf));
    expect_ok(conf_secret(&conf, key, &secret));
    assert_null(secret);
    conf_release(&conf);
    mem_free(option);
    temp_dir_free(dir);
}

static void what_nobody_has_said_is_completed_and_what_was_said_stays(void **state)
{
    struct conf conf;
    expect_ok(load("security.ssl.ca: a\n", NULL, &conf));
    expect_ok(conf_complete(&conf, "security.ssl.ca=b"));
    expect_ok(conf_complete(&conf, "security.ssl.enabled=true"));
    assert_string_equal(conf.security.ca, "a");
    assert_true(conf.security.is_ssl);
    expect_error(conf_complete(&conf, "security.nothing=1"), WEIR_E_USAGE, "security.nothing");
    expect_error(conf_complete(&conf, "a line"), WEIR_E_USAGE, "is no option");
    conf_release(&conf);
}

static void what_belongs_together_is_checked(void **state)
{
    static const struct {
        const char *yaml, *text;
    } cases[] = {
        { "security.ssl.enabled: true\n", "needs 'security.ssl.cert'; set it" },
        { "security.ssl: {enabled: true, cert: c}\n", "needs 'security.ssl.key'" },
        { "security.ssl: {enabled: true, cert: c, key: k}\n", "needs 'security.ssl.ca'" },
        { "security.ssl.mutual: true\n", "needs 'security.ssl.enabled: true'" },
        { "security.token-file: ''\n", "option 'security.token-file' is empty" },
        { "rest.bind-address: \"\"\n", "option 'rest.bind-address' is empty" },
        { "high-availability.type: file\n", "needs 'high-availability.storageDir'" },
        { "high-availability: {type: zookeeper, storageDir: /d}\n",
            "needs 'high-availability.zookeeper.quorum'" },
        { "execution.checkpointing.dir: d\n", "would be in 'd', which is relative" },
        { "high-availability: {type: file, storageDir: d}\n", "in 'd/checkpoints', which is rel" },
        { "high-availability.cluster-id: a/../b\n", "cluster-id' is 'a/../b'" },
        { "high-availability.cluster-id: ..\n", "cluster-id' is '..'" },
        { "high-availability: {type: zookeeper, storageDir: /d, zookeeper: {quorum: q, path.root: "
          "w}}\n",
            "path.root' is 'w'" },
        { "high-availability: {type: zookeeper, storageDir: /d, zookeeper: {quorum: q, path.root: "
          "/w/}}\n",
            "path.root' is '/w/'" },
        { "heartbeat: {interval: 3s, timeout: 5s}\n", "at least twice" },
        { "blob: {size-max: 2GB, total-max: 1GB}\n", "make it at most 1GB" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_error(check(cases[i].yaml), WEIR_E_USAGE, cases[i].text);
    expect_ok(check("high-availability: {type: file, storageDir: /d}\n"));
    expect_ok(check("high-availability: {type: zookeeper, storageDir: /d, zookeeper: {quorum: q, "
                    "path.root: /a/b}}\n"));
    expect_ok(check("heartbeat: {interval: 2s, timeout: 4s}\n"));
}

static void with_high_availability_checkpoints_are_where_every_leader_sees_them(void **state)
{
    static const struct {
        const char *yaml, *checkpoints;
    } cases[] = {
        { "high-availability: {type: file, storageDir: /d}\n", "/d/checkpoints" },
        { "high-availability: {type: zookeeper, storageDir: /d}\n", "/d/checkpoints" },
        { "high-availability: {type: file, storageDir: /d}\nexecution.checkpointing.dir: /c\n",
            "/c" },
        { "high-availability: {type: none, storageDir: /d}\n", NULL },
        { "high-availability.type: file\n", NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct conf conf;
        expect_ok(load(cases[i].yaml, NULL, &conf));
        if (cases[i].checkpoints == NULL)
            assert_null(conf.checkpoints);
        else
            assert_string_equal(conf.checkpoints, cases[i].checkpoints);
        conf_release(&conf);
    }
}

static char *in_tree(void)
{
    const char *root = getenv("WEIR_ROOT");
    char *bytes;
    size_t size;
    expect_ok(os_read_file(temp_dir_path(root == NULL ? "." : root, "conf/weir.yaml"),
        CONF_FILE_SIZE_MAX, &bytes, &size));
    return bytes;
}

static void the_file_in_the_tree_is_made_from_the_table(void **state)
{
    weir_buffer *out = weir_buffer_new(CONF_FILE_SIZE_MAX);
    conf_print(out);
    char *bytes = in_tree();
    assert_string_equal(bytes, buffer_text(out)); /* else: make conf */
    mem_free(bytes);
    weir_buffer_free(out);
}

static void a_default_of_the_file_may_be_commented_in(void **state)
{
    uint32_t count;
    const struct weir_option *rows = conf_rows(&count);
    char *bytes = in_tree();
    for (uint32_t i = 0; i < count; i++) {
        char *line = mem_printf("\n#%s: %s\n", rows[i].name,
            rows[i].fallback == NULL ? rows[i].value_name : rows[i].fallback);
        assert_non_null(strstr(bytes, line));
        struct conf conf;
        if (rows[i].fallback != NULL) {
            expect_ok(load(line + 2, NULL, &conf));
            assert_true(config_given(conf.config, rows[i].name));
            conf_release(&conf);
        }
        mem_free(line);
    }
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_all_are_defaults_that_fit),
        cmocka_unit_test(flat_and_nested_keys_mean_the_same),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(an_override_counts_more_than_the_file),
        cmocka_unit_test(mistakes_in_the_file_say_the_line),
        cmocka_unit_test(a_key_of_any_length_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(the_file_that_is_given_counts_more_than_that_of_the_environment),
        cmocka_unit_test(only_addresses_of_this_machine_are_loopback),
        cmocka_unit_test(the_front_of_a_place_may_name_this_machine),
        cmocka_unit_test(an_open_port_needs_tls_and_proof),
        cmocka_unit_test(a_secret_is_a_word_in_a_file_of_its_owner_alone),
        cmocka_unit_test(what_nobody_has_said_is_completed_and_what_was_said_stays),
        cmocka_unit_test(what_belongs_together_is_checked),
        cmocka_unit_test(with_high_availability_checkpoints_are_where_every_leader_sees_them),
        cmocka_unit_test(the_file_in_the_tree_is_made_from_the_table),
        cmocka_unit_test(a_default_of_the_file_may_be_commented_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
