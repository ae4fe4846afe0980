/* Letting history go that answers only for moments before the horizon: the front of the list of cold ids (cold.h).
 *
 * A step is a commit. It raises the horizon, if it is not there yet, frees the pages of some elements and takes these off the
 * list. Freed pages are used again when nobody needs them (I5): a reader keeps what he has pinned, with his own snapshot's list. A killed
 * step has published nothing, and the next one goes on from where the last has come.
 *
 * A strip goes when all its ids may, and so does what of these is not in it. Of other pages only the first bytes are read, which
 * must be those of what the element says. */
#include <assert.h>

#include "engine/pager/cold.h"
#include "engine/pager/pager_impl.h"
#include "engine/pager/strip.h"

enum { CHAIN_NEXT = PH_SIZE, HEAD_SIZE = CHAIN_NEXT + 12 };     /* what of a page is looked at */

int cold_bound(pager *pg, const cold_state *cd, uint64_t horizon, uint64_t *out)
{
    uint64_t low = cd->cd_first, high = cd->cd_list.ar_count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        cold_element ce;
        int rc = cold_get(pg, cd, middle, &ce);
        if (rc)
            return rc;
        if (ce.cel_commit <= horizon)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return EDB_OK;
}

int cold_horizon_limit(pager *pg, bool durable, uint64_t *horizon)
{
    const shm_area *shm = pg->pg_shm;

    if (!shm_intact(&pg->pg_lock))
        return shm_overwritten(&pg->pg_lock);
    (void)shm_reclaim(&pg->pg_lock, false);             /* moments of dead processes */
    uint64_t most = durable ? pager_durable(pg) : pager_published(pg);      /* before the slots: I4 */
    uint32_t used = atomic_load(&shm->sh_slots_used);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t low = atomic_load(&shm->sh_slot[i].ss_low), moment = atomic_load(&shm->sh_slot[i].ss_moment);
        if (low < most)
            most = low;
        if (moment < most)
            most = moment;
    }
    if (most < *horizon)
        *horizon = most;
    return EDB_OK;
}

/* ---- what an element stands for ----------------------------------------------------------------------------------- */

typedef int (*listed_page_fn)(void *arg, uint64_t page, uint64_t writer);

/* The head of a page that must be the one meant. */
static int head_read(pager *pg, const snapshot *sn, page_ref ref, uint8_t head[HEAD_SIZE])
{
    int rc = ref.page >= pg->pg_first_page && ref.page < sn->sn_pages
             ? os_read(pg->pg_fd, head, HEAD_SIZE, ref.page << pg->pg_page_shift, pg->pg_name) : EDB_CORRUPT;

    if (!rc && load32(head + PH_CHECKSUM) == ref.tag && load64(head + PH_PAGE) == ref.page)
        return EDB_OK;
    return rc && rc != EDB_CORRUPT ? rc
           : edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: it is not the page of history that its list means; restore a backup",
                      pg->pg_name, (unsigned long long)ref.page);
}

/* Calls fn (NULL: nothing) for each page of the element. */
static int each_page(pager *pg, const snapshot *sn, const cold_element *ce, listed_page_fn fn, void *arg, cold_pruned *out)
{
    uint8_t head[HEAD_SIZE];
    page_ref ref = ce->cel_ref;

    for (uint64_t left = sn->sn_pages; ref.page && left; left--) {
        const uint8_t *bytes = head;
        int rc = EDB_OK;
        if (pager_in_memory(ref.page))
            rc = pager_page(pg, pager_get_view(pg), ref, 0, &bytes);
        else
            rc = head_read(pg, sn, ref, head);
        if (!rc && (ce->cel_kind == COLD_CHAIN) != (bytes[PH_KIND] == PAGE_OVERFLOW))
            rc = edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: it is of another kind than its list says", pg->pg_name,
                          (unsigned long long)ref.page);
        if (!rc && fn)
            rc = fn(arg, ref.page, load64(bytes + PH_WRITER));
        if (rc)
            return rc;
        out->cpn_pages++;
        if (bytes[PH_KIND] == PAGE_LEAF)
            out->cpn_entries += load16(bytes + PH_COUNT) + (uint64_t)load16(bytes + PH_COUNT + 2);
        ref = ce->cel_kind == COLD_CHAIN ? (page_ref){ load64(bytes + CHAIN_NEXT), load32(bytes + CHAIN_NEXT + 8) }
                                         : (page_ref){ 0, 0 };
    }
    out->cpn_elements++;
    return EDB_OK;
}

typedef struct {                    /* what of a strip is freed, or counted */
    listed_page_fn stg_fn;          /* NULL: nothing is done */
    void *stg_arg;
    cold_pruned *stg_out;
} strip_going;

static int strip_page_goes(void *arg, page_ref ref, const uint8_t *page)
{
    strip_going *sg = arg;

    sg->stg_out->cpn_pages++;
    return sg->stg_fn ? sg->stg_fn(sg->stg_arg, ref.page, load64(page + PH_WRITER)) : EDB_OK;
}

/* The strip that begins with element *index, and what of its ids is not in it. */
static int strip_goes(pager *pg, const snapshot *sn, const cold_state *cd, const strip *st, listed_page_fn fn, void *arg,
                      cold_pruned *out)
{
    strip_going sg = { fn, arg, out };
    int rc = strip_each(pg, st, strip_page_goes, &sg);

    for (uint64_t i = st->stp_first; !rc && i < st->stp_first + st->stp_ids; i++) {
        cold_element ce;
        rc = cold_get(pg, cd, i, &ce);
        if (!rc && ce.cel_kind != COLD_PACKED)
            rc = each_page(pg, sn, &ce, fn, arg, out);
        else
            out->cpn_elements++;
    }
    out->cpn_entries += st->stp_entries;
    return rc;
}

/* What begins with element *index and goes at once, if all of it is before the bound. */
static int next_goes(pager *pg, const snapshot *sn, const cold_state *cd, uint64_t bound, uint64_t *index, listed_page_fn fn,
                     void *arg, cold_pruned *out)
{
    cold_element ce;
    strip st = { .stp_first = *index, .stp_ids = 1 };
    int rc = cold_get(pg, cd, *index, &ce);

    if (!rc && ce.cel_kind == COLD_PACKED && !(rc = strip_of(pg, &ce, *index, &st)) && st.stp_first != *index)
        rc = edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: the first part of its strip was pruned; restore a backup", pg->pg_name,
                      (unsigned long long)ce.cel_ref.page);
    if (rc || st.stp_first + st.stp_ids > bound)
        return rc;
    rc = ce.cel_kind == COLD_PACKED ? strip_goes(pg, sn, cd, &st, fn, arg, out) : each_page(pg, sn, &ce, fn, arg, out);
    *index += st.stp_ids;
    return rc;
}

int cold_measure(pager *pg, const snapshot *sn, uint64_t bound, uint64_t *index, cold_pruned *out)
{
    return next_goes(pg, sn, &sn->sn_cold, bound, index, NULL, NULL, out);
}

/* ---- a step --------------------------------------------------------------------------------------------------------- */

static int give_back(void *arg, uint64_t page, uint64_t writer)
{
    pager_commit *pc = arg;

    if (writer >= pc->pc_number && !page_map_find(&pc->pc_written, page))
        return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: it says commit %llu wrote it, which is not yet",
                        pc->pc_pager->pg_name, (unsigned long long)page, (unsigned long long)writer);
    return free_add(pc, page, writer);
}

int cold_prune(pager_commit *pc, uint64_t horizon, uint64_t most_pages, cold_pruned *out, bool *over)
{
    pager *pg = pc->pc_pager;
    snapshot *sn = &pc->pc_record.rc_snapshot;
    cold_state *cd = &pc->pc_cold;
    uint64_t bound, first = cd->cd_first, most = out->cpn_pages + most_pages;

    assert(!pc->pc_in_memory && !pc->pc_prepared);
    if (horizon > sn->sn_horizon)
        sn->sn_horizon = horizon;
    int rc = cold_bound(pg, cd, sn->sn_horizon, &bound);
    for (*over = false; !rc && first < bound && out->cpn_pages < most && !*over;) {
        uint64_t before = first;
        rc = next_goes(pg, sn, cd, bound, &first, give_back, pc, out);
        *over = first == before;    /* a strip that answers for kept moments, too */
    }
    if (!rc)
        rc = FAILPOINT("prune:freed");
    if (!rc)
        rc = array_trim(pc, &cd->cd_list, 0, COLD_SIZE, first);
    if (rc)
        return rc;
    cd->cd_first = first;
    *over = *over || first == bound;
    return EDB_OK;
}
