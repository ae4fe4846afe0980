/* How many entries of an index are equal in its first parts. */
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/stats/stats_internal.h"

/* Entries that begin with the first `size` bytes of the key, the end of a part. `bytes` has room for them. */
static double beginning_with(const tree_look *look, const uint8_t *key, size_t size, uint8_t *bytes)
{
    uint64_t entries = 0;
    size_t high = size;

    memcpy(bytes, key, size);
    while (high && bytes[high - 1] == 0xFF)
        high--;
    if (high)
        bytes[high - 1]++;          /* the smallest key behind all that begin so */
    if (tree_estimate(look->lo_pager, &look->lo_tree, key, size, high ? bytes : NULL, high, &entries) || entries < 1)
        entries = 1;
    return (double)entries;
}

static bool is_null(const uint8_t *part, bool descending)
{
    return *part == (descending ? (uint8_t)~KEY_NULL : KEY_NULL);
}

/* What the groups of entries met add up to, for a number of parts. */
typedef struct {
    uint32_t gu_n;
    double gu_sizes, gu_inverses;
    double gu_least, gu_most;       /* of gu_n sizes */
} group_sums;

/* Adds the groups that an entry belongs to. A NULL is equal to nothing, so it makes no group. */
static void add_entry(const tree_look *look, const edb_index *index, const tree_version *entry, uint8_t *bytes,
                      group_sums *sums)
{
    size_t at = 0, end = entry->key_size < 8 ? 0 : entry->key_size - 8;
    double size = (double)look->lo_tree.ts_live;

    for (uint32_t part = 0; part < index->n_parts; part++) {
        bool descending = index->parts[part].descending;
        size_t part_size = key_part_size(entry->key + at, end - at, descending);
        if (!part_size || is_null(entry->key + at, descending))
            return;
        at += part_size;
        if (size > 1)               /* a group of one stays one */
            size = beginning_with(look, entry->key, at, bytes);
        group_sums *gu = &sums[part];
        gu->gu_least = gu->gu_n && gu->gu_least < size ? gu->gu_least : size;
        gu->gu_most = gu->gu_most > size ? gu->gu_most : size;
        gu->gu_n++;
        gu->gu_sizes += size;
        gu->gu_inverses += 1 / size;
    }
}

static group_size mean_of(const group_sums *sums)
{
    if (!sums->gu_n)
        return (group_size){ 1, 1 };
    return (group_size){ sums->gu_n / sums->gu_inverses, sums->gu_sizes / sums->gu_n };
}

/* ---- entries met at random ---- */

typedef struct {
    const tree_look *gtk_look;
    const edb_index *gtk_index;
    uint8_t *gtk_bytes;             /* of a page */
    size_t gtk_room;
    group_sums *gtk_sums;           /* for each number of parts */
    uint32_t gtk_n;                 /* entries met */
} group_taking;

static void met(group_taking *gt, const tree_version *entry)
{
    if (entry->key_size > gt->gtk_room)
        return;
    add_entry(gt->gtk_look, gt->gtk_index, entry, gt->gtk_bytes, gt->gtk_sums);
    gt->gtk_n++;
}

/* -> false: the tree cannot be read. */
static bool meet(group_taking *gt, uint64_t place)
{
    tree_version entry;
    bool found;

    if (tree_sample(gt->gtk_look->lo_pager, &gt->gtk_look->lo_tree, place, &entry, &found))
        return false;
    if (found)
        met(gt, &entry);
    return true;
}

static bool meet_middle(group_taking *gt, uint64_t place, int behind)
{
    tree_version entry;
    bool found;

    if (tree_sample_middle(gt->gtk_look->lo_pager, &gt->gtk_look->lo_tree, place, behind, &entry, &found))
        return false;
    if (found)
        met(gt, &entry);
    return true;
}

static void forget(group_taking *gt)
{
    memset(gt->gtk_sums, 0, gt->gtk_index->n_parts * sizeof *gt->gtk_sums);
    gt->gtk_n = 0;
}

#define ALIKE 2.0                   /* sizes of which none is over so many times another */

static bool are_alike(const group_taking *gt)
{
    for (uint32_t part = 0; part < gt->gtk_index->n_parts; part++) {
        const group_sums *gu = &gt->gtk_sums[part];
        if (gu->gu_n < gt->gtk_n || gu->gu_most > ALIKE * gu->gu_least)
            return false;
    }
    return gt->gtk_n > 0;
}

/* Does a value of the first part have a whole leaf at this place, or more? */
static bool has_leaf(const group_taking *gt, uint64_t place)
{
    bool descending = gt->gtk_index->parts[0].descending, found;
    leaf_bounds lb;

    if (tree_sample_leaf(gt->gtk_look->lo_pager, &gt->gtk_look->lo_tree, place, &lb, &found) || !found)
        return false;
    size_t size = key_part_size(lb.lfb_low, lb.lfb_low_size, descending);
    return size && size <= lb.lfb_high_size && !memcmp(lb.lfb_low, lb.lfb_high, size);
}

/* A page that nobody has looked at yet is dear, so a few are looked at first: some parents of leaves, which say where a
 * value has more than a leaf, and entries of two leaves. These say what others would, if their groups are all about as
 * large, and none has more than a leaf. Entries in the middle, so that their groups seldom end in the leaves beside. */
enum { FIRST_PARENTS = 8, FIRST_LEAVES = 2, NEIGHBOURS = 4, NEIGHBOURS_APART = 16 };

static bool first_are_alike(group_taking *gt)
{
    const tree_state *tree = &gt->gtk_look->lo_tree;

    for (uint32_t i = 0; i < FIRST_PARENTS; i++)
        if (has_leaf(gt, stats_place(tree->ts_id, i, FIRST_PARENTS)))
            return false;
    for (uint32_t i = 0; i < FIRST_LEAVES; i++)
        for (int k = 0; k < NEIGHBOURS; k++)
            if (!meet_middle(gt, stats_place(tree->ts_id, i, FIRST_LEAVES), (k - NEIGHBOURS / 2) * NEIGHBOURS_APART))
                return false;
    return are_alike(gt);
}

static void take(group_taking *gt, uint32_t met)
{
    if (met == GROUPS_MET && first_are_alike(gt))
        return;
    forget(gt);
    for (uint32_t i = 0; i < met; i++)
        if (!meet(gt, stats_place(gt->gtk_look->lo_tree.ts_id, i, met)))
            return;
}

void groups_take(stats_record *sm, const tree_look *look, const edb_index *index, uint32_t met)
{
    group_taking gt = { .gtk_look = look, .gtk_index = index, .gtk_room = pager_page_size(look->lo_pager) };

    gt.gtk_bytes = malloc(gt.gtk_room);
    gt.gtk_sums = calloc(index->n_parts, sizeof *gt.gtk_sums);
    sm->sm_groups = malloc(index->n_parts * sizeof *sm->sm_groups);
    if (gt.gtk_bytes && gt.gtk_sums && sm->sm_groups) {
        take(&gt, met);
        for (uint32_t part = 0; part < index->n_parts; part++)
            sm->sm_groups[part] = mean_of(&gt.gtk_sums[part]);
        sm->sm_n = gt.gtk_n ? index->n_parts : 0;
    }
    free(gt.gtk_bytes);
    free(gt.gtk_sums);
}

group_size stats_groups(edb_conn *conn, const edb_index *index, uint32_t parts)
{
    group_size found = { 10, 10 };  /* SQLite's guess, without statistics */
    stats_book *book = stats_lock(conn);
    tree_look look;
    bool fresh;

    if (!book)
        return found;
    if (conn_look(conn, index->tree, &look)) {
        stats_record *sm = stats_find(book, (stats_key){ index->tree, WHOLE_INDEX }, look.lo_tree.ts_live, &fresh);
        if (sm && fresh && !kept_load(book, conn, sm, &look))
            groups_take(sm, &look, index, GROUPS_MET);
        if (sm && parts && parts <= sm->sm_n)
            found = sm->sm_groups[parts - 1];
        conn_looked(conn);
    }
    stats_unlock(book);
    return found;
}
