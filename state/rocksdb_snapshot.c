/* rocksdb_snapshot.c -- incremental snapshots: freeze at the barrier, store on a worker.
 *
 * Freezing is rocksdb_checkpoint_create: it flushes the memtable, because there is no WAL, and hard-
 * links the live files. The task waits for the flush: about 4-8 ms per MiB that was written since the
 * last flush, whatever the size of the state, and 1-4 ms when nothing was. Smaller memtables make
 * the longest pause shorter.
 *
 * Writing goes through the frozen directory:
 *
 *      *.sst that the last written snapshot has, and that is still stored:  listed again, not touched
 *      *.sst else, MANIFEST, CURRENT, OPTIONS:                              stored (state_file.h)
 *
 * Snapshots are stored one after the other. One that is written once more, as the cache does with each
 * checkpoint, is listed again if nothing of it is missing, and does not wait for another's files.
 *
 * An .sst never changes and its number is never used twice in one database, so the name and the
 * length identify it; after a restore in place the numbers go on behind those in the MANIFEST.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/os.h"

#include <inttypes.h>

/* Thread: task makes it, then worker, one at a time. */
struct rocks_frozen {
    struct rocks *rocks; /* outlives it; only what never changes, and `stored`, is used */
    char *directory;
    struct arena arena; /* of the list */
    struct state_file *files;
    uint32_t file_count; /* 0: not written yet */
};

static struct rocks_frozen *frozen_of(struct backend_snapshot *snapshot)
{
    return (struct rocks_frozen *)(void *)snapshot;
}

static weir_error *freeze(struct rocks *rocks, const char *directory)
{
    char *message = NULL;
    rocksdb_checkpoint_create(rocks->checkpoint, directory, 0, &message);
    return rocks_error(message, "freeze the state in", rocks->database);
}

weir_error *rocks_snapshot(struct backend *backend, uint64_t checkpoint,
    struct backend_snapshot **snapshot)
{
    struct rocks *rocks = (struct rocks *)(void *)backend;
    ASSERT(rocks->checkpoint_dir != NULL);
    *snapshot = NULL;
    char *directory = mem_printf("%s/chk-%" PRIu64, rocks->directory, checkpoint);
    weir_error *error = FAULT_STEP(DATABASE_FREEZE, freeze(rocks, directory));
    if (error != NULL) {
        mem_free(directory);
        return weir_error_retriable(error); /* RocksDB takes no writes after a flush that failed */
    }
    struct rocks_frozen *frozen = mem_alloc(sizeof(*frozen));
    *frozen = (struct rocks_frozen){ .rocks = rocks, .directory = directory };
    arena_init(&frozen->arena, 4096, SIZE_MAX / 2);
    atomic_fetch_add(&rocks->snapshot_count, 1);
    *snapshot = (struct backend_snapshot *)(void *)frozen;
    return NULL;
}

/* -- what is stored already ---------------------------------------------------------------------- */

bool rocks_is_sst(const char *name)
{
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".sst") == 0;
}

static struct state_file copy_file(struct arena *arena, const struct state_file *file)
{
    struct state_file copy = *file;
    copy.name = arena_strdup(arena, file->name);
    copy.path = arena_strdup(arena, file->path);
    return copy;
}

/* Under the lock, or while nobody else knows of it. */
static void replace_stored(struct rocks_stored *stored, const struct state_file *files,
    uint32_t file_count)
{
    arena_release(&stored->arena);
    arena_init(&stored->arena, 4096, SIZE_MAX / 2);
    stored->files = arena_alloc(&stored->arena, file_count * sizeof(*stored->files));
    stored->file_count = 0;
    for (uint32_t i = 0; i < file_count; i++)
        if (rocks_is_sst(files[i].name))
            stored->files[stored->file_count++] = copy_file(&stored->arena, &files[i]);
}

void rocks_stored_set(struct rocks_stored *stored, const struct state_file *files,
    uint32_t file_count)
{
    pthread_mutex_lock(&stored->lock);
    replace_stored(stored, files, file_count);
    pthread_mutex_unlock(&stored->lock);
}

/* Lists come from a directory (sorted) or a checkpoint (sorted when it was written, but who knows),
 * and are short; a linear search over some thousand names for each name is still milliseconds. */
static const struct state_file *find_stored(const struct rocks_stored *stored, const char *name)
{
    for (uint32_t i = 0; i < stored->file_count; i++)
        if (strcmp(stored->files[i].name, name) == 0)
            return &stored->files[i];
    return NULL;
}

/* -- writing -------------------------------------------------------------------------------- */

/* True: the file is in the checkpoint directory already, and described in `file`. */
static bool is_stored(struct rocks *rocks, const char *name, const char *path, struct arena *arena,
    struct state_file *file)
{
    const struct state_file *known = rocks_is_sst(name) ? find_stored(&rocks->stored, name) : NULL;
    if (known == NULL || !state_file_exists(rocks->checkpoint_dir, known))
        return false;
    struct os_stat stat = { 0 };
    weir_error *error = os_stat(path, &stat);
    bool is_same = error == NULL && stat.exists && stat.size == known->length;
    weir_error_free(error); /* storing it will meet the error again, and tell it */
    if (is_same)
        *file = copy_file(arena, known);
    return is_same;
}

static weir_error *store_one(const struct rocks_frozen *frozen, const char *name,
    struct arena *arena, struct state_file *file)
{
    struct rocks *rocks = frozen->rocks;
    char *path = mem_printf("%s/%s", frozen->directory, name);
    weir_error *error = NULL;
    if (!is_stored(rocks, name, path, arena, file))
        error =
            state_file_add(path, NULL, rocks->checkpoint_dir, rocks->attempt, name, arena, file);
    mem_free(path);
    return error;
}

static weir_error *store_all(const struct rocks_frozen *frozen, char **names, uint32_t count,
    struct arena *arena, struct state_file *files)
{
    struct rocks *rocks = frozen->rocks;
    WEIR_TRY(state_file_begin(rocks->checkpoint_dir));
    for (uint32_t i = 0; i < count; i++) {
        WEIR_TRY(rocks_check_open(rocks));
        WEIR_TRY(store_one(frozen, names[i], arena, &files[i]));
    }
    WEIR_TRY(state_file_end(rocks->checkpoint_dir));
    replace_stored(&rocks->stored, files, count);
    ASSERT(rocks->stored.file_count <= count);
    return NULL;
}

/* False: it is not written yet, or retention has deleted something of it. */
static bool list_again(const struct rocks_frozen *frozen, struct arena *arena,
    struct state_file **files, uint32_t *file_count)
{
    *file_count = frozen->file_count;
    *files = arena_alloc(arena, frozen->file_count * sizeof(**files));
    for (uint32_t i = 0; i < frozen->file_count; i++) {
        if (!state_file_exists(frozen->rocks->checkpoint_dir, &frozen->files[i]))
            return false;
        (*files)[i] = copy_file(arena, &frozen->files[i]);
    }
    return frozen->file_count > 0;
}

static void remember_list(struct rocks_frozen *frozen, const struct state_file *files,
    uint32_t file_count)
{
    arena_release(&frozen->arena);
    arena_init(&frozen->arena, 4096, SIZE_MAX / 2);
    frozen->files = arena_alloc(&frozen->arena, file_count * sizeof(*files));
    frozen->file_count = file_count;
    for (uint32_t i = 0; i < file_count; i++)
        frozen->files[i] = copy_file(&frozen->arena, &files[i]);
}

weir_error *rocks_snapshot_write(struct backend_snapshot *snapshot, struct arena *arena,
    struct state_file **files, uint32_t *file_count)
{
    struct rocks_frozen *frozen = frozen_of(snapshot);
    char **names;
    if (list_again(frozen, arena, files, file_count))
        return NULL;
    WEIR_TRY(os_list(frozen->directory, &names, file_count));
    *files = arena_alloc(arena, *file_count * sizeof(**files));
    pthread_mutex_lock(&frozen->rocks->stored.lock);
    weir_error *error = store_all(frozen, names, *file_count, arena, *files);
    pthread_mutex_unlock(&frozen->rocks->stored.lock);
    os_names_free(names, *file_count);
    if (error != NULL)
        return weir_error_wrap(error, "cannot write a snapshot of keyed state");
    remember_list(frozen, *files, *file_count);
    return NULL;
}

void rocks_snapshot_free(struct backend_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    struct rocks_frozen *frozen = frozen_of(snapshot);
    ASSERT(atomic_load(&frozen->rocks->snapshot_count) > 0);
    weir_error_free(os_remove_tree(frozen->directory)); /* rubbish at worst; close removes it too */
    atomic_fetch_sub(&frozen->rocks->snapshot_count, 1);
    arena_release(&frozen->arena);
    mem_free(frozen->directory);
    mem_free(frozen);
}
