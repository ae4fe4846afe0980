/* The evaluator that SQLite is (evaluator.h), for one engine connection and one SQLite connection bound to it.
 *
 * CHECK and DEFAULT run on the program's own SQLite connection, since they may call its functions. Generated columns and
 * the WHERE of partial indexes run on a private one (generate.h), since they must mean the same in every process.
 *
 * What was prepared for a table is kept, most recently used first, and dropped with sqlite_evaluator_forget(): SQLite
 * does not close a connection on which statements are prepared.
 *
 *   prepared.c           what is kept
 *   checks.c             CHECK and DEFAULT
 *   partial.c            WHERE of partial indexes, and what an index looks at
 *   generate.c           generated columns
 *   sqlite_evaluator.c   lending, settings */
#ifndef EDB_SQLITE_EVALUATOR_H
#define EDB_SQLITE_EVALUATOR_H

#include "engine/eval/evaluator.h"
#include "engine/eval/generate.h"
#include "engine/eval/rowexpr.h"
#include "engine/eval/value.h"

typedef struct {                    /* of an index with a WHERE or with expressions */
    rowexpr *pi_where;              /* NULL: not needed yet, or it has none */
    bool pi_known;                  /* pi_looks_at is */
    uint64_t pi_looks_at;
} prepared_index;

typedef struct prepared_table {     /* what is prepared for one table */
    struct prepared_table *pd_next; /* used less recently */
    edb_table *pd_table;            /* counted */
    uint32_t pd_running;            /* evaluations going on: not to be freed */
    rowexpr *pd_checks;             /* NOT (...) of each CHECK; NULL: not needed yet */
    sqlite3_stmt **pd_defaults;     /* SELECT (expression) by column; NULL: none needed yet */
    prepared_index *pd_indexes;     /* by index; NULL: none needed yet */
} prepared_table;

typedef struct {
    evaluator se_lent;
    edb_conn *se_conn;              /* NULL: lent to none */
    sqlite3 *se_db;                 /* the program's */
    generator *se_generator;        /* made when first asked for */
    prepared_table *se_tables;      /* most recently used first */
    value_scratch se_values;        /* of a DEFAULT */
} sqlite_evaluator;

/* conn and db outlast it. */
void sqlite_evaluator_lend(sqlite_evaluator *se, edb_conn *conn, sqlite3 *db);
void sqlite_evaluator_forget(sqlite_evaluator *se);         /* what is prepared */
void sqlite_evaluator_end(sqlite_evaluator *se);            /* takes it back and frees all; fine if it was never lent */

/* ---- between its files ---- */

int prepared_find(sqlite_evaluator *se, const edb_table *table, prepared_table **out);
int sqlite_evaluator_generator(sqlite_evaluator *se, generator **out);
/* checks.c, partial.c: members of struct evaluator; arg is a sqlite_evaluator */
int checks_judge(void *arg, const edb_table *table, int64_t rowid, const edb_value *values);
int default_evaluate(void *arg, const edb_table *table, uint32_t column, arena *memory, edb_value *out);
int partial_covers(void *arg, const generate_row *row, uint32_t index, arena *memory, bool *covered);
int partial_looks_at(void *arg, const edb_table *table, uint32_t index, uint64_t *columns);

#endif
