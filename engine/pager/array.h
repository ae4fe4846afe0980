/* A list of fixed-size elements, found by index, in copy-on-write pages: a radix tree of full pages.
 *
 * Holds commit times by number, old roots of a tree by time, and the states of all trees. Changing or appending an
 * element copies its page and the pages above it, once per commit. */
#ifndef EDB_ARRAY_H
#define EDB_ARRAY_H

#include "engine/pager/pager.h"

/* Element `index` (< count), `size` bytes in the map. */
int array_get(pager *pg, const array_state *a, uint32_t size, uint64_t index, const uint8_t **out);
/* Sets n elements from `index` on (index <= count; growing the list where they pass its end). */
int array_set(pager_commit *pc, array_state *a, uint32_t owner, uint32_t size, uint64_t index, const uint8_t *elements,
              uint64_t n);
/* The number of elements whose first eight bytes, as a signed integer, are <= key; the list ascends by them. */
int array_bisect(pager *pg, const array_state *a, uint32_t size, int64_t key, uint64_t *out);
/* Stores the pages of the list that lie in memory (pager_store). fn changes an element so that it refers to the file alone;
 * NULL: elements refer to nothing. */
typedef int (*array_element_fn)(pager_commit *pc, uint64_t index, uint8_t *element);
int array_store(pager_commit *pc, array_state *a, uint32_t size, array_element_fn fn);
/* Frees the pages that hold elements before `first` alone; such elements may not be asked for again. The root stays. */
int array_trim(pager_commit *pc, array_state *a, uint32_t owner, uint32_t size, uint64_t first);
/* Moves pages of the list to pages drawn anew; for a commit in the file. */
int array_move(pager_commit *pc, array_state *a, page_moving *mv);
/* For check: every page of the list. */
typedef int (*array_page_fn)(void *arg, page_ref ref);
int array_walk(pager *pg, const array_state *a, array_page_fn fn, void *arg);
/* The same of a list that was trimmed. */
int array_walk_trimmed(pager *pg, const array_state *a, uint32_t size, uint64_t first, array_page_fn fn, void *arg);

#endif
