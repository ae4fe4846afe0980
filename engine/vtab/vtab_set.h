/* The eponymous table entitydb_set: the columns that a statement sets, in the row that a scan stands on.
 *
 *   vtab_set.c    the table
 *   set_course.c  what the rows of one statement have in common, and those that are changed by that alone
 *   vtab_update.c all others */
#ifndef EDB_VTAB_SET_H
#define EDB_VTAB_SET_H

#include "engine/vtab/scan.h"

#define SET_MOST 7                  /* columns that one statement sets */
#define SET_WIDEST 64               /* columns of a table whose rows are changed by what they have in common */

typedef struct set_course {         /* of the statement that set rows last; a binding has one */
    uint64_t stc_stmt;              /* stmt_id(); 0: none */
    uint64_t stc_packed;            /* the columns as SQLite gives them */
    const edb_table *stc_table;     /* while stc_stmt runs */
    uint32_t stc_n, stc_columns[SET_MOST];
    bool stc_alone;                 /* nothing looks at the values that stay, but stc_judges_null: that they are not NULL */
    bool stc_judges_null;
    bool stc_changed[SET_WIDEST];
    edb_value stc_values[SET_WIDEST];
} set_course;

/* From the byte of the first column on, each its position and one; -> how many. */
uint32_t set_columns(uint64_t packed, uint32_t columns[SET_MOST]);
/* NULL: each row has to be judged by itself, or nobody knows yet. */
set_course *set_course_of(scan *cu, uint64_t packed);
/* *done false: the row is another than the others. */
int set_alone(set_course *stc, scan *cu, sqlite3_value **values, bool *done);
/* Sets columns of the row that the scan stands on to values; told: who is told of an error. */
int vtab_set(sqlite3_vtab *told, scan *cu, const uint32_t *columns, uint32_t n, sqlite3_value **values);

#endif
