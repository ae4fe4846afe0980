/* What SQLite is told of a table's columns: names, types and collations, nothing else.
 *
 * NOT NULL would let SQLite fold `IS NULL` to false, and hide the rows of a day when the column could be NULL. The
 * affinity SQLite derives from the declared type has to be the catalog's, since comparisons are made with it: a type
 * that would give another, or that SQLite reads as something else than a type, is declared as the plain name of the
 * affinity. Generated columns are declared like others, since SQLite has none in virtual tables; the driver keeps
 * statements from writing to them. The expression of an index is a hidden column. */
#ifndef EDB_DECLARE_H
#define EDB_DECLARE_H

#include "engine/catalog/catalog.h"
#include "engine/eval/sqlite.h"

/* Behind the table's columns every declaration has a hidden one, always NULL to look at. WHERE it is 1, the rows are
 * those that the statement's capture kept (txn/capture.h), in their order. */
#define COLUMN_RETURNED "entitydb returned"
#define COLUMN_PARTIAL "entitydb partial"           /* behind it, where an index is partial: vtab/partial_plan.h */

int declare_table(sqlite3 *db, const edb_table *table);     /* a result of SQLite's */
const char *collation_name(int collation);          /* COLLATE_... as SQL writes it */

#endif
