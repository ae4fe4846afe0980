/* Rows of a table and the entries of its indexes, changed together.
 *
 * A row change is atomic by itself: whatever fails in the middle is undone to a mark of the write set, since SQLite
 * sets no savepoint around a statement of one row. Values come in with their column's affinity applied already
 * (eval/value.h); NOT NULL, PRIMARY KEY and UNIQUE are judged here, against the newest root the statement knows and
 * all own writes, and UNIQUE once more by COMMIT.
 *
 * `values` hold one value a column, in declared order; that of the INTEGER PRIMARY KEY is the row id. The expressions of
 * indexes are computed into their places when their time comes. */
#ifndef EDB_TABLE_H
#define EDB_TABLE_H

#include "native/arena.h"
#include "engine/txn/capture.h"
#include "engine/catalog/row.h"

typedef struct {                    /* a row being changed; reused from row to row */
    edb_value *sw_values;           /* the caller's new values, in declared order */
    bool *sw_changed;               /* the caller's: which of them are new */
    table_buffer sw_row;            /* the row being written */
    table_buffer sw_old;            /* a copy of an old row that may move, or that lay in a chain */
    table_buffer sw_keys;           /* index keys and values of the change, as a stack */
    edb_value *sw_stored;           /* the row by column id */
    edb_value *sw_before;           /* an old row's values, in declared order */
    uint32_t sw_columns;            /* room in these four */
    uint32_t sw_key_max;            /* the most bytes a key may have */
    /* Deletes a row that REPLACE found in the way, with another scratch; NULL: table_delete() does, with this one. */
    int (*sw_remove)(void *arg, edb_stmt *stmt, const edb_table *table, int64_t rowid);
    void *sw_arg;
    bool sw_gone;                   /* the row changed last went with what REPLACE removed, and was not written */
    capture *sw_capture;            /* keeps the row of the next change, which takes it; NULL: none does */
    arena sw_computed;              /* texts and blobs of generated columns and defaults; until scratch_drop() */
} row_scratch;

int scratch_prepare(row_scratch *sw, const edb_table *table, edb_conn *conn);     /* room for a table's columns */
void scratch_drop(row_scratch *sw);               /* behind a change: forgets what was computed for it */
void scratch_free(row_scratch *sw);

typedef struct {                    /* a row to be changed: valid until the next write or load with the same scratch */
    int64_t rd_rowid;
    uint64_t rd_seen_from;
    row_view rd_view;
} table_row;

/* The row as a change has to find it: own newest write, else the version at the statement's moment. Not found: it was
 * deleted by the statement itself. EDB_CONFLICT when somebody else changed it since that moment. */
int table_row_load(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, table_row *out,
                   bool *found);
/* replace: rows in the way of a unique key are deleted instead of failing. fresh: the row id was never used. */
int table_insert(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                 edb_value *values, bool replace);
/* changed[i]: column i is not copied from the old row. `values` may point into the old row. */
int table_update(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                 edb_value *values, const bool *changed, bool replace);
/* Whether an update of the flagged columns, by which the row id stays, looks at no value that stays: none has an index, a CHECK, a
 * generated column or a tag to serve. Foreign keys are not looked at. columns: the same columns (columns_flagged). */
bool table_changes_alone(const edb_table *table, const table_row *old, const bool *changed, uint64_t columns);
/* The same of all rows that have all columns, and NULL in none that may not have it. */
bool table_may_change_alone(const edb_table *table, uint64_t columns);
/* table_update() of such a row, whose other values are not wanted and go from the old row's bytes into the new one's. */
int table_update_alone(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old,
                       const edb_value *values, const bool *changed);
int table_delete(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool *existed);
/* STRICT: whether the values, affinities applied, have the declared types. */
int table_judge_types(const edb_table *table, const edb_value *values);
/* Types, NOT NULL and CHECK: what INSERT judges before it looks for conflicts. */
int table_judge(edb_stmt *stmt, const edb_table *table, int64_t rowid, const edb_value *values,
                bool replace);
/* Whether the row, not written yet, would collide in a unique index (NULL: by its row id), and with which row. */
int table_conflict(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const edb_index *index, int64_t rowid,
                   edb_value *values, bool *found, int64_t *other);
/* All columns of a stored row, in declared order, but virtual ones only if `all`. Expressions of indexes are left to
 * evaluate_index(). */
int table_values(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const row_view *view, int64_t rowid,
                 bool all, edb_value *out);
/* Fills a new index from the rows the statement sees. */
int table_fill_index(edb_stmt *stmt, const edb_table *table, const edb_index *index);

#endif
