/* Promises: what must hold at the end of a statement, before COMMIT or inside it (foreign keys).
 *
 * A promise is a write of the write set beside the rows, so it rolls back with what made it, is judged once, and spills.
 * Here they are noted and it is decided when they are asked about; whether they hold says the layer above (hk_judge). */
#include <string.h>

#include "engine/txn/txn_internal.h"

static int promise_put(writeset *ws, uint32_t tree, const void *key, size_t key_size, const void *value,
                       size_t value_size)
{
    ws_entry known;

    if (ws_has_tree(ws, tree) && ws_get(ws, tree, key, key_size, UINT64_MAX, &known)
        && !(known.flags & WS_TOMBSTONE) && known.value_size == value_size
        && !memcmp(known.value, value, value_size))
        return EDB_OK;
    return ws_put(ws, tree, key, key_size, value, value_size, 0, 0);
}

void txn_needs(edb_stmt *st, uint32_t feature)
{
    st->st_conn->cn_txn.tx_needs |= feature;
}

int txn_promise(edb_stmt *st, const void *key, size_t key_size, const void *value, size_t value_size, bool unmet,
                bool at_once)
{
    txn *tx = &st->st_conn->cn_txn;
    int rc;

    if ((rc = txn_writable(st)))
        return rc;
    tx->tx_unmet |= unmet;
    if (st->st_moment < tx->tx_promised)
        tx->tx_promised = st->st_moment;
    /* One that holds is not looked for: a second one costs less than the search, and is judged once all the same. */
    rc = unmet ? promise_put(tx->tx_writes, TREE_PROMISES, key, key_size, value, value_size)
               : ws_put(tx->tx_writes, TREE_PROMISES, key, key_size, value, value_size, 0, 0);
    if (!rc && unmet && at_once)
        rc = promise_put(tx->tx_writes, TREE_AT_ONCE, key, key_size, value, value_size);
    return rc;
}

/* What was kept for the end of the statement holds, and need not be asked again. */
static int promises_done(writeset *ws)
{
    ws_cursor *wc;
    int rc = ws_cursor_open(ws, TREE_AT_ONCE, ws_seq(ws), &wc);

    if (rc)
        return rc;
    for (bool more = ws_cursor_seek(wc, NULL, 0); more && !rc; more = ws_cursor_next(wc)) {
        const ws_entry *w = ws_cursor_at(wc);
        if (!(w->flags & WS_TOMBSTONE))
            rc = ws_put(ws, TREE_AT_ONCE, w->key, w->key_size, NULL, 0, WS_TOMBSTONE, 0);
    }
    ws_cursor_close(wc);
    return rc;
}

int stmt_judge(edb_stmt *st)
{
    txn *tx = &st->st_conn->cn_txn;
    stmt_view before;
    ws_cursor *wc;
    int rc;

    if (tx->tx_state != TXN_WRITING || st->st_serial != tx->tx_serial || !tx->tx_unmet
        || !ws_has_tree(tx->tx_writes, TREE_AT_ONCE))
        return EDB_OK;
    if ((rc = ws_cursor_open(tx->tx_writes, TREE_AT_ONCE, UINT64_MAX, &wc)))
        return rc;
    stmt_view_widen(st, &before);
    rc = hooks_judge(st, wc, false);
    stmt_view_restore(st, &before);
    ws_cursor_close(wc);
    if (rc)
        txn_rollback_to(st->st_conn, st->st_seq);
    else
        rc = promises_done(tx->tx_writes);
    return rc;
}

int stmt_run_begins(edb_conn *conn)
{
    edb_stmt *st = conn->cn_current;
    txn *tx = &conn->cn_txn;
    int rc;

    if (!st || !st->st_repeats || st->st_users)
        return EDB_OK;
    if ((rc = stmt_judge(st)))
        return rc;
    st->st_runs++;
    if (st->st_serial != tx->tx_serial || !tx->tx_writes)
        return EDB_OK;
    if (!st->st_writes)
        st->st_writes = ws_ref(tx->tx_writes);
    ws_release(st->st_held);            /* nobody reads what the last run was shown */
    st->st_held = NULL;
    st->st_seq = ws_seq(tx->tx_writes);
    return EDB_OK;
}

/* A statement for judging promises at the transaction's moment; own cursors make none. */
int txn_judge(edb_conn *conn)
{
    const edb_stmt_options options = { .in_transaction = true };
    txn *tx = &conn->cn_txn;
    edb_stmt *st;
    ws_cursor *wc;
    int rc;

    if (tx->tx_state != TXN_WRITING || !tx->tx_unmet || !ws_has_tree(tx->tx_writes, TREE_PROMISES))
        return EDB_OK;
    if ((rc = stmt_begin(conn, &options, false, &st)))
        return rc;
    if (!(rc = ws_cursor_open(tx->tx_writes, TREE_PROMISES, UINT64_MAX, &wc))) {
        rc = hooks_judge(st, wc, false);
        ws_cursor_close(wc);
    }
    stmt_end(st);
    return rc;
}
