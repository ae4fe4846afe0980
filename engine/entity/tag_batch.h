/* Tags given to many rows by one statement: each text is judged and looked up in the dictionary once. */
#ifndef EDB_TAG_BATCH_H
#define EDB_TAG_BATCH_H

#include "engine/entity/tags.h"

typedef struct tag_batch tag_batch;

int tag_batch_new(edb_stmt *stmt, const edb_table *table, tag_batch **out);     /* makes the trees if need be */
void tag_batch_free(tag_batch *tb);                 /* NULL is fine */
/* The tags of a row are noted, and given to it; those that are still noted can be given to the next row, too. */
void tag_batch_forget(tag_batch *tb);
int tag_batch_note(tag_batch *tb, const void *text, size_t size);
/* As tag_add() of each, to a row that is there. fresh: the row id was never used, so it cannot have a tag. */
int tag_batch_give(tag_batch *tb, int64_t entity, bool fresh);

#endif
