/* Attached databases: several databases behind one SQLite connection. This is the one file of the engine that fans out to
 * them.
 *
 * A *host*, the connection to the main database, has *attached* connections. Each is a connection like any other, with
 * transaction, commits and schema number of its own; host and attached ones are the *members*. What the driver asks of the
 * host goes to all members where that makes sense: a statement of the host brings a statement of each attached one, so
 * that all moments are fixed together, at the beginning of the statement or of its transaction. What is about the table
 * written to goes to the statement's *target*.
 *
 * The invariants A1 to A4 are in README.md.
 *
 * Members and their statements belong to one thread at a time. The list of attached connections changes under the
 * registry's mutex, because an interrupt may come from anywhere. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"

static edb_conn *host_of(edb_conn *conn)
{
    return conn->cn_host ? conn->cn_host : conn;
}

static bool is_member(const edb_conn *conn)
{
    return conn->cn_host || conn->cn_attached;
}

/* Members from the host on; NULL: `one` is the last. */
static edb_conn *next_member(edb_conn *host, edb_conn *one)
{
    return one == host ? host->cn_attached : one->cn_next_attached;
}

/* A1, when a member begins to write. One that announced writes and has none standing gives way; when it writes after
 * all, it asks again. */
static int give_way(edb_conn *conn, edb_conn *other)
{
    bool any = false;
    int rc;

    if (other == conn || other->cn_txn.tx_state != TXN_WRITING)
        return EDB_OK;
    if ((rc = txn_has_writes(other, &any)))
        return rc;
    if (!any) {
        other->cn_txn.tx_state = TXN_OPEN;
        return EDB_OK;
    }
    if (other->cn_pager == conn->cn_pager)
        return edb_fail(EDB_CANNOT, "%s and %s are the same database: a transaction that has written to %s cannot "
                        "write to %s; use one name, or commit in between", conn_title(other), conn_title(conn),
                        conn_title(other), conn_title(conn));
    if (pager_is_memory(other->cn_pager) || pager_is_memory(conn->cn_pager))
        return EDB_OK;
    return edb_fail(EDB_CANNOT, "a transaction can write to one database file, because a commit of two would not be "
                    "atomic: this one has written to %s and cannot write to %s; commit or roll back in between",
                    conn_title(other), conn_title(conn));
}

/* cn_may_write of members. */
static int member_may_write(edb_conn *conn)
{
    edb_conn *host = host_of(conn);
    int rc = EDB_OK;

    for (edb_conn *one = host; one && !rc; one = next_member(host, one))
        rc = give_way(conn, one);
    return rc;
}

/* ---- attaching and closing --------------------------------------------------------------------------------------- */

int edb_conn_attach(edb_conn *host, edb_conn *attached, const char *title)
{
    edb_conn **last;
    char *copy;
    int rc;

    if ((rc = conn_check(host)) || (rc = conn_check(attached)))
        return rc;
    if (host == attached || host->cn_host || is_member(attached))
        return edb_fail(EDB_MISUSE, "this connection to %s is attached, or has attached ones, already",
                        pager_name(attached->cn_pager));
    if (!(copy = strdup(title)))
        return edb_fail(EDB_NOMEM, "memory is exhausted: %s cannot be attached", pager_name(attached->cn_pager));
    conn_registry_lock();
    for (last = &host->cn_attached; *last; last = &(*last)->cn_next_attached)
        ;
    *last = attached;
    attached->cn_host = host;
    attached->cn_isolation = host->cn_isolation;
    host->cn_may_write = attached->cn_may_write = member_may_write;
    free(attached->cn_title);
    attached->cn_title = copy;
    conn_registry_unlock();
    return EDB_OK;
}

static void detach(edb_conn *conn)
{
    conn_registry_lock();
    if (conn->cn_host)
        for (edb_conn **link = &conn->cn_host->cn_attached; *link; link = &(*link)->cn_next_attached)
            if (*link == conn) {
                *link = conn->cn_next_attached;
                break;
            }
    for (edb_conn *one = conn->cn_attached, *next; one; one = next) {
        next = one->cn_next_attached;
        one->cn_host = one->cn_next_attached = NULL;
    }
    conn->cn_host = conn->cn_attached = conn->cn_next_attached = NULL;
    conn_registry_unlock();
}

void edb_conn_close(edb_conn *conn)
{
    if (!conn || pager_alive(conn->cn_pager))
        return;                     /* a forked child must not touch what its parent is using */
    txn_rollback(conn);
    detach(conn);
    conn_close(conn);
}

edb_conn *conn_member(edb_conn *host, int64_t id)
{
    for (edb_conn *one = host->cn_attached; one; one = one->cn_next_attached)
        if (one->cn_id == id)
            return one;
    return NULL;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

int edb_conn_isolation(edb_conn *conn, int level)
{
    int rc = EDB_OK;

    for (edb_conn *one = conn; one && !rc; one = next_member(conn, one))
        rc = conn_isolation(one, level);
    return rc;
}

void edb_conn_interrupt(edb_conn *conn)
{
    conn_registry_lock();
    for (edb_conn *one = conn; one; one = next_member(conn, one))
        atomic_store_explicit(&one->cn_interrupted, true, memory_order_relaxed);
    conn_registry_unlock();
}

void edb_conn_settle(edb_conn *conn, bool autocommit)
{
    if (!autocommit)
        return;
    for (edb_conn *one = conn; one; one = next_member(conn, one))
        txn_settle(one);
}

/* What is not told now is told next time. */
int edb_conn_wait(edb_conn *conn)
{
    int rc = EDB_OK;

    for (edb_conn *one = conn; one && !rc; one = next_member(conn, one))
        rc = conn_wait(one);
    return rc;
}

int edb_conn_judge(edb_conn *conn)
{
    int rc = EDB_OK;

    for (edb_conn *one = conn; one && !rc; one = next_member(conn, one))
        rc = txn_judge(one);
    return rc;
}

bool edb_conn_writes_file(edb_conn *conn)
{
    edb_conn *host = host_of(conn);
    bool any = false;

    for (edb_conn *one = host; one && !any; one = next_member(host, one))
        if (one->cn_txn.tx_state == TXN_WRITING && !pager_is_memory(one->cn_pager) && txn_has_writes(one, &any))
            any = true;             /* it cannot tell: better refuse */
    return any;
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

/* The statement of a member; one that could not begin stands there with its failure (A3). */
static int begin_member(edb_conn *conn, const edb_stmt_options *o, bool lenient, edb_stmt **out)
{
    int rc = stmt_begin(conn, o, false, out);

    if (!rc || !lenient || rc == EDB_SCHEMA || rc == EDB_FORKED)
        return rc;
    if (!(*out = stmt_new_failed(conn, rc)))
        return edb_fail(EDB_NOMEM, "memory is exhausted: no statement can begin");
    (*out)->st_past = o->has_moment;
    return EDB_OK;
}

/* Ends what begin_members has begun so far, the transactions it began included. */
static void begin_undo(edb_stmt *st)
{
    for (edb_stmt *one = st; one; one = one == st ? st->st_attached : one->st_next_attached)
        if (one->st_fixes && one->st_conn->cn_txn.tx_state == TXN_OPEN
            && one->st_serial == one->st_conn->cn_txn.tx_serial)
            txn_end(one->st_conn);
    edb_stmt_end(st);
}

static int begin_members(edb_conn *host, const edb_stmt_options *o, edb_stmt **out)
{
    edb_stmt_options own = *o;
    edb_stmt *st, **last;
    int rc;

    if (o->target && !conn_member(host, o->target))
        return edb_fail(EDB_MISUSE, "the statement writes to a database that is not attached");
    if (!o->in_transaction && host->cn_txn.tx_state == TXN_OPEN)
        edb_conn_settle(host, true);    /* a transaction that ended without writing ends in all members */
    own.writes = o->writes && !o->target;
    if ((rc = begin_member(host, &own, o->has_moment && !o->writes, &st)))
        return rc;
    last = &st->st_attached;
    for (edb_conn *one = host->cn_attached; one; one = one->cn_next_attached) {
        bool target = one->cn_id == o->target;
        own.writes = o->writes && target;
        if ((rc = begin_member(one, &own, !target, last))) {
            *last = NULL;
            begin_undo(st);
            return rc;
        }
        if (target)
            st->st_target = *last;
        last = &(*last)->st_next_attached;
    }
    *out = st;
    return EDB_OK;
}

int edb_stmt_begin(edb_conn *conn, const edb_stmt_options *options, edb_stmt **out)
{
    if (conn->cn_attached || options->target)
        return begin_members(conn, options, out);
    return stmt_begin(conn, options, false, out);
}

/* The statements of attached databases end with the host's; each lives on up to its last user. */
bool edb_stmt_end(edb_stmt *st)
{
    edb_stmt *next;

    if (!st || pager_alive(st->st_conn->cn_pager))
        return false;
    bool outgrown = st->st_conn->cn_outgrown;
    st->st_conn->cn_outgrown = false;
    for (edb_stmt *one = st->st_attached; one; one = next) {
        next = one->st_next_attached;
        one->st_next_attached = NULL;
        stmt_end(one);
    }
    st->st_attached = NULL;
    st->st_target = st;
    stmt_end(st);
    return outgrown;
}

/* A statement begun before a database was attached has none for it. */
static void enter_members(edb_conn *host, edb_stmt *st)
{
    for (edb_conn *one = host->cn_attached; one; one = one->cn_next_attached)
        one->cn_current = NULL;
    for (edb_stmt *one = st ? st->st_attached : NULL; one; one = one->st_next_attached)
        one->st_conn->cn_current = one;
}

edb_stmt *edb_stmt_enter(edb_stmt *st)
{
    edb_stmt *before = st->st_conn->cn_current;

    st->st_conn->cn_current = st;
    if (st->st_conn->cn_attached)
        enter_members(st->st_conn, st);
    return before;
}

void edb_stmt_restore(edb_conn *conn, edb_stmt *before)
{
    conn->cn_current = before;
    if (conn->cn_attached)
        enter_members(conn, before);
}

void edb_stmt_compares(edb_stmt *st, int what)
{
    st->st_compares |= what;
    for (edb_stmt *one = st->st_attached; one; one = one->st_next_attached)
        one->st_compares |= what;
}

void edb_stmt_repeat(edb_stmt *st)
{
    st->st_target->st_repeats = true;
    st->st_target->st_first_seq = st->st_target->st_seq;
}

uint64_t edb_stmt_runs(edb_stmt *st)
{
    return st->st_target->st_runs;
}

void edb_stmt_undo_runs(edb_stmt *st)
{
    st = st->st_target;
    if (st->st_serial == st->st_conn->cn_txn.tx_serial)
        txn_rollback_to(st->st_conn, st->st_first_seq);
}

int edb_stmt_judge(edb_stmt *st)
{
    return stmt_judge(st->st_target);
}

/* The statement that was begun for the connection together with `st`, or `st` itself. */
static edb_stmt *member_statement(edb_stmt *st, const edb_conn *conn)
{
    for (edb_stmt *one = st->st_attached; one; one = one->st_next_attached)
        if (one->st_conn == conn)
            return one;
    return st;
}

void edb_stmt_returned(edb_stmt *st, edb_stmt *from)
{
    from = from->st_target;
    st = member_statement(st, from->st_conn);
    capture_free(st->st_capture);
    st->st_capture = from->st_capture;
    from->st_capture = NULL;
    if (from->st_moment < st->st_moment)
        st->st_moment = from->st_moment;    /* READ COMMITTED: the list is part of the statement */
}

/* ---- COMMIT ------------------------------------------------------------------------------------------------------ */

/* The next member to prepare (A2): the lowest pager above the one before. */
static edb_conn *next_writing(edb_conn *host, const pager *before)
{
    edb_conn *found = NULL;

    for (edb_conn *one = host; one; one = next_member(host, one))
        if (one->cn_txn.tx_state == TXN_WRITING && (uintptr_t)one->cn_pager > (uintptr_t)before
            && (!found || (uintptr_t)one->cn_pager < (uintptr_t)found->cn_pager))
            found = one;
    return found;
}

static bool has_read(const edb_conn *conn)
{
    const readset *rs = &conn->cn_txn.tx_reads;

    return conn->cn_txn.tx_state != TXN_NONE && (rs->rs_n || rs->rs_everything || rs->rs_watches);
}

/* A4. `writer`: the file that the transaction writes to, or memory. */
static int check_reads(edb_conn *host, const edb_conn *writer)
{
    for (edb_conn *one = host; one; one = next_member(host, one))
        if (one != writer && one->cn_txn.tx_isolation == EDB_SERIALIZABLE && has_read(one))
            return edb_fail(EDB_CANNOT, "SERIALIZABLE holds within one database: this transaction has read %s and written to "
                            "%s; roll back and use REPEATABLE READ, or one database", conn_title(one),
                            conn_title(writer));
    return EDB_OK;
}

static int prepare_members(edb_conn *host)
{
    const pager *before = NULL;
    int64_t ns = host->cn_commit_ns;
    edb_conn *one;
    int rc = EDB_OK;

    host->cn_newest_ns = 0;
    while (!rc && (one = next_writing(host, before))) {
        bool any;
        one->cn_commit_ns = ns;
        if ((rc = txn_has_writes(one, &any)) || (any && (rc = check_reads(host, one))))
            break;
        rc = txn_prepare_alone(one);
        before = one->cn_pager;
    }
    if (rc)
        edb_conn_unprepare(host);
    return rc;
}

int txn_prepare(edb_conn *conn)
{
    return is_member(conn) ? prepare_members(host_of(conn)) : txn_prepare_alone(conn);
}

void edb_conn_unprepare(edb_conn *conn)
{
    edb_conn *host = host_of(conn);

    if (pager_alive(conn->cn_pager))
        return;
    for (edb_conn *one = host; one; one = next_member(host, one))
        txn_unprepare(one);
}

/* The host tells of the newest of the commits that one COMMIT made. */
static void note_commit(edb_conn *conn)
{
    edb_conn *host = host_of(conn);

    if (!host->cn_attached || conn->cn_last_ns >= host->cn_newest_ns) {
        host->cn_newest_number = conn->cn_last_number;
        host->cn_newest_ns = conn->cn_last_ns;
    }
    host->cn_commit_ns = 0;
}

void txn_publish(edb_conn *conn)
{
    int rc;

    if (conn->cn_txn.tx_state == TXN_NONE || pager_alive(conn->cn_pager))
        return;
    /* SQLite calls xSync first, but not for a table that was made and dropped in between. */
    if (conn->cn_txn.tx_state == TXN_WRITING && (rc = txn_prepare(conn))) {
        conn_commit_lost(conn, rc, true);
        txn_rollback(conn);
        return;
    }
    if (txn_publish_alone(conn))
        note_commit(conn);
}
