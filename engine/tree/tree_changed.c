/* Whether a range of keys changed since a moment T: what COMMIT asks for a SERIALIZABLE transaction.
 *
 * Walked is the newest tree, and of it only what commits after T have written. A current page answers for its range from
 * its `born` on, the `from` of its parent's entry. So, with the commit that wrote it in its header:
 *
 *     born <= T, written <= T      nothing below it was written since: T and now see the same
 *     born <= T, written later     a leaf holds every version made since; a node has such children
 *     born > T                     what T saw lies in a page that is history now
 *
 * Where a leaf holds a version younger than T in the range, or what T saw lies elsewhere, both views are walked side by
 * side: key by key the same versions, or changed. Only that decides, so a row that came and went is no change, and a row
 * that was deleted is one, whether its tombstone is in the page, in history, or in no page at all. */
#include <stdlib.h>

#include "engine/tree/page.h"

typedef struct {
    pager *cg_pager;
    const pager_view *cg_view;
    const tree_state *cg_state;
    uint64_t cg_moment;
    bool cg_keys_alone;
    bool cg_open;                   /* the cursors are */
    tree_cursor cg_then, cg_now;
} comparison;

typedef struct {                    /* high NULL: no upper end */
    const uint8_t *low, *high;
    size_t low_size, high_size;
} key_span;

static bool before_end(const key_span *in, const uint8_t *key, size_t size)
{
    return !in->high || key_compare(key, size, in->high, in->high_size) < 0;
}

static bool same_version(const comparison *cg, const tree_version *a, const tree_version *b)
{
    return (a->from == b->from || cg->cg_keys_alone) && a->key_size == b->key_size && !memcmp(a->key, b->key, a->key_size);
}

static bool in_span(const tree_cursor *tc, const key_span *in)
{
    return tc->tc_valid && before_end(in, tc->tc_at.key, tc->tc_at.key_size);
}

/* Both views of the span, side by side. */
static int compare_views(comparison *cg, const key_span *in, bool *changed)
{
    tree_cursor *then = &cg->cg_then, *now = &cg->cg_now;
    int rc = EDB_OK;

    if (!cg->cg_open) {
        if ((rc = tree_cursor_open(then, cg->cg_pager, cg->cg_state, cg->cg_moment)))
            return rc;
        if ((rc = tree_cursor_open(now, cg->cg_pager, cg->cg_state, FOREVER))) {
            tree_cursor_close(then);
            return rc;
        }
        cg->cg_open = true;
    }
    if ((rc = tree_cursor_seek(then, in->low, in->low_size)) || (rc = tree_cursor_seek(now, in->low, in->low_size)))
        return rc;
    for (;;) {
        bool more = in_span(then, in);
        if (more != in_span(now, in) || (more && !same_version(cg, &then->tc_at, &now->tc_at))) {
            *changed = true;
            return EDB_OK;
        }
        if (!more)
            return EDB_OK;
        if ((rc = tree_cursor_next(then)) || (rc = tree_cursor_next(now)))
            return rc;
    }
}

/* Whether the leaf holds a version younger than the moment in the span. */
static bool leaf_has_younger(const comparison *cg, const uint8_t *leaf, const key_span *in)
{
    unsigned fixed = load16(leaf + TP_KEY_SIZE), live = page_live(leaf), dead = page_dead(leaf);
    const uint64_t *slots = page_live_slots(leaf), *old = page_dead_slots(leaf);
    const uint8_t *key;
    uint32_t size;

    if (page_newest(leaf) <= cg->cg_moment)
        return false;
    for (unsigned i = page_search(leaf, slots, live, 1, in->low, in->low_size, false); i < live; i++) {
        cell_key(leaf + slot_offset(slots[i]), fixed, &key, &size);
        if (!before_end(in, key, size))
            break;
        if (slot_from(slots[i]) > cg->cg_moment)
            return true;
    }
    for (unsigned i = page_search(leaf, old, dead, 2, in->low, in->low_size, false); i < dead; i++) {
        cell_key(leaf + slot_offset(old[2 * i]), fixed, &key, &size);
        if (!before_end(in, key, size))
            break;
        if (slot_from(old[2 * i]) > cg->cg_moment)
            return true;
    }
    return false;
}

static int changed_below(comparison *cg, page_ref ref, uint64_t born, unsigned above, const key_span *in, bool *changed);

/* The children of a current node, each with its part of the span. */
static int changed_children(comparison *cg, const uint8_t *node, const key_span *in, bool *changed)
{
    unsigned fixed = load16(node + TP_KEY_SIZE), n = page_live(node);
    const uint64_t *slots = page_live_slots(node);

    /* The last separator at or below the low end; the first one is below everything. */
    unsigned i = page_search(node, slots, n, 1, in->low, in->low_size, true);
    int rc = EDB_OK;

    for (i -= i > 0; i < n && !rc && !*changed; i++) {
        const uint8_t *cell = node + slot_offset(slots[i]), *key;
        uint32_t size;
        key_span part = *in;
        cell_key(cell, fixed, &key, &size);
        if (key_compare(key, size, part.low, part.low_size) > 0) {
            if (!before_end(in, key, size))
                break;
            part.low = key;
            part.low_size = size;
        }
        if (i + 1 < n) {
            cell_key(node + slot_offset(slots[i + 1]), fixed, &key, &size);
            if (before_end(in, key, size)) {
                part.high = key;
                part.high_size = size;
            }
        }
        rc = changed_below(cg, cell_child(cell, fixed), slot_from(slots[i]), page_level(node), &part, changed);
    }
    return rc;
}

/* The node that stands for the span now; page 0: nothing lives there since `born`. */
static int changed_below(comparison *cg, page_ref ref, uint64_t born, unsigned above, const key_span *in, bool *changed)
{
    const uint8_t *page;
    int rc;

    if (!ref.page)
        return born <= cg->cg_moment ? EDB_OK : compare_views(cg, in, changed);
    if ((rc = node_open(cg->cg_pager, cg->cg_view, cg->cg_state, ref, above, &page)))
        return rc;
    if (born <= cg->cg_moment && load64(page + PH_WRITER) <= cg->cg_moment)
        return EDB_OK;
    if (!page_is_leaf(page))
        return changed_children(cg, page, in, changed);
    return born <= cg->cg_moment && !leaf_has_younger(cg, page, in) ? EDB_OK : compare_views(cg, in, changed);
}

int tree_changed(pager *pg, const tree_state *state, uint64_t moment, const void *low, size_t low_size,
                 const void *high, size_t high_size, bool keys_alone, bool *changed)
{
    comparison cg = { .cg_pager = pg, .cg_view = pager_get_view(pg), .cg_state = state, .cg_moment = moment,
                      .cg_keys_alone = keys_alone };
    const key_span in = { .low = low ? low : (const uint8_t *)"", .low_size = low ? low_size : 0, .high = high,
                          .high_size = high_size };
    int rc;

    *changed = false;
    if (state->ts_changed <= moment)
        return EDB_OK;
    rc = changed_below(&cg, state->ts_root, state->ts_since, LEVEL_ANY, &in, changed);
    if (cg.cg_open) {
        tree_cursor_close(&cg.cg_then);
        tree_cursor_close(&cg.cg_now);
    }
    return rc;
}
