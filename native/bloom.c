/* A blocked Bloom filter; see bloom.h.
 *
 * Why relaxed order is enough. A word only ever gains bits: every change but bloom_clear() is an atomic OR, so of two at
 * once none is lost, and in the one order of the changes of a word (which all threads agree on) each value holds the bits
 * of those before. Whoever an addition happened before reads that value or a later one of each word, and finds the bits.
 * Whoever it did not happen before may find some of the bits or none, and answers as if the key were not there yet. No
 * other memory is reached through a bit, so nothing has to be ordered with it. A stale word costs an answer "no" for a key
 * whose addition the asker has no way of knowing about. */
#include "native/bloom.h"

#include <assert.h>
#include <math.h>

enum { BLOCK_WORDS = BLOOM_BLOCK / 8, BLOCK_BITS = BLOOM_BLOCK * 8 };

_Static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "processes share words without locks");

/* ---- the size ----
 *
 * The rate of a filter is the mean over its blocks: block_rate(load) of one with `load` keys, weighed by the chance of that
 * load. Each key falls into a block at random, so loads have the binomial distribution (for many blocks Poisson's, as in
 * section 3 of the paper). block_rate() is convex where it matters, so the mean is above the rate at the mean load: this
 * is what the variance of loads costs. No closed form turns a rate into a size, so the size is searched. */

/* The chance that k random bits are set in a block where load * k were drawn: E[(set bits / 512)^k].
 *
 * The number of set bits is that of occupied cells after load * k throws. Its mean and variance are known exactly, and the
 * power is expanded around the mean to the second order; what that leaves out is a hundredth of the result at most. */
static double block_rate(double load, unsigned k)
{
    const double cells = BLOCK_BITS;
    double one_empty = pow(1 - 1 / cells, load * k), two_empty = pow(1 - 2 / cells, load * k);
    double mean = 1 - one_empty;
    double variance = one_empty / cells + two_empty * (1 - 1 / cells) - one_empty * one_empty;

    if (load <= 0)
        return 0;
    return fmin(1, pow(mean, k) * (1 + k * (k - 1) / 2.0 * variance / (mean * mean)));
}

enum { LOADS = 1024 };          /* those of a block that are told apart */
#define MEAN_LOAD_MAX 500.0     /* above, loads vary too little to count; below, LOADS is 20 deviations away */

typedef struct {
    unsigned br_probes;
    unsigned br_known;          /* of br_rates, how many are computed */
    double br_rates[LOADS];     /* block_rate(), by load */
} block_rates;

static double rate_at(block_rates *rates, unsigned load)
{
    for (; rates->br_known <= load; rates->br_known++)
        rates->br_rates[rates->br_known] = block_rate(rates->br_known, rates->br_probes);
    return rates->br_rates[load];
}

static double mean_rate(block_rates *rates, uint64_t keys, uint64_t blocks)
{
    const double n = (double)keys, p = 1 / (double)blocks;
    double chance, sum = 0, rest = 1;       /* of this load; of the result; the chance of the loads to come */

    if (blocks == 1 || n * p > MEAN_LOAD_MAX)
        return block_rate(n * p, rates->br_probes);
    chance = exp(n * log1p(-p));            /* of no key; above 1e-302 */
    for (unsigned load = 0; load < LOADS && load <= keys && rest > 1e-12; load++) {
        sum += chance * rate_at(rates, load);
        rest -= chance;
        chance *= (n - load) / (load + 1) * p / (1 - p);
    }
    return fmin(1, sum + fmax(0, rest));
}

double bloom_rate(bloom_shape shape, uint64_t keys)
{
    block_rates rates = { .br_probes = shape.bs_probes };

    return mean_rate(&rates, keys, shape.bs_blocks);
}

/* The fewest blocks that keep the rate. The rate falls as blocks are added. */
static uint64_t blocks_for(block_rates *rates, uint64_t keys, double rate)
{
    uint64_t low = 0, high = 1;             /* low are too few, high enough */

    while (mean_rate(rates, keys, high) > rate) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (mean_rate(rates, keys, middle) > rate)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Without blocks log2(1/rate) probes are the best. With blocks fewer are, as full blocks suffer most from many. */
bloom_shape bloom_for_rate(uint64_t keys, double rate)
{
    bloom_shape best = { .bs_blocks = UINT64_MAX };

    rate = fmin(fmax(rate, 1e-6), 0.5);
    for (unsigned k = (unsigned)ceil(-log2(rate)); k > 0; k--) {
        block_rates rates = { .br_probes = k };
        uint64_t blocks = blocks_for(&rates, keys, rate);
        if (blocks > best.bs_blocks)
            break;
        best = (bloom_shape){ blocks, k };
    }
    return best;
}

bloom_shape bloom_for_bits(uint64_t keys, double bits)
{
    const double n = keys ? (double)keys : 1;
    bloom_shape shape = { .bs_blocks = (uint64_t)fmax(1, ceil(n * bits / BLOCK_BITS)) }, best = shape;
    double best_rate = 2, most = (double)shape.bs_blocks * BLOCK_BITS / n * 0.7;       /* probes; 0.7 is above log(2) */

    for (unsigned k = (unsigned)fmin(BLOOM_PROBES, ceil(most)); k > 0; k--) {
        shape.bs_probes = k;
        double rate = bloom_rate(shape, keys);
        if (rate > best_rate)
            break;
        best = shape;
        best_rate = rate;
    }
    return best;
}

/* ---- the bits ----
 *
 * The hash is mixed by MurmurHash3's finaliser (Appleby), because FNV-1a leaves the high bits of short strings alike. The
 * high end of x chooses the block, by a multiplication instead of a division (so any number of blocks will do). Each bit
 * takes nine bits of x times an odd constant; a product gives seven times nine. Given the block, 64 - log2(blocks) bits of
 * x are free, so that two keys of a block hardly ever ask for the same set of bits. */
enum { PIECE = 9, PIECES = 7 };

_Static_assert(1 << PIECE == BLOCK_BITS && PIECE * PIECES <= 64, "a piece chooses a bit of a block");
_Static_assert(BLOOM_PROBES <= 3 * PIECES, "there are three products");

static const uint64_t odd[3] = { 0x9e3779b97f4a7c15ULL, 0xbf58476d1ce4e5b9ULL, 0x94d049bb133111ebULL };

static inline uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return hash ^ hash >> 33;
}

static inline _Atomic uint64_t *block_of(const bloom *filter, uint64_t x)
{
    return filter->bm_words + (uint64_t)((unsigned __int128)x * filter->bm_shape.bs_blocks >> 64) * BLOCK_WORDS;
}

static inline void add_at(_Atomic uint64_t *block, uint64_t x, uint32_t probes)
{
    uint64_t wanted[BLOCK_WORDS] = { 0 };

    for (uint32_t i = 0, product = 0; i < probes; product++) {
        uint64_t pieces = x * odd[product];
        for (uint32_t last = probes - i < PIECES ? probes : i + PIECES; i < last; i++, pieces <<= PIECE)
            wanted[pieces >> 61] |= 1ULL << (pieces >> 55 & 63);
    }
    /* The look before the OR: a key that is there already must not take the line away from other processors. */
    for (unsigned i = 0; i < BLOCK_WORDS; i++)
        if (wanted[i] & ~atomic_load_explicit(&block[i], memory_order_relaxed))
            atomic_fetch_or_explicit(&block[i], wanted[i], memory_order_relaxed);
}

static inline bool has_at(const _Atomic uint64_t *block, uint64_t x, uint32_t probes)
{
    for (uint32_t i = 0, product = 0; i < probes; product++) {
        uint64_t pieces = x * odd[product];
        for (uint32_t last = probes - i < PIECES ? probes : i + PIECES; i < last; i++, pieces <<= PIECE)
            if (!(atomic_load_explicit(&block[pieces >> 61], memory_order_relaxed) >> (pieces >> 55 & 63) & 1))
                return false;
    }
    return true;
}

/* ---- the filter ---- */

void bloom_init(bloom *filter, void *memory, bloom_shape shape)
{
    assert((uintptr_t)memory % BLOOM_BLOCK == 0);
    assert(shape.bs_blocks >= 1);
    assert(shape.bs_probes >= 1 && shape.bs_probes <= BLOOM_PROBES);
    *filter = (bloom){ memory, shape };
}

void bloom_clear(bloom *filter)
{
    for (uint64_t i = 0; i < filter->bm_shape.bs_blocks * BLOCK_WORDS; i++)
        atomic_store_explicit(&filter->bm_words[i], 0, memory_order_relaxed);
}

void bloom_add(bloom *filter, uint64_t hash)
{
    uint64_t x = mix(hash);

    add_at(block_of(filter, x), x, filter->bm_shape.bs_probes);
}

bool bloom_may_have(const bloom *filter, uint64_t hash)
{
    uint64_t x = mix(hash);

    return has_at(block_of(filter, x), x, filter->bm_shape.bs_probes);
}

/* The blocks of AHEAD hashes are on their way to the cache before the first of them is looked at. */
enum { AHEAD = 16 };

typedef struct {
    uint64_t ba_x[AHEAD];
    _Atomic uint64_t *ba_blocks[AHEAD];
} ahead;

static inline size_t fetch(ahead *a, const bloom *filter, const uint64_t *hashes, size_t left)
{
    size_t n = left < AHEAD ? left : AHEAD;

    for (size_t i = 0; i < n; i++) {
        a->ba_x[i] = mix(hashes[i]);
        a->ba_blocks[i] = block_of(filter, a->ba_x[i]);
        __builtin_prefetch(a->ba_blocks[i]);
    }
    return n;
}

void bloom_add_all(bloom *filter, const uint64_t *hashes, size_t n)
{
    ahead a;

    for (size_t at = 0, some; at < n; at += some) {
        some = fetch(&a, filter, hashes + at, n - at);
        for (size_t i = 0; i < some; i++)
            add_at(a.ba_blocks[i], a.ba_x[i], filter->bm_shape.bs_probes);
    }
}

size_t bloom_may_have_all(const bloom *filter, const uint64_t *hashes, size_t n, bool *out)
{
    size_t found = 0;
    ahead a;

    for (size_t at = 0, some; at < n; at += some) {
        some = fetch(&a, filter, hashes + at, n - at);
        for (size_t i = 0; i < some; i++) {
            bool has = has_at(a.ba_blocks[i], a.ba_x[i], filter->bm_shape.bs_probes);
            found += has;
            if (out)
                out[at + i] = has;
        }
    }
    return found;
}

bool bloom_union(bloom *filter, const bloom *from)
{
    if (filter->bm_shape.bs_blocks != from->bm_shape.bs_blocks || filter->bm_shape.bs_probes != from->bm_shape.bs_probes)
        return false;
    for (uint64_t i = 0; i < from->bm_shape.bs_blocks * BLOCK_WORDS; i++) {
        uint64_t word = atomic_load_explicit(&from->bm_words[i], memory_order_relaxed);
        if (word)
            atomic_fetch_or_explicit(&filter->bm_words[i], word, memory_order_relaxed);
    }
    return true;
}
