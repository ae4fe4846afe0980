/* Taking keys, or parts of their values, out of a tree at all moments (tree_erase.c). */
#ifndef EDB_TREE_ERASE_H
#define EDB_TREE_ERASE_H

#include "engine/tree/page.h"

typedef struct {
    /* The keys meant, in a tree of fixed keys: 8 bytes each, ascending. In others whose these are is asked. */
    const uint8_t (*ter_keys)[8];
    size_t ter_n_keys;
    bool (*ter_is_key)(void *arg, const uint8_t *key, uint32_t key_size);
    /* What a value becomes, at `out`, which has room for all of it; *out_size at most `size`. NULL: the versions go, tombstones too. */
    int (*ter_value)(void *arg, const uint8_t *value, size_t size, uint8_t *out, size_t *out_size);
    void *ter_arg;
} tree_erasing;

/* In the current leaves, in history, in separators; the chains of what is taken are freed. Nothing that is taken may live, and
 * what lives must have become what ter_value() makes of it before: by a commit before this one. For a commit in the file. EDB_CANNOT:
 * a part of the history is older than cold ids, and nothing can be taken from it. When it fails the commit must be aborted. */
int tree_erase(pager_commit *pc, tree_state *state, const tree_erasing *what);

#endif
