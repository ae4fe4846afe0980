/* A row as Python's marshal.loads() reads it: a tuple of the names of its columns and a tuple of their values. */
#ifndef EDB_ROW_MARSHAL_H
#define EDB_ROW_MARSHAL_H

#include "native/marshal.h"
#include "engine/catalog/row.h"

/* Appended to `out`. Generated columns are computed. */
int row_marshal(edb_stmt *stmt, const edb_table *table, const row_view *row, int64_t id, marshal_writer *out);

#endif
