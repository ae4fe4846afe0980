/* Walking ranges of keys, one after the other, in a tree or a list. */
#include <string.h>

#include "native/keycode.h"
#include "engine/vtab/scan.h"

int scan_damaged_entry(const scan *cu)
{
    return edb_fail(EDB_CORRUPT, "%s%s of table %s holds a damaged entry", cu->cu_index ? "index " : "the tree",
                    cu->cu_index ? cu->cu_index->name : "", cu->cu_table->et_name);
}

/* ---- where it stands ------------------------------------------------------------------------------------------ */

static bool load_item(scan *cu)
{
    if (cu->cu_list_at >= list_count(cu->cu_sorted))
        return false;
    const list_item *item = list_at(cu->cu_sorted, cu->cu_list_at);
    cu->cu_item = (edb_entry){
        .key = item->li_key, .key_size = item->li_key_size, .value = item->li_value,
        .value_size = item->li_value_size};
    return true;
}

static bool stands(scan *cu)
{
    return cu->cu_sorted ? load_item(cu) : cu->cu_entries.valid;
}

bool scan_within(const edb_entry *at, bool reverse, const table_buffer *low, const table_buffer *end)
{
    if (reverse)
        return key_compare(at->key, at->key_size, low->bf_bytes, low->bf_size) >= 0;
    return !end || key_compare(at->key, at->key_size, end->bf_bytes, end->bf_size) < 0;
}

/* NULL: the range has no end. */
static const table_buffer *range_end(const key_range *kr)
{
    return kr->kr_has_end ? &kr->kr_end : NULL;
}

int scan_cursor(scan *cu, edb_cursor *out)
{
    if (cu->cu_private)
        return cursor_private(cu->cu_stmt, cu->cu_private, out);
    int rc = cursor_open(cu->cu_stmt, cu->cu_index ? cu->cu_index->tree : cu->cu_table->et_id, out);
    out->cu_tree.tc_streams = true;         /* SQLite gets copies of what does not last */
    return rc;
}

/* ---- going to a key: the first entry from it on, or backwards the last before it ------------------------------ */

int scan_seek(edb_cursor *entries, bool reverse, const table_buffer *low, const table_buffer *end)
{
    int rc;
    if (!reverse)
        rc = cursor_seek(entries, low->bf_size ? low->bf_bytes : NULL, low->bf_size);
    else
        rc = cursor_seek_last(entries, end ? end->bf_bytes : NULL, end ? end->bf_size : 0);
    /* The end itself is not before it. */
    if (!rc && reverse && end && entries->valid
        && !key_compare(entries->at.key, entries->at.key_size, end->bf_bytes, end->bf_size))
        rc = cursor_prev(entries);
    if (!rc && cursor_watched(entries))
        cursor_bounds(entries, low->bf_bytes, low->bf_size, end ? end->bf_bytes : NULL, end ? end->bf_size : 0);
    return rc;
}

static int seek_list(scan *cu, const table_buffer *low, const table_buffer *end)
{
    const entry_list *list = cu->cu_sorted;
    if (!cu->cu_range.kr_reverse)
        cu->cu_list_at = list_rank(list, low->bf_bytes, low->bf_size);
    else                            /* -1 wraps to a number that is no item's */
        cu->cu_list_at = (end ? list_rank(list, end->bf_bytes, end->bf_size) : list_count(list)) - 1;
    return EDB_OK;
}

static int seek_tree(scan *cu, const table_buffer *low, const table_buffer *end)
{
    if (!cu->cu_open) {
        int rc = scan_cursor(cu, &cu->cu_entries);
        if (rc)
            return rc;
        cu->cu_open = true;
    }
    return scan_seek(&cu->cu_entries, cu->cu_range.kr_reverse, low, end);
}

static int seek(scan *cu, const table_buffer *low, const table_buffer *end)
{
    cu->cu_visited++;
    return cu->cu_sorted ? seek_list(cu, low, end) : seek_tree(cu, low, end);
}

static int seek_range(scan *cu)
{
    key_range *kr = &cu->cu_range;
    int rc = range_make(kr);
    return rc ? rc : seek(cu, &kr->kr_low, range_end(kr));
}

/* One row id: no cursor is needed. */
static int get_single(scan *cu)
{
    bool found;
    cu->cu_visited++;
    int rc = cursor_get_near(cu->cu_stmt, cu->cu_table->et_id, range_rowid(&cu->cu_range), 8, &cu->cu_near,
                             &cu->cu_entries.at, &found);
    if (!rc)
        cu->cu_entries.valid = found;
    return rc;
}

/* ---- walking -------------------------------------------------------------------------------------------------- */

static bool in_range(const scan *cu)
{
    const key_range *kr = &cu->cu_range;
    return scan_within(cu->cu_at, kr->kr_reverse, &kr->kr_low, range_end(kr));
}

/* From where the scan stands to the first entry in a range, this one or a later one. */
static int settle(scan *cu)
{
    int rc = EDB_OK;
    while (!rc && !(stands(cu) && (cu->cu_single || in_range(cu)))) {
        if (!range_turn(&cu->cu_range)) {
            cu->cu_walk_over = true;
            return EDB_OK;
        }
        rc = cu->cu_single ? get_single(cu) : seek_range(cu);
    }
    return rc;
}

int ranges_start(scan *cu)
{
    int rc;
    cu->cu_walk_over = cu->cu_range.kr_empty;
    if (cu->cu_walk_over)
        return EDB_OK;
    cu->cu_at = cu->cu_sorted ? &cu->cu_item : &cu->cu_entries.at;
    cu->cu_lasting = !cu->cu_sorted;
    range_first(&cu->cu_range);
    rc = cu->cu_single ? get_single(cu) : seek_range(cu);
    return rc ? rc : settle(cu);
}

static int step(scan *cu)
{
    cu->cu_visited++;
    if (!cu->cu_sorted)
        return cu->cu_range.kr_reverse ? cursor_prev(&cu->cu_entries) : cursor_next(&cu->cu_entries);
    cu->cu_list_at += cu->cu_range.kr_reverse ? (size_t)-1 : 1;
    return EDB_OK;
}

int ranges_next(scan *cu)
{
    int rc = EDB_OK;
    if (cu->cu_single)
        cu->cu_entries.valid = false;
    else
        rc = step(cu);
    return rc ? rc : settle(cu);
}

/* ---- skipping ------------------------------------------------------------------------------------------------- */

size_t ranges_prefix(const scan *cu, const edb_entry *entry, uint32_t parts)
{
    size_t at = 0, end = entry->key_size < 8 ? 0 : entry->key_size - 8;
    for (uint32_t part = 0; part < parts; part++) {
        size_t size = key_part_size(entry->key + at, end - at, cu->cu_index->parts[part].descending);
        if (!size)
            return 0;
        at += size;
    }
    return at;
}

int ranges_skip(scan *cu)
{
    size_t size = ranges_prefix(cu, cu->cu_at, cu->cu_skip_parts);
    table_buffer *prefix = &cu->cu_prefix;
    if (!size)
        return scan_damaged_entry(cu);
    prefix->bf_size = 0;
    uint8_t *copy = buffer_reserve(prefix, size);
    if (!copy)
        return scan_no_memory();
    memcpy(copy, cu->cu_at->key, size);
    prefix->bf_size = size;
    if (!cu->cu_range.kr_reverse && !range_behind(prefix)) {
        cu->cu_walk_over = true;    /* no key is behind them */
        return EDB_OK;
    }
    key_range *kr = &cu->cu_range;
    int rc = kr->kr_reverse ? seek(cu, &kr->kr_low, prefix) : seek(cu, prefix, range_end(kr));
    return rc ? rc : settle(cu);
}
