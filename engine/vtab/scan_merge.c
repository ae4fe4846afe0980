/* The ranges of lists, walked side by side in the order of what follows the lists.
 *
 *     index (grp, ts)   grp IN (1, 3) ORDER BY ts   ->   [1 ..) and [3 ..), whichever has the smaller ts next
 *
 * Each range has a cursor of its own. What is compared are the bytes of the keys behind the equalities, whose sizes
 * differ from range to range. A linear search finds the next of so few. */
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/vtab/scan.h"

typedef struct scan_side {
    edb_cursor sd_entries;          /* open if sd_open */
    bool sd_open, sd_over;
    size_t sd_prefix;               /* bytes of the equalities */
    table_buffer sd_low, sd_end;
    bool sd_has_end;
} scan_side;

bool merge_unpacked(const scan *cu)
{
    return cu->cu_sides[cu->cu_side].sd_entries.cu_tree.tc_held != 0;
}

void merge_close(scan *cu)
{
    for (uint32_t i = 0; i < cu->cu_n_sides; i++) {
        scan_side *sd = &cu->cu_sides[i];
        if (sd->sd_open)
            cursor_close(&sd->sd_entries);
        buffer_free(&sd->sd_low);
        buffer_free(&sd->sd_end);
    }
    free(cu->cu_sides);
    cu->cu_sides = NULL;
    cu->cu_n_sides = 0;
}

/* NULL: the side's range has no end. */
static const table_buffer *side_end(const scan_side *sd)
{
    return sd->sd_has_end ? &sd->sd_end : NULL;
}

/* Whether the side still stands in its range. */
static void side_settle(const scan *cu, scan_side *sd)
{
    const edb_cursor *entries = &sd->sd_entries;
    sd->sd_over = !entries->valid || !scan_within(&entries->at, cu->cu_range.kr_reverse, &sd->sd_low, side_end(sd));
}

static int side_seek(scan *cu, scan_side *sd)
{
    int rc = scan_cursor(cu, &sd->sd_entries);
    if (rc)
        return rc;
    sd->sd_open = true;
    cu->cu_visited++;
    rc = scan_seek(&sd->sd_entries, cu->cu_range.kr_reverse, &sd->sd_low, side_end(sd));
    if (!rc)
        side_settle(cu, sd);
    return rc;
}

static int copy_buffer(table_buffer *to, const table_buffer *from)
{
    uint8_t *bytes = buffer_reserve(to, from->bf_size + 1);
    if (!bytes)
        return scan_no_memory();
    if (from->bf_size)
        memcpy(bytes, from->bf_bytes, from->bf_size);
    to->bf_size = from->bf_size;
    return EDB_OK;
}

static int side_make(scan *cu, scan_side *sd)
{
    key_range *kr = &cu->cu_range;
    int rc = range_make(kr);
    if (rc)
        return rc;
    sd->sd_prefix = range_prefix(kr);
    sd->sd_has_end = kr->kr_has_end;
    if ((rc = copy_buffer(&sd->sd_low, &kr->kr_low)) || (rc = copy_buffer(&sd->sd_end, &kr->kr_end)))
        return rc;
    return side_seek(cu, sd);
}

/* The first in order of what the sides stand on. */
static void choose_side(scan *cu)
{
    const edb_entry *best = NULL;
    size_t best_prefix = 0;
    for (uint32_t i = 0; i < cu->cu_n_sides; i++) {
        const scan_side *sd = &cu->cu_sides[i];
        if (sd->sd_over)
            continue;
        const edb_entry *at = &sd->sd_entries.at;
        int order = best ? key_compare(at->key + sd->sd_prefix, at->key_size - sd->sd_prefix, best->key + best_prefix,
                                       best->key_size - best_prefix) : -1;
        if (best && (cu->cu_range.kr_reverse ? order <= 0 : order >= 0))
            continue;
        best = at;
        best_prefix = sd->sd_prefix;
        cu->cu_side = i;
    }
    cu->cu_at = best;
    cu->cu_walk_over = !best;
}

int merge_start(scan *cu)
{
    size_t n = range_count(&cu->cu_range);
    merge_close(cu);
    cu->cu_walk_over = cu->cu_range.kr_empty;
    if (cu->cu_walk_over)
        return EDB_OK;
    cu->cu_sides = calloc(n, sizeof *cu->cu_sides);
    if (!cu->cu_sides)
        return scan_no_memory();
    cu->cu_lasting = true;
    range_first(&cu->cu_range);
    do {
        int rc = side_make(cu, &cu->cu_sides[cu->cu_n_sides++]);
        if (rc)
            return rc;
    } while (range_turn(&cu->cu_range));
    choose_side(cu);
    return EDB_OK;
}

int merge_next(scan *cu)
{
    scan_side *sd = &cu->cu_sides[cu->cu_side];
    bool reverse = cu->cu_range.kr_reverse;
    cu->cu_visited++;
    int rc = reverse ? cursor_prev(&sd->sd_entries) : cursor_next(&sd->sd_entries);
    if (rc)
        return rc;
    side_settle(cu, sd);
    choose_side(cu);
    return EDB_OK;
}
