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

#define EACH 4                      /* entries first met are so many places apart */
#define ALIKE 2.0                   /* sizes of which none is over so many times another */

/* Places in the order of keys: first every fourth one, then the others. */
static uint32_t place_of(uint32_t i, uint32_t met)
{
    uint32_t rest = i - met / EACH;

    return i < met / EACH ? EACH * i : EACH * (rest / (EACH - 1)) + rest % (EACH - 1) + 1;
}

/* Whether the first entries met say what the others would: the groups of all of them are about as large. */
static bool are_alike(const group_sums *sums, uint32_t parts, uint32_t n)
{
    for (uint32_t part = 0; part < parts; part++)
        if (sums[part].gu_n < n || sums[part].gu_most > ALIKE * sums[part].gu_least)
            return false;
    return true;
}

void groups_take(stats_record *sm, const tree_look *look, const edb_index *index, uint32_t met)
{
    uint32_t room = pager_page_size(look->lo_pager), n = 0;
    uint8_t *bytes = malloc(room);
    group_sums *sums = calloc(index->n_parts, sizeof *sums);

    sm->sm_groups = malloc(index->n_parts * sizeof *sm->sm_groups);
    if (!bytes || !sums || !sm->sm_groups)
        goto done;
    for (uint32_t i = 0; i < met; i++) {
        tree_version entry;
        bool found;
        uint64_t place = stats_place(look->lo_tree.ts_id, place_of(i, met), met);
        if ((i == GROUPS_MET / EACH && met == GROUPS_MET && are_alike(sums, index->n_parts, i))
            || tree_sample(look->lo_pager, &look->lo_tree, place, &entry, &found))
            break;
        if (!found || entry.key_size > room)
            continue;
        add_entry(look, index, &entry, bytes, sums);
        n++;
    }
    for (uint32_t part = 0; part < index->n_parts; part++)
        sm->sm_groups[part] = mean_of(&sums[part]);
    sm->sm_n = n ? index->n_parts : 0;
done:
    free(bytes);
    free(sums);
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
