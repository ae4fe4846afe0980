/* Declared tag columns (tag_columns.h). */
#include "engine/entity/tag_columns.h"

#include <stdlib.h>
#include <string.h>

#include "engine/catalog/affinity.h"
#include "engine/eval/evaluator.h"
#include "engine/txn/txn_internal.h"

int tag_cell_read(const edb_table *table, uint32_t i, const edb_value *value, arena *memory, tag_cell *out)
{
    const edb_column *column = &table->et_columns[i];
    size_t n = strlen(column->tag), size;
    edb_value text;
    int rc;

    out->ce_size = 0;
    if (value->type == VALUE_NULL)
        return EDB_OK;
    if (value->type == VALUE_BLOB)
        return edb_fail(EDB_TAG, "%s.%s is a tag column, and a blob is no tag", table->et_name, column->name);
    if ((rc = affinity_apply(value, AFFINITY_TEXT, memory, &text)))
        return rc;
    if ((size = n + 1 + text.size) > TAG_MOST)
        return edb_fail(EDB_TAG, "the value of %s.%s has %zu bytes; with its namespace at most %d fit in a tag",
                        table->et_name, column->name, text.size, TAG_MOST);
    memcpy(out->ce_bytes, column->tag, n);
    out->ce_bytes[n] = ':';
    memcpy(out->ce_bytes + n + 1, text.bytes, text.size);
    out->ce_size = size;
    return EDB_OK;
}

static bool cell_same(const tag_cell *a, const tag_cell *b)
{
    return a->ce_size == b->ce_size && !memcmp(a->ce_bytes, b->ce_bytes, a->ce_size);
}

static int column_written(edb_stmt *stmt, const tag_trees *trees, const edb_table *table, uint32_t i,
                          const table_row *old, int64_t rowid, const edb_value *value, arena *memory)
{
    tag_cell before = { .ce_size = 0 }, after;
    edb_value was;
    bool done;
    int rc = tag_cell_read(table, i, value, memory, &after);

    if (!rc && old)
        rc = evaluate_column(stmt_conn(stmt), table, &old->rd_view, old->rd_rowid, i, memory, &was);
    if (!rc && old)
        rc = tag_cell_read(table, i, &was, memory, &before);
    if (rc || cell_same(&before, &after))
        return rc;
    if (before.ce_size)
        rc = tag_take(stmt, trees, table, rowid, before.ce_bytes, before.ce_size, &done);
    if (!rc && after.ce_size)
        rc = tag_put(stmt, trees, table, rowid, after.ce_bytes, after.ce_size, &done);
    return rc;
}

int tag_columns_written(edb_stmt *stmt, const edb_table *table, const table_row *old, int64_t rowid,
                        const edb_value *values, const bool *changed)
{
    tag_trees trees;
    arena memory;
    int rc = tag_trees_make(stmt, &trees);

    arena_init(&memory);
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++)
        if (table->et_columns[i].tag && (!old || changed[i]))
            rc = column_written(stmt, &trees, table, i, old, rowid, &values[i], &memory);
    arena_free(&memory);
    return rc;
}

/* ---- declarations that come and go ----------------------------------------------------------------------------------- */

static bool had_id(const edb_column *column, uint32_t id)
{
    bool had = column->id == id;

    for (uint32_t i = 0; i < column->n_earlier; i++)
        had |= column->earlier[i] == id;
    return had;
}

/* Whether the column has the same values and the same namespace in another version of its table. */
static bool declared_in(const edb_table *table, const edb_column *sought)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        if (column->tag && !strcmp(column->tag, sought->tag) && column->affinity == sought->affinity
            && (had_id(column, sought->id) || had_id(sought, column->id)))
            return true;
    }
    return false;
}

static int fill(edb_stmt *stmt, const edb_table *table, uint32_t i)
{
    table_buffer row = { 0 };
    tag_trees trees;
    edb_cursor cu;
    arena memory;
    int rc;

    if ((rc = txn_expect_unchanged(stmt, table->et_id)) || (rc = tag_trees_make(stmt, &trees))
        || (rc = cursor_open(stmt, table->et_id, &cu)))
        return rc;
    arena_init(&memory);
    for (rc = cursor_seek(&cu, NULL, 0); !rc && cu.valid; rc = rc ? rc : cursor_next(&cu)) {
        edb_value value;
        row_view view;
        int64_t rowid;
        rc = row_id_of_entry(table, &cu.at, &rowid);
        if (!rc)
            rc = row_of_entry(&row, stmt, table, &cu.at, rowid, &view);
        if (!rc)
            rc = evaluate_column(stmt_conn(stmt), table, &view, rowid, i, &memory, &value);
        if (!rc)
            rc = column_written(stmt, &trees, table, i, NULL, rowid, &value, &memory);
        if (!rc && conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "tagging the rows of table %s was interrupted", table->et_name);
        arena_reset(&memory);
    }
    cursor_close(&cu);
    arena_free(&memory);
    buffer_free(&row);
    return rc;
}

/* Tags that were given by hand would be taken for the column's. */
static int refuse_foreign(edb_stmt *stmt, const edb_table *table, const edb_column *column)
{
    bool any;
    int rc = tags_in_namespace(stmt, table->et_id, column->tag, &any);

    if (!rc && any)
        rc = edb_fail(EDB_MISUSE, "rows of table %s have tags of the namespace %s, which is to be that of its column %s; "
                      "take them away first", table->et_name, column->tag, column->name);
    return rc;
}

int tag_columns_replaced(edb_stmt *stmt, const edb_table *before, const edb_table *after)
{
    int rc = EDB_OK;

    if (!after)
        return tags_drop(stmt, before->et_id, NULL);
    for (uint32_t i = 0; before->et_has_tags && !rc && i < before->et_n_columns; i++)
        if (before->et_columns[i].tag && !declared_in(after, &before->et_columns[i]))
            rc = tags_drop(stmt, before->et_id, before->et_columns[i].tag);
    for (uint32_t i = 0; after->et_has_tags && !rc && i < after->et_n_columns; i++) {
        const edb_column *column = &after->et_columns[i];
        if (!column->tag || declared_in(before, column))
            continue;
        rc = refuse_foreign(stmt, after, column);
        if (!rc)
            rc = fill(stmt, after, i);
    }
    return rc;
}

static const row_watch watch = {
    .rwa_deleted = tags_row_deleted,
    .rwa_returned = tags_row_returned,
    .rwa_moved = tags_row_moved,
    .rwa_written = tag_columns_written,
    .rwa_replaced = tag_columns_replaced,
};

__attribute__((constructor)) static void watch_register(void)
{
    row_watch_register(&watch);
}
