/* The entities of one type that a tag expression means, in ascending order, without collecting them where that can be
 * avoided.
 *
 * An expression becomes streams. A tag is a walk over its postings; what is to have all of several is found by leaps: the
 * stream that has come furthest says where the others go on, the smallest one leads (Demaine, Lopez-Ortiz, Munro,
 * "Adaptive set intersections, unions, and differences", SODA 2000). A prefix of tags is collected, since its tags' postings
 * are not in one order. "Not" needs the rows of the table. */
#ifndef EDB_TAG_SET_H
#define EDB_TAG_SET_H

#include "engine/entity/tag_expression.h"
#include "engine/entity/tag_trees.h"

typedef struct tag_set tag_set;

/* type: a table's id. */
int tag_set_open(edb_stmt *stmt, uint32_t type, const char *expression, size_t size, tag_set **out);
void tag_set_close(tag_set *ts);
/* To the first entity at or behind it, never before where it stands. */
int tag_set_seek(tag_set *ts, int64_t entity);
int tag_set_next(tag_set *ts);
bool tag_set_valid(const tag_set *ts);
int64_t tag_set_at(const tag_set *ts);              /* while valid */
/* Ids in memory; all 0: none yet. */
typedef struct {
    int64_t *il_ids;                /* owned: free() */
    size_t il_n, il_room;
} id_list;
/* Puts all entities behind what the list has. */
int tag_set_collect(tag_set *ts, id_list *out);
/* About how many entities an expression means, for plans; 0: the file has no tags. -1: nothing can be said. */
double tag_set_estimate(edb_stmt *stmt, uint32_t type, const char *expression, size_t size);

#endif
