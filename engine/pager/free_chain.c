/* The end of the queue of free pages: what a commit freed and its record cannot hold goes into new chain pages.
 *
 * pager_free.c has the queue and the rule. Writing a chain page draws the number of the next one, so this stands above
 * the drawing of pages (pager_alloc.c), which takes them from the front of the queue. */
#include <string.h>

#include "engine/pager/pager_impl.h"

static void chain_entry_store(uint8_t *page, uint32_t index, free_entry e)
{
    uint8_t *p = page + FP_ENTRIES + index * FP_ENTRY_SIZE;

    store40(p, e.fe_page);
    store32(p + 5, (uint32_t)e.fe_freed);
    store16(p + 9, (uint16_t)(e.fe_freed >> 32));
}

/* What this commit dropped and did not use again is free from it on. */
static int reuse_to_young(pager_commit *pc)
{
    int rc = EDB_OK;

    while (!rc && pc->pc_n_reuse)
        rc = free_young_push(pc, (free_entry){ pc->pc_reuse[--pc->pc_n_reuse], pc->pc_number, pc->pc_number });
    return rc;
}

/* Writes the n oldest young entries into the reserved page, naming `next` as the one after it. */
static int chain_append(pager_commit *pc, uint64_t n, uint64_t next)
{
    pager *pg = pc->pc_pager;
    free_state *fr = &pc->pc_record.rc_free;
    uint8_t page[PAGE_SIZE_MAX];
    page_ref ref;

    memset(page, 0, pg->pg_page_size);
    page[PH_KIND] = PAGE_FREE;
    store32(page + PH_COUNT, (uint32_t)n);
    store64(page + FP_NEXT, next);
    store64(page + FP_SEQ, fr->fr_seq + fr->fr_chain);
    for (uint64_t i = 0; i < n; i++)
        chain_entry_store(page, (uint32_t)i, pc->pc_young[i]);
    int rc = written_set(pc, fr->fr_next, 0);
    if (!rc)
        rc = pager_write(pc, fr->fr_next, page, &ref);
    if (rc)
        return rc;
    if (!fr->fr_chain++) {
        fr->fr_head = fr->fr_next;
        fr->fr_index = 0;
        pc->pc_chain = NULL;
    }
    fr->fr_next = next;
    fr->fr_entries += n;
    memmove(pc->pc_young, pc->pc_young + n, (pc->pc_n_young - n) * sizeof *pc->pc_young);
    pc->pc_n_young -= n;
    pc->pc_n_base = pc->pc_n_base > n ? pc->pc_n_base - n : 0;
    pc->pc_scan = pc->pc_scan > n ? pc->pc_scan - n : 0;
    return EDB_OK;
}

int free_flush(pager_commit *pc)
{
    int rc = EDB_OK;

    while (!rc && pc->pc_n_young + pc->pc_n_reuse > RECORD_YOUNG) {
        uint64_t next;
        rc = pager_alloc(pc, &next);        /* first: it may take one of them */
        if (!rc)
            rc = reuse_to_young(pc);
        if (rc)
            break;
        uint64_t n = pc->pc_n_young - RECORD_YOUNG / 2;     /* the newest stay: (b) is for them */
        if (n > free_chain_room(pc->pc_pager))
            n = free_chain_room(pc->pc_pager);
        rc = chain_append(pc, n, next);
    }
    return rc ? rc : reuse_to_young(pc);
}
