/* state_file.c -- store, verify, fetch: see state_file.h for the names and the order of steps.
 *
 * Why link first and read then: the link tells at once whether both are on one file system, and what
 * is read afterwards is the very inode that is published. Why the rename although the temporary may
 * already be a link to the final inode: the name must appear only when the bytes are synced. */
#include "state/state_file.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/os_process.h"
#include "base/worker.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)256 << 10)

/* -- reading -------------------------------------------------------------------------------- */

/* Reads `from` to its end; also writes it to `to` when that is not NULL. */
static weir_error *read_through(struct os_file *from, struct os_file *to,
    struct state_content *content)
{
    struct checksum *checksum = checksum_new();
    char *block = mem_alloc(BLOCK_SIZE);
    weir_error *error = NULL;
    size_t got = BLOCK_SIZE;
    *content = (struct state_content){ 0 };
    while (error == NULL && got == BLOCK_SIZE) {
        error = os_read(from, block, BLOCK_SIZE, &got);
        if (error != NULL)
            break;
        checksum_add(checksum, block, got);
        content->length += got;
        if (to != NULL)
            error = os_write(to, block, got);
    }
    content->checksum = checksum_value(checksum);
    mem_free(block);
    checksum_free(checksum);
    return error;
}

static weir_error *read_content(const char *path, struct state_content *content)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_READ, &file));
    weir_error *error = read_through(file, NULL, content);
    os_close(file);
    return error;
}

static weir_error *copy(const char *from, const char *to, bool sync, struct state_content *content)
{
    struct os_file *source = NULL, *target = NULL;
    WEIR_TRY(os_open(from, OS_READ, &source));
    weir_error *error = os_open(to, OS_CREATE, &target);
    if (error == NULL)
        error = read_through(source, target, content);
    if (error == NULL && sync)
        error = os_sync(target);
    os_close(target);
    os_close(source);
    return error;
}

/* The bytes of a linked file may still be in memory only; syncing any name of it will do. */
static weir_error *sync_file(const char *path)
{
    struct os_file *file;
    WEIR_TRY(os_open(path, OS_APPEND, &file));
    weir_error *error = os_sync(file);
    os_close(file);
    return error;
}

/* -- names ---------------------------------------------------------------------------------- */

char *state_file_temporary(const char *checkpoint_dir, uint64_t attempt, struct arena *arena)
{
    return arena_printf(arena, "%s/" STATE_FILE_DIR "/tmp-%" PRIu64 "-%016" PRIx64, checkpoint_dir,
        attempt, os_random());
}

/* Digits of `base` up to `end` or the end of the text; false: something else. */
static bool parse_number(const char **text, int base, char end, uint64_t *number)
{
    const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
    size_t count = strspn(*text, digits);
    if (count == 0 || count > 20 || (*text)[count] != end)
        return false;
    *number = strtoull(*text, NULL, base);
    *text += count + (end == '\0' ? 0 : 1);
    return true;
}

bool state_file_attempt(const char *file_name, uint64_t *attempt)
{
    uint64_t ignored;
    if (strncmp(file_name, "tmp-", 4) == 0) {
        file_name += 4;
        return parse_number(&file_name, 10, '-', attempt) &&
               parse_number(&file_name, 16, '\0', &ignored);
    }
    return parse_number(&file_name, 16, '-', &ignored) &&
           parse_number(&file_name, 10, '-', &ignored) &&
           parse_number(&file_name, 10, '\0', attempt);
}

/* A path of a list that was read from disk must not lead out of the checkpoint directory. */
static weir_error *check_path(const struct state_file *file)
{
    bool climbs = strcmp(file->path, "..") == 0 || strncmp(file->path, "../", 3) == 0 ||
                  strstr(file->path, "/../") != NULL;
    size_t size = strlen(file->path);
    climbs = climbs || (size >= 3 && strcmp(file->path + size - 3, "/..") == 0);
    if (size == 0 || file->path[0] == '/' || climbs)
        return weir_errorf(WEIR_E_CORRUPT,
            "the checkpoint lists the state file '%s', which is no path inside its directory",
            file->path);
    return NULL;
}

weir_error *state_file_check_name(const struct state_file *file)
{
    if (file->name[0] != '\0' && file->name[0] != '.' && strchr(file->name, '/') == NULL)
        return NULL;
    return weir_errorf(WEIR_E_CORRUPT,
        "the checkpoint lists the state file '%s' (%s), which is no name of a database's file",
        file->path, file->name);
}

/* -- storing -------------------------------------------------------------------------------- */

weir_error *state_file_begin(const char *checkpoint_dir)
{
    char *shared = mem_printf("%s/" STATE_FILE_DIR, checkpoint_dir);
    struct os_stat stat;
    weir_error *error = os_stat(shared, &stat);
    if (error == NULL && !stat.exists) {
        error = os_make_dirs(shared);
        if (error == NULL)
            error = os_sync_dir(checkpoint_dir);
    }
    mem_free(shared);
    return error;
}

weir_error *state_file_end(const char *checkpoint_dir)
{
    char *shared = mem_printf("%s/" STATE_FILE_DIR, checkpoint_dir);
    weir_error *error = FAULT_STEP(STATE_DIRECTORY_SYNC, os_sync_dir(shared));
    mem_free(shared);
    return error;
}

/* The file is as long as its writer says: a checksum of what was written is none of what is there. */
static weir_error *check_length(const char *path, uint64_t length)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (stat.size == length)
        return NULL;
    return weir_errorf(WEIR_E_IO, "'%s' has %" PRIu64 " bytes, but %" PRIu64 " were written", path,
        stat.size, length);
}

/* No padding: all of it is hashed. */
struct identity {
    uint64_t device, inode, size;
    int64_t modified_ms;
    char boot[OS_BOOT_ID_SIZE];
};

static uint64_t identity_of(const char *path)
{
    struct identity it;
    struct os_stat stat = { 0 };
    weir_error *error = os_stat(path, &stat);
    const char *boot = os_boot_id();
    bool is_known = error == NULL && stat.is_regular && stat.inode != 0 && boot != NULL;
    weir_error_free(error);
    if (!is_known)
        return 0;
    memcpy(it.boot, boot, sizeof(it.boot));
    it.device = stat.device;
    it.inode = stat.inode;
    it.size = stat.size;
    it.modified_ms = stat.modified_ms;
    return hash_bytes(&it, sizeof(it));
}

/* Links or copies `from` to the temporary name, synced. Why linking failed does not matter: a file
 * system without links, another device, too many links; when copying fails too, that is told.
 * `identity`: as what it was read, from beginning to end; 0: it was not. */
static weir_error *make_temporary(const char *from, const char *temporary,
    const struct state_content *known, struct state_content *content, uint64_t *identity)
{
    *identity = 0;
    weir_error *error = os_link(from, temporary);
    if (error != NULL) {
        weir_error_free(error);
        return copy(from, temporary, true, content);
    }
    if (known != NULL)
        *content = *known;
    else
        *identity = identity_of(temporary);
    WEIR_TRY(
        known == NULL ? read_content(temporary, content) : check_length(temporary, known->length));
    return FAULT_STEP(STATE_FILE_SYNC, sync_file(temporary));
}

/* Renames the temporary to its final name, or drops it when that is there. A rename between two
 * links of one inode does nothing at all, so the temporary is removed in any case. */
static weir_error *publish(const char *temporary, const char *final, uint64_t length)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(final, &stat));
    if (!stat.exists || stat.size != length)
        WEIR_TRY(os_rename(temporary, final));
    return os_remove(temporary);
}

weir_error *state_file_add(const char *from, const struct state_content *known,
    const char *checkpoint_dir, uint64_t attempt, const char *name, struct arena *arena,
    struct state_file *file)
{
    ASSERT(from != NULL && checkpoint_dir != NULL && name != NULL);
    char *temporary = state_file_temporary(checkpoint_dir, attempt, arena);
    struct state_content content = { 0 };
    uint64_t identity = 0;
    weir_error *error =
        FAULT_STEP(STATE_FILE_LINK, make_temporary(from, temporary, known, &content, &identity));
    if (error == NULL) {
        *file = (struct state_file){ .name = arena_strdup(arena, name),
            .path = arena_printf(arena, STATE_FILE_DIR "/%016" PRIx64 "-%" PRIu64 "-%" PRIu64,
                content.checksum, content.length, attempt),
            .length = content.length,
            .checksum = content.checksum,
            .identity = identity };
        char *final = mem_printf("%s/%s", checkpoint_dir, file->path);
        ASSERT(check_path(file) == NULL); /* what we write we can read */
        error = FAULT_STEP(STATE_FILE_RENAME, publish(temporary, final, content.length));
        mem_free(final);
    }
    if (error == NULL)
        return NULL;
    weir_error_free(
        os_remove(temporary)); /* rubbish at worst: the first error is the one to tell */
    return weir_error_wrap(error, "cannot store the state file '%s'", name);
}

weir_error *state_file_store(const char *from, const char *checkpoint_dir, uint64_t attempt,
    const char *name, struct arena *arena, struct state_file *file)
{
    WEIR_TRY(state_file_begin(checkpoint_dir));
    WEIR_TRY(state_file_add(from, NULL, checkpoint_dir, attempt, name, arena, file));
    return state_file_end(checkpoint_dir);
}

/* -- trusting again ------------------------------------------------------------------------- */

weir_error *state_file_look(const char *checkpoint_dir, const struct state_file *file, bool *exists)
{
    char *path = mem_printf("%s/%s", checkpoint_dir, file->path);
    struct os_stat stat = { 0 };
    weir_error *error = os_stat(path, &stat);
    *exists = error == NULL && stat.is_regular && stat.size == file->length;
    mem_free(path);
    return error;
}

bool state_file_exists(const char *checkpoint_dir, const struct state_file *file)
{
    bool exists;
    weir_error_free(state_file_look(checkpoint_dir, file, &exists));
    return exists;
}

static weir_error *compare(const char *path, const struct state_file *file)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(path, &stat));
    if (!stat.exists)
        return weir_errorf(WEIR_E_CORRUPT,
            "the state file '%s' (%s) is missing: restore another checkpoint", path, file->name);
    if (stat.size != file->length)
        return weir_errorf(WEIR_E_CORRUPT,
            "the state file '%s' (%s) has %" PRIu64 " bytes instead of %" PRIu64
            ": restore another checkpoint",
            path, file->name, stat.size, file->length);
    struct state_content content;
    if (file->is_verified)
        return NULL;
    WEIR_TRY(read_content(path, &content));
    if (content.length != file->length || content.checksum != file->checksum)
        return weir_errorf(WEIR_E_CORRUPT,
            "the state file '%s' (%s) has the checksum %016" PRIx64 " instead of %016" PRIx64
            ": its bytes have changed; restore another checkpoint",
            path, file->name, content.checksum, file->checksum);
    return NULL;
}

weir_error *state_file_verify(const char *checkpoint_dir, const struct state_file *file)
{
    WEIR_TRY(check_path(file));
    char *path = mem_printf("%s/%s", checkpoint_dir, file->path);
    weir_error *error = compare(path, file);
    mem_free(path);
    return error;
}

uint64_t state_file_identity(const char *checkpoint_dir, const struct state_file *file)
{
    weir_error *error = check_path(file);
    char *path = mem_printf("%s/%s", checkpoint_dir, file->path);
    uint64_t identity = error == NULL ? identity_of(path) : 0;
    weir_error_free(error);
    mem_free(path);
    return identity;
}

/* Thread: whoever helps, each with files of his own; `is_broken` any. */
struct verification {
    const char *dir;
    struct state_file *const *files;
    weir_error **errors; /* of the files */
    atomic_bool is_broken;
};

/* The identity is taken before the reading: what is changed meanwhile has another one. */
static void verify_one(void *arg, uint64_t index)
{
    struct verification *it = arg;
    struct state_file *file = it->files[index];
    if (file->is_verified || atomic_load(&it->is_broken))
        return;
    uint64_t identity = state_file_identity(it->dir, file);
    file->is_verified = identity != 0 && identity == file->identity;
    it->errors[index] = state_file_verify(it->dir, file);
    file->is_verified = it->errors[index] == NULL;
    file->identity = file->is_verified ? identity : 0;
    if (it->errors[index] != NULL)
        atomic_store(&it->is_broken, true);
}

weir_error *state_files_verify(const char *checkpoint_dir, struct workers *workers,
    struct state_file *const *files, uint64_t count)
{
    struct verification it = { .dir = checkpoint_dir,
        .files = files,
        .errors = mem_alloc_array(count, sizeof(*it.errors)) };
    workers_share(workers, count, verify_one, &it);
    weir_error *error = NULL;
    for (uint64_t i = 0; i < count; i++) {
        if (error == NULL)
            error = it.errors[i];
        else
            weir_error_free(it.errors[i]);
    }
    mem_free(it.errors);
    return error;
}

static weir_error *fetch(const char *checkpoint_dir, const struct state_file *file, const char *to,
    bool may_link)
{
    char *path = mem_printf("%s/%s", checkpoint_dir, file->path);
    weir_error *linked = may_link ? os_link(path, to) : NULL;
    weir_error *error = NULL;
    struct state_content content;
    if (!may_link || linked != NULL)
        error = copy(path, to, false, &content);
    weir_error_free(linked);
    mem_free(path);
    return error;
}

weir_error *state_file_fetch(const char *checkpoint_dir, const struct state_file *file,
    const char *to, bool may_link)
{
    WEIR_TRY(check_path(file));
    return FAULT_STEP(STATE_FILE_FETCH, fetch(checkpoint_dir, file, to, may_link));
}
