/* Scans: filter, next, column.
 *
 * A plan becomes ranges of keys (vtab_range.h), walked one after the other, in a tree or in a private list where the
 * tree cannot answer (vtab_list.c): at a moment before the index was made, and where a promised order has to be kept
 * although bounds were given up.
 *
 * Nothing is fetched before it is asked for: count(*) touches the cursor alone, a covering scan the entry alone. Text
 * and blobs are handed out where they lie in the page; the pinned statement keeps them there.
 *
 * Memory: a cursor owns its buffers and lists; buffers are reused by the next filter. It is a user of its statement. */
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/eval/evaluator.h"
#include "engine/vtab/vtab_range.h"

typedef struct {
    sqlite3_vtab_cursor cu_base;
    uint64_t *cu_visited;           /* the binding's count */
    /* what next and column touch */
    bool cu_eof, cu_plain;          /* plain: the whole tree, forward */
    bool cu_row_ready, cu_row_copied, cu_entry_ready;
    bool cu_single;                 /* row ids are looked up: no cursor */
    bool cu_open;
    edb_cursor cu_entries;          /* open if cu_open; its .at and .valid hold the entry in every case */
    row_view cu_row;                /* if cu_row_ready */
    const edb_table *cu_table;      /* counted */
    const edb_index *cu_index;      /* of cu_table; NULL: the table's own tree is walked */
    int16_t *cu_part_of;            /* column -> part of the index that holds it, -1: none */
    uint32_t *cu_part_at;           /* where parts begin in the entry's key; cu_parts_known of them */
    uint32_t cu_parts_known, cu_parts_room, cu_columns_room;
    row_view cu_entry;              /* if cu_entry_ready: the entry's value */
    edb_stmt *cu_stmt;              /* one user is ours; NULL before the first filter */
    key_range cu_range;
    const capture *cu_capture;      /* the statement's; its rows are walked when cu_returned */
    bool cu_returned;
    /* lists */
    entry_list *cu_list;            /* walked instead of a tree: one of the next two, or NULL */
    entry_list *cu_late, *cu_sorted;    /* owned */
    size_t cu_list_at;              /* also of the captured rows */
    /* bytes that are not in a page */
    table_buffer cu_chain;          /* a row from a chain */
    table_buffer cu_parts;          /* an entry's value from a chain */
    table_buffer cu_decoded;        /* a part out of its key */
} scan;

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for a scan");
}


/* ---- opening and closing -------------------------------------------------------------------------------------- */

int vtab_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    scan *cu = calloc(1, sizeof *cu);
    if (!cu)
        return vtab_no_cursor(base);
    cu->cu_visited = &((vtab_any *)base)->ay_binding->bd_visited;
    *out = &cu->cu_base;
    return SQLITE_OK;
}

static void close_entries(scan *cu)
{
    if (cu->cu_open)
        cursor_close(&cu->cu_entries);
    cu->cu_open = false;
    list_free(cu->cu_late);
    list_free(cu->cu_sorted);
    cu->cu_late = cu->cu_sorted = cu->cu_list = NULL;
}

static void leave_statement(scan *cu)
{
    close_entries(cu);
    if (cu->cu_stmt)
        stmt_release(cu->cu_stmt);
    cu->cu_stmt = NULL;
}

int vtab_close(sqlite3_vtab_cursor *base)
{
    scan *cu = (scan *)base;
    leave_statement(cu);
    table_unref(cu->cu_table);
    range_free(&cu->cu_range);
    buffer_free(&cu->cu_chain);
    buffer_free(&cu->cu_parts);
    buffer_free(&cu->cu_decoded);
    free(cu->cu_part_of);
    free(cu->cu_part_at);
    free(cu);
    return SQLITE_OK;
}

static int enter_statement(scan *cu, vtab_entity *vt)
{
    edb_stmt *stmt;
    int rc = vtab_acquire(vt->vt_any.ay_binding, false, &stmt);
    if (rc)
        return rc;
    if (stmt == cu->cu_stmt) {
        stmt_release(stmt);         /* one user is enough */
    } else {
        leave_statement(cu);
        cu->cu_stmt = stmt;
    }
    return vtab_current(vt, stmt);
}

/* What is walked changed: which of its columns are in the keys. */
static int choose_tree(scan *cu, const edb_table *table, const edb_index *index)
{
    close_entries(cu);
    edb_table *chosen = table_ref(table);
    table_unref(cu->cu_table);
    cu->cu_table = NULL;            /* until all is there, nothing is chosen */
    cu->cu_index = NULL;
    if (cu->cu_columns_room < table->et_n_columns) {
        int16_t *of = realloc(cu->cu_part_of, table->et_n_columns * sizeof *of);
        if (!of) {
            table_unref(chosen);
            return no_memory();
        }
        cu->cu_part_of = of;
        cu->cu_columns_room = table->et_n_columns;
    }
    if (index && cu->cu_parts_room < index->n_parts) {
        uint32_t *at = realloc(cu->cu_part_at, index->n_parts * sizeof *at);
        if (!at) {
            table_unref(chosen);
            return no_memory();
        }
        cu->cu_part_at = at;
        cu->cu_parts_room = index->n_parts;
    }
    cu->cu_table = chosen;
    cu->cu_index = index;
    if (!index)
        return EDB_OK;
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        cu->cu_part_of[i] = -1;
    for (uint32_t i = index->n_parts; i-- > 0;)
        cu->cu_part_of[index->parts[i].column] = (int16_t)i;
    return EDB_OK;
}

/* Whether the tree knows nothing of the statement's moment, because the index was made later. */
static int index_is_late(const scan *cu, const vtab_entity *vt, bool *out)
{
    *out = false;
    if (!cu->cu_index || vt->vt_whole[cu->cu_index - cu->cu_table->et_indexes])
        return EDB_OK;
    uint64_t born;
    int rc = stmt_tree_born(cu->cu_stmt, cu->cu_index->tree, &born);
    if (rc)
        return rc;
    if (born == FOREVER)            /* made in the running transaction, which sees it */
        *out = stmt_is_past(cu->cu_stmt);
    else
        *out = born > edb_stmt_moment(cu->cu_stmt);
    return EDB_OK;
}

static int prepare_scan(scan *cu, vtab_entity *vt, uint32_t tree, const char *plan)
{
    int rc = enter_statement(cu, vt);
    if (rc)
        return rc;
    const edb_table *table;
    rc = vtab_table(vt, cu->cu_stmt, &table);
    if (rc)
        return rc;
    if (table != cu->cu_table || tree != (cu->cu_index ? cu->cu_index->tree : 0)) {
        const edb_index *index = tree ? table_index(table, tree) : NULL;
        if (tree && !index)
            return edb_fail(EDB_SCHEMA, "an index of table %s was dropped: prepare again", table->et_name);
        rc = choose_tree(cu, table, index);
    }
    bool late = false;
    if (!rc && !cu->cu_late)
        rc = index_is_late(cu, vt, &late);
    /* A partial index that is walked for being short: the table has its rows, and SQLite judges them. */
    if (!rc && late && cu->cu_index->where && plan[PLAN_ORDERED] != 'o'
        && (!plan[PLAN_HEAD + STEP_OP] || plan[PLAN_HEAD + STEP_OP] == 'p')) {
        late = false;
        rc = choose_tree(cu, table, NULL);
    }
    if (!rc && late)
        rc = list_from_table(cu->cu_stmt, table, cu->cu_index, &cu->cu_late);
    list_free(cu->cu_sorted);
    cu->cu_sorted = NULL;
    cu->cu_list = cu->cu_late;
    return rc;
}

/* ---- entries: of a tree or of a list -------------------------------------------------------------------------- */

static void load_item(scan *cu)
{
    const list_item *item;
    cu->cu_entries.valid = cu->cu_list_at < list_count(cu->cu_list);
    if (!cu->cu_entries.valid)
        return;
    item = list_at(cu->cu_list, cu->cu_list_at);
    cu->cu_entries.at = (edb_entry){
        .key = item->li_key, .key_size = item->li_key_size, .value = item->li_value,
        .value_size = item->li_value_size};
}

static int seek_list(scan *cu)
{
    const key_range *kr = &cu->cu_range;
    size_t end;
    if (!kr->kr_reverse) {
        cu->cu_list_at = list_rank(cu->cu_list, kr->kr_low.bf_bytes, kr->kr_low.bf_size);
    } else {
        end = list_count(cu->cu_list);
        if (kr->kr_has_end)
            end = list_rank(cu->cu_list, kr->kr_end.bf_bytes, kr->kr_end.bf_size);
        cu->cu_list_at = end - 1;   /* -1 wraps to a number that is no item's */
    }
    load_item(cu);
    return EDB_OK;
}

static int seek_tree(scan *cu)
{
    const table_buffer *low = &cu->cu_range.kr_low, *end = &cu->cu_range.kr_end;
    edb_cursor *entries = &cu->cu_entries;
    int rc;
    if (!cu->cu_open) {
        rc = cursor_open(cu->cu_stmt, cu->cu_index ? cu->cu_index->tree : cu->cu_table->et_id, entries);
        if (rc)
            return rc;
        cu->cu_open = true;
    }
    if (!cu->cu_range.kr_reverse)
        rc = cursor_seek(entries, low->bf_size ? low->bf_bytes : NULL, low->bf_size);
    else if (!cu->cu_range.kr_has_end)
        rc = cursor_seek_last(entries, NULL, 0);
    else
        rc = cursor_seek_last(entries, end->bf_bytes, end->bf_size);
    if (cursor_watched(entries))
        cursor_bounds(entries, low->bf_bytes, low->bf_size, cu->cu_range.kr_has_end ? end->bf_bytes : NULL,
                      end->bf_size);
    if (!cu->cu_range.kr_reverse || !cu->cu_range.kr_has_end)
        return rc;
    /* The end itself is not in the range. */
    if (!rc && entries->valid && entries->at.key_size == end->bf_size
        && !memcmp(entries->at.key, end->bf_bytes, end->bf_size))
        rc = cursor_prev(entries);
    return rc;
}

static int step(scan *cu)
{
    ++*cu->cu_visited;
    if (!cu->cu_list)
        return cu->cu_range.kr_reverse ? cursor_prev(&cu->cu_entries) : cursor_next(&cu->cu_entries);
    cu->cu_list_at += cu->cu_range.kr_reverse ? (size_t)-1 : 1;
    load_item(cu);
    return EDB_OK;
}

static bool in_range(const scan *cu)
{
    const key_range *kr = &cu->cu_range;
    const edb_entry *at = &cu->cu_entries.at;
    if (!cu->cu_entries.valid)
        return false;
    if (kr->kr_reverse)
        return key_compare(at->key, at->key_size, kr->kr_low.bf_bytes, kr->kr_low.bf_size) >= 0;
    return !kr->kr_has_end || key_compare(at->key, at->key_size, kr->kr_end.bf_bytes, kr->kr_end.bf_size) < 0;
}

/* One row id: no cursor is needed. */
static int get_single(scan *cu)
{
    bool found;
    int rc = cursor_get(cu->cu_stmt, cu->cu_table->et_id, range_rowid(&cu->cu_range), 8, &cu->cu_entries.at, &found);
    if (!rc)
        cu->cu_entries.valid = found;
    return rc;
}

static int seek_here(scan *cu)
{
    int rc;
    ++*cu->cu_visited;
    if (cu->cu_single)
        return get_single(cu);
    rc = range_make(&cu->cu_range);
    if (rc)
        return rc;
    return cu->cu_list ? seek_list(cu) : seek_tree(cu);
}

/* From where the scan stands to the first entry in a range, this one or a later one. */
static int settle(scan *cu)
{
    int rc = EDB_OK;
    while (!rc && !(cu->cu_single ? cu->cu_entries.valid : in_range(cu))) {
        if (!range_turn(&cu->cu_range)) {
            cu->cu_eof = true;
            return EDB_OK;
        }
        rc = seek_here(cu);
    }
    return rc;
}

static int start(scan *cu)
{
    int rc;
    cu->cu_eof = cu->cu_range.kr_empty;
    if (cu->cu_eof)
        return EDB_OK;
    range_first(&cu->cu_range);
    rc = seek_here(cu);
    return rc ? rc : settle(cu);
}

static int advance(scan *cu)
{
    int rc = EDB_OK;
    if (cu->cu_returned) {
        cu->cu_eof = !capture_entry(cu->cu_capture, ++cu->cu_list_at, &cu->cu_entries.at);
        return EDB_OK;
    }
    if (cu->cu_single)
        cu->cu_entries.valid = false;
    else
        rc = step(cu);
    return rc ? rc : settle(cu);
}

static int load_chain(scan *cu, const edb_entry *entry, table_buffer *buffer, const uint8_t **bytes, size_t *size)
{
    uint64_t n = entry_size(entry);
    buffer->bf_size = 0;
    uint8_t *copy = buffer_reserve(buffer, n);
    int rc = copy ? entry_load(cu->cu_stmt, entry, copy) : no_memory();
    if (rc)
        return rc;
    *bytes = copy;                  /* may be a field of the entry itself, so not before */
    *size = n;
    return EDB_OK;
}

/* The value of the index entry: empty, or a row of the parts. */
static int entry_value(scan *cu, const uint8_t **bytes, size_t *size)
{
    const edb_entry *at = &cu->cu_entries.at;
    if (unlikely(at->overflow))
        return load_chain(cu, at, &cu->cu_parts, bytes, size);
    *bytes = at->value;
    *size = at->value_size;
    return EDB_OK;
}

/* An order was promised that the keys do not have any more: sort what is left by the parts it was promised for. */
static int sort_scan(scan *cu, const char *plan)
{
    const char *step = plan + PLAN_HEAD;
    uint64_t skip = 0;
    int rc = list_new(&cu->cu_sorted);
    for (uint32_t i = 0; i < 64 && plan_is_equality(step[STEP_OP]); i++, step += PLAN_STEP)
        if (step[STEP_ROLE] == 'c')
            skip |= UINT64_C(1) << i;
    if (!rc)
        rc = start(cu);
    while (!rc && !cu->cu_eof) {
        const edb_entry *at = &cu->cu_entries.at;
        const uint8_t *value;
        size_t size;
        rc = entry_value(cu, &value, &size);
        if (!rc)
            rc = list_add(cu->cu_sorted, cu->cu_index, skip, at->key, at->key_size, value, size);
        if (!rc)
            rc = advance(cu);
    }
    if (rc)
        return rc;
    list_sort(cu->cu_sorted);
    cu->cu_list = cu->cu_sorted;
    range_whole(&cu->cu_range);
    return EDB_OK;
}

/* The rows that the statement's capture has kept. */
static int filter_returned(scan *cu)
{
    vtab_entity *vt = (vtab_entity *)cu->cu_base.pVtab;
    int rc = enter_statement(cu, vt);
    if (!rc)
        rc = choose_tree(cu, vt->vt_table, NULL);
    if (rc)
        return rc;
    cu->cu_returned = true;
    cu->cu_plain = cu->cu_single = false;
    cu->cu_capture = stmt_capture(cu->cu_stmt, vt->vt_table->et_id);
    cu->cu_list_at = 0;
    cu->cu_eof = !capture_entry(cu->cu_capture, 0, &cu->cu_entries.at);
    return EDB_OK;
}

static int filter(scan *cu, uint32_t tree, const char *plan, int argc, sqlite3_value **argv)
{
    key_range *kr = &cu->cu_range;
    int rc = prepare_scan(cu, (vtab_entity *)cu->cu_base.pVtab, tree, plan);
    if (rc)
        return rc;
    kr->kr_bd = ((vtab_any *)cu->cu_base.pVtab)->ay_binding;
    kr->kr_table = cu->cu_table;
    kr->kr_index = cu->cu_index;
    rc = range_decode(kr, plan, argc, argv);
    if (rc)
        return rc;
    cu->cu_single = !cu->cu_index && kr->kr_n_wheels;
    if (kr->kr_inexact && plan[PLAN_ORDERED] == 'o')
        rc = sort_scan(cu, plan);
    cu->cu_plain = !cu->cu_list && !cu->cu_single && !kr->kr_n_wheels && !kr->kr_reverse && !kr->kr_to.en_set;
    return rc ? rc : start(cu);
}

int vtab_filter(sqlite3_vtab_cursor *base, int tree, const char *plan, int argc, sqlite3_value **argv)
{
    scan *cu = (scan *)base;
    cu->cu_row_ready = cu->cu_entry_ready = false;
    cu->cu_parts_known = 0;
    cu->cu_returned = false;
    return vtab_result(base->pVtab, tree == PLAN_RETURNED ? filter_returned(cu)
                                                          : filter(cu, (uint32_t)tree, plan, argc, argv));
}

int vtab_next(sqlite3_vtab_cursor *base)
{
    scan *cu = (scan *)base;
    int rc;
    cu->cu_row_ready = cu->cu_entry_ready = false;
    cu->cu_parts_known = 0;
    if (likely(cu->cu_plain)) {
        ++*cu->cu_visited;
        rc = cursor_next(&cu->cu_entries);
        cu->cu_eof = !cu->cu_entries.valid;
    } else {
        rc = advance(cu);
    }
    return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
}

int vtab_eof(sqlite3_vtab_cursor *base)
{
    return ((scan *)base)->cu_eof;
}

/* ---- columns -------------------------------------------------------------------------------------------------- */

static int damaged_entry(const scan *cu)
{
    return edb_fail(EDB_CORRUPT, "%s%s of table %s holds a damaged entry", cu->cu_index ? "index " : "the tree",
                    cu->cu_index ? cu->cu_index->name : "", cu->cu_table->et_name);
}

static inline int entry_rowid(const scan *cu, int64_t *out)
{
    const edb_entry *at = &cu->cu_entries.at;
    if (unlikely(at->key_size < 8))
        return damaged_entry(cu);
    *out = rowid_load(at->key + at->key_size - 8);
    return EDB_OK;
}

int vtab_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    int64_t id = 0;
    int rc = entry_rowid((scan *)base, &id);
    *rowid = id;
    return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
}

/* The row behind an index entry. */
static int find_row(scan *cu, edb_entry *out)
{
    const edb_entry *at = &cu->cu_entries.at;
    bool found;
    if (at->key_size < 8)
        return damaged_entry(cu);
    ++*cu->cu_visited;
    int rc = cursor_get(cu->cu_stmt, cu->cu_table->et_id, at->key + at->key_size - 8, 8, out, &found);
    if (!rc && !found)
        rc = edb_fail(EDB_CORRUPT, "index %s has an entry for row %lld, which table %s does not hold",
                      cu->cu_index->name, (long long)rowid_load(at->key + at->key_size - 8), cu->cu_table->et_name);
    return rc;
}

static int load_row(scan *cu)
{
    edb_entry row = cu->cu_entries.at;
    int rc = cu->cu_index ? find_row(cu, &row) : EDB_OK;
    if (rc)
        return rc;
    cu->cu_row_copied = row.overflow;
    if (unlikely(row.overflow)) {
        size_t size;
        rc = load_chain(cu, &row, &cu->cu_chain, &row.value, &size);
        if (rc)
            return rc;
        row.value_size = (uint32_t)size;
    }
    if (unlikely(row_open(&cu->cu_row, row.value, row.value_size))) {
        int64_t rowid;
        rc = entry_rowid(cu, &rowid);
        return rc ? rc : row_damaged(cu->cu_table, rowid);
    }
    cu->cu_row_ready = true;
    return EDB_OK;
}

/* Part `part` of the entry: from the row in its value, else from its key. */
static int entry_column(scan *cu, uint32_t part, edb_value *out, bool *copied)
{
    const edb_entry *at = &cu->cu_entries.at;
    const edb_index *index = cu->cu_index;
    *copied = cu->cu_list || at->overflow;
    if (at->value_size) {
        if (!cu->cu_entry_ready) {
            const uint8_t *value;
            size_t size;
            int rc = entry_value(cu, &value, &size);
            if (rc)
                return rc;
            if (row_open(&cu->cu_entry, value, size))
                return damaged_entry(cu);
            cu->cu_entry_ready = true;
        }
        return part < cu->cu_entry.rw_columns && !row_column(&cu->cu_entry, part, out) ? EDB_OK : damaged_entry(cu);
    }
    if (!cu->cu_parts_known) {
        cu->cu_part_at[0] = 0;
        cu->cu_parts_known = 1;
    }
    if (at->key_size < 8)
        return damaged_entry(cu);
    size_t size = at->key_size - 8;
    while (cu->cu_parts_known <= part) {
        uint32_t last = cu->cu_parts_known - 1, from = cu->cu_part_at[last];
        size_t n = key_part_size(at->key + from, size - from, index->parts[last].descending);
        if (!n)
            return damaged_entry(cu);
        cu->cu_part_at[cu->cu_parts_known++] = from + (uint32_t)n;
    }
    uint32_t from = cu->cu_part_at[part];
    cu->cu_decoded.bf_size = 0;
    uint8_t *scratch = buffer_reserve(&cu->cu_decoded, size - from);
    if (!scratch)
        return no_memory();
    const edb_column *column = &cu->cu_table->et_columns[index->parts[part].column];
    if (!key_decode(at->key + from, size - from, index->parts[part].descending, column_integral(column), scratch, out))
        return damaged_entry(cu);
    if (out->type >= VALUE_TEXT && out->bytes == scratch)
        *copied = true;
    return EDB_OK;
}

/* A column that the row lacks; it ends with the call, so SQLite gets a copy. */
static int computed_column(scan *cu, sqlite3_context *context, uint32_t i)
{
    arena memory = {.an_chunks = NULL};
    edb_value v;
    int64_t rowid;
    int rc = cu->cu_row_ready ? EDB_OK : load_row(cu);
    if (!rc)
        rc = entry_rowid(cu, &rowid);
    if (!rc)
        rc = evaluate_column(stmt_conn(cu->cu_stmt), cu->cu_table, &cu->cu_row, rowid, i, &memory, &v);
    if (!rc)
        value_result(context, &v, true);
    if (memory.an_chunks)
        arena_free(&memory);
    return rc;
}

int vtab_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i)
{
    scan *cu = (scan *)base;
    edb_value v;
    bool copied = false;
    int64_t rowid = 0;
    int rc;
    if (sqlite3_vtab_nochange(context))
        return SQLITE_OK;           /* an UPDATE that leaves the column alone: vtab_update() copies it */
    if (unlikely(i >= (int)cu->cu_table->et_n_columns))
        return SQLITE_OK;           /* the hidden one: NULL */
    if (cu->cu_index && cu->cu_part_of[i] >= 0 && i != cu->cu_table->et_rowid_column) {
        rc = entry_column(cu, (uint32_t)cu->cu_part_of[i], &v, &copied);
    } else if (i == cu->cu_table->et_rowid_column) {
        rc = entry_rowid(cu, &rowid);
        v.type = VALUE_INTEGER;
        v.integer = rowid;
    } else {
        rc = likely(cu->cu_row_ready) ? EDB_OK : load_row(cu);
        if (!rc && unlikely(column_lacks(&cu->cu_table->et_columns[i], cu->cu_row.rw_columns))) {
            rc = computed_column(cu, context, (uint32_t)i);
            return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
        }
        copied = cu->cu_row_copied;
        if (!rc && row_value(cu->cu_table, &cu->cu_row, 0, (uint32_t)i, &v)) {
            rc = entry_rowid(cu, &rowid);
            if (!rc)
                rc = row_damaged(cu->cu_table, rowid);
        }
    }
    if (unlikely(rc))
        return vtab_result(base->pVtab, rc);
    value_result(context, &v, copied);
    return SQLITE_OK;
}
