/* Row changes under the rules of their table: CHECK constraints, and foreign keys with their actions.
 *
 * rules_insert, _update and _delete are table_insert, _update and _delete plus what the rules make of them. A change
 * and all that follows from it is atomic: whatever fails, nothing of it is left.
 *
 * Foreign keys are judged and act while `PRAGMA foreign_keys` is on for the connection; CHECK always.
 *
 * The rules of a schema are kept with the binding (the *book*) as long as a table is connected, since they hold
 * prepared statements. */
#ifndef EDB_RULES_H
#define EDB_RULES_H

#include "engine/vtab/vtab.h"

/* values: all of a row, its generated columns computed (generate_new()). */
int rules_insert(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                 const edb_value *values, bool replace);
/* values, changed: of the columns that are not generated; the others' are filled in. */
int rules_update(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, const table_row *old,
                 int64_t rowid, edb_value *values, bool *changed, bool replace);
/* What an INSERT judges before it looks for conflicts: NOT NULL and CHECK. */
int rules_judge(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                const edb_value *values);
int rules_delete(vtab_binding *bd, row_scratch *rs, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                 bool *existed);

void rules_connected(vtab_binding *bd);             /* one table more is connected */
void rules_disconnected(vtab_binding *bd);          /* the last one takes the book along */
void rules_free(vtab_binding *bd);                  /* the scratches; with the binding */

#endif
