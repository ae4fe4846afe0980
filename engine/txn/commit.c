/* Commit: net application and publishing. README.md of this folder has the protocol and its reasons.
 *
 * txn_prepare_alone takes the committer lock and, against the newest root (the *base*):
 *
 *   1  nobody changed the catalog since T, nor a tree that had to stay as it was;
 *   2  every row written is in the base what it was at T: the same version, or none in both. (Comparing with the newest
 *      version alone would miss a delete whose tombstone a time split has moved to history.)
 *   3  at SERIALIZABLE: every range read is in the base what it was at T;
 *   4  no unique entry collides, if the base is newer than what it was judged on;
 *   5  promises hold (foreign keys), if one was unmet or the base is newer than what they were judged on;
 *   6  the net writes are applied tree by tree;
 *   7  if they change anything, the layers above add what belongs to the commit (hk_commit), and the states of the changed
 *      trees go into the list of trees;
 *   8  the pager makes the record.
 *
 * *Net* means: of each key the newest write that was not rolled back, and of these only what differs from the base
 * (tree_apply drops the rest). A transaction whose net effect is nothing makes no commit. txn_publish_alone then only draws
 * the time and publishes, because SQLite does not listen any more. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/shared/os.h"
#include "engine/txn/commit_trees.h"
#include "engine/txn/redo.h"
#include "engine/txn/txn_internal.h"
#include "engine/txn/ws_run.h"

enum { CHANGES_FEW = 64, CHANGES_MANY = 16384 };    /* changes handed to a tree at once: few first, then many */

typedef struct commit {
    edb_conn *cm_conn;
    txn *cm_txn;
    pager *cm_pager;
    pager_commit *cm_commit;
    const snapshot *cm_base;
    commit_trees cm_trees;
    bool cm_in_memory;              /* its pages are made in memory, and cm_redo says what it changes */
    redo_buffer cm_redo;
    const tree_masks *cm_masks;     /* columns without history; cm_own_masks, if it says something of some itself */
    tree_masks cm_own_masks;
    bool cm_catalog;                /* the catalog changed, or a tree was made: nobody else may make one of that id */
} commit;

/* ---- trees of this commit ---------------------------------------------------------------------------------------- */

static int tree_make(commit *cm, uint32_t id, uint8_t key_size, written_tree **out)
{
    cm->cm_catalog = true;
    return commit_tree_make(&cm->cm_trees, id, key_size, out);
}

static int to_file(commit *cm)
{
    cm->cm_in_memory = false;
    return commit_trees_to_file(&cm->cm_trees);
}

/* Applies changes to a tree, and notes them where the record will say them. */
static int tree_change_it(commit *cm, written_tree *tree, const tree_change *changes, size_t n)
{
    page_ref before = tree->wn_state.ts_root;
    bool again = tree->wn_state.ts_changed == pager_commit_number(cm->cm_commit);
    int rc = tree_apply(cm->cm_commit, &tree->wn_state, changes, n, &tree->wn_content);

    if (rc || (tree->wn_state.ts_root.page == before.page && tree->wn_state.ts_root.tag == before.tag))
        return rc;                  /* all of them were dropped: they change nothing */
    commit_tree_dirty(&cm->cm_trees, tree);
    if (cm->cm_in_memory)
        redo_add(&cm->cm_redo, tree->wn_state.ts_id, again, changes, n);
    return EDB_OK;
}

/* Trees made by the transaction and not rolled back. */
static int make_trees(commit *cm)
{
    writeset *ws = cm->cm_txn->tx_writes;
    written_tree *made;
    ws_cursor *wc;
    int rc = EDB_OK;

    if (!ws_has_tree(ws, TREE_META))
        return EDB_OK;
    if ((rc = ws_cursor_open(ws, TREE_META, UINT64_MAX, &wc)))
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (w->key_size == META_KEY_SIZE && w->key[0] == META_TREE)
            rc = tree_make(cm, meta_tree(w->key), w->value[0], &made);
    }
    ws_cursor_close(wc);
    return rc;
}

/* ---- net application ---------------------------------------------------------------------------------------------- */

static int changes_room(edb_conn *conn, size_t n)
{
    tree_change *bigger;

    if (conn->cn_changes_room >= n)
        return EDB_OK;
    if (!(bigger = realloc(conn->cn_changes, n * sizeof *bigger)))
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    conn->cn_changes = bigger;
    conn->cn_changes_room = n;
    return EDB_OK;
}

/* The next `room` changes at the write set's cursor. -> how many. */
static size_t take_changes(tree_change *out, size_t room, ws_cursor *wc)
{
    size_t n = 0;

    for (const ws_entry *w; n < room && (w = ws_cursor_at(wc)); ws_cursor_next(wc))
        out[n++] = (tree_change){ .key = w->key, .value = w->value, .key_size = w->key_size,
                                  .value_size = w->value_size, .tombstone = w->flags & WS_TOMBSTONE,
                                .always = w->flags & WS_ALWAYS };
    return n;
}

/* What the commit itself says of columns without history. The catalog is the first tree, so it is known before rows are written. */
static int learn_masks(commit *cm, const tree_change *changes, size_t n)
{
    tree_masks own = { .tms_n = 0 };
    int rc = EDB_OK;

    for (size_t i = 0; i < n && !rc; i++)
        if (!changes[i].tombstone)
            rc = hooks_masks(changes[i].value, changes[i].value_size, &own);
    if (!rc && own.tms_n) {
        pager_commit_needs(cm->cm_commit, PAGER_UNVERSIONED);
        if (cm->cm_masks != &cm->cm_own_masks)
            rc = tree_masks_copy(&cm->cm_own_masks, cm->cm_masks);
        cm->cm_masks = &cm->cm_own_masks;
    }
    for (size_t i = 0; i < own.tms_n && !rc; i++)
        rc = tree_masks_add(&cm->cm_own_masks, own.tms_of[i]->tmk_tree, own.tms_of[i]->tmk_ids, own.tms_of[i]->tmk_mask.rmk_n);
    tree_masks_free(&own);
    return rc;
}

static int apply_tree(commit *cm, uint32_t id)
{
    edb_conn *conn = cm->cm_conn;
    size_t room = CHANGES_FEW, n;
    written_tree *tree = NULL;
    uint64_t now = pager_commit_number(cm->cm_commit), before;
    ws_cursor *wc;
    int rc;

    if ((rc = ws_cursor_open(cm->cm_txn->tx_writes, id, UINT64_MAX, &wc)))
        return rc;
    if (!ws_cursor_seek(wc, NULL, 0))
        goto done;                  /* all rolled back */
    if ((rc = commit_tree(&cm->cm_trees, id, &tree)))
        goto done;
    if (!tree && id == TREE_CATALOG)
        rc = tree_make(cm, id, 8, &tree);
    else if (!tree)
        rc = edb_fail(EDB_MISUSE, "something was written to tree %" PRIu32 ", which does not exist", id);
    if (rc)
        goto done;
    before = tree->wn_state.ts_changed;
    tree->wn_content.tct_mask = tree_masks_find(cm->cm_masks, id);
    do {
        if ((rc = changes_room(conn, room)))
            goto done;
        if (!(n = take_changes(conn->cn_changes, room, wc)))
            break;
        if ((rc = tree_change_it(cm, tree, conn->cn_changes, n))
            || (id == TREE_CATALOG && (rc = learn_masks(cm, conn->cn_changes, n))))
            goto done;
        hooks_applied(conn->cn_db->db_home, id, before, now, room == CHANGES_FEW, conn->cn_changes, n);
        if (conn_interrupted(conn) && (rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing was done")))
            goto done;
        room = CHANGES_MANY;
        if (cm->cm_in_memory && cm->cm_redo.rb_full && ((rc = to_file(cm)) || (rc = commit_tree(&cm->cm_trees, id, &tree))))
            goto done;
    } while (n >= CHANGES_FEW);
    if (id == TREE_CATALOG && tree->wn_state.ts_changed == now) {
        cm->cm_catalog = true;
        pager_commit_needs(cm->cm_commit, cm->cm_txn->tx_needs);
    }
done:
    ws_cursor_close(wc);
    return rc;
}

/* Row ids given out stay given out. Alone they are no reason to commit. */
static int apply_ids(commit *cm)
{
    txn *tx = cm->cm_txn;
    written_tree *tree;
    int rc;

    for (size_t i = 0; i < tx->tx_n_ids; i++) {
        const txn_ids *ids = &tx->tx_ids[i];
        uint64_t used = ids->ti_used, far = 0, seq;
        if (ids->ti_has_far && (rc = txn_largest_id(tx, ids->ti_tree, &far, &seq)))
            return rc;
        if (far > used)
            used = far;
        if (!used)
            continue;
        if ((rc = commit_tree(&cm->cm_trees, ids->ti_tree, &tree)))
            return rc;
        if (tree && tree->wn_state.ts_next_id <= used) {
            tree->wn_state.ts_next_id = used + 1;
            commit_tree_dirty(&cm->cm_trees, tree);
            redo_add_next_id(&cm->cm_redo, ids->ti_tree, used + 1);
        }
    }
    return EDB_OK;
}

static int apply(commit *cm, const uint32_t *trees, size_t n)
{
    int rc = make_trees(cm);

    for (size_t i = 0; i < n && !rc; i++)
        if (tree_is_real(trees[i]))
            rc = apply_tree(cm, trees[i]);
    if (!rc && cm->cm_trees.cmt_changed)
        rc = apply_ids(cm);
    return rc;
}

/* ---- what the layers above add ------------------------------------------------------------------------------------- */

int commit_add(commit *cm, uint32_t id, const void *key, size_t key_size, const void *value, size_t value_size)
{
    const tree_change change = { .key = key, .value = value, .key_size = (uint32_t)key_size,
                                 .value_size = (uint32_t)value_size, .always = true };
    written_tree *tree;
    int rc;

    if (key_size > tree_key_max(pager_page_size(cm->cm_pager)))
        return edb_fail(EDB_TOOBIG, "a key of %zu bytes is too large", key_size);
    if ((rc = commit_tree(&cm->cm_trees, id, &tree)))
        return rc;
    if (!tree)
        return edb_fail(EDB_CORRUPT, "the catalog has a tree %" PRIu32 ", which does not exist", id);
    return tree_change_it(cm, tree, &change, 1);
}

int commit_add_tree(commit *cm, uint8_t key_size, uint32_t *id)
{
    written_tree *made;

    *id = commit_tree_free_id(&cm->cm_trees);
    return tree_make(cm, *id, key_size, &made);
}

int commit_statement(commit *cm, edb_stmt **out)
{
    return base_statement(cm->cm_conn, cm->cm_base, out);
}

const snapshot *commit_base(commit *cm)
{
    return cm->cm_base;
}

int commit_rewrite(commit *cm, commit_trees **out)
{
    int rc = cm->cm_in_memory ? to_file(cm) : EDB_OK;

    cm->cm_catalog = true;
    *out = &cm->cm_trees;
    return rc;
}

/* ---- the steps ---------------------------------------------------------------------------------------------------- */

/* The record: what it changes, or pages with all of it and of the commits that wrote none. */
static int prepare_record(commit *cm)
{
    const redo_buffer *rb = &cm->cm_redo;
    array_state *list = &cm->cm_trees.cmt_list;
    bool redo = cm->cm_in_memory && !rb->rb_full && !cm->cm_catalog && pager_commit_may_redo(cm->cm_commit);
    uint8_t content[SHA256_SIZE];
    int rc = commit_trees_store(&cm->cm_trees);

    commit_trees_content(&cm->cm_trees, content);
    pager_commit_content(cm->cm_commit, content);
    if (!rc && redo)
        return pager_commit_prepare_redo(cm->cm_commit, list, rb->rb_bytes, rb->rb_size);
    if (!rc && cm->cm_in_memory)
        rc = to_file(cm);
    return rc ? rc : pager_commit_prepare(cm->cm_commit, list, cm->cm_catalog);
}

/* Under the committer lock. *publish: there is something to publish, and the record is ready. */
static int prepare_locked(commit *cm, const uint32_t *trees, size_t n, bool *publish)
{
    int rc;

    *publish = false;
    if ((rc = FAILPOINT("txn:locked")) || (rc = txn_validate(cm->cm_conn, cm->cm_base, trees, n))
        || (rc = FAILPOINT("txn:validated")) || (rc = apply(cm, trees, n)) || (rc = FAILPOINT("txn:applied")))
        return rc;
    if (!cm->cm_trees.cmt_changed)
        return EDB_OK;
    if (cm->cm_conn->cn_commit_ns && (rc = pager_commit_check_time(cm->cm_commit, cm->cm_conn->cn_commit_ns))) {
        cm->cm_conn->cn_commit_ns = 0;
        return rc;
    }
    if ((rc = hooks_commit(cm->cm_conn, cm)) || (rc = prepare_record(cm)) || (rc = FAILPOINT("txn:prepared")))
        return rc;
    *publish = true;
    return EDB_OK;
}

static void commit_init(commit *cm, edb_conn *conn)
{
    cm->cm_conn = conn;
    cm->cm_txn = &conn->cn_txn;
    cm->cm_pager = conn->cn_pager;
    cm->cm_commit = NULL;
    cm->cm_trees = (commit_trees){ .cmt_n = 0 };
    cm->cm_own_masks = (tree_masks){ .tms_n = 0 };
    cm->cm_redo.rb_size = 0;
    cm->cm_redo.rb_full = cm->cm_in_memory = cm->cm_catalog = false;
}

static int prepare(edb_conn *conn)
{
    commit cm;                      /* its buffer need not be cleared */
    txn *tx = &conn->cn_txn;
    size_t n = ws_trees(tx->tx_writes, NULL, 0);
    uint32_t *trees = malloc(n * sizeof *trees);
    bool publish, any, nothing;
    int rc;

    if (!trees)
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    commit_init(&cm, conn);
    ws_trees(tx->tx_writes, trees, n);
    if ((rc = txn_changes_nothing(conn, trees, n, &nothing)) || (!nothing && (rc = txn_any_stands(tx->tx_writes, trees, n, &any))))
        goto done;
    if (nothing || !any) {
        tx->tx_state = TXN_PREPARED;
        goto done;
    }
    if (tx->tx_isolation == EDB_SERIALIZABLE) {
        watches_note(&tx->tx_reads);
        reads_merge(&tx->tx_reads);
    }
    if ((rc = pager_commit_begin(conn->cn_pager, &conn->cn_interrupted, &cm.cm_commit)))
        goto done;
    cm.cm_base = pager_commit_base(cm.cm_commit);
    cm.cm_trees = commit_trees_of(cm.cm_commit, &cm.cm_base->sn_trees);
    cm.cm_in_memory = pager_commit_small(cm.cm_commit);
    masks_known *masks = hooks_home_masks(conn->cn_db->db_home);
    cm.cm_masks = &masks->mkn_masks;
    rc = masks_refresh(masks, cm.cm_pager, cm.cm_base);
    publish = false;
    if (!rc)
        rc = prepare_locked(&cm, trees, n, &publish);
    if (rc || !publish) {
        pager_commit_abort(cm.cm_commit);
        cm.cm_commit = NULL;
    } else {
        tx->tx_number = pager_commit_number(cm.cm_commit);
    }
    if (!rc) {
        tx->tx_commit = cm.cm_commit;
        tx->tx_state = TXN_PREPARED;
    }
done:
    if (conn->cn_changes_room > CHANGES_FEW) {
        free(conn->cn_changes);
        conn->cn_changes = NULL;
        conn->cn_changes_room = 0;
    }
    commit_trees_free(&cm.cm_trees);
    tree_masks_free(&cm.cm_own_masks);
    free(trees);
    return rc;
}

int txn_prepare_alone(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;
    int rc;

    if ((rc = conn_check(conn)))
        return rc;
    if (tx->tx_state != TXN_WRITING)
        return EDB_OK;              /* nothing to do, or done */
    if (!conn->cn_stmts)            /* an interrupt that came when nothing was running */
        atomic_store_explicit(&conn->cn_interrupted, false, memory_order_relaxed);
    if (tx->tx_broken)
        return edb_fail(tx->tx_broken, "memory ran out when a savepoint was set; roll the transaction back");
    if (ws_is_empty(tx->tx_writes)) {
        tx->tx_state = TXN_PREPARED;
        return EDB_OK;
    }
    return prepare(conn);
}

bool txn_publish_alone(edb_conn *conn)
{
    txn *tx = &conn->cn_txn;
    bool published = false;
    int64_t ns;
    int rc;

    if (tx->tx_state == TXN_PREPARED && tx->tx_commit) {
        if ((rc = pager_commit_publish(tx->tx_commit, conn->cn_commit_ns, &ns))) {
            conn_commit_lost(conn, rc, rc == EDB_COMMIT_TIME);      /* somebody asked about that time meanwhile */
            if (rc == EDB_COMMIT_TIME)
                conn->cn_commit_ns = 0;
        } else {
            hooks_published(conn->cn_db->db_home, tx->tx_number);
            conn->cn_last_number = tx->tx_number;
            conn->cn_last_ns = ns;
            conn->cn_commit_ns = 0;
            published = true;
        }
    }
    txn_end(conn);
    return published;
}
