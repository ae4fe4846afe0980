/* How many values a list is expected to have.
 *
 * Best-index is told that a constraint is a list, and neither which nor how long. Of lists that a query of one column makes
 * the driver adds a term beside them (driver/rewrite/list_lengths.py):
 *
 *   kind IN (SELECT id FROM kinds WHERE live = 1)
 *       AND t."entitydb returned" IS NOT '3 17 0 =2'
 *
 * that is, the column that is compared; the table that is read, its column, and what is known of its WHERE (plan_told.c). The
 * list has as many values as the column has different ones in the rows that are left. */
#include <math.h>

#include "engine/vtab/planner.h"

/* ---- the rows of the query ------------------------------------------------------------------------------------ */

/* Different values among some of the rows, met at random. */
static double values_met(double values, double rows, double met)
{
    return values * (1 - pow(1 - fmin(met / rows, 1), rows / values));
}

/* at: what is told behind the table. Terms about the column itself leave so much of its values (kept), others of its rows. */
static double values_of_query(const told_table *td, const char *at)
{
    uint32_t column = told_number(&at);
    if (column >= td->td_table->et_n_columns || td->td_rows < 1)
        return LIST_GUESS;
    double there = fmax(td->td_rows * (1 - told_nulls(td, column)), 1), left = 1;
    double values = fmin(fmax(there / told_rows_of_value(td, column), 1), there), kept = 1;
    while (*at == ' ' && at[1]) {
        char op = at[1];
        at += 2;
        uint32_t of = told_number(&at);
        *(of == column && op != '?' ? &kept : &left) *= told_share(td, op, of);
    }
    return fmax(values_met(values, there, there * left) * kept, 1);
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static double values_told(const planner *pl, const char *at)
{
    told_table td;
    if (!told_open(pl, told_number(&at), &td))
        return LIST_GUESS;
    double values = values_of_query(&td, at);
    told_close(&td);
    return values;
}

/* What is told of a list; NULL: it is nothing of one. */
static const char *list_told(const planner *pl, int i)
{
    const char *at = told_by(pl, i);
    return at && *at >= '0' && *at <= '9' ? at : NULL;
}

/* Where a column has several lists, the terms do not say which is which, and the shortest is supposed for all. */
static double length_asked(const planner *pl, int constraint)
{
    int column = pl->pl_info->aConstraint[constraint].iColumn, lists = 0, told = 0;
    double length = INFINITY;
    if (!pl->pl_conn || pl->pl_off & PATH_STATISTICS)
        return LIST_GUESS;
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        const char *at = list_told(pl, i);
        lists += pl->pl_info->aConstraint[i].iColumn == column && equality_op(pl, i) == 'i';
        uint32_t about = at ? told_number(&at) : UINT32_MAX;
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
