/* A skip list (Pugh 1990) of private writes, ordered by (tree, key, sequence descending).
 *
 * Nodes live in the caller's arena and are never removed or changed, so a cursor standing on one stays valid while
 * others are added: undo and statement stability are the caller's, by sequence number. Adding in ascending order
 * costs two comparisons, also when several trees take turns (a table and its indexes), and adding a little further on
 * costs the logarithm of the distance. A node may be made first and added later; until then it belongs to the caller,
 * who may keep such nodes in a chain (skiplist_waits). One writer and its own readers, all on one thread at a time. */
#ifndef EDB_SKIPLIST_H
#define EDB_SKIPLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native/arena.h"
#include "native/keysort.h"

#define SKIPLIST_LEVELS 14      /* a quarter of the nodes of one level are on the next: 2^28 nodes, more get slower */
#define SKIPLIST_FINGERS 8      /* a power of two */

typedef struct skip_node skip_node;

/* A link carries the beginning of what it leads to, so that a search touches only the nodes it passes. */
typedef struct {
    skip_node *kl_node;     /* NULL: the end */
    uint64_t kl_high;       /* tree and the key's first four bytes */
    uint64_t kl_low;        /* the key's next eight bytes; missing ones are 0 */
} skip_link;

struct skip_node {
    keyed_bytes nd_head;      /* first, so that what leads to it leads to the node; the bytes are in the arena */
    uint64_t nd_seq;        /* write sequence number; unique in the list */
    uint64_t nd_from;       /* the commit number of the version this write replaces, 0 if it replaces none */
    uint8_t nd_height;
    uint8_t nd_tombstone;   /* 1: the key is deleted */
    uint8_t nd_flags;       /* the caller's */
    uint32_t nd_tree;
    skip_link nd_links[];   /* nd_height of them; use skiplist_next and, until it is added, skiplist_waits */
};

/* Where a tree's last addition went. Below nd_height of fg_node the links are fg_node's own. */
typedef struct {
    skip_node *fg_node;     /* NULL: unused */
    skip_link *fg_links[SKIPLIST_LEVELS];   /* the links that lead past fg_node, one a level */
} skip_finger;

/* Holds pointers into itself: do not copy or move it. */
typedef struct {
    arena *sk_arena;
    skip_link sk_head[SKIPLIST_LEVELS];
    skip_finger sk_fingers[SKIPLIST_FINGERS];   /* by tree, the later tree of two in one place wins */
    size_t sk_count;        /* nodes */
    int sk_levels;          /* levels in use */
    uint64_t sk_random;     /* state of the height generator; fixed seed, so that runs repeat */
} skiplist;

void skiplist_init(skiplist *list, arena *memory);
/* Adds a node (key and value are copied into the arena). -> the node, or NULL when memory is exhausted. */
skip_node *skiplist_add(skiplist *list, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                        const void *value, size_t value_size, bool tombstone);
/* The two steps of adding. */
skip_node *skiplist_make(skiplist *list, uint32_t tree, const void *key, size_t key_size, uint64_t seq,
                         const void *value, size_t value_size, bool tombstone);
void skiplist_link(skiplist *list, skip_node *node);
/* The place for the next node of a chain of nodes that are not added yet. */
static inline skip_node **skiplist_waits(skip_node *node) { return &node->nd_links[0].kl_node; }
/* The first node at or after (tree, key, any sequence), NULL if none. Of one key the newest sequence comes first. */
skip_node *skiplist_seek(const skiplist *list, uint32_t tree, const void *key, size_t key_size);
/* The last node before (tree, key, any sequence): that is, of a smaller (tree, key). NULL if none. */
skip_node *skiplist_before(const skiplist *list, uint32_t tree, const void *key, size_t key_size);
static inline skip_node *skiplist_first(const skiplist *list) { return list->sk_head[0].kl_node; }
static inline skip_node *skiplist_next(const skip_node *node) { return node->nd_links[0].kl_node; }
/* <0, 0, >0: (tree, key) against node. */
int skiplist_compare(uint32_t tree, const void *key, size_t key_size, const skip_node *node);

#endif
