/* Statements: what is pinned, which moment is read, who still uses it.
 *
 * A statement pins one root from its beginning to its end and reads it at T. Three things decide T: a moment asked for
 * (as of), the transaction's T when there is one, else the newest commit there is to see. The pin, the memory of own
 * writes it may have handed out, and the statement itself stay until the driver has ended it *and* its last cursor is
 * closed, because SQLite closes cursors late.
 *
 * Implicit statements stand in for the driver's where there is none. The module cannot see where a statement of SQLite
 * begins or ends, so cursors opened while one is open share it as long as nothing was written or committed since it
 * began; then a new one is begun, so that a connection always sees its own writes. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"

/* ---- beginning and ending -------------------------------------------------------------------------------------- */

static edb_stmt *stmt_new(edb_conn *conn)
{
    edb_stmt *st = conn->cn_spare;

    if (st)
        conn->cn_spare = NULL;
    else if (!(st = malloc(sizeof *st)))
        return NULL;
    else
        st->st_trees_number = UINT64_MAX;
    /* The tree states and the cursor need no zeros; they are most of it. */
    memset(st, 0, offsetof(edb_stmt, st_now_cursor));
    st->st_got = false;
    st->st_conn = conn;
    st->st_id = ++conn->cn_begun;
    st->st_target = st;
    atomic_fetch_add_explicit(&conn->cn_refs, 1, memory_order_relaxed);
    if ((st->st_next = conn->cn_stmts))
        st->st_next->st_back = &st->st_next;
    st->st_back = &conn->cn_stmts;
    conn->cn_stmts = st;
    st->st_root.sn_number = st->st_moment = UINT64_MAX;     /* nothing is pinned yet */
    return st;
}

static void stmt_free(edb_stmt *st)
{
    edb_conn *conn = st->st_conn;

    if ((*st->st_back = st->st_next))
        st->st_next->st_back = st->st_back;
    if (conn->cn_current == st)
        conn->cn_current = NULL;
    if (conn->cn_implicit == st)
        conn->cn_implicit = NULL;
    if (st->st_now_open)
        tree_cursor_close(&st->st_now_cursor);
    ws_release(st->st_held);
    conn_writes_give(conn, st->st_writes);
    free(st->st_mask);
    free(st->st_failed_message);
    capture_free(st->st_capture);
    hooks_stmt_free(&st->st_data);
    conn_announce(conn);
    if (conn->cn_spare)
        free(st);
    else
        conn->cn_spare = st;
    conn_unref(conn);
}

/* Pins for a statement outside any transaction; a transaction that begins with it takes its T from the pin. */
static int pin_newest(edb_stmt *st, bool writes)
{
    pager *pg = st->st_conn->cn_pager;

    /* A writer may read what is not durable: its own commit is acknowledged only when it is, and then so is all it
     * read. */
    int which = writes ? PIN_PUBLISHED : pager_pin_of_readers(pg);

    return pager_pin(pg, st->st_conn->cn_slot, which, &st->st_root);
}

/* The pinned root's schema must be the one SQLite was told of. */
static int check_declared(edb_stmt *st, bool writes)
{
    edb_conn *conn = st->st_conn;
    pager *pg = conn->cn_pager;
    int rc;

    if (!conn->cn_is_declared || st->st_root.sn_schema == conn->cn_declared)
        return EDB_OK;
    if (pager_synchronous(pg) == SYNC_FULL && pager_durable(pg) < pager_published(pg)) {
        /* Readers and writers see different roots for a moment; do not declare back and forth. */
        if ((rc = pager_wait_durable(pg, pager_published(pg), false)) || (rc = pin_newest(st, writes)))
            return rc;
        if (st->st_root.sn_schema == conn->cn_declared)
            return EDB_OK;
    }
    return edb_fail(EDB_SCHEMA, "the schema of %s changed from number %llu to %llu; declare its tables anew",
                    pager_name(pg), (unsigned long long)conn->cn_declared, (unsigned long long)st->st_root.sn_schema);
}

static int begin_past(edb_stmt *st, const edb_stmt_options *o)
{
    edb_conn *conn = st->st_conn;
    moment mo;
    int rc;

    if (o->writes)
        return edb_fail(EDB_PAST_WRITE, "a statement that reads as of a moment cannot write; the past does not change");
    st->st_past = true;
    st->st_asked_ns = o->moment_ns;
    st->st_schema = UINT64_MAX;
    if ((rc = moment_resolve(conn->cn_pager, conn->cn_slot, o->moment_ns, &st->st_root, &mo)))
        return rc;
    st->st_moment = mo.mo_number;
    st->st_moment_ns = mo.mo_resolved_ns;
    return conn->cn_txn.tx_state == TXN_NONE && !st->st_implicit ? check_declared(st, false) : EDB_OK;
}

/* READ COMMITTED: the statement's T is the newest commit, as if it were outside, but no earlier than that of the statement
 * before. Once something was written the schema has to stay: COMMIT would fail. */
static int pin_committed(edb_stmt *st, bool writes)
{
    txn *tx = &st->st_conn->cn_txn;
    int rc;

    writes |= tx->tx_state == TXN_WRITING;
    if ((rc = pin_newest(st, writes)) || (st->st_root.sn_number < tx->tx_moment && (rc = pin_newest(st, true))))
        return rc;
    if (tx->tx_state == TXN_WRITING && st->st_root.sn_schema != tx->tx_schema)
        return edb_fail(EDB_CONFLICT, "another transaction changed the schema (commit %llu) after this one had written; "
                        "roll back and retry", (unsigned long long)st->st_root.sn_schema);
    if (!st->st_implicit && (rc = check_declared(st, writes)))
        return rc;
    tx->tx_moment = st->st_root.sn_number;
    tx->tx_schema = st->st_root.sn_schema;
    return EDB_OK;
}

static int begin_in_txn(edb_stmt *st, bool writes)
{
    edb_conn *conn = st->st_conn;
    txn *tx = &conn->cn_txn;
    int rc = tx->tx_isolation == EDB_READ_COMMITTED
             ? pin_committed(st, writes) : pager_pin(conn->cn_pager, conn->cn_slot, PIN_PUBLISHED, &st->st_root);

    if (rc)
        return rc;
    st->st_moment = tx->tx_moment;
    st->st_schema = tx->tx_schema;
    st->st_serial = tx->tx_serial;
    if (tx->tx_moment < st->st_root.sn_horizon)
        return edb_fail(EDB_HORIZON, "the history this transaction reads was pruned meanwhile; roll it back and retry");
    if (tx->tx_isolation == EDB_SERIALIZABLE)
        st->st_reads = &tx->tx_reads;
    if (tx->tx_writes) {
        st->st_writes = ws_ref(tx->tx_writes);
        st->st_seq = ws_seq(tx->tx_writes);
    }
    return EDB_OK;
}

/* Outside a transaction; `fixes`: the transaction begins here, with this T. */
static int begin_newest(edb_stmt *st, bool writes, bool fixes)
{
    edb_conn *conn = st->st_conn;
    int rc;

    if ((rc = pin_newest(st, writes)) || (!st->st_implicit && (rc = check_declared(st, writes))))
        return rc;
    st->st_moment = st->st_root.sn_number;
    st->st_schema = st->st_root.sn_schema;
    if (fixes) {
        txn_begin(conn, st->st_moment, st->st_schema);
        st->st_serial = conn->cn_txn.tx_serial;
        if (conn->cn_txn.tx_isolation == EDB_SERIALIZABLE)
            st->st_reads = &conn->cn_txn.tx_reads;
        st->st_fixes = true;
    }
    return EDB_OK;
}

int stmt_begin(edb_conn *conn, const edb_stmt_options *o, bool implicit, edb_stmt **out)
{
    edb_stmt *st;
    int rc;

    if ((rc = conn_check(conn)))
        return rc;
    if (conn->cn_txn.tx_state == TXN_PREPARED)
        return edb_fail(EDB_MISUSE, "no statement can begin while the connection is committing");
    if (!o->in_transaction && conn->cn_txn.tx_state == TXN_OPEN)
        txn_settle(conn);       /* a transaction that ended without writing */
    if (!conn->cn_stmts)
        atomic_store_explicit(&conn->cn_interrupted, false, memory_order_relaxed);
    if (!(st = stmt_new(conn)))
        return edb_fail(EDB_NOMEM, "memory is exhausted: no statement can begin");
    st->st_implicit = implicit;
    st->st_writing = o->writes;
    if (o->has_moment)
        rc = begin_past(st, o);
    else if (conn->cn_txn.tx_state != TXN_NONE)
        rc = begin_in_txn(st, o->writes);
    else
        rc = begin_newest(st, o->writes, o->writes || (o->in_transaction && !implicit));
    if (rc) {
        stmt_free(st);
        return rc;
    }
    stmt_trees_begin(st);
    st->st_now = st->st_reads ? st->st_moment : st->st_root.sn_number;
    conn_announce(conn);
    *out = st;
    return EDB_OK;
}

edb_stmt *stmt_new_failed(edb_conn *conn, int code)
{
    edb_stmt *st = stmt_new(conn);

    if (!st)
        return NULL;
    st->st_failed = code;
    st->st_failed_message = strdup(edb_message());
    return st;
}

void stmt_end(edb_stmt *st)
{
    if (st->st_conn->cn_current == st)
        st->st_conn->cn_current = NULL;
    st->st_ended = true;
    st->st_writing = false;
    if (!st->st_users)
        stmt_free(st);
}

/* ---- users ----------------------------------------------------------------------------------------------------- */

/* Whether the implicit statement still shows what a new one would. */
static bool can_share(const edb_stmt *st, bool writes)
{
    const txn *tx = &st->st_conn->cn_txn;

    if (st->st_serial ? st->st_serial != tx->tx_serial : tx->tx_state != TXN_NONE || writes)
        return false;
    if (st->st_moment < st->st_conn->cn_last_number && !st->st_serial)
        return false;               /* this connection has committed since */
    return writes || !tx->tx_writes || ws_seq(tx->tx_writes) == st->st_seq;
}

int stmt_acquire(edb_conn *conn, bool writes, bool in_transaction, edb_stmt **out)
{
    const edb_stmt_options options = { .in_transaction = in_transaction, .writes = writes };
    edb_stmt *st = conn->cn_current;
    int rc;

    if (!st) {
        st = conn->cn_implicit;
        if (!st || !can_share(st, writes)) {
            if ((rc = stmt_begin(conn, &options, true, &st)))
                return rc;
            conn->cn_implicit = st;
        }
    } else if ((rc = conn_check(conn))) {
        return rc;
    } else if (st->st_failed) {
        return edb_fail(st->st_failed, "%s", st->st_failed_message ? st->st_failed_message : "memory is exhausted");
    }
    st->st_users++;
    *out = st;
    return EDB_OK;
}

bool stmt_goes_on(edb_conn *conn, const edb_stmt *st)
{
    return conn->cn_current == st && !st->st_failed && !conn_check(conn);
}

void stmt_release(edb_stmt *st)
{
    if (!st || pager_alive(st->st_conn->cn_pager))
        return;
    if (--st->st_users == 0 && (st->st_ended || st->st_implicit))
        stmt_free(st);
}

void stmt_use(edb_stmt *st)
{
    st->st_users++;
}

int stmt_at(edb_stmt *st, int64_t moment_ns, edb_stmt **out)
{
    const edb_stmt_options options = { .in_transaction = true, .has_moment = true, .moment_ns = moment_ns };
    int rc = stmt_begin(st->st_conn, &options, true, out);

    if (!rc)
        (*out)->st_users++;
    return rc;
}

/* ---- what it sees ----------------------------------------------------------------------------------------------- */

uint64_t stmt_sees(const edb_stmt *st)
{
    return st->st_seq;
}

bool stmt_notes_reads(const edb_stmt *st)
{
    return st->st_reads != NULL;
}

void stmt_view_widen(edb_stmt *st, stmt_view *before)
{
    const txn *tx = &st->st_conn->cn_txn;

    *before = (stmt_view){ .vi_writes = st->st_writes, .vi_seq = st->st_seq };
    if (st->st_serial == tx->tx_serial && tx->tx_writes) {
        st->st_writes = tx->tx_writes;      /* borrowed: the transaction outlives it */
        st->st_seq = UINT64_MAX;
    }
}

void stmt_view_restore(edb_stmt *st, const stmt_view *before)
{
    st->st_writes = before->vi_writes;
    st->st_seq = before->vi_seq;
}

/* ---- what it is and has done ------------------------------------------------------------------------------------ */

uint64_t stmt_id(const edb_stmt *st)
{
    return st->st_id;
}

edb_conn *stmt_conn(edb_stmt *st)
{
    return st->st_conn;
}

edb_stmt *stmt_target(edb_stmt *st)
{
    return st->st_target;
}

bool stmt_is_past(const edb_stmt *st)
{
    return st->st_past;
}

const snapshot *stmt_snapshot(const edb_stmt *st)
{
    return &st->st_root;
}

uint64_t edb_stmt_moment(edb_stmt *st)
{
    return st->st_moment;
}

int commit_time(edb_stmt *st, uint64_t number, int64_t *ns)
{
    return moment_of(st->st_conn->cn_pager, &st->st_root, number, ns);
}

int64_t stmt_asked_ns(const edb_stmt *st)
{
    return st->st_asked_ns;
}

int stmt_commit_upto(edb_stmt *st, int64_t ns, uint64_t *number)
{
    int rc = moment_upto(st->st_conn->cn_pager, &st->st_root, ns, number);

    if (!rc && *number > st->st_moment)
        *number = st->st_moment;
    return rc;
}

int64_t stmt_moment_ns(const edb_stmt *st)
{
    int64_t ns = st->st_root.sn_time_ns;

    if (st->st_past)
        return st->st_moment_ns;
    if (st->st_moment != st->st_root.sn_number && moment_of(st->st_conn->cn_pager, &st->st_root, st->st_moment, &ns))
        return 0;                   /* a damaged list of times; whoever reads it next will say so */
    return ns;
}

int edb_stmt_supplied(edb_stmt *st, const uint8_t *mask, size_t columns)
{
    uint8_t *copy = malloc((columns + 7) / 8 + 1);

    st = st->st_target;
    if (!copy)
        return edb_fail(EDB_NOMEM, "memory is exhausted: the columns of a statement cannot be noted");
    memcpy(copy, mask, (columns + 7) / 8);
    free(st->st_mask);
    st->st_mask = copy;
    st->st_columns = columns;
    return EDB_OK;
}

bool stmt_supplied(const edb_stmt *st, size_t column)
{
    return !st->st_mask || (column < st->st_columns && st->st_mask[column / 8] >> column % 8 & 1);
}

int edb_stmt_capture(edb_stmt *st, uint32_t table)
{
    st = st->st_target;
    capture_free(st->st_capture);
    st->st_capture = NULL;
    return capture_new(table, &st->st_capture);
}

void edb_stmt_undo(edb_stmt *st)
{
    st = st->st_target;
    if (st->st_serial == st->st_conn->cn_txn.tx_serial)
        txn_rollback_to(st->st_conn, st->st_seq);
}

capture *stmt_capture(edb_stmt *st, uint32_t table)
{
    return st->st_capture && capture_table(st->st_capture) == table ? st->st_capture : NULL;
}

bool stmt_row_in(const edb_stmt *st)
{
    return st->st_compares & EDB_ROW_IN;
}

bool stmt_sets_rows(const edb_stmt *st)
{
    return st->st_compares & EDB_SETS_ROWS;
}

bool stmt_plain_bounds(const edb_stmt *st)
{
    return st->st_conn->cn_tells && !st->st_implicit && !(st->st_compares & EDB_BOUND_BY_COLUMN);
}

bool stmt_plain_equalities(const edb_stmt *st)
{
    return st->st_conn->cn_tells && !st->st_implicit && !(st->st_compares & EDB_EQUAL_BY_COLUMN);
}

void stmt_count(edb_stmt *st, int64_t changes)
{
    st->st_changes += changes;
}

void stmt_last_id(edb_stmt *st, int64_t id)
{
    st->st_last_id = id;
    st->st_has_last_id = true;
}

void edb_stmt_counts(edb_stmt *st, int64_t *changes, int64_t *last_id, bool *has_last_id)
{
    st = st->st_target;
    *changes = st->st_changes;
    *last_id = st->st_last_id;
    *has_last_id = st->st_has_last_id;
}
