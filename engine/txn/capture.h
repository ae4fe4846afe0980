/* Rows a statement has changed, kept for its RETURNING.
 *
 * A capture belongs to a statement (edb_stmt_capture) and keeps, in the order of the changes, the new row of each
 * INSERT and UPDATE and the old one of each DELETE, as they are stored. Then the statement that evaluates the list
 * takes it over (edb_stmt_returned), and a scan of the table yields these rows instead of the tree's. What the change
 * did besides (rows that REPLACE or a foreign key took away) is not kept. It owns its memory; entries point into it
 * and last as long as the statement. */
#ifndef EDB_CAPTURE_H
#define EDB_CAPTURE_H

#include "engine/txn/txn.h"

typedef struct capture capture;

int capture_new(uint32_t table, capture **out);
void capture_free(capture *cp);
uint32_t capture_table(const capture *cp);
size_t capture_count(const capture *cp);
int capture_add(capture *cp, int64_t rowid, const uint8_t *row, size_t size);   /* copies the row */
void capture_drop(capture *cp, size_t count);               /* forgets all but the first `count` */
/* Row i as a cursor would find it; false: there are not so many. */
bool capture_entry(const capture *cp, size_t i, edb_entry *out);

/* The statement's, NULL if it has none for this table. */
capture *stmt_capture(edb_stmt *stmt, uint32_t table);

#endif
