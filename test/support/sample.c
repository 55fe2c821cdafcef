/* sample.c -- records made from (seed, index). */
#include "test/support/sample.h"

#include "base/hash.h"

#include <pthread.h>
#include <stdio.h>

#define BLOCK_SIZE (2u << 20)
#define KEYS       1000

static char block[BLOCK_SIZE];
static char keys[KEYS][16];
static pthread_once_t is_filled = PTHREAD_ONCE_INIT;

static void fill_block(void)
{
    for (uint32_t i = 0; i < BLOCK_SIZE; i++)
        block[i] = (char)(sample_random(1, i) >> 56);
    for (uint32_t i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof(keys[i]), "key-%u", i);
}

uint64_t sample_random(uint64_t seed, uint64_t index)
{
    return hash_mix(hash_mix(seed + UINT64_C(0x9e3779b97f4a7c15)) ^ (index + 1));
}

static weir_str text_of(uint64_t random, uint64_t size)
{
    return (weir_str){ .data = block + (random >> 20) % (BLOCK_SIZE / 2), .size = size };
}

void sample_fill_small(struct sample *sample, uint64_t seed, uint64_t index)
{
    pthread_once(&is_filled, fill_block);
    uint64_t random = sample_random(seed, index);
    const char *key = keys[random % KEYS];
    *sample = (struct sample){
        .index = index,
        .key = { .data = key, .size = strlen(key) },
        .price = (double)(random % 100000) / 100,
        .change = (int32_t)random,
        .is_new = random >> 63,
        .text = text_of(random, random >> 8 & 63),
        .count = (uint32_t)(random >> 32),
        .at_ms = (int64_t)index - 1000,
    };
    if (random % 61 == 0)
        sample->key = (weir_str){ 0 };
    if (random % 67 == 0)
        sample->text = (weir_str){ 0 };
}

void sample_fill(struct sample *sample, uint64_t seed, uint64_t index)
{
    sample_fill_small(sample, seed, index);
    uint64_t random = sample_random(seed + 1, index);
    if (random % 1024 == 0)
        sample->text = text_of(random, random >> 10 & ((1u << 20) - 1));
    else if (random % 64 == 0)
        sample->text = text_of(random, (random >> 10) % (100u << 10));
}

static bool str_same(weir_str a, weir_str b)
{
    return (a.data == NULL) == (b.data == NULL) && weir_str_equal(a, b);
}

bool sample_equal(const struct sample *a, const struct sample *b)
{
    return a->index == b->index && str_same(a->key, b->key) &&
           memcmp(&a->price, &b->price, sizeof(a->price)) == 0 && a->change == b->change &&
           a->is_new == b->is_new && str_same(a->text, b->text) && a->count == b->count &&
           a->at_ms == b->at_ms;
}
