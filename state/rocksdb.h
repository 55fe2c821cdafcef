/* rocksdb.h -- the one knob of the RocksDB backend that belongs to the process, not to a backend.
 *
 * All databases of a process share one block cache, as they share RocksDB's background threads; what
 * each backend has for itself is its memtables (backend_options.memory_size).
 *
 * Thread: any. */
#ifndef WEIR_STATE_ROCKSDB_H
#define WEIR_STATE_ROCKSDB_H

#include <stdint.h>

#define ROCKSDB_CACHE_SIZE_DEFAULT (UINT64_C(64) << 20)

/* Bytes of the shared block cache, which also holds index and filter blocks. Works before the first
 * backend is opened and after. */
void rocksdb_set_cache_size(uint64_t size);

#endif
