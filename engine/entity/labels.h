/* Labels: names for commits, in a tree of their own.
 *
 * A label is a text written inside a transaction. Its key is the text; its value, a varint, orders the labels of one
 * commit; its version's `from` is the commit it names, so nothing has to be known when it is written, and ROLLBACK,
 * savepoints and crashes treat it like a row. The same label given again is a new version: the newest commit counts, and
 * earlier ones are found as of earlier moments. Two transactions that give one label do not conflict.
 *
 * The tree belongs to no table. Its catalog entry (CATALOG_TREE, "labels") is made with the first label. */
#ifndef EDB_LABELS_H
#define EDB_LABELS_H

#include "engine/txn/txn.h"

#define LABELS_NAME "labels"        /* of its catalog entry */

/* The tree of labels as the statement sees it; 0: no label was ever given. */
int labels_tree(edb_stmt *stmt, uint32_t *tree);
/* Labels the commit that the statement's transaction will become. EDB_MISUSE: not a text that can be one. */
int label_put(edb_stmt *stmt, const char *label, size_t size);
/* The value of an entry; EDB_CORRUPT. */
int label_place(const edb_entry *entry, uint64_t *place);
/* Commit time of an entry that is no own write. */
int label_time(edb_stmt *stmt, const edb_entry *entry, int64_t *ns);

#endif
