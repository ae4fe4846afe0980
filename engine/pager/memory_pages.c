/* Pages in this process's memory, which redo records were replayed into (replay.c).
 *
 * They have numbers that no page of the file has, from PAGE_IN_MEMORY_FIRST on, and a reference to one is a page_ref like any
 * other, so that trees and lists need not know. Their tag is no checksum but a number drawn for each writing: a reference
 * that outlived its page is found as it would be in the file.
 *
 * All lie in one reservation of address space, which takes memory only where it is written. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/pager/pager_impl.h"

#define KEEP_PAGES 1024             /* when nothing is in use, memory beyond so many pages goes back to the system */
#define LEAST_PAGES 4096            /* of the reservation */

void mempage_init(pager *pg)
{
    pthread_mutex_init(&pg->pg_memory_pages.mm_mutex, NULL);
}

void mempage_close(pager *pg)
{
    memory_pages *mm = &pg->pg_memory_pages;

    if (mm->mm_map)
        munmap(mm->mm_map, mm->mm_room << pg->pg_page_shift);
    free(mm->mm_free);
    free(mm->mm_owner);
    mm->mm_map = NULL;
    mm->mm_free = mm->mm_owner = NULL;
}

static int reserve(pager *pg, memory_pages *mm)
{
    for (uint64_t room = PAGES_IN_MEMORY; room >= LEAST_PAGES; room /= 2) {
        void *at = mmap(NULL, room << pg->pg_page_shift, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
        if (at == MAP_FAILED)
            continue;
        mm->mm_map = at;
        mm->mm_room = room;
        return EDB_OK;
    }
    return edb_fail(EDB_NOMEM, "%s: no address space for the pages of commits that are not stored yet", pg->pg_name);
}

/* Room in both tables for one page more, so that giving a page back cannot fail. */
static int tables_grow(memory_pages *mm)
{
    if (mm->mm_used < mm->mm_tables)
        return EDB_OK;
    uint64_t room = mm->mm_tables ? 2 * mm->mm_tables : 256;
    uint64_t *grown = realloc(mm->mm_free, room * sizeof *grown);
    if (grown)
        mm->mm_free = grown;
    uint64_t *owner = grown ? realloc(mm->mm_owner, room * sizeof *owner) : NULL;
    if (!owner)
        return edb_fail(EDB_NOMEM, "no memory for the pages of commits that are not stored yet");
    mm->mm_owner = owner;
    mm->mm_tables = room;
    return EDB_OK;
}

/* A page that was never used, behind all others. */
static int take_fresh(pager *pg, memory_pages *mm, uint64_t *at)
{
    int rc = mm->mm_map ? EDB_OK : reserve(pg, mm);

    if (!rc)
        rc = tables_grow(mm);
    if (!rc && mm->mm_used == mm->mm_room)
        rc = edb_fail(EDB_NOMEM, "%s: %llu pages of commits that are not stored yet are in use; end the longest "
                      "transactions", pg->pg_name, (unsigned long long)mm->mm_used);
    if (!rc)
        *at = atomic_fetch_add(&mm->mm_used, 1);
    return rc;
}

int mempage_take(pager *pg, uint64_t *page)
{
    memory_pages *mm = &pg->pg_memory_pages;
    int rc = EDB_OK;
    uint64_t at = 0;

    pthread_mutex_lock(&mm->mm_mutex);
    if (mm->mm_n_free)
        at = mm->mm_free[--mm->mm_n_free];
    else
        rc = take_fresh(pg, mm, &at);
    if (!rc) {
        mm->mm_owner[at] = 0;
        *page = PAGE_IN_MEMORY_FIRST + at;
    }
    pthread_mutex_unlock(&mm->mm_mutex);
    return rc;
}

static void give(pager *pg, memory_pages *mm, uint64_t at)
{
    store32(mempage_bytes(pg, PAGE_IN_MEMORY_FIRST + at) + PH_CHECKSUM, 0);   /* no reference leads here any more */
    mm->mm_owner[at] = 0;
    mm->mm_free[mm->mm_n_free++] = at;
    if (mm->mm_n_free < mm->mm_used || mm->mm_used <= KEEP_PAGES)
        return;
    (void)madvise(mm->mm_map, mm->mm_used << pg->pg_page_shift, MADV_DONTNEED);
    atomic_store(&mm->mm_used, 0);
    mm->mm_n_free = 0;
}

void mempage_give(pager *pg, const uint64_t *pages, size_t n)
{
    memory_pages *mm = &pg->pg_memory_pages;

    pthread_mutex_lock(&mm->mm_mutex);
    for (size_t i = 0; i < n; i++)
        give(pg, mm, pages[i] - PAGE_IN_MEMORY_FIRST);
    pthread_mutex_unlock(&mm->mm_mutex);
}

void mempage_own(pager *pg, const uint64_t *pages, size_t n, uint64_t owner)
{
    memory_pages *mm = &pg->pg_memory_pages;

    pthread_mutex_lock(&mm->mm_mutex);
    for (size_t i = 0; i < n; i++)
        mm->mm_owner[pages[i] - PAGE_IN_MEMORY_FIRST] = owner;
    pthread_mutex_unlock(&mm->mm_mutex);
}

void mempage_give_of(pager *pg, uint64_t owner)
{
    memory_pages *mm = &pg->pg_memory_pages;

    pthread_mutex_lock(&mm->mm_mutex);
    for (uint64_t at = mm->mm_used; at-- > 0;)
        if (at < mm->mm_used && mm->mm_owner[at] == owner)
            give(pg, mm, at);
    pthread_mutex_unlock(&mm->mm_mutex);
}

uint8_t *mempage_bytes(pager *pg, uint64_t page)
{
    return pg->pg_memory_pages.mm_map + ((page - PAGE_IN_MEMORY_FIRST) << pg->pg_page_shift);
}

void mempage_write(pager *pg, uint64_t page, uint8_t *bytes, page_ref *out)
{
    memory_pages *mm = &pg->pg_memory_pages;
    uint8_t *at = mempage_bytes(pg, page);
    uint32_t tag;

    do
        tag = atomic_fetch_add_explicit(&mm->mm_tag, 1, memory_order_relaxed) + 1;
    while (!tag);
    store32(bytes + PH_CHECKSUM, tag);
    store64(bytes + PH_PAGE, page);
    if (at != bytes)
        memcpy(at, bytes, pg->pg_page_size);
    *out = (page_ref){ page, tag };
}

int mempage_read(pager *pg, page_ref ref, int kind, const uint8_t **out)
{
    const memory_pages *mm = &pg->pg_memory_pages;
    uint64_t at = ref.page - PAGE_IN_MEMORY_FIRST;
    const uint8_t *bytes = mempage_bytes(pg, ref.page);

    if (at >= atomic_load_explicit(&mm->mm_used, memory_order_relaxed) || !ref.tag || load32(bytes + PH_CHECKSUM) != ref.tag
        || (kind && bytes[PH_KIND] != kind))
        return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: a pointer leads outside the file", pg->pg_name,
                        (unsigned long long)ref.page);
    *out = bytes;
    return EDB_OK;
}
