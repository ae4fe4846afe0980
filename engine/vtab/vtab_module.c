/* The module `entitydb`: CREATE VIRTUAL TABLE name USING entitydb(table id).
 *
 * The catalog is the only truth; what SQLite holds is a declaration made from it (eval/declare.h). So DROP of a
 * declaration deletes nothing, and a declaration that the catalog has moved past answers EDB_SCHEMA instead of
 * guessing. */
#include <stdlib.h>

#include "engine/eval/declare.h"
#include "engine/vtab/scan.h"

void entity_init(vtab_entity *vt, vtab_binding *bd)
{
    vt->vt_any.ay_binding = bd;
    vt->vt_scan_size = sizeof(scan);
    bd->bd_refs++;
    bd->bd_tables++;
}

void entity_free(vtab_entity *vt)
{
    upsert_forget(vt);
    scan_forget(vt);
    free(vt->vt_orders.or_columns);
    table_unref(vt->vt_table);
    table_unref(vt->vt_then);
    table_unref(vt->vt_then_of);
    free(vt->vt_whole);
    vt->vt_any.ay_binding->bd_tables--;
    binding_forget(vt->vt_any.ay_binding);
    binding_unref(vt->vt_any.ay_binding);
}

static int disconnect(sqlite3_vtab *base)
{
    entity_free((vtab_entity *)base);
    free(base);
    return SQLITE_OK;
}

int entity_find(vtab_entity *vt, edb_stmt *stmt, uint32_t id)
{
    int rc = catalog_table(stmt, id, &vt->vt_table);
    if (!rc && vt->vt_table->et_kind != CATALOG_TABLE)
        rc = edb_fail(EDB_NOSUCH, "the catalog's entry %u is no table", id);
    if (rc)
        return rc;
    vt->vt_schema = stmt_schema(stmt);
    return vtab_find_whole(vt, stmt);
}

static int connect_table(vtab_entity *vt, const char *argument)
{
    edb_stmt *stmt;
    char *end;
    unsigned long long id = strtoull(argument, &end, 10);
    if (end == argument || *end || id == 0 || id > UINT32_MAX)
        return edb_fail(EDB_MISUSE, "entitydb(%s): the argument is a table id of the catalog", argument);
    int rc = vtab_acquire_aside(vt->vt_any.ay_binding, false, &stmt);
    if (rc)
        return rc;
    rc = entity_find(vt, stmt, (uint32_t)id);
    stmt_release(stmt);
    return rc;
}

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    vtab_entity *vt = calloc(1, sizeof *vt);
    int rc;
    if (!vt) {
        *error = sqlite3_mprintf("no memory for a table");
        return SQLITE_ERROR;
    }
    entity_init(vt, aux);
    rc = argc == 4 ? connect_table(vt, argv[3])
                   : edb_fail(EDB_MISUSE, "USING entitydb(table id): one argument is needed");
    if (!rc)
        rc = declared_orders(vt->vt_table, &vt->vt_orders);
    if (rc) {
        *error = sqlite3_mprintf("%s", edb_message());
        rc = vtab_sqlite_code(rc);
    } else {
        rc = declare_table(db, vt->vt_table, &vt->vt_orders);
        if (rc)
            *error = sqlite3_mprintf("table %s cannot be declared: %s", vt->vt_table->et_name, sqlite3_errmsg(db));
    }
    if (!rc)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    if (!rc)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    if (rc) {
        entity_free(vt);
        free(vt);
    } else {
        *out = &vt->vt_any.ay_base;
    }
    return rc;
}

/* ALTER TABLE ... RENAME of the declaration: the name SQLite uses is its own business. */
static int rename_declared(sqlite3_vtab *base, const char *name)
{
    (void)base;
    (void)name;
    return SQLITE_OK;
}

const sqlite3_module vtab_entity_module = {
    .iVersion = 2,                  /* below 2 no savepoint call arrives, silently */
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = vtab_best_index,
    .xDisconnect = disconnect,
    .xDestroy = disconnect,         /* never deletes data: only the catalog drops tables */
    .xOpen = vtab_open,
    .xClose = vtab_close,
    .xFilter = vtab_filter,
    .xNext = vtab_next,
    .xEof = vtab_eof,
    .xColumn = vtab_column,
    .xRowid = vtab_rowid,
    .xUpdate = vtab_update,
    .xBegin = vtab_begin,
    .xSync = vtab_sync,
    .xCommit = vtab_commit,
    .xRollback = vtab_rollback,
    .xRename = rename_declared,
    .xSavepoint = vtab_savepoint,
    .xRelease = vtab_release,
    .xRollbackTo = vtab_rollback_to,
};
