/* The eponymous table entitydb_ddl, which is written to change the catalog.
 *
 *     INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)      last_insert_rowid(): the table's id
 *     INSERT INTO entitydb_ddl(op, payload) VALUES ('replace', ?)     likewise; new indexes are filled
 *     INSERT INTO entitydb_ddl(op, payload) VALUES ('judged', ?)      'replace', allowed by what the table's rows are
 *     INSERT INTO entitydb_ddl(op, name)    VALUES ('drop', ?)
 *     INSERT INTO entitydb_ddl(op, name)    VALUES ('analyze', ?)     statistics of the table
 *
 * Reading it finds nothing. */
#include <string.h>

#include "engine/stats/statistics.h"
#include "engine/table/ddl.h"
#include "engine/vtab/control_table.h"

enum { DDL_OP, DDL_NAME, DDL_PAYLOAD };

static int analyze(edb_stmt *stmt, const char *name)
{
    edb_table *table;
    int rc = txn_begin_write(stmt);
    if (!rc)
        rc = catalog_find(stmt, name, &table);
    if (rc)
        return rc;
    rc = stats_keep(stmt, table);
    table_unref(table);
    return rc;
}

static int ddl_run(edb_stmt *stmt, sqlite3_value **columns, sqlite3_int64 *rowid)
{
    const char *op = (const char *)sqlite3_value_text(columns[DDL_OP]);
    const char *name = (const char *)sqlite3_value_text(columns[DDL_NAME]);
    const void *payload = sqlite3_value_blob(columns[DDL_PAYLOAD]);
    size_t size = (size_t)sqlite3_value_bytes(columns[DDL_PAYLOAD]);
    uint32_t id = 0;
    int rc;
    if (op && !strcmp(op, "create"))
        rc = ddl_create(stmt, payload, size, &id);
    else if (op && !strcmp(op, "replace"))
        rc = ddl_replace(stmt, payload, size, false, &id);
    else if (op && !strcmp(op, "judged"))
        rc = ddl_replace(stmt, payload, size, true, &id);
    else if (op && !strcmp(op, "drop") && name)
        rc = ddl_drop(stmt, name);
    else if (op && !strcmp(op, "analyze") && name)
        rc = analyze(stmt, name);
    else
        rc = edb_fail(EDB_MISUSE, "entitydb_ddl: op is 'create', 'replace' or 'judged' (payload), 'drop' or 'analyze' "
                      "(name)");
    if (!rc)
        *rowid = id;
    return rc;
}

static int ddl_insert(vtab_binding *bd, edb_stmt *stmt, sqlite3_value **columns, sqlite3_int64 *rowid)
{
    int rc = ddl_run(stmt, columns, rowid);
    binding_forget(bd);             /* nothing is sure to end it later */
    return rc;
}

static int ddl_column(control_scan *cts, sqlite3_context *context, int column)
{
    (void)cts, (void)column;
    sqlite3_result_null(context);
    return EDB_OK;
}

static const control_table control = {
    .ctl_declaration = "CREATE TABLE x(op TEXT, name TEXT, payload BLOB, id INTEGER)",
    .ctl_rows = 1,
    .ctl_column = ddl_column,
    .ctl_insert = ddl_insert,
    .ctl_only_insert = "entitydb_ddl only takes INSERT",
};

CONTROL_MODULE(vtab_ddl_module, control, control_update);
