/* Which constraints a tree can use: one equality for each part from the first on, bounds on the next.
 *
 * Which may be left to us alone (omit)? Only those that keys decide exactly as SQLite does: columns of numeric affinity
 * (and the row id), because every comparison with them applies numeric affinity to the other side; and others, compared
 * byte by byte, where the other side has no affinity. A text column compared with a number means one thing if the number
 * is a literal and another if it is a column of numeric affinity. Where that is not known the scan returns a superset and
 * SQLite judges. Once a part is left inexact the parts behind it are too, because the scan may have to give up bounds from
 * there on.
 *
 * One comparison must not even be used: a text column with a list that SQLite loops over by itself, which looks like an
 * equality here. SQLite compares such rows once more with each value of the list, but without the affinity of the
 * list's column, and so drops rows that are equal as numbers only ('012' and 12). It does so for row values, which the
 * driver announces, and for conditions that its masks of lists have no bit for. */
#include <string.h>

#include "engine/eval/declare.h"
#include "engine/vtab/planner.h"

/* Whether constraint i is about part `part` of the candidate, under the same collation. Of a column that the index has
 * twice: a constraint can be used for one of its parts. */
static bool constraint_fits(const planner *pl, const candidate *ca, uint32_t part, int i)
{
    const sqlite3_index_info *info = pl->pl_info;
    int column = info->aConstraint[i].iColumn;
    if (!info->aConstraint[i].usable || constraint_used(ca, i) || is_argument(pl, column))
        return false;
    if (part_is_rowid(ca, part))
        return is_rowid(pl, column);
    const edb_index_part *p = &ca->ca_index->parts[part];
    if (is_rowid(pl, column))
        return (int)p->column == pl->pl_table->et_rowid_column;
    return (int)p->column == column && collation_number(sqlite3_vtab_collation(pl->pl_info, i)) == p->collation;
}

/* The expressions of indexes: the driver compares those with nothing that has an affinity. */
bool part_is_exact(const planner *pl, const candidate *ca, uint32_t part)
{
    return part_is_rowid(ca, part) || column_exact(&pl->pl_table->et_columns[ca->ca_index->parts[part].column]);
}

/* The equality operators, best first. */
static int equality_rank(char op)
{
    static const char order[] = "=sni";
    return op ? (int)(strchr(order, op) - order) : 9;
}

/* NOCASE of SQLite's ends at the first 00 byte, and keys do not. */
static bool part_is_binary(const candidate *ca, uint32_t part)
{
    return !part_is_rowid(ca, part) && ca->ca_index->parts[part].collation == COLLATE_BINARY;
}

/* exact: the parts before it are. -> whether it is, too. */
static bool add_step(const planner *pl, candidate *ca, uint32_t part, int constraint, char op, bool exact)
{
    bool known = right_side_known(pl, constraint);
    bool plain = plan_is_equality(op) ? pl->pl_plain_equalities : pl->pl_plain_bounds;
    exact = exact && (part_is_exact(pl, ca, part) || (plain && part_is_binary(ca, part)));
    ca->ca_steps[ca->ca_n_steps++] = (plan_step){
        .sp_constraint = constraint, .sp_op = op, .sp_omit = exact, .sp_known = known, .sp_plain = plain};
    return exact;
}

#define LISTS_TOLD 32               /* of conditions from this one on SQLite does not say that they are lists */

static bool may_be_loop(const planner *pl, int i, char op)
{
    return op == '=' && (pl->pl_row_in || i >= LISTS_TOLD) && !right_side_known(pl, i);
}

bool constraint_may_loop(const planner *pl, int i)
{
    return may_be_loop(pl, i, equality_op(pl, i));
}

uint64_t constraint_loops(const planner *pl)
{
    uint64_t found = 0;
    for (int i = 0; i < pl->pl_info->nConstraint && i < 64; i++)
        if (may_be_loop(pl, i, equality_op(pl, i)))
            found |= UINT64_C(1) << i;
    return found;
}

#define LIST_OF_MOST 0.75

/* Whether a list leads to most of what the parts before bind, or has more values than that has rows: then it is read, and not
 * searched for each value. */
static bool list_is_long(const planner *pl, const candidate *ca, uint32_t part, int i, char op)
{
    if (op != 'i')
        return false;
    double values = list_length(pl, i);
    if (part)
        return values > rows_equal(pl, ca->ca_index, part);
    return values * (ca->ca_index ? rows_equal(pl, ca->ca_index, 1) : 1) > LIST_OF_MOST * ca->ca_entries;
}

/* -> whether an equality binds the part. *exact: whether all parts so far are. */
static bool match_equality(const planner *pl, candidate *ca, uint32_t part, bool *exact)
{
    int best = -1;
    char best_op = 0;
    for (int i = 0; i < pl->pl_info->nConstraint; i++) {
        char op = equality_op(pl, i);
        if (may_be_loop(pl, i, op) && !part_is_exact(pl, ca, part))
            continue;
        if (op && constraint_fits(pl, ca, part, i) && equality_rank(op) < equality_rank(best_op)
            && !list_is_long(pl, ca, part, i, op)) {
            best = i;
            best_op = op;
        }
    }
    if (best < 0)
        return false;
    *exact = add_step(pl, ca, part, best, best_op, *exact);
    return true;
}

/* The better of two bounds of one side, one may be missing (-1): one that is known, and of two of these the closer. */
static int better_bound(const planner *pl, int one, int other)
{
    if (one < 0 || !right_side_known(pl, one))
        return other;
    return !right_side_known(pl, other) || share_left(pl, one) < share_left(pl, other) ? one : other;
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
            low = better_bound(pl, low, i);
        else if (op == '<' || op == 'l')
            high = better_bound(pl, high, i);
        else
            not_null = i;
    }
    if (low >= 0)
        add_step(pl, ca, part, low, bound_op(pl, low), exact);
    if (high >= 0)
        add_step(pl, ca, part, high, bound_op(pl, high), exact);
    if (not_null >= 0 && low < 0 && high < 0)
        add_step(pl, ca, part, not_null, 'N', exact);
}

void candidate_match(const planner *pl, candidate *ca)
{
    bool exact = true;
    uint32_t part = 0;
    for (; part < ca->ca_n_parts && ca->ca_n_steps + 2 < STEPS_MAX; part++) {
        if (!match_equality(pl, ca, part, &exact))
            break;
    }
    ca->ca_n_equal = part;
    if (part < ca->ca_n_parts)
        match_bounds(pl, ca, part, exact);
}

/* ---- automatic indexes ---------------------------------------------------------------------------------------- */

/* An equality with a column that the row stores, with a value from elsewhere. */
static bool can_look_up(const planner *pl, int i)
{
    const edb_table *table = pl->pl_table;
    int column = pl->pl_info->aConstraint[i].iColumn;
    char op = equality_op(pl, i);
    if (!pl->pl_info->aConstraint[i].usable || (op != '=' && op != 's') || is_rowid(pl, column)
        || column >= (int)table->et_n_columns || column_virtual(&table->et_columns[column]))
        return false;
    if (may_be_loop(pl, i, op) && !column_exact(&table->et_columns[column]))
        return false;
    return collation_number(sqlite3_vtab_collation(pl->pl_info, i)) >= 0;
}

/* Whether the walk or the automatic index is bound to the column already. */
static bool looks_up(const planner *pl, const candidate *ca, int column)
{
    for (uint32_t k = 0; ca->ca_index && k < ca->ca_n_equal && k < ca->ca_index->n_parts; k++)
        if ((int)ca->ca_index->parts[k].column == column)
            return true;
    for (uint32_t k = 0; k < ca->ca_n_automatic; k++)
        if (pl->pl_info->aConstraint[ca->ca_automatic[k]].iColumn == column)
            return true;
    return false;
}

/* What an automatic index finds comes in the order of the walk it spares. It is worth it where it spares a third of the
 * entries of a walk that is made again and again, and some: it is not made before the walks have cost as much. One on
 * constants alone is made once. */
#define SPARED_TIMES 1.5
#define SPARED_LEAST 3

void candidate_automatic(const planner *pl, candidate *ca)
{
    bool varies = false;
    ca->ca_n_automatic = 0;
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        varies = varies || !ca->ca_steps[k].sp_known;
    for (int i = 0; i < pl->pl_info->nConstraint && ca->ca_n_automatic < AUTOMATIC_COLUMNS; i++) {
        if (!can_look_up(pl, i) || constraint_used(ca, i) || looks_up(pl, ca, pl->pl_info->aConstraint[i].iColumn))
            continue;
        ca->ca_automatic[ca->ca_n_automatic++] = i;
        varies = varies || !right_side_known(pl, i);
    }
    bool worth = varies && ca->ca_rows >= SPARED_TIMES * ca->ca_left + SPARED_LEAST;
    if (!(worth || pl->pl_off & PATH_EAGER))
        ca->ca_n_automatic = 0;
}
