/* What an ON CONFLICT clause says, read once and shared by all statements that say it; see vtab_upsert.c.
 *
 * A binding keeps those that were said last, most recently said first; a statement has its own count of each. */
#ifndef EDB_CONFLICT_CLAUSE_H
#define EDB_CONFLICT_CLAUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/eval/sqlite.h"

/* The arguments of entitydb_on_conflict(): constraints, columns, list, tail. */
enum { CLAUSE_CONSTRAINTS, CLAUSE_COLUMNS, CLAUSE_LIST, CLAUSE_TAIL, CLAUSE_TEXTS };

typedef struct conflict_clause {
    struct conflict_clause *ccl_next;   /* among the kept ones */
    unsigned ccl_refs;
    char *ccl_texts[CLAUSE_TEXTS];      /* as they were given; NULL: NULL */
    size_t ccl_sizes[CLAUSE_TEXTS];     /* of these */
    bool ccl_any;                       /* for every constraint */
    bool ccl_updates;                   /* false: DO NOTHING */
    bool ccl_asks;                      /* a subquery is among the expressions */
    uint32_t ccl_n_trees, ccl_n_sets;
    uint32_t *ccl_trees, *ccl_sets;     /* of indexes, 0 for the row id; positions of the columns it sets */
} conflict_clause;

/* The clause that these values say, counted. kept: the list it is looked for and kept in. */
int conflict_clause_find(conflict_clause **kept, sqlite3_value **values, conflict_clause **out);
conflict_clause *conflict_clause_ref(conflict_clause *cl);
void conflict_clause_unref(conflict_clause *cl);
void conflict_clauses_forget(conflict_clause **kept);

#endif
