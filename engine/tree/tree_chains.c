/* Moving large values towards the front of the file, for compaction.
 *
 * A large value stands in a chain of pages. Every copy of its version refers to the first of them by number and tag, in the
 * current leaf and in leaves of history, and so does, when the version has ended, an element of the list of cold ids. All of
 * them are written anew in the commit that writes the chain anew, so there is no moment at which a page is reached by nobody, or
 * freed and reached. A chain that history from before cold ids refers to stays where it is: that history cannot be written anew.
 *
 * Which element that is, no leaf says: where a leaf is split by the commit that ends the version, the leaf of history does not know
 * of the end, and the new one not of the version. So the elements of chains are kept by their pages (chain_elements).
 *
 * Memory: a reference for each page of the chain, and for each leaf; 48 bytes for each element of a chain. */
#include <stdlib.h>

#include "engine/pager/cold.h"
#include "engine/shared/lists.h"
#include "engine/tree/tree_leaves.h"

typedef struct {
    page_ref *rfl_refs;
    size_t rfl_n, rfl_room;
} ref_list;

static int ref_add(ref_list *list, page_ref ref)
{
    int rc = list_room((void **)&list->rfl_refs, &list->rfl_room, list->rfl_n, sizeof ref);

    if (!rc)
        list->rfl_refs[list->rfl_n++] = ref;
    return rc;
}

typedef struct {                    /* a chain, and who refers to it */
    pager_commit *chm_commit;
    pager *chm_pager;
    tree_state *chm_state;
    tree_state chm_reading;         /* the same, with the list of cold ids */
    const uint8_t *chm_key;
    uint32_t chm_key_size;
    page_ref chm_old, chm_new;
    ref_list chm_pages;             /* of the chain */
    ref_list chm_leaves;            /* of history, by their cold ids */
    bool chm_current;               /* a current leaf refers to it, too */
    bool chm_stays;
    chain_elements *chm_elements;
} chain_moving;

/* ---- elements of chains by their first pages ------------------------------------------------------------------------ */

/* A page that was freed may have become another chain's: the newest element counts. */
static int element_note(chain_elements *ces, uint64_t page, uint64_t index)
{
    page_map_entry *at;
    int rc = page_map_put(&ces->ces_index, page, &at);

    if (!rc)
        at->pme_value = index;
    return rc;
}

int chain_elements_read(pager_commit *pc, chain_elements *ces)
{
    const cold_state *cd = pager_commit_cold(pc);
    int rc = EDB_OK;

    if (ces->ces_read < cd->cd_first)
        ces->ces_read = cd->cd_first;
    for (; !rc && ces->ces_read < cd->cd_list.ar_count; ces->ces_read++) {
        cold_element ce;
        rc = cold_get(pager_commit_pager(pc), cd, ces->ces_read, &ce);
        if (!rc && ce.cel_kind == COLD_CHAIN)
            rc = element_note(ces, ce.cel_ref.page, ces->ces_read);
    }
    return rc;
}

void chain_elements_free(chain_elements *ces)
{
    page_map_free(&ces->ces_index);
    ces->ces_read = 0;
}

/* ---- the chain ---------------------------------------------------------------------------------------------------- */

/* Its pages. *before: how many of them lie before the cut. */
static int chain_pages(pager *pg, page_ref ref, uint64_t cut, ref_list *out, size_t *before)
{
    const uint8_t *page;
    int rc = EDB_OK;

    out->rfl_n = 0;
    for (*before = 0; !rc && ref.page; ref = overflow_next(page)) {
        *before += ref.page < cut;
        if (!(rc = ref_add(out, ref)))
            rc = pager_page(pg, pager_get_view(pg), ref, PAGE_OVERFLOW, &page);
        if (rc)
            break;
    }
    return rc;
}

/* Last page first, as they refer to each other. */
static int chain_write(chain_moving *cm)
{
    uint32_t size = pager_page_size(cm->chm_pager);
    page_ref next = { 0, 0 };
    uint8_t *copy = aligned_alloc(64, size);
    int rc = copy ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to move a large value");

    for (size_t i = cm->chm_pages.rfl_n; !rc && i-- > 0;) {
        const uint8_t *page;
        uint64_t at;
        if ((rc = pager_page(cm->chm_pager, pager_get_view(cm->chm_pager), cm->chm_pages.rfl_refs[i], PAGE_OVERFLOW, &page))
            || (rc = pager_alloc(cm->chm_commit, &at)))
            break;
        memcpy(copy, page, size);
        store64(copy + OVERFLOW_NEXT, next.page);
        store32(copy + OVERFLOW_NEXT + 8, next.tag);
        rc = pager_write(cm->chm_commit, at, copy, &next);
    }
    cm->chm_new = next;
    free(copy);
    return rc;
}

static int chain_free(chain_moving *cm)
{
    int rc = EDB_OK;

    for (size_t i = 0; !rc && i < cm->chm_pages.rfl_n; i++)
        rc = pager_free(cm->chm_commit, cm->chm_pages.rfl_refs[i]);
    return rc;
}

/* ---- who refers to it ---------------------------------------------------------------------------------------------- */

static bool refers(const chain_moving *cm, const page_entry *e)
{
    return e->overflow && overflow_first(e->value).page == cm->chm_old.page
        && key_compare(e->key, e->key_size, cm->chm_key, cm->chm_key_size) == 0;
}

/* Makes the entries of a copy of a leaf that refer to the chain refer to the new one. anew false: only looks whether there are any. */
static int referring(chain_moving *cm, const uint8_t *page, bool anew, bool *any)
{
    page_entry *e = malloc((page_live(page) + page_dead(page) + 1) * sizeof *e);
    int rc = e ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to move a large value");
    size_t n = rc ? 0 : page_entries(page, e);

    *any = false;
    for (size_t i = 0; i < n; i++) {
        if (!refers(cm, &e[i]))
            continue;
        *any = true;
        if (anew) {
            uint8_t *pointer = (uint8_t *)(uintptr_t)e[i].value;
            store64(pointer + 8, cm->chm_new.page);
            store32(pointer + 16, cm->chm_new.tag);
        }
    }
    free(e);
    return rc;
}

static int note_leaf(void *arg, page_ref ref, bool history, const uint8_t *page)
{
    chain_moving *cm = arg;
    bool any;
    int rc = referring(cm, page, false, &any);

    if (rc || !any)
        return rc;
    if (!history) {
        cm->chm_current = true;
        return EDB_OK;
    }
    cm->chm_stays = cm->chm_stays || !page_is_cold(ref.page);
    return ref_add(&cm->chm_leaves, ref);
}

/* ---- writing them anew --------------------------------------------------------------------------------------------- */

/* A copy of the leaf at ref, which refers to the new chain; *ref: where it is. */
static int leaf_write(chain_moving *cm, page_ref *ref)
{
    uint32_t size = pager_page_size(cm->chm_pager);
    uint8_t *copy = aligned_alloc(64, size);
    const uint8_t *page;
    page_ref old = *ref;
    uint64_t at;
    bool any;
    int rc = copy ? pager_page(cm->chm_pager, pager_get_view(cm->chm_pager), *ref, PAGE_LEAF, &page)
                  : edb_fail(EDB_NOMEM, "no memory to move a large value");

    if (!rc) {
        memcpy(copy, page, size);
        rc = referring(cm, copy, true, &any);
    }
    if (!rc)
        rc = pager_alloc(cm->chm_commit, &at);
    if (!rc)
        rc = pager_free(cm->chm_commit, old);
    if (!rc)
        rc = pager_write(cm->chm_commit, at, copy, ref);
    free(copy);
    return rc;
}

static int history_write(chain_moving *cm, page_ref id)
{
    uint64_t index = id.page - COLD_FIRST;
    cold_element ce;
    int rc = cold_get(cm->chm_pager, pager_commit_cold(cm->chm_commit), index, &ce);

    if (!rc)
        rc = leaf_write(cm, &ce.cel_ref);
    return rc ? rc : cold_set(cm->chm_commit, index, &ce);
}

/* The element of the chain itself, if its version has ended. */
static int element_write(chain_moving *cm)
{
    const cold_state *cd = pager_commit_cold(cm->chm_commit);
    const page_map_entry *at = page_map_find(&cm->chm_elements->ces_index, cm->chm_old.page);
    cold_element ce;

    if (!at || at->pme_value < cd->cd_first)
        return EDB_OK;
    uint64_t index = at->pme_value;
    int rc = cold_get(cm->chm_pager, cd, index, &ce);
    if (rc || ce.cel_kind != COLD_CHAIN || ce.cel_ref.page != cm->chm_old.page)
        return rc;
    ce.cel_ref = cm->chm_new;
    rc = cold_set(cm->chm_commit, index, &ce);
    return rc ? rc : element_note(cm->chm_elements, cm->chm_new.page, index);
}

/* The way down to the current leaf of the key, written anew. */
static int path_write(chain_moving *cm, page_ref *ref, unsigned above)
{
    uint32_t size = pager_page_size(cm->chm_pager);
    const uint8_t *page, *key;
    uint32_t key_size;
    int rc = node_open(cm->chm_pager, pager_get_view(cm->chm_pager), &cm->chm_reading, *ref, above, &page);

    if (rc || page_is_leaf(page))
        return rc ? rc : leaf_write(cm, ref);
    unsigned at = page_search(page, page_live_slots(page), page_live(page), 1, cm->chm_key, cm->chm_key_size, true);
    const uint8_t *cell = page + slot_offset(page_live_slots(page)[at - (at > 0)]);
    size_t offset = (size_t)(cell_key(cell, cm->chm_state->ts_key_size, &key, &key_size) - page);
    page_ref child = { load40(page + offset), load32(page + offset + 5) };
    if ((rc = path_write(cm, &child, page_level(page))))
        return rc;
    uint8_t *copy = aligned_alloc(64, size);
    uint64_t to;
    if (!copy)
        return edb_fail(EDB_NOMEM, "no memory to move a large value");
    memcpy(copy, page, size);
    store40(copy + offset, child.page);
    store32(copy + offset + 5, child.tag);
    rc = pager_alloc(cm->chm_commit, &to);
    if (!rc)
        rc = pager_free(cm->chm_commit, *ref);
    if (!rc)
        rc = pager_write(cm->chm_commit, to, copy, ref);
    free(copy);
    return rc;
}

static int all_write(chain_moving *cm)
{
    int rc = chain_write(cm);

    for (size_t i = 0; !rc && i < cm->chm_leaves.rfl_n; i++)
        rc = history_write(cm, cm->chm_leaves.rfl_refs[i]);
    if (!rc && cm->chm_current)
        rc = path_write(cm, &cm->chm_state->ts_root, LEVEL_ANY);
    if (!rc)
        rc = element_write(cm);
    return rc ? rc : chain_free(cm);
}

/* ---- one chain ----------------------------------------------------------------------------------------------------- */

/* Moves the chain of a version, if a page of it lies behind the cut and it can be moved. */
static int chain_move(chain_moving *cm, page_moving *mv, bool *moved)
{
    size_t before;
    bool room;
    int rc = chain_pages(cm->chm_pager, cm->chm_old, mv->mov_cut, &cm->chm_pages, &before);

    if (rc || before == cm->chm_pages.rfl_n)
        return rc;
    if ((rc = tree_leaves_of_key(cm->chm_pager, &cm->chm_reading, cm->chm_key, cm->chm_key_size, note_leaf, cm)))
        return rc;
    if (cm->chm_stays || !mv->mov_left) {
        mv->mov_whole = false;
        return EDB_OK;
    }
    if ((rc = move_room(cm->chm_commit, mv, cm->chm_pages.rfl_n, before, &room)) || !room)
        return rc;
    uint64_t written = cm->chm_pages.rfl_n + cm->chm_leaves.rfl_n;
    mv->mov_left -= written < mv->mov_left ? written : mv->mov_left;
    mv->mov_moved += written;
    *moved = true;
    return all_write(cm);
}

/* The key is copied: the page it stands in may be written over as soon as it is written anew. */
static int entry_move(pager_commit *pc, tree_state *state, chain_elements *ces, const page_entry *e, page_moving *mv, bool *moved)
{
    chain_moving cm = { .chm_commit = pc, .chm_pager = pager_commit_pager(pc), .chm_state = state, .chm_reading = *state,
                        .chm_elements = ces, .chm_key_size = e->key_size, .chm_old = overflow_first(e->value) };
    uint8_t *key = malloc(e->key_size + 1);

    if (!key)
        return edb_fail(EDB_NOMEM, "no memory to move a large value");
    memcpy(key, e->key, e->key_size);
    cm.chm_key = key;
    cm.chm_reading.ts_cold = *pager_commit_cold(pc);
    int rc = chain_move(&cm, mv, moved);
    free(cm.chm_pages.rfl_refs);
    free(cm.chm_leaves.rfl_refs);
    free(key);
    return rc;
}

/* Whether an element that is kept stands for the chain. */
static int element_there(pager_commit *pc, const chain_elements *ces, page_ref chain, bool *out)
{
    const cold_state *cd = pager_commit_cold(pc);
    const page_map_entry *at = page_map_find(&ces->ces_index, chain.page);
    cold_element ce;

    *out = false;
    if (!at || at->pme_value < cd->cd_first)
        return EDB_OK;
    int rc = cold_get(pager_commit_pager(pc), cd, at->pme_value, &ce);
    *out = !rc && ce.cel_kind == COLD_CHAIN && ce.cel_ref.page == chain.page && ce.cel_ref.tag == chain.tag;
    return rc;
}

/* The chain of a version that ended before the horizon may be gone, if its element is. */
static int chain_there(pager_commit *pc, const chain_elements *ces, const page_entry *e, size_t i, bool *out)
{
    *out = e[i].overflow && (e[i].newest || e[i - 1].from > pager_commit_base(pc)->sn_horizon);
    return *out || !e[i].overflow ? EDB_OK : element_there(pc, ces, overflow_first(e[i].value), out);
}

int tree_chains_of_leaf(pager_commit *pc, tree_state *state, chain_elements *ces, const uint8_t *leaf, page_moving *mv,
                        bool *moved)
{
    page_entry *e = malloc((page_live(leaf) + page_dead(leaf) + 1) * sizeof *e);
    int rc = e ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to move a large value");
    size_t n = rc ? 0 : page_entries(leaf, e);

    *moved = false;
    for (size_t i = 0; !rc && !*moved && i < n; i++) {
        bool there;
        rc = chain_there(pc, ces, e, i, &there);
        if (!rc && there)
            rc = entry_move(pc, state, ces, &e[i], mv, moved);
    }
    free(e);
    return rc;
}

/* ---- the current leaves, one after the other ------------------------------------------------------------------------ */

/* The current leaf that answers for the key; NULL: the range is empty. *end: where its range ends, in the map; NULL: nowhere. */
static int leaf_at(pager *pg, const tree_state *state, const leaf_place *place, const uint8_t **leaf, const uint8_t **end,
                   uint32_t *end_size)
{
    page_ref ref = state->ts_root;
    unsigned above = LEVEL_ANY;

    *leaf = *end = NULL;
    while (ref.page) {
        const uint8_t *page;
        int rc = node_open(pg, pager_get_view(pg), state, ref, above, &page);
        if (rc)
            return rc;
        if (page_is_leaf(page)) {
            *leaf = page;
            return EDB_OK;
        }
        const uint64_t *slots = page_live_slots(page);
        unsigned live = page_live(page), at = page_search(page, slots, live, 1, place->lfp_key, place->lfp_size, true);
        if (at < live)
            cell_key(page + slot_offset(slots[at]), state->ts_key_size, end, end_size);
        ref = cell_child(page + slot_offset(slots[at - (at > 0)]), state->ts_key_size);
        above = page_level(page);
    }
    return EDB_OK;
}

int tree_chains_move(pager_commit *pc, tree_state *state, chain_elements *ces, page_moving *mv, leaf_place *place)
{
    pager *pg = pager_commit_pager(pc);
    int rc = EDB_OK;

    if (!place->lfp_size && state->ts_key_size)
        place->lfp_size = state->ts_key_size;           /* the lowest key */
    while (!rc && mv->mov_left && place->lfp_leaves) {
        const uint8_t *leaf, *end;
        uint32_t end_size = 0;
        bool moved = false;
        rc = leaf_at(pg, state, place, &leaf, &end, &end_size);
        if (!rc && leaf)
            rc = tree_chains_of_leaf(pc, state, ces, leaf, mv, &moved);
        if (rc || moved)
            continue;                                   /* the leaf is another page now */
        place->lfp_leaves--;
        place->lfp_done = !end;
        if (place->lfp_done)
            break;
        memcpy(place->lfp_key, end, end_size);
        place->lfp_size = end_size;
    }
    return rc;
}
