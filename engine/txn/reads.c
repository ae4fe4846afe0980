/* Sets of ranges of keys (reads.h).
 *
 * A range is appended; if it touches the one before, that is widened, so that a walk by row ids is one range. When a
 * tree has many they are sorted and merged, and joined two by two until half of the room is free again: the work for
 * one note is a constant, on the average. */
#include "engine/txn/reads.h"

#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"

static const uint8_t *at(const tree_reads *tr, uint32_t offset)
{
    return tr->tr_bytes + offset;
}

static size_t memory_of(const tree_reads *tr)
{
    return tr->tr_room * sizeof *tr->tr_ranges + tr->tr_bytes_room;
}

static void ranges_free(tree_reads *tr)
{
    free(tr->tr_ranges);
    free(tr->tr_bytes);
    tr->tr_ranges = NULL;
    tr->tr_bytes = NULL;
    tr->tr_n = tr->tr_room = 0;
    tr->tr_size = tr->tr_bytes_room = 0;
}

static void make_whole(readset *rs, tree_reads *tr)
{
    rs->rs_bytes -= memory_of(tr);
    ranges_free(tr);
    tr->tr_whole = true;
}

void reads_clear(readset *rs)
{
    for (size_t i = 0; i < rs->rs_n; i++)
        ranges_free(&rs->rs_trees[i]);
    free(rs->rs_trees);
    *rs = (readset){ .rs_watches = rs->rs_watches };
}

/* NULL: memory ran out, and everything counts as read. */
static tree_reads *reads_of(readset *rs, uint32_t tree, bool fixed, bool existence)
{
    size_t *hint = &rs->rs_hints[(tree + 4 * existence) % 8];

    if (*hint < rs->rs_n && rs->rs_trees[*hint].tr_tree == tree && rs->rs_trees[*hint].tr_existence == existence)
        return &rs->rs_trees[*hint];
    for (size_t i = 0; i < rs->rs_n; i++)
        if (rs->rs_trees[i].tr_tree == tree && rs->rs_trees[i].tr_existence == existence) {
            *hint = i;
            return &rs->rs_trees[i];
        }
    if (rs->rs_n == rs->rs_room) {
        size_t room = 2 * rs->rs_room + 8;
        tree_reads *more = realloc(rs->rs_trees, room * sizeof *more);
        if (!more) {
            rs->rs_everything = true;
            return NULL;
        }
        rs->rs_trees = more;
        rs->rs_room = room;
    }
    *hint = rs->rs_n;
    rs->rs_trees[rs->rs_n] = (tree_reads){ .tr_tree = tree, .tr_fixed = fixed, .tr_existence = existence };
    return &rs->rs_trees[rs->rs_n++];
}

void reads_tree(readset *rs, uint32_t tree, bool fixed)
{
    tree_reads *tr = reads_of(rs, tree, fixed, false);

    if (tr && !tr->tr_whole)
        make_whole(rs, tr);
}

size_t key_behind(uint8_t *key, size_t size)
{
    while (size && key[size - 1] == 0xff)
        size--;
    if (size)
        key[size - 1]++;
    return size;
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */

static int compare_ranges(const void *a, const void *b, void *arg)
{
    const read_range *x = a, *y = b;
    const tree_reads *tr = arg;

    return key_compare(at(tr, x->rr_low), x->rr_low_size, at(tr, y->rr_low), y->rr_low_size);
}

/* -1, 0, 1; no upper end is the greatest. */
static int compare_highs(const tree_reads *tr, const read_range *a, const read_range *b)
{
    if (a->rr_high_size == RANGE_OPEN || b->rr_high_size == RANGE_OPEN)
        return (a->rr_high_size == RANGE_OPEN) - (b->rr_high_size == RANGE_OPEN);
    return key_compare(at(tr, a->rr_high), a->rr_high_size, at(tr, b->rr_high), b->rr_high_size);
}

/* Whether b, which begins no earlier than a, begins in a or just behind it. */
static bool touches(const tree_reads *tr, const read_range *a, const read_range *b)
{
    return a->rr_high_size == RANGE_OPEN
           || key_compare(at(tr, b->rr_low), b->rr_low_size, at(tr, a->rr_high), a->rr_high_size) <= 0;
}

static void widen(const tree_reads *tr, read_range *a, const read_range *b)
{
    if (compare_highs(tr, b, a) > 0) {
        a->rr_high = b->rr_high;
        a->rr_high_size = b->rr_high_size;
    }
}

static void join_pairs(tree_reads *tr)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < tr->tr_n; i += 2) {
        read_range joined = tr->tr_ranges[i];
        if (i + 1 < tr->tr_n)
            widen(tr, &joined, &tr->tr_ranges[i + 1]);
        tr->tr_ranges[n++] = joined;
    }
    tr->tr_n = n;
}

static size_t bytes_used(const tree_reads *tr)
{
    size_t used = 0;

    for (uint32_t i = 0; i < tr->tr_n; i++)
        used += tr->tr_ranges[i].rr_low_size
                + (tr->tr_ranges[i].rr_high_size == RANGE_OPEN ? 0 : tr->tr_ranges[i].rr_high_size);
    return used;
}

/* Only the bytes still in use, in a place of their own. -> false: no memory. */
static bool pack(readset *rs, tree_reads *tr)
{
    size_t size = 0, room = bytes_used(tr) + 1024;
    uint8_t *bytes = malloc(room);

    if (!bytes)
        return false;
    for (uint32_t i = 0; i < tr->tr_n; i++) {
        read_range *r = &tr->tr_ranges[i];
        memcpy(bytes + size, at(tr, r->rr_low), r->rr_low_size);
        r->rr_low = (uint32_t)size;
        size += r->rr_low_size;
        if (r->rr_high_size == RANGE_OPEN)
            continue;
        memcpy(bytes + size, at(tr, r->rr_high), r->rr_high_size);
        r->rr_high = (uint32_t)size;
        size += r->rr_high_size;
    }
    rs->rs_bytes += room;
    rs->rs_bytes -= tr->tr_bytes_room;
    free(tr->tr_bytes);
    tr->tr_bytes = bytes;
    tr->tr_size = size;
    tr->tr_bytes_room = room;
    return true;
}

static void merge(readset *rs, tree_reads *tr)
{
    uint32_t n = 0;

    if (tr->tr_n > 1)
        qsort_r(tr->tr_ranges, tr->tr_n, sizeof *tr->tr_ranges, compare_ranges, tr);
    for (uint32_t i = 0; i < tr->tr_n; i++) {
        const read_range *r = &tr->tr_ranges[i];
        if (n && touches(tr, &tr->tr_ranges[n - 1], r))
            widen(tr, &tr->tr_ranges[n - 1], r);
        else
            tr->tr_ranges[n++] = *r;
    }
    tr->tr_n = n;
    while (tr->tr_n > 1 && (tr->tr_n > READS_RANGES / 2 || bytes_used(tr) > READS_BYTES / 2))
        join_pairs(tr);
    if (!pack(rs, tr))
        make_whole(rs, tr);
}

void reads_merge(readset *rs)
{
    for (size_t i = 0; i < rs->rs_n; i++)
        if (!rs->rs_trees[i].tr_whole && rs->rs_trees[i].tr_n)
            merge(rs, &rs->rs_trees[i]);
}

/* ---- noting ----------------------------------------------------------------------------------------------------- */

static bool bytes_room(readset *rs, tree_reads *tr, size_t more)
{
    size_t room = 2 * tr->tr_bytes_room + 256;
    uint8_t *bytes;

    if (tr->tr_bytes_room - tr->tr_size >= more)
        return true;
    if (room < tr->tr_size + more)
        room = tr->tr_size + more;
    if (!(bytes = realloc(tr->tr_bytes, room)))
        return false;
    rs->rs_bytes += room - tr->tr_bytes_room;
    tr->tr_bytes = bytes;
    tr->tr_bytes_room = room;
    return true;
}

static bool range_room(readset *rs, tree_reads *tr)
{
    uint32_t room = 2 * tr->tr_room + 8;
    read_range *ranges;

    if (tr->tr_n < tr->tr_room)
        return true;
    if (!(ranges = realloc(tr->tr_ranges, room * sizeof *ranges)))
        return false;
    rs->rs_bytes += (room - tr->tr_room) * sizeof *ranges;
    tr->tr_ranges = ranges;
    tr->tr_room = room;
    return true;
}

/* Appends the key; `behind`: the one that follows it. -> its size; RANGE_OPEN: none follows. */
static uint32_t append_key(tree_reads *tr, const void *key, size_t size, bool behind)
{
    uint8_t *to = tr->tr_bytes + tr->tr_size;

    if (size)
        memcpy(to, key, size);
    if (behind && tr->tr_fixed && size == 8) {
        int i = 7;
        while (i >= 0 && ++to[i] == 0)
            i--;
        if (i < 0)
            return RANGE_OPEN;
    } else if (behind) {
        to[size++] = 0;
    }
    tr->tr_size += size;
    return (uint32_t)size;
}

/* The range appended last into the one before, if they touch: the common case of a walk. */
static void join_last(tree_reads *tr)
{
    read_range *last, *r;

    if (tr->tr_n < 2)
        return;
    last = &tr->tr_ranges[tr->tr_n - 2];
    r = last + 1;
    if (compare_ranges(last, r, tr) > 0 || !touches(tr, last, r))
        return;
    tr->tr_n--;
    tr->tr_size = r->rr_low;        /* its bytes are the last ones */
    if (compare_highs(tr, r, last) <= 0)
        return;
    if (r->rr_high_size != RANGE_OPEN) {
        /* Behind the bytes still in use: over the old end, if that is the last thing there. */
        size_t to = last->rr_high_size != RANGE_OPEN && last->rr_high + last->rr_high_size == tr->tr_size
                    ? last->rr_high : tr->tr_size;
        memmove(tr->tr_bytes + to, at(tr, r->rr_high), r->rr_high_size);
        last->rr_high = (uint32_t)to;
        tr->tr_size = to + r->rr_high_size;
    }
    last->rr_high_size = r->rr_high_size;
}

static void note(readset *rs, tree_reads *tr, const void *low, size_t low_size, const void *high, size_t high_size,
                 bool through)
{
    read_range *r;

    if (!tr || tr->tr_whole)
        return;
    if (tr->tr_n == READS_RANGES || tr->tr_size >= READS_BYTES)
        merge(rs, tr);
    if (tr->tr_whole)
        return;
    if (!low)
        low_size = 0;
    if (rs->rs_bytes > READS_TOTAL || !bytes_room(rs, tr, low_size + high_size + 1) || !range_room(rs, tr)) {
        make_whole(rs, tr);
        return;
    }
    r = &tr->tr_ranges[tr->tr_n];
    r->rr_low = (uint32_t)tr->tr_size;
    r->rr_low_size = append_key(tr, low, low_size, false);
    r->rr_high = (uint32_t)tr->tr_size;
    r->rr_high_size = high ? append_key(tr, high, high_size, through) : RANGE_OPEN;
    if (r->rr_high_size != RANGE_OPEN && key_compare(at(tr, r->rr_low), r->rr_low_size, at(tr, r->rr_high), r->rr_high_size) >= 0) {
        tr->tr_size = r->rr_low;    /* nothing lies in it */
        return;
    }
    tr->tr_n++;
    join_last(tr);
}

void reads_range(readset *rs, uint32_t tree, bool fixed, const void *low, size_t low_size, const void *high,
                 size_t high_size, bool through)
{
    note(rs, reads_of(rs, tree, fixed, false), low, low_size, high, high_size, through);
}

void reads_existence(readset *rs, uint32_t tree, bool fixed, const void *key, size_t size)
{
    note(rs, reads_of(rs, tree, fixed, true), key, size, key, size, true);
}

void reads_prefix(readset *rs, uint32_t tree, bool fixed, const void *prefix, size_t size)
{
    uint8_t *end = malloc(size + 1);
    size_t end_size = 0;

    if (!end) {
        reads_tree(rs, tree, fixed);
        return;
    }
    memcpy(end, prefix, size);
    end_size = key_behind(end, size);
    reads_range(rs, tree, fixed, prefix, size, end_size ? end : NULL, end_size, false);
    free(end);
}
