/* The tables that a file has or ever had (tables_ever.h). */
#include "engine/entity/tables_ever.h"

#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/tree/tree_events.h"
#include "engine/txn/txn_internal.h"

/* Takes the table over. What is told of the past shows nothing of columns without history. */
static int add(tables_ever *ever, edb_table *table)
{
    edb_table **more = realloc(ever->ever_tables, (ever->ever_n + 1) * sizeof *more), *bare = NULL;
    int rc = more ? EDB_OK : edb_fail(EDB_NOMEM, "no memory for a list of %zu tables", ever->ever_n + 1);

    if (more)
        ever->ever_tables = more;
    if (!rc && table->et_unversioned.rmk_n)
        rc = table_unversioned(table, &bare);
    if (bare || rc)
        table_unref(table);
    if (!rc)
        ever->ever_tables[ever->ever_n++] = bare ? bare : table;
    return rc;
}

static int decode_version(edb_stmt *stmt, const tree_version *version, edb_table **out)
{
    edb_entry entry;
    entry_from_version(version, &entry);
    int rc = catalog_decode(stmt, &entry, out);

    if (!rc && (*out)->et_kind != CATALOG_TABLE) {
        table_unref(*out);
        *out = NULL;
    }
    return rc;
}

/* Calls fn for what each commit did to an entry of the catalog. */
typedef int (*catalog_change_fn)(void *arg, edb_stmt *stmt, const tree_event *change);

static int each_change(edb_stmt *stmt, catalog_change_fn fn, void *arg)
{
    const tree_state *state;
    const tree_event *change;
    tree_events changes;
    int rc = stmt_tree(stmt, TREE_CATALOG, &state);

    if (rc || !state || (rc = tree_events_open(&changes, stmt->st_conn->cn_pager, state, 0, stmt->st_moment)))
        return rc;
    rc = tree_events_start(&changes, NULL, 0, NULL, 0);
    while (!rc && !(rc = tree_events_next(&changes, &change)) && change)
        rc = fn(arg, stmt, change);
    tree_events_close(&changes);
    return rc;
}

typedef struct {
    tables_ever *fdr_ever;
    const char *fdr_name;           /* NULL: all */
} find_dropped;

/* An entry of the catalog that a commit took away. Ids are not given again. */
static int add_dropped(void *arg, edb_stmt *stmt, const tree_event *change)
{
    const find_dropped *fdr = arg;
    edb_table *table = NULL;
    int rc = change->had && !change->has ? decode_version(stmt, &change->was, &table) : EDB_OK;

    if (!rc && table && (!fdr->fdr_name || name_same(table->et_name, fdr->fdr_name)))
        rc = add(fdr->fdr_ever, table_ref(table));
    table_unref(table);
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
        rc = each_change(stmt, add_dropped, &(find_dropped){ out, name });
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

typedef struct {
    tables_named_fn nad_fn;
    void *nad_arg;
} names_asked;

static int tell_names(void *arg, edb_stmt *stmt, const tree_event *change)
{
    const names_asked *nad = arg;
    edb_table *was = NULL, *is = NULL;
    int rc = change->had ? decode_version(stmt, &change->was, &was) : EDB_OK;

    if (!rc && change->has)
        rc = decode_version(stmt, &change->is, &is);
    if (!rc && (was || is) && !(was && is && !strcmp(was->et_name, is->et_name)))
        rc = nad->nad_fn(nad->nad_arg, change->at, (was ? was : is)->et_id, was ? was->et_name : NULL, is ? is->et_name : NULL);
    table_unref(was);
    table_unref(is);
    return rc;
}

int tables_named(edb_stmt *stmt, tables_named_fn fn, void *arg)
{
    return each_change(stmt, tell_names, &(names_asked){ fn, arg });
}

typedef struct {
    schema_changed_fn sca_fn;
    void *sca_arg;
} changes_asked;

static int tell_change(void *arg, edb_stmt *stmt, const tree_event *change)
{
    const changes_asked *sca = arg;

    (void)stmt;
    if (change->key_size != 8)
        return edb_fail(EDB_CORRUPT, "the catalog holds a key of %u bytes", (unsigned)change->key_size);
    return sca->sca_fn(sca->sca_arg, change->at, (uint32_t)rowid_load(change->key));
}

int schema_changes(edb_stmt *stmt, schema_changed_fn fn, void *arg)
{
    return each_change(stmt, tell_change, &(changes_asked){ fn, arg });
}
