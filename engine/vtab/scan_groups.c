/* An order that the keys give only in part.
 *
 *     index (ts)   ORDER BY ts DESC, name   ->   backwards, the entries of one ts together, sorted by name
 *
 * Entries are taken from the walk below until their first parts differ, kept in a list, and handed out in the order of
 * the terms. A group of one is not sorted, so that a column that is nearly unique costs little. */
#include <string.h>

#include "native/keycode.h"
#include "engine/eval/declare.h"
#include "engine/vtab/scan.h"

static int append(table_buffer *out, const uint8_t *bytes, size_t size)
{
    uint8_t *to = buffer_reserve(out, size + 1);
    if (!to)
        return scan_no_memory();
    memcpy(to, bytes, size);
    out->bf_size += size;
    return EDB_OK;
}

/* The parts of a key that play a role, of the first `parts`. */
static int key_without_constants(scan *cu, const edb_entry *entry, uint32_t parts, table_buffer *out)
{
    size_t at = 0, end = entry->key_size < 8 ? 0 : entry->key_size - 8;
    out->bf_size = 0;
    for (uint32_t part = 0; part < parts; part++) {
        size_t size = key_part_size(entry->key + at, end - at, cu->cu_index->parts[part].descending);
        if (!size)
            return scan_damaged_entry(cu);
        int rc = part < 64 && cu->cu_constant >> part & 1 ? EDB_OK : append(out, entry->key + at, size);
        if (rc)
            return rc;
        at += size;
    }
    return EDB_OK;
}

/* ---- groups --------------------------------------------------------------------------------------------------- */

static int below_next(scan *cu)
{
    return cu->cu_below == WAY_MERGE ? merge_next(cu) : ranges_next(cu);
}

static int add_entry(scan *cu, entry_list *list)
{
    const edb_entry *at = cu->cu_at;
    if (conn_interrupted(stmt_conn(cu->cu_stmt)))
        return edb_fail(EDB_INTERRUPT, "sorting rows of table %s was interrupted", cu->cu_table->et_name);
    const uint8_t *value;
    size_t size;
    int rc = scan_entry_value(cu, &value, &size);
    return rc ? rc : list_add(list, at->key, at->key_size, value, size);
}

/* Puts the scan on member i. */
static void load_member(scan *cu, size_t i)
{
    const list_item *item = list_at(cu->cu_group, i);
    cu->cu_member = (edb_entry){.key = item->li_key, .key_size = item->li_key_size, .value = item->li_value,
                                .value_size = item->li_value_size};
    cu->cu_at = &cu->cu_member;
    cu->cu_lasting = false;
    scan_moved(cu);
}

/* What a term is about: a column under a collation, or one of the columns to sort by. */
static order_column sorted_by(const scan *cu, uint32_t column)
{
    const vtab_entity *vt = (const vtab_entity *)cu->cu_base.pVtab;
    order_column oc = {.oc_column = column};
    if (column == PLAN_ROWID)
        return oc;
    if (column >= cu->cu_table->et_n_columns)
        return *declared_order(&vt->vt_orders, (int)column);
    oc.oc_collation = cu->cu_table->et_columns[column].collation;
    return oc;
}

static int append_term(scan *cu, const order_term *term, arena *memory)
{
    table_buffer *out = &cu->cu_sort_key;
    order_column oc = sorted_by(cu, term->ot_column);
    edb_value v;
    bool lasting, computed;
    int rc = scan_value(cu, oc.oc_column, &v, &lasting, &computed);
    if (!rc && computed)
        rc = scan_computed(cu, oc.oc_column, memory, &v);
    if (rc)
        return rc;
    uint8_t *to = buffer_reserve(out, key_encode_bound(&v));
    if (!to)
        return scan_no_memory();
    size_t size = key_encode(to, &v, oc.oc_collation, term->ot_descending);
    if (v.type == VALUE_NULL && oc.oc_nulls_last)
        *to = term->ot_descending ? 0 : 0xFF;
    out->bf_size += size;
    return EDB_OK;
}

/* The terms of the member that the scan stands on, as bytes in their order. */
static int sort_key(scan *cu, arena *memory)
{
    int rc = EDB_OK;
    cu->cu_sort_key.bf_size = 0;
    for (uint32_t i = 0; !rc && i < cu->cu_n_terms; i++)
        rc = append_term(cu, &cu->cu_terms[i], memory);
    return rc;
}

static int sort_group(scan *cu)
{
    arena memory;
    int rc = EDB_OK;
    arena_init(&memory);
    for (size_t i = 0; !rc && i < list_count(cu->cu_group); i++) {
        load_member(cu, i);
        rc = sort_key(cu, &memory);
        if (!rc)
            rc = list_sort_by(cu->cu_group, i, cu->cu_sort_key.bf_bytes, cu->cu_sort_key.bf_size);
        arena_free(&memory);
    }
    if (!rc)
        list_sort(cu->cu_group);
    return rc;
}

/* Collects the group that the walk below stands at, and leaves that at the next one. */
static int collect(scan *cu)
{
    bool same = true;
    int rc = key_without_constants(cu, cu->cu_at, cu->cu_group_parts, &cu->cu_prefix);
    list_clear(cu->cu_group);
    while (!rc && same) {
        scan_moved(cu);
        rc = add_entry(cu, cu->cu_group);
        if (!rc)
            rc = below_next(cu);
        if (rc || cu->cu_walk_over)
            break;
        rc = key_without_constants(cu, cu->cu_at, cu->cu_group_parts, &cu->cu_sort_key);
        same = !rc && cu->cu_sort_key.bf_size == cu->cu_prefix.bf_size
               && !memcmp(cu->cu_sort_key.bf_bytes, cu->cu_prefix.bf_bytes, cu->cu_prefix.bf_size);
    }
    return rc;
}

/* The next group; the scan is over when the walk below is. */
static int next_group(scan *cu)
{
    int rc;
    cu->cu_eof = cu->cu_walk_over;
    if (cu->cu_eof)
        return EDB_OK;
    rc = collect(cu);
    cu->cu_next_below = cu->cu_at;
    if (!rc && list_count(cu->cu_group) > 1)
        rc = sort_group(cu);
    cu->cu_group_at = 0;
    if (!rc)
        load_member(cu, 0);
    return rc;
}

int groups_start(scan *cu)
{
    int rc = EDB_OK;
    if (!cu->cu_group)
        rc = list_new(&cu->cu_group);
    if (!rc)
        rc = cu->cu_below == WAY_MERGE ? merge_start(cu) : ranges_start(cu);
    cu->cu_below_lasts = cu->cu_lasting;
    return rc ? rc : next_group(cu);
}

int groups_next(scan *cu)
{
    if (++cu->cu_group_at < list_count(cu->cu_group)) {
        load_member(cu, cu->cu_group_at);
        return EDB_OK;
    }
    cu->cu_at = cu->cu_next_below;
    cu->cu_lasting = cu->cu_below_lasts;
    return next_group(cu);
}

/* ---- all of them ---------------------------------------------------------------------------------------------- */

/* The last entry added is sorted by its parts that play a role, and the row id. */
static int sort_last(scan *cu, entry_list *list)
{
    const edb_entry *at = cu->cu_at;
    table_buffer *key = &cu->cu_sort_key;
    int rc = key_without_constants(cu, at, cu->cu_index->n_parts, key);
    if (!rc)
        rc = append(key, at->key + at->key_size - 8, 8);
    return rc ? rc : list_sort_by(list, list_count(list) - 1, key->bf_bytes, key->bf_size);
}

static int take_all(scan *cu, entry_list *list)
{
    int rc = ranges_start(cu);
    while (!rc && !cu->cu_walk_over) {
        scan_moved(cu);
        rc = add_entry(cu, list);
        if (!rc && cu->cu_constant)
            rc = sort_last(cu, list);
        if (!rc)
            rc = ranges_next(cu);
    }
    return rc;
}

int groups_sort_all(scan *cu)
{
    entry_list *list;
    int rc = list_new(&list);
    if (!rc && (rc = take_all(cu, list)))
        list_free(list);
    if (rc)
        return rc;
    list_sort(list);
    cu->cu_sorted = list;
    range_whole(&cu->cu_range);
    return EDB_OK;
}
