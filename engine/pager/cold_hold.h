/* Pages that were unpacked, held for one reader: they stay where they are while he has something pinned (I4), unless he says before that
 * he has left them. A commit holds what it reads in the same way. */
#ifndef EDB_COLD_HOLD_H
#define EDB_COLD_HOLD_H

#include "engine/cache/page_cache.h"
#include "engine/pager/cold.h"
#include "engine/pager/page_map.h"

#define COLD_LEFT 64                /* pages that were left last, and stay: who has left a page may look at it for a while yet */

typedef struct {
    cached_page *hdp_page;
    uint64_t hdp_index, hdp_version;    /* as in the cache's key */
    uint64_t hdp_at;                /* its key in cho_at */
    uint64_t hdp_left;              /* when it was left last, as a number of cho_n_left */
    uint32_t hdp_uses;              /* how often it was taken and not left since */
} held_page;

struct cold_holds {                 /* all zero: nothing */
    held_page *cho_pages;
    size_t cho_n, cho_room;
    page_map cho_at;                /* place in cho_pages + 1; 0: it was let go. Keys are hashes of index and version */
    uint64_t cho_left[COLD_LEFT], cho_n_left;   /* keys; a ring */
    uint64_t cho_epoch;             /* part of the hashes: a key from before all were let go is nobody's */
};

/* The page of history of element `index`, of kind COLD_PACKED, held by cd->cd_holds. *held: for cold_leave(). EDB_CORRUPT, EDB_NOMEM,
 * EDB_CANNOT. */
int cold_hold(pager *pg, const cold_state *cd, uint64_t index, const cold_element *ce, const uint8_t **out, uint64_t *held);
/* Lets all go, but for the memory of the lists. */
void cold_let_go(cold_holds *ch);
void cold_holds_free(cold_holds *ch);

#endif
