/* Company: several databases behind one SQLite connection.
 *
 * A *host* (the connection's main database) has *guests* (attached ones). Each is a connection like any other, with
 * transaction, commits and schema number of its own. What the driver asks of the host goes to all where that makes
 * sense: a statement of the host brings a statement of each guest, so that all moments are fixed together, at the
 * beginning of the statement or of its transaction. What is about the table written to goes to the statement's *target*.
 *
 *   A1  A commit is atomic in one file. So among the members that write in one transaction at most one is a file; a
 *       second is refused when it begins to write, before anything of it is written. Memory databases may be written
 *       beside it: a crash leaves nothing of them to disagree.
 *   A2  Members are prepared together, in the order of their pagers' addresses, whatever table SQLite asks first: two
 *       transactions that took two committer locks in different orders would wait for each other.
 *   A3  A guest that cannot serve a moment, or at all, does not hinder statements that leave it alone: its statement
 *       is there and answers with its failure when it is used.
 *
 *   A4  At SERIALIZABLE, COMMIT makes sure that what was read is as it was. It can do so in the file it writes to, under
 *       that file's committer lock; a transaction that writes to one member and has read another is refused.
 *
 * Hosts, guests and statements belong to one thread at a time. The list of guests changes under the registry's mutex,
 * because an interrupt may come from anywhere. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"

static edb_conn *host_of(edb_conn *conn)
{
    return conn->cn_host ? conn->cn_host : conn;
}

/* ---- joining ---------------------------------------------------------------------------------------------------- */

int edb_conn_join(edb_conn *host, edb_conn *guest, const char *title)
{
    edb_conn **last;
    char *copy;
    int rc;

    if ((rc = conn_check(host)) || (rc = conn_check(guest)))
        return rc;
    if (host == guest || host->cn_host || guest->cn_host || guest->cn_guests)
        return edb_fail(EDB_MISUSE, "this connection to %s is in company already", pager_name(guest->cn_pager));
    if (!(copy = strdup(title)))
        return edb_fail(EDB_NOMEM, "memory is exhausted: %s cannot be attached", pager_name(guest->cn_pager));
    conn_registry_lock();
    for (last = &host->cn_guests; *last; last = &(*last)->cn_next_guest)
        ;
    *last = guest;
    guest->cn_host = host;
    guest->cn_isolation = host->cn_isolation;
    free(guest->cn_title);
    guest->cn_title = copy;
    conn_registry_unlock();
    return EDB_OK;
}

void company_leave(edb_conn *conn)
{
    if (conn->cn_host)
        for (edb_conn **link = &conn->cn_host->cn_guests; *link; link = &(*link)->cn_next_guest)
            if (*link == conn) {
                *link = conn->cn_next_guest;
                break;
            }
    for (edb_conn *guest = conn->cn_guests, *next; guest; guest = next) {
        next = guest->cn_next_guest;
        guest->cn_host = guest->cn_next_guest = NULL;
    }
    conn->cn_host = conn->cn_guests = conn->cn_next_guest = NULL;
}

const char *conn_title(const edb_conn *conn)
{
    return conn->cn_title ? conn->cn_title : "main";
}

edb_conn *conn_member(edb_conn *host, int64_t id)
{
    for (edb_conn *guest = host->cn_guests; guest; guest = guest->cn_next_guest)
        if (guest->cn_id == id)
            return guest;
    return NULL;
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

/* Ends what company_begin has begun so far, the transactions it began included. */
static void begin_undo(edb_stmt *st)
{
    for (edb_stmt *one = st; one; one = one == st ? st->st_guests : one->st_next_guest)
        if (one->st_fixes && one->st_conn->cn_txn.tx_state == TXN_OPEN
            && one->st_serial == one->st_conn->cn_txn.tx_serial)
            txn_end(one->st_conn);
    edb_stmt_end(st);
}

int company_begin(edb_conn *host, const edb_stmt_options *o, edb_stmt **out)
{
    edb_stmt_options own = *o;
    edb_stmt *st, **last;
    int rc;

    if (o->target && !conn_member(host, o->target))
        return edb_fail(EDB_MISUSE, "the statement writes to a database that is not attached");
    own.writes = o->writes && !o->target;
    if ((rc = begin_member(host, &own, o->has_moment && !o->writes, &st)))
        return rc;
    last = &st->st_guests;
    for (edb_conn *guest = host->cn_guests; guest; guest = guest->cn_next_guest) {
        bool target = guest->cn_id == o->target;
        own.writes = o->writes && target;
        if ((rc = begin_member(guest, &own, !target, last))) {
            *last = NULL;
            begin_undo(st);
            return rc;
        }
        if (target)
            st->st_target = *last;
        last = &(*last)->st_next_guest;
    }
    *out = st;
    return EDB_OK;
}

/* The statements of guests end with their host's; each lives on up to its last user. */
void company_end(edb_stmt *st)
{
    edb_stmt *next;

    for (edb_stmt *guest = st->st_guests; guest; guest = next) {
        next = guest->st_next_guest;
        guest->st_next_guest = NULL;
        edb_stmt_end(guest);
    }
    st->st_guests = NULL;
    st->st_target = st;
}

/* A statement begun before a guest was attached has none for it. */
void company_enter(edb_conn *host, edb_stmt *st)
{
    for (edb_conn *guest = host->cn_guests; guest; guest = guest->cn_next_guest)
        guest->cn_current = NULL;
    for (edb_stmt *one = st ? st->st_guests : NULL; one; one = one->st_next_guest)
        one->st_conn->cn_current = one;
}

edb_stmt *stmt_target(edb_stmt *st)
{
    return st->st_target;
}

edb_stmt *stmt_member(edb_stmt *st, const edb_conn *conn)
{
    for (edb_stmt *guest = st->st_guests; guest; guest = guest->st_next_guest)
        if (guest->st_conn == conn)
            return guest;
    return st;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

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

int company_may_write(edb_conn *conn)
{
    edb_conn *host = host_of(conn);
    int rc = give_way(conn, host);

    for (edb_conn *guest = host->cn_guests; guest && !rc; guest = guest->cn_next_guest)
        rc = give_way(conn, guest);
    return rc;
}

bool edb_conn_writes_file(edb_conn *conn)
{
    edb_conn *host = host_of(conn);
    bool any = false;

    for (edb_conn *one = host; one && !any; one = one == host ? host->cn_guests : one->cn_next_guest)
        if (one->cn_txn.tx_state == TXN_WRITING && !pager_is_memory(one->cn_pager) && txn_has_writes(one, &any))
            any = true;             /* it cannot tell: better refuse */
    return any;
}

/* The next member to prepare (A2): the lowest pager above the one before. */
static edb_conn *next_writing(edb_conn *host, const pager *before)
{
    edb_conn *found = NULL;

    for (edb_conn *one = host; one; one = one == host ? host->cn_guests : one->cn_next_guest)
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
    for (edb_conn *one = host; one; one = one == host ? host->cn_guests : one->cn_next_guest)
        if (one != writer && one->cn_txn.tx_isolation == EDB_SERIALIZABLE && has_read(one))
            return edb_fail(EDB_CANNOT, "SERIALIZABLE holds within one database: this transaction has read %s and written to "
                            "%s; roll back and use REPEATABLE READ, or one database", conn_title(one),
                            conn_title(writer));
    return EDB_OK;
}

int company_prepare(edb_conn *conn)
{
    edb_conn *host = host_of(conn), *one;
    const pager *before = NULL;
    int64_t ns = host->cn_commit_ns;
    int rc = EDB_OK;

    host->cn_told_ns = 0;
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

void edb_conn_unprepare(edb_conn *conn)
{
    edb_conn *host = host_of(conn);

    if (pager_alive(conn->cn_pager))
        return;
    for (edb_conn *one = host; one; one = one == host ? host->cn_guests : one->cn_next_guest)
        txn_unprepare(one);
}

/* The host tells of the newest of the commits that one COMMIT made. */
void company_published(edb_conn *conn)
{
    edb_conn *host = host_of(conn);

    if (!host->cn_guests || conn->cn_last_ns >= host->cn_told_ns) {
        host->cn_told_number = conn->cn_last_number;
        host->cn_told_ns = conn->cn_last_ns;
    }
    host->cn_commit_ns = 0;
}
