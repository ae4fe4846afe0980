/* How many values a list is expected to have.
 *
 * Best-index is told that a constraint is a list, and neither which nor how long. Of lists that a query of one column makes
 * the driver adds a term beside them (driver/rewrite/list_lengths.py):
 *
 *   kind IN (SELECT id FROM kinds WHERE live = 1)
 *       AND t."entitydb returned" IS NOT '3 17 0 =2'
 *
 * that is, the column that is compared; the table that is read, its column, and what is known of its WHERE: '=' an
 * equality, 'i' a list, '<' a bound, 'n' IS NULL, 'N' IS NOT NULL, each with its column, and '?' any other term. The hidden
 * column is NULL, so the term is always true; only the text is looked at, here. The list has as many values as the column has
 * different ones in the rows that are left. */
#include <math.h>
#include <stdlib.h>

#include "engine/stats/statistics.h"
#include "engine/vtab/planner.h"

#define LIST_GUESS 5                /* of a list of which nothing is told */

/* What the driver tells by constraint i; NULL: it is no such term. */
static const char *told_by(const planner *pl, int i)
{
    sqlite3_value *value;
    if (pl->pl_info->aConstraint[i].iColumn != (int)pl->pl_table->et_n_columns || pl->pl_vt->vt_history
        || pl->pl_info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_ISNOT || !pl->pl_info->aConstraint[i].usable
        || !right_side(pl, i, &value) || sqlite3_value_type(value) != SQLITE_TEXT)
        return NULL;
    return (const char *)sqlite3_value_text(value);
}

bool list_told(const planner *pl, int i)
{
    return told_by(pl, i) != NULL;
}

static uint32_t number_at(const char **at)
{
    char *end;
    uint32_t number = (uint32_t)strtoul(*at, &end, 10);
    *at = end;
    return number;
}

/* ---- the rows of the query ------------------------------------------------------------------------------------ */

typedef struct {                    /* what is asked of the statistics of the table that the query reads */
    edb_conn *lq_conn;
    const edb_table *lq_table;
    double lq_rows;
} list_source;

static const edb_index *beginning_with(const edb_table *table, uint32_t column)
{
    for (uint32_t k = 0; k < table->et_n_indexes; k++)
        if (!table->et_indexes[k].where && table->et_indexes[k].parts[0].column == column)
            return &table->et_indexes[k];
    return NULL;
}

/* Rows with one value of the column. */
static double rows_of_value(const list_source *lq, uint32_t column)
{
    if ((int)column == lq->lq_table->et_rowid_column)
        return 1;
    const edb_index *index = beginning_with(lq->lq_table, column);
    if (index)
        return stats_groups(lq->lq_conn, index, 1).gs_mean;
    return fmax(stats_column(lq->lq_conn, lq->lq_table, column).sv_mean * lq->lq_rows, 1);
}

static double null_share(const list_source *lq, uint32_t column)
{
    if ((int)column == lq->lq_table->et_rowid_column)
        return 0;
    return stats_column(lq->lq_conn, lq->lq_table, column).sv_null;
}

/* The share of rows that a term of its WHERE leaves. */
static double share_of_term(const list_source *lq, char op, uint32_t column)
{
    if (op == '<')
        return UNKNOWN_BOUND;
    if (op == '?' || column >= lq->lq_table->et_n_columns)
        return UNKNOWN_TEST;
    if (op == 'n' || op == 'N')
        return op == 'n' ? null_share(lq, column) : 1 - null_share(lq, column);
    return fmin(1, (op == 'i' ? LIST_GUESS : 1) * rows_of_value(lq, column) / lq->lq_rows);
}

/* Different values among some of the rows, met at random. */
static double values_met(double values, double rows, double met)
{
    return values * (1 - pow(1 - fmin(met / rows, 1), rows / values));
}

/* at: what is told behind the table. Terms about the column itself leave so much of its values (kept), others of its rows. */
static double values_of_query(const list_source *lq, const char *at)
{
    uint32_t column = number_at(&at);
    if (column >= lq->lq_table->et_n_columns || lq->lq_rows < 1)
        return LIST_GUESS;
    double there = fmax(lq->lq_rows * (1 - null_share(lq, column)), 1), left = 1;
    double values = fmin(fmax(there / rows_of_value(lq, column), 1), there), kept = 1;
    while (*at == ' ' && at[1]) {
        char op = at[1];
        at += 2;
        uint32_t of = number_at(&at);
        *(of == column && op != '?' ? &kept : &left) *= share_of_term(lq, op, of);
    }
    return fmax(values_met(values, there, there * left) * kept, 1);
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static double values_told(const planner *pl, const char *at)
{
    edb_stmt *stmt = conn_current(pl->pl_conn);
    list_source lq = {.lq_conn = pl->pl_conn};
    edb_table *table;
    uint32_t id = number_at(&at);
    if (!stmt || catalog_table(stmt, id, &table))
        return LIST_GUESS;
    lq.lq_table = table;
    lq.lq_rows = (double)conn_tree_rows(pl->pl_conn, id);
    double values = values_of_query(&lq, at);
    table_unref(table);
    return values;
}

/* Where a column has several lists, the terms do not say which is which, and the shortest is supposed for all. */
static double length_asked(const planner *pl, int constraint)
{
    int column = pl->pl_info->aConstraint[constraint].iColumn, lists = 0, told = 0;
    double length = INFINITY;
    if (!pl->pl_conn || pl->pl_off & PATH_STATISTICS)
        return LIST_GUESS;
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        const char *at = told_by(pl, i);
        lists += pl->pl_info->aConstraint[i].iColumn == column && equality_op(pl, i) == 'i';
        uint32_t about = at ? number_at(&at) : UINT32_MAX;
        if (!at || ((int)about != column && !(is_rowid(pl, column) && is_rowid(pl, (int)about))))
            continue;
        told++;
        length = fmin(length, values_told(pl, at));
    }
    return told < lists ? fmin(length, LIST_GUESS) : length;
}

double list_length(const planner *pl, int constraint)
{
    if (constraint >= SHARES_KEPT)
        return length_asked(pl, constraint);
    if (pl->pl_lengths[constraint] < 0)
        pl->pl_lengths[constraint] = length_asked(pl, constraint);
    return pl->pl_lengths[constraint];
}
