/* What commits did to rows and tags, in the order of the commits.
 *
 * A tree tells its changes in an order of its own. So they are collected in windows: the walk over all trees keeps as many
 * changes as a window holds, those of the earliest commits, and the next window begins behind them. A window holds whole commits. */
#ifndef EDB_COMMIT_CHANGES_H
#define EDB_COMMIT_CHANGES_H

#include "engine/entity/alike.h"
#include "engine/entity/tables_ever.h"
#include "engine/entity/tag_trees.h"
#include "engine/tree/tree_events.h"

typedef struct {
    tree_event cc_change;
    const edb_table *cc_table;      /* whose row; of a tagging the row's table */
    bool cc_tagging;                /* the change is one of the tree of reverse entries */
    int64_t cc_id;                  /* the row */
} commit_change;

typedef struct {                    /* what is wanted: set it, and give it to changes_begin() */
    uint64_t cx_after, cx_upto;     /* commits, after excluded */
    bool cx_one;                    /* changes of the row cx_id alone, in each of the tables */
    int64_t cx_id;
    const tables_ever *cx_tables;   /* the caller's, as long as the walk */
    size_t cx_window;               /* changes of one window, more or less; 0: a number that is good */
} changes_wanted;

typedef struct {
    edb_stmt *ccs_stmt;
    changes_wanted ccs_wanted;
    tag_trees ccs_tags;
    alike ccs_alike;                /* of the table walked: changes that leave it alike are none */
    uint64_t ccs_served;            /* the last commit of the window */
    commit_change *ccs_window;      /* owned; ccs_n changes, in order */
    size_t ccs_n, ccs_i, ccs_room;
} commit_changes;

int changes_begin(commit_changes *ccs, edb_stmt *stmt, const changes_wanted *wanted);
void changes_end(commit_changes *ccs);
/* The next change; NULL: that was the last. Changes of one commit come by table, rows before tags, and by row id. Valid until the
 * next call. EDB_INTERRUPT. */
int changes_next(commit_changes *ccs, const commit_change **out);

#endif
