/* When the versions of a row began and ended. */
#ifndef EDB_ROW_HISTORY_H
#define EDB_ROW_HISTORY_H

#include "engine/edb.h"

/* See edb_history in edb.h. */
int row_history(edb_stmt *stmt, edb_history *history);

#endif
