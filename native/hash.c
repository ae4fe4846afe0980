/* FNV-1a, and a fast hash built of multiply-and-rotate steps with MurmurHash3's finaliser (Appleby).
 *
 * Results are the same on every machine the build accepts, but nothing on disk depends on them. */
#include "native/hash.h"

#include "native/bytes.h"

uint64_t hash_fnv1a(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint64_t h = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * 0x100000001b3ULL;
    return h;
}

static inline uint64_t absorb(uint64_t h, uint64_t word)
{
    h ^= word * 0x9e3779b97f4a7c15ULL;      /* 2^64 over the golden ratio: spreads low bits upwards */
    h = h << 29 | h >> 35;
    return h * 0xbf58476d1ce4e5b9ULL;
}

/* 1 to 7 bytes, each in it once at least. */
static inline uint64_t short_word(const uint8_t *p, size_t size)
{
    if (size >= 4)
        return load32(p) | (uint64_t)load32(p + size - 4) << 32;
    return p[0] | (uint64_t)p[size / 2] << 8 | (uint64_t)p[size - 1] << 16;
}

uint64_t hash_fast(const void *bytes, size_t size, uint64_t seed)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ size * 0x94d049bb133111ebULL;
    size_t at = 0;

    for (; size - at >= 8; at += 8)
        h = absorb(h, load64(p + at));
    /* What is left is taken with bytes before it, of which there are enough, rather than copied. */
    if (at < size)
        h = absorb(h, size >= 8 ? load64(p + size - 8) : short_word(p, size));
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdULL;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return h ^ h >> 33;
}
