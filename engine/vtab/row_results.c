/* Results of columns that tell of rows and commits (row_results.h). */
#include "engine/vtab/row_results.h"

#include "engine/catalog/row.h"
#include "engine/entity/row_json.h"

int result_commit_time(sqlite3_context *context, edb_stmt *stmt, uint64_t commit)
{
    int64_t ns;
    int rc = commit ? commit_time(stmt, commit, &ns) : EDB_OK;
    if (!rc && commit)
        sqlite3_result_int64(context, ns);
    return rc;
}

int result_row_json(sqlite3_context *context, edb_stmt *stmt, const edb_table *table, const edb_entry *entry, int64_t id,
                    table_buffer *row, table_buffer *json)
{
    row_view view;
    int rc = row_of_entry(row, stmt, table, entry, id, &view);
    buffer_clear(json);
    if (!rc)
        rc = row_json(stmt, table, &view, id, json);
    if (!rc)
        sqlite3_result_text64(context, (const char *)json->bf_bytes, json->bf_size, SQLITE_TRANSIENT, SQLITE_UTF8);
    return rc;
}

int result_row_marshal(sqlite3_context *context, edb_stmt *stmt, const edb_table *table, const edb_entry *entry, int64_t id,
                       table_buffer *row, marshal_writer *out)
{
    row_view view;
    int rc = row_of_entry(row, stmt, table, entry, id, &view);
    out->mw_size = 0;
    if (!rc)
        rc = row_marshal(stmt, table, &view, id, out);
    if (!rc)
        sqlite3_result_blob64(context, out->mw_bytes, out->mw_size, SQLITE_TRANSIENT);
    return rc;
}
