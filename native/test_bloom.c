/* Test builds only: the Bloom filter in flat types, its rate measured, and threads that use it at once. */
#ifdef EDB_TEST
#include "native/native_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "native/bloom.h"
#include "native/hash.h"

void test_bloom_shape(uint64_t keys, double rate, double bits, uint64_t *blocks, uint32_t *probes)
{
    bloom_shape shape = rate > 0 ? bloom_for_rate(keys, rate) : bloom_for_bits(keys, bits);

    *blocks = shape.bs_blocks;
    *probes = shape.bs_probes;
}

double test_bloom_rate(uint64_t blocks, uint32_t probes, uint64_t keys)
{
    return bloom_rate((bloom_shape){ blocks, probes }, keys);
}

static bloom over(void *memory, uint64_t blocks, uint32_t probes)
{
    bloom filter;

    bloom_init(&filter, memory, (bloom_shape){ blocks, probes });
    return filter;
}

void test_bloom_add(void *memory, uint64_t blocks, uint32_t probes, const uint64_t *hashes, size_t n, bool many)
{
    bloom filter = over(memory, blocks, probes);

    if (many)
        bloom_add_all(&filter, hashes, n);
    for (size_t i = 0; !many && i < n; i++)
        bloom_add(&filter, hashes[i]);
}

size_t test_bloom_ask(void *memory, uint64_t blocks, uint32_t probes, const uint64_t *hashes, size_t n, bool *out, bool many)
{
    bloom filter = over(memory, blocks, probes);
    size_t found = 0;

    if (many)
        return bloom_may_have_all(&filter, hashes, n, out);
    for (size_t i = 0; i < n; i++)
        found += out[i] = bloom_may_have(&filter, hashes[i]);
    return found;
}

bool test_bloom_union(void *memory, uint64_t blocks, uint32_t probes, void *from, uint64_t from_blocks,
                      uint32_t from_probes)
{
    bloom filter = over(memory, blocks, probes), other = over(from, from_blocks, from_probes);

    return bloom_union(&filter, &other);
}

void test_bloom_clear(void *memory, uint64_t blocks, uint32_t probes)
{
    bloom filter = over(memory, blocks, probes);

    bloom_clear(&filter);
}

static inline uint64_t hash_of(uint64_t key, uint64_t seed, bool fnv)
{
    key += seed << 32;
    return fnv ? hash_fnv1a(&key, sizeof key) : hash_fast(&key, sizeof key, seed);
}

int64_t test_bloom_needless(uint64_t blocks, uint32_t probes, uint64_t keys, uint64_t asked, uint64_t seed, bool fnv)
{
    enum { SOME = 1024 };
    bloom_shape shape = { blocks, probes };
    void *memory = aligned_alloc(BLOOM_BLOCK, bloom_bytes(shape));
    uint64_t hashes[SOME];
    bloom filter;
    int64_t needless = 0;

    if (!memory)
        return -2;
    bloom_init(&filter, memory, shape);
    bloom_clear(&filter);
    for (uint64_t at = 0, n; at < keys; at += n) {
        n = keys - at < SOME ? keys - at : SOME;
        for (uint64_t i = 0; i < n; i++)
            hashes[i] = hash_of(at + i, seed, fnv);
        bloom_add_all(&filter, hashes, n);
    }
    for (uint64_t at = 0, n; at < keys + asked && needless >= 0; at += n) {
        uint64_t end = at < keys ? keys : keys + asked;
        n = end - at < SOME ? end - at : SOME;
        for (uint64_t i = 0; i < n; i++)
            hashes[i] = hash_of(at + i, seed, fnv);
        size_t found = bloom_may_have_all(&filter, hashes, n, NULL);
        if (at >= keys)
            needless += (int64_t)found;
        else if (found != n)
            needless = -1;
    }
    free(memory);
    return needless;
}

/* ---- threads ---- */

typedef struct {
    bloom *tk_filter;           /* shared */
    uint64_t tk_first, tk_step, tk_keys, tk_seed;
    bool tk_denied;
} bloom_thread;

static void *add_and_ask(void *argument)
{
    bloom_thread *own = argument;

    for (uint64_t i = own->tk_first; i < own->tk_keys; i += own->tk_step) {
        bloom_add(own->tk_filter, hash_of(i, own->tk_seed, false));
        own->tk_denied |= !bloom_may_have(own->tk_filter, hash_of(i, own->tk_seed, false));
    }
    return NULL;
}

bool test_bloom_threads(unsigned threads, uint64_t keys, uint64_t seed)
{
    enum { MOST = 16 };
    bloom_shape shape = bloom_for_bits(keys, BLOOM_BITS);
    bloom filters[2];           /* of all threads; of one */
    bloom_thread own[MOST];
    pthread_t ids[MOST];
    unsigned started = 0;
    bool right = threads <= MOST;

    for (int i = 0; i < 2; i++) {
        void *memory = aligned_alloc(BLOOM_BLOCK, bloom_bytes(shape));
        if (memory)
            memset(memory, 0, bloom_bytes(shape));
        right &= memory != NULL;
        bloom_init(&filters[i], memory, shape);
    }
    for (; right && started < threads; started++) {
        own[started] = (bloom_thread){ &filters[0], started, threads, keys, seed, false };
        if (pthread_create(&ids[started], NULL, add_and_ask, &own[started])) {
            right = false;
            break;
        }
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(ids[i], NULL);
        right &= !own[i].tk_denied;
    }
    if (right) {
        bloom_thread alone = { &filters[1], 0, 1, keys, seed, false };
        add_and_ask(&alone);
        right = !alone.tk_denied && !memcmp(filters[0].bm_words, filters[1].bm_words, bloom_bytes(shape));
    }
    free(filters[0].bm_words);
    free(filters[1].bm_words);
    return right;
}
#else
typedef int test_bloom_is_empty;        /* ISO C wants something in a file */
#endif
