/* Row changes: first everything is encoded, then everything is judged, then everything is written.
 *
 * The order matters twice. Old rows may lie in memory that the next write moves, so keys and rows are encoded before
 * the first write; and a change that fails a constraint should leave nothing to undo but what REPLACE deleted.
 *
 *   1 encode the new row, and for each index the old and the new entry
 *   2 judge row id and unique keys; REPLACE deletes the rows in the way
 *   3 write the row, remove old index entries, write new ones
 *
 * WHEREs and expressions of indexes may fail, so they are evaluated where SQLite does it: index by index, the youngest
 * first, and no further than to the first that refuses the row. So steps 1 and 2 are done for one index after the other;
 * but under REPLACE, which writes in step 2, all of step 1 goes first.
 *
 * Index entries whose columns did not change are not touched: a row updated in a column without index costs one
 * version. Memory: the scratch buffers grow to the largest row and are reused. */
#include "engine/table/watch.h"

#include <stdlib.h>
#include <string.h>

#include "engine/eval/evaluator.h"

#define COMPUTED_KEPT (64 << 10)    /* bytes of computed values that a scratch keeps for the next row */

static int no_memory(const edb_table *table)
{
    return edb_fail(EDB_NOMEM, "no memory for a row of table %s", table->et_name);
}

/* Grows an array to n elements; what was in it stays. */
static bool grow(void *array, size_t n, size_t size)
{
    void *more = realloc(*(void **)array, n * size);
    if (more)
        *(void **)array = more;
    return more;
}

int scratch_prepare(row_scratch *sw, const edb_table *table, edb_conn *conn)
{
    uint32_t columns = table->et_width > table->et_n_columns ? table->et_width : table->et_n_columns;
    if (!sw->sw_key_max) {
        edb_stats stats;
        int rc = edb_get_stats(conn_db(conn), &stats);
        if (rc)
            return rc;
        sw->sw_key_max = tree_key_max((uint32_t)stats.page_size);
    }
    if (columns <= sw->sw_columns)
        return EDB_OK;
    if (!grow(&sw->sw_stored, columns, sizeof *sw->sw_stored) || !grow(&sw->sw_before, columns, sizeof *sw->sw_before)
        || !grow(&sw->sw_values, columns, sizeof *sw->sw_values)
        || !grow(&sw->sw_changed, columns, sizeof *sw->sw_changed))
        return no_memory(table);
    memset(sw->sw_before, 0, columns * sizeof *sw->sw_before);
    sw->sw_columns = columns;
    return EDB_OK;
}

void scratch_drop(row_scratch *sw)
{
    if (sw->sw_computed.an_bytes > COMPUTED_KEPT)
        arena_free(&sw->sw_computed);
    else if (sw->sw_computed.an_chunks)
        arena_reset(&sw->sw_computed);
}

void scratch_free(row_scratch *sw)
{
    arena_free(&sw->sw_computed);
    buffer_free(&sw->sw_row);
    buffer_free(&sw->sw_old);
    buffer_free(&sw->sw_keys);
    free(sw->sw_stored);
    free(sw->sw_before);
    free(sw->sw_values);
    free(sw->sw_changed);
    memset(sw, 0, sizeof *sw);
}

/* ---- reading a row -------------------------------------------------------------------------------------------- */

int table_values(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const row_view *view, int64_t rowid,
                 bool all, edb_value *out)
{
    int rc = EDB_OK;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (row_value(table, view, rowid, i, &out[i]))
            return row_damaged(table, rowid);
    for (uint32_t i = 0; table->et_has_lazy && !rc && i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        if (column_lacks(column, view->rw_columns) && !column->hidden && (all || !column_virtual(column)))
            rc = evaluate_column(stmt_conn(stmt), table, view, rowid, i, &sw->sw_computed, &out[i]);
    }
    return rc;
}

static int changed_since(const edb_table *table, int64_t rowid)
{
    return edb_fail(EDB_CONFLICT, "row %lld of table %s was changed by another transaction after this one began: "
                    "roll back and try again", (long long)rowid, table->et_name);
}

static int row_find(edb_stmt *stmt, const edb_table *table, int64_t rowid, edb_entry *entry, bool *found)
{
    uint8_t key[8];
    edb_entry now;
    bool living;
    rowid_store(key, rowid);
    int rc = newest_get(stmt, table->et_id, key, sizeof key, &now, &living);
    if (rc)
        return rc;
    /* Own writes decide; and a root pinned at the moment itself holds nothing younger. */
    if ((living && now.from == 0) || stmt_snapshot(stmt)->sn_number == edb_stmt_moment(stmt)) {
        *entry = now;
        *found = living;
        return EDB_OK;
    }
    rc = cursor_get(stmt, table->et_id, key, sizeof key, entry, found);
    if (rc)
        return rc;
    if (*found && !living && entry->from == 0) {
        *found = false;
        return EDB_OK;
    }
    if (*found != living || (living && now.from != entry->from))
        return changed_since(table, rowid);
    return EDB_OK;
}

int table_row_load(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, table_row *out,
                   bool *found)
{
    edb_entry entry;
    int rc = row_find(stmt, table, rowid, &entry, found);
    if (rc || !*found)
        return rc;
    rc = row_of_entry(&sw->sw_old, stmt, table, &entry, rowid, &out->rd_view);
    if (rc)
        return rc;
    out->rd_rowid = rowid;
    out->rd_seen_from = entry.seen_from;
    return EDB_OK;
}

/* ---- index entries -------------------------------------------------------------------------------------------- */

typedef struct {                    /* what a row change does to one index; offsets into sw_keys */
    const edb_index *ic_index;
    size_t ic_old, ic_old_size;     /* the entry to remove; size 0: none */
    size_t ic_new, ic_new_size, ic_value_size;      /* the entry to write, its value behind it; size 0: none */
    bool ic_null;                   /* the new key has a NULL part: it conflicts with nothing */
    bool ic_judge;                  /* the new key is unique and differs from the old one */
} index_change;

static int key_too_long(const edb_table *table, const edb_index *index, size_t size, uint32_t most)
{
    return edb_fail(EDB_TOOBIG, "the key of index %s on table %s would have %zu bytes, at most %u are possible: "
                    "index shorter values", index->name, table->et_name, size, most);
}

/* Step 1 for one index. before NULL: no old row; after NULL: no new one. */
static int change_index(row_scratch *sw, const edb_table *table, const edb_index *index, const edb_value *before,
                        int64_t old_rowid, const edb_value *after, int64_t rowid, index_change *ic)
{
    size_t old_value = 0;
    bool ignored;
    int rc;
    memset(ic, 0, sizeof *ic);
    ic->ic_index = index;
    if (before) {
        ic->ic_old = sw->sw_keys.bf_size;
        rc = index_entry(&sw->sw_keys, index, table, before, old_rowid, &ic->ic_old_size, &old_value, &ignored);
        if (rc)
            return rc;
    }
    if (!after)
        return EDB_OK;
    ic->ic_new = sw->sw_keys.bf_size;
    rc = index_entry(&sw->sw_keys, index, table, after, rowid, &ic->ic_new_size, &ic->ic_value_size, &ic->ic_null);
    if (rc)
        return rc;
    if (ic->ic_new_size > sw->sw_key_max)
        return key_too_long(table, index, ic->ic_new_size, sw->sw_key_max);

    const uint8_t *bytes = sw->sw_keys.bf_bytes, *old = bytes + ic->ic_old, *new = bytes + ic->ic_new;
    bool same_size = before && ic->ic_old_size == ic->ic_new_size;
    ic->ic_judge = index->unique && !ic->ic_null && !(same_size && !memcmp(old, new, ic->ic_new_size - 8));
    if (same_size && !memcmp(old, new, ic->ic_new_size)) {
        /* The key stays: nothing to remove; nothing to write either unless the text behind a folded key changed. */
        if (old_value == ic->ic_value_size && !memcmp(old + ic->ic_old_size, new + ic->ic_new_size, old_value))
            ic->ic_new_size = 0;
        ic->ic_old_size = 0;
    }
    return EDB_OK;
}

static int write_index(row_scratch *sw, edb_stmt *stmt, const index_change *ic)
{
    const edb_index *index = ic->ic_index;
    int rc = EDB_OK;
    if (ic->ic_old_size)
        rc = txn_put(stmt, index->tree, sw->sw_keys.bf_bytes + ic->ic_old, ic->ic_old_size, NULL, 0, 0);
    if (rc || !ic->ic_new_size)
        return rc;
    const uint8_t *key = sw->sw_keys.bf_bytes + ic->ic_new, *value = key + ic->ic_new_size;
    if (index->unique && !ic->ic_null)
        return txn_put_unique(stmt, index->tree, key, ic->ic_new_size, value, ic->ic_value_size,
                              index->primary_key ? EDB_PRIMARYKEY : EDB_UNIQUE, index->what);
    return txn_put(stmt, index->tree, key, ic->ic_new_size, value, ic->ic_value_size, 0);
}

/* ---- step 2 --------------------------------------------------------------------------------------------------- */

static int not_unique(const edb_table *table, const edb_index *index)
{
    if (!index)
        return edb_fail(EDB_PRIMARYKEY, "UNIQUE constraint failed: %s.%s", table->et_name,
                        table->et_rowid_column >= 0 ? table->et_columns[table->et_rowid_column].name : "rowid");
    return edb_fail(index->primary_key ? EDB_PRIMARYKEY : EDB_UNIQUE, "UNIQUE constraint failed: %s", index->what);
}

/* Removes the row in the way, or says whose constraint it hurts. */
static int out_of_the_way(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const edb_index *index,
                          int64_t rowid, bool replace)
{
    bool existed;
    if (!replace)
        return not_unique(table, index);
    return sw->sw_remove ? sw->sw_remove(sw->sw_arg, stmt, table, rowid)
                         : table_delete(sw, stmt, table, rowid, &existed);
}

static int judge_rowid(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool replace,
                       uint64_t *seen_from)
{
    uint8_t key[8];
    edb_entry entry;
    bool found;
    rowid_store(key, rowid);
    int rc = now_get(stmt, table->et_id, key, sizeof key, &entry, &found);
    if (rc)
        return rc;
    *seen_from = entry.seen_from;
    return found ? out_of_the_way(sw, stmt, table, NULL, rowid, replace) : EDB_OK;
}

/* own: the row being changed, whose old entry is still there. */
static int judge_index(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const index_change *ic,
                       const int64_t *own, bool replace)
{
    edb_entry entry;
    bool found;
    int rc = now_prefix(stmt, ic->ic_index->tree, sw->sw_keys.bf_bytes + ic->ic_new, ic->ic_new_size - 8, true,
                        &entry, &found);
    if (rc || !found)
        return rc;
    if (entry.key_size < 8)
        return edb_fail(EDB_CORRUPT, "index %s of table %s has a key of %u bytes", ic->ic_index->name, table->et_name,
                        entry.key_size);
    int64_t rowid = rowid_load(entry.key + entry.key_size - 8);
    if (own && rowid == *own)
        return EDB_OK;
    return out_of_the_way(sw, stmt, table, ic->ic_index, rowid, replace);
}

int table_conflict(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const edb_index *index, int64_t rowid,
                   edb_value *values, bool *found, int64_t *other)
{
    size_t keys = sw->sw_keys.bf_size;
    uint8_t key[8];
    edb_entry entry;
    index_change ic;
    *found = false;
    *other = rowid;
    if (!index) {
        rowid_store(key, rowid);
        return now_get(stmt, table->et_id, key, sizeof key, &entry, found);
    }
    bool covered;
    int rc = evaluate_index(stmt_conn(stmt), table, index, NULL, rowid, &sw->sw_computed, values, &covered);
    if (rc || !covered)
        return rc;
    rc = change_index(sw, table, index, NULL, 0, values, rowid, &ic);
    if (!rc && ic.ic_judge)
        rc = now_prefix(stmt, index->tree, sw->sw_keys.bf_bytes + ic.ic_new, ic.ic_new_size - 8, true, &entry,
                        found);
    if (!rc && *found && entry.key_size < 8)
        rc = edb_fail(EDB_CORRUPT, "index %s of table %s has a key of %u bytes", index->name, table->et_name,
                      entry.key_size);
    if (!rc && *found)
        *other = rowid_load(entry.key + entry.key_size - 8);
    sw->sw_keys.bf_size = keys;
    return rc;
}

/* ---- what a change does to one index -------------------------------------------------------------------------- */

typedef struct {                    /* a row, before and after */
    row_scratch *wo_scratch;
    edb_stmt *wo_stmt;
    const edb_table *wo_table;
    const table_row *wo_old;        /* NULL: none; its values are in sw_before */
    int64_t wo_rowid;
    edb_value *wo_values;           /* NULL: the row goes */
    const bool *wo_changed;         /* when there are both */
    uint64_t wo_columns;            /* the same as column_bit() has it */
} row_write;

/* Whether the row's entry may have changed. What an index looks at may be a column that the row lacks, and whose value
 * nobody knows yet; then it is said to have changed. */
static int index_concerned(const row_write *wo, const edb_index *index, bool *concerned)
{
    uint64_t columns;
    *concerned = true;
    if (!wo->wo_old || !wo->wo_values || wo->wo_old->rd_rowid != wo->wo_rowid)
        return EDB_OK;
    int rc = evaluate_looks_at(stmt_conn(wo->wo_stmt), wo->wo_table, index, &columns);
    *concerned = rc || columns & wo->wo_columns;
    return rc;
}

/* Step 1 for one index: the new entry first, which is the one that may not be had. */
static int prepare_index(const row_write *wo, const edb_index *index, index_change *ic)
{
    row_scratch *sw = wo->wo_scratch;
    edb_conn *conn = stmt_conn(wo->wo_stmt);
    int64_t old_rowid = wo->wo_old ? wo->wo_old->rd_rowid : 0;
    bool before = wo->wo_old, after = wo->wo_values;
    int rc = EDB_OK;
    if (after)
        rc = evaluate_index(conn, wo->wo_table, index, NULL, wo->wo_rowid, &sw->sw_computed, wo->wo_values, &after);
    if (!rc && before)
        rc = evaluate_index(conn, wo->wo_table, index, &wo->wo_old->rd_view, old_rowid, &sw->sw_computed,
                            sw->sw_before, &before);
    return rc ? rc : change_index(sw, wo->wo_table, index, before ? sw->sw_before : NULL, old_rowid,
                                  after ? wo->wo_values : NULL, wo->wo_rowid, ic);
}

/* ---- the three changes ---------------------------------------------------------------------------------------- */

/* The row as it is stored: by column id, without the row id. */
static int encode_row(row_scratch *sw, const edb_table *table, const edb_value *values)
{
    if (table->et_width != table->et_n_columns || table->et_has_computed)
        for (uint32_t i = 0; i < table->et_width; i++)
            sw->sw_stored[i].type = VALUE_NULL;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (!column_virtual(&table->et_columns[i]))
            sw->sw_stored[table->et_columns[i].id] = values[i];
    if (table->et_rowid_column >= 0)
        sw->sw_stored[table->et_columns[table->et_rowid_column].id].type = VALUE_NULL;
    buffer_clear(&sw->sw_row);
    uint8_t *row = buffer_reserve(&sw->sw_row, row_encode_bound(sw->sw_stored, table->et_width));
    if (!row)
        return no_memory(table);
    sw->sw_row.bf_size = row_encode(row, sw->sw_stored, table->et_width);
    return EDB_OK;
}

/* Who keeps the row of this change; not those of changes that follow from it. */
static capture *take_capture(row_scratch *sw)
{
    capture *cp = sw->sw_capture;
    sw->sw_capture = NULL;
    return cp;
}

/* What a STRICT column takes besides NULL; VALUE_NULL: anything. The affinity tells the types but BLOB and ANY apart. */
static int strict_type(const edb_column *column)
{
    switch (column->affinity) {
    case AFFINITY_INTEGER: return VALUE_INTEGER;
    case AFFINITY_REAL: return VALUE_REAL;
    case AFFINITY_TEXT: return VALUE_TEXT;
    default: return column->type[0] == 'B' || column->type[0] == 'b' ? VALUE_BLOB : VALUE_NULL;
    }
}

int table_judge_types(const edb_table *table, const edb_value *values)
{
    static const char *const names[] = {"NULL", "INT", "REAL", "TEXT", "BLOB"};
    for (uint32_t i = 0; table->et_strict && i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        int type = strict_type(column);
        if (values[i].type != VALUE_NULL && type != VALUE_NULL && values[i].type != type)
            return edb_fail(EDB_DATATYPE, "cannot store %s value in %s column %s.%s", names[values[i].type],
                            column->type, table->et_name, column->name);
    }
    return EDB_OK;
}

/* Steps 1 and 2. changes: *n of them. */
static int judge_row(const row_write *wo, bool fresh, bool replace, uint64_t *seen_from, index_change *changes,
                     uint32_t *n)
{
    row_scratch *sw = wo->wo_scratch;
    const edb_table *table = wo->wo_table;
    const int64_t *own = wo->wo_old ? &wo->wo_old->rd_rowid : NULL;
    bool new_id = !fresh && (!own || *own != wo->wo_rowid), concerned;
    bool before = !wo->wo_old || table->et_has_lazy;    /* sw_before is there, or not wanted */
    int rc = EDB_OK;
    *n = 0;
    if (new_id && !replace)
        rc = judge_rowid(sw, wo->wo_stmt, table, wo->wo_rowid, false, seen_from);
    if (!rc && !replace && !table->et_n_checks)
        rc = table_judge_types(table, wo->wo_values);
    /* The youngest index first, as SQLite does it: that decides what is evaluated, and which of several sentences is said. */
    for (uint32_t i = table->et_n_indexes; !rc && i-- > 0;) {
        index_change *ic = &changes[*n];
        rc = index_concerned(wo, &table->et_indexes[i], &concerned);
        if (rc || !concerned)
            continue;
        if (!before)
            rc = table_values(sw, wo->wo_stmt, table, &wo->wo_old->rd_view, wo->wo_old->rd_rowid, false, sw->sw_before);
        before = true;
        if (!rc)
            rc = prepare_index(wo, &table->et_indexes[i], ic);
        *n += !rc;
        if (!rc && ic->ic_judge && !replace)
            rc = judge_index(sw, wo->wo_stmt, table, ic, own, false);
    }
    if (!replace)
        return rc;
    if (!rc && new_id)
        rc = judge_rowid(sw, wo->wo_stmt, table, wo->wo_rowid, true, seen_from);
    if (!rc && !table->et_n_checks)
        rc = table_judge_types(table, wo->wo_values);
    for (uint32_t i = 0; !rc && i < *n; i++)
        if (changes[i].ic_judge)
            rc = judge_index(sw, wo->wo_stmt, table, &changes[i], own, true);
    return rc;
}

/* Steps 3 and 4. seen_from: of the row under its new id. */
static int write_judged(const row_write *wo, uint64_t seen_from, const index_change *changes, uint32_t n)
{
    row_scratch *sw = wo->wo_scratch;
    const edb_table *table = wo->wo_table;
    const table_row *old = wo->wo_old;
    const row_watch *watch = row_watch_get();
    bool moved = old && old->rd_rowid != wo->wo_rowid;
    uint8_t key[8];
    int rc = EDB_OK;

    if (moved) {
        rowid_store(key, old->rd_rowid);
        rc = txn_put(wo->wo_stmt, table->et_id, key, sizeof key, NULL, 0, old->rd_seen_from);
    }
    if (!rc) {
        rowid_store(key, wo->wo_rowid);
        rc = txn_put(wo->wo_stmt, table->et_id, key, sizeof key, sw->sw_row.bf_bytes, sw->sw_row.bf_size, seen_from);
    }
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = write_index(sw, wo->wo_stmt, &changes[i]);
    if (!rc && seen_from && (!old || moved) && watch)
        rc = watch->rwa_returned(wo->wo_stmt, table, wo->wo_rowid);
    if (!rc && moved && watch)
        rc = watch->rwa_moved(wo->wo_stmt, table, old->rd_rowid, wo->wo_rowid);
    if (!rc && table->et_has_tags && watch)
        rc = watch->rwa_written(wo->wo_stmt, table, old, wo->wo_rowid, wo->wo_values, wo->wo_changed);
    return rc;
}

static bool same_row(const row_view *a, const row_view *b)
{
    return a->rw_columns == b->rw_columns && a->rw_width == b->rw_width && a->rw_data_size == b->rw_data_size
           && !memcmp(a->rw_types, b->rw_types, a->rw_columns)
           && !memcmp(a->rw_ends, b->rw_ends, (size_t)a->rw_columns * a->rw_width)
           && !memcmp(a->rw_data, b->rw_data, a->rw_data_size);
}

/* With what REPLACE has removed, a foreign key's action may have removed the row that is changed, too: then it stays away,
 * as in SQLite. Or changed it: it would be written over with what it was before, and with index entries made for that. */
static int judge_self(edb_stmt *stmt, const edb_table *table, const table_row *old, bool *gone)
{
    uint8_t key[8];
    edb_entry entry;
    row_view now;
    bool found;
    rowid_store(key, old->rd_rowid);
    int rc = now_get(stmt, table->et_id, key, sizeof key, &entry, &found);
    if (rc)
        return rc;
    *gone = !found;
    if (!found || entry.from)       /* not an own write: it is as it was */
        return EDB_OK;
    if (row_open(&now, entry.value, entry.value_size))
        return row_damaged(table, old->rd_rowid);
    return same_row(&now, &old->rd_view) ? EDB_OK : edb_fail(EDB_FOREIGNKEY, "FOREIGN KEY constraint failed");
}

static int write_row(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                     bool fresh, edb_value *values, const bool *changed, bool replace)
{
    const row_write wo = {.wo_scratch = sw, .wo_stmt = stmt, .wo_table = table, .wo_old = old, .wo_rowid = rowid,
                          .wo_values = values, .wo_changed = changed,
                          .wo_columns = changed ? columns_flagged(changed, table->et_n_columns) : 0};
    index_change changes[CATALOG_INDEXES];
    uint32_t n = 0;
    size_t keys = sw->sw_keys.bf_size;
    uint64_t seen_from = old && old->rd_rowid == rowid ? old->rd_seen_from : 0;
    uint64_t mark = txn_mark(stmt_conn(stmt));
    capture *cp = take_capture(sw);
    size_t kept = cp ? capture_count(cp) : 0;
    int rc = encode_row(sw, table, values);

    if (!rc && cp)
        rc = capture_add(cp, rowid, sw->sw_row.bf_bytes, sw->sw_row.bf_size);
    if (!rc && old && table->et_n_indexes && table->et_has_lazy)
        rc = table_values(sw, stmt, table, &old->rd_view, old->rd_rowid, false, sw->sw_before);
    if (!rc)
        rc = judge_row(&wo, fresh, replace, &seen_from, changes, &n);
    sw->sw_gone = false;
    if (!rc && old && sw->sw_remove && txn_mark(stmt_conn(stmt)) != mark)
        rc = judge_self(stmt, table, old, &sw->sw_gone);
    if (!rc && !sw->sw_gone)
        rc = write_judged(&wo, seen_from, changes, n);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    if ((rc || sw->sw_gone) && cp)
        capture_drop(cp, kept);
    sw->sw_keys.bf_size = keys;
    if (!keys)
        buffer_clear(&sw->sw_keys);
    return rc;
}

static int not_null(const edb_table *table, const edb_column *column)
{
    return edb_fail(EDB_NOTNULL, "NOT NULL constraint failed: %s.%s", table->et_name, column->name);
}

/* REPLACE puts a default in a NULL's place, after it has looked at the columns without one. */
static int judge_not_null(const edb_table *table, const edb_value *values, bool replace)
{
    for (int pass = replace ? 0 : 1; pass < 2; pass++)
        for (uint32_t i = 0; i < table->et_n_columns; i++) {
            const edb_column *column = &table->et_columns[i];
            if (values[i].type == VALUE_NULL && column->not_null && (pass || !column->has_default))
                return not_null(table, column);
        }
    return EDB_OK;
}

/* Generated columns need the values as their columns have them. */
static bool types_come_first(const edb_table *table)
{
    if (table->et_strict && table->et_has_computed)
        for (uint32_t i = 0; i < table->et_n_columns; i++)
            if (table->et_columns[i].computed && !table->et_columns[i].hidden)
                return true;
    return false;
}

/* SQLite's order, which decides what is said of a row with several faults: types, if there are generated columns; NOT
 * NULL; types, if there is a CHECK; CHECK; the row id; types; unique keys. */
int table_judge(edb_stmt *stmt, const edb_table *table, int64_t rowid, const edb_value *values,
                bool replace)
{
    int rc = types_come_first(table) ? table_judge_types(table, values) : EDB_OK;
    if (!rc)
        rc = judge_not_null(table, values, replace);
    if (!rc && table->et_n_checks)
        rc = table_judge_types(table, values);
    return rc ? rc : evaluate_checks(stmt_conn(stmt), table, rowid, values);
}

int table_insert(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool fresh,
                 edb_value *values, bool replace)
{
    int rc = table_judge(stmt, table, rowid, values, replace);
    return rc ? rc : write_row(sw, stmt, table, NULL, rowid, fresh, values, NULL, replace);
}

int table_update(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                 edb_value *values, const bool *changed, bool replace)
{
    int rc = table_judge(stmt, table, rowid, values, replace);
    return rc ? rc : write_row(sw, stmt, table, old, rowid, false, values, changed, replace);
}

bool table_may_change_alone(const edb_table *table, uint64_t columns)
{
    if (table->et_has_computed || table->et_has_lazy || table->et_n_checks || table->et_strict || table->et_has_tags)
        return false;
    /* A column that was dropped is not taken along, and one that was added since has to be written. */
    if (table->et_width != table->et_n_columns)
        return false;
    for (uint32_t i = 0; i < table->et_n_indexes; i++)
        if (table->et_indexes[i].where || table->et_indexes[i].columns & columns)
            return false;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (table->et_columns[i].id != i)
            return false;
    return true;
}

bool table_changes_alone(const edb_table *table, const table_row *old, const bool *changed, uint64_t columns)
{
    const row_view *view = &old->rd_view;
    if (view->rw_columns != table->et_width || !table_may_change_alone(table, columns))
        return false;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (table->et_columns[i].not_null && !changed[i] && view->rw_types[i] == ROW_NULL && (int)i != table->et_rowid_column)
            return false;           /* its NOT NULL is to be judged */
    return true;
}

static int judge_changed_null(const edb_table *table, const edb_value *values, const bool *changed)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (changed[i] && values[i].type == VALUE_NULL && table->et_columns[i].not_null)
            return not_null(table, &table->et_columns[i]);
    return EDB_OK;
}

int table_update_alone(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const table_row *old,
                       const edb_value *values, const bool *changed)
{
    capture *cp = take_capture(sw);
    size_t kept = cp ? capture_count(cp) : 0;
    uint8_t key[8];
    int rc = judge_changed_null(table, values, changed);
    sw->sw_gone = false;
    if (rc)
        return rc;
    buffer_clear(&sw->sw_row);
    uint8_t *row = buffer_reserve(&sw->sw_row, row_replace_bound(&old->rd_view, values, changed));
    if (!row)
        return no_memory(table);
    sw->sw_row.bf_size = row_replace(row, &old->rd_view, values, changed);
    if (!sw->sw_row.bf_size)
        return row_damaged(table, old->rd_rowid);
    if (cp)
        rc = capture_add(cp, old->rd_rowid, row, sw->sw_row.bf_size);
    rowid_store(key, old->rd_rowid);
    if (!rc)
        rc = txn_put(stmt, table->et_id, key, sizeof key, row, sw->sw_row.bf_size, old->rd_seen_from);
    if (rc && cp)
        capture_drop(cp, kept);
    return rc;
}

int table_delete(row_scratch *sw, edb_stmt *stmt, const edb_table *table, int64_t rowid, bool *existed)
{
    index_change changes[CATALOG_INDEXES];
    size_t keys = sw->sw_keys.bf_size;
    uint64_t mark = txn_mark(stmt_conn(stmt));
    capture *cp = take_capture(sw);
    size_t kept = cp ? capture_count(cp) : 0;
    table_row old;
    const row_write wo = {.wo_scratch = sw, .wo_stmt = stmt, .wo_table = table, .wo_old = &old};
    uint8_t key[8];
    int rc = table_row_load(sw, stmt, table, rowid, &old, existed);
    if (rc || !*existed)
        return rc;
    if (table->et_n_indexes || cp)
        rc = table_values(sw, stmt, table, &old.rd_view, rowid, false, sw->sw_before);
    if (!rc && cp)
        rc = encode_row(sw, table, sw->sw_before);
    if (!rc && cp)
        rc = capture_add(cp, rowid, sw->sw_row.bf_bytes, sw->sw_row.bf_size);
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        rc = prepare_index(&wo, &table->et_indexes[i], &changes[i]);
    if (!rc) {
        rowid_store(key, rowid);
        rc = txn_put(stmt, table->et_id, key, sizeof key, NULL, 0, old.rd_seen_from);
    }
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        rc = write_index(sw, stmt, &changes[i]);
    if (!rc && row_watch_get())
        rc = row_watch_get()->rwa_deleted(stmt, table, rowid);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    if (rc && cp)
        capture_drop(cp, kept);
    sw->sw_keys.bf_size = keys;
    return rc;
}

/* ---- a new index ---------------------------------------------------------------------------------------------- */

static int fill_one(row_scratch *sw, edb_stmt *stmt, const edb_table *table, const edb_index *index,
                    const edb_entry *entry)
{
    index_change ic;
    row_view view;
    bool covered = false;
    int64_t rowid;
    int rc = row_id_of_entry(table, entry, &rowid);
    if (!rc)
        rc = row_of_entry(&sw->sw_old, stmt, table, entry, rowid, &view);
    if (!rc)
        rc = table_values(sw, stmt, table, &view, rowid, false, sw->sw_before);
    if (!rc)
        rc = evaluate_index(stmt_conn(stmt), table, index, &view, rowid, &sw->sw_computed, sw->sw_before, &covered);
    if (rc || !covered)
        return rc;
    rc = change_index(sw, table, index, NULL, 0, sw->sw_before, rowid, &ic);
    if (!rc)
        rc = write_index(sw, stmt, &ic);
    buffer_clear(&sw->sw_keys);
    scratch_drop(sw);
    return rc;
}

/* Unique keys are judged behind all rows: so does SQLite, which evaluates all of them first, and keys that are sorted are
 * compared with their neighbours. */
static int judge_filled(edb_stmt *stmt, const edb_table *table, const edb_index *index)
{
    bool collides = false;
    int rc = index->unique ? txn_collides(stmt, index->tree, &collides) : EDB_OK;
    return rc || !collides ? rc : not_unique(table, index);
}

int table_fill_index(edb_stmt *stmt, const edb_table *table, const edb_index *index)
{
    row_scratch *sw = calloc(1, sizeof *sw);
    edb_cursor cu;
    int rc = sw ? scratch_prepare(sw, table, stmt_conn(stmt)) : no_memory(table);
    if (rc)
        goto done;
    rc = cursor_open(stmt, table->et_id, &cu);
    if (rc)
        goto done;
    rc = cursor_seek(&cu, NULL, 0);
    while (!rc && cu.valid) {
        if (conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "filling index %s was interrupted", index->name);
        if (!rc)
            rc = fill_one(sw, stmt, table, index, &cu.at);
        if (!rc)
            rc = cursor_next(&cu);
    }
    cursor_close(&cu);
    if (!rc)
        rc = judge_filled(stmt, table, index);
done:
    if (sw)
        scratch_free(sw);
    free(sw);
    return rc;
}
