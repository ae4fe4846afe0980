/* The module `entitydb_history` (history.h): declaring a history table. */
#include <stdlib.h>
#include <string.h>

#include "engine/eval/declare.h"
#include "engine/vtab/history.h"

static const struct { const char *name, *type; } own_columns[HISTORY_COLUMNS] = {
    {"as_of", "INTEGER"}, {"valid_from", "INTEGER"}, {"valid_to", "INTEGER"}, {"operation", "TEXT"},
    {"transaction_id", "INTEGER"}, {"entitydb moment", "BLOB HIDDEN"}, {"entitydb until", "BLOB HIDDEN"},
    {"entitydb kind", "TEXT HIDDEN"}, {"entitydb row", "INTEGER HIDDEN"},
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
    return column < HISTORY_MOMENT && table_has(table, own_columns[column].name) ? "entitydb_" : "";
}

/* Row ids repeat from version to version, so the key is the row, the moment and the version's begin. */
static int declare(sqlite3 *db, const edb_table *table)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    declare_columns(table, sql);
    for (int i = 0; i < HISTORY_COLUMNS; i++)
        sqlite3_str_appendf(sql, ", \"%s%s\" %s", prefix_of(table, i), own_columns[i].name, own_columns[i].type);
    sqlite3_str_appendf(sql, ", PRIMARY KEY(\"%s\", \"%sas_of\", \"%svalid_from\", \"%soperation\")) WITHOUT ROWID",
                        own_columns[HISTORY_ROW].name, prefix_of(table, HISTORY_AS_OF), prefix_of(table, HISTORY_FROM),
                        prefix_of(table, HISTORY_OPERATION));
    char *text = sqlite3_str_finish(sql);
    int rc = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    sqlite3_free(text);
    return rc;
}

static bool number_of(const char *text, unsigned long long most, unsigned long long *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return end != text && !*end && *out <= most;
}

static int find_table(vtab_entity *vt, int argc, const char *const *argv)
{
    unsigned long long id, ns;
    edb_stmt *stmt, *then = NULL;
    if (argc < 4 || argc > 5 || !number_of(argv[3], UINT32_MAX, &id) || (argc == 5 && !number_of(argv[4], INT64_MAX, &ns)))
        return edb_fail(EDB_MISUSE, "USING entitydb_history(table id[, ns]): one or two numbers are needed");
    vt->vt_fixed = argc == 5;
    int rc = vtab_acquire_aside(vt->vt_any.ay_binding, false, &stmt);
    if (rc)
        return rc;
    if (argc == 5)
        rc = stmt_at(stmt, (int64_t)ns, &then);
    if (!rc)
        rc = entity_find(vt, then ? then : stmt, (uint32_t)id);
    if (then)
        stmt_release(then);
    stmt_release(stmt);
    return rc;
}

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    vtab_entity *vt = calloc(1, sizeof *vt);
    if (!vt) {
        *error = sqlite3_mprintf("no memory for a history table");
        return SQLITE_ERROR;
    }
    entity_init(vt, aux);
    vt->vt_history = true;
    vt->vt_scan_size = sizeof(history_scan);
    int rc = find_table(vt, argc, argv);
    if (rc) {
        *error = sqlite3_mprintf("%s", edb_message());
        rc = vtab_sqlite_code(rc);
    } else if ((rc = declare(db, vt->vt_table))) {
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

const sqlite3_module vtab_history_module = {
    .iVersion = 2,
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = history_best_index,
    .xDisconnect = disconnect,
    .xDestroy = disconnect,
    .xOpen = vtab_open,
    .xClose = history_close,
    .xFilter = history_filter,
    .xNext = history_next,
    .xEof = history_eof,
    .xColumn = history_column_value,
};
