/* Which of some ascending keys a tree has at a moment.
 *
 * Asked for one after the other, each key waits for memory three times where nothing is in the caches: for the leaf, for a
 * place in its directory, for the entry there. Here all keys take each of these steps together, so the processor fetches what
 * they need at the same time (Chen, Ailamaki, Gibbons and Mowry, "Improving hash join performance through prefetching", ICDE
 * 2004). Keys that share a node go through it together, too: each is compared with the separator behind the one before. */
#include "engine/tree/leaf_search.h"

typedef enum {
    NODE_LEAF, NODE_ABOVE,          /* the moment sees the first directory, and that has entries */
    NODE_OLD_LEAF, NODE_OLD_ABOVE,  /* not so */
} node_kind;

typedef struct {                    /* keys first .. end (excluded) that one node answers for */
    page_ref nk_ref;
    const uint8_t *nk_page;
    unsigned nk_above;              /* the level of the node above */
    unsigned nk_first, nk_end;
    leaf_key nk_low, nk_high;       /* the separators around it; NULL: not known */
    node_kind nk_kind;
} node_keys;

typedef struct {
    pager *whi_pager;
    const pager_view *whi_view;
    const tree_state *whi_state;
    uint64_t whi_moment;
    const uint8_t *whi_keys;
    unsigned whi_key_size, whi_tree_key_size;
    bool *whi_found;
    node_keys *whi_nodes, *whi_below; /* of this round and of the next: WHICH_MOST each */
    unsigned whi_n, whi_n_below;
    int whi_at[WHICH_MOST];          /* of each key: about where in its leaf it is */
} which;

static inline leaf_key asked(const which *wh, unsigned i)
{
    return (leaf_key){ wh->whi_keys + (size_t)i * wh->whi_key_size, wh->whi_key_size };
}

static inline leaf_slots slots_of(const which *wh, const uint8_t *leaf)
{
    return (leaf_slots){ leaf, page_live_slots(leaf), wh->whi_tree_key_size };
}

static void fetch_node(const which *wh, page_ref ref)
{
    const pager_view *view = wh->whi_view;

    if (ref.page >= view->verified_pages)
        return;
    __builtin_prefetch((const void *)&view->verified[ref.page]);
    __builtin_prefetch(view->map + (ref.page << view->page_shift) + TP_LIVE);
}

/* How many keys from `first` on lie before `high`, and a place among the nodes of the next round for the child that they belong
 * to. -> the key behind them. */
static inline unsigned add_child(which *wh, const node_keys *above, page_ref ref, leaf_key low, leaf_key high, unsigned first)
{
    unsigned end = first + 1;

    if (!high.key || (page_level(above->nk_page) > 1 && key_before(asked(wh, above->nk_end - 1), high)))
        end = above->nk_end;        /* far above the leaves mostly all are */
    while (end < above->nk_end && key_before(asked(wh, end), high))
        end++;
    if (!ref.page)
        return end;                 /* nothing lives in the range */
    fetch_node(wh, ref);
    wh->whi_below[wh->whi_n_below++] = (node_keys){ ref, NULL, page_level(above->nk_page), first, end, low, high, NODE_LEAF };
    return end;
}

/* Through a node that the moment sees the first directory of. */
static void go_through(which *wh, const node_keys *node)
{
    leaf_slots in = slots_of(wh, node->nk_page);
    int n = (int)page_live(node->nk_page), at = 0;      /* the first separator behind the key */

    for (unsigned i = node->nk_first; i < node->nk_end;) {
        leaf_key key = asked(wh, i);
        for (int near = at + 3; at < n && at < near && !key_before(key, leaf_key_at(in, at)); at++)
            ;
        if (at < n && !key_before(key, leaf_key_at(in, at)))
            at = leaf_bound(in, at, n, key.key, key.size, true);
        if (!at) {
            i++;                    /* nothing was ever here up to the key */
            continue;
        }
        page_ref child = cell_child(in.lsl_page + slot_offset(in.lsl_slots[at - 1]), in.lsl_fixed);
        i = add_child(wh, node, child, leaf_key_at(in, at - 1), at < n ? leaf_key_at(in, at) : node->nk_high, i);
    }
}

/* Through one that has been changed since. */
static void go_back_through(which *wh, const node_keys *node)
{
    for (unsigned i = node->nk_first; i < node->nk_end;) {
        leaf_key key = asked(wh, i), low, high = node->nk_high;
        page_walk w;
        if (!walk_find(&w, node->nk_page, wh->whi_moment, key.key, key.size)) {
            i++;                    /* nothing was here up to the key */
            continue;
        }
        page_ref child = cell_child(w.pw_page + w.pw_offset, wh->whi_tree_key_size);
        low = walk_key(&w);
        if (walk_next(&w))
            high = walk_key(&w);
        i = add_child(wh, node, child, low, high, i);
    }
}

static void guess(which *wh, const node_keys *node)
{
    leaf_slots in = slots_of(wh, node->nk_page);

    for (unsigned i = node->nk_first; i < node->nk_end; i++) {
        wh->whi_at[i] = leaf_guess(0, (int)page_live(node->nk_page), node->nk_low, asked(wh, i), node->nk_high, false);
        __builtin_prefetch(&in.lsl_slots[wh->whi_at[i]]);
    }
}

static void fetch_entries(const which *wh, const node_keys *node)
{
    leaf_slots in = slots_of(wh, node->nk_page);

    for (unsigned i = node->nk_first; i < node->nk_end; i++)
        __builtin_prefetch(in.lsl_page + slot_offset(in.lsl_slots[wh->whi_at[i]]));
}

static void look(which *wh, const node_keys *node)
{
    leaf_slots in = slots_of(wh, node->nk_page);
    int n = (int)page_live(node->nk_page);

    for (unsigned i = node->nk_first; i < node->nk_end; i++) {
        leaf_key key = asked(wh, i);
        leaf_key there = leaf_key_at(in, wh->whi_at[i]);
        if (!(wh->whi_found[i] = !key_compare(there.key, there.size, key.key, key.size))) {
            int at = leaf_leap(in, 0, n, key, wh->whi_at[i]);
            wh->whi_found[i] = at < n && !key_before(key, leaf_key_at(in, at));
        }
    }
}

static void look_back(which *wh, const node_keys *node)
{
    tree_version version;
    unsigned at;

    for (unsigned i = node->nk_first; i < node->nk_end; i++)
        wh->whi_found[i] = leaf_find(node->nk_page, wh->whi_moment, asked(wh, i).key, wh->whi_key_size, &at, &version);
}

/* The nodes are in the cache by now, or on their way there; what the leaves are asked for next is sent for. */
static int open_nodes(which *wh)
{
    for (node_keys *node = wh->whi_nodes; node < wh->whi_nodes + wh->whi_n; node++) {
        int rc = node_open(wh->whi_pager, wh->whi_view, wh->whi_state, node->nk_ref, node->nk_above, &node->nk_page);
        if (rc != EDB_OK)
            return rc;
        bool now = wh->whi_moment >= page_newest(node->nk_page) && page_live(node->nk_page);
        node->nk_kind = page_is_leaf(node->nk_page) ? now ? NODE_LEAF : NODE_OLD_LEAF : now ? NODE_ABOVE : NODE_OLD_ABOVE;
        if (node->nk_kind == NODE_LEAF)
            guess(wh, node);
    }
    return EDB_OK;
}

/* The leaves answer for their keys; the nodes above leaves lead on to the next round. */
static void take_nodes(which *wh)
{
    node_keys *node, *end = wh->whi_nodes + wh->whi_n;

    wh->whi_n_below = 0;
    for (node = wh->whi_nodes; node < end; node++)
        if (node->nk_kind == NODE_LEAF)
            fetch_entries(wh, node);
    for (node = wh->whi_nodes; node < end; node++)
        if (node->nk_kind == NODE_LEAF)
            look(wh, node);
        else if (node->nk_kind == NODE_OLD_LEAF)
            look_back(wh, node);
        else if (node->nk_kind == NODE_ABOVE)
            go_through(wh, node);
        else
            go_back_through(wh, node);
}

int tree_which(pager *pg, const tree_state *state, uint64_t moment, const uint8_t *keys, size_t key_size, size_t n, bool *found)
{
    node_keys rooms[2][WHICH_MOST];
    which wh;
    page_ref root;
    uint64_t since;
    int rc = tree_root_at(pg, state, moment, &root, &since);

    assert(n <= WHICH_MOST);
    memset(found, 0, n * sizeof *found);
    if (rc != EDB_OK || !root.page || !n)
        return rc;
    wh.whi_pager = pg;
    wh.whi_view = pager_get_view(pg);
    wh.whi_moment = moment;
    wh.whi_keys = keys;
    wh.whi_key_size = (unsigned)key_size;
    wh.whi_state = state;
    wh.whi_tree_key_size = state->ts_key_size;
    wh.whi_found = found;
    wh.whi_nodes = rooms[0];
    wh.whi_below = rooms[1];
    wh.whi_nodes[0] = (node_keys){ .nk_ref = root, .nk_above = LEVEL_ANY, .nk_end = (unsigned)n };
    for (wh.whi_n = 1; wh.whi_n; wh.whi_n = wh.whi_n_below) {
        if ((rc = open_nodes(&wh)) != EDB_OK)
            return rc;
        take_nodes(&wh);
        node_keys *taken = wh.whi_nodes;
        wh.whi_nodes = wh.whi_below;
        wh.whi_below = taken;
    }
    return EDB_OK;
}
