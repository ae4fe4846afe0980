/* Commits whose content was reduced afterwards, because something they wrote was erased: the tree `reduced contents`.
 *
 * A commit's link is made of the content that it had at first. Who takes a part of that away writes down, in the commit that does
 * it, the content as it was and as it is now. The first still fits the link, the second what is left; and the taking commit has a
 * link too. So the proof goes on, and says which commits are not whole any more, and which commit took what is missing. */
#ifndef EDB_REDUCED_H
#define EDB_REDUCED_H

#include "engine/tree/tree_contents.h"
#include "engine/txn/hooks.h"

#define REDUCED_NAME "reduced contents"         /* of the catalog entry */
#define REDUCED_VALUE (2 * SHA256_SIZE)

/* Under the committer lock (hk_commit), with ascending numbers; stmt: of commit_statement(); *tree: 0 before the first call. `before`:
 * the content up to now, which is the one at first, if nothing was taken before: else that is looked up. */
int reduced_add(struct commit *cm, edb_stmt *stmt, uint32_t *tree, uint64_t number, const uint8_t before[SHA256_SIZE],
                const uint8_t now[SHA256_SIZE]);

typedef struct {
    uint8_t rdc_first[SHA256_SIZE], rdc_now[SHA256_SIZE];
} reduced_content;

/* A tree that belongs to no table in a snapshot, by the name of its catalog entry; *there: there is one. */
int kept_tree(pager *pg, const snapshot *sn, const char *name, tree_state *out, bool *there);
/* That of reduced contents. */
int reduced_tree(pager *pg, const snapshot *sn, tree_state *out, bool *there);
/* What it says of a commit. *found: its content was reduced. */
int reduced_get(pager *pg, const tree_state *tree, uint64_t moment, uint64_t number, reduced_content *out, bool *found);

#endif
