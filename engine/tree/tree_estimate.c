/* Estimates of the newest state, for plans: how many entries lie in a range, and entries met at random.
 *
 * A range is measured by two ways down, one to each of its ends. Where both end in one leaf its slots say the number
 * exactly. Where few children lie between the ways, the pages passed say how full their neighbours are about. Else the
 * number is a share of all entries, children counting as equally heavy, whose error is small beside so many. */
#include "engine/tree/page.h"

typedef struct {                    /* a way down: at each level the child taken (in the leaf: the slot), of how many */
    int wy_depth;
    unsigned wy_at[TREE_DEPTH + 1], wy_of[TREE_DEPTH + 1];
} way;

enum { FEW_BETWEEN = 8 };

/* key NULL: before the first entry, or behind the last. */
static unsigned place_of(const uint8_t *page, const void *key, size_t key_size, bool behind)
{
    unsigned n = page_live(page);

    if (!key)
        return behind ? n : 0;
    return page_search(page, page_live_slots(page), n, 1, key, key_size, !page_is_leaf(page));
}

static int go(pager *pg, const tree_state *state, const void *key, size_t key_size, bool behind, way *out)
{
    const pager_view *view = pager_get_view(pg);
    page_ref ref = state->ts_root;

    out->wy_depth = 0;
    for (unsigned above = LEVEL_ANY; ref.page && out->wy_depth <= TREE_DEPTH;) {
        const uint8_t *page;
        int rc = node_open(pg, view, state, ref, above, &page);
        if (rc != EDB_OK)
            return rc;
        unsigned n = page_live(page), i = place_of(page, key, key_size, behind);
        bool leaf = page_is_leaf(page);
        if (!leaf)
            i -= i > 0;
        out->wy_at[out->wy_depth] = i;
        out->wy_of[out->wy_depth++] = n;
        if (leaf || n == 0)
            break;
        above = page_level(page);
        ref = cell_child(page + slot_offset(page_live_slots(page)[i]), load16(page + TP_KEY_SIZE));
    }
    return EDB_OK;
}

/* Where the way ends, as a share of the tree between 0 and 1. */
static double share(const way *w)
{
    double at = 0, width = 1;

    for (int d = 0; d < w->wy_depth && w->wy_of[d]; d++) {
        at += width * w->wy_at[d] / w->wy_of[d];
        width /= w->wy_of[d];
    }
    return at;
}

/* Entries between two ways that part at level d with few children between, by how full the pages passed are. */
static double between(const way *low, const way *high, int d)
{
    double entries = 0, weight = 1;     /* weight: entries below a child of the level */
    int leaf = low->wy_depth - 1;

    for (int level = leaf; level > d; level--) {
        unsigned below = low->wy_of[level] - low->wy_at[level] - (level < leaf);
        entries += weight * (below + high->wy_at[level]);
        weight *= (low->wy_of[level] + high->wy_of[level]) / 2.0;
    }
    return entries + weight * (high->wy_at[d] - low->wy_at[d] - 1);
}

int tree_estimate(pager *pg, const tree_state *state, const void *low, size_t low_size, const void *high,
                  size_t high_size, uint64_t *out)
{
    way from, to;
    int d = 0, rc;

    *out = state->ts_live;
    if (!low && !high)
        return EDB_OK;
    if ((rc = go(pg, state, low, low_size, false, &from)) || (rc = go(pg, state, high, high_size, true, &to)))
        return rc;
    while (d < from.wy_depth && d < to.wy_depth && from.wy_at[d] == to.wy_at[d])
        d++;
    *out = 0;
    if (d == from.wy_depth || d == to.wy_depth || from.wy_at[d] > to.wy_at[d])
        return EDB_OK;
    double entries;
    if (d == from.wy_depth - 1)
        entries = to.wy_at[d] - from.wy_at[d];
    else if (from.wy_depth == to.wy_depth && to.wy_at[d] - from.wy_at[d] < FEW_BETWEEN)
        entries = between(&from, &to, d);
    else
        entries = (share(&to) - share(&from)) * (double)state->ts_live;
    if (entries > (double)state->ts_live)
        entries = (double)state->ts_live;
    *out = entries > 0 ? (uint64_t)(entries + 0.5) : 0;
    return EDB_OK;
}

/* Goes to the node of a level at a place, and to one of its entries; *page NULL: there is none. */
static int go_random(pager *pg, const tree_state *state, uint64_t random, unsigned level, const uint8_t **page, unsigned *at)
{
    const pager_view *view = pager_get_view(pg);
    page_ref ref = state->ts_root;
    double place = (double)(random >> 11) * 0x1p-53;        /* in [0, 1), within the node at hand */

    *page = NULL;
    for (unsigned above = LEVEL_ANY; ref.page; above = page_level(*page)) {
        int rc = node_open(pg, view, state, ref, above, page);
        if (rc != EDB_OK)
            return rc;
        unsigned n = page_live(*page);
        if (n == 0 || page_level(*page) < level)
            break;
        *at = (unsigned)(place * n);
        if (page_level(*page) == level)
            return EDB_OK;
        place = place * n - *at;
        ref = cell_child(*page + slot_offset(page_live_slots(*page)[*at]), load16(*page + TP_KEY_SIZE));
    }
    *page = NULL;
    return EDB_OK;
}

static void read_entry(const uint8_t *page, unsigned at, tree_version *out)
{
    uint64_t word = page_live_slots(page)[at];

    cell_leaf(page + slot_offset(word), load16(page + TP_KEY_SIZE), out);
    out->from = slot_from(word);
}

int tree_sample(pager *pg, const tree_state *state, uint64_t random, tree_version *out, bool *found)
{
    const uint8_t *page;
    unsigned at;
    int rc = go_random(pg, state, random, 0, &page, &at);

    *found = page != NULL;
    if (rc == EDB_OK && page)
        read_entry(page, at, out);
    return rc;
}

int tree_sample_middle(pager *pg, const tree_state *state, uint64_t random, int behind, tree_version *out, bool *found)
{
    const uint8_t *page;
    unsigned at;
    int rc = go_random(pg, state, random, 0, &page, &at);

    *found = page != NULL;
    if (rc == EDB_OK && page) {
        int last = (int)page_live(page) - 1, wanted = last / 2 + behind;
        read_entry(page, (unsigned)(wanted < 0 ? 0 : wanted > last ? last : wanted), out);
    }
    return rc;
}

int tree_sample_leaf(pager *pg, const tree_state *state, uint64_t random, leaf_bounds *out, bool *found)
{
    const uint8_t *page;
    unsigned at;
    int rc = go_random(pg, state, random, 1, &page, &at);

    *found = rc == EDB_OK && page && at + 1 < page_live(page);
    if (*found) {
        const uint64_t *slots = page_live_slots(page) + at;
        unsigned fixed = load16(page + TP_KEY_SIZE);
        cell_key(page + slot_offset(slots[0]), fixed, &out->lfb_low, &out->lfb_low_size);
        cell_key(page + slot_offset(slots[1]), fixed, &out->lfb_high, &out->lfb_high_size);
    }
    return rc;
}
