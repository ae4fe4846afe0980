/* The eponymous table entitydb_catalog, which shows the catalog.
 *
 *     SELECT id, name, payload FROM entitydb_catalog      at the statement's moment; id = ? is a lookup */
#include "engine/vtab/control_table.h"

enum { CATALOG_ID, CATALOG_NAME, CATALOG_PAYLOAD };

static int catalog_tree_shown(edb_stmt *stmt, uint32_t *tree, bool *found)
{
    (void)stmt;
    *tree = TREE_CATALOG;
    *found = true;
    return EDB_OK;
}

static int catalog_key(sqlite3_value *value, table_buffer *key, bool *found)
{
    *found = sqlite3_value_numeric_type(value) == SQLITE_INTEGER;
    if (!*found)
        return EDB_OK;
    uint8_t *at = buffer_reserve(key, 8);
    if (!at)
        return edb_fail(EDB_NOMEM, "no memory to look up a table");
    rowid_store(at, sqlite3_value_int64(value));
    key->bf_size = 8;
    return EDB_OK;
}

static int catalog_load(control_scan *cts)
{
    const edb_entry *at = &cts->cts_entries.at;
    table_unref(cts->cts_table);
    cts->cts_table = NULL;
    if (at->key_size != 8)
        return edb_fail(EDB_CORRUPT, "the catalog holds a key of %u bytes", at->key_size);
    return catalog_table(cts->cts_stmt, (uint32_t)rowid_load(at->key), &cts->cts_table);
}

static int catalog_column(control_scan *cts, sqlite3_context *context, int column)
{
    const edb_table *table = cts->cts_table;
    if (column == CATALOG_ID)
        sqlite3_result_int64(context, table->et_id);
    else if (column == CATALOG_NAME)
        sqlite3_result_text(context, table->et_name, -1, SQLITE_TRANSIENT);
    else
        sqlite3_result_blob64(context, table->et_payload, table->et_payload_size, SQLITE_TRANSIENT);
    return EDB_OK;
}

static int64_t catalog_rowid(const control_scan *cts)
{
    return cts->cts_table->et_id;
}

static const control_table control = {
    .ctl_declaration = "CREATE TABLE x(id INTEGER, name TEXT, payload BLOB)",
    .ctl_rows = 100,
    .ctl_tree = catalog_tree_shown,
    .ctl_key = catalog_key,
    .ctl_load = catalog_load,
    .ctl_column = catalog_column,
    .ctl_rowid = catalog_rowid,
};

CONTROL_MODULE(vtab_catalog_module, control, NULL);
