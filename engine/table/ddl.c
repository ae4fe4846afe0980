/* DDL (ddl.h). */
#include "engine/table/ddl.h"

#include <stdlib.h>

#include "engine/catalog/payload.h"
#include "engine/table/watch.h"

/* ---- names ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const edb_table *nm_table;      /* whose names are to be free among all others */
} names_arg;

static int names_each(void *arg, edb_table **table)
{
    const edb_table *mine = ((names_arg *)arg)->nm_table, *other = *table;
    if (other->et_id == mine->et_id)
        return 0;
    if (catalog_namespace(other) != catalog_namespace(mine))
        return 0;
    if (name_same(other->et_name, mine->et_name))
        return edb_fail(EDB_EXISTS, "%s %s already exists", other->et_kind == CATALOG_VIEW ? "view" : "table",
                        mine->et_name);
    for (uint32_t i = 0; i < other->et_n_indexes; i++)
        if (name_same(other->et_indexes[i].name, mine->et_name))
            return edb_fail(EDB_EXISTS, "there is already an index named %s", mine->et_name);
    for (uint32_t k = 0; k < mine->et_n_indexes; k++) {
        const char *name = mine->et_indexes[k].name;
        if (name_same(other->et_name, name))
            return edb_fail(EDB_EXISTS, "there is already a table named %s", name);
        for (uint32_t i = 0; i < other->et_n_indexes; i++)
            if (name_same(other->et_indexes[i].name, name))
                return edb_fail(EDB_EXISTS, "index %s already exists", name);
    }
    return 0;
}

static int names_check(edb_stmt *stmt, const edb_table *table)
{
    const char *names[1 + CATALOG_INDEXES] = {table->et_name};
    names_arg arg = {.nm_table = table};
    for (uint32_t k = 0; k < table->et_n_indexes; k++)
        for (uint32_t i = 0; i < k; i++)
            if (name_same(table->et_indexes[i].name, table->et_indexes[k].name))
                return edb_fail(EDB_EXISTS, "index %s already exists", table->et_indexes[k].name);
    for (uint32_t k = 0; k < table->et_n_indexes; k++)
        names[1 + k] = table->et_indexes[k].name;
    return catalog_each_naming(stmt, names, 1 + table->et_n_indexes, names_each, &arg);
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

static int entry_store(edb_stmt *stmt, const edb_table *table, uint64_t seen_from)
{
    uint8_t key[8], *payload = NULL;
    size_t size = 0;
    rowid_store(key, table->et_id);
    int rc = payload_rewrite(table, &payload, &size);
    if (!rc)
        rc = txn_put(stmt, TREE_CATALOG, key, sizeof key, payload, size, seen_from);
    if (!rc)
        rc = txn_schema_changed(stmt);
    free(payload);
    return rc;
}

int ddl_create(edb_stmt *stmt, const uint8_t *payload, size_t size, uint32_t *table_id)
{
    edb_table *table = NULL;
    uint64_t mark;
    int rc = txn_begin_write(stmt);
    if (rc || (rc = table_decode(payload, size, &table)))
        return rc;
    mark = txn_mark(stmt_conn(stmt));
    /* Ids are the engine's to give: one that came with the request would join a tree somebody else owns. */
    table->et_id = 0;
    rc = names_check(stmt, table);
    if (!rc)
        rc = txn_tree_new(stmt, 8, &table->et_id);
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        rc = txn_tree_new(stmt, 0, &table->et_indexes[i].tree);
    if (!rc)
        rc = entry_store(stmt, table, 0);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    else
        *table_id = table->et_id;
    table_unref(table);
    return rc;
}

/* Gives trees to the indexes that have none and fills them; the others must have been the table's before. */
static int replace_indexes(edb_stmt *stmt, const edb_table *before, edb_table *after)
{
    int rc = EDB_OK;
    for (uint32_t i = 0; !rc && i < after->et_n_indexes; i++) {
        edb_index *index = &after->et_indexes[i];
        if (index->tree) {
            if (!table_index(before, index->tree))
                rc = edb_fail(EDB_NOSUCH, "table %s has no index with the tree %u", before->et_name, index->tree);
            continue;
        }
        rc = txn_tree_new(stmt, 0, &index->tree);
        /* Rows that others commit meanwhile would be missing from it. */
        if (!rc)
            rc = txn_expect_unchanged(stmt, after->et_id);
        if (!rc)
            rc = table_fill_index(stmt, after, index);
    }
    return rc;
}

/* What is in indexes that are the table's no more need not be unique at COMMIT. after NULL: the table goes, too. */
static int drop_indexes(edb_stmt *stmt, const edb_table *before, const edb_table *after)
{
    int rc = EDB_OK;
    for (uint32_t i = 0; !rc && i < before->et_n_indexes; i++)
        if (!after || !table_index(after, before->et_indexes[i].tree))
            rc = txn_tree_dropped(stmt, before->et_indexes[i].tree);
    return rc || after ? rc : txn_tree_dropped(stmt, before->et_id);
}

/* Whether no row of the table was ever committed; then none is until this transaction is. */
static int never_had_rows(edb_stmt *stmt, const edb_table *table, bool *out)
{
    bool there;
    int rc = stmt_tree_unwritten(stmt, table->et_id, &there, out);
    return !rc && *out && there ? txn_expect_unchanged(stmt, table->et_id) : rc;
}

/* Whether a column has a history is said before the first row has it: what commits wrote is proved by it (engine/tree/tree_masks.h). */
static int judge_unversioned(edb_stmt *stmt, const edb_table *before, const edb_table *after)
{
    const row_mask *was = &before->et_unversioned, *is = &after->et_unversioned;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < is->rmk_n; i++) {
        bool known = kept < was->rmk_n && was->rmk_ids[kept] == is->rmk_ids[i], fresh = false;
        kept += known;
        for (uint32_t k = 0; k < before->et_n_columns && !known; k++) {
            if (before->et_columns[k].id != is->rmk_ids[i])
                continue;
            int rc = never_had_rows(stmt, before, &fresh);
            if (rc || !fresh)
                return rc ? rc : edb_fail(EDB_MISUSE, "column %s of table %s has a history", before->et_columns[k].name, before->et_name);
        }
    }
    return kept == was->rmk_n ? EDB_OK
                              : edb_fail(EDB_MISUSE, "a column of table %s has no history and cannot be given one", before->et_name);
}

int ddl_replace(edb_stmt *stmt, const uint8_t *payload, size_t size, bool judged, uint32_t *table_id)
{
    edb_table *before = NULL, *after = NULL;
    edb_entry entry;
    bool found;
    uint64_t mark, seen_from;
    int rc = txn_begin_write(stmt);
    if (rc || (rc = table_decode(payload, size, &after)))
        return rc;
    mark = txn_mark(stmt_conn(stmt));
    rc = catalog_entry(stmt, after->et_id, &entry, &found);
    if (!rc && !found)
        rc = edb_fail(EDB_NOSUCH, "no such table: %s", after->et_name);
    if (rc)
        goto done;
    seen_from = entry.seen_from;
    rc = catalog_decode(stmt, &entry, &before);
    if (!rc)
        rc = judge_unversioned(stmt, before, after);
    if (!rc)
        rc = names_check(stmt, after);
    if (!rc)
        rc = replace_indexes(stmt, before, after);
    if (!rc)
        rc = drop_indexes(stmt, before, after);
    if (!rc && row_watch_get())
        rc = row_watch_get()->rwa_replaced(stmt, before, after);
    if (!rc && judged)
        rc = txn_expect_unchanged(stmt, after->et_id);
    if (!rc)
        rc = entry_store(stmt, after, seen_from);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    else
        *table_id = after->et_id;
done:
    table_unref(before);
    table_unref(after);
    return rc;
}

int ddl_drop(edb_stmt *stmt, const char *name)
{
    edb_table *table = NULL;
    edb_entry entry;
    bool found;
    uint8_t key[8];
    uint64_t mark;
    int rc = txn_begin_write(stmt);
    if (!rc)
        rc = catalog_find(stmt, name, &table);
    if (rc)
        return rc;
    mark = txn_mark(stmt_conn(stmt));
    rowid_store(key, table->et_id);
    rc = catalog_entry(stmt, table->et_id, &entry, &found);
    if (!rc && !found)
        rc = edb_fail(EDB_NOSUCH, "no such table: %s", name);
    if (!rc)
        rc = txn_put(stmt, TREE_CATALOG, key, sizeof key, NULL, 0, entry.seen_from);
    if (!rc)
        rc = drop_indexes(stmt, table, NULL);
    if (!rc && row_watch_get())
        rc = row_watch_get()->rwa_replaced(stmt, table, NULL);
    if (!rc)
        rc = txn_schema_changed(stmt);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    table_unref(table);
    return rc;
}

int ddl_create_tree(edb_stmt *stmt, const char *name, uint8_t key_size, uint32_t *tree)
{
    uint8_t key[8], payload[PAYLOAD_OF_TREE];
    uint64_t mark = txn_mark(stmt_conn(stmt));
    int rc = txn_tree_new(stmt, key_size, tree);
    if (rc)
        return rc;
    rowid_store(key, *tree);
    rc = txn_put(stmt, TREE_CATALOG, key, sizeof key, payload, payload_of_tree(payload, *tree, name), 0);
    if (!rc)
        rc = txn_schema_changed(stmt);
    if (rc)
        txn_rollback_to(stmt_conn(stmt), mark);
    return rc;
}
