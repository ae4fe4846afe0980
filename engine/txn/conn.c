/* Connections and their registry.
 *
 * A connection is counted: its handle, its open statements, and whoever found it by id (a SQLite module). Closing rolls
 * back and takes it out of the registry; the memory, the reader slot and the database stay until the last of them lets
 * go. Ids are never used twice, so an id kept too long finds nothing instead of somebody else's connection. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/txn_internal.h"

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static edb_conn *registry;          /* open connections, under the mutex */
static int64_t registry_last_id;

int edb_conn_open(edb *db, edb_conn **out)
{
    edb_conn *conn;
    int rc;

    if ((rc = pager_alive(db->db_pager)))
        return rc;
    if (!(conn = calloc(1, sizeof *conn)))
        return edb_fail(EDB_NOMEM, "memory is exhausted: no connection can be made");
    if ((rc = pager_slot_take(db->db_pager, &conn->cn_slot))) {
        free(conn);
        return rc;
    }
    atomic_init(&conn->cn_refs, 1);
    atomic_init(&conn->cn_interrupted, false);
    conn->cn_db = db_ref(db);
    conn->cn_pager = db->db_pager;
    conn->cn_txn.tx_serial = 1;
    conn->cn_isolation = EDB_REPEATABLE_READ;
    pthread_mutex_lock(&registry_mutex);
    conn->cn_id = ++registry_last_id;
    conn->cn_next = registry;
    registry = conn;
    pthread_mutex_unlock(&registry_mutex);
    *out = conn;
    return EDB_OK;
}

void conn_registry_lock(void)
{
    pthread_mutex_lock(&registry_mutex);
}

void conn_registry_unlock(void)
{
    pthread_mutex_unlock(&registry_mutex);
}

edb_conn *conn_by_id(int64_t id)
{
    edb_conn *conn;

    pthread_mutex_lock(&registry_mutex);
    for (conn = registry; conn && conn->cn_id != id; conn = conn->cn_next)
        ;
    if (conn)
        atomic_fetch_add_explicit(&conn->cn_refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&registry_mutex);
    return conn;
}

void conn_unref(edb_conn *conn)
{
    if (!conn || pager_alive(conn->cn_pager)
        || atomic_fetch_sub_explicit(&conn->cn_refs, 1, memory_order_acq_rel) != 1)
        return;
    hooks_conn_free(&conn->cn_data);
    pager_slot_give(conn->cn_pager, conn->cn_slot);
    db_unref(conn->cn_db);
    free(conn->cn_txn.tx_ids);
    free(conn->cn_txn.tx_unique);
    free(conn->cn_txn.tx_agreed);
    free(conn->cn_txn.tx_marks);
    free(conn->cn_spare);
    ws_unref(conn->cn_spare_writes);
    free(conn->cn_lost_message);
    free(conn->cn_title);
    free(conn->cn_changes);
    free(conn);
}

void conn_close(edb_conn *conn)
{
    conn->cn_closed = true;
    pthread_mutex_lock(&registry_mutex);
    for (edb_conn **link = &registry; *link; link = &(*link)->cn_next)
        if (*link == conn) {
            *link = conn->cn_next;
            break;
        }
    pthread_mutex_unlock(&registry_mutex);
    conn_unref(conn);
}

int64_t edb_conn_id(edb_conn *conn)
{
    return conn->cn_id;
}

edb *conn_db(edb_conn *conn)
{
    return conn->cn_db;
}

int conn_check(const edb_conn *conn)
{
    int rc = pager_alive(conn->cn_pager);

    if (!rc && conn->cn_closed)
        rc = edb_fail(EDB_MISUSE, "the connection to %s is closed", pager_name(conn->cn_pager));
    return rc;
}

edb_stmt *conn_current(edb_conn *conn)
{
    return conn->cn_current;
}

void conn_announce(edb_conn *conn)
{
    uint64_t root = UINT64_MAX, moment = UINT64_MAX;

    for (const edb_stmt *st = conn->cn_stmts; st; st = st->st_next) {
        if (st->st_root.sn_number < root)
            root = st->st_root.sn_number;
        if (st->st_moment < moment)
            moment = st->st_moment;
    }
    if (conn->cn_txn.tx_state != TXN_NONE && conn->cn_txn.tx_moment < moment)
        moment = conn->cn_txn.tx_moment;
    pager_pin_move(conn->cn_pager, conn->cn_slot, root);
    pager_slot_moment(conn->cn_slot, moment);
    if (root == UINT64_MAX && moment == UINT64_MAX)
        pager_slot_idle(conn->cn_pager, conn->cn_slot);
}

int conn_isolation(edb_conn *conn, int level)
{
    int rc = conn_check(conn);

    if (!rc && (level < EDB_READ_COMMITTED || level > EDB_SERIALIZABLE))
        rc = edb_fail(EDB_MISUSE, "there is no isolation level %d", level);
    if (!rc && conn->cn_txn.tx_state != TXN_NONE)
        rc = edb_fail(EDB_MISUSE, "the isolation level can be set between transactions only");
    if (!rc)
        conn->cn_isolation = level;
    return rc;
}

bool conn_usable(const edb_conn *conn)
{
    return !conn_check(conn);
}

void conn_outgrown(edb_conn *conn)
{
    (conn->cn_host ? conn->cn_host : conn)->cn_outgrown = true;
}

void edb_conn_tells(edb_conn *conn)
{
    conn->cn_tells = true;
}

const char *conn_title(const edb_conn *conn)
{
    return conn->cn_title ? conn->cn_title : "main";
}

bool conn_interrupted(edb_conn *conn)
{
    return atomic_load_explicit(&conn->cn_interrupted, memory_order_relaxed);
}

/* ---- commits -------------------------------------------------------------------------------------------------- */

int edb_conn_commit_time(edb_conn *conn, int64_t ns)
{
    int rc = conn_check(conn);

    if (!rc && ns < 0)
        rc = edb_fail(EDB_COMMIT_TIME, "a commit time is counted from 1970 and cannot be negative");
    if (!rc)
        conn->cn_commit_ns = ns;
    return rc;
}

void edb_conn_last_commit(edb_conn *conn, uint64_t *number, int64_t *ns)
{
    *number = conn->cn_newest_number;
    *ns = conn->cn_newest_ns;
}

void conn_commit_lost(edb_conn *conn, int rc, bool known)
{
    conn->cn_lost_code = rc;
    conn->cn_lost_known = known;
    free(conn->cn_lost_message);
    conn->cn_lost_message = strdup(edb_message());
}

int conn_wait(edb_conn *conn)
{
    int rc = conn_check(conn);

    if (rc)
        return rc;
    if ((rc = conn->cn_lost_code)) {
        edb_fail(rc, "%s: %s", conn->cn_lost_known ? "the last commit was refused, nothing of it was done"
                                                   : "the outcome of the last commit is unknown until the database is "
                                                     "reopened",
                 conn->cn_lost_message ? conn->cn_lost_message : "its record could not be written");
        free(conn->cn_lost_message);
        conn->cn_lost_message = NULL;
        conn->cn_lost_code = EDB_OK;
        return rc;
    }
    return conn->cn_last_number ? pager_wait_durable(conn->cn_pager, conn->cn_last_number, false) : EDB_OK;
}

/* ---- schema ---------------------------------------------------------------------------------------------------- */

void edb_conn_declared(edb_conn *conn, uint64_t schema)
{
    conn->cn_is_declared = true;
    conn->cn_declared = schema;
}

int edb_conn_schema(edb_conn *conn, uint64_t *schema)
{
    snapshot root;
    int rc;

    if ((rc = conn_check(conn)))
        return rc;
    if (conn->cn_txn.tx_state != TXN_NONE) {
        *schema = conn->cn_txn.tx_schema;
        return EDB_OK;
    }
    if (!(rc = pager_pin(conn->cn_pager, conn->cn_slot, PIN_PUBLISHED, &root))) {
        /* Readers at `full` would not see a schema that is not durable yet: let it be the same for all. */
        if (pager_synchronous(conn->cn_pager) == SYNC_FULL && root.sn_schema > pager_durable(conn->cn_pager))
            rc = pager_wait_durable(conn->cn_pager, root.sn_schema, false);
        if (!rc)
            *schema = root.sn_schema;
    }
    conn_announce(conn);
    return rc;
}
