/* What a walk costs, in the unit of SQLite's own costs: reading on in a table costs 3 a row. */
#include <math.h>

#include "engine/stats/statistics.h"
#include "engine/vtab/planner.h"

#define COST_NARROW 2.5             /* to the next entry of an index that is shorter than the rows */
#define COST_LOOKUP 5.0             /* finding the row behind an entry */
#define COST_SORT 1.5               /* for each row, times the logarithm of how many are kept in order */

static double cost_of_entry(const candidate *ca)
{
    if (!ca->ca_index)
        return COST_ROW;
    return ca->ca_covers ? ca->ca_narrow ? COST_NARROW : COST_ROW : COST_ROW + COST_LOOKUP;
}

/* Of rows that come as they are wanted, no more are met than LIMIT asks for. */
static double rows_until_limit(const planner *pl, const candidate *ca)
{
    double each = ca->ca_rows / fmax(ca->ca_left, 0.1);     /* rows met for one that is left */
    double enough = limit_for(pl, ca) * each;
    if (ca->ca_group_parts)
        enough += rows_equal(pl, ca->ca_index, ca->ca_group_parts);
    return fmin(ca->ca_rows, enough);
}

/* One entry of each value, and a search for the next. */
static double cost_of_skipping(const planner *pl, candidate *ca)
{
    double size = fmax(stats_groups(pl->pl_conn, ca->ca_index, ca->ca_skip_parts).gs_mean, 1);
    bool listed = ca->ca_n_equal >= ca->ca_skip_parts;
    double values = listed ? list_values(pl, ca) : fmax(ca->ca_rows / size, 1), search = log2(ca->ca_entries + 2) + COST_ROW;
    if (values * search >= ca->ca_rows * cost_of_entry(ca)) {
        ca->ca_skip_parts = 0;
        return -1;
    }
    ca->ca_left = fmin(ca->ca_left, values);
    return values * search;
}

/* An automatic index answers from the second or third call on: a search, and the rows it finds. What making it costs is
 * shared by the calls. Nothing says how many there will be, from one to as many as the table has rows; supposed is their
 * geometric mean, so that the guess is wrong by the same factor at either end. */
#define CALLS_LEAST 25

static double cost_of_automatic(const candidate *ca)
{
    double build = ca->ca_entries * COST_ROW * 2, calls = fmax(sqrt(ca->ca_entries), CALLS_LEAST);
    return build / calls + log2(ca->ca_entries + 2) + ca->ca_left * (COST_ROW + COST_LOOKUP);
}

static bool equality_varies(const candidate *ca)
{
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        if (!ca->ca_steps[k].sp_known)
            return true;
    return false;
}

/* The values of a list ascend, so that one row id is found near the one before. */
static double cost_of_searches(const planner *pl, const candidate *ca)
{
    double searches = fmin(list_values(pl, ca), ca->ca_entries), each = log2(ca->ca_entries + 2);
    return each + (searches - 1) * (ca->ca_index ? each : fmin(each, COST_LOOKUP));
}

void candidate_cost(const planner *pl, candidate *ca)
{
    double rows = rows_until_limit(pl, ca), skipping = -1;
    if (ca->ca_skip_parts && !pl->pl_guess)
        skipping = cost_of_skipping(pl, ca);
    ca->ca_cost = cost_of_searches(pl, ca) + rows * cost_of_entry(ca);
    if (skipping >= 0)
        ca->ca_cost = fmin(ca->ca_cost, skipping);
    if (ca->ca_group_parts)
        ca->ca_cost += rows * COST_SORT * log2(fmin(rows, rows_equal(pl, ca->ca_index, ca->ca_group_parts)) + 1);
}

/* Where a value is unknown, and a frequent one would have most of the index, or a list is perhaps long. Rows are then
 * read in any order, and an entry alone does not do. Short ranges are not worth the question. Nor are row ids: each is
 * one entry of the table itself, and to find it costs less than to have SQLite judge all. */
#define TURN_ROWS 1000

static bool has_lists(const candidate *ca)
{
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        if (ca->ca_steps[k].sp_op == 'i')
            return true;
    return false;
}

bool candidate_may_turn(const planner *pl, const candidate *ca)
{
    bool unknown = false;
    if (ca->ca_ordered || !ca->ca_index || ca->ca_index->where)
        return false;
    if (has_lists(ca))
        return true;
    if (pl->pl_guess || ca->ca_covers || ca->ca_one_row || ca->ca_entries < TURN_ROWS)
        return false;
    for (uint32_t k = 0; k < ca->ca_n_steps; k++)
        unknown = unknown || !ca->ca_steps[k].sp_known;
    if (!unknown || ca->ca_n_equal > ca->ca_index->n_parts)
        return false;
    bool bounded = ca->ca_n_steps > ca->ca_n_equal;
    return (bounded && !ca->ca_n_equal)
           || (ca->ca_n_equal && stats_groups(pl->pl_conn, ca->ca_index, ca->ca_n_equal).gs_met > ca->ca_entries / 8);
}

double cost_told(const candidate *ca)
{
    /* Where the walk is bound to a value of another table already, the other equalities are likelier to be with
     * parameters: then the walk is made once. */
    bool spared = ca->ca_n_automatic && !equality_varies(ca);
    return spared ? fmin(ca->ca_cost, cost_of_automatic(ca)) : ca->ca_cost;
}

double cost_with_sorting(const planner *pl, const candidate *ca)
{
    if (!pl->pl_info->nOrderBy || ca->ca_ordered)
        return ca->ca_cost;
    return ca->ca_cost + ca->ca_left * COST_SORT * 2 * log2(fmin(ca->ca_left, pl->pl_limit) + 2);
}
