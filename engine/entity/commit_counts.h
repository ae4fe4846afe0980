/* How much one commit changed. */
#ifndef EDB_COMMIT_COUNTS_H
#define EDB_COMMIT_COUNTS_H

#include "engine/catalog/row.h"
#include "engine/entity/tables_ever.h"

/* *rows: how many rows commit `number` inserted, updated and deleted; names: of their tables, as a JSON array, appended. A row whose
 * tags alone changed does not count. */
int commit_counts(edb_stmt *stmt, const tables_ever *tables, uint64_t number, uint64_t *rows, table_buffer *names);

#endif
