/* Rows of a table and the entries of its indexes, changed together.
 *
 * A row change is atomic by itself: whatever fails in the middle is undone to a mark of the write set, since SQLite
 * sets no savepoint around a statement of one row. Values come in with their column's affinity applied already
 * (vtab_value.h); NOT NULL, PRIMARY KEY and UNIQUE are judged here, against the newest root the statement knows and
 * all own writes, and UNIQUE once more by COMMIT.
 *
 * `values` hold one value a column, in declared order; that of the INTEGER PRIMARY KEY is the row id. */
#ifndef EDB_TABLE_H
#define EDB_TABLE_H

#include "native/arena.h"
#include "engine/txn/capture.h"
#include "engine/txn/hooks.h"
#include "engine/catalog/row.h"

typedef struct {                    /* reused from row to row; one a connection */
    table_buffer ts_row;            /* the row being written */
    table_buffer ts_old;            /* a copy of an old row that may move, or that lay in a chain */
    table_buffer ts_keys;           /* index keys and values of the change, as a stack */
    edb_value *ts_stored;           /* the row by column id */
    edb_value *ts_before;           /* an old row's values, in declared order */
    uint32_t ts_columns;            /* room in both */
    uint32_t ts_key_max;            /* the most bytes a key may have */
    /* What the layer above has to say to a change; NULL: nothing. ts_judge is asked behind NOT NULL and before unique
     * keys; ts_remove deletes a row that REPLACE found in the way. */
    int (*ts_judge)(void *arg, edb_stmt *stmt, const edb_table *table, int64_t rowid, const edb_value *values);
    int (*ts_remove)(void *arg, edb_stmt *stmt, const edb_table *table, int64_t rowid);
    void *ts_arg;
    capture *ts_capture;            /* keeps the row of the next change, which takes it; NULL: none does */
    arena ts_computed;              /* texts and blobs of generated columns; until scratch_drop() */
} table_scratch;

int scratch_prepare(table_scratch *ts, const edb_table *table, edb_conn *conn);     /* room for a table's columns */
void scratch_drop(table_scratch *ts);               /* behind a change: forgets what was computed for it */
void scratch_free(table_scratch *ts);

typedef struct {                    /* a row to be changed: valid until the next write or load with the same scratch */
    int64_t tr_rowid;
    uint64_t tr_seen_from;
    row_view tr_view;
} table_row;

/* The row as a change has to find it: own newest write, else the version at the statement's moment. Not found: it was
 * deleted by the statement itself. EDB_CONFLICT when somebody else changed it since that moment. */
int table_row_load(table_scratch *ts, edb_stmt *stmt, const edb_table *table, int64_t rowid, table_row *out,
                   bool *found);
/* replace: rows in the way of a unique key are deleted instead of failing. fresh: the row id was never used. */
int table_insert(table_scratch *ts, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                 const edb_value *values, bool replace);
/* changed[i]: column i is not copied from the old row. `values` may point into the old row. */
int table_update(table_scratch *ts, edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                 const edb_value *values, const bool *changed, bool replace);
int table_delete(table_scratch *ts, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool *existed);
/* STRICT: whether the values, affinities applied, have the declared types. */
int table_judge_types(const edb_table *table, const edb_value *values);
/* NOT NULL and what ts_judge says: what INSERT judges before it looks for conflicts. */
int table_judge(table_scratch *ts, edb_stmt *stmt, const edb_table *table, int64_t rowid, const edb_value *values,
                bool replace);
/* Whether the row, not written yet, would collide in a unique index (NULL: by its row id), and with which row. */
int table_conflict(table_scratch *ts, edb_stmt *stmt, const edb_table *table, const edb_index *index, int64_t rowid,
                   const edb_value *values, bool *found, int64_t *other);
/* All columns of a stored row, in declared order; unless `all`, of virtual ones only those that its indexes need. */
int table_values(table_scratch *ts, edb_stmt *stmt, const edb_table *table, const row_view *view, int64_t rowid,
                 bool all, edb_value *out);
/* Fills a new index from the rows the statement sees. */
int table_fill_index(edb_stmt *stmt, const edb_table *table, const edb_index *index);

/* What only SQLite can say of a row, lent to the connection by the binding: its data (hooks.h) under this key. */
extern const txn_hooks row_helper_key;
typedef struct {
    void *rh_arg;
    /* Bit i of *covered: the row has an entry in index i; of a full index always set. values: all columns. */
    int (*rh_covers)(void *arg, const edb_table *table, int64_t rowid, const edb_value *values, uint64_t *covered);
    /* Columns that the WHEREs of its partial indexes look at: bit i for column i, bit 63 for all from there on. */
    int (*rh_looks_at)(void *arg, const edb_table *table, uint64_t *columns);
} row_helper;

/* rh_covers of the statement's connection; EDB_MISUSE where no SQLite connection is bound to it. */
int table_covers(edb_stmt *stmt, const edb_table *table, int64_t rowid, const edb_value *values, uint64_t *covered);

#endif
