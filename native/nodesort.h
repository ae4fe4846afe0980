/* Sorting nodes of a skip list, all of one tree, by key and, of one key, with the newest first.
 *
 * A radix sort of the eight bytes in which the keys begin to differ, the bytes first that all of them differ in; nodes
 * that are equal there are sorted by what follows. So its time grows with the bytes that tell the keys apart, and keys
 * are hardly ever compared. Keys that come sorted are only looked at. */
#ifndef EDB_NODESORT_H
#define EDB_NODESORT_H

#include "native/skiplist.h"

typedef struct {
    uint64_t ns_head;       /* for the sort */
    skip_node *ns_node;
} sorted_node;

/* n nodes, newest first; spare: room for as many. */
void nodes_sort(sorted_node *nodes, sorted_node *spare, size_t n);

#endif
