/* Many rows put into a table at once, with their tags, as one statement would.
 *
 * A row whose primary key is there changes that row, in the columns that are given; any other is inserted, with the defaults
 * of the columns that are not. Constraints, foreign keys, generated columns and tags are judged as for a statement of SQL. */
#ifndef EDB_PUT_MANY_H
#define EDB_PUT_MANY_H

#include "engine/table/constraints.h"

/* sw: the connection's. rows, tags, ids: see edb_put in edb.h. On failure the caller undoes the statement; the message names
 * the row. */
int put_many(edb_stmt *stmt, constraints *cs, row_scratch *sw, edb_put *put);

#endif
