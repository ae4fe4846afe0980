/* The contents of many commits, from the versions of all trees.
 *
 * Trees are walked by ascending id, and of each what commits did to it (tree_events.c). The parts that a walk goes through tile the
 * plane of keys and commits, one node after the other by key, so the changes of one commit come with ascending keys, whatever
 * others come between. So one hash under way for each commit is enough, and nothing is sorted or kept. */
#include "engine/tree/tree_contents.h"

#include <stdlib.h>

#include "engine/tree/tree_events.h"

typedef struct {
    sha256 cco_whole;
    tree_content cco_tree;           /* of the tree at hand */
} commit_content;

typedef struct {
    pager *cnts_pager;
    uint64_t cnts_after, cnts_upto;
    commit_content *cnts_of;          /* of commit after + 1 + i */
    uint64_t *cnts_touched, cnts_n_touched;     /* those with an entry in the tree at hand */
    const contents_watch *cnts_watch;
} contents;

static int add_event(contents *cs, const tree_event *te, const row_mask *mask)
{
    uint64_t i = te->at - cs->cnts_after - 1;
    tree_content *tct = &cs->cnts_of[i].cco_tree;

    if (!tct->tct_entries)
        cs->cnts_touched[cs->cnts_n_touched++] = i;
    tct->tct_mask = mask;
    if (te->has)
        return content_stored(tct, cs->cnts_pager, &te->is);
    content_ended(tct, te->key, te->key_size);
    return EDB_OK;
}

static int add_tree(contents *cs, const tree_state *state, const row_mask *mask)
{
    const contents_watch *watch = cs->cnts_watch;
    const tree_event *te;
    tree_events tes;
    int rc = tree_events_open(&tes, cs->cnts_pager, state, cs->cnts_after, cs->cnts_upto);

    if (rc)
        return rc;
    if (watch && watch->ctw_differs)
        tree_events_prove(&tes, mask);
    rc = tree_events_start(&tes, NULL, 0, NULL, 0);
    while (!rc && !(rc = tree_events_next(&tes, &te)) && te) {
        if (!te->differs)
            rc = add_event(cs, te, mask);
        else
            watch->ctw_differs(watch->ctw_arg, te->at, state->ts_id);
    }
    tree_events_close(&tes);
    for (uint64_t i = 0; i < cs->cnts_n_touched; i++) {
        commit_content *cn = &cs->cnts_of[cs->cnts_touched[i]];
        content_tree(&cn->cco_whole, state->ts_id, &cn->cco_tree);
    }
    cs->cnts_n_touched = 0;
    return rc;
}

static int add_trees(contents *cs, const contents_source *source)
{
    const array_state *trees = source->ctn_trees;
    const contents_watch *watch = cs->cnts_watch;
    tree_state state;
    int rc = EDB_OK;

    for (uint64_t id = 0; id < trees->ar_count && !rc; id++) {
        if (watch && watch->ctw_tree && (rc = watch->ctw_tree(watch->ctw_arg, (uint32_t)id)))
            return rc;
        rc = tree_state_listed(cs->cnts_pager, trees, (uint32_t)id, &state);
        state.ts_cold = *source->ctn_cold;
        state.ts_horizon = source->ctn_horizon;
        if (rc == EDB_NOSUCH)
            rc = EDB_OK;            /* made and rolled back: a hole */
        else if (!rc && state.ts_changed > cs->cnts_after)
            rc = add_tree(cs, &state, tree_masks_find(source->ctn_masks, (uint32_t)id));
    }
    return rc;
}

int contents_of(pager *pg, const contents_source *source, uint64_t after, uint64_t upto, const contents_watch *watch,
                uint8_t (*out)[SHA256_SIZE])
{
    uint64_t n = upto > after ? upto - after : 0;
    contents cs = { .cnts_pager = pg, .cnts_after = after, .cnts_upto = upto, .cnts_watch = watch };

    if (!n)
        return EDB_OK;
    cs.cnts_of = calloc(n, sizeof *cs.cnts_of);
    cs.cnts_touched = malloc(n * sizeof *cs.cnts_touched);
    int rc = cs.cnts_of && cs.cnts_touched ? EDB_OK : edb_fail(EDB_NOMEM, "no memory for the contents of %llu commits",
                                                            (unsigned long long)n);
    for (uint64_t i = 0; i < n && !rc; i++)
        sha256_init(&cs.cnts_of[i].cco_whole);
    if (!rc)
        rc = add_trees(&cs, source);
    for (uint64_t i = 0; i < n && !rc; i++)
        sha256_end(&cs.cnts_of[i].cco_whole, out[i]);
    free(cs.cnts_of);
    free(cs.cnts_touched);
    return rc;
}
