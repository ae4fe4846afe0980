/* Which columns have no history, by what the catalog says (engine/tree/tree_masks.h). Most files have none, and say so in the header
 * (PAGER_UNVERSIONED): then nothing is read. */
#ifndef EDB_MASKS_H
#define EDB_MASKS_H

#include "engine/pager/pager.h"
#include "engine/tree/tree_masks.h"

/* Of all trees, by all versions of the catalog that a snapshot keeps, dropped tables included. tree_masks_free() it. Under a pin, or in
 * a commit. */
int masks_of(pager *pg, const snapshot *sn, tree_masks *out);

typedef struct {                    /* of a process, for its commits; used under the committer lock alone */
    bool mkn_known;
    uint64_t mkn_schema;            /* the number of the catalog that they are of */
    tree_masks mkn_masks;
} masks_known;

/* Those of a commit's base, read anew where the catalog is another. */
int masks_refresh(masks_known *known, pager *pg, const snapshot *base);

#endif
