/* The cache of unpacked pages. See page_cache.h.
 *
 * C1. A page is in the table exactly if cap_key.file is not 0, and on the clock's ring exactly then.
 * C2. A page with cap_pins > 0 is not taken from the table to be used for another, and its bytes are not freed.
 * C3. pch_bytes is the sum of all pages that there are, found or not. It passes pch_limit only while pages are pinned: whoever makes
 *     one evicts first, and whoever gives the last pin back frees the page when the bound is passed.
 * C4. All fields are guarded by pch_mutex, but for the bytes, which only the one who made the page writes, before it is put. The
 *     lock is taken while no lock of this folder is held, and nothing but malloc and free runs under it. */
#include "engine/cache/page_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_LEAST 64

struct cached_page {
    cache_key cap_key;               /* of file 0: it is not in the table */
    cached_page *cap_chain;          /* the next of its place in the table */
    cached_page *cap_next, *cap_prev; /* the ring */
    size_t cap_size;
    uint32_t cap_pins;
    uint32_t cap_generation;         /* of the process; another: it was inherited through fork(), and is nobody's */
    bool cap_used;                   /* since the hand came by last */
    _Alignas(64) uint8_t cap_bytes[];
};

static struct {
    pthread_mutex_t pch_mutex;
    cached_page **pch_table;
    size_t pch_places, pch_n;         /* a power of two; pages in the table */
    cached_page *pch_hand;           /* NULL: the ring is empty */
    size_t pch_bytes, pch_limit;
    uint64_t pch_files;
    uint32_t pch_generation;
    cache_counts pch_counts;
} cache = { .pch_mutex = PTHREAD_MUTEX_INITIALIZER, .pch_limit = CACHE_BYTES_DEFAULT };

/* Another thread may have been changing anything: the child forgets all of it, and never frees it. Numbers of files go on. */
static void fork_child(void)
{
    size_t limit = cache.pch_limit;
    uint64_t files = cache.pch_files;
    uint32_t generation = cache.pch_generation;

    memset(&cache, 0, sizeof cache);
    pthread_mutex_init(&cache.pch_mutex, NULL);
    cache.pch_limit = limit;
    cache.pch_files = files;
    cache.pch_generation = generation + 1;
}

__attribute__((constructor)) static void cache_register(void)
{
    pthread_atfork(NULL, NULL, fork_child);
}

/* ---- the table and the ring: the lock is held -------------------------------------------------------------------- */

static cached_page **place_of(cache_key key)
{
    uint64_t h = (key.file * 0x9e3779b97f4a7c15ULL ^ key.id) * 0xd6e8feb86659fd93ULL;

    return &cache.pch_table[(h >> 32) & (cache.pch_places - 1)];
}

static cached_page *page_at(cache_key key)
{
    if (!cache.pch_places)
        return NULL;
    cached_page *page = *place_of(key);
    while (page && (page->cap_key.file != key.file || page->cap_key.id != key.id || page->cap_key.version != key.version))
        page = page->cap_chain;
    return page;
}

/* Room for one page more, so that chains stay short. false: no memory. */
static bool table_room(void)
{
    size_t had = cache.pch_places, places = had ? 2 * had : TABLE_LEAST;

    if (cache.pch_n < had)
        return true;
    cached_page **fresh = calloc(places, sizeof(cached_page *)), **old = cache.pch_table;
    if (!fresh)
        return had > 0;             /* longer chains are no harm */
    cache.pch_table = fresh;
    cache.pch_places = places;
    for (size_t i = 0; i < had; i++)
        for (cached_page *page = old[i]; page;) {
            cached_page *next = page->cap_chain, **place = place_of(page->cap_key);
            page->cap_chain = *place;
            *place = page;
            page = next;
        }
    free(old);
    return true;
}

static void enter(cached_page *page, cache_key key)
{
    page->cap_key = key;
    cached_page **place = place_of(key);
    page->cap_chain = *place;
    *place = page;
    cache.pch_n++;
    if (!cache.pch_hand) {
        cache.pch_hand = page->cap_next = page->cap_prev = page;
        return;
    }
    page->cap_next = cache.pch_hand;              /* behind the hand: it comes by last */
    page->cap_prev = cache.pch_hand->cap_prev;
    page->cap_prev->cap_next = page;
    cache.pch_hand->cap_prev = page;
}

static void leave(cached_page *page)
{
    cached_page **place = place_of(page->cap_key);

    while (*place != page)
        place = &(*place)->cap_chain;
    *place = page->cap_chain;
    cache.pch_n--;
    if (cache.pch_hand == page)
        cache.pch_hand = page->cap_next == page ? NULL : page->cap_next;
    page->cap_prev->cap_next = page->cap_next;
    page->cap_next->cap_prev = page->cap_prev;
    page->cap_key.file = 0;
}

static void release(cached_page *page)
{
    cache.pch_bytes -= page->cap_size;
    free(page);
}

/* What the clock takes next, out of the table; NULL: all is pinned. The hand goes around twice at most: the first time it
 * takes the mark of use away. */
static cached_page *evict(void)
{
    for (size_t left = 2 * cache.pch_n; left; left--) {
        cached_page *page = cache.pch_hand;
        cache.pch_hand = page->cap_next;
        if (page->cap_pins)
            continue;
        if (page->cap_used) {
            page->cap_used = false;
            continue;
        }
        leave(page);
        cache.pch_counts.evictions++;
        return page;
    }
    return NULL;
}

/* Evicts until so many bytes more are within the bound. -> a page of this size that was evicted, to be used again. */
static cached_page *make_room(size_t size)
{
    cached_page *same = NULL, *page;

    while (cache.pch_bytes + (same ? 0 : size) > cache.pch_limit && (page = evict())) {
        if (page->cap_size == size && !same)
            same = page;
        else
            release(page);
    }
    return same;
}

/* ---- for callers ------------------------------------------------------------------------------------------------- */

uint64_t cache_file(void)
{
    pthread_mutex_lock(&cache.pch_mutex);
    uint64_t file = ++cache.pch_files;
    pthread_mutex_unlock(&cache.pch_mutex);
    return file;
}

void cache_limit(size_t bytes)
{
    pthread_mutex_lock(&cache.pch_mutex);
    cache.pch_limit = bytes;
    make_room(0);
    pthread_mutex_unlock(&cache.pch_mutex);
}

bool cache_find(cache_key key, cached_page **out)
{
    pthread_mutex_lock(&cache.pch_mutex);
    cached_page *page = page_at(key);
    if (page) {
        page->cap_pins++;
        page->cap_used = true;
        cache.pch_counts.hits++;
    } else {
        cache.pch_counts.misses++;
    }
    pthread_mutex_unlock(&cache.pch_mutex);
    if (page)
        *out = page;
    return page != NULL;
}

cached_page *cache_page_new(size_t size)
{
    pthread_mutex_lock(&cache.pch_mutex);
    cached_page *page = make_room(size);
    if (!page) {
        page = aligned_alloc(64, sizeof *page + ((size + 63) & ~(size_t)63));
        if (page) {
            cache.pch_bytes += size;
            cache.pch_counts.beyond += cache.pch_bytes > cache.pch_limit;
        }
    }
    if (page) {
        page->cap_key = (cache_key){ 0 };
        page->cap_size = size;
        page->cap_pins = 1;
        page->cap_generation = cache.pch_generation;
        page->cap_used = false;
    }
    pthread_mutex_unlock(&cache.pch_mutex);
    return page;
}

uint8_t *cached_bytes(cached_page *page)
{
    return page->cap_bytes;
}

cached_page *cache_put(cached_page *page, cache_key key)
{
    pthread_mutex_lock(&cache.pch_mutex);
    cached_page *there = page_at(key);
    if (there) {
        there->cap_pins++;
        there->cap_used = true;
        release(page);
        page = there;
    } else if (table_room()) {
        enter(page, key);          /* not marked as used: what a scan reads once is the first to go */
    }                                   /* else it is used once, and gone with its last pin */
    pthread_mutex_unlock(&cache.pch_mutex);
    return page;
}

void cache_pin(cached_page *page)
{
    pthread_mutex_lock(&cache.pch_mutex);
    page->cap_pins++;
    pthread_mutex_unlock(&cache.pch_mutex);
}

void cache_unpin(cached_page *page)
{
    if (!page)
        return;
    pthread_mutex_lock(&cache.pch_mutex);
    if (page->cap_generation == cache.pch_generation && --page->cap_pins == 0) {
        if (page->cap_key.file && cache.pch_bytes > cache.pch_limit) {
            leave(page);
            cache.pch_counts.evictions++;
        }
        if (!page->cap_key.file)
            release(page);
    }
    pthread_mutex_unlock(&cache.pch_mutex);
}

static void drop(cached_page *page)
{
    leave(page);
    if (!page->cap_pins)
        release(page);
}

void cache_drop(cache_key key)
{
    pthread_mutex_lock(&cache.pch_mutex);
    cached_page *page = page_at(key);
    if (page)
        drop(page);
    pthread_mutex_unlock(&cache.pch_mutex);
}

void cache_drop_file(uint64_t file)
{
    pthread_mutex_lock(&cache.pch_mutex);
    cached_page *page = cache.pch_hand;
    for (size_t left = cache.pch_n; left; left--) {
        cached_page *next = page->cap_next;
        if (page->cap_key.file == file)
            drop(page);
        page = next;
    }
    pthread_mutex_unlock(&cache.pch_mutex);
}

void cache_count(cache_counts *out)
{
    pthread_mutex_lock(&cache.pch_mutex);
    *out = cache.pch_counts;
    out->bytes = cache.pch_bytes;
    out->pages = cache.pch_n;
    out->limit = cache.pch_limit;
    pthread_mutex_unlock(&cache.pch_mutex);
}
