/* DDL: tables and their indexes made, changed and dropped.
 *
 * DDL is an ordinary write to tree 0 in the running transaction: it rolls back with it, conflicts like it, and the
 * version of a moment is found like any row's. Dropping a table removes its payload alone; its trees keep their
 * history. Each call is atomic: whatever fails, nothing of it is left.
 *
 * A payload that asks for something new has 0 in the place of the ids to be given. EDB_EXISTS, EDB_NOSUCH. */
#ifndef EDB_DDL_H
#define EDB_DDL_H

#include "engine/catalog/catalog.h"

int ddl_create(edb_stmt *stmt, const uint8_t *payload, size_t size, uint32_t *table_id);
/* A new version of a table; indexes without a tree id are made and filled from the living rows. judged: the caller
 * looked at the table's rows to allow it, so COMMIT fails if another transaction has changed them meanwhile. */
int ddl_replace(edb_stmt *stmt, const uint8_t *payload, size_t size, bool judged, uint32_t *table_id);
int ddl_drop(edb_stmt *stmt, const char *name);
/* A tree that belongs to no table, and its entry in the catalog. */
int ddl_create_tree(edb_stmt *stmt, const char *name, uint8_t key_size, uint32_t *tree);

#endif
