/* Results of columns that tell of rows and commits. Internal to the eponymous tables. */
#ifndef EDB_ROW_RESULTS_H
#define EDB_ROW_RESULTS_H

#include "engine/entity/row_marshal.h"
#include "engine/vtab/vtab.h"

/* When a commit was, in nanoseconds; NULL of commit 0. */
int result_commit_time(sqlite3_context *context, edb_stmt *stmt, uint64_t commit);
/* The row of an entry as JSON (entity/row_json.h). row and json are room that is used again. */
int result_row_json(sqlite3_context *context, edb_stmt *stmt, const edb_table *table, const edb_entry *entry, int64_t id,
                    table_buffer *row, table_buffer *json);
/* The same for Python (entity/row_marshal.h). */
int result_row_marshal(sqlite3_context *context, edb_stmt *stmt, const edb_table *table, const edb_entry *entry, int64_t id,
                       table_buffer *row, marshal_writer *out);

#endif
