/* History tables: "t history" for a table t, under a name that entitydb_history() gives it (vtab_history.c).
 *
 * A reference to one reads its table at a moment of its own, or reads versions, whatever the statement reads:
 *
 *     "t history"(moment)                       the rows as of a moment
 *     "t history" WHERE as_of = moment          the same; the moment may be another table's column
 *     "t history"(a, b, 'from to')              versions of a time: begun before b, ended after a
 *     "t history"(a, b, 'between')              likewise, begun at or before b
 *     "t history"(a, b, 'contained in')         begun at or after a, ended at or before b
 *     "t history"(0, 0, 'all')                  all versions
 *     "t history"(0, 0, 'changes')              all versions, and a row for each deletion
 *
 * Moments are nanoseconds. Without a moment or a kind a scan fails: the present is the table itself. A moment that is NULL finds
 * nothing. One made for a table that was dropped or renamed has the table as it was last; as of later moments a scan fails.
 *
 * Behind the table's columns stand the arguments, hidden, and then, under these names or, where the table has such a column itself,
 * with "entitydb_" before them:
 *
 *     as_of           the moment asked for; of versions valid_from
 *     valid_from      when the version began (nanoseconds)
 *     valid_to        when it ended, excluded; NULL: it is current
 *     operation       'insert', 'update'; 'delete' in the row of a deletion, which has the values that were deleted, and begins
 *                     and ends when it happened
 *     transaction_id  the commit that began it
 *
 * then the row's id, hidden. A table with indexes on expressions has hidden columns among its own, to which
 * SQLite gives arguments first: as many zeros stand before the moment then. Every hidden column reads as what was given, since SQLite
 * compares it once more where it walks several indexes for an OR. (So an argument is not NULL, but for a moment that finds nothing.)
 *
 * Values are read as of a moment in AS OF; those of a version as they read last, before it ended. */
#ifndef EDB_HISTORY_H
#define EDB_HISTORY_H

#include "engine/entity/row_versions.h"
#include "engine/vtab/scan.h"

/* Columns, counted from the table's last. */
enum {
    HISTORY_MOMENT, HISTORY_UNTIL, HISTORY_KIND,        /* arguments */
    HISTORY_AS_OF, HISTORY_FROM, HISTORY_TO, HISTORY_OPERATION, HISTORY_TRANSACTION,
    HISTORY_ROW,
    HISTORY_COLUMNS,
};

/* The plan: that of the table's scan behind one of these. The arguments follow those of that plan: the moment, or moment, until
 * and kind. */
enum { PLAN_DATED = '@', PLAN_VERSIONS = '#', PLAN_NO_MOMENT = '!' };

#define HISTORY_TIMES 8

typedef struct {
    uint64_t htm_commit;             /* 0: none */
    int64_t htm_ns;
} history_time;

typedef struct {
    scan hs_scan;                   /* first */
    int64_t hs_moment, hs_until;    /* the arguments */
    const char *hs_kind;            /* NULL: as of hs_moment */
    bool hs_versions;               /* the plan was one of PLAN_VERSIONS: what follows counts */
    uint64_t hs_now;                /* the newest commit of the statement */
    row_versions hs_walk;           /* open if hs_open */
    bool hs_open, hs_over;
    bool hs_by_rows;                /* the rows hs_ids are walked one by one */
    int64_t *hs_ids;                /* owned */
    size_t hs_n_ids, hs_id;
    row_version hs_at;              /* unless hs_over */
    history_time hs_times[HISTORY_TIMES];       /* of the database, so good for ever */
    bool hs_row_ready;
    row_view hs_row;                /* if hs_row_ready */
    table_buffer hs_buffer;
    edb_table *hs_then;             /* counted; the table as it was at commit hs_then_at; NULL: not asked for yet */
    uint64_t hs_then_at;
    edb_table *hs_bare;             /* counted; the table of now without columns that have no history; NULL: likewise */
} history_scan;

static inline uint32_t history_column(const edb_table *table, int column)
{
    return (uint32_t)column - table->et_n_columns;
}

int history_best_index(sqlite3_vtab *base, sqlite3_index_info *info);
int history_filter(sqlite3_vtab_cursor *base, int tree, const char *plan, int argc, sqlite3_value **argv);
int history_next(sqlite3_vtab_cursor *base);
int history_eof(sqlite3_vtab_cursor *base);
int history_column_value(sqlite3_vtab_cursor *base, sqlite3_context *context, int column);
int history_close(sqlite3_vtab_cursor *base);

#endif
