/* Keys of foreign keys that a row change touches, noted before the change and seen to behind it (constraints.c).
 *
 * Bytes are copied into the list's own memory, since the change may move what they lay in. */
#ifndef EDB_TOUCHED_H
#define EDB_TOUCHED_H

#include "native/arena.h"
#include "engine/table/constraint_book.h"

typedef struct {                    /* a key to see to behind the change */
    const fk_link *to_link;
    edb_value *to_key, *to_new;     /* to_new: of the parent's new row; NULL: deleted, or the link's child changed */
    bool to_parent;                 /* the parent's key went; else the child's came */
} touched;

typedef struct {
    touched *th_list;               /* NULL: nothing was touched yet */
    uint32_t th_n, th_most;
    uint32_t th_parents;            /* how many of them are to_parent */
    arena th_memory;
} touched_list;

void touched_begin(touched_list *tl, const table_constraints *cl);
void touched_end(touched_list *tl);
/* Foreign keys of the row as a child. changed NULL: it is new. */
int touch_as_child(touched_list *tl, const table_constraints *cl, const edb_value *values, const bool *changed);
/* Foreign keys that mean the row. values NULL: it is to be deleted. */
int touch_as_parent(touched_list *tl, edb_stmt *stmt, const table_constraints *cl, const table_row *old,
                    const edb_value *values, const bool *changed);

#endif
