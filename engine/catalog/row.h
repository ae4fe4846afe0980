/* Rows and index entries of a table as bytes, and back: what the catalog says of a table, applied to its rows.
 *
 * The row stores its values by column id (native/rowcode.h); an index entry is a key of its parts with the row id
 * behind (native/keycode.h). Nothing here computes: a column that a stored row lacks (column_lacks) is asked of
 * eval/evaluator.h. */
#ifndef EDB_ROW_H
#define EDB_ROW_H

#include "native/rowcode.h"
#include "engine/catalog/catalog.h"

typedef struct {
    uint8_t *bf_bytes;              /* owned */
    size_t bf_size, bf_room;
} table_buffer;

/* n bytes more at the end; NULL when memory is exhausted. Earlier pointers into it end. */
static inline uint8_t *buffer_reserve(table_buffer *buffer, size_t n);
void buffer_clear(table_buffer *buffer);            /* empties it, and gives an unusually large one back */
void buffer_free(table_buffer *buffer);

/* Column i of a stored row, not a virtual one; one added after the row was written has the value it was added with. One
 * whose type got another affinity since is as it was stored, which is not what it means: see generate_column().
 * -1: the row is damaged. */
static inline int row_value(const edb_table *table, const row_view *view, int64_t rowid, uint32_t i, edb_value *out);
static inline int row_damaged(const edb_table *table, int64_t rowid);
/* The row id that the key of an entry of the table is; EDB_CORRUPT: none. */
int row_id_of_entry(const edb_table *table, const edb_entry *entry, int64_t *rowid);
/* Opens the row of an entry; one that lies in a chain, or that a write may move, is copied to `buffer` first. */
int row_of_entry(table_buffer *buffer, edb_stmt *stmt, const edb_table *table, const edb_entry *entry, int64_t rowid,
                 row_view *view);

/* The entry of a row in an index, appended to `keys`: *key_size bytes of key, then *value_size of value. */
int index_entry(table_buffer *keys, const edb_index *index, const edb_table *table, const edb_value *values,
                int64_t rowid, size_t *key_size, size_t *value_size, bool *has_null);
/* Whether numbers of the column are read back from keys as integers where they are whole. */
static inline bool column_integral(const edb_column *column) { return column->affinity != AFFINITY_REAL; }

/* ---- inline: for every row of a walk, and every entry of an index ---- */

uint8_t *buffer_grow(table_buffer *buffer, size_t n);
int row_value_missing(const edb_table *table, const row_view *view, int64_t rowid, uint32_t i, edb_value *out);

static inline int row_damaged(const edb_table *table, int64_t rowid)
{
    return edb_fail(EDB_CORRUPT, "row %lld of table %s cannot be read: its bytes are damaged", (long long)rowid,
                    table->et_name);
}

static inline uint8_t *buffer_reserve(table_buffer *buffer, size_t n)
{
    if (!buffer->bf_bytes || buffer->bf_room - buffer->bf_size < n)
        return buffer_grow(buffer, n);
    return buffer->bf_bytes + buffer->bf_size;
}

static inline int row_value(const edb_table *table, const row_view *view, int64_t rowid, uint32_t i, edb_value *out)
{
    uint32_t id = table->et_columns[i].id;
    if (id < view->rw_columns && (int)i != table->et_rowid_column)
        return row_column(view, id, out);
    return row_value_missing(table, view, rowid, i, out);
}

#endif
