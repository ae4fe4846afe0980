/* Moving a tree towards the front of the file, for compaction.
 *
 * A current page is referred to once, by its parent, so it is moved by writing it elsewhere, and all above it: no entry
 * changes. Leaves are not looked at: where they lie, their parents say. History is moved by the list of cold ids
 * (cold_move), and what it refers to by number stands below.
 *
 * Large values stand in chains of pages, which all copies of a version share, those in history too. So a chain is moved
 * together with every leaf that refers to it: they are the leaves that its key has ever been in (tree_pages_of_key). */
#include <stdlib.h>

#include "engine/pager/array.h"
#include "engine/pager/cold.h"
#include "engine/tree/page.h"

typedef struct {
    pager_commit *tmv_commit;
    pager *tmv_pager;
    tree_state *tmv_state;
    page_moving *tmv_moving;
} tree_moving;

static int node_move(tree_moving *tm, page_ref *ref, unsigned above);

static int children_move(tree_moving *tm, uint8_t *page, bool *changed)
{
    unsigned fixed = tm->tmv_state->ts_key_size;
    const uint64_t *slots = page_live_slots(page);
    int rc = EDB_OK;

    for (unsigned i = 0; !rc && i < page_live(page); i++) {
        const uint8_t *key;
        uint32_t key_size;
        uint8_t *at = page + (cell_key(page + slot_offset(slots[i]), fixed, &key, &key_size) - page);
        page_ref child = { load40(at), load32(at + 5) }, before = child;
        if (!child.page || page_is_cold(child.page))
            continue;
        rc = node_move(tm, &child, page_level(page));
        *changed = *changed || child.page != before.page;
        store40(at, child.page);
        store32(at + 5, child.tag);
    }
    return rc;
}

static int node_move(tree_moving *tm, page_ref *ref, unsigned above)
{
    page_moving *mv = tm->tmv_moving;
    uint32_t size = pager_page_size(tm->tmv_pager);
    const uint8_t *page;
    bool changed = false;

    if (above == 1 && (ref->page < mv->mov_cut || !mv->mov_left)) {
        mv->mov_whole = mv->mov_whole && ref->page < mv->mov_cut;
        return EDB_OK;
    }
    int rc = node_open(tm->tmv_pager, pager_get_view(tm->tmv_pager), tm->tmv_state, *ref, above, &page);
    if (rc)
        return rc;
    uint8_t *copy = aligned_alloc(64, size);
    if (!copy)
        return edb_fail(EDB_NOMEM, "no memory to move a page");
    memcpy(copy, page, size);
    if (!page_is_leaf(copy))
        rc = children_move(tm, copy, &changed);
    if (!rc)
        rc = page_move(tm->tmv_commit, mv, ref, copy, changed);
    free(copy);
    return rc;
}

int tree_move(pager_commit *pc, tree_state *state, page_moving *mv)
{
    tree_moving tm = { pc, pager_commit_pager(pc), state, mv };
    int rc = node_move(&tm, &state->ts_root, LEVEL_ANY);

    return rc ? rc : array_move(pc, &state->ts_roots, mv);
}
