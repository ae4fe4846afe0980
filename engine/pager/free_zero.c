/* Zeros over free pages: what a page held is to be gone from the file when nobody can need it any more.
 *
 * Under the committer lock, by a commit that is then forgotten. Written over is what a commit could write over by rule (a) of I5: pages
 * freed by a commit that is durable, which nobody announces; the reserved page; and what lies behind the pages in use. It is
 * what an aborted commit does to them. The number of the commit that wrote a page stays, since the rule asks for it (free_made). */
#include <stdlib.h>
#include <string.h>

#include "engine/pager/pager_impl.h"

static int zero_page(pager_commit *pc, uint64_t page)
{
    pager *pg = pc->pc_pager;
    uint8_t bytes[PAGE_SIZE_MAX];
    uint64_t at = page << pg->pg_page_shift;
    int rc = os_read(pg->pg_fd, bytes, PH_SIZE, at, pg->pg_name);

    if (rc)
        return rc;
    uint64_t writer = load64(bytes + PH_WRITER);
    memset(bytes, 0, pg->pg_page_size);
    store64(bytes + PH_WRITER, writer);
    return os_write(pg->pg_fd, bytes, pg->pg_page_size, at, pg->pg_name);
}

static int zero_entry(pager_commit *pc, free_entry *e, uint64_t *held)
{
    int rc = free_made(pc, e);

    if (rc)
        return rc;
    if (free_is_settled(pc, e))
        return zero_page(pc, e->fe_page);
    ++*held;
    return EDB_OK;
}

static int zero_queue(pager_commit *pc, uint64_t *held)
{
    const free_state *fr = &pc->pc_record.rc_free;
    uint64_t page = fr->fr_head, pages = pc->pc_record.rc_snapshot.sn_pages;
    uint32_t first = fr->fr_index;
    int rc = EDB_OK;

    for (uint64_t i = 0; !rc && i < fr->fr_chain; i++, first = 0) {
        const uint8_t *bytes;
        rc = chain_load(pc->pc_pager, page, fr->fr_seq + i, pages, &bytes);
        for (uint32_t k = first; !rc && k < load32(bytes + PH_COUNT); k++) {
            free_entry e = chain_entry(bytes, k);
            if (e.fe_page < pc->pc_pager->pg_first_page || e.fe_page >= pages)
                rc = edb_fail(EDB_CORRUPT, "%s: the list of free pages names page %llu, which is not one", pc->pc_pager->pg_name,
                              (unsigned long long)e.fe_page);
            else
                rc = zero_entry(pc, &e, held);
        }
        if (!rc)
            page = load64(bytes + FP_NEXT);
    }
    return rc;
}

/* What lies behind the pages in use: of commits that came to nothing, or of a trim that could not shorten the file. */
static int zero_end(pager_commit *pc)
{
    const shm_area *shm = pc->pc_pager->pg_shm;
    uint64_t end = atomic_load(&shm->sh_zeroed), file = atomic_load(&shm->sh_file_pages);
    int rc = EDB_OK;

    if (pc->pc_file_base > atomic_load(&shm->sh_durable))
        return EDB_OK;
    for (uint64_t page = pc->pc_base.sn_pages; !rc && page < end && page < file; page++)
        rc = zero_page(pc, page);
    return rc;
}

static int zero_all(pager_commit *pc, uint64_t *held)
{
    int rc = free_known(pc);

    for (uint64_t i = 0; !rc && i < pc->pc_n_young; i++)
        rc = zero_entry(pc, &pc->pc_young[i], held);
    if (!rc)
        rc = zero_queue(pc, held);
    if (!rc)
        rc = FAILPOINT("zero:half");
    if (!rc)
        rc = zero_page(pc, pc->pc_record.rc_free.fr_next);
    return rc ? rc : zero_end(pc);
}

int pager_zero_free(pager *pg, uint64_t *held)
{
    pager_commit *pc;

    *held = 0;
    if (pg->pg_memory)
        return EDB_OK;
    (void)shm_reclaim(&pg->pg_lock, true);          /* what dead processes announce */
    int rc = pager_commit_begin(pg, NULL, &pc);
    if (rc)
        return rc;
    rc = zero_all(pc, held);
    pager_commit_abort(pc);
    return rc;
}
