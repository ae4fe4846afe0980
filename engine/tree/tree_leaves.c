/* The leaves that a key has ever been in.
 *
 * At a moment one leaf answers for a key; over all moments it is one for each span of time between splits. They are found from
 * every root, by following, in each node, what answered for the key from the newest entry back to the oldest: the largest
 * separator that is not behind the key, then, for the time before that separator was there, the one before it, and so on. A page is
 * entered once, though several lead to it. What was pruned is not followed.
 *
 * Memory: the entries of one node a level, and 48 bytes for each node met. */
#include <stdlib.h>

#include "engine/pager/cold.h"
#include "engine/tree/tree_leaves.h"

typedef struct {
    pager *lvs_pager;
    const pager_view *lvs_view;
    const tree_state *lvs_state;
    const uint8_t *lvs_key;
    uint32_t lvs_key_size;
    tree_leaf_fn lvs_fn;
    void *lvs_arg;
    page_map lvs_seen;
} leaves;

static int visit(leaves *lv, page_ref ref, unsigned above, bool history);

/* The children that answered for the key, of entries sorted by key, of each the newest first; end: behind the last that is not
 * behind the key. */
static int visit_children(leaves *lv, const page_entry *e, size_t end, unsigned level, uint64_t oldest, bool history)
{
    uint64_t high = UINT64_MAX;
    bool nearest = true;
    int rc = EDB_OK;

    while (!rc && end > 0 && high > oldest) {
        size_t first = end - 1, last = end;
        while (first > 0 && !e[first].newest)
            first--;
        for (size_t i = first; !rc && i < last; i++) {
            bool current = !history && e[i].newest;
            if (e[i].from < high && e[i].child.page && (nearest || !current))
                rc = visit(lv, e[i].child, level, !current);
        }
        high = e[last - 1].from < high ? e[last - 1].from : high;
        nearest = false;
        end = first;
    }
    return rc;
}

static int visit_node(leaves *lv, const uint8_t *page, bool history)
{
    size_t n = page_live(page) + page_dead(page), end = 0;
    page_entry *e = malloc((n + 1) * sizeof *e);

    if (!e)
        return edb_fail(EDB_NOMEM, "no memory for the pages of a key");
    n = page_entries(page, e);
    while (end < n && key_compare(e[end].key, e[end].key_size, lv->lvs_key, lv->lvs_key_size) <= 0)
        end++;
    int rc = visit_children(lv, e, end, page_level(page), load64(page + TP_OLDEST), history);
    free(e);
    return rc;
}

static bool leaf_has(const leaves *lv, const uint8_t *page)
{
    unsigned live = page_live(page), dead = page_dead(page);
    const uint64_t *slots[2] = { page_live_slots(page), page_dead_slots(page) };

    for (unsigned i = 0; i < 2; i++) {
        unsigned n = i ? dead : live, stride = i + 1;
        unsigned at = page_search(page, slots[i], n, stride, lv->lvs_key, lv->lvs_key_size, false);
        if (at < n && page_search(page, slots[i], n, stride, lv->lvs_key, lv->lvs_key_size, true) > at)
            return true;
    }
    return false;
}

static int visit(leaves *lv, page_ref ref, unsigned above, bool history)
{
    const uint8_t *page;
    page_map_entry *seen;

    if (page_is_cold(ref.page) && ref.page - COLD_FIRST < lv->lvs_state->ts_cold.cd_first)
        return EDB_OK;
    uint64_t before = lv->lvs_seen.pmp_used;
    int rc = page_map_put(&lv->lvs_seen, ref.page, &seen);
    if (rc || lv->lvs_seen.pmp_used == before)
        return rc;
    uint64_t held = 0;
    rc = node_open_held(lv->lvs_pager, lv->lvs_view, lv->lvs_state, ref, above, &page, &held);
    if (rc)
        return rc;
    if (!page_is_leaf(page))
        rc = visit_node(lv, page, history);
    else if (leaf_has(lv, page))
        rc = lv->lvs_fn(lv->lvs_arg, ref, history, page);
    cold_leave(&lv->lvs_state->ts_cold, held);
    return rc;
}

int tree_leaves_of_key(pager *pg, const tree_state *state, const uint8_t *key, uint32_t key_size, tree_leaf_fn fn, void *arg)
{
    leaves lv = { pg, pager_get_view(pg), state, key, key_size, fn, arg, { 0 } };
    int rc = visit(&lv, state->ts_root, LEVEL_ANY, false);

    for (uint32_t i = 0; !rc && i < state->ts_n_recent; i++)
        rc = visit(&lv, state->ts_recent[i].root, LEVEL_ANY, true);
    for (uint64_t i = 0; !rc && i < state->ts_roots.ar_count; i++) {
        const uint8_t *element;
        rc = array_get(pg, &state->ts_roots, TREE_ROOT_SIZE, i, &element);
        if (!rc)
            rc = visit(&lv, (page_ref){ load64(element + 8), load32(element + 16) }, LEVEL_ANY, true);
    }
    page_map_free(&lv.lvs_seen);
    return rc;
}
