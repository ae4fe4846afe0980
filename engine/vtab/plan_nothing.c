/* Conditions with constants that no row fulfils:
 *
 *   day BETWEEN 20 AND 10       a bound below another that is above it
 *   day = 3 AND day < 3         an equality counts as both
 *   day IS NULL AND day > 3
 *
 * Nothing is read then. SQLite is told of one row at most, in any order that it likes, so that it asks this table before the
 * others. Both conditions are used: SQLite drops plans that use what does not hold of all rows of the table, as
 * ON of a LEFT JOIN says nothing of the table on its left.
 *
 * Compared are numbers with columns of numbers, and texts with columns of texts, byte by byte: of other columns some values
 * may be compared as numbers and some as texts. */
#include <math.h>

#include "native/keycode.h"
#include "engine/vtab/partial_plan.h"
#include "engine/vtab/planner.h"

static bool is_number(const edb_value *v)
{
    return v->type == VALUE_INTEGER || v->type == VALUE_REAL;
}

/* The constant, as values of the column are compared with it; -> false: not sure. */
static bool constant_of(const planner *pl, int i, edb_value *out)
{
    sqlite3_value *value;
    int column = pl->pl_info->aConstraint[i].iColumn;
    if (is_rowid(pl, column))
        return right_side(pl, i, &value) && !value_read(value, out) && is_number(out);
    if (!literal_of_column(pl, i, out))
        return false;
    if (pl->pl_table->et_columns[column].affinity >= AFFINITY_NUMERIC)
        return is_number(out);
    return pl->pl_table->et_columns[column].affinity == AFFINITY_TEXT && out->type == VALUE_TEXT
           && collation_number(sqlite3_vtab_collation(pl->pl_info, i)) == COLLATE_BINARY;
}

/* -1, 0, 1; 2: not sure. Beyond 2^53 an integer and a real are not compared. */
static int compare(const edb_value *one, const edb_value *other)
{
    if (one->type == VALUE_TEXT) {
        int order = key_compare(one->bytes, one->size, other->bytes, other->size);
        return (order > 0) - (order < 0);
    }
    if (one->type == VALUE_INTEGER && other->type == VALUE_INTEGER)
        return (one->integer > other->integer) - (one->integer < other->integer);
    double a = one->type == VALUE_REAL ? one->real : (double)one->integer;
    double b = other->type == VALUE_REAL ? other->real : (double)other->integer;
    bool exact = one->type == other->type || (fabs(a) < 0x1p53 && fabs(b) < 0x1p53);
    return exact ? (a > b) - (a < b) : 2;
}

static bool is_lower(char op)
{
    return op == '>' || op == 'g' || op == '=';
}

static bool is_upper(char op)
{
    return op == '<' || op == 'l' || op == '=';
}

/* Whether nothing is behind the bound `low` and before `high`. */
static bool leave_nothing(const planner *pl, int low, int high)
{
    char above = comparison_op(pl, low), below = comparison_op(pl, high);
    edb_value from, to;
    if (!is_lower(above) || !is_upper(below) || !constant_of(pl, low, &from) || !constant_of(pl, high, &to))
        return false;
    int order = compare(&from, &to);
    return order == 1 || (order == 0 && (above == '>' || below == '<'));
}

static bool null_refused(const planner *pl, int null, int other)
{
    int op = pl->pl_info->aConstraint[other].op;
    return pl->pl_info->aConstraint[null].op == SQLITE_INDEX_CONSTRAINT_ISNULL && refuses_null(op)
           && (op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL || right_side_known(pl, other));
}

static bool can_contradict(const planner *pl, int i)
{
    const struct sqlite3_index_constraint *given = &pl->pl_info->aConstraint[i];
    return given->usable && given->iColumn < (int)pl->pl_table->et_n_columns
           && (given->op == SQLITE_INDEX_CONSTRAINT_ISNULL || refuses_null(given->op));
}

static bool contradict(const planner *pl, int i, int k)
{
    if (!can_contradict(pl, k) || pl->pl_info->aConstraint[i].iColumn != pl->pl_info->aConstraint[k].iColumn)
        return false;
    return leave_nothing(pl, i, k) || leave_nothing(pl, k, i) || null_refused(pl, i, k) || null_refused(pl, k, i);
}

bool constants_contradict(const planner *pl, int *one, int *other)
{
    int n = pl->pl_info->nConstraint < SHARES_KEPT ? pl->pl_info->nConstraint : SHARES_KEPT;
    if (pl->pl_vt->vt_history || pl->pl_off & PATH_NOTHING)
        return false;
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n && can_contradict(pl, i); k++)
            if (contradict(pl, i, k)) {
                *one = i;
                *other = k;
                return true;
            }
    return false;
}
