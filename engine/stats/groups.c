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

/* Adds the sizes of the groups that an entry belongs to: their sum and the sum of their inverses. */
static void add_entry(const tree_look *look, const edb_index *index, const tree_version *entry, uint8_t *bytes,
                      group_size *sums)
{
    size_t at = 0, end = entry->key_size < 8 ? 0 : entry->key_size - 8;
    double size = (double)look->lo_tree.ts_live;

    for (uint32_t part = 0; part < index->n_parts; part++) {
        size_t part_size = key_part_size(entry->key + at, end - at, index->parts[part].descending);
        if (!part_size)
            return;
        at += part_size;
        if (size > 1)               /* a group of one stays one */
            size = beginning_with(look, entry->key, at, bytes);
        sums[part].gs_met += size;
        sums[part].gs_mean += 1 / size;
    }
}

void groups_take(stats_record *sr, const tree_look *look, const edb_index *index, uint32_t met)
{
    uint8_t *bytes = malloc(pager_page_size(look->lo_pager));
    uint32_t n = 0;

    sr->sm_groups = calloc(index->n_parts, sizeof *sr->sm_groups);
    if (!bytes || !sr->sm_groups)
        goto done;
    for (uint32_t i = 0; i < met; i++) {
        tree_version entry;
        bool found;
        if (tree_sample(look->lo_pager, &look->lo_tree, stats_place(look->lo_tree.ts_id, i, met), &entry, &found))
            break;
        if (found && entry.key_size <= pager_page_size(look->lo_pager)) {
            add_entry(look, index, &entry, bytes, sr->sm_groups);
            n++;
        }
    }
    for (uint32_t part = 0; n && part < index->n_parts; part++) {
        group_size *gs = &sr->sm_groups[part];
        gs->gs_met = gs->gs_met ? gs->gs_met / n : 1;
        gs->gs_mean = gs->gs_mean ? n / gs->gs_mean : 1;
    }
    sr->sm_n = n ? index->n_parts : 0;
done:
    free(bytes);
}

group_size stats_groups(edb_conn *conn, const edb_index *index, uint32_t parts)
{
    group_size guess = { 10, 10 };  /* SQLite's, without statistics */
    tree_look look;
    bool fresh;

    if (!conn_look(conn, index->tree, &look))
        return guess;
    stats_record *sr = stats_find(conn, (stats_key){ index->tree, WHOLE_INDEX }, look.lo_tree.ts_live, &fresh);
    if (sr && fresh)
        groups_take(sr, &look, index, GROUPS_MET);
    if (sr && parts && parts <= sr->sm_n)
        guess = sr->sm_groups[parts - 1];
    conn_looked(conn);
    return guess;
}
