/* What a commit's changes to a tree pass through: the writer, and the pieces that nodes answer with.
 *
 * tree_write.c is the way in and has the whole story; tree_leaf.c and tree_interior.c say what a node of their kind
 * becomes; tree_pieces.c has what both need. Nothing of this is for anybody else.
 *
 * Memory: entries point into pages of the map and into the caller's changes. A page is freed only after everything
 * taken from it was written, because a page made by this commit may be handed out again at once. Separators that go up
 * to a parent are copied into the arena, which lives for one tree_apply(). */
#ifndef EDB_TREE_PIECES_H
#define EDB_TREE_PIECES_H

#include "native/arena.h"
#include "engine/pager/cold.h"
#include "engine/tree/content_queue.h"
#include "engine/tree/page.h"

#define DEAD_SHARE 34       /* percent of a node's bytes a time split must free to be preferred to a key split */
#define FILL_SHARE 75       /* percent: an interior node fuller than this after a time split is also split by key */

typedef struct {
    const uint8_t *low;     /* separator, in the arena; NULL: the node's own */
    uint32_t low_size;
    uint64_t from;
    page_ref ref;           /* page 0: empty */
} piece;

typedef struct {
    piece *p;
    size_t n, room;
    bool whole;             /* the first piece is the past of the whole node */
} pieces;

typedef struct {
    page_entry *e;
    size_t room;
} entry_buffer;

typedef struct {
    pager_commit *tw_commit;
    pager *tw_pager;
    const pager_view *tw_view;
    tree_state *tw_state;
    uint64_t tw_now;
    uint32_t tw_page_size;
    uint32_t tw_capacity;   /* bytes of entries a page holds */
    unsigned tw_fixed;
    uint8_t *tw_buffer;     /* of a page; made when one is built outside of memory */
    uint8_t *tw_page;       /* a page under construction: page_begin() */
    uint64_t tw_page_number;
    entry_buffer tw_old, tw_new, tw_past;   /* leaf entries: as found, merged with the changes, moved to history */
    page_ref tw_leaf;       /* the leaf being applied to; page 0: a new one */
    size_t tw_leaf_n;       /* entries of it after merging */
    bool tw_in_place;       /* all its entries were there before this commit: it can become history as it stands */
    bool tw_kept;           /* it did */
    arena tw_arena;
    content_queue tw_made;      /* the changes that make versions, or end one */
} writer;

/* ---- tree_pieces.c */
static inline int writer_no_memory(void) { return edb_fail(EDB_NOMEM, "no memory to apply the changes of a commit"); }
/* Of a page that is not what its parent's entry says. */
bool writer_is_node(const writer *w, const uint8_t *page);
int writer_not_a_node(const writer *w, page_ref ref);
/* Draws a page, to be built in tw_page, and writes what was built there. */
int page_begin(writer *w);
int page_end(writer *w, page_ref *out);
/* Writes a node of these entries. */
int writer_node(writer *w, bool leaf, unsigned level, const page_entry *e, size_t n, page_ref *out);
int entry_room(entry_buffer *b, size_t n);
/* low NULL: under the separator of the node itself. */
int pieces_add(writer *w, pieces *to, const page_entry *low, uint64_t from, page_ref ref);
size_t pieces_entries(const pieces *from, const uint8_t *key, uint32_t key_size, page_entry *out);
size_t entries_middle(const writer *w, bool leaf, const page_entry *e, size_t n, uint64_t bytes);

/* ---- leaf_edit.c */
/* Begins a page, a copy of the leaf with the change, in tw_page; *edited false: that takes more than an edit. The header is still
 * the leaf's. */
int leaf_edit_one(writer *w, const uint8_t *page, uint64_t born, const tree_change *c, bool *edited);

/* ---- leaf_runs.c */
/* Where to cut a leaf instead of in the middle (an index in (0, n)): behind the keys arriving in order there, if they do. */
size_t leaf_run_end(const writer *w, const page_entry *e, size_t n, size_t middle);

/* ---- tree_leaf.c */
/* ref page 0: the range was empty; a new leaf begins here. *changed false: nothing to do after all. */
int leaf_apply(writer *w, page_ref ref, const uint8_t *page, uint64_t born, const tree_change *c, size_t n,
               bool is_root, bool rightmost, pieces *out, bool *changed);

/* ---- tree_interior.c */
int interior_apply(writer *w, page_ref ref, const uint8_t *page, uint64_t born, const tree_change *c, size_t n,
                   bool is_root, bool rightmost, pieces *out, bool *changed);
/* The entries become one node or several. e has room for one entry more than n. */
int interior_split(writer *w, page_entry *e, size_t n, unsigned level, const page_entry *low, uint64_t born, bool whole,
                   pieces *out);

/* ---- tree_write.c */
/* Applies changes to the node at `ref`, whose level is below `above`. */
int node_apply(writer *w, page_ref ref, unsigned above, uint64_t born, const tree_change *c, size_t n, bool is_root,
               bool rightmost, pieces *out, bool *changed);

/* ---- small parts */

static inline uint64_t entries_bytes(const writer *w, bool leaf, const page_entry *e, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += entry_bytes(&e[i], leaf, w->tw_fixed);
    return bytes;
}

static inline bool entries_one_key(const page_entry *e, size_t n)
{
    return entry_same_key(&e[0], &e[n - 1]);
}

static inline uint64_t entries_oldest(const page_entry *e, size_t n)
{
    uint64_t oldest = UINT64_MAX;

    for (size_t i = 0; i < n; i++)
        oldest = e[i].from < oldest ? e[i].from : oldest;
    return oldest;
}

static inline uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
