/* The dictionary of tags: from texts to ids and back.
 *
 * An id is 32 bits of the text's hash, or the next number that is free where another text has it. So transactions that
 * give the same new tag at once choose the same id, and neither has to wait or fail: what they write is equal. Two
 * different new texts of one hash conflict, and the second is retried. Ids are never taken back.
 *
 *   G1  The text of an id and the id of a text lead to each other, now and at every moment.
 *   G2  Once committed, they never change. So what was found in a commit holds at every moment, and is kept by the
 *       process for all connections of the database. */
#ifndef EDB_TAG_DICTIONARY_H
#define EDB_TAG_DICTIONARY_H

#include "native/value.h"
#include "engine/entity/tag_trees.h"

/* The id of a text as the statement sees it. */
int tag_id_find(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id, bool *found);
/* Which of many texts have no id; meant for such of which most have none. */
int tag_ids_absent(edb_stmt *stmt, const tag_trees *trees, const edb_value *texts, size_t n, bool *absent);
/* The same for a write: by all own writes. */
int tag_id_now(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id, bool *found);
/* The same, and a new one is given. */
int tag_id_make(edb_stmt *stmt, const tag_trees *trees, const void *text, size_t size, uint32_t *id);
/* The text of an id, valid as long as the statement, or until the next call with the same `room` (TAG_MOST bytes).
 * EDB_CORRUPT: there is none. */
int tag_text(edb_stmt *stmt, const tag_trees *trees, uint32_t id, uint8_t *room, const uint8_t **text, uint32_t *size);
/* The id in an entry of the dictionary; EDB_CORRUPT. */
int tag_id_of_entry(const uint8_t *value, uint32_t value_size, bool overflow, uint32_t *id);
/* What id a text has if no other has it. */
uint32_t tag_hash(const void *text, size_t size);

#endif
