/* Cold ids: by what number history is referred to. docs/format.md, "Cold ids"; README.md of this folder, I47 and I48.
 *
 * A page that becomes history gets a number that no page has, and its parents refer to that. A list of the pager says where the
 * page is and which commit made it history. Numbers are given in the order of commits, so what only answers for moments before
 * a commit is the front of the list. The chain of a large value whose version ended gets a number too, though nothing refers to
 * it by that: the leaves that hold the version are not written again. */
#ifndef EDB_COLD_H
#define EDB_COLD_H

#include "engine/pager/array.h"
#include "engine/pager/pager.h"

#define COLD_SIZE 24                /* bytes of an element */

/* What an element stands for: stored, never renumber. */
enum { COLD_PAGE = 1, COLD_CHAIN = 2, COLD_PACKED = 3 };

typedef struct {
    page_ref cel_ref;                /* the page, or the first of a chain, or the page of a strip where its pack begins */
    uint64_t cel_commit;             /* that made it history: it answers for moments before it alone */
    uint32_t cel_tree;
    uint32_t cel_place;              /* COLD_PACKED: offset of the pack in that page, times PACK_PLACES, and which page of it (strip.h) */
    uint8_t cel_kind;                /* COLD_... */
} cold_element;

void cold_element_store(uint8_t out[COLD_SIZE], const cold_element *ce);
void cold_element_load(cold_element *ce, const uint8_t in[COLD_SIZE]);

/* Element `index`, which must be one that is there: EDB_CORRUPT. */
int cold_get(pager *pg, const cold_state *cd, uint64_t index, cold_element *out);
/* The page that the cold id in *ref stands for, checked. *ref becomes where it is in the file: its own page, or that of a strip. One
 * that was unpacked is held by cd->cd_holds, *held says where; else *held is 0. EDB_CORRUPT: there is no such id, or it is no page's. */
int cold_page(pager *pg, const cold_state *cd, page_ref *ref, const uint8_t **out, uint64_t *held);
/* Who got a page does not look at it any more. What he got several times he leaves as often; what he never leaves stays as long as
 * his pin. held 0: nothing is done. */
void cold_leave(const cold_state *cd, uint64_t held);

/* Puts a new cold id in place of *ref, which the commit has made history. One that has an id keeps it. */
int cold_give(pager_commit *pc, uint32_t tree, page_ref *ref);
/* The version whose value stands in the chain, which commit `from` wrote, has ended with this commit. */
int cold_give_chain(pager_commit *pc, uint32_t tree, page_ref first, uint64_t from);
/* How many elements from the front on, those pruned included, answer only for moments before the horizon. */
int cold_bound(pager *pg, const cold_state *cd, uint64_t horizon, uint64_t *out);
/* *horizon becomes what it may be at the most: no transaction or reader has a moment before it; and, where this is going to be
 * done, it is durable. */
int cold_horizon_limit(pager *pg, bool durable, uint64_t *horizon);

typedef struct {
    uint64_t cpn_elements, cpn_pages;   /* gone, or to go */
    uint64_t cpn_entries;           /* entries of leaves, copies of versions included */
} cold_pruned;

/* Adds what the elements from *index on stand for that are freed together: one, or those of a strip, if all are before `bound`. *index
 * becomes the first behind them; it stays where nothing can be freed. */
int cold_measure(pager *pg, const snapshot *sn, uint64_t bound, uint64_t *index, cold_pruned *out);
/* Raises the horizon, and frees what answers for moments before it alone: as many elements as have together at least most_pages
 * pages, or all. The commit must be one that goes to the file. Adds to *out what went; *over: nothing is left to go. */
int cold_prune(pager_commit *pc, uint64_t horizon, uint64_t most_pages, cold_pruned *out, bool *over);

/* What was given goes into the list. */
int cold_flush(pager_commit *pc);
/* Stores the list, behind pager_store_begin(). fn stores what an element refers to, and puts the new reference there. */
int cold_store(pager_commit *pc, array_element_fn fn);

/* The list as this commit leaves it so far; what it has given since cold_flush() is not in it. */
const cold_state *pager_commit_cold(const pager_commit *pc);
/* Puts another element in the place of one that is there. */
int cold_set(pager_commit *pc, uint64_t index, const cold_element *ce);
/* Moves pages of history, and strips, to pages drawn anew, looking at up to `most` elements from *index on, which is raised up to the first
 * for which there is no room. Chains are not moved: leaves refer to them. For a commit in the file. */
int cold_move(pager_commit *pc, page_moving *mv, uint64_t *index, uint64_t most);
/* *index becomes what comes behind the element, or behind its strip. */
int cold_pass(pager_commit *pc, uint64_t *index);

#endif
