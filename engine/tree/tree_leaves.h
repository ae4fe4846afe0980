/* The leaves that a key has ever been in: what is moved or erased with a key's versions. */
#ifndef EDB_TREE_LEAVES_H
#define EDB_TREE_LEAVES_H

#include "engine/tree/page.h"

/* ref: by which its parents refer to it, a cold id or, of what is current or older than cold ids, the page. A nonzero result ends
 * the walk. */
typedef int (*tree_leaf_fn)(void *arg, page_ref ref, bool history, const uint8_t *page);
/* Calls fn once for each leaf that has a version of the key, tombstones included. The state is one that history can be read by. */
int tree_leaves_of_key(pager *pg, const tree_state *state, const uint8_t *key, uint32_t key_size, tree_leaf_fn fn, void *arg);

#endif
