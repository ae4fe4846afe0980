/* How many rows a candidate meets, and how many are left when every constraint in sight has been judged.
 *
 * SQLite does not lessen the estimate of a virtual table by the conditions it judges itself, so each constraint counts
 * here, used or not. Literals are asked of the trees themselves. Of a value that is not known yet (a parameter, a column of
 * another table) the frequency is a mean: between that over values and that over rows, the geometric one, since a
 * join meets each value once and a program asks for frequent values more often. */
#include <math.h>
#include <string.h>

#include "engine/stats/statistics.h"
#include "engine/vtab/planner.h"
#include "engine/vtab/vtab_range.h"

#define LIST_MOST 0.5               /* a list leaves out half the rows at least: it is there to leave some out */

static double between_means(double mean, double met)
{
    return sqrt(mean * met);
}

double rows_equal(const planner *pl, const edb_index *index, uint32_t parts)
{
    if (pl->pl_guess)
        return parts > 5 ? 5 : 11 - (double)parts;  /* SQLite's guess without statistics */
    group_size gs = stats_groups(pl->pl_conn, index, parts);
    return between_means(gs.gs_mean, gs.gs_met);
}

/* ---- literals ------------------------------------------------------------------------------------------------- */

/* Entries that the first n steps leave, all of them literals. */
static bool rows_known(const planner *pl, const edb_index *index, const plan_step *steps, uint32_t n, double *out)
{
    char plan[PLAN_HEAD + PLAN_STEP * 16 + 1] = "f-";
    sqlite3_value *values[16] = {NULL};
    key_range kr;
    if (pl->pl_guess || n > 16)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        char *step = plan + PLAN_HEAD + PLAN_STEP * i;
        if (steps[i].sp_op == 'i')
            return false;
        if (steps[i].sp_op != 'n' && steps[i].sp_op != 'N' && !right_side(pl, steps[i].sp_constraint, &values[i]))
            return false;
        step[STEP_OP] = steps[i].sp_op;
        step[STEP_SIDE] = steps[i].sp_plain ? 'p' : 'k';
        step[STEP_ROLE] = '-';
    }
    memset(&kr, 0, sizeof kr);
    kr.kr_bd = pl->pl_vt->vt_any.ay_binding;
    kr.kr_table = pl->pl_table;
    kr.kr_index = index;
    bool made = !range_decode(&kr, plan, (int)n, values) && !kr.kr_inexact;
    if (made && kr.kr_empty)
        *out = 0;
    else if (made)
        made = !range_entries(&kr, out);
    range_free(&kr);
    return made;
}

/* ---- shares of one constraint --------------------------------------------------------------------------------- */

bool literal_of_column(const planner *pl, int i, edb_value *out)
{
    sqlite3_value *value;
    int affinity = pl->pl_table->et_columns[pl->pl_info->aConstraint[i].iColumn].affinity;
    if (!right_side(pl, i, &value) || value_read(value, out))
        return false;
    if (affinity == AFFINITY_TEXT)
        return out->type != VALUE_INTEGER && out->type != VALUE_REAL;
    return !value_convert(&pl->pl_vt->vt_any.ay_binding->bd_values, value, affinity, out);
}

/* An index whose first part is the column, under the collation, and that all rows are in. */
static const edb_index *index_beginning_with(const planner *pl, uint32_t column, int collation)
{
    for (uint32_t k = 0; k < pl->pl_table->et_n_indexes; k++) {
        const edb_index *index = &pl->pl_table->et_indexes[k];
        if (!index->where && index->parts[0].column == column && index->parts[0].collation == collation)
            return index;
    }
    return NULL;
}

/* Of an unknown value. An index that begins with the column knows, and is mostly asked anyway. */
static double share_equal(const planner *pl, int i, char op)
{
    uint32_t column = (uint32_t)pl->pl_info->aConstraint[i].iColumn;
    int collation = pl->pl_table->et_columns[column].collation;
    const edb_index *index = pl->pl_guess ? NULL : index_beginning_with(pl, column, collation);
    column_share cs = {0.05, 0.1, 0.1};
    if (!pl->pl_guess && !index)
        cs = stats_column(pl->pl_conn, pl->pl_table, column);
    double share = index ? rows_equal(pl, index, 1) / pl->pl_rows : between_means(cs.sv_mean, cs.sv_met);
    if (op == 's' && !pl->pl_guess)
        share += nulls_met(pl, (int)column);
    return op == 'i' ? fmin(list_length(pl, i) * share, LIST_MOST) : fmin(share, 1);
}

static double share_of_value(const planner *pl, int i, share_op op, const edb_value *v)
{
    if (pl->pl_guess)
        return op == SHARE_EQUAL ? 0.1 : UNKNOWN_BOUND;
    uint32_t column = (uint32_t)pl->pl_info->aConstraint[i].iColumn;
    int collation = collation_number(sqlite3_vtab_collation(pl->pl_info, i));
    return stats_share(pl->pl_conn, pl->pl_table, column, collation < 0 ? COLLATE_BINARY : collation, op, v);
}

/* A literal may be rarer than a sample can show: an index that begins with the column knows. */
static bool share_by_index(const planner *pl, int i, char op, double *out)
{
    plan_step step = {.sp_constraint = i, .sp_op = op};
    uint32_t column = (uint32_t)pl->pl_info->aConstraint[i].iColumn;
    int collation = collation_number(sqlite3_vtab_collation(pl->pl_info, i));
    const edb_index *index = index_beginning_with(pl, column, collation);
    if (!index || !rows_known(pl, index, &step, 1, out))
        return false;
    *out = fmin(1, *out / pl->pl_rows);
    return true;
}

static double share_rowid(const planner *pl, int i, char op)
{
    plan_step step = {.sp_constraint = i, .sp_op = op};
    double rows;
    if (rows_known(pl, NULL, &step, 1, &rows))
        return fmin(1, rows / pl->pl_rows);
    if (op == '=' || op == 's')
        return 1 / pl->pl_rows;
    return op == 'i' ? fmin(1, list_length(pl, i) / pl->pl_rows) : UNKNOWN_BOUND;
}

static share_op share_op_of(char op)
{
    return op == '>' ? SHARE_GREATER : op == 'g' ? SHARE_GREATER_EQUAL : op == '<' ? SHARE_LESS : SHARE_LESS_EQUAL;
}

static double share_comparison(const planner *pl, int i, char op)
{
    int column = pl->pl_info->aConstraint[i].iColumn;
    bool equality = plan_is_equality(op);
    double share;
    edb_value v;
    if (is_rowid(pl, column))
        return share_rowid(pl, i, op);
    if (op == 'n')
        return share_null(pl, column);
    if (op == 'N')
        return 1 - share_null(pl, column);
    if (share_by_index(pl, i, op, &share))
        return share;
    if (!literal_of_column(pl, i, &v))
        return equality ? share_equal(pl, i, op) : UNKNOWN_BOUND * (1 - share_null(pl, column));
    if (v.type == VALUE_NULL)
        return op == 's' ? share_null(pl, column) : 0;
    return share_of_value(pl, i, equality ? SHARE_EQUAL : share_op_of(op), &v);
}

static bool test_like(const char *text, const char *pattern)
{
    return sqlite3_strlike(pattern, text, 0) == 0;
}

static bool test_glob(const char *text, const char *pattern)
{
    return sqlite3_strglob(pattern, text) == 0;
}

static double share_pattern(const planner *pl, int i, share_test test)
{
    sqlite3_value *value;
    const char *pattern = right_side(pl, i, &value) ? (const char *)sqlite3_value_text(value) : NULL;
    if (!pattern || pl->pl_guess)
        return UNKNOWN_PATTERN;
    return stats_texts(pl->pl_conn, pl->pl_table, (uint32_t)pl->pl_info->aConstraint[i].iColumn, test, pattern);
}

static double share_asked(const planner *pl, int i)
{
    int column = pl->pl_info->aConstraint[i].iColumn, kind = pl->pl_info->aConstraint[i].op;
    char op = comparison_op(pl, i);
    if (column >= (int)pl->pl_table->et_n_columns || is_argument(pl, column) || kind == SQLITE_INDEX_CONSTRAINT_LIMIT
        || kind == SQLITE_INDEX_CONSTRAINT_OFFSET)
        return 1;
    if (op)
        return share_comparison(pl, i, op);
    if (kind == SQLITE_INDEX_CONSTRAINT_NE || kind == SQLITE_INDEX_CONSTRAINT_ISNOT)
        return 1 - share_comparison(pl, i, '=');
    if (is_rowid(pl, column))
        return UNKNOWN_TEST;
    if (kind == SQLITE_INDEX_CONSTRAINT_LIKE)
        return share_pattern(pl, i, test_like);
    return kind == SQLITE_INDEX_CONSTRAINT_GLOB ? share_pattern(pl, i, test_glob) : UNKNOWN_TEST;
}

void shares_forget(const planner *pl)
{
    for (int i = 0; i < SHARES_KEPT; i++)
        pl->pl_shares[i] = pl->pl_lengths[i] = -1;
    *pl->pl_nulls_left = -1;
}

/* Asked once for all candidates. */
double share_left(const planner *pl, int i)
{
    if (i >= SHARES_KEPT)
        return share_asked(pl, i);
    if (pl->pl_shares[i] < 0)
        pl->pl_shares[i] = share_asked(pl, i);
    return pl->pl_shares[i];
}

static bool is_low(char op)
{
    return op == '>' || op == 'g';
}

static bool is_high(char op)
{
    return op == '<' || op == 'l';
}

static bool of_one_column(const planner *pl, int i, int k)
{
    return pl->pl_info->aConstraint[k].usable
           && pl->pl_info->aConstraint[k].iColumn == pl->pl_info->aConstraint[i].iColumn;
}

/* With one value: not a list. */
static bool is_single_equality(const planner *pl, int i)
{
    char op = equality_op(pl, i);
    return op == '=' || op == 's';
}

/* Whether nothing is known of bound i where another of its side is known: then it counts for nothing. So it is of row
 * values, of whose first value the driver makes a bound of its own (driver/rewrite/row_bounds.py). */
static bool is_vague(const planner *pl, int i)
{
    char op = bound_op(pl, i);
    if ((!is_low(op) && !is_high(op)) || right_side_known(pl, i))
        return false;
    for (int k = 0; k < pl->pl_info->nConstraint; k++) {
        char other = bound_op(pl, k);
        bool same = is_low(op) ? is_low(other) : is_high(other);
        if (same && of_one_column(pl, i, k) && right_side_known(pl, k))
            return true;
    }
    return false;
}

/* The other end of a range that bound i is one end of: both together leave what neither cuts off. -1: none. */
static int other_end(const planner *pl, int i)
{
    char op = bound_op(pl, i);
    for (int k = 0; (is_low(op) || is_high(op)) && k < pl->pl_info->nConstraint; k++) {
        char other = bound_op(pl, k);
        bool opposite = is_low(op) ? is_high(other) : is_low(other);
        if (opposite && of_one_column(pl, i, k) && !is_vague(pl, k))
            return k;
    }
    return -1;
}

#define RANGE_LEAST 0.005

/* The share that both ends of a range leave. Where one of them is not known nothing says how they overlap: a quarter of what
 * the other leaves. */
static double share_between(const planner *pl, int one, int other)
{
    if (!right_side_known(pl, one) || !right_side_known(pl, other))
        return share_left(pl, one) * share_left(pl, other);
    return fmax(share_left(pl, one) + share_left(pl, other) - 1, RANGE_LEAST);
}

/* Whether constraint i is an equality with a column with which another one counts already: one that is used, one with a
 * known value, or the first. What the column is compared with is equal then in all rows that are left. */
static bool is_repeated(const planner *pl, const candidate *ca, int i)
{
    for (int k = 0; k < pl->pl_info->nConstraint; k++) {
        if (k == i || !of_one_column(pl, i, k) || !is_single_equality(pl, k) || !is_single_equality(pl, i))
            continue;
        bool known = right_side_known(pl, i), other = right_side_known(pl, k);
        if (constraint_used(ca, k) || (other && !known) || (other == known && k < i))
            return true;
    }
    return false;
}

static double shares_left(const planner *pl, const candidate *ca)
{
    double left = 1;
    for (int i = 0; i < pl->pl_info->nConstraint && i < SHARES_KEPT; i++) {
        if (!pl->pl_info->aConstraint[i].usable || constraint_used(ca, i) || is_vague(pl, i)
            || is_repeated(pl, ca, i))
            continue;
        int end = other_end(pl, i);
        if (end >= 0 && !constraint_used(ca, end)) {
            if (end > i)
                left *= share_between(pl, i, end);
        } else {
            left *= share_left(pl, i);
        }
    }
    return left;
}

/* ---- rows of a candidate -------------------------------------------------------------------------------------- */

double list_values(const planner *pl, const candidate *ca)
{
    double values = 1;
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        if (ca->ca_steps[k].sp_op == 'i')
            values *= list_length(pl, ca->ca_steps[k].sp_constraint);
    return values;
}

/* How many times as many rows IS finds, since NULLs are partners of each other, of which the statistics of groups say nothing. */
static double times_by_nulls(const planner *pl, const candidate *ca)
{
    double times = 1;
    for (uint32_t k = 0; k < ca->ca_n_equal && k < ca->ca_index->n_parts && !pl->pl_guess; k++) {
        int i = ca->ca_steps[k].sp_constraint, column = (int)ca->ca_index->parts[k].column;
        if (ca->ca_steps[k].sp_op == 's' && !ca->ca_steps[k].sp_known && !is_rowid(pl, column))
            times *= share_left(pl, i) / fmax(share_left(pl, i) - nulls_met(pl, column), 1 / pl->pl_rows);
    }
    return times;
}

/* What the equalities leave, some of their values unknown. */
static double rows_of_equalities(const planner *pl, const candidate *ca)
{
    uint32_t parts = ca->ca_n_equal;
    double rows = ca->ca_entries, known;
    if (!parts)
        return rows;
    if (rows_known(pl, ca->ca_index, ca->ca_steps, parts, &known))
        return known;
    if (!ca->ca_index || parts > ca->ca_index->n_parts)
        return list_values(pl, ca);
    rows = fmin(pl->pl_guess ? rows / 2 : rows, rows_equal(pl, ca->ca_index, parts) * list_values(pl, ca)
                                                 * times_by_nulls(pl, ca));
    for (uint32_t n = parts - 1; n; n--)
        if (rows_known(pl, ca->ca_index, ca->ca_steps, n, &known))
            return fmin(rows, known);
    return rows;
}

static double rows_met(const planner *pl, const candidate *ca)
{
    double rows;
    if (ca->ca_n_steps && rows_known(pl, ca->ca_index, ca->ca_steps, ca->ca_n_steps, &rows))
        return rows;
    rows = rows_of_equalities(pl, ca);
    double left = 1;
    for (uint32_t k = ca->ca_n_equal; k < ca->ca_n_steps; k++) {
        int i = ca->ca_steps[k].sp_constraint;
        if (pl->pl_guess)
            left *= ca->ca_steps[k].sp_op == 'N' ? 0.9 : UNKNOWN_BOUND;
        else if (k + 1 < ca->ca_n_steps)
            left *= share_between(pl, i, ca->ca_steps[++k].sp_constraint);
        else
            left *= share_left(pl, i);
    }
    return rows * left;
}

void candidate_rows(const planner *pl, candidate *ca)
{
    uint32_t all = ca->ca_index ? ca->ca_index->n_parts : 1;
    bool unique = !ca->ca_index || ca->ca_index->unique;
    bool keyed = unique && ca->ca_n_equal >= all;
    ca->ca_one_row = keyed;
    ca->ca_scan_unique = ca->ca_one_row && ca->ca_whole;
    for (uint32_t k = 0; k < ca->ca_n_equal; k++) {
        const plan_step *step = &ca->ca_steps[k];
        /* NULLs are never equal, but IS finds as many as there are. */
        if (step->sp_op == 'n' || step->sp_op == 's')
            keyed = false;
        if (step->sp_op != '=')
            ca->ca_one_row = false;
        if (step->sp_op != '=' || !step->sp_omit)
            ca->ca_scan_unique = false;
    }
    ca->ca_scan_unique = ca->ca_scan_unique && ca->ca_one_row;
    ca->ca_rows = keyed ? list_values(pl, ca) : rows_met(pl, ca);
    ca->ca_rows = fmax(fmin(ca->ca_rows, ca->ca_entries), 1);
    ca->ca_left = ca->ca_rows;
    /* SQLite takes no estimate below one row, so nothing is asked about a single one. */
    if (ca->ca_rows > 1 && !(pl->pl_off & PATH_STATISTICS)) {
        if (*pl->pl_nulls_left < 0)
            *pl->pl_nulls_left = nulls_left(pl);
        ca->ca_left = fmax(ca->ca_rows * shares_left(pl, ca) * *pl->pl_nulls_left, 0.01);
    }
}
