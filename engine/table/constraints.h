/* Row changes under the constraints of their table: table.h judges the row itself, foreign keys and their actions are
 * added here.
 *
 * constraints_insert, _update and _delete are table_insert, _update and _delete plus what foreign keys make of them. A
 * change and all that follows from it is atomic: whatever fails, nothing of it is left. Foreign keys are judged and act
 * while SETTING_FOREIGN_KEYS is on for the connection.
 *
 * No SQLite connection is needed, unless the table has something that only SQLite can evaluate (eval/evaluator.h). */
#ifndef EDB_CONSTRAINTS_H
#define EDB_CONSTRAINTS_H

#include "engine/table/constraint_book.h"
#include "engine/table/met_keys.h"
#include "engine/table/table.h"

typedef struct {                    /* of one engine connection; zeroed to begin with */
    constraint_book *cs_book;       /* of the schema used last; NULL: not read yet */
    uint32_t cs_judging;            /* changes that stand on cs_book */
    uint32_t cs_depth, cs_n_levels; /* levels of foreign key actions now; scratches there are */
    row_scratch **cs_levels;        /* one for each level; owned */
    bool cs_aborts;                 /* an action failed: set here, and never taken back */
    met_keys cs_met;
    table_buffer cs_name;           /* of the promise at hand */
} constraints;

void constraints_free(constraints *cs);

/* values: all of a row, its generated columns computed (evaluate_generated()). */
int constraints_insert(constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                       bool fresh, edb_value *values, bool replace);
/* values, changed: of the columns that are not generated; the others' are filled in. */
int constraints_update(constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old,
                       int64_t rowid, edb_value *values, bool *changed, bool replace);
/* Whether table_update_alone() does what constraints_update() would, nothing else following from the change. */
int constraints_alone(constraints *cs, edb_stmt *stmt, const edb_table *table, const table_row *old, const bool *changed,
                      bool *out);
/* The same of all rows of which table_may_change_alone() tells. */
int constraints_may_be_alone(constraints *cs, edb_stmt *stmt, const edb_table *table, const bool *changed, bool *out);
int constraints_delete(constraints *cs, row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid,
                       bool *existed);

#endif
