/* A row as a JSON object of its columns, as SQLite's json functions would write it; a blob is its bytes in hexadecimal. */
#ifndef EDB_ROW_JSON_H
#define EDB_ROW_JSON_H

#include "engine/catalog/row.h"

/* Appended to `out`. Generated columns are computed. */
int row_json(edb_stmt *stmt, const edb_table *table, const row_view *row, int64_t id, table_buffer *out);
/* A text as a JSON string, appended. */
int json_text(table_buffer *out, const char *text);

#endif
