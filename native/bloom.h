/* A blocked Bloom filter of 64-bit hashes, in memory that the caller gives (Putze, Sanders and Singler, "Cache-, hash- and
 * space-efficient Bloom filters", WEA 2007; the filter itself: Bloom, CACM 1970).
 *
 * It answers "no" or "perhaps", and never "no" for what was added. All bits of a hash lie in one block of 64 bytes, so an
 * answer costs one cache miss. Blocks get unequal numbers of keys, and a full one answers "perhaps" more often than an empty
 * one makes up for; bloom_for_rate() makes the filter larger by what this costs, so that the rate asked for is met.
 *
 * filter.h is a filter of another kind: private to one thread, it grows and owns its memory; this one has a fixed size, may
 * lie in shared memory, and threads and processes add to it at once.
 *
 * Memory: `blocks` times 64 bytes, aligned to 64 and zeroed to begin with; the filter holds nothing else, so whoever knows
 * the shape can use the memory. Nothing is allocated here.
 *
 * Threads and processes: any may add and ask at the same time (bloom.c says why this is right). Who learns of a key through
 * anything that synchronises (a mutex, a release and an acquire) sees it in the filter too. bloom_clear() and taking the
 * memory away need everyone else to have stopped. */
#ifndef EDB_BLOOM_H
#define EDB_BLOOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOOM_BLOCK = 64 };          /* bytes */
enum { BLOOM_BITS = 10 };           /* bits a key where nothing else is wanted: a rate of 0.97 percent */
enum { BLOOM_PROBES = 21 };         /* the most bits of a hash */

typedef struct {
    uint64_t bs_blocks;             /* 1 or more */
    uint32_t bs_probes;             /* bits that a hash sets in its block; 1 to BLOOM_PROBES */
} bloom_shape;

typedef struct {
    _Atomic uint64_t *bm_words;     /* the caller's */
    bloom_shape bm_shape;
} bloom;

/* The smallest shape whose expected rate of needless "perhaps" is `rate` or less when `keys` keys are in it. Rates are kept
 * between 1e-6 and 0.5. */
bloom_shape bloom_for_rate(uint64_t keys, double rate);
/* The best shape of about `bits` bits a key (rounded up to whole blocks). */
bloom_shape bloom_for_bits(uint64_t keys, double bits);
/* The expected rate of needless "perhaps" of a shape with so many keys in it. */
double bloom_rate(bloom_shape shape, uint64_t keys);
static inline size_t bloom_bytes(bloom_shape shape) { return (size_t)shape.bs_blocks * BLOOM_BLOCK; }

/* Makes memory a filter. What is in it stays: zeroes are an empty filter. */
void bloom_init(bloom *filter, void *memory, bloom_shape shape);
void bloom_clear(bloom *filter);

/* Hashes of any function of native/hash.h will do: they are mixed once more here. */
void bloom_add(bloom *filter, uint64_t hash);
bool bloom_may_have(const bloom *filter, uint64_t hash);
/* The same for many, with the blocks fetched ahead. -> how many may be there; `out`, unless NULL, gets each answer. */
void bloom_add_all(bloom *filter, const uint64_t *hashes, size_t n);
size_t bloom_may_have_all(const bloom *filter, const uint64_t *hashes, size_t n, bool *out);
/* Adds all that is in `from`. -> false, and nothing is done: the shapes differ. */
bool bloom_union(bloom *filter, const bloom *from);

#endif
