/* rocksdb_restore.c -- from stored files back to a database.
 *
 *      no source        an empty database
 *      else             the source that has most of what is wanted becomes the database: its files come
 *                       under their old names and are opened in place, so nothing is copied and the
 *                       next snapshot stores none of them again
 *      other groups     that it has are cut off: files that have nothing else are dropped, of the few at
 *                       the ends a range tombstone hides the rest, until they are compacted
 *      other sources    that have wanted groups are copied into it (rocksdb_copy.c), 2-3 M entries/s
 *
 * Then the segments (segment.h) of each source are replayed, as far as their rows are wanted: unless a cache is
 * in front, which keeps them out of the sources and takes their rows itself (cache_restore.c).
 *
 * Cutting off is done at once and not left to whoever reads: a database has its own groups and no others,
 * so the next restore can take any other's groups into it.
 *
 * Every file is verified (length, checksum) before RocksDB sees it. An .sst is hard-linked, for nobody
 * ever writes to one; the others are copied. `create_if_missing` is off then, because a database without its
 * CURRENT file would silently start empty.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/os.h"
#include "state/segment.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

/* -- files ---------------------------------------------------------------------------------- */

weir_error *rocks_fetch(const struct rocks *rocks, const struct backend_source *source,
    const char *directory)
{
    ASSERT(rocks->checkpoint_dir != NULL);
    WEIR_TRY(os_make_dirs(directory));
    for (uint32_t i = 0; i < source->file_count; i++) {
        const struct state_file *file = &source->files[i];
        if (segment_is_name(file->name))
            continue;
        WEIR_TRY(state_file_check_name(file));
        WEIR_TRY(state_file_verify(rocks->checkpoint_dir, file));
        char *to = mem_printf("%s/%s", directory, file->name);
        weir_error *error =
            state_file_fetch(rocks->checkpoint_dir, file, to, rocks_is_sst(file->name));
        mem_free(to);
        WEIR_TRY(error);
    }
    return NULL;
}

/* By the name of its family, because only so there is a handle of it, which reading many values takes. */
static weir_error *open_database(struct rocks *rocks, bool may_create)
{
    const char *family = "default";
    const rocksdb_options_t *options = rocks->options;
    char *message = NULL;
    rocksdb_options_set_create_if_missing(rocks->options, may_create);
    rocks->db = rocksdb_open_column_families(rocks->options, rocks->database, 1, &family, &options,
        &rocks->entries, &message);
    return rocks_error(message, "open the database", rocks->database);
}

/* -- groups --------------------------------------------------------------------------------- */

struct group_range rocks_wanted_groups(const struct rocks *rocks,
    const struct backend_source *source)
{
    struct group_range has = source->groups, wanted = rocks->groups;
    ASSERT(group_range_overlaps(has, wanted));
    return (struct group_range){ .first = has.first > wanted.first ? has.first : wanted.first,
        .last = has.last < wanted.last ? has.last : wanted.last };
}

uint64_t rocks_wanted_size(const struct rocks *rocks, const struct backend_source *source)
{
    struct group_range wanted = rocks_wanted_groups(rocks, source);
    uint64_t size = 0;
    for (uint32_t i = 0; i < source->file_count; i++)
        if (rocks_is_sst(source->files[i].name))
            size += source->files[i].length;
    return size / (source->groups.last - source->groups.first + 1) *
           (wanted.last - wanted.first + 1);
}

/* Deletes the groups from `first` on, up to `end`, which stays. Two bytes are before all keys of their group and
 * are none themselves: both of RocksDB's calls agree about such bounds, whichever ends they include. */
static weir_error *cut_off(struct rocks *rocks, uint32_t first, uint32_t end)
{
    uint16_t from = htobe16((uint16_t)first), to = htobe16((uint16_t)end);
    char lower[sizeof(from)], upper[sizeof(to)], *message = NULL;
    memcpy(lower, &from, sizeof(lower));
    memcpy(upper, &to, sizeof(upper));
    rocksdb_delete_file_in_range(rocks->db, lower, sizeof(lower), upper, sizeof(upper), &message);
    WEIR_TRY(rocks_error(message, "drop files of", rocks->database));
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_writebatch_delete_range(batch, lower, sizeof(lower), upper, sizeof(upper));
    rocksdb_write(rocks->db, rocks->write, batch, &message);
    rocks_note_write(rocks);
    rocksdb_writebatch_destroy(batch);
    return rocks_error(message, "delete from", rocks->database);
}

static weir_error *cut_off_if_any(struct rocks *rocks, uint32_t first, uint32_t end)
{
    return first >= end ? NULL : FAULT_STEP(KEY_GROUP_SPLIT, cut_off(rocks, first, end));
}

/* A database without one is given one by RocksDB, synced with its directory: for nothing, in one that nobody opens again. */
static weir_error *write_identity(const struct rocks *rocks)
{
    char id[40];
    struct os_file *file;
    int size = snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, os_random(), os_random());
    char *path = mem_printf("%s/IDENTITY", rocks->database);
    weir_error *error = os_open(path, OS_TRUNCATE, &file);
    if (error == NULL) {
        error = os_write(file, id, (size_t)size);
        os_close(file);
    }
    mem_free(path);
    return error;
}

static weir_error *open_in_place(struct rocks *rocks, const struct backend_source *source)
{
    struct group_range wanted = rocks_wanted_groups(rocks, source);
    WEIR_TRY(rocks_fetch(rocks, source, rocks->database));
    WEIR_TRY(write_identity(rocks));
    WEIR_TRY(FAULT_STEP(DATABASE_OPEN, open_database(rocks, false)));
    rocks_stored_set(&rocks->stored, source->files, source->file_count);
    WEIR_TRY(cut_off_if_any(rocks, source->groups.first, wanted.first));
    return cut_off_if_any(rocks, wanted.last + 1, source->groups.last + 1);
}

/* -- segments ------------------------------------------------------------------------------- */

static weir_error *apply(void *arg, const struct changes *changes)
{
    struct rocks *rocks = arg;
    return rocks_write_changes(&rocks->backend, &changes, 1);
}

/* -- all sources ---------------------------------------------------------------------------- */

/* The one with most of what is wanted comes first. */
static void put_largest_first(const struct rocks *rocks, struct backend_source *sources,
    uint32_t source_count)
{
    uint32_t largest = 0;
    for (uint32_t i = 1; i < source_count; i++)
        if (rocks_wanted_size(rocks, &sources[i]) > rocks_wanted_size(rocks, &sources[largest]))
            largest = i;
    struct backend_source first = sources[0];
    sources[0] = sources[largest];
    sources[largest] = first;
}

static weir_error *restore_all(struct rocks *rocks, struct backend_source *sources,
    uint32_t source_count)
{
    if (source_count == 0)
        return FAULT_STEP(DATABASE_OPEN, open_database(rocks, true));
    put_largest_first(rocks, sources, source_count);
    WEIR_TRY(open_in_place(rocks, &sources[0]));
    if (source_count == 1)
        return NULL;
    return FAULT_STEP(KEY_GROUP_MERGE, rocks_copy(rocks, &sources[1], source_count - 1));
}

weir_error *rocks_restore(struct rocks *rocks, const struct backend_source *sources,
    uint32_t source_count)
{
    struct backend_source *wanted = mem_alloc_array(source_count + 1, sizeof(*wanted));
    uint32_t count = 0;
    for (uint32_t i = 0; i < source_count; i++)
        if (group_range_overlaps(sources[i].groups, rocks->groups))
            wanted[count++] = sources[i];
    ASSERT(count > 0 || source_count == 0); /* backend_check_sources */
    weir_error *error = restore_all(rocks, wanted, count);
    struct segment_home home = { .directory = rocks->directory,
        .checkpoint_dir = rocks->checkpoint_dir,
        .groups = rocks->groups };
    for (uint32_t i = 0; i < count && error == NULL; i++)
        error = segment_restore(&home, &wanted[i], apply, rocks);
    mem_free(wanted);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot restore keyed state");
}
