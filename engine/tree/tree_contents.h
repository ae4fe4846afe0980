/* The contents of many commits, from the versions of all trees (tree_contents.c). */
#ifndef EDB_TREE_CONTENTS_H
#define EDB_TREE_CONTENTS_H

#include "engine/tree/tree_content.h"
#include "engine/tree/tree_masks.h"

typedef struct {
    /* Called where a version that commit `number` wrote stands otherwise in a later page, which reads of later moments see. NULL:
     * nobody asks. */
    void (*ctw_differs)(void *arg, uint64_t number, uint32_t tree);
    /* Called before each tree; nonzero ends the walk with that code. NULL: nobody asks. */
    int (*ctw_tree)(void *arg, uint32_t tree);
    void *ctw_arg;
} contents_watch;

typedef struct {                    /* where trees and their history are: of a snapshot, or as a commit leaves them */
    const array_state *ctn_trees;
    const cold_state *ctn_cold;
    uint64_t ctn_horizon;
    const tree_masks *ctn_masks;    /* NULL: no column counts as NULL */
} contents_source;

/* content(n) of commits after < n <= upto, as the trees have them now, into out[n - after - 1]. Needed for each of them: about 230
 * bytes of memory. None of them may be at or before the horizon. Under a pin, or in a commit. */
int contents_of(pager *pg, const contents_source *source, uint64_t after, uint64_t upto, const contents_watch *watch,
                uint8_t (*out)[SHA256_SIZE]);

#endif
