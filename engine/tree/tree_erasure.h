/* What the files of tree_erase() share. Nothing of this is for anybody else. */
#ifndef EDB_TREE_ERASURE_H
#define EDB_TREE_ERASURE_H

#include "native/arena.h"
#include "engine/pager/cold.h"
#include "engine/shared/lists.h"
#include "engine/tree/tree_erase.h"

typedef struct {                    /* the chain of a large value whose version has ended */
    page_ref erc_ref, erc_now;      /* now: what stands in its place, if it was met; page 0: nothing */
    uint64_t erc_index;             /* of its element in the list of cold ids */
    uint64_t erc_size;              /* of the value that stands in its place */
    bool erc_met;
} erased_chain;

typedef struct {                    /* a separator that is a key to be taken, and the one for its place */
    const uint8_t *ers_key, *ers_now;
    uint32_t ers_size, ers_now_size;
} erased_separator;

typedef struct {
    const uint8_t *egp_low, *egp_high;      /* NULL: there is none */
    uint32_t egp_low_size, egp_high_size;
} kept_gap;

typedef struct {
    pager_commit *era_commit;
    pager *era_pager;
    tree_state *era_state;
    tree_state era_reading;         /* the same, with the list of cold ids as the commit has it */
    const tree_erasing *era_what;
    uint32_t era_page_size;
    arena era_arena;                /* of all the time */
    arena era_page_arena;           /* of one page */
    erased_chain *era_chains;       /* ascending by page */
    size_t era_n_chains, era_chains_room;
    erased_separator *era_seps;     /* ascending */
    size_t era_n_seps, era_seps_room;
    kept_gap *era_gaps;             /* before separator i, and behind the last: the nearest keys that stay */
} erasure;

static inline int erase_no_memory(void) { return edb_fail(EDB_NOMEM, "no memory to erase"); }
/* ---- tree_erasure.c */
bool erase_is_key(const erasure *er, const uint8_t *key, uint32_t key_size);

/* ---- tree_erase_chains.c */
/* Reads which chains of the tree the list of cold ids has. */
int erase_chains_read(erasure *er);
/* The entry of a leaf goes: so does its chain. */
int erase_chain_drop(erasure *er, const page_entry *e);
/* The entry's value in its chain becomes another: *e points to a chain with that, in the memory of the page at hand. *changed. */
int erase_chain_reduce(erasure *er, page_entry *e, bool *changed);
/* Frees the old chains, and tells the list of cold ids. */
int erase_chains_end(erasure *er);

/* ---- tree_erase_separators.c: for trees whose keys vary */
typedef int (*erase_page_fn)(erasure *er, const page_entry *e, size_t n, bool leaf);
/* Called with the entries of each page of the tree by way of tree_erase.c: first the one, then the other. */
int erase_separators_find(erasure *er, const page_entry *e, size_t n, bool leaf);
int erase_gaps_find(erasure *er, const page_entry *e, size_t n, bool leaf);
int erase_separators_sort(erasure *er);
/* Chooses what stands in their places. */
int erase_separators_choose(erasure *er);
const erased_separator *erase_separator(const erasure *er, const uint8_t *key, uint32_t key_size);

#endif
