/* Free space as `check` walks it: every page that it accounts for, once; and what a record itself shows.
 *
 * Free space is what the newest page record says. Pages that the redo commits behind it have dropped are still listed
 * nowhere: the next commit that writes to the file does that. They count as free here. */
#include <stdlib.h>

#include "engine/pager/pager_impl.h"

typedef struct {
    pager_free_fn fn;
    void *arg;
} dropped_page;

static int dropped_listed(void *arg, page_ref ref)
{
    dropped_page *dp = arg;

    return dp->fn(dp->arg, ref.page, FREE_LISTED);
}

int pager_free_walk(pager *pg, const snapshot *sn, pager_free_fn fn, void *arg)
{
    bool stale;
    record *rc_copy = malloc(sizeof *rc_copy);

    if (!rc_copy)
        return edb_fail(EDB_NOMEM, "no memory to walk the free pages");
    int rc = ring_load_pages(pg, sn->sn_number, rc_copy, &stale);
    if (!rc && stale)
        rc = edb_fail(EDB_BUSY, "%s: commit %llu is too old to walk its free pages; ask for a newer one", pg->pg_name,
                      (unsigned long long)sn->sn_number);
    const free_state *fr = &rc_copy->rc_free;
    for (uint32_t i = 0; !rc && i < rc_copy->rc_n_young; i++)
        rc = fn(arg, rc_copy->rc_young[i].fe_page, FREE_LISTED);
    uint64_t at = fr->fr_head, index = fr->fr_index;
    for (uint64_t i = 0; !rc && i < fr->fr_chain; i++) {
        const uint8_t *page;
        rc = chain_load(pg, at, fr->fr_seq + i, sn->sn_pages, &page);
        if (!rc)
            rc = fn(arg, at, FREE_CHAIN);
        for (uint32_t k = (uint32_t)index; !rc && k < load32(page + PH_COUNT); k++)
            rc = fn(arg, chain_entry(page, k).fe_page, FREE_LISTED);
        if (!rc)
            at = load64(page + FP_NEXT);
        index = 0;
    }
    if (!rc)
        rc = fn(arg, fr->fr_next, FREE_RESERVED);
    if (!rc && rc_copy->rc_base != sn->sn_number) {
        dropped_page dp = { fn, arg };
        rc = replay_dropped(pg, sn->sn_number, dropped_listed, &dp);
    }
    free(rc_copy);
    return rc;
}

int pager_record_judge(pager *pg, const snapshot *sn, pager_breach_fn breach, void *arg)
{
    bool stale;
    record *rc_copy = malloc(sizeof *rc_copy);

    if (!rc_copy)
        return edb_fail(EDB_NOMEM, "no memory to judge a commit record");
    int rc = ring_load(pg, sn->sn_number, rc_copy, NULL, &stale);
    uint64_t durable = rc ? 0 : rc_copy->rc_durable;
    if (!rc && !stale)              /* a redo record says nothing of free pages */
        rc = ring_load_pages(pg, sn->sn_number, rc_copy, &stale);
    if (!rc && stale)
        rc = edb_fail(EDB_BUSY, "%s: commit %llu is too old to judge its record; ask for a newer one", pg->pg_name,
                      (unsigned long long)sn->sn_number);
    for (uint32_t i = 0; !rc && i < rc_copy->rc_n_young; i++) {
        const free_entry *e = &rc_copy->rc_young[i];
        if (e->fe_made > e->fe_freed || e->fe_freed > rc_copy->rc_base)
            breach(arg, "I5", e->fe_page, "a free page was made after it was freed, or freed by a commit yet to come");
    }
    if (!rc && durable <= sn->sn_number && sn->sn_number - durable > ring_half(pg))
        breach(arg, "I7", 0, "the record is too far from the commit that it says was durable");
    free(rc_copy);
    return rc;
}
