/* The body of a write set, for writeset.c and ws_cursor.c. */
#ifndef EDB_WS_INTERNAL_H
#define EDB_WS_INTERNAL_H

#include "native/arena.h"
#include "native/filter.h"
#include "engine/txn/ws_run.h"

struct ws_generation {
    arena gn_memory;
    skiplist gn_list;
    size_t gn_refs;                 /* the write set (while it is the current one), cursors, holders */
};

typedef struct {
    uint32_t wt_tree;
    const skip_node *wt_last;       /* a node with the largest key that is in the list or waits; NULL: there is none */
    const uint8_t *wt_run_last;     /* the largest key in the runs, in the map of one of them; NULL: none has the tree */
    uint32_t wt_run_last_size;
    const skip_node *wt_near;       /* of the tree, before the key found last; NULL: not known */
    const skip_node *wt_newest;     /* written last, in the list or waiting */
    skip_node *wt_waiting;          /* nodes to be put into the list when somebody reads the tree, newest first */
    size_t wt_n_waiting;
    filter wt_known;                /* keys of 8 bytes, and those of WS_UNIQUE writes but for their last 8 */
    size_t wt_known_runs;           /* how many of the runs, from the first on, have all their keys in wt_known */
    const skip_node *wt_unknown;    /* the first node in the list whose key is not in wt_known; behind it none need be. NULL: all are */
} ws_tree;

typedef struct {                    /* rolled back: low < seq <= high */
    uint64_t dd_low, dd_high;
} ws_dead;

struct writeset {
    size_t ws_refs;
    uint64_t ws_spill_bytes;
    uint64_t ws_last_seq;
    ws_generation *ws_now;
    ws_run **ws_run;                /* oldest first: every seq of a run is larger than those of the runs before it */
    size_t ws_n_runs, ws_runs_room;
    run_file ws_file;
    ws_tree *ws_tree;               /* ascending by tree */
    size_t ws_n_trees, ws_trees_room, ws_tree_hint;
    ws_dead *ws_dead;               /* ascending, disjoint; always room for one more */
    size_t ws_n_dead, ws_dead_room;
};

bool ws_is_dead(const writeset *ws, uint64_t seq);
/* Puts into the list what waits of the tree: what every look at the list does first. */
void ws_settle(writeset *ws, uint32_t tree);

static inline bool ws_visible(const writeset *ws, uint64_t seq, uint64_t reader)
{
    return seq <= reader && (!ws->ws_n_dead || !ws_is_dead(ws, seq));
}

static inline void ws_entry_from_node(const skip_node *node, ws_entry *out)
{
    *out = (ws_entry){ .key = node->nd_head.kv_key, .value = keyed_value(&node->nd_head), .key_size = node->nd_head.kv_key_size,
                       .value_size = node->nd_head.kv_value_size, .tree = node->nd_tree, .flags = node->nd_flags,
                       .seq = node->nd_seq, .seen_from = node->nd_from };
}

#endif
