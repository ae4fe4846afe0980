/* What a redo record says: the changes of one commit, as bytes. docs/format.md, "Redo records", gives them. */
#ifndef EDB_REDO_H
#define EDB_REDO_H

#include "engine/tree/tree.h"

typedef struct {
    size_t rb_size;
    bool rb_full;                   /* it cannot say everything: the commit writes pages */
    uint32_t rb_tree;               /* the tree of the last changes */
    uint8_t rb_bytes[REDO_CHANGES_MOST];
} redo_buffer;

/* Changes that were applied to a tree: sorted by key, one change a key. again: the commit has changed the tree before; if another
 * one between, then that is too much for a record. */
void redo_add(redo_buffer *rb, uint32_t tree, bool again, const tree_change *changes, size_t n);
/* Row ids of the tree below it are given out. */
void redo_add_next_id(redo_buffer *rb, uint32_t tree, uint64_t next_id);

#endif
