/* The modules of history tables (history.h), and the function entitydb_history(), which makes them:
 *
 *     SELECT entitydb_history(name, connection, table id, starless, ns)
 *     SELECT entitydb_history(name)
 *
 * The first makes a history table known to the SQLite connection under a name, the second takes the name away. Each is an eponymous
 * virtual table, so it is in no schema: it needs no declaration, and a rollback leaves it. `connection` says whose table it is
 * (edb_conn_id). starless 1: the version columns are hidden, so that `*` and NATURAL JOIN have the table's columns alone. ns: NULL, or
 * the last moment of a table that was dropped or renamed: the table as it was then is meant, and later moments are refused. */
#include <stdlib.h>
#include <string.h>

#include "engine/eval/declare.h"
#include "engine/vtab/history.h"

typedef struct {
    vtab_binding *hm_binding;       /* counted */
    uint32_t hm_table;
    bool hm_starless, hm_fixed;
    int64_t hm_ns;                  /* if hm_fixed */
} history_module;

static const struct { const char *name, *type; } own_columns[HISTORY_COLUMNS] = {
    {"entitydb moment", "BLOB"}, {"entitydb until", "BLOB"}, {"entitydb kind", "TEXT"}, {"as_of", "INTEGER"},
    {"valid_from", "INTEGER"}, {"valid_to", "INTEGER"}, {"operation", "TEXT"}, {"transaction_id", "INTEGER"},
    {"entitydb row", "INTEGER"},
};

static bool table_has(const edb_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (!table->et_columns[i].hidden && name_same(table->et_columns[i].name, name))
            return true;
    return false;
}

static const char *prefix_of(const edb_table *table, int column)
{
    return column >= HISTORY_AS_OF && column <= HISTORY_TRANSACTION && table_has(table, own_columns[column].name) ? "entitydb_" : "";
}

static bool is_hidden(int column, bool starless)
{
    return starless || column < HISTORY_AS_OF;
}

/* Row ids repeat from version to version, so the key is the row, the moment and the version's begin. */
static int declare(sqlite3 *db, const edb_table *table, bool starless)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    declare_columns(table, sql);
    for (int i = 0; i < HISTORY_COLUMNS; i++)
        sqlite3_str_appendf(sql, ", \"%s%s\" %s%s", prefix_of(table, i), own_columns[i].name, own_columns[i].type,
                            is_hidden(i, starless) ? " HIDDEN" : "");
    sqlite3_str_appendf(sql, ", PRIMARY KEY(\"%s\", \"%sas_of\", \"%svalid_from\", \"%soperation\")) WITHOUT ROWID",
                        own_columns[HISTORY_ROW].name, prefix_of(table, HISTORY_AS_OF), prefix_of(table, HISTORY_FROM),
                        prefix_of(table, HISTORY_OPERATION));
    char *text = sqlite3_str_finish(sql);
    int rc = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    sqlite3_free(text);
    return rc;
}

static int find_table(vtab_entity *vt, const history_module *hm)
{
    edb_stmt *stmt, *then = NULL;
    vt->vt_fixed = hm->hm_fixed;
    vt->vt_last_ns = hm->hm_ns;
    int rc = vtab_acquire_aside(vt->vt_any.ay_binding, false, &stmt);
    if (rc)
        return rc;
    if (hm->hm_fixed)
        rc = stmt_at(stmt, hm->hm_ns, &then);
    if (!rc)
        rc = entity_find(vt, then ? then : stmt, hm->hm_table);
    if (then)
        stmt_release(then);
    stmt_release(stmt);
    return rc;
}

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    const history_module *hm = aux;
    vtab_entity *vt = calloc(1, sizeof *vt);
    (void)argc, (void)argv;
    if (!vt) {
        *error = sqlite3_mprintf("no memory for a history table");
        return SQLITE_ERROR;
    }
    entity_init(vt, hm->hm_binding);
    vt->vt_history = true;
    vt->vt_scan_size = sizeof(history_scan);
    int rc = find_table(vt, hm);
    if (rc) {
        *error = sqlite3_mprintf("%s", edb_message());
        rc = vtab_sqlite_code(rc);
    } else if ((rc = declare(db, vt->vt_table, hm->hm_starless))) {
        *error = sqlite3_mprintf("the history of table %s cannot be declared: %s", vt->vt_table->et_name, sqlite3_errmsg(db));
    }
    if (!rc)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    if (rc) {
        entity_free(vt);
        free(vt);
        return rc;
    }
    *out = &vt->vt_any.ay_base;
    return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *base)
{
    entity_free((vtab_entity *)base);
    free(base);
    return SQLITE_OK;
}

static const sqlite3_module history_table = {
    .iVersion = 2,
    .xConnect = connect,
    .xBestIndex = history_best_index,
    .xDisconnect = disconnect,
    .xOpen = vtab_open,
    .xClose = history_close,
    .xFilter = history_filter,
    .xNext = history_next,
    .xEof = history_eof,
    .xColumn = history_column_value,
};

/* ---- entitydb_history() ----------------------------------------------------------------------------------------------- */

static void module_free(void *module)
{
    history_module *hm = module;
    binding_unref(hm->hm_binding);
    free(hm);
}

static void make(sqlite3_context *context, vtab_binding *bd, sqlite3_value **argv)
{
    history_module *hm = calloc(1, sizeof *hm);
    if (!hm) {
        sqlite3_result_error(context, "no memory for a history table", -1);
        return;
    }
    bd->bd_refs++;
    *hm = (history_module){
        .hm_binding = bd,
        .hm_table = (uint32_t)sqlite3_value_int64(argv[2]),
        .hm_starless = sqlite3_value_int(argv[3]),
        .hm_fixed = sqlite3_value_type(argv[4]) != SQLITE_NULL,
        .hm_ns = sqlite3_value_int64(argv[4]),
    };
    /* On failure SQLite frees it. */
    if (sqlite3_create_module_v2(bd->bd_db, (const char *)sqlite3_value_text(argv[0]), &history_table, hm, module_free))
        sqlite3_result_error(context, "entitydb_history: no memory", -1);
}

void function_history(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const char *name = (const char *)sqlite3_value_text(argv[0]);
    vtab_binding *bd = argc < 5 ? NULL : binding_of(sqlite3_user_data(context), sqlite3_value_int64(argv[1]));
    if (!name || (argc != 1 && argc != 5) || (argc == 5 && !bd))
        sqlite3_result_error(context, "entitydb_history(name, connection, table id, starless, ns): see vtab_history.c", -1);
    else if (argc == 1)
        sqlite3_create_module_v2(sqlite3_context_db_handle(context), name, NULL, NULL, NULL);
    else
        make(context, bd, argv);
}
