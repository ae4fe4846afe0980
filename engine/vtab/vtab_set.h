/* What entitydb_set has done to a row: vtab_update.c. */
#ifndef EDB_VTAB_SET_H
#define EDB_VTAB_SET_H

#include "engine/vtab/scan.h"

#define SET_MOST 7                  /* columns that one statement sets */

/* Sets columns of the row that the scan stands on to values; told: who is told of an error. */
int vtab_set(sqlite3_vtab *told, scan *cu, const uint32_t *columns, uint32_t n, sqlite3_value **values);

#endif
