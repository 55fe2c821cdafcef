/* rocksdb_copy.c -- the wanted key groups of other databases, copied as sorted files.
 *
 *      source 1   groups 0-63    [ piece ][ piece ][ piece ]      each: an iterator over its groups -> sorted files
 *      source 2   groups 64-127  [ piece ][ piece ][ piece ]
 *                                        all files are taken in at once
 *
 * Pieces are whole groups, about as large as a file, and copied by whoever has time: the task and idle workers.
 * Nothing else of the database has the groups, so its files go straight to the bottom: no compaction follows.
 *
 * Why copied: RocksDB takes in only what its own SstFileWriter has written, not the files of a database.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"
#include "base/os.h"
#include "base/worker.h"

#define READAHEAD_SIZE ((size_t)2 << 20)
#ifdef WEIR_DEBUG
#define PIECE_SIZE UINT64_C(4096) /* tests have less, and several */
#else
#define PIECE_SIZE SORTED_FILE_SIZE
#endif

/* Thread: who prepares it; immutable then. */
struct origin {
    struct rocks *rocks;
    const struct backend_source *source;
    char *directory;
    rocksdb_t *db;
    weir_error *error;
};

/* Thread: who copies it. */
struct piece {
    const struct origin *origin;
    struct group_range groups;
    struct rocks_sorter sorter;
    weir_error *error;
};

/* Thread: task. */
struct copy {
    struct origin *origins;
    uint32_t origin_count;
    struct piece *pieces;
    uint32_t piece_count;
};

/* -- one piece ------------------------------------------------------------------------------ */

static weir_error *not_a_key(const char *directory, size_t size)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "the restored database '%s' has a key of %zu bytes that is none of ours: restore another "
        "checkpoint",
        directory, size);
}

static weir_error *copy_entries(struct piece *piece, rocksdb_iterator_t *iterator)
{
    const char *directory = piece->origin->directory;
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        weir_str key, value, entry;
        struct row_key row;
        key.data = rocksdb_iter_key(iterator, &key.size);
        value.data = rocksdb_iter_value(iterator, &value.size);
        if (!rocks_parse_key(key.data, key.size, &row, &entry))
            return not_a_key(directory, key.size);
        WEIR_TRY(rocks_sorter_add(&piece->sorter, row.group, key, value));
    }
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    WEIR_TRY(rocks_error(message, "read the restored database", directory));
    return rocks_sorter_finish(&piece->sorter);
}

static void copy_piece(void *arg, uint64_t index)
{
    struct piece *piece = &((struct copy *)arg)->pieces[index];
    char lower[ROCKS_KEY_HEADER], upper[ROCKS_KEY_HEADER];
    rocks_put_header(lower, piece->groups.first, 0, 0);
    rocks_put_header(upper, piece->groups.last, 0, 0);
    size_t upper_size = rocks_successor(upper, 2);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(options, upper, upper_size);
    rocksdb_readoptions_set_readahead_size(options, READAHEAD_SIZE);
    rocksdb_readoptions_set_fill_cache(options, 0);
    rocksdb_readoptions_set_total_order_seek(options, 1);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(piece->origin->db, options);
    rocksdb_iter_seek(iterator, lower, sizeof(lower));
    piece->error = copy_entries(piece, iterator);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
}

/* -- all of them ---------------------------------------------------------------------------- */

static void open_origin(void *arg, uint64_t index)
{
    struct origin *it = &((struct copy *)arg)->origins[index];
    it->error = rocks_fetch(it->rocks, it->source, it->directory);
    if (it->error != NULL)
        return;
    char *message = NULL;
    it->db = rocksdb_open_for_read_only(it->rocks->options, it->directory, 0, &message);
    it->error = rocks_error(message, "open the restored database", it->directory);
}

static uint32_t pieces_of(const struct origin *origin)
{
    struct group_range groups = rocks_wanted_groups(origin->rocks, origin->source);
    uint64_t count = rocks_wanted_size(origin->rocks, origin->source) / PIECE_SIZE + 1;
    uint32_t most = groups.last - groups.first + 1;
    return count < most ? (uint32_t)count : most;
}

static void cut(struct copy *copy, const struct origin *origin)
{
    struct group_range groups = rocks_wanted_groups(origin->rocks, origin->source);
    uint64_t group_count = groups.last - groups.first + 1, count = pieces_of(origin);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t number = copy->piece_count++;
        copy->pieces[number] = (struct piece){ .origin = origin,
            .groups = { .first = groups.first + (uint32_t)(group_count * i / count),
                .last = groups.first + (uint32_t)(group_count * (i + 1) / count) - 1 },
            .sorter = { .rocks = origin->rocks, .number = number } };
    }
}

/* The first error, in the order of the sources and their groups. */
static weir_error *copy_all(struct copy *copy, struct rocks *rocks)
{
    weir_error *error = NULL;
    workers_share(rocks->workers, copy->origin_count, open_origin, copy);
    for (uint32_t i = 0; i < copy->origin_count; i++)
        error = weir_error_join(error, copy->origins[i].error);
    WEIR_TRY(error);
    workers_share(rocks->workers, copy->piece_count, copy_piece, copy);
    for (uint32_t i = 0; i < copy->piece_count; i++)
        error = weir_error_join(error, copy->pieces[i].error);
    WEIR_TRY(error);
    struct rocks_sorter all = { .rocks = rocks };
    for (uint32_t i = 0; i < copy->piece_count; i++)
        rocks_sorter_join(&all, &copy->pieces[i].sorter);
    error = rocks_sorter_ingest(&all);
    rocks_sorter_release(&all);
    return error;
}

static weir_error *release(struct copy *copy)
{
    weir_error *error = NULL;
    for (uint32_t i = 0; i < copy->piece_count; i++)
        rocks_sorter_release(&copy->pieces[i].sorter);
    for (uint32_t i = 0; i < copy->origin_count; i++) {
        struct origin *it = &copy->origins[i];
        if (it->db != NULL)
            rocksdb_close(it->db);
        error = weir_error_join(error, os_remove_tree(it->directory));
        mem_free(it->directory);
    }
    mem_free(copy->pieces);
    mem_free(copy->origins);
    return error;
}

weir_error *rocks_copy(struct rocks *rocks, const struct backend_source *sources,
    uint32_t source_count)
{
    if (source_count == 0)
        return NULL;
    struct copy copy = { .origins = mem_alloc_array(source_count, sizeof(*copy.origins)),
        .origin_count = source_count };
    uint32_t piece_count = 0;
    for (uint32_t i = 0; i < source_count; i++) {
        copy.origins[i] = (struct origin){ .rocks = rocks,
            .source = &sources[i],
            .directory = mem_printf("%s/restore-%u", rocks->directory, i) };
        piece_count += pieces_of(&copy.origins[i]);
    }
    copy.pieces = mem_alloc_array(piece_count, sizeof(*copy.pieces));
    for (uint32_t i = 0; i < source_count; i++)
        cut(&copy, &copy.origins[i]);
    ASSERT(copy.piece_count == piece_count);
    weir_error *error = copy_all(&copy, rocks);
    return weir_error_join(error, release(&copy));
}
