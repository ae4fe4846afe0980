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
 * A generator belongs to one thread at a time. It lives as long as its engine connection, or as the check it serves. */
#ifndef EDB_GENERATE_H
#define EDB_GENERATE_H

#include "native/arena.h"
#include "engine/table/table.h"

typedef struct generator generator;
struct sqlite3;

typedef struct {                    /* the row computed over */
    const edb_table *gr_table;
    const row_view *gr_stored;      /* as it is stored; NULL: all but the generated columns are in gr_values */
    const edb_value *gr_values;     /* in declared order, affinity applied */
    int64_t gr_rowid;
} generate_row;

/* False where no SQLite has loaded the library yet, and so nothing can be computed. */
bool generate_possible(void);
/* conn: whose interrupt is heeded, NULL: none's. */
int generator_new(edb_conn *conn, generator **out);
void generator_free(generator *ge);                 /* NULL is fine */
/* The connection's own, made when first asked for; not to be freed. */
int generator_of(edb_conn *conn, generator **out);

/* The generator's SQLite connection, on which one expression may be prepared now: for the WHEREs of partial indexes. */
struct sqlite3 *generator_lend(generator *ge);

int generate_begin(generator *ge, const generate_row *row);
/* EDB_EXPRESSION with SQLite's sentence when the expression fails. */
int generate_get(generator *ge, uint32_t column, edb_value *out);
void generate_end(generator *ge);

/* Column i of a stored row, computed if the row lacks it; what is computed is copied to `memory`. */
int generate_column(edb_conn *conn, const edb_table *table, const row_view *row, int64_t rowid, uint32_t i,
                    arena *memory, edb_value *out);
/* All generated columns of a row that is to be written, computed from its others into their places in `values`; what is
 * computed lasts until scratch_drop(). */
int generate_new(table_scratch *ts, edb_stmt *stmt, const edb_table *table, int64_t rowid, edb_value *values);
/* Likewise, for a row that changes; says in `changed` which of them do. */
int generate_changed(table_scratch *ts, edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                     edb_value *values, bool *changed);

#endif
