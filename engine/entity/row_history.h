/* When the versions of a row began and ended. */
#ifndef EDB_ROW_HISTORY_H
#define EDB_ROW_HISTORY_H

#include "engine/edb.h"

/* See edb_history in edb.h. */
int row_history(edb_stmt *stmt, edb_history *history);

/* The life of a row that is there at the statement's moment: since it was last inserted. */
typedef struct {
    uint64_t rl_created, rl_updated;    /* commits that wrote its first version and its newest; 0: no commit did */
    uint64_t rl_versions;           /* committed versions */
} row_life;
int row_life_find(edb_stmt *stmt, uint32_t table, int64_t id, row_life *out);

#endif
