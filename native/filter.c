/* A filter of byte strings; see filter.h. A level is 64 blocks of 64 bytes, or four times as many as the one before. */
#include "native/filter.h"

#include <stdlib.h>

#include "native/hash.h"

enum { BLOCK_WORDS = 8, FIRST_BLOCKS = 64, STRINGS_A_BLOCK = 16 };

static size_t level_blocks(unsigned level)
{
    return (size_t)FIRST_BLOCKS << 2 * level;
}

/* A string is one bit in each word of a block. The last 16 bits of the hash choose the block, which is enough for the
 * largest level, and six of the others each bit. */
_Static_assert((FIRST_BLOCKS << 2 * (FILTER_LEVELS - 1)) <= 1 << 16, "a block is chosen by 16 bits");

static uint64_t *block_of(const filter *bo, unsigned level, uint64_t hash)
{
    return bo->bo_level[level] + (hash & (level_blocks(level) - 1)) * BLOCK_WORDS;
}

static inline uint64_t bit_of(uint64_t hash, unsigned word)
{
    return 1ULL << (hash >> (16 + 6 * word) & 63);
}

void filter_free(filter *bo)
{
    for (unsigned i = 0; i < bo->bo_levels; i++)
        free(bo->bo_level[i]);
    *bo = (filter){ .bo_levels = 0 };
}

static bool grow(filter *bo)
{
    size_t blocks = level_blocks(bo->bo_levels);

    if (bo->bo_levels == FILTER_LEVELS
        || !(bo->bo_level[bo->bo_levels] = calloc(blocks * BLOCK_WORDS, sizeof(uint64_t))))
        return false;
    bo->bo_levels++;
    bo->bo_left = blocks * STRINGS_A_BLOCK;
    return true;
}

void filter_add(filter *bo, const void *bytes, size_t size)
{
    if (bo->bo_full)
        return;
    if (!bo->bo_left && !grow(bo)) {
        filter_free(bo);
        bo->bo_full = true;
        return;
    }
    uint64_t hash = hash_fast(bytes, size, 0), *block = block_of(bo, bo->bo_levels - 1, hash);
    for (unsigned i = 0; i < BLOCK_WORDS; i++)
        block[i] |= bit_of(hash, i);
    bo->bo_left--;
}

bool filter_perhaps(const filter *bo, const void *bytes, size_t size)
{
    if (bo->bo_full)
        return true;
    uint64_t hash = hash_fast(bytes, size, 0);
    for (unsigned level = bo->bo_levels; level-- > 0;) {
        const uint64_t *block = block_of(bo, level, hash);
        unsigned i = 0;
        while (i < BLOCK_WORDS && block[i] & bit_of(hash, i))
            i++;
        if (i == BLOCK_WORDS)
            return true;
    }
    return false;
}
