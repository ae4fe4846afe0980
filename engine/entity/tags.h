/* Tags on entities: given, taken away, and kept in step with the rows they are on.
 *
 *   G3  A tagging stands in postings and in reverse, in both or in neither, written by the same commit.
 *   G4  The row of a tagging is there. A deleted row takes its tags with it in the same commit, a row that gets another
 *       row id takes them along, a dropped table takes those of all its rows.
 *   G5  Two transactions that give the same tag to the same entity both commit, likewise two that take it away. One that
 *       gives it and one that takes it away conflict, as do one that tags a row and one that deletes it, and one that drops
 *       a table or a tag column, or declares one, and one that tags rows of the table.
 *   G6  The tags of a declared namespace are the values of its column (catalog.h, `tag`), and nobody writes them by hand.
 *
 * What G4 and G6 ask between transactions is promised (tag_promises.h). */
#ifndef EDB_TAGS_H
#define EDB_TAGS_H

#include "engine/catalog/catalog.h"
#include "engine/entity/tag_trees.h"

/* *added false: it had the tag. EDB_TAG: the text is none; EDB_FOREIGNKEY: there is no such row; EDB_MISUSE: G6. */
int tag_add(edb_stmt *stmt, const edb_table *table, int64_t entity, const void *text, size_t size, bool *added);
/* *removed false: it did not have the tag. EDB_MISUSE: G6. */
int tag_remove(edb_stmt *stmt, const edb_table *table, int64_t entity, const void *text, size_t size, bool *removed);

/* ---- for tag_columns.c, and who writes many: the row is there, and the namespace may be declared ---- */

int tag_put(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, int64_t entity, const void *text,
            size_t size, bool *added);
/* Of a tag in the dictionary. fresh: the row id was never used, so the row cannot have it. */
int tag_put_id(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, int64_t entity, uint32_t id, bool fresh,
               bool *added);
/* Whether the text can be a tag of the table's rows that is given by hand: EDB_TAG, EDB_MISUSE. */
int tag_judge_by_hand(edb_stmt *stmt, const edb_table *table, const void *text, size_t size);
int tag_take(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, int64_t entity, const void *text,
             size_t size, bool *removed);
/* Takes all tags of a table's rows, or those of a namespace (not ''); and whether there is any of the namespace. */
int tags_drop(edb_stmt *stmt, uint32_t table, const char *ns);
int tags_in_namespace(edb_stmt *stmt, uint32_t table, const char *ns, bool *any);

/* ---- rows that go and come back (watch.h) ---- */

int tags_row_deleted(edb_stmt *stmt, const edb_table *table, int64_t rowid);
int tags_row_returned(edb_stmt *stmt, const edb_table *table, int64_t rowid);
int tags_row_moved(edb_stmt *stmt, const edb_table *table, int64_t from, int64_t to);

#endif
