/* What a layer above wants to know of rows that change: one watcher, registered while the library is loaded.
 *
 * Its functions are called inside the change, behind its writes, and what they write belongs to it: a code undoes all. */
#ifndef EDB_WATCH_H
#define EDB_WATCH_H

#include "engine/table/table.h"

typedef struct {
    /* The row was deleted. */
    int (*rwa_deleted)(edb_stmt *stmt, const edb_table *table, int64_t rowid);
    /* One stands again under a row id where this transaction has deleted, or moved away, one that others know. */
    int (*rwa_returned)(edb_stmt *stmt, const edb_table *table, int64_t rowid);
    /* It has another row id. */
    int (*rwa_moved)(edb_stmt *stmt, const edb_table *table, int64_t from, int64_t to);
    /* Of tables with tag columns: it was inserted (old NULL) or changed; changed[i]: column i may have another value. */
    int (*rwa_written)(edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid, const edb_value *values,
                      const bool *changed);
    /* The table is about to go, or has other tag columns than before (after; NULL: none). */
    int (*rwa_replaced)(edb_stmt *stmt, const edb_table *before, const edb_table *after);
} row_watch;

void row_watch_register(const row_watch *watch);
const row_watch *row_watch_get(void);               /* NULL: nobody watches */

#endif
