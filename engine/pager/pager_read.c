/* Reading: the map, pages and their verification, records in the ring.
 *
 * The file is mapped once over a reservation much larger than it (a mapping may reach beyond the end of a file; the
 * part becomes readable when the file grows), so nothing moves under a reader. When the file outgrows it, a second
 * mapping of twice the size is made and the first stays until the file is closed: pointers keep their meaning, and
 * who holds the old view meets pages beyond it through pager_page_slow. A single contiguous reservation keeps the
 * address of a page one shift and one addition away; 64 GiB of address space lets a process open some 2,000
 * databases, and under a limit (ulimit -v) it is halved until it fits.
 *
 * A page is verified once for each (page, tag): verified[page] holds the tag that was found right. A page number is
 * used again only when no reader can see the old content, and its new content has a new tag, so a stale entry never
 * matches. A lost entry (two threads verifying two tags cannot happen under pins) would cost a checksum.
 *
 * First touch of an extent reads it in by madvise(MADV_POPULATE_READ), which reports a bad sector where a plain access
 * would raise SIGBUS, and reads ahead; where that fails, the one page is read with pread, which tells the reason. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/pager/pager_impl.h"

#define EXTENT_SHIFT 16                     /* 64 KiB */
#define RESERVE_SIZE (1ULL << 36)           /* 64 GiB, or four times the file */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* ---- the map ------------------------------------------------------------------------------------------------- */

static void mapping_free(mapping *mp)
{
    if (mp->mp_view.map)
        munmap((void *)(uintptr_t)mp->mp_view.map, mp->mp_size);
    if (mp->mp_view.verified)
        munmap((void *)mp->mp_view.verified, mp->mp_verified_size);
    if (mp->mp_touched)
        munmap((void *)mp->mp_touched, mp->mp_touched_size);
    free(mp);
}

static void *map_anonymous(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

static mapping *mapping_make(pager *pg, uint64_t size)
{
    mapping *mp = calloc(1, sizeof *mp);

    if (!mp)
        return NULL;
    mp->mp_size = size;
    mp->mp_view.page_shift = pg->pg_page_shift;
    mp->mp_view.verified_pages = size >> pg->pg_page_shift;
    mp->mp_verified_size = mp->mp_view.verified_pages * sizeof(uint32_t);
    mp->mp_touched_size = (size >> EXTENT_SHIFT) + 1;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, pg->pg_fd, 0);
    mp->mp_view.map = map == MAP_FAILED ? NULL : map;
    mp->mp_view.verified = map_anonymous(mp->mp_verified_size);
    mp->mp_touched = map_anonymous(mp->mp_touched_size);
    if (mp->mp_view.map && mp->mp_view.verified && mp->mp_touched)
        return mp;
    mapping_free(mp);
    return NULL;
}

int map_open(pager *pg, uint64_t file_size)
{
    uint64_t least = file_size > ring_end(pg) ? file_size : ring_end(pg), size = RESERVE_SIZE;

    while (size < 4 * least)
        size *= 2;
    for (; size >= least; size /= 2) {
        mapping *mp = mapping_make(pg, size);
        if (!mp)
            continue;
        mp->mp_older = atomic_load(&pg->pg_mapping);
        atomic_store(&pg->pg_mapping, mp);
        return EDB_OK;
    }
    return edb_fail(EDB_NOMEM, "%s: no address space to map %llu bytes", pg->pg_name, (unsigned long long)least);
}

void map_close(pager *pg)
{
    mapping *mp = atomic_load(&pg->pg_mapping);

    while (mp) {
        mapping *older = mp->mp_older;
        mapping_free(mp);
        mp = older;
    }
    atomic_store(&pg->pg_mapping, NULL);
}

const pager_view *pager_get_view(const pager *pg)
{
    return &atomic_load_explicit(&pg->pg_mapping, memory_order_acquire)->mp_view;
}

/* The mapping that holds the page, a larger one if the file has outgrown the newest. */
static int map_for(pager *pg, uint64_t page, mapping **out)
{
    mapping *mp = atomic_load_explicit(&pg->pg_mapping, memory_order_acquire);
    int rc = EDB_OK;

    if (page >= mp->mp_view.verified_pages) {
        pthread_mutex_lock(&pg->pg_map_mutex);
        mp = atomic_load(&pg->pg_mapping);
        if (page >= mp->mp_view.verified_pages) {
            rc = map_open(pg, atomic_load(&pg->pg_shm->sh_file_pages) << pg->pg_page_shift);
            mp = atomic_load(&pg->pg_mapping);
        }
        pthread_mutex_unlock(&pg->pg_map_mutex);
    }
    if (!rc)
        *out = mp;
    return rc;
}

/* ---- pages --------------------------------------------------------------------------------------------------- */

/* Reads the extent of the page into memory, so that touching it cannot raise SIGBUS. */
static int extent_touch(pager *pg, mapping *mp, uint64_t page)
{
    uint64_t at = page << pg->pg_page_shift, extent = at >> EXTENT_SHIFT;

    if (atomic_load_explicit(&mp->mp_touched[extent], memory_order_relaxed))
        return EDB_OK;
    uint64_t end = (extent + 1) << EXTENT_SHIFT;
    uint64_t file_end = atomic_load(&pg->pg_shm->sh_file_pages) << pg->pg_page_shift;
    uint64_t size = (end < file_end ? end : file_end) - (extent << EXTENT_SHIFT);
    if (madvise((void *)(uintptr_t)(mp->mp_view.map + (extent << EXTENT_SHIFT)), size, MADV_POPULATE_READ) == 0) {
        if (end <= file_end)        /* else it grows, and its new part has not been touched */
            atomic_store_explicit(&mp->mp_touched[extent], 1, memory_order_relaxed);
        return EDB_OK;
    }
    uint8_t bytes[PAGE_SIZE_MAX];
    return os_read(pg->pg_fd, bytes, pg->pg_page_size, at, pg->pg_name);
}

static int page_bad(pager *pg, uint64_t page, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: %s; restore it from a backup", pg->pg_name,
                    (unsigned long long)page, how);
}

/* The page's bytes, with nothing checked but that they can be read. */
static int page_bytes(pager *pg, uint64_t page, mapping **mp, const uint8_t **out)
{
    if (page < pg->pg_first_page || page >= atomic_load_explicit(&pg->pg_shm->sh_file_pages, memory_order_acquire))
        return page_bad(pg, page, "a pointer leads outside the file");
    int rc = map_for(pg, page, mp);
    if (!rc)
        rc = extent_touch(pg, *mp, page);
    if (!rc)
        *out = (*mp)->mp_view.map + (page << pg->pg_page_shift);
    return rc;
}

static int page_verify(pager *pg, uint64_t page, const uint8_t *bytes, uint32_t tag)
{
    atomic_fetch_add_explicit(&pg->pg_pages_read, 1, memory_order_relaxed);
    if (load32(bytes + PH_CHECKSUM) != tag)
        return page_bad(pg, page, "it is not the page that its parent points to (a stale, lost or misdirected write)");
    if (page_checksum(bytes, pg->pg_page_size) != tag)
        return page_bad(pg, page, "its checksum is wrong");
    if (load64(bytes + PH_PAGE) != page)
        return page_bad(pg, page, "it carries another page's number");
    unsigned kind = bytes[PH_KIND];
    if (kind >= sizeof pager_validators / sizeof *pager_validators
        || (pager_validators[kind] && !pager_validators[kind](bytes, pg->pg_page_size)))
        return page_bad(pg, page, "what it says of its own contents is impossible");
    return EDB_OK;
}

pager_validator pager_validators[8];

int pager_page_slow(pager *pg, page_ref ref, int kind, const uint8_t **out)
{
    mapping *mp;
    const uint8_t *bytes;

    if (pager_in_memory(ref.page))
        return mempage_read(pg, ref, kind, out);
    int rc = page_bytes(pg, ref.page, &mp, &bytes);
    if (rc)
        return rc;
    _Atomic uint32_t *verified = &mp->mp_view.verified[ref.page];
    if (!ref.tag || atomic_load_explicit(verified, memory_order_relaxed) != ref.tag) {
        rc = page_verify(pg, ref.page, bytes, ref.tag);
        if (rc)
            return rc;
        atomic_store_explicit(verified, ref.tag, memory_order_relaxed);
    }
    if (kind && bytes[PH_KIND] != kind)
        return page_bad(pg, ref.page, "it is of another kind than its parent says");
    *out = bytes;
    return EDB_OK;
}

int page_untagged(pager *pg, uint64_t page, int kind, const uint8_t **out)
{
    mapping *mp;
    const uint8_t *bytes;
    int rc = page_bytes(pg, page, &mp, &bytes);

    if (!rc)
        rc = page_verify(pg, page, bytes, load32(bytes + PH_CHECKSUM));
    if (!rc && bytes[PH_KIND] != kind)
        rc = page_bad(pg, page, "it is of another kind than its parent says");
    if (!rc)
        *out = bytes;
    return rc;
}

/* ---- records ------------------------------------------------------------------------------------------------- */

const uint8_t *ring_slot(const pager *pg, uint64_t number)
{
    return pager_get_view(pg)->map + ring_offset(pg, number);
}

bool ring_overwritten(const pager *pg, uint64_t number)
{
    return atomic_load(&pg->pg_shm->sh_published) - number >= pg->pg_ring - 1;
}

int ring_load(pager *pg, uint64_t number, record *rc, snapshot *sn, bool *stale)
{
    const uint8_t *bytes = ring_slot(pg, number);
    _Atomic uint64_t *checked = &pg->pg_ring_checked[number % pg->pg_ring];
    uint64_t found = number;
    bool good = true;

    *stale = false;
    if (atomic_load_explicit(checked, memory_order_relaxed) != number + 1)
        good = record_whole(bytes, &found) && found == number;
    good = good && (rc ? record_load(bytes, rc) : record_load_snapshot(bytes, sn));
    atomic_thread_fence(memory_order_acquire);
    if (ring_overwritten(pg, number)) {
        *stale = true;
        return EDB_OK;
    }
    if (!good)
        return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu (byte %llu) is damaged", pg->pg_name,
                        (unsigned long long)number, (unsigned long long)ring_offset(pg, number));
    atomic_store_explicit(checked, number + 1, memory_order_relaxed);
    return EDB_OK;
}

int ring_load_pages(pager *pg, uint64_t number, record *rc, bool *stale)
{
    int code = ring_load(pg, number, rc, NULL, stale);

    if (code || *stale || rc->rc_base == number)
        return code;
    uint64_t base = rc->rc_base;
    code = ring_load(pg, base, rc, NULL, stale);
    if (!code && !*stale && rc->rc_base != base)
        code = edb_fail(EDB_CORRUPT, "%s: the record of commit %llu, which commit %llu is based on, is damaged", pg->pg_name,
                        (unsigned long long)base, (unsigned long long)number);
    return code;
}
