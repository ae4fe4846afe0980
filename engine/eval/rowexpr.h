/* SQL expressions over one row: CHECK, DO UPDATE SET, RETURNING and the like, evaluated by SQLite itself.
 *
 * The row is shown to SQLite as a table of one row with the columns, types, collations and row id of ours, so that
 * affinity, collation and names come out as in an ordinary table. The table is an eponymous virtual table of a module
 * with a name of its own: nothing is written to any schema, no transaction is touched, no other statement is prepared
 * anew. A second row of the same shape may stand beside it under the name `excluded`.
 *
 *     rowexpr *rx;                                                        once, kept
 *     rowexpr_new(db, table, "t", true, "a + excluded.a, b || ?1", NULL, &rx)
 *     rowexpr *run;                                                       for each row
 *     rowexpr_begin(rx, &row, &excluded, &run)
 *     rowexpr_bind(run, 1, value)                                         as often as there are parameters
 *     rowexpr_step(run)
 *     rowexpr_value(run, i)                                               until rowexpr_end
 *     rowexpr_end(run)
 *
 * An expression may call a function that writes to the same table and comes back here: rowexpr_begin then hands out
 * another run of the same expressions, so always use the one it gives. Memory: a rowexpr owns its statements and holds
 * a reference to the table; rows belong to the caller and last until rowexpr_end. Used by its connection's thread
 * alone, and freed before the connection is closed. */
#ifndef EDB_ROWEXPR_H
#define EDB_ROWEXPR_H

#include "engine/catalog/catalog.h"
#include "engine/eval/sqlite.h"

typedef struct rowexpr rowexpr;

typedef struct {
    const edb_value *ro_values;     /* one a column, in declared order, affinity applied; NULL: no row, all NULL */
    /* When set, a column is asked for when an expression needs it; what it answers lasts until rowexpr_end. */
    int (*ro_get)(void *arg, uint32_t column, edb_value *out);
    void *ro_arg;
    int64_t ro_rowid;
} rowexpr_row;

#define ROWEXPR_ROW "\"entitydb row\""

/* Prepares `SELECT list FROM the row [, excluded] [tail]`. alias: the name the row goes by (the table's own, mostly).
 * list: result columns as SQL, `*` and `alias.*` included. tail: NULL, or what follows ("WHERE ..."); then there may
 * be no result row. With excluded, a bare column name would be ambiguous to SQLite; so then only `excluded` is in FROM,
 * and list and tail are made of `(SELECT expression FROM "entitydb row" AS alias)`, inside of which a bare name means
 * the row's. EDB_EXPRESSION with SQLite's sentence when it cannot be prepared. */
int rowexpr_new(sqlite3 *db, const edb_table *table, const char *alias, bool excluded, const char *list,
                const char *tail, rowexpr **out);
void rowexpr_free(rowexpr *rx);                     /* NULL is fine; not while a run is going on */
int rowexpr_columns(const rowexpr *rx);             /* how many values a run has */
const char *rowexpr_name(const rowexpr *rx, int i); /* SQLite's name for value i */
const edb_table *rowexpr_table(const rowexpr *rx);
/* Which of the row's columns it looks at: bit i for column i, bit 63 for all from there on. The row id is no column. */
uint64_t rowexpr_used(const rowexpr *rx);

/* Lays the rows before the expressions. excluded may be NULL. *run: what to use until rowexpr_end. */
int rowexpr_begin(rowexpr *rx, const rowexpr_row *row, const rowexpr_row *excluded, rowexpr **run);
/* parameter: from 1. The bytes of the value must last until rowexpr_end. */
int rowexpr_bind(rowexpr *run, int parameter, const edb_value *value);
/* Evaluates. *found false: a tail excluded the row. EDB_EXPRESSION with SQLite's sentence when an expression fails. */
int rowexpr_step(rowexpr *run, bool *found);
sqlite3_value *rowexpr_value(rowexpr *run, int i);  /* from 0; ends with the run */
void rowexpr_end(rowexpr *run);

#endif
