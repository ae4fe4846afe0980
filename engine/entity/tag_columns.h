/* Declared tag columns: each value of the column is a tag `namespace:value` of its row, kept by the engine (G6).
 *
 * A value becomes text as a column of TEXT affinity stores it (reals in 15 digits); NULL is no tag. A blob, and a text that cannot be a tag, is an
 * error of the row. Where a table with rows gets such a column, the rows are tagged by the commit that declares it; where it
 * loses one, their tags go. */
#ifndef EDB_TAG_COLUMNS_H
#define EDB_TAG_COLUMNS_H

#include "native/arena.h"
#include "engine/entity/tag_text.h"
#include "engine/entity/tags.h"
#include "engine/table/watch.h"

typedef struct {
    uint8_t ce_bytes[TAG_MOST + 1]; /* one byte more than fits: then it is judged too long */
    size_t ce_size;                 /* 0: no tag */
} tag_cell;

/* The tag that a value of column i is; EDB_TAG: it can be none. */
int tag_cell_read(const edb_table *table, uint32_t i, const edb_value *value, arena *memory, tag_cell *out);

int tag_columns_written(edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                        const edb_value *values, const bool *changed);
int tag_columns_replaced(edb_stmt *stmt, const edb_table *before, const edb_table *after);

#endif
