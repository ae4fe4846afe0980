/* How many rows of the first table of a join are wanted.
 *
 * Best-index is told LIMIT only of a query of one table. Of a join the driver tells by a term beside the conditions
 * (driver/rewrite/join_limits.py):
 *
 *   SELECT ... FROM item, owner WHERE item.owner = owner.id AND owner.kind = ? ORDER BY item.day LIMIT 20
 *       AND item."entitydb returned" IS NOT 'limit 0|17|18 =3@0.2=1.0'
 *
 * that is, the place of this table among those that are joined; behind '|'
 * each of these with its conditions (plan_told.c); behind '@' the equalities that join them, by places and columns, IS with '~' for '='. A walk of
 * this table that gives the order, and is the first of the join, ends when as many rows have been joined as are wanted. The
 * number is not told, so that no literal of a statement is in the term: a page is supposed, or one row, where 'first' stands
 * for 'limit'. */
#include <math.h>
#include <string.h>

#include "engine/vtab/planner.h"

#define ROWS_OF_PAGE 50
#define TABLES_MOST 16

typedef struct {                    /* the join, as it is told */
    int jt_own, jt_n;
    told_table jt_tables[TABLES_MOST];
    uint64_t jt_nulls[TABLES_MOST]; /* columns that are to be NULL */
    double jt_rows;                 /* rows of the join for one row of this table */
    uint64_t jt_joined;             /* columns of this table that others are joined by */
} join_told;

/* |id [condition]... */
static bool read_tables(const planner *pl, const char **at, join_told *jt)
{
    while (**at == '|' && jt->jt_n < TABLES_MOST) {
        told_table *td = &jt->jt_tables[jt->jt_n];
        (*at)++;
        if (!told_open(pl, told_number(at), td))
            return false;
        double rows = td->td_rows;
        while (**at == ' ') {
            char op = (*at)[1];
            *at += 2;
            uint32_t column = told_number(at);
            jt->jt_nulls[jt->jt_n] |= op == 'n' ? column_bit(column) : 0;
            rows *= told_share(td, op, column);
        }
        jt->jt_rows *= jt->jt_n++ == jt->jt_own ? 1 : rows;
    }
    return **at != '|' && jt->jt_own < jt->jt_n;
}

/* place.column behind a sign. A column that is NULL equals none. */
static const told_table *read_side(const char **at, join_told *jt, uint32_t *column)
{
    bool by_is = **at == '~';
    (*at)++;
    uint32_t place = told_number(at);
    (*at)++;
    *column = told_number(at);
    if ((int)place >= jt->jt_n || *column >= jt->jt_tables[place].td_table->et_n_columns)
        return NULL;
    if (!by_is && jt->jt_nulls[place] & column_bit(*column))
        jt->jt_rows = 0;
    if ((int)place == jt->jt_own)
        jt->jt_joined |= column_bit(*column);
    return &jt->jt_tables[place];
}

/* How many different values, and which share of the rows has one. */
static double values_of(const told_table *td, uint32_t column, double *share)
{
    *share *= 1 - told_nulls(td, column);
    return td->td_rows / told_rows_of_value(td, column);
}

/* Each value of the side that has fewer of them is supposed to be on the other side. */
static bool read_equality(const char **at, join_told *jt)
{
    uint32_t column, other;
    double share = 1;
    const told_table *one = read_side(at, jt, &column), *two = one ? read_side(at, jt, &other) : NULL;
    if (!two)
        return false;
    double values = fmax(values_of(one, column, &share), values_of(two, other, &share));
    jt->jt_rows *= share / fmax(values, 1);
    return true;
}

static bool read_join(const planner *pl, const char *at, join_told *jt)
{
    jt->jt_own = (int)told_number(&at);
    if (!read_tables(pl, &at, jt))
        return false;
    while (*at == '@')
        if (!read_equality(&at, jt))
            return false;
    return jt->jt_joined;
}

/* What is told behind the word; *wanted: so many rows. NULL: nothing. */
static const char *limit_told(const planner *pl, int i, double *wanted)
{
    const char *at = told_by(pl, i);
    if (!at || (strncmp(at, "limit ", 6) && strncmp(at, "first ", 6)))
        return NULL;
    *wanted = *at == 'f' ? 1 : ROWS_OF_PAGE;
    return at + 6;
}

double limit_of_join(const planner *pl, uint64_t *joined)
{
    double limit = INFINITY;
    *joined = 0;
    for (int i = 0; pl->pl_info->nOrderBy && i < pl->pl_info->nConstraint && !*joined; i++) {
        double wanted;
        const char *at = limit_told(pl, i, &wanted);
        join_told jt = {.jt_rows = 1};
        if (!at)
            continue;
        if (read_join(pl, at, &jt) && jt.jt_rows > 0) {
            *joined = jt.jt_joined;
            limit = wanted / jt.jt_rows;
        }
        while (jt.jt_n)
            told_close(&jt.jt_tables[--jt.jt_n]);
    }
    return limit;
}

static bool joins_by(const planner *pl, int i)
{
    int column = pl->pl_info->aConstraint[i].iColumn;
    if (is_rowid(pl, column))
        column = pl->pl_table->et_rowid_column;
    return column >= 0 && pl->pl_joined & column_bit((uint32_t)column) && !right_side_known(pl, i);
}

/* Whether no row of another table is needed for the walk, so that it can be the first of the join. */
static bool is_first_walk(const planner *pl, const candidate *ca)
{
    for (uint32_t k = 0; k < ca->ca_n_equal; k++)
        if (joins_by(pl, ca->ca_steps[k].sp_constraint))
            return false;
    for (uint32_t k = 0; k < ca->ca_n_automatic; k++)
        if (joins_by(pl, ca->ca_automatic[k]))
            return false;
    return true;
}

double limit_for(const planner *pl, const candidate *ca)
{
    if ((pl->pl_info->nOrderBy && !ca->ca_ordered) || (pl->pl_joined && !is_first_walk(pl, ca)))
        return INFINITY;
    return pl->pl_limit;
}
