/* One filter: its keys, and since when and until when it has them (filters_internal.h). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "native/bytes.h"
#include "native/hash.h"
#include "engine/filters/filters_internal.h"

/* Row ids need no hash: the filter mixes what it is given. */
uint64_t key_hash(const void *key, size_t size, bool number)
{
    return number && size == 8 ? load64be(key) : hash_fast(key, size, 0);
}

/* The most keys with which the shape keeps the rate. */
static uint64_t keys_within(bloom_shape shape, uint64_t most, double rate)
{
    uint64_t low = most, high = 2 * most;

    while (high - low > low / 64 + 1) {
        uint64_t middle = low + (high - low) / 2;
        if (bloom_rate(shape, middle) <= rate)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A spare one, or one more. */
static key_filter *take_spare(key_filters *all)
{
    key_filter *kf = atomic_load_explicit(all, memory_order_acquire);

    for (; kf; kf = kf->kf_next) {
        bool spare = true;
        if (atomic_compare_exchange_strong_explicit(&kf->kf_spare, &spare, false, memory_order_acquire,
                                                    memory_order_relaxed))
            return kf;
    }
    if (!(kf = calloc(1, sizeof *kf)))
        return NULL;
    kf->kf_next = atomic_load_explicit(all, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(all, &kf->kf_next, kf, memory_order_release, memory_order_relaxed))
        continue;
    return kf;
}

static void make_spare(key_filter *kf)
{
    atomic_store_explicit(&kf->kf_spare, true, memory_order_release);
}

void key_filters_free(key_filters *all)
{
    for (key_filter *kf = atomic_load(all), *next; kf; kf = next) {
        assert(atomic_load(&kf->kf_spare));
        next = kf->kf_next;
        free(kf);
    }
}

key_filter *key_filter_new(key_filters *all, uint32_t tree, bool numbers, uint64_t born, uint64_t most_keys, double rate,
                           size_t most_bytes)
{
    uint64_t most = most_keys < FILTER_LEAST ? FILTER_LEAST : most_keys;
    bloom_shape shape;
    key_filter *kf;
    void *memory;

    if (most > 8 * (uint64_t)most_bytes)        /* not a bit a key: its size need not be worked out */
        return NULL;
    shape = bloom_for_rate(most, rate);
    if (shape.bs_blocks > most_bytes / BLOOM_BLOCK || !(kf = take_spare(all)))
        return NULL;
    if (!(memory = aligned_alloc(BLOOM_BLOCK, bloom_bytes(shape)))) {
        make_spare(kf);
        return NULL;
    }
    memset(memory, 0, bloom_bytes(shape));
    kf->kf_base = 0;
    atomic_store_explicit(&kf->kf_upto, 0, memory_order_relaxed);
    atomic_store_explicit(&kf->kf_keys, 0, memory_order_relaxed);
    kf->kf_tree = tree;
    kf->kf_numbers = numbers;
    kf->kf_born = born;
    kf->kf_full = keys_within(shape, most, FILTER_OVER * rate);
    bloom_init(&kf->kf_bloom, memory, shape);
    atomic_store_explicit(&kf->kf_refs, 1, memory_order_release);
    return kf;
}

key_filter *key_filter_at(key_filters *place, uint32_t tree, uint64_t born)
{
    key_filter *kf = atomic_load_explicit(place, memory_order_acquire);
    size_t refs = kf ? atomic_load_explicit(&kf->kf_refs, memory_order_relaxed) : 0;

    while (refs && !atomic_compare_exchange_weak_explicit(&kf->kf_refs, &refs, refs + 1, memory_order_acquire,
                                                          memory_order_relaxed))
        continue;
    if (!refs)
        return NULL;
    if (kf->kf_tree == tree && kf->kf_born == born)
        return kf;
    key_filter_unref(kf);           /* it was replaced meanwhile, and used for another tree */
    return NULL;
}

key_filter *key_filter_ref(key_filter *kf)
{
    atomic_fetch_add_explicit(&kf->kf_refs, 1, memory_order_relaxed);
    return kf;
}

void key_filter_unref(key_filter *kf)
{
    if (!kf || atomic_fetch_sub_explicit(&kf->kf_refs, 1, memory_order_acq_rel) != 1)
        return;
    free(kf->kf_bloom.bm_words);
    make_spare(kf);
}

size_t key_filter_bytes(const key_filter *kf)
{
    return sizeof *kf + bloom_bytes(kf->kf_bloom.bm_shape);
}

void key_filter_upto(key_filter *kf, uint64_t number)
{
    uint64_t was = atomic_load_explicit(&kf->kf_upto, memory_order_relaxed);

    while (was < number
           && !atomic_compare_exchange_weak_explicit(&kf->kf_upto, &was, number, memory_order_release,
                                                     memory_order_relaxed))
        continue;
}

/* ---- filling ---------------------------------------------------------------------------------------------------- */

/* How many of the hashes are not in the filter; they come to the front. */
static size_t keep_new(const bloom *filter, uint64_t *hashes, size_t n)
{
    bool had[FILLING_MOST];
    size_t kept = 0;

    bloom_may_have_all(filter, hashes, n, had);
    for (size_t i = 0; i < n; i++)
        if (!had[i])
            hashes[kept++] = hashes[i];
    return kept;
}

static void flush(filling *fn)
{
    key_filter *kf = fn->fn_filter;
    size_t n = fn->fn_fresh ? fn->fn_n : keep_new(&kf->kf_bloom, fn->fn_hashes, fn->fn_n);

    bloom_add_all(&kf->kf_bloom, fn->fn_hashes, n);
    atomic_fetch_add_explicit(&kf->kf_keys, n, memory_order_relaxed);
    fn->fn_n = 0;
}

void filling_begin(filling *fn, key_filter *kf, bool fresh)
{
    fn->fn_filter = kf;
    fn->fn_fresh = fresh;
    fn->fn_n = 0;
    fn->fn_met = 0;
}

void filling_key(void *arg, const uint8_t *key, uint32_t size)
{
    filling *fn = arg;

    fn->fn_hashes[fn->fn_n++] = key_hash(key, size, fn->fn_filter->kf_numbers);
    fn->fn_met++;
    if (fn->fn_n == FILLING_MOST)
        flush(fn);
}

void filling_end(filling *fn)
{
    if (fn->fn_n)
        flush(fn);
}
