/* What NULLs leave out of joins, and what they bring in.
 *
 *   a.x = b.x       rows of a whose x is NULL have no partner, also while b has not been met
 *   a.x IS NULL     and anything that no NULL fulfils: no row at all
 *   a.x IS b.x      NULLs are partners of each other
 *
 * In plans in which b has not been met, SQLite offers the first one as unusable. It is true of all rows of the result all
 * the same: what ON of a LEFT JOIN says of the table on its left is not offered. */
#include <math.h>

#include "engine/stats/statistics.h"
#include "engine/vtab/partial_plan.h"
#include "engine/vtab/planner.h"

static bool is_stored_column(const planner *pl, int column)
{
    return !is_rowid(pl, column) && column < (int)pl->pl_table->et_n_columns && !is_argument(pl, column);
}

double share_null(const planner *pl, int column)
{
    if (pl->pl_table->et_columns[column].not_null)
        return 0;
    return pl->pl_guess ? 0.05 : stats_column(pl->pl_conn, pl->pl_table, (uint32_t)column).sv_null;
}

/* What is asked of NULLs in one column. */
typedef struct {
    bool nn_null;                   /* IS NULL */
    bool nn_refused;                /* by any constraint */
    bool nn_counted;                /* by one that is usable, so that its share counts */
} nulls_asked;

static nulls_asked asked_of_nulls(const planner *pl, int column)
{
    nulls_asked nn = {false, false, false};
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        const struct sqlite3_index_constraint *given = &pl->pl_info->aConstraint[i];
        if (given->iColumn != column)
            continue;
        nn.nn_null = nn.nn_null || (given->op == SQLITE_INDEX_CONSTRAINT_ISNULL && given->usable);
        nn.nn_refused = nn.nn_refused || refuses_null(given->op);
        nn.nn_counted = nn.nn_counted || (refuses_null(given->op) && given->usable);
    }
    return nn;
}

static bool is_first_of_column(const planner *pl, int i)
{
    for (int k = 0; k < i; k++)
        if (pl->pl_info->aConstraint[k].iColumn == pl->pl_info->aConstraint[i].iColumn)
            return false;
    return true;
}

#define SAMPLED_LEAST 0.01          /* a sample may have met NULLs alone */

double nulls_left(const planner *pl)
{
    double left = 1;
    for (int i = 0; !pl->pl_guess && i < pl->pl_info->nConstraint; i++) {
        int column = pl->pl_info->aConstraint[i].iColumn;
        if (!is_stored_column(pl, column) || !is_first_of_column(pl, i))
            continue;
        nulls_asked nn = asked_of_nulls(pl, column);
        if (nn.nn_null && nn.nn_refused)
            return 0;
        if (nn.nn_refused && !nn.nn_counted)
            left *= fmax(1 - share_null(pl, column), SAMPLED_LEAST);
    }
    return left;
}

/* Nothing says how often the other side is NULL: as often as this column. */
double nulls_met(const planner *pl, int column)
{
    double share = share_null(pl, column);
    return share * share;
}
