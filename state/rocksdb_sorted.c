/* rocksdb_sorted.c -- many entries in key order, written as files that the database takes in whole.
 *
 * A restore at another parallelism and a large flush of the cache use it: 0.15 us an entry, where a put
 * costs 2.4 us, and 4-20 ms for taking the files in. They end up in level 0 unless nothing overlaps.
 *
 * Prefixes: rocks_ */
#include "state/rocksdb_private.h"

#include "base/assert.h"
#include "base/os.h"

static weir_error *open_file(struct rocks_sorter *sorter)
{
    if (sorter->path_count == sorter->path_capacity) {
        sorter->path_capacity = sorter->path_capacity == 0 ? 16 : sorter->path_capacity * 2;
        sorter->paths = mem_realloc(sorter->paths, sorter->path_capacity * sizeof(*sorter->paths));
    }
    if (sorter->env == NULL)
        sorter->env = rocksdb_envoptions_create();
    char *path = mem_printf("%s/sorted-%u-%zu", sorter->rocks->directory, sorter->number,
        sorter->path_count);
    sorter->paths[sorter->path_count++] = path;
    sorter->writer = rocksdb_sstfilewriter_create(sorter->env, sorter->rocks->options);
    char *message = NULL;
    rocksdb_sstfilewriter_open(sorter->writer, path, &message);
    return rocks_error(message, "write", path);
}

weir_error *rocks_sorter_finish(struct rocks_sorter *sorter)
{
    if (sorter->writer == NULL)
        return NULL;
    char *message = NULL;
    rocksdb_sstfilewriter_finish(sorter->writer, &message);
    rocksdb_sstfilewriter_destroy(sorter->writer);
    sorter->writer = NULL;
    return rocks_error(message, "write", sorter->paths[sorter->path_count - 1]);
}

/* Files end between two groups, so that the next rescaling can take them whole; within a group only
 * when one has grown to twice the size. */
static bool is_full(const struct rocks_sorter *sorter, uint32_t group)
{
    uint64_t size = 0;
    rocksdb_sstfilewriter_file_size(sorter->writer, &size);
    return size >= (group == sorter->group ? 2 * SORTED_FILE_SIZE : SORTED_FILE_SIZE);
}

weir_error *rocks_sorter_add(struct rocks_sorter *sorter, uint32_t group, weir_str key,
    weir_str value)
{
    if (sorter->writer != NULL && is_full(sorter, group))
        WEIR_TRY(rocks_sorter_finish(sorter));
    if (sorter->writer == NULL)
        WEIR_TRY(open_file(sorter));
    sorter->group = group;
    char *message = NULL;
    if (value.data == NULL)
        rocksdb_sstfilewriter_delete(sorter->writer, key.data, key.size, &message);
    else
        rocksdb_sstfilewriter_put(sorter->writer, key.data, key.size, value.data, value.size,
            &message);
    return rocks_error(message, "write", sorter->paths[sorter->path_count - 1]);
}

weir_error *rocks_sorter_ingest(struct rocks_sorter *sorter)
{
    if (sorter->path_count == 0)
        return NULL;
    rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
    char *message = NULL;
    rocksdb_ingest_external_file(sorter->rocks->db, (const char *const *)sorter->paths,
        sorter->path_count, options, &message);
    rocks_note_write(sorter->rocks);
    rocksdb_ingestexternalfileoptions_destroy(options);
    return rocks_error(message, "take sorted files into", sorter->rocks->database);
}

void rocks_sorter_join(struct rocks_sorter *sorter, struct rocks_sorter *other)
{
    ASSERT(sorter->writer == NULL && other->writer == NULL);
    sorter->paths = mem_realloc(sorter->paths,
        (sorter->path_count + other->path_count) * sizeof(*sorter->paths));
    for (size_t i = 0; i < other->path_count; i++)
        sorter->paths[sorter->path_count++] = other->paths[i];
    sorter->path_capacity = sorter->path_count;
    other->path_count = 0;
}

/* Removes what is left of the files: their second names, after a failure the first. */
void rocks_sorter_release(struct rocks_sorter *sorter)
{
    if (sorter->writer != NULL)
        rocksdb_sstfilewriter_destroy(sorter->writer);
    for (size_t i = 0; i < sorter->path_count; i++) {
        weir_error_free(os_remove(sorter->paths[i])); /* close removes the directory anyway */
        mem_free(sorter->paths[i]);
    }
    mem_free(sorter->paths);
    if (sorter->env != NULL)
        rocksdb_envoptions_destroy(sorter->env);
}
