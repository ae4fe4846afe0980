/* Set operations over ascending sequences of unique ids, by galloping.
 *
 * A search from a place on doubles its step until it is too far, and then halves the last step (Bentley and Yao, "An almost
 * optimal algorithm for unbounded searching", IPL 1976). Something d places on is found in about 2 log2(d) comparisons, so
 * an operation costs little more than walking what it must: intersecting a short sequence with a long one costs the short
 * one, times the logarithm of how much longer the other is; sequences that alternate in long runs cost the number of runs
 * (Demaine, López-Ortiz and Munro, "Adaptive set intersections, unions, and differences", SODA 2000).
 *
 * All memory is the caller's, and nothing is allocated. Results ascend too, and the functions give their number of ids. */
#ifndef EDB_GALLOP_H
#define EDB_GALLOP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const int64_t *ga_ids;      /* ascending, no two alike */
    size_t ga_count;
} gallop_list;

/* The first place at or behind `from` whose id is `id` or larger; `count` if there is none. */
size_t gallop_lower_bound(const int64_t *ids, size_t count, size_t from, int64_t id);

/* The ids that are in all k lists, the shortest first. `out` needs room for the shortest, and may be its own memory (of one
 * of the shortest, the one that stands first); beyond that it may share none. Orders the array of lists by length. No lists:
 * no ids. */
size_t gallop_intersect(gallop_list *lists, size_t k, int64_t *out);

/* The ids that are in any of k lists. `out` needs room for all of them together, and may share no memory with them. The
 * array is used up: what is in it afterwards means nothing. */
size_t gallop_union(gallop_list *lists, size_t k, int64_t *out);

/* The ids of `list` that are not in `without`. `out` needs room for `list`, and may be its memory. */
size_t gallop_difference(gallop_list list, gallop_list without, int64_t *out);

#endif
