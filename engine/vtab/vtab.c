/* Which table a statement means, and its transaction's calls (vtab.h).
 *
 * Transactions: one engine transaction serves all tables of a connection, so each call is forwarded and the engine
 * ignores repetitions. xSync prepares and may fail, with an extended result, on which SQLite rolls back; xCommit
 * publishes and cannot fail. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/moment.h"
#include "engine/vtab/vtab.h"

/* ---- which table a statement means ---------------------------------------------------------------------------- */

int vtab_find_whole(vtab_entity *vt, edb_stmt *stmt)
{
    const edb_table *table = vt->vt_table;
    uint64_t born, index_born;
    int rc = stmt_tree_born(stmt, table->et_id, &born);
    if (rc)
        return rc;
    bool *whole = calloc(table->et_n_indexes + 1, sizeof *whole);
    if (!whole)
        return edb_fail(EDB_NOMEM, "no memory for table %s", table->et_name);
    for (uint32_t i = 0; i < table->et_n_indexes; i++) {
        rc = stmt_tree_born(stmt, table->et_indexes[i].tree, &index_born);
        if (rc) {
            free(whole);
            return rc;
        }
        whole[i] = index_born == born;
    }
    free(vt->vt_whole);
    vt->vt_whole = whole;
    if (born != FOREVER)
        vt->vt_born = born;
    return EDB_OK;
}

static int schema_changed(const edb_table *table)
{
    return edb_fail(EDB_SCHEMA, "table %s was changed or dropped: its declaration has to be made anew", table->et_name);
}

/* The schema moved: mostly another table's. */
static int refresh(vtab_entity *vt, edb_stmt *stmt)
{
    edb_table *fresh;
    int rc = catalog_table(stmt, vt->vt_table->et_id, &fresh);
    if (rc)
        return rc == EDB_NOSUCH ? schema_changed(vt->vt_table) : rc;
    /* Nor under the feet of a write that a function in a DEFAULT has interrupted. */
    if (!table_same_columns(fresh, vt->vt_table) || vt->vt_writing) {
        table_unref(fresh);
        return schema_changed(vt->vt_table);
    }
    upsert_forget(vt);
    table_unref(vt->vt_table);
    vt->vt_table = fresh;
    vt->vt_schema = stmt_schema(stmt);
    return vtab_find_whole(vt, stmt);
}

int vtab_not_yet(edb_stmt *stmt, const char *name, uint64_t born)
{
    char asked[MOMENT_TEXT], first[MOMENT_TEXT];
    int64_t ns;
    moment_text(stmt_moment_ns(stmt), asked);
    if (born == FOREVER)
        return edb_fail(EDB_NOSUCH, "no such table: %s at %s; it was created in the running transaction", name, asked);
    int rc = edb_commit_time(conn_db(stmt_conn(stmt)), born, &ns);
    if (rc)
        return rc;
    return edb_fail(EDB_NOSUCH, "no such table: %s at %s; its first moment is %s", name, asked,
                    moment_text(ns, first));
}

int vtab_no_more(const vtab_entity *vt, int64_t ns)
{
    char asked[MOMENT_TEXT], last[MOMENT_TEXT];
    moment_text(ns, asked);
    return edb_fail(EDB_NOSUCH, "no such table: %s at %s; its last moment is %s", vt->vt_table->et_name, asked,
                    moment_text(vt->vt_last_ns, last));
}

int vtab_current(vtab_entity *vt, edb_stmt *stmt)
{
    if (likely(!stmt_is_past(stmt)))
        return likely(stmt_schema(stmt) == vt->vt_schema) || vt->vt_fixed ? EDB_OK : refresh(vt, stmt);
    /* The past is read under today's columns; the table itself must have been there. */
    uint64_t born = vt->vt_born;
    int rc = born ? EDB_OK : stmt_tree_born(stmt, vt->vt_table->et_id, &born);
    if (rc)
        return rc;
    return likely(born <= edb_stmt_moment(stmt)) ? EDB_OK : vtab_not_yet(stmt, vt->vt_table->et_name, born);
}

/* Most tables read alike at every moment; for others the last moment is kept. */
int vtab_table(vtab_entity *vt, edb_stmt *stmt, const edb_table **out)
{
    if (likely(!vt->vt_table->et_then_differs) || !stmt_is_past(stmt)) {
        *out = vt->vt_table;
        return EDB_OK;
    }
    if (!vt->vt_then || vt->vt_then_of != vt->vt_table || vt->vt_then_moment != edb_stmt_moment(stmt)) {
        edb_table *then;
        int rc = catalog_then(stmt, vt->vt_table, &then);
        if (rc)
            return rc;
        table_unref(vt->vt_then);
        table_unref(vt->vt_then_of);
        vt->vt_then = then;
        vt->vt_then_of = table_ref(vt->vt_table);
        vt->vt_then_moment = edb_stmt_moment(stmt);
    }
    *out = vt->vt_then;
    return EDB_OK;
}

/* ---- transactions --------------------------------------------------------------------------------------------- */

static edb_conn *conn_of(sqlite3_vtab *base)
{
    return ((vtab_any *)base)->ay_binding->bd_conn;
}

int vtab_begin(sqlite3_vtab *base)
{
    edb_stmt *stmt;
    int rc = vtab_acquire(((vtab_any *)base)->ay_binding, true, &stmt);
    if (rc)
        return vtab_result(base, rc);
    rc = txn_begin_write(stmt);
    stmt_release(stmt);
    return vtab_result(base, rc);
}

int vtab_sync(sqlite3_vtab *base)
{
    return conn_of(base) ? vtab_result(base, txn_prepare(conn_of(base))) : SQLITE_OK;
}

int vtab_commit(sqlite3_vtab *base)
{
    if (conn_of(base))
        txn_publish(conn_of(base));
    return SQLITE_OK;
}

int vtab_rollback(sqlite3_vtab *base)
{
    if (conn_of(base))
        txn_rollback(conn_of(base));
    return SQLITE_OK;
}

int vtab_savepoint(sqlite3_vtab *base, int n)
{
    if (conn_of(base))
        txn_savepoint(conn_of(base), n);
    return SQLITE_OK;
}

int vtab_release(sqlite3_vtab *base, int n)
{
    if (conn_of(base))
        txn_release(conn_of(base), n);
    return SQLITE_OK;
}

/* A SAVEPOINT that began the transaction has the number -1, of which no xSavepoint tells. */
int vtab_rollback_to(sqlite3_vtab *base, int n)
{
    edb_conn *conn = conn_of(base);
    if (conn && n < 0) {
        txn_rollback_to(conn, 0);
        txn_release(conn, 0);
    } else if (conn) {
        txn_rollback_savepoint(conn, n);
    }
    return SQLITE_OK;
}

