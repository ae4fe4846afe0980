/* The entries of an index, computed from the table's rows as a statement sees them.
 *
 * For an index that was made after the statement's moment, whose tree is empty then, and for automatic indexes. */
#include <stdlib.h>

#include "native/keycode.h"
#include "engine/eval/evaluator.h"
#include "engine/vtab/vtab.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the entries of an index");
}

typedef struct {                    /* what is reused from row to row */
    bool lb_stored;                 /* every row has an entry, and its parts are columns as they are stored */
    bool lb_integral;               /* numbers of all parts are read back from keys as integers where they are whole */
    table_buffer lb_row, lb_key;
    edb_value *lb_values;           /* by column */
    arena lb_computed;              /* texts and blobs of generated columns */
} entry_builder;

enum { NUMBER_PART = 11 };          /* the most bytes of a part that is a number or NULL: key_encode_bound() */

static int builder_init(entry_builder *lb, const edb_table *table, const edb_index *index)
{
    lb->lb_stored = !index->where && !index->computes;
    lb->lb_integral = true;
    for (uint32_t i = 0; i < index->n_parts; i++) {
        const edb_column *column = &table->et_columns[index->parts[i].column];
        lb->lb_stored &= !column->lazy;
        lb->lb_integral &= column_integral(column);
    }
    lb->lb_values = calloc(table->et_n_columns, sizeof *lb->lb_values);
    return lb->lb_values && buffer_reserve(&lb->lb_key, (size_t)NUMBER_PART * index->n_parts + 8) ? EDB_OK : no_memory();
}

static void builder_free(entry_builder *lb)
{
    buffer_free(&lb->lb_row);
    buffer_free(&lb->lb_key);
    arena_free(&lb->lb_computed);
    free(lb->lb_values);
}

/* Reads the parts of a row that lacks none. While they are integers and NULLs, which keys give back as they are, the key is
 * made on the way, in lb_key: *key_size, 0 if it is not. */
static int read_parts(entry_builder *lb, const edb_table *table, const edb_index *index, const row_view *view,
                      int64_t rowid, size_t *key_size)
{
    uint8_t *at = lb->lb_key.bf_bytes;
    bool whole = lb->lb_integral;
    for (uint32_t i = 0; i < index->n_parts; i++) {
        const edb_index_part part = index->parts[i];
        edb_value *v = &lb->lb_values[part.column];
        if (unlikely(row_value(table, view, rowid, part.column, v)))
            return row_damaged(table, rowid);
        whole = whole && v->type <= VALUE_INTEGER;
        if (whole)
            at += key_encode(at, v, part.collation, part.descending);
    }
    if (whole)
        rowid_store(at, rowid);
    *key_size = whole ? (size_t)(at + 8 - lb->lb_key.bf_bytes) : 0;
    return EDB_OK;
}

static int compute_parts(entry_builder *lb, edb_stmt *stmt, const edb_table *table, const edb_index *index,
                         const row_view *view, int64_t rowid, bool *covered)
{
    int rc = EDB_OK;
    if (lb->lb_computed.an_chunks)
        arena_free(&lb->lb_computed);
    for (uint32_t i = 0; !rc && i < index->n_parts; i++) {
        uint32_t column = index->parts[i].column;
        if (!column_virtual(&table->et_columns[column]))
            rc = evaluate_column(stmt_conn(stmt), table, view, rowid, column, &lb->lb_computed, &lb->lb_values[column]);
    }
    if (!rc)
        rc = evaluate_index(stmt_conn(stmt), table, index, view, rowid, &lb->lb_computed, lb->lb_values, covered);
    return rc;
}

static int add_row(private_entries *entries, entry_builder *lb, edb_stmt *stmt, const edb_table *table,
                   const edb_index *index, const edb_entry *entry)
{
    const uint8_t *row = entry->value;
    size_t size = entry->value_size, key_size = 0, value_size = 0;
    int64_t rowid;
    row_view view;
    bool has_null;
    int rc = row_id_of_entry(table, entry, &rowid);
    if (!rc && entry->overflow) {
        size = entry_size(entry);
        lb->lb_row.bf_size = 0;
        uint8_t *copy = buffer_reserve(&lb->lb_row, size);
        rc = copy ? entry_load(stmt, entry, copy) : no_memory();
        row = copy;
    }
    if (rc)
        return rc;
    if (row_open(&view, row, size))
        return row_damaged(table, rowid);
    bool covered = true;
    rc = lb->lb_stored ? read_parts(lb, table, index, &view, rowid, &key_size)
                       : compute_parts(lb, stmt, table, index, &view, rowid, &covered);
    if (rc || !covered)
        return rc;
    lb->lb_key.bf_size = 0;
    if (!key_size)
        rc = index_entry(&lb->lb_key, index, table, lb->lb_values, rowid, &key_size, &value_size, &has_null);
    if (rc)
        return rc;
    const uint8_t *key = lb->lb_key.bf_bytes;
    return private_add(entries, key, key_size, key + key_size, value_size);
}

int entries_from_table(edb_stmt *stmt, const edb_table *table, const edb_index *index, private_entries **out)
{
    entry_builder lb = {.lb_values = NULL};
    private_entries *entries = NULL;
    edb_cursor cu;
    bool open = false;
    int rc = builder_init(&lb, table, index);
    if (!rc)
        rc = private_new(stmt, &entries);
    if (!rc)
        rc = cursor_open(stmt, table->et_id, &cu);
    open = !rc;
    if (!rc)
        rc = cursor_seek(&cu, NULL, 0);
    while (!rc && cu.valid) {
        if (conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "reading table %s was interrupted", table->et_name);
        else
            rc = add_row(entries, &lb, stmt, table, index, &cu.at);
        if (!rc)
            rc = cursor_next(&cu);
    }
    if (open)
        cursor_close(&cu);
    builder_free(&lb);
    if (rc) {
        private_unref(entries);
        return rc;
    }
    *out = entries;
    return EDB_OK;
}
