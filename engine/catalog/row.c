/* Rows and index entries of a table as bytes (row.h). */
#include "engine/catalog/row.h"

#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"

#define BUFFER_KEEP (1u << 20)      /* bytes a buffer may keep between rows */

uint8_t *buffer_grow(table_buffer *buffer, size_t n)
{
    size_t room = buffer->bf_size + n + 256;
    if (room < 2 * buffer->bf_room)
        room = 2 * buffer->bf_room;
    uint8_t *bytes = realloc(buffer->bf_bytes, room);
    if (!bytes)
        return NULL;
    buffer->bf_bytes = bytes;
    buffer->bf_room = room;
    return bytes + buffer->bf_size;
}

void buffer_free(table_buffer *buffer)
{
    free(buffer->bf_bytes);
    *buffer = (table_buffer){ .bf_bytes = NULL };
}

void buffer_clear(table_buffer *buffer)
{
    buffer->bf_size = 0;
    if (buffer->bf_room > BUFFER_KEEP)
        buffer_free(buffer);
}

static int no_memory(const edb_table *table)
{
    return edb_fail(EDB_NOMEM, "no memory for a row of table %s", table->et_name);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* The row id, or a column that the row was written without. */
int row_value_missing(const edb_table *table, const row_view *view, int64_t rowid, uint32_t i, edb_value *out)
{
    const edb_column *column = &table->et_columns[i];
    if ((int)i == table->et_rowid_column) {
        out->type = VALUE_INTEGER;
        out->integer = rowid;
        return 0;
    }
    for (uint32_t k = 0; k < column->n_earlier; k++)
        if (column->earlier[k] < view->rw_columns)
            return row_column(view, column->earlier[k], out);
    if (column->added)
        *out = column->added_value;
    else
        out->type = VALUE_NULL;
    return 0;
}

int row_id_of_entry(const edb_table *table, const edb_entry *entry, int64_t *rowid)
{
    if (entry->key_size != 8)
        return edb_fail(EDB_CORRUPT, "table %s holds a key of %u bytes", table->et_name, entry->key_size);
    *rowid = rowid_load(entry->key);
    return EDB_OK;
}

int row_of_entry(table_buffer *buffer, edb_stmt *stmt, const edb_table *table, const edb_entry *entry,
                        int64_t rowid, row_view *view)
{
    const uint8_t *bytes = entry->value;
    size_t size = entry->value_size;
    if (entry->overflow || entry->from == 0) {
        size = entry->overflow ? entry_size(entry) : size;
        buffer_clear(buffer);
        uint8_t *copy = buffer_reserve(buffer, size);
        if (!copy)
            return no_memory(table);
        if (entry->overflow) {
            int rc = entry_load(stmt, entry, copy);
            if (rc)
                return rc;
        } else {
            memcpy(copy, bytes, size);
        }
        bytes = copy;
    }
    return row_open(view, bytes, size) ? row_damaged(table, rowid) : EDB_OK;
}

/* ---- index entries -------------------------------------------------------------------------------------------- */

/* The parts' values as a row behind the key: for keys that fold or round. */
static int index_value(table_buffer *keys, const edb_index *index, const edb_table *table, const edb_value *values,
                       size_t *value_size)
{
    edb_value parts[CATALOG_COLUMNS];
    for (uint32_t i = 0; i < index->n_parts; i++)
        parts[i] = values[index->parts[i].column];
    uint8_t *row = buffer_reserve(keys, row_encode_bound(parts, index->n_parts));
    if (!row)
        return no_memory(table);
    *value_size = row_encode(row, parts, index->n_parts);
    keys->bf_size += *value_size;
    return EDB_OK;
}

int index_entry(table_buffer *keys, const edb_index *index, const edb_table *table, const edb_value *values,
                int64_t rowid, size_t *key_size, size_t *value_size, bool *has_null)
{
    size_t bound = 8;
    bool restores = true;
    *has_null = false;
    for (uint32_t i = 0; i < index->n_parts; i++) {
        const edb_index_part *part = &index->parts[i];
        const edb_value *v = &values[part->column];
        bound += key_encode_bound(v);
        *has_null |= v->type == VALUE_NULL;
        restores = restores && key_restores(v, part->collation, column_integral(&table->et_columns[part->column]));
    }
    uint8_t *start = buffer_reserve(keys, bound), *at = start;
    if (!start)
        return no_memory(table);
    for (uint32_t i = 0; i < index->n_parts; i++) {
        const edb_index_part *part = &index->parts[i];
        at += key_encode(at, &values[part->column], part->collation, part->descending);
    }
    rowid_store(at, rowid);
    *key_size = (size_t)(at + 8 - start);
    *value_size = 0;
    keys->bf_size += *key_size;
    return restores ? EDB_OK : index_value(keys, index, table, values, value_size);
}
