/* Generated columns: expressions over a row's other columns, computed by SQLite. Likewise columns whose type has
 * another affinity since the row was written: the expression is the column, and the affinity does the rest.
 *
 * A generator is a private SQLite connection with nothing in it but functions that SQLite itself brings. So an
 * expression means the same in every process, whatever functions, settings and tables a connection of the driver has,
 * and nothing that it calls comes back here. What asks the clock is refused in SQLite's words, since it would not give
 * the same again ("non-deterministic use of date() in a generated column").
 *
 * Only what is asked for is computed. An expression that means another generated column has that one computed on the
 * way, once a row; one that means itself in the end, which no CREATE TABLE allows, is EDB_CORRUPT.
 *
 *     generate_begin(ge, &row)
 *     generate_get(ge, i, &value)                          as often as wanted; values last until generate_end
 *     generate_end(ge)                                     also after a failure
 *
 * A generator belongs to one thread at a time, and to an evaluator (sqlite_evaluator.h) or to the check it serves. */
#ifndef EDB_GENERATE_H
#define EDB_GENERATE_H

#include "engine/eval/evaluator.h"

typedef struct generator generator;
struct sqlite3;

/* False where no SQLite has loaded the library yet, and so nothing can be computed. */
bool generate_possible(void);
/* conn: whose interrupt is heeded, NULL: none's. */
int generator_new(edb_conn *conn, generator **out);
void generator_free(generator *ge);                 /* NULL is fine */
/* The generator's SQLite connection, on which one expression may be prepared now: for the WHEREs of partial indexes. */
struct sqlite3 *generator_lend(generator *ge);

/* The columns that the expression of a generated column looks at (column_bit()). */
int generate_looks_at(generator *ge, const edb_table *table, uint32_t column, uint64_t *columns);

int generate_begin(generator *ge, const generate_row *row);
/* EDB_EXPRESSION with SQLite's sentence when the expression fails. */
int generate_get(generator *ge, uint32_t column, edb_value *out);
void generate_end(generator *ge);

#endif
