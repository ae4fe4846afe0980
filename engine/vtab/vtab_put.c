/* The eponymous table entitydb_put: runs what edb_conn_put() has laid ready.
 *
 *     INSERT INTO entitydb_put(op) VALUES ('put')
 *
 * An INSERT, because that gets SQLite's whole transaction protocol (control_table.h). */
#include "engine/entity/put_many.h"
#include "engine/txn/hooks.h"
#include "engine/vtab/control_table.h"

static txn_hooks put_hooks = { .hk_name = "put" };

__attribute__((constructor)) static void put_register(void)
{
    hooks_register(&put_hooks);
}

void edb_conn_put(edb_conn *conn, edb_put *put)
{
    conn_data_set(conn, &put_hooks, put);
}

static int put_insert(vtab_binding *bd, edb_stmt *stmt, sqlite3_value **columns, sqlite3_int64 *rowid)
{
    edb_put *put = conn_data(bd->bd_conn, &put_hooks);
    (void)columns;
    *rowid = 0;
    if (!put)
        return edb_fail(EDB_MISUSE, "entitydb_put is for Database.put_many(): there is nothing to be put");
    conn_data_set(bd->bd_conn, &put_hooks, NULL);
    bd->bd_writing = true;          /* a write inside it, by a function in a DEFAULT, has scratches of its own */
    bd->bd_constraints.cs_aborts = false;
    int rc = put_many(stmt, &bd->bd_constraints, &bd->bd_row, put);
    bd->bd_writing = false;
    if (!rc)
        stmt_count(stmt, (int64_t)(put->inserted + put->changed));
    return rc;
}

static int put_column(control_scan *cts, sqlite3_context *context, int column)
{
    (void)cts, (void)column;
    sqlite3_result_null(context);
    return EDB_OK;
}

static const control_table control = {
    .ctl_declaration = "CREATE TABLE x(op TEXT)",
    .ctl_rows = 1,
    .ctl_column = put_column,
    .ctl_insert = put_insert,
    .ctl_only_insert = "entitydb_put only takes INSERT",
};

CONTROL_MODULE(vtab_put_module, control, control_update);
