/* rocksdb_restore.c -- from stored files back to a database.
 *
 *      no source                      an empty database
 *      one source, the same groups    its files under their old names, opened in place: no copying,
 *                                     and the next snapshot stores none of them again
 *      anything else                  each source is opened read-only in a directory of its own; the
 *                                     entries of the wanted groups are copied into sorted files,
 *                                     which the new database takes in as they are (2-3 M entries/s)
 *
 * Then the segments (segment.h) of each source are replayed, as far as their rows are wanted.
 *
 * Every file is verified (length, checksum) before RocksDB sees it. An .sst is hard-linked, for nobody
 * ever writes to one; the others are copied. In place `create_if_missing` is off, because a database
 * without its CURRENT file would silently start empty.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"
#include "base/os.h"
#include "state/segment.h"

#include <stdlib.h>

#define READAHEAD_SIZE ((size_t)2 << 20)

/* -- files ---------------------------------------------------------------------------------- */

/* The name becomes a file in our directory: one from a damaged list must not lead elsewhere. */
static weir_error *check_name(const struct state_file *file)
{
    if (file->name[0] != '\0' && file->name[0] != '.' && strchr(file->name, '/') == NULL)
        return NULL;
    return weir_errorf(WEIR_E_CORRUPT,
        "the checkpoint lists the state file '%s' (%s), which is no name of a database's file",
        file->path, file->name);
}

static weir_error *fetch_all(const struct rocks *rocks, const struct backend_source *source,
    const char *directory)
{
    ASSERT(rocks->checkpoint_dir != NULL);
    WEIR_TRY(os_make_dirs(directory));
    for (uint32_t i = 0; i < source->file_count; i++) {
        const struct state_file *file = &source->files[i];
        if (segment_is_name(file->name))
            continue;
        WEIR_TRY(check_name(file));
        WEIR_TRY(state_file_verify(rocks->checkpoint_dir, file));
        char *to = mem_printf("%s/%s", directory, file->name);
        weir_error *error =
            state_file_fetch(rocks->checkpoint_dir, file, to, rocks_is_sst(file->name));
        mem_free(to);
        WEIR_TRY(error);
    }
    return NULL;
}

static weir_error *open_database(struct rocks *rocks, bool may_create)
{
    char *message = NULL;
    rocksdb_options_set_create_if_missing(rocks->options, may_create);
    rocks->db = rocksdb_open(rocks->options, rocks->database, &message);
    return rocks_error(message, "open the database", rocks->database);
}

static weir_error *open_in_place(struct rocks *rocks, const struct backend_source *source)
{
    WEIR_TRY(fetch_all(rocks, source, rocks->database));
    WEIR_TRY(open_database(rocks, false));
    rocks_stored_set(&rocks->stored, source->files, source->file_count);
    return NULL;
}

/* -- copying -------------------------------------------------------------------------------- */

static weir_error *not_a_key(const char *directory, size_t size)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "the restored database '%s' has a key of %zu bytes that is none of ours: restore another "
        "checkpoint",
        directory, size);
}

static weir_error *copy_entries(struct rocks_sorter *sorter, rocksdb_iterator_t *iterator,
    const char *directory)
{
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        weir_str key, value, entry;
        struct row_key row;
        key.data = rocksdb_iter_key(iterator, &key.size);
        value.data = rocksdb_iter_value(iterator, &value.size);
        if (!rocks_parse_key(key.data, key.size, &row, &entry))
            return not_a_key(directory, key.size);
        WEIR_TRY(rocks_sorter_add(sorter, row.group, key, value));
    }
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    return rocks_error(message, "read the restored database", directory);
}

/* Iterates over the groups that both the source and the new backend have. */
static weir_error *copy_range(struct rocks_sorter *sorter, rocksdb_t *db, struct group_range groups,
    const char *directory)
{
    struct group_range wanted = sorter->rocks->groups;
    uint32_t first = groups.first > wanted.first ? groups.first : wanted.first;
    uint32_t last = groups.last < wanted.last ? groups.last : wanted.last;
    char lower[ROCKS_KEY_HEADER], upper[ROCKS_KEY_HEADER];
    rocks_put_header(lower, first, 0, 0);
    rocks_put_header(upper, last, 0, 0);
    size_t upper_size = rocks_successor(upper, 2);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(options, upper, upper_size);
    rocksdb_readoptions_set_readahead_size(options, READAHEAD_SIZE);
    rocksdb_readoptions_set_fill_cache(options, 0);
    rocksdb_readoptions_set_total_order_seek(options, 1);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(db, options);
    rocksdb_iter_seek(iterator, lower, sizeof(lower));
    weir_error *error = copy_entries(sorter, iterator, directory);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    return error;
}

static weir_error *copy_source(struct rocks_sorter *sorter, const struct backend_source *source,
    const char *directory)
{
    WEIR_TRY(fetch_all(sorter->rocks, source, directory));
    char *message = NULL;
    rocksdb_t *db = rocksdb_open_for_read_only(sorter->rocks->options, directory, 0, &message);
    WEIR_TRY(rocks_error(message, "open the restored database", directory));
    weir_error *error = copy_range(sorter, db, source->groups, directory);
    rocksdb_close(db);
    return error;
}

/* -- segments ------------------------------------------------------------------------------- */

static weir_error *apply(void *arg, const struct changes *changes)
{
    struct rocks *rocks = arg;
    return rocks_write_changes(&rocks->backend, &changes, 1);
}

static weir_error *replay(struct rocks *rocks, const struct state_file *file)
{
    WEIR_TRY(check_name(file));
    WEIR_TRY(state_file_verify(rocks->checkpoint_dir, file));
    char *path = mem_printf("%s/restore-%s", rocks->directory, file->name);
    weir_error *error = state_file_fetch(rocks->checkpoint_dir, file, path, true);
    if (error == NULL)
        error = segment_replay(path, rocks->groups, apply, rocks);
    if (error == NULL)
        error = os_remove(path);
    mem_free(path);
    return error;
}

/* What was not in the database yet when the checkpoint was taken. Files are listed in the order in which
 * they must be replayed. */
static weir_error *replay_segments(struct rocks *rocks, const struct backend_source *source)
{
    for (uint32_t i = 0; i < source->file_count; i++)
        if (segment_is_name(source->files[i].name))
            WEIR_TRY(replay(rocks, &source->files[i]));
    return NULL;
}

/* -- several sources ------------------------------------------------------------------------ */

static int compare_sources(const void *a, const void *b)
{
    const struct backend_source *left = a, *right = b;
    return (left->groups.first > right->groups.first) - (left->groups.first < right->groups.first);
}

/* Sources in the order of their groups make one sorted stream, for no group is in two. */
static weir_error *copy_sources(struct rocks_sorter *sorter, struct backend_source *sources,
    uint32_t source_count)
{
    struct rocks *rocks = sorter->rocks;
    qsort(sources, source_count, sizeof(*sources), compare_sources);
    for (uint32_t i = 0; i < source_count; i++) {
        char *directory = mem_printf("%s/restore-%u", rocks->directory, i);
        weir_error *error = copy_source(sorter, &sources[i], directory);
        if (error == NULL)
            error = os_remove_tree(directory);
        mem_free(directory);
        WEIR_TRY(error);
    }
    WEIR_TRY(rocks_sorter_finish(sorter));
    WEIR_TRY(open_database(rocks, true));
    return rocks_sorter_ingest(sorter);
}

weir_error *rocks_restore(struct rocks *rocks, const struct backend_source *sources,
    uint32_t source_count)
{
    struct backend_source *wanted = mem_alloc_array(source_count + 1, sizeof(*wanted));
    uint32_t count = 0;
    for (uint32_t i = 0; i < source_count; i++)
        if (group_range_overlaps(sources[i].groups, rocks->groups))
            wanted[count++] = sources[i];
    weir_error *error;
    if (count == 0) {
        ASSERT(source_count == 0); /* backend_check_sources */
        error = open_database(rocks, true);
    } else if (count == 1 && wanted[0].groups.first == rocks->groups.first &&
               wanted[0].groups.last == rocks->groups.last) {
        error = open_in_place(rocks, &wanted[0]);
    } else {
        struct rocks_sorter sorter = { .rocks = rocks };
        error = copy_sources(&sorter, wanted, count);
        rocks_sorter_release(&sorter);
    }
    for (uint32_t i = 0; i < count && error == NULL; i++)
        error = replay_segments(rocks, &wanted[i]);
    mem_free(wanted);
    return error == NULL ? NULL : weir_error_wrap(error, "cannot restore keyed state");
}
