/* What commits did to a range of keys (tree_events.c). */
#ifndef EDB_TREE_EVENTS_H
#define EDB_TREE_EVENTS_H

#include "native/rowmask.h"
#include "engine/tree/tree.h"

typedef struct {                    /* what one commit did to one key; points into the map */
    uint64_t at;                    /* the commit */
    const uint8_t *key;
    uint32_t key_size;
    bool had, has;                  /* the key was there before it; is there from it on */
    bool differs;                   /* no change: what the commit wrote is not what stands for it in a later page (tree_events_prove) */
    tree_version was, is;           /* where `had`, `has` */
} tree_event;

typedef struct {
    pager *tes_pager;
    const pager_view *tes_view;
    tree_state tes_state;
    uint64_t tes_after, tes_upto;     /* wanted are commits from after (excluded) to upto */
    const uint8_t *tes_low, *tes_high;    /* and keys from low to high (excluded; NULL: no end) */
    size_t tes_low_size, tes_high_size;
    uint64_t tes_root;               /* the next root, by number */
    struct events_node *tes_path;    /* owned; tes_depth of TREE_DEPTH in use */
    int tes_depth;
    size_t tes_room;                 /* the most entries a page has */
    /* the leaf, or the range without one, that is walked, while tes_inside */
    bool tes_inside, tes_compares;    /* compares: tes_then walks the moment before it began */
    bool tes_proves;
    const row_mask *tes_mask;       /* when it proves: columns that are not compared; NULL: none */
    uint64_t tes_since, tes_until;
    const uint8_t *tes_high_here;
    size_t tes_high_here_size;
    struct page_entry *tes_entries;  /* owned; the leaf's */
    size_t tes_n, tes_group;          /* its entries, and the first of the next key */
    tree_cursor tes_then;
    /* of a walk over one key: what it was when the last part ended, and when this one began */
    bool tes_one_key, tes_knows;      /* knows: tes_before says it, else tes_then */
    uint64_t tes_seen_until;         /* the end of that part; 0: there was none */
    bool tes_seen_had, tes_before_had;
    tree_version tes_seen, tes_before;   /* where `had` */
    tree_event *tes_made;            /* owned; of the key at hand, tes_n_made of them */
    size_t tes_n_made, tes_made_at;
} tree_events;

/* Over commits after < n <= upto. Under a pin; the state is copied. */
int tree_events_open(tree_events *tes, pager *pg, const tree_state *state, uint64_t after, uint64_t upto);
/* A walk over keys low <= k < high; low NULL: from the first, high NULL: to the last. The bounds are not copied. */
int tree_events_start(tree_events *tes, const void *low, size_t low_size, const void *high, size_t high_size);
/* From now on commits after `upto` are not wanted any more; not later than before. */
static inline void tree_events_until(tree_events *tes, uint64_t upto) { tes->tes_upto = upto; }
/* Versions that a page carries over from the one before are compared with it too; where one differs, an event says so.
 * Without this a walk looks at each version in the oldest of its pages alone. Not for walks over one key. */
static inline void tree_events_prove(tree_events *tes, const row_mask *mask) { tes->tes_proves = true; tes->tes_mask = mask; }
void tree_events_close(tree_events *tes);
/* The next change; NULL: that was the last. Changes of one key that one leaf holds come together, oldest first; beyond that
 * they are in no order. Valid until the next call, what it points to as long as the pin. */
int tree_events_next(tree_events *tes, const tree_event **out);

#endif
