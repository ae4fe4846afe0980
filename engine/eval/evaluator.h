/* What only SQLite can say of a row: one interface, lent to an engine connection by whoever has a SQLite connection.
 *
 * The engine judges NOT NULL, unique keys and foreign keys by itself. CHECK, DEFAULT, generated columns, expressions of
 * indexes and the WHERE of partial indexes are SQL. They are asked of the connection's evaluator (sqlite_evaluator.h has
 * the one there is). A connection without one changes and reads the rows of all other tables; a row that needs it is
 * refused with EDB_MISUSE before anything is written.
 *
 * The functions below say it for a connection: they answer by themselves where nothing has to be evaluated. */
#ifndef EDB_EVALUATOR_H
#define EDB_EVALUATOR_H

#include "native/arena.h"
#include "engine/catalog/row.h"

typedef struct {                    /* the row computed over */
    const edb_table *gr_table;
    const row_view *gr_stored;      /* as it is stored; NULL: all but the generated columns are in gr_values */
    const edb_value *gr_values;     /* in declared order, affinity applied */
    bool gr_whole;                  /* gr_values has generated columns, too; one of an index is to be computed */
    int64_t gr_rowid;
} generate_row;

/* Settings of the SQLite connection, as PRAGMA names them. */
enum { SETTING_FOREIGN_KEYS, SETTING_DEFER_FOREIGN_KEYS };

typedef struct {
    void *ev_arg;
    /* One column that the row lacks, or all generated ones into their places, but those of indexes; texts and blobs into
     * memory. */
    int (*ev_generate)(void *arg, const generate_row *row, uint32_t column, arena *memory, edb_value *out);
    int (*ev_generate_all)(void *arg, const generate_row *row, arena *memory, edb_value *values);
    /* Whether the WHERE of an index is true of the row. What it looks at and the row lacks is computed into memory. */
    int (*ev_covers)(void *arg, const generate_row *row, uint32_t index, arena *memory, bool *covered);
    /* Columns that the WHERE and the expressions of an index look at (column_bit()). */
    int (*ev_looks_at)(void *arg, const edb_table *table, uint32_t index, uint64_t *columns);
    /* EDB_CHECK with the label of the first CHECK constraint that is false. values: all columns. */
    int (*ev_checks)(void *arg, const edb_table *table, int64_t rowid, const edb_value *values);
    /* What a DEFAULT gives, under the column's affinity; texts and blobs into memory. */
    int (*ev_default)(void *arg, const edb_table *table, uint32_t column, arena *memory, edb_value *out);
    bool (*ev_setting)(void *arg, int setting);     /* SETTING_... */
} evaluator;

/* The lender's, who takes it back with evaluator_take_back() before it ends. The last one lent counts. */
void evaluator_lend(edb_conn *conn, const evaluator *ev);
void evaluator_take_back(edb_conn *conn, const evaluator *ev);
const evaluator *evaluator_of(edb_conn *conn);      /* NULL: none */

/* Column i of a stored row, computed if the row lacks it; what is computed is copied to `memory`. */
int evaluate_column(edb_conn *conn, const edb_table *table, const row_view *row, int64_t rowid, uint32_t i,
                    arena *memory, edb_value *out);
/* All generated columns of a row that is to be written, computed from its others into their places in `values`. Those
 * that are expressions of indexes are left alone: a row that is refused or not covered has no use for them, and they may
 * fail for it. */
int evaluate_generated(edb_conn *conn, const edb_table *table, int64_t rowid, arena *memory, edb_value *values);
/* Likewise, for a row that changes from `old`; says in `changed` which of them do. */
int evaluate_changed(edb_conn *conn, const edb_table *table, const row_view *old, int64_t old_rowid, int64_t rowid,
                     arena *memory, edb_value *values, bool *changed);
/* Whether the row has an entry in the index; if it has, the index's expressions are computed into their places in
 * `values`. stored: the row as it is stored; then virtual columns are computed, too. NULL: `values` hold all others. */
int evaluate_index(edb_conn *conn, const edb_table *table, const edb_index *index, const row_view *stored,
                   int64_t rowid, arena *memory, edb_value *values, bool *covered);
/* The columns that decide which entry of the index a row has. The row id is another. */
int evaluate_looks_at(edb_conn *conn, const edb_table *table, const edb_index *index, uint64_t *columns);
int evaluate_checks(edb_conn *conn, const edb_table *table, int64_t rowid, const edb_value *values);
/* The DEFAULT of a column that has one. A constant needs no evaluator. */
int evaluate_default(edb_conn *conn, const edb_table *table, uint32_t column, arena *memory, edb_value *out);
/* Without an evaluator foreign keys are on and not deferred. */
bool evaluate_setting(edb_conn *conn, int setting);

#endif
