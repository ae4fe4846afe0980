/* Writing the temporal tree: one commit's sorted changes, applied node by node.
 *
 * node_apply() takes a node and the changes that fall into its range and answers with *pieces*: what stands in the
 * node's place from now on, each with the separator and the commit number under which its parent enters it. Usually one:
 * the same node, copied. The rules, from Lomet and Salzberg's TSB-tree with free-at-empty:
 *
 *   time split   A leaf too full of ended versions becomes history where it stands; a new page keeps what lives.
 *
 *                  [k1@9 k1@5 k1@2 k2@7 k2@3]  at 12  ->  (k1,2) the old page, unchanged;  (k1,12) [k1@9 k2@7]
 *
 *   key split    Else it is cut between two keys; the right half enters the parent with the oldest `from` in it.
 *   interior     An interior node is split by time no later than its oldest living child allows, so that history refers
 *                only to history; or by key, where a history child that straddles the cut is entered on both sides.
 *   empty        A node in which nothing lives becomes history, and its range *empty*: child page 0. No merging: a
 *                range that widened under old entries would shadow them.
 *   roots        One root per span of time. A root that is split by time is filed, an only child becomes the root.
 *
 * `born` of a node, the oldest commit it answers for, is not stored: it is the `from` of its parent's entry, or the
 * root's `since`.
 *
 * What nodes become is in tree_leaf.c and tree_interior.c; here are the way down to them, and the roots. */
#include <stdlib.h>

#include "engine/tree/tree_pieces.h"

int node_apply(writer *w, page_ref ref, unsigned above, uint64_t born, const tree_change *c, size_t n,
               bool is_root, bool rightmost, pieces *out, bool *changed)
{
    const uint8_t *page = NULL;

    if (ref.page) {
        int rc = pager_page(w->tw_pager, w->tw_view, ref, 0, &page);
        if (rc != EDB_OK)
            return rc;
        if (!writer_is_node(w, page) || page_level(page) >= above)
            return writer_not_a_node(w, ref);
        if (page[PH_KIND] == PAGE_INTERIOR)
            return interior_apply(w, ref, page, born, c, n, is_root, rightmost, out, changed);
    }
    return leaf_apply(w, ref, page, born, c, n, is_root, rightmost, out, changed);
}

/* ---- roots ---------------------------------------------------------------------------------------------------------- */

static int root_file(writer *w, uint64_t since, page_ref root)
{
    tree_state *s = w->tw_state;

    assert(page_is_cold(root.page));
    if (s->ts_n_recent == TREE_ROOTS) {
        uint8_t elements[TREE_ROOTS * TREE_ROOT_SIZE] = { 0 };
        for (uint32_t i = 0; i < TREE_ROOTS; i++) {
            store64(elements + i * TREE_ROOT_SIZE, s->ts_recent[i].since);
            store64(elements + i * TREE_ROOT_SIZE + 8, s->ts_recent[i].root.page);
            store32(elements + i * TREE_ROOT_SIZE + 16, s->ts_recent[i].root.tag);
        }
        int rc = array_set(w->tw_commit, &s->ts_roots, s->ts_id, TREE_ROOT_SIZE, s->ts_roots.ar_count, elements, TREE_ROOTS);
        if (rc != EDB_OK)
            return rc;
        s->ts_n_recent = 0;
    }
    s->ts_recent[s->ts_n_recent++] = (tree_root){ since, root };
    return EDB_OK;
}

/* A root with a single child that is as old as itself hands the tree over to it. */
static int root_lower(writer *w)
{
    tree_state *s = w->tw_state;

    for (;;) {
        const uint8_t *page;
        int rc = pager_page(w->tw_pager, w->tw_view, s->ts_root, 0, &page);
        if (rc != EDB_OK)
            return rc;
        if (!writer_is_node(w, page))
            return writer_not_a_node(w, s->ts_root);
        if (page_is_leaf(page) || page_live(page) + page_dead(page) != 1)
            return EDB_OK;
        uint64_t slot = page_live_slots(page)[0];
        page_ref child = cell_child(page + slot_offset(slot), w->tw_fixed);
        if (!child.page || slot_from(slot) > s->ts_since)
            return EDB_OK;
        rc = pager_free(w->tw_commit, s->ts_root);
        if (rc != EDB_OK)
            return rc;
        s->ts_root = child;
    }
}

static const uint8_t lowest_key[8];

/* Puts the pieces of a root that was split by key under a new root; it may need splitting itself. */
static int root_grow(writer *w, pieces *split, unsigned level)
{
    tree_state *s = w->tw_state;

    if (split->whole) {                                 /* the past of all of it stays a root of its own time */
        int rc = root_file(w, s->ts_since, split->p[0].ref);
        if (rc != EDB_OK)
            return rc;
        split->p++;
        split->n--;
        uint64_t since = UINT64_MAX;
        for (size_t i = 0; i < split->n; i++)
            if (!split->p[i].low && split->p[i].from < since)
                since = split->p[i].from;
        s->ts_since = since;
    }
    page_entry *e = arena_alloc(&w->tw_arena, (split->n + 1) * sizeof *e);
    if (!e)
        return writer_no_memory();
    size_t n = pieces_entries(split, lowest_key, w->tw_fixed, e);
    entries_mark(e, n);
    *split = (pieces){ 0 };
    return interior_split(w, e, n, level, NULL, s->ts_since, true, split);
}

static int root_replace(writer *w, pieces *split, unsigned level)
{
    tree_state *s = w->tw_state;

    for (;;) {
        bool by_key = false;
        for (size_t i = 0; i < split->n; i++)
            by_key = by_key || split->p[i].low;
        if (!by_key)
            break;
        int rc = root_grow(w, split, ++level);
        if (rc != EDB_OK)
            return rc;
    }
    for (size_t i = 0; i < split->n; i++) {             /* split by time, or not at all */
        if (i > 0) {
            int rc = root_file(w, s->ts_since, s->ts_root);
            if (rc != EDB_OK)
                return rc;
        }
        s->ts_since = split->p[i].from;
        s->ts_root = split->p[i].ref;
        if (!s->ts_root.page) {
            int rc = writer_node(w, true, 0, NULL, 0, &s->ts_root);
            if (rc != EDB_OK)
                return rc;
        }
    }
    return root_lower(w);
}

/* ---- entry points --------------------------------------------------------------------------------------------------- */

static void writer_open(writer *w, pager_commit *pc, tree_state *state)
{
    pager *pg = pager_commit_pager(pc);

    *w = (writer){ .tw_commit = pc, .tw_pager = pg, .tw_view = pager_get_view(pg), .tw_state = state,
                   .tw_now = pager_commit_number(pc), .tw_page_size = pager_page_size(pg),
                   .tw_fixed = state->ts_key_size };
    w->tw_capacity = w->tw_page_size - TP_SLOTS;
    arena_init(&w->tw_arena);
}

static void writer_close(writer *w)
{
    arena_free(&w->tw_arena);
    free(w->tw_buffer);
    free(w->tw_old.e);
    free(w->tw_new.e);
    free(w->tw_past.e);
}

uint32_t tree_key_max(uint32_t page_size)
{
    return (page_size - TP_SLOTS) / 4 - 40;             /* an overflow pointer fits beside the largest key */
}

int tree_create(pager_commit *pc, uint32_t id, uint8_t key_size, tree_state *out)
{
    writer w;
    uint64_t now = pager_commit_number(pc);
    tree_state state = { .ts_id = id, .ts_key_size = key_size, .ts_since = now, .ts_born = now, .ts_changed = now,
                         .ts_next_id = 1 };
    writer_open(&w, pc, &state);
    int rc = writer_node(&w, true, 0, NULL, 0, &state.ts_root);
    writer_close(&w);
    if (rc == EDB_OK)
        *out = state;
    return rc;
}

int tree_apply(pager_commit *pc, tree_state *state, const tree_change *changes, size_t n, tree_content *content)
{
    writer w;
    pieces split = { 0 };
    bool changed = false;
    tree_state before = *state;

    if (n == 0)
        return EDB_OK;
    writer_open(&w, pc, state);
    int rc = content_queue_begin(&w.tw_made, content, changes, n);
    if (rc != EDB_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        assert(changes[i].key_size <= tree_key_max(w.tw_page_size));
        /* The catalog and the tree's state disagree: one of them is damaged. */
        if (w.tw_fixed && changes[i].key_size != w.tw_fixed) {
            rc = edb_fail(EDB_CORRUPT, "%s: tree %u says that its keys have %u bytes, which those of its index have "
                          "not; restore a backup", pager_name(w.tw_pager), state->ts_id, w.tw_fixed);
            goto done;
        }
    }
    const uint8_t *page;
    rc = pager_page(w.tw_pager, w.tw_view, state->ts_root, 0, &page);
    if (rc != EDB_OK)
        goto done;
    unsigned level = page_level(page);
    rc = node_apply(&w, state->ts_root, 256, state->ts_since, changes, n, true, true, &split, &changed);
    if (rc == EDB_OK && changed) {
        state->ts_changed = w.tw_now;
        rc = root_replace(&w, &split, level);
    }
done:
    content_queue_end(&w.tw_made);
    writer_close(&w);
    if (rc != EDB_OK)
        *state = before;
    return rc;
}

/* ---- states --------------------------------------------------------------------------------------------------------- */

void tree_state_store(uint8_t out[TREE_STATE_SIZE], const tree_state *s)
{
    memset(out, 0, TREE_STATE_SIZE);
    store64(out, s->ts_root.page);
    store32(out + 8, s->ts_root.tag);
    out[12] = s->ts_key_size;
    out[13] = (uint8_t)s->ts_n_recent;
    store64(out + 16, s->ts_since);
    store64(out + 24, s->ts_born);
    store64(out + 32, s->ts_live);
    store64(out + 40, s->ts_next_id);
    for (uint32_t i = 0; i < s->ts_n_recent; i++) {
        store64(out + 48 + 20 * i, s->ts_recent[i].since);
        store64(out + 56 + 20 * i, s->ts_recent[i].root.page);
        store32(out + 64 + 20 * i, s->ts_recent[i].root.tag);
    }
    store64(out + 88, s->ts_roots.ar_root.page);
    store64(out + 96, s->ts_roots.ar_count);
    store32(out + 104, s->ts_roots.ar_root.tag);
    store32(out + 108, s->ts_roots.ar_levels);
    store64(out + 112, s->ts_changed);
    store64(out + 120, s->ts_whole);
}

void tree_state_load(tree_state *s, uint32_t id, const uint8_t in[TREE_STATE_SIZE])
{
    *s = (tree_state){ .ts_id = id };
    s->ts_root = (page_ref){ load64(in), load32(in + 8) };
    s->ts_key_size = in[12] == 8 ? 8 : 0;
    s->ts_n_recent = in[13] <= TREE_ROOTS ? in[13] : TREE_ROOTS;
    s->ts_since = load64(in + 16);
    s->ts_born = load64(in + 24);
    s->ts_live = load64(in + 32);
    s->ts_next_id = load64(in + 40);
    for (uint32_t i = 0; i < s->ts_n_recent; i++)
        s->ts_recent[i] = (tree_root){ load64(in + 48 + 20 * i), { load64(in + 56 + 20 * i), load32(in + 64 + 20 * i) } };
    s->ts_roots.ar_root = (page_ref){ load64(in + 88), load32(in + 104) };
    s->ts_roots.ar_count = load64(in + 96);
    s->ts_roots.ar_levels = load32(in + 108);
    s->ts_changed = load64(in + 112);
    s->ts_whole = load64(in + 120);
}

int tree_state_listed(pager *pg, const array_state *trees, uint32_t id, tree_state *out)
{
    const uint8_t *element = NULL;

    if (id < trees->ar_count) {
        int rc = array_get(pg, trees, TREE_STATE_SIZE, id, &element);
        if (rc != EDB_OK)
            return rc;
    }
    if (!element || load64(element) == 0)
        return edb_fail(EDB_NOSUCH, "there is no tree %u", id);
    tree_state_load(out, id, element);
    return EDB_OK;
}

int tree_state_get(pager *pg, const snapshot *sn, uint32_t id, tree_state *out)
{
    int rc = tree_state_listed(pg, &sn->sn_trees, id, out);

    if (rc == EDB_NOSUCH)
        return edb_fail(EDB_NOSUCH, "there is no tree %u at commit %llu", id, (unsigned long long)sn->sn_number);
    if (rc != EDB_OK)
        return rc;
    out->ts_cold = sn->sn_cold;
    out->ts_horizon = sn->sn_horizon;
    return rc;
}
