/* The versions of one key, from the newest back.
 *
 * At a moment a leaf knows of a key the newest entry begun at or before it, be it a version or a tombstone. Where it knows
 * none, an earlier leaf may: tombstones do not stay in a leaf that is split by time. So the way down also tells since when the
 * leaf answers, and what was before is looked for at the moment before that, but not before the horizon. */
#include "engine/tree/page.h"
#include "engine/tree/tree.h"

/* The newest entry of the key begun at or before the moment. */
static bool leaf_newest(const uint8_t *leaf, uint64_t moment, const void *key, size_t key_size, tree_version *out,
                        bool *tombstone)
{
    unsigned fixed = load16(leaf + TP_KEY_SIZE), n = page_live(leaf);
    const uint64_t *slots = page_live_slots(leaf), *old = page_dead_slots(leaf);
    unsigned i = page_search(leaf, slots, n, 1, key, key_size, false);

    *tombstone = false;
    if (i < n && slot_from(slots[i]) <= moment) {
        cell_leaf(leaf + slot_offset(slots[i]), fixed, out);
        out->from = slot_from(slots[i]);
        if (out->key_size == key_size && memcmp(out->key, key, key_size) == 0)
            return true;
    }
    n = page_dead(leaf);
    for (i = page_search(leaf, old, n, 2, key, key_size, false); i < n; i++) {
        cell_leaf(leaf + slot_offset(old[2 * i]), fixed, out);
        if (out->key_size != key_size || memcmp(out->key, key, key_size) != 0)
            return false;
        out->from = slot_from(old[2 * i]);
        *tombstone = dead_is_tombstone(old + 2 * i);
        if (out->from <= moment)
            return true;
    }
    return false;
}

int tree_version_at(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size,
                    tree_version *out, bool *found, uint64_t *begun)
{
    const pager_view *view = pager_get_view(pg);
    unsigned above = LEVEL_ANY;
    page_ref ref;
    bool tombstone;
    int rc;

    *found = false;
    *begun = 0;
    if (moment < state->ts_horizon)         /* nothing is known of it */
        return EDB_OK;
    rc = tree_root_at(pg, state, moment, &ref, begun);
    while (rc == EDB_OK && ref.page) {
        const uint8_t *page;
        if ((rc = node_open(pg, view, state, ref, above, &page)))
            return rc;
        if (page_is_leaf(page)) {
            *found = leaf_newest(page, moment, key, key_size, out, &tombstone);
            if (*found)
                *begun = out->from;
            *found &= !tombstone;
            return EDB_OK;
        }
        page_walk w;
        if (!walk_find(&w, page, moment, key, key_size))
            return EDB_OK;
        if (w.pw_from > *begun)
            *begun = w.pw_from;
        ref = cell_child(page + w.pw_offset, load16(page + TP_KEY_SIZE));
        above = page_level(page);
    }
    return rc;
}
