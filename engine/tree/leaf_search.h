/* Searching in the entries of a leaf that a reader sees, and in a node above from one key to a later one.
 *
 * Keys that are asked for in order mostly lie near the one before, or where the keys around them let one guess. A guess is
 * followed by steps that double: a good one touches little of the leaf, and a bad one costs a search in a part of it. */
#ifndef EDB_LEAF_SEARCH_H
#define EDB_LEAF_SEARCH_H

#include "engine/tree/page.h"

typedef struct {                    /* a key in a page, or one that is looked for; NULL: none */
    const uint8_t *key;
    uint32_t size;
} leaf_key;

typedef struct {                    /* the entries of a leaf that are seen, in key order */
    const uint8_t *lsl_page;
    const uint64_t *lsl_slots;
    unsigned lsl_fixed;             /* size of all keys; 0: each has its own */
} leaf_slots;

static inline leaf_key leaf_key_at(leaf_slots in, int i)
{
    leaf_key out;

    cell_key(in.lsl_page + slot_offset(in.lsl_slots[i]), in.lsl_fixed, &out.key, &out.size);
    return out;
}

static inline bool key_before(leaf_key a, leaf_key b)
{
    return key_compare(a.key, a.size, b.key, b.size) < 0;
}

/* The first entry of [low, high) whose key is >= key (> key when `after`). */
static inline int leaf_bound(leaf_slots in, int low, int high, const void *key, size_t key_size, bool after)
{
    while (low < high) {
        int middle = low + (high - low) / 2;
        leaf_key at = leaf_key_at(in, middle);
        int c = key_compare(at.key, at.size, key, key_size);
        if (after ? c <= 0 : c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What follows the first eight bytes of a key that has more, up to eight bytes, as a number. */
static inline uint64_t behind_eight(leaf_key k)
{
    return k.size >= 16 ? load64be(k.key + 8) : load64be(k.key + k.size - 8) << 8 * (16 - k.size);
}

/* Which entry of [first, high) has the key, if they lay evenly between two keys: numbers behind a common beginning often do.
 * begin: not behind entry `first`. end: of entry high - 1 if `last`, else behind it; NULL where it is not known. */
static inline int leaf_guess(int first, int high, leaf_key begin, leaf_key key, leaf_key end, bool last)
{
    if (!end.key || begin.size < 8 || end.size < 8 || key.size < 8)
        return first;
    uint64_t from = load64be(begin.key), to = load64be(end.key), at = load64be(key.key);
    if (from == to && begin.size > 8 && end.size > 8 && key.size > 8) {
        from = behind_eight(begin);
        to = behind_eight(end);
        at = behind_eight(key);
    }
    if (at <= from || at > to)
        return first;
    int guess = first + (int)((double)(high - first - last) * (double)(at - from) / (double)(to - from));
    return guess < high ? guess : high - 1;
}

/* The first entry of [first, high) at or behind the key, from the guess `at` on; high: none is. */
static inline int leaf_leap(leaf_slots in, int first, int high, leaf_key key, int at)
{
    int low = first, end = high;
    bool before = key_before(leaf_key_at(in, at), key), turned = false;

    for (int by = 1; !turned; by *= 2) {
        if (before)
            low = at + 1;
        else
            end = at;
        at = before ? at + by : at - by;
        if (at < low || at >= end)
            break;
        turned = key_before(leaf_key_at(in, at), key) != before;
    }
    if (turned && before)
        end = at;
    else if (turned)
        low = at + 1;
    return low < end ? leaf_bound(in, low, end, key.key, key.size, false) : low;
}

/* The key under a walk. */
static inline leaf_key walk_key(const page_walk *w)
{
    leaf_key out;

    cell_key(w->pw_page + w->pw_offset, load16(w->pw_page + TP_KEY_SIZE), &out.key, &out.size);
    return out;
}

/* Moves a walk that stands on an entry at or before the key to the last such entry, which mostly is near. */
static inline void walk_on(page_walk *w, leaf_key key)
{
    for (int tries = 0; tries < 3; tries++) {
        page_walk after = *w;
        if (!walk_next(&after) || key_before(key, walk_key(&after)))
            return;
        *w = after;
    }
    (void)walk_find(w, w->pw_page, w->pw_moment, key.key, key.size);
}

#endif
