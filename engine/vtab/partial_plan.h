/* Partial indexes in plans: which queries may use them.
 *
 * An index with a WHERE has entries of those rows alone for which it is true (eval/partial.c). A query may use it when
 * each row it wants is in it. That is known here in two ways:
 *
 *   - the constraints of best-index prove the index's WHERE, where that is made of plain comparisons of columns
 *   - the driver, which sees the query's text, has found the WHERE among the query's own terms. It then adds the term
 *     `alias."entitydb partial" IS NOT tree` beside it. The hidden column is NULL, so the term is true wherever SQLite
 *     may evaluate it; seen by best-index, it stands for the proof, and holds for that reference to the table alone.
 *
 * `"entitydb partial" = tree` asks for the rows that the index has, whatever they are: for integrity checks. */
#ifndef EDB_PARTIAL_PLAN_H
#define EDB_PARTIAL_PLAN_H

#include "engine/catalog/catalog.h"
#include "engine/eval/sqlite.h"

/* Whether the query that is planned wants only rows that a partial index of the table holds. *evidence: bit i set:
 * constraint i is part of the proof, and has to be among those used (an argvIndex). Only then does SQLite see to it that
 * the constraint holds of the rows: what ON of a LEFT JOIN says of the table on its left is shown as usable as well,
 * and a plan that uses it is thrown away.
 * unsure: constraints that must not be used, by the same bits. */
bool partial_allowed(const edb_table *table, const edb_index *index, sqlite3_index_info *info, uint64_t unsure,
                     uint64_t *evidence);
/* The hidden column, by SQLite's number; -1: the table has none. */
int partial_column(const edb_table *table);
/* Whether constraint i is the driver's term about some index. */
bool partial_told(const edb_table *table, sqlite3_index_info *info, int i);
/* The index whose rows are asked for. *asked false: none. EDB_MISUSE when it is not one of the table's. */
int partial_asked(const edb_table *table, sqlite3_index_info *info, bool *asked, int *constraint,
                  const edb_index **index);

/* Whether a constraint is never true of a NULL. LIKE and the like may have been redefined. */
static inline bool refuses_null(int op)
{
    return op == SQLITE_INDEX_CONSTRAINT_EQ || op == SQLITE_INDEX_CONSTRAINT_NE || op == SQLITE_INDEX_CONSTRAINT_GT
           || op == SQLITE_INDEX_CONSTRAINT_GE || op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_LE
           || op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL;
}

#endif
