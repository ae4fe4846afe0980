/* A tree node in a page: its layout, searching in it, walking it at a moment, building one.
 *
 * docs/format.md, "Trees", gives the bytes. The idea: two directories of slot words. The first holds, in key order, the
 * newest entry of every key that lives (in an interior node: of every key); the second all others, each with the
 * commit number at which it ended and its rank among the first. So
 *   - a read at T >= newest sees the first directory and nothing else;
 *   - whether an entry is visible at T is decided by its slot words, without looking at a key;
 *   - the rank merges both directories in key order, without comparing keys.
 *
 * What is read here was checked once by page_valid() when the pager first touched it, so nothing below checks bounds. */
#ifndef EDB_PAGE_H
#define EDB_PAGE_H

#include <assert.h>

#include "native/keycode.h"
#include "engine/tree/tree.h"

enum {
    TP_LIVE = 28,       /* u16 entries of the first directory */
    TP_DEAD = 30,       /* u16 entries of the second */
    TP_NEWEST = 32,     /* u64 largest `from` */
    TP_OLDEST = 40,     /* u64 smallest `from` */
    TP_HEAP = 48,       /* u16 offset of the lowest cell */
    TP_KEY_SIZE = 50,   /* u16 8 or 0 */
    TP_SLOTS = 64,
};

#define SLOT_LIVE 8u                        /* bytes of a slot in the first directory */
#define SLOT_DEAD 16u                       /* bytes in the second */
#define TO_NONE ((1ULL << 48) - 1)          /* `to` of an entry that nothing in the page follows */
#define RANK_MASK 0x7fffu
#define RANK_TOMBSTONE 0x8000u
#define CHILD_SIZE 9u                       /* bytes of a child pointer: u40 page, u32 tag */
#define OVERFLOW_SIZE 20u                   /* bytes of a pointer to an overflow chain */

enum { OVERFLOW_NEXT = 32, OVERFLOW_DATA = 48 };        /* in a PAGE_OVERFLOW; PH_COUNT holds its data bytes */

_Static_assert((int)TP_LIVE == (int)PH_COUNT, "the counts of a node stand where the page header leaves room");

static inline unsigned page_live(const uint8_t *page) { return load16(page + TP_LIVE); }
static inline unsigned page_dead(const uint8_t *page) { return load16(page + TP_DEAD); }
static inline uint64_t page_newest(const uint8_t *page) { return load64(page + TP_NEWEST); }
static inline unsigned page_level(const uint8_t *page) { return page[PH_LEVEL]; }
static inline bool page_is_leaf(const uint8_t *page) { return page[PH_KIND] == PAGE_LEAF; }
static inline const uint64_t *page_live_slots(const uint8_t *page) { return (const uint64_t *)(page + TP_SLOTS); }
static inline const uint64_t *page_dead_slots(const uint8_t *page) { return page_live_slots(page) + page_live(page); }

static inline uint64_t slot_from(uint64_t word) { return word >> 16; }
static inline unsigned slot_offset(uint64_t word) { return (unsigned)(word & 0xffff); }
static inline uint64_t dead_to(const uint64_t *slot) { return slot[1] >> 16; }
static inline unsigned dead_rank(const uint64_t *slot) { return (unsigned)slot[1] & RANK_MASK; }
static inline bool dead_is_tombstone(const uint64_t *slot) { return slot[1] & RANK_TOMBSTONE; }
static inline bool dead_visible(const uint64_t *slot, uint64_t moment)
{
    return slot_from(slot[0]) <= moment && moment < dead_to(slot);
}

/* A varint of a checked page: at most five bytes, no bounds. */
static inline const uint8_t *cell_varint(const uint8_t *p, uint32_t *out)
{
    uint32_t v = *p++;

    if (v >= 0x80) {
        v &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            uint32_t b = *p++;
            v |= (b & 0x7f) << shift;
            if (b < 0x80)
                break;
        }
    }
    *out = v;
    return p;
}

/* -> the byte behind the key. */
static inline const uint8_t *cell_key(const uint8_t *cell, unsigned fixed, const uint8_t **key, uint32_t *key_size)
{
    if (fixed)
        *key_size = fixed;
    else
        cell = cell_varint(cell, key_size);
    *key = cell;
    return cell + *key_size;
}

static inline void cell_leaf(const uint8_t *cell, unsigned fixed, tree_version *out)
{
    uint32_t info;
    const uint8_t *p = cell_varint(cell_key(cell, fixed, &out->key, &out->key_size), &info);

    out->value = p;
    out->value_size = info >> 1;
    out->overflow = info & 1;
}

/* The first page of a chain, from the pointer to it. */
static inline page_ref overflow_first(const uint8_t *pointer)
{
    return (page_ref){ load64(pointer + 8), load32(pointer + 16) };
}

/* The page behind one of a chain; page 0: it is the last. */
static inline page_ref overflow_next(const uint8_t *page)
{
    return (page_ref){ load64(page + OVERFLOW_NEXT), load32(page + OVERFLOW_NEXT + 8) };
}

static inline page_ref cell_child(const uint8_t *cell, unsigned fixed)
{
    const uint8_t *key;
    uint32_t size;
    const uint8_t *p = cell_key(cell, fixed, &key, &size);

    return (page_ref){ load40(p), load32(p + 5) };
}

/* Structure, so that nothing else needs to look at bounds: directories and cells lie inside the page, ranks and
 * counts are possible. Order and versions are tree_check's. Registered with the pager for both kinds. */
bool page_valid(const uint8_t *page, uint32_t page_size);

#define LEVEL_ANY 256               /* above every level */
/* The root answering for the moment, and since when it does; page 0 when the tree did not exist yet. tree_read.c */
int tree_root_at(pager *pg, const tree_state *state, uint64_t moment, page_ref *out, uint64_t *since);
/* A node that a parent of level `above` points to, for reading. Valid as long as the pin. tree_read.c */
int node_open(pager *pg, const pager_view *view, const tree_state *state, page_ref ref, unsigned above, const uint8_t **out);
/* The same, for who leaves it before: cold_leave(&state->ts_cold, *held). */
int node_open_held(pager *pg, const pager_view *view, const tree_state *state, page_ref ref, unsigned above, const uint8_t **out,
                   uint64_t *held);

/* The version of the key in a leaf at the moment. *at: the first of the living entries that is not before the key.
 * tree_read.c */
bool leaf_find(const uint8_t *leaf, uint64_t moment, const void *key, size_t key_size, unsigned *at, tree_version *out);

/* Index of the first entry of a directory whose key is >= key (of > key when `after`). stride: words a slot, 1 or 2. */
unsigned page_search(const uint8_t *page, const uint64_t *slots, unsigned n, unsigned stride, const void *key,
                     size_t key_size, bool after);

/* The slot words of the entries visible at `moment`, in key order, tombstones left out; -> how many. `seen` has room
 * for all entries of the page and one more. For leaves. */
unsigned page_visible(const uint8_t *page, uint64_t moment, uint64_t *seen);

/* A place in a node between its entries, at a moment, walked in both directions over both directories. */
typedef struct {
    const uint8_t *pw_page;
    uint64_t pw_moment;
    int pw_live_next, pw_dead_next;     /* first candidates after the current entry */
    int pw_live_prev, pw_dead_prev;     /* last candidates before it; -1: none */
    unsigned pw_offset;                 /* cell of the current entry */
    uint64_t pw_from;
    bool pw_is_live;                    /* it is in the first directory */
} page_walk;

/* To the last entry visible at the moment with key <= key (key NULL: the first / last visible entry of all). -> false
 * when there is none. */
bool walk_find(page_walk *w, const uint8_t *page, uint64_t moment, const void *key, size_t key_size);
bool walk_first(page_walk *w, const uint8_t *page, uint64_t moment);
bool walk_last(page_walk *w, const uint8_t *page, uint64_t moment);
bool walk_next(page_walk *w);
bool walk_prev(page_walk *w);

/* An entry while a node is being rebuilt. Sorted by key, then from descending. */
typedef struct page_entry {
    const uint8_t *key;
    const uint8_t *value;       /* leaf */
    page_ref child;             /* interior; page 0: empty */
    uint64_t from;
    uint32_t key_size, value_size;
    bool tombstone;             /* leaf */
    bool overflow;              /* leaf: value is the 20-byte pointer to a chain */
    bool newest;                /* of its key; entries_mark() sets it */
} page_entry;

/* All entries of a node into `out` (room for page_live + page_dead); -> how many. They point into the page. */
unsigned page_entries(const uint8_t *page, page_entry *out);
/* The same, of the keys low <= key < high (NULL: no end) alone. */
unsigned page_entries_within(const uint8_t *page, const void *low, size_t low_size, const void *high, size_t high_size,
                             page_entry *out);
static inline bool entry_same_key(const page_entry *a, const page_entry *b)
{
    if (a->key_size == 8 && b->key_size == 8)
        return load64(a->key) == load64(b->key);
    return a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0;
}
/* Sets `newest` in a sorted array. */
void entries_mark(page_entry *e, size_t n);
/* Whether a marked entry goes into the first directory. */
static inline bool entry_living(const page_entry *e, bool leaf) { return e->newest && !(leaf && e->tombstone); }
static inline uint32_t cell_bytes(const page_entry *e, bool leaf, unsigned fixed)
{
    uint32_t size = e->key_size + (fixed ? 0 : (uint32_t)varint_size(e->key_size));

    if (!leaf)
        return size + CHILD_SIZE;
    return size + (uint32_t)varint_size((uint64_t)e->value_size << 1) + e->value_size;
}

/* Bytes a marked entry takes in a page, directory included. */
static inline uint32_t entry_bytes(const page_entry *e, bool leaf, unsigned fixed)
{
    return cell_bytes(e, leaf, fixed) + (entry_living(e, leaf) ? SLOT_LIVE : SLOT_DEAD);
}
/* Fills a page (all but what pager_write fills) with marked entries that fit. */
void page_build(uint8_t *page, uint32_t page_size, bool leaf, unsigned level, uint32_t owner, unsigned fixed,
                const page_entry *e, size_t n);

#endif
