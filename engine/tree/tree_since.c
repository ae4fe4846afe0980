/* The keys that commits after a moment have written: what a set of keys that was complete then has to learn.
 *
 * No page changes while anything refers to it (I1), so a page written at or before the moment leads to nothing younger, and
 * is passed with all that is below it. Entered are the others, current or history: a version may have come and gone since,
 * and be found in a page that is history by now. A child that answered for no moment after it need not even be looked at.
 *
 * A history page may be entered by several parents; then its keys come several times. */
#include "engine/tree/page.h"

typedef struct {
    pager *kn_pager;
    const pager_view *kn_view;
    const tree_state *kn_state;
    uint64_t kn_since;
    uint64_t kn_pages, kn_most;     /* looked at; the most that may be */
    tree_key_fn kn_fn;
    void *kn_arg;
} learning;

static bool stopped(const learning *kn)
{
    return kn->kn_pages > kn->kn_most;
}

/* What ended at commit `to` answered for moments before it; at or before the horizon, it may be gone. */
static bool answered_since(const learning *kn, uint64_t to)
{
    return to > kn->kn_since + 1 && to > kn->kn_state->ts_horizon;
}

static void learn_leaf(const learning *kn, const uint8_t *leaf)
{
    unsigned fixed = kn->kn_state->ts_key_size, live = page_live(leaf), dead = page_dead(leaf);
    const uint64_t *slots = page_live_slots(leaf), *old = page_dead_slots(leaf);
    const uint8_t *key;
    uint32_t size;

    if (page_newest(leaf) <= kn->kn_since)
        return;
    for (unsigned i = 0; i < live; i++)
        if (slot_from(slots[i]) > kn->kn_since) {
            cell_key(leaf + slot_offset(slots[i]), fixed, &key, &size);
            kn->kn_fn(kn->kn_arg, key, size);
        }
    for (unsigned i = 0; i < dead; i++)
        if (slot_from(old[2 * i]) > kn->kn_since && !dead_is_tombstone(old + 2 * i)) {
            cell_key(leaf + slot_offset(old[2 * i]), fixed, &key, &size);
            kn->kn_fn(kn->kn_arg, key, size);
        }
}

static int learn_below(learning *kn, page_ref ref, unsigned above);

static int learn_children(learning *kn, const uint8_t *node)
{
    unsigned fixed = kn->kn_state->ts_key_size, live = page_live(node), dead = page_dead(node);
    const uint64_t *slots = page_live_slots(node), *old = page_dead_slots(node);
    int rc = EDB_OK;

    for (unsigned i = 0; i < live && !rc && !stopped(kn); i++)
        rc = learn_below(kn, cell_child(node + slot_offset(slots[i]), fixed), page_level(node));
    for (unsigned i = 0; i < dead && !rc && !stopped(kn); i++)
        if (answered_since(kn, dead_to(old + 2 * i)))
            rc = learn_below(kn, cell_child(node + slot_offset(old[2 * i]), fixed), page_level(node));
    return rc;
}

/* page 0: nothing lives there. */
static int learn_below(learning *kn, page_ref ref, unsigned above)
{
    const uint8_t *page;
    int rc;

    if (!ref.page)
        return EDB_OK;
    if ((rc = node_open(kn->kn_pager, kn->kn_view, kn->kn_state, ref, above, &page)))
        return rc;
    if (++kn->kn_pages > kn->kn_most || load64(page + PH_WRITER) <= kn->kn_since)
        return EDB_OK;
    if (!page_is_leaf(page))
        return learn_children(kn, page);
    learn_leaf(kn, page);
    return EDB_OK;
}

/* The roots that answered for moments after it, from the newest back. */
static int learn_roots(learning *kn)
{
    uint64_t since = kn->kn_state->ts_since, moment;
    int rc = learn_below(kn, kn->kn_state->ts_root, LEVEL_ANY);

    while (!rc && !stopped(kn) && answered_since(kn, since)) {
        page_ref root;
        moment = since - 1;
        if ((rc = tree_root_at(kn->kn_pager, kn->kn_state, moment, &root, &since)) || !root.page)
            return rc;
        if (since > moment)
            return edb_fail(EDB_CORRUPT, "%s: the roots of tree %u do not ascend in time; restore a backup",
                            pager_name(kn->kn_pager), kn->kn_state->ts_id);
        rc = learn_below(kn, root, LEVEL_ANY);
    }
    return rc;
}

int tree_keys_since(pager *pg, const tree_state *state, uint64_t since, uint64_t most_pages, tree_key_fn fn, void *arg,
                    uint64_t *pages, bool *whole)
{
    learning kn = { .kn_pager = pg, .kn_view = pager_get_view(pg), .kn_state = state, .kn_since = since,
                    .kn_most = most_pages, .kn_fn = fn, .kn_arg = arg };
    int rc = state->ts_changed <= since ? EDB_OK : learn_roots(&kn);

    *pages = kn.kn_pages;
    *whole = !rc && !stopped(&kn);
    return rc;
}
