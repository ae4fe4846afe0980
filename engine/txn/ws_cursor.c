/* Cursors over a write set: a merge of the list and the runs that were there when the cursor was opened.
 *
 * Each source stands on one of its entries, and `wc_order` holds those that are not exhausted: by key (ascending when
 * going forward, descending when going back), sources of one key newest first. The front of it is the next key. Of a
 * key, the first visible entry in the newest source that has one is the newest write; a key without any is passed.
 * Advancing moves the sources at the front past the key and puts each back in its place by binary search, which is
 * next to free when writes came in key order and costs log2(sources) comparisons when they did not.
 *
 * Writes added while the cursor is open are younger than it and so invisible; they may wait. A spill meanwhile changes nothing: the
 * cursor holds the generation it began with, and the new run, which repeats that generation, is not among its sources. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/ws_internal.h"

typedef struct {
    const ws_run *sr_run;           /* NULL: the list */
    const run_tree *sr_part;
    uint64_t sr_position;           /* in the run */
    const skip_node *sr_node;       /* in the list */
    ws_entry sr_at;                 /* the entry it stands on */
} source;

struct ws_cursor {
    writeset *wc_ws;                /* counted */
    ws_generation *wc_generation;   /* counted */
    uint64_t wc_seq;
    uint32_t wc_tree;
    bool wc_forward;
    bool wc_valid;
    ws_entry wc_at;                 /* while valid */
    size_t wc_n, wc_n_order;
    source **wc_order;
    source wc_source[];             /* newest first: the list, then runs from the last to the first */
};

int ws_cursor_open(writeset *ws, uint32_t tree, uint64_t seq, ws_cursor **out)
{
    size_t room = ws->ws_n_runs + 1;
    ws_cursor *wc = malloc(sizeof *wc + room * (sizeof *wc->wc_source + sizeof *wc->wc_order));

    ws_settle(ws, tree);
    if (!wc)
        return edb_fail(EDB_NOMEM, "memory is exhausted: no cursor over %zu runs of uncommitted writes", room);
    memset(wc, 0, sizeof *wc);
    wc->wc_ws = ws_ref(ws);
    wc->wc_generation = ws_hold(ws);
    wc->wc_seq = seq;
    wc->wc_tree = tree;
    wc->wc_order = (source **)(wc->wc_source + room);
    wc->wc_source[wc->wc_n++] = (source){ .sr_run = NULL };
    for (size_t i = ws->ws_n_runs; i-- > 0;) {
        const run_tree *part = run_find_tree(ws->ws_run[i], tree);
        if (part)
            wc->wc_source[wc->wc_n++] = (source){ .sr_run = ws->ws_run[i], .sr_part = part };
    }
    *out = wc;
    return EDB_OK;
}

void ws_cursor_close(ws_cursor *wc)
{
    if (!wc)
        return;
    ws_release(wc->wc_generation);
    ws_unref(wc->wc_ws);
    free(wc);
}

const ws_entry *ws_cursor_at(const ws_cursor *wc)
{
    return wc->wc_valid ? &wc->wc_at : NULL;
}

/* ---- one source ----------------------------------------------------------------------------------------------- */

/* Stands on the run's entry at `position`. Positions before the first wrap to huge ones. -> whether there is one. */
static bool stand_in_run(source *sr, uint64_t position)
{
    sr->sr_position = position;
    if (position < sr->sr_part->rt_first || position >= sr->sr_part->rt_end)
        return false;
    run_entry(sr->sr_run, position, &sr->sr_at);
    return true;
}

static bool stand_in_list(const ws_cursor *wc, source *sr, const skip_node *node)
{
    sr->sr_node = node;
    if (!node || node->nd_tree != wc->wc_tree)
        return false;
    __builtin_prefetch(skiplist_next(node));
    ws_entry_from_node(node, &sr->sr_at);
    return true;
}

static bool stand_next(const ws_cursor *wc, source *sr)
{
    return sr->sr_run ? stand_in_run(sr, sr->sr_position + 1) : stand_in_list(wc, sr, skiplist_next(sr->sr_node));
}

/* To the first entry of the first key >= key (or > key, when `after`). */
static bool source_seek(const ws_cursor *wc, source *sr, const void *key, size_t key_size, bool after)
{
    const skip_node *node;

    if (sr->sr_run)
        return stand_in_run(sr, key ? run_search(sr->sr_run, sr->sr_part, key, key_size, after) : sr->sr_part->rt_first);
    node = skiplist_seek(&wc->wc_generation->gn_list, wc->wc_tree, key, key_size);
    while (after && node && !skiplist_compare(wc->wc_tree, key, key_size, node))
        node = skiplist_next(node);
    return stand_in_list(wc, sr, node);
}

/* To the first entry of the last key < key (or <= key, when `upto`). */
static bool source_seek_last(const ws_cursor *wc, source *sr, const void *key, size_t key_size, bool upto)
{
    const skiplist *list = &wc->wc_generation->gn_list;
    const skip_node *node;
    uint64_t end;

    if (sr->sr_run) {
        end = key ? run_search(sr->sr_run, sr->sr_part, key, key_size, upto) : sr->sr_part->rt_end;
        if (end == sr->sr_part->rt_first || !stand_in_run(sr, end - 1))
            return false;
        return stand_in_run(sr, run_search(sr->sr_run, sr->sr_part, sr->sr_at.key, sr->sr_at.key_size, false));
    }
    if (key && upto) {
        node = skiplist_seek(list, wc->wc_tree, key, key_size);
        if (node && !skiplist_compare(wc->wc_tree, key, key_size, node))
            return stand_in_list(wc, sr, node);
    }
    node = key ? skiplist_before(list, wc->wc_tree, key, key_size)
               : skiplist_before(list, wc->wc_tree + 1, NULL, 0);
    if (!stand_in_list(wc, sr, node))
        return false;
    return stand_in_list(wc, sr, skiplist_seek(list, wc->wc_tree, node->nd_head.kv_key, node->nd_head.kv_key_size));
}

/* To the next entry of the same key. */
static bool source_older(const ws_cursor *wc, source *sr)
{
    const uint8_t *key = sr->sr_at.key;
    uint32_t key_size = sr->sr_at.key_size;

    return stand_next(wc, sr) && !key_compare(sr->sr_at.key, sr->sr_at.key_size, key, key_size);
}

/* Past the key, in the cursor's direction. The source may stand on any entry of the key or, going forward, on the
 * first one behind it. */
static bool source_pass(const ws_cursor *wc, source *sr, const ws_entry *key)
{
    bool there;

    if (!wc->wc_forward)
        return source_seek_last(wc, sr, key->key, key->key_size, false);
    if (sr->sr_run)
        there = sr->sr_position < sr->sr_part->rt_end;
    else
        there = sr->sr_node && sr->sr_node->nd_tree == wc->wc_tree;
    while (there && !key_compare(sr->sr_at.key, sr->sr_at.key_size, key->key, key->key_size))
        there = stand_next(wc, sr);
    return there;
}

/* ---- the merge ------------------------------------------------------------------------------------------------ */

/* Whether a comes before b in wc_order. */
static bool comes_before(const ws_cursor *wc, const source *a, const source *b)
{
    int order = key_compare(a->sr_at.key, a->sr_at.key_size, b->sr_at.key, b->sr_at.key_size);

    if (order)
        return wc->wc_forward ? order < 0 : order > 0;
    return a < b;                   /* newest first */
}

/* Puts a source into wc_order[from..]. */
static void order_insert(ws_cursor *wc, source *sr, size_t from)
{
    size_t low = from, high = wc->wc_n_order;

    if (low < high && !comes_before(wc, sr, wc->wc_order[low])) {
        low++;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (comes_before(wc, wc->wc_order[middle], sr))
                low = middle + 1;
            else
                high = middle;
        }
    }
    memmove(wc->wc_order + low + 1, wc->wc_order + low, (wc->wc_n_order - low) * sizeof *wc->wc_order);
    wc->wc_order[low] = sr;
    wc->wc_n_order++;
}

static void order_remove(ws_cursor *wc, size_t at)
{
    wc->wc_n_order--;
    memmove(wc->wc_order + at, wc->wc_order + at + 1, (wc->wc_n_order - at) * sizeof *wc->wc_order);
}

/* The newest visible entry of the source's key, from where it stands. */
static bool newest_visible(const ws_cursor *wc, source *sr, ws_entry *out)
{
    do {
        if (ws_visible(wc->wc_ws, sr->sr_at.seq, wc->wc_seq)) {
            *out = sr->sr_at;
            return true;
        }
    } while (source_older(wc, sr));
    return false;
}

/* What take_front() does, for a key that no other source has, going forward: most of what bulk changes leave. */
static bool take_alone(ws_cursor *wc, ws_entry *out)
{
    source *sr = wc->wc_order[0];
    const uint8_t *key = sr->sr_at.key;
    uint32_t key_size = sr->sr_at.key_size;
    bool found = newest_visible(wc, sr, out), there;

    if (found)
        there = stand_next(wc, sr);
    else
        there = sr->sr_run ? sr->sr_position < sr->sr_part->rt_end : sr->sr_node && sr->sr_node->nd_tree == wc->wc_tree;
    while (there && sr->sr_at.key_size == key_size && !memcmp(sr->sr_at.key, key, key_size))
        there = stand_next(wc, sr);
    if (!there) {
        order_remove(wc, 0);
    } else if (wc->wc_n_order > 1 && !comes_before(wc, sr, wc->wc_order[1])) {
        order_remove(wc, 0);
        order_insert(wc, sr, 0);
    }
    return found;
}

/* Takes the front key out of the order: finds its newest visible write (-> false: none) and moves every source that
 * has the key past it. */
static bool take_front(ws_cursor *wc, ws_entry *out)
{
    const ws_entry key = wc->wc_order[0]->sr_at;
    bool found = false;

    if (wc->wc_forward && (wc->wc_n_order == 1 || key_compare(wc->wc_order[1]->sr_at.key, wc->wc_order[1]->sr_at.key_size,
                                                              key.key, key.key_size)))
        return take_alone(wc, out);
    while (wc->wc_n_order) {
        source *sr = wc->wc_order[0];
        if (key_compare(sr->sr_at.key, sr->sr_at.key_size, key.key, key.key_size))
            break;
        if (!found)
            found = newest_visible(wc, sr, out);
        order_remove(wc, 0);
        if (source_pass(wc, sr, &key))
            order_insert(wc, sr, 0);
    }
    return found;
}

/* The next visible key from the front on. */
static bool settle(ws_cursor *wc)
{
    wc->wc_valid = false;
    while (!wc->wc_valid && wc->wc_n_order)
        wc->wc_valid = take_front(wc, &wc->wc_at);
    return wc->wc_valid;
}

/* All sources to their first key in direction from the given one (`itself`: the key included). */
static bool start(ws_cursor *wc, bool forward, const void *key, size_t key_size, bool itself)
{
    wc->wc_forward = forward;
    wc->wc_n_order = 0;
    for (size_t i = 0; i < wc->wc_n; i++) {
        source *sr = &wc->wc_source[i];
        if (forward ? source_seek(wc, sr, key, key_size, !itself) : source_seek_last(wc, sr, key, key_size, itself))
            order_insert(wc, sr, 0);
    }
    return settle(wc);
}

bool ws_cursor_seek(ws_cursor *wc, const void *key, size_t key_size)
{
    return start(wc, true, key, key_size, true);
}

bool ws_cursor_seek_last(ws_cursor *wc, const void *key, size_t key_size)
{
    return start(wc, false, key, key_size, true);
}

bool ws_cursor_next(ws_cursor *wc)
{
    if (!wc->wc_valid)
        return false;
    return wc->wc_forward ? settle(wc) : start(wc, true, wc->wc_at.key, wc->wc_at.key_size, false);
}

bool ws_cursor_prev(ws_cursor *wc)
{
    if (!wc->wc_valid)
        return false;
    return wc->wc_forward ? start(wc, false, wc->wc_at.key, wc->wc_at.key_size, false) : settle(wc);
}

const ws_entry *ws_cursor_refresh(ws_cursor *wc)
{
    if (wc->wc_valid && !ws_visible(wc->wc_ws, wc->wc_at.seq, wc->wc_seq))
        start(wc, wc->wc_forward, wc->wc_at.key, wc->wc_at.key_size, true);
    return ws_cursor_at(wc);
}
