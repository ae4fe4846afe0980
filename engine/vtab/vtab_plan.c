/* Best-index: which tree to walk, between which bounds, in which direction (planner.h).
 *
 * LIMIT and OFFSET are not consumed: SQLite stops asking, which costs the same. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "engine/stats/statistics.h"
#include "engine/vtab/partial_plan.h"
#include "engine/vtab/planner.h"

/* narrow: it has not all of the table's columns, so that its entries are shorter than the rows. */
static bool index_covers(const planner *pl, const edb_index *index, bool *narrow)
{
    *narrow = index->n_parts + (pl->pl_table->et_rowid_column >= 0) < pl->pl_table->et_n_columns;
    uint64_t used = pl->pl_info->colUsed;
    for (uint32_t c = 0; used && c < pl->pl_table->et_n_columns; c++) {
        bool has = (int)c == pl->pl_table->et_rowid_column;
        for (uint32_t i = 0; !has && i < index->n_parts; i++)
            has = index->parts[i].column == c;
        /* The last bit stands for all columns from 63 on. */
        if (used >> (c < 63 ? c : 63) & 1 && !has)
            return false;
    }
    return true;
}

/* A short table's share says nothing yet: a guess, so that a plan made early is not a bad one later. */
#define SHARE_FROM 1000

static double partial_entries(const planner *pl, const edb_index *index)
{
    double rows = pl->pl_there;
    double share = rows < SHARE_FROM ? 0.25 : (double)conn_tree_rows(pl->pl_conn, index->tree) / rows;
    return fmax(pl->pl_rows * fmin(share, 1), 10);
}

static bool candidate_make(const planner *pl, const edb_index *index, bool whole, uint64_t evidence, candidate *ca)
{
    memset(ca, 0, offsetof(candidate, ca_steps));
    ca->ca_index = index;
    ca->ca_whole = whole;
    ca->ca_evidence = evidence;
    ca->ca_n_parts = index ? index->n_parts + 1 : 1;
    ca->ca_entries = index && index->where ? partial_entries(pl, index) : pl->pl_rows;
    ca->ca_covers = index && index_covers(pl, index, &ca->ca_narrow) && !pl->pl_sets_rows;
    candidate_match(pl, ca);
    candidate_order(pl, ca);
    candidate_rows(pl, ca);
    bool in_its_order = !ca->ca_merged && !ca->ca_group_parts && !ca->ca_skip_parts && !ca->ca_laps;
    if (in_its_order && !ca->ca_one_row && !(pl->pl_off & PATH_AUTOMATIC))
        candidate_automatic(pl, ca);
    candidate_cost(pl, ca);
    ca->ca_may_turn = candidate_may_turn(pl, ca);
    /* A whole walk of an index pays by its order, its narrowness, or because it is partial; a young one would have to
     * be computed for it, or the table walked instead (vtab_scan.c). */
    return !index || ca->ca_n_steps || ca->ca_ordered || (ca->ca_covers && ca->ca_narrow && whole) || index->where;
}

/* The hidden column chooses what is read at all: -1: it does not occur, else what to answer. */
static int plan_returned(const edb_table *table, sqlite3_index_info *info)
{
    int result = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn != (int)table->et_n_columns
            || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        result = SQLITE_CONSTRAINT;
        if (info->aConstraint[i].usable) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->aConstraintUsage[i].omit = 1;
            info->idxNum = PLAN_RETURNED;
            info->estimatedCost = 1;
            info->estimatedRows = 1;
            return SQLITE_OK;
        }
    }
    return result;
}

/* The rows of a partial index, as it has them: -1: nobody asks, else what to answer. */
static int plan_asked(planner *pl, sqlite3_vtab *base)
{
    candidate all;
    const edb_index *index;
    bool asked;
    int constraint;
    int rc = partial_asked(pl->pl_table, pl->pl_info, &asked, &constraint, &index);
    if (rc)
        return vtab_result(base, rc);
    if (!asked)
        return -1;
    pl->pl_asked = constraint;
    memset(&all, 0, sizeof all);
    all.ca_index = index;
    all.ca_left = all.ca_cost = fmax(pl->pl_rows, 1);
    return candidate_write(pl, &all, base);
}

#define LIMIT_SUPPOSED 100          /* of LIMIT with a parameter */

/* How many rows are wanted at most. */
static double limit_of(sqlite3_index_info *info)
{
    double limit = INFINITY, offset = 0;
    for (int i = 0; i < info->nConstraint; i++) {
        sqlite3_value *value = NULL;
        int op = info->aConstraint[i].op;
        if (op != SQLITE_INDEX_CONSTRAINT_LIMIT && op != SQLITE_INDEX_CONSTRAINT_OFFSET)
            continue;
        bool known = !sqlite3_vtab_rhs_value(info, i, &value) && value;
        double n = known ? sqlite3_value_double(value) : LIMIT_SUPPOSED;
        if (op == SQLITE_INDEX_CONSTRAINT_LIMIT)
            limit = n < 0 ? INFINITY : n;
        else
            offset = fmax(n, 0);
    }
    return limit + offset;
}

/* What was chosen by guesses is told with the rows there are. */
static void estimate_there(planner *pl, candidate *ca)
{
    pl->pl_guess = false;
    pl->pl_rows = fmax(pl->pl_there, 1);
    ca->ca_entries = fmin(ca->ca_entries, pl->pl_rows);
    shares_forget(pl);
    candidate_rows(pl, ca);
    candidate_cost(pl, ca);
}

/* One row, found by its key at every moment: nothing is quicker, and so no statistics are wanted of the other indexes. */
static bool unbeaten(const candidate *ca)
{
    return ca->ca_one_row && ca->ca_whole && ca->ca_rows <= 1;
}

int plan_scan(vtab_entity *vt, sqlite3_index_info *info, unsigned off, bool lasting)
{
    sqlite3_vtab *base = &vt->vt_any.ay_base;
    edb_conn *conn = vt->vt_any.ay_binding->bd_conn;
    planner pl = {.pl_vt = vt, .pl_table = vt->vt_table, .pl_info = info, .pl_conn = conn, .pl_asked = -1,
                  .pl_off = off, .pl_shares = (double[SHARES_KEPT]){0}, .pl_lengths = (double[SHARES_KEPT]){0},
                  .pl_nulls_left = &(double){-1}};
    candidate best, other;
    int one, two;
    edb_stmt *stmt = conn ? conn_current(conn) : NULL;
    int returned = vt->vt_history ? -1 : plan_returned(vt->vt_table, info);
    if (returned >= 0)
        return returned;
    pl.pl_row_in = stmt && stmt_row_in(stmt);
    pl.pl_sets_rows = stmt && stmt_sets_rows(stmt);
    pl.pl_plain_bounds = stmt && stmt_plain_bounds(stmt);
    pl.pl_plain_equalities = stmt && stmt_plain_equalities(stmt);
    double rows = conn ? (double)conn_tree_rows(conn, vt->vt_table->et_id) : 0;
    pl.pl_there = rows;
    pl.pl_guess = !conn || rows < STATISTICS_FROM || pl.pl_off & PATH_STATISTICS;
    pl.pl_rows = pl.pl_guess ? fmax(rows, ROWS_LEAST) : rows;
    pl.pl_limit = limit_of(info);
    shares_forget(&pl);
    if (!pl.pl_guess && isinf(pl.pl_limit))
        pl.pl_limit = limit_of_join(&pl, &pl.pl_joined);
    if (unlikely(vt->vt_table->et_has_partial && !vt->vt_history)) {
        int asked = plan_asked(&pl, base);
        if (asked >= 0)
            return asked;
    }
    if (constants_contradict(&pl, &one, &two))
        return nothing_write(&pl, one, two, base);
    candidate_make(&pl, NULL, true, 0, &best);
    for (uint32_t i = 0; i < pl.pl_table->et_n_indexes && !unbeaten(&best); i++) {
        const edb_index *index = &pl.pl_table->et_indexes[i];
        uint64_t evidence = 0;
        if (index->where && (!conn || lasting || vt->vt_fixed
                             || !partial_allowed(pl.pl_table, index, info, constraint_loops(&pl), &evidence)))
            continue;
        if (lasting && !vt->vt_whole[i])
            continue;
        if (candidate_make(&pl, index, vt->vt_whole[i], evidence, &other)
            && cost_with_sorting(&pl, &other) < cost_with_sorting(&pl, &best))
            best = other;
    }
    if (pl.pl_guess && conn && !(pl.pl_off & PATH_STATISTICS))
        estimate_there(&pl, &best);
    return candidate_write(&pl, &best, base);
}

int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    vtab_entity *vt = (vtab_entity *)base;
    return plan_scan(vt, info, vt->vt_any.ay_binding->bd_paths_off, false);
}
