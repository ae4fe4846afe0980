/* The eponymous tables: entitydb_ddl, which is written to change the catalog, and entitydb_catalog, which shows it.
 *
 * DDL is an INSERT because only that gets SQLite's whole transaction protocol: a CREATE VIRTUAL TABLE never calls
 * xBegin, and a DROP calls nothing at COMMIT. Eponymous, so that neither is in sqlite_master.
 *
 *     INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)      last_insert_rowid(): the table's id
 *     INSERT INTO entitydb_ddl(op, payload) VALUES ('replace', ?)     likewise; new indexes are filled
 *     INSERT INTO entitydb_ddl(op, payload) VALUES ('judged', ?)      'replace', allowed by what the table's rows are
 *     INSERT INTO entitydb_ddl(op, name)    VALUES ('drop', ?)
 *     SELECT id, name, payload FROM entitydb_catalog                  at the statement's moment; id = ? is a lookup */
#include <stdlib.h>
#include <string.h>

#include "engine/eval/partial.h"
#include "engine/table/ddl.h"

enum { DDL_OP, DDL_NAME, DDL_PAYLOAD };
enum { CATALOG_ID, CATALOG_NAME, CATALOG_PAYLOAD };
#define CATALOG_LOOKUP 1            /* idxNum: one id */

typedef struct {
    sqlite3_vtab_cursor cc_base;
    edb_stmt *cc_stmt;              /* one user is ours */
    edb_cursor cc_entries;
    bool cc_open, cc_eof, cc_lookup;
    int64_t cc_only;                /* when cc_lookup */
    edb_table *cc_table;            /* counted; where the cursor stands */
} catalog_scan;

static int connect_as(sqlite3 *db, void *aux, const char *declaration, sqlite3_vtab **out)
{
    vtab_any *vt = calloc(1, sizeof *vt);
    int rc;
    if (!vt)
        return SQLITE_NOMEM;
    rc = sqlite3_declare_vtab(db, declaration);
    if (rc) {
        free(vt);
        return rc;
    }
    vt->vt_bd = aux;
    vt->vt_bd->bd_refs++;
    *out = &vt->vt_base;
    return SQLITE_OK;
}

static int connect_ddl(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return connect_as(db, aux, "CREATE TABLE x(op TEXT, name TEXT, payload BLOB, id INTEGER)", out);
}

static int connect_catalog(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return connect_as(db, aux, "CREATE TABLE x(id INTEGER, name TEXT, payload BLOB)", out);
}

static int disconnect(sqlite3_vtab *base)
{
    vtab_any *vt = (vtab_any *)base;
    binding_unref(vt->vt_bd);
    free(vt);
    return SQLITE_OK;
}

/* ---- entitydb_catalog ----------------------------------------------------------------------------------------- */

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    (void)base;
    info->estimatedCost = 1000;
    info->estimatedRows = 100;
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].usable && info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ
            && info->aConstraint[i].iColumn <= CATALOG_ID) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->idxNum = CATALOG_LOOKUP;
            info->estimatedCost = 10;
            info->estimatedRows = 1;
            break;
        }
    return SQLITE_OK;
}

static int catalog_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    catalog_scan *cc = calloc(1, sizeof *cc);
    if (!cc)
        return vtab_no_cursor(base);
    *out = &cc->cc_base;
    return SQLITE_OK;
}

static void catalog_leave(catalog_scan *cc)
{
    table_unref(cc->cc_table);
    cc->cc_table = NULL;
    if (cc->cc_open)
        cursor_close(&cc->cc_entries);
    cc->cc_open = false;
    if (cc->cc_stmt)
        stmt_release(cc->cc_stmt);
    cc->cc_stmt = NULL;
}

static int catalog_close(sqlite3_vtab_cursor *base)
{
    catalog_leave((catalog_scan *)base);
    free(base);
    return SQLITE_OK;
}

/* Decodes the entry the cursor stands on. */
static int catalog_load(catalog_scan *cc)
{
    const edb_entry *at = &cc->cc_entries.at;
    table_unref(cc->cc_table);
    cc->cc_table = NULL;
    cc->cc_eof = !cc->cc_entries.valid;
    if (cc->cc_eof)
        return EDB_OK;
    if (at->key_size != 8)
        return edb_fail(EDB_CORRUPT, "the catalog holds a key of %u bytes", at->key_size);
    int64_t id = rowid_load(at->key);
    cc->cc_eof = cc->cc_lookup && id != cc->cc_only;
    if (cc->cc_eof)
        return EDB_OK;
    return catalog_table(cc->cc_stmt, (uint32_t)id, &cc->cc_table);
}

static int catalog_start(catalog_scan *cc, bool lookup, sqlite3_value *value)
{
    uint8_t key[8];
    int rc;
    catalog_leave(cc);
    rc = vtab_acquire(((vtab_any *)cc->cc_base.pVtab)->vt_bd, false, &cc->cc_stmt);
    if (!rc)
        rc = cursor_open(cc->cc_stmt, TREE_CATALOG, &cc->cc_entries);
    if (rc)
        return rc;
    cc->cc_open = true;
    cc->cc_lookup = lookup && sqlite3_value_numeric_type(value) == SQLITE_INTEGER;
    if (cc->cc_lookup) {
        cc->cc_only = sqlite3_value_int64(value);
        rowid_store(key, cc->cc_only);
    }
    rc = cursor_seek(&cc->cc_entries, cc->cc_lookup ? key : NULL, cc->cc_lookup ? sizeof key : 0);
    return rc ? rc : catalog_load(cc);
}

static int catalog_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)plan;
    return vtab_result(base->pVtab,
                       catalog_start((catalog_scan *)base, number == CATALOG_LOOKUP, argc ? argv[0] : NULL));
}

static int catalog_next(sqlite3_vtab_cursor *base)
{
    catalog_scan *cc = (catalog_scan *)base;
    int rc = cursor_next(&cc->cc_entries);
    return vtab_result(base->pVtab, rc ? rc : catalog_load(cc));
}

static int catalog_eof(sqlite3_vtab_cursor *base)
{
    return ((catalog_scan *)base)->cc_eof;
}

static int catalog_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    const edb_table *table = ((catalog_scan *)base)->cc_table;
    if (column == CATALOG_ID)
        sqlite3_result_int64(context, table->et_id);
    else if (column == CATALOG_NAME)
        sqlite3_result_text(context, table->et_name, -1, SQLITE_TRANSIENT);
    else
        sqlite3_result_blob64(context, table->et_payload, table->et_payload_size, SQLITE_TRANSIENT);
    return SQLITE_OK;
}

static int catalog_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    *rowid = ((catalog_scan *)base)->cc_table->et_id;
    return SQLITE_OK;
}

const sqlite3_module vtab_catalog_module = {
    .iVersion = 2,
    .xConnect = connect_catalog,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = catalog_open,
    .xClose = catalog_close,
    .xFilter = catalog_filter,
    .xNext = catalog_next,
    .xEof = catalog_eof,
    .xColumn = catalog_column,
    .xRowid = catalog_rowid,
};

/* ---- entitydb_ddl --------------------------------------------------------------------------------------------- */

/* Reading it finds nothing. */
static int nothing_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    (void)base;
    info->estimatedCost = 1;
    info->estimatedRows = 1;
    return SQLITE_OK;
}

static int nothing_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? SQLITE_OK : vtab_no_cursor(base);
}

static int nothing_close(sqlite3_vtab_cursor *base)
{
    free(base);
    return SQLITE_OK;
}

static int nothing_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)base, (void)number, (void)plan, (void)argc, (void)argv;
    return SQLITE_OK;
}

static int nothing_next(sqlite3_vtab_cursor *base)
{
    (void)base;
    return SQLITE_OK;
}

static int nothing_eof(sqlite3_vtab_cursor *base)
{
    (void)base;
    return 1;
}

static int nothing_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    (void)base, (void)column;
    sqlite3_result_null(context);
    return SQLITE_OK;
}

static int nothing_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    (void)base;
    *rowid = 0;
    return SQLITE_OK;
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
    else
        rc = edb_fail(EDB_MISUSE, "entitydb_ddl: op is 'create', 'replace' or 'judged' (payload), or 'drop' (name)");
    if (!rc)
        *rowid = id;
    return rc;
}

static int ddl_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    vtab_binding *bd = ((vtab_any *)base)->vt_bd;
    bool nested = bd->bd_writing;
    edb_stmt *stmt;
    int rc;
    if (argc == 1 || sqlite3_value_type(argv[0]) != SQLITE_NULL)
        return vtab_result(base, edb_fail(EDB_MISUSE, "entitydb_ddl only takes INSERT"));
    rc = vtab_acquire(bd, true, &stmt);
    if (rc)
        return vtab_result(base, rc);
    bd->bd_writing = true;
    rc = ddl_run(stmt, argv + 2, rowid);
    bd->bd_writing = nested;
    stmt_release(stmt);
    if (!bd->bd_tables)
        partial_forget(bd);             /* nothing is sure to end it later */
    return vtab_result(base, rc);
}

const sqlite3_module vtab_ddl_module = {
    .iVersion = 2,
    .xConnect = connect_ddl,
    .xBestIndex = nothing_best_index,
    .xDisconnect = disconnect,
    .xOpen = nothing_open,
    .xClose = nothing_close,
    .xFilter = nothing_filter,
    .xNext = nothing_next,
    .xEof = nothing_eof,
    .xColumn = nothing_column,
    .xRowid = nothing_rowid,
    .xUpdate = ddl_update,
    .xBegin = vtab_begin,
    .xSync = vtab_sync,
    .xCommit = vtab_commit,
    .xRollback = vtab_rollback,
    .xSavepoint = vtab_savepoint,
    .xRelease = vtab_release,
    .xRollbackTo = vtab_rollback_to,
};
