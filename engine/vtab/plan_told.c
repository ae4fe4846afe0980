/* What the driver tells of other tables, by terms that are always true: the hidden column is NULL, and only the text is looked
 * at.
 *
 *   t."entitydb returned" IS NOT '3 17 0 =2'           a list (plan_lists.c)
 *   t."entitydb returned" IS NOT 'limit ...'           a join whose first rows are wanted, 'first ...': one row
 *                                                      (plan_limits.c)
 *
 * A table is told by its id, and conditions on its rows by what is known of each: '=' an equality, 'i' a list, '<' a bound,
 * 'p' a pattern, 'n' IS NULL, 'N' IS NOT NULL, each with its column, and '?' any other. */
#include <math.h>
#include <stdlib.h>

#include "engine/stats/statistics.h"
#include "engine/vtab/planner.h"

/* ---- terms ---------------------------------------------------------------------------------------------------- */

const char *told_by(const planner *pl, int i)
{
    sqlite3_value *value;
    if (pl->pl_info->aConstraint[i].iColumn != (int)pl->pl_table->et_n_columns || pl->pl_vt->vt_history
        || pl->pl_info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_ISNOT || !pl->pl_info->aConstraint[i].usable
        || !right_side(pl, i, &value) || sqlite3_value_type(value) != SQLITE_TEXT)
        return NULL;
    return (const char *)sqlite3_value_text(value);
}

uint32_t told_number(const char **at)
{
    char *end;
    uint32_t number = (uint32_t)strtoul(*at, &end, 10);
    *at = end;
    return number;
}

/* ---- tables --------------------------------------------------------------------------------------------------- */

bool told_open(const planner *pl, uint32_t id, told_table *td)
{
    edb_stmt *stmt = conn_current(pl->pl_conn);
    edb_table *table;
    if (!stmt || catalog_table(stmt, id, &table))
        return false;
    *td = (told_table){.td_conn = pl->pl_conn, .td_table = table, .td_rows = (double)conn_tree_rows(pl->pl_conn, id)};
    return true;
}

void told_close(told_table *td)
{
    table_unref(td->td_table);
}

static const edb_index *beginning_with(const edb_table *table, uint32_t column)
{
    for (uint32_t k = 0; k < table->et_n_indexes; k++)
        if (!table->et_indexes[k].where && table->et_indexes[k].parts[0].column == column)
            return &table->et_indexes[k];
    return NULL;
}

/* Rows with one value of the column. */
double told_rows_of_value(const told_table *td, uint32_t column)
{
    if ((int)column == td->td_table->et_rowid_column)
        return 1;
    const edb_index *index = beginning_with(td->td_table, column);
    if (index)
        return stats_groups(td->td_conn, index, 1).gs_mean;
    return fmax(stats_column(td->td_conn, td->td_table, column).sv_mean * td->td_rows, 1);
}

double told_nulls(const told_table *td, uint32_t column)
{
    if ((int)column == td->td_table->et_rowid_column)
        return 0;
    return stats_column(td->td_conn, td->td_table, column).sv_null;
}

/* The share of rows that a term of its WHERE leaves. */
double told_share(const told_table *td, char op, uint32_t column)
{
    if (op == '<')
        return UNKNOWN_BOUND;
    if (op == 'p')
        return UNKNOWN_PATTERN;
    if (op == '?' || column >= td->td_table->et_n_columns)
        return UNKNOWN_TEST;
    if (op == 'n' || op == 'N')
        return op == 'n' ? told_nulls(td, column) : 1 - told_nulls(td, column);
    return fmin(1, (op == 'i' ? LIST_GUESS : 1) * told_rows_of_value(td, column) / td->td_rows);
}
