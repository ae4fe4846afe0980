/* The pages of a commit: drawing, writing and dropping them.
 *
 * A page comes from free space (pager_free.c) or from the end of the file.
 *
 * Growth: the file grows by an eighth of itself, at least 1 MiB, allocated in one piece, so that a full disk is met
 * here and not by a sync. Who closes it last gives most of that back. A small commit also writes zeros over the next 1 MiB that it enters: the first write to an
 * allocated but unwritten block changes file system metadata, and a one-row commit (6 pages, record, fdatasync)
 * measured 223 us on such blocks against 126 us on written ones. Bulk loads would write everything twice, so a commit
 * that has drawn more than SMALL_COMMIT pages from the end leaves it. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/pager/pager_impl.h"

#define GROW_LEAST (1u << 20)
#define ZERO_AHEAD (1u << 20)
#define SMALL_COMMIT 64

pager *pager_commit_pager(const pager_commit *pc)
{
    return pc->pc_pager;
}

/* Makes the file longer than `page`; less than wished where the disk is nearly full. */
static int file_grow(pager *pg, uint64_t page)
{
    shm_area *shm = pg->pg_shm;
    uint64_t now = atomic_load(&shm->sh_file_pages), least = GROW_LEAST >> pg->pg_page_shift;
    uint64_t step = now / 8 > least ? now / 8 : least;
    int rc = EDB_OK;

    for (;; step /= 4) {
        uint64_t pages = now + step > page ? now + step : page + 1;
        if (pg->pg_memory)
            rc = ftruncate(pg->pg_fd, (off_t)(pages << pg->pg_page_shift))
                 ? edb_fail(EDB_FULL, "cannot grow a memory database: %s", strerror(errno)) : EDB_OK;
        else
            rc = os_extend(pg->pg_fd, pages << pg->pg_page_shift, pg->pg_name);
        if (!rc)
            atomic_store(&shm->sh_file_pages, pages);
        if (rc != EDB_FULL || pages == page + 1)
            return rc;
    }
}

/* Writes zeros ahead of a small commit (see the top). A failure is the commit's next write's business. */
static void zero_ahead(pager_commit *pc, uint64_t page)
{
    static const uint8_t zeros[ZERO_AHEAD];
    pager *pg = pc->pc_pager;
    shm_area *shm = pg->pg_shm;
    uint64_t zeroed = atomic_load(&shm->sh_zeroed), file = atomic_load(&shm->sh_file_pages);

    pc->pc_allocated++;
    if (pg->pg_memory || page < zeroed)
        return;
    uint64_t n = ZERO_AHEAD >> pg->pg_page_shift;
    if (n > file - page)
        n = file - page;
    if (pc->pc_allocated > SMALL_COMMIT)
        n = 1;
    else
        (void)os_write(pg->pg_fd, zeros, n << pg->pg_page_shift, page << pg->pg_page_shift, pg->pg_name);
    atomic_store(&shm->sh_zeroed, page + n);
}

static int alloc_end(pager_commit *pc, uint64_t *out)
{
    pager *pg = pc->pc_pager;
    uint64_t page = pc->pc_record.rc_snapshot.sn_pages;

    if (page >= PAGE_LIMIT)
        return edb_fail(EDB_FULL, "%s: the file has the most pages it can have", pg->pg_name);
    if (page >= atomic_load(&pg->pg_shm->sh_file_pages)) {
        int rc = file_grow(pg, page);
        if (rc)
            return rc;
    }
    zero_ahead(pc, page);
    pc->pc_record.rc_snapshot.sn_pages = page + 1;
    *out = page;
    return EDB_OK;
}

int pager_alloc(pager_commit *pc, uint64_t *out)
{
    assert(!pc->pc_prepared);
    int rc = FAILPOINT("commit:alloc");
    uint64_t page = 0;
    if (!rc && pc->pc_in_memory)
        return memory_alloc(pc, out);
    if (!rc && pc->pc_n_reuse)
        page = pc->pc_reuse[--pc->pc_n_reuse];
    if (!rc && !page)
        rc = free_take(pc, &page);
    if (!rc && !page)
        rc = alloc_end(pc, &page);
    if (!rc)
        rc = written_set(pc, page, 0);
    if (!rc)
        *out = page;
    return rc;
}

uint8_t *pager_building(pager_commit *pc, uint64_t page, uint8_t *buffer)
{
    return pc->pc_in_memory ? mempage_bytes(pc->pc_pager, page) : buffer;
}

int pager_write(pager_commit *pc, uint64_t page, uint8_t *bytes, page_ref *out)
{
    pager *pg = pc->pc_pager;

    if (pc->pc_in_memory) {
        memory_write(pc, page, bytes, out);
        return EDB_OK;
    }
    assert(page_map_find(&pc->pc_written, page));
    store64(bytes + PH_PAGE, page);
    store64(bytes + PH_WRITER, pc->pc_number);
    uint32_t tag = page_checksum(bytes, pg->pg_page_size);
    store32(bytes + PH_CHECKSUM, tag);
    int rc = os_write(pg->pg_fd, bytes, pg->pg_page_size, page << pg->pg_page_shift, pg->pg_name);
    if (!rc)
        rc = written_set(pc, page, tag);
    if (rc)
        return rc;
    const pager_view *view = pager_get_view(pg);
    if (page < view->verified_pages)
        atomic_store_explicit(&view->verified[page], tag, memory_order_relaxed);
    atomic_fetch_add_explicit(&pg->pg_pages_written, 1, memory_order_relaxed);
    *out = (page_ref){ page, tag };
    return EDB_OK;
}

/* What a page says of its writer is believed only of a page that this commit can have made. */
bool pager_is_private(const pager_commit *pc, const uint8_t *page)
{
    uint64_t number = load64(page + PH_PAGE);

    if (load64(page + PH_WRITER) < pc->pc_first)
        return false;
    return pc->pc_in_memory ? pager_in_memory(number) : page_map_find(&pc->pc_written, number) != NULL;
}

int pager_free(pager_commit *pc, page_ref ref)
{
    const uint8_t *page;
    int rc = pager_page(pc->pc_pager, pager_get_view(pc->pc_pager), ref, 0, &page);

    if (rc)
        return rc;
    uint64_t made = load64(page + PH_WRITER);
    if (made >= pc->pc_first && !pager_in_memory(ref.page) && !pager_is_private(pc, page))
        return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: it says commit %llu wrote it, which is not yet",
                        pc->pc_pager->pg_name, (unsigned long long)ref.page, (unsigned long long)made);
    if (pc->pc_in_memory)
        return memory_free(pc, ref, made);
    return !pager_in_memory(ref.page) ? free_add(pc, ref.page, made) : EDB_OK;     /* else it goes with its replay */
}

/* Draws a page before the cut; *out = 0: there is none. */
static int alloc_before(pager_commit *pc, uint64_t cut, uint64_t *out)
{
    int rc = pager_alloc(pc, out);

    if (rc || *out < cut)
        return rc;
    rc = free_add(pc, *out, pc->pc_number);         /* it can be drawn again at once */
    *out = 0;
    return rc;
}

int page_move(pager_commit *pc, page_moving *mv, page_ref *ref, uint8_t *bytes, bool changed)
{
    page_ref old = *ref;
    uint64_t at = 0;
    int rc = EDB_OK;

    if (changed)
        rc = pager_alloc(pc, &at);
    else if (old.page >= mv->mov_cut && mv->mov_left)
        rc = alloc_before(pc, mv->mov_cut, &at);
    if (rc)
        return rc;
    if (!at) {
        if (old.page >= mv->mov_cut) {
            mv->mov_whole = false;
            mv->mov_left = 0;
        }
        return EDB_OK;
    }
    mv->mov_left -= mv->mov_left > 0;
    mv->mov_moved++;
    rc = pager_free(pc, old);
    if (!rc)
        rc = pager_write(pc, at, bytes, ref);
    mv->mov_whole = mv->mov_whole && at < mv->mov_cut;
    return rc;
}
