/* What a SERIALIZABLE transaction has read: for each tree, ranges of keys.
 *
 * A range is [low, high) in the order of keys; it counts whether it held anything or not, so a row that was looked for in
 * vain, and the gap a scan went over, are remembered like rows. Ranges are noted as they come and merged when there are
 * many. What is left beyond a bound is joined with its neighbours, two by two: the gaps between count as read then,
 * which may fail a transaction without need, never let one pass. So memory is bounded; and where it runs out, the whole
 * tree counts as read, or everything. That is why noting cannot fail.
 *
 * This file knows sets of ranges; read_watch.c what a cursor walked. One thread at a time, as the connection. */
#ifndef EDB_READS_H
#define EDB_READS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    READS_RANGES = 4096,            /* ranges of a tree before they are merged */
    READS_BYTES = 128 << 10,        /* bytes of their keys, likewise */
    READS_TOTAL = 8 << 20,          /* bytes of all trees; beyond it whole trees count as read */
};

typedef struct {
    uint32_t rr_low, rr_low_size;   /* in tr_bytes */
    uint32_t rr_high, rr_high_size; /* RANGE_OPEN: no upper end */
} read_range;

#define RANGE_OPEN UINT32_MAX

typedef struct {
    uint32_t tr_tree;
    bool tr_whole;                  /* all of it */
    bool tr_existence;              /* whether there were entries, whatever they held; apart from what was read whole */
    bool tr_fixed;                  /* its keys have 8 bytes: behind n comes n + 1 */
    uint32_t tr_n, tr_room;
    read_range *tr_ranges;          /* owned; sorted and disjoint after reads_merge() */
    uint8_t *tr_bytes;              /* owned */
    size_t tr_size, tr_bytes_room;
} tree_reads;

typedef struct {
    bool rs_everything;             /* memory ran out even for a tree's name */
    tree_reads *rs_trees;           /* owned */
    size_t rs_n, rs_room;
    size_t rs_hints[8];             /* where trees were found last, by number modulo 8 */
    size_t rs_bytes;                /* memory of all trees */
    struct read_watch *rs_watches;  /* cursors that are being watched; read_watch.c */
} readset;

void reads_clear(readset *rs);      /* forgets and frees everything but the watches */
/* low .. high, `through`: high itself included. low NULL: from the first key; high NULL: to the last. */
void reads_range(readset *rs, uint32_t tree, bool fixed, const void *low, size_t low_size, const void *high,
                 size_t high_size, bool through);
void reads_prefix(readset *rs, uint32_t tree, bool fixed, const void *prefix, size_t size);
void reads_tree(readset *rs, uint32_t tree, bool fixed);
void reads_merge(readset *rs);      /* before the ranges are looked at */

/* Whether the key is there; not what it holds. */
void reads_existence(readset *rs, uint32_t tree, bool fixed, const void *key, size_t size);

static inline void reads_point(readset *rs, uint32_t tree, bool fixed, const void *key, size_t size)
{
    reads_range(rs, tree, fixed, key, size, key, size, true);
}

/* Makes `key` the smallest key behind all that begin with it. -> its size; 0: there is none. */
size_t key_behind(uint8_t *key, size_t size);

#endif
