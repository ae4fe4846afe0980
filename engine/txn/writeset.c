/* The write set in memory; see writeset.h.
 *
 * A write behind all of its tree goes into the list at once, which costs little. Any other *waits*: a search for its place
 * misses the cache at each step, and a table's indexes are written row by row, but mostly not read before COMMIT. Whoever
 * looks at the list, and whoever spills it, first puts into it what waits of the tree, sorted (native/keysort.c), so
 * that each is found from the one before. When there is no memory to sort in, each is searched for alone. A filter says of
 * most keys of rows, and of unique keys, that they were not written, so that asking for them is no look at the list. What is
 * written in order is put into it when it is first asked, out of runs too: each key is a miss of the cache, and a load in
 * order never asks. A key behind all others, those in runs included, was not written.
 *
 * Rolling back removes nothing: it notes that the sequence numbers above the mark are dead, and readers skip them.
 * So it is as cheap as a savepoint, it works on runs that are already in a file, and a cursor never loses the entry it
 * stands on. Spilling leaves the dead out. Invariants: (1) every seq in the list is larger than every seq in a run, and
 * a later run's larger than an earlier one's: whoever finds a visible write in the newest place has the newest write;
 * (2) dead intervals ascend and do not touch; (3) there is always room for one more, so that rolling back cannot fail. */
#include "engine/txn/writeset.h"

#include <stdlib.h>
#include <string.h>

#include "native/keysort.h"
#include "engine/txn/ws_internal.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "memory is exhausted by the uncommitted writes of a transaction");
}

static ws_generation *generation_new(void)
{
    ws_generation *gn = malloc(sizeof *gn);

    if (!gn)
        return NULL;
    arena_init(&gn->gn_memory);
    skiplist_init(&gn->gn_list, &gn->gn_memory);
    gn->gn_refs = 1;
    return gn;
}

void ws_release(ws_generation *gn)
{
    if (!gn || --gn->gn_refs)
        return;
    arena_free(&gn->gn_memory);
    free(gn);
}

ws_generation *ws_hold(writeset *ws)
{
    ws->ws_now->gn_refs++;
    return ws->ws_now;
}

int ws_new(uint64_t spill_bytes, writeset **out)
{
    writeset *ws = calloc(1, sizeof *ws);

    if (!ws)
        return no_memory();
    ws->ws_refs = 1;
    ws->ws_spill_bytes = spill_bytes;
    ws->ws_file.rf_fd = -1;
    if (!(ws->ws_now = generation_new())) {
        free(ws);
        return no_memory();
    }
    *out = ws;
    return EDB_OK;
}

writeset *ws_ref(writeset *ws)
{
    ws->ws_refs++;
    return ws;
}

void ws_unref(writeset *ws)
{
    if (!ws || --ws->ws_refs)
        return;
    ws_release(ws->ws_now);
    for (size_t i = 0; i < ws->ws_n_runs; i++)
        run_free(ws->ws_run[i]);
    for (size_t i = 0; i < ws->ws_n_trees; i++)
        filter_free(&ws->ws_tree[i].wt_known);
    run_file_close(&ws->ws_file);
    free(ws->ws_run);
    free(ws->ws_tree);
    free(ws->ws_dead);
    free(ws);
}

enum { RENEWED_MOST = 16 << 10 };   /* bytes of writes */

bool ws_renew(writeset *ws)
{
    ws_generation *gn = ws->ws_now;

    if (ws->ws_refs != 1 || gn->gn_refs != 1 || ws->ws_n_runs || ws->ws_file.rf_fd >= 0
        || gn->gn_memory.an_bytes > RENEWED_MOST)
        return false;
    arena_reset(&gn->gn_memory);
    skiplist_init(&gn->gn_list, &gn->gn_memory);
    for (size_t i = 0; i < ws->ws_n_trees; i++)
        filter_free(&ws->ws_tree[i].wt_known);
    ws->ws_last_seq = 0;
    ws->ws_n_trees = ws->ws_tree_hint = 0;
    ws->ws_n_dead = 0;
    return true;
}

bool ws_is_empty(const writeset *ws)
{
    return ws->ws_last_seq == 0;
}

uint64_t ws_seq(const writeset *ws)
{
    return ws->ws_last_seq;
}

size_t ws_runs(const writeset *ws)
{
    return ws->ws_n_runs;
}

/* ---- trees ---------------------------------------------------------------------------------------------------- */

/* Where the tree is, or belongs. */
static size_t tree_place(const writeset *ws, uint32_t tree)
{
    size_t low = 0, high = ws->ws_n_trees;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ws->ws_tree[middle].wt_tree < tree)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ws_tree *tree_find(const writeset *ws, uint32_t tree)
{
    size_t at = ws->ws_tree_hint;

    /* Mostly it is the one written last; and what stands behind all trees is asked for with every row, and seldom there. */
    if (at < ws->ws_n_trees && ws->ws_tree[at].wt_tree == tree)
        return &ws->ws_tree[at];
    if (!ws->ws_n_trees || ws->ws_tree[ws->ws_n_trees - 1].wt_tree < tree)
        return NULL;
    at = tree_place(ws, tree);
    return at < ws->ws_n_trees && ws->ws_tree[at].wt_tree == tree ? &ws->ws_tree[at] : NULL;
}

bool ws_has_tree(const writeset *ws, uint32_t tree)
{
    return tree_find(ws, tree) != NULL;
}

size_t ws_trees(const writeset *ws, uint32_t *trees, size_t room)
{
    for (size_t i = 0; i < ws->ws_n_trees && i < room; i++)
        trees[i] = ws->ws_tree[i].wt_tree;
    return ws->ws_n_trees;
}

/* Makes room for one more element. */
static int reserve(void **array, size_t *room, size_t count, size_t each)
{
    size_t more = *room ? 2 * *room : 8;
    void *bigger;

    if (count < *room)
        return EDB_OK;
    if (!(bigger = realloc(*array, more * each)))
        return no_memory();
    *array = bigger;
    *room = more;
    return EDB_OK;
}

static int tree_note(writeset *ws, uint32_t tree, ws_tree **out)
{
    size_t at;
    int rc;

    /* A table and its indexes take turns, in ascending order: the next one is the likely one. */
    for (size_t i = 0; i < 2; i++, ws->ws_tree_hint++) {
        if (ws->ws_tree_hint >= ws->ws_n_trees)
            ws->ws_tree_hint = 0;
        if (ws->ws_n_trees && ws->ws_tree[ws->ws_tree_hint].wt_tree == tree) {
            *out = &ws->ws_tree[ws->ws_tree_hint];
            return EDB_OK;
        }
    }
    at = tree_place(ws, tree);
    if (at == ws->ws_n_trees || ws->ws_tree[at].wt_tree != tree) {
        if ((rc = reserve((void **)&ws->ws_tree, &ws->ws_trees_room, ws->ws_n_trees, sizeof *ws->ws_tree)))
            return rc;
        memmove(ws->ws_tree + at + 1, ws->ws_tree + at, (ws->ws_n_trees - at) * sizeof *ws->ws_tree);
        ws->ws_tree[at] = (ws_tree){ .wt_tree = tree };
        ws->ws_n_trees++;
    }
    ws->ws_tree_hint = at;
    *out = &ws->ws_tree[at];
    return EDB_OK;
}

/* ---- waiting -------------------------------------------------------------------------------------------------- */

enum {
    ROW_KEY = 8,                    /* bytes of a row id, which is a key or the end of one */
    AHEAD = 8,                      /* nodes that are fetched before they are needed */
    NEAR = 3,                       /* nodes that are tried before a search */
};

static skip_node *node_of(const sorted_key *sorted)
{
    return (skip_node *)sorted->ks_key;
}

static void link_sorted(skiplist *list, const sorted_key *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(nodes[i + AHEAD].ks_key, 1);
        skiplist_link(list, node_of(&nodes[i]));
    }
}

/* What waits of the tree, in order, of one key the newest first; room for twice as many. */
static void sort_waiting(const ws_tree *wt, sorted_key *nodes)
{
    size_t n = 0;

    for (skip_node *node = wt->wt_waiting; node; node = *skiplist_waits(node))
        nodes[n++].ks_key = &node->nd_head;
    keys_sort(nodes, nodes + n, n);
}

static void settle(writeset *ws, ws_tree *wt)
{
    skiplist *list = &ws->ws_now->gn_list;
    size_t n = wt->wt_n_waiting;
    sorted_key *nodes = n > 1 ? malloc(2 * n * sizeof *nodes) : NULL;

    if (nodes) {
        sort_waiting(wt, nodes);
        link_sorted(list, nodes, n);
        free(nodes);
    } else {
        for (skip_node *node = wt->wt_waiting, *next; node; node = next) {
            next = *skiplist_waits(node);
            skiplist_link(list, node);
        }
    }
    wt->wt_waiting = NULL;
    wt->wt_n_waiting = 0;
}

void ws_settle(writeset *ws, uint32_t tree)
{
    ws_tree *wt = tree_find(ws, tree);

    if (wt && wt->wt_waiting)
        settle(ws, wt);
}

/* ---- the filter ----------------------------------------------------------------------------------------------- */

static void know(ws_tree *wt, const uint8_t *key, size_t size, unsigned flags)
{
    if (size == ROW_KEY)
        filter_add(&wt->wt_known, key, ROW_KEY);
    if (flags & WS_UNIQUE)
        filter_add(&wt->wt_known, key, size - ROW_KEY);
}

static void know_node(ws_tree *wt, const skip_node *node)
{
    know(wt, node->nd_head.kv_key, node->nd_head.kv_key_size, node->nd_flags);
}

static void know_all(const writeset *ws, ws_tree *wt)
{
    ws_entry entry;

    for (const skip_node *node = wt->wt_unknown; node && node->nd_tree == wt->wt_tree; node = skiplist_next(node))
        know_node(wt, node);
    wt->wt_unknown = NULL;
    for (; wt->wt_known_runs < ws->ws_n_runs; wt->wt_known_runs++) {
        const ws_run *run = ws->ws_run[wt->wt_known_runs];
        const run_tree *part = run_find_tree(run, wt->wt_tree);
        for (uint64_t at = part ? part->rt_first : 0; part && at < part->rt_end; at++) {
            run_entry(run, at, &entry);
            know(wt, entry.key, entry.key_size, entry.flags);
        }
    }
}

static bool known_perhaps(const writeset *ws, ws_tree *wt, const void *key, size_t size)
{
    if (wt->wt_unknown || wt->wt_known_runs < ws->ws_n_runs)
        know_all(ws, wt);
    return filter_perhaps(&wt->wt_known, key, size);
}

/* Whether the key is behind all writes of the tree that are in memory. */
static inline bool behind_all(const ws_tree *wt, const void *key, size_t key_size)
{
    return !wt->wt_last || skiplist_compare(wt->wt_tree, key, key_size, wt->wt_last) > 0;
}

/* Whether it is behind those in runs, too: so that it was never written. */
static inline bool behind_runs(const ws_tree *wt, const void *key, size_t key_size)
{
    return !wt->wt_run_last || key_compare(key, key_size, wt->wt_run_last, wt->wt_run_last_size) > 0;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

typedef struct {                    /* the list and what waits on the way into a run, merged */
    writeset *sg_ws;
    const skip_node *sg_node;       /* the list's next; NULL: none */
    size_t sg_tree;                 /* whose waiting writes are next */
    sorted_key *sg_sorted;         /* those of the one before it */
    size_t sg_at, sg_n;
} spilling;

/* Whether a belongs before b. */
static bool node_before(const skip_node *a, const skip_node *b)
{
    int order = skiplist_compare(a->nd_tree, a->nd_head.kv_key, a->nd_head.kv_key_size, b);

    return order < 0 || (order == 0 && a->nd_seq > b->nd_seq);
}

/* The next node that was not rolled back; see run_next_fn. */
static const skip_node *spill_next(void *arg)
{
    spilling *sg = arg;
    writeset *ws = sg->sg_ws;
    const skip_node *node;

    do {
        for (; sg->sg_at == sg->sg_n && sg->sg_tree < ws->ws_n_trees; sg->sg_tree++) {
            const ws_tree *wt = &ws->ws_tree[sg->sg_tree];
            if (!wt->wt_n_waiting)
                continue;
            sort_waiting(wt, sg->sg_sorted);
            sg->sg_at = 0;
            sg->sg_n = wt->wt_n_waiting;
        }
        bool waits = sg->sg_at < sg->sg_n;
        if (waits && sg->sg_at + AHEAD < sg->sg_n)
            __builtin_prefetch(sg->sg_sorted[sg->sg_at + AHEAD].ks_key);
        if (waits && (!sg->sg_node || node_before(node_of(&sg->sg_sorted[sg->sg_at]), sg->sg_node))) {
            node = node_of(&sg->sg_sorted[sg->sg_at++]);
        } else {
            if (!(node = sg->sg_node))
                return NULL;
            sg->sg_node = skiplist_next(node);
            __builtin_prefetch(sg->sg_node);
        }
    } while (ws->ws_n_dead && ws_is_dead(ws, node->nd_seq));
    return node;
}

/* What waits is merged in as it is written; without memory to sort it in, it goes into the list first. */
static int write_run(writeset *ws, ws_run **run)
{
    spilling sg = { .sg_ws = ws };
    size_t most = 0;
    int rc;

    for (size_t i = 0; i < ws->ws_n_trees; i++)
        if (ws->ws_tree[i].wt_n_waiting > most)
            most = ws->ws_tree[i].wt_n_waiting;
    sg.sg_sorted = most ? malloc(2 * most * sizeof *sg.sg_sorted) : NULL;
    for (size_t i = 0; most && !sg.sg_sorted && i < ws->ws_n_trees; i++)
        settle(ws, &ws->ws_tree[i]);
    sg.sg_node = skiplist_first(&ws->ws_now->gn_list);
    rc = run_write(&ws->ws_file, spill_next, &sg, run);
    free(sg.sg_sorted);
    return rc;
}

/* What is left to know of a tree whose writes are in `run`, the newest; NULL: all were rolled back. */
static ws_tree tree_spilled(const writeset *ws, const ws_tree *wt, const ws_run *run)
{
    const run_tree *part = run ? run_find_tree(run, wt->wt_tree) : NULL;
    ws_tree left = { .wt_tree = wt->wt_tree, .wt_known = wt->wt_known, .wt_known_runs = wt->wt_known_runs,
                     .wt_run_last = wt->wt_run_last, .wt_run_last_size = wt->wt_run_last_size };
    ws_entry last;

    if (!wt->wt_unknown && wt->wt_known_runs == ws->ws_n_runs - (run != NULL))
        left.wt_known_runs = ws->ws_n_runs;
    if (part) {
        run_entry(run, part->rt_end - 1, &last);
        if (behind_runs(wt, last.key, last.key_size)) {
            left.wt_run_last = last.key;
            left.wt_run_last_size = last.key_size;
        }
    }
    return left;
}

/* Writes the list out as a run and begins a new generation. */
static int spill(writeset *ws)
{
    ws_generation *next = NULL;
    ws_run *run = NULL;
    int rc;

    if ((rc = reserve((void **)&ws->ws_run, &ws->ws_runs_room, ws->ws_n_runs, sizeof *ws->ws_run)))
        return rc;
    if (!(next = generation_new()))
        return no_memory();
    if ((rc = write_run(ws, &run))) {
        ws_release(next);
        return rc;
    }
    if (run->rn_count) {
        ws->ws_run[ws->ws_n_runs++] = run;
    } else {
        run_free(run);
        run = NULL;
    }
    for (size_t i = 0; i < ws->ws_n_trees; i++)
        ws->ws_tree[i] = tree_spilled(ws, &ws->ws_tree[i], run);
    ws_release(ws->ws_now);
    ws->ws_now = next;
    return EDB_OK;
}

int ws_put(writeset *ws, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
           unsigned flags, uint64_t seen_from)
{
    skip_node *node;
    ws_tree *wt;
    int rc;

    if (ws->ws_now->gn_memory.an_bytes > ws->ws_spill_bytes && (rc = spill(ws)))
        return rc;
    if (ws->ws_n_dead == ws->ws_dead_room
        && (rc = reserve((void **)&ws->ws_dead, &ws->ws_dead_room, ws->ws_n_dead, sizeof *ws->ws_dead)))
        return rc;
    if ((rc = tree_note(ws, tree, &wt)))
        return rc;
    node = skiplist_make(&ws->ws_now->gn_list, tree, key, key_size, ws->ws_last_seq + 1, value, value_size,
                         flags & WS_TOMBSTONE);
    if (!node)
        return no_memory();
    node->nd_flags = (uint8_t)flags;
    node->nd_from = seen_from;
    ws->ws_last_seq++;
    wt->wt_newest = node;
    if (behind_all(wt, key, key_size)) {
        skiplist_link(&ws->ws_now->gn_list, node);
        wt->wt_last = node;
        if (!wt->wt_unknown)
            wt->wt_unknown = node;
    } else {
        know_node(wt, node);
        *skiplist_waits(node) = wt->wt_waiting;
        wt->wt_waiting = node;
        wt->wt_n_waiting++;
    }
    return EDB_OK;
}

/* ---- rolling back --------------------------------------------------------------------------------------------- */

bool ws_is_dead(const writeset *ws, uint64_t seq)
{
    size_t low = 0, high = ws->ws_n_dead;

    while (low < high) {            /* the first interval that ends at or after seq */
        size_t middle = (low + high) / 2;
        if (ws->ws_dead[middle].dd_high < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ws->ws_n_dead && seq > ws->ws_dead[low].dd_low;
}

void ws_rollback(writeset *ws, uint64_t seq)
{
    ws_dead dead = { seq, ws->ws_last_seq };

    if (dead.dd_low >= dead.dd_high)
        return;
    while (ws->ws_n_dead && ws->ws_dead[ws->ws_n_dead - 1].dd_high >= dead.dd_low) {
        ws->ws_n_dead--;
        if (ws->ws_dead[ws->ws_n_dead].dd_low < dead.dd_low)
            dead.dd_low = ws->ws_dead[ws->ws_n_dead].dd_low;
    }
    ws->ws_dead[ws->ws_n_dead++] = dead;
}

/* ---- reading one key ------------------------------------------------------------------------------------------ */

/* The list's first node at or after the key; NULL: all of the tree lies before it. Keys are often asked for in their
 * order: a search ends where the last one did, or a few nodes on. */
static const skip_node *list_seek(writeset *ws, ws_tree *wt, const void *key, size_t key_size)
{
    const skip_node *node = wt->wt_near;

    if (behind_all(wt, key, key_size))
        return NULL;
    if (wt->wt_waiting)
        settle(ws, wt);
    if (node && skiplist_compare(wt->wt_tree, key, key_size, node) > 0)
        for (size_t i = 0; i < NEAR; i++, node = skiplist_next(node)) {
            const skip_node *next = skiplist_next(node);
            if (!next || skiplist_compare(wt->wt_tree, key, key_size, next) <= 0) {
                wt->wt_near = node;
                return next;
            }
        }
    node = skiplist_before(&ws->ws_now->gn_list, wt->wt_tree, key, key_size);
    wt->wt_near = node && node->nd_tree == wt->wt_tree ? node : NULL;
    return node ? skiplist_next(node) : skiplist_first(&ws->ws_now->gn_list);
}

static bool get_from_list(writeset *ws, ws_tree *wt, const void *key, size_t key_size, uint64_t seq,
                          ws_entry *out)
{
    const skip_node *node = list_seek(ws, wt, key, key_size);

    for (; node && !skiplist_compare(wt->wt_tree, key, key_size, node); node = skiplist_next(node)) {
        if (ws_visible(ws, node->nd_seq, seq)) {
            ws_entry_from_node(node, out);
            return true;
        }
    }
    return false;
}

static bool get_from_run(const writeset *ws, const ws_run *run, uint32_t tree, const void *key, size_t key_size,
                         uint64_t seq, ws_entry *out)
{
    const run_tree *part = run_find_tree(run, tree);
    ws_entry entry;

    if (!part)
        return false;
    for (uint64_t at = run_search(run, part, key, key_size, false); at < part->rt_end; at++) {
        run_entry(run, at, &entry);
        if (key_compare(entry.key, entry.key_size, key, key_size))
            return false;
        if (ws_visible(ws, entry.seq, seq)) {
            *out = entry;
            return true;
        }
    }
    return false;
}

/* The tree's last write, if it is of the key: a program that has changed a row mostly reads or changes it again. It needs
 * no place in the list for that. */
static inline bool get_newest(const writeset *ws, const ws_tree *wt, const void *key, size_t key_size, uint64_t seq,
                              ws_entry *out)
{
    const skip_node *node = wt->wt_newest;

    if (!node || skiplist_compare(wt->wt_tree, key, key_size, node) || !ws_visible(ws, node->nd_seq, seq))
        return false;
    ws_entry_from_node(node, out);
    return true;
}

bool ws_get(writeset *ws, uint32_t tree, const void *key, size_t key_size, uint64_t seq, ws_entry *out)
{
    ws_tree *wt = tree_find(ws, tree);

    if (!wt || (behind_all(wt, key, key_size) && behind_runs(wt, key, key_size)))
        return false;
    if (get_newest(ws, wt, key, key_size, seq, out))
        return true;
    if (key_size == ROW_KEY && !known_perhaps(ws, wt, key, key_size))
        return false;
    if (get_from_list(ws, wt, key, key_size, seq, out))
        return true;
    for (size_t i = ws->ws_n_runs; i-- > 0;)
        if (get_from_run(ws, ws->ws_run[i], tree, key, key_size, seq, out))
            return true;
    return false;
}

bool ws_may_have_unique(writeset *ws, uint32_t tree, const void *prefix, size_t size)
{
    ws_tree *wt = tree_find(ws, tree);

    return wt && known_perhaps(ws, wt, prefix, size);
}

static bool has_prefix(const uint8_t *key, size_t key_size, const void *prefix, size_t size)
{
    return key_size >= size && memcmp(key, prefix, size) == 0;
}

bool ws_first_in_list(writeset *ws, uint32_t tree, const void *prefix, size_t size, ws_entry *out)
{
    ws_tree *wt = tree_find(ws, tree);
    const skip_node *node = wt ? list_seek(ws, wt, prefix, size) : NULL, *last = NULL;

    for (; node && node->nd_tree == tree && has_prefix(node->nd_head.kv_key, node->nd_head.kv_key_size, prefix, size);
         node = skiplist_next(node)) {
        /* A key is decided by its first visible node, which is its newest. */
        if (!ws_visible(ws, node->nd_seq, UINT64_MAX)
            || (last && !skiplist_compare(tree, last->nd_head.kv_key, last->nd_head.kv_key_size, node)))
            continue;
        last = node;
        if (!(node->nd_flags & WS_TOMBSTONE)) {
            ws_entry_from_node(node, out);
            return true;
        }
    }
    return false;
}

bool ws_has_prefix(writeset *ws, uint32_t tree, const void *prefix, size_t size)
{
    ws_tree *wt = tree_find(ws, tree);
    const run_tree *part;
    const skip_node *node;
    ws_entry entry;
    uint64_t at;

    if (!wt)
        return false;
    /* Keys that begin with the prefix follow it at once. In ascending loads the prefix lies behind everything. */
    node = list_seek(ws, wt, prefix, size);
    if (node && node->nd_tree == tree && has_prefix(node->nd_head.kv_key, node->nd_head.kv_key_size, prefix, size))
        return true;
    for (size_t i = ws->ws_n_runs; i-- > 0;) {
        if (!(part = run_find_tree(ws->ws_run[i], tree)))
            continue;
        if ((at = run_search(ws->ws_run[i], part, prefix, size, false)) == part->rt_end)
            continue;
        run_entry(ws->ws_run[i], at, &entry);
        if (has_prefix(entry.key, entry.key_size, prefix, size))
            return true;
    }
    return false;
}
