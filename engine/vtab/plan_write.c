/* The plan as a string (vtab.h), and what SQLite is told of it. */
#include <math.h>
#include <string.h>

#include "engine/vtab/partial_plan.h"
#include "engine/vtab/planner.h"

typedef struct {
    const planner *pn_planner;
    const candidate *pn_candidate;
    sqlite3_str *pn_out;
    int pn_arguments;
    int pn_n_sieve, pn_sieve[SIEVE_MOST];   /* conditions of 'w' */
} plan_writer;

static void write_step(plan_writer *pw, int constraint, char op, char side, char role, bool omit)
{
    sqlite3_index_info *info = pw->pn_planner->pl_info;
    char step[PLAN_STEP] = {op, side, role};
    info->aConstraintUsage[constraint].argvIndex = ++pw->pn_arguments;
    info->aConstraintUsage[constraint].omit = omit;
    if (op == 'i')
        sqlite3_vtab_in(info, constraint, 1);
    sqlite3_str_append(pw->pn_out, step, PLAN_STEP);
}

static char step_side(const plan_step *step)
{
    return step->sp_plain ? 'p' : step->sp_known ? 'k' : '-';
}

/* A condition is left to us alone (omit) where every walk that may be made decides it: not where the walk may turn to the
 * table, and no bound where an automatic index may be asked. */
static void write_steps(plan_writer *pw, uint32_t from, uint32_t to)
{
    const candidate *ca = pw->pn_candidate;
    for (uint32_t k = from; k < to; k++) {
        const plan_step *step = &ca->ca_steps[k];
        bool omit = step->sp_omit && !ca->ca_may_turn && (k < ca->ca_n_equal || !ca->ca_n_automatic);
        write_step(pw, step->sp_constraint, step->sp_op, step_side(step),
                   part_is_constant(pw->pn_planner, ca, k) ? 'c' : '-', omit);
    }
}

static void write_automatic(plan_writer *pw)
{
    const candidate *ca = pw->pn_candidate;
    for (uint32_t k = 0; k < ca->ca_n_automatic; k++) {
        int i = ca->ca_automatic[k];
        write_step(pw, i, equality_op(pw->pn_planner, i) == 's' ? 'A' : 'a',
                   right_side_known(pw->pn_planner, i) ? 'k' : '-', '-', false);
    }
}

/* Terms of the driver's are ours alone, whatever is walked. Evidence is SQLite's to judge. */
static void write_aside(plan_writer *pw)
{
    const planner *pl = pw->pn_planner;
    sqlite3_index_info *info = pl->pl_info;
    for (int i = 0; i < info->nConstraint; i++) {
        bool ours = i == pl->pl_asked || partial_told(pl->pl_table, info, i) || told_by(pl, i);
        bool evidence = i < 64 && pw->pn_candidate->ca_evidence >> i & 1 && !info->aConstraintUsage[i].argvIndex;
        if (!ours && !evidence)
            continue;
        write_step(pw, i, i == pl->pl_asked ? 'P' : 'p', 'k', '-', ours);
        if (evidence && sqlite3_vtab_in(info, i, -1))
            sqlite3_vtab_in(info, i, 1);
    }
}

#define COUNTED_FROM 2              /* times as many rows are met as are left, or more */
#define FILTERED 3                  /* a third of the rows is left, or fewer */

/* A condition on a column of the table, which may be its row id. */
static bool is_of_column(const planner *pl, int i)
{
    const struct sqlite3_index_constraint *given = &pl->pl_info->aConstraint[i];
    return given->usable && given->iColumn < (int)pl->pl_table->et_n_columns && !is_argument(pl, given->iColumn);
}

/* A comparison with a value that is there when the walk begins. */
static bool can_filter(const planner *pl, int i)
{
    return is_of_column(pl, i) && comparison_op(pl, i) && right_side_known(pl, i);
}

/* Of a stored column, so that the bytes of a row tell what it leaves out. */
static bool can_sieve(const planner *pl, int i)
{
    int column = pl->pl_info->aConstraint[i].iColumn;
    return can_filter(pl, i) && strchr("=<l>g", comparison_op(pl, i)) && !is_rowid(pl, column)
           && !column_virtual(&pl->pl_table->et_columns[column]) && !pl->pl_info->aConstraintUsage[i].argvIndex;
}

/* Few rows of a walk are left: most need not go through SQLite, which judges those that do. */
static void write_sieve(plan_writer *pw)
{
    const planner *pl = pw->pn_planner;
    if (pw->pn_candidate->ca_index || pw->pn_candidate->ca_n_steps || pl->pl_off & PATH_SIEVE || pl->pl_vt->vt_history)
        return;
    for (int i = 0; i < pl->pl_info->nConstraint && pw->pn_n_sieve < SIEVE_MOST; i++)
        if (can_sieve(pl, i)) {
            write_step(pw, i, 'w', 'k', '-', false);
            pw->pn_sieve[pw->pn_n_sieve++] = i;
        }
}

/* Of a walk of all rows that literals filter, one of these conditions is used at least, though it is SQLite that judges it.
 * In a star query SQLite counts walks without any condition as dear as one of the largest table. */
static void write_filter(plan_writer *pw)
{
    const planner *pl = pw->pn_planner;
    const candidate *ca = pw->pn_candidate;
    if (ca->ca_left * FILTERED > ca->ca_rows)
        return;
    write_sieve(pw);
    if (pw->pn_arguments)
        return;
    for (int i = 0; i < pl->pl_info->nConstraint; i++)
        if (can_filter(pl, i)) {
            write_step(pw, i, 'p', 'k', '-', false);
            return;
        }
}

/* Whether what is used says of at most one table that it must come first. */
static bool uses_one_unknown(const planner *pl, const candidate *ca)
{
    uint32_t unknown = 0;
    for (uint32_t k = 0; k < ca->ca_n_steps; k++)
        unknown += !ca->ca_steps[k].sp_known;
    for (uint32_t k = 0; k < ca->ca_n_automatic; k++)
        unknown += !right_side_known(pl, ca->ca_automatic[k]);
    return unknown <= 1;
}

/* The estimate counts comparisons with columns of other tables. SQLite takes it for right as soon as those tables have
 * been met whose columns are used, so these are used as well, though it is SQLite that judges them. It then asks for
 * each of the tables alone, too, but not for two of three: so not where two of them lead to the rows. */
static void write_counted(plan_writer *pw)
{
    const planner *pl = pw->pn_planner;
    const candidate *ca = pw->pn_candidate;
    if (ca->ca_one_row || ca->ca_rows < COUNTED_FROM * ca->ca_left || !uses_one_unknown(pl, ca))
        return;
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        char op = equality_op(pl, i);
        if (is_of_column(pl, i) && (op == '=' || op == 's') && !pl->pl_info->aConstraintUsage[i].argvIndex
            && !right_side_known(pl, i) && !constraint_may_loop(pl, i))
            write_step(pw, i, 'p', '-', '-', false);
    }
}

static unsigned column_number(const planner *pl, int column)
{
    return is_rowid(pl, column) ? PLAN_ROWID : (unsigned)column;
}

/* What follows the steps. */
static void write_tail(plan_writer *pw)
{
    const planner *pl = pw->pn_planner;
    const candidate *ca = pw->pn_candidate;
    const sqlite3_index_info *info = pl->pl_info;
    if (ca->ca_may_turn)
        sqlite3_str_appendall(pw->pn_out, "/t");
    if (ca->ca_laps)
        sqlite3_str_appendf(pw->pn_out, "/%c", ca->ca_laps);
    if (ca->ca_skip_parts)
        sqlite3_str_appendf(pw->pn_out, "/s%02x", ca->ca_skip_parts);
    if (ca->ca_group_parts) {
        sqlite3_str_appendf(pw->pn_out, "/g%02x", ca->ca_group_parts);
        for (int i = ca->ca_group_from; i < info->nOrderBy; i++)
            sqlite3_str_appendf(pw->pn_out, "%04x%c", column_number(pl, info->aOrderBy[i].iColumn),
                                info->aOrderBy[i].desc ? 'd' : 'a');
    }
    if (ca->ca_n_automatic) {
        sqlite3_str_appendf(pw->pn_out, "/a");
        for (uint32_t k = 0; k < ca->ca_n_automatic; k++)
            sqlite3_str_appendf(pw->pn_out, "%04x%c",
                                column_number(pl, info->aConstraint[ca->ca_automatic[k]].iColumn),
                                '0' + collation_number(sqlite3_vtab_collation(pl->pl_info, ca->ca_automatic[k])));
    }
    if (pw->pn_n_sieve)
        sqlite3_str_appendall(pw->pn_out, "/w");
    for (int k = 0; k < pw->pn_n_sieve; k++) {
        int i = pw->pn_sieve[k];
        sqlite3_str_appendf(pw->pn_out, "%04x%c%c", column_number(pl, info->aConstraint[i].iColumn),
                            '0' + collation_number(sqlite3_vtab_collation(pl->pl_info, i)), comparison_op(pl, i));
    }
}

/* SQLite takes no estimate below one row, and so does not see that what finds a row at most should come before a walk that
 * leaves about one: if it finds none, the walk is not made. So of a walk two rows are told at least. */
#define WALKED_FROM 100

static sqlite3_int64 rows_told(const planner *pl, const candidate *ca)
{
    double least = ca->ca_rows >= WALKED_FROM ? 2 : 1;
    return (sqlite3_int64)fmax(fmin(ca->ca_left, limit_for(pl, ca)) + 0.5, least);
}

static int write_out(const planner *pl, plan_writer *pw, sqlite3_vtab *base)
{
    sqlite3_str_appendf(pw->pn_out, "|%c", plan_rows_letter((uint64_t)pl->pl_there));
    pl->pl_info->idxStr = sqlite3_str_finish(pw->pn_out);
    if (!pl->pl_info->idxStr)
        return vtab_result(base, edb_fail(EDB_NOMEM, "no memory to plan a query"));
    pl->pl_info->needToFreeIdxStr = 1;
    return SQLITE_OK;
}

/* If it cost nothing, it would cost nothing after other tables either, whose rows have to be read then. So it is told to be as
 * dear as many walks: behind two rows of another table it seems twice as dear, whatever that table spares the others. */
#define NOTHING_WALKS 50

int nothing_write(const planner *pl, int one, int other, sqlite3_vtab *base)
{
    sqlite3_index_info *info = pl->pl_info;
    plan_writer pw = {.pn_planner = pl, .pn_out = sqlite3_str_new(NULL)};
    sqlite3_str_appendall(pw.pn_out, "fn");
    write_step(&pw, one, 'p', 'k', '-', false);
    write_step(&pw, other, 'p', 'k', '-', false);
    info->idxNum = (int)pl->pl_table->et_id;
    info->orderByConsumed = true;
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    info->estimatedCost = NOTHING_WALKS * COST_ROW * pl->pl_rows;
    info->estimatedRows = 1;
    return write_out(pl, &pw, base);
}

int candidate_write(const planner *pl, const candidate *ca, sqlite3_vtab *base)
{
    sqlite3_index_info *info = pl->pl_info;
    plan_writer pw = {.pn_planner = pl, .pn_candidate = ca, .pn_out = sqlite3_str_new(NULL)};
    sqlite3_str_appendchar(pw.pn_out, 1, ca->ca_reverse ? 'r' : 'f');
    sqlite3_str_appendchar(pw.pn_out, 1, !ca->ca_ordered ? '-' : ca->ca_merged ? 'm' : 'o');
    write_steps(&pw, 0, ca->ca_n_equal);
    write_automatic(&pw);
    write_steps(&pw, ca->ca_n_equal, ca->ca_n_steps);
    if (!pl->pl_vt->vt_history)
        write_aside(&pw);
    write_filter(&pw);
    write_counted(&pw);
    write_tail(&pw);
    info->idxNum = (int)(ca->ca_index ? ca->ca_index->tree : pl->pl_table->et_id);
    info->orderByConsumed = ca->ca_ordered;
    info->idxFlags = ca->ca_scan_unique ? SQLITE_INDEX_SCAN_UNIQUE : 0;
    info->estimatedCost = cost_told(ca);
    info->estimatedRows = rows_told(pl, ca);
    return write_out(pl, &pw, base);
}
