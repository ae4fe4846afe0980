/* Moving history towards the front of the file, for compaction: pages that have a cold id, and strips. See cold.h.
 *
 * Nobody who refers to them has to be written anew but the list of cold ids. */
#include <string.h>

#include "engine/pager/pager_impl.h"
#include "engine/pager/strip.h"

static int element_move(pager_commit *pc, page_moving *mv, uint64_t index, cold_element *ce)
{
    pager *pg = pc->pc_pager;
    uint8_t bytes[PAGE_SIZE_MAX];
    page_ref before = ce->cel_ref;
    const uint8_t *page;
    int rc = pager_page(pg, pager_get_view(pg), ce->cel_ref, 0, &page);

    if (rc)
        return rc;
    memcpy(bytes, page, pager_page_size(pg));
    rc = page_move(pc, mv, &ce->cel_ref, bytes, false);
    return rc || ce->cel_ref.page == before.page ? rc : cold_set(pc, index, ce);
}

/* Among the ids of a strip there are pages that are not in it, so each is looked at. */
int cold_move(pager_commit *pc, page_moving *mv, uint64_t *index, uint64_t most)
{
    const cold_state *cd = &pc->pc_cold;
    uint64_t strip_end = 0;
    int rc = cold_flush(pc);

    if (*index < cd->cd_first)
        *index = cd->cd_first;
    const uint64_t end = *index + most;
    while (!rc && *index < end && *index < cd->cd_list.ar_count && mv->mov_left) {
        cold_element ce;
        const uint64_t moved = mv->mov_moved;
        rc = cold_get(pc->pc_pager, cd, *index, &ce);
        if (!rc && ce.cel_kind == COLD_PACKED && *index >= strip_end)
            rc = strip_move(pc, mv, *index, &strip_end);
        else if (!rc && ce.cel_kind == COLD_PAGE && ce.cel_ref.page >= mv->mov_cut)
            rc = element_move(pc, mv, *index, &ce);
        if (mv->mov_left || mv->mov_moved > moved)      /* else there is no room for it now */
            ++*index;
    }
    return rc;
}

int cold_pass(pager_commit *pc, uint64_t *index)
{
    cold_element ce;
    strip st = { .stp_first = *index, .stp_ids = 1 };
    int rc = cold_get(pc->pc_pager, &pc->pc_cold, *index, &ce);

    if (!rc && ce.cel_kind == COLD_PACKED)
        rc = strip_of(pc->pc_pager, &ce, *index, &st);
    *index = st.stp_first + st.stp_ids;
    return rc;
}
