/* The eponymous table entitydb_versions: the versions of the rows of all tables that there are or ever were, committed ones.
 *
 *     SELECT type, entity, valid_from, valid_to, operation, transaction_id, content FROM entitydb_versions
 *
 * As history tables tell them of kind 'changes' (history.h), with the row as a JSON object under the table's columns of today. A table that
 * was dropped has the name and the columns it had last. Of one row by type and entity; idxStr is "versions". */
#include <stdlib.h>

#include "engine/entity/row_versions.h"
#include "engine/vtab/row_results.h"
#include "engine/vtab/rows_ever.h"

enum { VERSIONS_TYPE, VERSIONS_ENTITY, VERSIONS_FROM, VERSIONS_TO, VERSIONS_OPERATION, VERSIONS_TRANSACTION, VERSIONS_CONTENT };

#define DECLARATION                                                                                                    \
    "CREATE TABLE x(type TEXT COLLATE NOCASE, entity INTEGER, valid_from INTEGER, valid_to INTEGER, operation TEXT, "  \
    "transaction_id INTEGER, content TEXT, PRIMARY KEY(type, entity, valid_from, operation)) WITHOUT ROWID"
#define VERSIONS_GUESS 160000.0

typedef struct {
    sqlite3_vtab_cursor evs_base;
    edb_stmt *evs_stmt;             /* one user is ours; NULL: before xFilter */
    ever_arguments evs_given;
    size_t evs_table;               /* that walked */
    bool evs_open;                  /* evs_walk is */
    row_versions evs_walk;
    row_version evs_at;             /* while evs_open */
    table_buffer evs_row, evs_json;
} versions_scan;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return vtab_any_connect(db, aux, DECLARATION, sizeof(vtab_any), out);
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    static const ever_columns columns = {VERSIONS_TYPE, VERSIONS_ENTITY, -1};
    (void)base;
    ever_plan(&columns, info, VERSIONS_GUESS);
    info->idxStr = "versions";
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    return vtab_any_open(base, sizeof(versions_scan), out);
}

static void leave(versions_scan *evs)
{
    if (evs->evs_open)
        versions_close(&evs->evs_walk);
    tables_ever_free(&evs->evs_given.ea_tables);
    if (evs->evs_stmt)
        stmt_release(evs->evs_stmt);
    evs->evs_open = false;
    evs->evs_stmt = NULL;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    versions_scan *evs = (versions_scan *)base;
    leave(evs);
    buffer_free(&evs->evs_row);
    buffer_free(&evs->evs_json);
    free(evs);
    return SQLITE_OK;
}

static int start_table(versions_scan *evs)
{
    static const versions_wanted all = {.vw_begun_upto = FOREVER, .vw_ended_upto = FOREVER, .vw_deletions = true};
    const ever_arguments *given = &evs->evs_given;
    int rc = versions_open(&evs->evs_walk, evs->evs_stmt, given->ea_tables.ever_tables[evs->evs_table], &all);
    if (rc)
        return rc;
    evs->evs_open = true;
    return given->ea_one ? versions_start_row(&evs->evs_walk, given->ea_id)
                         : versions_start(&evs->evs_walk, NULL, 0, NULL, 0);
}

/* To the next version there is, in this table or in a later one. */
static int find_version(versions_scan *evs)
{
    bool found = false;
    int rc = EDB_OK;
    while (!rc && !found && evs->evs_table < evs->evs_given.ea_tables.ever_n) {
        if (!evs->evs_open)
            rc = start_table(evs);
        if (!rc)
            rc = versions_next(&evs->evs_walk, &evs->evs_at, &found);
        if (!rc && !found) {
            versions_close(&evs->evs_walk);
            evs->evs_open = false;
            evs->evs_table++;
        }
    }
    ((vtab_any *)evs->evs_base.pVtab)->ay_binding->bd_visited += found;
    return rc;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *string, int argc, sqlite3_value **argv)
{
    versions_scan *evs = (versions_scan *)base;
    (void)string, (void)argc;
    leave(evs);
    evs->evs_table = 0;
    int rc = vtab_acquire(((vtab_any *)base->pVtab)->ay_binding, false, &evs->evs_stmt);
    if (!rc)
        rc = ever_read(evs->evs_stmt, plan, argv, &evs->evs_given);
    return vtab_result(base->pVtab, rc ? rc : find_version(evs));
}

static int next(sqlite3_vtab_cursor *base)
{
    return vtab_result(base->pVtab, find_version((versions_scan *)base));
}

static int eof(sqlite3_vtab_cursor *base)
{
    return !((const versions_scan *)base)->evs_open;
}

static int column_value(versions_scan *evs, sqlite3_context *context, int column)
{
    const row_version *at = &evs->evs_at;
    const edb_table *table = evs->evs_given.ea_tables.ever_tables[evs->evs_table];
    int64_t id = rowid_load(at->vn_entry.key);
    const char *operation;
    int rc;
    switch (column) {
    case VERSIONS_TYPE:
        sqlite3_result_text(context, table->et_name, -1, SQLITE_TRANSIENT);
        return EDB_OK;
    case VERSIONS_ENTITY:
        sqlite3_result_int64(context, id);
        return EDB_OK;
    case VERSIONS_FROM:
        return result_commit_time(context, evs->evs_stmt, at->vn_begun);
    case VERSIONS_TO:
        return result_commit_time(context, evs->evs_stmt, at->vn_ended);
    case VERSIONS_OPERATION:
        if (!(rc = version_operation(evs->evs_stmt, table->et_id, at, &operation)))
            sqlite3_result_text(context, operation, -1, SQLITE_STATIC);
        return rc;
    case VERSIONS_TRANSACTION:
        sqlite3_result_int64(context, (int64_t)at->vn_begun);
        return EDB_OK;
    default:
        return result_row_json(context, evs->evs_stmt, table, &at->vn_entry, id, &evs->evs_row, &evs->evs_json);
    }
}

static int column_of(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    return vtab_result(base->pVtab, column_value((versions_scan *)base, context, column));
}

const sqlite3_module vtab_versions_module = {
    .iVersion = 2,
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = vtab_any_disconnect,
    .xDestroy = vtab_any_disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column_of,
};
