/* The planner: what the files of best-index share. Internal to vtab_plan.c and plan_*.c.
 *
 *   plan_constraints.c  what a constraint says
 *   plan_match.c    which constraints a tree can use
 *   plan_order.c    whether its order is the one asked for
 *   plan_rows.c     how many rows are met, and how many are left
 *   plan_nulls.c    what NULLs leave out
 *   plan_nothing.c  whether constants contradict each other
 *   plan_told.c     what the driver tells of other tables
 *   plan_limits.c   how many rows of the first table of a join are wanted
 *   plan_lists.c    how many values a list has
 *   plan_cost.c     what a walk costs
 *   plan_write.c    the plan as a string
 *   vtab_plan.c     best-index: makes the candidates and takes the cheapest
 *
 * Each tree that could be walked (the table's own, and every index) becomes a candidate in the same steps. Nothing here
 * knows the moment, nor values but the literals of the statement. */
#ifndef EDB_PLANNER_H
#define EDB_PLANNER_H

#include "engine/vtab/vtab.h"

#define STEPS_MAX (CATALOG_INDEXES * 2)

typedef struct {
    int sp_constraint;              /* index into aConstraint */
    char sp_op;
    bool sp_omit;                   /* decided exactly by the key */
    bool sp_known;                  /* the right side is a constant of the statement */
    bool sp_plain;                  /* it has no affinity, as the driver has told */
} plan_step;

typedef struct {
    const edb_index *ca_index;      /* NULL: the table itself */
    bool ca_whole;                  /* as old as the table */
    bool ca_covers, ca_narrow;
    bool ca_one_row, ca_scan_unique;
    uint32_t ca_n_parts;            /* the row id behind the parts of an index is one of them */
    uint32_t ca_n_equal;            /* parts bound by equality; the first steps */
    uint32_t ca_n_steps;
    uint64_t ca_evidence;           /* constraints that let it be used: partial_allowed() */
    /* the order of what comes out */
    bool ca_ordered, ca_reverse;    /* as asked for; the walk is backwards */
    char ca_laps;                   /* 'l': NULLs of the part behind the equalities come last; 'f': first; 0: as they lie */
    bool ca_merged;                 /* by merging the ranges of lists */
    uint32_t ca_group_parts;        /* the walk gives the first of the terms asked for, by these parts; 0: it gives all */
    int ca_group_from;              /* the first term that groups are sorted by */
    bool ca_may_turn;               /* the table may be walked instead, where the values turn out to be frequent */
    uint32_t ca_skip_parts;         /* one entry of each value of so many parts is enough; 0: all are wanted */
    /* estimates */
    double ca_entries;              /* in the tree */
    double ca_rows;                 /* met by one call of filter */
    double ca_left;                 /* of them, when all constraints in sight have been judged */
    double ca_cost;
    uint32_t ca_n_automatic;        /* constraints that an automatic index would look up */
    int ca_automatic[AUTOMATIC_COLUMNS];
    plan_step ca_steps[STEPS_MAX];
} candidate;

#define SHARES_KEPT 64

typedef struct {                    /* what all candidates look at */
    vtab_entity *pl_vt;
    const edb_table *pl_table;
    sqlite3_index_info *pl_info;
    double pl_rows;                 /* rows of the table, as candidates are compared: ROWS_LEAST or more */
    double pl_there;                /* what it has indeed */
    bool pl_guess;                  /* statistics are off, or say nothing of so few rows */
    bool pl_plain_bounds, pl_plain_equalities;  /* what they are compared with has no affinity */
    bool pl_sets_rows;              /* rows are changed where they are found */
    bool pl_row_in;                 /* an equality may be a row value's list */
    edb_conn *pl_conn;              /* NULL: not bound yet */
    int pl_asked;                   /* the constraint that asks for the rows of a partial index; -1: none does */
    double pl_limit;                /* rows wanted at most; infinite: all */
    uint64_t pl_joined;             /* columns that other tables are joined by, if the limit is one of a join */
    unsigned pl_off;                /* paths switched off: PATH_... */
    /* Of the first SHARES_KEPT constraints, below 0 where not asked for yet: */
    double *pl_shares;              /* plan_rows.c */
    double *pl_lengths;             /* plan_lists.c */
    double *pl_nulls_left;          /* plan_nulls.c; below 0 where not asked for yet */
} planner;

static inline bool is_rowid(const planner *pl, int column)
{
    return column < 0 || column == pl->pl_table->et_rowid_column;
}

/* A hidden column of a history table takes arguments (history.h), so nothing is compared with it. */
static inline bool is_argument(const planner *pl, int column)
{
    return pl->pl_vt->vt_history && column >= 0 && column < (int)pl->pl_table->et_n_columns
           && pl->pl_table->et_columns[column].hidden;
}

static inline bool part_is_rowid(const candidate *ca, uint32_t part)
{
    return !ca->ca_index || part == ca->ca_index->n_parts;
}

/* ---- plan_constraints.c ---- */

char equality_op(const planner *pl, int constraint);    /* '=', 'i', 's', 'n'; 0: it is none */
char bound_op(const planner *pl, int constraint);       /* '>', 'g', '<', 'l', 'N'; 0 */
char comparison_op(const planner *pl, int constraint);  /* of either; 0 */
bool right_side(const planner *pl, int constraint, sqlite3_value **out);    /* a constant of the statement */
bool right_side_known(const planner *pl, int constraint);                   /* whether it is one */
bool constraint_used(const candidate *ca, int constraint);
/* A collation by its name, -1: none of SQLite's own. */
int collation_number(const char *name);

/* ---- plan_match.c ---- */

void candidate_match(const planner *pl, candidate *ca);
/* Equalities that no step uses, for which an automatic index would be made. */
void candidate_automatic(const planner *pl, candidate *ca);
/* Numbers, row ids, and the expressions of indexes: keys decide comparisons as SQLite does. */
bool part_is_exact(const planner *pl, const candidate *ca, uint32_t part);
bool constraint_may_loop(const planner *pl, int constraint);    /* SQLite may loop over it, a call for each value */
uint64_t constraint_loops(const planner *pl);           /* those of which it may */

/* ---- plan_order.c ---- */

void candidate_order(const planner *pl, candidate *ca);
/* Bound to one value, so that it plays no role in the order. */
bool part_is_constant(const planner *pl, const candidate *ca, uint32_t part);

/* ---- plan_rows.c: sets ca_rows, ca_left ---- */

#define UNKNOWN_BOUND 0.25          /* SQLite's guess at what a bound leaves */
#define UNKNOWN_PATTERN 0.1         /* LIKE and GLOB: a program that searches texts wants few of them */
#define UNKNOWN_TEST 0.5

/* How many values the lists among the equalities stand for together, a guess; 1: there are no lists. */
double list_values(const planner *pl, const candidate *ca);
/* A literal under the column's affinity; -> false: it is none, or a number that would become a text. */
bool literal_of_column(const planner *pl, int constraint, edb_value *out);
double share_left(const planner *pl, int constraint);   /* of the rows, by the constraint alone */
void shares_forget(const planner *pl);      /* what was guessed is asked anew */
void candidate_rows(const planner *pl, candidate *ca);
/* Entries in one group of the first `parts` parts of the index. */
double rows_equal(const planner *pl, const edb_index *index, uint32_t parts);

/* ---- plan_nulls.c ---- */

double share_null(const planner *pl, int column);       /* of a stored column */
/* What is left of the rows by comparisons that no NULL fulfils, where these count for nothing else. */
double nulls_left(const planner *pl);
/* The share of rows that are NULL in the column and meet a NULL by IS. */
double nulls_met(const planner *pl, int column);

/* ---- plan_nothing.c ---- */

/* Whether two constraints with constants, of the first SHARES_KEPT, leave no row. */
bool constants_contradict(const planner *pl, int *one, int *other);

/* ---- plan_told.c ---- */

#define LIST_GUESS 5                /* values of a list of which nothing is told */

/* What the driver tells by constraint i; NULL: it is no such term. */
const char *told_by(const planner *pl, int i);
uint32_t told_number(const char **at);

typedef struct {                    /* a table that is told of */
    edb_conn *td_conn;
    edb_table *td_table;
    double td_rows;
} told_table;

bool told_open(const planner *pl, uint32_t id, told_table *td);     /* false: there is no such table */
void told_close(told_table *td);
double told_rows_of_value(const told_table *td, uint32_t column);   /* rows with one value of the column */
double told_nulls(const told_table *td, uint32_t column);           /* the share of rows in which it is NULL */
double told_share(const told_table *td, char op, uint32_t column);  /* that a condition leaves */

/* ---- plan_limits.c ---- */

/* Rows of this table until as many of the join have been found as are wanted; infinite: all. *joined: see pl_joined. */
double limit_of_join(const planner *pl, uint64_t *joined);
/* Rows that are left of the walk until it ends. */
double limit_for(const planner *pl, const candidate *ca);

/* ---- plan_lists.c ---- */

double list_length(const planner *pl, int constraint);

/* ---- plan_cost.c ---- */

/* Of a table shorter than STATISTICS_FROM the rows say nothing yet of those to come: its candidates are compared by guesses,
 * as if it had ROWS_LEAST rows, so that an index is used before the table has grown. What SQLite is told of the one
 * chosen is estimated of the rows there are. */
#define STATISTICS_FROM 100
#define ROWS_LEAST 1000

#define COST_ROW 3.0                /* reading on to the next row */

void candidate_cost(const planner *pl, candidate *ca);
/* Whether the table may turn out to be the better walk, once the values are known. */
bool candidate_may_turn(const planner *pl, const candidate *ca);
double cost_told(const candidate *ca);  /* what SQLite is told: less where an automatic index would spare walks */
double cost_with_sorting(const planner *pl, const candidate *ca);   /* what SQLite will add; part of comparisons only */

/* ---- plan_write.c ---- */

int candidate_write(const planner *pl, const candidate *ca, sqlite3_vtab *base);
int nothing_write(const planner *pl, int one, int other, sqlite3_vtab *base);   /* these two leave no row */

#endif
