/* Statistics for plans: how many entries a value or a range has. README.md beside this file says how they are taken.
 *
 * All of it is about the newest state, whatever moment a statement reads, and all of it is an estimate: no answer may
 * depend on it. What was learnt is kept by the process, for all who have the database open in it. Where nothing can be
 * learnt (no memory, a damaged page, an empty tree) a guess comes back, never an error. */
#ifndef EDB_STATISTICS_H
#define EDB_STATISTICS_H

#include "engine/catalog/catalog.h"

typedef struct {
    double gs_mean;                 /* entries of one value: the mean over all values */
    double gs_met;                  /* entries of the value of an entry met at random: frequent values weigh more */
} group_size;

/* Groups of entries that are equal in the first `parts` parts of the index. At least 1. */
group_size stats_groups(edb_conn *conn, const edb_index *index, uint32_t parts);
/* Entries between two keys of a tree, low included; NULL: unbounded. */
double stats_between(edb_conn *conn, uint32_t tree, const void *low, size_t low_size, const void *high,
                     size_t high_size);

/* Shares of a table's rows, between 0 and 1, from rows met at random. */
typedef struct {
    double sv_null;                 /* rows in which the column is NULL */
    double sv_mean, sv_met;         /* rows of one value that is not NULL, as in group_size */
} column_share;
column_share stats_column(edb_conn *conn, const edb_table *table, uint32_t column);

typedef enum { SHARE_EQUAL, SHARE_LESS, SHARE_LESS_EQUAL, SHARE_GREATER, SHARE_GREATER_EQUAL } share_op;
/* Rows for which `column op value` is true, value not NULL and under the column's affinity already. */
double stats_share(edb_conn *conn, const edb_table *table, uint32_t column, int collation, share_op op,
                   const edb_value *value);
/* Rows whose text the test accepts: for LIKE and GLOB. The text ends with a NUL. */
typedef bool (*share_test)(const char *text, const char *pattern);
double stats_texts(edb_conn *conn, const edb_table *table, uint32_t column, share_test test, const char *pattern);

/* Takes all of a table's statistics from a fuller sample and writes them into the file, for ANALYZE. They serve from now
 * on, and after reopening once the statement's transaction is committed, as long as they are young enough. */
int stats_keep(edb_stmt *stmt, const edb_table *table);
#define STATISTICS_NAME "statistics"    /* of the tree's catalog entry */
/* Whether an entry of the tree is one that stats_keep() writes. */
bool stats_kept_valid(const void *key, size_t key_size, const void *value, size_t value_size);

#endif
