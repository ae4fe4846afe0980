/* Pages that were unpacked, kept for all threads of the process, as many as fit a number of bytes.
 *
 *   use    if (!cache_find(key, &page)) {             pinned by both
 *              page = cache_page_new(size);                 room for it; fill cached_bytes(page)
 *              page = cache_put(page, key);                 somebody else's, if they were faster
 *          }
 *          ... read cached_bytes(page) ...
 *          cache_unpin(page);
 *
 * What is pinned is not evicted; of the rest the clock takes what was not used since its hand came by last (Corbato, "A
 * paging experiment with the Multics system", 1968). When the bound is reached and all is pinned, pages beyond it are made
 * for as long as they are pinned, so that nobody waits or fails.
 *
 * Whoever makes the keys says what they mean, and that content of one key never changes while it is here. Of an id whose content has
 * changed, the old version goes by itself, as it is not asked for any more. One lock, held for a lookup and never during any work of the
 * caller's. A forked child begins with an empty cache; what its threads had pinned before stays readable, and is lost. */
#ifndef EDB_PAGE_CACHE_H
#define EDB_PAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_BYTES_DEFAULT ((size_t)64 << 20)

typedef struct cached_page cached_page;

typedef struct {
    uint64_t file;                  /* cache_file() */
    uint64_t id, version;           /* of a page's content in it */
} cache_key;

/* A number for an open file that no other file gets in this process; never 0. */
uint64_t cache_file(void);
/* The bound; evicts what is beyond it. */
void cache_limit(size_t bytes);

bool cache_find(cache_key key, cached_page **out);
/* Of `size` bytes, aligned to 64, pinned once, not to be found. NULL: no memory. */
cached_page *cache_page_new(size_t size);
uint8_t *cached_bytes(cached_page *page);
/* It can be found from now on, still pinned. -> it, or the one that is there already, pinned; then `page` is gone. */
cached_page *cache_put(cached_page *page, cache_key key);
void cache_pin(cached_page *page);              /* once more, by who has it pinned */
void cache_unpin(cached_page *page);            /* NULL is allowed. One that was never put is gone with its last pin */
/* Not to be found any more; gone with its last pin. */
void cache_drop(cache_key key);
void cache_drop_file(uint64_t file);

typedef struct {
    uint64_t hits, misses, evictions, beyond;   /* beyond: pages made although the bound was reached */
    uint64_t bytes, pages, limit;               /* now, pinned ones included */
} cache_counts;
void cache_count(cache_counts *out);

#endif
