/* The values of an entry, and of the row behind it. */
#include "native/keycode.h"
#include "engine/eval/declare.h"
#include "engine/eval/evaluator.h"
#include "engine/vtab/scan.h"

int scan_rowid(const scan *cu, int64_t *out)
{
    const edb_entry *at = cu->cu_at;
    if (unlikely(at->key_size < 8))
        return scan_damaged_entry(cu);
    *out = rowid_load(at->key + at->key_size - 8);
    return EDB_OK;
}

int vtab_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    int64_t id = 0;
    int rc = scan_rowid((scan *)base, &id);
    *rowid = id;
    return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
}

/* ---- the row -------------------------------------------------------------------------------------------------- */

static int load_chain(scan *cu, const edb_entry *entry, table_buffer *buffer, const uint8_t **bytes, size_t *size)
{
    uint64_t n = entry_size(entry);
    buffer->bf_size = 0;
    uint8_t *copy = buffer_reserve(buffer, n);
    int rc = copy ? entry_load(cu->cu_stmt, entry, copy) : scan_no_memory();
    if (rc)
        return rc;
    *bytes = copy;                  /* may be a field of the entry itself, so not before */
    *size = n;
    return EDB_OK;
}

/* The row behind an index entry. */
static int find_row(scan *cu, edb_entry *out)
{
    const edb_entry *at = cu->cu_at;
    bool found;
    if (at->key_size < 8)
        return scan_damaged_entry(cu);
    cu->cu_visited++;
    int rc = cursor_get_near(cu->cu_stmt, cu->cu_table->et_id, at->key + at->key_size - 8, 8, &cu->cu_near, out,
                             &found);
    if (!rc && !found)
        rc = edb_fail(EDB_CORRUPT, "index %s has an entry for row %lld, which table %s does not hold",
                      cu->cu_index->name, (long long)rowid_load(at->key + at->key_size - 8), cu->cu_table->et_name);
    return rc;
}

static int load_row(scan *cu)
{
    edb_entry row = *cu->cu_at;
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
        int64_t rowid = 0;
        rc = scan_rowid(cu, &rowid);
        return rc ? rc : row_damaged(cu->cu_table, rowid);
    }
    cu->cu_row_ready = true;
    return EDB_OK;
}

/* ---- the entry ------------------------------------------------------------------------------------------------ */

int scan_entry_value(scan *cu, const uint8_t **bytes, size_t *size)
{
    const edb_entry *at = cu->cu_at;
    if (unlikely(at->overflow))
        return load_chain(cu, at, &cu->cu_parts, bytes, size);
    *bytes = at->value;
    *size = at->value_size;
    return EDB_OK;
}

/* Part `part` of the entry, out of the row in its value. */
static int part_of_value(scan *cu, uint32_t part, edb_value *out)
{
    if (!cu->cu_entry_ready) {
        const uint8_t *value;
        size_t size;
        int rc = scan_entry_value(cu, &value, &size);
        if (rc)
            return rc;
        if (row_open(&cu->cu_entry, value, size))
            return scan_damaged_entry(cu);
        cu->cu_entry_ready = true;
    }
    if (part < cu->cu_entry.rw_columns && !row_column(&cu->cu_entry, part, out))
        return EDB_OK;
    return scan_damaged_entry(cu);
}

/* The same out of its key. *decoded: into memory of the cursor. */
static int part_of_key(scan *cu, uint32_t part, edb_value *out, bool *decoded)
{
    const edb_entry *at = cu->cu_at;
    const edb_index *index = cu->cu_index;
    if (!cu->cu_parts_known) {
        cu->cu_part_at[0] = 0;
        cu->cu_parts_known = 1;
    }
    if (at->key_size < 8)
        return scan_damaged_entry(cu);
    size_t size = at->key_size - 8;
    while (cu->cu_parts_known <= part) {
        uint32_t last = cu->cu_parts_known - 1, from = cu->cu_part_at[last];
        size_t n = key_part_size(at->key + from, size - from, index->parts[last].descending);
        if (!n)
            return scan_damaged_entry(cu);
        cu->cu_part_at[cu->cu_parts_known++] = from + (uint32_t)n;
    }
    uint32_t from = cu->cu_part_at[part];
    cu->cu_decoded.bf_size = 0;
    uint8_t *scratch = buffer_reserve(&cu->cu_decoded, size - from);
    if (!scratch)
        return scan_no_memory();
    const edb_column *column = &cu->cu_table->et_columns[index->parts[part].column];
    if (!key_decode(at->key + from, size - from, index->parts[part].descending, column_integral(column), scratch, out))
        return scan_damaged_entry(cu);
    *decoded = out->type >= VALUE_TEXT && out->bytes == scratch;
    return EDB_OK;
}

/* Whether the bytes of the entry last as long as the statement. Those of a leaf that was unpacked do not: the cursor streams. */
static inline bool entry_lasts(const scan *cu)
{
    return cu->cu_lasting && !(unlikely(cu->cu_n_sides) ? merge_unpacked(cu) : cu->cu_entries.cu_tree.tc_held != 0);
}

static inline int entry_column(scan *cu, uint32_t part, edb_value *out, bool *lasting)
{
    bool decoded = false;
    int rc = cu->cu_at->value_size ? part_of_value(cu, part, out) : part_of_key(cu, part, out, &decoded);
    *lasting = entry_lasts(cu) && !cu->cu_at->overflow && !decoded;
    return rc;
}

/* ---- a column ------------------------------------------------------------------------------------------------- */

int scan_computed(scan *cu, uint32_t i, arena *memory, edb_value *out)
{
    int64_t rowid = 0;
    int rc = cu->cu_row_ready ? EDB_OK : load_row(cu);
    if (!rc)
        rc = scan_rowid(cu, &rowid);
    return rc ? rc : evaluate_column(stmt_conn(cu->cu_stmt), cu->cu_table, &cu->cu_row, rowid, i, memory, out);
}

static inline int value_of(scan *cu, uint32_t i, edb_value *out, bool *lasting, bool *computed)
{
    int64_t rowid = 0;
    int rc;
    *computed = false;
    *lasting = true;
    if (i == PLAN_ROWID || (int)i == cu->cu_table->et_rowid_column) {
        rc = scan_rowid(cu, &rowid);
        out->type = VALUE_INTEGER;
        out->integer = rowid;
        return rc;
    }
    if (cu->cu_index && cu->cu_part_of[i] >= 0)
        return entry_column(cu, (uint32_t)cu->cu_part_of[i], out, lasting);
    rc = likely(cu->cu_row_ready) ? EDB_OK : load_row(cu);
    if (rc)
        return rc;
    if (unlikely(column_lacks(&cu->cu_table->et_columns[i], cu->cu_row.rw_columns))) {
        *computed = true;
        return EDB_OK;
    }
    *lasting = !cu->cu_row_copied && (cu->cu_index || entry_lasts(cu));
    if (likely(!row_value(cu->cu_table, &cu->cu_row, 0, i, out)))
        return EDB_OK;
    rc = scan_rowid(cu, &rowid);
    return rc ? rc : row_damaged(cu->cu_table, rowid);
}

int scan_value(scan *cu, uint32_t i, edb_value *out, bool *lasting, bool *computed)
{
    return value_of(cu, i, out, lasting, computed);
}

/* A column that the row lacks; it ends with the call, so SQLite gets a copy. */
static int result_computed(scan *cu, sqlite3_context *context, uint32_t i)
{
    arena memory = {.an_chunks = NULL};
    edb_value v;
    int rc = scan_computed(cu, i, &memory, &v);
    if (!rc)
        value_result(context, &v, true);
    if (memory.an_chunks)
        arena_free(&memory);
    return rc;
}

/* A column to sort by, where the order was not promised. */
static int result_order(scan *cu, sqlite3_context *context, const order_column *oc)
{
    arena memory = {.an_chunks = NULL};
    table_buffer *key = &cu->cu_sort_key;
    edb_value v = {.type = VALUE_NULL};
    bool lasting, computed;
    int rc = value_of(cu, oc->oc_column, &v, &lasting, &computed);
    if (!rc && computed)
        rc = scan_computed(cu, oc->oc_column, &memory, &v);
    if (!rc) {
        key->bf_size = 0;
        uint8_t *to = buffer_reserve(key, key_encode_bound(&v));
        size_t size = to ? key_encode(to, &v, oc->oc_collation, false) : 0;
        if (to && v.type == VALUE_NULL && oc->oc_nulls_last)
            *to = 0xFF;             /* behind the class of every other value */
        rc = to ? EDB_OK : scan_no_memory();
        if (!rc)
            sqlite3_result_blob(context, to, (int)size, SQLITE_TRANSIENT);
    }
    if (memory.an_chunks)
        arena_free(&memory);
    return rc;
}

static __attribute__((noinline)) int give_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i)
{
    scan *cu = (scan *)base;
    edb_value v;
    bool lasting, computed;
    if (unlikely(i >= (int)cu->cu_table->et_n_columns)) {
        const order_column *oc = declared_order(&((vtab_entity *)base->pVtab)->vt_orders, i);
        if (!oc) {                  /* the other hidden ones: NULL */
            ((vtab_any *)base->pVtab)->ay_binding->bd_stands = cu;
            return SQLITE_OK;
        }
        int failed = result_order(cu, context, oc);
        return failed ? vtab_result(base->pVtab, failed) : SQLITE_OK;
    }
    int rc = value_of(cu, (uint32_t)i, &v, &lasting, &computed);
    if (unlikely(computed && !rc)) {
        rc = result_computed(cu, context, (uint32_t)i);
        return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
    }
    if (unlikely(rc))
        return vtab_result(base->pVtab, rc);
    value_result(context, &v, !lasting);
    return SQLITE_OK;
}

int vtab_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i)
{
    if (sqlite3_vtab_nochange(context))
        return SQLITE_OK;           /* an UPDATE that leaves the column alone: vtab_update() copies it */
    return give_column(base, context, i);
}
