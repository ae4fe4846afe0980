/* Statistics in the file: what ANALYZE takes, and what a later connection finds.
 *
 * They stand in a tree of their own, "statistics", made with the first ANALYZE. docs/format.md, "Statistics", gives the
 * bytes. The count they were taken at is kept with them, so that they are passed over when the table has moved on. */
#include <stdlib.h>
#include <string.h>

#include "engine/stats/stats_internal.h"
#include "engine/table/ddl.h"

enum { KEPT_KEY = 8, KEPT_ROWS = 8, KEPT_NUMBER = 8, KEPT_SHARES = 3 };

static void key_of(stats_key key, uint8_t out[KEPT_KEY])
{
    store64be(out, (uint64_t)key.sq_tree << 32 | key.sq_column);
}

static uint8_t *put_number(uint8_t *to, double number)
{
    memcpy(to, &number, KEPT_NUMBER);
    return to + KEPT_NUMBER;
}

static double number_at(const uint8_t *value, size_t i)
{
    double number;

    memcpy(&number, value + KEPT_ROWS + i * KEPT_NUMBER, KEPT_NUMBER);
    return number;
}

bool stats_kept_valid(const void *key, size_t key_size, const void *value, size_t value_size)
{
    if (key_size != KEPT_KEY || value_size < KEPT_ROWS + 2 * KEPT_NUMBER || (value_size - KEPT_ROWS) % KEPT_NUMBER)
        return false;
    size_t numbers = (value_size - KEPT_ROWS) / KEPT_NUMBER;
    bool groups = load64be(key) << 32 >> 32 == WHOLE_INDEX;
    for (size_t i = 0; i < numbers; i++)
        if (!(number_at(value, i) >= 0))
            return false;
    return groups ? numbers % 2 == 0 && numbers <= 2 * CATALOG_COLUMNS : numbers == KEPT_SHARES;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool load_groups(stats_record *sm, const edb_entry *entry)
{
    uint32_t parts = (entry->value_size - KEPT_ROWS) / (2 * KEPT_NUMBER);

    sm->sm_groups = malloc(parts * sizeof *sm->sm_groups);
    if (!sm->sm_groups)
        return false;
    for (uint32_t i = 0; i < parts; i++)
        sm->sm_groups[i] = (group_size){ number_at(entry->value, 2 * i), number_at(entry->value, 2 * i + 1) };
    sm->sm_n = parts;
    return true;
}

bool kept_load(edb_conn *conn, stats_record *sm, uint64_t rows)
{
    edb_stmt *stmt = conn_current(conn);
    uint8_t key[KEPT_KEY];
    edb_entry entry;
    uint32_t tree;
    bool found;

    if (!stmt || stmt_is_past(stmt) || catalog_tree(stmt, STATISTICS_NAME, &tree) || !tree)
        return false;
    key_of(sm->sm_key, key);
    if (cursor_get(stmt, tree, key, sizeof key, &entry, &found) || !found || entry.overflow
        || !stats_kept_valid(entry.key, entry.key_size, entry.value, entry.value_size)
        || stats_moved(load64(entry.value), rows))
        return false;
    sm->sm_rows = load64(entry.value);
    if (sm->sm_key.sq_column == WHOLE_INDEX)
        return load_groups(sm, &entry);
    sm->sm_share = (column_share){ number_at(entry.value, 0), number_at(entry.value, 1), number_at(entry.value, 2) };
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static int put_record(edb_stmt *stmt, uint32_t tree, const stats_record *sm)
{
    uint32_t numbers = sm->sm_key.sq_column == WHOLE_INDEX ? 2 * sm->sm_n : KEPT_SHARES;
    uint8_t key[KEPT_KEY], *value = malloc(KEPT_ROWS + numbers * KEPT_NUMBER), *to = value;

    if (!value)
        return edb_fail(EDB_NOMEM, "no memory to keep statistics");
    key_of(sm->sm_key, key);
    store64(to, sm->sm_rows);
    to += KEPT_ROWS;
    if (sm->sm_key.sq_column != WHOLE_INDEX) {
        to = put_number(to, sm->sm_share.sv_null);
        to = put_number(to, sm->sm_share.sv_mean);
        put_number(to, sm->sm_share.sv_met);
    }
    for (uint32_t i = 0; sm->sm_key.sq_column == WHOLE_INDEX && i < sm->sm_n; i++) {
        to = put_number(to, sm->sm_groups[i].gs_mean);
        to = put_number(to, sm->sm_groups[i].gs_met);
    }
    int rc = txn_put(stmt, tree, key, sizeof key, value, KEPT_ROWS + numbers * KEPT_NUMBER, 0);
    free(value);
    return rc;
}

/* Takes one record anew, and puts it into the tree. index NULL: of a column. */
static int keep(edb_stmt *stmt, stats_book *book, uint32_t tree, const edb_table *table, const edb_index *index,
                uint32_t column)
{
    edb_conn *conn = stmt_conn(stmt);
    stats_key key = { index ? index->tree : table->et_id, index ? WHOLE_INDEX : table->et_columns[column].id };
    tree_look look;
    bool fresh;

    if (!conn_look(conn, key.sq_tree, &look))
        return EDB_OK;              /* made in this very transaction: there is nothing to sample yet */
    stats_record *sm = stats_find(book, key, UINT64_MAX, &fresh);
    if (sm) {
        sm->sm_rows = look.lo_tree.ts_live;
        if (index)
            groups_take(sm, &look, index, GROUPS_MET * ANALYZE_TIMES);
        else
            values_take(sm, &look, table, column, ROWS_MET * ANALYZE_TIMES);
    }
    conn_looked(conn);
    if (!sm)
        return edb_fail(EDB_NOMEM, "no memory for statistics");
    return sm->sm_n ? put_record(stmt, tree, sm) : EDB_OK;
}

int stats_keep(edb_stmt *stmt, const edb_table *table)
{
    uint32_t tree;
    int rc = catalog_tree(stmt, STATISTICS_NAME, &tree);

    if (!rc && !tree)
        rc = ddl_create_tree(stmt, STATISTICS_NAME, KEPT_KEY, &tree);
    if (rc)
        return rc;
    stats_book *book = stats_lock(stmt_conn(stmt));
    if (!book)
        return edb_fail(EDB_NOMEM, "no memory for statistics");
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        rc = keep(stmt, book, tree, table, &table->et_indexes[i], 0);
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++)
        if (!column_virtual(&table->et_columns[i]))
            rc = keep(stmt, book, tree, table, NULL, i);
    stats_unlock(book);
    return rc;
}
