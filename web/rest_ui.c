/* rest_ui.c -- the page: Weir's own, which is in the program, or files of a directory that the user names.
 *
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/memory.h"
#include "base/os.h"

#include <string.h>

/* The assembler takes the file in as it is. */
__asm__(".pushsection .rodata\n"
        ".global weir_ui_page\n"
        ".hidden weir_ui_page\n"
        "weir_ui_page:\n"
        ".incbin \"web/ui/index.html\"\n"
        ".global weir_ui_page_end\n"
        ".hidden weir_ui_page_end\n"
        "weir_ui_page_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const char weir_ui_page[], weir_ui_page_end[];

static const char *type_of(const char *path)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        { ".html", "text/html; charset=UTF-8" },
        { ".js", "application/javascript; charset=UTF-8" },
        { ".css", "text/css; charset=UTF-8" },
        { ".json", REST_TYPE_JSON },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
        { ".ico", "image/x-icon" },
        { ".woff2", "font/woff2" },
        { ".txt", REST_TYPE_TEXT },
    };
    const char *suffix = strrchr(path, '.');
    for (size_t i = 0; suffix != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(suffix, types[i].suffix) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* No way up or sideways: no segment is empty or begins with a dot, nothing is another kind of slash. */
static bool is_safe(const char *path)
{
    if (path[0] != '/' || strchr(path, '\\') != NULL)
        return false;
    for (const char *at = path; at != NULL; at = strchr(at + 1, '/'))
        if (at[1] == '/' || at[1] == '.' || (at[1] == '\0' && at != path))
            return false;
    return true;
}

static bool send_file(struct call *call, const char *path)
{
    struct os_stat stat;
    bool is_root = strcmp(path, "/") == 0;
    char *file = mem_printf("%s%s", call->rest->options.ui_dir, is_root ? "/index.html" : path);
    weir_error *error = os_stat(file, &stat);
    if (error == NULL && stat.is_regular) {
        call->reply->type = type_of(file);
        call->reply->file = file;
        return true;
    }
    weir_error_free(error);
    mem_free(file);
    return false;
}

bool rest_ui(struct call *call, const char *path)
{
    if (!is_safe(path))
        return false;
    if (call->rest->options.ui_dir != NULL)
        return send_file(call, path);
    if (strcmp(path, "/") != 0 && strcmp(path, "/index.html") != 0)
        return false;
    call->reply->type = "text/html; charset=UTF-8";
    weir_buffer_add(call->reply->body, weir_ui_page, (size_t)(weir_ui_page_end - weir_ui_page));
    return true;
}
