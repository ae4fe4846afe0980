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
#include "engine/txn/txn_internal.h"
#include "engine/txn/ws_run.h"

enum { CHANGES_FEW = 64, CHANGES_MANY = 16384 };    /* changes handed to a tree at once: few first, then many */

typedef struct {
    tree_state wn_state;
    bool wn_made;                   /* by this commit */
    bool wn_dirty;                  /* its state must be stored */
} written_tree;

typedef struct commit {
    edb_conn *cm_conn;
    txn *cm_txn;
    pager *cm_pager;
    pager_commit *cm_commit;
    const snapshot *cm_base;
    written_tree *cm_trees;         /* ascending by id */
    size_t cm_n_trees, cm_trees_room;
    bool cm_catalog;                /* the catalog changed, or a tree was made: nobody else may make one of that id */
} commit;

/* ---- trees of this commit ---------------------------------------------------------------------------------------- */

static size_t tree_place(const commit *cm, uint32_t id)
{
    size_t at = 0;

    while (at < cm->cm_n_trees && cm->cm_trees[at].wn_state.ts_id < id)
        at++;
    return at;
}

static int tree_add(commit *cm, const tree_state *state, bool made, written_tree **out)
{
    size_t at = tree_place(cm, state->ts_id);
    int rc = array_room((void **)&cm->cm_trees, &cm->cm_trees_room, cm->cm_n_trees, sizeof *cm->cm_trees);

    if (rc)
        return rc;
    memmove(cm->cm_trees + at + 1, cm->cm_trees + at, (cm->cm_n_trees - at) * sizeof *cm->cm_trees);
    cm->cm_trees[at] = (written_tree){ .wn_state = *state, .wn_made = made, .wn_dirty = made };
    cm->cm_n_trees++;
    *out = &cm->cm_trees[at];
    return EDB_OK;
}

static int tree_make(commit *cm, uint32_t id, uint8_t key_size, written_tree **out)
{
    tree_state state;
    int rc = tree_create(cm->cm_commit, id, key_size, &state);

    cm->cm_catalog = true;
    return rc ? rc : tree_add(cm, &state, true, out);
}

/* The tree as this commit leaves it so far; NULL when it does not exist. Valid until the next call. */
static int tree_of(commit *cm, uint32_t id, written_tree **out)
{
    size_t at = tree_place(cm, id);
    tree_state state;
    int rc;

    *out = NULL;
    if (at < cm->cm_n_trees && cm->cm_trees[at].wn_state.ts_id == id) {
        *out = &cm->cm_trees[at];
        return EDB_OK;
    }
    rc = tree_state_get(cm->cm_pager, cm->cm_base, id, &state);
    if (rc == EDB_NOSUCH)
        return EDB_OK;
    return rc ? rc : tree_add(cm, &state, false, out);
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
    if ((rc = tree_of(cm, id, &tree)))
        goto done;
    if (!tree && id == TREE_CATALOG)
        rc = tree_make(cm, id, 8, &tree);
    else if (!tree)
        rc = edb_fail(EDB_MISUSE, "something was written to tree %" PRIu32 ", which does not exist", id);
    if (rc)
        goto done;
    before = tree->wn_state.ts_changed;
    do {
        if ((rc = changes_room(conn, room)))
            goto done;
        if (!(n = take_changes(conn->cn_changes, room, wc)))
            break;
        if ((rc = tree_apply(cm->cm_commit, &tree->wn_state, conn->cn_changes, n)))
            goto done;
        hooks_applied(conn->cn_db->db_home, id, before, now, room == CHANGES_FEW, conn->cn_changes, n);
        if (conn_interrupted(conn) && (rc = edb_fail(EDB_INTERRUPT, "the commit was interrupted; nothing was done")))
            goto done;
        room = CHANGES_MANY;
    } while (n >= CHANGES_FEW);
    tree->wn_dirty |= tree->wn_state.ts_changed == now;
    cm->cm_catalog |= id == TREE_CATALOG && tree->wn_dirty;
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
        if ((rc = tree_of(cm, ids->ti_tree, &tree)))
            return rc;
        if (tree && tree->wn_state.ts_next_id <= used) {
            tree->wn_state.ts_next_id = used + 1;
            tree->wn_dirty = true;
        }
    }
    return EDB_OK;
}

static bool anything_changed(const commit *cm)
{
    for (size_t i = 0; i < cm->cm_n_trees; i++)
        if (cm->cm_trees[i].wn_dirty)
            return true;
    return false;
}

enum { STATES_RUN = 16 };           /* states stored at once */

typedef struct {                    /* a run of neighbouring elements of the list of trees */
    uint64_t ru_first;
    size_t ru_n;
    uint8_t ru_bytes[STATES_RUN * TREE_STATE_SIZE];
} state_run;

static int run_store(commit *cm, array_state *list, state_run *run)
{
    int rc = EDB_OK;

    if (run->ru_n)
        rc = array_set(cm->cm_commit, list, 0, TREE_STATE_SIZE, run->ru_first, run->ru_bytes, run->ru_n);
    run->ru_first += run->ru_n;
    run->ru_n = 0;
    return rc;
}

/* NULL: a tree that does not exist. */
static int run_add(commit *cm, array_state *list, state_run *run, uint64_t id, const tree_state *state)
{
    uint8_t *element;
    int rc;

    if ((id != run->ru_first + run->ru_n || run->ru_n == STATES_RUN) && (rc = run_store(cm, list, run)))
        return rc;
    if (!run->ru_n)
        run->ru_first = id;
    element = run->ru_bytes + TREE_STATE_SIZE * run->ru_n++;
    memset(element, 0, TREE_STATE_SIZE);
    if (state)
        tree_state_store(element, state);
    return EDB_OK;
}

/* The states of changed trees into the list of trees; ids that nobody got (a tree made and rolled back) become trees
 * that do not exist. */
static int store_states(commit *cm, array_state *list)
{
    state_run run = { .ru_n = 0 };
    uint64_t end = list->ar_count;
    int rc = EDB_OK;

    for (size_t i = 0; i < cm->cm_n_trees && !rc; i++) {
        const written_tree *tree = &cm->cm_trees[i];
        if (!tree->wn_dirty)
            continue;
        for (; end < tree->wn_state.ts_id && !rc; end++)
            rc = run_add(cm, list, &run, end, NULL);
        if (!rc)
            rc = run_add(cm, list, &run, tree->wn_state.ts_id, &tree->wn_state);
        end += end == tree->wn_state.ts_id;
    }
    return rc ? rc : run_store(cm, list, &run);
}

static int apply(commit *cm, const uint32_t *trees, size_t n)
{
    int rc = make_trees(cm);

    for (size_t i = 0; i < n && !rc; i++)
        if (tree_is_real(trees[i]))
            rc = apply_tree(cm, trees[i]);
    if (!rc && anything_changed(cm))
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
    if ((rc = tree_of(cm, id, &tree)))
        return rc;
    if (!tree)
        return edb_fail(EDB_CORRUPT, "the catalog has a tree %" PRIu32 ", which does not exist", id);
    if ((rc = tree_apply(cm->cm_commit, &tree->wn_state, &change, 1)))
        return rc;
    tree->wn_dirty = true;
    return EDB_OK;
}

int commit_add_tree(commit *cm, uint8_t key_size, uint32_t *id)
{
    uint64_t next = cm->cm_base->sn_trees.ar_count;
    written_tree *made;

    if (cm->cm_n_trees && cm->cm_trees[cm->cm_n_trees - 1].wn_state.ts_id >= next)
        next = cm->cm_trees[cm->cm_n_trees - 1].wn_state.ts_id + 1;
    *id = (uint32_t)next;
    return tree_make(cm, *id, key_size, &made);
}

int commit_statement(commit *cm, edb_stmt **out)
{
    return base_statement(cm->cm_conn, cm->cm_base, out);
}

/* ---- the steps ---------------------------------------------------------------------------------------------------- */

/* Under the committer lock. *publish: there is something to publish, and the record is ready. */
static int prepare_locked(commit *cm, const uint32_t *trees, size_t n, bool *publish)
{
    array_state list = cm->cm_base->sn_trees;
    int rc;

    *publish = false;
    if ((rc = FAILPOINT("txn:locked")) || (rc = txn_validate(cm->cm_conn, cm->cm_base, trees, n))
        || (rc = FAILPOINT("txn:validated")) || (rc = apply(cm, trees, n)) || (rc = FAILPOINT("txn:applied")))
        return rc;
    if (!anything_changed(cm))
        return EDB_OK;
    if (cm->cm_conn->cn_commit_ns && (rc = pager_commit_check_time(cm->cm_commit, cm->cm_conn->cn_commit_ns))) {
        cm->cm_conn->cn_commit_ns = 0;
        return rc;
    }
    if ((rc = hooks_commit(cm->cm_conn, cm)) || (rc = store_states(cm, &list))
        || (rc = pager_commit_prepare(cm->cm_commit, &list, cm->cm_catalog))
        || (rc = FAILPOINT("txn:prepared")))
        return rc;
    *publish = true;
    return EDB_OK;
}

static int prepare(edb_conn *conn)
{
    commit cm = { .cm_conn = conn, .cm_txn = &conn->cn_txn, .cm_pager = conn->cn_pager };
    txn *tx = &conn->cn_txn;
    size_t n = ws_trees(tx->tx_writes, NULL, 0);
    uint32_t *trees = malloc(n * sizeof *trees);
    bool publish, any, nothing;
    int rc;

    if (!trees)
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
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
    free(cm.cm_trees);
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
