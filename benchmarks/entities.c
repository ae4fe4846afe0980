/* The loops of entities.py: primitives of native/, and plain C that does the same, over the same data. */
#include <stdlib.h>
#include <string.h>

#include "native/bloom.h"
#include "native/gallop.h"
#include "native/hash.h"
#include "native/intern.h"

/* ---- a Bloom filter without blocks, of as many bytes and probes (double hashing: Kirsch and Mitzenmacher 2006) ---- */

typedef struct {
    uint64_t *words, bits;
    uint32_t probes;
} plain_bloom;

static inline uint64_t plain_bit(const plain_bloom *plain, uint64_t hash, uint32_t probe)
{
    uint64_t step = (hash << 32 | hash >> 32) | 1;

    return (uint64_t)((unsigned __int128)(hash + probe * step) * plain->bits >> 64);
}

static void plain_add(plain_bloom *plain, uint64_t hash)
{
    for (uint32_t i = 0; i < plain->probes; i++) {
        uint64_t bit = plain_bit(plain, hash, i);
        plain->words[bit / 64] |= 1ULL << bit % 64;
    }
}

static bool plain_may_have(const plain_bloom *plain, uint64_t hash)
{
    for (uint32_t i = 0; i < plain->probes; i++) {
        uint64_t bit = plain_bit(plain, hash, i);
        if (!(plain->words[bit / 64] >> bit % 64 & 1))
            return false;
    }
    return true;
}

/* ---- a hash set: linear probing, at most half full; 0 is no hash of the data ---- */

typedef struct {
    uint64_t *slots, mask;
} hash_set;

static void set_add(hash_set *set, uint64_t hash)
{
    uint64_t at = hash & set->mask;

    while (set->slots[at] && set->slots[at] != hash)
        at = (at + 1) & set->mask;
    set->slots[at] = hash;
}

static bool set_has(const hash_set *set, uint64_t hash)
{
    uint64_t at = hash & set->mask;

    while (set->slots[at] && set->slots[at] != hash)
        at = (at + 1) & set->mask;
    return set->slots[at] == hash;
}

/* ---- both, and the hash set, over the same hashes ---- */

typedef struct {
    bloom blocked;
    plain_bloom plain;
    hash_set set;
    uint64_t *present, *absent;
    size_t n;
} filters;

void filters_free(filters *f)
{
    if (f) {
        free(f->blocked.bm_words);
        free(f->plain.words);
        free(f->set.slots);
        free(f->present);
        free(f->absent);
        free(f);
    }
}

filters *filters_new(size_t n, double bits)
{
    bloom_shape shape = bloom_for_bits(n, bits);
    filters *f = calloc(1, sizeof *f);
    size_t slots = 2;

    while (slots < 2 * n)
        slots *= 2;
    if (!f)
        return NULL;
    bloom_init(&f->blocked, aligned_alloc(BLOOM_BLOCK, bloom_bytes(shape)), shape);
    f->plain = (plain_bloom){ aligned_alloc(BLOOM_BLOCK, bloom_bytes(shape)), bloom_bytes(shape) * 8, shape.bs_probes };
    f->set = (hash_set){ aligned_alloc(BLOOM_BLOCK, slots * 8), slots - 1 };
    f->present = malloc(n * 8);
    f->absent = malloc(n * 8);
    f->n = n;
    if (!f->blocked.bm_words || !f->plain.words || !f->set.slots || !f->present || !f->absent) {
        filters_free(f);
        return NULL;
    }
    for (uint64_t i = 0, absent; i < n; i++) {
        absent = i + n;
        f->present[i] = hash_fast(&i, 8, 1) | 1;
        f->absent[i] = hash_fast(&absent, 8, 1) | 1;
    }
    return f;
}

enum { BLOCKED, BLOCKED_BATCH, PLAIN, HASH_SET };

void filters_add(filters *f, int which)
{
    if (which <= BLOCKED_BATCH)
        bloom_clear(&f->blocked);
    else if (which == PLAIN)
        memset(f->plain.words, 0, f->plain.bits / 8);
    else
        memset(f->set.slots, 0, (f->set.mask + 1) * 8);
    if (which == BLOCKED_BATCH)
        bloom_add_all(&f->blocked, f->present, f->n);
    for (size_t i = 0; which != BLOCKED_BATCH && i < f->n; i++)
        if (which == BLOCKED)
            bloom_add(&f->blocked, f->present[i]);
        else if (which == PLAIN)
            plain_add(&f->plain, f->present[i]);
        else
            set_add(&f->set, f->present[i]);
}

/* -> how many of the present or of the absent hashes are, perhaps, there. */
size_t filters_ask(const filters *f, int which, bool present)
{
    const uint64_t *hashes = present ? f->present : f->absent;
    size_t found = 0;

    if (which == BLOCKED_BATCH)
        return bloom_may_have_all(&f->blocked, hashes, f->n, NULL);
    for (size_t i = 0; i < f->n; i++)
        found += which == BLOCKED ? bloom_may_have(&f->blocked, hashes[i])
            : which == PLAIN ? plain_may_have(&f->plain, hashes[i]) : set_has(&f->set, hashes[i]);
    return found;
}

/* ---- interning: texts one behind the other, text i from starts[i] to starts[i + 1] ---- */

intern *names_new(const char *texts, const size_t *starts, size_t n)
{
    intern *table = intern_new(SIZE_MAX);

    for (size_t i = 0; table && i < n; i++)
        intern_put(table, texts + starts[i], starts[i + 1] - starts[i], i);
    return table;
}

void names_free(intern *table)
{
    intern_free(table);
}

uint64_t names_find(intern *table, const char *texts, const size_t *starts, size_t n)
{
    const intern_entry *entry;
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (intern_find(table, texts + starts[i], starts[i + 1] - starts[i], &entry))
            sum += entry->ie_id;
    return sum;
}

uint64_t names_find_id(intern *table, const uint64_t *ids, size_t n)
{
    const intern_entry *entry;
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (intern_find_id(table, ids[i], &entry))
            sum += entry->ie_size;
    return sum;
}

/* ---- sets of ids ---- */

size_t ids_gallop(const int64_t *a, size_t n, const int64_t *b, size_t m, int64_t *out)
{
    gallop_list lists[2] = { { a, n }, { b, m } };

    return gallop_intersect(lists, 2, out);
}

size_t ids_merge(const int64_t *a, size_t n, const int64_t *b, size_t m, int64_t *out)
{
    size_t found = 0;

    for (size_t i = 0, j = 0; i < n && j < m;)
        if (a[i] < b[j])
            i++;
        else if (a[i] > b[j])
            j++;
        else
            out[found++] = a[i++];
    return found;
}

/* Reads the list and writes it out: the least that any way of intersecting must do. */
size_t ids_scan(const int64_t *a, size_t n, int64_t *out)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        out[found] = a[i];
        found += a[i] >= 0;
    }
    return found;
}

size_t ids_union(const int64_t *ids, const size_t *starts, size_t k, int64_t *out)
{
    gallop_list lists[64];

    for (size_t i = 0; i < k && i < 64; i++)
        lists[i] = (gallop_list){ ids + starts[i], starts[i + 1] - starts[i] };
    return gallop_union(lists, k, out);
}

static int ascending(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* Puts all together, sorts, and drops what is there twice. */
size_t ids_sort(const int64_t *ids, size_t n, int64_t *out)
{
    size_t found = 0;

    memcpy(out, ids, n * sizeof *out);
    qsort(out, n, sizeof *out, ascending);
    for (size_t i = 0; i < n; i++)
        if (!found || out[found - 1] != out[i])
            out[found++] = out[i];
    return found;
}
