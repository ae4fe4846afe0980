/* WHERE of partial indexes over a row (sqlite_evaluator.h).
 *
 * An index with a WHERE has entries of those rows alone for which it is true. SQLite evaluates it over the row in hand
 * (rowexpr.h), all WHEREs of a table at once, on the private connection of generated columns: the program's own may
 * have functions with the names of SQLite's. Which queries may use such an index is vtab/partial_plan.c's. */
#include "engine/eval/sqlite_evaluator.h"

static int wheres_prepare(sqlite_evaluator *se, const edb_table *table, rowexpr **out)
{
    int n = 0;
    sqlite3_str *list = sqlite3_str_new(se->se_db);
    for (uint32_t i = 0; i < table->et_n_indexes; i++)
        if (table->et_indexes[i].where)
            sqlite3_str_appendf(list, "%sCASE WHEN (%s\n) THEN 1 END", n++ ? ", " : "", table->et_indexes[i].where);
    char *text = sqlite3_str_finish(list);
    if (!text)
        return edb_fail(EDB_NOMEM, "no memory for the partial indexes of table %s", table->et_name);
    generator *ge;
    rowexpr *wheres = NULL;
    int rc = sqlite_evaluator_generator(se, &ge);
    if (!rc)
        rc = rowexpr_new(generator_lend(ge), table, table->et_name, false, text, NULL, &wheres);
    sqlite3_free(text);
    if (!rc && rowexpr_columns(wheres) != n) {
        rowexpr_free(wheres);
        rc = edb_fail(EDB_CORRUPT, "the WHERE of an index of table %s is no expression", table->et_name);
    }
    if (!rc)
        *out = wheres;
    return rc;
}

static int prepare(sqlite_evaluator *se, const edb_table *table, prepared_table **out)
{
    int rc = prepared_find(se, table, out);
    return rc || (*out)->pd_wheres ? rc : wheres_prepare(se, table, &(*out)->pd_wheres);
}

int partial_covers(void *arg, const edb_table *table, int64_t rowid, const edb_value *values, uint64_t *covered)
{
    const rowexpr_row row = {.ro_values = values, .ro_rowid = rowid};
    prepared_table *pd;
    rowexpr *run;
    bool found = false;
    int rc = prepare(arg, table, &pd), n = 0;
    if (!rc)
        rc = rowexpr_begin(pd->pd_wheres, &row, NULL, &run);
    if (rc)
        return rc;
    pd->pd_running++;
    rc = rowexpr_step(run, &found);
    *covered = UINT64_MAX;
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        if (table->et_indexes[i].where && !sqlite3_value_int(rowexpr_value(run, n++)))
            *covered &= ~(UINT64_C(1) << i);
    rowexpr_end(run);
    pd->pd_running--;
    return rc;
}

int partial_looks_at(void *arg, const edb_table *table, uint64_t *columns)
{
    prepared_table *pd;
    int rc = prepare(arg, table, &pd);
    if (!rc)
        *columns = rowexpr_used(pd->pd_wheres);
    return rc;
}
