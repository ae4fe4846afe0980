/* What a transaction promises about tags, and COMMIT must find true if anybody else has committed since (txn.h, promises).
 *
 *   rows      G4 between transactions: the rows that it tags are there, and those that it deletes have got no tags.
 *   alone     nobody else has changed tags of the table: it goes, or a tag column of it comes or goes, which was decided by
 *             the tags that were seen.
 *   returned  nobody else has given tags to the row: it was deleted and its tags with it, and another has its row id.
 *
 * Of the first two there is one for a table at most, however many rows are concerned. */
#ifndef EDB_TAG_PROMISES_H
#define EDB_TAG_PROMISES_H

#include "engine/entity/tag_trees.h"

int tag_promise_rows(edb_stmt *stmt, uint32_t table);
int tag_promise_alone(edb_stmt *stmt, uint32_t table);
int tag_promise_returned(edb_stmt *stmt, uint32_t table, int64_t rowid);

#endif
