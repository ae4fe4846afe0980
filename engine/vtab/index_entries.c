/* The entries of an index, computed from the table's rows as a statement sees them.
 *
 * For an index that was made after the statement's moment, whose tree is empty then, and for automatic indexes. */
#include <stdlib.h>

#include "engine/eval/evaluator.h"
#include "engine/vtab/vtab.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the entries of an index");
}

typedef struct {                    /* what is reused from row to row */
    table_buffer lb_row, lb_key;
    edb_value *lb_values;           /* by column */
    arena lb_computed;              /* texts and blobs of generated columns */
} entry_builder;

static int add_row(writeset *entries, entry_builder *lb, edb_stmt *stmt, const edb_table *table, const edb_index *index,
                   const edb_entry *entry)
{
    const uint8_t *row = entry->value;
    size_t size = entry->value_size, key_size, value_size;
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
    if (lb->lb_computed.an_chunks)
        arena_free(&lb->lb_computed);
    for (uint32_t i = 0; !rc && i < index->n_parts; i++) {
        uint32_t column = index->parts[i].column;
        if (!column_virtual(&table->et_columns[column]))
            rc = evaluate_column(stmt_conn(stmt), table, &view, rowid, column, &lb->lb_computed, &lb->lb_values[column]);
    }
    bool covered = false;
    if (!rc)
        rc = evaluate_index(stmt_conn(stmt), table, index, &view, rowid, &lb->lb_computed, lb->lb_values, &covered);
    if (rc || !covered)
        return rc;
    lb->lb_key.bf_size = 0;
    rc = index_entry(&lb->lb_key, index, table, lb->lb_values, rowid, &key_size, &value_size, &has_null);
    if (rc)
        return rc;
    const uint8_t *key = lb->lb_key.bf_bytes;
    return private_add(entries, key, key_size, key + key_size, value_size);
}

int entries_from_table(edb_stmt *stmt, const edb_table *table, const edb_index *index, writeset **out)
{
    edb_value *values = calloc(table->et_n_columns, sizeof *values);
    entry_builder lb = {.lb_values = values};
    writeset *entries = NULL;
    edb_cursor cu;
    bool open = false;
    int rc = values ? private_new(stmt, &entries) : no_memory();
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
    buffer_free(&lb.lb_row);
    buffer_free(&lb.lb_key);
    arena_free(&lb.lb_computed);
    free(values);
    if (rc) {
        ws_unref(entries);
        return rc;
    }
    *out = entries;
    return EDB_OK;
}
