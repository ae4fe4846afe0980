/* The versions of rows as periods: from the commit that wrote one to the commit that ended it. */
#ifndef EDB_ROW_VERSIONS_H
#define EDB_ROW_VERSIONS_H

#include "engine/entity/alike.h"
#include "engine/tree/tree_events.h"
#include "engine/txn/txn.h"

/* Versions that are alike are one: a run, told with what the last of them has. */
typedef struct {
    uint64_t vn_begun;              /* the commit that wrote it */
    uint64_t vn_ended;              /* the one that ended it; 0: it is current */
    signed char vn_had;             /* 1: the row was there before it, 0: it was not; -1: unknown */
    bool vn_deletion;               /* no version, but that the row was deleted: by commit vn_begun, which is vn_ended too */
    edb_entry vn_entry;             /* the version; of a deletion the one that it ended */
} row_version;

/* Which versions are wanted; of a deletion its commit counts as the end. */
typedef struct {
    uint64_t vw_begun_after, vw_begun_upto;     /* after < begun <= upto */
    uint64_t vw_ended_after, vw_ended_upto;     /* after < ended <= upto; FOREVER: current ones too */
    bool vw_deletions;              /* these too */
} versions_wanted;

/* A walk over committed versions of a table's rows, as the statement knows them: those that later commits wrote are not there,
 * and one that a later commit ended is current. */
typedef struct {
    edb_stmt *rvs_stmt;
    versions_wanted rvs_wanted;
    bool rvs_there;                 /* the tree is; else nothing was ever in it */
    bool rvs_changes, rvs_current;  /* what is walked: the changes, then what is current */
    tree_events rvs_events;
    tree_cursor rvs_rows;
    const uint8_t *rvs_high;
    size_t rvs_high_size;
    uint8_t rvs_row[2][8];          /* the bounds of versions_start_row() */
    uint64_t rvs_last_at;           /* the last change: its commit, its key, and whether the row was there before */
    const uint8_t *rvs_last_key;
    uint32_t rvs_last_key_size;
    bool rvs_last_had;
    row_version rvs_later;          /* a deletion that comes behind the version it ended */
    bool rvs_has_later;
    alike rvs_alike;
    uint64_t rvs_run_at, rvs_run_begun;     /* the last change that was none: its commit, and that which began the run it is in; */
    const uint8_t *rvs_run_key;     /* and of which key */
} row_versions;

int versions_open(row_versions *rvs, edb_stmt *stmt, const edb_table *table, const versions_wanted *wanted);
void versions_close(row_versions *rvs);
/* A walk over keys low <= k < high; NULL: no bound. Bounds are not copied. */
int versions_start(row_versions *rvs, const void *low, size_t low_size, const void *high, size_t high_size);
int versions_start_row(row_versions *rvs, int64_t id);  /* over one row */
/* The next version, in no order; *found false: that was the last. What it points to lasts as long as the statement. */
int versions_next(row_versions *rvs, row_version *out, bool *found);

/* The period of the version that an entry of the table is: the commit that began it, and the one that ended it; 0: none up to `now`, a
 * commit number. ended NULL: it is not asked for. */
int version_period(edb_stmt *stmt, const edb_table *table, const edb_entry *entry, uint64_t now, uint64_t *begun, uint64_t *ended);
/* What was done to a key that was there before, and is there afterwards: "insert", "update" or "delete". */
const char *operation_name(bool had, bool has);
/* What the commit did that began a version of the tree, or the deletion. */
int version_operation(edb_stmt *stmt, uint32_t tree, const row_version *vn, const char **out);
/* The row ids in all entries that an index ever had from low to high, up to the statement's moment, each once and ascending;
 * *ids is malloc()ed. */
int versions_of_index(edb_stmt *stmt, uint32_t tree, const void *low, size_t low_size, const void *high, size_t high_size,
                      int64_t **ids, size_t *n);
/* Sorts ids and leaves each once; -> how many are left. */
size_t ids_unique(int64_t *ids, size_t n);

#endif
