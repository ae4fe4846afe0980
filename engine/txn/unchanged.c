/* A transaction that leaves everything as it is: it stores again what is there.
 *
 * Its COMMIT is that of a reader. It needs no committer lock, and no look at who owns the files, where two things are
 * plain: each of its writes, which are few, is what its T has; and nobody has committed since T, so that validation
 * would find nothing. A commit that comes meanwhile comes after this one. Whatever is not as plain is found out by the
 * commit itself, which applies what differs. */
#include "engine/txn/txn_internal.h"

enum { WRITES_FEW = 8 };

/* A statement that has pinned the newest commit, which is T, of all statements that wrote; NULL: there is none. */
static edb_stmt *statement_at_newest(edb_conn *conn)
{
    uint64_t moment = conn->cn_txn.tx_moment;

    if (pager_published(conn->cn_pager) != moment || conn->cn_txn.tx_since < moment)
        return NULL;
    for (edb_stmt *st = conn->cn_stmts; st; st = st->st_next)
        if (st->st_root.sn_number == moment)
            return st;
    return NULL;
}

/* Whether the tree has what the cursor's writes leave. */
static int stays(edb_stmt *st, uint32_t tree, ws_cursor *wc, int *left, bool *out)
{
    const tree_state *state;
    tree_version version;
    int rc = stmt_tree(st, tree, &state);

    *out = !rc && state;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && *out && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        bool there = false;
        if ((*left)-- > 0)
            rc = tree_get(st->st_conn->cn_pager, state, st->st_root.sn_number, w->key, w->key_size, &version, &there);
        *out = there && !(w->flags & (WS_TOMBSTONE | WS_ALWAYS)) && version_has(&version, w);
    }
    return rc;
}

int txn_changes_nothing(edb_conn *conn, const uint32_t *trees, size_t n, bool *out)
{
    const txn *tx = &conn->cn_txn;
    edb_stmt *st = n > WRITES_FEW ? NULL : statement_at_newest(conn);
    int left = WRITES_FEW, rc = EDB_OK;

    *out = st != NULL;
    for (size_t i = 0; i < n && *out && !rc; i++) {
        ws_cursor *wc;
        *out = tree_is_real(trees[i]);
        if (!*out || (rc = ws_cursor_open(tx->tx_writes, trees[i], UINT64_MAX, &wc)))
            break;
        rc = stays(st, trees[i], wc, &left, out);
        ws_cursor_close(wc);
    }
    return rc;
}
