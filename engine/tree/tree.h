/* The temporal B-tree: one tree per table and per index.
 *
 * A time-split B-tree (Lomet and Salzberg 1989) that frees at empty (Johnson and Shasha 1989). Every node is a sorted
 * set of versioned entries (key, from descending, value); `from` is a commit number; reading at T takes, of each key,
 * the newest entry with from <= T. README.md of this folder draws the splits and numbers the invariants.
 *
 *   page.h        layout of a node and searching in it
 *   tree_read.c   lookups and cursors
 *   tree_which.c  which of many keys there are
 *   tree_history.c  the versions of one key
 *   tree_changed.c  whether a range changed since a moment
 *   tree_events.c  what commits did to a range of keys (tree_events.h)
 *   tree_since.c  the keys written since a moment
 *   tree_content.c  what one commit wrote, as a hash (tree_content.h)
 *   content_queue.c  changes on their way there (content_queue.h)
 *   tree_contents.c  the same of many commits, from the versions of all trees (tree_contents.h)
 *   tree_estimate.c  how many entries lie in a range; entries met at random
 *   tree_write.c  applying one commit's sorted changes, splits included
 *   tree_store.c  pages from memory to the file
 *   tree_move.c   pages towards the front of the file
 *   tree_chains.c  large values likewise
 *   tree_leaves.c  the leaves that a key has been in (tree_leaves.h)
 *   tree_erase.c  taking keys out of all moments (tree_erase.h), with tree_erase_chains.c and tree_erase_separators.c
 *   tree_check.c  the invariants, walked
 */
#ifndef EDB_TREE_H
#define EDB_TREE_H

#include "engine/pager/array.h"
#include "engine/pager/page_map.h"
#include "engine/pager/pager.h"

#define TREE_STATE_SIZE 128         /* bytes of a tree's element in the list of trees */
#define TREE_ROOT_SIZE 24           /* bytes of an old root in its list */
#define TREE_ROOTS 2                /* newest old roots kept in the state itself */
#define FOREVER UINT64_MAX          /* "still current": the moment of reading now */

typedef struct {                    /* an old root: answers for since .. the next one's since, end excluded */
    uint64_t since;
    page_ref root;
} tree_root;

typedef struct {
    uint32_t ts_id;
    uint8_t ts_key_size;            /* 8: every key is a row id of 8 bytes; 0: keys vary */
    page_ref ts_root;               /* current root */
    uint64_t ts_since;              /* the commit number from which it answers */
    uint64_t ts_born;               /* the commit that made the tree */
    uint64_t ts_changed;            /* the commit that changed it last; the root page may be older (root_lower) */
    uint64_t ts_live;               /* living entries now */
    uint64_t ts_next_id;            /* row ids below it were given out (table trees) */
    uint32_t ts_n_recent;           /* tree_roots in ts_recent, oldest first */
    uint64_t ts_whole;              /* an index has all entries of moments from this commit on; 0: of all, since it was born */
    tree_root ts_recent[TREE_ROOTS];
    array_state ts_roots;           /* older roots: elements (u64 since, u64 page, u32 tag, u32 0), 24 bytes */
    /* Of the snapshot it was asked of, not stored with it: */
    cold_state ts_cold;             /* where its history is */
    uint64_t ts_horizon;            /* of moments before it nothing may be asked: what answers for them alone may be gone */
} tree_state;

void tree_state_store(uint8_t out[TREE_STATE_SIZE], const tree_state *state);
void tree_state_load(tree_state *state, uint32_t id, const uint8_t in[TREE_STATE_SIZE]);
/* The state of tree `id` in a snapshot; EDB_NOSUCH when the snapshot does not know it. */
int tree_state_get(pager *pg, const snapshot *sn, uint32_t id, tree_state *out);
/* The same in a list of trees; what is history cannot be read by it. */
int tree_state_listed(pager *pg, const array_state *trees, uint32_t id, tree_state *out);
/* A new, empty tree, with its first page. */
int tree_create(pager_commit *pc, uint32_t id, uint8_t key_size, tree_state *out);

/* ---- reading: under a pin ------------------------------------------------------------------------------------- */

typedef struct {                    /* one version; points into the map */
    const uint8_t *key;
    const uint8_t *value;           /* bytes of the value; when `overflow`, the 20-byte pointer to its chain */
    uint32_t key_size;
    uint32_t value_size;
    uint64_t from;                  /* commit number that wrote it */
    bool overflow;
} tree_version;

/* The version of key living at T. *found says whether there is one. */
int tree_get(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size, tree_version *out,
             bool *found);
typedef struct {                    /* where lookups were; all zero: nowhere yet */
    const uint8_t *tnr_leaf;
    unsigned tnr_next;               /* the place in its first directory behind the entry found last */
} tree_near;
/* tree_get() of one key after the other, all of one tree, at one moment and under one pin. Keys that follow one another, or
 * lie close together, are found in the leaf of the one before. */
int tree_get_near(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size, tree_near *near,
                  tree_version *out, bool *found);
#define WHICH_MOST 64
/* Which of n keys of one size, ascending and at most WHICH_MOST, the tree has at the moment: much less work than a tree_get()
 * for each. tree_which.c */
int tree_which(pager *pg, const tree_state *state, uint64_t moment, const uint8_t *keys, size_t key_size, size_t n,
               bool *found);
/* As tree_get(), and since when it is so: *begun is the version's `from`, or the commit that the key's absence is known from. What was
 * before is asked of *begun - 1; 0: nothing was. tree_history.c. */
int tree_version_at(pager *pg, const tree_state *state, uint64_t moment, const void *key, size_t key_size,
                    tree_version *out, bool *found, uint64_t *begun);
/* Total size of an overflow value, and its bytes into `out` from `offset` on. */
uint64_t tree_overflow_size(const tree_version *version);
int tree_overflow_read(pager *pg, const tree_version *version, uint64_t offset, void *out, size_t size);

#define TREE_DEPTH 24

struct tree_step;                   /* one level of the way down; tree_read.c */

typedef struct {
    tree_version tc_at;             /* while tc_valid */
    bool tc_valid;                  /* stands on an entry */
    uint8_t tc_key_size;
    int tc_i, tc_low, tc_high;      /* current entry; [low, high) of the visible ones belong to the cursor's range */
    const uint8_t *tc_leaf;         /* the leaf under the cursor */
    uint64_t tc_held;               /* where it is held, if it was unpacked (cold.h); else 0 */
    bool tc_streams;                /* who reads asks for this: unpacked leaves are let go some time after the cursor left them */
    const uint64_t *tc_slots;       /* slot words of its entries visible at T: the page's own directory, or scratch */
    const uint8_t *tc_end;          /* where the leaf's range ends (a key of a node above); NULL: not known, or nowhere */
    uint32_t tc_end_size;
    uint64_t tc_moment;
    pager *tc_pager;
    const pager_view *tc_view;
    struct tree_step *tc_path;      /* owned; room for tc_room steps, TREE_DEPTH at most */
    int tc_depth, tc_room;          /* steps in use */
    uint64_t *tc_scratch;           /* owned; made when the first leaf with younger entries is met */
    tree_state tc_state;
} tree_cursor;

/* Moments: a commit number, or FOREVER for now. The state is copied. What the cursor hands out stays as long as the pin, unless it
 * streams: then until it has left COLD_LEFT more leaves. */
int tree_cursor_open(tree_cursor *tc, pager *pg, const tree_state *state, uint64_t moment);
void tree_cursor_close(tree_cursor *tc);
/* To another moment. It stands nowhere then. */
static inline void tree_cursor_move(tree_cursor *tc, uint64_t moment)
{
    tc->tc_moment = moment;
    tc->tc_valid = false;
}
/* To the first entry >= key / the last entry <= key; key_size 0 with key NULL: the first / the last of all. */
int tree_cursor_seek(tree_cursor *tc, const void *key, size_t key_size);
/* The same as tree_cursor_seek() to a key not before the entry under the cursor: mostly it is found in the leaf there. */
int tree_cursor_seek_on(tree_cursor *tc, const void *key, size_t key_size);
int tree_cursor_seek_last(tree_cursor *tc, const void *key, size_t key_size);
int tree_cursor_next_slow(tree_cursor *tc);
int tree_cursor_prev_slow(tree_cursor *tc);
void tree_cursor_load(tree_cursor *tc);     /* tc_at from tc_i */
void tree_cursor_load_ahead(tree_cursor *tc);   /* the same, where the walk goes on forward */

static inline int tree_cursor_next(tree_cursor *tc)
{
    if (++tc->tc_i < tc->tc_high) {
        tree_cursor_load_ahead(tc);
        return EDB_OK;
    }
    return tree_cursor_next_slow(tc);
}

static inline int tree_cursor_prev(tree_cursor *tc)
{
    if (--tc->tc_i >= tc->tc_low) {
        tree_cursor_load(tc);
        return EDB_OK;
    }
    return tree_cursor_prev_slow(tc);
}

/* How many entries the tree has at the moment. Of the newest moment it is known; else the leaves are counted, without
 * looking at rows. */
int tree_count(pager *pg, const tree_state *state, uint64_t moment, uint64_t *out);

/* Whether anything in [low, high) is not now what it was at the moment, judged from the newest state; high NULL: no upper
 * end; keys_alone: whether not the same keys are there. Pages that were not written since are not entered.
 * tree_changed.c. */
int tree_changed(pager *pg, const tree_state *state, uint64_t moment, const void *low, size_t low_size,
                 const void *high, size_t high_size, bool keys_alone, bool *changed);

typedef void (*tree_key_fn)(void *arg, const uint8_t *key, uint32_t key_size);
/* Calls fn with the key of every version that commits after `since` have written, whether it lives still or not; a key may
 * come several times. Pages that were not written since are not entered. It ends after looking at most_pages pages. *pages:
 * how many it has looked at; *whole: fn has had every key. tree_since.c. */
int tree_keys_since(pager *pg, const tree_state *state, uint64_t since, uint64_t most_pages, tree_key_fn fn, void *arg,
                    uint64_t *pages, bool *whole);

/* ---- estimates of the newest state, for plans: tree_estimate.c ------------------------------------------------- */

/* About how many living entries lie in [low, high); NULL: unbounded. Two ways down the tree: exact within a leaf, and
 * close to it while few pages lie between. */
int tree_estimate(pager *pg, const tree_state *state, const void *low, size_t low_size, const void *high,
                  size_t high_size, uint64_t *out);
/* A living entry met at random; `random` chooses it, all numbers being about equally likely. */
int tree_sample(pager *pg, const tree_state *state, uint64_t random, tree_version *out, bool *found);
/* The same of a leaf met at random: the entry so many behind its middle, or its first or last. */
int tree_sample_middle(pager *pg, const tree_state *state, uint64_t random, int behind, tree_version *out, bool *found);

typedef struct {                    /* what its parent says of a leaf: each of its keys is at or behind low, and before high */
    const uint8_t *lfb_low, *lfb_high;
    uint32_t lfb_low_size, lfb_high_size;
} leaf_bounds;

/* A leaf met at random, which is not read. *found false: it is the last of its parent, or has none. */
int tree_sample_leaf(pager *pg, const tree_state *state, uint64_t random, leaf_bounds *out, bool *found);

/* ---- writing: inside a commit --------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_size;
    uint32_t value_size;            /* up to 2^31-1 bytes; over a quarter page it goes to an overflow chain */
    bool tombstone;
    bool always;                    /* makes a version even where it changes nothing */
} tree_change;

/* The most bytes a key may have on pages of this size. */
uint32_t tree_key_max(uint32_t page_size);
/* Applies one commit's changes: sorted by key, one change a key. A change that changes nothing (a tombstone over
 * nothing, a value equal to the living one) is dropped here and stores no version, unless it is `always`. May be called several times in one
 * commit with disjoint, ascending key ranges. Keeps ts_live. On failure the commit must be aborted. */
typedef struct tree_content tree_content;       /* tree_content.h */
/* content NULL: nobody asks; else the changes that do make versions are added to it. */
int tree_apply(pager_commit *pc, tree_state *state, const tree_change *changes, size_t n, tree_content *content);

/* Stores the pages of the tree that lie in memory: afterwards the state refers to the file alone, but for its history,
 * which tree_store_history() stores for all trees. tree_store.c */
int tree_store(pager_commit *pc, tree_state *state);
int tree_store_history(pager_commit *pc);

/* Moves current pages, and the list of old roots, to pages drawn anew: a commit in the file that changes nothing that is read.
 * tree_move.c */
int tree_move(pager_commit *pc, tree_state *state, page_moving *mv);

#define LEAF_PLACE_KEY 8192
typedef struct {                    /* where a walk over the leaves of a tree was; all zero: at the beginning */
    uint8_t lfp_key[LEAF_PLACE_KEY];
    uint32_t lfp_size;
    uint64_t lfp_leaves;            /* so many more may be looked at */
    bool lfp_done;
} leaf_place;

typedef struct {                    /* elements of the list of cold ids that are chains; all zero: none read yet */
    page_map ces_index;             /* by their first pages: which element */
    uint64_t ces_read;
} chain_elements;
/* Reads those that it has not read yet; what follows wants all. */
int chain_elements_read(pager_commit *pc, chain_elements *ces);
void chain_elements_free(chain_elements *ces);

/* Moves the chains of large values that have a page behind the cut, and writes anew whatever refers to them: those of the current
 * leaves, from a place on, or those of one leaf, of which one is moved at the most. *moved: then the leaf may be another page now.
 * tree_chains.c */
int tree_chains_move(pager_commit *pc, tree_state *state, chain_elements *ces, page_moving *mv, leaf_place *place);
int tree_chains_of_leaf(pager_commit *pc, tree_state *state, chain_elements *ces, const uint8_t *leaf, page_moving *mv, bool *moved);

/* ---- checking ------------------------------------------------------------------------------------------------- */

typedef struct {
    /* Called for each page reached, once; returns nonzero to stop. kind as in PH_KIND; history: it can never change. */
    int (*page)(void *arg, page_ref ref, int kind, bool history);
    /* Called for each cold id that leads to a page; NULL: nobody wants to know. entries: of a packed leaf, else 0. */
    void (*cold)(void *arg, uint64_t index, uint32_t entries);
    /* Called for each breach, with the invariant's number ("I12") and a sentence. */
    void (*breach)(void *arg, const char *invariant, uint64_t page, const char *sentence);
    void *arg;
} tree_checker;
int tree_check(pager *pg, const tree_state *state, const tree_checker *checker);

/* Pages of trees touched by this thread: an engine counter for tests and EXPLAIN. */
extern _Thread_local uint64_t tree_touched;

#endif
