/* Compaction: what is in use moves to the front of the file, and the end is given back.
 *
 * What is not packed yet is packed first. Then it works by commits that change nothing that anybody reads, each of at most STEP pages,
 * so that others commit in between; each is whole by itself, so it can be stopped or killed anywhere. What lies behind the cut, where
 * the file is to end, is moved:
 *
 *     trees     current pages, tree by tree (engine/tree/tree_move.c)
 *     history   the pages of cold ids, and strips (engine/pager/cold_move.c)
 *     chains    large values, with all that refer to them (engine/tree/tree_chains.c): when the others have not been enough,
 *               since every leaf has to be looked at
 *     lists     the list of trees, the pager's lists, the queue of free pages
 *
 * Then the file ends (pager_trim), and free pages that are left are written over with zeros (pager_zero_free). What others have written
 * behind the cut meanwhile, and what readers still hold there, takes another round; at the end stays what cannot be moved: history from before there were cold ids. */
#include <stdlib.h>
#include <time.h>

#include "engine/pager/cold.h"
#include "engine/shared/os.h"
#include "engine/tree/page.h"
#include "engine/txn/commit_trees.h"
#include "engine/entity/reduced.h"
#include "engine/txn/txn_internal.h"
#include "engine/upkeep/compact.h"
#include "engine/upkeep/erasures.h"

#define STEP 16                    /* pages moved by a commit */
#define REST_MOST_NS 1000000
#define STEP_LEAVES 2048            /* leaves looked at by one */
#define STEP_ELEMENTS 65536         /* cold ids */
#define ROUNDS 8
#define PATIENCE 2                  /* so often a strip, or a page of history, finds no room before the next one is tried */
#define STUCK_MOST 3                /* steps that find no room before the cut. Behind the first, all that was freed there is durable; one
                                     * more than that is for what others free meanwhile, and then readers hold the rest */
#define STUCK_HISTORY 16            /* the same among history, where what comes next may be smaller */

enum { PHASE_TREES, PHASE_HISTORY, PHASE_CHAINS, PHASE_CHAINS_OF_HISTORY, PHASE_LISTS, PHASE_END };

typedef struct {
    pager *cpt_pager;
    edb_compact_progress cpt_progress;
    void *cpt_arg;
    bool cpt_stopped;
    bool cpt_waits;                 /* for each commit, until it is durable */
    uint64_t cpt_cut, cpt_first_pages;
    bool cpt_chains;                /* these have to be moved, too */
    int cpt_phase;
    uint64_t cpt_at;                /* the tree, or the cold id, that is next */
    leaf_place cpt_place;           /* in that tree */
    chain_elements cpt_elements;
    unsigned cpt_tries;             /* at the lists */
    unsigned cpt_stuck;             /* steps in a row that have found no room */
    uint64_t cpt_moved;             /* pages, in this round */
    uint64_t cpt_n_trees, cpt_n_cold;
    /* of one step: */
    pager_commit *cpt_commit;
    commit_trees cpt_trees;
    page_moving cpt_moving;
} compaction;

static void phase_next(compaction *cp, int phase)
{
    cp->cpt_phase = phase;
    cp->cpt_at = 0;
    cp->cpt_tries = 0;
    cp->cpt_place.lfp_size = 0;
}

/* ---- the phases ---------------------------------------------------------------------------------------------------- */

/* Does it in one tree after the other, as long as the step has pages left. */
typedef int (*tree_fn)(compaction *cp, written_tree *tree, bool *done);

static int over_trees(compaction *cp, tree_fn fn, int next)
{
    int rc = EDB_OK;

    while (!rc && cp->cpt_moving.mov_left && cp->cpt_at < cp->cpt_trees.cmt_list.ar_count) {
        written_tree *tree;
        bool done = true;
        rc = commit_tree(&cp->cpt_trees, (uint32_t)cp->cpt_at, &tree);
        if (!rc && tree) {
            uint64_t moved = cp->cpt_moving.mov_moved;
            rc = fn(cp, tree, &done);
            if (cp->cpt_moving.mov_moved > moved)
                commit_tree_dirty(&cp->cpt_trees, tree);
        }
        if (!done)
            return rc;
        cp->cpt_at++;
        cp->cpt_place.lfp_size = 0;
    }
    if (cp->cpt_at >= cp->cpt_trees.cmt_list.ar_count)
        phase_next(cp, next);
    return rc;
}

static int tree_pages(compaction *cp, written_tree *tree, bool *done)
{
    int rc = tree_move(cp->cpt_commit, &tree->wn_state, &cp->cpt_moving);

    *done = cp->cpt_moving.mov_left > 0;        /* else some may be left */
    return rc;
}

static int tree_values(compaction *cp, written_tree *tree, bool *done)
{
    cp->cpt_place.lfp_leaves = STEP_LEAVES;
    cp->cpt_place.lfp_done = false;
    int rc = tree_chains_move(cp->cpt_commit, &tree->wn_state, &cp->cpt_elements, &cp->cpt_moving, &cp->cpt_place);

    *done = cp->cpt_place.lfp_done;
    return rc;
}

static int history_pages(compaction *cp)
{
    const cold_state *cd = pager_commit_cold(cp->cpt_commit);
    bool passes = cp->cpt_stuck % PATIENCE == PATIENCE - 1 && cp->cpt_at >= cd->cd_first && cp->cpt_at < cd->cd_list.ar_count;
    int rc = passes ? cold_pass(cp->cpt_commit, &cp->cpt_at) : EDB_OK;

    if (!rc)
        rc = cold_move(cp->cpt_commit, &cp->cpt_moving, &cp->cpt_at, STEP_ELEMENTS);
    if (!rc && cp->cpt_at >= cd->cd_list.ar_count)
        phase_next(cp, cp->cpt_chains ? PHASE_CHAINS : PHASE_LISTS);
    return rc;
}

/* The large values of the versions in one page of history. */
static int values_of_element(compaction *cp, uint64_t index, bool *moved)
{
    cold_element ce;
    const uint8_t *page;
    written_tree *tree;
    int rc = cold_get(cp->cpt_pager, pager_commit_cold(cp->cpt_commit), index, &ce);

    *moved = false;
    if (rc || ce.cel_kind != COLD_PAGE)
        return rc;
    if ((rc = pager_page(cp->cpt_pager, pager_get_view(cp->cpt_pager), ce.cel_ref, 0, &page)) || !page_is_leaf(page)
        || (rc = commit_tree(&cp->cpt_trees, ce.cel_tree, &tree)) || !tree)
        return rc;
    rc = tree_chains_of_leaf(cp->cpt_commit, &tree->wn_state, &cp->cpt_elements, page, &cp->cpt_moving, moved);
    if (*moved)
        commit_tree_dirty(&cp->cpt_trees, tree);
    return rc;
}

static int history_values(compaction *cp)
{
    const cold_state *cd = pager_commit_cold(cp->cpt_commit);
    uint64_t leaves = STEP_LEAVES;
    int rc = EDB_OK;

    if (cp->cpt_at < cd->cd_first)
        cp->cpt_at = cd->cd_first;
    while (!rc && leaves && cp->cpt_moving.mov_left && cp->cpt_at < cd->cd_list.ar_count) {
        bool moved;
        rc = values_of_element(cp, cp->cpt_at, &moved);
        if (rc || moved)
            continue;
        cp->cpt_at++;
        leaves--;
    }
    if (!rc && cp->cpt_at >= cd->cd_list.ar_count)
        phase_next(cp, PHASE_LISTS);
    return rc;
}

static int lists(compaction *cp)
{
    cp->cpt_moving.mov_whole = true;
    int rc = array_move(cp->cpt_commit, &cp->cpt_trees.cmt_list, &cp->cpt_moving);

    if (!rc)
        rc = pager_lists_move(cp->cpt_commit, &cp->cpt_moving);
    uint64_t queue = cp->cpt_first_pages * 11 / pager_page_size(cp->cpt_pager);
    if (!rc && (cp->cpt_moving.mov_whole || ++cp->cpt_tries > ROUNDS + queue / STEP))
        phase_next(cp, PHASE_END);
    return rc;
}

static int phase_step(compaction *cp)
{
    switch (cp->cpt_phase) {
    case PHASE_TREES: return over_trees(cp, tree_pages, PHASE_HISTORY);
    case PHASE_HISTORY: return history_pages(cp);
    case PHASE_CHAINS: return over_trees(cp, tree_values, PHASE_CHAINS_OF_HISTORY);
    case PHASE_CHAINS_OF_HISTORY: return history_values(cp);
    default: return lists(cp);
    }
}

/* ---- commits -------------------------------------------------------------------------------------------------------- */

/* A commit of upkeep; fn says what it does, *publish false: nothing. */
typedef int (*upkeep_fn)(compaction *cp, bool *publish);

static int commit_do(compaction *cp, upkeep_fn fn)
{
    bool publish = true;
    int64_t ns;
    int rc = pager_commit_begin(cp->cpt_pager, NULL, &cp->cpt_commit);

    if (rc)
        return rc;
    uint64_t number = pager_commit_number(cp->cpt_commit);
    pager_commit_avoids(cp->cpt_commit, cp->cpt_stuck > 0);
    pager_commit_aside(cp->cpt_commit);
    cp->cpt_trees = commit_trees_of(cp->cpt_commit, &pager_commit_base(cp->cpt_commit)->sn_trees);
    if (!(rc = commit_trees_to_file(&cp->cpt_trees)) && !(rc = fn(cp, &publish)) && publish
        && !(rc = commit_trees_store(&cp->cpt_trees)))
        rc = pager_commit_prepare(cp->cpt_commit, &cp->cpt_trees.cmt_list, false);
    commit_trees_free(&cp->cpt_trees);
    if (rc || !publish) {
        pager_commit_abort(cp->cpt_commit);
        return rc;
    }
    rc = pager_commit_publish(cp->cpt_commit, 0, &ns);
    return rc || !cp->cpt_waits ? rc : pager_wait_durable(cp->cpt_pager, number, true);
}

static int step(compaction *cp, bool *publish)
{
    cp->cpt_moving = (page_moving){ .mov_cut = cp->cpt_cut, .mov_left = STEP, .mov_whole = true };
    cp->cpt_n_trees = cp->cpt_trees.cmt_list.ar_count;
    cp->cpt_n_cold = pager_commit_cold(cp->cpt_commit)->cd_list.ar_count;
    int rc = cp->cpt_chains ? chain_elements_read(cp->cpt_commit, &cp->cpt_elements) : EDB_OK;

    if (!rc)
        rc = phase_step(cp);
    bool stuck = !cp->cpt_moving.mov_moved && !cp->cpt_moving.mov_left;
    *publish = cp->cpt_moving.mov_moved || stuck;       /* the next one goes on in the queue of free pages where this one came to */
    cp->cpt_stuck = stuck ? cp->cpt_stuck + 1 : 0;
    cp->cpt_moved += cp->cpt_moving.mov_moved;
    return rc;
}

static int to_file(compaction *cp, bool *publish)
{
    *publish = pager_commit_file_base(cp->cpt_commit) != pager_commit_base(cp->cpt_commit)->sn_number;
    return EDB_OK;
}

static int trim(compaction *cp, bool *publish)
{
    return pager_trim(cp->cpt_commit, cp->cpt_cut, publish);
}

/* ---- what was erased ------------------------------------------------------------------------------------------------- */

/* The newest commit that erased something; 0: none has. */
static int newest_erasure(compaction *cp, uint64_t *out)
{
    pager_commit *pc;
    tree_state state;
    bool there;
    int rc = pager_commit_begin(cp->cpt_pager, NULL, &pc);

    *out = 0;
    if (rc)
        return rc;
    rc = kept_tree(cp->cpt_pager, pager_commit_base(pc), ERASURES_NAME, &state, &there);
    if (!rc && there)
        *out = state.ts_changed;
    pager_commit_abort(pc);
    return rc;
}

static int nothing(compaction *cp, bool *publish)
{
    (void)cp;
    *publish = true;
    return EDB_OK;
}

/* Free pages are written over. Records of commits before something was erased have the values too: commits that change nothing take
 * their places. */
static int wipe(compaction *cp, uint64_t *held)
{
    uint64_t erased;
    int rc = newest_erasure(cp, &erased);

    if (!rc)                        /* at `normal` the one that freed them may not be */
        rc = pager_wait_durable(cp->cpt_pager, pager_published(cp->cpt_pager), true);
    if (!rc)
        rc = pager_zero_free(cp->cpt_pager, held);
    if (rc || !erased)
        return rc;
    cp->cpt_waits = false;
    for (uint64_t end = erased + pager_ring(cp->cpt_pager); !rc && pager_published(cp->cpt_pager) <= end;)
        rc = commit_do(cp, nothing);
    return rc ? rc : pager_wait_durable(cp->cpt_pager, pager_published(cp->cpt_pager), true);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* Where the file could end: behind what is in use, with room for the queue of free pages to be written anew. */
static uint64_t cut_for(compaction *cp, const pager_stats *st)
{
    uint64_t used = st->ps_pages - st->ps_free_pages, queue = st->ps_free_pages * 11 / (pager_page_size(cp->cpt_pager) - 48);

    cp->cpt_first_pages = st->ps_pages;
    return used + queue + queue / 8 + used / 64 + 32;
}

/* How far it is, in parts of a thousand: the phases of a round one after the other, and in each the trees or ids behind it. */
static uint64_t progress_of(const compaction *cp)
{
    uint64_t all = cp->cpt_phase == PHASE_TREES ? cp->cpt_n_trees : cp->cpt_n_cold, at = cp->cpt_at < all ? cp->cpt_at : all;

    switch (cp->cpt_phase) {
    case PHASE_TREES: return all ? 400 * at / all : 0;
    case PHASE_HISTORY: return 400 + (all ? 400 * at / all : 0);
    case PHASE_CHAINS:
    case PHASE_CHAINS_OF_HISTORY: return 800;
    default: return 900;
    }
}

static void tell(compaction *cp)
{
    if (cp->cpt_progress && cp->cpt_progress(cp->cpt_arg, progress_of(cp), 1000))
        cp->cpt_stopped = true;
}

/* For as long as the step took, so that others find the committer lock free. */
static void rest(int64_t ns)
{
    const struct timespec pause = { 0, ns < REST_MOST_NS ? ns : REST_MOST_NS };

    (void)nanosleep(&pause, NULL);
}

/* Whether there is no room left, for as long as readers hold what they hold. */
static bool is_stuck(const compaction *cp, const pager_stats *st)
{
    return cp->cpt_stuck >= (cp->cpt_phase == PHASE_HISTORY ? STUCK_HISTORY : STUCK_MOST) + st->ps_free_pages / PATIENT_MOST;
}

static int round_of(compaction *cp, bool *done)
{
    pager_stats st;
    int rc = EDB_OK;

    pager_get_stats(cp->cpt_pager, &st);
    cp->cpt_stuck = 0;
    cp->cpt_moved = 0;
    for (phase_next(cp, PHASE_TREES); !rc && cp->cpt_phase != PHASE_END && !cp->cpt_stopped && !is_stuck(cp, &st);) {
        int64_t began = os_ticks_ns();
        rc = commit_do(cp, step);
        if (!rc && cp->cpt_stuck)       /* what others have freed there can be used when that is durable */
            rc = pager_wait_durable(cp->cpt_pager, pager_published(cp->cpt_pager), true);
        rest(os_ticks_ns() - began);
        if (!rc)
            tell(cp);
    }
    if (!rc && !cp->cpt_stopped)
        rc = commit_do(cp, trim);
    pager_get_stats(cp->cpt_pager, &st);
    *done = st.ps_pages <= cp->cpt_cut + 16;
    return rc;
}

/* Towards one cut. *over: the file is as short as that already. */
static int pass(compaction *cp, bool *over)
{
    pager_stats st;
    bool done = false;
    int rc = commit_do(cp, to_file);        /* so that free space is what the record says */

    if (rc)
        return rc;
    pager_get_stats(cp->cpt_pager, &st);
    cp->cpt_cut = cut_for(cp, &st);
    *over = st.ps_pages <= cp->cpt_cut;
    if (*over)
        return EDB_OK;
    if ((rc = pager_avoid(cp->cpt_pager, cp->cpt_cut)))
        return rc;
    for (unsigned i = 0; !rc && !done && i < ROUNDS && !cp->cpt_stopped; i++) {
        rc = round_of(cp, &done);
        if (cp->cpt_chains && !cp->cpt_moved)
            break;                  /* nor would another */
        cp->cpt_chains = true;
    }
    int undone = pager_avoid(cp->cpt_pager, 0);
    return rc ? rc : undone;
}

/* Twice: the room that a long queue of free pages was left is free when the queue is short. */
static int compact(compaction *cp)
{
    bool over = false;
    int rc = EDB_OK;

    for (unsigned i = 0; !rc && !over && i < 2 && !cp->cpt_stopped; i++)
        rc = pass(cp, &over);
    return rc;
}

/* Gives back what lies behind the end, bit by bit. */
static int give_back(compaction *cp)
{
    uint64_t bytes = 1;
    int rc = EDB_OK;

    while (!rc && bytes) {
        int64_t began = os_ticks_ns();
        rc = pager_truncate(cp->cpt_pager, &bytes);
        rest(os_ticks_ns() - began);
    }
    return rc;
}

static int run(compaction *cp, bool wipes, uint64_t *held)
{
    int rc = compact(cp);

    if (!rc)
        rc = give_back(cp);
    if (!rc && wipes && !cp->cpt_stopped && !(rc = wipe(cp, held)))
        rc = give_back(cp);
    return rc;
}

int compact_file(pager *pg, bool wipes, edb_compact_progress progress, void *arg, edb_compact_result *out)
{
    compaction cp = { .cpt_pager = pg, .cpt_progress = progress, .cpt_arg = arg, .cpt_waits = true };
    pager_stats before, after;
    uint64_t held = 0;

    pager_get_stats(pg, &before);
    int rc = run(&cp, wipes, &held);
    pager_get_stats(pg, &after);
    *out = (edb_compact_result){ before.ps_file_bytes, after.ps_file_bytes,
                                 (after.ps_pages - after.ps_free_pages) * pager_page_size(pg), held, cp.cpt_stopped };
    chain_elements_free(&cp.cpt_elements);
    return rc;
}

int edb_compact(edb *db, edb_compact_progress progress, void *arg, edb_compact_result *out)
{
    edb_pack_result packed;
    edb_compact_result done;
    pager_stats before;
    int rc = pager_alive(db->db_pager);

    if (!rc)
        rc = pager_writable(db->db_pager);
    if (rc)
        return rc;
    pager_get_stats(db->db_pager, &before);
    rc = edb_pack(db, NULL, NULL, &packed);
    if (!rc || rc == EDB_CANNOT)                /* without zstd history stays as it is */
        rc = compact_file(db->db_pager, true, progress, arg, &done);
    if (rc)
        return rc;
    done.bytes_before = before.ps_file_bytes;
    *out = done;
    return EDB_OK;
}
