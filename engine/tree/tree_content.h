/* What one commit wrote, as a hash: the *content* of a commit. README.md of this folder, S1.
 *
 *     content    SHA-256 of, for each tree in which the commit made a version or ended one, ascending by id:
 *                    u32 tree id, u64 entries, SHA-256 of the entries
 *     entry      ascending by key: u32 key size << 1 | ended, key; unless it ended: u32 value size, value
 *
 * All integers little-endian; a value is whole, whether it stands in a leaf or in a chain, but for its columns that have no
 * history (tree_masks.h), which count as NULL. Made at COMMIT from the changes that
 * do make versions, and again from the versions of all trees (tree_contents.h): both must come to the same. */
#ifndef EDB_TREE_CONTENT_H
#define EDB_TREE_CONTENT_H

#include "native/rowmask.h"
#include "native/sha256.h"
#include "engine/tree/tree.h"

struct tree_content {               /* of one tree; all zero: nothing yet */
    uint64_t tct_entries;
    const row_mask *tct_mask;       /* columns of its rows that count as NULL; NULL: none */
    sha256 tct_hash;                /* of the entries, where there are any */
};

/* An entry more: of a key that ended. Keys ascend. */
void content_ended(tree_content *tct, const uint8_t *key, uint32_t key_size);
/* An entry for each of the changes, in their order. Their keys and values are gathered, so that the hash gets many blocks at once. */
void content_changes(tree_content *tct, const tree_change *const *made, size_t n);
/* The entry of a version read from the tree, from a chain too. */
int content_stored(tree_content *tct, pager *pg, const tree_version *version);

/* Of all trees: begin with sha256_init(), end with sha256_end(). Trees ascend; one without entries adds nothing. It is
 * spoilt, and must be begun anew. */
void content_tree(sha256 *whole, uint32_t tree, tree_content *tct);

#endif
