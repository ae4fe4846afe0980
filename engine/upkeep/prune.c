/* edb_prune: letting history go. The pager's prune.c says what a step is; here is the way from step to step.
 *
 * Whose moments hold the horizon back is looked at once, before the first step: who begins later reads at a later moment than
 * the newest durable commit of then. */
#include <inttypes.h>

#include "engine/pager/cold.h"
#include "engine/shared/os.h"
#include "engine/txn/commit_trees.h"
#include "engine/txn/hooks.h"
#include "engine/txn/txn_internal.h"
#include "engine/upkeep/prune.h"

enum { STEP_PAGES = 4096 };

static void count(pager *pg, const cold_pruned *gone, edb_prune_result *out)
{
    out->pages = gone->cpn_pages;
    out->bytes = gone->cpn_pages * pager_page_size(pg);
    out->entries = gone->cpn_entries;
}

/* One commit. *number: its own; 0: there was nothing to do. */
static int step(pager *pg, hooks_home *home, uint64_t horizon, uint64_t most_pages, cold_pruned *gone, edb_prune_result *out, uint64_t *number)
{
    pager_commit *pc;
    uint64_t bound;
    int64_t ns;
    bool over = true;
    int rc = pager_commit_begin(pg, NULL, &pc);

    *number = 0;
    if (rc)
        return rc;
    const snapshot *base = pager_commit_base(pc);
    commit_trees trees = commit_trees_of(pc, &base->sn_trees);
    out->horizon = base->sn_horizon > horizon ? base->sn_horizon : horizon;
    rc = cold_bound(pg, &base->sn_cold, out->horizon, &bound);
    if (rc || (bound == base->sn_cold.cd_first && out->horizon == base->sn_horizon)) {
        pager_commit_abort(pc);
        return rc;
    }
    uint64_t before = gone->cpn_elements;
    if (pager_commit_small(pc))
        rc = commit_trees_to_file(&trees);
    if (!rc)
        rc = cold_prune(pc, out->horizon, most_pages, gone, &over);
    out->left = over ? 0 : bound - base->sn_cold.cd_first - (gone->cpn_elements - before);
    bool nothing = gone->cpn_elements == before && out->horizon == base->sn_horizon;    /* a strip is needed by others, too */
    pager_commit_aside(pc);
    if (!rc)
        rc = pager_commit_prepare(pc, &trees.cmt_list, false);
    if (!rc)
        rc = FAILPOINT("prune:prepared");
    uint64_t own = pager_commit_number(pc);
    commit_trees_free(&trees);
    if (rc || nothing) {
        pager_commit_abort(pc);
        return rc;
    }
    if ((rc = pager_commit_publish(pc, 0, &ns)))
        return rc;
    *number = own;
    out->steps++;
    count(pg, gone, out);
    hooks_published(home, own);
    return FAILPOINT("prune:published");
}

static int run(pager *pg, hooks_home *home, uint64_t horizon, uint64_t most_pages, edb_prune_fn progress, void *arg, edb_prune_result *out)
{
    cold_pruned gone = { 0 };
    uint64_t number, last = 0;
    int rc;

    do {
        if ((rc = step(pg, home, horizon, most_pages, &gone, out, &number)))
            return rc;
        last = number ? number : last;
        if (number && out->left && progress && progress(arg, out))
            rc = edb_fail(EDB_INTERRUPT, "pruning was interrupted; what is left goes with the next call");
    } while (!rc && number && out->left);
    if (!last)
        return rc;
    int wait = pager_wait_durable(pg, last, false);
    return rc ? rc : wait;
}

static int measure(pager *pg, const snapshot *root, uint64_t horizon, edb_prune_result *out)
{
    cold_pruned would = { 0 };
    uint64_t bound;

    out->horizon = root->sn_horizon > horizon ? root->sn_horizon : horizon;
    int rc = cold_bound(pg, &root->sn_cold, out->horizon, &bound);
    for (uint64_t index = root->sn_cold.cd_first, before = bound; !rc && index < bound && index != before;) {
        before = index;
        rc = cold_measure(pg, root, bound, &index, &would);
    }
    count(pg, &would, out);
    out->left = would.cpn_elements;
    return rc;
}

int prune_to(pager *pg, hooks_home *home, uint64_t horizon, uint64_t step_pages, edb_prune_fn progress, void *arg,
             edb_prune_result *out)
{
    int rc = pager_wait_durable(pg, horizon, true);         /* at `normal` it may not be yet */

    if (rc || (rc = cold_horizon_limit(pg, true, &horizon)))
        return rc;
    return run(pg, home, horizon, step_pages ? step_pages : STEP_PAGES, progress, arg, out);
}

int edb_prune(edb *db, uint64_t horizon, bool dry_run, uint64_t step_pages, edb_prune_fn progress, void *arg,
              edb_prune_result *out)
{
    reader_slot *slot = NULL;
    snapshot root;
    int rc;

    *out = (edb_prune_result){ .horizon = 0 };
    if ((rc = pager_alive(db->db_pager)) || (rc = dry_run ? EDB_OK : pager_writable(db->db_pager)))
        return rc;
    if (horizon > pager_published(db->db_pager))
        return edb_fail(EDB_HORIZON, "there is no commit %" PRIu64 "; the newest is %" PRIu64, horizon,
                        pager_published(db->db_pager));
    if (!dry_run)
        return prune_to(db->db_pager, db->db_home, horizon, step_pages, progress, arg, out);
    if ((rc = cold_horizon_limit(db->db_pager, false, &horizon)))
        return rc;
    if ((rc = pager_slot_take(db->db_pager, &slot)))
        return rc;
    if (!(rc = pager_pin(db->db_pager, slot, PIN_PUBLISHED, &root)))
        rc = measure(db->db_pager, &root, horizon, out);
    pager_pin_move(db->db_pager, slot, UINT64_MAX);
    pager_slot_give(db->db_pager, slot);
    return rc;
}
