/* Redo records: writing down what a commit changes, and making it again (pager_replayer).
 *
 *     group    varint tree id << 1      varint n, then n changes, ascending by key
 *              varint tree id << 1 | 1  varint next row id
 *     change   varint key size << 2 | tombstone << 1 | always, key; unless it is a tombstone: varint value size, value
 *
 * Groups are made again in the order in which the commit made them, by the same tree_apply(), so that the same versions come
 * of them. A commit changes its trees one after the other, so that the groups of a tree follow upon each other and its keys
 * ascend through all of them; and it writes down no group that makes no version. The bytes come from a file: what no commit
 * can have written is damage. */
#include "engine/txn/redo.h"

#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/txn/commit_trees.h"
#include "engine/txn/txn.h"

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static bool room_for(redo_buffer *rb, size_t size)
{
    rb->rb_full = rb->rb_full || size > REDO_CHANGES_MOST - rb->rb_size;
    return !rb->rb_full;
}

static void put_varint(redo_buffer *rb, uint64_t v)
{
    rb->rb_size = (size_t)(varint_store(rb->rb_bytes + rb->rb_size, v) - rb->rb_bytes);
}

static void put_bytes(redo_buffer *rb, const void *bytes, size_t size)
{
    if (size)
        memcpy(rb->rb_bytes + rb->rb_size, bytes, size);
    rb->rb_size += size;
}

void redo_add(redo_buffer *rb, uint32_t tree, bool again, const tree_change *changes, size_t n)
{
    rb->rb_full = rb->rb_full || (again && rb->rb_tree != tree);
    rb->rb_tree = tree;
    if (!room_for(rb, 2 * VARINT_MAX))
        return;
    put_varint(rb, (uint64_t)tree << 1);
    put_varint(rb, n);
    for (size_t i = 0; i < n; i++) {
        const tree_change *c = &changes[i];
        if (!room_for(rb, 2 * VARINT_MAX + (size_t)c->key_size + c->value_size))
            return;
        put_varint(rb, (uint64_t)c->key_size << 2 | (uint64_t)c->tombstone << 1 | c->always);
        put_bytes(rb, c->key, c->key_size);
        if (c->tombstone)
            continue;
        put_varint(rb, c->value_size);
        put_bytes(rb, c->value, c->value_size);
    }
}

void redo_add_next_id(redo_buffer *rb, uint32_t tree, uint64_t next_id)
{
    if (!room_for(rb, 2 * VARINT_MAX))
        return;
    put_varint(rb, (uint64_t)tree << 1 | 1);
    put_varint(rb, next_id);
}

/* ---- making it again ---------------------------------------------------------------------------------------------- */

typedef struct {
    commit_trees rwk_trees;
    const uint8_t *rwk_at, *rwk_end;  /* what is still to be read */
    bool rwk_any;                   /* the record has changed a tree: */
    uint32_t rwk_tree;              /* ... this one last */
    tree_change rwk_last;           /* ... by this change */
} rework;

static int redo_bad(const rework *rw, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu is damaged: %s; restore it from a backup",
                    pager_name(rw->rwk_trees.cmt_pager), (unsigned long long)pager_commit_number(rw->rwk_trees.cmt_commit), how);
}

static int get_varint(rework *rw, uint64_t *out)
{
    rw->rwk_at = varint_load(rw->rwk_at, rw->rwk_end, out);
    return rw->rwk_at ? EDB_OK : redo_bad(rw, "a number ends behind it");
}

static int get_bytes(rework *rw, uint64_t size, const uint8_t **out)
{
    if (size > (uint64_t)(rw->rwk_end - rw->rwk_at))
        return redo_bad(rw, "a key or a value ends behind it");
    *out = rw->rwk_at;
    rw->rwk_at += size;
    return EDB_OK;
}

/* The next change of the tree, whose key must be larger than the last one's; last NULL: there was none. */
static int get_change(rework *rw, const tree_state *tree, const tree_change *last, tree_change *out)
{
    uint64_t head, size = 0;
    int rc;

    *out = (tree_change){ .key = NULL };
    if ((rc = get_varint(rw, &head)))
        return rc;
    if (head >> 2 > tree_key_max(pager_page_size(rw->rwk_trees.cmt_pager)))
        return redo_bad(rw, "a key is too large");
    if (tree->ts_key_size && head >> 2 != tree->ts_key_size)
        return redo_bad(rw, "a key has not the size of its tree's keys");
    if ((rc = get_bytes(rw, head >> 2, &out->key)))
        return rc;
    out->key_size = (uint32_t)(head >> 2);
    out->tombstone = head & 2;
    out->always = head & 1;
    if (last && key_compare(last->key, last->key_size, out->key, out->key_size) >= 0)
        return redo_bad(rw, "its keys do not ascend");
    if (out->tombstone)
        return EDB_OK;
    if ((rc = get_varint(rw, &size)) || (rc = get_bytes(rw, size, &out->value)))
        return rc;
    out->value_size = (uint32_t)size;
    return EDB_OK;
}

enum { CHANGES_AT_ONCE = 64 };

static int group_apply(rework *rw, written_tree *tree, uint64_t n)
{
    tree_change changes[CHANGES_AT_ONCE];
    page_ref before = tree->wn_state.ts_root;
    bool goes_on = rw->rwk_any && rw->rwk_tree == tree->wn_state.ts_id;
    int rc = EDB_OK;

    if (tree->wn_state.ts_id == TREE_CATALOG)       /* who makes or drops something writes pages */
        return redo_bad(rw, "it changes the catalog");
    if (!goes_on && tree->wn_state.ts_changed == pager_commit_number(rw->rwk_trees.cmt_commit))
        return redo_bad(rw, "it changes a tree twice");
    while (n && !rc) {
        size_t some = 0;
        for (; some < CHANGES_AT_ONCE && n && !rc; n--, some++, goes_on = true)
            if (!(rc = get_change(rw, &tree->wn_state, goes_on ? &rw->rwk_last : NULL, &changes[some])))
                rw->rwk_last = changes[some];
        if (!rc)
            rc = tree_apply(rw->rwk_trees.cmt_commit, &tree->wn_state, changes, some, NULL);
    }
    rw->rwk_any = true;
    rw->rwk_tree = tree->wn_state.ts_id;
    if (rc)
        return rc;
    if (tree->wn_state.ts_root.page == before.page && tree->wn_state.ts_root.tag == before.tag)
        return redo_bad(rw, "it changes nothing");
    commit_tree_dirty(&rw->rwk_trees, tree);
    return EDB_OK;
}

static int group(rework *rw)
{
    uint64_t head, value;
    written_tree *tree;
    int rc;

    if ((rc = get_varint(rw, &head)) || (rc = get_varint(rw, &value)))
        return rc;
    if (head >> 1 > UINT32_MAX)
        return redo_bad(rw, "it changes a tree that cannot be");
    if ((rc = commit_tree(&rw->rwk_trees, (uint32_t)(head >> 1), &tree)))
        return rc;
    if (!tree)
        return redo_bad(rw, "it changes a tree that does not exist");
    if (!(head & 1))
        return group_apply(rw, tree, value);
    if (value < tree->wn_state.ts_next_id)
        return redo_bad(rw, "it gives row ids anew");
    tree->wn_state.ts_next_id = value;
    commit_tree_dirty(&rw->rwk_trees, tree);
    return EDB_OK;
}

static int redo_begin(pager_commit *pc, const array_state *trees, void **work)
{
    rework *rw = calloc(1, sizeof *rw);

    if (!rw)
        return edb_fail(EDB_NOMEM, "no memory to replay commits");
    rw->rwk_trees = commit_trees_of(pc, trees);
    *work = rw;
    return EDB_OK;
}

static int redo_apply(void *work, const uint8_t *changes, size_t size)
{
    rework *rw = work;
    int rc = EDB_OK;

    rw->rwk_any = false;
    rw->rwk_at = changes;
    rw->rwk_end = changes + size;
    while (!rc && rw->rwk_at < rw->rwk_end)
        rc = group(rw);
    return rc;
}

static int redo_end(void *work, array_state *trees)
{
    rework *rw = work;
    int rc = commit_trees_store(&rw->rwk_trees);

    *trees = rw->rwk_trees.cmt_list;
    return rc;
}

static void redo_free(void *work)
{
    rework *rw = work;

    commit_trees_free(&rw->rwk_trees);
    free(rw);
}

static const pager_replayer replayer = { redo_begin, redo_apply, redo_end, redo_free };

__attribute__((constructor)) static void redo_register(void)
{
    pager_replay = &replayer;
}
