/* Best-index: which tree to walk, between which bounds, in which direction.
 *
 * Each tree that could be walked (the table's own, and every index) becomes a candidate in the same pure steps:
 *
 *   candidate_match   the constraints it can use: one equality for each part from the first on, bounds on the next
 *   candidate_order   whether its order is the one asked for, and in which direction
 *   candidate_cost    rows and cost
 *
 * and the cheapest is written down (vtab.h has the plan's alphabet). Nothing here knows the moment or the values.
 *
 * Which constraints may be left to us alone (omit)? Only those that keys decide exactly as SQLite does: columns of
 * numeric affinity (and the row id), because every comparison with them applies numeric affinity to the other side. A
 * text column compared with a number means one thing if the number is a literal and another if it is a column of
 * numeric affinity, and both look alike here; so the scan returns a superset and SQLite judges. Once a part is left
 * inexact the parts behind it are too, because the scan may have to give up bounds from there on.
 *
 * One comparison must not even be used: a text column with a list that SQLite loops over by itself, which looks like an
 * equality here. SQLite compares such rows once more with each value of the list, but without the affinity of the
 * list's column, and so drops rows that are equal as numbers only ('012' and 12). It does so for row values, which the
 * driver announces, and for conditions that its masks of lists have no bit for.
 *
 * LIMIT and OFFSET are not consumed: SQLite stops asking, which costs the same. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/eval/declare.h"
#include "engine/vtab/partial_plan.h"
#include "engine/vtab/vtab.h"

#define STEPS_MAX (CATALOG_INDEXES * 2)

typedef struct {
    int sp_constraint;              /* index into aConstraint */
    char sp_op;
    bool sp_omit;                   /* decided exactly by the key */
    bool sp_known;                  /* the right side is a constant of the statement */
} plan_step;

typedef struct {
    const edb_index *ca_index;      /* NULL: the table itself */
    bool ca_whole;                  /* as old as the table */
    bool ca_covers, ca_narrow;
    bool ca_ordered, ca_reverse;
    bool ca_one_row, ca_scan_unique;
    uint32_t ca_n_parts;
    uint32_t ca_n_equal;            /* parts bound by equality; the first steps */
    uint32_t ca_n_steps;
    double ca_entries;              /* in the tree */
    uint64_t ca_evidence;           /* constraints that let it be used: partial_allowed() */
    double ca_rows, ca_cost;
    plan_step ca_steps[STEPS_MAX];
} candidate;

typedef struct {                    /* what all candidates look at */
    vtab_entity *pl_vt;
    const edb_table *pl_table;
    sqlite3_index_info *pl_info;
    double pl_rows;                 /* rows of the table */
    bool pl_row_in;                 /* an equality may be a row value's list */
    edb_conn *pl_conn;              /* NULL: not bound yet */
    int pl_asked;                   /* the constraint that asks for the rows of a partial index; -1: none does */
} planner;

/* ---- matching ------------------------------------------------------------------------------------------------- */

static bool is_rowid(const planner *pl, int column)
{
    return column < 0 || column == pl->pl_table->et_rowid_column;
}

static bool collation_is(const char *name, int collation)
{
    return sqlite3_stricmp(name, collation_name(collation)) == 0;
}

/* Of a column that the index has twice: a constraint can be used for one of its parts. */
static bool constraint_taken(const candidate *ca, int i)
{
    for (uint32_t k = 0; k < ca->ca_n_steps; k++)
        if (ca->ca_steps[k].sp_constraint == i)
            return true;
    return false;
}

/* Whether constraint i is about part `part` of the candidate, under the same collation. */
static bool constraint_fits(const planner *pl, const candidate *ca, uint32_t part, int i)
{
    const sqlite3_index_info *info = pl->pl_info;
    int column = info->aConstraint[i].iColumn;
    if (!info->aConstraint[i].usable || constraint_taken(ca, i))
        return false;
    if (!ca->ca_index)
        return is_rowid(pl, column);
    const edb_index_part *p = &ca->ca_index->parts[part];
    if (is_rowid(pl, column))
        return (int)p->column == pl->pl_table->et_rowid_column;
    return (int)p->column == column && collation_is(sqlite3_vtab_collation(pl->pl_info, i), p->collation);
}

/* Numbers, and the expressions of indexes: the driver compares those with nothing that has an affinity. */
static bool part_is_exact(const planner *pl, const candidate *ca, uint32_t part)
{
    return !ca->ca_index || column_exact(&pl->pl_table->et_columns[ca->ca_index->parts[part].column]);
}

/* The equality operators, best first. */
static int equality_rank(char op)
{
    static const char order[] = "=sni";
    return op ? (int)(strchr(order, op) - order) : 9;
}

static char equality_op(const planner *pl, int i)
{
    switch (pl->pl_info->aConstraint[i].op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
        return sqlite3_vtab_in(pl->pl_info, i, -1) ? 'i' : '=';
    case SQLITE_INDEX_CONSTRAINT_IS:
        return 's';
    case SQLITE_INDEX_CONSTRAINT_ISNULL:
        return 'n';
    }
    return 0;
}

static char bound_op(const planner *pl, int i)
{
    switch (pl->pl_info->aConstraint[i].op) {
    case SQLITE_INDEX_CONSTRAINT_GT:
        return '>';
    case SQLITE_INDEX_CONSTRAINT_GE:
        return 'g';
    case SQLITE_INDEX_CONSTRAINT_LT:
        return '<';
    case SQLITE_INDEX_CONSTRAINT_LE:
        return 'l';
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL:
        return 'N';
    }
    return 0;
}

static bool right_side_known(const planner *pl, int i)
{
    sqlite3_value *value = NULL;
    return sqlite3_vtab_rhs_value(pl->pl_info, i, &value) == SQLITE_OK && value;
}

static void add_step(const planner *pl, candidate *ca, int constraint, char op, bool omit)
{
    ca->ca_steps[ca->ca_n_steps++] = (plan_step){
        .sp_constraint = constraint, .sp_op = op, .sp_omit = omit, .sp_known = right_side_known(pl, constraint)};
}

#define LISTS_TOLD 32               /* of conditions from this one on SQLite does not say that they are lists */

static bool may_be_loop(const planner *pl, int i, char op)
{
    return op == '=' && (pl->pl_row_in || i >= LISTS_TOLD) && !right_side_known(pl, i);
}

/* -> whether an equality binds the part. */
static bool match_equality(const planner *pl, candidate *ca, uint32_t part, bool exact)
{
    int best = -1;
    char best_op = 0;
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        char op = equality_op(pl, i);
        if (may_be_loop(pl, i, op) && !part_is_exact(pl, ca, part))
            continue;
        if (op && constraint_fits(pl, ca, part, i) && equality_rank(op) < equality_rank(best_op)) {
            best = i;
            best_op = op;
        }
    }
    if (best < 0)
        return false;
    add_step(pl, ca, best, best_op, exact);
    return true;
}

/* One lower and one upper bound; NOT NULL is a lower bound by itself. */
static void match_bounds(const planner *pl, candidate *ca, uint32_t part, bool exact)
{
    int low = -1, high = -1, not_null = -1;
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        char op = bound_op(pl, i);
        if (!op || !constraint_fits(pl, ca, part, i))
            continue;
        if (op == '>' || op == 'g')
            low = i;
        else if (op == '<' || op == 'l')
            high = i;
        else
            not_null = i;
    }
    if (low >= 0)
        add_step(pl, ca, low, bound_op(pl, low), exact);
    if (high >= 0)
        add_step(pl, ca, high, bound_op(pl, high), exact);
    if (not_null >= 0 && low < 0 && high < 0)
        add_step(pl, ca, not_null, 'N', exact);
}

static void candidate_match(const planner *pl, candidate *ca)
{
    bool exact = true;
    uint32_t part = 0;
    for (; part < ca->ca_n_parts && ca->ca_n_steps + 2 < STEPS_MAX; part++) {
        exact = exact && part_is_exact(pl, ca, part);
        if (!match_equality(pl, ca, part, exact))
            break;
    }
    ca->ca_n_equal = part;
    if (part < ca->ca_n_parts)
        match_bounds(pl, ca, part, exact);
}

/* ---- order ---------------------------------------------------------------------------------------------------- */

static bool in_order_by(const planner *pl, int column)
{
    for (int i = 0; i < pl->pl_info->nOrderBy; i++)
        if (pl->pl_info->aOrderBy[i].iColumn == column)
            return true;
    return false;
}

/* Bound to one value, so that it plays no role in the order. A text compared with a number may be equal to several
 * ('12' and '012' to 12); then it plays none only where the order asked for does not name it. */
static bool part_is_constant(const planner *pl, const candidate *ca, uint32_t part)
{
    return part < ca->ca_n_equal && ca->ca_steps[part].sp_op != 'i'
           && (part_is_exact(pl, ca, part) || !in_order_by(pl, (int)ca->ca_index->parts[part].column));
}

/* Equal wherever the parts before it are, which have the same column: it plays no role in the order either. */
static bool part_repeats(const candidate *ca, uint32_t part)
{
    const edb_index_part *parts = ca->ca_index ? ca->ca_index->parts : NULL;
    for (uint32_t i = 0; parts && i < part; i++)
        if (parts[i].column == parts[part].column && parts[i].collation == parts[part].collation)
            return true;
    return false;
}

/* Whether the part sorts as ORDER BY of that column does. */
static bool part_sorts(const planner *pl, const candidate *ca, uint32_t part, int column)
{
    if (!ca->ca_index)
        return is_rowid(pl, column);
    const edb_index_part *p = &ca->ca_index->parts[part];
    if (is_rowid(pl, column))
        return (int)p->column == pl->pl_table->et_rowid_column;
    return (int)p->column == column && p->collation == pl->pl_table->et_columns[column].collation;
}

static bool part_descends(const candidate *ca, uint32_t part)
{
    return ca->ca_index && ca->ca_index->parts[part].descending;
}

static bool column_is_constant(const planner *pl, const candidate *ca, int column)
{
    for (uint32_t part = 0; part < ca->ca_n_equal; part++)
        if (part_is_constant(pl, ca, part) && part_sorts(pl, ca, part, column))
            return true;
    return false;
}

static bool order_exact(const planner *pl, candidate *ca)
{
    const sqlite3_index_info *info = pl->pl_info;
    uint32_t part = 0;
    bool decided = false;
    for (int i = 0; i < info->nOrderBy; i++) {
        int column = info->aOrderBy[i].iColumn;
        bool descending = info->aOrderBy[i].desc, unique = is_rowid(pl, column);
        if (column_is_constant(pl, ca, column))
            continue;
        while (part < ca->ca_n_parts && (part_is_constant(pl, ca, part) || part_repeats(ca, part)))
            part++;
        bool reverse;
        if (part < ca->ca_n_parts && part_sorts(pl, ca, part, column))
            reverse = descending != part_descends(ca, part++);
        else if (part == ca->ca_n_parts && unique)
            reverse = descending;               /* the row id behind the parts */
        else
            return false;
        if (decided && reverse != ca->ca_reverse)
            return false;
        ca->ca_reverse = reverse;
        decided = true;
        if (unique)
            break;                              /* nothing is equal any more */
    }
    return true;
}

/* GROUP BY and DISTINCT: equal rows next to each other are enough, so the columns may come in any order. */
static bool order_grouped(const planner *pl, const candidate *ca)
{
    const sqlite3_index_info *info = pl->pl_info;
    int left = 0;
    uint64_t waiting = 0;
    if (info->nOrderBy > 64)
        return false;
    for (int i = 0; i < info->nOrderBy; i++)
        if (!column_is_constant(pl, ca, info->aOrderBy[i].iColumn)) {
            waiting |= UINT64_C(1) << i;
            left++;
        }
    for (uint32_t part = 0; left && part < ca->ca_n_parts; part++) {
        bool found = part_is_constant(pl, ca, part) || part_repeats(ca, part);
        for (int i = 0; i < info->nOrderBy; i++)
            if (waiting >> i & 1 && part_sorts(pl, ca, part, info->aOrderBy[i].iColumn)) {
                waiting &= ~(UINT64_C(1) << i);
                left--;
                found = true;
            }
        if (!found)
            return false;
    }
    for (int i = 0; i < info->nOrderBy; i++)    /* the row id behind the parts */
        if (waiting >> i & 1 && is_rowid(pl, info->aOrderBy[i].iColumn))
            return true;
    return !left;
}

static void candidate_order(const planner *pl, candidate *ca)
{
    int distinct = sqlite3_vtab_distinct(pl->pl_info);
    if (!pl->pl_info->nOrderBy)
        return;
    ca->ca_ordered = order_exact(pl, ca);
    if (!ca->ca_ordered) {
        ca->ca_reverse = false;
        if (distinct == 1 || distinct == 2)
            ca->ca_ordered = order_grouped(pl, ca);
    }
}

/* ---- cost ----------------------------------------------------------------------------------------------------- */

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

static bool is_unique(const candidate *ca)
{
    return !ca->ca_index || ca->ca_index->unique;
}

/* Rows found where equalities bind n parts and nothing says how many: SQLite's guess without statistics. */
static double rows_equal(uint32_t n_parts)
{
    return n_parts > 5 ? 5 : 11 - (double)n_parts;
}

#define ROWS_IN 10                  /* a guess at the length of a list */
/* Tables count as at least so long. The count knows nothing of what the running transaction wrote, and a plan may be
 * kept from when the table was empty; for tables that are short indeed any plan will do. */
#define ROWS_LEAST 1000

static void candidate_cost(candidate *ca)
{
    double rows = ca->ca_entries, seeks = 1;
    bool all_equal = ca->ca_n_equal == ca->ca_n_parts;
    ca->ca_one_row = is_unique(ca) && all_equal;
    ca->ca_scan_unique = ca->ca_one_row && ca->ca_whole;
    for (uint32_t i = 0; i < ca->ca_n_steps; i++) {
        const plan_step *step = &ca->ca_steps[i];
        if (step->sp_op == 'i')
            seeks *= ROWS_IN;
        if (!plan_is_equality(step->sp_op))
            continue;
        /* NULLs are never equal, but IS finds as many as there are. */
        if (step->sp_op == 'n' || step->sp_op == 's')
            ca->ca_one_row = false;
        if (step->sp_op != '=' || !step->sp_omit)
            ca->ca_scan_unique = false;
    }
    if (seeks > rows)
        seeks = rows;
    if (ca->ca_one_row)
        rows = seeks;
    else if (ca->ca_n_equal)
        rows = fmin(rows / 2, rows_equal(ca->ca_n_equal) * seeks);
    ca->ca_scan_unique = ca->ca_scan_unique && ca->ca_one_row;
    for (uint32_t i = ca->ca_n_equal; i < ca->ca_n_steps; i++)
        rows *= ca->ca_steps[i].sp_op == 'N' ? 0.9 : 0.25;
    ca->ca_rows = fmax(rows, 1);
    /* Reading on costs 3 a row (2.5 where entries are narrow), a row looked up by its id 5 more. */
    double each = !ca->ca_index ? 3 : !ca->ca_covers ? 8 : ca->ca_narrow ? 2.5 : 3;
    ca->ca_cost = seeks * log2(ca->ca_entries + 2) + ca->ca_rows * each;
}

/* A short table's share says nothing yet: a guess, so that a plan made early is not a bad one later. */
static double partial_entries(const planner *pl, const edb_index *index)
{
    double rows = (double)conn_tree_rows(pl->pl_conn, pl->pl_table->et_id);
    double share = rows < ROWS_LEAST ? 0.25 : (double)conn_tree_rows(pl->pl_conn, index->tree) / rows;
    return fmax(pl->pl_rows * fmin(share, 1), 10);
}

static bool candidate_make(const planner *pl, const edb_index *index, bool whole, uint64_t evidence, candidate *ca)
{
    memset(ca, 0, offsetof(candidate, ca_steps));
    ca->ca_index = index;
    ca->ca_whole = whole;
    ca->ca_evidence = evidence;
    ca->ca_n_parts = index ? index->n_parts : 1;
    ca->ca_entries = index && index->where ? partial_entries(pl, index) : pl->pl_rows;
    ca->ca_covers = index && index_covers(pl, index, &ca->ca_narrow);
    candidate_match(pl, ca);
    candidate_order(pl, ca);
    candidate_cost(ca);
    /* A whole walk of an index pays by its order, its narrowness, or because it is partial; a young one would have to
     * be computed for it, or the table walked instead (vtab_scan.c). */
    return !index || ca->ca_n_steps || ca->ca_ordered || (ca->ca_covers && ca->ca_narrow && whole) || index->where;
}

/* What SQLite will add for sorting: part of the comparison only. */
static double with_sorting(const planner *pl, const candidate *ca)
{
    bool sorts = pl->pl_info->nOrderBy && !ca->ca_ordered;
    return ca->ca_cost + (sorts ? ca->ca_rows * log2(ca->ca_rows + 2) * 2 : 0);
}

/* ---- the plan ------------------------------------------------------------------------------------------------- */

/* Terms about partial indexes are ours alone, whatever is walked. Evidence is SQLite's to judge. */
static char *write_aside(const planner *pl, const candidate *ca, char *at)
{
    sqlite3_index_info *info = pl->pl_info;
    int argument = (int)ca->ca_n_steps;
    for (int i = 0; i < info->nConstraint; i++) {
        bool ours = i == pl->pl_asked || partial_told(pl->pl_table, info, i);
        bool evidence = i < 64 && ca->ca_evidence >> i & 1 && !info->aConstraintUsage[i].argvIndex;
        if (!ours && !evidence)
            continue;
        info->aConstraintUsage[i].argvIndex = ++argument;
        info->aConstraintUsage[i].omit = ours;
        if (evidence && sqlite3_vtab_in(info, i, -1))
            sqlite3_vtab_in(info, i, 1);
        *at++ = i == pl->pl_asked ? 'P' : 'p';
        *at++ = 'k';
        *at++ = '-';
    }
    return at;
}

static int candidate_write(const planner *pl, const candidate *ca, sqlite3_vtab *base)
{
    sqlite3_index_info *info = pl->pl_info;
    uint64_t most = ca->ca_n_steps + (pl->pl_table->et_has_partial ? (uint64_t)info->nConstraint : 0);
    char *plan = sqlite3_malloc64(PLAN_HEAD + PLAN_STEP * most + 1);
    if (!plan)
        return vtab_result(base, edb_fail(EDB_NOMEM, "no memory to plan a query"));
    plan[PLAN_DIRECTION] = ca->ca_ordered && ca->ca_reverse ? 'r' : 'f';
    plan[PLAN_ORDERED] = ca->ca_ordered ? 'o' : '-';
    char *at = plan + PLAN_HEAD;
    for (uint32_t i = 0; i < ca->ca_n_steps; i++) {
        const plan_step *step = &ca->ca_steps[i];
        info->aConstraintUsage[step->sp_constraint].argvIndex = (int)i + 1;
        info->aConstraintUsage[step->sp_constraint].omit = step->sp_omit;
        if (step->sp_op == 'i')
            sqlite3_vtab_in(info, step->sp_constraint, 1);
        *at++ = step->sp_op;
        *at++ = step->sp_known ? 'k' : '-';
        *at++ = part_is_constant(pl, ca, i) ? 'c' : '-';
    }
    if (pl->pl_table->et_has_partial)
        at = write_aside(pl, ca, at);
    *at = 0;
    info->idxStr = plan;
    info->needToFreeIdxStr = 1;
    info->idxNum = ca->ca_index ? (int)ca->ca_index->tree : 0;
    info->orderByConsumed = ca->ca_ordered;
    info->idxFlags = ca->ca_scan_unique ? SQLITE_INDEX_SCAN_UNIQUE : 0;
    info->estimatedCost = ca->ca_cost;
    info->estimatedRows = (sqlite3_int64)ca->ca_rows;
    return SQLITE_OK;
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

/* Constraints that SQLite may loop over: to use one is to be asked once for each value. */
static uint64_t loops(const planner *pl)
{
    uint64_t found = 0;
    for (int i = 0; i < pl->pl_info->nConstraint && i < 64; i++)
        if (may_be_loop(pl, i, equality_op(pl, i)))
            found |= UINT64_C(1) << i;
    return found;
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
    all.ca_rows = all.ca_cost = fmax(pl->pl_rows, 1);
    return candidate_write(pl, &all, base);
}

int vtab_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    vtab_entity *vt = (vtab_entity *)base;
    edb_conn *conn = vt->vt_any.ay_binding->bd_conn;
    planner pl = {.pl_vt = vt, .pl_table = vt->vt_table, .pl_info = info, .pl_conn = conn, .pl_asked = -1};
    candidate best, other;
    edb_stmt *stmt = conn ? conn_current(conn) : NULL;
    int returned = plan_returned(vt->vt_table, info);
    if (returned >= 0)
        return returned;
    pl.pl_row_in = stmt && stmt_row_in(stmt);
    pl.pl_rows = fmax(conn ? (double)conn_tree_rows(conn, vt->vt_table->et_id) : 0, ROWS_LEAST);
    if (unlikely(vt->vt_table->et_has_partial)) {
        int asked = plan_asked(&pl, base);
        if (asked >= 0)
            return asked;
    }
    candidate_make(&pl, NULL, true, 0, &best);
    for (uint32_t i = 0; i < pl.pl_table->et_n_indexes; i++) {
        const edb_index *index = &pl.pl_table->et_indexes[i];
        uint64_t evidence = 0;
        if (index->where && (!conn || !partial_allowed(pl.pl_table, index, info, loops(&pl), &evidence)))
            continue;
        if (candidate_make(&pl, index, vt->vt_whole[i], evidence, &other)
            && with_sorting(&pl, &other) < with_sorting(&pl, &best))
            best = other;
    }
    return candidate_write(&pl, &best, base);
}
