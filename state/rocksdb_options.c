/* rocksdb_options.c -- how RocksDB is told to work, one row and one reason for each option.
 *
 * Most rows are RocksDB's own option strings; what they cannot say (a cache shared by all databases, a
 * filter policy, a size that depends on memory_size) is set by call below the table. */
#include "state/rocksdb.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "state/rocksdb_private.h"

#include <endian.h>
#include <inttypes.h>

/* Prefixes: rocks_, rocksdb_set_ */

/* Thread: immutable after init. */
struct option {
    const char *name, *value, *why;
};

static const struct option table[] = {
    { "max_write_buffer_number", "2", "one memtable fills while one is written: bounds memory" },
    { "compression", "kLZ4Compression",
        "halves files, so checkpoints too; get and put cost the same as without (libraries.md)" },
    { "compaction_style", "kCompactionStyleLevel", "point reads look at one file a level" },
    { "level_compaction_dynamic_level_bytes", "true", "10 % space on top instead of up to 100 %" },
    { "target_file_size_base", "33554432",
        "32 MiB: a smaller piece to upload again after a change" },
    { "level0_file_num_compaction_trigger", "16",
        "every checkpoint and eviction adds a file: compacting each 4 would rewrite level 1 all "
        "the time" },
    { "level0_slowdown_writes_trigger", "24",
        "half as many again: what level 0 may grow by while it is compacted" },
    { "level0_stop_writes_trigger", "48", "and twice more" },
    { "memtable_prefix_bloom_size_ratio", "0.1",
        "most gets find nothing in the memtable: spares 1-2 us of searching its skip list" },
    { "memtable_whole_key_filtering", "true", "gets ask for whole keys" },
    { "max_background_jobs", "2", "one flush, one compaction; the threads are the process's" },
    { "max_file_opening_threads", "1", "opening must not start 16 threads for each subtask" },
    { "max_open_files", "-1", "files stay open: index and filters are in the shared cache anyway" },
    { "paranoid_checks", "true", "a damaged file is an error at once, never a wrong answer" },
    { "allow_concurrent_memtable_write", "false", "there is one writer: spares its atomics" },
    { "enable_write_thread_adaptive_yield", "false", "there is one writer: nobody to wait for" },
    { "avoid_flush_during_shutdown", "true", "what is not in a checkpoint is worth nothing" },
    { "avoid_unnecessary_blocking_io", "true", "old files are deleted behind the task's back" },
    { "bytes_per_sync", "1048576", "spreads a flush over time: the fsync at its end is short" },
    { "skip_stats_update_on_db_open", "true", "a restore opens every file otherwise" },
    { "periodic_compaction_seconds", "2592000",
        "30 days: what has expired goes by then, even from files that nothing else touches" },
    { "stats_dump_period_sec", "0", "no thread that wakes up to write statistics" },
    { "stats_persist_period_sec", "0", "the same" },
    { "manifest_preallocation_size", "65536", "4 MiB for each subtask are too many" },
};

/* Of memory_size two memtables are made. Below 64 KiB RocksDB refuses; a larger one than 256 MiB only
 * makes the flush at the barrier longer. */
#define MEMTABLE_SIZE_MIN   (UINT64_C(256) << 10)
#define MEMTABLE_SIZE_MAX   (UINT64_C(256) << 20)
#define METADATA_BLOCK_SIZE 8192u
#define OPTIONS_TEXT_MAX    8192u
/* Above the highest level: RocksDB logs nothing, not even its header. Its log lies on the disk of the
 * database, and 7.8 as Debian builds it aborts the process when that disk is full and it goes on logging.
 * What matters of it we are told anyway, as errors of our calls. */
#define LOG_LEVEL_NONE 6

/* -- the shared cache ------------------------------------------------------------------------ */

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static rocksdb_cache_t *cache; /* made for the first database, kept till the process ends */
static uint64_t cache_size = ROCKSDB_CACHE_SIZE_DEFAULT;

void rocksdb_set_cache_size(uint64_t size)
{
    pthread_mutex_lock(&cache_lock);
    cache_size = size;
    if (cache != NULL)
        rocksdb_cache_set_capacity(cache, size);
    pthread_mutex_unlock(&cache_lock);
}

static rocksdb_cache_t *shared_cache(void)
{
    pthread_mutex_lock(&cache_lock);
    if (cache == NULL)
        cache = rocksdb_cache_create_lru(cache_size);
    rocksdb_cache_t *it = cache;
    pthread_mutex_unlock(&cache_lock);
    return it;
}

/* -- rows as prefixes ------------------------------------------------------------------------ */

/* What the keys of a row have in common: a filter of it tells that a row is new without a look at any
 * block, 5 us instead of 18 for an iteration that finds nothing. */
static char *row_of_key(void *arg, const char *key, size_t size, size_t *prefix_size)
{
    (void)arg;
    uint32_t key_size;
    memcpy(&key_size, key + 3, sizeof(key_size));
    *prefix_size = ROCKS_KEY_HEADER + be32toh(key_size);
    ASSERT(*prefix_size <= size);
    union {
        const char *given;
        char *wanted; /* RocksDB's signature is not const-correct; it only reads */
    } prefix = { .given = key };
    return prefix.wanted;
}

static unsigned char has_row(void *arg, const char *key, size_t size)
{
    (void)arg;
    uint32_t key_size;
    if (size < ROCKS_KEY_HEADER)
        return false;
    memcpy(&key_size, key + 3, sizeof(key_size));
    return size - ROCKS_KEY_HEADER >= be32toh(key_size);
}

static const char *prefix_name(void *arg)
{
    (void)arg;
    return "weir.row";
}

static void nothing_to_free(void *arg)
{
    (void)arg;
}

/* -- options --------------------------------------------------------------------------------- */

static void set_table_format(rocksdb_options_t *options)
{
    rocksdb_block_based_table_options_t *blocks = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(blocks, shared_cache());
    /* 10 bits a key: a miss, and a new key is one, costs 0.6-1.6 us instead of a read a level */
    rocksdb_block_based_options_set_filter_policy(blocks,
        rocksdb_filterpolicy_create_bloom_full(10));
    /* in the cache and so within its limit, but evicted last; level 0 is read by every get */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(blocks, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(blocks, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(blocks, 1);
    /* In pieces: a file's filter is larger than a shard of a small cache, was read anew for every
     * miss (120 us instead of 3 with 64 MiB), and never stayed. */
    rocksdb_block_based_options_set_index_type(blocks,
        rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(blocks, 1);
    rocksdb_block_based_options_set_metadata_block_size(blocks, METADATA_BLOCK_SIZE);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(blocks, 1);
    rocksdb_block_based_options_set_format_version(blocks, 5);
    rocksdb_options_set_block_based_table_factory(options, blocks);
    rocksdb_block_based_options_destroy(blocks);
}

static uint64_t memtable_size(uint64_t memory_size)
{
    uint64_t size = memory_size / 2;
    if (size < MEMTABLE_SIZE_MIN)
        return MEMTABLE_SIZE_MIN;
    return size > MEMTABLE_SIZE_MAX ? MEMTABLE_SIZE_MAX : size;
}

weir_error *rocks_options_new(uint64_t memory_size, rocksdb_options_t **options)
{
    weir_buffer *text = weir_buffer_new(OPTIONS_TEXT_MAX);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        buffer_printf(text, "%s=%s;", table[i].name, table[i].value);
    buffer_printf(text, "write_buffer_size=%" PRIu64 ";", memtable_size(memory_size));
    ASSERT(!weir_buffer_overflowed(text));
    rocksdb_options_t *base = rocksdb_options_create();
    *options = rocksdb_options_create();
    char *message = NULL;
    rocksdb_get_options_from_string(base, buffer_text(text), *options, &message);
    rocksdb_options_destroy(base);
    weir_buffer_free(text);
    if (message != NULL) {
        rocksdb_options_destroy(*options);
        *options = NULL;
        return rocks_error(message, "set the options of a", "database");
    }
    rocksdb_options_set_info_log_level(*options, LOG_LEVEL_NONE);
    set_table_format(*options);
    rocksdb_options_set_prefix_extractor(*options,
        rocksdb_slicetransform_create(NULL, nothing_to_free, row_of_key, has_row, has_row,
            prefix_name));
    return NULL;
}
