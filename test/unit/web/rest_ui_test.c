/* rest_ui_test.c -- the page: Weir's own, or files of a directory and of nowhere else. */
#include "test/support/expect.h"
#include "test/support/temp_dir.h"
#include "test/unit/web/dispatcher_double.h"

static const char *get(struct client *client, const char *target, int status)
{
    const char *text = client_ask(client, "GET", target, (weir_str){ .data = "" });
    if (client->reply.status != status)
        print_error("%s: %d\n", target, client->reply.status);
    assert_int_equal(client->reply.status, status);
    return text;
}

static void the_page_is_in_the_program(void **state)
{
    struct client client = client_new(NULL);
    const char *text = get(&client, "/", 200);
    assert_string_equal(client.reply.type, "text/html; charset=UTF-8");
    assert_memory_equal(text, "<!DOCTYPE html>", 15);
    assert_string_equal(text + strlen(text) - 8, "</html>\n");
    get(&client, "/index.html", 200);
    assert_string_equal(get(&client, "/other.html", 404), "{\"errors\":[\"File not found.\"]}");
    get(&client, "/v1/", 404);
    client_free(&client);
}

static void files_of_another_page_are_sent_by_their_type(void **state)
{
    static const char *const rows[][2] = { { "/", "text/html; charset=UTF-8" },
        { "/main.1f.js", "application/javascript; charset=UTF-8" },
        { "/assets/a.svg", "image/svg+xml" }, { "/assets/b", "application/octet-stream" } };
    char *directory = temp_dir_new();
    expect_ok(os_make_dirs(temp_dir_path(directory, "assets")));
    static const char *const files[] = { "index.html", "main.1f.js", "assets/a.svg", "assets/b" };
    for (size_t i = 0; i < COUNT_OF(files); i++)
        temp_dir_write(temp_dir_path(directory, "%s", files[i]), "x", 1);
    struct client client = client_new(&(struct rest_options){ .ui_dir = directory });
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        get(&client, rows[i][0], 200);
        assert_string_equal(client.reply.type, rows[i][1]);
        assert_string_equal(client.reply.file, temp_dir_path(directory, "%s", files[i]));
    }
    get(&client, "/assets", 404);
    get(&client, "/missing.js", 404);
    client_free(&client);
    temp_dir_free(directory);
}

static void there_is_no_way_out_of_the_directory(void **state)
{
    static const char *const paths[] = { "/../secret", "/ui/../../secret", "/ui/..", "//secret",
        "/./secret", "/.hidden", "/ui/.hidden", "/..\\secret", "\\..\\secret", "../secret",
        "/ui/" };
    char *directory = temp_dir_new();
    expect_ok(os_make_dirs(temp_dir_path(directory, "ui/ui")));
    temp_dir_write(temp_dir_path(directory, "secret"), "x", 1);
    temp_dir_write(temp_dir_path(directory, "ui/.hidden"), "x", 1);
    char *ui = mem_printf("%s/ui", directory);
    struct client client = client_new(&(struct rest_options){ .ui_dir = ui });
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        get(&client, paths[i], 404);
        assert_null(client.reply.file);
    }
    client_free(&client);
    mem_free(ui);
    temp_dir_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_in_the_program),
        cmocka_unit_test(files_of_another_page_are_sent_by_their_type),
        cmocka_unit_test(there_is_no_way_out_of_the_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
