/* Test builds only: the cache of unpacked pages under threads. Also part of tests/c/threads.c, for ThreadSanitizer. */
#ifdef EDB_TEST

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/testing/edb_test.h"
#include "engine/cache/buffers.h"
#include "engine/cache/page_cache.h"

enum { IDS = 200, HELD = 4 };
static const size_t sizes[] = { 512, 4096, 32768 };

typedef struct {
    unsigned thr_steps, thr_n;
    uint64_t thr_file, thr_seed;
    atomic_int *thr_wrong;           /* the first line that found something */
} cache_thread;

#define EXPECT(th, what)                                                      \
    do {                                                                      \
        int none = 0;                                                         \
        if (!(what))                                                          \
            atomic_compare_exchange_strong((th)->thr_wrong, &none, __LINE__);  \
    } while (0)

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

/* What every byte of a page is. */
static uint8_t mark_of(uint64_t id)
{
    return (uint8_t)(id * 37 + 11);
}

static size_t size_of(uint64_t id)
{
    return sizes[id % 3];
}

static bool whole(cached_page *page, uint64_t id)
{
    const uint8_t *bytes = cached_bytes(page);

    for (size_t i = 0; i < size_of(id); i += 61)
        if (bytes[i] != mark_of(id))
            return false;
    return true;
}

bool test_cache_find(uint64_t file, uint64_t id, uint64_t version, cached_page **out)
{
    return cache_find((cache_key){ file, id, version }, out);
}

cached_page *test_cache_put(cached_page *page, uint64_t file, uint64_t id, uint64_t version)
{
    return cache_put(page, (cache_key){ file, id, version });
}

void test_cache_drop(uint64_t file, uint64_t id, uint64_t version)
{
    cache_drop((cache_key){ file, id, version });
}

static cached_page *page_of(const cache_thread *th, uint64_t id)
{
    cached_page *page;

    if (cache_find((cache_key){ th->thr_file, id, 0 }, &page))
        return page;
    page = cache_page_new(size_of(id));
    if (!page)
        return NULL;
    memset(cached_bytes(page), mark_of(id), size_of(id));
    return cache_put(page, (cache_key){ th->thr_file, id, 0 });
}

static void *cache_run(void *arg)
{
    cache_thread *th = arg;
    cached_page *held[HELD] = { NULL };
    uint64_t ids[HELD] = { 0 }, seed = th->thr_seed;

    for (unsigned step = 0; step < th->thr_steps; step++) {
        uint64_t r = draw(&seed), id = r % IDS;
        unsigned at = (unsigned)(r >> 20) % HELD;
        size_t room;
        if (held[at])
            EXPECT(th, whole(held[at], ids[at]));
        cache_unpin(held[at]);
        held[at] = page_of(th, id);
        ids[at] = id;
        EXPECT(th, held[at] && whole(held[at], id));
        if (r >> 40 & 1) {                              /* pinned twice for a while */
            cache_pin(held[at]);
            EXPECT(th, whole(held[at], id));
            cache_unpin(held[at]);
        }
        if ((r >> 41) % 50 == 0)
            cache_drop((cache_key){ th->thr_file, draw(&seed) % IDS, 0 });
        void *buffer = buffer_take((r >> 48) % 100000, &room);
        EXPECT(th, buffer != NULL);
        if (buffer)
            memset(buffer, 1, room);
        buffer_give(buffer, room);
    }
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i])
            EXPECT(th, whole(held[i], ids[i]));
        cache_unpin(held[i]);
    }
    return NULL;
}

int test_cache_threads(unsigned threads, unsigned steps, size_t limit, uint64_t seed)
{
    atomic_int wrong = 0;
    pthread_t ids[16];
    cache_thread each[16];
    cache_counts before, after;
    uint64_t file = cache_file();
    unsigned n = threads < 16 ? threads : 16;

    cache_count(&before);
    cache_limit(limit);
    for (unsigned i = 0; i < n; i++) {
        each[i] = (cache_thread){ steps, i, file, (seed + 1) * 0x9e3779b97f4a7c15ULL + i, &wrong };
        if (pthread_create(&ids[i], NULL, cache_run, &each[i]) != 0)
            return __LINE__;
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(ids[i], NULL);
    cache_count(&after);
    EXPECT(&each[0], after.bytes <= limit);             /* nothing is pinned any more */
    EXPECT(&each[0], after.hits + after.misses - before.hits - before.misses == (uint64_t)n * steps);
    cache_drop_file(file);
    cache_count(&after);
    EXPECT(&each[0], after.bytes == before.bytes && after.pages == before.pages);
    cache_limit(before.limit);
    return atomic_load(&wrong);
}

#endif
