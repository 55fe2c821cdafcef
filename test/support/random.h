/* random.h -- reproducible random numbers for tests: splitmix64 from a seed.
 *
 * A failing test prints its seed; the same seed gives the same run on every machine. */
#ifndef WEIR_TEST_RANDOM_H
#define WEIR_TEST_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* Thread: its owner. */
struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t mixed = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* 0 .. count - 1 */
static inline uint32_t random_below(struct random *random, uint32_t count)
{
    return (uint32_t)(random_next(random) % count);
}

static inline bool random_one_in(struct random *random, uint32_t count)
{
    return random_below(random, count) == 0;
}

#endif
