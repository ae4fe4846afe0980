/* The trees that a commit changes, and the list of all trees: for the commit of a transaction (commit.c) and for commits that
 * are replayed (redo.c). */
#ifndef EDB_COMMIT_TREES_H
#define EDB_COMMIT_TREES_H

#include "engine/tree/tree_content.h"

typedef struct {
    tree_state wn_state;
    bool wn_dirty;                  /* its state must be stored */
    tree_content wn_content;        /* what the commit has written to it */
} written_tree;

typedef struct {
    pager_commit *cmt_commit;
    pager *cmt_pager;
    array_state cmt_list;            /* the list of trees, without what is dirty */
    written_tree *cmt_trees;         /* ascending by id; owned */
    size_t cmt_n, cmt_room;
    bool cmt_changed;                /* something was dirty at some time */
} commit_trees;

static inline commit_trees commit_trees_of(pager_commit *pc, const array_state *list)
{
    return (commit_trees){ .cmt_commit = pc, .cmt_pager = pager_commit_pager(pc), .cmt_list = *list };
}
void commit_trees_free(commit_trees *ct);

/* The tree as the commit leaves it so far; NULL when it does not exist. Valid until the next call. */
int commit_tree(commit_trees *ct, uint32_t id, written_tree **out);
int commit_tree_make(commit_trees *ct, uint32_t id, uint8_t key_size, written_tree **out);
static inline void commit_tree_dirty(commit_trees *ct, written_tree *tree)
{
    tree->wn_dirty = ct->cmt_changed = true;
}

/* An id that no tree has. */
uint32_t commit_tree_free_id(const commit_trees *ct);
/* What the commit has written; not to be asked again. */
void commit_trees_content(commit_trees *ct, uint8_t out[SHA256_SIZE]);
/* The states of the changed trees go into the list of trees. */
int commit_trees_store(commit_trees *ct);
/* The commit goes on in the file (pager_store_begin), with everything that lies in memory. */
int commit_trees_to_file(commit_trees *ct);

struct commit;
/* For hk_commit: the commit goes on in the file, and what its trees are is the caller's to change, without content. All
 * transactions that are under way conflict with it. Before that, its base. */
const snapshot *commit_base(struct commit *cm);
int commit_rewrite(struct commit *cm, commit_trees **out);

#endif
