/* map.h -- a hash map from bytes to a pointer, for the control plane.
 *
 * Open addressing over hash_bytes; keys are copied, values borrowed. Iteration is in insertion
 * order (removed entries leave no trace), so whatever is printed from it is stable.
 *
 * Thread: its owner. Limit: count_max at init; adding more aborts (a defect of the caller: check
 * the count against the limit of the input first). */
#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include <weir/type.h>

struct map; /* Thread: its owner */
struct map *map_new(uint32_t count_max);
void map_free(struct map *map);
void map_put(struct map *map, weir_str key, void *value); /* replaces */
void *map_get(const struct map *map, weir_str key);       /* NULL: none */
bool map_remove(struct map *map, weir_str key);
uint32_t map_count(const struct map *map);
/* The entry at `index` < count, in insertion order. */
weir_str map_key_at(const struct map *map, uint32_t index);
void *map_value_at(const struct map *map, uint32_t index);

#endif
