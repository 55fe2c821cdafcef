/* map.h -- a hash map from bytes to a pointer, for the control plane.
 *
 * Open addressing over hash_bytes; keys are copied, values borrowed. A key is never removed, but
 * its value can be replaced.
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
uint32_t map_count(const struct map *map);

#endif
