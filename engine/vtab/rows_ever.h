/* What the eponymous tables over the past of all rows share: constraints on a table's name, a row id and commits.
 * Internal to vtab_versions.c and vtab_changes.c. */
#ifndef EDB_ROWS_EVER_H
#define EDB_ROWS_EVER_H

#include "engine/entity/tables_ever.h"
#include "engine/vtab/vtab.h"

/* The sum of them is a plan; those before EVER_ABOVE have an argument, in this order. ABOVE, BELOW: the bound is excluded. */
enum { EVER_TYPE = 1, EVER_ID = 2, EVER_AT = 4, EVER_LOW = 8, EVER_HIGH = 16, EVER_ABOVE = 32, EVER_BELOW = 64 };

typedef struct {                    /* positions of columns; -1: there is none to use */
    int ec_type, ec_id, ec_commit;
} ever_columns;

/* Uses what it can; rows: a guess of how many there are without constraints. */
void ever_plan(const ever_columns *columns, sqlite3_index_info *info, double rows);

typedef struct {                    /* the arguments read */
    bool ea_nothing;                /* no row can be meant */
    bool ea_one;
    int64_t ea_id;
    uint64_t ea_after, ea_upto;     /* commits */
    tables_ever ea_tables;          /* those meant; tables_ever_free() it */
} ever_arguments;

int ever_read(edb_stmt *stmt, int plan, sqlite3_value **argv, ever_arguments *out);

#endif
