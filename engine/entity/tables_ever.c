/* The tables that a file has or ever had (tables_ever.h). */
#include "engine/entity/tables_ever.h"

#include <stdlib.h>

#include "native/keycode.h"
#include "engine/tree/tree_events.h"
#include "engine/txn/txn_internal.h"

static int add(tables_ever *ever, edb_table *table)
{
    edb_table **more = realloc(ever->ever_tables, (ever->ever_n + 1) * sizeof *more);

    if (!more)
        return edb_fail(EDB_NOMEM, "no memory for a list of %zu tables", ever->ever_n + 1);
    ever->ever_tables = more;
    more[ever->ever_n++] = table;
    return EDB_OK;
}

/* An entry of the catalog that a commit took away. Ids are not given again. */
static int add_dropped(tables_ever *ever, edb_stmt *stmt, const tree_event *change, const char *name)
{
    const edb_entry entry = { .key = change->was.key, .key_size = change->was.key_size, .value = change->was.value,
                              .value_size = change->was.value_size, .from = change->was.from,
                              .overflow = change->was.overflow };
    edb_table *table;
    int rc = catalog_decode(stmt, &entry, &table);

    if (rc)
        return rc;
    if (table->et_kind == CATALOG_TABLE && (!name || name_same(table->et_name, name)))
        rc = add(ever, table_ref(table));
    table_unref(table);
    return rc;
}

static int find_dropped(tables_ever *ever, edb_stmt *stmt, const char *name)
{
    const tree_state *state;
    const tree_event *change;
    tree_events changes;
    int rc = stmt_tree(stmt, TREE_CATALOG, &state);

    if (rc || !state || (rc = tree_events_open(&changes, stmt->st_conn->cn_pager, state, 0, stmt->st_moment)))
        return rc;
    rc = tree_events_start(&changes, NULL, 0, NULL, 0);
    while (!rc && !(rc = tree_events_next(&changes, &change)) && change)
        if (change->had && !change->has)
            rc = add_dropped(ever, stmt, change, name);
    tree_events_close(&changes);
    return rc;
}

static int find_present(tables_ever *ever, edb_stmt *stmt, const char *name)
{
    edb_table **present;
    size_t n;
    int rc = catalog_tables(stmt, &present, &n);

    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (!rc && (!name || name_same(present[i]->et_name, name)))
            rc = add(ever, present[i]);
        else
            table_unref(present[i]);
    free(present);
    return rc;
}

int tables_ever_find(edb_stmt *stmt, const char *name, tables_ever *out)
{
    int rc;

    *out = (tables_ever){ .ever_n = 0 };
    rc = find_present(out, stmt, name);
    if (!rc)
        rc = find_dropped(out, stmt, name);
    if (rc)
        tables_ever_free(out);
    return rc;
}

void tables_ever_free(tables_ever *ever)
{
    for (size_t i = 0; i < ever->ever_n; i++)
        table_unref(ever->ever_tables[i]);
    free(ever->ever_tables);
    *ever = (tables_ever){ .ever_n = 0 };
}

const edb_table *tables_ever_by_id(const tables_ever *ever, uint32_t id)
{
    for (size_t i = 0; i < ever->ever_n; i++)
        if (ever->ever_tables[i]->et_id == id)
            return ever->ever_tables[i];
    return NULL;
}
