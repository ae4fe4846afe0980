/* Reading the temporal tree: lookups, cursors, counts.
 *
 * A reader at T takes the root that answers for T and goes down; in each node it sees, of each key, the newest entry
 * with from <= T. Two things differ between now and then:
 *
 *   - A node that holds entries younger than T is seen through both directories (page.h); else the first one is all.
 *   - A history page may be wider than the range it is entered for, because a key split of its parent entered it on
 *     both sides. So every step down carries the range [low, high) of the separators passed, and a leaf's entries are
 *     clipped to it. Current pages are entered exactly once and need no clipping.
 *
 * Everything a cursor hands out points into the map, or into pages that were unpacked and are held for the caller, and stays valid while
 * his pin does (but for cursors that stream). */
#include <stdlib.h>

#include "engine/pager/cold.h"
#include "engine/tree/leaf_search.h"

_Thread_local uint64_t tree_touched;

struct tree_step {
    page_walk tp_walk;
    const uint8_t *tp_low, *tp_high;    /* range of the node itself; high NULL: unbounded */
    uint32_t tp_low_size, tp_high_size;
    bool tp_current;                    /* the node is a current page */
    uint64_t tp_held;                   /* as tc_held */
};

/* ---- roots ------------------------------------------------------------------------------------------------------ */


int tree_root_at(pager *pg, const tree_state *state, uint64_t moment, page_ref *out, uint64_t *since)
{
    *out = (page_ref){ 0, 0 };
    *since = 0;
    if (moment >= state->ts_since) {
        *out = state->ts_root;
        *since = state->ts_since;
        return EDB_OK;
    }
    for (uint32_t i = state->ts_n_recent; i-- > 0;)
        if (moment >= state->ts_recent[i].since) {
            *out = state->ts_recent[i].root;
            *since = state->ts_recent[i].since;
            return EDB_OK;
        }
    uint64_t older;
    int rc = array_bisect(pg, &state->ts_roots, TREE_ROOT_SIZE, (int64_t)moment, &older);
    if (rc != EDB_OK || older == 0)
        return rc;
    const uint8_t *element;
    rc = array_get(pg, &state->ts_roots, TREE_ROOT_SIZE, older - 1, &element);
    if (rc == EDB_OK) {
        *out = (page_ref){ load64(element + 8), load32(element + 16) };
        *since = load64(element);
    }
    return rc;
}

static inline int root_at(pager *pg, const tree_state *state, uint64_t moment, page_ref *out)
{
    uint64_t since;

    return tree_root_at(pg, state, moment, out, &since);
}

/* A node below one of level `above`, of a tree with such keys. The level must fall, so that no forged file makes a reader
 * run in circles; and cells are read with the tree's key size, while the page was judged by its own. */
int node_open_held(pager *pg, const pager_view *view, const tree_state *state, page_ref ref, unsigned above, const uint8_t **out,
                   uint64_t *held)
{
    const uint8_t *page;
    int rc = page_is_cold(ref.page) ? cold_page(pg, &state->ts_cold, &ref, &page, held) : pager_page(pg, view, ref, 0, &page);

    if (rc != EDB_OK)
        return rc;
    tree_touched++;
    if ((page[PH_KIND] != PAGE_LEAF && page[PH_KIND] != PAGE_INTERIOR) || page_level(page) >= above
        || load16(page + TP_KEY_SIZE) != state->ts_key_size)
        return edb_fail(EDB_CORRUPT, "%s: page %llu is not the tree node that its parent points to; restore a backup",
                        pager_name(pg), (unsigned long long)ref.page);
    *out = page;
    return EDB_OK;
}

int node_open(pager *pg, const pager_view *view, const tree_state *state, page_ref ref, unsigned above, const uint8_t **out)
{
    uint64_t held;

    return node_open_held(pg, view, state, ref, above, out, &held);
}

/* ---- lookups ---------------------------------------------------------------------------------------------------- */

bool leaf_find(const uint8_t *leaf, uint64_t moment, const void *key, size_t key_size, unsigned *at,
               tree_version *out)
{
    unsigned fixed = load16(leaf + TP_KEY_SIZE), n = page_live(leaf);
    const uint64_t *slots = page_live_slots(leaf);
    unsigned i = *at = page_search(leaf, slots, n, 1, key, key_size, false);

    if (i < n && slot_from(slots[i]) <= moment) {
        cell_leaf(leaf + slot_offset(slots[i]), fixed, out);
        out->from = slot_from(slots[i]);
        if (out->key_size == key_size && memcmp(out->key, key, key_size) == 0)
            return true;
    }
    if (moment >= page_newest(leaf))
        return false;
    const uint64_t *old = page_dead_slots(leaf);
    n = page_dead(leaf);
    for (i = page_search(leaf, old, n, 2, key, key_size, false); i < n; i++) {
        cell_leaf(leaf + slot_offset(old[2 * i]), fixed, out);
        if (out->key_size != key_size || memcmp(out->key, key, key_size) != 0)
            return false;
        out->from = slot_from(old[2 * i]);
        if (out->from <= moment)
            return dead_visible(old + 2 * i, moment) && !dead_is_tombstone(old + 2 * i);
    }
    return false;
}

/* A way down from the root; near: NULL, or what remembers its leaf. */
static int get_below(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size,
                     tree_near *near, tree_version *out, bool *found)
{
    const pager_view *view = pager_get_view(pg);
    page_ref ref;
    unsigned above = LEVEL_ANY;
    int rc = root_at(pg, state, moment, &ref);

    *found = false;
    while (rc == EDB_OK && ref.page) {
        const uint8_t *page;
        rc = node_open(pg, view, state, ref, above, &page);
        if (rc != EDB_OK)
            return rc;
        if (page_is_leaf(page)) {
            unsigned at;
            *found = leaf_find(page, moment, key, key_size, &at, out);
            if (near)
                *near = (tree_near){ .tnr_leaf = page, .tnr_next = at + 1 };
            return EDB_OK;
        }
        page_walk w;
        if (!walk_find(&w, page, moment, key, key_size))
            return EDB_OK;
        ref = cell_child(page + w.pw_offset, load16(page + TP_KEY_SIZE));
        above = page_level(page);
    }
    return rc;
}

int tree_get(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size, tree_version *out,
             bool *found)
{
    return get_below(pg, state, moment, key, key_size, NULL, out, found);
}

/* Looks for a row id in the leaf of the one before. What is found there is the version, since a key has one place at a
 * moment; what is not may be in another leaf. */
static bool near_find(tree_near *near, uint64_t moment, const void *key, tree_version *out)
{
    const uint8_t *leaf = near->tnr_leaf;
    const uint64_t *slots = page_live_slots(leaf);
    unsigned n = page_live(leaf), at = near->tnr_next;
    uint64_t wanted = load64be(key);

    if (at < n && slot_from(slots[at]) <= moment && load64be(leaf + slot_offset(slots[at])) == wanted) {
        cell_leaf(leaf + slot_offset(slots[at]), 8, out);
        out->from = slot_from(slots[at]);
        near->tnr_next = at + 1;
        return true;
    }
    if (n == 0 || wanted < load64be(leaf + slot_offset(slots[0])) || wanted > load64be(leaf + slot_offset(slots[n - 1])))
        return false;
    if (!leaf_find(leaf, moment, key, 8, &at, out))
        return false;
    near->tnr_next = at + 1;
    return true;
}

int tree_get_near(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size, tree_near *near,
                  tree_version *out, bool *found)
{
    if (state->ts_key_size != 8 || key_size != 8)
        return get_below(pg, state, moment, key, key_size, NULL, out, found);
    *found = near->tnr_leaf && near_find(near, moment, key, out);
    return *found ? EDB_OK : get_below(pg, state, moment, key, key_size, near, out, found);
}

uint64_t tree_overflow_size(const tree_version *version)
{
    return version->overflow ? load64(version->value) : version->value_size;
}

int tree_overflow_read(pager *pg, const tree_version *version, uint64_t offset, void *out, size_t size)
{
    if (!version->overflow) {
        assert(offset + size <= version->value_size);
        memcpy(out, version->value + offset, size);
        return EDB_OK;
    }
    const pager_view *view = pager_get_view(pg);
    page_ref ref = overflow_first(version->value);
    uint8_t *to = out;
    uint32_t room = pager_page_size(pg) - OVERFLOW_DATA;
    while (size > 0) {
        const uint8_t *page = NULL;
        int rc = ref.page ? pager_page(pg, view, ref, PAGE_OVERFLOW, &page) : EDB_OK;
        if (rc != EDB_OK)
            return rc;
        uint32_t here = page ? load32(page + PH_COUNT) : 0;
        if (here == 0 || here > room || page[PH_KIND] != PAGE_OVERFLOW)
            return edb_fail(EDB_CORRUPT, "%s: the chain of a large value breaks at page %llu; restore a backup",
                            pager_name(pg), (unsigned long long)ref.page);
        tree_touched++;
        if (offset < here) {
            size_t part = here - offset < size ? here - (size_t)offset : size;
            memcpy(to, page + OVERFLOW_DATA + offset, part);
            to += part;
            size -= part;
            offset = 0;
        } else {
            offset -= here;
        }
        ref = (page_ref){ load64(page + OVERFLOW_NEXT), load32(page + OVERFLOW_NEXT + 8) };
    }
    return EDB_OK;
}

/* ---- cursors: going down ------------------------------------------------------------------------------------------ */

#define PATH_FIRST 8    /* levels that a cursor has room for; few trees have more, and malloc() is quick below 1,032 bytes */

static int path_reserve(tree_cursor *tc, int levels)
{
    struct tree_step *path = realloc(tc->tc_path, (size_t)levels * sizeof *path);

    if (!path)
        return edb_fail(EDB_NOMEM, "no memory for a cursor");
    tc->tc_path = path;
    tc->tc_room = levels;
    return EDB_OK;
}

int tree_cursor_open(tree_cursor *tc, pager *pg, const tree_state *state, uint64_t moment)
{
    *tc = (tree_cursor){ .tc_pager = pg, .tc_view = pager_get_view(pg), .tc_moment = moment, .tc_state = *state,
                         .tc_key_size = state->ts_key_size };
    return path_reserve(tc, PATH_FIRST);
}

/* Leaves the nodes of the way from `depth` on. */
static void path_cut(tree_cursor *tc, int depth)
{
    while (tc->tc_depth > depth) {
        uint64_t held = tc->tc_path[--tc->tc_depth].tp_held;
        if (held && tc->tc_streams)
            cold_leave(&tc->tc_state.ts_cold, held);
    }
}

void tree_cursor_close(tree_cursor *tc)
{
    if (tc->tc_held && tc->tc_streams)
        cold_leave(&tc->tc_state.ts_cold, tc->tc_held);
    tc->tc_held = 0;
    path_cut(tc, 0);
    free(tc->tc_path);
    free(tc->tc_scratch);
    tc->tc_path = NULL;
    tc->tc_scratch = NULL;
    tc->tc_valid = false;
}

void tree_cursor_load(tree_cursor *tc)
{
    uint64_t word = tc->tc_slots[tc->tc_i];

    cell_leaf(tc->tc_leaf + slot_offset(word), tc->tc_key_size, &tc->tc_at);
    tc->tc_at.from = slot_from(word);
    tc->tc_valid = true;
}

/* The cells of a page lie in the order in which they were written, which the processor does not foresee; so the next ones
 * are fetched while this one is looked at. Two lines of its cache, since most rows are longer than one. */
#define CELLS_AHEAD 4
#define CACHE_LINE 64

void tree_cursor_load_ahead(tree_cursor *tc)
{
    if (tc->tc_i + CELLS_AHEAD < tc->tc_high) {
        const uint8_t *cell = tc->tc_leaf + slot_offset(tc->tc_slots[tc->tc_i + CELLS_AHEAD]);
        __builtin_prefetch(cell);
        __builtin_prefetch(cell + CACHE_LINE);
    }
    tree_cursor_load(tc);
}

static inline leaf_slots slots_of(const tree_cursor *tc)
{
    return (leaf_slots){ tc->tc_leaf, tc->tc_slots, tc->tc_key_size };
}

static int leaf_enter(tree_cursor *tc, const uint8_t *leaf, const struct tree_step *range)
{
    tc->tc_leaf = leaf;
    tc->tc_end = NULL;
    if (tc->tc_moment >= page_newest(leaf)) {
        tc->tc_slots = page_live_slots(leaf);
        tc->tc_high = (int)page_live(leaf);
    } else {
        if (!tc->tc_scratch) {
            size_t entries = pager_page_size(tc->tc_pager) / SLOT_LIVE + 1;
            tc->tc_scratch = malloc(entries * sizeof *tc->tc_scratch);
            if (!tc->tc_scratch)
                return edb_fail(EDB_NOMEM, "no memory for a cursor");
        }
        tc->tc_slots = tc->tc_scratch;
        tc->tc_high = (int)page_visible(leaf, tc->tc_moment, tc->tc_scratch);
    }
    tc->tc_low = 0;
    if (!range->tp_current) {
        tc->tc_low = leaf_bound(slots_of(tc), 0, tc->tc_high, range->tp_low, range->tp_low_size, false);
        if (range->tp_high)
            tc->tc_high = leaf_bound(slots_of(tc), tc->tc_low, tc->tc_high, range->tp_high, range->tp_high_size, false);
    }
    return EDB_OK;
}

/* Goes to the child under the walk of `step`; its range is where the separators around it meet the step's own. */
static void step_child(const struct tree_step *step, struct tree_step *child, page_ref *ref)
{
    const page_walk *w = &step->tp_walk;
    unsigned fixed = load16(w->pw_page + TP_KEY_SIZE);

    *ref = cell_child(w->pw_page + w->pw_offset, fixed);
    child->tp_current = step->tp_current && w->pw_is_live;
    child->tp_low = step->tp_low;
    child->tp_low_size = step->tp_low_size;
    child->tp_high = step->tp_high;
    child->tp_high_size = step->tp_high_size;
    if (child->tp_current && page_level(w->pw_page) == 1)
        return;                         /* a current leaf needs no clipping: no range for it */
    const uint8_t *key;
    uint32_t size;
    cell_key(w->pw_page + w->pw_offset, fixed, &key, &size);
    if (key_compare(key, size, child->tp_low, child->tp_low_size) > 0) {
        child->tp_low = key;
        child->tp_low_size = size;
    }
    page_walk after = *w;
    if (!walk_next(&after))
        return;
    cell_key(w->pw_page + after.pw_offset, fixed, &key, &size);
    if (!child->tp_high || key_compare(key, size, child->tp_high, child->tp_high_size) < 0) {
        child->tp_high = key;
        child->tp_high_size = size;
    }
}

enum way { WAY_FIRST, WAY_LAST, WAY_FIND };

/* Puts the way down to a leaf below tc_path[depth - 1] (whose walk stands on the child), or from the root at depth 0.
 * *leaf false: the way ends in an empty range; the walks stand there, so that next and prev go on from it. */
static int go_down(tree_cursor *tc, enum way way, const void *key, size_t key_size, bool *leaf)
{
    page_ref ref;
    struct tree_step range;
    unsigned above = LEVEL_ANY;

    *leaf = false;
    if (tc->tc_depth == 0) {
        int rc = root_at(tc->tc_pager, &tc->tc_state, tc->tc_moment, &ref);
        if (rc != EDB_OK)
            return rc;
        range = (struct tree_step){ .tp_low = (const uint8_t *)"", .tp_current = tc->tc_moment >= tc->tc_state.ts_since };
    } else {
        const struct tree_step *step = &tc->tc_path[tc->tc_depth - 1];
        above = page_level(step->tp_walk.pw_page);
        step_child(step, &range, &ref);
    }
    while (ref.page) {
        const uint8_t *page;
        uint64_t held = 0;
        int rc = node_open_held(tc->tc_pager, tc->tc_view, &tc->tc_state, ref, above, &page, &held);
        if (rc != EDB_OK)
            return rc;
        if (page_is_leaf(page)) {
            if (tc->tc_streams)
                cold_leave(&tc->tc_state.ts_cold, tc->tc_held);
            tc->tc_held = held;
            *leaf = true;
            return leaf_enter(tc, page, &range);
        }
        if (tc->tc_depth == TREE_DEPTH)
            return edb_fail(EDB_CORRUPT, "%s: the tree above page %llu is too deep", pager_name(tc->tc_pager),
                            (unsigned long long)ref.page);
        if (tc->tc_depth == tc->tc_room && (rc = path_reserve(tc, TREE_DEPTH)))
            return rc;
        struct tree_step *step = &tc->tc_path[tc->tc_depth];
        *step = range;
        step->tp_held = held;
        bool there = way == WAY_FIRST ? walk_first(&step->tp_walk, page, tc->tc_moment)
                   : way == WAY_LAST  ? walk_last(&step->tp_walk, page, tc->tc_moment)
                                      : walk_find(&step->tp_walk, page, tc->tc_moment, key, key_size);
        if (!there) {
            /* Nothing was here at T up to the key. What comes after it is the node's first entry, if it has one. */
            if (way != WAY_FIND || !walk_first(&step->tp_walk, page, tc->tc_moment)) {
                cold_leave(&tc->tc_state.ts_cold, held);
                return EDB_OK;
            }
            way = WAY_FIRST;
        }
        tc->tc_depth++;
        above = page_level(page);
        step_child(step, &range, &ref);
    }
    return EDB_OK;
}

/* ---- cursors: moving ---------------------------------------------------------------------------------------------- */

/* A child entered from a wide history page may lie wholly outside its range; then its low is not below its high. */
static int leaf_after(tree_cursor *tc, bool forward)
{
    for (;;) {
        bool moved = false;
        while (tc->tc_depth > 0 && !moved) {
            page_walk *w = &tc->tc_path[tc->tc_depth - 1].tp_walk;
            moved = forward ? walk_next(w) : walk_prev(w);
            if (!moved)
                path_cut(tc, tc->tc_depth - 1);
        }
        tc->tc_valid = false;
        if (!moved)
            return EDB_OK;
        bool leaf;
        int rc = go_down(tc, forward ? WAY_FIRST : WAY_LAST, NULL, 0, &leaf);
        if (rc != EDB_OK)
            return rc;
        if (leaf && tc->tc_low < tc->tc_high) {
            tc->tc_i = forward ? tc->tc_low : tc->tc_high - 1;
            tree_cursor_load(tc);
            return EDB_OK;
        }
    }
}

int tree_cursor_next_slow(tree_cursor *tc)
{
    return leaf_after(tc, true);
}

int tree_cursor_prev_slow(tree_cursor *tc)
{
    return leaf_after(tc, false);
}

/* Whether the leaf under the cursor has the first entry that is not before the key: a seek that begins there is spared the
 * way down. Keys that are asked one after the other often lie close together. */
static bool leaf_reaches(const tree_cursor *tc, const void *key, size_t key_size)
{
    const uint8_t *end, *begin;
    uint32_t end_size, begin_size;

    if (!tc->tc_valid || !key)
        return false;
    cell_key(tc->tc_leaf + slot_offset(tc->tc_slots[tc->tc_high - 1]), tc->tc_key_size, &end, &end_size);
    if (key_compare(key, key_size, end, end_size) > 0)
        return false;
    cell_key(tc->tc_leaf + slot_offset(tc->tc_slots[tc->tc_low]), tc->tc_key_size, &begin, &begin_size);
    return key_compare(key, key_size, begin, begin_size) >= 0;
}

int tree_cursor_seek(tree_cursor *tc, const void *key, size_t key_size)
{
    bool leaf;

    if (leaf_reaches(tc, key, key_size)) {
        tc->tc_i = leaf_bound(slots_of(tc), tc->tc_low, tc->tc_high, key, key_size, false);
        tree_cursor_load(tc);
        return EDB_OK;
    }
    path_cut(tc, 0);
    tc->tc_valid = false;
    int rc = go_down(tc, key ? WAY_FIND : WAY_FIRST, key, key_size, &leaf);
    if (rc != EDB_OK)
        return rc;
    if (leaf) {
        tc->tc_i = key ? leaf_bound(slots_of(tc), tc->tc_low, tc->tc_high, key, key_size, false) : tc->tc_low;
        if (tc->tc_i < tc->tc_high) {
            tree_cursor_load(tc);
            return EDB_OK;
        }
    }
    return leaf_after(tc, true);
}

/* ---- cursors: moving on -------------------------------------------------------------------------------------------- */

static int land(tree_cursor *tc, int i)
{
    if (i >= tc->tc_high)
        return leaf_after(tc, true);
    tc->tc_i = i;
    tree_cursor_load(tc);
    return EDB_OK;
}

/* The key of the child that a walk stands on, and where its range ends; key NULL: nowhere. */
static void child_range(const struct tree_step *step, leaf_key *begin, leaf_key *end)
{
    unsigned fixed = load16(step->tp_walk.pw_page + TP_KEY_SIZE);
    page_walk after = step->tp_walk;
    leaf_key next;

    cell_key(after.pw_page + after.pw_offset, fixed, &begin->key, &begin->size);
    *end = (leaf_key){ step->tp_high, step->tp_high_size };
    if (!walk_next(&after))
        return;
    cell_key(after.pw_page + after.pw_offset, fixed, &next.key, &next.size);
    if (!end->key || key_before(next, *end))
        *end = next;
}

/* Down from the lowest node of the way that the key is in the range of. Where in the leaf the key is, is guessed from what the
 * node above says: the leaf's own first and last key would be two more places to touch. */
static int seek_along(tree_cursor *tc, leaf_key key)
{
    leaf_key begin, end;
    bool leaf;

    for (; tc->tc_depth > 0; path_cut(tc, tc->tc_depth - 1)) {
        struct tree_step *step = &tc->tc_path[tc->tc_depth - 1];
        if (!step->tp_high || key_before(key, (leaf_key){ step->tp_high, step->tp_high_size })) {
            walk_on(&step->tp_walk, key);
            break;
        }
    }
    tc->tc_valid = false;
    int rc = go_down(tc, WAY_FIND, key.key, key.size, &leaf);
    if (rc != EDB_OK)
        return rc;
    if (!leaf || tc->tc_low >= tc->tc_high)
        return leaf_after(tc, true);
    if (!tc->tc_depth)
        return land(tc, leaf_bound(slots_of(tc), tc->tc_low, tc->tc_high, key.key, key.size, false));
    child_range(&tc->tc_path[tc->tc_depth - 1], &begin, &end);
    tc->tc_end = end.key;
    tc->tc_end_size = end.size;
    int guess = leaf_guess(tc->tc_low, tc->tc_high, begin, key, end, false);
    return land(tc, leaf_leap(slots_of(tc), tc->tc_low, tc->tc_high, key, guess));
}

int tree_cursor_seek_on(tree_cursor *tc, const void *key, size_t key_size)
{
    leaf_key wanted = { key, (uint32_t)key_size };

    if (!tc->tc_valid)
        return tree_cursor_seek(tc, key, key_size);
    leaf_key begin = { tc->tc_at.key, tc->tc_at.key_size };
    leaf_key end = tc->tc_end ? (leaf_key){ tc->tc_end, tc->tc_end_size } : leaf_key_at(slots_of(tc), tc->tc_high - 1);
    int order = key_compare(end.key, end.size, wanted.key, wanted.size);
    if (order < 0 || (order == 0 && tc->tc_end))
        return seek_along(tc, wanted);
    int guess = leaf_guess(tc->tc_i, tc->tc_high, begin, wanted, end, !tc->tc_end);
    return land(tc, leaf_leap(slots_of(tc), tc->tc_i, tc->tc_high, wanted, guess));
}

int tree_cursor_seek_last(tree_cursor *tc, const void *key, size_t key_size)
{
    bool leaf;

    path_cut(tc, 0);
    tc->tc_valid = false;
    int rc = go_down(tc, key ? WAY_FIND : WAY_LAST, key, key_size, &leaf);
    if (rc != EDB_OK)
        return rc;
    if (leaf) {
        tc->tc_i = (key ? leaf_bound(slots_of(tc), tc->tc_low, tc->tc_high, key, key_size, true) : tc->tc_high) - 1;
        if (tc->tc_i >= tc->tc_low) {
            tree_cursor_load(tc);
            return EDB_OK;
        }
    }
    return leaf_after(tc, false);
}

/* ---- counts ------------------------------------------------------------------------------------------------------- */

int tree_count(pager *pg, const tree_state *state, uint64_t moment, uint64_t *out)
{
    tree_cursor tc;
    uint64_t n = 0;

    if (moment == FOREVER) {
        *out = state->ts_live;
        return EDB_OK;
    }
    int rc = tree_cursor_open(&tc, pg, state, moment);
    tc.tc_streams = true;
    if (rc == EDB_OK)
        rc = tree_cursor_seek(&tc, NULL, 0);
    while (rc == EDB_OK && tc.tc_valid) {
        n += (uint64_t)(tc.tc_high - tc.tc_i);
        rc = tree_cursor_next_slow(&tc);                /* to the next leaf */
    }
    tree_cursor_close(&tc);
    if (rc == EDB_OK)
        *out = n;
    return rc;
}
