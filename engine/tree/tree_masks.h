/* Which columns of which trees have no history: docs/format.md, "Unversioned columns".
 *
 * What a commit wrote to such a column counts for nothing in its content, and packs have NULL in its place. A tree knows no columns;
 * whoever reads the catalog says which these are. Once the place of a column in rows is named it stays so, so what the
 * catalog said last is right for rows of all times. */
#ifndef EDB_TREE_MASKS_H
#define EDB_TREE_MASKS_H

#include "native/rowmask.h"

typedef struct {
    uint32_t tmk_tree;
    uint32_t *tmk_ids;              /* owned */
    row_mask tmk_mask;              /* refers to them */
} tree_mask;

typedef struct {                    /* all zero: none */
    tree_mask **tms_of;             /* owned; ascending by tree */
    size_t tms_n, tms_room;
} tree_masks;

/* Adds columns of a tree, by their places in rows, ascending, to those that it has. Masks that were found before are no longer valid
 * for this tree. EDB_NOMEM. */
int tree_masks_add(tree_masks *masks, uint32_t tree, const uint32_t *ids, uint32_t n);
int tree_masks_copy(tree_masks *out, const tree_masks *from);
void tree_masks_free(tree_masks *masks);
/* Of a tree; NULL: all its columns have a history. masks NULL: there are none. */
const row_mask *tree_masks_find(const tree_masks *masks, uint32_t tree);

#endif
