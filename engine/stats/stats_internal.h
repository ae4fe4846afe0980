/* What the files of statistics share: what is kept of a database. */
#ifndef EDB_STATS_INTERNAL_H
#define EDB_STATS_INTERNAL_H

#include "native/arena.h"
#include "engine/catalog/row.h"
#include "engine/stats/statistics.h"

#define GROUPS_MET 32               /* entries met for the groups of an index */
#define ROWS_MET 64                 /* rows met for a column */
#define ANALYZE_TIMES 16            /* so many times as many for ANALYZE */
#define WHOLE_INDEX UINT32_MAX      /* sq_column of the groups of an index */

typedef struct {
    uint32_t sq_tree, sq_column;    /* a table's tree and a column's id, or an index's tree and WHOLE_INDEX */
} stats_key;

typedef struct {
    stats_key sm_key;
    bool sm_used;
    uint64_t sm_rows;               /* the tree's count when it was taken */
    uint32_t sm_n;                  /* groups or values */
    group_size *sm_groups;          /* owned; of 1, 2, ... parts */
    bool sm_has_share;              /* sm_share is known, of a fuller sample than sm_values are */
    edb_value *sm_values;           /* owned; of rows met, texts and blobs in sm_memory, each text followed by a NUL */
    arena sm_memory;
    column_share sm_share;
} stats_record;

typedef struct stats_book stats_book;
/* What a database keeps, for this thread alone until stats_unlock(). NULL: no memory, or the connection
 * cannot be used. */
stats_book *stats_lock(edb_conn *conn);
void stats_unlock(stats_book *book);
/* The record of the key as long as it is young enough for a tree of so many entries; else an empty one, for the caller
 * to fill. NULL: no memory. Valid until the next call. *fresh: it has to be filled. */
stats_record *stats_find(stats_book *book, stats_key key, uint64_t rows, bool *fresh);
/* The tree of kept statistics; 0: there is none. */
uint32_t stats_tree(stats_book *book, edb_stmt *stmt);
/* The i-th of n places in a tree, one in each stretch of equal length: an argument of tree_sample(). */
uint64_t stats_place(uint32_t tree, uint32_t i, uint32_t n);

/* ---- kept.c ---- */

/* An entry: the key, then the count and the numbers. */
enum { KEPT_KEY = 8, KEPT_ROWS = 8, KEPT_NUMBER = 8, KEPT_SHARES = 3 };
void kept_key(stats_key key, uint8_t out[KEPT_KEY]);
/* Fills the record from what ANALYZE has kept; -> false: there is nothing young enough. */
bool kept_load(stats_book *book, edb_conn *conn, stats_record *sm, const tree_look *look);
bool stats_moved(uint64_t was, uint64_t is);        /* too much for statistics to serve on */

/* ---- groups.c, samples.c ---- */

void groups_take(stats_record *sm, const tree_look *look, const edb_index *index, uint32_t met);
void values_take(stats_record *sm, const tree_look *look, const edb_table *table, uint32_t column, uint32_t met);

#endif
