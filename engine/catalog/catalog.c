/* The catalog tree: tables found by id and by name (docs/format.md, "Catalog"). */
#include "engine/catalog/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/txn/hooks.h"

/* ---- finding -------------------------------------------------------------------------------------------------- */

int catalog_decode(edb_stmt *stmt, const edb_entry *entry, edb_table **out)
{
    if (!entry->overflow)
        return table_decode(entry->value, entry->value_size, out);
    size_t size = entry_size(entry);
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes)
        return edb_fail(EDB_NOMEM, "no memory to read a catalog entry of %zu bytes", size);
    int rc = entry_load(stmt, entry, bytes);
    if (!rc)
        rc = table_decode(bytes, size, out);
    free(bytes);
    return rc;
}

int catalog_entry(edb_stmt *stmt, uint32_t id, edb_entry *entry, bool *found)
{
    uint8_t key[8];
    rowid_store(key, id);
    int rc = EDB_OK;
    *found = false;
    if (!stmt_is_past(stmt)) {
        rc = now_get(stmt, TREE_CATALOG, key, sizeof key, entry, found);
        if (rc || (*found && entry->from == 0))
            return rc;
    }
    return cursor_get(stmt, TREE_CATALOG, key, sizeof key, entry, found);
}

int catalog_table(edb_stmt *stmt, uint32_t id, edb_table **out)
{
    edb_entry entry;
    bool found;
    int rc = catalog_entry(stmt, id, &entry, &found);
    if (rc)
        return rc;
    if (!found)
        return edb_fail(EDB_NOSUCH, "there is no table with the id %u", id);
    return catalog_decode(stmt, &entry, out);
}

static unsigned char folded(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool name_same(const char *a, const char *b)
{
    for (;; a++, b++) {
        unsigned char x = folded((unsigned char)*a);
        if (x != folded((unsigned char)*b))
            return false;
        if (!x)
            return true;
    }
}

/* Do the bytes hold the name, in any case? */
static bool mentions(const uint8_t *bytes, size_t size, const char *name)
{
    size_t n = strlen(name), same;
    unsigned char first = folded((unsigned char)*name);

    for (size_t at = 0; at + n <= size; at++) {
        if ((bytes[at] | 0x20) != (first | 0x20))   /* most bytes end here; the bit is where cases differ */
            continue;
        for (same = 0; same < n && folded(bytes[at + same]) == folded((unsigned char)name[same]); same++)
            ;
        if (same == n)
            return true;
    }
    return n == 0;
}

/* names NULL: all entries are wanted. What lies on other pages is not searched. */
static bool is_wanted(const edb_entry *entry, const char *const *names, size_t n)
{
    bool wanted = !names || entry->overflow;

    for (size_t i = 0; !wanted && i < n; i++)
        wanted = mentions(entry->value, entry->value_size, names[i]);
    return wanted;
}

int catalog_each(edb_stmt *stmt, catalog_each_fn fn, void *arg)
{
    return catalog_each_naming(stmt, NULL, 0, fn, arg);
}

int catalog_each_naming(edb_stmt *stmt, const char *const *names, size_t n, catalog_each_fn fn, void *arg)
{
    edb_cursor cu;
    int rc = cursor_open(stmt, TREE_CATALOG, &cu);
    if (rc)
        return rc;
    rc = cursor_seek(&cu, NULL, 0);
    while (!rc && cu.valid) {
        edb_table *table = NULL;
        if (is_wanted(&cu.at, names, n)) {
            rc = catalog_decode(stmt, &cu.at, &table);
            if (!rc)
                rc = fn(arg, &table);
            table_unref(table);
        }
        if (!rc)
            rc = cursor_next(&cu);
    }
    cursor_close(&cu);
    return rc;
}

typedef struct {
    edb_table **tl_tables;
    size_t tl_n, tl_room;
} list_arg;

static int list_each(void *arg, edb_table **table)
{
    list_arg *tl = arg;
    if ((*table)->et_kind != CATALOG_TABLE)
        return 0;
    if (tl->tl_n == tl->tl_room) {
        size_t room = 2 * tl->tl_room + 16;
        edb_table **tables = realloc(tl->tl_tables, room * sizeof *tables);
        if (!tables)
            return edb_fail(EDB_NOMEM, "no memory for the list of tables");
        tl->tl_tables = tables;
        tl->tl_room = room;
    }
    tl->tl_tables[tl->tl_n++] = *table;
    *table = NULL;
    return 0;
}

int catalog_tables(edb_stmt *stmt, edb_table ***out, size_t *n)
{
    list_arg tl = {.tl_tables = NULL};
    int rc = catalog_each(stmt, list_each, &tl);
    if (rc) {
        while (tl.tl_n)
            table_unref(tl.tl_tables[--tl.tl_n]);
        free(tl.tl_tables);
        return rc;
    }
    *out = tl.tl_tables;
    *n = tl.tl_n;
    return EDB_OK;
}

int catalog_namespace(const edb_table *table)
{
    return table->et_kind == CATALOG_VIEW ? CATALOG_TABLE : table->et_kind;
}

typedef struct {
    const char *fi_name;
    edb_table *fi_found;
} find_arg;

static int find_each(void *arg, edb_table **table)
{
    find_arg *fi = arg;
    if (catalog_namespace(*table) != CATALOG_TABLE || !name_same((*table)->et_name, fi->fi_name))
        return 0;
    fi->fi_found = *table;
    *table = NULL;
    return EACH_STOP;
}

int catalog_find(edb_stmt *stmt, const char *name, edb_table **out)
{
    find_arg fi = {.fi_name = name};
    int rc = catalog_each_naming(stmt, &name, 1, find_each, &fi);
    if (rc && rc != EACH_STOP)
        return rc;
    if (!fi.fi_found)
        return edb_fail(EDB_NOSUCH, "no such table: %s", name);
    *out = fi.fi_found;
    return EDB_OK;
}

/* ---- a moment in the past --------------------------------------------------------------------------------------- */

static bool column_had_id(const edb_column *column, uint32_t id)
{
    bool had = column->id == id;
    for (uint32_t i = 0; i < column->n_earlier; i++)
        had |= column->earlier[i] == id;
    return had;
}

/* No row has it: what rows have under its ids, or its added value, is not for the past. */
static void column_nowhere(edb_column *column)
{
    column->id = COLUMN_NOWHERE;
    column->n_earlier = 0;
    column->added = column->lazy = false;
}

static bool is_unversioned_id(const edb_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->et_unversioned.rmk_n; i++)
        if (table->et_unversioned.rmk_ids[i] == id)
            return true;
    return false;
}

/* What it was while it had no history is not for the past. */
static void column_had_history(const edb_table *table, edb_column *column)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < column->n_earlier; i++)
        if (!is_unversioned_id(table, column->earlier[i]))
            column->earlier[kept++] = column->earlier[i];
    column->n_earlier = kept;
}

/* was: the column at the moment; NULL: there was none. */
static void column_then(const edb_table *table, edb_column *column, const edb_column *was)
{
    if (was && was->unversioned) {
        column_nowhere(column);
        return;
    }
    column_had_history(table, column);
    if (!was) {
        column->added_value.type = VALUE_NULL;
        return;
    }
    column->then_id = was->id;
    column->then_affinity = was->id == column->id ? 0 : was->affinity;
    if (column->added && was->added)
        column->added_value = was->added_value;
}

int table_unversioned(const edb_table *table, edb_table **out)
{
    edb_table *then;
    int rc = table_decode(table->et_payload, table->et_payload_size, &then);

    for (uint32_t i = 0; !rc && i < then->et_n_columns; i++)
        if (then->et_columns[i].unversioned)
            column_nowhere(&then->et_columns[i]);
        else
            column_had_history(then, &then->et_columns[i]);
    if (!rc)
        *out = then;
    return rc;
}

int catalog_then(edb_stmt *stmt, const edb_table *table, edb_table **out)
{
    if (!table->et_then_moves)
        return table_unversioned(table, out);
    edb_table *past = NULL, *then = NULL;
    int rc = table_decode(table->et_payload, table->et_payload_size, &then);
    if (!rc)
        rc = catalog_table(stmt, table->et_id, &past);
    for (uint32_t i = 0; !rc && i < then->et_n_columns; i++) {
        const edb_column *was = NULL;
        for (uint32_t k = 0; k < past->et_n_columns; k++)
            if (column_had_id(&then->et_columns[i], past->et_columns[k].id))
                was = &past->et_columns[k];
        column_then(then, &then->et_columns[i], was);
    }
    if (rc) {
        table_unref(past);
        table_unref(then);
        return rc;
    }
    then->et_past = past;
    *out = then;
    return EDB_OK;
}

/* ---- trees that belong to no table ---------------------------------------------------------------------------- */

typedef struct {
    const char *na_name;
    uint32_t na_tree;
} tree_arg;

static int tree_each(void *arg, edb_table **table)
{
    tree_arg *na = arg;
    if ((*table)->et_kind != CATALOG_TREE || strcmp((*table)->et_name, na->na_name))
        return 0;
    na->na_tree = (*table)->et_id;
    return EACH_STOP;
}

int catalog_tree(edb_stmt *stmt, const char *name, uint32_t *tree)
{
    tree_arg na = {.na_name = name};
    stmt_view before;
    /* The statement may have made it itself. */
    if (!stmt_is_past(stmt))
        stmt_view_widen(stmt, &before);
    int rc = catalog_each_naming(stmt, &name, 1, tree_each, &na);
    if (!stmt_is_past(stmt))
        stmt_view_restore(stmt, &before);
    if (rc && rc != EACH_STOP)
        return rc;
    *tree = na.na_tree;
    return EDB_OK;
}

/* ---- names for errors ------------------------------------------------------------------------------------------ */

static int name_tree(edb_stmt *stmt, uint32_t tree, char *out, size_t room)
{
    edb_table **tables;
    bool found = false;
    size_t n;
    int rc = catalog_tables(stmt, &tables, &n);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        const edb_index *index = table_index(tables[i], tree);
        if (index)
            snprintf(out, room, "index %s of table %s", index->name, tables[i]->et_name);
        else if (tables[i]->et_id == tree)
            snprintf(out, room, "table %s", tables[i]->et_name);
        found |= index || tables[i]->et_id == tree;
        table_unref(tables[i]);
    }
    free(tables);
    return found ? EDB_OK : EDB_NOSUCH;
}

/* ---- columns without history ------------------------------------------------------------------------------------ */

static int masks_of_entry(const uint8_t *payload, size_t size, tree_masks *masks)
{
    edb_table *table;
    int rc = table_decode(payload, size, &table);

    if (rc)
        return rc;
    rc = tree_masks_add(masks, table->et_id, table->et_unversioned.rmk_ids, table->et_unversioned.rmk_n);
    table_unref(table);
    return rc;
}

static txn_hooks catalog_hooks = {.hk_name = "catalog", .hk_name_tree = name_tree, .hk_masks = masks_of_entry};

__attribute__((constructor)) static void catalog_load(void)
{
    hooks_register(&catalog_hooks);
}
