/* os_process_test.c -- which files are secret enough. What else is there is tested by those who use it. */
#include "base/os_process.h"

#include "base/memory.h"
#include "test/support/temp_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include "test/support/stranger.h"

static void a_secret_is_its_owners_alone(void **state)
{
    static const unsigned kept[] = { 0600, 0400, 0700, 04600 },
                          others[] = { 0604, 0644, 0660, 0620, 0601, 0777 };
    char *dir = temp_dir_new(), *path = mem_printf("%s/secret", dir);
    expect_ok(os_check_private(path)); /* it is not there: who reads it says so */
    temp_dir_write(path, "x", 1);
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        assert_int_equal(chmod(path, kept[i]), 0);
        expect_ok(os_check_private(path));
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        char *text = mem_printf("secret' is secret, but not its owner's alone (mode %04o): chmod "
                                "600 '%s'",
            others[i], path);
        assert_int_equal(chmod(path, others[i]), 0);
        expect_error(os_check_private(path), WEIR_E_USAGE, text);
        mem_free(text);
    }
    assert_int_equal(chmod(path, 0640), 0);
    if (os_user_id() == 0)
        expect_ok(os_check_private(path)); /* root has chosen the group, and reads it itself, too */
    else
        expect_error(os_check_private(path), WEIR_E_USAGE, "(mode 0640): chmod 600");
    mem_free(path);
    temp_dir_free(dir);
}

static void what_root_has_may_be_given_to_the_group_of_a_service(void **state)
{
    static const struct {
        unsigned mode;
        bool is_fine;
    } rows[] = { { 0640, true }, { 0440, true }, { 0600, true }, { 0644, false }, { 0660, false },
        { 0650, false } };
    stranger_or_skip();
    static const char path[] = "secret";
    char *dir = temp_dir_new();
    assert_int_equal(chmod(dir, 0711), 0);
    assert_int_equal(chdir(dir), 0); /* what is above it may be root's alone */
    temp_dir_write(path, "x", 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(chmod(path, rows[i].mode), 0);
        assert_int_equal(seteuid(STRANGER), 0);
        weir_error *error = os_check_private(path);
        assert_int_equal(seteuid(0), 0);
        if (rows[i].is_fine)
            expect_ok(error);
        else
            expect_error(error, WEIR_E_USAGE, "chmod 600");
    }
    assert_int_equal(chdir("/"), 0);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_its_owners_alone),
        cmocka_unit_test(what_root_has_may_be_given_to_the_group_of_a_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
