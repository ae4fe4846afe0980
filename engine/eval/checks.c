/* CHECK and DEFAULT on the program's own SQLite connection (sqlite_evaluator.h).
 *
 * Both may call a function of the program, which may write to the same table and come back here. A rowexpr has runs
 * inside runs for that; a DEFAULT whose statement is at work is prepared once more. */
#include "engine/eval/sqlite_evaluator.h"

#include <stdlib.h>

/* ---- CHECK ---------------------------------------------------------------------------------------------------- */

static int checks_prepare(sqlite_evaluator *se, const edb_table *table, rowexpr **out)
{
    sqlite3_str *list = sqlite3_str_new(se->se_db);
    for (uint32_t i = 0; i < table->et_n_checks; i++)
        sqlite3_str_appendf(list, "%sNOT (%s\n)", i ? ", " : "", table->et_checks[i].sql);
    char *text = sqlite3_str_finish(list);
    if (!text)
        return edb_fail(EDB_NOMEM, "no memory for the constraints of a table");
    int rc = rowexpr_new(se->se_db, table, table->et_name, false, text, NULL, out);
    sqlite3_free(text);
    return rc;
}

int checks_judge(void *arg, const edb_table *table, int64_t rowid, const edb_value *values)
{
    const rowexpr_row row = {.ro_values = values, .ro_rowid = rowid};
    prepared_table *pd;
    rowexpr *run;
    bool found;
    int rc = prepared_find(arg, table, &pd);
    if (!rc && !pd->pd_checks)
        rc = checks_prepare(arg, table, &pd->pd_checks);
    if (!rc)
        rc = rowexpr_begin(pd->pd_checks, &row, NULL, &run);
    if (rc)
        return rc;
    pd->pd_running++;
    rc = rowexpr_step(run, &found);
    for (uint32_t i = 0; !rc && i < table->et_n_checks; i++)
        if (sqlite3_value_int(rowexpr_value(run, (int)i)))
            rc = edb_fail(EDB_CHECK, "CHECK constraint failed: %s", table->et_checks[i].label);
    rowexpr_end(run);
    pd->pd_running--;
    return rc;
}

/* ---- DEFAULT -------------------------------------------------------------------------------------------------- */

static int default_failed(sqlite_evaluator *se, const edb_table *table, uint32_t column)
{
    return edb_fail(EDB_EXPRESSION, "DEFAULT of %s.%s: %s", table->et_name, table->et_columns[column].name,
                    sqlite3_errmsg(se->se_db));
}

static int default_prepare(sqlite_evaluator *se, const edb_table *table, uint32_t column, sqlite3_stmt **out)
{
    char *sql = sqlite3_mprintf("SELECT (%s)", table->et_columns[column].default_sql);
    int rc = sql ? sqlite3_prepare_v3(se->se_db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) : SQLITE_NOMEM;
    sqlite3_free(sql);
    return rc ? default_failed(se, table, column) : EDB_OK;
}

static int default_run(sqlite_evaluator *se, const edb_table *table, uint32_t column, sqlite3_stmt *select,
                       arena *memory, edb_value *out)
{
    int rc = EDB_OK;
    if (sqlite3_step(select) != SQLITE_ROW)
        rc = default_failed(se, table, column);
    if (!rc)
        rc = values_prepare(&se->se_values, 1);
    if (!rc)
        rc = value_convert(&se->se_values, sqlite3_column_value(select, 0), table->et_columns[column].affinity, out);
    if (!rc)
        rc = value_copy(memory, out);
    values_drop(&se->se_values);
    return rc;
}

int default_evaluate(void *arg, const edb_table *table, uint32_t column, arena *memory, edb_value *out)
{
    sqlite_evaluator *se = arg;
    sqlite3_stmt *once = NULL, **kept;
    prepared_table *pd;
    int rc = prepared_find(se, table, &pd);
    if (rc)
        return rc;
    if (!pd->pd_defaults && !(pd->pd_defaults = calloc(table->et_n_columns, sizeof(*pd->pd_defaults))))
        return edb_fail(EDB_NOMEM, "no memory for the defaults of table %s", table->et_name);
    kept = &pd->pd_defaults[column];
    if (*kept && sqlite3_stmt_busy(*kept))
        rc = default_prepare(se, table, column, &once);
    else if (!*kept)
        rc = default_prepare(se, table, column, kept);
    if (rc)
        return rc;
    pd->pd_running++;
    rc = default_run(se, table, column, once ? once : *kept, memory, out);
    pd->pd_running--;
    if (once)
        sqlite3_finalize(once);
    else
        sqlite3_reset(*kept);
    return rc;
}
