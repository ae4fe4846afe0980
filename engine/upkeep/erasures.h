/* Receipts: that something was erased, what of whom, and why. They stand in a tree of their own, and live, so that they stay when
 * history is pruned. */
#ifndef EDB_ERASURES_H
#define EDB_ERASURES_H

#include "engine/catalog/row.h"

#define ERASURES_NAME "erasures"    /* of the catalog entry */

/* Columns of a receipt, a row: stored, never renumber. */
enum { ERASED_TABLE, ERASED_HASH, ERASED_COLUMNS, ERASED_VERSIONS, ERASED_REASON, ERASED_ACTOR, ERASED_N };

/* The tree, as the statement sees it; 0: nothing was ever erased. */
int erasures_tree(edb_stmt *stmt, uint32_t *tree);
/* Reads a receipt; texts point into the entry or the buffer. EDB_CORRUPT. */
int erasure_of_entry(edb_stmt *stmt, const edb_entry *entry, table_buffer *buffer, edb_value out[ERASED_N]);
int erasure_read(pager *pg, const edb_entry *entry, table_buffer *buffer, edb_value out[ERASED_N]);
/* To be erased by the commit of the running transaction, which may write nothing else to the table or its indexes: all versions of a row,
 * or values of columns in them (a JSON list of names; NULL: all of it), and the receipt of that. EDB_NOSUCH: there is no table, column or
 * version; EDB_MISUSE: the row lives, or the column has a value; EDB_CANNOT: the column cannot be erased alone. */
typedef struct {
    edb_value rqs_said[ERASED_N];   /* of these the versions are not looked at */
    int64_t rqs_row;
    const char *const *rqs_columns; /* their names */
    size_t rqs_n_columns;           /* 0: the whole row */
} erasure_request;
int erasure_put(edb_stmt *stmt, const erasure_request *request);

#endif
